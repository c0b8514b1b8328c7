//! The seam between the outside and the graph: a key, and its value or its absence.

use std::sync::Arc;

use crate::addr::Cidr;
use crate::endpoint::{HostEndpoint, HostEndpointId, WorkloadEndpoint, WorkloadEndpointId};
use crate::ipam::{Affinity, AffinityId, Block, Handle, IpPool, IpReservation, IpamConfig};
use crate::node::{ClusterInformation, ConfigScope, FelixConfig, Node};
use crate::policy::{NetworkSet, NetworkSetId, Policy, PolicyId, Profile, Tier};

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
}

/// What changed: the object as it is, or `None` for absent (or invalid, and so absent).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Update {
    /// Which object.
    pub key: Key,
    /// Its value.
    pub value: Option<Resource>,
}
