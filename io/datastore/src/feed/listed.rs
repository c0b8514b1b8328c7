//! The feed of stores that can be listed and watched: a machine of four states over `read` and `watch`.
//!
//! What it holds for each object is its key, its revision and a fingerprint of its value: enough to say the difference
//! after a second listing.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use super::poller::Poller;
use super::{FeedEvent, FeedState, FeedStats};
use crate::remote::{Backoff, Trouble};
use crate::{
    Capabilities, Datastore, Entry, Event, Query, ReadError, Revision, Snapshot, Watch, WatchError,
};

type Answer<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// A feed over listing and watching.
pub(crate) struct Listed {
    store: Box<dyn Followed>,
    step: Step,
    poller: Poller,
    /// What was said to be there.
    known: BTreeMap<Box<str>, Seen>,
    backoff: Backoff,
    trouble: Option<Trouble>,
    answered: Answered,
    stats: FeedStats,
}

/// What is remembered of an object: enough to know it again.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Seen {
    revision: Revision,
    value: u64,
}

impl Seen {
    fn of(entry: &Entry) -> Self {
        Self {
            revision: entry.revision,
            value: BuildHasherDefault::<DefaultHasher>::default().hash_one(&entry.value),
        }
    }
}

/// Whether the store was ever listed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Answered {
    NotYet,
    Listed,
}

enum Step {
    Listing(Answer<Result<Snapshot, ReadError>>),
    Watching(Answer<Result<Watch, WatchError>>),
    Following(Box<Watch>),
    Waiting { until: Instant, then: Then },
}

#[derive(Clone, Copy)]
enum Then {
    List,
    WatchFrom(Revision),
}

/// A store that can be followed, whatever its type.
trait Followed: Send {
    fn list(&self) -> Answer<Result<Snapshot, ReadError>>;
    fn watch(&self, from: Revision) -> Answer<Result<Watch, WatchError>>;
    fn capabilities(&self) -> Capabilities;
}

struct Held<S> {
    store: S,
    prefixes: Vec<String>,
}

impl<S: Datastore + Clone + 'static> Followed for Held<S> {
    fn list(&self) -> Answer<Result<Snapshot, ReadError>> {
        let (store, prefixes) = (self.store.clone(), self.prefixes.clone());
        Box::pin(async move {
            let mut queries: Vec<_> = prefixes.into_iter().map(Query::prefix).collect();
            if queries.is_empty() {
                queries.push(Query::prefix(""));
            }
            store.read(&queries).await
        })
    }

    fn watch(&self, from: Revision) -> Answer<Result<Watch, WatchError>> {
        let (store, prefixes) = (self.store.clone(), self.prefixes.clone());
        Box::pin(async move {
            let prefixes: Vec<_> = prefixes.iter().map(String::as_str).collect();
            store.watch(&prefixes, from).await
        })
    }

    fn capabilities(&self) -> Capabilities {
        self.store.capabilities()
    }
}

impl Listed {
    pub(crate) fn new<S>(store: S, prefixes: &[&str]) -> io::Result<Self>
    where
        S: Datastore + Clone + 'static,
    {
        let prefixes = prefixes.iter().map(|&prefix| prefix.into()).collect();
        let store = Box::new(Held { store, prefixes });
        let poller = Poller::new()?;
        // Readable from the first moment: there is a listing to be begun.
        poller.waker().wake();
        Ok(Self {
            step: Step::Waiting {
                until: Instant::now(),
                then: Then::List,
            },
            store,
            poller,
            known: BTreeMap::new(),
            backoff: Backoff::default(),
            trouble: None,
            answered: Answered::NotYet,
            stats: FeedStats::default(),
        })
    }

    pub(crate) fn state(&self) -> FeedState {
        if let Some(Trouble { why, since }) = self.trouble.clone() {
            return FeedState::Retrying { why, since };
        }
        match (&self.step, self.answered) {
            (Step::Following(watch), _) => match watch.trouble() {
                Some(Trouble { why, since }) => FeedState::Retrying { why, since },
                None => FeedState::InSync,
            },
            (_, Answered::NotYet) => FeedState::Connecting,
            (_, Answered::Listed) => FeedState::Listing,
        }
    }

    pub(crate) const fn stats(&self) -> FeedStats {
        self.stats
    }

    pub(crate) fn poll(&mut self) -> Vec<FeedEvent> {
        self.poller.clear();
        loop {
            let mut events = Vec::new();
            let turned = self.turn(&mut events);
            if !events.is_empty() || turned == Turn::Waits {
                return events;
            }
        }
    }

