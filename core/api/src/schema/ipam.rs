//! Addresses: pools, reservations and what the allocator writes, in the two forms that it has.

use super::shared::{CONDITIONS, STRING, cidr, enabled, selector};
use super::table::{
    Cel, Field, Schema, atomic, cel, flag, forbid, integer, list, map, object, opt, req, set, text,
    word,
};

const CIDR: Schema = cidr("");
const USE: Schema = word(&["Workload", "Tunnel", "LoadBalancer"], "");

const fn encapsulation(doc: &'static str) -> Schema {
    word(&["Never", "Always", "CrossSubnet"], doc)
}

/// `spec` of IPPool.
pub(super) const POOL: Schema = object(
    "Addresses that are given to workloads, tunnels or load balancers.",
    &[
        opt(
            "allowedUses",
            set("What its addresses may be given to; Workload and Tunnel if left out.", &USE).up_to(10),
        ),
        opt(
            "assignmentMode",
            word(&["Automatic", "Manual"], "Whether addresses are given without being asked for by the pool's name.")
                .or("\"Automatic\""),
        ),
        opt(
            "blockSize",
            integer("The prefix length of its blocks: 20 to 32 for IPv4, 26 if left out; 116 to 128 for IPv6, 122 if left out.")
                .between(0, 128)
                .rules(&[cel("", "cannot change: blocks of the old size exist; make another pool and move to it", "self == oldSelf")]),
        ),
        req(
            "cidr",
            cidr("The network.")
                .up_to(48)
                .rules(&[cel("", "cannot change: addresses are in use; make another pool and move to it", "self == oldSelf")]),
        ),
        opt("disableBGPExport", flag("Keep its routes out of BGP.")),
        opt("disabled", flag("Give no more addresses.")),
        opt("ipipMode", encapsulation("When traffic to other nodes goes through IP-in-IP.")),
        opt("namespaceSelector", selector("Namespaces whose workloads may have its addresses.")),
        opt("natOutgoing", flag("Rewrite the source of what leaves for addresses outside of all pools.")),
        opt("nodeSelector", selector("Nodes that may give its addresses.").or("\"all()\"")),
        opt("vxlanMode", encapsulation("When traffic to other nodes goes through VXLAN.")),
    ],
)
.rules(POOL_RULES);

const POOL_RULES: &[Cel] = &[
    forbid(
        ".ipipMode",
        "a pool has IP-in-IP or VXLAN, not both",
        "!has(self.ipipMode) || self.ipipMode in ['', 'Never'] || !has(self.vxlanMode) || self.vxlanMode in ['', 'Never']",
    ),
    forbid(
        ".allowedUses",
        "a pool for load balancers has no encapsulation",
        "!has(self.allowedUses) || !('LoadBalancer' in self.allowedUses) || ((!has(self.ipipMode) || self.ipipMode in ['', 'Never']) && (!has(self.vxlanMode) || self.vxlanMode in ['', 'Never']))",
    ),
    forbid(
        ".allowedUses",
        "LoadBalancer stands alone",
        "!has(self.allowedUses) || !('LoadBalancer' in self.allowedUses) || !('Workload' in self.allowedUses || 'Tunnel' in self.allowedUses)",
    ),
    forbid(
        ".ipipMode",
        "IP-in-IP is for IPv4",
        "!has(self.ipipMode) || self.ipipMode in ['', 'Never'] || cidr(self.cidr).ip().family() != 6",
    ),
    forbid(
        ".disableBGPExport",
        "load balancers' addresses are reached by BGP",
        "!has(self.allowedUses) || !('LoadBalancer' in self.allowedUses) || !has(self.disableBGPExport) || !self.disableBGPExport",
    ),
    cel(
        ".nodeSelector",
        "a pool for load balancers is every node's: all()",
        "!has(self.allowedUses) || !('LoadBalancer' in self.allowedUses) || self.nodeSelector == 'all()'",
    ),
    forbid(
        ".namespaceSelector",
        "tunnels are in no namespace: leave Tunnel out of allowedUses",
        "!has(self.allowedUses) || !('Tunnel' in self.allowedUses) || !has(self.namespaceSelector) || self.namespaceSelector == ''",
    ),
    cel(
        ".nodeSelector",
        "global() stands only in the namespaceSelector of a rule",
        "!has(self.nodeSelector) || !self.nodeSelector.contains('global(')",
    ),
    cel(
        ".namespaceSelector",
        "global() stands only in the namespaceSelector of a rule",
        "!has(self.namespaceSelector) || !self.namespaceSelector.contains('global(')",
    ),
    cel(
        ".cidr",
        "has bits set after its prefix",
        "cidr(self.cidr).masked() == cidr(self.cidr)",
    ),
    cel(
        ".cidr",
        "overlaps the link-local range 169.254.0.0/16",
        "!cidr(self.cidr).containsIP('169.254.0.0') && !cidr('169.254.0.0/16').containsIP(cidr(self.cidr).ip())",
    ),
    cel(
        ".cidr",
        "overlaps the link-local range fe80::/10",
        "!cidr(self.cidr).containsIP('fe80::') && !cidr('fe80::/10').containsIP(cidr(self.cidr).ip())",
    ),
    cel(
        ".blockSize",
        "must be from 20 to 32 for IPv4, from 116 to 128 for IPv6",
        "!has(self.blockSize) || self.blockSize == 0 || (cidr(self.cidr).ip().family() == 4 ? self.blockSize >= 20 && self.blockSize <= 32 : self.blockSize >= 116)",
    ),
    cel(
        ".cidr",
        "is smaller than one of its blocks",
        "(has(self.disabled) && self.disabled) || cidr(self.cidr).prefixLength() <= (has(self.blockSize) && self.blockSize != 0 ? self.blockSize : cidr(self.cidr).ip().family() == 6 ? 122 : 26)",
    ),
];

