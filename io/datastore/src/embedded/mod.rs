//! The store in one file: SQLite in WAL mode as a log of revisions, open to several processes at once.
//!
//! A commit takes the file's write lock, tests its conditions, appends to the log, flushes to the disk, and touches the
//! file so that watches wake. Callers in one process that wait for the lock together are committed together, by one
//! flush. Every call looks whether the file is still the one that was opened.

mod backup;
mod commit;
mod compact;
mod failure;
mod files;
mod notify;
mod read;
mod restore;
mod schema;
mod session;
mod watch;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Duration;

pub use backup::{BackupError, BackupReport};
pub use restore::RestoreReport;
use watch::EmbeddedSource;

use crate::seam::{Capabilities, Datastore, Query, Revision, Snapshot, Stats};
use crate::watch::Watch;
use crate::{CommitError, ReadError, StorageError, WatchError, Write};
use commit::Queue;
use session::{Access, Slot};

/// Where the embedded store lives unless told otherwise.
pub const DEFAULT_PATH: &str = "/var/lib/calico/datastore.db";

/// How a store behaves; all but the last is for an embedded one.
#[derive(Clone, Debug)]
pub struct Options {
    /// What to do if there is no file yet.
    pub missing: Missing,
    /// How long to wait for another process to give up the write lock.
    pub lock_timeout: Duration,
    /// How many commits a watch may fall behind before it must list again.
    pub keep_commits: u64,
    /// What the last process to close the file leaves behind.
    pub close: Close,
    /// How long a request to a store behind a network may take, whatever is tried for it.
    pub request_timeout: Duration,
}

/// What the last process to close the file leaves behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Close {
    /// One file, with everything in it: a few flushes, but only for the last one.
    Fold,
    /// The write-ahead log as it is, at no cost; the next to open the store reads it. For processes that must be quick.
    Leave,
}

/// What to do if there is no file yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// Make the file, and its directory.
    Create,
    /// Fail.
    Refuse,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            missing: Missing::Create,
            lock_timeout: Duration::from_secs(10),
            keep_commits: 4096,
            close: Close::Fold,
            request_timeout: Duration::from_secs(10),
        }
    }
}

/// A store in one file. Clones share its connections.
#[derive(Clone)]
pub struct EmbeddedStore {
    inner: Arc<Inner>,
}

struct Inner {
    path: PathBuf,
    options: Options,
    /// Commits, and reads while no commit is under way: a short-lived process needs no more than this one.
    main: Mutex<Slot>,
    /// Reads meanwhile; opened on first need.
    spare: Mutex<Slot>,
    queue: Queue,
    reads: AtomicU64,
    commits: AtomicU64,
    watches: AtomicU64,
}

impl EmbeddedStore {
    /// Opens the store in the file `path`, made if it is missing.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, StorageError> {
        Self::open_with(path, Options::default())
    }

    /// Opens the store in the file `path`.
    pub fn open_with(path: impl Into<PathBuf>, options: Options) -> Result<Self, StorageError> {
        let path = path.into();
        let mut main = Slot::default();
        main.open(&path, &options)?;
        Ok(Self {
            inner: Arc::new(Inner {
                path,
                options,
                main: Mutex::new(main),
                spare: Mutex::default(),
                queue: Queue::default(),
                reads: AtomicU64::new(0),
                commits: AtomicU64::new(0),
                watches: AtomicU64::new(0),
            }),
        })
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.inner.path
    }

    /// [`Datastore::read`], for callers without a runtime.
    pub fn read_sync(&self, queries: &[Query]) -> Result<Snapshot, ReadError> {
        self.inner.reads.fetch_add(1, Ordering::Relaxed);
        let mut slot = self.inner.reader();
        slot.with(
            &self.inner.path,
            &self.inner.options,
            Access::Read,
            |session| read::read(session, queries),
        )
    }

    /// [`Datastore::commit`], for callers without a runtime.
    pub fn commit_sync(&self, writes: &[Write]) -> Result<Revision, CommitError> {
        self.inner.commits.fetch_add(1, Ordering::Relaxed);
        self.inner.queue.commit(&self.inner, writes)
    }

    /// [`Datastore::watch`], for callers without a runtime.
    pub fn watch_sync(&self, prefixes: &[&str], from: Revision) -> Result<Watch, WatchError> {
        self.inner.watches.fetch_add(1, Ordering::Relaxed);
        let source = EmbeddedSource::open(&self.inner.path, &self.inner.options, prefixes, from)?;
        Ok(Watch::new(source))
    }

    /// Forgets all changes but the last `keep` commits; watches behind that get [`Event::Resync`](crate::Event::Resync).
    pub fn compact(&self, keep: u64) -> Result<(), StorageError> {
        lock(&self.inner.main).with(
            &self.inner.path,
            &self.inner.options,
            Access::Write,
            |session| compact::compact(session, keep),
        )
    }

    /// Moves what the write-ahead log holds into the main file, as far as no reader needs it.
    pub fn checkpoint(&self) -> Result<(), StorageError> {
        lock(&self.inner.main).with(
            &self.inner.path,
            &self.inner.options,
            Access::Write,
            |session| session.checkpoint(),
        )
    }

    /// Writes a consistent copy of the whole store to the file `target`, which must not exist. Others keep working.
    pub fn backup(&self, target: &Path) -> Result<BackupReport, BackupError> {
        backup::backup(&self.inner.path, &self.inner.options, target)
    }

    /// Makes the store hold what a backup holds, and nothing else, as one commit like any other: whoever uses the
    /// store follows it, and need not be stopped.
    pub fn restore(&self, backup: &Path) -> Result<RestoreReport, BackupError> {
        restore::restore(self, backup)
    }

    /// Reads the whole of a backup, or of a store, and says what is in it.
    pub fn check(path: &Path) -> Result<BackupReport, BackupError> {
        backup::check(path)
    }
}

impl Inner {
    /// The main connection if it is free, else the spare one: a read does not wait for a flush.
    fn reader(&self) -> MutexGuard<'_, Slot> {
        match self.main.try_lock() {
            Ok(slot) => slot,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => lock(&self.spare),
        }
    }
}

/// Locks a slot; a panic under the lock has rolled its transaction back, so it spoils nothing.
fn lock(slot: &Mutex<Slot>) -> MutexGuard<'_, Slot> {
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Datastore for EmbeddedStore {
    async fn read(&self, queries: &[Query]) -> Result<Snapshot, ReadError> {
        self.read_sync(queries)
    }

    async fn commit(&self, writes: &[Write]) -> Result<Revision, CommitError> {
        self.commit_sync(writes)
    }

    async fn watch(&self, prefixes: &[&str], from: Revision) -> Result<Watch, WatchError> {
        self.watch_sync(prefixes, from)
    }

    fn stats(&self) -> Stats {
        Stats {
            reads: self.inner.reads.load(Ordering::Relaxed),
            commits: self.inner.commits.load(Ordering::Relaxed),
            watches: self.inner.watches.load(Ordering::Relaxed),
        }
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::LOCAL
    }
}
