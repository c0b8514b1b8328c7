//! What the graph tells the renderer: sets, compiled policies and profiles, local endpoints, pools.
//!
//! The graph hands these over in an order safe for references: sets before the policies that use them,
//! policies and profiles before the endpoints that use them, removals in reverse. `explain` walks the same values.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use model::{
    Action, Cidr, DefaultAction, Family, HttpMatch, IcmpMatch, Mac, PolicyId, PortRange, Protocol,
    WorkloadEndpointId,
};

/// An IP set's identity in upstream's form: `s:<hash>` for a selector, `n:<hash>` for a named port, `svc:<hash>` for a service
/// with its ports, `svcnoport:<hash>` for its addresses alone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SetId(pub Arc<str>);

impl fmt::Display for SetId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a set's members are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SetKind {
    /// Networks (single addresses are /32 and /128), of both families.
    Net,
    /// Address, protocol and port.
    NetPort,
}

/// A member of a set; the variant agrees with the set's kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Member {
    /// For [`SetKind::Net`]. Networks of one set may overlap: the renderer merges what its kernel form cannot hold.
    Net(Cidr),
    /// For [`SetKind::NetPort`].
    NetPort(IpAddr, Protocol, u16),
}

/// Members that came and went since the set was last told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SetDelta {
    /// New members, sorted.
    pub added: Vec<Member>,
    /// Members that are gone, sorted.
    pub removed: Vec<Member>,
}

/// One side of a compiled rule. `None` is "not asked"; a present but empty list matches nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct CompiledEntity {
    /// The address lies in one of these.
    pub nets: Option<Vec<Cidr>>,
    /// The address lies in none of these.
    pub not_nets: Vec<Cidr>,
    /// The address is in every one of these sets ([`SetKind::Net`]).
    pub sets: Vec<SetId>,
    /// The address is in none of these sets.
    pub not_sets: Vec<SetId>,
    /// (Address, protocol, port) is in every one of these sets ([`SetKind::NetPort`]): services with their ports.
    pub port_sets: Vec<SetId>,
    /// The port is in one of the ranges, or (address, protocol, port) is in one of the named-port sets. `None`: any port.
    pub ports: Option<CompiledPorts>,
    /// The port is in none of these ranges and (address, protocol, port) in none of these sets.
    pub not_ports: CompiledPorts,
}

/// Numeric ports and named-port sets ([`SetKind::NetPort`]), alternatives of each other.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct CompiledPorts {
    /// Numeric ports, sorted and merged.
    pub ranges: Vec<PortRange>,
    /// Named ports.
    pub sets: Vec<SetId>,
}

/// A rule with its selectors turned into sets: the rule tree that printers and `explain` share.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CompiledRule {
    /// What happens on a match.
    pub action: Action,
    /// Only this family.
    pub family: Option<Family>,
    /// Only this protocol.
    pub protocol: Option<Protocol>,
    /// Any protocol but this.
    pub not_protocol: Option<Protocol>,
    /// Only this ICMP type (and code); the protocol is given beside it.
    pub icmp: Option<IcmpMatch>,
    /// Not this ICMP type (and code).
    pub not_icmp: Option<IcmpMatch>,
    /// The source side.
    pub source: CompiledEntity,
    /// The destination side.
    pub destination: CompiledEntity,
    /// Application-layer criteria: a dataplane that cannot see them leaves the rule out, which fails closed.
    pub http: Option<HttpMatch>,
    /// Annotations of the rule.
    pub annotations: BTreeMap<Box<str>, Box<str>>,
}

/// A policy's or profile's rules, compiled.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct CompiledPolicy {
    /// Rules for traffic to the endpoint.
    pub ingress: Vec<CompiledRule>,
    /// Rules for traffic from the endpoint.
    pub egress: Vec<CompiledRule>,
}

/// The policies of one tier that apply to an endpoint in one direction, in order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TierPolicies {
    /// The tier's name.
    pub tier: Box<str>,
    /// What happens when none of these policies decides. Only asked if `policies` is not empty.
    pub default_action: DefaultAction,
    /// Enforced policies only, in order; never empty.
    pub policies: Vec<PolicyId>,
}

/// A workload endpoint of this node with the policy that applies to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalEndpoint {
    /// The host's interface.
    pub interface: Box<str>,
    /// The MAC address inside, if known.
    pub mac: Option<Mac>,
    /// Its addresses, as networks.
    pub nets: Vec<Cidr>,
    /// Networks it may send from besides its own.
    pub allow_spoofed: Vec<Cidr>,
    /// Tiers for traffic to the endpoint, in order.
    pub ingress: Vec<TierPolicies>,
    /// Tiers for traffic from the endpoint, in order.
    pub egress: Vec<TierPolicies>,
    /// Profiles, in order. Each was told before; one that does not exist was told as a policy that denies all.
    pub profiles: Vec<Box<str>>,
}

/// A pool as address translation needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NatPool {
    /// The pool's network.
    pub cidr: Cidr,
    /// Whether its traffic to outside of all pools is masqueraded.
    pub nat_outgoing: bool,
}

/// One step of the desired state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A set appears, or its whole content is told again. Members are sorted.
    SetReplace {
        /// Which.
        id: SetId,
        /// What it holds.
        kind: SetKind,
        /// All members.
        members: Vec<Member>,
    },
    /// Some members of a known set came or went.
    SetDelta {
        /// Which.
        id: SetId,
        /// The members.
        delta: SetDelta,
    },
    /// A set is used no more.
    SetRemove(SetId),
    /// An active policy appears or changes.
    PolicyReplace {
        /// Which.
        id: PolicyId,
        /// Its compiled rules.
        policy: Arc<CompiledPolicy>,
    },
    /// A policy is active no more.
    PolicyRemove(PolicyId),
    /// An active profile appears or changes. A profile that an endpoint names and that does not exist is told with one
    /// deny rule in each direction.
    ProfileReplace {
        /// Which.
        name: Box<str>,
        /// Its compiled rules.
        profile: Arc<CompiledPolicy>,
    },
    /// A profile is active no more.
    ProfileRemove(Box<str>),
    /// A local endpoint appears or changes.
    EndpointReplace {
        /// Which.
        id: WorkloadEndpointId,
        /// The endpoint with its ordered policies.
        endpoint: Arc<LocalEndpoint>,
    },
    /// A local endpoint is gone.
    EndpointRemove(WorkloadEndpointId),
    /// A pool appears or changes.
    PoolReplace {
        /// The pool's name.
        name: Box<str>,
        /// What NAT needs of it.
        pool: NatPool,
    },
    /// A pool is gone.
    PoolRemove(Box<str>),
}
