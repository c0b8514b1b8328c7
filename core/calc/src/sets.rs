//! The IP sets that active rules use, and who is in them.
//!
//! A set follows one selector or one service; every class that the selector matches puts the addresses of its things into it,
//! every slice of the service its own. Members are counted, because several things may have the same address. What was told of a set and has changed since is remembered per
//! member, so that coming and going between two drains says nothing.

use std::collections::{BTreeSet, HashMap};

use model::Protocol;
use model::selector::Selector;
use rustc_hash::FxBuildHasher;

use crate::change::{Change, Member, SetDelta, SetId, SetKind};
use crate::classes::{Classes, Pair};
use crate::intern::{Interner, Str};
use crate::items::{Body, Items};
use crate::rules::SetSpec;
use crate::selector_index::{Matches, SelectorIndex};
use crate::services::{Services, Slice};
use crate::slab::Slab;

type FxMap<K, V> = HashMap<K, V, FxBuildHasher>;

struct Set {
    id: SetId,
    kind: SetKind,
    follows: Follows,
    /// How many active policies and profiles name it. At zero it is kept until the next drain, in case it is wanted again.
    uses: u32,
    members: FxMap<Member, u32>,
    /// `None`: the set was never told.
    told: Option<Told>,
}

/// Where a set's members come from.
#[derive(Clone, Copy)]
enum Follows {
    /// The things that a selector selects; with a port of a name, their addresses with it.
    Selector(u32, Option<(Str, Option<Protocol>)>),
    /// The slices of a service.
    Service(u32),
}

/// Members that changed since the set was told: whether they were in it then.
#[derive(Default)]
struct Told {
    before: FxMap<Member, bool>,
}

impl Set {
    /// What a thing puts into the set.
    fn members_of(&self, body: &Body, out: &mut Vec<Member>) {
        match self.follows {
            Follows::Selector(_, None) => out.extend(body.net_members()),
            Follows::Selector(_, Some((name, protocol))) => {
                out.extend(body.port_members(name, protocol))
            }
            // No thing is a service's.
            Follows::Service(_) => {}
        }
    }

    fn add(&mut self, member: Member) {
        let count = self.members.entry(member).or_insert(0);
        *count += 1;
        if *count == 1
            && let Some(told) = &mut self.told
        {
            told.before.entry(member).or_insert(false);
        }
    }

    fn remove(&mut self, member: Member) {
        let Some(count) = self.members.get_mut(&member) else {
            return;
        };
        *count -= 1;
        if *count == 0 {
            self.members.remove(&member);
            if let Some(told) = &mut self.told {
                told.before.entry(member).or_insert(true);
            }
        }
    }

    /// What is to be told of the set, if anything.
    fn tell(&mut self) -> Option<Change> {
        let id = self.id.clone();
        let Some(told) = &mut self.told else {
            self.told = Some(Told::default());
            let mut members: Vec<Member> = self.members.keys().copied().collect();
            members.sort_unstable();
            return Some(Change::SetReplace {
                id,
                kind: self.kind,
                members,
            });
        };
        let mut delta = SetDelta::default();
        for (member, was_in) in std::mem::take(&mut told.before) {
            match (was_in, self.members.contains_key(&member)) {
                (false, true) => delta.added.push(member),
                (true, false) => delta.removed.push(member),
                (true, true) | (false, false) => {}
            }
        }
        delta.added.sort_unstable();
        delta.removed.sort_unstable();
        let changed = !delta.added.is_empty() || !delta.removed.is_empty();
        changed.then_some(Change::SetDelta { id, delta })
    }
}

/// All sets in use.
#[derive(Default)]
pub(crate) struct Sets {
    index: SelectorIndex,
    sets: Slab<Set>,
    by_id: FxMap<SetId, u32>,
    /// Sets that may have something to tell.
    dirty: BTreeSet<u32>,
    scratch: Vec<Member>,
}

/// What members are of.
pub(crate) struct Sources<'a> {
    pub(crate) classes: &'a Classes,
    pub(crate) items: &'a Items,
    pub(crate) services: &'a mut Services,
}

/// Whether a thing's members come or go.
#[derive(Clone, Copy)]
pub(crate) enum Step {
    Add,
    Remove,
}

impl Sets {
    /// One more use of a set, which is filled if it was not in use.
    pub(crate) fn acquire(
        &mut self,
        strings: &mut Interner,
        sources: Sources<'_>,
        id: &SetId,
        spec: &SetSpec,
    ) -> u32 {
        if let Some(&set) = self.by_id.get(id) {
            self.sets[set].uses += 1;
            return set;
        }
        let set = self.sets.insert(Set {
            id: id.clone(),
            kind: spec.kind(),
            follows: Follows::Service(u32::MAX),
            uses: 1,
            members: FxMap::default(),
            told: None,
        });
        self.by_id.insert(id.clone(), set);
        self.dirty.insert(set);
        match spec {
            SetSpec::Selected(selector) => {
                self.follow_selector(strings, &sources, set, selector, None);
            }
            SetSpec::Named(selector, port) => {
                let port = (strings.intern(&port.name), port.protocol);
                self.follow_selector(strings, &sources, set, selector, Some(port));
            }
            SetSpec::Service(service) | SetSpec::ServicePorts(service) => {
                let service = sources.services.subscribe(strings, service, set);
                self.sets[set].follows = Follows::Service(service);
                for slice in sources.services.slices(service) {
                    self.step_slice(set, slice, Step::Add);
                }
            }
        }
        set
    }

