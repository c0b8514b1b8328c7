//! What can go wrong, one enum per operation; what any operation may meet is [`StorageError`].

use std::fmt::Write as _;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::Revision;
use crate::remote::RemoteError;
use crate::write::MAX_VALUE_BYTES;

/// A key no store takes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKey {
    /// Nothing was named.
    #[error("a datastore key must not be empty")]
    Empty,
    /// The key has a NUL character in it.
    #[error("datastore key {key:?} has a NUL character in it")]
    Nul {
        /// The key as given.
        key: Box<str>,
    },
}

/// Why a read failed.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// A query names an impossible key.
    #[error(transparent)]
    InvalidKey(#[from] InvalidKey),
    /// The store itself failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Why a transaction was refused or failed. Nothing of it was done, unless the variant says otherwise.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// A `Create` met an existing key.
    #[error("{key} already exists")]
    AlreadyExists {
        /// The key.
        key: Box<str>,
    },
    /// An `Update` or `Delete` met no key.
    #[error("{key} does not exist")]
    NotFound {
        /// The key.
        key: Box<str>,
    },
    /// The key was modified since the caller read it.
    #[error("{key} has changed: expected {}, found {}", describe(*.expected), describe(*.found))]
    Conflict {
        /// The key.
        key: Box<str>,
        /// What the caller expected; `None` is absence.
        expected: Option<Revision>,
        /// What is there; `None` is absence.
        found: Option<Revision>,
    },
    /// A write names an impossible key.
    #[error(transparent)]
    InvalidKey(#[from] InvalidKey),
    /// One transaction writes the same key twice.
    #[error("the transaction names {key} twice")]
    DuplicateKey {
        /// The key.
        key: Box<str>,
    },
    /// The value is over the limit.
    #[error(
        "the value of {key} has {bytes} bytes; the most a datastore takes is {MAX_VALUE_BYTES}"
    )]
    ValueTooLarge {
        /// The key.
        key: Box<str>,
        /// The size of its value.
        bytes: usize,
    },
    /// The transaction is over the limit.
    #[error(
        "the transaction has {count} writes; the most this datastore takes at once is {at_most}"
    )]
    TooManyWrites {
        /// How many were given.
        count: usize,
        /// How many the store takes.
        at_most: usize,
    },
    /// Keys and values together are over the limit.
    #[error(
        "the transaction has {bytes} bytes; the most this datastore takes at once is {at_most}"
    )]
    TooLarge {
        /// Their size.
        bytes: usize,
        /// What the store takes.
        at_most: usize,
    },
    /// The store takes no such change of this key, or not this value: whoever else keeps objects there decides.
    #[error("{key} cannot be written: {why}")]
    Refused {
        /// The key.
        key: Box<str>,
        /// Why, with the field if it is about one, and what to do instead.
        why: Box<str>,
    },
    /// The store cannot remove keys on its own.
    #[error("{key} was to be kept for a limited time, which this datastore cannot do")]
    NoLifetimes {
        /// The key.
        key: Box<str>,
    },
    /// The disk or the connection failed while the transaction was being sealed.
    #[error("it is not known whether the transaction was made: read again before trying it again")]
    Unsure(#[source] StorageError),
    /// The store itself failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl CommitError {
    /// Whether somebody else was faster: what was read before no longer holds, and reading again may help.
    #[must_use]
    pub const fn is_conflict(&self) -> bool {
        match self {
            Self::AlreadyExists { .. } | Self::NotFound { .. } | Self::Conflict { .. } => true,
            Self::InvalidKey(_)
            | Self::DuplicateKey { .. }
            | Self::ValueTooLarge { .. }
            | Self::TooManyWrites { .. }
            | Self::TooLarge { .. }
            | Self::Refused { .. }
            | Self::NoLifetimes { .. }
            | Self::Unsure(_)
            | Self::Storage(_) => false,
        }
    }
}

