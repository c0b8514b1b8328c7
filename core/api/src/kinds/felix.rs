//! FelixConfiguration: the JSON of each parameter becomes the text that the table of `config` reads.
//!
//! The texts are those that upstream's processors make: durations in seconds (one parameter in milliseconds), lists joined by
//! commas, an empty list of failsafe ports as `none`.

use config::{Kind, Param, Reach, Unit, parse_duration};
use model::{ConfigScope, Family, FelixConfig, PortMatch, Resource};

use super::{Identity, Metadata, spec};
use crate::fields::{limit, local_selector, port_match, text};
use crate::names;
use crate::problem::Problem;
use crate::reader::{Fields, Item, Path};
use crate::schema;

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
    if item.reader.is_admission() && item.value.is_string() {
        // Where the field is a word of a few, it is spelt exactly; elsewhere the table knows what the text may be.
        let words = schema::felix_words(param);
        if words.is_empty() {
            if let Err(wanted) = row.kind.parse(&text) {
                item.wrong(wanted.to_string());
            }
        } else if !words.contains(&text.as_str()) {
            item.wrong(format!("must be one of {}", words.join(", ")));
        }
    } else if item.reader.is_admission()
        && !text.eq_ignore_ascii_case("none")
        && let Err(wanted) = row.kind.parse(&text)
    {
        item.wrong(wanted.to_string());
    }
    if item.reader.is_admission() {
        check(item, param, &text);
    }
    Some(text)
}

/// Bounds that upstream sets to fields, and not to the parameters behind them.
const BOUNDS: [(Param, i64, i64); 4] = [
    (Param::BPFExtToServiceConnmark, 0, 0xffff_ffff),
    (Param::WireguardListeningPort, 1, 65_535),
    (Param::WireguardListeningPortV6, 1, 65_535),
    (Param::WireguardRoutingRulePriority, 1, 32_765),
];

/// The most ranges of node ports: a rule of iptables takes 15 ports, and a range counts twice.
const MAX_PORT_RANGES: usize = 7;
/// The longest address of the metrics server.
const MAX_METRICS_HOST: usize = 64;

/// What upstream asks of single fields.
fn check(item: Item<'_>, param: Param, text: &str) {
    if let Some((_, least, most)) = BOUNDS.iter().find(|(of, ..)| *of == param) {
        item.integer(*least..=*most);
    }
    let all = |inner: fn(u8) -> bool| text.bytes().all(inner);
    if param == Param::KubeNodePortRanges {
        limit(&item, MAX_PORT_RANGES);
    }
    if param == Param::LogPrefix && !all(|b| b.is_ascii_alphanumeric() || b"%: /_-".contains(&b)) {
        item.wrong("must be letters, digits, spaces, '%', ':', '/', '_' and '-'");
    }
    if param == Param::PrometheusMetricsHost {
        let known = all(|b| b.is_ascii_alphanumeric() || b":._+-".contains(&b));
        if !known || text.len() > MAX_METRICS_HOST {
            item.wrong("must be a host's name or address, of at most 64 characters");
        }
    }
    if param == Param::FeatureDetectOverride {
        let value = |pair: &str| pair.split_once('=').map(|(_, value)| value.to_owned());
        let known = |pair: &str| matches!(value(pair).as_deref(), Some("true" | "false" | ""));
        if !text.split(',').filter(|pair| !pair.is_empty()).all(known) {
            item.wrong("must be pairs of name=true or name=false, joined by commas");
        }
    }
}

