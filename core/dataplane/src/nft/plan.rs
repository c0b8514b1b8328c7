//! The way from what a table holds to what it should hold, in an order the kernel accepts: a batch changes all at once,
//! but within it a reference must exist before its referrer and may go only after it.

use std::sync::Arc;

use super::batch::{Batch, Op};
use super::chain::{Chain, Ruleset};
use super::edits;
use super::names::{ChainName, SetName};
use super::observed::{ObservedBase, ObservedSet, ObservedTable, Presence};
use super::set::{Element, Elements, Key, Set, SetType};

/// The changes that turn the observed table into the desired one; none if they are equal. What is not desired, whoever
/// put it there, is removed, and so are upstream's tables.
pub fn diff(desired: &Ruleset, observed: &ObservedTable) -> Batch {
    match compare(desired, observed) {
        Ok(steps) => steps.into_batch(observed),
        Err(Conflict) => rebuild(desired, observed),
    }
}

fn compare(desired: &Ruleset, observed: &ObservedTable) -> Result<Steps, Conflict> {
    if observed.foreign > 0 {
        return Err(Conflict);
    }
    let mut steps = Steps::default();
    for (name, set) in &desired.sets {
        steps.set(set, observed.sets.get(name))?;
    }
    for chain in desired.chains.values() {
        steps.chain(chain, observed)?;
    }
    for name in observed
        .sets
        .keys()
        .filter(|name| !desired.sets.contains_key(*name))
    {
        steps.remove_set(name);
    }
    for name in observed
        .chains
        .keys()
        .filter(|name| !desired.chains.contains_key(*name))
    {
        steps.remove_chain(name, observed);
    }
    Ok(steps)
}

/// The changes that make the table anew.
pub(crate) fn rebuild(desired: &Ruleset, observed: &ObservedTable) -> Batch {
    let mut empty = ObservedTable::absent(observed.table.clone());
    empty.upstream.clone_from(&observed.upstream);
    let mut batch = diff(desired, &empty);
    if observed.presence == Presence::Present {
        batch.ops.insert(0, Op::DeleteTable);
    }
    batch
}

/// Something exists under the name of another kind and would have to go before it can come: the table is made anew.
#[derive(Debug)]
pub(crate) struct Conflict;

/// Changes by the phase they belong to.
#[derive(Default)]
pub(crate) struct Steps {
    add_sets: Vec<Op>,
    add_chains: Vec<Op>,
    remove_elements: Vec<Op>,
    add_elements: Vec<Op>,
    rules: Vec<Op>,
    flush_stale: Vec<Op>,
    delete_sets: Vec<Op>,
    delete_chains: Vec<Op>,
}

impl Steps {
    pub(crate) fn set(
        &mut self,
        desired: &Set,
        observed: Option<&ObservedSet>,
    ) -> Result<(), Conflict> {
        let ty = match observed {
            None => {
                let ty = Arc::new(desired.ty.clone());
                self.add_sets.push(Op::AddSet {
                    set: desired.name.clone(),
                    ty: ty.clone(),
                });
                ty
            }
            Some(ObservedSet { ty: Some(ty), .. }) if **ty == desired.ty => ty.clone(),
            Some(_) => return Err(Conflict),
        };
        let nothing = Elements::new();
        let present = observed.map_or(&nothing, |observed| &observed.elements);
        let stale: Vec<Key> = present
            .iter()
            .filter(|(key, load)| desired.elements.get(*key) != Some(*load))
            .map(|(key, _)| key.clone())
            .collect();
        let foreign = observed.is_some_and(|observed| observed.foreign > 0);
        let flush = foreign || (stale.len() > 1 && stale.len() == present.len());
        let present = if flush { &nothing } else { present };
        let missing: Vec<Element> = desired
            .elements
            .iter()
            .filter(|(key, load)| present.get(*key) != Some(*load))
            .map(|(key, load)| Element {
                key: key.clone(),
                load: load.clone(),
            })
            .collect();
        if flush {
            self.remove_elements
                .push(Op::FlushSet(desired.name.clone()));
        } else {
            self.remove_elements(&desired.name, &ty, stale);
        }
        self.add_elements(&desired.name, &ty, missing);
        Ok(())
    }

    pub(crate) fn add_elements(
        &mut self,
        set: &SetName,
        ty: &Arc<SetType>,
        elements: Vec<Element>,
    ) {
        if !elements.is_empty() {
            self.add_elements.push(Op::AddElements {
                set: set.clone(),
                ty: ty.clone(),
                elements,
            });
        }
    }

    pub(crate) fn remove_elements(&mut self, set: &SetName, ty: &Arc<SetType>, keys: Vec<Key>) {
        if !keys.is_empty() {
            self.remove_elements.push(Op::DeleteElements {
                set: set.clone(),
                ty: ty.clone(),
                keys,
            });
        }
    }

    pub(crate) fn remove_set(&mut self, set: &SetName) {
        self.delete_sets.push(Op::DeleteSet(set.clone()));
    }

    pub(crate) fn chain(
        &mut self,
        desired: &Chain,
        observed: &ObservedTable,
    ) -> Result<(), Conflict> {
        let name = &desired.name;
        let Some(present) = observed.chains.get(name) else {
            self.add_chains.push(Op::AddChain {
                chain: name.clone(),
                base: desired.base,
            });
            self.rules.extend(edits::between(name, &desired.rules, &[]));
            return Ok(());
        };
        match (desired.base, present.base) {
            (None, ObservedBase::Regular) => {}
            (Some(base), ObservedBase::Base(observed)) if base == observed => {}
            (Some(base), ObservedBase::Base(observed)) if base == observed.policy(base.policy) => {
                self.add_chains.push(Op::SetPolicy {
                    chain: name.clone(),
                    policy: base.policy,
                });
            }
            (
                None | Some(_),
                ObservedBase::Regular | ObservedBase::Base(_) | ObservedBase::Foreign,
            ) => {
                return Err(Conflict);
            }
        }
        self.rules
            .extend(edits::between(name, &desired.rules, &present.rules));
        Ok(())
    }

    pub(crate) fn remove_chain(&mut self, chain: &ChainName, observed: &ObservedTable) {
        if observed
            .chains
            .get(chain)
            .is_some_and(|chain| !chain.rules.is_empty())
        {
            self.flush_stale.push(Op::FlushChain(chain.clone()));
        }
        self.delete_chains.push(Op::DeleteChain(chain.clone()));
    }

    pub(crate) fn into_batch(self, observed: &ObservedTable) -> Batch {
        let mut batch = Batch::new(observed.table.clone());
        batch
            .ops
            .extend(observed.upstream.iter().cloned().map(Op::DeleteOther));
        if observed.presence == Presence::Absent {
            batch.ops.push(Op::AddTable);
        }
        let Self {
            add_sets,
            add_chains,
            remove_elements,
            add_elements,
            rules,
            flush_stale,
            delete_sets,
            delete_chains,
        } = self;
        for phase in [
            add_sets,
            add_chains,
            remove_elements,
            add_elements,
            rules,
            flush_stale,
            delete_sets,
            delete_chains,
        ] {
            batch.ops.extend(phase);
        }
        batch
    }
}
