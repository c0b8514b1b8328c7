//! The store that an import writes to: what is there already, and writes in batches that a cut-off run can follow up.

use std::collections::{BTreeMap, BTreeSet};

use api::{Kind, Object};
use datastore::{CommitError, CommitMode, Datastore, Entry, Query, Revision, Write};
use serde_json::Value;

use super::kinds::{BESIDE, FROM_KUBERNETES, IPAM, STREAM, is_built_in};
use super::prepared::{Prepared, of_stored};
use super::seal::Digest;
use super::{Nature, Store};
use crate::lock::is_locked;
use crate::objects::{born, described, unique_id};
use crate::outcome::{Failure, Status, chain};

/// How many entries are looked up, and written, at once at most.
const AT_ONCE: usize = 100;

/// How often a write is tried again because facts about the cluster changed that are not the lock.
const TRIES: usize = 20;

/// How many strangers in the target are named.
const NAMED: usize = 10;

/// What is to be in the target: the digest of each entry by its key.
pub(super) type Wanted = BTreeMap<Box<str>, Digest>;

/// Entries that are not as the file has them at first sight, with what they are called.
pub(super) type Suspects = BTreeMap<Box<str>, (String, Entry)>;

/// What became of what was written.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) written: usize,
    /// Those that were there already, just so.
    pub(super) there: usize,
    pub(super) failures: Vec<Failure>,
    /// The keys of those that failed.
    pub(super) failed: BTreeSet<Box<str>>,
    pub(super) warnings: Vec<String>,
}

/// The store.
pub(super) struct Target<'a, S> {
    pub(super) store: Store<'a, S>,
    pub(super) nature: Nature,
    /// ClusterInformation was last seen at this revision, and said that the datastore is locked.
    locked_at: Option<Revision>,
    batch: Vec<Prepared>,
    at_once: usize,
    pub(super) tally: Tally,
}

impl<'a, S: Datastore> Target<'a, S> {
    pub(super) fn new(store: Store<'a, S>, nature: Nature) -> Target<'a, S> {
        // The look at the lock is one of the writes.
        let at_once = match store.store.capabilities().commit {
            CommitMode::Transaction { at_most } => at_most.saturating_sub(1).clamp(1, AT_ONCE),
            CommitMode::OneByOne => AT_ONCE,
        };
        Target {
            store,
            nature,
            locked_at: None,
            batch: Vec::new(),
            at_once,
            tally: Tally::default(),
        }
    }

    /// What the store has that is not to be written: what it is called, and, if the file has another one under its key, the
    /// entry.
    pub(super) fn strangers(&self, wanted: &Wanted) -> Result<(Vec<String>, Suspects), Failure> {
        let (mut strangers, mut suspects) = (Vec::new(), Suspects::new());
        let kinds = STREAM.iter().chain(self.kinds_beside()).chain(&IPAM);
        for kind in kinds.copied() {
            if self.nature == Nature::Kubernetes && kind == Kind::Node {
                continue;
            }
            for entry in self.list(kind)? {
                let Some(place) = api::parse_store_key(&entry.key) else {
                    continue;
                };
                let name = place.name();
                let of_kubernetes = self.nature == Nature::Kubernetes
                    && kind == Kind::NetworkPolicy
                    && name.starts_with(FROM_KUBERNETES);
                if is_built_in(kind, &name) || of_kubernetes {
                    continue;
                }
                let named = described(kind, place.namespace(), &name);
                match (wanted.get(&entry.key), of_stored(kind, &entry)) {
                    (None, _) => strangers.push(format!("{named} is not in the file")),
                    (Some(wanted), Ok(found)) if *wanted == found => {}
                    (Some(_), _) => {
                        suspects.insert(entry.key.clone(), (named, entry));
                    }
                }
            }
        }
        Ok((strangers, suspects))
    }

    /// Refuses a store that has strangers.
    pub(super) fn refuse(&self, strangers: &[String]) -> Result<(), Failure> {
        let Some(first) = strangers.first() else {
            return Ok(());
        };
        let more = strangers.len().saturating_sub(NAMED);
        let mut text = format!("datastore already has Calico resources: {first}");
        for stranger in strangers.iter().take(NAMED).skip(1) {
            text += &format!(", {stranger}");
        }
        if more > 0 {
            text += &format!(", and {more} more");
        }
        text += match self.nature {
            Nature::Plain => ". Import into an empty datastore, or delete these first",
            Nature::Kubernetes => ". Clear out all Calico resources by deleting all Calico CRDs",
        };
        Err(Failure::new(Status::Conflict, text))
    }

    pub(super) fn kinds_beside(&self) -> impl Iterator<Item = &'static Kind> + use<S> {
        let all: &[Kind] = match self.nature {
            Nature::Plain => &BESIDE,
            Nature::Kubernetes => &[],
        };
        all.iter()
    }

