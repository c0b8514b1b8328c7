//! Sets and their elements, both ways.
//!
//! The kernel keeps elements in three ways. A set of single values is a hash: an element is its key. Ranges of one field
//! are a tree of boundaries: an element is a start and, unless it reaches the last value, an end just behind it. Ranges of
//! concatenated fields have both ends in one element.

use std::borrow::Cow;
use std::iter::Peekable;

use dataplane::nft::{
    Bytes, ChainName, Element, Elements, Key, KeyType, Load, Matching, SetKind, SetName, SetType,
    Verdict,
};

use super::encode::{comment_data, read_comment};
use super::uapi::*;
use crate::netlink::{Attribute, Attributes, MessageWriter};

/// Bytes of elements in one message; the attribute that holds them has 16 bits of length.
const MAX_LIST: usize = 60_000;

/// What a set is called in the message that makes it.
#[derive(Clone, Copy)]
pub(super) enum Naming<'a> {
    /// By its name.
    Named(&'a SetName),
    /// By a number within the transaction; the kernel makes up a name.
    Anonymous { id: u32, size: usize },
}

impl<'a> Naming<'a> {
    pub(super) fn name(&self, kind: SetKind) -> &'a str {
        match (self, kind) {
            (Self::Named(name), _) => name.as_str(),
            (Self::Anonymous { .. }, SetKind::Set) => "__set%d",
            (Self::Anonymous { .. }, SetKind::VerdictMap) => "__map%d",
        }
    }
}

/// The number `nft` knows a type by (its datatype.h); the kernel only keeps it.
const fn type_number(ty: KeyType) -> u32 {
    match ty {
        KeyType::Ipv4Addr => 7,
        KeyType::Ipv6Addr => 8,
        KeyType::InetProto => 12,
        KeyType::InetService => 13,
        KeyType::IcmpType => 14,
        KeyType::Mark => 19,
        KeyType::Ifname => 41,
    }
}

const KEY_TYPES: [KeyType; 7] = [
    KeyType::Ipv4Addr,
    KeyType::Ipv6Addr,
    KeyType::InetProto,
    KeyType::InetService,
    KeyType::IcmpType,
    KeyType::Mark,
    KeyType::Ifname,
];

/// Types of a concatenation, six bits each, the first highest.
fn key_number(key: &[KeyType]) -> u32 {
    key.iter()
        .fold(0, |number, ty| number << 6 | type_number(*ty))
}

fn key_types(number: u32) -> Option<Vec<KeyType>> {
    let mut key = Vec::new();
    let mut rest = number;
    while rest != 0 {
        key.push(
            KEY_TYPES
                .into_iter()
                .find(|ty| type_number(*ty) == rest & 0x3f)?,
        );
        rest >>= 6;
    }
    key.reverse();
    (!key.is_empty()).then_some(key)
}

fn flags(ty: &SetType) -> u32 {
    let mut flags = 0;
    if ty.kind == SetKind::VerdictMap {
        flags |= NFT_SET_MAP;
    }
    if ty.matching == Matching::Interval {
        flags |= NFT_SET_INTERVAL;
        if ty.is_concatenated() {
            flags |= NFT_SET_CONCAT;
        }
    }
    flags
}

