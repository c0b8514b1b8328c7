//! Addresses: IPv4 and IPv6 on one code path. Everything that names a network speaks `Cidr`.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use thiserror::Error;

/// An address family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// Both families, IPv4 first.
    pub const ALL: [Family; 2] = [Family::V4, Family::V6];

    /// The family of an address.
    pub fn of(addr: IpAddr) -> Family {
        match addr {
            IpAddr::V4(_) => Family::V4,
            IpAddr::V6(_) => Family::V6,
        }
    }

    /// Bits in an address: 32 or 128.
    pub fn bits(self) -> u8 {
        match self {
            Family::V4 => 32,
            Family::V6 => 128,
        }
    }

    /// The version as Calico writes it: 4 or 6.
    pub fn version(self) -> u8 {
        match self {
            Family::V4 => 4,
            Family::V6 => 6,
        }
    }
}

/// A network in CIDR form. Host bits are always zero.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cidr {
    addr: IpAddr,
    len: u8,
}

/// Why a text is not a CIDR.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CidrError {
    /// The address part is not an IPv4 or IPv6 address.
    #[error("{0:?} is not an IPv4 or IPv6 address")]
    Address(String),
    /// The length is not a number, or longer than the address.
    #[error("{text:?} has prefix length {len:?}; it must be a number from 0 to {max}")]
    Length {
        /// The whole text.
        text: String,
        /// The part after the slash.
        len: String,
        /// The longest length of that family.
        max: u8,
    },
}

impl Cidr {
    /// The network of `addr` with `len` bits; host bits are cleared, a longer `len` is cut to the family's.
    pub fn new(addr: IpAddr, len: u8) -> Cidr {
        let len = len.min(Family::of(addr).bits());
        Cidr {
            addr: mask(addr, len),
            len,
        }
    }

    /// The /32 or /128 of one address.
    pub fn host(addr: IpAddr) -> Cidr {
        Cidr {
            addr,
            len: Family::of(addr).bits(),
        }
    }

    /// `0.0.0.0/0` or `::/0`.
    pub fn any(family: Family) -> Cidr {
        let addr = match family {
            Family::V4 => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            Family::V6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        };
        Cidr { addr, len: 0 }
    }

    /// The network's first address.
    pub fn addr(self) -> IpAddr {
        self.addr
    }

    /// The prefix length in bits.
    #[expect(
        clippy::len_without_is_empty,
        reason = "a prefix length is not a collection's size"
    )]
    pub fn len(self) -> u8 {
        self.len
    }

    /// The family of the network.
    pub fn family(self) -> Family {
        Family::of(self.addr)
    }

    /// True for a single address.
    pub fn is_host(self) -> bool {
        self.len == self.family().bits()
    }

    /// The last address of the network.
    pub fn last(self) -> IpAddr {
        match self.addr {
            IpAddr::V4(a) => {
                let host = u32::MAX.checked_shr(u32::from(self.len)).unwrap_or(0);
                IpAddr::V4(Ipv4Addr::from(u32::from(a) | host))
            }
            IpAddr::V6(a) => {
                let host = u128::MAX.checked_shr(u32::from(self.len)).unwrap_or(0);
                IpAddr::V6(Ipv6Addr::from(u128::from(a) | host))
            }
        }
    }

    /// True if the address lies in the network (never across families).
    pub fn contains(self, addr: IpAddr) -> bool {
        Family::of(addr) == self.family() && mask(addr, self.len) == self.addr
    }

    /// True if every address of `other` lies in this network.
    pub fn covers(self, other: Cidr) -> bool {
        self.len <= other.len && self.contains(other.addr)
    }

    /// True if the networks share an address.
    pub fn overlaps(self, other: Cidr) -> bool {
        self.covers(other) || other.covers(self)
    }

    /// The address `offset` places after the first, if it still lies in the network.
    pub fn nth(self, offset: u128) -> Option<IpAddr> {
        let addr = match self.addr {
            IpAddr::V4(a) => {
                let sum = u128::from(u32::from(a)).checked_add(offset)?;
                IpAddr::V4(Ipv4Addr::from(u32::try_from(sum).ok()?))
            }
            IpAddr::V6(a) => IpAddr::V6(Ipv6Addr::from(u128::from(a).checked_add(offset)?)),
        };
        self.contains(addr).then_some(addr)
    }

    /// How far `addr` lies after the first address, if it lies in the network.
    pub fn offset_of(self, addr: IpAddr) -> Option<u128> {
        self.contains(addr)
            .then(|| number(addr) - number(self.addr))
    }
}

fn number(addr: IpAddr) -> u128 {
    match addr {
        IpAddr::V4(a) => u128::from(u32::from(a)),
        IpAddr::V6(a) => u128::from(a),
    }
}

fn mask(addr: IpAddr, len: u8) -> IpAddr {
    match addr {
        IpAddr::V4(a) => {
            let keep = !u32::MAX.checked_shr(u32::from(len)).unwrap_or(0);
            IpAddr::V4(Ipv4Addr::from(u32::from(a) & keep))
        }
        IpAddr::V6(a) => {
            let keep = !u128::MAX.checked_shr(u32::from(len)).unwrap_or(0);
            IpAddr::V6(Ipv6Addr::from(u128::from(a) & keep))
        }
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.addr, self.len)
    }
}