    pub(super) fn list(&self, kind: Kind) -> Result<Vec<Entry>, Failure> {
        let queries: Vec<Query> = api::store_prefixes(kind, None)
            .into_iter()
            .map(Query::prefix)
            .collect();
        Ok(self.store.read(&queries)?.entries)
    }

    /// Locks the store; true if it was not locked before.
    pub(super) fn initialize_locked(&mut self) -> Result<bool, Failure> {
        let mut information = Object::new(Kind::ClusterInformation, None, "default");
        let guid = unique_id()?.replace('-', "");
        information
            .spec_mut()
            .insert("clusterGUID".to_owned(), guid.into());
        set_locked(&mut information);
        let key = information.store_key();
        for _ in 0..TRIES {
            let there = self.information()?;
            let (write, was_locked) = match &there {
                None => (Some(born(&information)?), false),
                Some((object, _)) if is_locked(object) => (None, true),
                Some((object, revision)) => {
                    let mut object = object.clone();
                    set_locked(&mut object);
                    let write = Write::update(key.as_str(), object.to_store_bytes(), *revision);
                    (Some(write), false)
                }
            };
            let Some(write) = write else {
                self.locked_at = there.map(|(_, revision)| revision);
                return Ok(!was_locked);
            };
            match self.store.commit(&[write]) {
                Ok(revision) => {
                    self.locked_at = Some(revision);
                    return Ok(true);
                }
                Err(error) if error.is_conflict() => {}
                Err(error) => {
                    let before = "error while attempting to lock the datastore for import: ";
                    return Err(self.store.failed(&error).context(before));
                }
            }
        }
        Err(Failure::new(
            Status::Conflict,
            "error while attempting to lock the datastore for import: ClusterInformation is changed all the time",
        ))
    }

    /// Makes what every cluster has and the file has not.
    pub(super) fn built_in(&mut self) -> Result<(), Failure> {
        let profile = api::default_profile().store_key();
        // Network stores have it without keeping it.
        let lacks_profile = self.store.read(&[Query::key(profile)])?.entries.is_empty();
        for object in api::built_in_objects() {
            if object.kind() == Kind::Profile && !lacks_profile {
                continue;
            }
            match self.locked_commit(&[born(&object)?])? {
                Ok(_) => {}
                Err(error) if error.is_conflict() => {}
                Err(error) => {
                    let before =
                        "unable to initialize cluster information for the datastore migration: ";
                    return Err(self.store.failed(&error).context(before));
                }
            }
        }
        Ok(())
    }

    pub(super) fn information(&self) -> Result<Option<(Object, Revision)>, Failure> {
        let key = api::store_key(Kind::ClusterInformation, None, "default");
        let snapshot = self.store.read(&[Query::key(key.as_str())])?;
        let Some(entry) = snapshot.get(&key) else {
            return Ok(None);
        };
        let object = Object::from_store(&key, &entry.value, entry.revision.get())
            .map_err(|error| Failure::general(format!("{key}: {}", chain(&error))))?;
        Ok(Some((object, entry.revision)))
    }

