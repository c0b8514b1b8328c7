//! Sets and verdict maps: their types, keys and elements.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::bytes::{Bytes, IFNAME_LEN, IfPattern, Prefix};
use super::names::{Comment, PortRange, SetName, Verdict};

/// The type of a key, or of one part of a concatenated key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum KeyType {
    /// `ipv4_addr`
    Ipv4Addr,
    /// `ipv6_addr`
    Ipv6Addr,
    /// `ifname`
    Ifname,
    /// `inet_proto`: the transport protocol.
    InetProto,
    /// `inet_service`: a transport port.
    InetService,
    /// `mark`
    Mark,
    /// `icmp_type`, which is only ever the key of an anonymous set.
    IcmpType,
}

impl KeyType {
    /// The width in bytes, before padding to registers.
    pub fn width(self) -> usize {
        match self {
            Self::Ipv4Addr | Self::Mark => 4,
            Self::Ipv6Addr => 16,
            Self::Ifname => IFNAME_LEN,
            Self::InetProto | Self::IcmpType => 1,
            Self::InetService => 2,
        }
    }
}

/// How a set's elements match.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Matching {
    /// Each element is one value: a hash.
    Exact,
    /// Elements may be ranges and prefixes, which must not overlap within one set.
    Interval,
}

/// What a lookup answers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum SetKind {
    /// Whether the key is in it.
    Set,
    /// The key's verdict.
    VerdictMap,
}

/// All of a set that cannot change while it lives.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SetType {
    /// The parts of a key; one, unless it is concatenated.
    pub key: Vec<KeyType>,
    /// What a lookup answers.
    pub kind: SetKind,
    /// How elements match.
    pub matching: Matching,
}

impl SetType {
    /// A set of single values.
    pub fn set(key: impl Into<Vec<KeyType>>) -> Self {
        Self {
            key: key.into(),
            kind: SetKind::Set,
            matching: Matching::Exact,
        }
    }

    /// A map from single values to verdicts.
    pub fn verdict_map(key: impl Into<Vec<KeyType>>) -> Self {
        Self {
            kind: SetKind::VerdictMap,
            ..Self::set(key)
        }
    }

    /// The same with ranges and prefixes.
    #[must_use]
    pub fn interval(self) -> Self {
        Self {
            matching: Matching::Interval,
            ..self
        }
    }

    /// Whether keys have several parts.
    pub fn is_concatenated(&self) -> bool {
        self.key.len() > 1
    }

    /// The width of a key in bytes; parts of a concatenation are padded to whole registers.
    pub fn width(&self) -> usize {
        match self.key.as_slice() {
            [one] => one.width(),
            parts => parts
                .iter()
                .map(|part| part.width().next_multiple_of(4))
                .sum(),
        }
    }
}

/// A named set or verdict map and its elements.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Set {
    /// Its name.
    pub name: SetName,
    /// Its type.
    pub ty: SetType,
    /// Its elements, ordered by key.
    pub elements: Elements,
}

impl Set {
    /// An empty set.
    pub fn new(name: impl Into<SetName>, ty: SetType) -> Self {
        Self {
            name: name.into(),
            ty,
            elements: Elements::new(),
        }
    }

    /// The same with these elements too.
    #[must_use]
    pub fn with(mut self, elements: impl IntoIterator<Item = Element>) -> Self {
        self.elements.extend(
            elements
                .into_iter()
                .map(|Element { key, load }| (key, load)),
        );
        self
    }

    /// Puts an element, in place of one with the same key.
    pub fn insert(&mut self, Element { key, load }: Element) {
        self.elements.insert(key, load);
    }
}

/// One part of a key: a value, or all from one to another.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Part {
    from: Bytes,
    to: Bytes,
}

impl Part {
    /// A single value.
    pub fn value(value: Bytes) -> Self {
        Self {
            from: value.clone(),
            to: value,
        }
    }

    /// All values between two of the same width, both included.
    pub fn range(one: Bytes, other: Bytes) -> Self {
        if one <= other {
            Self {
                from: one,
                to: other,
            }
        } else {
            Self {
                from: other,
                to: one,
            }
        }
    }

    /// One address.
    pub fn addr(addr: IpAddr) -> Self {
        Self::value(Bytes::addr(addr))
    }

