//! Addresses of interfaces.

use std::net::IpAddr;

use model::Family;

use super::fib::Scope;
use super::link::LinkIndex;
use super::socket::{Changes, RouteSocket};
use super::{CREATE, REPLACE, family_number, family_of};
use crate::netlink::{Message, NetlinkError, Request};

/// `struct ifaddrmsg`.
const HEADER_LEN: usize = 8;

// linux/if_addr.h
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_FLAGS: u16 = 8;
const IFA_F_NODAD: u32 = 0x02;

/// Whether IPv6 looks for another holder of the address before using it, which takes a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DuplicateDetection {
    /// It looks.
    On,
    /// It does not: the address is ours by assignment. Always so for IPv4.
    Off,
}

/// An address on an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Address {
    /// The interface.
    pub link: LinkIndex,
    /// The address.
    pub addr: IpAddr,
    /// Bits of the network on the link.
    pub prefix_len: u8,
    /// How far the address is valid.
    pub scope: Scope,
    /// Whether a duplicate is looked for.
    pub duplicate_detection: DuplicateDetection,
}

impl Address {
    /// A /32 or /128, used at once.
    pub fn host(link: LinkIndex, addr: IpAddr) -> Self {
        Address {
            link,
            addr,
            prefix_len: Family::of(addr).bits(),
            scope: Scope::Universe,
            duplicate_detection: DuplicateDetection::Off,
        }
    }

    fn header(&self) -> [u8; HEADER_LEN] {
        let mut bytes = [
            family_number(Family::of(self.addr)),
            self.prefix_len,
            0,
            self.scope.number(),
            0,
            0,
            0,
            0,
        ];
        bytes[4..8].copy_from_slice(&self.link.0.to_ne_bytes());
        bytes
    }
}

impl Changes {
    /// Adds an address.
    pub fn add_address(&mut self, address: &Address) -> usize {
        self.address("add the address", libc::RTM_NEWADDR, CREATE, address)
    }

    /// Adds an address, or changes the properties of the one that is there.
    pub fn replace_address(&mut self, address: &Address) -> usize {
        self.address("replace the address", libc::RTM_NEWADDR, REPLACE, address)
    }

    /// Deletes an address.
    pub fn delete_address(&mut self, address: &Address) -> usize {
        self.address("delete the address", libc::RTM_DELADDR, 0, address)
    }

    fn address(&mut self, doing: &'static str, kind: u16, flags: u16, address: &Address) -> usize {
        let header = address.header();
        self.batch.message(
            Request {
                doing,
                kind,
                flags,
                header: &header,
            },
            |m| {
                m.ip(IFA_LOCAL, address.addr);
                m.ip(IFA_ADDRESS, address.addr);
                match (Family::of(address.addr), address.duplicate_detection) {
                    (Family::V6, DuplicateDetection::Off) => m.u32(IFA_FLAGS, IFA_F_NODAD),
                    (Family::V6, DuplicateDetection::On) | (Family::V4, _) => {}
                }
            },
        )
    }
}

impl RouteSocket {
    /// All addresses of the namespace, both families; of one interface when given.
    pub fn addresses(&mut self, link: Option<LinkIndex>) -> Result<Vec<Address>, NetlinkError> {
        let mut header = [0; HEADER_LEN];
        if let Some(link) = link {
            header[4..8].copy_from_slice(&link.0.to_ne_bytes());
        }
        let request = Request {
            doing: "list the addresses",
            kind: libc::RTM_GETADDR,
            flags: 0,
            header: &header,
        };
        let wanted = |address: &Address| link.is_none_or(|link| address.link == link);
        match self
            .netlink
            .dump(request, |_| {}, |m| decode_address(m).filter(wanted))
        {
            // The interface is gone, and its addresses with it.
            Err(error) if error.is_absent() => Ok(Vec::new()),
            result => result,
        }
    }
}

/// Reads an address from a reply or notice.
pub(crate) fn decode_address(message: &Message<'_>) -> Option<Address> {
    if message.kind != libc::RTM_NEWADDR && message.kind != libc::RTM_DELADDR {
        return None;
    }
    let (header, attributes) = message.split(HEADER_LEN)?;
    let &[family, prefix_len, flags, scope, i0, i1, i2, i3] = header.first_chunk::<HEADER_LEN>()?;
    let family = family_of(family)?;
    // On a point-to-point link IFA_ADDRESS is the other end's.
    let addr = attributes
        .get(IFA_LOCAL)
        .or_else(|| attributes.get(IFA_ADDRESS))?
        .ip()?;
    let flags = attributes
        .get(IFA_FLAGS)
        .and_then(|a| a.u32())
        .unwrap_or(flags.into());
    let off = family == Family::V4 || flags & IFA_F_NODAD != 0;
    Some(Address {
        link: LinkIndex(u32::from_ne_bytes([i0, i1, i2, i3])),
        addr,
        prefix_len,
        scope: Scope::of(scope),
        duplicate_detection: if off {
            DuplicateDetection::Off
        } else {
            DuplicateDetection::On
        },
    })
}
