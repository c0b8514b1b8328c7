//! Tables, sets and chains as text that `nft -f` takes and people read. [`super::words`] has the rules.

use std::fmt::{self, Display, Formatter, Write};
use std::net::IpAddr;

use super::bytes::{Bytes, Prefix};
use super::chain::{Base, Chain, ChainKind, Hook, Policy, Ruleset, TableFamily, TableId};
use super::names::Comment;
use super::rule::proto;
use super::set::{Elements, Key, KeyType, Load, Matching, Set, SetKind, SetType};

impl Display for Ruleset {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "table {} {{", self.table)?;
        let mut first = true;
        for set in self.sets.values() {
            separate(f, &mut first)?;
            write!(f, "{set}")?;
        }
        for chain in self.chains.values() {
            separate(f, &mut first)?;
            write!(f, "{chain}")?;
        }
        f.write_str("}\n")
    }
}

fn separate(f: &mut Formatter<'_>, first: &mut bool) -> fmt::Result {
    if !std::mem::replace(first, false) {
        f.write_char('\n')
    } else {
        Ok(())
    }
}

impl Display for TableFamily {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Inet => "inet",
            Self::Ip => "ip",
            Self::Ip6 => "ip6",
            Self::Arp => "arp",
        })
    }
}

impl Display for TableId {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.family, self.name)
    }
}

impl Display for Chain {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "\tchain {} {{", self.name)?;
        if let Some(base) = self.base {
            writeln!(f, "\t\t{base}")?;
        }
        for rule in &self.rules {
            writeln!(f, "\t\t{rule}")?;
        }
        f.write_str("\t}\n")
    }
}

impl Display for Base {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            ChainKind::Filter => "filter",
            ChainKind::Nat => "nat",
            ChainKind::Route => "route",
        };
        let hook = match self.hook {
            Hook::Prerouting => "prerouting",
            Hook::Input => "input",
            Hook::Forward => "forward",
            Hook::Output => "output",
            Hook::Postrouting => "postrouting",
        };
        let policy = match self.policy {
            Policy::Accept => "accept",
            Policy::Drop => "drop",
        };
        write!(
            f,
            "type {kind} hook {hook} priority {}; policy {policy};",
            self.priority
        )
    }
}

impl Display for Set {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let word = match self.ty.kind {
            SetKind::Set => "set",
            SetKind::VerdictMap => "map",
        };
        writeln!(f, "\t{word} {} {{", self.name)?;
        writeln!(f, "\t\t{}", self.ty)?;
        if self.ty.matching == Matching::Interval {
            writeln!(f, "\t\tflags interval")?;
        }
        if !self.elements.is_empty() {
            f.write_str("\t\telements = { ")?;
            elements(f, &self.ty, &self.elements, ",\n\t\t\t     ")?;
            f.write_str(" }\n")?;
        }
        f.write_str("\t}\n")
    }
}

impl Display for SetType {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("type ")?;
        joined(f, &self.key, " . ", |f, part| Display::fmt(part, f))?;
        match self.kind {
            SetKind::Set => Ok(()),
            SetKind::VerdictMap => f.write_str(" : verdict"),
        }
    }
}

impl Display for KeyType {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ipv4Addr => "ipv4_addr",
            Self::Ipv6Addr => "ipv6_addr",
            Self::Ifname => "ifname",
            Self::InetProto => "inet_proto",
            Self::InetService => "inet_service",
            Self::Mark => "mark",
            Self::IcmpType => "icmp_type",
        })
    }
}

