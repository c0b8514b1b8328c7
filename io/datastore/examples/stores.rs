//! What the stores cost beside one another: `cargo run --release -p datastore --example stores -- DIRECTORY`.
//!
//! Prints, for the embedded store in the directory and for an etcd on this machine: requests and time of reads, lists and
//! writes, how long a change takes to reach one who watches, and the memory of one who follows many objects.

use std::path::Path;
use std::time::{Duration, Instant};

use api::{Kind, Object};
use datastore::{
    CommitMode, Datastore, EmbeddedStore, EtcdSettings, EtcdStore, Event, FeedEvent, Write,
    block_on_ready,
};
use serde_json::json;
use testkit::servers::{Guard, RealEtcd};

const LISTED: usize = 10_000;
const FOLLOWED: usize = 100_000;
const CREATED: usize = 1_000;
const PATIENCE: Duration = Duration::from_secs(60);

fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let words: Vec<_> = arguments.iter().map(String::as_str).collect();
    let [directory] = words[..] else {
        eprintln!("usage: stores DIRECTORY");
        return;
    };
    embedded(Path::new(directory));
    etcd();
}

fn embedded(directory: &Path) {
    let directory = tempfile::tempdir_in(directory).expect("a directory to write in");
    let open = || EmbeddedStore::open(directory.path().join("d.db")).expect("a store");
    println!("embedded, in {}:", directory.path().display());
    measure(&open);
}

fn etcd() {
    let Some(server) = RealEtcd::start(Guard::Open) else {
        return;
    };
    let settings = EtcdSettings {
        endpoints: vec![server.url()],
        ..EtcdSettings::default()
    };
    println!("etcd of one member, its data in memory:");
    measure(&|| EtcdStore::open(&settings, PATIENCE).expect("settings"));
}

fn key(at: usize) -> String {
    api::store_key(Kind::GlobalNetworkSet, None, &format!("set-{at:06}"))
}

fn prefix() -> String {
    api::store_prefix(Kind::GlobalNetworkSet, None)
}

/// About 800 bytes, as a policy of a few rules has.
fn value(at: usize) -> Vec<u8> {
    let mut object = Object::new(Kind::GlobalNetworkSet, None, &format!("set-{at:06}"));
    let nets: Vec<_> = (0..40).map(|net| format!("10.{net}.0.0/16")).collect();
    object.spec_mut().insert("nets".into(), json!(nets));
    object.to_store_bytes()
}

fn measure<S: Datastore + Clone + 'static>(open: &dyn Fn() -> S) {
    let store = open();
    let requests = |work: &dyn Fn()| {
        let before = store.stats().requests();
        work();
        store.stats().requests() - before
    };
    let create = |at: usize| {
        block_on_ready(store.create(&key(at), value(at))).expect("create");
    };
    let begun = Instant::now();
    let made = requests(&|| (0..CREATED).for_each(create));
    tell("1 000 creates, one by one", begun.elapsed(), made);
    fill(&store, CREATED, LISTED);
    let mut reads = Vec::new();
    let made = requests(&|| drop(block_on_ready(store.get(&key(5))).expect("get")));
    for at in 0..2000 {
        let begun = Instant::now();
        block_on_ready(store.get(&key(at % CREATED))).expect("get");
        reads.push(begun.elapsed());
    }
    println!("  get of one: {made} request, {}", spread(reads));
    let begun = Instant::now();
    let made = requests(&|| {
        let all = block_on_ready(store.list(&prefix())).expect("list");
        assert_eq!(all.entries.len(), LISTED);
    });
    tell("list of 10 000", begun.elapsed(), made);
    println!(
        "  a change reaches another who watches: {}",
        spread(latencies(&store, &open()))
    );
    let begun = Instant::now();
    let made = requests(&|| fill(&store, LISTED, FOLLOWED));
    tell(
        "90 000 creates, as many at once as it takes",
        begun.elapsed(),
        made,
    );
    follow(&open());
}

fn fill<S: Datastore>(store: &S, from: usize, to: usize) {
    let chunk = match store.capabilities().commit {
        CommitMode::Transaction { at_most } => at_most.min(1000),
        CommitMode::OneByOne => 1,
    };
    let all: Vec<_> = (from..to).collect();
    for some in all.chunks(chunk) {
        let writes: Vec<_> = some
            .iter()
            .map(|&at| Write::create(key(at), value(at)))
            .collect();
        block_on_ready(store.commit(&writes)).expect("create");
    }
}

/// From just before a commit to the moment another handle's watch has it.
fn latencies<S: Datastore>(writer: &S, watcher: &S) -> Vec<Duration> {
    let from = block_on_ready(watcher.read(&[]))
        .expect("a revision")
        .revision;
    let mut watch = block_on_ready(watcher.watch(&["/calico/bench/"], from)).expect("watch");
    let mut delays = Vec::new();
    for at in 0..1000_u32 {
        let begun = Instant::now();
        let write = [Write::put("/calico/bench/sign", at.to_string())];
        block_on_ready(writer.commit(&write)).expect("put");
        let events = watch.next(PATIENCE).expect("events");
        assert!(matches!(events[..], [Event::Put(_)]), "{events:?}");
        delays.push(begun.elapsed());
    }
    delays
}

fn follow<S: Datastore + Clone + 'static>(store: &S) {
    // The peak counts from here (proc(5)).
    std::fs::write("/proc/self/clear_refs", "5").expect("one's own memory");
    let before = resident();
    let begun = Instant::now();
    let mut feed = store.follow(&[&prefix()]).expect("descriptors");
    let mut heard = 0;
    while heard <= FOLLOWED {
        let events = feed.next(PATIENCE).expect("events");
        heard += events.len();
        if events.contains(&FeedEvent::InSync) {
            break;
        }
    }
    let took = begun.elapsed();
    println!(
        "  a feed of 100 000: in sync after {:.2} s, {} requests; it keeps {:.0} MB (peak {:.0} MB over what there was)",
        took.as_secs_f64(),
        store.stats().requests(),
        resident() - before,
        peak() - before,
    );
    assert_eq!(heard, FOLLOWED + 1);
}

/// Memory of this process, in megabytes.
fn resident() -> f64 {
    status("VmRSS:")
}

fn peak() -> f64 {
    status("VmHWM:")
}

fn status(name: &str) -> f64 {
    let text = std::fs::read_to_string("/proc/self/status").expect("a status");
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    number.unwrap_or(0.0) / 1024.0
}

fn tell(what: &str, took: Duration, requests: u64) {
    println!("  {what}: {:.3} s, {requests} requests", took.as_secs_f64());
}

fn spread(mut samples: Vec<Duration>) -> String {
    samples.sort_unstable();
    let at = |percent: usize| samples[(samples.len() - 1) * percent / 100].as_secs_f64() * 1e6;
    format!("p50 {:.0} us, p99 {:.0} us", at(50), at(99))
}
