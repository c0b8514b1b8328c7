//! BGP: the cluster's configuration, peers and filters.

use super::shared::{SECRET, STRING, as_number, cidr, enabled, name, priority, selector};
use super::table::{
    Cel, Field, Merge, Schema, atomic, cel, demand, flag, forbid, integer, object, opt, req, set,
    text, word,
};

const COMMUNITY: Schema = object(
    "",
    &[
        opt("name", name("What prefixAdvertisements call it.")),
        opt(
            "value",
            text("Two or three numbers, joined by colons.")
                .up_to(40)
                .matching(r"^\d+:\d+(:\d+)?$"),
        ),
    ],
)
.merged(Merge::Atomic);

const ADVERTISEMENT: Schema = object(
    "",
    &[
        opt("cidr", cidr("The network.")),
        opt(
            "communities",
            atomic("Communities, by name or as numbers.", &STRING).up_to(50),
        ),
    ],
)
.merged(Merge::Atomic);

const ADDRESSES: Schema = object("", &[opt("cidr", cidr("The network."))]).merged(Merge::Atomic);

/// `spec` of BGPConfiguration.
pub(super) const CONFIGURATION: Schema = object(
    "BGP of the cluster (the object `default`) or of one node (`node.` and its name).",
    &[
        opt("asNumber", as_number("The AS number of nodes that have none of their own; 64512 if left out.")),
        opt("bindMode", word(&["None", "NodeIP"], "Which addresses BGP listens on: all, or the node's.")),
        opt(
            "communities",
            atomic("Communities by name, for prefixAdvertisements.", &COMMUNITY).up_to(500),
        ),
        opt("ignoredInterfaces", set("Interfaces whose routes are not exported.", &STRING)),
        opt("ipv4NormalRoutePriority", priority("The priority of IPv4 routes to workloads; as in FelixConfiguration.")),
        opt("ipv6NormalRoutePriority", priority("The priority of IPv6 routes to workloads; as in FelixConfiguration.")),
        opt("listenPort", integer("The port of BGP; 179 if left out.").between(1, 65535)),
        opt("localWorkloadPeeringIPV4", text("The IPv4 address that local workloads peer with.")),
        opt("localWorkloadPeeringIPV6", text("The IPv6 address that local workloads peer with.")),
        opt(
            "logSeverityScreen",
            text("The least severity that is logged.")
                .matching("^(?i)(Trace|Debug|Info|Warning|Error|Fatal)?$")
                .or("\"Info\""),
        ),
        opt("nodeMeshMaxRestartTime", text("How long the mesh keeps routes of a node that restarts.")),
        opt("nodeMeshPassword", SECRET.doc("The password between nodes of the mesh.")),
        opt("nodeToNodeMeshEnabled", flag("Whether every node peers with every other; true if left out.")),
        opt(
            "prefixAdvertisements",
            atomic("Communities that are added to routes of networks.", &ADVERTISEMENT).up_to(500),
        ),
        opt(
            "programClusterRoutes",
            word(
                &["Enabled", "Disabled", "EnabledIPIPOnly", "EnabledNoEncapOnly"],
                "For which pools BGP programs the routes to workloads of other nodes.",
            ),
        ),
        opt("serviceClusterIPs", atomic("Networks of cluster addresses of services to advertise.", &ADDRESSES)),
        opt("serviceExternalIPs", atomic("Networks of external addresses of services to advertise.", &ADDRESSES)),
        opt(
            "serviceLoadBalancerAggregation",
            enabled("Whether load balancers' networks are advertised whole, or address by address.").or("\"Enabled\""),
        ),
        opt("serviceLoadBalancerIPs", atomic("Networks of load balancers' addresses to advertise.", &ADDRESSES)),
    ],
)
.rules(&[
    forbid(
        ".nodeMeshPassword",
        "without the mesh it has no password",
        "!has(self.nodeMeshPassword) || !has(self.nodeToNodeMeshEnabled) || self.nodeToNodeMeshEnabled",
    ),
    forbid(
        ".nodeMeshMaxRestartTime",
        "without the mesh it has no restart time",
        "!has(self.nodeMeshMaxRestartTime) || !has(self.nodeToNodeMeshEnabled) || self.nodeToNodeMeshEnabled",
    ),
    cel(
        ".communities",
        "communities are for prefixAdvertisements: add some that use them",
        "!has(self.communities) || self.communities.size() == 0 || (has(self.prefixAdvertisements) && self.prefixAdvertisements.size() > 0)",
    ),
]);