/// `status` of IPPool.
pub(super) const POOL_STATUS: Schema = object(
    "What is known of the pool.",
    &[opt("conditions", CONDITIONS)],
);

/// `spec` of IPReservation.
pub(super) const RESERVATION: Schema = object(
    "Addresses that are never given by themselves.",
    &[opt("reservedCIDRs", set("The networks.", &CIDR))],
);

/// `spec` of BlockAffinity.
pub(super) const AFFINITY: Schema = object(
    "A node's claim on a block.",
    &[
        req("cidr", cidr("The block.")),
        req(
            "deleted",
            flag("Whether the claim is being given up.").or("false"),
        ),
        req("node", text("The node, or the virtual owner.")),
        req(
            "state",
            word(
                &["", "confirmed", "pending", "pendingDeletion"],
                "How far the claim has come.",
            ),
        ),
        opt("type", text("host or virtual; host if left out.")),
    ],
);

/// The same in `crd.projectcalico.org/v1`, where a flag is a string.
pub(super) const AFFINITY_V1: Schema = object(
    "A node's claim on a block.",
    &[
        req("cidr", text("The block.")),
        req(
            "deleted",
            text("Whether the claim is being given up: \"true\" or \"false\"."),
        ),
        req("node", text("The node, or the virtual owner.")),
        req("state", text("How far the claim has come.")),
        opt("type", text("host or virtual; host if left out.")),
    ],
);

const ATTRIBUTE: Schema = object(
    "",
    &[
        opt(
            "alternateOwnerAttrs",
            map(
                "The other owner's attributes, while a virtual machine moves.",
                &STRING,
            ),
        ),
        opt(
            "handle_id",
            text("The handle of the addresses that have these attributes."),
        ),
        opt(
            "releasedAt",
            text("When the addresses were given back, while they cool down.").format("date-time"),
        ),
        opt("secondary", map("The owner's attributes.", &STRING)),
    ],
);

const ALLOCATION: Schema = integer("").nullable();
const ORDINAL: Schema = integer("");
const SEQUENCE: Schema = integer("").format("int64");

const fn allocations(form: Schema) -> Field {
    req(
        "allocations",
        form.doc("By ordinal, the index of the address' attributes; null is free."),
    )
}

const fn attributes(form: Schema) -> Field {
    req(
        "attributes",
        form.doc("Attributes of addresses, each once."),
    )
}

const fn unallocated(form: Schema) -> Field {
    req(
        "unallocated",
        form.doc("Free ordinals, the longest free first."),
    )
}

