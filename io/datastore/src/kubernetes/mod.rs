//! The store on the Kubernetes API: custom resources, Pods, Nodes, Namespaces, as the keys and values every store speaks.
//!
//! What an object is in the store, and what a change becomes, is [`api::kubernetes`]'s to say; here are the requests. All of
//! them are made on one IO thread. There are no transactions: writes are made one by one, in the order given.

mod access;
mod client;
mod commit;
mod discovery;
mod follow;
mod lines;
mod read;
mod status;
mod told;
mod watch;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::choose::{KubernetesSettings, PodCidrs};
use crate::remote::{Reactor, RemoteError};
use crate::seam::{Datastore, Query, Revision, Snapshot, Stats};
use crate::write::{validate, validate_key};
use crate::{
    Capabilities, CommitError, CommitMode, Feed, Lifetimes, Ranges, ReadError, StorageError, Watch,
    WatchError, Write,
};

use client::Client;

/// What it can do.
const CAPABILITIES: Capabilities = Capabilities {
    commit: CommitMode::OneByOne,
    lifetimes: Lifetimes::Refused,
    ranges: Ranges::Dear,
    relist_spread: Duration::from_secs(2),
};

/// A store on an API server. Clones share the connection.
#[derive(Clone)]
pub struct KubernetesStore {
    reactor: Reactor,
    client: Arc<Client>,
}

impl KubernetesStore {
    /// Prepares to speak to the API server that the settings name; each request takes at most `deadline`. Files are read, and
    /// nothing is asked of the server yet.
    ///
    /// # Errors
    /// The settings name no server, or a file that cannot be used.
    pub fn open(settings: &KubernetesSettings, deadline: Duration) -> Result<Self, StorageError> {
        let unusable = |detail: String| RemoteError::Settings {
            store: "the Kubernetes API".into(),
            detail: detail.into(),
        };
        if settings.pod_cidrs == PodCidrs::Used {
            tracing::warn!(
                "USE_POD_CIDR has no effect here: tunnel addresses are read from annotations of the Node, and there are no affinities of spec.podCIDRs"
            );
        }
        let access = access::of(settings)?;
        let reactor = Reactor::start("kubernetes-io")
            .map_err(|error| unusable(format!("its thread cannot be started: {error}")))?;
        let started = reactor.run(async move { Client::start(access, deadline) });
        let client = crate::block_on_ready(started)
            .map_err(|_| unusable("its thread ended".to_owned()))??;
        Ok(Self {
            reactor,
            client: Arc::new(client),
        })
    }

    /// The server, as messages name it.
    #[must_use]
    pub fn shown(&self) -> &str {
        self.client.shown()
    }

    fn closed(&self) -> StorageError {
        RemoteError::Closed {
            store: self.client.shown().into(),
        }
        .into()
    }
}

impl Datastore for KubernetesStore {
    async fn read(&self, queries: &[Query]) -> Result<Snapshot, ReadError> {
        for query in queries {
            if let Query::Key(key) = query {
                validate_key(key)?;
            }
        }
        let (client, queries) = (self.client.clone(), queries.to_vec());
        let work = self
            .reactor
            .run(async move { read::read(&client, &queries).await });
        match work.await {
            Ok(answer) => answer.map_err(|error| StorageError::from(error).into()),
            Err(_) => Err(self.closed().into()),
        }
    }

    async fn commit(&self, writes: &[Write]) -> Result<Revision, CommitError> {
        validate(writes, CAPABILITIES)?;
        let (client, writes) = (self.client.clone(), writes.to_vec());
        let work = self
            .reactor
            .run(async move { commit::commit(&client, &writes).await });
        match work.await {
            Ok(answer) => answer,
            Err(_) => Err(CommitError::Unsure(self.closed())),
        }
    }

    async fn watch(&self, prefixes: &[&str], from: Revision) -> Result<Watch, WatchError> {
        let client = self.client.clone();
        let grouped = self.reactor.run(async move { client.group().await });
        let group = match grouped.await {
            Ok(group) => group.map_err(StorageError::from)?,
            Err(_) => return Err(self.closed().into()),
        };
        watch::watch(&self.reactor, &self.client, group, prefixes, from).map_err(WatchError::Wait)
    }

    fn stats(&self) -> Stats {
        self.client.stats()
    }

    fn capabilities(&self) -> Capabilities {
        CAPABILITIES
    }

    fn follow(&self, prefixes: &[&str]) -> io::Result<Feed> {
        follow::follow(&self.reactor, &self.client, prefixes)
    }
}
