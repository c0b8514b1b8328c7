//! Nodes of Kubernetes with Calico's part of them, which is in their annotations.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use model::{Cidr, Family, Mac};
use serde_json::{Map, Value, json};

use crate::gojson;
use crate::kind::Kind;
use crate::object::{Object, object_at};

const PREFIX: &str = "projectcalico.org/";
/// Labels and annotations that the Calico node has and the Kubernetes node has not, as JSON.
const LABELS: &str = "projectcalico.org/labels";
const ANNOTATIONS: &str = "projectcalico.org/annotations";
/// On the Calico node: the labels that it has from the Kubernetes node, so that a write leaves them out.
const KUBE_LABELS: &str = "projectcalico.org/kube-labels";
const INTERFACES: &str = "projectcalico.org/Interfaces";

/// A field of the Calico node, the annotation that holds it, and when that is believed.
struct Field {
    path: [&'static str; 2],
    annotation: &'static str,
    valid: fn(&str) -> bool,
}

const FIELDS: [Field; 13] = [
    field("bgp", "ipv4Address", "IPv4Address", network_v4),
    field("bgp", "ipv6Address", "IPv6Address", network_v6),
    field("bgp", "asNumber", "ASNumber", as_number),
    field(
        "bgp",
        "routeReflectorClusterID",
        "RouteReflectorClusterID",
        address_v4,
    ),
    field(
        "bgp",
        "ipv4IPIPTunnelAddr",
        "IPv4IPIPTunnelAddr",
        address_v4,
    ),
    field(
        "wireguard",
        "interfaceIPv4Address",
        "IPv4WireguardInterfaceAddr",
        address_v4,
    ),
    field(
        "wireguard",
        "interfaceIPv6Address",
        "IPv6WireguardInterfaceAddr",
        address_v6,
    ),
    field("", "ipv4VXLANTunnelAddr", "IPv4VXLANTunnelAddr", address_v4),
    field("", "vxlanTunnelMACAddr", "VXLANTunnelMACAddr", mac),
    field("", "ipv6VXLANTunnelAddr", "IPv6VXLANTunnelAddr", address_v6),
    field("", "vxlanTunnelMACAddrV6", "VXLANTunnelMACAddrV6", mac),
    field("status", "wireguardPublicKey", "WireguardPublicKey", any),
    field(
        "status",
        "wireguardPublicKeyV6",
        "WireguardPublicKeyV6",
        any,
    ),
];

const fn field(
    parent: &'static str,
    name: &'static str,
    annotation: &'static str,
    valid: fn(&str) -> bool,
) -> Field {
    Field {
        path: [parent, name],
        annotation,
        valid,
    }
}

/// The Calico node that a Kubernetes node has in it.
pub(super) fn to_object(node: &Map<String, Value>, problems: &mut Vec<String>) -> Object {
    let empty = Map::new();
    let meta = node
        .get("metadata")
        .and_then(Value::as_object)
        .unwrap_or(&empty);
    let name = meta.get("name").and_then(Value::as_str).unwrap_or("");
    let annotation = |name: &str| {
        let text = meta
            .get("annotations")
            .and_then(|all| all.get(name))?
            .as_str()?;
        Some(text).filter(|text| !text.is_empty())
    };
    let mut object = Object::new(Kind::Node, None, name);
    identify(&mut object, meta, annotation, problems);
    let refs = json!([{"nodeName": name, "orchestrator": "k8s"}]);
    object.spec_mut().insert("orchRefs".to_owned(), refs);
    for Field {
        path: [parent, field],
        annotation: short,
        valid,
    } in FIELDS
    {
        let name = format!("{PREFIX}{short}");
        let Some(text) = annotation(&name) else {
            continue;
        };
        if !valid(text) {
            problems.push(format!(
                "annotation {name}: {text:?} is not valid and has no effect"
            ));
            continue;
        }
        let value = match parse_as_number(text) {
            Some(number) if field == "asNumber" => json!(number),
            Some(_) | None => text.into(),
        };
        parent_of(&mut object, parent).insert(field.to_owned(), value);
    }
    addresses(&mut object, node);
    if let Some(text) = annotation(INTERFACES) {
        match serde_json::from_str::<Value>(text) {
            Ok(Value::Array(interfaces)) => {
                object
                    .spec_mut()
                    .insert("interfaces".to_owned(), usable(interfaces).into());
            }
            Ok(_) | Err(_) => {
                problems.push(format!("annotation {INTERFACES} is no list of interfaces"))
            }
        }
    }
    let cidrs = node.get("spec").and_then(|spec| spec.get("podCIDRs"));
    if let Some(cidrs) = cidrs.filter(|cidrs| cidrs.as_array().is_some_and(|all| !all.is_empty())) {
        parent_of(&mut object, "status").insert("podCIDRs".to_owned(), cidrs.clone());
    }
    object
}

fn parent_of<'o>(object: &'o mut Object, parent: &str) -> &'o mut Map<String, Value> {
    match parent {
        "" => object.spec_mut(),
        "status" => object_at(object.value_mut(), "status"),
        _ => object_at(object.spec_mut(), parent),
    }
}

