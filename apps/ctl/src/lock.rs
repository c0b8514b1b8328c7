//! The lock of a datastore: `datastore migrate lock` sets `datastoreReady: false` in ClusterInformation, and until it is
//! unlocked nothing is written but what a migration needs.
//!
//! The lock is looked at before the first write, and every transaction requires besides that ClusterInformation is as it was
//! then: a write cannot slip in after an export began. A store that makes no transactions is looked at again before a write
//! when the last look is more than a second old.

use std::cell::Cell;
use std::time::{Duration, Instant};

use api::{Kind, Object};
use datastore::{CommitError, CommitMode, Datastore, Revision, Write, block_on_ready};
use serde_json::Value;

use crate::objects::Objects;
use crate::outcome::{Failure, Status};

/// How often a transaction is begun again because facts about the cluster changed that are not the lock.
const TRIES: usize = 20;

/// How old a look at the lock may be, where a write cannot be bound to it.
const FRESH: Duration = Duration::from_secs(1);

/// Whether writes heed the lock.
#[derive(Debug)]
pub(crate) enum Gate {
    /// They do.
    Heeded(Look),
    /// They need not: a migration, or a user who said so.
    Open,
}

/// The last look at ClusterInformation, which did not say that the datastore is locked.
#[derive(Debug)]
pub(crate) struct Look {
    /// Of which revision it was; `None` if it was absent.
    revision: Cell<Option<Revision>>,
    at: Cell<Instant>,
}

/// Why a transaction was not made.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// The datastore is locked.
    Locked,
    /// ClusterInformation, which says whether it is, cannot be read.
    Unknown(Failure),
    /// The store refused it.
    Commit(CommitError),
}

/// True if the cluster's facts say that the datastore is locked.
pub(crate) fn is_locked(information: &Object) -> bool {
    information.pointer("/spec/datastoreReady") == Some(&Value::Bool(false))
}

/// What is said instead of writing.
pub(crate) fn locked() -> Failure {
    Failure::new(
        Status::General,
        "the datastore is locked for a migration: nothing was changed. \
         Run 'calicoctl datastore migrate unlock' when it is over, or use --allow-locked-datastore to write all the same",
    )
}

impl Gate {
    /// A gate that is open as long as the cluster's facts stay as they are.
    pub(crate) fn heeding(information: Option<&Object>) -> Gate {
        Gate::Heeded(Look {
            revision: Cell::new(seen(information)),
            at: Cell::new(Instant::now()),
        })
    }

    /// True if ClusterInformation is known to exist.
    pub(crate) fn has_seen_it(&self) -> bool {
        match self {
            Gate::Heeded(look) => look.revision.get().is_some(),
            Gate::Open => false,
        }
    }

    /// Makes a transaction, unless the datastore is locked.
    pub(crate) fn commit(&self, objects: &Objects, writes: &[Write]) -> Result<Revision, Refusal> {
        let commit = |writes: &[Write]| block_on_ready(objects.store().commit(writes));
        let key = api::store_key(Kind::ClusterInformation, None, "default");
        let look = match self {
            Gate::Heeded(look) if writes.iter().all(|write| *write.key != *key) => look,
            Gate::Heeded(_) | Gate::Open => return commit(writes).map_err(Refusal::Commit),
        };
        match objects.store().capabilities().commit {
            CommitMode::Transaction { .. } => {}
            CommitMode::OneByOne => {
                if look.at.get().elapsed() > FRESH {
                    look.again(objects)?;
                }
                return commit(writes).map_err(Refusal::Commit);
            }
        }
        let mut last = None;
        for _ in 0..TRIES {
            let check = Write::check(key.as_str(), look.revision.get());
            let all: Vec<Write> = std::iter::once(check)
                .chain(writes.iter().cloned())
                .collect();
            match commit(&all) {
                Err(CommitError::Conflict { key: at, .. }) if *at == *key => {
                    look.again(objects)?;
                    last = Some(CommitError::Conflict {
                        key: at,
                        expected: None,
                        found: look.revision.get(),
                    });
                }
                done => return done.map_err(Refusal::Commit),
            }
        }
        Err(last.map_or(Refusal::Locked, Refusal::Commit))
    }
}

impl Look {
    fn again(&self, objects: &Objects) -> Result<(), Refusal> {
        let information = objects
            .find(Kind::ClusterInformation, None, "default")
            .map_err(Refusal::Unknown)?;
        if information.as_ref().is_some_and(is_locked) {
            return Err(Refusal::Locked);
        }
        self.revision.set(seen(information.as_ref()));
        self.at.set(Instant::now());
        Ok(())
    }
}

fn seen(information: Option<&Object>) -> Option<Revision> {
    information.and_then(Object::revision).map(Revision::new)
}

#[cfg(test)]
mod tests {
    use datastore::{AnyStore, MemoryStore, StoreChoice, StoreRequest};

    use super::*;

    fn store() -> Objects {
        let choice = StoreChoice::of(&StoreRequest::default()).unwrap();
        Objects::new(AnyStore::Memory(MemoryStore::new()), choice)
    }

    fn say(objects: &Objects, spec: &str) {
        let key = api::store_key(Kind::ClusterInformation, None, "default");
        let text = format!(
            r#"{{"kind":"ClusterInformation","apiVersion":"projectcalico.org/v3","metadata":{{"name":"default"}},"spec":{spec}}}"#
        );
        block_on_ready(objects.store().commit(&[Write::put(key, text)])).unwrap();
    }

    /// Whoever looked before the lock was set does not write after it.
    #[test]
    fn a_lock_is_heeded_that_came_after_the_look() {
        let objects = store().behind(Gate::heeding(None));
        say(&objects, r#"{"datastoreReady":false}"#);
        let write = [Write::put("/calico/x", "1")];
        assert!(matches!(objects.transact(&write), Err(Refusal::Locked)));
        assert_eq!(
            block_on_ready(objects.store().get("/calico/x")).unwrap(),
            None
        );
    }

    #[test]
    fn other_facts_may_change() {
        let objects = store().behind(Gate::heeding(None));
        for kind in ["a", "b"] {
            say(
                &objects,
                &format!(r#"{{"datastoreReady":true,"clusterType":"{kind}"}}"#),
            );
            objects.transact(&[Write::put("/calico/x", kind)]).unwrap();
        }
        // What a transaction says of the facts themselves is its own business.
        say(&objects, "{}");
        objects.transact(&[]).unwrap();
    }
}
