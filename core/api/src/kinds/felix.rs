//! FelixConfiguration: the JSON of each parameter becomes the text that the table of `config` reads.
//!
//! The texts are those that upstream's processors make: durations in seconds (one parameter in milliseconds), lists joined by
//! commas, an empty list of failsafe ports as `none`.

use config::{Kind, Param, Reach, Unit, parse_duration};
use model::{ConfigScope, FelixConfig, Resource};

use super::{Identity, Metadata, spec};
use crate::fields::{limit, local_selector, port_match, text};
use crate::problem::Problem;
use crate::reader::{Fields, Item, Path};

/// The most ranges of node ports.
const MAX_PORT_RANGES: usize = 7;

/// Annotations that set a parameter past the fields.
pub(crate) const ANNOTATION: &str = "config.projectcalico.org/";

/// Whom an object of this name is for.
pub(crate) fn scope(name: &str) -> ConfigScope {
    match name.strip_prefix("node.") {
        _ if name == "default" => ConfigScope::Global,
        Some(node) => ConfigScope::Node(node.into()),
        None => ConfigScope::Selector(name.into()),
    }
}

pub(crate) fn read(
    id: &Identity<'_>,
    meta: &Metadata,
    fields: &mut Fields<'_>,
) -> Option<Resource> {
    let mut config = spec(fields, |fields| {
        let node_selector = fields.read("nodeSelector", local_selector);
        if node_selector.is_some() && !matches!(scope(id.name), ConfigScope::Selector(_)) {
            fields.wrong(
                "nodeSelector",
                "is not for the objects named default and node.<name>",
            );
        }
        if fields.has("routeTableRange") && fields.has("routeTableRanges") {
            fields.wrong(
                "routeTableRange",
                "cannot be set together with routeTableRanges",
            );
        }
        let mut config = FelixConfig {
            node_selector,
            created: meta.created.clone(),
            ..FelixConfig::default()
        };
        for param in Param::all() {
            let Some(field) = param.row().yaml else {
                continue;
            };
            if let Some(text) = fields.read(field, |item| parameter(item, param)) {
                config.parameters.insert(field.into(), text.into());
            }
        }
        config
    });
    for (key, value) in &meta.annotations {
        let Some(name) = key.strip_prefix(ANNOTATION) else {
            continue;
        };
        let field = Param::lookup(name)
            .and_then(|param| param.row().yaml)
            .unwrap_or(name);
        config.parameters.insert(field.into(), value.clone());
    }
    Some(Resource::FelixConfig(config))
}

/// The text of one parameter. In the store a value that is out of bounds stays: the agent uses the default and says so.
fn parameter(item: Item<'_>, param: Param) -> Option<String> {
    let row = param.row();
    debug_assert_eq!(
        row.reach,
        Reach::Any,
        "parameters of the node have no field"
    );
    let text = text_of(item, param)?;
    if text.is_empty() {
        return None;
    }
    let checked = item.reader.is_admission() && !text.eq_ignore_ascii_case("none");
    if let (true, Err(wanted)) = (checked, row.kind.parse(&text)) {
        item.wrong(wanted.to_string());
    }
    Some(text)
}

fn text_of(item: Item<'_>, param: Param) -> Option<String> {
    match param.row().kind {
        Kind::Flag | Kind::OptionalFlag => item.flag().map(|on| on.to_string()),
        Kind::Int(least, most) => integer(item, least..=most),
        Kind::Mark => integer(item, 0..=i64::from(u32::MAX)),
        Kind::Dscp if item.value.is_string() => text(item).map(Into::into),
        Kind::Dscp => integer(item, 0..=63),
        Kind::Duration(unit) => duration(item, unit),
        Kind::Failsafes => list(item, failsafe).map(|text| {
            if text.is_empty() {
                "none".to_owned()
            } else {
                text
            }
        }),
        Kind::PortRanges => {
            limit(&item, MAX_PORT_RANGES);
            list(item, port)
        }
        Kind::PortRange => port(item),
        Kind::Cidrs | Kind::InterfaceFilters => list(item, |item| text(item).map(Into::into)),
        Kind::KeyDurations => list(item, timeout_override),
        Kind::TableRange => table_range(item),
        Kind::TableRanges => list(item, ordered_range),
        Kind::KeyValues => key_values(item, param),
        Kind::Text if param == Param::LogPrefix => log_prefix(item),
        Kind::Word(_)
        | Kind::Text
        | Kind::Region
        | Kind::Pattern
        | Kind::File
        | Kind::Host
        | Kind::Authority
        | Kind::Endpoints
        | Kind::Interface
        | Kind::Interfaces
        | Kind::InterfacePatterns
        | Kind::Address(_)
        | Kind::LogRate => text(item).map(Into::into),
    }
}

fn integer(item: Item<'_>, range: std::ops::RangeInclusive<i64>) -> Option<String> {
    let range = if item.reader.is_admission() {
        range
    } else {
        i64::MIN..=i64::MAX
    };
    item.integer(range).map(|number| number.to_string())
}

fn duration(item: Item<'_>, unit: Unit) -> Option<String> {
    let text = item.text()?;
    let Some(duration) = parse_duration(text) else {
        item.wrong_hint(
            "is no duration",
            "write it with units, such as 90s or 1m30s",
        );
        return None;
    };
    let seconds = duration.as_secs_f64();
    Some(match unit {
        Unit::Seconds => seconds.to_string(),
        Unit::Millis => (seconds * 1e3).to_string(),
    })
}

