//! Protocols and ports, as rules and endpoints name them.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// An IP protocol number, 1 to 255 (IANA protocol numbers).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Protocol(u8);

/// Why a text is not a protocol.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "{0:?} is not a protocol; use TCP, UDP, ICMP, ICMPv6, SCTP, UDPLite or a number from 1 to 255"
)]
pub struct ProtocolError(pub String);

impl Protocol {
    /// ICMP for IPv4.
    pub const ICMP: Protocol = Protocol(1);
    /// TCP.
    pub const TCP: Protocol = Protocol(6);
    /// UDP.
    pub const UDP: Protocol = Protocol(17);
    /// ICMP for IPv6.
    pub const ICMPV6: Protocol = Protocol(58);
    /// SCTP.
    pub const SCTP: Protocol = Protocol(132);
    /// UDP-Lite.
    pub const UDPLITE: Protocol = Protocol(136);

    const NAMES: [(Protocol, &'static str); 6] = [
        (Protocol::ICMP, "ICMP"),
        (Protocol::TCP, "TCP"),
        (Protocol::UDP, "UDP"),
        (Protocol::ICMPV6, "ICMPv6"),
        (Protocol::SCTP, "SCTP"),
        (Protocol::UDPLITE, "UDPLite"),
    ];

    /// The protocol with this number; 0 is none.
    pub const fn from_number(number: u8) -> Option<Protocol> {
        if number == 0 {
            None
        } else {
            Some(Protocol(number))
        }
    }

    /// The protocol's number.
    pub fn number(self) -> u8 {
        self.0
    }

    /// The name Calico writes, if the protocol has one.
    pub fn name(self) -> Option<&'static str> {
        Protocol::NAMES
            .iter()
            .find(|(p, _)| *p == self)
            .map(|(_, name)| *name)
    }

    /// True for TCP, UDP and SCTP: the protocols whose rules may name ports.
    pub fn has_ports(self) -> bool {
        self == Protocol::TCP || self == Protocol::UDP || self == Protocol::SCTP
    }
}

/// Names in any case, or a number.
impl FromStr for Protocol {
    type Err = ProtocolError;

    fn from_str(text: &str) -> Result<Protocol, ProtocolError> {
        if let Some((p, _)) = Protocol::NAMES
            .iter()
            .find(|(_, n)| n.eq_ignore_ascii_case(text))
        {
            return Ok(*p);
        }
        let number = text
            .parse::<u8>()
            .ok()
            .filter(|_| text.bytes().all(|b| b.is_ascii_digit()));
        number
            .and_then(Protocol::from_number)
            .ok_or_else(|| ProtocolError(text.to_owned()))
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "{}", self.0),
        }
    }
}

impl fmt::Debug for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Ports `first` to `last`, both included; `first <= last`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortRange {
    first: u16,
    last: u16,
}

impl PortRange {
    /// One port.
    pub fn one(port: u16) -> PortRange {
        PortRange {
            first: port,
            last: port,
        }
    }

    /// A range, if it is not upside down.
    pub fn new(first: u16, last: u16) -> Option<PortRange> {
        (first <= last).then_some(PortRange { first, last })
    }

    /// The lowest port.
    pub fn first(self) -> u16 {
        self.first
    }

    /// The highest port.
    pub fn last(self) -> u16 {
        self.last
    }

    /// True if the port lies in the range.
    pub fn contains(self, port: u16) -> bool {
        (self.first..=self.last).contains(&port)
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last {
            write!(f, "{}", self.first)
        } else {
            write!(f, "{}:{}", self.first, self.last)
        }
    }
}

/// What a rule's `ports` list may hold: numbers, or the name of a port that endpoints declare.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PortMatch {
    /// A port or a range.
    Range(PortRange),
    /// A named port: matches endpoints that declare a port of this name, at their number and protocol.
    Named(Box<str>),
}

impl fmt::Display for PortMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PortMatch::Range(range) => range.fmt(f),
            PortMatch::Named(name) => f.write_str(name),
        }
    }
}
