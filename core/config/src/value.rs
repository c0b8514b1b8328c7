//! What a parameter's text may be, and what it means.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use model::{Cidr, Family, PortRange, Protocol};

use crate::duration::parse_duration;

/// The unit of a duration that is written as a bare number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Seconds.
    Seconds,
    /// Milliseconds.
    Millis,
}

/// What kind of value a parameter has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// True or false.
    Flag,
    /// True, false, or not said.
    OptionalFlag,
    /// A whole number within bounds; hexadecimal after `0x`.
    Int(i64, i64),
    /// A time span: a bare number in this unit, or with units, such as `1m30s`.
    Duration(Unit),
    /// One of a few words, in any case.
    Word(&'static [&'static str]),
    /// Any text.
    Text,
    /// A region of an OpenStack deployment: a DNS label.
    Region,
    /// A regular expression.
    Pattern,
    /// A path.
    File,
    /// A host's name or address.
    Host,
    /// A host and a port.
    Authority,
    /// URLs of one scheme, joined by commas.
    Endpoints,
    /// An interface's name.
    Interface,
    /// Beginnings of interface names, joined by commas.
    Interfaces,
    /// Interface names, which may end in `+`, joined by commas.
    InterfaceFilters,
    /// Interface names, or regular expressions between slashes, joined by commas.
    InterfacePatterns,
    /// An address of a family.
    Address(Family),
    /// Ports that stay open: `tcp:22`, `udp:10.0.0.0/8:53`, `tcp:[fd00::/8]:22`, joined by commas.
    Failsafes,
    /// A port or a range `a:b`.
    PortRange,
    /// Ports and ranges, joined by commas.
    PortRanges,
    /// Bits of a packet mark, at least two of them.
    Mark,
    /// Networks, joined by commas.
    Cidrs,
    /// `key=value`, joined by commas.
    KeyValues,
    /// `key=duration`, joined by commas.
    KeyDurations,
    /// One range of routing tables, `a-b`, within 1 to 250.
    TableRange,
    /// Ranges of routing tables, `a-b`, joined by commas.
    TableRanges,
    /// A rate, such as `10/minute`.
    LogRate,
    /// A DSCP: 0 to 63.
    Dscp,
}

/// A port that stays open, for everyone or for one network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failsafe {
    /// TCP or UDP.
    pub protocol: Protocol,
    /// The port; 0 is every port.
    pub port: u16,
    /// Who may use it; `None` is everyone.
    pub net: Option<Cidr>,
}

/// Routing tables `first` to `last`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableRange {
    /// The lowest.
    pub first: u32,
    /// The highest.
    pub last: u32,
}

/// A parameter's value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Of [`Kind::Flag`] and [`Kind::OptionalFlag`]; `None` is not said.
    Flag(Option<bool>),
    /// Of [`Kind::Int`] and [`Kind::Dscp`].
    Int(i64),
    /// Of [`Kind::Duration`].
    Duration(Duration),
    /// Of all kinds that are one text.
    Text(Box<str>),
    /// Of all kinds that are a list of texts.
    List(Vec<Box<str>>),
    /// Of [`Kind::Address`].
    Address(Option<IpAddr>),
    /// Of [`Kind::Failsafes`].
    Failsafes(Vec<Failsafe>),
    /// Of [`Kind::PortRange`] and [`Kind::PortRanges`].
    Ports(Vec<PortRange>),
    /// Of [`Kind::Mark`].
    Mark(u32),
    /// Of [`Kind::Cidrs`].
    Cidrs(Vec<Cidr>),
    /// Of [`Kind::KeyValues`].
    Pairs(BTreeMap<Box<str>, Box<str>>),
    /// Of [`Kind::KeyDurations`].
    Durations(BTreeMap<Box<str>, Duration>),
    /// Of [`Kind::TableRange`] and [`Kind::TableRanges`].
    Tables(Vec<TableRange>),
}

/// Why a text is no value of a kind: what it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted(pub String);

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "must be {}", self.0)
    }
}

/// The least number of bits that marks need.
const MARK_BITS: u32 = 2;
/// The most routing tables that may be handed to the agent.
const MAX_TABLES: u64 = 0xffff;
/// The highest routing table of the older parameter.
const MAX_OLD_TABLE: u32 = 250;

