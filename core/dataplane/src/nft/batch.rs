//! What to ask of the kernel in one transaction.

use std::sync::Arc;

use super::chain::{Base, Policy, TableId};
use super::names::{ChainName, SetName};
use super::rule::Rule;
use super::set::{Element, Key, SetType};

/// Where a rule goes within its chain.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Position {
    /// Behind all others.
    End,
    /// In front of the rule of this handle.
    Before(u64),
    /// Behind the rule of this handle.
    After(u64),
}

/// One change of a table; one message to the kernel, but for elements and rules too large for one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Op {
    /// Makes the table.
    AddTable,
    /// Deletes the table and all in it.
    DeleteTable,
    /// Deletes another table and all in it: upstream's.
    DeleteOther(TableId),
    /// Makes a chain.
    AddChain {
        /// Its name.
        chain: ChainName,
        /// Its hook.
        base: Option<Base>,
    },
    /// Changes a base chain's last word.
    SetPolicy {
        /// The chain.
        chain: ChainName,
        /// The last word.
        policy: Policy,
    },
    /// Deletes a chain and the rules in it; nothing may lead to it.
    DeleteChain(ChainName),
    /// Deletes all rules of a chain.
    FlushChain(ChainName),
    /// Adds a rule.
    AddRule {
        /// The chain.
        chain: ChainName,
        /// The place in it.
        position: Position,
        /// The rule.
        rule: Rule,
    },
    /// Puts a rule in another's place.
    ReplaceRule {
        /// The chain.
        chain: ChainName,
        /// The rule that goes.
        handle: u64,
        /// The rule that comes.
        rule: Rule,
    },
    /// Deletes a rule.
    DeleteRule {
        /// The chain.
        chain: ChainName,
        /// The rule.
        handle: u64,
    },
    /// Makes a set or map without elements.
    AddSet {
        /// Its name.
        set: SetName,
        /// Its type.
        ty: Arc<SetType>,
    },
    /// Deletes a set and the elements in it; no rule may look it up.
    DeleteSet(SetName),
    /// Adds elements.
    AddElements {
        /// The set.
        set: SetName,
        /// Its type.
        ty: Arc<SetType>,
        /// The elements.
        elements: Vec<Element>,
    },
    /// Deletes elements.
    DeleteElements {
        /// The set.
        set: SetName,
        /// Its type.
        ty: Arc<SetType>,
        /// Their keys.
        keys: Vec<Key>,
    },
    /// Deletes all elements of a set.
    FlushSet(SetName),
}

/// Changes of one table that happen together or not at all.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Batch {
    /// The table.
    pub table: TableId,
    /// The changes in the order they are asked for.
    pub ops: Vec<Op>,
}

impl Batch {
    /// No change.
    pub fn new(table: TableId) -> Self {
        Self {
            table,
            ops: Vec::new(),
        }
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.ops.is_empty()
    }
}
