//! Feeds over the memory store, and pushed ones.

use std::collections::BTreeMap;

use super::*;
use crate::{MemoryStore, Revision, Write, block_on_ready};

const PATIENCE: Duration = Duration::from_secs(10);

fn commit(store: &MemoryStore, writes: &[Write]) {
    block_on_ready(store.commit(writes)).unwrap();
}

/// Reads until `done`, and keeps what it leaves.
fn read_until(
    feed: &mut Feed,
    world: &mut BTreeMap<Box<str>, Vec<u8>>,
    done: impl Fn(&BTreeMap<Box<str>, Vec<u8>>) -> bool,
) -> Vec<FeedEvent> {
    let mut said = Vec::new();
    let end = Instant::now() + PATIENCE;
    while !done(world) {
        assert!(
            Instant::now() < end,
            "in time; heard {said:?}, is {:?}",
            feed.state()
        );
        for event in feed.next(PATIENCE).unwrap() {
            match &event {
                FeedEvent::Put(entry) => {
                    world.insert(entry.key.clone(), entry.value.clone());
                }
                FeedEvent::Delete { key } => {
                    assert!(world.remove(key).is_some(), "only what was said is unsaid");
                }
                FeedEvent::InSync => {}
            }
            said.push(event);
        }
    }
    said
}

fn in_syncs(said: &[FeedEvent]) -> usize {
    let in_sync = |event: &&FeedEvent| **event == FeedEvent::InSync;
    said.iter().filter(in_sync).count()
}

#[test]
fn what_is_there_then_in_sync_then_changes() {
    let store = MemoryStore::new();
    commit(&store, &[Write::put("/a/1", "1"), Write::put("/b", "1")]);
    let mut feed = store.follow(&["/a/"]).unwrap();
    assert_eq!(feed.state(), FeedState::Connecting);
    let first = feed.next(PATIENCE).unwrap();
    assert!(
        matches!(&first[..], [FeedEvent::Put(entry), FeedEvent::InSync] if &*entry.key == "/a/1")
    );
    assert!(feed.poll().is_empty());
    assert_eq!(feed.state(), FeedState::InSync);
    commit(
        &store,
        &[Write::delete("/a/1", None), Write::put("/a/2", "2")],
    );
    let then = feed.next(PATIENCE).unwrap();
    assert!(
        matches!(&then[..], [FeedEvent::Delete { key }, FeedEvent::Put(entry)] if &**key == "/a/1" && &*entry.key == "/a/2")
    );
    assert_eq!(feed.stats().lists, 1);
}

#[test]
fn after_a_resync_only_the_difference_is_said() {
    let store = MemoryStore::new();
    commit(&store, &["/1", "/2", "/3"].map(|key| Write::put(key, "1")));
    let mut feed = store.follow(&[]).unwrap();
    let mut world = BTreeMap::new();
    let said = read_until(&mut feed, &mut world, |world| world.len() == 3);
    assert!(feed.poll().is_empty());
    commit(&store, &[Write::put("/2", "2"), Write::delete("/3", None)]);
    commit(&store, &[Write::put("/4", "4")]);
    store.compact(0);
    let later = read_until(&mut feed, &mut world, |world| {
        world.len() == 3 && world.contains_key("/4")
    });
    let keys: Vec<_> = later
        .iter()
        .map(|event| match event {
            FeedEvent::Put(entry) => &*entry.key,
            FeedEvent::Delete { key } => key,
            FeedEvent::InSync => "in sync",
        })
        .collect();
    assert_eq!(keys, ["/2", "/4", "/3"]);
    assert_eq!((in_syncs(&said), in_syncs(&later)), (1, 0));
    assert_eq!(feed.stats().lists, 2);
}

#[test]
fn a_deleted_file_is_waited_for_and_its_successor_told_as_a_difference() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("datastore.db");
    let store = crate::EmbeddedStore::open(&path).unwrap();
    store
        .commit_sync(&[Write::put("/1", "1"), Write::put("/2", "1")])
        .unwrap();
    let mut feed = store.follow(&[]).unwrap();
    let mut world = BTreeMap::new();
    read_until(&mut feed, &mut world, |world| world.len() == 2);
    let other = directory.path().join("other.db");
    let successor = crate::EmbeddedStore::open(&other).unwrap();
    successor
        .commit_sync(&[Write::put("/2", "2"), Write::put("/3", "3")])
        .unwrap();
    drop(successor);
    for part in ["", "-wal", "-shm"] {
        std::fs::remove_file(format!("{}{part}", path.display())).unwrap();
    }
    let end = Instant::now() + PATIENCE;
    while !matches!(feed.state(), FeedState::Retrying { .. }) {
        assert!(Instant::now() < end, "{:?}", feed.state());
        assert!(feed.next(Duration::from_millis(20)).unwrap().is_empty());
    }
    std::fs::rename(&other, &path).unwrap();
    read_until(&mut feed, &mut world, |world| {
        world.contains_key("/3") && !world.contains_key("/1")
    });
    assert_eq!(world.get("/2").unwrap(), b"2");
}

