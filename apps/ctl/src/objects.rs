//! Objects in a store, with upstream's words for what goes wrong, and upstream's rules of who owns which metadata.

use api::{Intent, Kind, Object};
use datastore::{
    AnyStore, CommitError, CommitMode, Datastore, Entry, Query, Revision, StoreChoice, Write,
    block_on_ready,
};
use serde_json::Value;

use crate::lock::{Gate, Refusal, locked};
use crate::objections::Known;
use crate::outcome::{Failure, Status, chain};
use crate::time;
pub(crate) use crate::unique::unique_id;
use crate::wording::{already_exists, conflict, not_found};
pub(crate) use crate::wording::{describe, described, field_error, invalid};

/// How often a write is tried again after someone else's.
const TRIES: usize = 20;

/// A store, seen as objects.
pub(crate) struct Objects {
    store: AnyStore,
    choice: StoreChoice,
    gate: Gate,
    /// What was seen to be there.
    pub(crate) known: Known,
}

/// How much a command asked of its store.
impl Drop for Objects {
    fn drop(&mut self) {
        let stats = self.store.stats();
        tracing::debug!(
            reads = stats.reads,
            commits = stats.commits,
            "asked the datastore"
        );
    }
}

/// All objects of a kind, and the entries that are none.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    pub(crate) objects: Vec<Object>,
    /// One line for each entry that is no object.
    pub(crate) damaged: Vec<String>,
}

/// All entries of a kind, of one moment.
#[derive(Debug)]
pub(crate) struct Survey {
    pub(crate) revision: u64,
    pub(crate) entries: Vec<Entry>,
}

impl Survey {
    /// Does something with each object. What is no object is named, and so is, besides, what nobody can go by.
    pub(crate) fn each(
        &self,
        damaged: &mut Vec<String>,
        act: &mut dyn FnMut(Object) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        for entry in &self.entries {
            match readable(entry) {
                Ok(object) => {
                    damaged.extend(unsound(&object, &entry.value));
                    act(object)?;
                }
                Err(failure) => damaged.push(failure.text),
            }
        }
        Ok(())
    }
}

/// What a write takes an existing object for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Existing {
    /// An error.
    Refused,
    /// What is written over.
    Taken,
    /// What must be there.
    Needed,
}

impl Objects {
    /// A store whose lock is not heeded.
    pub(crate) fn new(store: AnyStore, choice: StoreChoice) -> Objects {
        Objects {
            store,
            choice,
            gate: Gate::Open,
            known: Known::default(),
        }
    }

    /// The same store, written to through a gate.
    pub(crate) fn behind(mut self, gate: Gate) -> Objects {
        self.gate = gate;
        self
    }

    /// Which store, and why this one.
    pub(crate) fn choice(&self) -> &StoreChoice {
        &self.choice
    }

    /// The store itself.
    pub(crate) fn store(&self) -> &AnyStore {
        &self.store
    }

    /// An object as this store keeps it: etcd has profiles for Namespaces and ServiceAccounts, as upstream's layout has it.
    pub(crate) fn kept(&self, object: Object) -> Object {
        match self.store {
            AnyStore::Etcd(_) => api::kubernetes::profile_of(&object).unwrap_or(object),
            AnyStore::Embedded(_) | AnyStore::Memory(_) | AnyStore::Kubernetes(_) => object,
        }
    }

    /// Reads keys and prefixes in one snapshot.
    pub(crate) fn read(&self, queries: &[Query]) -> Result<datastore::Snapshot, Failure> {
        block_on_ready(self.store.read(queries)).map_err(|error| self.unreachable(&error))
    }

