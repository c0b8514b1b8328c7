//! What the embedded store costs on this disk: `cargo run --release -p datastore --example measure -- DIRECTORY`.
//!
//! Prints commits per second that are durable, what a short-lived process pays to open, read and commit, and how long a
//! watch in one process takes to wake after a commit in another. The program starts itself for the other processes.

use std::io::{BufRead, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use datastore::{
    Close, CommitError, Datastore, EmbeddedStore, Event, Options, Query, Revision, Write,
    block_on_ready,
};
use rustix::time::{ClockId, clock_gettime};

/// The size of an IPAM block or a policy, about.
const VALUE: usize = 1000;
const SPAN: Duration = Duration::from_secs(3);

fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let words: Vec<_> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["once", path] => once(Path::new(path)),
        ["swap", path, key] => println!("{}", swap_for(&open(Path::new(path)), key, SPAN)),
        ["sign", path] => sign(Path::new(path)),
        [directory] => measure(Path::new(directory)),
        _ => eprintln!("usage: measure DIRECTORY"),
    }
}

fn open(path: &Path) -> EmbeddedStore {
    EmbeddedStore::open(path).expect("the store opens")
}

fn measure(directory: &Path) {
    let directory = tempfile::tempdir_in(directory).expect("a directory to write in");
    let path = directory.path().join("datastore.db");
    floor(directory.path());
    let store = open(&path);
    fill(&store);

    let one = swap_for(&store, "/one", SPAN);
    println!(
        "compare-and-swap commits/s, durable: 1 thread {:.0}",
        rate(one)
    );
    let threads = std::thread::scope(|scope| {
        let swappers: Vec<_> = (0..8)
            .map(|at| (format!("/thread/{at}"), &store))
            .map(|(key, store)| scope.spawn(move || swap_for(store, &key, SPAN)))
            .collect();
        swappers
            .into_iter()
            .map(|swapper| swapper.join().expect("it ends"))
            .sum::<u64>()
    });
    println!("  8 threads of one process {:.0}", rate(threads));
    let processes: Vec<_> = (0..4)
        .map(|at| child(&["swap", text(&path), &format!("/process/{at}")]))
        .collect();
    println!(
        "  4 processes, a key each {:.0}",
        rate(processes.into_iter().map(count).sum())
    );
    let processes: Vec<_> = (0..4)
        .map(|_| child(&["swap", text(&path), "/shared"]))
        .collect();
    println!(
        "  4 processes, one key {:.0}",
        rate(processes.into_iter().map(count).sum())
    );

    let reads = samples(2000, || {
        block_on_ready(store.get("/filled/00500"))
            .map(drop)
            .expect("readable")
    });
    println!("read of one key, open store: {}", spread(reads));
    let lists = samples(50, || {
        store
            .read_sync(&[Query::prefix("/filled/")])
            .map(drop)
            .expect("readable")
    });
    println!("list of 1000 keys of {VALUE} bytes: {}", spread(lists));
    processes_once(&path, "an agent has the store open");
    wake_up(&store, &path);
    drop(store);
    processes_once(&path, "nobody else has it open");
}

/// What the disk itself takes for a small durable append.
fn floor(directory: &Path) {
    let mut file = std::fs::File::create(directory.join("floor")).expect("a file");
    let flushes = samples(300, || {
        file.write_all(&[0; 8192]).expect("room");
        file.sync_data().expect("a flush");
    });
    println!("floor, 8 KiB append and fdatasync: {}", spread(flushes));
}

fn fill(store: &EmbeddedStore) {
    let writes: Vec<_> = (0..1000)
        .map(|at| Write::put(format!("/filled/{at:05}"), vec![b'x'; VALUE]))
        .collect();
    store.commit_sync(&writes).expect("put");
}

