//! Imports that are cut off at any write, on stores with transactions and without; and that a move changes nothing.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use api::{Kind, Object};
use datastore::{
    Capabilities, CommitError, CommitMode, Datastore, MemoryStore, Query, ReadError, Revision,
    Snapshot, Stats, StorageError, Watch, WatchError, Write, WriteOp, block_on_ready,
};
use serde_json::{Value, json};

use super::export::export;
use super::import::{Survey, import};
use super::input::Input;
use super::ipam_part::Aim;
use super::prepared::of_stored;
use super::target::Target;
use super::{Nature, Store};
use crate::outcome::{Failure, Status};
use crate::session::{Output, Session};

/// How a store fails when its time has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// The write is not made.
    Before,
    /// It is made, and nobody hears of it.
    After,
}

/// A store that fails at a write, and at every one after it.
struct Cut<'a> {
    store: &'a MemoryStore,
    mode: CommitMode,
    fault: Fault,
    left: AtomicUsize,
}

impl<'a> Cut<'a> {
    fn new(store: &'a MemoryStore, mode: CommitMode, fault: Fault, writes: usize) -> Cut<'a> {
        let left = AtomicUsize::new(writes);
        Cut {
            store,
            mode,
            fault,
            left,
        }
    }

    async fn part(&self, writes: &[Write]) -> Result<Revision, CommitError> {
        let changes = writes
            .iter()
            .any(|write| !matches!(write.op, WriteOp::Check { .. }));
        let last = changes
            && self
                .left
                .try_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                    left.checked_sub(1)
                })
                .is_err();
        let full = || StorageError::DiskFull { path: "x".into() };
        match (last, self.fault) {
            (false, _) => self.store.commit(writes).await,
            (true, Fault::Before) => Err(full().into()),
            (true, Fault::After) => {
                self.store.commit(writes).await?;
                Err(CommitError::Unsure(full()))
            }
        }
    }
}

impl Datastore for Cut<'_> {
    async fn read(&self, queries: &[Query]) -> Result<Snapshot, ReadError> {
        self.store.read(queries).await
    }

    async fn commit(&self, writes: &[Write]) -> Result<Revision, CommitError> {
        if let CommitMode::Transaction { at_most } = self.mode {
            assert!(writes.len() <= at_most, "{} writes", writes.len());
            return self.part(writes).await;
        }
        let mut revision = Revision::ZERO;
        for write in writes {
            revision = self.part(std::slice::from_ref(write)).await?;
        }
        Ok(revision)
    }

    async fn watch(&self, prefixes: &[&str], from: Revision) -> Result<Watch, WatchError> {
        self.store.watch(prefixes, from).await
    }

    fn stats(&self) -> Stats {
        self.store.stats()
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            commit: self.mode,
            ..self.store.capabilities()
        }
    }
}

fn with_session<T>(stdin: &str, run: impl FnOnce(&mut Session<'_>) -> T) -> (T, String) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let mut session = Session {
        out: &mut out,
        err: &mut err,
        stdin: &mut stdin.as_bytes(),
        environment: BTreeMap::new(),
        output: Output::Other,
        errors: Output::Other,
    };
    let outcome = run(&mut session);
    (outcome, String::from_utf8(out).unwrap())
}

fn file_of(store: &MemoryStore) -> String {
    let (outcome, file) = with_session("", |session| {
        export(
            Store::new(store, "memory"),
            Nature::Plain,
            Aim::Embedded,
            session,
        )
    });
    assert_eq!(outcome, Ok(Status::Done));
    file
}

fn into<S: Datastore>(store: &S, file: &str) -> Result<Status, Failure> {
    let (outcome, _) = with_session(file, |session| {
        let mut input = Input::open("-", session)?;
        let survey = Survey::of(&mut input, session)?;
        let target = Target::new(Store::new(store, "memory"), Nature::Plain);
        import(&mut input, &survey, target, session)
    });
    outcome
}

