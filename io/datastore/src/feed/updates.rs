//! A feed of the model's updates: what the agent takes in.
//!
//! An object that cannot be decoded is absent, and is said once; it never stops the others. Writing it anew with the same
//! fault says nothing new.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd};

use model::Update;

use super::{Feed, FeedEvent, FeedState, FeedStats};
use crate::Entry;

/// What a typed feed says.
#[derive(Clone, Debug, PartialEq)]
pub enum UpdateEvent {
    /// One object as it is now, or its absence.
    Update(Box<Update>),
    /// An object turned out to be invalid; its absence comes as an update of its own.
    Invalid(Invalid),
    /// All that was there when the feed began has been said. It comes once.
    InSync,
}

/// An object that is treated as absent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    /// Its key in the store.
    pub key: Box<str>,
    /// What is wrong with it.
    pub problem: String,
}

/// A feed whose objects are decoded.
pub struct Updates {
    feed: Feed,
    /// What is wrong, by key, with the objects that are there and cannot be used.
    invalid: BTreeMap<Box<str>, String>,
}

impl Updates {
    /// Decodes what `feed` says.
    #[must_use]
    pub const fn new(feed: Feed) -> Self {
        Self {
            feed,
            invalid: BTreeMap::new(),
        }
    }

    /// What there is to say; see [`Feed::poll`].
    pub fn poll(&mut self) -> Vec<UpdateEvent> {
        loop {
            let said = self.feed.poll();
            let nothing = said.is_empty();
            let mut events = Vec::with_capacity(said.len());
            for event in said {
                match event {
                    FeedEvent::Put(entry) => self.put(&entry, &mut events),
                    FeedEvent::Delete { key } => self.delete(&key, &mut events),
                    FeedEvent::InSync => events.push(UpdateEvent::InSync),
                }
            }
            // Entries that mean nothing to the model leave nothing to say, and the reader would take that for the end.
            if nothing || !events.is_empty() {
                return events;
            }
        }
    }

    /// What the feed is doing.
    #[must_use]
    pub fn state(&self) -> FeedState {
        self.feed.state()
    }

    /// What the feed took.
    #[must_use]
    pub fn stats(&self) -> FeedStats {
        self.feed.stats()
    }

    /// The objects that are treated as absent, and why.
    pub fn invalid(&self) -> impl Iterator<Item = (&str, &str)> {
        self.invalid
            .iter()
            .map(|(key, problem)| (&**key, problem.as_str()))
    }

    fn put(&mut self, entry: &Entry, events: &mut Vec<UpdateEvent>) {
        match api::decode(&entry.key, &entry.value) {
            Ok(update) => {
                self.invalid.remove(&entry.key);
                events.push(UpdateEvent::Update(Box::new(update)));
            }
            Err(wrong) => {
                let problem = wrong.to_string();
                if self.invalid.get(&entry.key) != Some(&problem) {
                    self.invalid.insert(entry.key.clone(), problem.clone());
                    events.push(UpdateEvent::Invalid(Invalid {
                        key: entry.key.clone(),
                        problem,
                    }));
                }
                // It may have been valid before.
                events.extend(wrong.key.map(absent));
            }
        }
    }

    fn delete(&mut self, key: &str, events: &mut Vec<UpdateEvent>) {
        self.invalid.remove(key);
        events.extend(api::decode_absent(key).map(absent));
    }
}

fn absent(key: model::Key) -> UpdateEvent {
    UpdateEvent::Update(Box::new(Update { key, value: None }))
}

impl AsFd for Updates {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.feed.as_fd()
    }
}