    /// The object of this name, if it is there.
    pub(crate) fn find(
        &self,
        kind: Kind,
        namespace: Option<&str>,
        name: &str,
    ) -> Result<Option<Object>, Failure> {
        let key = api::store_key(kind, namespace, name);
        let older = api::older_key(kind, namespace, name);
        // Where a second key costs nothing it is asked for at once.
        let at_once = older.as_deref().filter(|_| self.at_once().is_some());
        let queries: Vec<Query> = [Some(key.as_str()), at_once]
            .into_iter()
            .flatten()
            .map(Query::key)
            .collect();
        let mut there = self.read(&queries)?;
        if let Some(entry) = there.get(&key) {
            return readable(entry).map(Some);
        }
        let Some(older) = older.as_deref() else {
            return Ok(None);
        };
        if at_once.is_none() {
            there = self.read(&[Query::key(older)])?;
        }
        // Someone may well have called a policy so.
        let found = there.get(older).and_then(|entry| readable(entry).ok());
        Ok(found.filter(|policy| policy.name() == name))
    }

    /// The object of this name.
    pub(crate) fn get(
        &self,
        kind: Kind,
        namespace: Option<&str>,
        name: &str,
    ) -> Result<Object, Failure> {
        self.find(kind, namespace, name)?
            .ok_or_else(|| not_found(kind, namespace, name))
    }

    /// All objects of a kind, of one namespace or of all; what is no object is left out and named.
    pub(crate) fn list(&self, kind: Kind, namespace: Option<&str>) -> Result<Listing, Failure> {
        let mut listing = Listing::default();
        for entry in &self.survey(kind, namespace)?.entries {
            match readable(entry) {
                Ok(object) => listing.objects.push(object),
                Err(failure) => listing.damaged.push(failure.text),
            }
        }
        Ok(listing)
    }

    /// The same as the store has it, to be looked at one by one.
    pub(crate) fn survey(&self, kind: Kind, namespace: Option<&str>) -> Result<Survey, Failure> {
        let queries: Vec<Query> = api::store_prefixes(kind, namespace)
            .into_iter()
            .map(Query::prefix)
            .collect();
        let snapshot = self.read(&queries)?;
        Ok(Survey {
            revision: snapshot.revision.get(),
            entries: snapshot.entries,
        })
    }

    /// Writes a new object.
    pub(crate) fn create(&self, object: &Object) -> Result<Object, Failure> {
        let (mut object, write) = new_born(object)?;
        let older = api::older_key(object.kind(), object.namespace(), object.name())
            .filter(|_| self.at_once().is_some());
        let revision = match older {
            Some(older) => self.create_beside(&object, write, &older)?,
            None => self.commit(&[write], &object)?,
        };
        object.set_revision(revision.get());
        Ok(object)
    }

    /// Creates a policy, unless an older release has put it under another key.
    fn create_beside(
        &self,
        policy: &Object,
        write: Write,
        older: &str,
    ) -> Result<Revision, Failure> {
        let mut expected = None;
        for _ in 0..TRIES {
            let writes = [write.clone(), Write::check(older, expected)];
            match self.transact(&writes) {
                Err(Refusal::Commit(CommitError::Conflict { key, .. })) if *key == *older => {}
                Err(Refusal::Commit(CommitError::NotFound { key })) if *key == *older => {}
                Ok(revision) => return Ok(revision),
                Err(refusal) => return Err(self.failed(refusal, policy)),
            }
            let there = self.read(&[Query::key(older)])?;
            let found = there.get(older);
            let found_name = found.and_then(|entry| readable(entry).ok());
            if found_name.is_some_and(|found| found.name() == policy.name()) {
                return Err(already_exists(policy));
            }
            expected = found.map(|entry| entry.revision);
        }
        Err(conflict(policy, "it is changed all the time"))
    }

    /// Writes over an existing object: exactly over the revision it names, else over whatever is there.
    pub(crate) fn update(&self, object: &Object) -> Result<Object, Failure> {
        let wanted = object
            .pointer("/metadata/resourceVersion")
            .and_then(Value::as_str)
            .filter(|rv| !rv.is_empty());
        let mut last = None;
        for _ in 0..TRIES {
            let old = self.get(object.kind(), object.namespace(), object.name())?;
            let revision = old.revision().unwrap_or_default();
            if let Some(wanted) = wanted.filter(|wanted| *wanted != revision.to_string()) {
                return Err(conflict(
                    object,
                    &format!(
                        "resource version '{wanted}' is out of date (latest: {revision}). Update the resource YAML/JSON in order to make changes"
                    ),
                ));
            }
            match self.write_over(&old, object) {
                Err(failure) if failure.status == Status::Conflict && wanted.is_none() => {
                    last = Some(failure)
                }
                done => return done,
            }
        }
        Err(last.unwrap_or_else(|| conflict(object, "it is changed all the time")))
    }

