//! The removal of a container's interface, beside other work.
//!
//! The kernel closes both ends at once, in well under a millisecond; it then waits several times for all processors before it
//! says that they are gone, some twenty milliseconds in all. What must not happen while packets can pass need only wait for
//! the first.

use std::io::{PipeReader, PipeWriter};
use std::os::fd::AsFd as _;
use std::path::Path;
use std::thread::JoinHandle;

use linux::monitor::{Monitor, Notice, Topic};
use linux::netlink::NetlinkError;
use linux::netns::{NetNs, NetNsError, in_netns};
use linux::route::{Link, LinkIndex, LinkRef, LinkState, RouteSocket};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::net::{AddressFamily, SocketType};

use crate::error::{CniError, Code};

/// Notices are few: of one interface, for a moment.
const NOTICES: usize = 64 * 1024;

/// A removal under way.
pub(crate) struct Removal {
    doing: String,
    index: LinkIndex,
    /// The other end, on the host.
    peer: Option<LinkIndex>,
    monitor: Monitor,
    /// Hangs up when the removal is over.
    over: PipeReader,
    thread: JoinHandle<Result<(), NetlinkError>>,
    /// Whether it was seen to be closed.
    closed: bool,
}

impl Removal {
    /// Begins to remove an interface in a container. `None` if there is none: a namespace that is gone took it along.
    pub(crate) fn begin(netns: &Path, name: &str) -> Result<Option<Removal>, CniError> {
        let doing = format!("failed to delete interface {name} in {}", netns.display());
        let refused = |e: NetlinkError| CniError::from_source(Code::Network, &doing, &e);
        let netns = match NetNs::open(netns) {
            Ok(netns) => netns,
            // Gone, or the file that was left when it went.
            Err(error)
                if error.is_absent() || matches!(error, NetNsError::NotANamespace { .. }) =>
            {
                return Ok(None);
            }
            Err(error) => return Err(CniError::from_source(Code::Network, &doing, &error)),
        };
        let opened = in_netns(&netns, || {
            let monitor = Monitor::open_with(&[Topic::Links], NOTICES)?;
            let mut inside = RouteSocket::open()?;
            let link = inside.link(LinkRef::Name(name))?;
            Ok((monitor, inside, link))
        });
        let io = |e: std::io::Error| CniError::from_source(Code::Network, &doing, &e);
        let (monitor, mut inside, link) = opened.map_err(io)?.map_err(refused)?;
        let Some(link) = link.filter(is_of_a_pair) else {
            return Ok(None);
        };
        let (over, until): (PipeReader, PipeWriter) = std::io::pipe().map_err(io)?;
        let index = link.index;
        let thread = std::thread::Builder::new()
            .spawn(move || {
                let removed = inside.change(|c| _ = c.delete_link(LinkRef::Index(index)));
                drop(until);
                removed
            })
            .map_err(io)?;
        Ok(Some(Removal {
            index,
            peer: link.peer,
            monitor,
            over,
            thread,
            closed: false,
            doing,
        }))
    }

    /// Waits until no packet passes the interface any more, or its removal has failed.
    pub(crate) fn wait_until_closed(&mut self) {
        while !self.is_closed() {
            let mut fds = [
                PollFd::new(&self.monitor, PollFlags::IN),
                PollFd::new(&self.over, PollFlags::IN),
            ];
            match poll(&mut fds, None) {
                Ok(_) if fds[1].revents().is_empty() => {}
                Err(rustix::io::Errno::INTR) => {}
                Ok(_) | Err(_) => return,
            }
        }
    }

    fn is_closed(&mut self) -> bool {
        let index = self.index;
        let mut closed = self.closed;
        let drained = self.monitor.drain(|notice| match notice {
            Notice::LinkChanged(link) => {
                closed |= link.index == index && link.state == LinkState::Down;
            }
            Notice::LinkGone { index: gone, .. } => closed |= gone == index,
            // What was missed may be what is waited for; that the removal is over is not missed.
            Notice::AddressChanged(..)
            | Notice::RouteChanged(..)
            | Notice::NeighbourChanged(..)
            | Notice::NetconfChanged { .. }
            | Notice::Overrun => {}
        });
        if drained.is_err() {
            // No more word from there: then the end of the removal is the word.
            closed = true;
            let _ = poll(&mut [PollFd::new(&self.over, PollFlags::IN)], None);
        }
        self.closed = closed;
        closed
    }

    /// Whether an interface of the host is the other end, which goes too, or is gone already. It is asked for in a way that does
    /// not wait for the removal.
    pub(crate) fn takes_along(&self, interface: &str) -> bool {
        let socket = rustix::net::socket(AddressFamily::UNIX, SocketType::DGRAM, None);
        let index = socket
            .and_then(|socket| rustix::net::netdevice::name_to_index(socket.as_fd(), interface));
        match (index, self.peer) {
            (Ok(index), Some(LinkIndex(peer))) => index == peer,
            (Ok(_), None) => false,
            (Err(errno), _) => errno == rustix::io::Errno::NODEV,
        }
    }

    /// Waits until it is gone.
    pub(crate) fn finish(self) -> Result<(), CniError> {
        match self.thread.join() {
            Ok(Ok(())) => Ok(()),
            // Another was faster.
            Ok(Err(error)) if error.is_absent() => Ok(()),
            Ok(Err(error)) => Err(CniError::from_source(Code::Network, &self.doing, &error)),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
}

fn is_of_a_pair(link: &Link) -> bool {
    matches!(link.kind.as_deref(), Some("veth" | "netkit"))
}
