//! Defaults and normal forms, as upstream's client and CRDs set them on every write.
//!
//! Works on the JSON before it is checked: whatever is not of the expected type is left for the check to report.

use model::{Cidr, Protocol, labels};
use serde_json::{Map, Value, json};

use crate::kind::Kind;
use crate::kinds::pool::block_sizes;
use crate::names;
use crate::object::object_at;

/// The label that carries a policy's tier.
const TIER_LABEL: &str = "projectcalico.org/tier";

/// Applies them to an object that is about to be checked.
pub(crate) fn apply(kind: Kind, map: &mut Map<String, Value>) {
    if let Some(Value::Object(meta)) = map.get_mut("metadata") {
        texts(meta, "labels");
        texts(meta, "annotations");
    }
    if let (Kind::Profile, Some(Value::Object(spec))) = (kind, map.get_mut("spec")) {
        texts(spec, "labelsToApply");
    }
    match kind {
        Kind::NetworkPolicy | Kind::GlobalNetworkPolicy => policy(map),
        Kind::StagedNetworkPolicy | Kind::StagedGlobalNetworkPolicy => staged_policy(map),
        Kind::KubernetesNetworkPolicy => kubernetes_policy(map),
        Kind::StagedKubernetesNetworkPolicy => staged_kubernetes_policy(map),
        Kind::Profile => {
            spec(map);
            rules_of(map, normalise_rule);
        }
        Kind::Tier => {
            if let Some(spec) = spec(map) {
                default(spec, "defaultAction", || json!("Deny"));
                // Where the default tier stands: upstream has no tier without an order.
                default(spec, "order", || json!(1_000_000));
            }
        }
        Kind::IpPool => pool(map),
        Kind::WorkloadEndpoint => workload_endpoint(map),
        Kind::IpamConfiguration => {
            if let Some(spec) = spec(map) {
                default(spec, "strictAffinity", || json!(false));
                default(spec, "autoAllocateBlocks", || json!(true));
                default(spec, "maxBlocksPerHost", || json!(0));
            }
        }
        Kind::HostEndpoint => ports_of(map),
        Kind::NetworkSet
        | Kind::GlobalNetworkSet
        | Kind::IpReservation
        | Kind::ClusterInformation
        | Kind::LiveMigration => {
            // Upstream's objects have a spec, be it empty.
            spec(map);
        }
        Kind::Node => {
            if let Some(Value::Object(bgp)) = spec(map).and_then(|spec| spec.get_mut("bgp")) {
                as_number(bgp.get_mut("asNumber"));
            }
        }
        Kind::FelixConfiguration => felix(map),
        Kind::BgpConfiguration => bgp_configuration(map),
        Kind::BgpPeer => bgp_peer(map),
        Kind::BgpFilter => bgp_filter(map),
        Kind::KubeControllersConfiguration => controllers(map),
        Kind::BlockAffinity
        | Kind::IpamBlock
        | Kind::IpamHandle
        | Kind::CalicoNodeStatus
        | Kind::KubernetesClusterNetworkPolicy
        | Kind::Namespace
        | Kind::ServiceAccount
        | Kind::Service
        | Kind::EndpointSlice => {}
    }
}

/// YAML's `true` and `1` without quotes are texts where texts are wanted, as upstream's reader has it.
fn texts(map: &mut Map<String, Value>, field: &str) {
    let Some(Value::Object(texts)) = map.get_mut(field) else {
        return;
    };
    for value in texts.values_mut() {
        if value.is_boolean() || value.is_number() {
            *value = value.to_string().into();
        }
    }
}

/// The spec, made if it is not there; `None` if something else stands in its place.
fn spec(map: &mut Map<String, Value>) -> Option<&mut Map<String, Value>> {
    match map.get("spec") {
        None | Some(Value::Null | Value::Object(_)) => Some(object_at(map, "spec")),
        Some(_) => None,
    }
}

/// True for what Go leaves out of JSON: nothing, an empty text where a text belongs, an empty list where a list does.
fn is_empty(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null) => true,
        Some(Value::String(text)) => text.is_empty(),
        Some(Value::Array(items)) => items.is_empty(),
        Some(Value::Bool(_) | Value::Number(_) | Value::Object(_)) => false,
    }
}

/// Fills a field in that is not there, or that holds what Go takes for nothing: an empty text in place of a text, an empty list in
/// place of a list. What is of another type stays, to be refused.
fn default(spec: &mut Map<String, Value>, field: &str, value: impl FnOnce() -> Value) {
    if !is_empty(spec.get(field)) {
        return;
    }
    let value = value();
    let replaced = match spec.get(field) {
        None | Some(Value::Null) => true,
        Some(Value::String(_)) => value.is_string(),
        Some(Value::Array(_)) => value.is_array(),
        Some(Value::Bool(_) | Value::Number(_) | Value::Object(_)) => false,
    };
    if replaced {
        spec.insert(field.to_owned(), value);
    }
}

