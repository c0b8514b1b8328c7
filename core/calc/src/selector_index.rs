//! Who matches whom: selectors against classes of labels, kept up to date from both sides.
//!
//! A selector hangs at a label that any match must have ([`Anchor`]); a class is listed under each of its labels. So a new class
//! meets only the selectors at its labels, and a new selector only the classes under its anchor. The graph has two such
//! indexes: policies against classes with endpoints of this node, and rule selectors in use against all classes.

use std::collections::HashMap;

use model::selector::Selector;
use rustc_hash::FxBuildHasher;
use smallvec::SmallVec;

use crate::classes::{Classes, Pair, value_in};
use crate::condition::{Anchor, Condition};
use crate::idset::IdSet;
use crate::intern::{Interner, Str};
use crate::slab::Slab;

type FxMap<K, V> = HashMap<K, V, FxBuildHasher>;

/// The selectors that match a class, sorted.
pub(crate) type Matches = SmallVec<[u32; 4]>;

struct Entry {
    selector: Selector,
    condition: Condition,
    anchor: Anchor,
    users: IdSet,
    /// How many classes match.
    matches: u32,
}

/// Selectors, classes, and which match.
#[derive(Default)]
pub(crate) struct SelectorIndex {
    entries: Slab<Entry>,
    by_selector: FxMap<Selector, u32>,
    at_value: FxMap<Pair, IdSet>,
    at_key: FxMap<Str, IdSet>,
    anywhere: IdSet,
    classes: IdSet,
    listed: FxMap<Str, FxMap<Str, IdSet>>,
    matches: FxMap<u32, Matches>,
}

impl SelectorIndex {
    /// Takes in a class with its effective labels. Its matches are then in [`SelectorIndex::matches`].
    pub(crate) fn add_class(&mut self, strings: &Interner, class: u32, labels: &[Pair]) {
        self.classes.insert(class);
        let mut found = Matches::new();
        let entries = &self.entries;
        let mut try_all = |selectors: &IdSet| {
            let label = |key| value_in(labels, key);
            found.extend(
                selectors
                    .iter()
                    .filter(|&at| entries[at].condition.holds(strings, &label)),
            );
        };
        try_all(&self.anywhere);
        for &(key, value) in labels {
            self.listed
                .entry(key)
                .or_default()
                .entry(value)
                .or_default()
                .insert(class);
            if let Some(selectors) = self.at_key.get(&key) {
                try_all(selectors);
            }
            if let Some(selectors) = self.at_value.get(&(key, value)) {
                try_all(selectors);
            }
        }
        found.sort_unstable();
        for &at in &found {
            self.entries[at].matches += 1;
        }
        if !found.is_empty() {
            self.matches.insert(class, found);
        }
    }

    /// Forgets a class; `labels` as they were when it was added. Returns what matched it.
    pub(crate) fn remove_class(&mut self, class: u32, labels: &[Pair]) -> Matches {
        self.classes.remove(class);
        for &(key, value) in labels {
            let Some(values) = self.listed.get_mut(&key) else {
                continue;
            };
            if let Some(classes) = values.get_mut(&value) {
                classes.remove(class);
                if classes.is_empty() {
                    values.remove(&value);
                }
            }
            if values.is_empty() {
                self.listed.remove(&key);
            }
        }
        let matched = self.matches.remove(&class).unwrap_or_default();
        for &at in &matched {
            self.entries[at].matches -= 1;
        }
        matched
    }

    /// The selectors that match a class.
    pub(crate) fn matches(&self, class: u32) -> &[u32] {
        self.matches.get(&class).map_or(&[], |matches| matches)
    }

    /// How many classes a selector matches.
    pub(crate) fn match_count(&self, at: u32) -> u32 {
        self.entries[at].matches
    }

    /// Who uses a selector.
    pub(crate) fn users(&self, at: u32) -> &IdSet {
        &self.entries[at].users
    }

    /// Makes `user` a user of the selector, which is taken in if nobody used it before.
    pub(crate) fn subscribe(
        &mut self,
        strings: &mut Interner,
        classes: &Classes,
        selector: &Selector,
        user: u32,
    ) -> u32 {
        if let Some(&at) = self.by_selector.get(selector) {
            self.entries[at].users.insert(user);
            return at;
        }
        let condition = Condition::new(strings, selector.expr());
        let anchor = Anchor::choose(selector, strings, |anchor| self.cost(anchor));
        let mut users = IdSet::default();
        users.insert(user);
        let matching: Vec<u32> = self
            .candidates(&anchor)
            .filter(|&class| condition.holds(strings, &|key| classes.label(class, key)))
            .collect();
        let matches = u32::try_from(matching.len()).expect("classes are named by u32");
        let at = self.entries.insert(Entry {
            selector: selector.clone(),
            condition,
            anchor: anchor.clone(),
            users,
            matches,
        });
        self.by_selector.insert(selector.clone(), at);
        self.hang(&anchor, |selectors| {
            selectors.insert(at);
        });
        for class in matching {
            let matches = self.matches.entry(class).or_default();
            let place = matches.binary_search(&at).unwrap_or_else(|place| place);
            matches.insert(place, at);
        }
        at
    }

