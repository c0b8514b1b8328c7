#![doc = include_str!("../README.md")]

pub mod change;
pub mod compiled;
pub mod graph;
pub mod oracle;
pub mod verdict;

mod classes;
mod condition;
mod idset;
mod intern;
mod items;
mod rules;
mod selector_index;
mod services;
mod sets;
mod slab;
mod things;
mod tiers;

pub use change::{
    Change, CompiledEntity, CompiledPolicy, CompiledPorts, CompiledRule, LocalEndpoint, Member,
    NatPool, SetDelta, SetId, SetKind, TierPolicies,
};
pub use compiled::{Compiled, Inconsistent};
pub use graph::{Footprint, Graph};
pub use oracle::World;
pub use verdict::{Decision, Direction, Packet, Reason, Transport, Verdict};