    /// Gives the target the identity of the cluster that moves in. Upstream's two fields, and what else the target lacks.
    pub(super) fn take_identity(&mut self, moved: &Value) -> Result<(), Failure> {
        for _ in 0..TRIES {
            let Some((mut object, revision)) = self.information()? else {
                break;
            };
            self.still_locked(&object)?;
            let before = object.clone();
            let facts = moved.get("spec").and_then(Value::as_object);
            for (field, value) in facts.into_iter().flatten() {
                let theirs = matches!(field.as_str(), "clusterGUID" | "calicoVersion");
                let spec = object.spec_mut();
                if field != "datastoreReady" && (theirs || !spec.contains_key(field)) {
                    spec.insert(field.clone(), value.clone());
                }
            }
            if object == before {
                return Ok(());
            }
            let write = Write::update(object.store_key(), object.to_store_bytes(), revision);
            match self.store.commit(&[write]) {
                Ok(revision) => {
                    self.locked_at = Some(revision);
                    return Ok(());
                }
                Err(error) if error.is_conflict() => {}
                Err(error) => {
                    let before = "error updating current cluster info for migration: ";
                    return Err(self.store.failed(&error).context(before));
                }
            }
        }
        Err(Failure::new(
            Status::Conflict,
            "error updating current cluster info for migration: it is changed all the time",
        ))
    }

    /// Takes an entry that is to be written; it may be written later.
    pub(super) fn put(&mut self, prepared: Prepared) -> Result<(), Failure> {
        self.batch.push(prepared);
        if self.batch.len() < self.at_once {
            return Ok(());
        }
        self.flush()
    }

    /// Writes what was put.
    pub(super) fn flush(&mut self) -> Result<(), Failure> {
        let batch = std::mem::take(&mut self.batch);
        if batch.is_empty() {
            return Ok(());
        }
        let mut writes = Vec::new();
        let mut new = Vec::new();
        let keys: Vec<Query> = batch
            .iter()
            .map(|one| Query::key(one.key.as_str()))
            .collect();
        let there = self.store.read(&keys)?;
        for one in batch {
            match there.get(&one.key) {
                None if self.nature == Nature::Kubernetes && one.kind == Kind::Node => {
                    self.pass_over(&one);
                }
                None => {
                    writes.push(one.create()?);
                    new.push(one);
                }
                Some(entry) => self.meet(&one, entry)?,
            }
        }
        if writes.is_empty() {
            return Ok(());
        }
        let outcome = self.locked_commit(&writes)?;
        match outcome {
            Ok(_) => self.tally.written += new.len(),
            // Whatever stands in the way is told one by one; a store without transactions may have made some.
            Err(error) if is_of_one_entry(&error) => {
                for one in new {
                    self.alone(&one)?;
                }
            }
            Err(error) => return Err(self.interrupted(&error)),
        }
        Ok(())
    }

    /// Writes one entry.
    fn alone(&mut self, one: &Prepared) -> Result<(), Failure> {
        match self.locked_commit(&[one.create()?])? {
            Ok(_) => self.tally.written += 1,
            Err(CommitError::AlreadyExists { .. }) => {
                let there = self.store.read(&[Query::key(one.key.as_str())])?;
                match there.get(&one.key) {
                    // It was among those that were made before the one that stopped them.
                    Some(entry) if one.is_within(entry) => self.tally.written += 1,
                    Some(entry) => self.meet(one, entry)?,
                    None => self.fail(one, "it comes and goes while it is imported"),
                }
            }
            Err(error) if is_of_one_entry(&error) => self.fail(one, &chain(&error)),
            Err(error) => return Err(self.interrupted(&error)),
        }
        Ok(())
    }

