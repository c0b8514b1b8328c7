//! Labels, shared: things with the same own labels and the same profiles are one class, and selectors are tried on classes.
//!
//! A class's effective labels are its own and those its profiles lend it; own labels win, then the earlier profile's.
//! Fed by [`crate::graph`]; looked into by [`crate::selector_index`].

use std::collections::HashMap;
use std::hash::BuildHasher as _;
use std::sync::Arc;

use hashbrown::HashTable;
use model::{Labels, Profile};
use rustc_hash::FxBuildHasher;

use crate::idset::IdSet;
use crate::intern::{Interner, Str};
use crate::slab::Slab;

/// A label: key and value.
pub(crate) type Pair = (Str, Str);

/// Things that no selector can tell apart.
pub(crate) struct Class {
    /// Own labels, sorted.
    own: Box<[Pair]>,
    /// Profiles, in order.
    pub(crate) profiles: Box<[Str]>,
    /// The things.
    pub(crate) items: IdSet,
    /// Those of them that are this node's endpoints.
    pub(crate) locals: IdSet,
}

/// A profile that exists or that some class names.
#[derive(Default)]
pub(crate) struct ProfileSlot {
    pub(crate) value: Option<Arc<Profile>>,
    labels: Box<[Pair]>,
    pub(crate) classes: IdSet,
    /// How many of the classes have endpoints of this node.
    pub(crate) local_classes: u32,
}

/// All classes and profiles.
#[derive(Default)]
pub(crate) struct Classes {
    classes: Slab<Class>,
    by_content: HashTable<u32>,
    profiles: HashMap<Str, ProfileSlot, FxBuildHasher>,
}

/// What [`Classes::enter`] found.
pub(crate) struct Entered {
    pub(crate) class: u32,
    /// Whether the class was made just now.
    pub(crate) is_new: bool,
}

impl Classes {
    /// The class of things with these labels and profiles, made if need be. It lives until [`Classes::leave`] finds it empty.
    pub(crate) fn enter(
        &mut self,
        strings: &mut Interner,
        labels: &Labels,
        profiles: &[Box<str>],
    ) -> Entered {
        let own = intern_labels(strings, labels);
        let profiles: Box<[Str]> = profiles.iter().map(|name| strings.intern(name)).collect();
        let hash = content_hash(&own, &profiles);
        let same = |&class: &u32| {
            let class = &self.classes[class];
            class.own == own && class.profiles == profiles
        };
        if let Some(&class) = self.by_content.find(hash, same) {
            release_pairs(strings, &own);
            profiles.iter().for_each(|&name| strings.release(name));
            return Entered {
                class,
                is_new: false,
            };
        }
        let class = Class {
            own,
            profiles,
            items: IdSet::default(),
            locals: IdSet::default(),
        };
        let names = class.profiles.clone();
        let index = self.classes.insert(class);
        let classes = &self.classes;
        self.by_content.insert_unique(hash, index, |&other| {
            let other = &classes[other];
            content_hash(&other.own, &other.profiles)
        });
        for name in names {
            let slot = self.profiles.entry(name).or_insert_with(|| {
                strings.retain(name);
                ProfileSlot::default()
            });
            slot.classes.insert(index);
        }
        Entered {
            class: index,
            is_new: true,
        }
    }

    /// Forgets the class, which must be empty and in no index.
    pub(crate) fn leave(&mut self, strings: &mut Interner, index: u32) {
        let class = self.classes.remove(index);
        if let Ok(entry) = self
            .by_content
            .find_entry(content_hash(&class.own, &class.profiles), |&other| {
                other == index
            })
        {
            entry.remove();
        }
        for &name in &class.profiles {
            if let Some(slot) = self.profiles.get_mut(&name) {
                slot.classes.remove(index);
            }
            self.forget_profile_if_unused(strings, name);
            strings.release(name);
        }
        release_pairs(strings, &class.own);
    }

    pub(crate) fn class(&self, class: u32) -> &Class {
        &self.classes[class]
    }

    pub(crate) fn class_mut(&mut self, class: u32) -> &mut Class {
        &mut self.classes[class]
    }