/// All attributes of a set but its table.
pub(super) fn write_set(m: &mut MessageWriter<'_>, ty: &SetType, naming: Naming<'_>) {
    let (own, id, size) = match naming {
        // The kernel wants a number even for sets with a name; it need not be unique for them.
        Naming::Named(_) => (0, u32::MAX, None),
        Naming::Anonymous { id, size } => (NFT_SET_ANONYMOUS | NFT_SET_CONSTANT, id, Some(size)),
    };
    m.text(NFTA_SET_NAME, naming.name(ty.kind));
    m.be32(NFTA_SET_FLAGS, flags(ty) | own);
    m.be32(NFTA_SET_KEY_TYPE, key_number(&ty.key));
    m.be32(NFTA_SET_KEY_LEN, ty.width() as u32);
    if ty.kind == SetKind::VerdictMap {
        m.be32(NFTA_SET_DATA_TYPE, NFT_DATA_VERDICT);
        m.be32(NFTA_SET_DATA_LEN, 0);
    }
    m.be32(NFTA_SET_ID, id);
    let ranges = ty.is_concatenated() && ty.matching == Matching::Interval;
    let size = size.filter(|size| ty.matching == Matching::Exact && *size > 0);
    if ranges || size.is_some() {
        m.nest(NFTA_SET_DESC, |m| {
            if let Some(size) = size {
                m.be32(NFTA_SET_DESC_SIZE, u32::try_from(size).unwrap_or(u32::MAX));
            }
            if ranges {
                m.nest(NFTA_SET_DESC_CONCAT, |m| {
                    for part in &ty.key {
                        m.nest(NFTA_LIST_ELEM, |m| {
                            m.be32(NFTA_SET_FIELD_LEN, part.width() as u32)
                        });
                    }
                });
            }
        });
    }
    m.bytes(NFTA_SET_USERDATA, &byte_order(ty));
}

/// Tells `nft` in which byte order to print numbers.
fn byte_order(ty: &SetType) -> [u8; 6] {
    let host = matches!(ty.key.as_slice(), [KeyType::Mark | KeyType::Ifname]);
    let [a, b, c, d] = if host { BYTEORDER_HOST } else { BYTEORDER_BIG }.to_ne_bytes();
    [UDATA_SET_KEYBYTEORDER, 4, a, b, c, d]
}

/// An element as the kernel takes it.
pub(super) struct Item<'a> {
    key: Cow<'a, Bytes>,
    key_end: Option<&'a Bytes>,
    end: Boundary,
    load: Option<&'a Load>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Boundary {
    Start,
    End,
}

/// The items that add (with a load) or delete (without) these keys, one or two for each.
pub(super) fn items<'a>(
    ty: &SetType,
    elements: impl Iterator<Item = (&'a Key, Option<&'a Load>)>,
) -> impl Iterator<Item = Item<'a>> {
    let (ranges, concatenated) = (ty.matching == Matching::Interval, ty.is_concatenated());
    elements.flat_map(move |(key, load)| {
        let key_end = (ranges && concatenated).then(|| key.to());
        let start = Item {
            key: Cow::Borrowed(key.from()),
            key_end,
            end: Boundary::Start,
            load,
        };
        let behind = if ranges && !concatenated {
            key.to().successor()
        } else {
            None
        };
        let end = behind.map(|key| Item {
            key: Cow::Owned(key),
            key_end: None,
            end: Boundary::End,
            load: None,
        });
        std::iter::once(start).chain(end)
    })
}

/// Writes as many items as fit into one message.
pub(super) fn write_some<'a>(
    m: &mut MessageWriter<'_>,
    items: &mut Peekable<impl Iterator<Item = Item<'a>>>,
) {
    let start = m.position();
    while m.position() - start < MAX_LIST {
        let Some(item) = items.next() else { return };
        m.nest(NFTA_LIST_ELEM, |m| write_item(m, &item));
    }
}

fn write_item(m: &mut MessageWriter<'_>, item: &Item<'_>) {
    m.nest(NFTA_SET_ELEM_KEY, |m| {
        m.bytes(NFTA_DATA_VALUE, item.key.as_slice())
    });
    if let Some(end) = item.key_end {
        m.nest(NFTA_SET_ELEM_KEY_END, |m| {
            m.bytes(NFTA_DATA_VALUE, end.as_slice())
        });
    }
    if item.end == Boundary::End {
        m.be32(NFTA_SET_ELEM_FLAGS, NFT_SET_ELEM_INTERVAL_END);
    }
    if let Some(verdict) = item.load.and_then(Load::verdict) {
        m.nest(NFTA_SET_ELEM_DATA, |m| write_verdict(m, verdict));
    }
    if let Some(comment) = item.load.and_then(Load::comment) {
        m.bytes(NFTA_SET_ELEM_USERDATA, &comment_data(comment));
    }
}

