//! Lets an IPAM machine work on a store: its questions become reads, its writes a commit. The one driver of all programs.

use std::collections::{BTreeMap, BTreeSet};

use api::Kind;
use ipam::{Change, Entry, Expect, Machine, Operation, Reply, Step};
use model::{AffinityOwner, Cidr, Family, Key, Resource};

use crate::{
    CommitError, CommitMode, Datastore, Query, Ranges, ReadError, Revision, Snapshot, Write,
};

/// So many blocks are read by one request.
const AT_ONCE: usize = 64;

/// What is read and written beside an operation's own reads and writes, so that both together are one request each.
pub struct Beside<'a, E> {
    /// Read with every read of the operation.
    pub queries: &'a [Query],
    /// The answer to the first read, if it was made already: of [`queries_of`] the machine, and of `queries`.
    pub first: Option<Snapshot>,
    /// Decides, from the snapshot on which a commit rests, what else is written with it.
    pub writes: &'a mut dyn FnMut(&Snapshot) -> Result<Vec<Write>, E>,
}

/// Why an operation could not be brought to its end.
#[derive(Debug, thiserror::Error)]
pub enum DriveError<E> {
    /// The store could not be read.
    #[error("failed to read the datastore")]
    Read(#[source] ReadError),
    /// The store could not be written, for another reason than somebody else's write.
    #[error("failed to write the datastore")]
    Commit(#[source] CommitError),
    /// An object of the operation has no form in a store.
    #[error("failed to encode {key:?}")]
    Encode {
        /// The object.
        key: Box<Key>,
        /// Why not; `None` if no key of a store names it.
        #[source]
        source: Option<api::EncodeError>,
    },
    /// What is to be written beside it could not be decided.
    #[error(transparent)]
    Beside(E),
}

/// An operation on its own, with nothing beside it, has no error of that kind.
pub type Alone = std::convert::Infallible;

/// Runs an operation to its end.
///
/// # Errors
/// The store failed. A conflict is none: the operation begins again with a fresh read, and gives up by an outcome of its own.
pub async fn drive<S: Datastore, O: Operation>(
    store: &S,
    machine: Machine<O>,
) -> Result<O::Outcome, DriveError<Alone>> {
    let beside = Beside {
        queries: &[],
        first: None,
        writes: &mut |_| Ok(Vec::new()),
    };
    drive_beside(store, machine, beside).await
}

/// Runs an operation to its end, with reads and writes of the caller's own beside it.
///
/// # Errors
/// The store failed, or the caller could not decide what to write.
pub async fn drive_beside<S: Datastore, O: Operation, E>(
    store: &S,
    mut machine: Machine<O>,
    mut beside: Beside<'_, E>,
) -> Result<O::Outcome, DriveError<E>> {
    let mut reply = Reply::Start;
    let mut extra = Vec::new();
    let mut seen = Seen::default();
    loop {
        reply = match machine.step(reply) {
            Step::Read(wanted) => {
                seen.read(store, &wanted, &mut beside).await?;
                extra = (beside.writes)(&seen.snapshot).map_err(DriveError::Beside)?;
                Reply::Snapshot(ipam_entries(&seen.snapshot))
            }
            Step::Commit(writes) => {
                // What is read after a commit must show what it has written.
                seen = Seen::default();
                make(store, writes, std::mem::take(&mut extra)).await?
            }
            Step::Done(outcome) => {
                // The operation had nothing to write, but its caller may.
                let rest = std::mem::take(&mut extra);
                match make(store, Vec::new(), rest).await? {
                    Reply::Conflict => Reply::Conflict,
                    Reply::Start | Reply::Snapshot(_) | Reply::Committed => return Ok(outcome),
                }
            }
        };
    }
}

/// What an operation reads first of `store`, for callers that read it together with something else.
pub fn queries_of<S: Datastore, O: Operation>(store: &S, machine: &mut Machine<O>) -> Vec<Query> {
    let ranges = store.capabilities().ranges;
    match machine.step(Reply::Start) {
        Step::Read(wanted) => wanted
            .iter()
            .flat_map(|one| translate(one, ranges))
            .collect(),
        Step::Commit(_) | Step::Done(_) => Vec::new(),
    }
}

/// The snapshot as IPAM sees it. What cannot be decoded is there without a value.
#[must_use]
pub fn ipam_entries(snapshot: &Snapshot) -> Vec<Entry> {
    let entry = |entry: &crate::Entry| {
        let (key, value) = match api::decode(&entry.key, &entry.value) {
            Ok(update) => (update.key, Some(update.value?)),
            Err(invalid) => (invalid.key?, None),
        };
        Some(Entry {
            key,
            value,
            revision: ipam::Revision(entry.revision.get()),
        })
    };
    snapshot.entries.iter().filter_map(entry).collect()
}

/// What was read since the last commit.
#[derive(Default)]
struct Seen {
    queries: Vec<Query>,
    snapshot: Snapshot,
}

impl Seen {
    /// Reads what an operation wants, and what its caller wants beside it. Where ranges are dear only what was not read yet.
    async fn read<S: Datastore, E>(
        &mut self,
        store: &S,
        wanted: &[ipam::Query],
        beside: &mut Beside<'_, E>,
    ) -> Result<(), DriveError<E>> {
        let ranges = store.capabilities().ranges;
        let mut queries = beside.queries.to_vec();
        for query in wanted.iter().flat_map(|one| translate(one, ranges)) {
            if !queries.contains(&query) {
                queries.push(query);
            }
        }
        match (beside.first.take(), ranges) {
            (Some(first), _) => self.snapshot = first,
            (None, Ranges::Cheap) => self.snapshot = read(store, &queries).await?,
            (None, Ranges::Dear) => {
                let news: Vec<Query> = queries
                    .iter()
                    .filter(|query| !self.queries.contains(query))
                    .cloned()
                    .collect();
                let fresh = read(store, &news).await?;
                self.merge(&news, fresh);
            }
        }
        self.queries = queries;
        add_named_blocks(store, wanted, &mut self.snapshot).await
    }

    /// Takes in what answers more queries. It is of a later moment than the rest: an operation holds every object to the
    /// revision it saw, so what changed in between is a conflict, as it would be after the read.
    fn merge(&mut self, queries: &[Query], fresh: Snapshot) {
        let read_again = |key: &str| {
            queries.iter().any(|query| match query {
                Query::Key(one) => key == one,
                Query::Prefix(prefix) => key.starts_with(prefix),
            })
        };
        if self.queries.is_empty() {
            self.snapshot.revision = fresh.revision;
        }
        self.snapshot.entries.retain(|old| !read_again(&old.key));
        self.snapshot.entries.extend(fresh.entries);
        self.snapshot.entries.sort_by(|a, b| a.key.cmp(&b.key));
    }
}

async fn read<S: Datastore, E>(store: &S, queries: &[Query]) -> Result<Snapshot, DriveError<E>> {
    store.read(queries).await.map_err(DriveError::Read)
}

/// Makes an operation's writes and what stands beside them: all at once where the store can, else in the order given, which
/// is safe wherever it stops.
async fn make<S: Datastore, E>(
    store: &S,
    writes: Vec<ipam::Write>,
    beside: Vec<Write>,
) -> Result<Reply, DriveError<E>> {
    if let CommitMode::Transaction { at_most } = store.capabilities().commit {
        let mut all = encode(ipam::merge(writes.clone()))?;
        if all.len() + beside.len() <= at_most {
            all.extend(beside);
            return commit(store, &all).await;
        }
    }
    let mut written: BTreeMap<Key, Revision> = BTreeMap::new();
    for mut write in writes {
        if let (Expect::AsWritten, Some(revision)) = (write.expect, written.get(&write.key)) {
            write.expect = Expect::Unchanged(ipam::Revision(revision.get()));
        }
        let key = write.key.clone();
        match store.commit(&encode(vec![write])?).await {
            Ok(revision) => written.insert(key, revision),
            Err(error) if error.is_conflict() => return Ok(Reply::Conflict),
            Err(error) => return Err(DriveError::Commit(error)),
        };
    }
    for write in beside {
        if let Reply::Conflict = commit(store, &[write]).await? {
            return Ok(Reply::Conflict);
        }
    }
    Ok(Reply::Committed)
}

/// Makes writes, if there are any; what somebody else was faster with is a conflict.
async fn commit<S: Datastore, E>(store: &S, writes: &[Write]) -> Result<Reply, DriveError<E>> {
    if writes.is_empty() {
        return Ok(Reply::Committed);
    }
    match store.commit(writes).await {
        Ok(_) => Ok(Reply::Committed),
        Err(error) if error.is_conflict() => Ok(Reply::Conflict),
        Err(error) => Err(DriveError::Commit(error)),
    }
}

/// Reads the blocks that affinities and handles of the snapshot name, where not all blocks were read with these.
async fn add_named_blocks<S: Datastore, E>(
    store: &S,
    wanted: &[ipam::Query],
    snapshot: &mut Snapshot,
) -> Result<(), DriveError<E>> {
    if store.capabilities().ranges == Ranges::Cheap {
        return Ok(());
    }
    let blocks = named_blocks(wanted, &ipam_entries(snapshot));
    let keys: Vec<Query> = blocks
        .into_iter()
        .filter_map(|block| api::key_text(&Key::Block(block)))
        .filter(|key| snapshot.get(key).is_none())
        .map(Query::key)
        .collect();
    for some in keys.chunks(AT_ONCE) {
        let read = read(store, some).await?;
        snapshot.entries.extend(read.entries);
    }
    snapshot.entries.sort_by(|a, b| a.key.cmp(&b.key));
    Ok(())
}

/// The blocks that answer the queries which name none themselves.
fn named_blocks(wanted: &[ipam::Query], entries: &[Entry]) -> BTreeSet<Cidr> {
    let mut blocks = BTreeSet::new();
    for query in wanted {
        for entry in entries {
            match (query, &entry.key, &entry.value) {
                (ipam::Query::OwnBlocks(owner), Key::Affinity(id), _) if id.owner == *owner => {
                    blocks.insert(id.block);
                }
                (
                    ipam::Query::HandleBlocks(wanted),
                    Key::Handle(id),
                    Some(Resource::Handle(handle)),
                ) if id == wanted => {
                    blocks.extend(handle.blocks.keys());
                }
                (_, _, _) => {}
            }
        }
    }
    blocks
}

/// What answers a query, but for the blocks of [`named_blocks`] where ranges are dear.
fn translate(query: &ipam::Query, ranges: Ranges) -> Vec<Query> {
    let prefix = |kind: Kind| Query::prefix(api::store_prefix(kind, None));
    let blocks = || prefix(Kind::IpamBlock);
    // A join cannot be asked of a store. On this machine all blocks are one range, and quickly read.
    let joined = || (ranges == Ranges::Cheap).then(blocks);
    let with_blocks = |prefixes: Vec<String>| -> Vec<Query> {
        let affinities = prefixes.into_iter().map(Query::prefix);
        affinities.chain(joined()).collect()
    };
    match query {
        ipam::Query::Key(key) => api::key_text(key).into_iter().map(Query::key).collect(),
        ipam::Query::Pools => vec![prefix(Kind::IpPool)],
        ipam::Query::Reservations => vec![prefix(Kind::IpReservation)],
        ipam::Query::OwnBlocks(AffinityOwner::Host(host)) => with_blocks(
            Family::ALL
                .map(|family| api::host_affinities_prefix(host, family))
                .to_vec(),
        ),
        ipam::Query::OwnBlocks(AffinityOwner::Virtual(_)) => {
            with_blocks(api::store_prefixes(Kind::BlockAffinity, None))
        }
        ipam::Query::AllAffinities => {
            let affinities = api::store_prefixes(Kind::BlockAffinity, None).into_iter();
            affinities.map(Query::prefix).collect()
        }
        ipam::Query::HandleBlocks(id) => {
            let handle = api::key_text(&Key::Handle(id.clone()));
            handle.into_iter().map(Query::key).chain(joined()).collect()
        }
        ipam::Query::Blocks(_) | ipam::Query::AllBlocks => vec![blocks()],
        ipam::Query::AllHandles => vec![prefix(Kind::IpamHandle)],
    }
}

/// Writes as the store has them. One that follows an earlier write of its commit is that write, or knows its revision: there
/// is nothing yet that it could replace.
fn encode<E>(writes: Vec<ipam::Write>) -> Result<Vec<Write>, DriveError<E>> {
    let write = |write: ipam::Write| {
        let ipam::Write {
            key: id,
            expect,
            change,
        } = write;
        let nowhere = |source| DriveError::Encode {
            key: Box::new(id.clone()),
            source,
        };
        match change {
            Change::Put(value) => {
                let (key, bytes) = api::encode(&id, &value).map_err(|e| nowhere(Some(e)))?;
                Ok(match expect {
                    Expect::Unchanged(seen) => Write::update(key, bytes, Revision::new(seen.0)),
                    Expect::Absent | Expect::AsWritten => Write::create(key, bytes),
                })
            }
            Change::Delete => {
                let key = api::key_text(&id).ok_or_else(|| nowhere(None))?;
                Ok(match expect {
                    Expect::Unchanged(seen) => Write::delete(key, Some(Revision::new(seen.0))),
                    Expect::Absent | Expect::AsWritten => Write::delete(key, None),
                })
            }
        }
    };
    writes.into_iter().map(write).collect()
}
