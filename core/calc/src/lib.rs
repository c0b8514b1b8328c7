#![doc = include_str!("../README.md")]

pub mod change;

pub use change::{
    Change, CompiledEntity, CompiledPolicy, CompiledPorts, CompiledRule, LocalEndpoint, Member,
    NatPool, SetDelta, SetId, SetKind, TierPolicies,
};