fn policy(map: &mut Map<String, Value>) {
    rules_of(map, normalise_rule);
    let Some(spec) = spec(map) else { return };
    default(spec, "tier", || json!("default"));
    let has = |field| !is_empty(spec.get(field));
    let types = match (has("ingress"), has("egress")) {
        (false, true) => json!(["Egress"]),
        (true, true) => json!(["Ingress", "Egress"]),
        (_, false) => json!(["Ingress"]),
    };
    default(spec, "types", || types);
    let tier = spec.get("tier").cloned().unwrap_or_default();
    let is_value = tier.as_str().is_some_and(names::is_label_value);
    if is_value && map.get("metadata").is_some_and(Value::is_object) {
        let meta = object_at(map, "metadata");
        if meta
            .get("labels")
            .is_none_or(|l| l.is_object() || l.is_null())
        {
            object_at(meta, "labels").insert(TIER_LABEL.to_owned(), tier);
        }
    }
}

/// As of an enforced policy; one that stands for a deletion has no types.
fn staged_policy(map: &mut Map<String, Value>) {
    policy(map);
    let Some(spec) = spec(map) else { return };
    default(spec, "stagedAction", || json!("Set"));
    if spec.get("stagedAction").and_then(Value::as_str) == Some("Delete") {
        spec.remove("types");
    }
}

/// Upstream leaves the types to be derived on reading.
fn staged_kubernetes_policy(map: &mut Map<String, Value>) {
    let Some(spec) = spec(map) else { return };
    default(spec, "stagedAction", || json!("Set"));
    default(spec, "podSelector", || json!({}));
}

/// What Kubernetes' API server would have done.
fn kubernetes_policy(map: &mut Map<String, Value>) {
    let Some(spec) = spec(map) else { return };
    let types = if is_empty(spec.get("egress")) {
        json!(["Ingress"])
    } else {
        json!(["Ingress", "Egress"])
    };
    default(spec, "policyTypes", || types);
    default(spec, "podSelector", || json!({}));
}

fn rules_of(map: &mut Map<String, Value>, normalise: fn(&mut Map<String, Value>)) {
    let Some(Value::Object(spec)) = map.get_mut("spec") else {
        return;
    };
    for direction in ["ingress", "egress"] {
        if let Some(Value::Array(rules)) = spec.get_mut(direction) {
            rules
                .iter_mut()
                .filter_map(Value::as_object_mut)
                .for_each(normalise);
        }
    }
}

fn normalise_rule(rule: &mut Map<String, Value>) {
    for field in ["protocol", "notProtocol"] {
        normalise_protocol(rule, field);
    }
}

/// `tcp` becomes `TCP`, `"6"` becomes `TCP`; a number stays a number.
fn normalise_protocol(map: &mut Map<String, Value>, field: &str) {
    let Some(Value::String(text)) = map.get_mut(field) else {
        return;
    };
    if let Ok(protocol) = text.parse::<Protocol>() {
        if text.bytes().all(|b| b.is_ascii_digit()) {
            return;
        }
        *text = protocol.to_string();
    }
}

fn ports_of(map: &mut Map<String, Value>) {
    let Some(Value::Object(spec)) = map.get_mut("spec") else {
        return;
    };
    let Some(Value::Array(ports)) = spec.get_mut("ports") else {
        return;
    };
    for port in ports.iter_mut().filter_map(Value::as_object_mut) {
        normalise_protocol(port, "protocol");
    }
}

fn pool(map: &mut Map<String, Value>) {
    let Some(Value::Object(spec)) = map.get_mut("spec") else {
        return;
    };
    let cidr = spec.get("cidr").and_then(Value::as_str);
    if let Some(cidr) = cidr.and_then(|text| text.parse::<Cidr>().ok()) {
        // Another spelling of the same network is written as everyone writes it; a wrong one is left to be refused.
        let addr = spec
            .get("cidr")
            .and_then(Value::as_str)
            .and_then(|t| t.split('/').next());
        if addr.and_then(|a| a.parse().ok()) == Some(cidr.addr()) {
            spec.insert("cidr".to_owned(), cidr.to_string().into());
        }
        let size = spec.get("blockSize").and_then(Value::as_i64);
        if size == Some(0) {
            spec.remove("blockSize");
        }
        default(spec, "blockSize", || json!(block_sizes(cidr.family()).2));
    }
    default(spec, "nodeSelector", || json!("all()"));
    default(spec, "allowedUses", || json!(["Workload", "Tunnel"]));
    default(spec, "vxlanMode", || json!("Never"));
    default(spec, "ipipMode", || json!("Never"));
    // Not for an empty one, which upstream refuses.
    if spec.get("assignmentMode").is_none_or(Value::is_null) {
        spec.insert("assignmentMode".to_owned(), json!("Automatic"));
    }
}

