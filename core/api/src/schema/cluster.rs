//! Sets, host endpoints, what the cluster and its nodes say of themselves, and the controllers' configuration.

use super::shared::{STRING, enabled, name, protocol};
use super::table::{
    Field, Schema, atomic, cel, demand, flag, integer, map, object, opt, req, set, text, word,
};

/// `spec` of NetworkSet and GlobalNetworkSet.
pub(super) const NETWORK_SET: Schema = object(
    "Networks that selectors find by the labels of the set.",
    &[opt("nets", set("The networks, and addresses.", &STRING))],
);

const HOST_PORT: Schema = object(
    "",
    &[
        req("name", text("What rules call it.")),
        req("port", integer("The number.").between(1, 65535)),
        req("protocol", protocol("TCP, UDP or SCTP.")),
    ],
);

/// `spec` of HostEndpoint.
pub(super) const HOST_ENDPOINT: Schema = object(
    "An interface of a host.",
    &[
        opt("expectedIPs", set("Addresses of the interface: by them it is found, and selectors mean them.", &STRING)),
        opt("interfaceName", text("The interface; * is every one that has no object of its own.").up_to(15)),
        opt("node", name("The host.")),
        opt("ports", atomic("Ports with names, for rules.", &HOST_PORT)),
        opt("profiles", set("Profiles, asked in order after all tiers.", &STRING)),
    ],
)
.rules(&[
    cel(
        ".interfaceName",
        "is required when there are no expectedIPs",
        "(has(self.interfaceName) && self.interfaceName != '') || (has(self.expectedIPs) && self.expectedIPs.size() > 0)",
    ),
    demand(".node", "a host endpoint is some node's", "has(self.node) && self.node != ''"),
]);

/// `spec` of ClusterInformation.
pub(super) const CLUSTER_INFORMATION: Schema = object(
    "The cluster: the object `default`.",
    &[
        opt("calicoVersion", text("The release of Calico that it runs.")),
        opt(
            "clusterGUID",
            text("What the cluster is known by: 32 hexadecimal digits."),
        ),
        opt(
            "clusterType",
            text("What the cluster is made of: words joined by commas."),
        ),
        opt(
            "datastoreReady",
            flag("False while the datastore is locked: components wait."),
        ),
        opt("variant", text("Which product it is.")),
    ],
);

const CLASS: Schema = word(&["Agent", "BGP", "Routes"], "");

/// `spec` of CalicoNodeStatus.
pub(super) const NODE_STATUS: Schema = object(
    "What one node is asked to report.",
    &[
        opt("classes", set("What about.", &CLASS)),
        opt("node", text("The node.")),
        opt(
            "updatePeriodSeconds",
            integer("How often; 0 is never.").format("int32"),
        ),
    ],
);

const DAEMON: Schema = object(
    "",
    &[
        opt("lastBootTime", text("When it started.")),
        opt(
            "lastReconfigurationTime",
            text("When it last read its configuration."),
        ),
        opt("routerID", text("Its router ID.")),
        opt("state", word(&["Ready", "NotReady"], "Whether it works.")),
        opt("version", text("Its version.")),
    ],
);

const SESSION: Schema = object(
    "",
    &[
        opt("peerIP", text("The peer.")),
        opt("since", text("Since when the state holds.")),
        opt(
            "state",
            word(
                &[
                    "Idle",
                    "Connect",
                    "Active",
                    "OpenSent",
                    "OpenConfirm",
                    "Established",
                    "Close",
                ],
                "The state of the session, as RFC 4271 names it.",
            ),
        ),
        opt(
            "type",
            word(
                &["NodeMesh", "NodePeer", "GlobalPeer"],
                "Where the peering comes from.",
            ),
        ),
    ],
);

const ROUTE: Schema = object(
    "",
    &[
        opt("destination", text("The network.")),
        opt("gateway", text("The next hop.")),
        opt("interface", text("The interface.")),
        opt(
            "learnedFrom",
            object(
                "Who told.",
                &[
                    opt("peerIP", text("The peer, if one did.")),
                    opt(
                        "sourceType",
                        word(
                            &["Kernel", "Static", "Direct", "NodeMesh", "BGPPeer"],
                            "What kind of source.",
                        ),
                    ),
                ],
            ),
        ),
        opt(
            "type",
            word(
                &["FIB", "RIB"],
                "Whether it is in use, or known and not used.",
            ),
        ),
    ],
);

/// `status` of CalicoNodeStatus.
pub(super) const NODE_STATUS_STATUS: Schema = object(
    "What the node reports.",
    &[
        opt(
            "agent",
            object(
                "The BGP speakers.",
                &[
                    opt("birdV4", DAEMON.doc("For IPv4.")),
                    opt("birdV6", DAEMON.doc("For IPv6.")),
                ],
            ),
        ),
        opt(
            "bgp",
            object(
                "The sessions.",
                &[
                    req(
                        "numberEstablishedV4",
                        integer("How many IPv4 sessions stand."),
                    ),
                    req(
                        "numberEstablishedV6",
                        integer("How many IPv6 sessions stand."),
                    ),
                    req(
                        "numberNotEstablishedV4",
                        integer("How many IPv4 sessions do not."),
                    ),
                    req(
                        "numberNotEstablishedV6",
                        integer("How many IPv6 sessions do not."),
                    ),
                    opt("peersV4", atomic("IPv4 sessions.", &SESSION)),
                    opt("peersV6", atomic("IPv6 sessions.", &SESSION)),
                ],
            ),
        ),
        opt(
            "lastUpdated",
            text("When it was reported.").format("date-time").nullable(),
        ),
        opt(
            "routes",
            object(
                "The routes.",
                &[
                    opt("routesV4", atomic("IPv4 routes.", &ROUTE)),
                    opt("routesV6", atomic("IPv6 routes.", &ROUTE)),
                ],
            ),
        ),
    ],
);

