//! The columns of each kind in tables: upstream's headings and values.

use api::{Kind, Object};
use serde_json::Value;

/// How a column finds its value.
#[derive(Clone, Copy)]
enum Cell {
    /// The text or number there, as Go prints a value.
    Plain(&'static str),
    /// A pointer in Go: `<nil>` if it is not there.
    Optional(&'static str),
    /// A pointer to a float: `1e+06` for a million.
    OptionalFloat(&'static str),
    /// A boolean that is false if it is not there.
    Flag(&'static str),
    /// All members, joined by commas; of a map, `key=value`.
    Joined(&'static str),
    /// The same, cut at 80 characters.
    JoinedShort(&'static str),
    /// The text there, or `Never`.
    Mode(&'static str),
    /// The first that is there.
    Either(&'static str, &'static str),
    /// The AS number of a node with BGP, or the default one in brackets.
    AsNumber,
    /// The value there, or a dash.
    OrDash(&'static str),
    /// The number there, or `0`.
    OrZero(&'static str),
    /// How many members the list there has.
    Count(&'static str),
    /// Which nodes a BGP peering is for.
    PeerNode,
    /// A Kubernetes label selector, as Go prints one.
    LabelSelector(&'static str),
}

/// Looks up the AS number of nodes that have none of their own.
pub(crate) type AsNumber<'a> = &'a dyn Fn() -> String;

/// The columns of a kind.
pub(crate) struct Columns {
    pub(crate) narrow: &'static [&'static str],
    pub(crate) wide: &'static [&'static str],
    cells: &'static [(&'static str, Cell)],
}

const NAME: (&str, Cell) = ("NAME", Cell::Plain("/metadata/name"));
const NAMESPACE: (&str, Cell) = ("NAMESPACE", Cell::Plain("/metadata/namespace"));
const TIER: (&str, Cell) = ("TIER", Cell::Plain("/spec/tier"));
const ORDER: (&str, Cell) = ("ORDER", Cell::OptionalFloat("/spec/order"));
const SELECTOR: (&str, Cell) = ("SELECTOR", Cell::Plain("/spec/selector"));
const NETS: (&str, Cell) = ("NETS", Cell::JoinedShort("/spec/nets"));
const NODE: (&str, Cell) = ("NODE", Cell::Plain("/spec/node"));
const INTERFACE: (&str, Cell) = ("INTERFACE", Cell::Plain("/spec/interfaceName"));
const PROFILES: (&str, Cell) = ("PROFILES", Cell::Joined("/spec/profiles"));

const POLICY_WIDE: &[&str] = &["NAME", "TIER", "ORDER", "SELECTOR"];

/// The columns of a kind.
pub(crate) fn of(kind: Kind) -> Columns {
    let (narrow, wide, cells) = parts(kind);
    Columns {
        narrow,
        wide,
        cells,
    }
}

type Parts = (
    &'static [&'static str],
    &'static [&'static str],
    &'static [(&'static str, Cell)],
);

fn parts(kind: Kind) -> Parts {
    match kind {
        Kind::NetworkPolicy | Kind::StagedNetworkPolicy => (
            &["NAME", "TIER"],
            POLICY_WIDE,
            &[NAME, NAMESPACE, ORDER, SELECTOR, TIER],
        ),
        Kind::GlobalNetworkPolicy | Kind::StagedGlobalNetworkPolicy => (
            &["NAME", "TIER"],
            POLICY_WIDE,
            &[NAME, ORDER, SELECTOR, TIER],
        ),
        Kind::StagedKubernetesNetworkPolicy => staged_kubernetes_policy(),
        // Upstream's calicoctl does not list this one.
        Kind::KubernetesClusterNetworkPolicy => {
            const COLUMNS: &[&str] = &["NAME", "TIER", "PRIORITY"];
            (
                COLUMNS,
                COLUMNS,
                &[NAME, TIER, ("PRIORITY", Cell::Plain("/spec/priority"))],
            )
        }
        Kind::BgpConfiguration => bgp_configuration(),
        Kind::BgpPeer => bgp_peer(),
        Kind::BgpFilter => bgp_filter(),
        Kind::CalicoNodeStatus => (
            &["NAME", "NODE"],
            &["NAME", "NODE", "CLASSES"],
            &[NAME, NODE, ("CLASSES", Cell::Joined("/spec/classes"))],
        ),
        Kind::Tier => (&["NAME", "ORDER"], &["NAME", "ORDER"], &[NAME, ORDER]),
        Kind::NetworkSet => (&["NAME"], &["NAME", "NETS"], &[NAME, NAMESPACE, NETS]),
        Kind::GlobalNetworkSet => (&["NAME"], &["NAME", "NETS"], &[NAME, NETS]),
        Kind::Profile => (
            &["NAME"],
            &["NAME", "LABELS"],
            &[NAME, ("LABELS", Cell::Joined("/spec/labelsToApply"))],
        ),
        Kind::WorkloadEndpoint => workload_endpoint(),
        Kind::HostEndpoint => host_endpoint(),
        Kind::Node => node(),
        Kind::IpPool => ip_pool(),
        Kind::IpReservation => (
            &["NAME"],
            &["NAME", "CIDRS"],
            &[NAME, ("CIDRS", Cell::JoinedShort("/spec/reservedCIDRs"))],
        ),
        Kind::IpamConfiguration => ipam_configuration(),
        Kind::ClusterInformation => cluster_information(),
        // Upstream's calicoctl does not list these two, nor blocks.
        Kind::BlockAffinity => (
            &["NAME", "NODE", "CIDR"],
            &["NAME", "NODE", "CIDR", "STATE"],
            &[
                NAME,
                NODE,
                ("CIDR", Cell::Plain("/spec/cidr")),
                ("STATE", Cell::Plain("/spec/state")),
            ],
        ),
        Kind::IpamBlock => {
            const COLUMNS: &[&str] = &["NAME", "CIDR", "AFFINITY"];
            (
                COLUMNS,
                COLUMNS,
                &[
                    NAME,
                    ("CIDR", Cell::Plain("/spec/cidr")),
                    ("AFFINITY", Cell::Plain("/spec/affinity")),
                ],
            )
        }
        Kind::FelixConfiguration
        | Kind::KubeControllersConfiguration
        | Kind::IpamHandle
        | Kind::Namespace => (&["NAME"], &["NAME"], &[NAME]),
        Kind::ServiceAccount
        | Kind::KubernetesNetworkPolicy
        | Kind::LiveMigration
        | Kind::Service
        | Kind::EndpointSlice => (&["NAME"], &["NAME"], &[NAME, NAMESPACE]),
    }
}

fn host_endpoint() -> Parts {
    (
        &["NAME", "NODE"],
        &["NAME", "NODE", "INTERFACE", "IPS", "PROFILES"],
        &[
            NAME,
            NODE,
            INTERFACE,
            ("IPS", Cell::Joined("/spec/expectedIPs")),
            PROFILES,
        ],
    )
}

fn node() -> Parts {
    (
        &["NAME"],
        &["NAME", "ASN", "IPV4", "IPV6"],
        &[
            NAME,
            ("ASN", Cell::AsNumber),
            ("IPV4", Cell::Plain("/spec/bgp/ipv4Address")),
            ("IPV6", Cell::Plain("/spec/bgp/ipv6Address")),
        ],
    )
}

fn ipam_configuration() -> Parts {
    (
        &["NAME", "STRICTAFFINITY", "AUTOALLOCATEBLOCKS"],
        &[
            "NAME",
            "STRICTAFFINITY",
            "AUTOALLOCATEBLOCKS",
            "MAXBLOCKSPERHOST",
        ],
        &[
            NAME,
            ("STRICTAFFINITY", Cell::Flag("/spec/strictAffinity")),
            ("AUTOALLOCATEBLOCKS", Cell::Flag("/spec/autoAllocateBlocks")),
            ("MAXBLOCKSPERHOST", Cell::Plain("/spec/maxBlocksPerHost")),
        ],
    )
}

fn staged_kubernetes_policy() -> Parts {
    (
        &["NAME"],
        &["NAME", "PODSELECTOR"],
        &[
            NAME,
            NAMESPACE,
            ("PODSELECTOR", Cell::LabelSelector("/spec/podSelector")),
        ],
    )
}

fn workload_endpoint() -> Parts {
    (
        &["WORKLOAD", "NODE", "NETWORKS", "INTERFACE"],
        &[
            "NAME",
            "WORKLOAD",
            "NODE",
            "NETWORKS",
            "INTERFACE",
            "PROFILES",
            "NATS",
        ],
        &[
            NAME,
            NAMESPACE,
            NODE,
            ("ORCHESTRATOR", Cell::Plain("/spec/orchestrator")),
            ("WORKLOAD", Cell::Either("/spec/workload", "/spec/pod")),
            ("NETWORKS", Cell::Joined("/spec/ipNetworks")),
            ("NATS", Cell::Joined("/spec/ipNATs")),
            PROFILES,
            INTERFACE,
        ],
    )
}

fn ip_pool() -> Parts {
    (
        &["NAME", "CIDR", "SELECTOR"],
        &[
            "NAME",
            "CIDR",
            "NAT",
            "IPIPMODE",
            "VXLANMODE",
            "DISABLED",
            "DISABLEBGPEXPORT",
            "SELECTOR",
            "ASSIGNMENTMODE",
        ],
        &[
            NAME,
            ("CIDR", Cell::Plain("/spec/cidr")),
            ("NAT", Cell::Flag("/spec/natOutgoing")),
            ("IPIPMODE", Cell::Mode("/spec/ipipMode")),
            ("VXLANMODE", Cell::Mode("/spec/vxlanMode")),
            ("DISABLED", Cell::Flag("/spec/disabled")),
            ("DISABLEBGPEXPORT", Cell::Flag("/spec/disableBGPExport")),
            ("SELECTOR", Cell::Plain("/spec/nodeSelector")),
            ("ASSIGNMENTMODE", Cell::Optional("/spec/assignmentMode")),
        ],
    )
}

fn bgp_configuration() -> Parts {
    const COLUMNS: &[&str] = &["NAME", "LOGSEVERITY", "MESHENABLED", "ASNUMBER"];
    (
        COLUMNS,
        COLUMNS,
        &[
            NAME,
            ("LOGSEVERITY", Cell::Plain("/spec/logSeverityScreen")),
            ("MESHENABLED", Cell::OrDash("/spec/nodeToNodeMeshEnabled")),
            ("ASNUMBER", Cell::OrDash("/spec/asNumber")),
        ],
    )
}

fn bgp_peer() -> Parts {
    const COLUMNS: &[&str] = &["NAME", "PEERIP", "NODE", "ASN"];
    (
        COLUMNS,
        COLUMNS,
        &[
            NAME,
            ("PEERIP", Cell::Plain("/spec/peerIP")),
            ("NODE", Cell::PeerNode),
            ("ASN", Cell::OrZero("/spec/asNumber")),
        ],
    )
}

fn bgp_filter() -> Parts {
    const COLUMNS: &[&str] = &[
        "NAME",
        "NUMEXPORTV4",
        "NUMIMPORTV4",
        "NUMEXPORTV6",
        "NUMIMPORTV6",
    ];
    (
        COLUMNS,
        COLUMNS,
        &[
            NAME,
            ("NUMEXPORTV4", Cell::Count("/spec/exportV4")),
            ("NUMIMPORTV4", Cell::Count("/spec/importV4")),
            ("NUMEXPORTV6", Cell::Count("/spec/exportV6")),
            ("NUMIMPORTV6", Cell::Count("/spec/importV6")),
        ],
    )
}

fn cluster_information() -> Parts {
    const COLUMNS: &[&str] = &[
        "NAME",
        "CLUSTERGUID",
        "CLUSTERTYPE",
        "CALICOVERSION",
        "DATASTOREREADY",
    ];
    (
        COLUMNS,
        COLUMNS,
        &[
            NAME,
            ("CLUSTERGUID", Cell::Plain("/spec/clusterGUID")),
            ("CLUSTERTYPE", Cell::Plain("/spec/clusterType")),
            ("CALICOVERSION", Cell::Plain("/spec/calicoVersion")),
            ("DATASTOREREADY", Cell::Optional("/spec/datastoreReady")),
        ],
    )
}

impl Columns {
    /// The value of a column for an object; `None` if the kind has no such column.
    pub(crate) fn value(
        &self,
        heading: &str,
        object: &Object,
        as_number: AsNumber<'_>,
    ) -> Option<String> {
        let (_, cell) = self.cells.iter().find(|(name, _)| *name == heading)?;
        Some(cell.value(object, as_number))
    }

    /// All headings of the kind.
    pub(crate) fn headings(&self) -> Vec<&'static str> {
        self.cells.iter().map(|(name, _)| *name).collect()
    }
}

impl Cell {
    fn value(self, object: &Object, as_number: AsNumber<'_>) -> String {
        let at = |pointer: &str| object.pointer(pointer).filter(|value| !value.is_null());
        match self {
            Cell::Plain(pointer) => at(pointer).map(go_value).unwrap_or_default(),
            Cell::Optional(pointer) => at(pointer).map_or_else(|| "<nil>".to_owned(), go_value),
            Cell::OptionalFloat(pointer) => match at(pointer) {
                Some(value) => value.as_f64().map_or_else(|| go_value(value), go_float),
                None => "<nil>".to_owned(),
            },
            Cell::Flag(pointer) => at(pointer).map_or_else(|| "false".to_owned(), go_value),
            Cell::Joined(pointer) => joined(at(pointer), usize::MAX),
            Cell::JoinedShort(pointer) => joined(at(pointer), 80),
            Cell::Mode(pointer) => match object.text_at(pointer) {
                "" => "Never".to_owned(),
                mode => mode.to_owned(),
            },
            Cell::Either(first, second) => match object.text_at(first) {
                "" => object.text_at(second).to_owned(),
                text => text.to_owned(),
            },
            Cell::AsNumber => match (at("/spec/bgp"), at("/spec/bgp/asNumber")) {
                (None, _) => String::new(),
                (Some(_), Some(number)) => go_value(number),
                (Some(_), None) => format!("({})", as_number()),
            },
            Cell::OrDash(pointer) => at(pointer).map_or_else(|| "-".to_owned(), go_value),
            Cell::OrZero(pointer) => at(pointer).map_or_else(|| "0".to_owned(), go_value),
            Cell::Count(pointer) => {
                let items = at(pointer).and_then(Value::as_array);
                items.map_or(0, Vec::len).to_string()
            }
            Cell::PeerNode => match (
                object.text_at("/spec/node"),
                object.text_at("/spec/nodeSelector"),
            ) {
                ("", "") => "(global)".to_owned(),
                ("", selector) => selector.to_owned(),
                (node, _) => node.to_owned(),
            },
            Cell::LabelSelector(pointer) => label_selector(at(pointer)),
        }
    }
}

/// What the generated `String` of Kubernetes' `LabelSelector` prints.
fn label_selector(selector: Option<&Value>) -> String {
    let field = |name: &str| selector.and_then(|selector| selector.get(name));
    let labels: String = field("matchLabels")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .map(|(key, value)| format!("{key}: {},", go_value(value)))
        .collect();
    let terms: String = field("matchExpressions")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .map(|term| {
            let text = |name: &str| term.get(name).map(go_value).unwrap_or_default();
            let values = term.get("values").and_then(Value::as_array);
            let values: Vec<String> = values.into_iter().flatten().map(go_value).collect();
            format!(
                "LabelSelectorRequirement{{Key:{},Operator:{},Values:[{}],}},",
                text("key"),
                text("operator"),
                values.join(" ")
            )
        })
        .collect();
    format!(
        "&LabelSelector{{MatchLabels:map[string]string{{{labels}}},\
         MatchExpressions:[]LabelSelectorRequirement{{{terms}}},}}"
    )
}

fn joined(value: Option<&Value>, limit: usize) -> String {
    const CUT: &str = "...";
    let parts: Vec<String> = match value {
        Some(Value::Array(items)) => items.iter().map(go_value).collect(),
        Some(Value::Object(map)) => {
            let mut parts: Vec<String> = map
                .iter()
                .map(|(key, value)| format!("{key}={}", go_value(value)))
                .collect();
            parts.sort();
            parts
        }
        Some(other) => vec![go_value(other)],
        None => Vec::new(),
    };
    let text = parts.join(",");
    if text.chars().count() <= limit {
        return text;
    }
    let kept: String = text.chars().take(limit - CUT.len()).collect();
    kept + CUT
}

/// A value as Go's `fmt` prints it.
fn go_value(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => {
            if number.is_f64() {
                go_float(number.as_f64().unwrap_or_default())
            } else {
                number.to_string()
            }
        }
        Value::Object(map) => {
            // Structs print as their values in braces; only an address translation is ever in a table.
            let order = ["internalIP", "externalIP"];
            let known = order.iter().filter_map(|field| map.get(*field));
            let rest = map
                .iter()
                .filter(|(field, _)| !order.contains(&field.as_str()))
                .map(|(_, value)| value);
            let values: Vec<String> = known.chain(rest).map(go_value).collect();
            format!("{{{}}}", values.join(" "))
        }
        Value::Null => "<nil>".to_owned(),
        Value::Bool(_) | Value::Array(_) => value.to_string(),
    }
}

/// Shortest digits, with an exponent below 1e-04 and from 1e+06 on.
pub(crate) fn go_float(value: f64) -> String {
    let scientific = format!("{value:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    if (-4..6).contains(&exponent) {
        return format!("{value}");
    }
    if exponent < 0 {
        return format!("{digits}e-{:02}", exponent.abs());
    }
    format!("{digits}e+{exponent:02}")
}

#[cfg(test)]
mod tests {
    use api::{Kind, Object};
    use serde_json::json;

