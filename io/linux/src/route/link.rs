//! Network interfaces.

use std::fmt;
use std::os::fd::{AsRawFd, BorrowedFd};

use model::Mac;

use super::CREATE;
use super::socket::{Changes, RouteSocket};
use crate::netlink::{Attributes, Message, MessageWriter, NetlinkError, Request};

/// `struct ifinfomsg`.
const HEADER_LEN: usize = 16;

// linux/if_link.h
const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_LINK: u16 = 5;
const IFLA_MASTER: u16 = 10;
const IFLA_LINKINFO: u16 = 18;
const IFLA_AF_SPEC: u16 = 26;
const IFLA_NET_NS_FD: u16 = 28;
const IFLA_EXT_MASK: u16 = 29;
const IFLA_NUM_TX_QUEUES: u16 = 31;
const IFLA_NUM_RX_QUEUES: u16 = 32;
const IFLA_LINK_NETNSID: u16 = 37;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_DATA: u16 = 2;
const IFLA_INET6_ADDR_GEN_MODE: u16 = 8;
const VETH_INFO_PEER: u16 = 1;
const IFLA_NETKIT_PEER_INFO: u16 = 1;
const IFLA_NETKIT_POLICY: u16 = 3;
const IFLA_NETKIT_PEER_POLICY: u16 = 4;
const IFLA_NETKIT_MODE: u16 = 5;
/// Frames pass as they would a veth (`NETKIT_L2`).
const NETKIT_L2: u32 = 0;
/// What no program decides passes (`NETKIT_PASS`).
const NETKIT_PASS: u32 = 0;
/// Leaves the statistics out: most of the reply, and nobody here reads them.
const RTEXT_FILTER_SKIP_STATS: u32 = 8;

/// The number of an interface, unique in its namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkIndex(pub u32);

impl fmt::Display for LinkIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Largest packet of an interface, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mtu(pub u32);

/// How a request names an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkRef<'a> {
    /// By number.
    Index(LinkIndex),
    /// By name.
    Name(&'a str),
}

/// Administrative state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LinkState {
    /// Switched on.
    Up,
    /// Switched off.
    Down,
}

impl LinkState {
    /// From the `IFF_*` flags of an interface.
    fn of_flags(flags: u32) -> Self {
        if flags & libc::IFF_UP as u32 != 0 {
            LinkState::Up
        } else {
            LinkState::Down
        }
    }

    fn flags(self) -> u32 {
        match self {
            LinkState::Up => libc::IFF_UP as u32,
            LinkState::Down => 0,
        }
    }
}

/// How IPv6 makes the link-local address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AddressGeneration {
    /// From the MAC address.
    Eui64,
    /// Not at all.
    Off,
}

/// An interface as the kernel shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its number.
    pub index: LinkIndex,
    /// Its name.
    pub name: String,
    /// Its kind (`veth`, `bridge`, ...); `None` for hardware and loopback.
    pub kind: Option<String>,
    /// Its Ethernet address.
    pub mac: Option<Mac>,
    /// Its largest packet.
    pub mtu: Option<Mtu>,
    /// Whether it is switched on.
    pub state: LinkState,
    /// Whether packets can pass: switched on and with a carrier.
    pub carrier: LinkState,
    /// The bridge (or VRF, bond) it is a port of.
    pub master: Option<LinkIndex>,
    /// The interface it is stacked on; of a veth, its other end, in the namespace [`Link::peer_netns`] says.
    pub peer: Option<LinkIndex>,
    /// The kernel's number of the other end's namespace, when that is another.
    pub peer_netns: Option<i32>,
}

/// One end of a veth pair to be made.
#[derive(Clone, Copy, Debug)]
pub struct VethEnd<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its address; `None` lets the kernel choose.
    pub mac: Option<Mac>,
    /// Its largest packet; `None` is 1500.
    pub mtu: Option<Mtu>,
}

/// A veth pair to be made. The peer is born in its namespace: moving it there later costs two waits for all processors.
#[derive(Clone, Copy, Debug)]
pub struct Veth<'a> {
    /// The end in the socket's namespace.
    pub host: VethEnd<'a>,
    /// Whether that end is born switched on. The other end cannot be: it is born first, and a veth without its other end does not open.
    pub host_state: LinkState,
    /// The other end.
    pub peer: VethEnd<'a>,
    /// Where the other end is born; `None`: also in the socket's namespace.
    pub peer_netns: Option<BorrowedFd<'a>>,
    /// Queues in each direction; `None` is the kernel's choice (one per processor).
    pub queues: Option<u32>,
}

/// Properties of an interface to be changed; `None` leaves one as it is.
#[derive(Clone, Copy, Debug, Default)]
pub struct LinkChange<'a> {
    /// Switch it on or off.
    pub state: Option<LinkState>,
    /// Largest packet.
    pub mtu: Option<Mtu>,
    /// Ethernet address.
    pub mac: Option<Mac>,
    /// Name.
    pub name: Option<&'a str>,
    /// Make it a port of this bridge; index 0 takes it out.
    pub master: Option<LinkIndex>,
    /// How IPv6 makes its link-local address.
    pub address_generation: Option<AddressGeneration>,
}