/// A verdict as data.
pub(super) fn write_verdict(m: &mut MessageWriter<'_>, verdict: &Verdict) {
    let code = match verdict {
        Verdict::Accept => NF_ACCEPT,
        Verdict::Drop => NF_DROP,
        Verdict::Continue => NFT_CONTINUE,
        Verdict::Return => NFT_RETURN,
        Verdict::Jump(_) => NFT_JUMP,
        Verdict::Goto(_) => NFT_GOTO,
    };
    m.nest(NFTA_DATA_VERDICT, |m| {
        m.be32(NFTA_VERDICT_CODE, code as u32);
        if let Some(chain) = verdict.target() {
            m.text(NFTA_VERDICT_CHAIN, chain.as_str());
        }
    });
}

/// A verdict from data.
pub(super) fn read_verdict(data: Attribute<'_>) -> Option<Verdict> {
    let verdict = data.nested().get(NFTA_DATA_VERDICT)?.nested();
    let chain = || Some(ChainName::from(verdict.get(NFTA_VERDICT_CHAIN)?.text()?));
    Some(match verdict.get(NFTA_VERDICT_CODE)?.be32()? as i32 {
        NF_ACCEPT => Verdict::Accept,
        NF_DROP => Verdict::Drop,
        NFT_CONTINUE => Verdict::Continue,
        NFT_RETURN => Verdict::Return,
        NFT_JUMP => Verdict::Jump(chain()?),
        NFT_GOTO => Verdict::Goto(chain()?),
        _ => return None,
    })
}

/// A constant from data.
pub(super) fn read_bytes(data: Attribute<'_>) -> Option<Bytes> {
    Some(Bytes::new(data.nested().get(NFTA_DATA_VALUE)?.value))
}

/// The kernel leaves out flags that are all unset.
pub(super) fn set_flags(attributes: Attributes<'_>) -> u32 {
    attributes
        .get(NFTA_SET_FLAGS)
        .and_then(|flags| flags.be32())
        .unwrap_or_default()
}

/// A set's type, if it is one that we make; other flags (timeouts, counters) make it another's.
pub(super) fn read_type(attributes: Attributes<'_>) -> Option<SetType> {
    let bits = set_flags(attributes) & !(NFT_SET_ANONYMOUS | NFT_SET_CONSTANT);
    let key = key_types(attributes.get(NFTA_SET_KEY_TYPE)?.be32()?)?;
    let kind = match attributes
        .get(NFTA_SET_DATA_TYPE)
        .and_then(|data| data.be32())
    {
        None => SetKind::Set,
        Some(NFT_DATA_VERDICT) => SetKind::VerdictMap,
        Some(_) => return None,
    };
    let matching = if bits & NFT_SET_INTERVAL != 0 {
        Matching::Interval
    } else {
        Matching::Exact
    };
    let ty = SetType {
        key,
        kind,
        matching,
    };
    // `nft` marks concatenations that are hashes too, which changes nothing.
    let expected = if ty.is_concatenated() {
        flags(&ty) | bits & NFT_SET_CONCAT
    } else {
        flags(&ty)
    };
    let same_width = attributes.get(NFTA_SET_KEY_LEN)?.be32()? as usize == ty.width();
    (expected == bits && same_width).then_some(ty)
}

/// Elements as they come out of the kernel, to be put together when all are there.
#[derive(Default)]
pub(super) struct Found {
    items: Vec<(Bytes, Boundary, Option<Bytes>, Option<Load>)>,
    foreign: usize,
}

