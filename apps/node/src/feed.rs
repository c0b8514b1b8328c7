//! The datastore as a stream of updates: list once, watch from there, and list again with a diff when the watch was too slow.
//!
//! An object that cannot be decoded is absent for the graph and said once in the log; it never stops the others.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd};

use anyhow::Context as _;
use datastore::{AnyStore, Datastore, Entry, Event, Watch, block_on_ready};
use model::{Key, Update};

/// Where all objects are that the agent cares for.
const PREFIX: &str = "/calico/resources/v3/";

/// The feed of one store.
pub struct Feed {
    watch: Watch,
    /// What was told to be there, by store key.
    known: BTreeMap<Box<str>, Key>,
}

/// A store's objects as they are now.
pub struct Listed {
    /// The feed, from that moment on.
    pub feed: Feed,
    /// One update for each object.
    pub updates: Vec<Update>,
}

impl Feed {
    /// Reads all objects and begins to watch.
    ///
    /// # Errors
    /// The store cannot be read or watched.
    pub fn open(store: &AnyStore) -> anyhow::Result<Listed> {
        let snapshot = ready(store.list(PREFIX)).context("failed to list the datastore")?;
        let watch = ready(store.watch(&[PREFIX], snapshot.revision))
            .context("failed to watch the datastore")?;
        let mut feed = Feed {
            watch,
            known: BTreeMap::new(),
        };
        let mut updates = Vec::new();
        for entry in snapshot.entries {
            feed.put(&entry, &mut updates);
        }
        Ok(Listed { feed, updates })
    }

    /// What changed since this was last asked. Never blocks.
    ///
    /// # Errors
    /// The store cannot be read any more; the feed may be asked again.
    pub fn poll(&mut self, store: &AnyStore) -> anyhow::Result<Vec<Update>> {
        let mut updates = Vec::new();
        loop {
            let events = self
                .watch
                .try_next()
                .context("failed to follow the datastore")?;
            if events.is_empty() {
                return Ok(updates);
            }
            for event in events {
                match event {
                    Event::Put(entry) => self.put(&entry, &mut updates),
                    Event::Delete { key, .. } => self.delete(&key, &mut updates),
                    Event::Resync { compacted } => {
                        tracing::info!(%compacted, "the datastore forgot changes; listing it again");
                        self.resync(store, &mut updates)?;
                        return Ok(updates);
                    }
                }
            }
        }
    }

    fn resync(&mut self, store: &AnyStore, updates: &mut Vec<Update>) -> anyhow::Result<()> {
        let Listed { feed, updates: now } = Feed::open(store)?;
        for (store_key, key) in &self.known {
            if !feed.known.contains_key(store_key) {
                updates.push(Update {
                    key: key.clone(),
                    value: None,
                });
            }
        }
        updates.extend(now);
        *self = feed;
        Ok(())
    }

    fn put(&mut self, entry: &Entry, updates: &mut Vec<Update>) {
        match api::decode(&entry.key, &entry.value) {
            Ok(update) => {
                self.known.insert(entry.key.clone(), update.key.clone());
                updates.push(update);
            }
            Err(invalid) => {
                tracing::warn!(key = %entry.key, problem = %invalid, "object is invalid and treated as absent");
                self.delete(&entry.key, updates);
            }
        }
    }

    fn delete(&mut self, store_key: &str, updates: &mut Vec<Update>) {
        if let Some(key) = self.known.remove(store_key) {
            updates.push(Update { key, value: None });
        }
    }
}

impl AsFd for Feed {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.watch.as_fd()
    }
}

fn ready<T>(future: impl Future<Output = T>) -> T {
    block_on_ready(future)
}
