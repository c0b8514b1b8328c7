//! Address management: pools, reservations, blocks, affinities, handles. The machines over them are in the `ipam` crate.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use crate::addr::Cidr;
use crate::selector::Selector;

/// When an encapsulation is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum EncapMode {
    /// Never.
    #[default]
    Never,
    /// Between all nodes.
    Always,
    /// Only between nodes of different subnets.
    CrossSubnet,
}

/// What a pool's addresses may be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PoolUse {
    /// Workloads.
    Workload,
    /// Tunnel devices of nodes.
    Tunnel,
    /// Services of type LoadBalancer.
    LoadBalancer,
}

/// Whether a pool serves requests that do not name it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum AssignmentMode {
    /// It does.
    #[default]
    Automatic,
    /// Only requests that name it.
    Manual,
}

/// A pool of addresses (upstream resource: v3 `IPPool`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IpPool {
    /// The pool's network.
    pub cidr: Cidr,
    /// VXLAN between nodes.
    pub vxlan: EncapMode,
    /// IP-in-IP between nodes.
    pub ipip: EncapMode,
    /// Masquerade traffic from the pool to anywhere outside of all pools.
    pub nat_outgoing: bool,
    /// No new addresses from it.
    pub disabled: bool,
    /// Not advertised over BGP.
    pub disable_bgp_export: bool,
    /// Prefix length of its blocks.
    pub block_size: u8,
    /// Nodes that may take blocks from it.
    pub node_selector: Selector,
    /// Namespaces whose pods may take addresses from it; `None` is all.
    pub namespace_selector: Option<Selector>,
    /// What its addresses may be used for.
    pub allowed_uses: Vec<PoolUse>,
    /// Whether it must be named to be used.
    pub assignment_mode: AssignmentMode,
    /// Being deleted: no new addresses.
    pub terminating: bool,
}

/// Networks never assigned automatically (upstream resource: v3 `IPReservation`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IpReservation {
    /// The reserved networks.
    pub cidrs: Vec<Cidr>,
}

/// Cluster-wide IPAM settings (upstream resource: v3 `IPAMConfiguration`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IpamConfig {
    /// Nodes use only blocks affine to them.
    pub strict_affinity: bool,
    /// Nodes may claim blocks by themselves.
    pub auto_allocate_blocks: bool,
    /// Most blocks affine to one host; 0 is the library's default, 20.
    pub max_blocks_per_host: u32,
    /// Seconds that a released address rests before it is given again.
    pub cooldown_seconds: u32,
}

impl Default for IpamConfig {
    fn default() -> IpamConfig {
        IpamConfig {
            strict_affinity: false,
            auto_allocate_blocks: true,
            max_blocks_per_host: 0,
            cooldown_seconds: 0,
        }
    }
}

/// Who a block is affine to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AffinityOwner {
    /// A node, by name: `host:<name>`.
    Host(Box<str>),
    /// Something that is no node, such as `virtual:load-balancer`.
    Virtual(Box<str>),
}

/// `host:<name>` or `virtual:<name>`, as blocks spell it.
impl fmt::Display for AffinityOwner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AffinityOwner::Host(name) => write!(f, "host:{name}"),
            AffinityOwner::Virtual(name) => write!(f, "virtual:{name}"),
        }
    }
}

/// An affinity's identity.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AffinityId {
    /// Whose.
    pub owner: AffinityOwner,
    /// Which block.
    pub block: Cidr,
}

/// How far a claim has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AffinityState {
    /// Wanted; the block may belong to another. Treated as absent by routing.
    Pending,
    /// The block is the owner's.
    Confirmed,
    /// Being given up.
    PendingDeletion,
}

/// A claim of an owner on a block (upstream resource: v3 `BlockAffinity`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Affinity {
    /// How far it has come.
    pub state: AffinityState,
    /// Soft-deleted.
    pub deleted: bool,
}

/// One address of a block in use: which of the block's attributes it has.
pub type Allocation = Option<usize>;

/// Who has an address. Addresses with equal attributes share one record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllocationAttribute {
    /// The handle, by which all addresses of one workload are released together.
    pub handle: Option<Box<str>>,
    /// What the owner said of itself: `namespace`, `pod`, `node`, `timestamp`, `type`.
    pub secondary: BTreeMap<Box<str>, Box<str>>,
    /// The same of a second owner, during a live migration.
    pub alternate: BTreeMap<Box<str>, Box<str>>,
    /// When it was released, in a cooldown (RFC 3339).
    pub released_at: Option<Box<str>>,
}

/// A block of addresses: the unit of compare-and-swap (upstream resource: v3 `IPAMBlock`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// The block's network.
    pub cidr: Cidr,
    /// Who may assign from it first.
    pub affinity: Option<AffinityOwner>,
    /// When it was claimed (RFC 3339).
    pub affinity_claim_time: Option<Box<str>>,
    /// By ordinal: the index into `attributes`, or free.
    pub allocations: Vec<Allocation>,
    /// Free ordinals, first in first out.
    pub unallocated: Vec<usize>,
    /// Who has the addresses.
    pub attributes: Vec<AllocationAttribute>,
    /// Raised by every write.
    pub sequence: u64,
    /// The sequence number at which each ordinal was assigned; older blocks have none.
    pub sequence_for_allocation: BTreeMap<usize, u64>,
    /// Soft-deleted.
    pub deleted: bool,
}

impl Block {
    /// The address at an ordinal.
    pub fn address(&self, ordinal: usize) -> Option<IpAddr> {
        self.cidr.nth(ordinal as u128)
    }

    /// The ordinal of an address, if it lies in the block.
    pub fn ordinal(&self, addr: IpAddr) -> Option<usize> {
        self.cidr
            .offset_of(addr)
            .and_then(|n| usize::try_from(n).ok())
    }
}

/// How many addresses a handle holds in each block (upstream resource: v3 `IPAMHandle`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Handle {
    /// Block to count; counts are above zero.
    pub blocks: BTreeMap<Cidr, u32>,
    /// Soft-deleted.
    pub deleted: bool,
}