impl Found {
    /// Adds the elements of one message.
    pub(super) fn read(&mut self, message: Attributes<'_>) {
        let Some(list) = message.get(NFTA_SET_ELEM_LIST_ELEMENTS) else {
            return;
        };
        for element in list.nested() {
            match read_item(element.nested()) {
                Some(item) => self.items.push(item),
                None => self.foreign += 1,
            }
        }
    }

    /// The elements, and how many there were that we never write.
    pub(super) fn finish(self, ty: &SetType) -> (Elements, usize) {
        let Self { items, mut foreign } = self;
        let wants_verdict = ty.kind == SetKind::VerdictMap;
        let items = items.into_iter().filter(|(_, boundary, _, load)| {
            let has_verdict = load.as_ref().is_some_and(|load| load.verdict().is_some());
            let ours =
                load.is_some() && (*boundary == Boundary::End || has_verdict == wants_verdict);
            foreign += usize::from(!ours);
            ours
        });
        let items: Vec<_> = items.collect();
        let elements = if ty.matching == Matching::Interval && !ty.is_concatenated() {
            intervals(items)
        } else {
            let whole = items.into_iter().map(|(from, _, to, load)| {
                let to = to.unwrap_or_else(|| from.clone());
                (Key::bounds(from, to), load.unwrap_or_default())
            });
            whole.collect()
        };
        (elements, foreign)
    }
}

/// Puts starts and ends together. An end without a start before it is a mark of `nft`'s that matches nothing; a start
/// without an end reaches up to the following one.
fn intervals(mut items: Vec<(Bytes, Boundary, Option<Bytes>, Option<Load>)>) -> Elements {
    items.sort_by(|(a, a_boundary, ..), (b, b_boundary, ..)| {
        a.cmp(b)
            .then((*a_boundary == Boundary::Start).cmp(&(*b_boundary == Boundary::Start)))
    });
    let mut elements = Elements::new();
    let mut open: Option<(Bytes, Load)> = None;
    for (key, boundary, _, load) in items {
        if let (Some((from, load)), Some(to)) = (open.take(), key.predecessor()) {
            elements.insert(Key::bounds(from, to), load);
        }
        if boundary == Boundary::Start {
            open = Some((key, load.unwrap_or_default()));
        }
    }
    if let Some((from, load)) = open {
        let to = Bytes::all_ones(from.len());
        elements.insert(Key::bounds(from, to), load);
    }
    elements
}

/// Key, boundary, end of the range, and what it carries; `None` inside for an element with attributes we never write.
type ReadItem = (Bytes, Boundary, Option<Bytes>, Option<Load>);

fn read_item(attributes: Attributes<'_>) -> Option<ReadItem> {
    let key = read_bytes(attributes.get(NFTA_SET_ELEM_KEY)?)?;
    let (mut boundary, mut key_end, mut verdict, mut comment, mut ours) =
        (Boundary::Start, None, None, None, true);
    for attribute in attributes {
        match attribute.kind {
            NFTA_SET_ELEM_KEY | NFTA_SET_ELEM_PAD => {}
            NFTA_SET_ELEM_KEY_END => key_end = Some(read_bytes(attribute)?),
            NFTA_SET_ELEM_FLAGS => match attribute.be32()? {
                0 => {}
                NFT_SET_ELEM_INTERVAL_END => boundary = Boundary::End,
                _ => return None,
            },
            NFTA_SET_ELEM_DATA => {
                verdict = read_verdict(attribute);
                ours &= verdict.is_some();
            }
            NFTA_SET_ELEM_USERDATA => {
                comment = read_comment(attribute.value);
                ours &= comment.is_some();
            }
            _ => ours = false,
        }
    }
    let element = match verdict {
        Some(verdict) => Element::verdict(Key::bounds(key.clone(), key.clone()), verdict),
        None => Element::new(Key::bounds(key.clone(), key.clone())),
    };
    let element = match comment {
        Some(comment) => element.comment(comment),
        None => element,
    };
    Some((key, boundary, key_end, ours.then_some(element.load)))
}