pub(super) fn joined<T>(
    f: &mut Formatter<'_>,
    items: impl IntoIterator<Item = T>,
    separator: &str,
    mut print: impl FnMut(&mut Formatter<'_>, T) -> fmt::Result,
) -> fmt::Result {
    for (index, item) in items.into_iter().enumerate() {
        if index > 0 {
            f.write_str(separator)?;
        }
        print(f, item)?;
    }
    Ok(())
}

pub(super) fn elements(
    f: &mut Formatter<'_>,
    ty: &SetType,
    elements: &Elements,
    separator: &str,
) -> fmt::Result {
    joined(f, elements, separator, |f, (key, load)| {
        element(f, &ty.key, key, load)
    })
}

fn element(f: &mut Formatter<'_>, types: &[KeyType], whole: &Key, load: &Load) -> fmt::Result {
    key(f, types, whole)?;
    if let Some(comment) = load.comment() {
        write!(f, " {comment}")?;
    }
    match load.verdict() {
        Some(verdict) => write!(f, " : {verdict}"),
        None => Ok(()),
    }
}

fn key(f: &mut Formatter<'_>, types: &[KeyType], whole: &Key) -> fmt::Result {
    let mut offset = 0;
    joined(f, types, " . ", |f, ty| {
        let slice = |bytes: &Bytes| {
            Bytes::new(
                bytes
                    .as_slice()
                    .get(offset..offset + ty.width())
                    .unwrap_or_default(),
            )
        };
        let (from, to) = (slice(whole.from()), slice(whole.to()));
        offset += ty.width().next_multiple_of(4);
        part(f, *ty, &from, &to)
    })
}

fn part(f: &mut Formatter<'_>, ty: KeyType, from: &Bytes, to: &Bytes) -> fmt::Result {
    if ty == KeyType::Ifname {
        return ifname_range(f, from, to);
    }
    if from == to {
        return value(f, ty, from);
    }
    match (ty, from.to_addr(), to.to_addr()) {
        (KeyType::Ipv4Addr | KeyType::Ipv6Addr, Some(first), Some(last)) => {
            match prefix_of(first, last) {
                Some(prefix) => write!(f, "{prefix}"),
                None => write!(f, "{first}-{last}"),
            }
        }
        _ => {
            value(f, ty, from)?;
            f.write_char('-')?;
            value(f, ty, to)
        }
    }
}

/// The prefix that these addresses are the ends of, if there is one.
fn prefix_of(first: IpAddr, last: IpAddr) -> Option<Prefix> {
    let width = if first.is_ipv4() { 32 } else { 128 };
    (0..=width)
        .map(|len| Prefix::new(first, len))
        .find(|prefix| prefix.addr() == first && prefix.last() == last)
}

fn ifname_range(f: &mut Formatter<'_>, from: &Bytes, to: &Bytes) -> fmt::Result {
    let name = text(from);
    let star = if from == to { "" } else { "*" };
    write!(f, "\"{name}{star}\"")
}

pub(super) fn text(bytes: &Bytes) -> String {
    let end = bytes
        .as_slice()
        .iter()
        .position(|byte| *byte == 0)
        .unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes.as_slice()[..end]).into_owned()
}

pub(super) fn value(f: &mut Formatter<'_>, ty: KeyType, bytes: &Bytes) -> fmt::Result {
    match ty {
        KeyType::Ipv4Addr | KeyType::Ipv6Addr => match bytes.to_addr() {
            Some(addr) => write!(f, "{addr}"),
            None => write!(f, "{bytes:?}"),
        },
        KeyType::Ifname => write!(f, "\"{}\"", text(bytes)),
        KeyType::InetProto => match bytes.to_be() {
            Some(number) => protocol(f, number),
            None => write!(f, "{bytes:?}"),
        },
        KeyType::Mark => write!(f, "{:#x}", bytes.to_native().unwrap_or_default()),
        KeyType::InetService | KeyType::IcmpType => {
            write!(f, "{}", bytes.to_be().unwrap_or_default())
        }
    }
}

fn protocol(f: &mut Formatter<'_>, number: u32) -> fmt::Result {
    match u8::try_from(number) {
        Ok(proto::ICMP) => f.write_str("icmp"),
        Ok(proto::TCP) => f.write_str("tcp"),
        Ok(proto::UDP) => f.write_str("udp"),
        Ok(proto::ICMPV6) => f.write_str("ipv6-icmp"),
        Ok(proto::SCTP) => f.write_str("sctp"),
        Ok(proto::UDPLITE) => f.write_str("udplite"),
        Ok(_) | Err(_) => write!(f, "{number}"),
    }
}

impl Display for Comment {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "comment \"{}\"", self.as_str())
    }
}