    fn follow_selector(
        &mut self,
        strings: &mut Interner,
        sources: &Sources<'_>,
        set: u32,
        selector: &Selector,
        port: Option<(Str, Option<Protocol>)>,
    ) {
        let Sources { classes, items, .. } = sources;
        let selector = self.index.subscribe(strings, classes, selector, set);
        self.sets[set].follows = Follows::Selector(selector, port);
        for class in self.index.matching_classes(selector) {
            for item in classes.class(class).items.iter() {
                self.step(set, &items.get(item).body, Step::Add);
            }
        }
    }

    /// One use less of a set.
    pub(crate) fn release(&mut self, set: u32) {
        self.sets[set].uses -= 1;
        self.dirty.insert(set);
    }

    /// A class appears; its things follow by [`Sets::add_item`].
    pub(crate) fn add_class(&mut self, strings: &Interner, class: u32, labels: &[Pair]) {
        self.index.add_class(strings, class, labels);
    }

    /// A class disappears; its things went before.
    pub(crate) fn remove_class(&mut self, class: u32, labels: &[Pair]) -> Matches {
        self.index.remove_class(class, labels)
    }

    /// A thing joins a class.
    pub(crate) fn add_item(&mut self, class: u32, body: &Body) {
        let matches = Matches::from_slice(self.index.matches(class));
        self.step_all(&matches, body, Step::Add);
    }

    /// A thing leaves a class.
    pub(crate) fn remove_item(&mut self, class: u32, body: &Body) {
        let matches = Matches::from_slice(self.index.matches(class));
        self.step_all(&matches, body, Step::Remove);
    }

    /// A class with all its things is matched by other selectors than `before`.
    pub(crate) fn reclassify(
        &mut self,
        classes: &Classes,
        items: &Items,
        class: u32,
        before: &Matches,
    ) {
        let after = Matches::from_slice(self.index.matches(class));
        let only_in = |these: &Matches, others: &Matches| -> Matches {
            these
                .iter()
                .copied()
                .filter(|at| others.binary_search(at).is_err())
                .collect()
        };
        let (gained, lost) = (only_in(&after, before), only_in(before, &after));
        if gained.is_empty() && lost.is_empty() {
            return;
        }
        for item in classes.class(class).items.iter() {
            self.step_all(&gained, &items.get(item).body, Step::Add);
            self.step_all(&lost, &items.get(item).body, Step::Remove);
        }
    }

    fn step_all(&mut self, selectors: &[u32], body: &Body, step: Step) {
        for &selector in selectors {
            let users = self.index.users(selector);
            // Nearly always one: the set of the selector itself.
            let sets: Matches = users.iter().collect();
            for set in sets {
                self.step(set, body, step);
            }
        }
    }

    fn step(&mut self, set: u32, body: &Body, step: Step) {
        let mut members = std::mem::take(&mut self.scratch);
        self.sets[set].members_of(body, &mut members);
        self.step_members(set, members, step);
    }

    /// A slice of the service that a set follows comes or goes.
    pub(crate) fn step_slice(&mut self, set: u32, slice: &Slice, step: Step) {
        let mut members = std::mem::take(&mut self.scratch);
        slice.members(self.sets[set].kind, &mut members);
        self.step_members(set, members, step);
    }

    fn step_members(&mut self, set: u32, mut members: Vec<Member>, step: Step) {
        let slot = &mut self.sets[set];
        for &member in &members {
            match step {
                Step::Add => slot.add(member),
                Step::Remove => slot.remove(member),
            }
        }
        if !members.is_empty() {
            self.dirty.insert(set);
        }
        members.clear();
        self.scratch = members;
    }

    /// Ends the sets that nobody uses and says what is to be told: what to add or change, and what to remove.
    pub(crate) fn drain(
        &mut self,
        strings: &mut Interner,
        services: &mut Services,
    ) -> (Vec<Change>, Vec<Change>) {
        let mut dirty: Vec<u32> = std::mem::take(&mut self.dirty).into_iter().collect();
        dirty.sort_unstable_by(|&left, &right| self.sets[left].id.cmp(&self.sets[right].id));
        let (mut changes, mut removals) = (Vec::new(), Vec::new());
        for set in dirty {
            if self.sets[set].uses > 0 {
                changes.extend(self.sets[set].tell());
                continue;
            }
            let ended = self.sets.remove(set);
            match ended.follows {
                Follows::Selector(selector, port) => {
                    self.index.unsubscribe(strings, selector, set);
                    port.iter().for_each(|&(name, _)| strings.release(name));
                }
                Follows::Service(service) => services.unsubscribe(strings, service, set),
            }
            self.by_id.remove(&ended.id);
            if ended.told.is_some() {
                removals.push(Change::SetRemove(ended.id));
            }
        }
        (changes, removals)
    }

    /// How many sets and how many members there are.
    pub(crate) fn size(&self) -> (usize, usize) {
        let members = self
            .by_id
            .values()
            .map(|&set| self.sets[set].members.len())
            .sum();
        (self.sets.len(), members)
    }

    pub(crate) fn selector_count(&self) -> usize {
        self.index.selector_count()
    }

    /// Whether nothing at all is kept.
    pub(crate) fn is_empty(&self) -> bool {
        self.sets.len() == 0
            && self.by_id.is_empty()
            && self.dirty.is_empty()
            && self.index.is_empty()
    }
}
