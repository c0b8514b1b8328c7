//! Several processes on one file: nothing acknowledged is lost, whoever is killed, and everyone is woken.
//!
//! The test binary runs itself again with a role in its environment; [`role`] is where those processes begin.

use std::collections::{BTreeMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::io::{BufRead, BufReader, Lines, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use datastore::{
    CommitError, Datastore, EmbeddedStore, Event, Options, Query, Revision, Watch, WatchMode,
    Write, block_on_ready,
};

const ROLE: &str = "DATASTORE_TEST_ROLE";
const FILE: &str = "DATASTORE_TEST_FILE";
const PATIENCE: Duration = Duration::from_secs(20);

/// Where the processes begin that the tests here start; in the test run itself it has no role and nothing to do.
#[test]
fn role() {
    let (Ok(role), Ok(path)) = (std::env::var(ROLE), std::env::var(FILE)) else {
        return;
    };
    let store = || EmbeddedStore::open(&path).expect("the store opens");
    match role.split_once(' ') {
        Some(("increment", times)) => {
            let store = store();
            for _ in 0..times.parse().expect("a number") {
                increment(&store, "/counter");
            }
        }
        Some(("write", name)) => write_forever(&store(), name),
        Some(("silent", _)) => commit_without_a_sign(Path::new(&path)),
        Some(("hold", _)) => hold_the_lock(Path::new(&path)),
        Some(("put", key)) => {
            store().commit_sync(&[Write::put(key, "1")]).expect("put");
        }
        _ => panic!("unknown role {role}"),
    }
}

/// Adds one to a number, by compare-and-swap until it holds.
fn increment(store: &EmbeddedStore, key: &str) {
    loop {
        let entry = block_on_ready(store.get(key))
            .expect("readable")
            .expect("the counter exists");
        let value = (number(&entry.value) + 1).to_string();
        match store.commit_sync(&[Write::update(key, value, entry.revision)]) {
            Ok(_) => return,
            Err(CommitError::Conflict { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

fn start(path: &Path, role: &str) -> Child {
    Command::new(std::env::current_exe().expect("this binary"))
        .args(["--exact", "role", "--nocapture", "--test-threads=1"])
        .env(ROLE, role)
        .env(FILE, path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the test binary runs")
}

fn finish(child: Child) {
    let output = child.wait_with_output().expect("it ends");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Counts its two keys up in one transaction each time, and says so once that is acknowledged.
fn write_forever(store: &EmbeddedStore, name: &str) {
    let keys = ["a", "b"].map(|part| format!("/{name}/{part}"));
    let mut count = count_of(store, &keys[0]);
    loop {
        count += 1;
        let writes = keys.clone().map(|key| Write::put(key, count.to_string()));
        let revision = store.commit_sync(&writes).expect("a commit");
        // In one system call: a kill leaves a whole line or none.
        let line = format!("ack {count} {revision}\n");
        std::io::stderr()
            .write_all(line.as_bytes())
            .expect("the parent reads");
    }
}

fn count_of(store: &EmbeddedStore, key: &str) -> u64 {
    let entry = block_on_ready(store.get(key)).expect("readable");
    entry.map_or(0, |entry| number(&entry.value))
}

fn number(value: &[u8]) -> u64 {
    std::str::from_utf8(value)
        .expect("digits")
        .parse()
        .expect("digits")
}

/// What a writer leaves that is killed after its commit and before it wakes anyone.
fn commit_without_a_sign(path: &Path) {
    let connection = rusqlite::Connection::open(path).expect("the store opens");
    connection
        .execute_batch(
            "BEGIN IMMEDIATE; INSERT INTO log VALUES (1 << 20, '/silent', NULL, x'31');
            INSERT INTO current VALUES ('/silent', 1 << 20); COMMIT;",
        )
        .expect("a commit");
    rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL)
        .expect("the end");
}

/// Takes the write lock, says so, and keeps it until told to end.
fn hold_the_lock(path: &Path) {
    let connection = rusqlite::Connection::open(path).expect("the store opens");
    connection
        .execute_batch("BEGIN IMMEDIATE")
        .expect("the lock");
    std::io::stderr()
        .write_all(b"locked\n")
        .expect("the parent reads");
    let _ = std::io::stdin().lines().next();
}

#[test]
fn the_process_that_holds_the_lock_is_named() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("datastore.db");
    let options = Options {
        lock_timeout: Duration::from_millis(100),
        ..Options::default()
    };
    let store = EmbeddedStore::open_with(&path, options).expect("a new store");
    let mut holder = start(&path, "hold it");
    let mut said = BufReader::new(holder.stderr.take().expect("piped")).lines();
    assert_eq!(said.next().expect("a line").expect("text"), "locked");
    let error = store
        .commit_sync(&[Write::put("/a", "1")])
        .expect_err("it is locked")
        .to_string();
    assert!(
        error.contains(&format!("has been locked by process {} (", holder.id())),
        "{error}"
    );
    drop(holder.stdin.take());
    holder.wait().expect("it ends");
    store.commit_sync(&[Write::put("/a", "1")]).expect("put");
}

#[test]
fn four_processes_increment_exactly() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("datastore.db");
    let store = EmbeddedStore::open(&path).expect("a new store");
    block_on_ready(store.create("/counter", b"0".to_vec())).expect("create");
    let children: Vec<_> = (0..4).map(|_| start(&path, "increment 100")).collect();
    children.into_iter().for_each(finish);
    assert_eq!(count_of(&store, "/counter"), 400);
    assert_eq!(
        block_on_ready(store.read(&[])).expect("read").revision,
        Revision::new(401),
        "one commit each"
    );
}

#[test]
fn processes_that_make_the_file_together_agree() {
    for _ in 0..10 {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("deep/er/datastore.db");
        let children: Vec<_> = (0..6)
            .map(|at| start(&path, &format!("put /{at}")))
            .collect();
        children.into_iter().for_each(finish);
        let store = EmbeddedStore::open(&path).expect("it opens");
        assert_eq!(
            block_on_ready(store.list("/")).expect("list").entries.len(),
            6
        );
    }
}

#[test]
fn a_watch_is_woken_by_another_process() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("datastore.db");
    let store = EmbeddedStore::open(&path).expect("a new store");
    let mut watch = store.watch_sync(&["/"], Revision::ZERO).expect("watch");
    assert!(watch.try_next().expect("nothing yet").is_empty());
    finish(start(&path, "put /x"));
    assert!(
        matches!(&watch.next(PATIENCE).expect("events")[..], [Event::Put(entry)] if &*entry.key == "/x")
    );
}

#[test]
fn a_watch_is_woken_by_a_writer_that_dies_before_it_gives_a_sign() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("datastore.db");
    let store = EmbeddedStore::open(&path).expect("a new store");
    let mut watch = store.watch_sync(&["/"], Revision::ZERO).expect("watch");
    assert_eq!(*watch.mode(), WatchMode::Woken);
    assert!(watch.try_next().expect("nothing yet").is_empty());
    let mut silent = start(&path, "silent now");
    assert!(
        matches!(&watch.next(PATIENCE).expect("events")[..], [Event::Put(entry)] if &*entry.key == "/silent")
    );
    silent.wait().expect("it ends");
}

/// A process that writes until it is killed, and what it has acknowledged.
struct Writer {
    name: String,
    child: Child,
    acks: Lines<BufReader<std::process::ChildStderr>>,
    _stdout: Option<ChildStdout>,
}

impl Writer {
    fn start(path: &Path, name: &str) -> Self {
        let mut child = start(path, &format!("write {name}"));
        let acks = BufReader::new(child.stderr.take().expect("piped")).lines();
        Self {
            name: name.into(),
            acks,
            _stdout: child.stdout.take(),
            child,
        }
    }

    /// Reads acknowledgements until `enough`, or until the process is gone.
    fn follow(&mut self, acked: &mut Acked, enough: usize) {
        for line in self.acks.by_ref().take(enough) {
            let line = line.expect("text");
            let words: Vec<_> = line.split(' ').collect();
            let ["ack", count, revision] = words[..] else {
                panic!("{}: {line}", self.name)
            };
            acked.take(
                &self.name,
                number(count.as_bytes()),
                number(revision.as_bytes()),
            );
        }
    }

    fn kill(mut self, acked: &mut Acked) {
        self.child.kill().expect("it can be killed");
        self.child.wait().expect("it ends");
        self.follow(acked, usize::MAX);
    }
}

/// What all writers were told: the last count of each, and every revision.
#[derive(Default)]
struct Acked {
    counts: BTreeMap<String, (u64, u64)>,
    revisions: HashSet<u64>,
}

impl Acked {
    fn take(&mut self, name: &str, count: u64, revision: u64) {
        assert!(
            self.revisions.insert(revision),
            "revision {revision} was given twice"
        );
        let last = self.counts.entry(name.to_owned()).or_default();
        assert!(
            count > last.0 && revision > last.1,
            "{name}: {count} at {revision} after {last:?}"
        );
        *last = (count, revision);
    }

    /// A killed writer's keys: what it was told stands, and at most the one commit it was about to be told of.
    fn verify(&self, store: &EmbeddedStore, name: &str) {
        let snapshot = block_on_ready(store.list(&format!("/{name}/"))).expect("list");
        let (count, _) = self.counts.get(name).copied().unwrap_or_default();
        let Some(first) = snapshot.entries.first() else {
            assert_eq!(count, 0, "{name} was told of commits that are gone");
            return;
        };
        let stored = number(&first.value);
        assert!(
            stored == count || stored == count + 1,
            "{name}: {stored} is stored, {count} was acknowledged"
        );
        assert_eq!(snapshot.entries.len(), 2);
        let halves = |entry: &datastore::Entry| {
            (entry.value == first.value) && entry.revision == first.revision
        };
        assert!(
            snapshot.entries.iter().all(halves),
            "{name}: half a transaction"
        );
    }
}

#[test]
fn killed_writers_lose_nothing() {
    const KILLS: usize = 80;
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("datastore.db");
    let store = EmbeddedStore::open(&path).expect("a new store");
    let mut watch = store.watch_sync(&[], Revision::ZERO).expect("watch");
    let random = RandomState::new();
    let mut acked = Acked::default();
    let mut seen = Seen::default();
    let mut writers: Vec<_> = (0..3)
        .map(|at| Writer::start(&path, &format!("w{at}")))
        .collect();
    for kill in 0..KILLS {
        let dice = random.hash_one(kill);
        let mut writer = writers.swap_remove(dice as usize % writers.len());
        writer.follow(&mut acked, (dice >> 8) as usize % 12);
        spin(Duration::from_micros((dice >> 16) % 2000));
        let name = writer.name.clone();
        writer.kill(&mut acked);
        acked.verify(&store, &name);
        seen.drain(&mut watch, Duration::ZERO);
        writers.push(Writer::start(&path, &name));
    }
    let names: Vec<_> = writers.iter().map(|writer| writer.name.clone()).collect();
    for writer in writers {
        writer.kill(&mut acked);
    }
    names.iter().for_each(|name| acked.verify(&store, name));
    let all = store.read_sync(&[Query::prefix("")]).expect("read");
    while seen.revision < all.revision {
        seen.drain(&mut watch, PATIENCE);
    }
    for entry in &all.entries {
        assert_eq!(
            seen.counts.get(&*entry.key),
            Some(&number(&entry.value)),
            "the watch saw all of {}",
            entry.key
        );
    }
    assert!(
        acked.revisions.len() > KILLS,
        "{} commits were acknowledged",
        acked.revisions.len()
    );
    EmbeddedStore::check(&path).expect("a sound file");
    eprintln!(
        "{KILLS} writers killed, {} commits acknowledged",
        acked.revisions.len()
    );
}

/// Waits a moment too short for the scheduler.
fn spin(moment: Duration) {
    let begun = Instant::now();
    while begun.elapsed() < moment {
        std::hint::spin_loop();
    }
}

/// What a watch has shown: every count of every key, one after the other.
#[derive(Default)]
struct Seen {
    counts: BTreeMap<Box<str>, u64>,
    revision: Revision,
}

impl Seen {
    fn drain(&mut self, watch: &mut Watch, timeout: Duration) {
        for event in watch.next(timeout).expect("events") {
            let Event::Put(entry) = event else {
                panic!("unexpected {event:?}")
            };
            let last = self.counts.entry(entry.key.clone()).or_default();
            *last += 1;
            assert_eq!(
                number(&entry.value),
                *last,
                "{}: each commit once, in order",
                entry.key
            );
            assert!(entry.revision >= self.revision);
            self.revision = entry.revision;
        }
    }
}