    use super::{go_float, of};

    fn cells(object: &Object) -> Vec<String> {
        let columns = of(object.kind());
        let value = |heading: &&str| {
            columns
                .value(heading, object, &|| "64512".to_owned())
                .unwrap_or_default()
        };
        columns.wide.iter().map(value).collect()
    }

    #[test]
    fn every_heading_of_every_kind_has_a_cell() {
        for kind in Kind::all() {
            let columns = of(kind);
            let object = Object::new(kind, Some("ns"), "name");
            for heading in columns.narrow.iter().chain(columns.wide) {
                assert!(
                    columns.value(heading, &object, &String::new).is_some(),
                    "{kind} {heading}"
                );
            }
        }
    }

    #[test]
    fn what_is_not_there_is_said_as_upstream_says_it() {
        let peer = Object::new(Kind::BgpPeer, None, "p");
        assert_eq!(cells(&peer), ["p", "", "(global)", "0"]);
        let configuration = Object::new(Kind::BgpConfiguration, None, "default");
        assert_eq!(cells(&configuration), ["default", "", "-", "-"]);
        let filter = Object::new(Kind::BgpFilter, None, "f");
        assert_eq!(cells(&filter), ["f", "0", "0", "0", "0"]);
    }

    #[test]
    fn selectors_of_pods_as_go_prints_them() {
        let mut policy = Object::new(Kind::StagedKubernetesNetworkPolicy, Some("ns"), "p");
        let selector = json!({
            "matchLabels": {"app": "web"},
            "matchExpressions": [{"key": "tier", "operator": "In", "values": ["a", "b"]}],
        });
        policy.spec_mut().insert("podSelector".to_owned(), selector);
        let expected = "&LabelSelector{MatchLabels:map[string]string{app: web,},\
                        MatchExpressions:[]LabelSelectorRequirement{\
                        LabelSelectorRequirement{Key:tier,Operator:In,Values:[a b],},},}";
        assert_eq!(cells(&policy), ["p", expected]);
    }

    /// The expected texts were printed by Go.
    #[test]
    fn floats_as_go_prints_them() {
        for (value, expected) in [
            (1_000_000.0, "1e+06"),
            (100_000.0, "100000"),
            (123_456_789.0, "1.23456789e+08"),
            (1_234_567.5, "1.2345675e+06"),
            (0.5, "0.5"),
            (1e20, "1e+20"),
            (0.00001, "1e-05"),
            (0.0001, "0.0001"),
        ] {
            assert_eq!(go_float(value), expected);
        }
    }
}