    /// One try of an update: labels and annotations are the new object's, all other metadata stays.
    pub(crate) fn write_over(&self, old: &Object, new: &Object) -> Result<Object, Failure> {
        let mut object = new.clone();
        keep_metadata(old, &mut object);
        api::admit_update(old, &object).map_err(|problems| invalid(new, &problems))?;
        self.guard(&Intent::Update(new))?;
        let Some(write) = difference(old, &object) else {
            return Ok(old.clone());
        };
        let revision = self.commit(&[write], new)?;
        object.set_revision(revision.get());
        Ok(object)
    }

    /// Creates an object, or writes over it if it exists.
    pub(crate) fn apply(&self, object: &Object) -> Result<Object, Failure> {
        match self.create(object) {
            Err(failure) if failure.status == Status::Conflict => self.update(object),
            done => done,
        }
    }

    /// Deletes an object; if it was read at a revision, only at this.
    pub(crate) fn delete(
        &self,
        kind: Kind,
        namespace: Option<&str>,
        name: &str,
        at: Option<u64>,
    ) -> Result<(), Failure> {
        let key = api::store_key(kind, namespace, name);
        let write = Write::delete(key, at.map(Revision::new));
        let object = Object::new(kind, namespace, name);
        let missing = match self.commit(&[write], &object) {
            Err(failure) if failure.status == Status::NotFound => failure,
            done => return done.map(|_| ()),
        };
        // An older release may have put it elsewhere.
        let found = match api::older_key(kind, namespace, name) {
            Some(_) => self.find(kind, namespace, name)?,
            None => None,
        };
        let found = found.ok_or(missing)?;
        let at = at.or(found.revision()).map(Revision::new);
        let write = Write::delete(found.stored_key(), at);
        self.commit(&[write], &object).map(|_| ())
    }

    /// Makes what every cluster has and this store lacks: facts about the cluster, and built-in objects.
    pub(crate) fn ensure_initialized(&self) -> Result<(), Failure> {
        // Where each look is a request of its own, the facts stand for the rest: whoever made them made it too.
        if self.at_once().is_none() && self.gate.has_seen_it() {
            return Ok(());
        }
        let mut wanted = api::built_in_objects();
        let mut information = Object::new(Kind::ClusterInformation, None, "default");
        let spec = information.spec_mut();
        spec.insert(
            "clusterGUID".to_owned(),
            unique_id()?.replace('-', "").into(),
        );
        spec.insert("datastoreReady".to_owned(), true.into());
        wanted.push(information);
        let keys: Vec<Query> = wanted
            .iter()
            .map(|object| Query::key(object.store_key()))
            .collect();
        let there = self.read(&keys)?;
        let mut writes = Vec::new();
        for object in &mut wanted {
            if there.get(&object.store_key()).is_none() {
                object.stamp(&unique_id()?, &time::now().to_string());
                writes.push(Write::create(object.store_key(), object.to_store_bytes()));
            }
        }
        if writes.is_empty() {
            return Ok(());
        }
        match self.transact(&writes) {
            // Someone else was faster, with the same.
            Ok(_) | Err(Refusal::Commit(CommitError::AlreadyExists { .. })) => Ok(()),
            Err(refusal) => Err(self.refused(refusal)),
        }
    }

