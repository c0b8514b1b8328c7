//! Following a store for good: what is there, then what changes, whatever happens to the store meanwhile.
//!
//! A feed lists, watches from there, and heals itself: a lost watch is begun again where it ended; where that is not possible
//! any more the feed lists again and says only the difference. It never blocks in [`Feed::poll`] on a network, and its
//! descriptor says when to poll.

mod listed;
mod poller;
mod pushed;
mod updates;

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

pub use pushed::{Pushed, Pusher, pushed};
pub use updates::{Invalid, UpdateEvent, Updates};

use crate::watch::{readable, wait};
use crate::{Datastore, Entry};
pub(crate) use listed::Listed;

/// What a feed says. It starts from nothing: all that is there comes as `Put`, then `InSync`, then changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FeedEvent {
    /// The key holds this value.
    Put(Entry),
    /// The key is gone.
    Delete {
        /// The key.
        key: Box<str>,
    },
    /// All that was there when the feed began has been said. It comes once.
    InSync,
}

/// What a feed is doing, for logs and health.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FeedState {
    /// It waits for the store's first answer.
    Connecting,
    /// It reads everything.
    Listing,
    /// It says all changes as they are made.
    InSync,
    /// It hears nothing for now, and tries again.
    Retrying {
        /// What went wrong.
        why: String,
        /// Since when.
        since: Instant,
    },
}

/// How often a feed had to do what it would rather not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FeedStats {
    /// Full listings, the first one among them.
    pub lists: u64,
    /// Failures that were retried.
    pub failures: u64,
}

/// A store, followed.
pub struct Feed {
    source: FeedSource,
}

enum FeedSource {
    Listed(Box<Listed>),
    Pushed(Pushed),
}

impl Feed {
    /// Follows keys that begin with any of `prefixes` by listing and watching.
    pub(crate) fn listing<S>(store: &S, prefixes: &[&str]) -> io::Result<Self>
    where
        S: Datastore + Clone + 'static,
    {
        let listed = Listed::new(store.clone(), prefixes)?;
        Ok(Self {
            source: FeedSource::Listed(Box::new(listed)),
        })
    }

    /// A feed of a store that follows itself.
    #[must_use]
    pub const fn pushed(source: Pushed) -> Self {
        Self {
            source: FeedSource::Pushed(source),
        }
    }

    /// What there is to say, in part or in whole; nothing if there is none now. Never waits for a network. Call it until it
    /// gives nothing before waiting for the descriptor.
    pub fn poll(&mut self) -> Vec<FeedEvent> {
        match &mut self.source {
            FeedSource::Listed(source) => source.poll(),
            FeedSource::Pushed(source) => source.poll(),
        }
    }

    /// What the feed is doing. It changes during `poll` only.
    #[must_use]
    pub fn state(&self) -> FeedState {
        match &self.source {
            FeedSource::Listed(source) => source.state(),
            FeedSource::Pushed(source) => source.state(),
        }
    }

    /// What it took.
    #[must_use]
    pub fn stats(&self) -> FeedStats {
        match &self.source {
            FeedSource::Listed(source) => source.stats(),
            FeedSource::Pushed(source) => source.stats(),
        }
    }

    /// What there is to say, waited for at most `timeout`; empty if there was nothing in that time.
    ///
    /// # Errors
    /// The kernel does not let us wait.
    pub fn next(&mut self, timeout: Duration) -> io::Result<Vec<FeedEvent>> {
        let deadline = Instant::now() + timeout;
        loop {
            let events = self.poll();
            let left = deadline.saturating_duration_since(Instant::now());
            if !events.is_empty() || left.is_zero() {
                return Ok(events);
            }
            wait(self.as_fd(), left)?;
        }
    }

    /// What there is to say, never empty. Needs a tokio runtime with its IO driver. Cancel-safe.
    ///
    /// # Errors
    /// The runtime does not let us wait.
    pub async fn recv(&mut self) -> io::Result<Vec<FeedEvent>> {
        loop {
            let events = self.poll();
            if !events.is_empty() {
                return Ok(events);
            }
            readable(self.as_fd()).await?;
        }
    }
}

/// Readable when [`Feed::poll`] may have something to say, or to do.
impl AsFd for Feed {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.source {
            FeedSource::Listed(source) => source.as_fd(),
            FeedSource::Pushed(source) => source.as_fd(),
        }
    }
}

#[cfg(test)]
mod tests;