/// The names of both: those of Kubernetes go before.
fn identify<'a>(
    object: &mut Object,
    meta: &Map<String, Value>,
    annotation: impl Fn(&str) -> Option<&'a str>,
    problems: &mut Vec<String>,
) {
    let mut stored = |name: &str| {
        let text = annotation(name)?;
        match serde_json::from_str::<Map<String, Value>>(text) {
            Ok(map) => Some(map),
            Err(error) => {
                problems.push(format!("annotation {name} is no JSON object: {error}"));
                None
            }
        }
    };
    let mut labels = stored(LABELS).unwrap_or_default();
    let mut annotations = stored(ANNOTATIONS).unwrap_or_default();
    let own = meta.get("labels").cloned().unwrap_or(Value::Null);
    labels.extend(own.as_object().cloned().unwrap_or_default());
    let text = String::from_utf8_lossy(&gojson::to_vec(&own)).into_owned();
    annotations.insert(KUBE_LABELS.to_owned(), text.into());
    let out = object.metadata_mut();
    for field in ["uid", "creationTimestamp"] {
        if let Some(value) = meta.get(field) {
            out.insert(field.to_owned(), value.clone());
        }
    }
    if !labels.is_empty() {
        out.insert("labels".to_owned(), labels.into());
    }
    out.insert("annotations".to_owned(), annotations.into());
}

/// All addresses of the node, with where each is from.
fn addresses(object: &mut Object, node: &Map<String, Value>) {
    let mut all = Vec::new();
    for field in ["ipv4Address", "ipv6Address"] {
        if let Some(address) = object.pointer(&format!("/spec/bgp/{field}")) {
            all.push(json!({"address": address, "type": "CalicoNodeIP"}));
        }
    }
    let status = node
        .get("status")
        .and_then(|status| status.get("addresses"));
    for one in status.and_then(Value::as_array).into_iter().flatten() {
        let kind = one.get("type").and_then(Value::as_str);
        if let (Some("InternalIP" | "ExternalIP"), Some(address)) = (kind, one.get("address")) {
            all.push(json!({"address": address, "type": kind}));
        }
    }
    if !all.is_empty() {
        object.spec_mut().insert("addresses".to_owned(), all.into());
    }
}

/// Interfaces without what is no address.
fn usable(mut interfaces: Vec<Value>) -> Vec<Value> {
    for interface in &mut interfaces {
        if let Some(Value::Array(addresses)) = interface.get_mut("addresses") {
            addresses.retain(|one| {
                one.as_str()
                    .is_some_and(|text| text.parse::<IpAddr>().is_ok())
            });
        }
    }
    interfaces
}

/// The annotations that say what a Calico node says; null removes one.
pub(super) fn annotations(object: &Object) -> Map<String, Value> {
    let mut out = Map::new();
    for Field {
        path: [parent, field],
        annotation,
        ..
    } in FIELDS
    {
        let pointer = match parent {
            "" => format!("/spec/{field}"),
            "status" => format!("/status/{field}"),
            _ => format!("/spec/{parent}/{field}"),
        };
        let value = match object.pointer(&pointer) {
            Some(Value::String(text)) if !text.is_empty() => text.clone().into(),
            Some(Value::Number(number)) => number.to_string().into(),
            Some(_) | None => Value::Null,
        };
        out.insert(format!("{PREFIX}{annotation}"), value);
    }
    let json_of =
        |value: &Value| Value::from(String::from_utf8_lossy(&gojson::to_vec(value)).into_owned());
    let interfaces = object
        .pointer("/spec/interfaces")
        .map_or(Value::Null, json_of);
    out.insert(INTERFACES.to_owned(), interfaces);
    let map = |field: &str| {
        let map = object.pointer(&format!("/metadata/{field}"));
        map.and_then(Value::as_object).cloned().unwrap_or_default()
    };
    let (mut labels, mut annotations) = (map("labels"), map("annotations"));
    // What was inherited is not written back; a label of the same name cannot be changed here.
    let inherited = annotations.remove(KUBE_LABELS);
    let inherited = inherited.as_ref().and_then(Value::as_str);
    let inherited: Map<String, Value> = inherited
        .and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or_default();
    labels.retain(|label, _| !inherited.contains_key(label));
    for (name, map) in [(LABELS, labels), (ANNOTATIONS, annotations)] {
        let value = match map.is_empty() {
            true => Value::Null,
            false => json_of(&map.into()),
        };
        out.insert(name.to_owned(), value);
    }
    out
}

fn network_v4(text: &str) -> bool {
    is_network(text, Family::V4)
}

fn network_v6(text: &str) -> bool {
    is_network(text, Family::V6)
}

fn is_network(text: &str, family: Family) -> bool {
    text.contains('/')
        && text
            .parse::<Cidr>()
            .is_ok_and(|cidr| cidr.family() == family)
}

fn address_v4(text: &str) -> bool {
    text.parse::<Ipv4Addr>().is_ok()
}

fn address_v6(text: &str) -> bool {
    text.parse::<Ipv6Addr>().is_ok()
}

fn mac(text: &str) -> bool {
    text.parse::<Mac>().is_ok()
}

fn as_number(text: &str) -> bool {
    parse_as_number(text).is_some()
}

/// An AS number, plain or in two parts with a dot (RFC 5396).
fn parse_as_number(text: &str) -> Option<u32> {
    match text.split_once('.') {
        None => text.parse().ok(),
        Some((high, low)) => {
            let (high, low): (u16, u16) = (high.parse().ok()?, low.parse().ok()?);
            Some(u32::from(high) << 16 | u32::from(low))
        }
    }
}

fn any(_: &str) -> bool {
    true
}
