//! Notices of what other hands (and we) change in the kernel: links, addresses, routes, neighbours, and some sysctls.
//!
//! A [`Monitor`] is a socket to wait on (`poll`, `AsyncFd`) and to [`drain`](Monitor::drain). Notices say what the kernel holds after the
//! change. When they come faster than they are read the kernel drops some and says so: after [`Notice::Overrun`] everything must be read
//! again.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use model::Family;

use crate::netlink::{Message, NetlinkError, NetlinkSocket, Protocol, SocketOptions};
use crate::netns::in_netns;
use crate::route::{
    Address, Link, LinkIndex, Neighbour, Route, decode_address, decode_link, decode_neighbour,
    decode_route, family_of,
};

/// Room for bursts, such as a full table from a routing daemon.
const RECEIVE_BUFFER: usize = 4 * 1024 * 1024;
/// Datagrams read by one drain, so that a flood of notices does not keep its reader from everything else.
const DRAIN_LIMIT: usize = 256;

// linux/rtnetlink.h, linux/netconf.h
const RTNLGRP_LINK: u32 = 1;
const RTNLGRP_NEIGH: u32 = 3;
const RTNLGRP_IPV4_IFADDR: u32 = 5;
const RTNLGRP_IPV4_ROUTE: u32 = 7;
const RTNLGRP_IPV6_IFADDR: u32 = 9;
const RTNLGRP_IPV6_ROUTE: u32 = 11;
const RTNLGRP_IPV4_NETCONF: u32 = 24;
const RTNLGRP_IPV6_NETCONF: u32 = 25;
const RTM_NEWNETCONF: u16 = 80;
const NETCONFA_IFINDEX: u16 = 1;
const NETCONFA_FORWARDING: u16 = 2;
const NETCONFA_RP_FILTER: u16 = 3;
const NETCONFA_PROXY_NEIGH: u16 = 5;
const IFINDEX_ALL: i32 = -1;
const IFINDEX_DEFAULT: i32 = -2;

/// What to be told of, in both families.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Topic {
    /// Interfaces.
    Links,
    /// Addresses of interfaces.
    Addresses,
    /// Routes.
    Routes,
    /// Neighbours.
    Neighbours,
    /// The sysctls `forwarding`, `rp_filter`, `proxy_arp` and `proxy_ndp`.
    Netconf,
}

impl Topic {
    /// All of them.
    pub const ALL: [Topic; 5] = [
        Topic::Links,
        Topic::Addresses,
        Topic::Routes,
        Topic::Neighbours,
        Topic::Netconf,
    ];

    fn groups(self) -> &'static [u32] {
        match self {
            Topic::Links => &[RTNLGRP_LINK],
            Topic::Addresses => &[RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR],
            Topic::Routes => &[RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE],
            Topic::Neighbours => &[RTNLGRP_NEIGH],
            Topic::Netconf => &[RTNLGRP_IPV4_NETCONF, RTNLGRP_IPV6_NETCONF],
        }
    }
}

/// How something came to a notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Change {
    /// It is there, as shown: new, or different from before.
    Set,
    /// It is gone.
    Gone,
}

/// Which interfaces a netconf notice is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NetconfScope {
    /// One.
    Link(LinkIndex),
    /// `all`.
    All,
    /// `default`: those to come.
    Default,
}

/// Sysctls after a change; `None`: this notice does not say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Netconf {
    /// `forwarding`.
    pub forwarding: Option<i32>,
    /// `rp_filter`, IPv4 only.
    pub rp_filter: Option<i32>,
    /// `proxy_arp` or `proxy_ndp`.
    pub proxy_neighbours: Option<i32>,
}

/// One change in the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// An interface is there, as shown.
    LinkChanged(Link),
    /// An interface is gone; its routes and addresses went before without a notice each.
    LinkGone {
        /// Its number.
        index: LinkIndex,
        /// Its last name.
        name: String,
    },
    /// An address was set or went.
    AddressChanged(Change, Address),
    /// A route was set or went.
    RouteChanged(Change, Route),
    /// A neighbour was set or went.
    NeighbourChanged(Change, Neighbour),
    /// Sysctls changed.
    NetconfChanged {
        /// Of this family.
        family: Family,
        /// Of these interfaces.
        scope: NetconfScope,
        /// Their values.
        values: Netconf,
    },
    /// Notices were lost: read everything again.
    Overrun,
}

/// Whether a drain left notices behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Drained {
    /// All were read.
    Empty,
    /// The limit was reached: there may be more.
    MayHoldMore,
}

/// A subscription to notices, in one network namespace.
#[derive(Debug)]
pub struct Monitor {
    netlink: NetlinkSocket,
}

impl Monitor {
    /// Subscribes in the calling thread's namespace. Open it before reading the state it is to keep current.
    pub fn open(topics: &[Topic]) -> Result<Self, NetlinkError> {
        Self::open_with(topics, RECEIVE_BUFFER)
    }

    /// Subscribes in another namespace.
    pub fn open_in(netns: impl AsFd, topics: &[Topic]) -> Result<Self, NetlinkError> {
        in_netns(netns, || Self::open(topics)).map_err(|source| NetlinkError::Socket {
            doing: "enter the network namespace of",
            source,
        })?
    }

