//! Values as the kernel's registers hold them: addresses and ports in network order, marks and bit fields in the
//! machine's own. Comparing, storing and reading back are then the same bytes, whatever the type.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use smallvec::SmallVec;

/// Length of an interface name in a register, with its closing NUL.
pub(crate) const IFNAME_LEN: usize = 16;

/// A constant of a comparison or a part of a set key, as bytes of a kernel register.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Bytes(SmallVec<[u8; 16]>);

impl Bytes {
    /// Bytes as they stand.
    pub fn new(bytes: &[u8]) -> Self {
        Self(SmallVec::from_slice(bytes))
    }

    /// An address in network order.
    pub fn addr(addr: IpAddr) -> Self {
        match addr {
            IpAddr::V4(addr) => Self::new(&addr.octets()),
            IpAddr::V6(addr) => Self::new(&addr.octets()),
        }
    }

    /// A transport port in network order.
    pub fn port(port: u16) -> Self {
        Self::new(&port.to_be_bytes())
    }

    /// A one-byte number: IP protocol, ICMP type or code, nfproto, direction.
    pub fn byte(byte: u8) -> Self {
        Self::new(&[byte])
    }

    /// A 32-bit number in the machine's order: mark, interface index, connection state.
    pub fn native(number: u32) -> Self {
        Self::new(&number.to_ne_bytes())
    }

    /// A whole interface name, padded with NUL. Longer names are cut to the kernel's 15 characters.
    pub fn ifname(name: &str) -> Self {
        let mut padded = [0; IFNAME_LEN];
        let len = name.len().min(IFNAME_LEN - 1);
        padded[..len].copy_from_slice(&name.as_bytes()[..len]);
        Self::new(&padded)
    }

    /// The bytes.
    pub fn as_slice(&self) -> &[u8] {
        &self.0
    }

    /// Number of bytes.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The number these bytes are in network order, if they are at most four.
    pub fn to_be(&self) -> Option<u32> {
        (self.len() <= 4).then(|| {
            self.0
                .iter()
                .fold(0, |number, byte| number << 8 | u32::from(*byte))
        })
    }

    /// The number these four bytes are in the machine's order.
    pub fn to_native(&self) -> Option<u32> {
        self.0.as_slice().try_into().ok().map(u32::from_ne_bytes)
    }

    /// The address these four or sixteen bytes are.
    pub fn to_addr(&self) -> Option<IpAddr> {
        if let Ok(octets) = <[u8; 4]>::try_from(self.as_slice()) {
            return Some(Ipv4Addr::from(octets).into());
        }
        <[u8; 16]>::try_from(self.as_slice())
            .ok()
            .map(|octets| Ipv6Addr::from(octets).into())
    }

    /// The following number of the same width, or `None` after the last.
    pub fn successor(&self) -> Option<Self> {
        let mut next = self.clone();
        for byte in next.0.iter_mut().rev() {
            *byte = byte.wrapping_add(1);
            if *byte != 0 {
                return Some(next);
            }
        }
        None
    }

    /// The preceding number of the same width, or `None` before zero.
    pub fn predecessor(&self) -> Option<Self> {
        let mut previous = self.clone();
        for byte in previous.0.iter_mut().rev() {
            let borrows = *byte == 0;
            *byte = byte.wrapping_sub(1);
            if !borrows {
                return Some(previous);
            }
        }
        None
    }

    /// All ones of this width, the end of an open interval.
    pub fn all_ones(len: usize) -> Self {
        Self(SmallVec::from_elem(0xff, len))
    }

    /// All zeros of this width.
    pub fn zeros(len: usize) -> Self {
        Self(SmallVec::from_elem(0, len))
    }

    /// Appends other bytes and pads with zeros to whole registers of four bytes.
    pub(crate) fn push_padded(&mut self, bytes: &Self) {
        self.0.extend_from_slice(bytes.as_slice());
        while !self.0.len().is_multiple_of(4) {
            self.0.push(0);
        }
    }
}

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("0x")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// One interface, or all whose names begin the same way.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum IfPattern {
    /// The interface of this name.
    Exact(String),
    /// Every interface whose name begins with this.
    Prefix(String),
}

impl From<&str> for IfPattern {
    /// A closing `*` makes it a prefix, as in nft's own syntax.
    fn from(pattern: &str) -> Self {
        match pattern.strip_suffix('*') {
            Some(prefix) => Self::Prefix(prefix.to_owned()),
            None => Self::Exact(pattern.to_owned()),
        }
    }
}

impl IfPattern {
    /// What the name register is compared with; shorter than the register for a prefix.
    pub(crate) fn bytes(&self) -> Bytes {
        match self {
            Self::Exact(name) => Bytes::ifname(name),
            Self::Prefix(prefix) => {
                Bytes::new(&prefix.as_bytes()[..prefix.len().min(IFNAME_LEN - 1)])
            }
        }
    }
}

/// Addresses that share their leading bits. Host bits are cleared when it is made.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Prefix {
    addr: IpAddr,
    len: u8,
}

impl Prefix {
    /// The prefix of this length around this address; a length beyond the address is the address alone.
    pub fn new(addr: IpAddr, len: u8) -> Self {
        let len = len.min(Self::width(addr));
        let addr = match addr {
            IpAddr::V4(v4) => IpAddr::V4(Ipv4Addr::from_bits(
                v4.to_bits() & mask_bits(128 - 32 + len) as u32,
            )),
            IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & mask_bits(len))),
        };
        Self { addr, len }
    }

    /// The first address.
    pub fn addr(self) -> IpAddr {
        self.addr
    }

    /// The number of shared bits.
    pub fn prefix_len(self) -> u8 {
        self.len
    }

    /// Whether it is a single address.
    pub fn is_host(self) -> bool {
        self.len == Self::width(self.addr)
    }

    /// The last address.
    pub fn last(self) -> IpAddr {
        match self.addr {
            IpAddr::V4(v4) => {
                Ipv4Addr::from_bits(v4.to_bits() | !(mask_bits(128 - 32 + self.len) as u32)).into()
            }
            IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() | !mask_bits(self.len)).into(),
        }
    }

    /// The mask, as wide as the address.
    pub fn mask(self) -> Bytes {
        match self.addr {
            IpAddr::V4(_) => Bytes::new(&(mask_bits(128 - 32 + self.len) as u32).to_be_bytes()),
            IpAddr::V6(_) => Bytes::new(&mask_bits(self.len).to_be_bytes()),
        }
    }

    fn width(addr: IpAddr) -> u8 {
        if addr.is_ipv4() { 32 } else { 128 }
    }
}

impl From<IpAddr> for Prefix {
    fn from(addr: IpAddr) -> Self {
        Self::new(addr, Self::width(addr))
    }
}

impl From<Ipv4Addr> for Prefix {
    fn from(addr: Ipv4Addr) -> Self {
        IpAddr::V4(addr).into()
    }
}

impl From<Ipv6Addr> for Prefix {
    fn from(addr: Ipv6Addr) -> Self {
        IpAddr::V6(addr).into()
    }
}

impl From<(IpAddr, u8)> for Prefix {
    fn from((addr, len): (IpAddr, u8)) -> Self {
        Self::new(addr, len)
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_host() {
            write!(f, "{}", self.addr)
        } else {
            write!(f, "{}/{}", self.addr, self.len)
        }
    }
}

fn mask_bits(len: u8) -> u128 {
    u128::MAX.checked_shl(128 - u32::from(len)).unwrap_or(0)
}
