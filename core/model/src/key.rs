//! The seam between the outside and the graph: a key, and its value or its absence.

use std::sync::Arc;

use crate::addr::Cidr;
use crate::bgp::{BgpConfiguration, BgpFilter, BgpPeer};
use crate::endpoint::{HostEndpoint, HostEndpointId, WorkloadEndpoint, WorkloadEndpointId};
use crate::ipam::{Affinity, AffinityId, Block, Handle, IpPool, IpReservation, IpamConfig};
use crate::node::{ClusterInformation, ConfigScope, FelixConfig, Node};
use crate::policy::{NetworkSet, NetworkSetId, Policy, PolicyId, Profile, Tier};
use crate::service::{EndpointSlice, EndpointSliceId, ServiceRef};

/// The identity of any object the product knows.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// A tier by name.
    Tier(Box<str>),
    /// A policy of any kind.
    Policy(PolicyId),
    /// A profile by name: also those made of namespaces (`kns.*`) and service accounts (`ksa.*`).
    Profile(Box<str>),
    /// A network set, global or namespaced.
    NetworkSet(NetworkSetId),
    /// A workload endpoint.
    WorkloadEndpoint(WorkloadEndpointId),
    /// A host endpoint.
    HostEndpoint(HostEndpointId),
    /// Endpoints of a service.
    EndpointSlice(EndpointSliceId),
    /// A service, which tells the model nothing: its slices say who serves it.
    Service(ServiceRef),
    /// A node by name.
    Node(Box<str>),
    /// A pool by name.
    IpPool(Box<str>),
    /// A reservation by name.
    IpReservation(Box<str>),
    /// The IPAM settings.
    IpamConfig,
    /// A block by network.
    Block(Cidr),
    /// An affinity.
    Affinity(AffinityId),
    /// A handle by identity.
    Handle(Box<str>),
    /// Felix parameters for a scope.
    FelixConfig(ConfigScope),
    /// The facts about the cluster.
    ClusterInformation,
    /// BGP settings by the object's name: `default`, or `node.<name>` for one node.
    BgpConfiguration(Box<str>),
    /// A BGP peering by name.
    BgpPeer(Box<str>),
    /// A filter of BGP routes by name.
    BgpFilter(Box<str>),
    /// Settings of the controllers, which tell the model nothing.
    KubeControllersConfiguration,
    /// A request for a node's status and the answer, which tell the model nothing.
    NodeStatus(Box<str>),
    /// A move of a workload between nodes, which tells the model nothing.
    LiveMigration {
        /// The namespace.
        namespace: Box<str>,
        /// The name.
        name: Box<str>,
    },
}

/// A valid object. The variant always agrees with the key's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resource {
    /// For [`Key::Tier`].
    Tier(Tier),
    /// For [`Key::Policy`].
    Policy(Arc<Policy>),
    /// For [`Key::Profile`].
    Profile(Arc<Profile>),
    /// For [`Key::NetworkSet`].
    NetworkSet(NetworkSet),
    /// For [`Key::WorkloadEndpoint`].
    WorkloadEndpoint(WorkloadEndpoint),
    /// For [`Key::HostEndpoint`].
    HostEndpoint(HostEndpoint),
    /// For [`Key::EndpointSlice`].
    EndpointSlice(EndpointSlice),
    /// For [`Key::Node`].
    Node(Node),
    /// For [`Key::IpPool`].
    IpPool(IpPool),
    /// For [`Key::IpReservation`].
    IpReservation(IpReservation),
    /// For [`Key::IpamConfig`].
    IpamConfig(IpamConfig),
    /// For [`Key::Block`].
    Block(Block),
    /// For [`Key::Affinity`].
    Affinity(Affinity),
    /// For [`Key::Handle`].
    Handle(Handle),
    /// For [`Key::FelixConfig`].
    FelixConfig(FelixConfig),
    /// For [`Key::ClusterInformation`].
    ClusterInformation(ClusterInformation),
    /// For [`Key::BgpConfiguration`].
    BgpConfiguration(Box<BgpConfiguration>),
    /// For [`Key::BgpPeer`].
    BgpPeer(Box<BgpPeer>),
    /// For [`Key::BgpFilter`].
    BgpFilter(Box<BgpFilter>),
}

/// What changed: the object as it is, or `None` for absent (or invalid, and so absent).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Update {
    /// Which object.
    pub key: Key,
    /// Its value.
    pub value: Option<Resource>,
}
