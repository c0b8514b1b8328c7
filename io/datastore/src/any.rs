//! The store a program was told to use, whichever it is.

use crate::{
    CommitError, Datastore, EmbeddedStore, MemoryStore, Query, ReadError, Revision, Snapshot,
    Stats, Watch, WatchError, Write,
};

/// Any of the stores, behind one type.
pub enum AnyStore {
    /// In one file.
    Embedded(EmbeddedStore),
    /// In this process's memory.
    Memory(MemoryStore),
}

impl Datastore for AnyStore {
    async fn read(&self, queries: &[Query]) -> Result<Snapshot, ReadError> {
        match self {
            Self::Embedded(store) => store.read(queries).await,
            Self::Memory(store) => store.read(queries).await,
        }
    }

    async fn commit(&self, writes: &[Write]) -> Result<Revision, CommitError> {
        match self {
            Self::Embedded(store) => store.commit(writes).await,
            Self::Memory(store) => store.commit(writes).await,
        }
    }

    async fn watch(&self, prefixes: &[&str], from: Revision) -> Result<Watch, WatchError> {
        match self {
            Self::Embedded(store) => store.watch(prefixes, from).await,
            Self::Memory(store) => store.watch(prefixes, from).await,
        }
    }

    fn stats(&self) -> Stats {
        match self {
            Self::Embedded(store) => store.stats(),
            Self::Memory(store) => store.stats(),
        }
    }
}
