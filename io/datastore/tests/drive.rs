//! IPAM machines on stores: at once where the store can, one write after the other where it cannot, and cut anywhere.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use datastore::{
    Capabilities, CommitError, CommitMode, Datastore, DriveError, MemoryStore, Query, Ranges,
    ReadError, Revision, Snapshot, Stats, Watch, WatchError, Write, block_on_ready, drive,
};
use ipam::assign::{Reach, Request, Want, assign};
use ipam::release::release_handles;
use ipam::{Owner, Timestamp};
use model::{AffinityOwner, Family, Key, PoolUse, Resource};
use serde_json::json;

/// A store that makes writes as `mode` says, and fails for good once `left` writes are made.
#[derive(Clone)]
struct Cut {
    inner: MemoryStore,
    mode: CommitMode,
    ranges: Ranges,
    left: Arc<AtomicUsize>,
}

impl Datastore for Cut {
    async fn read(&self, queries: &[Query]) -> Result<Snapshot, ReadError> {
        self.inner.read(queries).await
    }

    async fn commit(&self, writes: &[Write]) -> Result<Revision, CommitError> {
        let most = match self.mode {
            CommitMode::OneByOne => 1,
            CommitMode::Transaction { at_most } => at_most,
        };
        assert!(writes.len() <= most, "{writes:?}");
        if self.left.load(Ordering::Relaxed) < writes.len() {
            return Err(CommitError::TooManyWrites {
                count: writes.len(),
                at_most: 0,
            });
        }
        self.left.fetch_sub(writes.len(), Ordering::Relaxed);
        self.inner.commit(writes).await
    }

    async fn watch(&self, prefixes: &[&str], from: Revision) -> Result<Watch, WatchError> {
        self.inner.watch(prefixes, from).await
    }

    fn stats(&self) -> Stats {
        self.inner.stats()
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            commit: self.mode,
            ranges: self.ranges,
            ..self.inner.capabilities()
        }
    }
}

/// A store with one small pool of blocks of four addresses.
fn fresh((mode, ranges): (CommitMode, Ranges), left: usize) -> Cut {
    let inner = MemoryStore::new();
    let pool = json!({
        "apiVersion": "projectcalico.org/v3", "kind": "IPPool", "metadata": {"name": "pods"},
        "spec": {"cidr": "10.65.0.0/24", "blockSize": 30},
    });
    let pool = api::admit(pool, &api::AdmitOptions::default()).expect("a valid pool");
    block_on_ready(inner.create(&pool.store_key(), pool.to_store_bytes())).expect("an empty store");
    Cut {
        inner,
        mode,
        ranges,
        left: Arc::new(AtomicUsize::new(left)),
    }
}

fn handle(name: &str) -> Box<str> {
    format!("net.{name}").into()
}

fn take(
    store: &Cut,
    name: &str,
    count: usize,
) -> Result<Vec<IpAddr>, DriveError<datastore::Alone>> {
    let request = Request {
        owner: AffinityOwner::Host("n1".into()),
        wanted: vec![Want::Any {
            family: Family::V4,
            count,
            pools: Vec::new(),
        }],
        taker: Owner {
            handle: Some(handle(name)),
            attributes: Default::default(),
        },
        intended_use: PoolUse::Workload,
        namespace: None,
        max_blocks: None,
        host_reserved: None,
        reach: match store.ranges {
            Ranges::Cheap => Reach::AllBlocks,
            Ranges::Dear => Reach::OwnBlocks,
        },
        now: now(),
    };
    let assigned = block_on_ready(drive(store, assign(request)))?.expect("there is room");
    Ok(assigned.iter().map(|one| one.addr).collect())
}

fn give_back(store: &Cut, name: &str) {
    let machine = release_handles(vec![handle(name)], now());
    let released = block_on_ready(drive(store, machine)).expect("the store works");
    released.expect("no contention");
}

fn now() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().expect("a time")
}

/// Addresses that blocks call taken, and the handles that blocks call their takers.
fn taken(store: &Cut) -> (BTreeSet<IpAddr>, BTreeSet<Box<str>>) {
    let snapshot = block_on_ready(store.list("/calico/ipam/")).expect("a readable store");
    let (mut addresses, mut handles) = (BTreeSet::new(), BTreeSet::new());
    for entry in datastore::ipam_entries(&snapshot) {
        match (entry.key, entry.value) {
            (Key::Block(_), Some(Resource::Block(block))) => {
                let ordinals = 0..block.allocations.len();
                let assigned = ordinals.filter(|at| block.allocations[*at].is_some());
                addresses.extend(assigned.filter_map(|at| block.address(at)));
            }
            (Key::Handle(id), Some(_)) => _ = handles.insert(id),
            (_, Some(_)) => {}
            (key, None) => panic!("{key:?} cannot be read"),
        }
    }
    (addresses, handles)
}

const MODES: [(CommitMode, Ranges); 4] = [
    (CommitMode::Transaction { at_most: 128 }, Ranges::Cheap),
    (CommitMode::Transaction { at_most: 2 }, Ranges::Dear),
    (CommitMode::OneByOne, Ranges::Cheap),
    (CommitMode::OneByOne, Ranges::Dear),
];

#[test]
fn every_way_to_commit_ends_in_the_same_store() {
    let ends: Vec<_> = MODES
        .map(|mode| {
            let store = fresh(mode, usize::MAX);
            let first = take(&store, "a", 6).expect("the store works");
            assert_eq!(first.len(), 6);
            let second = take(&store, "b", 3).expect("the store works");
            give_back(&store, "a");
            let (addresses, handles) = taken(&store);
            assert_eq!(addresses, second.into_iter().collect());
            assert_eq!(handles, BTreeSet::from([handle("b")]));
            give_back(&store, "b");
            assert_eq!(taken(&store), Default::default());
            let left = block_on_ready(store.list("/calico/ipam/")).expect("a readable store");
            left.entries
                .into_iter()
                .map(|entry| entry.key)
                .collect::<Vec<_>>()
        })
        .into();
    for end in &ends[1..] {
        assert_eq!(&ends[0], end);
    }
}

#[test]
fn cut_after_any_write_nothing_is_given_twice_and_nothing_leaks() {
    for mode in MODES {
        for writes in 0..40 {
            let store = fresh(mode, writes);
            let before = take(&store, "a", 5);
            store.left.store(usize::MAX, Ordering::Relaxed);
            // The runtime asks again, for the same container and for another.
            let again = take(&store, "a", 5).expect("the store works");
            let other = take(&store, "b", 5).expect("the store works");
            let all: BTreeSet<_> = again.iter().chain(&other).collect();
            assert_eq!(
                all.len(),
                10,
                "{mode:?} cut after {writes}: {again:?} {other:?}"
            );
            give_back(&store, "a");
            assert_eq!(
                taken(&store),
                (other.into_iter().collect(), BTreeSet::from([handle("b")])),
                "{mode:?} cut after {writes} ({before:?})"
            );
            give_back(&store, "b");
            assert_eq!(taken(&store), Default::default());
        }
    }
}

#[test]
fn where_ranges_are_dear_only_own_blocks_are_read() {
    let store = fresh((CommitMode::OneByOne, Ranges::Dear), usize::MAX);
    take(&store, "a", 1).expect("the store works");
    let before = store.stats().reads;
    take(&store, "b", 1).expect("the store works");
    // Pools, settings and affinities; the block that an affinity names.
    assert_eq!(store.stats().reads - before, 2);
    let before = store.stats().reads;
    give_back(&store, "b");
    assert_eq!(store.stats().reads - before, 2);
}
