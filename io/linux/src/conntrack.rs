//! Connections the kernel tracks: listed, and forgotten by address.
//!
//! An address that goes to another pod must not inherit the connections (and their NAT) of the one that had it.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::os::fd::AsFd;

use model::Family;

use crate::netlink::{
    Attributes, Batch, Errno, Message, MessageWriter, NetlinkError, NetlinkSocket, Protocol,
    Request, SocketOptions, Stats,
};
use crate::route::family_number;

/// `struct nfgenmsg`.
const HEADER_LEN: usize = 4;

// linux/netfilter/nfnetlink_conntrack.h
const SUBSYSTEM: u16 = 1 << 8;
const CT_NEW: u16 = SUBSYSTEM;
const CT_GET: u16 = SUBSYSTEM | 1;
const CT_DELETE: u16 = SUBSYSTEM | 2;
const CT_GET_STATS: u16 = SUBSYSTEM | 5;
const CTA_STATS_GLOBAL_ENTRIES: u16 = 1;
const CTA_TUPLE_ORIG: u16 = 1;
const CTA_TUPLE_REPLY: u16 = 2;
const CTA_ID: u16 = 12;
const CTA_ZONE: u16 = 18;
const CTA_TUPLE_IP: u16 = 1;
const CTA_TUPLE_PROTO: u16 = 2;
const CTA_IP_V4_SRC: u16 = 1;
const CTA_IP_V4_DST: u16 = 2;
const CTA_IP_V6_SRC: u16 = 3;
const CTA_IP_V6_DST: u16 = 4;
const CTA_PROTO_NUM: u16 = 1;
const CTA_PROTO_SRC_PORT: u16 = 2;
const CTA_PROTO_DST_PORT: u16 = 3;

/// One direction of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tuple {
    /// From this address.
    pub source: IpAddr,
    /// To this address.
    pub destination: IpAddr,
    /// IP protocol number.
    pub protocol: u8,
    /// From this port, where the protocol has them.
    pub source_port: Option<u16>,
    /// To this port.
    pub destination_port: Option<u16>,
}

/// A tracked connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Connection {
    /// As its first packet was sent.
    pub original: Tuple,
    /// As answers are expected: with NAT, not just the reverse.
    pub reply: Tuple,
}

impl Connection {
    /// The addresses at both ends, before and after NAT.
    pub fn addresses(&self) -> [IpAddr; 4] {
        let Connection { original, reply } = self;
        [
            original.source,
            original.destination,
            reply.source,
            reply.destination,
        ]
    }
}

/// What names an entry to the kernel for deletion.
struct Handle {
    family: u8,
    tuple: Vec<u8>,
    id: Option<u32>,
    zone: Option<u16>,
}

/// A socket to the connection tracking of one network namespace.
#[derive(Debug)]
pub struct ConntrackSocket {
    netlink: NetlinkSocket,
}

impl ConntrackSocket {
    /// Opens one in the calling thread's namespace.
    pub fn open() -> Result<Self, NetlinkError> {
        let netlink = NetlinkSocket::open(Protocol::Netfilter)?;
        Ok(ConntrackSocket { netlink })
    }

    /// Opens one in another namespace.
    pub fn open_in(netns: impl AsFd) -> Result<Self, NetlinkError> {
        let netlink = NetlinkSocket::open_in(netns, Protocol::Netfilter, SocketOptions::default())?;
        Ok(ConntrackSocket { netlink })
    }

    /// All connections of a family.
    pub fn connections(&mut self, family: Family) -> Result<Vec<Connection>, NetlinkError> {
        let header = header(family);
        let request = Request {
            doing: "list the tracked connections",
            kind: CT_GET,
            flags: 0,
            header: &header,
        };
        self.netlink.dump(
            request,
            |_| {},
            |m| decode(m).map(|(connection, _)| connection),
        )
    }

    /// How many connections the namespace has, of both families, those included whose first packet is still on its way.
    ///
    /// Costs one message; nothing is walked. `None` on kernels that do not say.
    pub fn count(&mut self) -> Result<Option<u32>, NetlinkError> {
        let request = Request {
            doing: "count the tracked connections",
            kind: CT_GET_STATS,
            flags: 0,
            header: &[0; HEADER_LEN],
        };
        self.netlink.get(
            request,
            |_| {},
            |message| {
                let (_, attributes) = message.split(HEADER_LEN)?;
                attributes.get(CTA_STATS_GLOBAL_ENTRIES)?.be32()
            },
        )
    }

    /// Counters since the socket was opened.
    pub fn stats(&self) -> Stats {
        self.netlink.stats()
    }

    /// Forgets every connection that has one of the addresses at either end, before or after NAT. Returns how many there were.
    ///
    /// The table is read once for all of them, so addresses come in sets: it is one for all namespaces, walking even an empty one takes
    /// the kernel some 10 ms, and its own filter knows only one place of one address at a time. A namespace without any connection is
    /// not walked for.
    pub fn delete_by_addresses(
        &mut self,
        addresses: &BTreeSet<IpAddr>,
    ) -> Result<usize, NetlinkError> {
        let families: BTreeSet<Family> = addresses.iter().map(|addr| Family::of(*addr)).collect();
        if families.is_empty() || self.count()? == Some(0) {
            return Ok(0);
        }
        let found = self.of_addresses(&families, addresses)?;
        let mut batch = Batch::new();
        for Handle {
            family,
            tuple,
            id,
            zone,
        } in &found
        {
            let request = Request {
                doing: "delete the tracked connection",
                kind: CT_DELETE,
                flags: 0,
                header: &[*family, 0, 0, 0],
            };
            batch.message(request, |m| {
                m.nest(CTA_TUPLE_ORIG, |t| t.raw(tuple));
                if let Some(id) = id {
                    m.be32(CTA_ID, *id);
                }
                if let Some(zone) = zone {
                    m.be16(CTA_ZONE, *zone);
                }
            });
        }
        let outcome = self.netlink.transact_in_chunks(&mut batch)?;
        // One that ended meanwhile is as good as deleted.
        let failure = outcome
            .failures
            .into_iter()
            .find(|failure| failure.errno != Errno::NOENT);
        match failure {
            Some(failure) => Err(NetlinkError::Refused(failure)),
            None => Ok(found.len()),
        }
    }