/// Writes an `ifinfomsg`.
fn header(index: LinkIndex, state: Option<LinkState>) -> [u8; HEADER_LEN] {
    let mut bytes = [0; HEADER_LEN];
    bytes[4..8].copy_from_slice(&index.0.to_ne_bytes());
    if let Some(state) = state {
        bytes[8..12].copy_from_slice(&state.flags().to_ne_bytes());
        bytes[12..16].copy_from_slice(&(libc::IFF_UP as u32).to_ne_bytes());
    }
    bytes
}

/// The index for the header; a name goes into an attribute.
fn index_of(link: LinkRef<'_>) -> LinkIndex {
    match link {
        LinkRef::Index(index) => index,
        LinkRef::Name(_) => LinkIndex(0),
    }
}

fn write_name(m: &mut MessageWriter<'_>, link: LinkRef<'_>) {
    match link {
        LinkRef::Index(_) => {}
        LinkRef::Name(name) => m.text(IFLA_IFNAME, name),
    }
}

impl VethEnd<'_> {
    fn write(&self, m: &mut MessageWriter<'_>, queues: Option<u32>) {
        m.text(IFLA_IFNAME, self.name);
        if let Some(mac) = self.mac {
            m.bytes(IFLA_ADDRESS, &mac.0);
        }
        if let Some(mtu) = self.mtu {
            m.u32(IFLA_MTU, mtu.0);
        }
        if let Some(queues) = queues {
            m.u32(IFLA_NUM_TX_QUEUES, queues);
            m.u32(IFLA_NUM_RX_QUEUES, queues);
        }
    }
}

impl Changes {
    /// Makes a veth pair.
    pub fn add_veth(&mut self, veth: &Veth<'_>) -> usize {
        self.add_pair("add the veth pair", "veth", veth, |data, peer| {
            data.nest(VETH_INFO_PEER, peer);
        })
    }

    /// Makes a netkit pair that passes frames as a veth pair does, its primary end in the socket's namespace. Kernels before 6.7, and those
    /// built without it, refuse: see [`NetlinkError::is_unsupported`]. Netkit has one queue, so `queues` is not asked for.
    pub fn add_netkit(&mut self, pair: &Veth<'_>) -> usize {
        let pair = Veth {
            queues: None,
            ..*pair
        };
        self.add_pair("add the netkit pair", "netkit", &pair, |data, peer| {
            data.u32(IFLA_NETKIT_MODE, NETKIT_L2);
            data.u32(IFLA_NETKIT_POLICY, NETKIT_PASS);
            data.u32(IFLA_NETKIT_PEER_POLICY, NETKIT_PASS);
            data.nest(IFLA_NETKIT_PEER_INFO, peer);
        })
    }