/// Why a watch could not begin or go on.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// The kernel gave no means of being woken.
    #[error("failed to wait for changes of the datastore")]
    Wait(#[source] io::Error),
    /// The store itself failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// What any operation on a store may meet. Each text says what, which file, and what to do.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StorageError {
    /// Another process holds the write lock for too long.
    #[error(
        "datastore {} has been locked by {} for {:.1} s: it may be stuck; end it, or try again",
        .path.display(), .holder, .waited.as_secs_f64()
    )]
    Locked {
        /// The database.
        path: PathBuf,
        /// How long this process has waited.
        waited: Duration,
        /// Who holds the lock, as far as known.
        holder: String,
    },
    /// No room is left on the disk.
    #[error("no space left on the disk of datastore {}: free some; nothing was written", .path.display())]
    DiskFull {
        /// The database.
        path: PathBuf,
    },
    /// The file, its directory or its file system cannot be written.
    #[error(
        "datastore {} is read-only for this process: its directory and file must be writable (is the file system mounted read-only?)",
        .path.display()
    )]
    ReadOnly {
        /// The database.
        path: PathBuf,
    },
    /// This user may not use the file.
    #[error("no permission to use datastore {}: run as root, or as the owner of the file", .path.display())]
    Permission {
        /// The database.
        path: PathBuf,
        /// What the kernel said.
        #[source]
        source: Arc<io::Error>,
    },
    /// The file is damaged.
    #[error("datastore {} is damaged ({detail}): stop all calico processes, move it and its -wal and -shm files away together, and restore a backup", .path.display())]
    Corrupt {
        /// The database.
        path: PathBuf,
        /// What SQLite found.
        detail: String,
    },
    /// The file is something else.
    #[error("{} is not a calico datastore ({detail}): name another file, or move this one away", .path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What it is instead.
        detail: String,
    },
    /// The file was written by a newer release.
    #[error(
        "datastore {} has format {found}, this build knows up to {known}: use the newer release that wrote it",
        .path.display()
    )]
    Newer {
        /// The database.
        path: PathBuf,
        /// Its format.
        found: i64,
        /// The newest format this build reads.
        known: i64,
    },
    /// There is no such file, and none was to be made.
    #[error("there is no datastore {}: name another file, or start calico-node to make one", .path.display())]
    Missing {
        /// The database.
        path: PathBuf,
    },
    /// The file was removed while in use.
    #[error("datastore {} was deleted while in use: put it back, or restart calico to begin with an empty one", .path.display())]
    Deleted {
        /// The database.
        path: PathBuf,
    },
    /// The file was replaced by another while in use.
    #[error("datastore {} was replaced by another file while in use: what was read before no longer holds; read again", .path.display())]
    Replaced {
        /// The database.
        path: PathBuf,
    },
    /// The file's directory is missing and could not be made.
    #[error("failed to make directory {} for the datastore", .path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the kernel said.
        #[source]
        source: Arc<io::Error>,
    },
    /// The kernel failed us.
    #[error("failed to {action} datastore {}", .path.display())]
    Io {
        /// What was being done.
        action: &'static str,
        /// The database.
        path: PathBuf,
        /// What the kernel said.
        #[source]
        source: Arc<io::Error>,
    },
    /// A store behind a network failed, or the way to it.
    #[error(transparent)]
    Remote(#[from] RemoteError),
    /// SQLite failed in a way that has no name of its own here.
    #[error("failed to {action} datastore {}", .path.display())]
    Sqlite {
        /// What was being done.
        action: &'static str,
        /// The database.
        path: PathBuf,
        /// What SQLite said.
        #[source]
        source: Arc<rusqlite::Error>,
    },
}

/// An error with all its causes, in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let _ = write!(text, ": {error}");
        cause = error.source();
    }
    text
}

fn describe(revision: Option<Revision>) -> String {
    revision.map_or_else(
        || "no such key".to_owned(),
        |revision| format!("revision {revision}"),
    )
}
