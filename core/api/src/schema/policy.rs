//! Policies, enforced and staged, their rules, and tiers.

use super::shared::{CONDITIONS, LABELS, PORT, STRING, name, protocol, selector};
use super::table::{
    Cel, Field, Schema, atomic, cel, demand, flag, forbid, int_or_string, integer, map, number,
    object, opt, req, set, text, word,
};

const GLOBAL: &str = "global() stands only in the namespaceSelector of a rule";

const fn no_global(field: &'static str, rule: &'static str) -> Cel {
    cel(field, GLOBAL, rule)
}

const SELECTOR_GLOBAL: Cel = no_global(
    ".selector",
    "!has(self.selector) || !self.selector.contains('global(')",
);
const ACCOUNTS_GLOBAL: Cel = no_global(
    ".serviceAccountSelector",
    "!has(self.serviceAccountSelector) || !self.serviceAccountSelector.contains('global(')",
);
const NAMESPACES_GLOBAL: Cel = no_global(
    ".namespaceSelector",
    "!has(self.namespaceSelector) || !self.namespaceSelector.contains('global(')",
);

const fn alone(field: &'static str, rule: &'static str) -> Cel {
    forbid(
        field,
        "services names the endpoints by itself: leave this out",
        rule,
    )
}

/// One side of a rule.
const ENTITY: Schema = object("",
        &[
            opt(
                "namespaceSelector",
                selector("Namespaces whose endpoints are meant. Without it a namespaced policy means its own namespace and a global one all endpoints; global() means endpoints and sets outside of all namespaces."),
            ),
            opt("nets", set("Networks, one of which has the address.", &STRING).up_to(256)),
            opt("notNets", set("Networks, none of which has the address.", &STRING).up_to(256)),
            opt("notPorts", atomic("Ports, none of which is the packet's.", &PORT).up_to(50)),
            opt(
                "notSelector",
                selector("Endpoints that are not meant. Addresses outside of the cluster match."),
            ),
            opt(
                "ports",
                atomic("Ports, one of which is the packet's: a number, a range such as 8000:8080, or a name of the endpoint's ports.", &PORT).up_to(50),
            ),
            opt("selector", selector("Endpoints and network sets that are meant, by their labels.")),
            opt(
                "serviceAccounts",
                object(
                    "Service accounts that the endpoints run under.",
                    &[
                        opt("names", set("Names, one of which the account has.", &STRING)),
                        opt("selector", text("Labels of the account.")),
                    ],
                ),
            ),
            opt(
                "services",
                object(
                    "A Kubernetes Service, whose endpoints are meant; for a destination with their ports.",
                    &[
                        opt("name", name("The Service's name.")),
                        opt("namespace", name("Its namespace; a namespaced policy's own if left out.")),
                    ],
                ),
            ),
        ],
    )
    .rules(&[
        SELECTOR_GLOBAL,
        alone(
            ".namespaceSelector",
            "!has(self.services) || !has(self.namespaceSelector) || self.namespaceSelector == ''",
        ),
        alone(".serviceAccounts", "!(has(self.services) && has(self.serviceAccounts))"),
        demand(
            ".services.name",
            "the Service has a name",
            "!has(self.services) || (has(self.services.name) && self.services.name != '')",
        ),
        alone(".selector", "!has(self.services) || !has(self.selector) || self.selector == ''"),
        alone(
            ".notSelector",
            "!has(self.services) || !has(self.notSelector) || self.notSelector == ''",
        ),
        alone(".nets", "!has(self.services) || !has(self.nets) || self.nets.size() == 0"),
        alone(
            ".notNets",
            "!has(self.services) || !has(self.notNets) || self.notNets.size() == 0",
        ),
    ]);

const ICMP: Schema = object(
    "",
    &[
        opt("code", integer("The code of that type.").between(0, 255)),
        opt("type", integer("The message's type.").between(0, 254)),
    ],
)
.rules(&[cel(
    ".code",
    "a code needs a type beside it",
    "has(self.type) || !has(self.code)",
)]);

const HTTP_PATH: Schema = object(
    "Exactly one of the two.",
    &[
        opt("exact", text("The whole path.").up_to(1024)),
        opt("prefix", text("What the path begins with.").up_to(1024)),
    ],
);

