#![doc = include_str!("../README.md")]

pub mod addr;
pub mod bgp;
pub mod endpoint;
pub mod ipam;
pub mod key;
pub mod labels;
pub mod node;
pub mod policy;
pub mod port;
pub mod rule;
pub mod selector;
pub mod service;

pub use addr::{Cidr, CidrError, Family, Mac, MacError};
pub use endpoint::{
    EndpointPort, HostEndpoint, HostEndpointId, IpNat, WorkloadEndpoint, WorkloadEndpointId,
};
pub use ipam::{
    Affinity, AffinityId, AffinityOwner, AffinityState, Allocation, AllocationAttribute,
    AssignmentMode, Block, EncapMode, Handle, IpPool, IpReservation, IpamConfig, PoolUse,
};
pub use key::{Key, Resource, Update};
pub use labels::Labels;
pub use node::{ClusterInformation, ConfigScope, FelixConfig, Node};
pub use policy::{
    DefaultAction, NetworkSet, NetworkSetId, Order, Policy, PolicyId, PolicyKind, PolicyTypes,
    Profile, Staged, Tier,
};
pub use port::{PortMatch, PortRange, Protocol, ProtocolError};
pub use rule::{Action, EntityMatch, HttpMatch, HttpPath, IcmpMatch, Rule};
pub use service::{EndpointSlice, EndpointSliceId, ServiceRef};

/// The upstream release that everything of ours is compatible with: what `calicoVersion`, version gates and `calicoctl version`
/// announce. Our own version is another matter.
pub const COMPATIBLE_VERSION: &str = "v3.33.0";
