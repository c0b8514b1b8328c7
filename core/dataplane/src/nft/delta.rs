//! A change of some chains and sets, for the hot path: it costs what it touches, however large the table is.
//!
//! A fold: the `put_*` and `remove_*` methods collect, later ones overriding earlier ones; [`Delta::plan`] answers the
//! batch against what is remembered of the table.

use std::collections::{BTreeMap, BTreeSet};

use super::batch::Batch;
use super::chain::{Chain, Ruleset};
use super::names::{ChainName, SetName};
use super::observed::ObservedTable;
use super::plan::{Conflict, Steps, rebuild};
use super::set::{Element, Elements, Key, Set};

/// What becomes of one set.
#[derive(Clone, PartialEq, Eq, Debug)]
enum SetDelta {
    /// It shall be this.
    Put(Set),
    /// It shall not be.
    Remove,
    /// Some of its elements change; a key is in one of both only.
    Elements {
        put: Elements,
        remove: BTreeSet<Key>,
    },
}

/// Chains and sets to put, change and remove.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Delta {
    chains: BTreeMap<ChainName, Option<Chain>>,
    sets: BTreeMap<SetName, SetDelta>,
}

impl Delta {
    /// No change.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether nothing was collected.
    pub fn is_empty(&self) -> bool {
        self.chains.is_empty() && self.sets.is_empty()
    }

    /// The chain shall be this.
    pub fn put_chain(&mut self, chain: Chain) {
        self.chains.insert(chain.name.clone(), Some(chain));
    }

    /// The chain shall not be. What leads to it must go in the same delta or be gone.
    pub fn remove_chain(&mut self, chain: impl Into<ChainName>) {
        self.chains.insert(chain.into(), None);
    }

    /// The set shall be this.
    pub fn put_set(&mut self, set: Set) {
        self.sets.insert(set.name.clone(), SetDelta::Put(set));
    }

    /// The set shall not be. Rules that look it up must go in the same delta or be gone.
    pub fn remove_set(&mut self, set: impl Into<SetName>) {
        self.sets.insert(set.into(), SetDelta::Remove);
    }

    /// The set shall have this element. Without effect on a set that is removed or was never put.
    pub fn put_element(&mut self, set: impl Into<SetName>, element: Element) {
        match self.entry(set.into()) {
            SetDelta::Put(set) => set.insert(element),
            SetDelta::Remove => {}
            SetDelta::Elements { put, remove } => {
                remove.remove(&element.key);
                put.insert(element.key, element.load);
            }
        }
    }

    /// The set shall not have this element.
    pub fn remove_element(&mut self, set: impl Into<SetName>, key: Key) {
        match self.entry(set.into()) {
            SetDelta::Put(set) => {
                set.elements.remove(&key);
            }
            SetDelta::Remove => {}
            SetDelta::Elements { put, remove } => {
                put.remove(&key);
                remove.insert(key);
            }
        }
    }

    fn entry(&mut self, set: SetName) -> &mut SetDelta {
        self.sets.entry(set).or_insert_with(|| SetDelta::Elements {
            put: Elements::new(),
            remove: BTreeSet::new(),
        })
    }

    /// The changes it takes from the table as it is remembered; none for what is so already.
    pub fn plan(&self, observed: &ObservedTable) -> Batch {
        match self.compare(observed) {
            Ok(steps) => steps.into_batch(observed),
            Err(Conflict) => {
                let mut ruleset = observed.ruleset();
                self.apply_to(&mut ruleset);
                rebuild(&ruleset, observed)
            }
        }
    }

    /// The same change of a whole ruleset.
    pub fn apply_to(&self, ruleset: &mut Ruleset) {
        for (name, delta) in &self.sets {
            match delta {
                SetDelta::Put(set) => ruleset.put_set(set.clone()),
                SetDelta::Remove => drop(ruleset.sets.remove(name)),
                SetDelta::Elements { put, remove } => {
                    if let Some(set) = ruleset.sets.get_mut(name) {
                        set.elements.retain(|key, _| !remove.contains(key));
                        set.elements.extend(put.clone());
                    }
                }
            }
        }
        for (name, chain) in &self.chains {
            match chain {
                Some(chain) => ruleset.put_chain(chain.clone()),
                None => drop(ruleset.chains.remove(name)),
            }
        }
    }

    fn compare(&self, observed: &ObservedTable) -> Result<Steps, Conflict> {
        let mut steps = Steps::default();
        for (name, delta) in &self.sets {
            let present = observed.sets.get(name);
            match (delta, present) {
                (SetDelta::Put(set), present) => steps.set(set, present)?,
                (SetDelta::Remove, Some(_)) => steps.remove_set(name),
                (SetDelta::Remove | SetDelta::Elements { .. }, None) => {}
                (SetDelta::Elements { put, remove }, Some(present)) => {
                    let Some(ty) = &present.ty else {
                        return Err(Conflict);
                    };
                    let replaced = put.iter().filter(|(key, load)| {
                        present
                            .elements
                            .get(*key)
                            .is_some_and(|present| present != *load)
                    });
                    let removed = remove
                        .iter()
                        .filter(|key| present.elements.contains_key(*key));
                    let keys = removed
                        .chain(replaced.map(|(key, _)| key))
                        .cloned()
                        .collect();
                    let missing = put
                        .iter()
                        .filter(|(key, load)| present.elements.get(*key) != Some(*load));
                    let missing = missing.map(|(key, load)| Element {
                        key: key.clone(),
                        load: load.clone(),
                    });
                    steps.remove_elements(name, ty, keys);
                    steps.add_elements(name, ty, missing.collect());
                }
            }
        }
        for (name, chain) in &self.chains {
            match chain {
                Some(chain) => steps.chain(chain, observed)?,
                None if observed.chains.contains_key(name) => steps.remove_chain(name, observed),
                None => {}
            }
        }
        Ok(steps)
    }
}
