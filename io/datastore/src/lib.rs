#![doc = include_str!("../README.md")]

mod any;
mod choose;
mod drive;
mod embedded;
mod error;
mod event;
mod executor;
mod memory;
mod seam;
mod watch;
mod write;

pub use any::AnyStore;
pub use choose::{ChooseError, ConnectError, FileSettings, StoreChoice, StoreKind, StoreRequest};
pub use drive::{Alone, Beside, DriveError, drive, drive_beside, ipam_entries, queries_of};
pub use embedded::{
    BackupError, BackupReport, Close, DEFAULT_PATH, EmbeddedStore, Missing, Options, RestoreReport,
};
pub use error::{CommitError, InvalidKey, ReadError, StorageError, WatchError};
pub use event::Event;
pub use executor::block_on_ready;
pub use memory::MemoryStore;
pub use seam::{Datastore, Entry, Query, Revision, Snapshot, Stats};
pub use watch::{Watch, WatchMode};
pub use write::{MAX_VALUE_BYTES, MAX_WRITES, Write, WriteOp};
