//! Chaos on etcd: it is killed, compacted and cut off at random, under two writers and three that follow.
//!
//! In the end all see the same, no acknowledged write is lost, and whoever fell behind listed again and said so. How long it
//! goes on is `CALICO_CHAOS_SECONDS` (20); a failure names the seed, which `CALICO_SEED` sets.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use datastore::{
    CommitError, Datastore, EtcdSettings, EtcdStore, Feed, FeedEvent, FeedState, FeedStats, Write,
    block_on_ready,
};
use testkit::rng::Rng;
use testkit::servers::{Guard, Proxy, RealEtcd};

/// Everything the writers write.
const PREFIX: &str = "/calico/chaos/";
const COUNTERS: usize = 16;
/// Enough for a killed server to come back on a busy machine, and for those who follow to notice.
const PATIENCE: Duration = Duration::from_secs(60);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(3);

type World = BTreeMap<Box<str>, Vec<u8>>;

/// What a writer knows of its writes to one counter.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    acknowledged: u64,
    /// It may have been made, or not.
    unsure: u64,
}

#[derive(Debug, Default)]
struct Written {
    counters: BTreeMap<String, Count>,
    conflicts: u64,
    failures: u64,
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(default)
}

fn open(endpoint: String) -> EtcdStore {
    let settings = EtcdSettings {
        endpoints: vec![endpoint],
        ..EtcdSettings::default()
    };
    EtcdStore::open(&settings, REQUEST_TIMEOUT).expect("settings of a store")
}

fn millis(number: usize) -> Duration {
    Duration::from_millis(number as u64)
}

fn decimal(value: &[u8]) -> u64 {
    let text = std::str::from_utf8(value).expect("digits");
    text.parse().expect("digits")
}

#[test]
fn chaos() {
    let Some(mut server) = RealEtcd::start(Guard::Open) else {
        return;
    };
    let seed = number("CALICO_SEED", 1);
    let span = Duration::from_secs(number("CALICO_CHAOS_SECONDS", 20));
    let proxy = Proxy::start(server.address()).expect("a proxy");
    let (direct, cut) = (server.url(), format!("http://{}", proxy.address()));
    let done = AtomicBool::new(false);
    let goal = std::sync::OnceLock::<World>::new();
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..2)
            .map(|at| {
                let (store, done) = (open(cut.clone()), &done);
                scope.spawn(move || write(&store, Rng::new(seed + 1 + at), done))
            })
            .collect();
        let followers: Vec<_> = [&direct, &cut, &cut]
            .map(|endpoint| {
                let (store, goal) = (open(endpoint.clone()), &goal);
                scope.spawn(move || follow(&store, goal))
            })
            .into();
        let torment = torment(&mut server, &proxy, Rng::new(seed), span);
        done.store(true, Ordering::Relaxed);
        let written: Vec<_> = writers
            .into_iter()
            .map(|writer| writer.join().expect("a writer ends"))
            .collect();
        let end = block_on_ready(open(direct.clone()).list(PREFIX)).expect("a list");
        let end: World = end
            .entries
            .into_iter()
            .map(|entry| (entry.key, entry.value))
            .collect();
        check_counters(&end, &written, seed);
        goal.set(end).expect("set once");
        eprintln!("chaos of {span:?}, seed {seed}: {torment:?}");
        for writer in written {
            let acknowledged: u64 = writer
                .counters
                .values()
                .map(|count| count.acknowledged)
                .sum();
            let unsure: u64 = writer.counters.values().map(|count| count.unsure).sum();
            eprintln!(
                "  a writer: {acknowledged} acknowledged, {unsure} unsure, {} conflicts, {} failures",
                writer.conflicts, writer.failures
            );
        }
        for follower in followers {
            let FeedStats { lists, failures } = follower.join().expect("a follower ends");
            eprintln!("  a follower: {lists} full lists, {failures} failures");
        }
    });
}

#[derive(Debug, Default)]
struct Torment {
    kills: u32,
    compactions: u32,
    cuts: u32,
}

/// Breaks something now and then, and mends it.
fn torment(server: &mut RealEtcd, proxy: &Proxy, mut rng: Rng, span: Duration) -> Torment {
    let mut torment = Torment::default();
    let begun = Instant::now();
    while begun.elapsed() < span {
        std::thread::park_timeout(millis(50 + rng.below(700)));
        match rng.below(10) {
            0 | 1 => {
                server.kill();
                torment.kills += 1;
                std::thread::park_timeout(millis(rng.below(1500)));
                server.restart();
            }
            2..=4 => {
                let head = server.revision();
                torment.compactions +=
                    u32::from(server.compact(head.saturating_sub(rng.below(20) as u64)));
            }
            _ => {
                proxy.cut();
                torment.cuts += 1;
            }
        }
    }
    torment
}

