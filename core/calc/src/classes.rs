//! Labels, shared: things with the same own labels and the same profiles are one class, and selectors are tried on classes.
//!
//! A class's effective labels are its own and those its profiles lend it; own labels win, then the earlier profile's.
//! Fed by [`crate::graph`]; looked into by [`crate::selector_index`].

use std::collections::{HashMap, HashSet};
use std::hash::BuildHasher as _;
use std::sync::Arc;

use hashbrown::HashTable;
use model::{Labels, Profile, Rule};
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
}

/// The rules of a profile. Profiles of namespaces have the same ones, so they are kept once.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct ProfileRules {
    pub(crate) ingress: Vec<Rule>,
    pub(crate) egress: Vec<Rule>,
}

/// A profile that exists or that some class names.
#[derive(Default)]
pub(crate) struct ProfileSlot {
    pub(crate) rules: Option<Arc<ProfileRules>>,
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
    rules: HashSet<Arc<ProfileRules>, FxBuildHasher>,
    /// The things of a class that are this node's endpoints.
    locals: HashMap<u32, IdSet, FxBuildHasher>,
    scratch: Scratch,
}

/// Buffers for what is looked up before it is known whether it must be kept.
#[derive(Default)]
struct Scratch {
    own: Vec<Pair>,
    profiles: Vec<Str>,
}

/// In what a profile differs from what is known of it.
pub(crate) enum Difference {
    Nothing,
    Rules,
    /// At least in the labels.
    Labels,
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
        let Scratch {
            own,
            profiles: names,
        } = &mut self.scratch;
        intern_labels(strings, labels, own);
        names.clear();
        names.extend(profiles.iter().map(|name| strings.intern(name)));
        let hash = content_hash(own, names);
        let same = |&class: &u32| {
            let class = &self.classes[class];
            *class.own == **own && *class.profiles == **names
        };
        if let Some(&class) = self.by_content.find(hash, same) {
            release_pairs(strings, own);
            names.iter().for_each(|&name| strings.release(name));
            return Entered {
                class,
                is_new: false,
            };
        }
        let class = Class {
            own: own.as_slice().into(),
            profiles: names.as_slice().into(),
            items: IdSet::default(),
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

    /// The things of a class that are this node's endpoints.
    pub(crate) fn locals(&self, class: u32) -> impl Iterator<Item = u32> + '_ {
        self.locals.get(&class).into_iter().flat_map(IdSet::iter)
    }

    /// Whether a class has endpoints of this node.
    pub(crate) fn is_local(&self, class: u32) -> bool {
        self.locals.contains_key(&class)
    }

    pub(crate) fn add_local(&mut self, class: u32, item: u32) {
        self.locals.entry(class).or_default().insert(item);
    }

    pub(crate) fn remove_local(&mut self, class: u32, item: u32) {
        let Some(locals) = self.locals.get_mut(&class) else {
            return;
        };
        locals.remove(item);
        if locals.is_empty() {
            self.locals.remove(&class);
        }
    }

    pub(crate) fn profile(&self, name: Str) -> Option<&ProfileSlot> {
        self.profiles.get(&name)
    }

    pub(crate) fn profile_mut(&mut self, name: Str) -> Option<&mut ProfileSlot> {
        self.profiles.get_mut(&name)
    }

    /// What differs between a profile as it is known and as it is to be.
    pub(crate) fn compare_profile(
        &self,
        strings: &Interner,
        name: &str,
        profile: Option<&Profile>,
    ) -> Difference {
        let slot = strings.find(name).and_then(|name| self.profiles.get(&name));
        let lent = slot.map_or(&[][..], |slot| &slot.labels);
        let is_lent = |key: &str, value: &str| {
            let pair = strings.find(key).zip(strings.find(value));
            pair.is_some_and(|pair| lent.binary_search(&pair).is_ok())
        };
        let same_labels = match profile {
            Some(profile) => {
                profile.labels.len() == lent.len()
                    && profile
                        .labels
                        .iter()
                        .all(|(key, value)| is_lent(key, value))
            }
            None => lent.is_empty(),
        };
        if !same_labels {
            return Difference::Labels;
        }
        let same_rules = match (slot.and_then(|slot| slot.rules.as_ref()), profile) {
            (None, None) => true,
            (Some(rules), Some(profile)) => {
                rules.ingress == profile.ingress && rules.egress == profile.egress
            }
            (None, Some(_)) | (Some(_), None) => false,
        };
        if same_rules {
            Difference::Nothing
        } else {
            Difference::Rules
        }
    }

    /// Gives the profile its value. The labels it lends change with it: its classes must be out of every index meanwhile.
    pub(crate) fn set_profile(
        &mut self,
        strings: &mut Interner,
        name: &str,
        profile: Option<&Profile>,
    ) {
        let name = strings.intern(name);
        let mut labels = Vec::new();
        if let Some(profile) = profile {
            intern_labels(strings, &profile.labels, &mut labels);
        }
        let rules = profile.map(|profile| self.share_rules(profile));
        let slot = self.profiles.entry(name).or_insert_with(|| {
            strings.retain(name);
            ProfileSlot::default()
        });
        let before = std::mem::replace(&mut slot.rules, rules);
        release_pairs(strings, &std::mem::replace(&mut slot.labels, labels.into()));
        self.unshare_rules(before);
        self.forget_profile_if_unused(strings, name);
        strings.release(name);
    }

    fn share_rules(&mut self, profile: &Profile) -> Arc<ProfileRules> {
        let Profile {
            ingress,
            egress,
            labels: _,
        } = profile;
        let rules = ProfileRules {
            ingress: ingress.clone(),
            egress: egress.clone(),
        };
        if let Some(known) = self.rules.get(&rules) {
            return known.clone();
        }
        let rules = Arc::new(rules);
        self.rules.insert(rules.clone());
        rules
    }

    fn unshare_rules(&mut self, rules: Option<Arc<ProfileRules>>) {
        // One reference is the table's, one is ours.
        if let Some(rules) = rules.filter(|rules| Arc::strong_count(rules) == 2) {
            self.rules.remove(&rules);
        }
    }

    fn forget_profile_if_unused(&mut self, strings: &mut Interner, name: Str) {
        let unused = self
            .profiles
            .get(&name)
            .is_some_and(|slot| slot.rules.is_none() && slot.classes.is_empty());
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

    /// Whether nothing at all is kept.
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
            && self.by_content.is_empty()
            && self.profiles.is_empty()
            && self.rules.is_empty()
            && self.locals.is_empty()
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

/// The labels, sorted, into `pairs`.
fn intern_labels(strings: &mut Interner, labels: &Labels, pairs: &mut Vec<Pair>) {
    pairs.clear();
    pairs.extend(
        labels
            .iter()
            .map(|(key, value)| (strings.intern(key), strings.intern(value))),
    );
    pairs.sort_unstable();
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