/// Upstream's cluster, locked.
fn upstream() -> MemoryStore {
    let store = MemoryStore::new();
    let writes: Vec<Write> = testkit::upstream::entries()
        .map(|(key, value)| {
            let value = value.replace("\"datastoreReady\":true", "\"datastoreReady\":false");
            Write::create(key, value)
        })
        .collect();
    block_on_ready(store.commit(&writes)).unwrap();
    store
}

fn content(store: &MemoryStore) -> BTreeMap<String, [u8; 32]> {
    let snapshot = block_on_ready(store.list("")).unwrap();
    let entries = snapshot.entries.iter().filter_map(|entry| {
        let kind = api::parse_store_key(&entry.key)?.kind();
        Some((entry.key.to_string(), of_stored(kind, entry).unwrap()))
    });
    entries.collect()
}

/// What may never be seen, however far an import came.
fn check_invariants(store: &MemoryStore) {
    let snapshot = block_on_ready(store.list("")).unwrap();
    let has = |key: &str| snapshot.get(key).is_some();
    for entry in &snapshot.entries {
        let value: Value = serde_json::from_slice(&entry.value).unwrap();
        match api::parse_store_key(&entry.key) {
            Some(api::StoreKey::Affinity(id))
                if value.get("state") == Some(&json!("confirmed")) =>
            {
                let block = api::StoreKey::Block(id.block).to_string();
                assert!(has(&block), "{} has no block", entry.key);
            }
            Some(api::StoreKey::Block(_)) => {
                let attributes = value.get("attributes").and_then(Value::as_array);
                for attribute in attributes.into_iter().flatten() {
                    let handle = attribute.get("handle_id").and_then(Value::as_str).unwrap();
                    let key = format!("/calico/ipam/v2/handle/{handle}");
                    assert!(has(&key), "{} has no {key}", entry.key);
                }
            }
            Some(place) if place.kind() == Kind::WorkloadEndpoint => {
                for key in [
                    "ipam/v2/assignment/ipv4/block/192.168.0.0-29",
                    "resources/v3/projectcalico.org/networkpolicies/shop/web",
                    "resources/v3/projectcalico.org/profiles/kns.shop",
                ] {
                    assert!(has(&format!("/calico/{key}")), "an endpoint before {key}");
                }
            }
            Some(_) | None => {}
        }
    }
    let key = api::store_key(Kind::ClusterInformation, None, "default");
    if let Some(entry) = snapshot.get(&key) {
        let object = Object::from_store(&key, &entry.value, 1).unwrap();
        assert!(crate::lock::is_locked(&object), "unlocked");
    } else {
        assert!(snapshot.entries.is_empty(), "written before it was locked");
    }
}

#[test]
fn an_import_that_is_cut_off_is_finished_by_the_next() {
    let file = file_of(&upstream());
    let whole = MemoryStore::new();
    into(&whole, &file).unwrap();
    let wanted = content(&whole);
    let modes = [
        (CommitMode::OneByOne, Fault::Before),
        (CommitMode::OneByOne, Fault::After),
        (CommitMode::Transaction { at_most: 4 }, Fault::Before),
        (CommitMode::Transaction { at_most: 4 }, Fault::After),
        (CommitMode::Transaction { at_most: 1 }, Fault::Before),
    ];
    for (mode, fault) in modes {
        // A look at the lock and a write are two.
        let mode = match mode {
            CommitMode::Transaction { at_most } => CommitMode::Transaction {
                at_most: at_most + 1,
            },
            CommitMode::OneByOne => mode,
        };
        let mut cuts = 0;
        loop {
            let store = MemoryStore::new();
            let outcome = into(&Cut::new(&store, mode, fault, cuts), &file);
            check_invariants(&store);
            if outcome.is_ok() {
                break;
            }
            into(&Cut::new(&store, mode, fault, usize::MAX), &file).unwrap();
            assert_eq!(
                content(&store),
                wanted,
                "{mode:?}, {fault:?}, cut after {cuts}"
            );
            cuts += 1;
        }
        assert!(cuts >= 10, "{mode:?}, {fault:?}: {cuts} cuts");
    }
}