/// `spec` of BGPPeer.
pub(super) const PEER: Schema = object(
    "A router, or nodes, or workloads, that nodes peer with.",
    &[
        opt("asNumber", as_number("The peer's AS number; the cluster's if left out.")),
        opt("filters", atomic("BGPFilters by name, in order.", &STRING)),
        opt("keepOriginalNextHop", flag("Older form of nextHopMode: Keep.")),
        opt("keepaliveTime", text("How often KEEPALIVE is sent.")),
        opt("localASNumber", as_number("Our AS number towards this peer.")),
        opt("localWorkloadSelector", selector("Workloads of the node that it peers with.")),
        opt("maxRestartTime", text("How long routes of a restarting peer are kept.")),
        opt(
            "nextHopMode",
            word(&["Auto", "Self", "Keep"], "The next hop of routes that are sent: as BGP has it, ourselves, or as it was."),
        ),
        opt("node", name("The node that peers.")),
        opt("nodeSelector", selector("Nodes that peer; all, if there is no node either.")),
        opt("numAllowedLocalASNumbers", integer("How often our AS number may be in a path that is taken.").format("int32")),
        opt("password", SECRET.doc("The password of the session.")),
        opt("peerIP", text("The peer's address, with a port if it is not 179.").up_to(64)),
        opt("peerSelector", selector("Nodes that are the peers.")),
        opt("reachableBy", text("The gateway by which the peer is reached.").up_to(64)),
        opt(
            "reversePeering",
            word(&["Auto", "Manual"], "Whether nodes of peerSelector peer back by themselves."),
        ),
        opt("sourceAddress", word(&["UseNodeIP", "None"], "Our address in the session: the node's, or as the kernel chooses.")),
        opt("ttlSecurity", integer("How many hops away the peer may be; with it, packets from further away are dropped.")),
    ],
)
.rules(PEER_RULES);

const PEER_RULES: &[Cel] = &[
    forbid(
        ".nodeSelector",
        "node and nodeSelector exclude one another",
        "!has(self.node) || self.node == '' || !has(self.nodeSelector) || self.nodeSelector == ''",
    ),
    forbid(
        ".peerSelector",
        "peerIP and peerSelector exclude one another",
        "!has(self.peerIP) || self.peerIP == '' || !has(self.peerSelector) || self.peerSelector == ''",
    ),
    forbid(
        ".asNumber",
        "nodes of peerSelector have their own AS numbers: leave it out",
        "!has(self.asNumber) || self.asNumber == 0 || !has(self.peerSelector) || self.peerSelector == ''",
    ),
    forbid(
        ".peerIP",
        "localWorkloadSelector names the peers: leave it out",
        "!has(self.peerIP) || self.peerIP == '' || !has(self.localWorkloadSelector) || self.localWorkloadSelector == ''",
    ),
    forbid(
        ".peerSelector",
        "localWorkloadSelector names the peers: leave it out",
        "!has(self.peerSelector) || self.peerSelector == '' || !has(self.localWorkloadSelector) || self.localWorkloadSelector == ''",
    ),
    cel(
        ".asNumber",
        "localWorkloadSelector needs an asNumber",
        "!has(self.localWorkloadSelector) || self.localWorkloadSelector == '' || (has(self.asNumber) && self.asNumber != 0)",
    ),
    forbid(
        ".reachableBy",
        "reachableBy needs a peerIP",
        "!has(self.reachableBy) || self.reachableBy == '' || (has(self.peerIP) && self.peerIP != '')",
    ),
    forbid(
        ".keepOriginalNextHop",
        "nextHopMode replaces it: leave it out",
        "!has(self.nextHopMode) || !has(self.keepOriginalNextHop) || !self.keepOriginalNextHop",
    ),
];

/// A number of 16 bits.
macro_rules! u16_pattern {
    () => {
        "([0-9]|[1-9][0-9]{1,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"
    };
}

/// A number of 32 bits.
macro_rules! u32_pattern {
    () => {
        "([0-9]|[1-9][0-9]{1,8}|[1-3][0-9]{9}|4[01][0-9]{8}|42[0-8][0-9]{7}|429[0-3][0-9]{6}|4294[0-8][0-9]{5}|42949[0-5][0-9]{4}|429496[0-6][0-9]{3}|4294967[01][0-9]{2}|42949672[0-8][0-9]|429496729[0-5])"
    };
}

/// RFC 1997 communities have two halves of 16 bits, those of RFC 8092 three parts of 32 bits.
const COMMUNITY_VALUE: Schema = text("A community of 16:16 bits or a large one of 32:32:32 bits.")
    .up_to(32)
    .matching(concat!(
        "^(",
        u16_pattern!(),
        ":",
        u16_pattern!(),
        "|",
        u32_pattern!(),
        ":",
        u32_pattern!(),
        ":",
        u32_pattern!(),
        ")$"
    ));

const AS_NUMBER: Schema = as_number("");