const RULE: Schema = object(
    "All that a rule says must hold for it to match.",
    &[
        req(
            "action",
            word(
                &["Allow", "Deny", "Log", "Pass"],
                "Allow and Deny end it; Pass goes on in the next tier; Log writes a line and goes on with the next rule.",
            ),
        ),
        opt("destination", ENTITY.doc("Where the connection goes.")),
        opt(
            "http",
            object(
                "Requests of HTTP, where the application layer is looked at; only in Allow rules.",
                &[
                    opt("methods", atomic("Methods, one of which the request has.", &STRING).up_to(20)),
                    opt("paths", atomic("Paths, one of which the request has.", &HTTP_PATH).up_to(20)),
                ],
            ),
        ),
        opt("icmp", ICMP.doc("Types and codes of ICMP that match.")),
        opt("ipVersion", integer("Only packets of this version of IP.").numbers(&[4, 6])),
        opt(
            "metadata",
            object(
                "What is said about the rule and not enforced.",
                &[opt("annotations", map("Notes by name.", &STRING))],
            ),
        ),
        opt("notICMP", ICMP.doc("Types and codes of ICMP that do not match.")),
        opt("notProtocol", protocol("A protocol that does not match.")),
        opt(
            "protocol",
            protocol("TCP, UDP, ICMP, ICMPv6, SCTP, UDPLite, or a number from 1 to 255."),
        ),
        opt("source", ENTITY.doc("Where the connection comes from.")),
    ],
)
.rules(&[
    cel(
        ".http",
        "HTTP is carried by TCP: set protocol to TCP, or leave it out",
        "!has(self.http) || !has(self.protocol) || self.protocol == 'TCP' || self.protocol == 6",
    ),
    forbid(".http", "only a rule with action Allow looks at HTTP", "!has(self.http) || self.action == 'Allow'"),
    forbid(
        ".destination",
        "services brings its own ports: leave out ports and notPorts",
        "!(has(self.destination) && has(self.destination.services)) || ((!has(self.destination.ports) || self.destination.ports.size() == 0) && (!has(self.destination.notPorts) || self.destination.notPorts.size() == 0))",
    ),
    cel(
        ".icmp",
        "icmp needs protocol ICMP or ICMPv6",
        "!has(self.icmp) || (has(self.protocol) && (self.protocol == 'ICMP' || self.protocol == 1 || self.protocol == 'ICMPv6' || self.protocol == 58))",
    ),
    cel(
        ".protocol",
        "ICMP needs ipVersion 4",
        "!has(self.ipVersion) || self.ipVersion == 4 || !has(self.protocol) || !(self.protocol == 'ICMP' || self.protocol == 1)",
    ),
    cel(
        ".protocol",
        "ICMPv6 needs ipVersion 6",
        "!has(self.ipVersion) || self.ipVersion == 6 || !has(self.protocol) || !(self.protocol == 'ICMPv6' || self.protocol == 58)",
    ),
    cel(
        ".notProtocol",
        "ICMP needs ipVersion 4",
        "!has(self.ipVersion) || self.ipVersion == 4 || !has(self.notProtocol) || !(self.notProtocol == 'ICMP' || self.notProtocol == 1)",
    ),
    cel(
        ".notProtocol",
        "ICMPv6 needs ipVersion 6",
        "!has(self.ipVersion) || self.ipVersion == 6 || !has(self.notProtocol) || !(self.notProtocol == 'ICMPv6' || self.notProtocol == 58)",
    ),
]);

const HINT: Schema = word(&["AssumeNeededOnEveryNode"], "");
const TYPE: Schema = word(&["Ingress", "Egress"], "");

