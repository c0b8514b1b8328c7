//! What a BGP speaker is told: its own settings, its peerings, and the filters between it and them.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

use crate::addr::Cidr;
use crate::selector::Selector;

/// Settings of the speakers (upstream resource: v3 `BGPConfiguration`). `None`: the object does not say, so that the object
/// for all nodes, or else the speaker's default, decides.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BgpConfiguration {
    /// The least severity that is logged, as upstream spells it.
    pub log_severity: Option<Box<str>>,
    /// Whether all nodes peer with one another. For all nodes only.
    pub mesh: Option<bool>,
    /// The AS number of nodes that have none of their own. For all nodes only.
    pub as_number: Option<u32>,
    /// Where a secret with the password of the mesh is. For all nodes only.
    pub mesh_password: Option<SecretRef>,
    /// How long routes of a mesh peer that restarts are kept. For all nodes only.
    pub mesh_restart_time: Option<Duration>,
    /// Networks of cluster addresses of services that are announced.
    pub cluster_ips: Vec<Cidr>,
    /// Networks of external addresses of services that are announced.
    pub external_ips: Vec<Cidr>,
    /// Networks of load balancers' addresses that are announced.
    pub load_balancer_ips: Vec<Cidr>,
    /// How addresses of load balancers are announced.
    pub load_balancer_aggregation: Option<Aggregation>,
    /// Communities that routes within these networks carry.
    pub advertisements: Vec<Advertisement>,
    /// The TCP port to listen at.
    pub listen_port: Option<u16>,
    /// Which addresses to listen at.
    pub bind: Option<Bind>,
    /// Interfaces whose routes are not read; `*` stands for any text in them.
    pub ignored_interfaces: Vec<Box<str>>,
    /// The address under which workloads of a node reach its speaker, IPv4.
    pub workload_peering_v4: Option<IpAddr>,
    /// The same, IPv6.
    pub workload_peering_v6: Option<IpAddr>,
    /// Which routes to workloads of other nodes the speaker programs.
    pub cluster_routes: Option<ClusterRoutes>,
    /// Metric of ordinary IPv4 routes to workloads.
    pub route_priority_v4: Option<u32>,
    /// Metric of ordinary IPv6 routes to workloads.
    pub route_priority_v6: Option<u32>,
}

/// Where a password is: it is never part of the model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretRef {
    /// Name of a Secret in the agent's namespace.
    pub name: Box<str>,
    /// Key in it.
    pub key: Box<str>,
    /// Whether it may be missing.
    pub optional: bool,
}

/// How addresses of load balancers are announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aggregation {
    /// As the networks they are from.
    Enabled,
    /// One by one, while the service has an endpoint.
    Disabled,
}

/// Communities for the routes within a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advertisement {
    /// The network.
    pub net: Cidr,
    /// The communities.
    pub communities: Vec<Community>,
}

/// Which addresses a speaker listens at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bind {
    /// All.
    All,
    /// The node's own BGP address.
    NodeAddress,
}

/// Which routes to workloads of other nodes a speaker programs into the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClusterRoutes {
    /// Those of pools with IPIP and of pools without encapsulation.
    Enabled,
    /// None.
    Disabled,
    /// Those of pools with IPIP.
    IpipOnly,
    /// Those of pools without encapsulation.
    NoEncapOnly,
}

/// A community that routes carry: standard (RFC 1997) or large (RFC 8092).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Community {
    /// `aa:nn`.
    Standard(u16, u16),
    /// `aa:nn:mm`.
    Large(u32, u32, u32),
}

impl FromStr for Community {
    type Err = CommunityError;

    fn from_str(text: &str) -> Result<Community, CommunityError> {
        fn number<T: FromStr>(part: &str) -> Option<T> {
            // A sign would parse, and is none of a community's.
            let digits = !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
            digits.then(|| part.parse().ok())?
        }
        let parts: Vec<&str> = text.split(':').collect();
        let community = match parts.as_slice() {
            [a, n] => number(a)
                .zip(number(n))
                .map(|(a, n)| Community::Standard(a, n)),
            [a, n, m] => number(a)
                .zip(number(n))
                .zip(number(m))
                .map(|((a, n), m)| Community::Large(a, n, m)),
            _ => None,
        };
        community.ok_or(CommunityError)
    }
}

impl fmt::Display for Community {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Community::Standard(a, n) => write!(f, "{a}:{n}"),
            Community::Large(a, n, m) => write!(f, "{a}:{n}:{m}"),
        }
    }
}

/// A text that is no community.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommunityError;

impl fmt::Display for CommunityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("is no community: aa:nn of numbers up to 65535, or aa:nn:mm of numbers up to 4294967295")
    }
}

impl std::error::Error for CommunityError {}

