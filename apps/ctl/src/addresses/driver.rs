//! Lets the machines of the crate `ipam` work on a store: their questions become reads, their writes one transaction.

use datastore::{CommitError, Datastore, Query, Revision, Write, block_on_ready};
use ipam::{Change, Entry, Expect, Machine, Operation, Reply, Step};
use model::Key;

use crate::objects::Objects;
use crate::outcome::{Failure, Status, chain};

/// Everything that has to do with addresses, from one moment.
pub(super) fn everything(objects: &Objects) -> Result<Vec<Entry>, Failure> {
    entries(objects, &ALL)
}

/// What IPAM consists of.
const ALL: [api::Kind; 6] = [
    api::Kind::IpPool,
    api::Kind::IpReservation,
    api::Kind::IpamConfiguration,
    api::Kind::IpamBlock,
    api::Kind::BlockAffinity,
    api::Kind::IpamHandle,
];

fn entries(objects: &Objects, kinds: &[api::Kind]) -> Result<Vec<Entry>, Failure> {
    let prefixes = kinds
        .iter()
        .flat_map(|kind| api::store_prefixes(*kind, None));
    let queries: Vec<Query> = prefixes.map(Query::prefix).collect();
    let snapshot = objects.read(&queries)?;
    let entry = |entry: &datastore::Entry| {
        let (key, value) = match api::decode(&entry.key, &entry.value) {
            Ok(update) => (update.key, update.value),
            // It is there, though nobody can say what it says.
            Err(invalid) => (invalid.key?, None),
        };
        Some(Entry {
            key,
            value,
            revision: ipam::Revision(entry.revision.get()),
        })
    };
    Ok(snapshot.entries.iter().filter_map(entry).collect())
}

/// Runs an operation to its end.
pub(super) fn run<O: Operation>(
    objects: &Objects,
    mut machine: Machine<O>,
) -> Result<O::Outcome, Failure> {
    let mut reply = Reply::Start;
    loop {
        reply = match machine.step(reply) {
            Step::Done(outcome) => return Ok(outcome),
            // Whatever is asked is among everything; this is no hot path.
            Step::Read(_) => Reply::Snapshot(everything(objects)?),
            Step::Commit(writes) => commit(objects, ipam::merge(writes))?,
        };
    }
}

fn commit(objects: &Objects, writes: Vec<ipam::Write>) -> Result<Reply, Failure> {
    let writes = writes
        .into_iter()
        .map(translate)
        .collect::<Result<Vec<Write>, Failure>>()?;
    match block_on_ready(objects.store().commit(&writes)) {
        Ok(_) => Ok(Reply::Committed),
        Err(
            CommitError::Conflict { .. }
            | CommitError::AlreadyExists { .. }
            | CommitError::NotFound { .. },
        ) => Ok(Reply::Conflict),
        Err(error) => Err(Failure::new(Status::Unreachable, chain(&error))),
    }
}

fn translate(write: ipam::Write) -> Result<Write, Failure> {
    let impossible =
        |key: &Key, why: &str| Failure::general(format!("cannot write {key:?}: {why}"));
    match (write.change, write.expect) {
        (Change::Put(value), expect) => {
            let (key, bytes) = api::encode(&write.key, &value)
                .map_err(|error| impossible(&write.key, &chain(&error)))?;
            Ok(match expect {
                Expect::Absent => Write::create(key, bytes),
                Expect::Unchanged(revision) => Write::update(key, bytes, Revision::new(revision.0)),
                Expect::AsWritten => Write::put(key, bytes),
            })
        }
        (Change::Delete, expect) => {
            let key = api::key_text(&write.key)
                .ok_or_else(|| impossible(&write.key, "it has no place in the store"))?;
            let revision = match expect {
                Expect::Unchanged(revision) => Some(Revision::new(revision.0)),
                Expect::Absent | Expect::AsWritten => None,
            };
            Ok(Write::delete(key, revision))
        }
    }
}