    /// What is to be written is there in some form.
    fn meet(&mut self, one: &Prepared, entry: &Entry) -> Result<(), Failure> {
        let same = match self.nature {
            Nature::Plain => of_stored(one.kind, entry).is_ok_and(|found| found == one.digest),
            Nature::Kubernetes => one.is_within(entry),
        };
        let name = api::parse_store_key(&one.key).map_or_else(String::new, |place| place.name());
        // What the default profile says cannot be changed.
        if same || one.kind == Kind::Profile && is_built_in(one.kind, &name) {
            self.tally.there += 1;
            return Ok(());
        }
        let kept = self.nature == Nature::Kubernetes && one.kind == Kind::Node;
        if !kept && !is_built_in(one.kind, &name) {
            self.fail(one, "another one is in the datastore already");
            return Ok(());
        }
        match self.locked_commit(&[one.replace(entry)?])? {
            Ok(_) => self.tally.written += 1,
            Err(error) if is_of_one_entry(&error) => self.fail(one, &chain(&error)),
            Err(error) => return Err(self.interrupted(&error)),
        }
        Ok(())
    }

    /// A node that Kubernetes does not have.
    fn pass_over(&mut self, node: &Prepared) {
        self.tally.warnings.push(format!(
            "[WARNING] Attempted to import {node} that references a nonexistent Kubernetes node. Skipping that node. \
             Non-Kubernetes nodes are not supported in the Kubernetes datastore and will be skipped."
        ));
        self.tally.failed.insert(node.key.as_str().into());
    }

    pub(super) fn fail(&mut self, one: &Prepared, why: &str) {
        self.tally.failed.insert(one.key.as_str().into());
        let failure = Failure::new(Status::Conflict, format!("{one}: {why}"));
        self.tally.failures.push(failure);
    }

    /// Commits as long as the store is locked.
    fn locked_commit(
        &mut self,
        writes: &[Write],
    ) -> Result<Result<Revision, CommitError>, Failure> {
        let key = api::store_key(Kind::ClusterInformation, None, "default");
        for _ in 0..TRIES {
            let check = Write::check(key.as_str(), self.locked_at);
            let all: Vec<Write> = std::iter::once(check)
                .chain(writes.iter().cloned())
                .collect();
            match self.store.commit(&all) {
                Err(CommitError::Conflict { key: at, .. }) if *at == *key => {
                    let there = self.information()?;
                    if let Some((object, _)) = &there {
                        self.still_locked(object)?;
                    }
                    self.locked_at = there.map(|(_, revision)| revision);
                }
                done => return Ok(done),
            }
        }
        Err(Failure::new(
            Status::Conflict,
            "ClusterInformation is changed all the time",
        ))
    }

    fn still_locked(&self, information: &Object) -> Result<(), Failure> {
        if is_locked(information) {
            return Ok(());
        }
        Err(Failure::new(
            Status::Conflict,
            "the datastore was unlocked while it was written to. \
             Lock it and run the import again: it goes on where it stopped",
        ))
    }

    fn interrupted(&self, error: &CommitError) -> Failure {
        self.store.failed(error).context(format!(
            "interrupted after {} resources; run the import again, and it goes on where it stopped: ",
            self.tally.written + self.tally.there
        ))
    }
}

fn set_locked(information: &mut Object) {
    information
        .spec_mut()
        .insert("datastoreReady".to_owned(), false.into());
}

/// True if an error is about one of the entries, and says nothing about the others.
fn is_of_one_entry(error: &CommitError) -> bool {
    match error {
        CommitError::AlreadyExists { .. }
        | CommitError::NotFound { .. }
        | CommitError::Conflict { .. }
        | CommitError::InvalidKey(_)
        | CommitError::DuplicateKey { .. }
        | CommitError::ValueTooLarge { .. }
        | CommitError::Refused { .. }
        | CommitError::NoLifetimes { .. }
        | CommitError::TooLarge { .. } => true,
        CommitError::TooManyWrites { .. } | CommitError::Unsure(_) | CommitError::Storage(_) => {
            false
        }
    }
}
