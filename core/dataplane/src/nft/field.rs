//! Fields: what of a packet and its connection can be compared and looked up.

use std::net::IpAddr;
use std::ops::BitOr;

use super::set::KeyType;

/// A property of a packet or its connection that can be compared and looked up.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Field {
    /// Name of the interface it came in by.
    Iifname,
    /// Name of the interface it leaves by.
    Oifname,
    /// Index of the interface it came in by.
    Iif,
    /// Index of the interface it leaves by.
    Oif,
    /// Transport protocol.
    L4proto,
    /// IPv4 or IPv6.
    Nfproto,
    /// The packet's mark.
    Mark,
    /// IPv4 source address.
    Ip4Saddr,
    /// IPv4 destination address.
    Ip4Daddr,
    /// IPv6 source address.
    Ip6Saddr,
    /// IPv6 destination address.
    Ip6Daddr,
    /// Source port of a transport that has ports.
    Sport,
    /// Destination port of a transport that has ports.
    Dport,
    /// Type of an ICMP or ICMPv6 message, as the rule's transport protocol says.
    IcmpType,
    /// Code of an ICMP or ICMPv6 message.
    IcmpCode,
    /// State of the connection, see [`CtState`].
    CtState,
    /// Mark of the connection.
    CtMark,
    /// Status of the connection, see [`CtStatus`].
    CtStatus,
    /// Direction of the packet within its connection, see [`CtDirection`].
    CtDirection,
    /// Answer of a routing lookup.
    Fib(FibKey, FibResult),
}

impl Field {
    /// The width in bytes.
    pub fn width(self) -> usize {
        match self {
            Self::Iifname | Self::Oifname => KeyType::Ifname.width(),
            Self::Iif | Self::Oif | Self::Mark | Self::CtState | Self::CtMark | Self::CtStatus => 4,
            Self::Ip4Saddr | Self::Ip4Daddr => 4,
            Self::Ip6Saddr | Self::Ip6Daddr => 16,
            Self::L4proto | Self::Nfproto | Self::IcmpType | Self::IcmpCode | Self::CtDirection => {
                1
            }
            Self::Sport | Self::Dport => 2,
            Self::Fib(_, FibResult::Oif | FibResult::AddrType) => 4,
            Self::Fib(_, FibResult::Exists) => 1,
        }
    }

    /// The type of set this can be looked up in, if any.
    pub fn key_type(self) -> Option<KeyType> {
        match self {
            Self::Iifname | Self::Oifname => Some(KeyType::Ifname),
            Self::L4proto => Some(KeyType::InetProto),
            Self::Mark | Self::CtMark => Some(KeyType::Mark),
            Self::Ip4Saddr | Self::Ip4Daddr => Some(KeyType::Ipv4Addr),
            Self::Ip6Saddr | Self::Ip6Daddr => Some(KeyType::Ipv6Addr),
            Self::Sport | Self::Dport => Some(KeyType::InetService),
            Self::IcmpType => Some(KeyType::IcmpType),
            Self::Iif
            | Self::Oif
            | Self::Nfproto
            | Self::IcmpCode
            | Self::CtState
            | Self::CtStatus
            | Self::CtDirection
            | Self::Fib(..) => None,
        }
    }

    /// The IP version a packet must have for this field to mean anything.
    pub fn requires(self) -> Option<NfProto> {
        match self {
            Self::Ip4Saddr | Self::Ip4Daddr => Some(NfProto::Ipv4),
            Self::Ip6Saddr | Self::Ip6Daddr => Some(NfProto::Ipv6),
            Self::Iifname
            | Self::Oifname
            | Self::Iif
            | Self::Oif
            | Self::L4proto
            | Self::Nfproto
            | Self::Mark
            | Self::Sport
            | Self::Dport
            | Self::IcmpType
            | Self::IcmpCode
            | Self::CtState
            | Self::CtMark
            | Self::CtStatus
            | Self::CtDirection
            | Self::Fib(..) => None,
        }
    }
}

/// The IP version of a packet, as the kernel numbers them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum NfProto {
    /// NFPROTO_IPV4
    Ipv4 = 2,
    /// NFPROTO_IPV6
    Ipv6 = 10,
}

impl From<IpAddr> for NfProto {
    fn from(addr: IpAddr) -> Self {
        if addr.is_ipv4() {
            Self::Ipv4
        } else {
            Self::Ipv6
        }
    }
}

/// What a routing lookup asks with.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct FibKey(pub(crate) u8);

impl FibKey {
    /// The packet's source address.
    pub const SADDR: Self = Self(1);
    /// The packet's destination address.
    pub const DADDR: Self = Self(2);
    /// With the packet's mark.
    pub const MARK: Self = Self(4);
    /// Restricted to the interface it came in by.
    pub const IIF: Self = Self(8);
    /// Restricted to the interface it leaves by.
    pub const OIF: Self = Self(16);

    /// The kernel's flags (NFTA_FIB_F_*).
    pub fn bits(self) -> u32 {
        self.0.into()
    }

    /// From the kernel's flags, if all are known.
    pub fn from_bits(bits: u32) -> Option<Self> {
        u8::try_from(bits)
            .ok()
            .filter(|bits| bits & !0x1f == 0)
            .map(Self)
    }
}

impl BitOr for FibKey {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// What a routing lookup answers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum FibResult {
    /// Index of the interface of the route; 0 without one.
    Oif,
    /// Type of the address, e.g. [`super::proto::RTN_LOCAL`].
    AddrType,
    /// 1 if there is a route, 0 if not.
    Exists,
}

/// Direction of a packet within its connection.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum CtDirection {
    /// As the first packet.
    Original = 0,
    /// The other way.
    Reply = 1,
}