#[test]
fn what_is_pushed_is_merged_by_key_and_stays_before_in_sync() {
    let (pusher, reader) = pushed().unwrap();
    let mut feed = Feed::pushed(reader);
    let put = |key: &str, value: &str| {
        FeedEvent::Put(Entry {
            key: key.into(),
            value: value.into(),
            revision: Revision::new(1),
        })
    };
    pusher.doing(FeedState::Listing);
    pusher.push(put("/1", "1"));
    pusher.push(put("/2", "1"));
    pusher.push(FeedEvent::InSync);
    pusher.push(put("/3", "1"));
    pusher.push(put("/1", "2"));
    pusher.push(FeedEvent::Delete { key: "/3".into() });
    pusher.doing(FeedState::InSync);
    let expected = [
        put("/1", "2"),
        put("/2", "1"),
        FeedEvent::InSync,
        FeedEvent::Delete { key: "/3".into() },
    ];
    assert_eq!(feed.next(PATIENCE).unwrap(), expected);
    assert_eq!(feed.state(), FeedState::InSync);
    assert!(feed.poll().is_empty());
}

#[test]
fn who_pushes_waits_for_a_slow_reader_and_learns_that_it_is_gone() {
    let reactor = crate::remote::Reactor::start("test-io").unwrap();
    let (pusher, reader) = pushed().unwrap();
    let mut feed = Feed::pushed(reader);
    let large = |at: usize| {
        FeedEvent::Put(Entry {
            key: format!("/{at}").into(),
            value: vec![0; 33 << 20],
            revision: Revision::ZERO,
        })
    };
    let done = reactor.run(async move {
        for at in 0..4 {
            pusher.room().await?;
            pusher.push(large(at));
        }
        pusher.push(FeedEvent::InSync);
        loop {
            pusher.room().await?;
            tokio::task::yield_now().await;
        }
        #[expect(unreachable_code, reason = "it says what the block gives")]
        Ok::<(), crate::remote::Lost>(())
    });
    let mut heard = 0;
    while heard < 5 {
        let events = feed.next(PATIENCE).unwrap();
        assert!(
            !events.is_empty() && events.len() <= 3,
            "never more than there is room for"
        );
        heard += events.len();
    }
    drop(feed);
    assert_eq!(block_on_ready(done), Ok(Err(crate::remote::Lost)));
}

#[test]
fn an_invalid_object_is_absent_and_said_once() {
    let store = MemoryStore::new();
    let key = "/calico/resources/v3/projectcalico.org/ippools/p";
    let good = r#"{"kind":"IPPool","apiVersion":"projectcalico.org/v3","metadata":{"name":"p"},"spec":{"cidr":"10.0.0.0/16","blockSize":26,"nodeSelector":"all()","allowedUses":["Workload"]}}"#;
    let bad = "{";
    commit(&store, &[Write::put(key, bad)]);
    let mut updates = Updates::new(store.follow(&[]).unwrap());
    let absent = |event: &UpdateEvent| matches!(event, UpdateEvent::Update(update) if update.value.is_none());
    let first = updates.poll();
    assert!(
        matches!(&first[..], [UpdateEvent::Invalid(invalid), gone, UpdateEvent::InSync] if &*invalid.key == key && absent(gone)),
        "{first:?}"
    );
    assert_eq!(updates.invalid().count(), 1);
    assert!(updates.poll().is_empty());
    commit(&store, &[Write::put(key, bad)]);
    let again = updates.poll();
    assert!(matches!(&again[..], [gone] if absent(gone)), "{again:?}");
    commit(&store, &[Write::put(key, good)]);
    let well = updates.poll();
    assert!(
        matches!(&well[..], [UpdateEvent::Update(update)] if update.value.is_some()),
        "{well:?}"
    );
    assert_eq!(updates.invalid().count(), 0);
    commit(&store, &[Write::delete(key, None)]);
    assert!(matches!(&updates.poll()[..], [gone] if absent(gone)));
}