    /// The connections that have one of the addresses, by one walk.
    fn of_addresses(
        &mut self,
        families: &BTreeSet<Family>,
        addresses: &BTreeSet<IpAddr>,
    ) -> Result<Vec<Handle>, NetlinkError> {
        // No family is all families.
        let header = match families.iter().collect::<Vec<_>>()[..] {
            [one] => header(*one),
            _ => [0; HEADER_LEN],
        };
        let list = Request {
            doing: "list the tracked connections",
            kind: CT_GET,
            flags: 0,
            header: &header,
        };
        self.netlink.dump(
            list,
            |_| {},
            |message| {
                let (header, _) = message.split(HEADER_LEN)?;
                let (connection, attributes) = decode(message)?;
                let ends = connection.addresses();
                ends.iter()
                    .any(|end| addresses.contains(end))
                    .then(|| handle(*header.first()?, attributes))?
            },
        )
    }

    /// Makes an entry, as if a first packet had been seen. For tests and demonstrations.
    pub fn insert(&mut self, connection: &Connection, seconds: u32) -> Result<(), NetlinkError> {
        const CTA_TIMEOUT: u16 = 7;
        const CTA_STATUS: u16 = 3;
        const IPS_CONFIRMED_ASSURED: u32 = 1 << 3 | 1 << 2;
        let header = header(Family::of(connection.original.source));
        let flags = (libc::NLM_F_CREATE | libc::NLM_F_EXCL) as u16;
        let request = Request {
            doing: "insert a tracked connection",
            kind: CT_NEW,
            flags,
            header: &header,
        };
        self.netlink.request(request, |m| {
            m.nest(CTA_TUPLE_ORIG, |t| write_tuple(t, &connection.original));
            m.nest(CTA_TUPLE_REPLY, |t| write_tuple(t, &connection.reply));
            m.be32(CTA_TIMEOUT, seconds);
            m.be32(CTA_STATUS, IPS_CONFIRMED_ASSURED);
        })
    }
}

fn header(family: Family) -> [u8; HEADER_LEN] {
    [family_number(family), 0, 0, 0]
}

fn write_tuple(m: &mut MessageWriter<'_>, tuple: &Tuple) {
    let (source, destination) = match Family::of(tuple.source) {
        Family::V4 => (CTA_IP_V4_SRC, CTA_IP_V4_DST),
        Family::V6 => (CTA_IP_V6_SRC, CTA_IP_V6_DST),
    };
    m.nest(CTA_TUPLE_IP, |ip| {
        ip.ip(source, tuple.source);
        ip.ip(destination, tuple.destination);
    });
    m.nest(CTA_TUPLE_PROTO, |proto| {
        proto.u8(CTA_PROTO_NUM, tuple.protocol);
        if let Some(port) = tuple.source_port {
            proto.be16(CTA_PROTO_SRC_PORT, port);
        }
        if let Some(port) = tuple.destination_port {
            proto.be16(CTA_PROTO_DST_PORT, port);
        }
    });
}

fn decode<'a>(message: &Message<'a>) -> Option<(Connection, Attributes<'a>)> {
    if message.kind != CT_NEW {
        return None;
    }
    let (_, attributes) = message.split(HEADER_LEN)?;
    let tuple = |kind| decode_tuple(attributes.get(kind)?.nested());
    let connection = Connection {
        original: tuple(CTA_TUPLE_ORIG)?,
        reply: tuple(CTA_TUPLE_REPLY)?,
    };
    Some((connection, attributes))
}

fn decode_tuple(tuple: Attributes<'_>) -> Option<Tuple> {
    let ip = tuple.get(CTA_TUPLE_IP)?.nested();
    let proto = tuple.get(CTA_TUPLE_PROTO)?.nested();
    let addr = |v4, v6| ip.get(v4).or_else(|| ip.get(v6))?.ip();
    let port = |kind| proto.get(kind).and_then(|a| a.be16());
    Some(Tuple {
        source: addr(CTA_IP_V4_SRC, CTA_IP_V6_SRC)?,
        destination: addr(CTA_IP_V4_DST, CTA_IP_V6_DST)?,
        protocol: proto.get(CTA_PROTO_NUM)?.u8()?,
        source_port: port(CTA_PROTO_SRC_PORT),
        destination_port: port(CTA_PROTO_DST_PORT),
    })
}

fn handle(family: u8, attributes: Attributes<'_>) -> Option<Handle> {
    Some(Handle {
        family,
        // As the kernel wrote it: a protocol we do not read in full (ICMP) is still named exactly.
        tuple: attributes.get(CTA_TUPLE_ORIG)?.value.to_vec(),
        id: attributes.get(CTA_ID).and_then(|a| a.be32()),
        zone: attributes.get(CTA_ZONE).and_then(|a| a.be16()),
    })
}
