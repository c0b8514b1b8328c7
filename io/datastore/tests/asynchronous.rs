//! Within a tokio runtime: watches are awaited, on one thread with other work, and may be dropped while they wait.

use std::future::Future;
use std::time::Duration;

use datastore::{AnyStore, Datastore, EmbeddedStore, Event, MemoryStore, Revision, Write};

const PATIENCE: Duration = Duration::from_secs(20);

/// What a task that moves between threads may hold.
fn sendable<F: Future + Send>(future: F) -> F {
    future
}

async fn awaited(store: AnyStore) {
    let mut watch = store.watch(&["/a"], Revision::ZERO).await.expect("watch");
    for round in 1..=20_u64 {
        // Dropped while it waits, for nothing is there yet.
        tokio::select! {
            biased;
            events = watch.recv() => panic!("unexpected {events:?}"),
            () = tokio::task::yield_now() => {}
        }
        let write = [Write::put("/a", round.to_string()), Write::put("/b", "1")];
        let (events, revision) = tokio::join!(
            tokio::time::timeout(PATIENCE, sendable(watch.recv())),
            sendable(store.commit(&write)),
        );
        let events = events.expect("in time").expect("events");
        assert!(
            matches!(&events[..], [Event::Put(entry)] if entry.value == round.to_string().as_bytes())
        );
        assert_eq!(watch.revision(), revision.expect("put"));
    }
}

fn run(store: AnyStore) {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
        .block_on(sendable(awaited(store)));
}

#[test]
fn a_watch_of_memory_is_awaited() {
    run(AnyStore::Memory(MemoryStore::new()));
}

#[test]
fn a_watch_of_a_file_is_awaited() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("datastore.db");
    run(AnyStore::Embedded(
        EmbeddedStore::open(path).expect("a new store"),
    ));
}
