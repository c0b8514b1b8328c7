//! What our table holds: read back from the kernel, or remembered from what was written.
//!
//! A fold: [`ObservedTable::apply`] carries an accepted [`Batch`] forward, so that the hot path reads nothing back.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::batch::{Batch, Op, Position};
use super::chain::{Base, Chain, Ruleset, TableId};
use super::names::{ChainName, SetName};
use super::rule::Rule;
use super::set::{Element, Elements, Set, SetType};

/// A rule found in the kernel.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ObservedRule {
    /// The kernel's number for it; `None` if it was written without reading the number back.
    pub handle: Option<u64>,
    /// The rule; `None` if it says something we never write.
    pub rule: Option<Rule>,
}

/// How a chain hangs on a hook.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ObservedBase {
    /// On none.
    Regular,
    /// As we write it.
    Base(Base),
    /// In a way we never write.
    Foreign,
}

impl From<Option<Base>> for ObservedBase {
    fn from(base: Option<Base>) -> Self {
        base.map_or(Self::Regular, Self::Base)
    }
}

/// A chain found in the kernel.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ObservedChain {
    /// Its hook.
    pub base: ObservedBase,
    /// Its rules, first to last.
    pub rules: Vec<ObservedRule>,
}

/// A set found in the kernel.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ObservedSet {
    /// Its type; `None` if we never make such a set.
    pub ty: Option<Arc<SetType>>,
    /// The elements that we could have written.
    pub elements: Elements,
    /// How many others there are.
    pub foreign: usize,
}

/// Whether a table is there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Presence {
    /// It is not.
    Absent,
    /// It is.
    Present,
}

/// What the kernel holds under our table's name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ObservedTable {
    /// The table.
    pub table: TableId,
    /// Whether it exists.
    pub presence: Presence,
    /// Its chains.
    pub chains: BTreeMap<ChainName, ObservedChain>,
    /// Its named sets and maps.
    pub sets: BTreeMap<SetName, ObservedSet>,
    /// How many things it holds of kinds we never make: flowtables, named counters and the like.
    pub foreign: usize,
    /// Tables of upstream's that exist beside it.
    pub upstream: BTreeSet<TableId>,
}

/// A batch does not fit what was remembered of the table; it has to be read again.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unknown {
    /// The place of the change in its batch.
    pub op: usize,
}

/// The kernel's numbers for the rules that a batch added, by the place of the change in the batch.
pub type Handles = BTreeMap<usize, u64>;

impl ObservedTable {
    /// A table that is not there.
    pub fn absent(table: TableId) -> Self {
        Self {
            table,
            presence: Presence::Absent,
            chains: BTreeMap::new(),
            sets: BTreeMap::new(),
            foreign: 0,
            upstream: BTreeSet::new(),
        }
    }

    /// What it holds, without what we never write.
    pub fn ruleset(&self) -> Ruleset {
        let mut ruleset = Ruleset::new(self.table.clone());
        for (name, set) in &self.sets {
            if let Some(ty) = &set.ty {
                ruleset.put_set(Set {
                    name: name.clone(),
                    ty: (**ty).clone(),
                    elements: set.elements.clone(),
                });
            }
        }
        for (name, chain) in &self.chains {
            let base = match chain.base {
                ObservedBase::Regular => None,
                ObservedBase::Base(base) => Some(base),
                ObservedBase::Foreign => continue,
            };
            let rules = chain
                .rules
                .iter()
                .filter_map(|observed| observed.rule.clone())
                .collect();
            ruleset.put_chain(Chain {
                name: name.clone(),
                base,
                rules,
            });
        }
        ruleset
    }

    /// Carries a batch forward that the kernel has accepted. After an error the value means nothing.
    pub fn apply(&mut self, batch: &Batch, handles: &Handles) -> Result<(), Unknown> {
        for (index, op) in batch.ops.iter().enumerate() {
            self.apply_one(op, handles.get(&index).copied())
                .ok_or(Unknown { op: index })?;
        }
        Ok(())
    }

    fn apply_one(&mut self, op: &Op, handle: Option<u64>) -> Option<()> {
        match op {
            Op::AddTable => self.presence = Presence::Present,
            Op::DeleteTable => {
                let upstream = std::mem::take(&mut self.upstream);
                *self = Self {
                    upstream,
                    ..Self::absent(self.table.clone())
                };
            }
            Op::DeleteOther(table) => {
                self.upstream.remove(table);
            }
            Op::AddChain { chain, base } => {
                let new = ObservedChain {
                    base: (*base).into(),
                    rules: Vec::new(),
                };
                self.chains.entry(chain.clone()).or_insert(new);
            }
            Op::SetPolicy { chain, policy } => match &mut self.chains.get_mut(chain)?.base {
                ObservedBase::Base(base) => base.policy = *policy,
                ObservedBase::Regular | ObservedBase::Foreign => return None,
            },
            Op::DeleteChain(chain) => drop(self.chains.remove(chain)?),
            Op::FlushChain(chain) => self.chains.get_mut(chain)?.rules.clear(),
            Op::AddRule {
                chain,
                position,
                rule,
            } => {
                let rules = &mut self.chains.get_mut(chain)?.rules;
                let index = match position {
                    Position::End => rules.len(),
                    Position::Before(handle) => index_of(rules, *handle)?,
                    Position::After(handle) => index_of(rules, *handle)? + 1,
                };
                rules.insert(
                    index,
                    ObservedRule {
                        handle,
                        rule: Some(rule.clone()),
                    },
                );
            }
            Op::ReplaceRule {
                chain,
                handle: old,
                rule,
            } => {
                let rules = &mut self.chains.get_mut(chain)?.rules;
                let index = index_of(rules, *old)?;
                rules[index] = ObservedRule {
                    handle,
                    rule: Some(rule.clone()),
                };
            }
            Op::DeleteRule { chain, handle: old } => {
                let rules = &mut self.chains.get_mut(chain)?.rules;
                rules.remove(index_of(rules, *old)?);
            }
            Op::AddSet { set, ty } => {
                let new = ObservedSet {
                    ty: Some(ty.clone()),
                    elements: Elements::new(),
                    foreign: 0,
                };
                self.sets.entry(set.clone()).or_insert(new);
            }
            Op::DeleteSet(set) => drop(self.sets.remove(set)?),
            Op::AddElements { set, elements, .. } => {
                let new = elements
                    .iter()
                    .map(|Element { key, load }| (key.clone(), load.clone()));
                self.sets.get_mut(set)?.elements.extend(new);
            }
            Op::DeleteElements { set, keys, .. } => {
                let elements = &mut self.sets.get_mut(set)?.elements;
                for key in keys {
                    elements.remove(key)?;
                }
            }
            Op::FlushSet(set) => {
                let set = self.sets.get_mut(set)?;
                set.elements.clear();
                set.foreign = 0;
            }
        }
        Some(())
    }
}

fn index_of(rules: &[ObservedRule], handle: u64) -> Option<usize> {
    rules.iter().position(|rule| rule.handle == Some(handle))
}
