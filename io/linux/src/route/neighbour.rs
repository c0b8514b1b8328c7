//! Neighbours: which Ethernet address an IP address has on a link, and which addresses the host answers for.

use std::net::IpAddr;

use model::{Family, Mac};

use super::link::LinkIndex;
use super::socket::{Changes, RouteSocket};
use super::{REPLACE, family_number, family_of};
use crate::netlink::{Message, NetlinkError, Request};

/// `struct ndmsg`.
const HEADER_LEN: usize = 12;

// linux/neighbour.h
const NDA_DST: u16 = 1;
const NDA_LLADDR: u16 = 2;
const NUD_STALE: u16 = 0x04;
const NUD_PERMANENT: u16 = 0x80;
const NTF_PROXY: u8 = 0x08;

/// What the kernel knows of a neighbour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NeighbourKind {
    /// Written down for ever.
    Permanent(Mac),
    /// Not a neighbour: the host answers for the address (`proxy_arp`, `proxy_ndp`).
    Proxy,
    /// Learned, with its address as far as known.
    Learned(Option<Mac>),
}

/// An entry of the neighbour tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Neighbour {
    /// The interface.
    pub link: LinkIndex,
    /// The IP address.
    pub addr: IpAddr,
    /// What is known.
    pub kind: NeighbourKind,
}

impl Neighbour {
    fn header(&self) -> [u8; HEADER_LEN] {
        header(Family::of(self.addr), self.link, self.kind)
    }
}

fn header(family: Family, link: LinkIndex, kind: NeighbourKind) -> [u8; HEADER_LEN] {
    let mut bytes = [0; HEADER_LEN];
    bytes[0] = family_number(family);
    bytes[4..8].copy_from_slice(&link.0.to_ne_bytes());
    match kind {
        NeighbourKind::Permanent(_) => bytes[8..10].copy_from_slice(&NUD_PERMANENT.to_ne_bytes()),
        NeighbourKind::Proxy => bytes[10] = NTF_PROXY,
        NeighbourKind::Learned(Some(_)) => bytes[8..10].copy_from_slice(&NUD_STALE.to_ne_bytes()),
        NeighbourKind::Learned(None) => {}
    }
    bytes
}

impl Changes {
    /// Writes an entry, in place of what is there. A learned one is written as one to be verified when it is used.
    pub fn replace_neighbour(&mut self, neighbour: &Neighbour) -> usize {
        let header = neighbour.header();
        let request = Request {
            doing: "write the neighbour",
            kind: libc::RTM_NEWNEIGH,
            flags: REPLACE,
            header: &header,
        };
        self.neighbour(request, neighbour)
    }

    /// Deletes an entry.
    pub fn delete_neighbour(&mut self, neighbour: &Neighbour) -> usize {
        let header = neighbour.header();
        let request = Request {
            doing: "delete the neighbour",
            kind: libc::RTM_DELNEIGH,
            flags: 0,
            header: &header,
        };
        self.neighbour(request, neighbour)
    }

    fn neighbour(&mut self, request: Request<'_>, neighbour: &Neighbour) -> usize {
        self.batch.message(request, |m| {
            m.ip(NDA_DST, neighbour.addr);
            match neighbour.kind {
                NeighbourKind::Permanent(mac) | NeighbourKind::Learned(Some(mac)) => {
                    m.bytes(NDA_LLADDR, &mac.0)
                }
                NeighbourKind::Proxy | NeighbourKind::Learned(None) => {}
            }
        })
    }
}

impl RouteSocket {
    /// Entries of a family: neighbours, then the addresses answered for.
    pub fn neighbours(&mut self, family: Family) -> Result<Vec<Neighbour>, NetlinkError> {
        let mut found = Vec::new();
        // The kernel shows one or the other.
        for kind in [NeighbourKind::Learned(None), NeighbourKind::Proxy] {
            let header = header(family, LinkIndex(0), kind);
            let request = Request {
                doing: "list the neighbours",
                kind: libc::RTM_GETNEIGH,
                flags: 0,
                header: &header,
            };
            found.extend(self.netlink.dump(request, |_| {}, decode_neighbour)?);
        }
        Ok(found)
    }
}

/// Reads an entry from a reply or notice.
pub(crate) fn decode_neighbour(message: &Message<'_>) -> Option<Neighbour> {
    if message.kind != libc::RTM_NEWNEIGH && message.kind != libc::RTM_DELNEIGH {
        return None;
    }
    let (header, attributes) = message.split(HEADER_LEN)?;
    let &[family, _, _, _, i0, i1, i2, i3, s0, s1, flags, _] =
        header.first_chunk::<HEADER_LEN>()?;
    family_of(family)?;
    let mac = attributes
        .get(NDA_LLADDR)
        .and_then(|a| a.value.try_into().ok())
        .map(Mac);
    let permanent = u16::from_ne_bytes([s0, s1]) & NUD_PERMANENT != 0;
    let kind = match mac {
        _ if flags & NTF_PROXY != 0 => NeighbourKind::Proxy,
        Some(mac) if permanent => NeighbourKind::Permanent(mac),
        learned => NeighbourKind::Learned(learned),
    };
    Some(Neighbour {
        link: LinkIndex(u32::from_ne_bytes([i0, i1, i2, i3])),
        addr: attributes.get(NDA_DST)?.ip()?,
        kind,
    })
}