fn list(item: Item<'_>, read: impl Fn(Item<'_>) -> Option<String>) -> Option<String> {
    item.list(read).map(|items| items.join(","))
}

fn port(item: Item<'_>) -> Option<String> {
    port_match(item).map(|port| port.to_string())
}

/// `{protocol, port, net}`.
fn failsafe(item: Item<'_>) -> Option<String> {
    item.object(|fields| {
        let words = [
            ("TCP", "tcp"),
            ("UDP", "udp"),
            ("SCTP", "sctp"),
            ("tcp", "tcp"),
            ("udp", "udp"),
        ];
        let protocol = fields
            .nonempty("protocol", |item| item.word(&words))
            .unwrap_or("tcp");
        let port = fields.required("port", |item| item.integer(0..=65535));
        let net = fields.nonempty("net", |item| {
            let net = crate::fields::cidr(item)?;
            Some(match net.family() {
                model::Family::V4 => format!("{net}:"),
                model::Family::V6 => format!("[{net}]:"),
            })
        });
        Some(format!("{protocol}:{}{}", net.unwrap_or_default(), port?))
    })?
}

/// `{name, timeout}`.
fn timeout_override(item: Item<'_>) -> Option<String> {
    item.object(|fields| {
        let name = fields.required("name", text);
        let timeout = fields.required("timeout", |item| {
            duration(item, Unit::Seconds)?;
            text(item)
        });
        Some(format!("{}={}", name?, timeout?))
    })?
}

/// `{min, max}`.
fn table_range(item: Item<'_>) -> Option<String> {
    item.object(|fields| {
        let bound = 1..=i64::from(u32::MAX);
        let first = fields.required("min", |item| item.integer(bound.clone()));
        let last = fields.required("max", |item| item.integer(bound.clone()));
        Some(format!("{}-{}", first?, last?))
    })?
}

/// `{min, max}`, one not above the other.
fn ordered_range(item: Item<'_>) -> Option<String> {
    let bound = |name: &str| item.value.get(name).and_then(serde_json::Value::as_i64);
    let ordered = bound("min") <= bound("max") || bound("max").is_none();
    let path = Path::Field(item.path, "max");
    let range = table_range(item)?;
    if item.reader.is_admission() && !ordered {
        let problem = Problem::at(path.to_string(), "must not be less than min");
        item.reader.report(problem);
        return None;
    }
    Some(range)
}

/// What a line in the kernel's log may begin with.
fn log_prefix(item: Item<'_>) -> Option<String> {
    let prefix = item.text()?;
    let allowed = |c: char| c.is_ascii_alphanumeric() || "%: /_-".contains(c);
    if item.reader.is_admission() && !prefix.chars().all(allowed) {
        item.wrong("may have letters, digits, spaces and the characters % : / _ -");
    }
    Some(prefix.into())
}

/// A text `a=b,c=d`, or an object of texts: the store may have either, a user writes the one that the parameter has.
fn key_values(item: Item<'_>, param: Param) -> Option<String> {
    let is_object = matches!(param, Param::BPFLogFilters | Param::BPFConntrackTimeouts);
    let either = !item.reader.is_admission();
    if item.value.is_string() && (either || !is_object) {
        let pairs = item.text()?;
        if !either && param == Param::FeatureDetectOverride {
            check_overrides(&item, pairs);
        }
        return Some(pairs.into());
    }
    if !either && !is_object {
        return text(item).map(Into::into);
    }
    let pairs = item.string_map(|at, key, value| {
        if !either && param == Param::BPFConntrackTimeouts {
            check_timeout(&at, key, value);
        }
    })?;
    let pairs: Vec<String> = pairs
        .iter()
        .map(|(key, value)| format!("{}={value}", config_key(key)))
        .collect();
    Some(pairs.join(","))
}

/// Features that are said to be there or not: `ChecksumOffloadBroken=true`, several joined by commas.
fn check_overrides(item: &Item<'_>, pairs: &str) {
    let word = |name: &str| {
        let in_word = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
        !name.is_empty() && name.bytes().all(in_word)
    };
    let good = |pair: &str| {
        let pair = pair.split_once('=');
        pair.is_some_and(|(name, value)| word(name) && ["true", "false", ""].contains(&value))
    };
    if !pairs.is_empty() && !pairs.split(',').all(good) {
        item.wrong("must be name=true or name=false, joined by commas");
    }
}

/// One of `bpfConntrackTimeouts`.
fn check_timeout(at: &Item<'_>, key: &str, value: &str) {
    let named = |name: &&'static str| {
        name.eq_ignore_ascii_case(key) && key.starts_with(|c: char| c.is_ascii_lowercase())
    };
    if !TIMEOUTS.iter().any(named) {
        at.wrong("is no field that this kind has");
    } else if value != "Auto" && parse_duration(value).is_none() {
        at.wrong_hint(
            "is no duration",
            "write it with units, such as 90s, or Auto",
        );
    }
}

/// Kinds of connections that time out, as the parameter's text names them.
const TIMEOUTS: [&str; 8] = [
    "CreationGracePeriod",
    "TCPSynSent",
    "TCPEstablished",
    "TCPFinsSeen",
    "TCPResetSeen",
    "UDPTimeout",
    "GenericTimeout",
    "ICMPTimeout",
];

/// The fields of `bpfConntrackTimeouts` begin in lower case; their names in the text do not.
fn config_key(key: &str) -> String {
    let known = TIMEOUTS.iter().find(|name| name.eq_ignore_ascii_case(key));
    known.map_or_else(|| key.to_owned(), |name| (*name).to_owned())
}
