//! The trait every store implements, and the values that cross it.
//!
//! Callers above decode and encode; stores below keep bytes. Everything here is a plain value, so that a store can be
//! swapped for another without its callers noticing.

use std::future::Future;
use std::time::Duration;
use std::{fmt, io};

use crate::{CommitError, Feed, ReadError, Watch, WatchError, Write};

/// A point in the total order of commits of one store. Zero is the empty store, before the first commit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision(u64);

impl Revision {
    /// The empty store, before its first commit.
    pub const ZERO: Self = Self(0);

    /// The revision numbered `number`, as found in an object's `resourceVersion`.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number, as written into an object's `resourceVersion`.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One key with its value, and the revision of its last modification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The full key, such as `/calico/resources/v3/projectcalico.org/ippools/default`.
    pub key: Box<str>,
    /// The stored bytes, as written.
    pub value: Vec<u8>,
    /// The commit that wrote this value. It is what `Update` and `Delete` compare with.
    pub revision: Revision,
}

/// What to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Query {
    /// One key, exactly.
    Key(String),
    /// All keys that begin with this; the empty prefix is everything.
    Prefix(String),
}

impl Query {
    /// Reads one key.
    pub fn key(key: impl Into<String>) -> Self {
        Self::Key(key.into())
    }

    /// Reads all keys that begin with `prefix`.
    pub fn prefix(prefix: impl Into<String>) -> Self {
        Self::Prefix(prefix.into())
    }
}

/// The answer to a read: a consistent picture of one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// The last commit this picture includes: where a watch continues from.
    pub revision: Revision,
    /// Sorted by key, each key once, even if several queries name it.
    pub entries: Vec<Entry>,
}

impl Snapshot {
    /// The entry of `key`, if it was asked for and exists.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Entry> {
        let at = self
            .entries
            .binary_search_by(|entry| (*entry.key).cmp(key))
            .ok()?;
        self.entries.get(at)
    }

    /// The entries whose key begins with `prefix`, in order.
    #[must_use]
    pub fn with_prefix(&self, prefix: &str) -> &[Entry] {
        let start = self.entries.partition_point(|entry| &*entry.key < prefix);
        let rest = &self.entries[start..];
        &rest[..rest.partition_point(|entry| entry.key.starts_with(prefix))]
    }
}

/// How many requests a store handle has made: what a remote store would have charged a round trip for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Calls of `read`, and of the helpers that read.
    pub reads: u64,
    /// Calls of `commit`, and of the helpers that write.
    pub commits: u64,
    /// Watches begun.
    pub watches: u64,
}

impl Stats {
    /// All requests together.
    #[must_use]
    pub const fn requests(self) -> u64 {
        self.reads + self.commits + self.watches
    }
}

/// What a store can do beyond the least that all can.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// What a commit of several writes is.
    pub commit: CommitMode,
    /// Whether it takes [`Write::put_for`].
    pub lifetimes: Lifetimes,
    /// What reading a whole range costs beside a second request.
    pub ranges: Ranges,
    /// Over what time those who must list again spread it, so that a store many follow is not asked by all at once.
    pub relist_spread: Duration,
}

/// What a commit of several writes is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommitMode {
    /// One transaction: all or nothing.
    Transaction {
        /// So many writes at most.
        at_most: usize,
    },
    /// One after the other in the order given, stopping at the first that fails: what was written before stays.
    OneByOne,
}

/// What reading a whole range costs beside a second request for the few keys of it that are needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ranges {
    /// Less: the store is on this machine.
    Cheap,
    /// More: everything read crosses a network, from a server that many ask.
    Dear,
}

/// Whether a store removes keys on its own when their time is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifetimes {
    /// It does.
    Kept,
    /// It cannot, and refuses such a write.
    Refused,
}

impl Capabilities {
    /// What a store on this machine can do.
    pub(crate) const LOCAL: Self = Self {
        commit: CommitMode::Transaction {
            at_most: crate::MAX_WRITES,
        },
        lifetimes: Lifetimes::Refused,
        ranges: Ranges::Cheap,
        relist_spread: Duration::ZERO,
    };
}

/// A store of keys with one total order of commits.
///
/// The futures of [`EmbeddedStore`](crate::EmbeddedStore) and [`MemoryStore`](crate::MemoryStore) do their work and
/// complete on the first poll, so [`block_on_ready`](crate::block_on_ready) drives them without a runtime; a durable
/// commit blocks for a disk flush meanwhile, so a latency-sensitive task hands it to a thread.
pub trait Datastore: Send + Sync {
    /// Reads all `queries` in one consistent snapshot, by one request.
    fn read(&self, queries: &[Query]) -> impl Future<Output = Result<Snapshot, ReadError>> + Send;

    /// Makes all `writes` or none, in one transaction, by one request; returns the revision of that commit. A store whose
    /// [`CommitMode`] is `OneByOne` makes them in the order given until one fails, and returns the last one's revision.
    ///
    /// Conditions are tested in the order given, and the first that fails is the error. Writes that only check, or no
    /// writes at all, make no new revision: the answer is the current one.
    fn commit(
        &self,
        writes: &[Write],
    ) -> impl Future<Output = Result<Revision, CommitError>> + Send;

    /// Follows all changes after `from` to keys that begin with any of `prefixes` (none given: to every key).
    fn watch(
        &self,
        prefixes: &[&str],
        from: Revision,
    ) -> impl Future<Output = Result<Watch, WatchError>> + Send;

    /// The requests made through this handle.
    fn stats(&self) -> Stats;

    /// What this store can do.
    fn capabilities(&self) -> Capabilities;

    /// Follows all keys that begin with any of `prefixes` (none given: every key) for good: what is there, then what
    /// changes, through every failure of the store. Nothing is asked of the store before the feed is polled.
    ///
    /// # Errors
    /// The process has no descriptor left.
    fn follow(&self, prefixes: &[&str]) -> io::Result<Feed>
    where
        Self: Clone + Sized + 'static,
    {
        Feed::listing(self, prefixes)
    }

    /// Reads one key.
    fn get(&self, key: &str) -> impl Future<Output = Result<Option<Entry>, ReadError>> + Send {
        let query = [Query::key(key)];
        async move { Ok(self.read(&query).await?.entries.pop()) }
    }

    /// Reads all keys that begin with `prefix`.
    fn list(&self, prefix: &str) -> impl Future<Output = Result<Snapshot, ReadError>> + Send {
        let query = [Query::prefix(prefix)];
        async move { self.read(&query).await }
    }

    /// Writes a key that must not exist yet.
    fn create(
        &self,
        key: &str,
        value: Vec<u8>,
    ) -> impl Future<Output = Result<Revision, CommitError>> + Send {
        let write = [Write::create(key, value)];
        async move { self.commit(&write).await }
    }

    /// Replaces the value of a key last modified at `expected`.
    fn update(
        &self,
        key: &str,
        value: Vec<u8>,
        expected: Revision,
    ) -> impl Future<Output = Result<Revision, CommitError>> + Send {
        let write = [Write::update(key, value, expected)];
        async move { self.commit(&write).await }
    }

    /// Removes a key, if given one only if it was last modified at `expected`.
    fn delete(
        &self,
        key: &str,
        expected: Option<Revision>,
    ) -> impl Future<Output = Result<Revision, CommitError>> + Send {
        let write = [Write::delete(key, expected)];
        async move { self.commit(&write).await }
    }
}
