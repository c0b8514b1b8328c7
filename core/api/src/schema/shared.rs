//! Parts of several kinds.

use super::table::{
    Merge, Schema, atomic, flag, int_or_string, integer, map, object, opt, req, text, word,
};

/// A selector: its length is what the cost of rules about it is computed from.
pub(super) const fn selector(doc: &'static str) -> Schema {
    text(doc).up_to(1024)
}

/// The name of an object.
pub(super) const fn name(doc: &'static str) -> Schema {
    text(doc).up_to(253)
}

/// A network.
pub(super) const fn cidr(doc: &'static str) -> Schema {
    text(doc).format("cidr")
}

/// An AS number. The format of the server is signed; what does not fit in it is refused by the schema of upstream as well.
pub(super) const fn as_number(doc: &'static str) -> Schema {
    integer(doc).format("int32")
}

/// A route's priority.
pub(super) const fn priority(doc: &'static str) -> Schema {
    integer(doc).between(1, 2_147_483_646)
}

/// On or off, in words.
pub(super) const fn enabled(doc: &'static str) -> Schema {
    word(&["Enabled", "Disabled"], doc)
}

/// A name of a protocol, or its number.
pub(super) const fn protocol(doc: &'static str) -> Schema {
    int_or_string(doc)
}

/// Any string.
pub(super) const STRING: Schema = text("");

/// Names of a port, numbers and ranges `a:b`.
pub(super) const PORT: Schema = int_or_string("");

/// Conditions, as Kubernetes has them.
pub(super) const CONDITIONS: Schema =
    atomic("What the controllers found.", &CONDITION).merged(Merge::ByKey("type"));

const CONDITION: Schema = object(
    "",
    &[
        req(
            "lastTransitionTime",
            text("When the status last changed.").format("date-time"),
        ),
        req("message", text("Why, for people.").up_to(32768)),
        opt(
            "observedGeneration",
            integer("The generation of the object that was looked at.")
                .format("int64")
                .at_least(0),
        ),
        req(
            "reason",
            text("Why, for programs: one word.")
                .sized(1, 1024)
                .matching("^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$"),
        ),
        req(
            "status",
            word(&["True", "False", "Unknown"], "Whether the condition holds."),
        ),
        req(
            "type",
            text("What the condition is about.").up_to(316).matching(
                r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])$",
            ),
        ),
    ],
);

/// A field of a Secret.
pub(super) const SECRET: Schema = object(
    "A BGP password, kept in a Secret.",
    &[opt(
        "secretKeyRef",
        object(
            "Which Secret, in the namespace of calico-node, and which of its keys.",
            &[
                req("key", text("The key within the Secret.")),
                opt("name", text("The Secret's name.").or("\"\"")),
                opt(
                    "optional",
                    flag("Whether the Secret or the key may be absent."),
                ),
            ],
        )
        .merged(Merge::Atomic),
    )],
);

/// A selector of Kubernetes.
pub(super) const LABELS: Schema = object(
    "",
    &[
        opt(
            "matchExpressions",
            atomic("Requirements on labels; all must hold.", &MATCH_EXPRESSION),
        ),
        opt(
            "matchLabels",
            map("Labels and their values; all must be there.", &STRING),
        ),
    ],
)
.merged(Merge::Atomic);

const MATCH_EXPRESSION: Schema = object(
    "",
    &[
        req("key", text("The label.")),
        req("operator", text("In, NotIn, Exists or DoesNotExist.")),
        opt(
            "values",
            atomic("Values for In and NotIn; empty for the others.", &STRING),
        ),
    ],
);
