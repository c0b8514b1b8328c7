//! Values that several kinds have in common: networks, addresses, selectors, protocols, ports, labels.

use std::net::IpAddr;
use std::time::Duration;

use model::selector::Selector;
use model::{Cidr, EndpointPort, Labels, PortMatch, PortRange, Protocol};
use serde_json::Value;

use crate::names;
use crate::reader::{Fields, Item, Path};

/// The longest selector that admission takes.
const MAX_SELECTOR: usize = 1024;
/// What all annotations of an object may weigh together.
const MAX_ANNOTATIONS: usize = 256 * 1024;

/// Any text.
pub(crate) fn text(item: Item<'_>) -> Option<Box<str>> {
    item.text().map(Into::into)
}

/// A selector; the empty text is given as `None`.
pub(crate) fn selector(item: Item<'_>) -> Option<Selector> {
    let text = item.text()?;
    if text.is_empty() {
        return None;
    }
    limit_text(&item, MAX_SELECTOR);
    match Selector::parse(text) {
        Ok(selector) => Some(selector),
        Err(error) => {
            item.wrong(format!("is no selector: {error}"));
            None
        }
    }
}

/// A selector that must not speak of `global()`.
pub(crate) fn local_selector(item: Item<'_>) -> Option<Selector> {
    let selector = selector(item)?;
    if selector.mentions_global() && item.reader.is_admission() {
        item.wrong("global() can only be used in the namespaceSelector of a rule");
    }
    Some(selector)
}

/// A network, or an address as its /32 or /128. Host bits are cleared.
pub(crate) fn cidr(item: Item<'_>) -> Option<Cidr> {
    let text = item.text()?;
    match text.parse() {
        Ok(cidr) => Some(cidr),
        Err(error) => {
            item.wrong(format!("is no network in CIDR form: {error}"));
            None
        }
    }
}

/// A network whose host bits admission wants to be zero.
pub(crate) fn masked_cidr(item: Item<'_>) -> Option<Cidr> {
    let cidr = cidr(item)?;
    let addr = item.value.as_str().and_then(|text| text.split('/').next());
    let given: Option<IpAddr> = addr.and_then(|addr| addr.parse().ok());
    if item.reader.is_admission() && given.is_some_and(|given| unmapped(given) != cidr.addr()) {
        item.wrong_hint(
            "has bits set outside of its prefix",
            format!("write {cidr}"),
        );
    }
    Some(cidr)
}

/// The same, which must have a prefix length: a bare address is refused.
pub(crate) fn exact_cidr(item: Item<'_>) -> Option<Cidr> {
    prefixed_cidr(item)?;
    masked_cidr(item)
}

/// A network with its prefix length, whatever its host bits.
pub(crate) fn prefixed_cidr(item: Item<'_>) -> Option<Cidr> {
    let cidr = cidr(item)?;
    let bare = item.value.as_str().is_some_and(|text| !text.contains('/'));
    if item.reader.is_admission() && bare {
        item.wrong_hint("has no prefix length", format!("write {cidr}"));
    }
    Some(cidr)
}

/// An IPv4-mapped IPv6 address is the IPv4 address it maps, as in Go.
fn unmapped(addr: IpAddr) -> IpAddr {
    match addr {
        IpAddr::V4(_) => addr,
        IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or(addr, IpAddr::V4),
    }
}

/// An address.
pub(crate) fn address(item: Item<'_>) -> Option<IpAddr> {
    let text = item.text()?;
    let addr = text.parse().ok().map(unmapped);
    if addr.is_none() {
        item.wrong("is no IPv4 or IPv6 address");
    }
    addr
}

/// An IPv4 address.
pub(crate) fn address_v4(item: Item<'_>) -> Option<IpAddr> {
    let addr = address(item)?;
    if addr.is_ipv6() {
        item.wrong("must be an IPv4 address");
    }
    Some(addr).filter(IpAddr::is_ipv4)
}

/// An IPv6 address.
pub(crate) fn address_v6(item: Item<'_>) -> Option<IpAddr> {
    let addr = address(item)?;
    if addr.is_ipv4() {
        item.wrong("must be an IPv6 address");
    }
    Some(addr).filter(IpAddr::is_ipv6)
}

