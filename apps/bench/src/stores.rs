//! The three stores in one run: reading 10 000 objects, applying 1 000, how long a change takes to a watcher, what a follower
//! of 100 000 objects holds in memory, and how many requests each operation is.
//!
//! etcd and the API server are real ones of this run, on the same machine as everything else. They keep their data in memory and
//! wait for no disk; the embedded store is on the temporary directory's disk and does.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use api::{Kind, Object};
use datastore::{
    AnyStore, CommitMode, Datastore, FeedEvent, Revision, StoreChoice, StoreRequest, Write,
    block_on_ready,
};
use serde_json::json;
use testkit::servers::{Guard, RealEtcd, RealKubernetes, User};

use crate::sample::{Samples, heading, line};

/// Objects that are read at once.
const READ: usize = 10_000;
/// Objects that are applied by one command.
const APPLIED: usize = 1_000;
/// Objects that are followed.
const FOLLOWED: usize = 100_000;
/// Changes whose way to a watcher is timed.
const CHANGES: usize = 200;
/// Writers that fill a store.
const WRITERS: usize = 8;
/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(600);

/// A store of this run; its servers end with it.
struct Ground {
    name: &'static str,
    /// What names it to a program.
    environment: Vec<(String, String)>,
    _embedded: Option<tempfile::TempDir>,
    _etcd: Option<RealEtcd>,
    kubernetes: Option<RealKubernetes>,
}

impl Ground {
    fn embedded() -> anyhow::Result<Ground> {
        let directory = tempfile::tempdir()?;
        let file = directory.path().join("datastore.db").display().to_string();
        Ok(Ground {
            name: "embedded",
            environment: pairs(&[
                ("DATASTORE_TYPE", "embedded"),
                ("CALICO_DATASTORE_FILE", &file),
            ]),
            _embedded: Some(directory),
            _etcd: None,
            kubernetes: None,
        })
    }

    fn etcd() -> Option<Ground> {
        let server = RealEtcd::start(Guard::Open)?;
        Some(Ground {
            name: "etcdv3",
            environment: pairs(&[
                ("DATASTORE_TYPE", "etcdv3"),
                ("ETCD_ENDPOINTS", &server.url()),
            ]),
            _embedded: None,
            _etcd: Some(server),
            kubernetes: None,
        })
    }

    fn kubernetes() -> Option<Ground> {
        let server = RealKubernetes::start()?;
        server.install_definitions("v1");
        let file = server.kubeconfig(User::Admin).display().to_string();
        Some(Ground {
            name: "kubernetes",
            environment: pairs(&[("DATASTORE_TYPE", "kubernetes"), ("KUBECONFIG", &file)]),
            _embedded: None,
            _etcd: None,
            kubernetes: Some(server),
        })
    }

    fn open(&self) -> anyhow::Result<AnyStore> {
        let request = StoreRequest {
            environment: self.environment.iter().cloned().collect(),
            ..StoreRequest::default()
        };
        Ok(StoreChoice::of(&request)?.open()?)
    }

    fn tell(&self, what: &str, figure: impl std::fmt::Display) {
        line(&format!("{}: {what}", self.name), figure);
    }

    /// Runs a program on this store; what it took, and how much memory it held at most.
    fn timed(&self, program: &Path, words: &[&str]) -> anyhow::Result<(Duration, String)> {
        let begin = Instant::now();
        let output = Command::new(program)
            .args(words)
            .env_clear()
            .envs(self.environment.iter().cloned())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .output()
            .with_context(|| format!("failed to run {}", program.display()))?;
        let took = begin.elapsed();
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        anyhow::ensure!(output.status.success(), "{words:?} failed: {errors}");
        Ok((took, errors))
    }

