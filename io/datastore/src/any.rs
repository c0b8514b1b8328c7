//! The store a program was told to use, whichever it is.

use std::io;

use crate::built_in;
use crate::{
    Capabilities, CommitError, Datastore, EmbeddedStore, EtcdStore, Feed, KubernetesStore,
    MemoryStore, Query, ReadError, Revision, Snapshot, Stats, Watch, WatchError, Write,
};

/// Any of the stores, behind one type. Clones share it.
#[derive(Clone)]
pub enum AnyStore {
    /// In one file.
    Embedded(EmbeddedStore),
    /// In an etcd cluster.
    Etcd(EtcdStore),
    /// In a Kubernetes API server.
    Kubernetes(KubernetesStore),
    /// In this process's memory.
    Memory(MemoryStore),
}

impl Datastore for AnyStore {
    async fn read(&self, queries: &[Query]) -> Result<Snapshot, ReadError> {
        let mut snapshot = match self {
            Self::Embedded(store) => return store.read(queries).await,
            Self::Memory(store) => return store.read(queries).await,
            Self::Etcd(store) => store.read(queries).await?,
            Self::Kubernetes(store) => store.read(queries).await?,
        };
        built_in::supply(queries, &mut snapshot);
        Ok(snapshot)
    }

    async fn commit(&self, writes: &[Write]) -> Result<Revision, CommitError> {
        match self {
            Self::Embedded(store) => store.commit(writes).await,
            Self::Etcd(store) => store.commit(writes).await,
            Self::Kubernetes(store) => store.commit(writes).await,
            Self::Memory(store) => store.commit(writes).await,
        }
    }

    async fn watch(&self, prefixes: &[&str], from: Revision) -> Result<Watch, WatchError> {
        match self {
            Self::Embedded(store) => store.watch(prefixes, from).await,
            Self::Etcd(store) => store.watch(prefixes, from).await,
            Self::Kubernetes(store) => store.watch(prefixes, from).await,
            Self::Memory(store) => store.watch(prefixes, from).await,
        }
    }

    fn stats(&self) -> Stats {
        match self {
            Self::Embedded(store) => store.stats(),
            Self::Etcd(store) => store.stats(),
            Self::Kubernetes(store) => store.stats(),
            Self::Memory(store) => store.stats(),
        }
    }

    fn capabilities(&self) -> Capabilities {
        match self {
            Self::Embedded(store) => store.capabilities(),
            Self::Etcd(store) => store.capabilities(),
            Self::Kubernetes(store) => store.capabilities(),
            Self::Memory(store) => store.capabilities(),
        }
    }

    fn follow(&self, prefixes: &[&str]) -> io::Result<Feed> {
        match self {
            Self::Embedded(store) => store.follow(prefixes),
            Self::Etcd(store) => store.follow(prefixes),
            Self::Kubernetes(store) => store.follow(prefixes),
            Self::Memory(store) => store.follow(prefixes),
        }
    }
}