impl fmt::Debug for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Accepts `A/L` and a bare address (its /32 or /128); host bits are cleared, as upstream does for rule and set networks.
impl FromStr for Cidr {
    type Err = CidrError;

    fn from_str(text: &str) -> Result<Cidr, CidrError> {
        let (addr_text, len_text) = match text.split_once('/') {
            Some((addr, len)) => (addr, Some(len)),
            None => (text, None),
        };
        let addr: IpAddr = addr_text
            .parse()
            .map_err(|_| CidrError::Address(addr_text.to_owned()))?;
        let addr = unmap(addr);
        let Some(len_text) = len_text else {
            return Ok(Cidr::host(addr));
        };
        let max = Family::of(addr).bits();
        let bad = || CidrError::Length {
            text: text.to_owned(),
            len: len_text.to_owned(),
            max,
        };
        if len_text.is_empty() || !len_text.bytes().all(|b| b.is_ascii_digit()) {
            return Err(bad());
        }
        let len: u8 = len_text.parse().map_err(|_| bad())?;
        if len > max {
            return Err(bad());
        }
        Ok(Cidr::new(addr, len))
    }
}

/// `::ffff:a.b.c.d` is the IPv4 address it maps, as upstream's parser has it.
fn unmap(addr: IpAddr) -> IpAddr {
    match addr {
        IpAddr::V4(_) => addr,
        IpAddr::V6(a) => a.to_ipv4_mapped().map_or(addr, IpAddr::V4),
    }
}

/// An Ethernet address.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mac(pub [u8; 6]);

/// Why a text is not a MAC address.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0:?} is not a MAC address; write six hexadecimal bytes, such as ee:ee:ee:ee:ee:ee")]
pub struct MacError(pub String);

/// In the three ways that Go's `net.ParseMAC` reads: six bytes with `:` or with `-` between, or three pairs with `.`.
impl FromStr for Mac {
    type Err = MacError;

    fn from_str(text: &str) -> Result<Mac, MacError> {
        let parts: Vec<&str> = match [':', '-', '.'].into_iter().find(|c| text.contains(*c)) {
            Some(separator) => text.split(separator).collect(),
            None => Vec::new(),
        };
        let digits = match (parts.len(), text.contains('.')) {
            (6, false) => 2,
            (3, true) => 4,
            (_, _) => return Err(MacError(text.into())),
        };
        let hexadecimal =
            |part: &&str| part.len() == digits && part.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !parts.iter().all(hexadecimal) {
            return Err(MacError(text.into()));
        }
        let number = u64::from_str_radix(&parts.concat(), 16);
        let [_, _, bytes @ ..] = number.map_err(|_| MacError(text.into()))?.to_be_bytes();
        Ok(Mac(bytes))
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cidr(text: &str) -> Cidr {
        text.parse().unwrap()
    }

    #[test]
    fn parses_and_masks() {
        assert_eq!(cidr("10.1.2.3/8").to_string(), "10.0.0.0/8");
        assert_eq!(cidr("10.1.2.3").to_string(), "10.1.2.3/32");
        assert_eq!(cidr("fd00:1::5/16").to_string(), "fd00::/16");
        assert_eq!(cidr("::ffff:1.2.3.4").to_string(), "1.2.3.4/32");
        for bad in [
            "",
            "10.0.0/8",
            "10.0.0.0/33",
            "10.0.0.0/",
            "10.0.0.0/+8",
            "::/129",
            "010.0.0.1",
        ] {
            assert!(bad.parse::<Cidr>().is_err(), "{bad}");
        }
    }

    #[test]
    fn relations() {
        assert!(cidr("0.0.0.0/0").covers(cidr("1.2.3.0/24")));
        assert!(!cidr("0.0.0.0/0").covers(cidr("::/0")));
        assert!(cidr("10.0.0.0/8").overlaps(cidr("10.2.0.0/16")));
        assert_eq!(
            cidr("10.0.0.0/30").nth(3),
            Some("10.0.0.3".parse().unwrap())
        );
        assert_eq!(cidr("10.0.0.0/30").nth(4), None);
        assert_eq!(cidr("10.0.0.0/30").last().to_string(), "10.0.0.3");
        assert_eq!(
            cidr("::/0").last().to_string(),
            "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"
        );
        assert_eq!(
            cidr("10.0.0.0/26").offset_of("10.0.0.63".parse().unwrap()),
            Some(63)
        );
    }

    #[test]
    fn macs() {
        assert_eq!(
            "EE:ee:ee:ee:ee:01".parse::<Mac>().unwrap().to_string(),
            "ee:ee:ee:ee:ee:01"
        );
        for same in ["02-00-5e-10-00-af", "0200.5e10.00AF"] {
            assert_eq!(
                same.parse::<Mac>().unwrap().to_string(),
                "02:00:5e:10:00:af"
            );
        }
        for bad in [
            "",
            "ee:ee",
            "02:00:5e:10:00:+f",
            "02:00-5e:10:00:af",
            "02.00.5e.10.00.af",
            "0200:5e10:00af",
            "02:00:5e:10:00:af:00",
        ] {
            assert!(bad.parse::<Mac>().is_err(), "{bad}");
        }
    }
}