    pub(crate) fn profile(&self, name: Str) -> Option<&ProfileSlot> {
        self.profiles.get(&name)
    }

    pub(crate) fn profile_mut(&mut self, name: Str) -> Option<&mut ProfileSlot> {
        self.profiles.get_mut(&name)
    }

    /// Whether a profile with this value would lend its classes other labels than it does.
    pub(crate) fn lends_otherwise(
        &self,
        strings: &Interner,
        name: Str,
        value: Option<&Profile>,
    ) -> bool {
        let lent = self
            .profiles
            .get(&name)
            .map_or(&[][..], |slot| &slot.labels);
        let Some(value) = value else {
            return !lent.is_empty();
        };
        let is_lent = |key: &str, value: &str| {
            let pair = strings.find(key).zip(strings.find(value));
            pair.is_some_and(|pair| lent.binary_search(&pair).is_ok())
        };
        value.labels.len() != lent.len()
            || !value.labels.iter().all(|(key, value)| is_lent(key, value))
    }

    /// Gives the profile its value. The labels it lends change with it: its classes must be out of every index meanwhile.
    pub(crate) fn set_profile(
        &mut self,
        strings: &mut Interner,
        name: &str,
        value: Option<Arc<Profile>>,
    ) {
        let name = strings.intern(name);
        let labels = value
            .as_deref()
            .map(|value| intern_labels(strings, &value.labels))
            .unwrap_or_default();
        let slot = self.profiles.entry(name).or_insert_with(|| {
            strings.retain(name);
            ProfileSlot::default()
        });
        slot.value = value;
        release_pairs(strings, &std::mem::replace(&mut slot.labels, labels));
        self.forget_profile_if_unused(strings, name);
        strings.release(name);
    }

    fn forget_profile_if_unused(&mut self, strings: &mut Interner, name: Str) {
        let unused = self
            .profiles
            .get(&name)
            .is_some_and(|slot| slot.value.is_none() && slot.classes.is_empty());
        if unused {
            self.profiles.remove(&name);
            strings.release(name);
        }
    }

    /// The value of an effective label.
    pub(crate) fn label(&self, class: u32, key: Str) -> Option<Str> {
        let class = &self.classes[class];
        let lent = class
            .profiles
            .iter()
            .filter_map(|name| self.profiles.get(name))
            .map(|slot| &slot.labels);
        std::iter::once(&class.own)
            .chain(lent)
            .find_map(|labels| value_in(labels, key))
    }

    /// All effective labels, sorted, into `labels`.
    pub(crate) fn effective_labels(&self, class: u32, labels: &mut Vec<Pair>) {
        labels.clear();
        let class = &self.classes[class];
        labels.extend_from_slice(&class.own);
        for slot in class
            .profiles
            .iter()
            .filter_map(|name| self.profiles.get(name))
        {
            for &(key, value) in &slot.labels {
                if labels.iter().all(|&(known, _)| known != key) {
                    labels.push((key, value));
                }
            }
        }
        labels.sort_unstable();
    }

    pub(crate) fn len(&self) -> usize {
        self.classes.len()
    }

    pub(crate) fn profile_count(&self) -> usize {
        self.profiles.len()
    }
}

/// The value of `key` among sorted labels.
pub(crate) fn value_in(labels: &[Pair], key: Str) -> Option<Str> {
    labels
        .binary_search_by_key(&key, |&(key, _)| key)
        .ok()
        .map(|place| labels[place].1)
}

fn intern_labels(strings: &mut Interner, labels: &Labels) -> Box<[Pair]> {
    let mut pairs: Box<[Pair]> = labels
        .iter()
        .map(|(key, value)| (strings.intern(key), strings.intern(value)))
        .collect();
    pairs.sort_unstable();
    pairs
}

fn release_pairs(strings: &mut Interner, pairs: &[Pair]) {
    for &(key, value) in pairs {
        strings.release(key);
        strings.release(value);
    }
}

fn content_hash(own: &[Pair], profiles: &[Str]) -> u64 {
    FxBuildHasher.hash_one((own, profiles))
}