fn wanted<T>(text: impl Into<String>) -> Result<T, Wanted> {
    Err(Wanted(text.into()))
}

impl Kind {
    /// What `none` means: nothing, zero, off.
    pub fn zero(self) -> Value {
        match self {
            Kind::Flag => Value::Flag(Some(false)),
            Kind::OptionalFlag => Value::Flag(None),
            Kind::Int(..) | Kind::Dscp => Value::Int(0),
            Kind::Duration(_) => Value::Duration(Duration::ZERO),
            Kind::Word(_)
            | Kind::Text
            | Kind::Region
            | Kind::Pattern
            | Kind::File
            | Kind::Host
            | Kind::Authority
            | Kind::Interface
            | Kind::LogRate => Value::Text("".into()),
            Kind::Endpoints
            | Kind::Interfaces
            | Kind::InterfaceFilters
            | Kind::InterfacePatterns => Value::List(Vec::new()),
            Kind::Address(_) => Value::Address(None),
            Kind::Failsafes => Value::Failsafes(Vec::new()),
            Kind::PortRange | Kind::PortRanges => Value::Ports(Vec::new()),
            Kind::Mark => Value::Mark(0),
            Kind::Cidrs => Value::Cidrs(Vec::new()),
            Kind::KeyValues => Value::Pairs(BTreeMap::new()),
            Kind::KeyDurations => Value::Durations(BTreeMap::new()),
            Kind::TableRange | Kind::TableRanges => Value::Tables(Vec::new()),
        }
    }

    /// Reads a value.
    ///
    /// # Errors
    /// Says what the text should have been.
    pub fn parse(self, text: &str) -> Result<Value, Wanted> {
        match self {
            Kind::Flag => flag(text).map(|on| Value::Flag(Some(on))),
            Kind::OptionalFlag if text.is_empty() => Ok(Value::Flag(None)),
            Kind::OptionalFlag => flag(text).map(|on| Value::Flag(Some(on))),
            Kind::Int(least, most) => int(text, least, most).map(Value::Int),
            Kind::Dscp => int(text, 0, 63).map(Value::Int),
            Kind::Duration(unit) => duration(text, unit).map(Value::Duration),
            Kind::Word(words) => word(text, words).map(Value::Text),
            Kind::Text | Kind::File => Ok(Value::Text(text.into())),
            Kind::Region => one_text(text, "a DNS label of at most 46 characters", is_region),
            Kind::Pattern => one_text(text, "a regular expression", is_balanced),
            Kind::Host => one_text(text, "a host's name or address", is_host),
            Kind::Authority => one_text(
                text,
                "a host and a port, such as 127.0.0.1:2379",
                is_authority,
            ),
            Kind::Interface => one_text(text, "an interface's name", |t| is_filter(t, "")),
            Kind::LogRate => one_text(text, "a rate, such as 10/minute", is_rate),
            Kind::Endpoints => list(text, "URLs such as http://10.0.0.1:2379", is_url),
            Kind::Interfaces => list(
                text,
                "beginnings of interface names, joined by commas",
                |t| is_filter(t, ""),
            ),
            Kind::InterfaceFilters => list(text, "interface names, joined by commas", |t| {
                is_filter(t, "+")
            }),
            Kind::InterfacePatterns => list(
                text,
                "interface names or /patterns/, joined by commas",
                is_pattern,
            ),
            Kind::Address(_) if text.is_empty() => Ok(Value::Address(None)),
            Kind::Address(family) => address(text, family).map(|addr| Value::Address(Some(addr))),
            Kind::Failsafes => items(text, failsafe).map(Value::Failsafes),
            Kind::PortRange if text.contains(',') => {
                wanted("one port or one range such as 20000:29999")
            }
            Kind::PortRange | Kind::PortRanges => items(text, port_range).map(Value::Ports),
            Kind::Mark => mark(text).map(Value::Mark),
            Kind::Cidrs => items(text, |t| t.parse().or(wanted("networks, joined by commas")))
                .map(Value::Cidrs),
            Kind::KeyValues => {
                items(text, pair).map(|pairs| Value::Pairs(pairs.into_iter().collect()))
            }
            Kind::KeyDurations => {
                items(text, key_duration).map(|pairs| Value::Durations(pairs.into_iter().collect()))
            }
            Kind::TableRange => one_table(text).map(Value::Tables),
            Kind::TableRanges => tables(text, u32::MAX).map(Value::Tables),
        }
    }
}