#[test]
fn someone_who_unlocks_stops_it() {
    let file = file_of(&upstream());
    let store = MemoryStore::new();
    let cut = Cut::new(&store, CommitMode::OneByOne, Fault::Before, 5);
    into(&cut, &file).unwrap_err();
    let key = api::store_key(Kind::ClusterInformation, None, "default");
    let entry = block_on_ready(store.get(&key)).unwrap().unwrap();
    let ready = String::from_utf8(entry.value)
        .unwrap()
        .replace("\"datastoreReady\":false", "\"datastoreReady\":true");
    let (outcome, _) = with_session(&file, |session| {
        let mut input = Input::open("-", session)?;
        let mut target = Target::new(Store::new(&store, "memory"), Nature::Plain);
        assert!(!target.initialize_locked()?);
        block_on_ready(store.commit(&[Write::put(key, ready)])).unwrap();
        let survey = Survey::of(&mut input, session)?;
        assert!(!target.store.name.is_empty() && survey != Survey::default());
        target.built_in()
    });
    insta::assert_snapshot!(outcome.unwrap_err().text);
}

/// Pieces of which texts are made that a careless reader or writer stumbles over.
const PIECES: [&str; 24] = [
    "===",
    "---",
    "\n",
    "\n\n",
    " ",
    "  ",
    "# no comment",
    "- item",
    "items:",
    "kind: Tier",
    ": ",
    "\"",
    "'",
    "\\",
    "\t",
    "yes",
    "0x1f",
    "1e3",
    "é",
    "\u{2028}",
    "&a *a",
    "{[",
    "...",
    "a rather long word that goes on and on",
];

struct Rng(u64);

impl Rng {
    fn below(&mut self, bound: usize) -> usize {
        // xorshift64.
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(bound).unwrap()).unwrap()
    }

    fn text(&mut self) -> String {
        (0..self.below(8))
            .map(|_| PIECES[self.below(PIECES.len())])
            .collect()
    }
}

/// Upstream's cluster as an import leaves it: with the defaults that its objects lack.
fn admitted() -> MemoryStore {
    let store = MemoryStore::new();
    into(&store, &file_of(&upstream())).unwrap();
    store
}

/// What is exported, imported and exported again is the same, but for what stores give.
#[test]
fn a_move_changes_nothing() {
    for seed in 1..=30 {
        let mut rng = Rng(0x9e37_79b9_7f4a_7c15 ^ seed);
        let store = admitted();
        let kinds = [
            Kind::GlobalNetworkSet,
            Kind::NetworkSet,
            Kind::Profile,
            Kind::Namespace,
            Kind::HostEndpoint,
        ];
        let mut writes = Vec::new();
        for n in 0..rng.below(30) {
            let kind = kinds[rng.below(kinds.len())];
            let mut object = Object::new(kind, Some("n"), &format!("x{n}"));
            let annotations = json!({"a": rng.text(), "b/c": rng.text(), "d": rng.text()});
            object
                .metadata_mut()
                .insert("annotations".to_owned(), annotations);
            if kind == Kind::HostEndpoint {
                *object.spec_mut() =
                    serde_json::from_value(json!({"node": "n", "interfaceName": "*"})).unwrap();
            }
            let object = api::admit(object.into_value(), &api::AdmitOptions::default()).unwrap();
            writes.push(Write::create(object.store_key(), object.to_store_bytes()));
        }
        block_on_ready(store.commit(&writes)).unwrap();
        let file = file_of(&store);
        let moved = MemoryStore::new();
        assert_eq!(into(&moved, &file), Ok(Status::Done), "seed {seed}");
        let again = file_of(&moved);
        let seals = |file: &str| file[file.find("\"seals\"").unwrap()..].to_owned();
        assert_eq!(seals(&file), seals(&again), "seed {seed}");
        let twice = MemoryStore::new();
        assert_eq!(into(&twice, &again), Ok(Status::Done), "seed {seed}");
        assert_eq!(content(&twice), content(&moved), "seed {seed}");
    }
}