    /// Subscribes with a receive buffer of so many bytes.
    pub fn open_with(topics: &[Topic], receive_buffer: usize) -> Result<Self, NetlinkError> {
        let options = SocketOptions {
            receive_buffer: Some(receive_buffer),
            ..SocketOptions::default()
        };
        let mut netlink = NetlinkSocket::open_with(Protocol::Route, options)?;
        for topic in topics {
            for group in topic.groups() {
                netlink.subscribe(*group)?;
            }
        }
        Ok(Monitor { netlink })
    }

    /// Reads what is waiting, without blocking, and gives it to `notice`.
    pub fn drain(&mut self, mut notice: impl FnMut(Notice)) -> Result<Drained, NetlinkError> {
        for _ in 0..DRAIN_LIMIT {
            let read = self.netlink.receive_notices(|message| {
                if let Some(decoded) = decode(message) {
                    notice(decoded);
                }
            });
            match read {
                Ok(true) => {}
                Ok(false) => return Ok(Drained::Empty),
                Err(NetlinkError::Overrun { .. }) => notice(Notice::Overrun),
                Err(error) => return Err(error),
            }
        }
        Ok(Drained::MayHoldMore)
    }

    /// Waits until a notice is there, or until `timeout` is over. For callers without an event loop.
    pub fn wait(&self, timeout: Duration) -> Result<(), NetlinkError> {
        let socket_error = |source: std::io::Error| NetlinkError::Socket {
            doing: "wait for",
            source,
        };
        let timeout = rustix::time::Timespec::try_from(timeout)
            .map_err(|_| socket_error(std::io::ErrorKind::InvalidInput.into()))?;
        let mut fds = [rustix::event::PollFd::new(
            &self.netlink,
            rustix::event::PollFlags::IN,
        )];
        match rustix::event::poll(&mut fds, Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(errno) => Err(socket_error(errno.into())),
        }
    }
}

impl AsFd for Monitor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.netlink.as_fd()
    }
}

/// Reads a notice; `None` for what we do not follow.
fn decode(message: &Message<'_>) -> Option<Notice> {
    match message.kind {
        libc::RTM_NEWLINK => decode_link(message).map(Notice::LinkChanged),
        libc::RTM_DELLINK => {
            decode_link(message).map(|Link { index, name, .. }| Notice::LinkGone { index, name })
        }
        libc::RTM_NEWADDR => Some(Notice::AddressChanged(
            Change::Set,
            decode_address(message)?,
        )),
        libc::RTM_DELADDR => Some(Notice::AddressChanged(
            Change::Gone,
            decode_address(message)?,
        )),
        libc::RTM_NEWROUTE => Some(Notice::RouteChanged(Change::Set, decode_route(message)?)),
        libc::RTM_DELROUTE => Some(Notice::RouteChanged(Change::Gone, decode_route(message)?)),
        libc::RTM_NEWNEIGH => Some(Notice::NeighbourChanged(
            Change::Set,
            decode_neighbour(message)?,
        )),
        libc::RTM_DELNEIGH => Some(Notice::NeighbourChanged(
            Change::Gone,
            decode_neighbour(message)?,
        )),
        RTM_NEWNETCONF => decode_netconf(message),
        _ => None,
    }
}

fn decode_netconf(message: &Message<'_>) -> Option<Notice> {
    let (header, attributes) = message.split(1)?;
    let family = family_of(*header.first()?)?;
    let value = |kind| attributes.get(kind).and_then(|a| a.i32());
    let scope = match value(NETCONFA_IFINDEX)? {
        IFINDEX_ALL => NetconfScope::All,
        IFINDEX_DEFAULT => NetconfScope::Default,
        index => NetconfScope::Link(LinkIndex(u32::try_from(index).ok()?)),
    };
    let values = Netconf {
        forwarding: value(NETCONFA_FORWARDING),
        rp_filter: value(NETCONFA_RP_FILTER),
        proxy_neighbours: value(NETCONFA_PROXY_NEIGH),
    };
    Some(Notice::NetconfChanged {
        family,
        scope,
        values,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netlink::{Batch, Messages, Request};

    #[test]
    fn no_byte_of_a_notice_panics() {
        // Every kind of notice we decode, over a body of every length and a few patterns.
        for kind in [16, 17, 20, 21, 24, 25, 28, 29, 32, 80, 81] {
            for len in 0..96 {
                for fill in [0u8, 1, 2, 8, 10, 0xff] {
                    let body = vec![fill; len];
                    let message = Message {
                        kind,
                        flags: 0,
                        sequence: 0,
                        body: &body,
                    };
                    let _ = decode(&message);
                }
            }
        }
    }

    #[test]
    fn a_netconf_notice_names_its_interfaces() {
        let read = |index: i32| {
            let mut batch = Batch::new();
            let request = Request {
                doing: "test",
                kind: RTM_NEWNETCONF,
                flags: 0,
                header: &[2],
            };
            batch.message(request, |m| {
                m.bytes(NETCONFA_IFINDEX, &index.to_ne_bytes());
                m.u32(NETCONFA_PROXY_NEIGH, 1);
            });
            decode(&Messages::new(batch.bytes()).next().unwrap())
        };
        let values = Netconf {
            proxy_neighbours: Some(1),
            ..Netconf::default()
        };
        let expected = |scope| {
            Some(Notice::NetconfChanged {
                family: Family::V4,
                scope,
                values,
            })
        };
        assert_eq!(read(7), expected(NetconfScope::Link(LinkIndex(7))));
        assert_eq!(read(-1), expected(NetconfScope::All));
        assert_eq!(read(-2), expected(NetconfScope::Default));
        assert_eq!(read(-3), None);
    }
}