fn flag(text: &str) -> Result<bool, Wanted> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "y" | "t" => Ok(true),
        "false" | "0" | "no" | "n" | "f" => Ok(false),
        _ => wanted("true or false"),
    }
}

fn int(text: &str, least: i64, most: i64) -> Result<i64, Wanted> {
    let number = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(hex) => i64::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    };
    match number.filter(|n| (least..=most).contains(n)) {
        Some(number) => Ok(number),
        None if least == i64::MIN => wanted("a whole number"),
        None => wanted(format!("a whole number from {least} to {most}")),
    }
}

fn duration(text: &str, unit: Unit) -> Result<Duration, Wanted> {
    let number: Option<f64> = text.parse().ok();
    let scale = match unit {
        Unit::Seconds => 1.0,
        Unit::Millis => 1e-3,
    };
    let bare = number.and_then(|n| Duration::try_from_secs_f64(n * scale).ok());
    bare.or_else(|| parse_duration(text)).ok_or_else(|| {
        Wanted("a time span: a number of seconds, or with units such as 1m30s".into())
    })
}

fn word(text: &str, words: &'static [&'static str]) -> Result<Box<str>, Wanted> {
    if text.is_empty() {
        return Ok("".into());
    }
    match words.iter().find(|w| w.eq_ignore_ascii_case(text)) {
        Some(word) => Ok((*word).into()),
        None => wanted(format!("one of {}", words.join(", "))),
    }
}

fn one_text(text: &str, what: &str, ok: impl Fn(&str) -> bool) -> Result<Value, Wanted> {
    if text.is_empty() || ok(text) {
        return Ok(Value::Text(text.into()));
    }
    wanted(what)
}

fn split(text: &str) -> impl Iterator<Item = &str> {
    text.split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
}

fn list(text: &str, what: &str, ok: impl Fn(&str) -> bool) -> Result<Value, Wanted> {
    if split(text).all(ok) {
        return Ok(Value::List(split(text).map(Into::into).collect()));
    }
    wanted(what)
}

fn items<T>(text: &str, read: impl Fn(&str) -> Result<T, Wanted>) -> Result<Vec<T>, Wanted> {
    split(text).map(read).collect()
}

fn is_region(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    text.len() <= 46 && text.bytes().all(inner) && !text.starts_with('-') && !text.ends_with('-')
}

fn is_host(text: &str) -> bool {
    let inner = |b: u8| {
        b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b':' | b'+' | b'[' | b']')
    };
    text.len() <= 253 && text.bytes().all(inner)
}

fn is_authority(text: &str) -> bool {
    text.rsplit_once(':')
        .is_some_and(|(host, port)| is_host(host) && port.parse::<u16>().is_ok())
}

fn is_url(text: &str) -> bool {
    let rest = text
        .strip_prefix("http://")
        .or_else(|| text.strip_prefix("https://"));
    rest.is_some_and(|rest| is_host(rest.trim_end_matches('/')) && !rest.contains('@'))
}

fn is_filter(text: &str, more: &str) -> bool {
    let inner = |c: char| c.is_ascii_alphanumeric() || "_.-:".contains(c) || more.contains(c);
    (1..=15).contains(&text.chars().count()) && text.chars().all(inner)
}

fn is_pattern(text: &str) -> bool {
    match text
        .strip_prefix('/')
        .and_then(|rest| rest.strip_suffix('/'))
    {
        Some(pattern) => !pattern.is_empty() && is_balanced(pattern),
        None => is_filter(text, "*"),
    }
}

/// A regular expression whose brackets close, and whose repetitions have something to repeat. Whoever compiles it may find more.
fn is_balanced(text: &str) -> bool {
    let (mut round, mut square) = (0i32, false);
    let mut can_repeat = false;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' if chars.next().is_none() => return false,
            '[' if !square => square = true,
            ']' if square => square = false,
            _ if square => {}
            '(' => {
                round += 1;
                // What a group begins with may say what kind of group it is.
                chars.next_if_eq(&'?');
            }
            ')' => round -= 1,
            '*' | '+' | '?' if !can_repeat => return false,
            _ => {}
        }
        can_repeat = square || !matches!(c, '(' | '|');
        if round < 0 {
            return false;
        }
    }
    round == 0 && !square
}