/// A protocol by name in any case, or by number.
pub(crate) fn protocol(item: Item<'_>) -> Option<Protocol> {
    let parsed = match item.value {
        Value::Number(number) => number
            .as_u64()
            .and_then(|n| u8::try_from(n).ok())
            .and_then(Protocol::from_number),
        Value::String(text) => text.parse().ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    };
    if parsed.is_none() {
        item.wrong_hint(
            "is no protocol",
            "use TCP, UDP, ICMP, ICMPv6, SCTP, UDPLite or a number from 1 to 255",
        );
    }
    parsed
}

/// A port as rules write it: `80`, `"80"`, `"8000:8080"` or a name.
pub(crate) fn port_match(item: Item<'_>) -> Option<PortMatch> {
    let parsed = match item.value {
        Value::Number(number) => number
            .as_u64()
            .and_then(|n| u16::try_from(n).ok())
            .filter(|port| *port > 0)
            .map(|port| PortMatch::Range(PortRange::one(port))),
        Value::String(text) => port_of_text(text),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    };
    if parsed.is_none() {
        item.wrong_hint(
            "is no port",
            "use a number from 1 to 65535, a range such as \"8000:8080\", or the name of a port",
        );
    }
    parsed
}

pub(crate) fn port_of_text(text: &str) -> Option<PortMatch> {
    let digits = |t: &str| !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit());
    let number = |t: &str| t.parse::<u16>().ok().filter(|port| *port > 0);
    if digits(text) {
        return number(text).map(|port| PortMatch::Range(PortRange::one(port)));
    }
    if let Some((first, last)) = text.split_once(':') {
        if !digits(first) || !digits(last) {
            return None;
        }
        return PortRange::new(number(first)?, number(last)?).map(PortMatch::Range);
    }
    names::is_rule_port_name(text).then(|| PortMatch::Named(text.into()))
}

/// A text that becomes one part of a datastore key, which a slash would break in two.
pub(crate) fn key_part(item: Item<'_>) -> Option<Box<str>> {
    let text = item.text()?;
    if item.reader.is_admission() && (text.is_empty() || text.contains('/')) {
        item.wrong("must not be empty or hold '/', because it is part of a datastore key");
    }
    Some(text.into())
}

/// A name in the form of most objects' names.
pub(crate) fn name(item: Item<'_>) -> Option<Box<str>> {
    let text = item.text()?;
    if item.reader.is_admission() && !names::is_subdomain(text) {
        item.wrong("must consist of lower case letters, digits, '-' and '.', with a letter or digit at both ends");
    }
    Some(text.into())
}

/// An interface's name, or `*`.
pub(crate) fn interface(item: Item<'_>) -> Option<Box<str>> {
    let text = item.text()?;
    if item.reader.is_admission() && !names::is_interface(text) {
        item.wrong("must be an interface's name: at most 15 letters, digits, '_', '.' and '-'");
    }
    Some(text.into())
}

/// An AS number: a number, or the dotted form `64.1000`.
pub(crate) fn as_number(item: Item<'_>) -> Option<u32> {
    let parsed = match item.value {
        Value::Number(number) => number.as_u64().and_then(|n| u32::try_from(n).ok()),
        Value::String(text) => names::as_number(text),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    };
    if parsed.is_none() {
        item.wrong(
            "is no AS number: a number from 0 to 4294967295, or two up to 65535 joined by '.'",
        );
    }
    parsed
}

/// A duration, with units.
pub(crate) fn duration(item: Item<'_>) -> Option<Duration> {
    let duration = config::parse_duration(item.text()?);
    if duration.is_none() {
        item.wrong_hint(
            "is no duration",
            "write it with units, such as 90s or 1m30s",
        );
    }
    duration
}

/// A time as RFC 3339 writes it.
pub(crate) fn time(item: Item<'_>) -> Option<Box<str>> {
    let text = item.text()?;
    if item.reader.is_admission() && !names::is_time(text) {
        item.wrong_hint("is no time", "write for example 2026-08-01T10:00:00Z");
    }
    Some(text.into())
}

/// A text that may be no longer than this.
pub(crate) fn limit_text(item: &Item<'_>, most: usize) {
    let length = item.value.as_str().map_or(0, |text| text.chars().count());
    if item.reader.is_admission() && length > most {
        item.wrong(format!("is longer than {most} characters"));
    }
}

/// A public key of WireGuard: 32 bytes in base 64.
pub(crate) fn wireguard_key(item: Item<'_>) -> Option<Box<str>> {
    let text = item.text()?;
    if item.reader.is_admission() && !names::is_wireguard_key(text) {
        item.wrong("is no public key of WireGuard: 32 bytes in base 64");
    }
    Some(text.into())
}

