//! FelixConfiguration: the fields are the parameters of `config`, each in the form that upstream's CRD gives it.
//!
//! A form follows from what kind of value the parameter is. Where upstream's schema is narrower or wider than that, a row
//! below says so: the schema decides what a cluster of upstream's accepts, `api::admit` and the agent check the rest.

use config::{Kind, Param};

use super::shared::{PORT, STRING, selector};
use super::table::{
    Cel, Field, Schema, atomic, cel, flag, forbid, int_or_string, integer, list, map, object, opt,
    req, text, word,
};

/// Whole numbers with units: what upstream's pattern for durations comes to.
const WHOLE_UNITS: &str = "^([0-9]+(ms|s|m|h))*$";

/// Parameters whose text is checked by a pattern: words in any case, and texts of a form of their own.
const PATTERNS: &[(Param, &str)] = &[
    (Param::BPFEnforceRPF, "^(?i)(Disabled|Strict|Loose)?$"),
    (Param::BPFExternalServiceMode, "^(?i)(Tunnel|DSR)?$"),
    (Param::BPFLogLevel, "^(?i)(Off|Info|Debug)?$"),
    (
        Param::BPFMapSizeConntrackScaling,
        "^(?i)(Disabled|DoubleIfFull)?$",
    ),
    (Param::ChainInsertMode, "^(?i)(Insert|Append)?$"),
    (
        Param::DefaultEndpointToHostAction,
        "^(?i)(Drop|Accept|Return)?$",
    ),
    (
        Param::FeatureDetectOverride,
        "^([a-zA-Z0-9-_]+=(true|false|),)*([a-zA-Z0-9-_]+=(true|false|))?$",
    ),
    (
        Param::FeatureGates,
        "^([a-zA-Z0-9-_]+=([^=]+),)*([a-zA-Z0-9-_]+=([^=]+))?$",
    ),
    (Param::IptablesFilterAllowAction, "^(?i)(Accept|Return)?$"),
    (Param::IptablesFilterDenyAction, "^(?i)(Drop|Reject)?$"),
    (Param::IptablesMangleAllowAction, "^(?i)(Accept|Return)?$"),
    (
        Param::LiveMigrationRouteConvergenceTime,
        r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))*$",
    ),
    (
        Param::LogActionRateLimit,
        r"^[1-9]\d{0,3}/(second|minute|hour|day)$",
    ),
    (Param::LogPrefix, "^([a-zA-Z0-9%: /_-])*$"),
    (Param::LogSeverityFile, LEVELS),
    (Param::LogSeverityScreen, LEVELS),
    (Param::LogSeveritySys, LEVELS),
    (Param::NftablesFilterAllowAction, "^(?i)(Accept|Return)?$"),
    (Param::NftablesFilterDenyAction, "^(?i)(Drop|Reject)?$"),
    (Param::NftablesMangleAllowAction, "^(?i)(Accept|Return)?$"),
    (Param::RouteSource, "^(?i)(WorkloadIPs|CalicoIPAM)?$"),
    (
        Param::ServiceLoopPrevention,
        "^(?i)(Drop|Reject|Disabled)?$",
    ),
    (Param::WorkloadSourceSpoofing, "^(?i)(Disabled|Any)?$"),
];

const LEVELS: &str = "^(?i)(Trace|Debug|Info|Warning|Error|Fatal)?$";

/// Durations, and words, that no pattern and no list of words checks.
const FREE: &[Param] = &[
    Param::BPFCTLBLogFilter,
    Param::DataplaneWatchdogTimeout,
    Param::LocalSubnetL2ReachabilityRefreshInterval,
    Param::NftablesRefreshInterval,
];

/// Parameters whose words are not those of the table, in spelling or in number.
const WORDS: &[(Param, &[&str])] = &[
    (Param::BPFConntrackLogLevel, &["Off", "Debug"]),
    (Param::BPFRedirectToPeer, &["Enabled", "Disabled"]),
    (Param::IptablesBackend, &["Auto", "Legacy", "NFT"]),
];

/// Parameters that the server fills in.
const DEFAULTS: &[(Param, &str)] = &[
    (Param::NFTablesMode, "\"Auto\""),
    (Param::NFTablesFlowTableOffload, "\"Disabled\""),
];

/// The only numbers whose bounds are checked by the server.
const LEAST: &[(Param, i64)] = &[(Param::BPFMapSizeConntrackCleanupQueue, 1)];
const BOUNDS: &[(Param, (i64, i64))] = &[(Param::LogActionRateLimitBurst, (0, 9999))];

const FAILSAFE: Schema = object(
    "",
    &[
        opt("net", text("Only this network; everyone if left out.")),
        req("port", integer("The port.")),
        opt("protocol", text("TCP, UDP or SCTP; TCP if left out.")),
    ],
);

const HEALTH_TIMEOUT: Schema = object(
    "",
    &[
        req("name", text("The part of the agent.")),
        req("timeout", text("How long it may be silent.")),
    ],
);

const TABLE_BOUNDS: &[Field] = &[
    req("max", integer("The highest.")),
    req("min", integer("The lowest.")),
];

const TABLES: Schema = object("", TABLE_BOUNDS).rules(&[
    cel(".min", "tables begin at 1", "self.min >= 1"),
    cel(".max", "must not be less than min", "self.max >= self.min"),
]);

const OLD_TABLES: Schema = object("", TABLE_BOUNDS).rules(&[
    cel(".min", "tables begin at 1", "self.min >= 1"),
    cel(
        "",
        "must be a range within 1 to 250",
        "self.max >= self.min && self.max <= 250",
    ),
]);