/// Swaps `key` as often as it can; returns how often it did.
fn swap_for(store: &EmbeddedStore, key: &str, span: Duration) -> u64 {
    let _ = store.commit_sync(&[Write::create(key, vec![b'x'; VALUE])]);
    let (begun, mut made) = (Instant::now(), 0);
    while begun.elapsed() < span {
        let entry = block_on_ready(store.get(key))
            .expect("readable")
            .expect("it exists");
        match store.commit_sync(&[Write::update(key, entry.value, entry.revision)]) {
            Ok(_) => made += 1,
            Err(CommitError::Conflict { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
    made
}

/// A short-lived process such as a CNI plugin: open, read two keys and a prefix, commit two writes, end.
fn once(path: &Path) {
    let begun = Instant::now();
    let options = Options {
        close: Close::Leave,
        ..Options::default()
    };
    let store = EmbeddedStore::open_with(path, options).expect("the store opens");
    let opened = begun.elapsed();
    let queries = [
        Query::key("/filled/00001"),
        Query::key("/once/a"),
        Query::prefix("/filled/0001"),
    ];
    store.read_sync(&queries).expect("readable");
    let read = begun.elapsed() - opened;
    let writes = ["/once/a", "/once/b"].map(|key| Write::put(key, vec![b'x'; VALUE]));
    store.commit_sync(&writes).expect("put");
    let committed = begun.elapsed() - opened - read;
    drop(store);
    let all = begun.elapsed();
    println!(
        "{} {} {} {}",
        opened.as_micros(),
        read.as_micros(),
        committed.as_micros(),
        all.as_micros()
    );
}

fn processes_once(path: &Path, setting: &str) {
    let mut columns: [Vec<Duration>; 4] = Default::default();
    for _ in 0..200 {
        let output = child(&["once", text(path)])
            .wait_with_output()
            .expect("it ends");
        let line = String::from_utf8(output.stdout).expect("text");
        for (column, word) in columns.iter_mut().zip(line.split_whitespace()) {
            column.push(Duration::from_micros(word.parse().expect("a number")));
        }
    }
    println!("a process's first and only use, while {setting}:");
    for (name, column) in ["open", "read", "commit", "all, with close"]
        .into_iter()
        .zip(columns)
    {
        println!("  {name}: {}", spread(column));
    }
}

/// Commits when told to, and says when that was done.
fn sign(path: &Path) {
    let store = open(path);
    for _line in std::io::stdin().lines() {
        store.commit_sync(&[Write::put("/sign", "1")]).expect("put");
        println!("{}", now().as_nanos());
    }
}

fn wake_up(store: &EmbeddedStore, path: &Path) {
    let mut watch = store
        .watch_sync(
            &["/sign"],
            block_on_ready(store.read(&[])).expect("readable").revision,
        )
        .expect("watch");
    let mut other = child(&["sign", text(path)]);
    let mut orders = other.stdin.take().expect("piped");
    let mut signs = BufReader::new(other.stdout.take().expect("piped")).lines();
    let (mut delays, mut early) = (Vec::new(), 0);
    for _ in 0..500 {
        orders.write_all(b"\n").expect("it reads");
        let events = watch.next(Duration::from_secs(5)).expect("events");
        let woken = now();
        assert!(matches!(events[..], [Event::Put(_)]), "{events:?}");
        let signed: u64 = signs
            .next()
            .expect("a line")
            .expect("text")
            .parse()
            .expect("a number");
        let delay = woken.checked_sub(Duration::from_nanos(signed));
        early += u32::from(delay.is_none());
        delays.push(delay.unwrap_or_default());
    }
    drop(orders);
    other.wait().expect("it ends");
    println!(
        "watch in one process after the acknowledgement in another: {} ({early} of 500 before it)",
        spread(delays)
    );
    assert!(watch.revision() > Revision::ZERO);
}

fn now() -> Duration {
    let now = clock_gettime(ClockId::Monotonic);
    Duration::new(
        now.tv_sec.cast_unsigned(),
        u32::try_from(now.tv_nsec).unwrap_or(0),
    )
}

fn child(arguments: &[&str]) -> std::process::Child {
    let program: PathBuf = std::env::current_exe().expect("this program");
    Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("this program starts")
}

fn count(child: std::process::Child) -> u64 {
    let output = child.wait_with_output().expect("it ends");
    String::from_utf8(output.stdout)
        .expect("text")
        .trim()
        .parse()
        .expect("a number")
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

fn rate(made: u64) -> f64 {
    made as f64 / SPAN.as_secs_f64()
}

fn samples(times: usize, mut work: impl FnMut()) -> Vec<Duration> {
    (0..times)
        .map(|_| {
            let begun = Instant::now();
            work();
            begun.elapsed()
        })
        .collect()
}

fn spread(mut samples: Vec<Duration>) -> String {
    samples.sort_unstable();
    let at = |percent: usize| samples[(samples.len() - 1) * percent / 100].as_secs_f64() * 1e6;
    format!(
        "p50 {:.0} us, p99 {:.0} us, max {:.0} us",
        at(50),
        at(99),
        at(100)
    )
}