const OPERATION: Schema = object(
    "Exactly one of them.",
    &[
        opt(
            "addCommunity",
            object("Adds a community.", &[req("value", COMMUNITY_VALUE)]).merged(Merge::Atomic),
        ),
        opt(
            "prependASPath",
            object(
                "Puts AS numbers before the path.",
                &[req(
                    "prefix",
                    atomic("The numbers, first one first.", &AS_NUMBER).sized(1, 10),
                )],
            )
            .merged(Merge::Atomic),
        ),
        opt(
            "setPriority",
            object(
                "Sets the route's priority.",
                &[req("value", priority("Lower is better."))],
            )
            .merged(Merge::Atomic),
        ),
    ],
)
.sized(1, 1)
.merged(Merge::Atomic);

const ROUTE_COMMUNITIES: Schema = object(
    "Communities of the route.",
    &[req(
        "values",
        atomic("The one that it has.", &COMMUNITY_VALUE).sized(1, 1),
    )],
)
.merged(Merge::Atomic);

const fn filter_rule(network: Schema, length: Schema) -> [Field; 11] {
    [
        req(
            "action",
            word(&["Accept", "Reject"], "What happens to routes that match."),
        ),
        opt(
            "asPathPrefix",
            atomic("AS numbers that the path begins with.", &AS_NUMBER),
        ),
        opt("cidr", network),
        opt("communities", ROUTE_COMMUNITIES),
        opt(
            "interface",
            text("The interface that the route leaves by; * stands for any characters.").up_to(15),
        ),
        opt(
            "matchOperator",
            word(
                &["Equal", "NotEqual", "In", "NotIn"],
                "How the route's network and cidr compare.",
            ),
        ),
        opt(
            "operations",
            atomic(
                "What is done to routes that are accepted, in order.",
                &OPERATION,
            )
            .sized(1, 10),
        ),
        opt(
            "peerType",
            word(
                &["eBGP", "iBGP"],
                "Only towards peers of another AS, or of our own.",
            ),
        ),
        opt("prefixLength", length),
        opt("priority", priority("The priority that the route has.")),
        opt(
            "source",
            word(&["RemotePeers"], "Only routes that peers sent."),
        ),
    ]
}

const fn lengths(doc: &'static str, bounds: &'static [Field]) -> Schema {
    object(doc, bounds).merged(Merge::Atomic)
}

const LENGTH: &str = "How long the prefix may be; needs a cidr.";

const RULE_V4_FIELDS: [Field; 11] = filter_rule(
    cidr("The network that the route's is compared with.").up_to(18),
    lengths(
        LENGTH,
        &[
            opt("max", integer("At most.").format("int32").between(0, 32)),
            opt("min", integer("At least.").format("int32").between(0, 32)),
        ],
    ),
);

const RULE_V6_FIELDS: [Field; 11] = filter_rule(
    cidr("The network that the route's is compared with.").up_to(43),
    lengths(
        LENGTH,
        &[
            opt("max", integer("At most.").format("int32").between(0, 128)),
            opt("min", integer("At least.").format("int32").between(0, 128)),
        ],
    ),
);

const FILTER_RULES: &[Cel] = &[
    demand(
        ".matchOperator",
        "is required beside cidr",
        "!has(self.cidr) || self.cidr == '' || (has(self.matchOperator) && self.matchOperator != '')",
    ),
    demand(
        ".cidr",
        "is required beside matchOperator",
        "!has(self.matchOperator) || self.matchOperator == '' || (has(self.cidr) && self.cidr != '')",
    ),
    cel(
        ".prefixLength",
        "needs a cidr beside it",
        "!has(self.prefixLength) || (has(self.cidr) && self.cidr != '')",
    ),
    cel(
        ".operations",
        "operations are for action Accept",
        "!has(self.operations) || self.operations.size() == 0 || self.action == 'Accept'",
    ),
];

const RULE_V4: Schema = object("", &RULE_V4_FIELDS)
    .merged(Merge::Atomic)
    .rules(FILTER_RULES);
const RULE_V6: Schema = object("", &RULE_V6_FIELDS)
    .merged(Merge::Atomic)
    .rules(FILTER_RULES);

/// `spec` of BGPFilter.
pub(super) const FILTER: Schema = object(
    "Which routes are exchanged with peers: the first rule that matches decides.",
    &[
        opt(
            "exportV4",
            atomic("Rules for IPv4 routes that are sent.", &RULE_V4),
        ),
        opt(
            "exportV6",
            atomic("Rules for IPv6 routes that are sent.", &RULE_V6),
        ),
        opt(
            "importV4",
            atomic("Rules for IPv4 routes that are received.", &RULE_V4),
        ),
        opt(
            "importV6",
            atomic("Rules for IPv6 routes that are received.", &RULE_V6),
        ),
    ],
);
