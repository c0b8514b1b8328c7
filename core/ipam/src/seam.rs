//! What crosses between a machine and its driver: queries, entries, writes. The driver (a datastore's caller, or the
//! simulation) translates them and has no opinion of its own.

use model::{AffinityOwner, Cidr, Key, Resource};

/// When an object was last written, as its store counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision(pub u64);

/// What a machine needs to see. All queries of one step are answered from one moment.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Query {
    /// One object.
    Key(Key),
    /// Every pool.
    Pools,
    /// Every reservation.
    Reservations,
    /// The affinities of an owner, and every block that they name. A driver may answer with more blocks.
    OwnBlocks(AffinityOwner),
    /// A handle, and every block that it names. A driver may answer with more blocks.
    HandleBlocks(Box<str>),
    /// Every block that shares an address with this network.
    Blocks(Cidr),
    /// Every block there is.
    AllBlocks,
    /// Every affinity there is.
    AllAffinities,
    /// Every handle there is.
    AllHandles,
}

/// An object as read. `value` is `None` if it is there but cannot be understood: nothing is taken from it, and it is
/// not overwritten.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Which object.
    pub key: Key,
    /// What it says.
    pub value: Option<Resource>,
    /// When it was last written.
    pub revision: Revision,
}

/// What a write does to its object.
#[expect(
    clippy::large_enum_variant,
    reason = "a commit has few writes, and nearly all of them put"
)]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Stores this.
    Put(Resource),
    /// Removes it.
    Delete,
}

/// What must be true of the object for the write to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// It does not exist.
    Absent,
    /// It is as it was read.
    Unchanged(Revision),
    /// It is as an earlier write of the same commit left it.
    AsWritten,
}

/// One write of a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// Which object.
    pub key: Key,
    /// On what condition.
    pub expect: Expect,
    /// What happens to it.
    pub change: Change,
}

/// The driver's answer to a [`Step`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// Nothing was asked yet: begin.
    Start,
    /// To [`Step::Read`]: what exists of what was asked.
    Snapshot(Vec<Entry>),
    /// To [`Step::Commit`]: all writes are made.
    Committed,
    /// To [`Step::Commit`]: a condition did not hold. Earlier writes of the commit may have been made.
    Conflict,
}

/// What the driver is to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step<T> {
    /// Read these in one snapshot. It may be a little old (a cache's), but not after a conflict: then it must show what the
    /// commit before it has written.
    Read(Vec<Query>),
    /// Make these writes: all or none where the store can, otherwise in this order, stopping at the first that fails.
    Commit(Vec<Write>),
    /// The operation is over.
    Done(T),
}

/// The same commit for a store that makes all writes at once: one write for each object, with the first condition and the
/// last change. An object that is made and removed again in one commit is left out.
#[must_use]
pub fn merge(writes: Vec<Write>) -> Vec<Write> {
    let mut merged: Vec<Write> = Vec::with_capacity(writes.len());
    for write in writes {
        match merged.iter_mut().find(|earlier| earlier.key == write.key) {
            Some(earlier) => earlier.change = write.change,
            None => merged.push(write),
        }
    }
    merged.retain(|write| write.expect != Expect::Absent || write.change != Change::Delete);
    merged
}