    /// One step, if it can be taken now.
    fn turn(&mut self, events: &mut Vec<FeedEvent>) -> Turn {
        let waker = self.poller.waker();
        let context = &mut Context::from_waker(&waker);
        match &mut self.step {
            Step::Waiting { until, then } => {
                let (until, then) = (*until, *then);
                let left = until.saturating_duration_since(Instant::now());
                if !left.is_zero() {
                    return self.wait_for(left);
                }
                self.step = match then {
                    Then::List => {
                        self.stats.lists += 1;
                        Step::Listing(self.store.list())
                    }
                    Then::WatchFrom(from) => Step::Watching(self.store.watch(from)),
                };
            }
            Step::Listing(answer) => match answer.as_mut().poll(context) {
                Poll::Pending => return Turn::Waits,
                Poll::Ready(Ok(snapshot)) => self.listed(snapshot, events),
                Poll::Ready(Err(error)) => self.failed(&error),
            },
            Step::Watching(answer) => match answer.as_mut().poll(context) {
                Poll::Pending => return Turn::Waits,
                Poll::Ready(Ok(watch)) => match self.poller.add(watch.as_fd()) {
                    Ok(()) => self.step = Step::Following(Box::new(watch)),
                    Err(error) => self.failed(&error),
                },
                Poll::Ready(Err(error)) => self.failed(&error),
            },
            Step::Following(watch) => match watch.try_next() {
                Ok(changes) if changes.is_empty() => {
                    if watch.trouble().is_none() {
                        self.well();
                    }
                    return Turn::Waits;
                }
                Ok(changes) => {
                    self.well();
                    self.take(changes, events);
                }
                Err(error) => self.failed(&error),
            },
        }
        Turn::Goes
    }

    fn wait_for(&mut self, left: Duration) -> Turn {
        match self.poller.wake_after(left) {
            Ok(()) => Turn::Waits,
            // Without a timer the reader's next look is when it goes on.
            Err(error) => {
                tracing::error!(%error, "failed to set a timer for the datastore's next attempt");
                Turn::Waits
            }
        }
    }

    /// Says the difference between what was known and what is there.
    fn listed(&mut self, snapshot: Snapshot, events: &mut Vec<FeedEvent>) {
        let Snapshot { revision, entries } = snapshot;
        let mut gone = std::mem::take(&mut self.known);
        for entry in entries {
            let seen = Seen::of(&entry);
            let before = gone.remove(&entry.key);
            self.known.insert(entry.key.clone(), seen);
            if before != Some(seen) {
                events.push(FeedEvent::Put(entry));
            }
        }
        events.extend(gone.into_keys().map(|key| FeedEvent::Delete { key }));
        if std::mem::replace(&mut self.answered, Answered::Listed) == Answered::NotYet {
            events.push(FeedEvent::InSync);
        }
        self.step = Step::Waiting {
            until: Instant::now(),
            then: Then::WatchFrom(revision),
        };
    }

    fn take(&mut self, changes: Vec<Event>, events: &mut Vec<FeedEvent>) {
        for change in changes {
            match change {
                Event::Put(entry) => {
                    self.known.insert(entry.key.clone(), Seen::of(&entry));
                    events.push(FeedEvent::Put(entry));
                }
                Event::Delete { key, .. } => {
                    if self.known.remove(&key).is_some() {
                        events.push(FeedEvent::Delete { key });
                    }
                }
                Event::Resync { compacted } => {
                    tracing::info!(%compacted, "the datastore forgot changes; listing it again");
                    // Many who lose their watch at the same moment do not list at the same moment.
                    let spread = self.store.capabilities().relist_spread;
                    self.step = Step::Waiting {
                        until: Instant::now() + self.backoff.up_to(spread),
                        then: Then::List,
                    };
                    return;
                }
            }
        }
    }

    /// A watch over a network heals itself; one that fails is of a file that is gone, and its successor may be another store
    /// altogether, which only a listing shows.
    fn failed(&mut self, error: &dyn std::error::Error) {
        self.stats.failures += 1;
        let since = self
            .trouble
            .take()
            .map_or_else(Instant::now, |trouble| trouble.since);
        self.trouble = Some(Trouble {
            why: crate::error::chain(error),
            since,
        });
        self.step = Step::Waiting {
            until: Instant::now() + self.backoff.after_failure(),
            then: Then::List,
        };
    }

    fn well(&mut self) {
        self.trouble = None;
        self.backoff.reset();
    }
}

/// Whether another step may be taken at once.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Turn {
    Goes,
    Waits,
}

impl AsFd for Listed {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.poller.as_fd()
    }
}