fn is_rate(text: &str) -> bool {
    let units = ["second", "minute", "hour", "day"];
    text.split_once('/').is_some_and(|(number, unit)| {
        number.parse::<u32>().is_ok_and(|n| n > 0) && units.contains(&unit)
    })
}

fn address(text: &str, family: Family) -> Result<IpAddr, Wanted> {
    let addr: Option<IpAddr> = text.parse().ok();
    addr.filter(|addr| Family::of(*addr) == family)
        .ok_or_else(|| Wanted(format!("an IPv{} address", family.version())))
}

/// `22`, `tcp:22`, `tcp:10.0.0.0/8:22`, `tcp:[fd00::/8]:22`.
fn failsafe(text: &str) -> Result<Failsafe, Wanted> {
    let bad = || {
        Wanted(
            "ports such as tcp:22, udp:10.0.0.0/8:53 or tcp:[fd00::/8]:22, joined by commas".into(),
        )
    };
    let (rest, port) = text.rsplit_once(':').unwrap_or(("", text));
    let (protocol, net) = rest.split_once(':').unwrap_or((rest, ""));
    let protocol = match protocol.to_ascii_lowercase().as_str() {
        "" | "tcp" => Protocol::TCP,
        "udp" => Protocol::UDP,
        _ => return Err(bad()),
    };
    let bracketed = net.strip_prefix('[').and_then(|net| net.strip_suffix(']'));
    let net = match bracketed.unwrap_or(net) {
        "" => None,
        net => Some(net.parse().map_err(|_| bad())?),
    };
    let port = port.parse().map_err(|_| bad())?;
    Ok(Failsafe {
        protocol,
        port,
        net,
    })
}

fn port_range(text: &str) -> Result<PortRange, Wanted> {
    let (first, last) = text.split_once(':').unwrap_or((text, text));
    let both = first.parse().ok().zip(last.parse().ok());
    both.and_then(|(first, last)| PortRange::new(first, last))
        .ok_or_else(|| Wanted("ports, or ranges such as 30000:32767".into()))
}

fn mark(text: &str) -> Result<u32, Wanted> {
    let number = int(text, 0, i64::from(u32::MAX)).ok();
    let bits = number.and_then(|n| u32::try_from(n).ok());
    bits.filter(|bits| bits.count_ones() >= MARK_BITS)
        .ok_or_else(|| {
            Wanted(format!(
                "a 32-bit number with at least {MARK_BITS} bits set, such as 0xffff0000"
            ))
        })
}

fn pair(text: &str) -> Result<(Box<str>, Box<str>), Wanted> {
    let inner = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b'+' | b' ');
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() && key.bytes().all(inner) => {
            Ok((key.trim().into(), value.trim().into()))
        }
        _ => wanted("key=value pairs, joined by commas"),
    }
}

fn key_duration(text: &str) -> Result<(Box<str>, Duration), Wanted> {
    let (key, value) = pair(text)?;
    let value = parse_duration(&value);
    value
        .map(|value| (key, value))
        .ok_or_else(|| Wanted("key=duration pairs such as name=90s, joined by commas".into()))
}

fn one_table(text: &str) -> Result<Vec<TableRange>, Wanted> {
    let ranges = tables(text, MAX_OLD_TABLE)?;
    if ranges.len() > 1 {
        return wanted("one range of routing tables such as 1-250");
    }
    Ok(ranges)
}

fn tables(text: &str, most: u32) -> Result<Vec<TableRange>, Wanted> {
    let range = |t: &str| {
        let (first, last) = t.split_once('-')?;
        let range = TableRange {
            first: first.parse().ok()?,
            last: last.parse().ok()?,
        };
        (range.first >= 1 && range.first <= range.last && range.last <= most).then_some(range)
    };
    let ranges: Option<Vec<TableRange>> = split(text).map(range).collect();
    let count = |ranges: &Vec<TableRange>| -> u64 {
        ranges.iter().map(|r| u64::from(r.last - r.first) + 1).sum()
    };
    let ok = ranges.filter(|ranges| count(ranges) <= MAX_TABLES);
    ok.ok_or_else(|| {
        Wanted(format!(
            "ranges of routing tables such as 1-250, at most {MAX_TABLES} tables together"
        ))
    })
}