    /// Makes a pair of a kind, whose own attributes `data` writes, the peer among them.
    fn add_pair(
        &mut self,
        doing: &'static str,
        kind: &str,
        pair: &Veth<'_>,
        data: impl FnOnce(&mut MessageWriter<'_>, &dyn Fn(&mut MessageWriter<'_>)),
    ) -> usize {
        let Veth {
            host,
            host_state,
            peer,
            peer_netns,
            queues,
        } = *pair;
        // Leaving the flags alone instead of saying "down" saves the kernel a pass over the interface.
        let birth_state = Some(host_state).filter(|&state| state == LinkState::Up);
        let header_bytes = header(LinkIndex(0), birth_state);
        let request = Request {
            doing,
            kind: libc::RTM_NEWLINK,
            flags: CREATE,
            header: &header_bytes,
        };
        let write_peer = |p: &mut MessageWriter<'_>| {
            p.raw(&header(LinkIndex(0), None));
            peer.write(p, queues);
            if let Some(netns) = peer_netns {
                p.u32(IFLA_NET_NS_FD, netns.as_raw_fd() as u32);
            }
        };
        self.batch.message(request, |m| {
            host.write(m, queues);
            m.nest(IFLA_LINKINFO, |info| {
                info.text(IFLA_INFO_KIND, kind);
                info.nest(IFLA_INFO_DATA, |d| data(d, &write_peer));
            });
        })
    }

    /// Makes a bridge.
    pub fn add_bridge(&mut self, name: &str) -> usize {
        let header_bytes = header(LinkIndex(0), None);
        let request = Request {
            doing: "add the bridge",
            kind: libc::RTM_NEWLINK,
            flags: CREATE,
            header: &header_bytes,
        };
        self.batch.message(request, |m| {
            m.text(IFLA_IFNAME, name);
            m.nest(IFLA_LINKINFO, |info| info.text(IFLA_INFO_KIND, "bridge"));
        })
    }

    /// Deletes an interface; of a veth pair, both ends.
    pub fn delete_link(&mut self, link: LinkRef<'_>) -> usize {
        let header_bytes = header(index_of(link), None);
        let request = Request {
            doing: "delete the link",
            kind: libc::RTM_DELLINK,
            flags: 0,
            header: &header_bytes,
        };
        self.batch.message(request, |m| write_name(m, link))
    }

    /// Switches an interface on or off.
    pub fn set_state(&mut self, link: LinkRef<'_>, state: LinkState) -> usize {
        self.set_link(
            link,
            &LinkChange {
                state: Some(state),
                ..LinkChange::default()
            },
        )
    }

    /// Changes properties of an interface. A new name needs the interface named by index.
    pub fn set_link(&mut self, link: LinkRef<'_>, change: &LinkChange<'_>) -> usize {
        let LinkChange {
            state,
            mtu,
            mac,
            name,
            master,
            address_generation,
        } = *change;
        let header_bytes = header(index_of(link), state);
        let request = Request {
            doing: "change the link",
            kind: libc::RTM_SETLINK,
            flags: 0,
            header: &header_bytes,
        };
        self.batch.message(request, |m| {
            write_name(m, link);
            if let (LinkRef::Index(_), Some(name)) = (link, name) {
                m.text(IFLA_IFNAME, name);
            }
            if let Some(mtu) = mtu {
                m.u32(IFLA_MTU, mtu.0);
            }
            if let Some(mac) = mac {
                m.bytes(IFLA_ADDRESS, &mac.0);
            }
            if let Some(master) = master {
                m.u32(IFLA_MASTER, master.0);
            }
            if let Some(mode) = address_generation {
                let mode = match mode {
                    AddressGeneration::Eui64 => 0,
                    AddressGeneration::Off => 1,
                };
                m.nest(IFLA_AF_SPEC, |families| {
                    families.nest(libc::AF_INET6 as u16, |v6| {
                        v6.u8(IFLA_INET6_ADDR_GEN_MODE, mode)
                    });
                });
            }
        })
    }
}

impl RouteSocket {
    /// All interfaces of the namespace.
    pub fn links(&mut self) -> Result<Vec<Link>, NetlinkError> {
        let request = Request {
            doing: "list the links",
            kind: libc::RTM_GETLINK,
            flags: 0,
            header: &[0; HEADER_LEN],
        };
        let ask = |m: &mut MessageWriter<'_>| m.u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
        self.netlink.dump(request, ask, decode_link)
    }

    /// One interface; `None` when it is not there.
    pub fn link(&mut self, link: LinkRef<'_>) -> Result<Option<Link>, NetlinkError> {
        let header_bytes = header(index_of(link), None);
        let request = Request {
            doing: "read the link",
            kind: libc::RTM_GETLINK,
            flags: 0,
            header: &header_bytes,
        };
        let ask = |m: &mut MessageWriter<'_>| {
            write_name(m, link);
            m.u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
        };
        match self.netlink.get(request, ask, decode_link) {
            Err(error) if error.is_absent() => Ok(None),
            result => result,
        }
    }
}

/// Reads an interface from a reply or notice.
pub(crate) fn decode_link(message: &Message<'_>) -> Option<Link> {
    if message.kind != libc::RTM_NEWLINK && message.kind != libc::RTM_DELLINK {
        return None;
    }
    let (header, attributes) = message.split(HEADER_LEN)?;
    // Bridges announce their ports a second time, in their own family.
    if header[0] != libc::AF_UNSPEC as u8 {
        return None;
    }
    let index = u32::from_ne_bytes(header.get(4..8)?.try_into().ok()?);
    let flags = u32::from_ne_bytes(header.get(8..12)?.try_into().ok()?);
    let carrier = if flags & libc::IFF_LOWER_UP as u32 != 0 {
        LinkState::of_flags(flags)
    } else {
        LinkState::Down
    };
    let mut link = Link {
        index: LinkIndex(index),
        name: String::new(),
        kind: None,
        mac: None,
        mtu: None,
        state: LinkState::of_flags(flags),
        carrier,
        master: None,
        peer: None,
        peer_netns: None,
    };
    for attribute in attributes {
        match attribute.kind {
            IFLA_ADDRESS => link.mac = attribute.value.try_into().ok().map(Mac),
            IFLA_IFNAME => link.name = attribute.text()?.to_owned(),
            IFLA_MTU => link.mtu = attribute.u32().map(Mtu),
            IFLA_LINK => link.peer = attribute.u32().map(LinkIndex),
            IFLA_MASTER => link.master = attribute.u32().map(LinkIndex),
            IFLA_LINK_NETNSID => link.peer_netns = attribute.i32(),
            IFLA_LINKINFO => link.kind = info_kind(attribute.nested()),
            _ => {}
        }
    }
    Some(link)
}

fn info_kind(info: Attributes<'_>) -> Option<String> {
    info.get(IFLA_INFO_KIND)?.text().map(str::to_owned)
}