const EGRESS: Field = opt(
    "egress",
    atomic("Rules for what leaves the endpoints, in order.", &RULE).up_to(1024),
);
const INGRESS: Field = opt(
    "ingress",
    atomic("Rules for what reaches the endpoints, in order.", &RULE).up_to(1024),
);
const ORDER: Field = opt(
    "order",
    number("Where the policy stands in its tier: lower comes first, without one last."),
);
const HINTS: Field = opt(
    "performanceHints",
    set(
        "AssumeNeededOnEveryNode keeps the policy computed on nodes that have none of its endpoints.",
        &HINT,
    ),
);
const SELECTOR: Field = opt(
    "selector",
    selector("Endpoints that the policy is for; empty is all."),
);
const ACCOUNTS: Field = opt(
    "serviceAccountSelector",
    selector("Labels of the service account that the endpoints run under."),
);
const TIER: Field = opt(
    "tier",
    text("The tier that the policy belongs to.").or("\"default\""),
);
const TYPES: Field = opt(
    "types",
    set(
        "Directions that the policy decides; those of its rules if left out.",
        &TYPE,
    )
    .sized(1, 2),
);
const APPLY_ON_FORWARD: Field = opt(
    "applyOnForward",
    flag("On host endpoints: also for what the host forwards. preDNAT and doNotTrack need it."),
);
const DO_NOT_TRACK: Field = opt(
    "doNotTrack",
    flag("On host endpoints: before connection tracking, for both ways of every packet."),
);
const PRE_DNAT: Field = opt(
    "preDNAT",
    flag("On host endpoints: before the destination is rewritten; only for ingress."),
);
const NAMESPACES: Field = opt(
    "namespaceSelector",
    selector(
        "Namespaces whose workloads the policy is for; without it workloads of all and host endpoints.",
    ),
);
const STAGED_ACTION: Field = opt(
    "stagedAction",
    word(
        &["Set", "Delete", "Learn", "Ignore"],
        "What enforcing it would do: set the policy, delete it, or nothing.",
    )
    .or("\"Set\""),
);

const NAMESPACED_RULES: &[Cel] = &[SELECTOR_GLOBAL, ACCOUNTS_GLOBAL];
const GLOBAL_RULES: &[Cel] = &[
    forbid(
        ".preDNAT",
        "a policy is preDNAT or doNotTrack, not both",
        "!has(self.preDNAT) || !self.preDNAT || !has(self.doNotTrack) || !self.doNotTrack",
    ),
    forbid(
        ".egress",
        "a preDNAT policy has no egress rules",
        "!has(self.preDNAT) || !self.preDNAT || !has(self.egress) || self.egress.size() == 0",
    ),
    forbid(
        ".types",
        "a preDNAT policy is for Ingress alone",
        "!has(self.preDNAT) || !self.preDNAT || !has(self.types) || !('Egress' in self.types)",
    ),
    cel(
        ".applyOnForward",
        "preDNAT and doNotTrack need applyOnForward: true",
        "(has(self.applyOnForward) && self.applyOnForward) || !((has(self.preDNAT) && self.preDNAT) || (has(self.doNotTrack) && self.doNotTrack))",
    ),
    SELECTOR_GLOBAL,
    ACCOUNTS_GLOBAL,
    NAMESPACES_GLOBAL,
];

/// `spec` of NetworkPolicy.
pub(super) const NETWORK_POLICY: Schema = object(
    "What the endpoints of a namespace may send and receive.",
    &[
        EGRESS, INGRESS, ORDER, HINTS, SELECTOR, ACCOUNTS, TIER, TYPES,
    ],
)
.rules(NAMESPACED_RULES);

/// `spec` of StagedNetworkPolicy.
pub(super) const STAGED_NETWORK_POLICY: Schema = object(
    "A NetworkPolicy that is reported on and not enforced.",
    &[
        EGRESS,
        INGRESS,
        ORDER,
        HINTS,
        SELECTOR,
        ACCOUNTS,
        STAGED_ACTION,
        TIER,
        TYPES,
    ],
)
.rules(NAMESPACED_RULES);

/// `spec` of GlobalNetworkPolicy.
pub(super) const GLOBAL_NETWORK_POLICY: Schema = object(
    "What endpoints of the whole cluster, and hosts, may send and receive.",
    &[
        APPLY_ON_FORWARD,
        DO_NOT_TRACK,
        EGRESS,
        INGRESS,
        NAMESPACES,
        ORDER,
        HINTS,
        PRE_DNAT,
        SELECTOR,
        ACCOUNTS,
        TIER,
        TYPES,
    ],
)
.rules(GLOBAL_RULES);

/// `spec` of StagedGlobalNetworkPolicy.
pub(super) const STAGED_GLOBAL_NETWORK_POLICY: Schema = object(
    "A GlobalNetworkPolicy that is reported on and not enforced.",
    &[
        APPLY_ON_FORWARD,
        DO_NOT_TRACK,
        EGRESS,
        INGRESS,
        NAMESPACES,
        ORDER,
        HINTS,
        PRE_DNAT,
        SELECTOR,
        ACCOUNTS,
        STAGED_ACTION,
        TIER,
        TYPES,
    ],
)
.rules(GLOBAL_RULES);