    /// The classes that the selector matches.
    pub(crate) fn matching_classes(&self, at: u32) -> Vec<u32> {
        let is_match = |class: &u32| self.matches(*class).binary_search(&at).is_ok();
        self.candidates(&self.entries[at].anchor)
            .filter(is_match)
            .collect()
    }

    /// Ends the use of a selector; the last user takes it away.
    pub(crate) fn unsubscribe(&mut self, strings: &mut Interner, at: u32, user: u32) {
        let entry = &mut self.entries[at];
        entry.users.remove(user);
        if !entry.users.is_empty() {
            return;
        }
        for class in self.matching_classes(at) {
            let Some(matches) = self.matches.get_mut(&class) else {
                continue;
            };
            matches.retain(|selector| *selector != at);
            if matches.is_empty() {
                self.matches.remove(&class);
            }
        }
        let entry = self.entries.remove(at);
        self.by_selector.remove(&entry.selector);
        self.hang(&entry.anchor, |selectors| {
            selectors.remove(at);
        });
        entry.condition.release(strings);
    }

    /// Does something with each list of selectors that an anchor stands for; lists that end up empty are dropped.
    fn hang(&mut self, anchor: &Anchor, mut change: impl FnMut(&mut IdSet)) {
        match anchor {
            Anchor::Nowhere => {}
            Anchor::Anywhere => change(&mut self.anywhere),
            Anchor::Key(key) => {
                let selectors = self.at_key.entry(*key).or_default();
                change(selectors);
                if selectors.is_empty() {
                    self.at_key.remove(key);
                }
            }
            Anchor::Values(key, values) => {
                for &value in values {
                    let selectors = self.at_value.entry((*key, value)).or_default();
                    change(selectors);
                    if selectors.is_empty() {
                        self.at_value.remove(&(*key, value));
                    }
                }
            }
        }
    }

    /// The classes that could match a selector with this anchor.
    fn candidates<'a>(&'a self, anchor: &'a Anchor) -> Box<dyn Iterator<Item = u32> + 'a> {
        match anchor {
            Anchor::Nowhere => Box::new(std::iter::empty()),
            Anchor::Anywhere => Box::new(self.classes.iter()),
            Anchor::Key(key) => Box::new(
                self.listed
                    .get(key)
                    .into_iter()
                    .flat_map(|values| values.values())
                    .flat_map(IdSet::iter),
            ),
            Anchor::Values(key, values) => {
                let listed = self.listed.get(key);
                let lists = values.iter().filter_map(move |value| listed?.get(value));
                Box::new(lists.flat_map(IdSet::iter))
            }
        }
    }

    /// How much work an anchor makes: classes to try, and selectors that hang there already. The latter spreads selectors
    /// like `app == 'web' && namespace == 'n'` over the namespaces before a single class is known.
    fn cost(&self, anchor: &Anchor) -> usize {
        match anchor {
            Anchor::Nowhere => 0,
            Anchor::Anywhere => usize::MAX,
            // Any value will do: worse than a few values, unless the label is rare.
            Anchor::Key(key) => {
                let selectors = self.at_key.get(key).map_or(0, IdSet::len);
                let values = self.listed.get(key).map_or(0, FxMap::len);
                16 + selectors + 16 * values
            }
            Anchor::Values(key, values) => {
                let listed = self.listed.get(key);
                let cost = |value: &Str| {
                    let selectors = self.at_value.get(&(*key, *value)).map_or(0, IdSet::len);
                    let classes = listed
                        .and_then(|values| values.get(value))
                        .map_or(0, IdSet::len);
                    1 + selectors + classes
                };
                values.iter().map(cost).sum()
            }
        }
    }

    pub(crate) fn selector_count(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing at all is kept.
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.len() == 0
            && self.by_selector.is_empty()
            && self.at_value.is_empty()
            && self.at_key.is_empty()
            && self.anywhere.is_empty()
            && self.classes.is_empty()
            && self.listed.is_empty()
            && self.matches.is_empty()
    }
}