/// A MAC address.
pub(crate) fn mac(item: Item<'_>) -> Option<model::Mac> {
    item.parsed(str::parse::<model::Mac>)
}

/// What a list of items may be like on admission.
pub(crate) fn limit(item: &Item<'_>, most: usize) {
    let length = item.value.as_array().map_or(0, Vec::len);
    if item.reader.is_admission() && length > most {
        item.reader.report(crate::problem::Problem::at(
            item.path.to_string(),
            format!("has {length} items; at most {most} are allowed"),
        ));
    }
}

/// Reports items of a list that occur more than once.
pub(crate) fn distinct(item: &Item<'_>) {
    if !item.reader.is_admission() {
        return;
    }
    let items = item.value.as_array().map_or(&[][..], Vec::as_slice);
    let mut seen = std::collections::BTreeSet::new();
    for (index, value) in items.iter().enumerate() {
        let path = Path::Index(item.path, index);
        let one = Item {
            path: &path,
            value,
            ..*item
        };
        if value.as_str().is_some_and(|text| !seen.insert(text)) {
            one.wrong("occurs more than once");
        }
    }
}

/// Labels of an object or of what inherits them.
pub(crate) fn labels(item: Item<'_>) -> Option<Labels> {
    item.string_map(|at, key, value| {
        if !at.reader.is_admission() {
            return;
        }
        if !names::is_qualified_name(key) {
            at.wrong("is no name of a label: an optional domain and '/', then at most 63 letters, digits, '-', '_' and '.'");
        }
        if !names::is_label_value(value) {
            at.wrong("is no value of a label: at most 63 letters, digits, '-', '_' and '.', with a letter or digit at both ends");
        }
    })
}

/// Annotations.
pub(crate) fn annotations(item: Item<'_>) -> Option<Labels> {
    let mut weight = 0;
    let map = item.string_map(|at, key, value| {
        weight += key.len() + value.len();
        if at.reader.is_admission() && !names::is_qualified_name(&key.to_ascii_lowercase()) {
            at.wrong("is no name of an annotation: an optional domain and '/', then at most 63 letters, digits, '-', '_' and '.'");
        }
    });
    if item.reader.is_admission() && weight > MAX_ANNOTATIONS {
        item.reader.report(crate::problem::Problem::at(
            item.path.to_string(),
            format!("weigh {weight} bytes together; at most {MAX_ANNOTATIONS} are allowed"),
        ));
    }
    map
}

/// A port that a host endpoint declares.
pub(crate) fn endpoint_port(item: Item<'_>) -> Option<EndpointPort> {
    item.object(|fields| {
        let name = fields.required("name", port_name);
        let base = declared_port(fields);
        Some(EndpointPort {
            name: name?,
            ..base?
        })
    })?
}

/// A port that a workload endpoint declares: it needs a name or a port on the host.
pub(crate) fn workload_port(item: Item<'_>) -> Option<EndpointPort> {
    item.object(|fields| {
        let name = fields.nonempty("name", port_name).unwrap_or_default();
        let base = declared_port(fields);
        let host_port = fields.read("hostPort", |i| i.integer(0..=65535));
        let host_ip = fields.nonempty("hostIP", address);
        let host_port = host_port.and_then(|n| u16::try_from(n).ok()).unwrap_or(0);
        if fields.reader().is_admission() && name.is_empty() && host_port == 0 {
            fields.wrong("name", "is required when there is no hostPort");
        }
        Some(EndpointPort {
            name,
            host_port,
            host_ip,
            ..base?
        })
    })?
}

fn port_name(item: Item<'_>) -> Option<Box<str>> {
    let text = item.text()?;
    if item.reader.is_admission() && !names::is_port_name(text) {
        item.wrong("is no port name: at most 15 lower case letters, digits and '-', with a letter among them");
    }
    Some(text.into())
}

fn declared_port(fields: &mut Fields<'_>) -> Option<EndpointPort> {
    let protocol = fields.required("protocol", |item| {
        let protocol = protocol(item)?;
        if !protocol.has_ports() {
            item.wrong_hint("has no ports", "use TCP, UDP or SCTP");
        }
        Some(protocol).filter(|p| p.has_ports())
    });
    let port = fields.required("port", |item| item.integer(1..=65535));
    Some(EndpointPort {
        name: "".into(),
        protocol: protocol?,
        port: u16::try_from(port?).ok()?,
        host_port: 0,
        host_ip: None,
    })
}
