//! Nodes and cluster-wide facts.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::addr::{Cidr, Mac};
use crate::labels::Labels;

/// A node (upstream resource: v3 `Node`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// Labels that pool and peer selectors look at.
    pub labels: Labels,
    /// The node's IPv4 address.
    pub ipv4: Option<IpAddr>,
    /// The subnet of the IPv4 address, host bits cleared.
    pub ipv4_subnet: Option<Cidr>,
    /// The node's IPv6 address.
    pub ipv6: Option<IpAddr>,
    /// The subnet of the IPv6 address.
    pub ipv6_subnet: Option<Cidr>,
    /// The AS number, when it differs from the cluster's.
    pub as_number: Option<u32>,
    /// Cluster identity as a route reflector.
    pub route_reflector_cluster_id: Option<Box<str>>,
    /// Address of `tunl0`.
    pub ipip_tunnel: Option<IpAddr>,
    /// Address of `vxlan.calico`.
    pub vxlan_tunnel_v4: Option<IpAddr>,
    /// Address of `vxlan-v6.calico`.
    pub vxlan_tunnel_v6: Option<IpAddr>,
    /// MAC of `vxlan.calico`.
    pub vxlan_mac_v4: Option<Mac>,
    /// MAC of `vxlan-v6.calico`.
    pub vxlan_mac_v6: Option<Mac>,
    /// All addresses that the node is known by.
    pub addresses: Vec<IpAddr>,
}

/// Whom a set of Felix parameters is for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ConfigScope {
    /// `default`: every node.
    Global,
    /// `node.<name>`: one node.
    Node(Box<str>),
    /// Any other name: the nodes that its `nodeSelector` selects.
    Selector(Box<str>),
}

/// Felix parameters as given, one text per parameter (upstream resource: v3 `FelixConfiguration`). `config` gives them meaning.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FelixConfig {
    /// Which nodes a selector-scoped object is for.
    pub node_selector: Option<crate::selector::Selector>,
    /// Creation time as text; among selector-scoped objects that match a node the oldest wins, then the lowest name.
    pub created: Box<str>,
    /// Parameter (upstream's camelCase field name) to its raw text.
    pub parameters: BTreeMap<Box<str>, Box<str>>,
}

/// Facts about the cluster (upstream resource: v3 `ClusterInformation`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClusterInformation {
    /// 32 hexadecimal digits.
    pub guid: Box<str>,
    /// Comma list, such as `k8s,bgp`.
    pub cluster_type: Box<str>,
    /// Which upstream release the cluster is compatible with.
    pub version: Box<str>,
    /// `false` makes agents and plugins wait; absent counts as ready for agents that see no object.
    pub datastore_ready: Option<bool>,
}