    /// All addresses of a prefix.
    pub fn prefix(prefix: impl Into<Prefix>) -> Self {
        let prefix = prefix.into();
        Self {
            from: Bytes::addr(prefix.addr()),
            to: Bytes::addr(prefix.last()),
        }
    }

    /// A transport protocol.
    pub fn proto(proto: u8) -> Self {
        Self::value(Bytes::byte(proto))
    }

    /// A transport port.
    pub fn port(port: u16) -> Self {
        Self::value(Bytes::port(port))
    }

    /// A range of transport ports.
    pub fn ports(ports: PortRange) -> Self {
        Self::range(Bytes::port(ports.first), Bytes::port(ports.last))
    }

    /// A packet mark.
    pub fn mark(mark: u32) -> Self {
        Self::value(Bytes::native(mark))
    }

    /// An interface, or (in interval sets) all whose name begins the same way.
    pub fn ifname(pattern: impl Into<IfPattern>) -> Self {
        match pattern.into() {
            IfPattern::Exact(name) => Self::value(Bytes::ifname(&name)),
            prefix @ IfPattern::Prefix(_) => {
                let bytes = prefix.bytes();
                let (mut from, mut to) = ([0; IFNAME_LEN], [0xff; IFNAME_LEN]);
                from[..bytes.len()].copy_from_slice(bytes.as_slice());
                to[..bytes.len()].copy_from_slice(bytes.as_slice());
                Self {
                    from: Bytes::new(&from),
                    to: Bytes::new(&to),
                }
            }
        }
    }
}

/// An element's key: the lowest and the highest value it matches, parts of a concatenation padded to whole registers.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Key {
    from: Bytes,
    /// `None` if it is the same as `from`.
    to: Option<Bytes>,
}

impl Key {
    /// A key of several parts.
    pub fn concat(parts: impl IntoIterator<Item = Part>) -> Self {
        let (mut from, mut to) = (Bytes::default(), Bytes::default());
        for part in parts {
            from.push_padded(&part.from);
            to.push_padded(&part.to);
        }
        Self::bounds(from, to)
    }

    /// A key by its first and last value, as the kernel has them.
    pub fn bounds(from: Bytes, to: Bytes) -> Self {
        let to = (from != to).then_some(to);
        Self { from, to }
    }

    /// The lowest value.
    pub fn from(&self) -> &Bytes {
        &self.from
    }

    /// The highest value.
    pub fn to(&self) -> &Bytes {
        self.to.as_ref().unwrap_or(&self.from)
    }

    /// Whether it matches one value only.
    pub fn is_single(&self) -> bool {
        self.to.is_none()
    }
}

impl From<Part> for Key {
    fn from(Part { from, to }: Part) -> Self {
        Self::bounds(from, to)
    }
}

/// What an element carries beside its key; mostly nothing, and then it takes no memory.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Load(Option<Box<Cargo>>);

#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct Cargo {
    verdict: Option<Verdict>,
    comment: Option<Comment>,
}

impl Load {
    /// The verdict, if this belongs to a verdict map.
    pub fn verdict(&self) -> Option<&Verdict> {
        self.0.as_ref()?.verdict.as_ref()
    }

    /// The comment.
    pub fn comment(&self) -> Option<&Comment> {
        self.0.as_ref()?.comment.as_ref()
    }
}

/// An element of a set or verdict map.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Element {
    /// What it matches.
    pub key: Key,
    /// What it carries.
    pub load: Load,
}

impl Element {
    /// An element of a set.
    pub fn new(key: impl Into<Key>) -> Self {
        Self {
            key: key.into(),
            load: Load::default(),
        }
    }

    /// An element of a verdict map.
    pub fn verdict(key: impl Into<Key>, verdict: Verdict) -> Self {
        Self {
            key: key.into(),
            load: Load(Some(Box::new(Cargo {
                verdict: Some(verdict),
                comment: None,
            }))),
        }
    }

    /// The same with a comment.
    #[must_use]
    pub fn comment(mut self, comment: impl Into<Comment>) -> Self {
        self.load.0.get_or_insert_default().comment = Some(comment.into());
        self
    }
}

/// Elements by key: one key has one element, and inserting it again replaces what it carries.
pub type Elements = BTreeMap<Key, Load>;