const PERIOD: Field = opt(
    "reconcilerPeriod",
    text("How often all is looked at again; 5m if left out."),
);

const CONTROLLER: Schema = object("", &[PERIOD]);

const TEMPLATE: Schema = object(
    "",
    &[
        opt("annotations", map("Annotations of the endpoints.", &STRING)),
        opt(
            "generateName",
            name("What their names end in, after the node's."),
        ),
        opt(
            "interfaceCIDRs",
            set("Only addresses of the node within these networks.", &STRING),
        ),
        opt(
            "interfacePattern",
            text("A regular expression: one endpoint for each interface that matches."),
        ),
        opt(
            "labels",
            map(
                "Labels of the endpoints, before those of the node.",
                &STRING,
            ),
        ),
        opt("nodeSelector", text("Nodes that get an endpoint.")),
    ],
);

const NODE_CONTROLLER: Schema = object(
    "Nodes: what is left of those that are gone, and their host endpoints.",
    &[
        opt(
            "hostEndpoint",
            object(
                "Host endpoints of nodes.",
                &[
                    opt(
                        "autoCreate",
                        enabled("Whether nodes get host endpoints by themselves."),
                    ),
                    opt(
                        "createDefaultHostEndpoint",
                        text(
                            "Enabled or Disabled: whether every node gets one for all its interfaces.",
                        ),
                    ),
                    opt("templates", atomic("Further endpoints.", &TEMPLATE)),
                ],
            ),
        ),
        opt(
            "leakGracePeriod",
            text("How long an address without owner is kept; 15m if left out."),
        ),
        PERIOD,
        opt(
            "syncLabels",
            enabled("Whether labels of Kubernetes nodes are copied, with etcd."),
        ),
    ],
);

const CONTROLLERS: Field = req(
    "controllers",
    object(
        "Which controllers run: those that are named.",
        &[
            opt(
                "loadBalancer",
                object(
                    "Addresses for services of type LoadBalancer.",
                    &[opt(
                        "assignIPs",
                        word(
                            &["AllServices", "RequestedServicesOnly"],
                            "To which services.",
                        )
                        .or("\"AllServices\""),
                    )],
                ),
            ),
            opt(
                "migration",
                object(
                    "What older releases left.",
                    &[opt(
                        "policyNameMigrator",
                        word(
                            &["Disabled", "Enabled"],
                            "Whether policies lose the tier in their names.",
                        )
                        .or("\"Enabled\""),
                    )],
                ),
            ),
            opt(
                "namespace",
                CONTROLLER.doc("Profiles of namespaces, with etcd."),
            ),
            opt("node", NODE_CONTROLLER),
            opt(
                "policy",
                CONTROLLER.doc("Policies of Kubernetes, with etcd."),
            ),
            opt(
                "serviceAccount",
                CONTROLLER.doc("Profiles of service accounts, with etcd."),
            ),
            opt(
                "workloadEndpoint",
                CONTROLLER.doc("Labels of pods, with etcd."),
            ),
        ],
    ),
);

const CONTROLLERS_FIELDS: [Field; 6] = [
    CONTROLLERS,
    opt(
        "debugProfilePort",
        integer("Port for profiles, on localhost; none if left out.")
            .format("int32")
            .between(0, 65535),
    ),
    opt(
        "etcdV3CompactionPeriod",
        text("How often etcd is compacted; 10m if left out."),
    ),
    opt(
        "healthChecks",
        enabled("Whether health is reported.").or("\"Enabled\""),
    ),
    opt(
        "logSeverityScreen",
        word(
            &[
                "None", "Debug", "Info", "Warning", "Error", "Fatal", "Panic",
            ],
            "The least severity that is logged.",
        ),
    ),
    opt(
        "prometheusMetricsPort",
        integer("Port of the metrics; 0 is none.").between(0, 65535),
    ),
];

/// `spec` of KubeControllersConfiguration.
pub(super) const CONTROLLERS_SPEC: Schema = object(
    "How the controllers run: the object `default`.",
    &CONTROLLERS_FIELDS,
);

/// `status` of KubeControllersConfiguration.
pub(super) const CONTROLLERS_STATUS: Schema = object(
    "What they run with.",
    &[
        opt(
            "environmentVars",
            map("Environment variables that took part.", &STRING),
        ),
        opt(
            "runningConfig",
            object(
                "The configuration, with the environment.",
                &CONTROLLERS_FIELDS,
            ),
        ),
    ],
);