const BLOCK_AFFINITY: Schema = text("Who the block is affine to: host: or virtual: and a name.");
const CLAIMED: Field = opt(
    "affinityClaimTime",
    text("When the affinity was claimed.").format("date-time"),
);
const BLOCK_DELETED: Field = opt("deleted", flag("Whether the block is being removed."));
const SEQUENCE_NUMBER: Field = opt(
    "sequenceNumber",
    integer("Grows with every write.").format("int64").or("0"),
);
const SEQUENCE_NUMBERS: Field = opt(
    "sequenceNumberForAllocation",
    map(
        "By ordinal, the sequence number at which the address was given.",
        &SEQUENCE,
    ),
);
const BLOCK_STRICT: Field = req(
    "strictAffinity",
    flag("Deprecated: IPAMConfiguration has it."),
);

/// `spec` of IPAMBlock.
pub(super) const BLOCK: Schema = object(
    "A block of addresses, and who has which.",
    &[
        opt(
            "affinity",
            BLOCK_AFFINITY.matching(r"^(host|virtual):[a-zA-Z0-9\.\-_]+$"),
        ),
        CLAIMED,
        allocations(atomic("", &ALLOCATION)),
        attributes(atomic("", &ATTRIBUTE)),
        req("cidr", cidr("The block.")),
        BLOCK_DELETED,
        SEQUENCE_NUMBER,
        SEQUENCE_NUMBERS,
        BLOCK_STRICT,
        unallocated(atomic("", &ORDINAL)),
    ],
);

/// The same in `crd.projectcalico.org/v1`.
pub(super) const BLOCK_V1: Schema = object(
    "A block of addresses, and who has which.",
    &[
        opt("affinity", BLOCK_AFFINITY),
        CLAIMED,
        allocations(list("", &ALLOCATION)),
        attributes(list("", &ATTRIBUTE)),
        req("cidr", text("The block.")),
        BLOCK_DELETED,
        SEQUENCE_NUMBER,
        SEQUENCE_NUMBERS,
        BLOCK_STRICT,
        unallocated(list("", &ORDINAL)),
    ],
);

/// `spec` of IPAMHandle, in both groups.
pub(super) const HANDLE: Schema = object(
    "A name for addresses that are given back together.",
    &[
        req(
            "block",
            map(
                "By block, how many of its addresses the handle has.",
                &ORDINAL,
            ),
        ),
        opt("deleted", flag("Whether the handle is being removed.")),
        req("handleID", text("The handle, as the allocator spells it.")),
    ],
);

const STRICT: Schema = flag("Whether nodes take addresses from their own blocks alone.");
const AUTO: Schema = flag("Whether nodes claim blocks as they need them.");
const MAX_BLOCKS: &str = "How many blocks a node may have; 0 is the default of 20.";
const COOLDOWN: Schema =
    integer("How long an address rests before it is given again, in seconds.").between(0, 1200);
const PERSISTENCE: Field = opt(
    "kubeVirtVMAddressPersistence",
    enabled("Whether a virtual machine keeps its addresses when its pod is replaced."),
);

/// `spec` of IPAMConfiguration.
pub(super) const CONFIGURATION: Schema = object(
    "How addresses are given: the object `default`.",
    &[
        req("autoAllocateBlocks", AUTO.or("true")),
        opt("ipCooldownSeconds", COOLDOWN.format("int32")),
        PERSISTENCE,
        opt(
            "maxBlocksPerHost",
            integer(MAX_BLOCKS)
                .format("int32")
                .between(0, 1_000_000)
                .or("0"),
        ),
        req("strictAffinity", STRICT.or("false")),
    ],
);

/// `spec` of IPAMConfig, as `crd.projectcalico.org/v1` has it.
pub(super) const CONFIGURATION_V1: Schema = object(
    "How addresses are given: the object `default`.",
    &[
        req("autoAllocateBlocks", AUTO),
        opt("ipCooldownSeconds", COOLDOWN),
        PERSISTENCE,
        opt(
            "maxBlocksPerHost",
            integer(MAX_BLOCKS).between(0, 2_147_483_647),
        ),
        req("strictAffinity", STRICT),
    ],
);