/// A peering, or many of one form (upstream resource: v3 `BGPPeer`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BgpPeer {
    /// Which of our nodes peer.
    pub nodes: PeeringNodes,
    /// With whom.
    pub remote: Remote,
    /// The other side's AS number; for peerings between nodes, theirs are used.
    pub as_number: Option<u32>,
    /// Our AS number in this peering, instead of the node's.
    pub local_as_number: Option<u32>,
    /// The next hop of routes that are sent.
    pub next_hop: Option<NextHop>,
    /// Where a secret with the password is.
    pub password: Option<SecretRef>,
    /// Which source address is used.
    pub source: SourceAddress,
    /// How long routes of the peer are kept while it restarts.
    pub restart_time: Option<Duration>,
    /// Time between keepalive messages.
    pub keepalive_time: Option<Duration>,
    /// How often our own AS number may stand in the path of a route that is taken.
    pub allowed_local_as_numbers: Option<i32>,
    /// The distance in hops that packets of the peer may have come at most (RFC 5082).
    pub ttl_security: Option<u8>,
    /// The gateway by which the peer is reached.
    pub reachable_by: Option<IpAddr>,
    /// Names of filters, in order.
    pub filters: Vec<Box<str>>,
    /// Whether nodes that are peers by selector peer back by themselves.
    pub reverse: ReversePeering,
}

/// Which of our nodes have a peering.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeeringNodes {
    /// Every node.
    All,
    /// The node of this name.
    Node(Box<str>),
    /// The nodes whose labels match.
    Selected(Selector),
}

/// With whom a node peers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remote {
    /// Nobody: the object names no peer.
    Nobody,
    /// A router.
    Address {
        /// Its address.
        address: IpAddr,
        /// Its port, if it is not the usual one.
        port: Option<u16>,
    },
    /// The nodes whose labels match.
    Nodes(Selector),
    /// The node's own workloads whose labels match.
    Workloads(Selector),
}

/// The next hop of routes that are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NextHop {
    /// As BGP has it by default.
    Auto,
    /// Ours.
    Own,
    /// As received.
    Keep,
}

/// Which source address a peering has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SourceAddress {
    /// The node's own BGP address.
    #[default]
    Node,
    /// What the kernel chooses.
    Any,
}

/// Whether nodes that are peers by selector peer back by themselves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReversePeering {
    /// Yes.
    #[default]
    Auto,
    /// Another object says so.
    Manual,
}

/// Rules for the routes of a peering (upstream resource: v3 `BGPFilter`). The first rule that matches decides.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BgpFilter {
    /// For IPv4 routes that are sent.
    pub export_v4: Vec<FilterRule>,
    /// For IPv4 routes that are received.
    pub import_v4: Vec<FilterRule>,
    /// For IPv6 routes that are sent.
    pub export_v6: Vec<FilterRule>,
    /// For IPv6 routes that are received.
    pub import_v6: Vec<FilterRule>,
}

/// One rule: every criterion that is there must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilterRule {
    /// What the route's network must be.
    pub net: Option<NetMatch>,
    /// Only routes of peers, not our own.
    pub source: Option<RouteSource>,
    /// The outgoing interface; `*` stands for any text in it.
    pub interface: Option<Box<str>>,
    /// Only peers of this kind.
    pub peer_type: Option<PeerType>,
    /// Only routes that carry this community.
    pub community: Option<Community>,
    /// Only routes whose AS path begins so.
    pub as_path_prefix: Vec<u32>,
    /// Only routes of this metric.
    pub priority: Option<u32>,
    /// What happens on a match.
    pub action: FilterAction,
    /// What is done to a route that is accepted, in order.
    pub operations: Vec<RouteOperation>,
}

/// A comparison of a route's network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NetMatch {
    /// The network to compare with.
    pub net: Cidr,
    /// How.
    pub operator: NetOperator,
    /// The shortest prefix; by default the network's own.
    pub shortest: Option<u8>,
    /// The longest prefix; by default that of a single address.
    pub longest: Option<u8>,
}

/// How networks are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NetOperator {
    /// The very network.
    Equal,
    /// Any other.
    NotEqual,
    /// The network or a part of it.
    In,
    /// Neither.
    NotIn,
}

/// Where a route comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RouteSource {
    /// A BGP peer.
    RemotePeers,
}

/// Which kind of peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerType {
    /// Of another AS.
    External,
    /// Of our AS.
    Internal,
}

/// What a filter rule decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FilterAction {
    /// The route passes.
    Accept,
    /// The route is dropped.
    Reject,
}

/// A change of a route that is accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RouteOperation {
    /// Adds a community.
    AddCommunity(Community),
    /// Puts AS numbers before the path, so that it begins with them in this order.
    PrependAsPath(Vec<u32>),
    /// Sets the metric.
    SetPriority(u32),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn communities() {
        for (text, expected) in [
            ("0:0", Community::Standard(0, 0)),
            ("65535:65535", Community::Standard(65535, 65535)),
            ("1:2:4294967295", Community::Large(1, 2, u32::MAX)),
        ] {
            assert_eq!(text.parse(), Ok(expected), "{text}");
            assert_eq!(expected.to_string(), text);
        }
        for bad in [
            "",
            "1",
            "1:",
            ":1",
            "1:65536",
            "1:2:3:4",
            "+1:2",
            "1:2:4294967296",
            "a:b",
        ] {
            assert_eq!(bad.parse::<Community>(), Err(CommunityError), "{bad}");
        }
    }
}
