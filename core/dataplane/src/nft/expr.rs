//! Expressions: what a rule matches and does, each one a value the kernel can hold and give back.

use std::net::IpAddr;

use super::bytes::Bytes;
use super::field::Field;
use super::flags::NatFlags;
use super::names::{ChainName, PortRange, SetName, Verdict};
use super::set::{Elements, SetType};

/// A comparison with one constant.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum CmpOp {
    /// Equal.
    Eq,
    /// Not equal.
    Neq,
}

/// Whether a key must be in a set or range, or must not.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Membership {
    /// In it.
    In,
    /// Not in it.
    NotIn,
}

/// A set without a name, which lives and dies with its rule.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Anonymous {
    /// Its type.
    pub ty: SetType,
    /// Its elements.
    pub elements: Elements,
}

/// The set of a lookup.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SetRef {
    /// A set of the same table.
    Named(SetName),
    /// A set written within the rule.
    Anonymous(Box<Anonymous>),
}

impl From<SetName> for SetRef {
    fn from(name: SetName) -> Self {
        Self::Named(name)
    }
}

impl From<&SetName> for SetRef {
    fn from(name: &SetName) -> Self {
        Self::Named(name.clone())
    }
}

impl From<&str> for SetRef {
    fn from(name: &str) -> Self {
        Self::Named(name.into())
    }
}

/// A mark that can be written and read.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum MarkPlace {
    /// The packet's.
    Packet,
    /// The connection's.
    Connection,
}

/// Where a mark's value comes from.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum MarkSource {
    /// This number.
    Constant(u32),
    /// `(place & and) ^ xor`; a plain copy has all ones and zero.
    Masked {
        /// The mark read.
        place: MarkPlace,
        /// The bits kept of it.
        and: u32,
        /// The bits flipped afterwards.
        xor: u32,
    },
}

/// What an address translation changes, and to what.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum NatKind {
    /// The source, to this address.
    Source(IpAddr),
    /// The destination, to this address.
    Destination(IpAddr),
    /// The source, to that of the interface the packet leaves by.
    Masquerade,
}

/// An address translation.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Nat {
    /// What changes.
    pub kind: NatKind,
    /// The ports to choose from; `None` keeps the port where possible.
    pub ports: Option<PortRange>,
    /// How the choice is made.
    pub flags: NatFlags,
}

/// The time a rate is over.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum RateUnit {
    /// A second.
    Second = 1,
    /// 60 seconds.
    Minute = 60,
    /// 3 600 seconds.
    Hour = 3600,
    /// 86 400 seconds.
    Day = 86400,
}

/// Packets over time, with a burst.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Rate {
    /// Packets in each unit of time; at least one.
    pub packets: u64,
    /// The unit of time.
    pub per: RateUnit,
    /// Packets that may come at once.
    pub burst: u32,
}

/// Whether a limit matches below or above its figure.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Scope {
    /// Matches while the figure is kept.
    Within,
    /// Matches what exceeds it.
    Over,
}

/// Severity of a line in the kernel log (that of syslog).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum LogLevel {
    /// 0
    Emerg,
    /// 1
    Alert,
    /// 2
    Crit,
    /// 3
    Err,
    /// 4
    Warn,
    /// 5
    Notice,
    /// 6
    Info,
    /// 7
    Debug,
}

impl LogLevel {
    /// All levels in the order of their numbers.
    pub const ALL: [Self; 8] = [
        Self::Emerg,
        Self::Alert,
        Self::Crit,
        Self::Err,
        Self::Warn,
        Self::Notice,
        Self::Info,
        Self::Debug,
    ];
}

/// Where a log record goes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum LogTarget {
    /// To the kernel log.
    Kernel(LogLevel),
    /// To whoever listens to this NFLOG group.
    Group {
        /// The group's number.
        group: u16,
        /// Bytes of the packet to copy; `None` is all.
        snaplen: Option<u32>,
        /// Packets the kernel collects before it wakes the listener.
        queue_threshold: u16,
    },
}

/// A record of the packet.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Log {
    /// The text in front of it, at most 127 bytes; empty for none.
    pub prefix: String,
    /// Where it goes.
    pub target: LogTarget,
}

/// What a rejected packet is answered with.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum RejectWith {
    /// A TCP reset.
    TcpReset,
    /// ICMP or ICMPv6 no-route.
    NoRoute,
    /// ICMP or ICMPv6 port-unreachable.
    PortUnreachable,
    /// ICMP or ICMPv6 host-unreachable.
    HostUnreachable,
    /// ICMP or ICMPv6 admin-prohibited.
    AdminProhibited,
}

/// One condition or one deed of a rule; a rule goes on to the following one as long as they hold.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Expr {
    /// A field, masked or not, equals a constant or does not. A constant shorter than the field compares its beginning
    /// (interface names).
    Cmp {
        /// What is compared.
        field: Field,
        /// The bits that count; `None` is all.
        mask: Option<Bytes>,
        /// How.
        op: CmpOp,
        /// With what.
        value: Bytes,
    },
    /// A field lies between two constants, both included, or does not.
    Range {
        /// What is compared; a field in network order.
        field: Field,
        /// Whether it must be inside.
        membership: Membership,
        /// The lowest.
        from: Bytes,
        /// The highest.
        to: Bytes,
    },
    /// Fields, taken together, are an element of a set or are not.
    Lookup {
        /// The parts of the key.
        fields: Vec<Field>,
        /// Whether it must be in it.
        membership: Membership,
        /// The set.
        set: SetRef,
    },
    /// The verdict that a map holds for these fields; on to the following expression if it holds none.
    Vmap {
        /// The parts of the key.
        fields: Vec<Field>,
        /// The map.
        map: SetRef,
    },
    /// Writes a mark.
    SetMark {
        /// Which.
        place: MarkPlace,
        /// The value.
        source: MarkSource,
    },
    /// Counts packets and bytes. What it has counted is no part of the value.
    Counter,
    /// Writes a log record.
    Log(Log),
    /// Matches packets within or beyond a rate.
    Limit {
        /// The rate.
        rate: Rate,
        /// Which packets match.
        scope: Scope,
    },
    /// Matches while this many connections at most have passed here and live, or those beyond.
    ConnLimit {
        /// Connections.
        count: u32,
        /// Which packets match.
        scope: Scope,
    },
    /// Drops the packet and answers its sender.
    Reject(RejectWith),
    /// Exempts the packet from connection tracking.
    Notrack,
    /// Translates an address.
    Nat(Nat),
    /// Decides.
    Verdict(Verdict),
}

impl Expr {
    /// The named set or map it looks up.
    pub fn set(&self) -> Option<&SetName> {
        if let Self::Lookup {
            set: SetRef::Named(name),
            ..
        }
        | Self::Vmap {
            map: SetRef::Named(name),
            ..
        } = self
        {
            return Some(name);
        }
        None
    }

    /// The chains it leads to.
    pub fn targets(&self) -> impl Iterator<Item = &ChainName> {
        let direct = if let Self::Verdict(verdict) = self {
            verdict.target()
        } else {
            None
        };
        let map = if let Self::Vmap {
            map: SetRef::Anonymous(map),
            ..
        } = self
        {
            Some(map)
        } else {
            None
        };
        let mapped = map
            .into_iter()
            .flat_map(|map| map.elements.values())
            .filter_map(|load| load.verdict()?.target());
        direct.into_iter().chain(mapped)
    }
}
