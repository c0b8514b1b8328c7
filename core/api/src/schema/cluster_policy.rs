//! `policy.networking.k8s.io/v1alpha2` ClusterNetworkPolicy: an API of Kubernetes' own, whose CRD comes with us.

use super::shared::{CONDITIONS, LABELS};
use super::table::{Schema, cel, integer, list, object, opt, req, set, text, word};

const PODS: Schema = object(
    "Pods, by their labels and those of their namespaces.",
    &[
        opt("namespaceSelector", LABELS.doc("Namespaces; empty is all.")),
        req("podSelector", LABELS.doc("Pods; empty is all.")),
    ],
);

const NAMESPACES: Schema = LABELS.doc("Namespaces, and all their pods; empty is all.");

const NETWORK: Schema =
    text("")
        .up_to(43)
        .rules(&[cel("", "is no network, such as 10.0.0.0/8", "isCIDR(self)")]);

const EGRESS_PEER: Schema = object(
    "Exactly one of them.",
    &[
        opt("namespaces", NAMESPACES),
        opt(
            "networks",
            set("Networks outside, or inside, the cluster.", &NETWORK).sized(1, 25),
        ),
        opt("pods", PODS),
    ],
)
.sized(1, 1);

const INGRESS_PEER: Schema = object(
    "Exactly one of them.",
    &[opt("namespaces", NAMESPACES), opt("pods", PODS)],
)
.sized(1, 1);

const fn port(doc: &'static str) -> Schema {
    integer(doc).format("int32").between(1, 65535)
}

const DESTINATION: Schema = object(
    "A port or a range, exactly one of them.",
    &[
        opt("number", port("The port.")),
        opt(
            "range",
            object(
                "From start to end.",
                &[
                    req("end", port("The last.")),
                    req("start", port("The first.")),
                ],
            )
            .rules(&[cel(
                "",
                "start must be less than end",
                "self.end > self.start",
            )]),
        ),
    ],
)
.sized(1, 1);

const TRANSPORT: Schema = object("", &[req("destinationPort", DESTINATION)]);

const PROTOCOL: Schema = object(
    "Exactly one of them.",
    &[
        opt("destinationNamedPort", text("A port of the pods, by name.")),
        opt("sctp", TRANSPORT.doc("SCTP.")),
        opt("tcp", TRANSPORT.doc("TCP.")),
        opt("udp", TRANSPORT.doc("UDP.")),
    ],
)
.sized(1, 1);

const ACTION: Schema = word(
    &["Accept", "Deny", "Pass"],
    "Accept and Deny end it; Pass leaves it to NetworkPolicies and to the Baseline tier.",
);
const NAME: Schema = text("What people call the rule.").up_to(100);
const PROTOCOLS: Schema = list(
    "Protocols and ports, one of which matches; all if left out.",
    &PROTOCOL,
)
.sized(1, 25);

const EGRESS: Schema = object(
    "",
    &[
        req("action", ACTION),
        opt("name", NAME),
        opt("protocols", PROTOCOLS),
        req(
            "to",
            list("Whom the pods reach.", &EGRESS_PEER).sized(1, 25),
        ),
    ],
);

const INGRESS: Schema = object(
    "",
    &[
        req("action", ACTION),
        req(
            "from",
            list("Who reaches the pods.", &INGRESS_PEER).sized(1, 25),
        ),
        opt("name", NAME),
        opt("protocols", PROTOCOLS),
    ],
);

/// `spec` of ClusterNetworkPolicy.
pub(super) const SPEC: Schema = object(
    "What the administrator of the cluster decides before and after NetworkPolicies.",
    &[
        opt(
            "egress",
            list("Rules for what the pods send, in order.", &EGRESS).up_to(25),
        ),
        opt(
            "ingress",
            list("Rules for what the pods receive, in order.", &INGRESS).up_to(25),
        ),
        req(
            "priority",
            integer("Lower comes first.")
                .format("int32")
                .between(0, 1000),
        ),
        req(
            "subject",
            object(
                "Whom the policy is for: exactly one of them.",
                &[opt("namespaces", NAMESPACES), opt("pods", PODS)],
            )
            .sized(1, 1),
        ),
        req(
            "tier",
            word(
                &["Admin", "Baseline"],
                "Before NetworkPolicies, or after them.",
            ),
        ),
    ],
);

/// `status` of ClusterNetworkPolicy.
pub(super) const STATUS: Schema = object(
    "What implementations found.",
    &[req("conditions", CONDITIONS)],
);
