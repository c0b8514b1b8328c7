//! What the demo applies, in order, and what must be open after each step: written by hand, so that neither packets nor
//! predictions are their own witness.

use std::net::{IpAddr, Ipv4Addr};

use crate::probe::{Answer, KINDS, Kind};

/// The file that makes the namespaces, before the pods.
pub(crate) const NAMESPACES: &str = "00-namespaces.yaml";

/// A pod of the demo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PodSpec {
    pub(crate) namespace: &'static str,
    /// Its name, and the value of its label `app`.
    pub(crate) name: &'static str,
}

impl PodSpec {
    /// How people and `explain` call it.
    pub(crate) fn title(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }
}

/// All pods.
pub(crate) const PODS: &[PodSpec] = &[
    pod("shop", "web"),
    pod("shop", "db"),
    pod("staff", "desk"),
    pod("staff", "fax"),
    pod("guest", "tv"),
    pod("guest", "pad"),
];

const fn pod(namespace: &'static str, name: &'static str) -> PodSpec {
    PodSpec { namespace, name }
}

/// An address beyond the node's router.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Far {
    pub(crate) title: &'static str,
    pub(crate) addr: IpAddr,
}

/// Both far ends, with names as short as the table needs: one in the partners' set, one anywhere (documentation addresses, RFC 5737).
pub(crate) const FAR: [Far; 2] = [
    Far {
        title: "bank",
        addr: IpAddr::V4(Ipv4Addr::new(203, 0, 113, 10)),
    },
    Far {
        title: "any",
        addr: IpAddr::V4(Ipv4Addr::new(198, 51, 100, 20)),
    },
];

/// One step of the demo.
pub(crate) struct Stage {
    pub(crate) title: &'static str,
    /// Applied before; `None`: nothing.
    pub(crate) file: Option<&'static str>,
    /// What must be open.
    open: fn(&str, &str, Kind) -> bool,
}

impl Stage {
    /// What must come of a probe.
    pub(crate) fn expected(&self, from: &str, to: &str, kind: Kind) -> Answer {
        if (self.open)(from, to, kind) {
            Answer::Reached
        } else {
            Answer::Silent
        }
    }
}

/// All steps.
pub(crate) const STAGES: &[Stage] = &[
    Stage {
        title: "no policy: profiles allow all",
        file: None,
        open: |_, _, _| true,
    },
    Stage {
        title: "only the same namespace",
        file: Some("01-same-namespace-only.yaml"),
        open: |from, to, _| is_far(to) || namespace(from) == namespace(to),
    },
    Stage {
        title: "default deny, and what the shop needs",
        file: Some("02-default-deny.yaml"),
        open: |from, to, kind| shop_needs(from, to, kind) || desk_reads_web(from, to, kind),
    },
    Stage {
        title: "a tier before: the desk is cut off",
        file: Some("03-tiered-deny.yaml"),
        open: shop_needs,
    },
    Stage {
        title: "one destination outside",
        file: Some("04-networkset-egress.yaml"),
        open: |from, to, kind| {
            shop_needs(from, to, kind) || (from == "shop/web" && to == "bank" && kind == Kind::Tcp)
        },
    },
];

fn shop_needs(from: &str, to: &str, kind: Kind) -> bool {
    from == "shop/web" && to == "shop/db" && kind != Kind::Udp
}

fn desk_reads_web(from: &str, to: &str, kind: Kind) -> bool {
    from == "staff/desk" && to == "shop/web" && kind == Kind::Tcp
}

fn is_far(title: &str) -> bool {
    FAR.iter().any(|far| far.title == title)
}

fn namespace(title: &str) -> Option<&str> {
    title.split_once('/').map(|(namespace, _)| namespace)
}

/// Who asks, whom, by what.
pub(crate) type Question = (PodSpec, String, Kind);

/// Every question of a round: from each pod to each other one by every kind, and to the far ends by TCP and UDP.
pub(crate) fn questions() -> Vec<Question> {
    let mut questions = Vec::new();
    for from in PODS {
        for to in PODS.iter().filter(|to| *to != from) {
            questions.extend(KINDS.map(|kind| (*from, to.title(), kind)));
        }
        for far in FAR {
            questions
                .extend([Kind::Tcp, Kind::Udp].map(|kind| (*from, far.title.to_owned(), kind)));
        }
    }
    questions
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(stage: usize) -> Vec<String> {
        questions()
            .into_iter()
            .filter(|(from, to, kind)| {
                STAGES[stage].expected(&from.title(), to, *kind) == Answer::Reached
            })
            .map(|(from, to, kind)| format!("{} {to} {kind}", from.title()))
            .collect()
    }

    #[test]
    fn every_pair_is_asked() {
        assert_eq!(questions().len(), 6 * (5 * 4 + 2 * 2));
    }

    #[test]
    fn stages_open_what_they_say() {
        assert_eq!(open(0).len(), questions().len());
        assert_eq!(open(1).len(), 6 * (4 + 4));
        assert_eq!(
            open(2),
            [
                "shop/web shop/db TCP",
                "shop/web shop/db SCTP",
                "shop/web shop/db ICMP",
                "staff/desk shop/web TCP"
            ]
        );
        assert_eq!(open(3).len(), 3);
        assert_eq!(open(4).len(), 4);
    }
}