    /// Writes many objects by one read and as few transactions as the store makes of them; returns how many of the first
    /// ones it wrote. It writes none unless all can be written, and none to a store that makes no transactions: then there
    /// is nothing to be gained.
    pub(crate) fn write_all(
        &self,
        objects: &[&Object],
        existing: Existing,
    ) -> Result<usize, Failure> {
        let Some(at_once) = self.at_once() else {
            return Ok(0);
        };
        let older =
            |object: &Object| api::older_key(object.kind(), object.namespace(), object.name());
        let mut keys = self.known.queries(objects, existing);
        keys.extend(objects.iter().map(|object| Query::key(object.store_key())));
        keys.extend(
            objects
                .iter()
                .filter_map(|object| older(object))
                .map(Query::key),
        );
        let there = self.read(&keys)?;
        if !self.known.nothing_stands_against(objects, existing, &there) {
            return Ok(0);
        }
        let mut writes = Vec::new();
        for object in objects {
            let old = there.get(&object.store_key()).map(readable).transpose()?;
            let older = older(object).and_then(|key| there.get(&key));
            let older = older.and_then(|entry| readable(entry).ok());
            if old.is_none() && older.is_some_and(|policy| policy.name() == object.name()) {
                return Ok(0);
            }
            match (old, existing) {
                (None, Existing::Refused | Existing::Taken) => {
                    writes.push(Some(self.birth(object)?));
                }
                (Some(old), Existing::Taken | Existing::Needed) => {
                    let Some(write) = over(&old, object) else {
                        return Ok(0);
                    };
                    writes.push(write);
                }
                (None, Existing::Needed) | (Some(_), Existing::Refused) => return Ok(0),
            }
        }
        let mut written = 0;
        for part in writes.chunks(at_once) {
            let changes: Vec<Write> = part.iter().flatten().cloned().collect();
            match self.transact(&changes) {
                Ok(_) => written += part.len(),
                // Whatever stands in the way is told object by object.
                Err(Refusal::Commit(_)) => break,
                Err(_) if written > 0 => break,
                Err(refusal) => return Err(self.refused(refusal)),
            }
        }
        Ok(written)
    }

    /// How many writes go into one transaction beside the look at the lock; `None` for a store that makes none.
    fn at_once(&self) -> Option<usize> {
        match self.store.capabilities().commit {
            CommitMode::Transaction { at_most } => Some(at_most.saturating_sub(1).max(1)),
            CommitMode::OneByOne => None,
        }
    }

    /// The write that brings an object into the world.
    pub(crate) fn birth(&self, object: &Object) -> Result<Write, Failure> {
        new_born(object).map(|(_, write)| write)
    }

    /// Makes many writes: at once where the store can, otherwise in the order given, so that whatever interrupts it, only
    /// later ones are missing.
    pub(crate) fn carry_out(&self, writes: &[Write]) -> Result<(), Failure> {
        let at_once = self.at_once().unwrap_or(writes.len()).max(1);
        let outcome = writes
            .chunks(at_once)
            .try_for_each(|part| self.transact(part).map(|_| ()));
        outcome.map_err(|refusal| match refusal {
            Refusal::Commit(error) if is_race(&error) => {
                let text = format!("{error}: it was changed meanwhile");
                Failure::new(Status::Conflict, text)
            }
            Refusal::Commit(_) | Refusal::Locked | Refusal::Unknown(_) => self.refused(refusal),
        })
    }

    /// Makes one transaction, unless the datastore is locked.
    pub(crate) fn transact(&self, writes: &[Write]) -> Result<Revision, Refusal> {
        self.gate.commit(self, writes)
    }

    /// What to say of a transaction that was not made, for reasons that are no single object's.
    pub(crate) fn refused(&self, refusal: Refusal) -> Failure {
        match refusal {
            Refusal::Locked => locked(),
            Refusal::Unknown(failure) => failure,
            Refusal::Commit(error) => self.unreachable(&error),
        }
    }

    fn unreachable(&self, error: &dyn std::error::Error) -> Failure {
        Failure::new(
            Status::Unreachable,
            format!("{}: {}", self.choice, chain(error)),
        )
    }

    fn commit(&self, writes: &[Write], object: &Object) -> Result<Revision, Failure> {
        self.transact(writes)
            .map_err(|refusal| self.failed(refusal, object))
    }