fn text_of(item: Item<'_>, param: Param) -> Option<String> {
    let kind = param.row().kind;
    match kind {
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
        Kind::PortRanges => list(item, numeric_port),
        Kind::PortRange => port(item),
        Kind::Cidrs if param == Param::ExternalNodesCIDRList => list(item, network_v4),
        Kind::Cidrs | Kind::InterfaceFilters => list(item, |item| text(item).map(Into::into)),
        Kind::KeyDurations => list(item, timeout_override),
        Kind::TableRange => table_range(item),
        Kind::TableRanges => list(item, ordered_range),
        // The store may have what users write as a text.
        Kind::KeyValues if item.value.is_string() && !item.reader.is_admission() => {
            text(item).map(Into::into)
        }
        Kind::KeyValues if param == Param::BPFConntrackTimeouts => conntrack_timeouts(item),
        Kind::KeyValues if param == Param::BPFLogFilters => log_filters(item),
        Kind::KeyValues => text(item).map(Into::into),
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

fn numeric_port(item: Item<'_>) -> Option<String> {
    let port = port_match(item)?;
    if matches!(port, PortMatch::Named(_)) && item.reader.is_admission() {
        item.wrong("must be a number or a range, not a name");
        return None;
    }
    Some(port.to_string())
}

fn network_v4(item: Item<'_>) -> Option<String> {
    let net = crate::fields::cidr(item)?;
    if net.family() != Family::V4 && item.reader.is_admission() {
        item.wrong("must be an IPv4 network");
    }
    text(item).map(Into::into)
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
            ("sctp", "sctp"),
        ];
        let protocol = fields
            .nonempty("protocol", |item| item.word(&words))
            .unwrap_or("tcp");
        let port = fields.required("port", |item| item.integer(0..=65535));
        let net = fields.nonempty("net", |item| {
            let net = crate::fields::cidr(item)?;
            Some(match net.family() {
                Family::V4 => format!("{net}:"),
                Family::V6 => format!("[{net}]:"),
            })
        });
        Some(format!("{protocol}:{}{}", net.unwrap_or_default(), port?))
    })?
}

/// `{name, timeout}`.
fn timeout_override(item: Item<'_>) -> Option<String> {
    item.object(|fields| {
        let name = fields.required("name", |item| {
            let name = text(item)?;
            let inner = |b: u8| b.is_ascii_alphanumeric() || b"_ -".contains(&b);
            if item.reader.is_admission() && (name.is_empty() || !name.bytes().all(inner)) {
                item.wrong("must be letters, digits, spaces, '_' and '-'");
                return None;
            }
            Some(name)
        });
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

/// An object of texts, keyed by interfaces.
fn log_filters(item: Item<'_>) -> Option<String> {
    let pairs = item.string_map(|at, key, _| {
        if at.reader.is_admission() && !names::is_interface(key) {
            at.wrong("does not stand under the name of an interface");
        }
    })?;
    let known = |key: &str| names::is_interface(key) || !item.reader.is_admission();
    let pairs: Vec<String> = pairs
        .iter()
        .filter(|(key, _)| known(key))
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    Some(pairs.join(","))
}

/// An object of timeouts, each a duration or `Auto`. The fields begin in lower case; their names in the text do not.
fn conntrack_timeouts(item: Item<'_>) -> Option<String> {
    const TIMEOUTS: [(&str, &str); 8] = [
        ("creationGracePeriod", "CreationGracePeriod"),
        ("genericTimeout", "GenericTimeout"),
        ("icmpTimeout", "ICMPTimeout"),
        ("tcpEstablished", "TCPEstablished"),
        ("tcpFinsSeen", "TCPFinsSeen"),
        ("tcpResetSeen", "TCPResetSeen"),
        ("tcpSynSent", "TCPSynSent"),
        ("udpTimeout", "UDPTimeout"),
    ];
    item.object(|fields| {
        let mut pairs = Vec::new();
        for (field, name) in TIMEOUTS {
            let value = fields.nonempty(field, |item| {
                let text = item.text()?;
                let ok = text == "Auto" || parse_duration(text).is_some();
                if item.reader.is_admission() && !ok {
                    item.wrong("must be Auto, or a duration with units, such as 90s");
                }
                Some(text.to_owned())
            });
            pairs.extend(value.map(|value| format!("{name}={value}")));
        }
        pairs.join(",")
    })
}
