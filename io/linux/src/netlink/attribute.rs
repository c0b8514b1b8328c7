//! Reads attributes (type, length, value) out of a message.
//!
//! The bytes are foreign: another kernel version may send other lengths and types. Every access is checked, a broken attribute ends the
//! iteration, and nothing here can panic.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::aligned;

/// Bits of the attribute type that are flags (nested, network byte order), not type.
const TYPE_MASK: u16 = 0x3fff;

/// A sequence of attributes. Copying it copies two words.
#[derive(Clone, Copy, Debug)]
pub struct Attributes<'a> {
    bytes: &'a [u8],
}

impl<'a> Attributes<'a> {
    /// Reads `bytes` as attributes.
    pub fn new(bytes: &'a [u8]) -> Self {
        Attributes { bytes }
    }

    /// The first attribute of a type.
    pub fn get(self, kind: u16) -> Option<Attribute<'a>> {
        self.into_iter().find(|attribute| attribute.kind == kind)
    }

    /// The bytes underneath.
    pub fn bytes(self) -> &'a [u8] {
        self.bytes
    }
}

impl<'a> IntoIterator for Attributes<'a> {
    type Item = Attribute<'a>;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        Iter { rest: self.bytes }
    }
}

/// Iterates over [`Attributes`].
#[derive(Clone, Debug)]
pub struct Iter<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Iter<'a> {
    type Item = Attribute<'a>;

    fn next(&mut self) -> Option<Attribute<'a>> {
        let (header, _) = self.rest.split_first_chunk::<4>()?;
        let len = usize::from(u16::from_ne_bytes([header[0], header[1]]));
        let kind = u16::from_ne_bytes([header[2], header[3]]) & TYPE_MASK;
        let Some(value) = self.rest.get(4..len) else {
            self.rest = &[];
            return None;
        };
        self.rest = self.rest.get(aligned(len)..).unwrap_or_default();
        Some(Attribute { kind, value })
    }
}

/// One attribute: its type without flag bits, and its value.
#[derive(Clone, Copy, Debug)]
pub struct Attribute<'a> {
    /// The type, within the enclosing message or nest.
    pub kind: u16,
    /// The value, without padding.
    pub value: &'a [u8],
}

impl<'a> Attribute<'a> {
    /// The first bytes of the value as a fixed-size array.
    fn array<const N: usize>(self) -> Option<[u8; N]> {
        self.value.first_chunk::<N>().copied()
    }

    /// An 8-bit number.
    pub fn u8(self) -> Option<u8> {
        self.value.first().copied()
    }

    /// A 16-bit number in host order.
    pub fn u16(self) -> Option<u16> {
        self.array().map(u16::from_ne_bytes)
    }

    /// A 32-bit number in host order.
    pub fn u32(self) -> Option<u32> {
        self.array().map(u32::from_ne_bytes)
    }

    /// A signed 32-bit number in host order.
    pub fn i32(self) -> Option<i32> {
        self.array().map(i32::from_ne_bytes)
    }

    /// A 64-bit number in host order.
    pub fn u64(self) -> Option<u64> {
        self.array().map(u64::from_ne_bytes)
    }

    /// A 16-bit number in network order.
    pub fn be16(self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    /// A 32-bit number in network order.
    pub fn be32(self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    /// A 64-bit number in network order.
    pub fn be64(self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    /// Text, with or without its closing zero byte. `None` when it is not UTF-8.
    pub fn text(self) -> Option<&'a str> {
        let end = self
            .value
            .iter()
            .position(|&byte| byte == 0)
            .unwrap_or(self.value.len());
        std::str::from_utf8(self.value.get(..end)?).ok()
    }

    /// An address: the length says the family.
    pub fn ip(self) -> Option<IpAddr> {
        if let Ok(v4) = <[u8; 4]>::try_from(self.value) {
            return Some(Ipv4Addr::from(v4).into());
        }
        let v6 = <[u8; 16]>::try_from(self.value).ok()?;
        Some(Ipv6Addr::from(v6).into())
    }

    /// The attributes nested in this one.
    pub fn nested(self) -> Attributes<'a> {
        Attributes::new(self.value)
    }
}
