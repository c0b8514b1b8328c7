//! The store in an etcd v3 cluster, with upstream's keys and bytes.
//!
//! A read is one transaction of ranges, so it shows one revision; what is too long for one answer is fetched in pages at that
//! revision. A commit is one transaction whose comparisons are the writes' conditions. All IO is done by one thread.

mod commit;
mod endpoints;
mod failure;
mod identity;
mod read;
mod srv;
mod watch;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

pub use srv::{SrvAnswer, SrvRecord, srv_records};

use crate::remote::{Limits, Reactor, RemoteError, queue};
use crate::seam::{
    Capabilities, CommitMode, Datastore, Lifetimes, Query, Ranges, Revision, Snapshot, Stats,
};
use crate::{CommitError, EtcdSettings, ReadError, StorageError, Watch, WatchError, Write};
use endpoints::Endpoints;

/// How many operations etcd takes in one transaction unless told otherwise (`--max-txn-ops`).
const MAX_OPERATIONS: usize = 128;
/// How large a request etcd takes unless told otherwise (`--max-request-bytes`).
const MAX_REQUEST_BYTES: usize = 1_536 * 1024;
/// Those who lose their watch at once list again spread over this time.
const RELIST_SPREAD: Duration = Duration::from_secs(2);

/// What an etcd store can do.
const CAPABILITIES: Capabilities = Capabilities {
    commit: CommitMode::Transaction {
        at_most: MAX_OPERATIONS,
    },
    lifetimes: Lifetimes::Kept,
    ranges: Ranges::Dear,
    relist_spread: RELIST_SPREAD,
};

/// A store in etcd. Clones share its connections.
#[derive(Clone)]
pub struct EtcdStore {
    reactor: Reactor,
    shared: Arc<Shared>,
}

/// What the IO thread works with.
struct Shared {
    endpoints: Endpoints,
    counts: Counts,
}

#[derive(Default)]
struct Counts {
    reads: AtomicU64,
    commits: AtomicU64,
    watches: AtomicU64,
}

impl Counts {
    fn add(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

impl EtcdStore {
    /// Prepares the use of an etcd cluster; it is connected to when it is first used. No request takes longer than
    /// `request_timeout`, whatever is tried for it.
    ///
    /// # Errors
    /// The settings cannot be used: no endpoint, a file that cannot be read. Or the kernel gives no thread.
    pub fn open(settings: &EtcdSettings, request_timeout: Duration) -> Result<Self, StorageError> {
        let endpoints = Endpoints::new(settings, request_timeout)?;
        let reactor = Reactor::start("calico-etcd").map_err(|error| RemoteError::Settings {
            store: "etcd".into(),
            detail: format!("no thread for its IO: {error}").into(),
        })?;
        let shared = Arc::new(Shared {
            endpoints,
            counts: Counts::default(),
        });
        Ok(Self { reactor, shared })
    }

    /// Has the IO thread do one request.
    async fn run<T, E, F>(&self, work: impl FnOnce(Arc<Shared>) -> F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StorageError> + Send + 'static,
        F: Future<Output = Result<T, E>> + Send + 'static,
    {
        let answer = self.reactor.run(work(self.shared.clone()));
        answer.await.unwrap_or_else(|_| {
            let store = self.shared.endpoints.name();
            Err(StorageError::from(RemoteError::Closed { store }).into())
        })
    }
}

impl Datastore for EtcdStore {
    async fn read(&self, queries: &[Query]) -> Result<Snapshot, ReadError> {
        let queries = queries.to_vec();
        self.run(|shared| async move { read::read(&shared, &queries).await })
            .await
    }

    async fn commit(&self, writes: &[Write]) -> Result<Revision, CommitError> {
        let writes = writes.to_vec();
        self.run(|shared| async move { commit::commit(&shared, writes).await })
            .await
    }

    async fn watch(&self, prefixes: &[&str], from: Revision) -> Result<Watch, WatchError> {
        Counts::add(&self.shared.counts.watches);
        let (sink, source) = queue(from, Limits::default()).map_err(WatchError::Wait)?;
        let follower = watch::Follower::new(self.shared.clone(), prefixes, from, sink);
        let filler = self.reactor.spawn(follower.run());
        Ok(Watch::remote(source.filled_by(filler)))
    }

    fn stats(&self) -> Stats {
        let counts = &self.shared.counts;
        Stats {
            reads: counts.reads.load(Ordering::Relaxed),
            commits: counts.commits.load(Ordering::Relaxed),
            watches: counts.watches.load(Ordering::Relaxed),
        }
    }

    fn capabilities(&self) -> Capabilities {
        CAPABILITIES
    }
}

/// A revision as etcd has it; none if it says one that cannot be.
fn revision(number: i64) -> Option<Revision> {
    u64::try_from(number)
        .ok()
        .filter(|number| *number > 0)
        .map(Revision::new)
}

/// A revision as etcd takes it. One that etcd cannot have is later than all it has.
fn number(revision: Revision) -> i64 {
    i64::try_from(revision.get()).unwrap_or(i64::MAX - 1)
}
