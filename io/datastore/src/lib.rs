#![doc = include_str!("../README.md")]

mod any;
mod built_in;
mod choose;
mod drive;
mod embedded;
mod error;
mod etcd;
mod event;
mod executor;
mod feed;
mod kubernetes;
mod memory;
pub mod remote;
mod seam;
mod watch;
mod write;

pub use any::AnyStore;
pub use choose::{
    ChooseError, ConnectError, EtcdSettings, FileSetting, FileSettings, KubernetesSettings,
    Material, PodCidrs, Secret, StoreChoice, StoreKind, StoreRequest, StoreSettings, Verify,
};
pub use drive::{Alone, Beside, DriveError, drive, drive_beside, ipam_entries, queries_of};
pub use embedded::{
    BackupError, BackupReport, Close, DEFAULT_PATH, EmbeddedStore, Missing, Options, RestoreReport,
};
pub use error::{CommitError, InvalidKey, ReadError, StorageError, WatchError};
pub use etcd::{EtcdStore, SrvAnswer, SrvRecord, srv_records};
pub use event::Event;
pub use executor::block_on_ready;
pub use feed::{
    Feed, FeedEvent, FeedState, FeedStats, Invalid, Pushed, Pusher, UpdateEvent, Updates, pushed,
};
pub use kubernetes::KubernetesStore;
pub use memory::MemoryStore;
pub use remote::{Backoff, RemoteError, Trouble};
pub use seam::{
    Capabilities, CommitMode, Datastore, Entry, Lifetimes, Query, Ranges, Revision, Snapshot, Stats,
};
pub use watch::{Watch, WatchMode};
pub use write::{MAX_VALUE_BYTES, MAX_WRITES, Write, WriteOp};