/// Increments counters by compare-and-swap, and makes and removes objects, until told to stop.
fn write(store: &EtcdStore, mut rng: Rng, done: &AtomicBool) -> Written {
    let mut written = Written::default();
    while !done.load(Ordering::Relaxed) {
        let at = rng.below(COUNTERS);
        let outcome = match rng.below(4) {
            0 => toggle(store, &format!("{PREFIX}object/{at}")),
            _ => increment(store, &format!("{PREFIX}counter/{at:02}"), &mut written),
        };
        match outcome {
            Ok(()) => {}
            Err(
                CommitError::Conflict { .. }
                | CommitError::AlreadyExists { .. }
                | CommitError::NotFound { .. },
            ) => {
                written.conflicts += 1;
            }
            Err(CommitError::Unsure(_) | CommitError::Storage(_)) => written.failures += 1,
            Err(error) => panic!("{error}"),
        }
    }
    written
}

fn increment(store: &EtcdStore, key: &str, written: &mut Written) -> Result<(), CommitError> {
    let Ok(found) = block_on_ready(store.get(key)) else {
        written.failures += 1;
        return Ok(());
    };
    let change = match found {
        None => Write::create(key, "1"),
        Some(entry) => {
            let next = decimal(&entry.value) + 1;
            Write::update(key, next.to_string(), entry.revision)
        }
    };
    let count = written.counters.entry(key.to_owned()).or_default();
    match block_on_ready(store.commit(&[change])) {
        Ok(_) => count.acknowledged += 1,
        Err(CommitError::Unsure(error)) => {
            count.unsure += 1;
            return Err(CommitError::Unsure(error));
        }
        Err(error) => return Err(error),
    }
    Ok(())
}

fn toggle(store: &EtcdStore, key: &str) -> Result<(), CommitError> {
    let Ok(found) = block_on_ready(store.get(key)) else {
        return Ok(());
    };
    let change = match found {
        None => Write::create(key, "there"),
        Some(entry) => Write::delete(key, Some(entry.revision)),
    };
    block_on_ready(store.commit(&[change])).map(|_| ())
}

/// Follows until the world is the goal; it may be late, never wrong, and never quiet about being behind.
fn follow(store: &EtcdStore, goal: &std::sync::OnceLock<World>) -> FeedStats {
    let mut feed = store.follow(&[PREFIX]).expect("descriptors");
    let (mut world, mut in_syncs) = (World::new(), 0);
    let mut late = None;
    loop {
        for event in feed
            .next(Duration::from_millis(100))
            .expect("it can be waited for")
        {
            match event {
                FeedEvent::Put(entry) => {
                    let before = world.insert(entry.key.clone(), entry.value.clone());
                    if let Some(before) = before.filter(|_| entry.key.contains("counter")) {
                        let (before, now) = (decimal(&before), decimal(&entry.value));
                        assert!(
                            before <= now,
                            "{} went back from {before} to {now}",
                            entry.key
                        );
                    }
                }
                FeedEvent::Delete { key } => {
                    assert!(world.remove(&key).is_some(), "only what was said is unsaid");
                }
                FeedEvent::InSync => in_syncs += 1,
            }
        }
        let Some(goal) = goal.get() else { continue };
        if world == *goal && feed.state() == FeedState::InSync {
            assert_eq!(in_syncs, 1, "in sync once");
            return feed.stats();
        }
        let since = late.get_or_insert_with(Instant::now);
        assert!(
            since.elapsed() < PATIENCE,
            "{}",
            behind(&feed, &world, goal)
        );
    }
}

fn behind(feed: &Feed, world: &World, goal: &World) -> String {
    let differ = goal
        .iter()
        .filter(|(key, value)| world.get(*key) != Some(value))
        .map(|(key, _)| key);
    let differ: Vec<_> = differ
        .chain(world.keys().filter(|key| !goal.contains_key(*key)))
        .collect();
    format!(
        "a follower is behind in {differ:?}, and is {:?}",
        feed.state()
    )
}

fn check_counters(end: &World, written: &[Written], seed: u64) {
    for at in 0..COUNTERS {
        let key = format!("{PREFIX}counter/{at:02}");
        let counts = written
            .iter()
            .filter_map(|writer| writer.counters.get(&key));
        let (least, unsure) = counts.fold((0, 0), |(sure, unsure), count| {
            (sure + count.acknowledged, unsure + count.unsure)
        });
        let value = end.get(&*key).map_or(0, |value| decimal(value));
        assert!(
            (least..=least + unsure).contains(&value),
            "{key} is {value} after {least} acknowledged and {unsure} unsure increments, seed {seed}"
        );
    }
}