const KUBERNETES_PORT: Schema = object(
    "",
    &[
        opt(
            "endPort",
            integer("The last port of a range that begins at port.").format("int32"),
        ),
        opt(
            "port",
            int_or_string("A number or a name; every port if left out."),
        ),
        opt("protocol", text("TCP, UDP or SCTP; TCP if left out.")),
    ],
);

const KUBERNETES_PEER: Schema = object(
    "",
    &[
        opt(
            "ipBlock",
            object(
                "Addresses.",
                &[
                    req("cidr", text("The network.")),
                    opt(
                        "except",
                        atomic("Networks within it that are not meant.", &STRING),
                    ),
                ],
            ),
        ),
        opt(
            "namespaceSelector",
            LABELS.doc("Namespaces whose pods are meant."),
        ),
        opt(
            "podSelector",
            LABELS.doc("Pods that are meant, in the policy's namespace or the selected ones."),
        ),
    ],
);

const KUBERNETES_EGRESS: Schema = object(
    "",
    &[
        opt(
            "ports",
            atomic("Ports that are allowed; all if left out.", &KUBERNETES_PORT),
        ),
        opt(
            "to",
            atomic(
                "Whom pods may reach; everyone if left out.",
                &KUBERNETES_PEER,
            ),
        ),
    ],
);

const KUBERNETES_INGRESS: Schema = object(
    "",
    &[
        opt(
            "from",
            atomic(
                "Who may reach the pods; everyone if left out.",
                &KUBERNETES_PEER,
            ),
        ),
        opt(
            "ports",
            atomic("Ports that are allowed; all if left out.", &KUBERNETES_PORT),
        ),
    ],
);

/// `spec` of StagedKubernetesNetworkPolicy.
pub(super) const STAGED_KUBERNETES_NETWORK_POLICY: Schema = object(
    "A NetworkPolicy of Kubernetes that is reported on and not enforced.",
    &[
        opt(
            "egress",
            atomic("What the pods may reach.", &KUBERNETES_EGRESS),
        ),
        opt(
            "ingress",
            atomic("What may reach the pods.", &KUBERNETES_INGRESS),
        ),
        opt(
            "podSelector",
            LABELS.doc("Pods of the namespace that the policy is for."),
        ),
        opt(
            "policyTypes",
            set("Ingress, Egress or both.", &STRING).sized(1, 2),
        ),
        STAGED_ACTION,
    ],
);

/// `spec` of Tier.
pub(super) const TIER_SPEC: Schema = object(
    "A group of policies, and where it stands among the groups.",
    &[
        opt(
            "defaultAction",
            word(
                &["Pass", "Deny"],
                "What happens to packets of endpoints that the tier's policies select and none of them decides.",
            )
            .or("\"Deny\""),
        ),
        opt("order", number("Lower comes first, without one last.")),
    ],
);

/// `status` of Tier.
pub(super) const TIER_STATUS: Schema = object(
    "What is known of the tier.",
    &[opt("conditions", CONDITIONS)],
);

const fn built_in(field: &'static str, rule: &'static str) -> Cel {
    cel(
        field,
        "a built-in tier keeps its order and its default action",
        rule,
    )
}

/// What holds of the built-in tiers, whose name only the whole object has.
pub(super) const TIER_RULES: &[Cel] = &[
    built_in(
        ".spec.defaultAction",
        "!(self.metadata.name in ['kube-admin', 'kube-baseline']) || (has(self.spec.defaultAction) && self.spec.defaultAction == 'Pass')",
    ),
    built_in(
        ".spec.defaultAction",
        "self.metadata.name != 'default' || (has(self.spec.defaultAction) && self.spec.defaultAction == 'Deny')",
    ),
    built_in(
        ".spec.order",
        "self.metadata.name != 'kube-admin' || (has(self.spec.order) && self.spec.order == 1000.0)",
    ),
    built_in(
        ".spec.order",
        "self.metadata.name != 'default' || (has(self.spec.order) && self.spec.order == 1000000.0)",
    ),
    built_in(
        ".spec.order",
        "self.metadata.name != 'kube-baseline' || (has(self.spec.order) && self.spec.order == 10000000.0)",
    ),
];
