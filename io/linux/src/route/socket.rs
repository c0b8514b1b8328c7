//! The socket that reads what the kernel holds and carries out changes.

use std::os::fd::{AsFd, BorrowedFd};

use crate::netlink::{Batch, NetlinkError, NetlinkSocket, Outcome, Protocol, SocketOptions, Stats};

/// Changes to be carried out in order, each on its own: one that fails does not stop those after it.
///
/// Each method that adds one returns its index, by which [`Outcome::failures`] names it.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    pub(super) batch: Batch,
}

impl Changes {
    /// No changes yet.
    pub fn new() -> Self {
        Changes::default()
    }

    /// Number of changes: the index of the next.
    pub fn len(&self) -> usize {
        self.batch.len()
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.batch.is_empty()
    }

    /// Forgets them, keeps the memory.
    pub fn clear(&mut self) {
        self.batch.clear();
    }
}

/// A socket to the kernel's routing, in one network namespace.
#[derive(Debug)]
pub struct RouteSocket {
    pub(super) netlink: NetlinkSocket,
}

impl RouteSocket {
    /// Opens one in the calling thread's namespace.
    pub fn open() -> Result<Self, NetlinkError> {
        let netlink = NetlinkSocket::open(Protocol::Route)?;
        Ok(RouteSocket { netlink })
    }

    /// Opens one in another namespace.
    pub fn open_in(netns: impl AsFd) -> Result<Self, NetlinkError> {
        let netlink = NetlinkSocket::open_in(netns, Protocol::Route, SocketOptions::default())?;
        Ok(RouteSocket { netlink })
    }

    /// Carries out changes, in as few system calls as the buffers allow, and says which failed.
    pub fn apply(&mut self, changes: &mut Changes) -> Result<Outcome, NetlinkError> {
        self.netlink.transact_in_chunks(&mut changes.batch)
    }

    /// Writes down and carries out changes; the first failure is the error, though the later changes were tried too.
    pub fn change(&mut self, write: impl FnOnce(&mut Changes)) -> Result<(), NetlinkError> {
        let mut changes = Changes::new();
        write(&mut changes);
        self.apply(&mut changes)?.into_result()
    }

    /// Counters since the socket was opened.
    pub fn stats(&self) -> Stats {
        self.netlink.stats()
    }
}

impl AsFd for RouteSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.netlink.as_fd()
    }
}