const fn timeout(doc: &'static str) -> Schema {
    text(doc).matching(r"^(([0-9]*(\.[0-9]*)?(ms|s|h|m|us)+)+|Auto)$")
}

const CONNTRACK_TIMEOUTS: &[Field] = &[
    opt(
        "creationGracePeriod",
        timeout("How old a connection is at least."),
    ),
    opt("genericTimeout", timeout("Other protocols.")),
    opt("icmpTimeout", timeout("ICMP.")),
    opt("tcpEstablished", timeout("TCP, while it stands.")),
    opt("tcpFinsSeen", timeout("TCP, when both sides have closed.")),
    opt("tcpResetSeen", timeout("TCP, when it was reset.")),
    opt("tcpSynSent", timeout("TCP, before it stands.")),
    opt("udpTimeout", timeout("UDP.")),
];

/// What holds across fields of `spec`.
pub(super) const SPEC_RULES: &[Cel] = &[
    forbid(
        ".routeTableRange",
        "routeTableRanges replaces it: leave it out",
        "!has(self.routeTableRange) || !has(self.routeTableRanges)",
    ),
    address(
        ".natOutgoingAddress",
        IPV4,
        "!has(self.natOutgoingAddress) || self.natOutgoingAddress == '' || (isIP(self.natOutgoingAddress) && ip(self.natOutgoingAddress).family() == 4)",
    ),
    address(
        ".deviceRouteSourceAddress",
        IPV4,
        "!has(self.deviceRouteSourceAddress) || self.deviceRouteSourceAddress == '' || (isIP(self.deviceRouteSourceAddress) && ip(self.deviceRouteSourceAddress).family() == 4)",
    ),
    address(
        ".deviceRouteSourceAddressIPv6",
        IPV6,
        "!has(self.deviceRouteSourceAddressIPv6) || self.deviceRouteSourceAddressIPv6 == '' || (isIP(self.deviceRouteSourceAddressIPv6) && ip(self.deviceRouteSourceAddressIPv6).family() == 6)",
    ),
];

const IPV4: &str = "must be an IPv4 address";
const IPV6: &str = "must be an IPv6 address";

const fn address(field: &'static str, message: &'static str, rule: &'static str) -> Cel {
    cel(field, message, rule)
}

/// What holds of the whole object, since only it has the name.
pub(super) const RULES: &[Cel] = &[forbid(
    ".spec.nodeSelector",
    "is not for the objects named default and node.<name>",
    "!(self.metadata.name == 'default' || self.metadata.name.startsWith('node.')) || !has(self.spec.nodeSelector)",
)];

/// The fields of `spec`, by name.
pub(super) fn fields() -> Vec<Field> {
    let mut fields = vec![opt(
        "nodeSelector",
        selector("Nodes that the object is for; not in the objects `default` and `node.<name>`."),
    )];
    for param in Param::all() {
        let row = param.row();
        if let Some(name) = row.yaml {
            fields.push(opt(name, parameter(param).doc(row.doc)));
        }
    }
    fields.sort_by_key(|field| field.name);
    fields
}

/// The words that a field may be, spelt exactly; none if it is no word of a few.
pub(crate) fn words_of(param: Param) -> &'static [&'static str] {
    parameter(param).words
}

fn parameter(param: Param) -> Schema {
    let mut schema = by_kind(param);
    if let Some(pattern) = of(PATTERNS, param) {
        schema = text("").matching(pattern);
    }
    if let Some(words) = of(WORDS, param) {
        schema = word(words, "");
    }
    if FREE.contains(&param) {
        schema = text("");
    }
    if let Some(default) = of(DEFAULTS, param) {
        schema = schema.or(default);
    }
    if let Some(least) = of(LEAST, param) {
        schema = schema.at_least(least);
    }
    if let Some((least, greatest)) = of(BOUNDS, param) {
        schema = schema.between(least, greatest);
    }
    schema
}

fn of<T: Copy>(rows: &[(Param, T)], param: Param) -> Option<T> {
    let row = rows.iter().find(|(of, _)| *of == param);
    row.map(|(_, value)| *value)
}

fn by_kind(param: Param) -> Schema {
    match param.row().kind {
        Kind::Flag | Kind::OptionalFlag => flag(""),
        Kind::Int(..) => integer(""),
        Kind::Mark => integer("").format("int64").between(0, i64::from(u32::MAX)),
        Kind::Dscp | Kind::PortRange => int_or_string(""),
        Kind::Duration(_) => text("").matching(WHOLE_UNITS),
        Kind::Word(words) => word(words, ""),
        Kind::Address(_) => text("").up_to(45),
        Kind::Failsafes => list("", &FAILSAFE),
        Kind::PortRanges => list("", &PORT).up_to(7),
        Kind::Cidrs | Kind::InterfaceFilters => list("", &STRING),
        Kind::KeyDurations => atomic("", &HEALTH_TIMEOUT),
        Kind::TableRange => OLD_TABLES,
        Kind::TableRanges => list("", &TABLES),
        Kind::KeyValues if param == Param::BPFConntrackTimeouts => object("", CONNTRACK_TIMEOUTS),
        Kind::KeyValues => map("", &STRING),
        Kind::Text
        | Kind::Region
        | Kind::Pattern
        | Kind::File
        | Kind::Host
        | Kind::Authority
        | Kind::Endpoints
        | Kind::Interface
        | Kind::Interfaces
        | Kind::InterfacePatterns
        | Kind::LogRate => text(""),
    }
}
