//! A store in memory that answers queries and makes commits, whole or write by write, and can answer from the past.

use std::collections::{BTreeMap, VecDeque};

use ipam::{Change, Entry, Expect, Query, Revision, Write};
use model::{Cidr, Key, Resource};

type Objects = BTreeMap<Key, (Resource, Revision)>;

/// How many earlier states are kept to be read as stale.
const PAST: usize = 4;

#[derive(Default)]
pub(crate) struct Store {
    objects: Objects,
    past: VecDeque<Objects>,
    revision: u64,
}

/// The writes of a commit that is made one by one.
pub(crate) struct Commit {
    writes: VecDeque<Write>,
    written: BTreeMap<Key, Revision>,
}

impl Commit {
    pub(crate) fn new(writes: Vec<Write>) -> Commit {
        Commit {
            writes: writes.into(),
            written: BTreeMap::new(),
        }
    }
}

/// What became of the next write of a commit.
pub(crate) enum Progress {
    More,
    Finished,
    Refused,
}

impl Store {
    pub(crate) fn insert(&mut self, key: Key, value: Resource) {
        self.revision += 1;
        self.objects.insert(key, (value, Revision(self.revision)));
    }

    /// Remembers the present, to be read later as stale.
    pub(crate) fn remember(&mut self) {
        self.past.push_front(self.objects.clone());
        self.past.truncate(PAST);
    }

    pub(crate) fn all(&self) -> Vec<Entry> {
        self.objects.iter().map(entry).collect()
    }

    /// Answers queries from `age` states ago.
    pub(crate) fn read(&self, queries: &[Query], age: usize) -> Vec<Entry> {
        let objects = age
            .checked_sub(1)
            .and_then(|at| self.past.get(at))
            .unwrap_or(&self.objects);
        let wanted = |key: &Key| queries.iter().any(|query| is_wanted(query, key, objects));
        objects
            .iter()
            .filter(|(key, _)| wanted(key))
            .map(entry)
            .collect()
    }

    fn holds(&self, write: &Write, written: &BTreeMap<Key, Revision>) -> bool {
        let found = self.objects.get(&write.key).map(|(_, revision)| *revision);
        match write.expect {
            Expect::Absent => found.is_none(),
            Expect::Unchanged(revision) => found == Some(revision),
            Expect::AsWritten => found.is_some() && found == written.get(&write.key).copied(),
        }
    }

    fn make(&mut self, write: Write) -> Revision {
        self.revision += 1;
        let revision = Revision(self.revision);
        match write.change {
            Change::Put(value) => {
                self.objects.insert(write.key, (value, revision));
            }
            Change::Delete => {
                self.objects.remove(&write.key);
            }
        }
        revision
    }

    /// Makes all writes or none.
    pub(crate) fn commit(&mut self, writes: Vec<Write>) -> bool {
        let writes = ipam::merge(writes);
        if !writes
            .iter()
            .all(|write| self.holds(write, &BTreeMap::new()))
        {
            return false;
        }
        for write in writes {
            self.make(write);
        }
        true
    }

    /// Makes the next write of a commit.
    pub(crate) fn proceed(&mut self, commit: &mut Commit) -> Progress {
        let Some(write) = commit.writes.pop_front() else {
            return Progress::Finished;
        };
        if !self.holds(&write, &commit.written) {
            return Progress::Refused;
        }
        let key = write.key.clone();
        let revision = self.make(write);
        commit.written.insert(key, revision);
        if commit.writes.is_empty() {
            Progress::Finished
        } else {
            Progress::More
        }
    }
}

fn entry((key, (value, revision)): (&Key, &(Resource, Revision))) -> Entry {
    Entry {
        key: key.clone(),
        value: Some(value.clone()),
        revision: *revision,
    }
}

fn is_wanted(query: &Query, key: &Key, objects: &Objects) -> bool {
    match (query, key) {
        (Query::Key(wanted), key) => wanted == key,
        (Query::Pools, Key::IpPool(_))
        | (Query::Reservations, Key::IpReservation(_))
        | (Query::AllBlocks, Key::Block(_))
        | (Query::AllAffinities, Key::Affinity(_))
        | (Query::AllHandles, Key::Handle(_)) => true,
        (Query::OwnBlocks(owner), Key::Affinity(id)) => id.owner == *owner,
        (Query::OwnBlocks(owner), Key::Block(block)) => {
            let id = model::AffinityId {
                owner: owner.clone(),
                block: *block,
            };
            objects.contains_key(&Key::Affinity(id))
        }
        (Query::HandleBlocks(wanted), Key::Handle(id)) => wanted == id,
        (Query::HandleBlocks(wanted), Key::Block(block)) => names(objects, wanted, *block),
        (Query::Blocks(cidr), Key::Block(block)) => cidr.overlaps(*block),
        _ => false,
    }
}

fn names(objects: &Objects, handle: &str, block: Cidr) -> bool {
    match objects.get(&Key::Handle(handle.into())) {
        Some((Resource::Handle(handle), _)) => handle.blocks.contains_key(&block),
        _ => false,
    }
}