    /// Why an object was not written.
    fn failed(&self, refusal: Refusal, object: &Object) -> Failure {
        let error = match refusal {
            Refusal::Commit(error) => error,
            Refusal::Locked | Refusal::Unknown(_) => return self.refused(refusal),
        };
        match &error {
            CommitError::AlreadyExists { .. } => already_exists(object),
            CommitError::NotFound { .. } => {
                not_found(object.kind(), object.namespace(), object.name())
            }
            CommitError::Conflict { .. } => conflict(object, "it was changed meanwhile"),
            CommitError::InvalidKey(_)
            | CommitError::Refused { .. }
            | CommitError::ValueTooLarge { .. }
            | CommitError::TooLarge { .. } => Failure::new(
                Status::Validation,
                format!("{}: {}", describe(object), chain(&error)),
            ),
            CommitError::DuplicateKey { .. }
            | CommitError::TooManyWrites { .. }
            | CommitError::NoLifetimes { .. }
            | CommitError::Unsure(_)
            | CommitError::Storage(_) => self.unreachable(&error),
        }
    }
}

/// The write that brings an object into the world.
pub(crate) fn born(object: &Object) -> Result<Write, Failure> {
    new_born(object).map(|(_, write)| write)
}

/// An object as it is created: with an identity and a time of birth, and without what only a store can say.
fn new_born(object: &Object) -> Result<(Object, Write), Failure> {
    const OF_THE_STORE: [&str; 5] = [
        "resourceVersion",
        "generation",
        "deletionTimestamp",
        "managedFields",
        "selfLink",
    ];
    let mut object = object.clone();
    for field in OF_THE_STORE {
        object.metadata_mut().remove(field);
    }
    object.stamp(&unique_id()?, &time::now().to_string());
    let write = Write::create(object.store_key(), object.to_store_bytes());
    Ok((object, write))
}

/// True if a transaction failed because someone else's came before it.
fn is_race(error: &CommitError) -> bool {
    matches!(
        error,
        CommitError::AlreadyExists { .. }
            | CommitError::Conflict { .. }
            | CommitError::NotFound { .. }
    )
}

/// The write that makes one object of another; `None` if they are the same.
fn difference(old: &Object, new: &Object) -> Option<Write> {
    let bytes = new.to_store_bytes();
    let revision = Revision::new(old.revision().unwrap_or_default());
    (bytes != old.to_store_bytes()).then(|| Write::update(old.stored_key(), bytes, revision))
}

/// An update as part of a larger transaction; `None` if it is not valid, or of another revision.
fn over(old: &Object, new: &Object) -> Option<Option<Write>> {
    let wanted = new
        .pointer("/metadata/resourceVersion")
        .and_then(Value::as_str);
    let current = old.revision().unwrap_or_default().to_string();
    if wanted.is_some_and(|wanted| !wanted.is_empty() && wanted != current) {
        return None;
    }
    let mut object = new.clone();
    keep_metadata(old, &mut object);
    api::admit_update(old, &object).ok()?;
    Some(difference(old, &object))
}

fn readable(entry: &Entry) -> Result<Object, Failure> {
    Object::from_store(&entry.key, &entry.value, entry.revision.get()).map_err(|error| {
        let text = format!(
            "the entry {} in the datastore is damaged: {}",
            entry.key,
            chain(&error)
        );
        Failure::general(text)
    })
}

/// Why a stored object counts as absent for everyone who goes by it, though it can be shown.
pub(crate) fn unsound(object: &Object, stored: &[u8]) -> Option<String> {
    let invalid = api::decode(&object.stored_key(), stored).err()?;
    Some(format!(
        "{} is stored in a form that is not valid, and counts as absent: {}",
        describe(object),
        chain(&invalid).replace('\n', "; ")
    ))
}

/// An update keeps all metadata but labels and annotations.
pub(crate) fn keep_metadata(old: &Object, new: &mut Object) {
    let mut metadata = old
        .value()
        .get("metadata")
        .and_then(Value::as_object)
        .cloned()
        .unwrap_or_default();
    for field in ["labels", "annotations"] {
        match new.metadata_mut().remove(field) {
            Some(value) => metadata.insert(field.to_owned(), value),
            None => metadata.remove(field),
        };
    }
    *new.metadata_mut() = metadata;
}