fn workload_endpoint(map: &mut Map<String, Value>) {
    ports_of(map);
    let text = |map: &Map<String, Value>, a: &str, b: &str| {
        map.get(a)
            .and_then(|v| v.get(b))
            .and_then(Value::as_str)
            .map(str::to_owned)
    };
    let orchestrator = text(map, "spec", "orchestrator");
    let namespace = text(map, "metadata", "namespace");
    let meta = object_at(map, "metadata");
    if meta
        .get("labels")
        .is_some_and(|l| !l.is_object() && !l.is_null())
    {
        return;
    }
    let own = object_at(meta, "labels");
    let pairs = [
        (labels::NAMESPACE, namespace),
        (labels::ORCHESTRATOR, orchestrator),
    ];
    for (key, value) in pairs {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            own.insert(key.to_owned(), value.into());
        }
    }
}

/// A dotted AS number becomes the number it stands for, as everyone stores it.
fn as_number(value: Option<&mut Value>) {
    let Some(value) = value else { return };
    if let Some(number) = value.as_str().and_then(names::as_number) {
        *value = json!(number);
    }
}

fn as_numbers(list: Option<&mut Value>) {
    let items = list.and_then(Value::as_array_mut);
    for item in items.into_iter().flatten() {
        as_number(Some(item));
    }
}

/// A reference to a secret has a name, be it empty.
fn secret(spec: &mut Map<String, Value>, field: &str) {
    let reference = spec
        .get_mut(field)
        .and_then(|password| password.get_mut("secretKeyRef"))
        .and_then(Value::as_object_mut);
    if let Some(reference) = reference {
        default(reference, "name", || json!(""));
    }
}

fn bgp_configuration(map: &mut Map<String, Value>) {
    let Some(spec) = spec(map) else { return };
    as_number(spec.get_mut("asNumber"));
    secret(spec, "nodeMeshPassword");
    default(spec, "logSeverityScreen", || json!("Info"));
    default(spec, "serviceLoadBalancerAggregation", || json!("Enabled"));
    // Go has no other way to say that no port is given.
    if spec.get("listenPort").and_then(Value::as_i64) == Some(0) {
        spec.remove("listenPort");
    }
}

fn bgp_peer(map: &mut Map<String, Value>) {
    let Some(spec) = spec(map) else { return };
    secret(spec, "password");
    for field in ["asNumber", "localASNumber"] {
        as_number(spec.get_mut(field));
    }
}

fn bgp_filter(map: &mut Map<String, Value>) {
    let Some(spec) = spec(map) else { return };
    for field in ["exportV4", "importV4", "exportV6", "importV6"] {
        let rules = spec.get_mut(field).and_then(Value::as_array_mut);
        for rule in rules.into_iter().flatten() {
            as_numbers(rule.get_mut("asPathPrefix"));
            let operations = rule.get_mut("operations").and_then(Value::as_array_mut);
            for operation in operations.into_iter().flatten() {
                as_numbers(operation.pointer_mut("/prependASPath/prefix"));
            }
        }
    }
}

/// Fields that upstream's client and CRD fill in. The older switch of load balancing decides two of them.
fn felix(map: &mut Map<String, Value>) {
    let Some(spec) = spec(map) else { return };
    let defaults = [
        ("nftablesMode", "Auto"),
        ("nftablesFlowTableOffload", "Disabled"),
        ("floatingIPs", "Disabled"),
        ("bpfConnectTimeLoadBalancing", "TCP"),
        ("bpfHostNetworkedNATWithoutCTLB", "Enabled"),
    ];
    for (field, value) in defaults {
        default(spec, field, || json!(value));
    }
    let switch = spec.get("bpfConnectTimeLoadBalancingEnabled");
    if let Some(on) = switch.and_then(Value::as_bool) {
        let mode = if on { "Enabled" } else { "Disabled" };
        let decided = [
            ("bpfConnectTimeLoadBalancing", mode),
            ("bpfHostNetworkedNATWithoutCTLB", "Disabled"),
        ];
        for (field, value) in decided {
            // What is no such word is left to be refused.
            let given = spec.get(field).and_then(Value::as_str);
            if given.is_some_and(|word| ["TCP", "Enabled", "Disabled"].contains(&word)) {
                spec.insert(field.to_owned(), json!(value));
            }
        }
    }
}

fn controllers(map: &mut Map<String, Value>) {
    let Some(spec) = spec(map) else { return };
    default(spec, "healthChecks", || json!("Enabled"));
    default(spec, "prometheusMetricsPort", || json!(9094));
    default(spec, "controllers", || json!({}));
    let Some(Value::Object(controllers)) = spec.get_mut("controllers") else {
        return;
    };
    let defaults = [
        ("node", "leakGracePeriod", "15m0s"),
        ("loadBalancer", "assignIPs", "AllServices"),
        ("migration", "policyNameMigrator", "Enabled"),
    ];
    for (controller, field, value) in defaults {
        if let Some(Value::Object(controller)) = controllers.get_mut(controller) {
            default(controller, field, || json!(value));
        }
    }
}
