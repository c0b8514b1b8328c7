//! One rule of a policy or a profile: every criterion that is present must hold (upstream resource: v3 `Rule`).

use std::collections::BTreeMap;

use crate::addr::{Cidr, Family};
use crate::port::{PortMatch, Protocol};
use crate::selector::Selector;
use crate::service::ServiceRef;

/// What a rule does with a packet that it matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// Accept; no later policy of this direction is asked.
    Allow,
    /// Drop.
    Deny,
    /// Write a log line and go on with the next rule.
    Log,
    /// Skip the rest of this tier and go on with the next one, or with the profiles after the last.
    Pass,
}

/// A rule. `None` and "no list" mean "any"; a present criterion must hold.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Rule {
    /// What happens on a match.
    pub action: Action,
    /// Only packets of this family.
    pub family: Option<Family>,
    /// Only this protocol.
    pub protocol: Option<Protocol>,
    /// Any protocol but this one.
    pub not_protocol: Option<Protocol>,
    /// Only this ICMP type (and code).
    pub icmp: Option<IcmpMatch>,
    /// Not this ICMP type (and code).
    pub not_icmp: Option<IcmpMatch>,
    /// What the source must be.
    pub source: EntityMatch,
    /// What the destination must be.
    pub destination: EntityMatch,
    /// Application-layer criteria; a dataplane that cannot see them never matches the rule.
    pub http: Option<HttpMatch>,
    /// Annotations of the rule, such as the `name` that explain prints.
    pub annotations: BTreeMap<Box<str>, Box<str>>,
}

impl Rule {
    /// A rule that matches every packet.
    pub fn any(action: Action) -> Rule {
        Rule {
            action,
            family: None,
            protocol: None,
            not_protocol: None,
            icmp: None,
            not_icmp: None,
            source: EntityMatch::default(),
            destination: EntityMatch::default(),
            http: None,
            annotations: BTreeMap::new(),
        }
    }
}

/// An ICMP type, and a code when given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IcmpMatch {
    /// 0 to 254.
    pub kind: u8,
    /// 0 to 255; `None` is any code.
    pub code: Option<u8>,
}

/// One side of a rule (upstream resource: v3 `EntityRule`). `None` is "not asked"; `Some` of an empty list matches nothing.
///
/// `selector` is the whole positive selector: upstream's `selector`, `namespaceSelector` and `serviceAccounts` of this side,
/// already rewritten (`pcns.`, `pcsa.`) and joined with `&&`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct EntityMatch {
    /// The address lies in one of these.
    pub nets: Option<Vec<Cidr>>,
    /// The address lies in none of these.
    pub not_nets: Vec<Cidr>,
    /// The address belongs to an endpoint or a network set that this selects.
    pub selector: Option<Selector>,
    /// The address belongs to no endpoint or network set that this selects.
    pub not_selector: Option<Selector>,
    /// The port is one of these.
    pub ports: Option<Vec<PortMatch>>,
    /// The port is none of these.
    pub not_ports: Vec<PortMatch>,
    /// The address (and, for a destination, the port) belongs to this Kubernetes service.
    pub service: Option<ServiceRef>,
}

/// HTTP criteria: any of `methods` (none listed: any) and any of `paths` (none listed: any).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct HttpMatch {
    /// Method names; `*` is any.
    pub methods: Vec<Box<str>>,
    /// Paths without query.
    pub paths: Vec<HttpPath>,
}

/// How a request's path is compared.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum HttpPath {
    /// Equal.
    Exact(Box<str>),
    /// Begins with.
    Prefix(Box<str>),
}
