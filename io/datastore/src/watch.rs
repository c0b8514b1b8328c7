//! Following changes: one type for every store, to block on, to poll by file descriptor, or to await.
//!
//! A store gives a [`Source`]: "what is there since I last asked", and a descriptor that becomes readable when asking
//! again may find something. All waiting is done here.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::remote::{RemoteSource, Trouble};
use crate::{Event, Revision, WatchError};

/// Changes of a store, in order, from one revision on.
///
/// Events come in batches that hold whole transactions, so what stood together in one commit arrives together. A watch
/// that fell behind the store's memory of changes ends with [`Event::Resync`].
pub struct Watch {
    source: Box<dyn Source>,
}

/// How a watch learns of changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WatchMode {
    /// Woken by every change.
    Woken,
    /// Nothing tells of changes: they are looked for.
    Polled {
        /// At this interval.
        every: Duration,
        /// For this reason.
        why: String,
    },
}

/// Where a watch's events come from: one per kind of store. Its descriptor becomes readable when `drain` may find something.
pub(crate) trait Source: AsFd + Send {
    /// How it learns of changes.
    fn mode(&self) -> &WatchMode {
        &WatchMode::Woken
    }

    /// Everything up to here has been drained.
    fn revision(&self) -> Revision;

    /// What is there since the last call. Never blocks.
    fn drain(&mut self) -> Result<Vec<Event>, WatchError>;

    /// Why nothing comes for now. A store on this machine has no such times.
    fn trouble(&self) -> Option<Trouble> {
        None
    }
}

impl Watch {
    pub(crate) fn new(source: impl Source + 'static) -> Self {
        Self {
            source: Box::new(source),
        }
    }

    /// A watch that a network store's IO thread fills.
    #[must_use]
    pub fn remote(source: RemoteSource) -> Self {
        Self::new(source)
    }

    /// How this watch learns of changes.
    #[must_use]
    pub fn mode(&self) -> &WatchMode {
        self.source.mode()
    }

    /// Everything up to here has been handed out: where another watch could continue.
    #[must_use]
    pub fn revision(&self) -> Revision {
        self.source.revision()
    }

    /// The next batch if there is one already, else nothing. Never blocks.
    pub fn try_next(&mut self) -> Result<Vec<Event>, WatchError> {
        self.source.drain()
    }

    /// The next batch, waited for at most `timeout`; empty if there was none in that time.
    pub fn next(&mut self, timeout: Duration) -> Result<Vec<Event>, WatchError> {
        let deadline = Instant::now() + timeout;
        loop {
            let events = self.try_next()?;
            let left = deadline.saturating_duration_since(Instant::now());
            if !events.is_empty() || left.is_zero() {
                return Ok(events);
            }
            wait(self.as_fd(), left).map_err(WatchError::Wait)?;
        }
    }

    /// The next batch, never empty. Needs a tokio runtime with its IO driver. Cancel-safe: nothing is lost if the
    /// future is dropped.
    pub async fn recv(&mut self) -> Result<Vec<Event>, WatchError> {
        loop {
            let events = self.try_next()?;
            if !events.is_empty() {
                return Ok(events);
            }
            readable(self.as_fd()).await.map_err(WatchError::Wait)?;
        }
    }

    /// Why nothing comes for now; it goes on by itself when it can. A store on this machine has no such times.
    #[must_use]
    pub fn trouble(&self) -> Option<Trouble> {
        self.source.trouble()
    }
}

/// Becomes readable when [`Watch::try_next`] may find something; only `try_next` makes it unreadable again. Before
/// waiting, call `try_next` until it gives nothing.
impl AsFd for Watch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.source.as_fd()
    }
}

/// The watch's descriptor, lent to tokio for one wait while the watch is borrowed.
struct RawFdOf(RawFd);

impl AsRawFd for RawFdOf {
    fn as_raw_fd(&self) -> RawFd {
        self.0
    }
}

/// Waits within tokio until `fd` is readable. Registered anew for each wait: the readiness of a new registration is
/// level-triggered, so nothing that came in after the caller's last look is missed.
pub(crate) async fn readable(fd: BorrowedFd<'_>) -> io::Result<()> {
    #[expect(
        deprecated,
        reason = "the successor is unsafe; this descriptor is borrowed for the whole wait"
    )]
    let fd = AsyncFd::with_interest(RawFdOf(fd.as_raw_fd()), Interest::READABLE)?;
    let _ready = fd.readable().await?;
    Ok(())
}

/// Blocks until `fd` is readable or `timeout` has passed.
pub(crate) fn wait(fd: BorrowedFd<'_>, timeout: Duration) -> io::Result<()> {
    let mut fds = [PollFd::new(&fd, PollFlags::IN)];
    let timeout = Timespec::try_from(timeout).ok();
    match poll(&mut fds, timeout.as_ref()) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}
