//! nf_tables as values: what our table should hold, what it holds, and the way from one to the other.
//!
//! The renderer builds a [`Ruleset`] (or a small [`Delta`]); [`diff`] compares it with the [`ObservedTable`] and answers
//! a [`Batch`], which `linux::nft` sends to the kernel as one transaction. The level is that of kernel expressions: a
//! [`Rule`] read back from the kernel equals the rule that was written, so equality of values is equality of tables.
//!
//! `Display` of [`Rule`], [`Set`] and [`Ruleset`] is valid input for `nft -f`, for people and for snapshots.

mod batch;
mod bytes;
mod chain;
mod conditions;
mod deeds;
mod delta;
mod edits;
mod expr;
mod field;
mod flags;
mod names;
mod observed;
mod plan;
mod print;
mod rule;
mod set;
mod words;

pub use batch::{Batch, Op, Position};
pub use bytes::{Bytes, IfPattern, Prefix};
pub use chain::{Base, Chain, ChainKind, Hook, Policy, Ruleset, TableFamily, TableId, priority};
pub use delta::Delta;
pub use expr::{
    Anonymous, CmpOp, Expr, Log, LogLevel, LogTarget, MarkPlace, MarkSource, Membership, Nat,
    NatKind, Rate, RateUnit, RejectWith, Scope, SetRef,
};
pub use field::{CtDirection, FibKey, FibResult, Field, NfProto};
pub use flags::{CtState, CtStatus, NatFlags};
pub use names::{ChainName, Comment, PortRange, SetName, Verdict};
pub use observed::{
    Handles, ObservedBase, ObservedChain, ObservedRule, ObservedSet, ObservedTable, Presence,
    Unknown,
};
pub use plan::diff;
pub use rule::{Rule, proto};
pub use set::{Element, Elements, Key, KeyType, Load, Matching, Part, Set, SetKind, SetType};
