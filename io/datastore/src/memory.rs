//! The plain meaning of a datastore: an ordered map and the list of what happened to it.
//!
//! For tests, for offline work over files, and as the model the other stores are tested against.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use rustix::event::{EventfdFlags, eventfd};

use crate::seam::{Capabilities, Datastore, Entry, Query, Revision, Snapshot, Stats};
use crate::watch::{Source, Watch};
use crate::write::{Effect, validate, validate_key};
use crate::{CommitError, Event, ReadError, WatchError, Write};

/// How many commits a watch may fall behind before it must list again.
const KEEP_COMMITS: u64 = 10_000;

/// A store in this process's memory. Clones share it.
#[derive(Clone, Default)]
pub struct MemoryStore {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    revision: Revision,
    compacted: Revision,
    current: BTreeMap<Box<str>, (Revision, Vec<u8>)>,
    log: VecDeque<Event>,
    watchers: Vec<Weak<OwnedFd>>,
    stats: Stats,
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Forgets all changes but the last `keep` commits; watches behind that get [`Event::Resync`].
    pub fn compact(&self, keep: u64) {
        self.lock().compact(keep);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No code under this lock leaves the state half changed, so a panic elsewhere does not spoil it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Datastore for MemoryStore {
    async fn read(&self, queries: &[Query]) -> Result<Snapshot, ReadError> {
        let mut state = self.lock();
        state.stats.reads += 1;
        state.read(queries)
    }

    async fn commit(&self, writes: &[Write]) -> Result<Revision, CommitError> {
        let mut state = self.lock();
        state.stats.commits += 1;
        state.commit(writes)
    }

    async fn watch(&self, prefixes: &[&str], from: Revision) -> Result<Watch, WatchError> {
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK);
        let wake = Arc::new(wake.map_err(|errno| WatchError::Wait(errno.into()))?);
        let mut state = self.lock();
        state.stats.watches += 1;
        state.watchers.push(Arc::downgrade(&wake));
        Ok(Watch::new(MemorySource {
            store: self.clone(),
            prefixes: prefixes.iter().map(|&prefix| prefix.into()).collect(),
            position: from,
            lost: None,
            wake,
        }))
    }

    fn stats(&self) -> Stats {
        self.lock().stats
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::LOCAL
    }
}

impl State {
    fn read(&self, queries: &[Query]) -> Result<Snapshot, ReadError> {
        let mut found = BTreeMap::new();
        for query in queries {
            match query {
                Query::Key(key) => {
                    validate_key(key)?;
                    found.extend(self.current.get_key_value(key.as_str()));
                }
                Query::Prefix(prefix) => {
                    let from = (Bound::Included(prefix.as_str()), Bound::Unbounded);
                    found.extend(
                        self.current
                            .range::<str, _>(from)
                            .take_while(|(key, _)| key.starts_with(prefix)),
                    );
                }
            }
        }
        let entries = found
            .into_iter()
            .map(|(key, (revision, value))| Entry {
                key: key.clone(),
                value: value.clone(),
                revision: *revision,
            })
            .collect();
        Ok(Snapshot {
            revision: self.revision,
            entries,
        })
    }

    fn commit(&mut self, writes: &[Write]) -> Result<Revision, CommitError> {
        validate(writes, Capabilities::LOCAL)?;
        for write in writes {
            write.permit(self.current.get(&write.key).map(|(revision, _)| *revision))?;
        }
        let revision = Revision::new(self.revision.get() + 1);
        for write in writes {
            self.apply(write, revision);
        }
        if self.revision.get() > self.compacted.get() + 2 * KEEP_COMMITS {
            self.compact(KEEP_COMMITS);
        }
        self.wake();
        Ok(self.revision)
    }

    fn apply(&mut self, write: &Write, revision: Revision) {
        let key = write.key.clone();
        let event = match write.effect() {
            Effect::Keep => return,
            // A `Put` or `Create` stores; only a present key can be removed, as the condition has shown.
            Effect::Store(value) => {
                self.current.insert(key.clone(), (revision, value.to_vec()));
                Event::Put(Entry {
                    key,
                    value: value.to_vec(),
                    revision,
                })
            }
            Effect::Remove => {
                self.current.remove(&key);
                Event::Delete { key, revision }
            }
        };
        self.revision = revision;
        self.log.push_back(event);
    }

    fn compact(&mut self, keep: u64) {
        let limit = Revision::new(self.revision.get().saturating_sub(keep)).max(self.compacted);
        self.compacted = limit;
        while self
            .log
            .front()
            .is_some_and(|event| revision_of(event) <= limit)
        {
            self.log.pop_front();
        }
        self.wake();
    }

    /// Wakes every watch, and forgets those that are gone.
    fn wake(&mut self) {
        self.watchers.retain(|watcher| {
            let Some(fd) = watcher.upgrade() else {
                return false;
            };
            // The only refusal is a counter near its limit, and then the descriptor is readable already.
            let _ = rustix::io::write(&*fd, &1_u64.to_ne_bytes());
            true
        });
    }
}

fn revision_of(event: &Event) -> Revision {
    match event {
        Event::Put(entry) => entry.revision,
        Event::Delete { revision, .. } => *revision,
        Event::Resync { compacted } => *compacted,
    }
}

/// One watch's place in the log.
struct MemorySource {
    store: MemoryStore,
    prefixes: Vec<Box<str>>,
    position: Revision,
    /// What was missed, once anything was: the watch is over then.
    lost: Option<Revision>,
    wake: Arc<OwnedFd>,
}

impl Source for MemorySource {
    fn revision(&self) -> Revision {
        self.position
    }

    fn drain(&mut self) -> Result<Vec<Event>, WatchError> {
        // Emptied before looking: what comes in after the look makes it readable again.
        let _ = rustix::io::read(&*self.wake, &mut [0; 8]);
        let state = self.store.lock();
        if self.position < state.compacted || self.position > state.revision {
            self.lost.get_or_insert(state.compacted);
        }
        if let Some(compacted) = self.lost {
            return Ok(vec![Event::Resync { compacted }]);
        }
        let start = state
            .log
            .partition_point(|event| revision_of(event) <= self.position);
        let events = state
            .log
            .iter()
            .skip(start)
            .filter(|event| self.wants(event))
            .cloned()
            .collect();
        self.position = state.revision;
        Ok(events)
    }
}

impl MemorySource {
    fn wants(&self, event: &Event) -> bool {
        let key = match event {
            Event::Put(entry) => &entry.key,
            Event::Delete { key, .. } => key,
            Event::Resync { .. } => return true,
        };
        self.prefixes.is_empty()
            || self
                .prefixes
                .iter()
                .any(|prefix| key.starts_with(&**prefix))
    }
}

impl AsFd for MemorySource {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }
}
