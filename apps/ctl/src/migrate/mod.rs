//! `datastore migrate`: locks a datastore, writes all of it to a file, reads such a file into another, and unlocks.
//!
//! The file is upstream's: a stream of lists in YAML, then ClusterInformation and the IPAM entries in JSON, with lines of
//! `===` between. What upstream's file has no room for, and a digest of each kind, stand in the last part under a name that
//! upstream's reader passes over.

pub(crate) mod export;
pub(crate) mod import;
mod input;
mod ipam_part;
mod kinds;
pub(crate) mod lock;
mod names;
mod prepared;
mod seal;
mod target;
mod verify;

pub(crate) use ipam_part::Aim;

use datastore::{
    CommitError, Datastore, Query, ReadError, Revision, Snapshot, StoreKind, Write, block_on_ready,
};

use crate::outcome::{Failure, Status, chain};

/// Which objects a store has of its own, and what it keeps of those that are written to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Nature {
    /// What is written is all there is.
    Plain,
    /// Nodes, endpoints, profiles and some policies are Kubernetes' own.
    Kubernetes,
}

impl Nature {
    fn of(kind: StoreKind) -> Nature {
        match kind {
            StoreKind::Kubernetes => Nature::Kubernetes,
            StoreKind::Embedded | StoreKind::EtcdV3 => Nature::Plain,
        }
    }
}

/// A store as a migration sees it: read and written without a look at its lock.
pub(crate) struct Store<'a, S> {
    store: &'a S,
    /// What messages call it.
    name: String,
}

impl<'a, S: Datastore> Store<'a, S> {
    pub(crate) fn new(store: &'a S, name: impl ToString) -> Store<'a, S> {
        Store {
            store,
            name: name.to_string(),
        }
    }

    fn read(&self, queries: &[Query]) -> Result<Snapshot, Failure> {
        block_on_ready(self.store.read(queries)).map_err(|error: ReadError| self.failed(&error))
    }

    fn commit(&self, writes: &[Write]) -> Result<Revision, CommitError> {
        block_on_ready(self.store.commit(writes))
    }

    /// The store itself failed.
    fn failed(&self, error: &dyn std::error::Error) -> Failure {
        Failure::new(
            Status::Unreachable,
            format!("{}: {}", self.name, chain(error)),
        )
    }
}

#[cfg(test)]
mod tests;