    /// The requests that the administrator has made, where the server counts them.
    fn audited(&self) -> Option<usize> {
        let server = self.kubernetes.as_ref()?;
        Some(server.requests(User::Admin).len())
    }
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

pub(crate) fn run(bin: &Path) -> anyhow::Result<()> {
    heading(
        "stores (upstream on Kubernetes: calicoctl 7-9 requests a create, 3 a get; in-sync after 61 requests)",
    );
    // Not the file behind the link: its name says what it is.
    let calicoctl = std::path::absolute(bin.join("calicoctl"))?;
    measure(&Ground::embedded()?, &calicoctl)?;
    match Ground::etcd() {
        Some(ground) => measure(&ground, &calicoctl)?,
        None => line("etcdv3", "SKIPPED: there is no etcd; cargo xtask setup"),
    }
    match Ground::kubernetes() {
        Some(ground) => measure(&ground, &calicoctl)?,
        None => line(
            "kubernetes",
            "SKIPPED: no API server was built; cargo xtask setup",
        ),
    }
    Ok(())
}

fn measure(ground: &Ground, calicoctl: &Path) -> anyhow::Result<()> {
    let store = ground.open()?;
    requests(ground, &store)?;
    applied(ground, calicoctl)?;
    fill(&store, READ)?;
    read(ground, &store, calicoctl)?;
    watched(ground, &store)?;
    fill(&store, FOLLOWED)?;
    followed(ground)
}

fn set(name: &str, net: usize) -> Object {
    let mut object = Object::new(Kind::GlobalNetworkSet, None, name);
    let [_, a, b, c] = u32::try_from(net).unwrap_or(0).to_be_bytes();
    object
        .spec_mut()
        .insert("nets".into(), json!([format!("10.{a}.{b}.{c}/32")]));
    object
}

fn put(object: &Object) -> Write {
    Write::put(object.store_key(), object.to_store_bytes())
}

/// Brings the number of sets in the store to `count`.
fn fill(store: &AnyStore, count: usize) -> anyhow::Result<()> {
    let at_once = match store.capabilities().commit {
        CommitMode::Transaction { at_most } => at_most.clamp(1, 1_000),
        CommitMode::OneByOne => 1,
    };
    let there = store_sets(store)?;
    let numbers: Vec<usize> = (there..count).collect();
    let share = numbers.len().div_ceil(WRITERS).max(1);
    std::thread::scope(|scope| -> anyhow::Result<()> {
        let writers: Vec<_> = numbers
            .chunks(share)
            .map(|numbers| {
                scope.spawn(move || -> anyhow::Result<()> {
                    for some in numbers.chunks(at_once) {
                        let writes: Vec<Write> = some
                            .iter()
                            .map(|number| put(&set(&format!("set{number:06}"), *number)))
                            .collect();
                        block_on_ready(store.commit(&writes))?;
                    }
                    Ok(())
                })
            })
            .collect();
        for writer in writers {
            writer
                .join()
                .map_err(|_| anyhow::anyhow!("a writer panicked"))??;
        }
        Ok(())
    })
}

fn sets_prefix() -> String {
    api::store_prefix(Kind::GlobalNetworkSet, None)
}

fn store_sets(store: &AnyStore) -> anyhow::Result<usize> {
    let snapshot = block_on_ready(store.list(&sets_prefix()))?;
    let named = |key: &str| {
        let name = key.rsplit('/').next();
        name.is_some_and(|name| name.starts_with("set"))
    };
    let keys = snapshot.entries.iter().map(|entry| &*entry.key);
    Ok(keys.filter(|key| named(key)).count())
}

/// Requests of each operation, as the store's own handle counts round trips.
fn requests(ground: &Ground, store: &AnyStore) -> anyhow::Result<()> {
    let count = |work: &mut dyn FnMut() -> anyhow::Result<()>| -> anyhow::Result<u64> {
        let before = store.stats().requests();
        work()?;
        Ok(store.stats().requests() - before)
    };
    let object = set("one", 1);
    let key = object.store_key();
    let mut revision = Revision::ZERO;
    let create = count(&mut || {
        block_on_ready(store.commit(&[Write::create(key.clone(), object.to_store_bytes())]))?;
        Ok(())
    })?;
    let get = count(&mut || {
        let found = block_on_ready(store.get(&key))?;
        revision = found.context("what was just made")?.revision;
        Ok(())
    })?;
    let update = count(&mut || {
        let write = Write::update(key.clone(), set("one", 2).to_store_bytes(), revision);
        block_on_ready(store.commit(&[write]))?;
        Ok(())
    })?;
    let list = count(&mut || {
        block_on_ready(store.list(&sets_prefix()))?;
        Ok(())
    })?;
    let delete = count(&mut || {
        block_on_ready(store.commit(&[Write::delete(key.clone(), None)]))?;
        Ok(())
    })?;
    ground.tell(
        "store requests: create, get, update, list, delete",
        format!("{create}, {get}, {update}, {list}, {delete}"),
    );
    Ok(())
}

/// `calicoctl apply` of many objects in one file, and what one `create` and one `get` ask the server.
fn applied(ground: &Ground, calicoctl: &Path) -> anyhow::Result<()> {
    let directory = tempfile::tempdir()?;
    let file = |name: &str, objects: &[Object]| -> anyhow::Result<PathBuf> {
        let texts: Vec<String> = objects
            .iter()
            .map(|object| String::from_utf8_lossy(&object.to_store_bytes()).into_owned())
            .collect();
        let path = directory.path().join(name);
        std::fs::write(&path, texts.join("\n---\n"))?;
        Ok(path)
    };
    let many: Vec<Object> = (0..APPLIED)
        .map(|number| set(&format!("applied{number:04}"), number))
        .collect();
    let many = file("many.yaml", &many)?.display().to_string();
    let single = file("one.yaml", &[set("single", 1)])?.display().to_string();
    let (took, _) = ground.timed(calicoctl, &["apply", "-f", &many])?;
    let each = took.as_secs_f64() * 1e3 / APPLIED as f64;
    ground.tell(
        "calicoctl apply of 1 000 new objects",
        format!("{:.2} s, {each:.2} ms each", took.as_secs_f64()),
    );
    let (took, _) = ground.timed(calicoctl, &["apply", "-f", &many])?;
    ground.tell(
        "calicoctl apply of them again",
        format!("{:.2} s", took.as_secs_f64()),
    );
    for words in [
        &["create", "-f", &single][..],
        &["get", "globalnetworksets", "single"],
    ] {
        let before = ground.audited();
        let (took, _) = ground.timed(calicoctl, words)?;
        let figure = match (before, ground.audited()) {
            (Some(before), Some(after)) => format!(
                "{:.1} ms, {} requests",
                took.as_secs_f64() * 1e3,
                after - before
            ),
            _ => format!("{:.1} ms", took.as_secs_f64() * 1e3),
        };
        ground.tell(&format!("calicoctl {} of one object", words[0]), figure);
    }
    Ok(())
}

fn read(ground: &Ground, store: &AnyStore, calicoctl: &Path) -> anyhow::Result<()> {
    let mut list = Samples::default();
    let mut count = 0;
    for _ in 0..5 {
        let begin = Instant::now();
        count = block_on_ready(store.list(&sets_prefix()))?.entries.len();
        list.add(begin.elapsed());
    }
    ground.tell(&format!("list of {count} objects"), &list);
    let (took, _) = ground.timed(calicoctl, &["get", "globalnetworksets", "-o", "name"])?;
    ground.tell(
        "calicoctl get of all of them",
        format!("{:.2} s", took.as_secs_f64()),
    );
    Ok(())
}

/// From before a commit until a follower of the store has been told.
fn watched(ground: &Ground, store: &AnyStore) -> anyhow::Result<()> {
    let prefix = api::store_prefix(Kind::GlobalNetworkPolicy, None);
    let mut feed = ground.open()?.follow(&[&prefix])?;
    let begin = Instant::now();
    let mut in_sync = false;
    while !in_sync {
        anyhow::ensure!(begin.elapsed() < PATIENCE, "the store is not in sync");
        let events = feed.next(Duration::from_secs(1))?;
        in_sync = events.contains(&FeedEvent::InSync);
    }
    let (mut commits, mut told) = (Samples::default(), Samples::default());
    for number in 0..CHANGES {
        let mut object = Object::new(Kind::GlobalNetworkPolicy, None, "watched");
        let spec = object.spec_mut();
        spec.insert("order".into(), json!(number));
        spec.insert("tier".into(), json!("default"));
        spec.insert("selector".into(), json!("all()"));
        spec.insert("types".into(), json!(["Ingress"]));
        let write = put(&object);
        let begin = Instant::now();
        std::thread::scope(|scope| -> anyhow::Result<()> {
            let writer = scope.spawn(|| {
                let result = block_on_ready(store.commit(&[write]));
                (begin.elapsed(), result)
            });
            while feed.next(Duration::from_secs(5))?.is_empty() {}
            told.add(begin.elapsed());
            let (took, result) = writer
                .join()
                .map_err(|_| anyhow::anyhow!("the writer panicked"))?;
            result?;
            commits.add(took);
            Ok(())
        })?;
    }
    ground.tell("commit of one change", &commits);
    ground.tell("commit begun until a watcher has it", &told);
    Ok(())
}

/// A process of its own, so that only the follower's memory is counted.
fn followed(ground: &Ground) -> anyhow::Result<()> {
    let this = std::env::current_exe()?;
    let (took, said) = ground.timed(&this, &["follow"])?;
    ground.tell(
        "a follower of 100 000 objects",
        format!(
            "in sync, process ended after {:.1} s; {}",
            took.as_secs_f64(),
            said.trim()
        ),
    );
    Ok(())
}

/// What [`followed`] starts: follows the environment's store until it is in sync, and says on standard error what it holds.
pub(crate) fn follow() -> anyhow::Result<()> {
    let request = StoreRequest {
        environment: std::env::vars().collect(),
        ..StoreRequest::default()
    };
    let store = StoreChoice::of(&request)?.open()?;
    let before = memory("VmRSS:");
    let mut feed = store.follow(&[&sets_prefix()])?;
    let begin = Instant::now();
    let mut count = 0;
    loop {
        anyhow::ensure!(begin.elapsed() < PATIENCE, "the store is not in sync");
        let events = feed.next(Duration::from_secs(1))?;
        let in_sync = events.contains(&FeedEvent::InSync);
        count += events.len() - usize::from(in_sync);
        if in_sync {
            break;
        }
    }
    eprintln!(
        "{count} objects, RSS {:.0} MB before, {:.0} MB in sync, {:.0} MB at most; {} lists",
        before,
        memory("VmRSS:"),
        memory("VmHWM:"),
        feed.stats().lists
    );
    Ok(())
}

/// Of this process, in MB.
fn memory(field: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse::<f64>().ok());
    kib.unwrap_or(0.0) / 1024.0
}
