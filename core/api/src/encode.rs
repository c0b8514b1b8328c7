//! From the model to store entries, for the objects that our own processes write.

use std::net::IpAddr;

use model::{
    AssignmentMode, ClusterInformation, EncapMode, IpPool, Key, Node, PoolUse, Resource,
    WorkloadEndpoint, WorkloadEndpointId, labels,
};
use serde_json::{Map, Value, json};
use thiserror::Error;

use crate::gojson;
use crate::key::{StoreKey, store_key};
use crate::kind::Kind;
use crate::kinds::ipam::{StoredAffinity, StoredBlock, StoredConfig, StoredHandle};
use crate::kinds::sets::DEFAULT_ALLOW;
use crate::object::Object;

/// Why a model value cannot be written.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum EncodeError {
    /// Our processes never write this kind; users do, as objects.
    #[error("objects of the kind of {key:?} are written by users, not from the model")]
    NotOurs {
        /// The key.
        key: Key,
    },
    /// The key names one kind, the value is of another.
    #[error("the value does not belong under {key:?}")]
    Mismatch {
        /// The key.
        key: Key,
    },
    /// A part of an endpoint's identity is empty or has a dash at an end.
    #[error("{id} has no name: every part of it must be there, and begin and end with no dash")]
    Unnameable {
        /// The endpoint.
        id: WorkloadEndpointId,
    },
}

/// The key and the bytes to store for a value of the model.
///
/// Entries of IPAM are upstream's bytes. Objects get only what the model knows: read-modify-write of an existing one goes
/// through [`merge`].
///
/// # Errors
/// If our processes do not write such objects, or the value does not belong to the key.
pub fn encode(key: &Key, resource: &Resource) -> Result<(String, Vec<u8>), EncodeError> {
    let bytes = match (key, resource) {
        (Key::Block(_), Resource::Block(block)) => gojson::to_vec(&StoredBlock::of(block)),
        (Key::Affinity(_), Resource::Affinity(affinity)) => {
            gojson::to_vec(&StoredAffinity::of(affinity))
        }
        (Key::Handle(_), Resource::Handle(handle)) => gojson::to_vec(&StoredHandle::of(handle)),
        (Key::IpamConfig, Resource::IpamConfig(config)) => {
            gojson::to_vec(&StoredConfig::of(config, None))
        }
        (_, _) => {
            let object = object_of(key, resource)?;
            return Ok((object.store_key(), object.to_store_bytes()));
        }
    };
    let key = key_text(key).ok_or_else(|| EncodeError::Mismatch { key: key.clone() })?;
    Ok((key, bytes))
}

/// Where the object of a model key is stored; `None` for keys under which nothing of ours is stored.
///
/// Profiles that stand for namespaces and service accounts are stored as these.
pub fn key_text(key: &Key) -> Option<String> {
    use model::PolicyKind;
    let place = match key {
        Key::Block(cidr) => StoreKey::Block(*cidr),
        Key::Affinity(id) => StoreKey::Affinity(id.clone()),
        Key::Handle(id) => StoreKey::Handle(id.clone()),
        Key::IpamConfig => StoreKey::IpamConfig,
        Key::Tier(name) => return Some(store_key(Kind::Tier, None, name)),
        Key::Policy(id) => {
            let kind = match id.kind {
                PolicyKind::NetworkPolicy => Kind::NetworkPolicy,
                PolicyKind::GlobalNetworkPolicy => Kind::GlobalNetworkPolicy,
                PolicyKind::KubernetesNetworkPolicy => Kind::KubernetesNetworkPolicy,
                PolicyKind::StagedNetworkPolicy => Kind::StagedNetworkPolicy,
                PolicyKind::StagedGlobalNetworkPolicy => Kind::StagedGlobalNetworkPolicy,
                PolicyKind::StagedKubernetesNetworkPolicy => Kind::StagedKubernetesNetworkPolicy,
                PolicyKind::KubernetesClusterNetworkPolicy => Kind::KubernetesClusterNetworkPolicy,
            };
            return Some(store_key(kind, id.namespace.as_deref(), &id.name));
        }
        Key::Profile(name) => return Some(profile_key(name)),
        Key::NetworkSet(id) => {
            let kind = match id.namespace {
                Some(_) => Kind::NetworkSet,
                None => Kind::GlobalNetworkSet,
            };
            return Some(store_key(kind, id.namespace.as_deref(), &id.name));
        }
        Key::WorkloadEndpoint(id) => {
            let name = endpoint_name(id)?;
            return Some(store_key(
                Kind::WorkloadEndpoint,
                Some(&id.namespace),
                &name,
            ));
        }
        Key::HostEndpoint(id) => return Some(store_key(Kind::HostEndpoint, None, &id.name)),
        Key::Node(name) => return Some(store_key(Kind::Node, None, name)),
        Key::IpPool(name) => return Some(store_key(Kind::IpPool, None, name)),
        Key::IpReservation(name) => return Some(store_key(Kind::IpReservation, None, name)),
        Key::FelixConfig(scope) => {
            let name = match scope {
                model::ConfigScope::Global => "default".to_owned(),
                model::ConfigScope::Node(node) => format!("node.{node}"),
                model::ConfigScope::Selector(name) => name.to_string(),
            };
            return Some(store_key(Kind::FelixConfiguration, None, &name));
        }
        Key::ClusterInformation => {
            return Some(store_key(Kind::ClusterInformation, None, "default"));
        }
        Key::BgpConfiguration(name) => return Some(store_key(Kind::BgpConfiguration, None, name)),
        Key::BgpPeer(name) => return Some(store_key(Kind::BgpPeer, None, name)),
        Key::BgpFilter(name) => return Some(store_key(Kind::BgpFilter, None, name)),
        Key::KubeControllersConfiguration => {
            return Some(store_key(
                Kind::KubeControllersConfiguration,
                None,
                "default",
            ));
        }
        Key::NodeStatus(name) => return Some(store_key(Kind::CalicoNodeStatus, None, name)),
        Key::LiveMigration { namespace, name } => {
            return Some(store_key(Kind::LiveMigration, Some(namespace), name));
        }
        Key::Service(id) => return Some(store_key(Kind::Service, Some(&id.namespace), &id.name)),
        Key::EndpointSlice(id) => {
            return Some(store_key(
                Kind::EndpointSlice,
                Some(&id.namespace),
                &id.name,
            ));
        }
    };
    Some(place.to_string())
}

fn profile_key(name: &str) -> String {
    if let Some(namespace) = name.strip_prefix("kns.") {
        return store_key(Kind::Namespace, None, namespace);
    }
    match name
        .strip_prefix("ksa.")
        .and_then(|rest| rest.split_once('.'))
    {
        Some((namespace, account)) => store_key(Kind::ServiceAccount, Some(namespace), account),
        None => store_key(Kind::Profile, None, name),
    }
}

fn endpoint_name(id: &WorkloadEndpointId) -> Option<String> {
    crate::workload_endpoint_name(&id.node, &id.orchestrator, &id.workload, &id.endpoint)
}

/// The object of a model value, with what the model knows of it. It has no identity yet: [`Object::stamp`] gives it one.
///
/// # Errors
/// As [`encode`].
pub fn object_of(key: &Key, resource: &Resource) -> Result<Object, EncodeError> {
    let (mut object, spec) = match (key, resource) {
        (Key::Node(name), Resource::Node(node)) => {
            let mut object = Object::new(Kind::Node, None, name);
            set_labels(&mut object, &node.labels);
            (object, node_spec(node))
        }
        (Key::IpPool(name), Resource::IpPool(pool)) => {
            (Object::new(Kind::IpPool, None, name), pool_spec(pool))
        }
        (Key::ClusterInformation, Resource::ClusterInformation(info)) => (
            Object::new(Kind::ClusterInformation, None, "default"),
            cluster_spec(info),
        ),
        (Key::WorkloadEndpoint(id), Resource::WorkloadEndpoint(endpoint)) => {
            workload_endpoint(id, endpoint)?
        }
        (
            Key::Tier(_)
            | Key::Policy(_)
            | Key::Profile(_)
            | Key::NetworkSet(_)
            | Key::HostEndpoint(_)
            | Key::IpReservation(_)
            | Key::FelixConfig(_)
            | Key::Block(_)
            | Key::Affinity(_)
            | Key::Handle(_)
            | Key::IpamConfig
            | Key::BgpConfiguration(_)
            | Key::BgpPeer(_)
            | Key::BgpFilter(_)
            | Key::KubeControllersConfiguration
            | Key::NodeStatus(_)
            | Key::LiveMigration { .. }
            | Key::Service(_)
            | Key::EndpointSlice(_),
            _,
        ) => return Err(EncodeError::NotOurs { key: key.clone() }),
        (_, _) => return Err(EncodeError::Mismatch { key: key.clone() }),
    };
    *object.spec_mut() = spec;
    Ok(object)
}

/// Brings an existing object to what a model value says and keeps every field that the model does not know.
///
/// Fields the model knows and the value leaves empty are removed. Labels are set, never removed.
///
/// # Errors
/// As [`encode`].
pub fn merge(existing: &Object, key: &Key, resource: &Resource) -> Result<Object, EncodeError> {
    let wanted = object_of(key, resource)?;
    let mut merged = existing.clone();
    for (name, value) in &wanted.labels() {
        merged.set_label(name, value);
    }
    let known = known_fields(wanted.kind());
    let spec = merged.spec_mut();
    let wanted_spec = wanted.value().get("spec").and_then(Value::as_object);
    merge_fields(spec, wanted_spec, known);
    if wanted.kind() == Kind::Node {
        let bgp = wanted_spec
            .and_then(|spec| spec.get("bgp"))
            .and_then(Value::as_object);
        let slot = crate::object::object_at(spec, "bgp");
        merge_fields(slot, bgp, BGP_FIELDS);
        if slot.is_empty() {
            spec.remove("bgp");
        }
        let addresses = wanted_spec.and_then(|spec| spec.get("addresses"));
        merge_addresses(spec, addresses.and_then(Value::as_array));
    }
    Ok(merged)
}

fn merge_fields(into: &mut Map<String, Value>, from: Option<&Map<String, Value>>, known: &[&str]) {
    for field in known {
        match from.and_then(|from| from.get(*field)) {
            Some(value) => into.insert((*field).to_owned(), value.clone()),
            None => into.remove(*field),
        };
    }
}

/// Entries whose address is still wanted stay as they are, with the type that others gave them; the missing ones are added.
fn merge_addresses(spec: &mut Map<String, Value>, wanted: Option<&Vec<Value>>) {
    // An address may be written as a network, of which only the address counts.
    let addr = |entry: &Value| {
        let text = entry.get("address").and_then(Value::as_str)?;
        let addr = text.split('/').next()?;
        Some(
            addr.parse::<IpAddr>()
                .map_or(text.to_owned(), |addr| addr.to_string()),
        )
    };
    let wanted = wanted.map_or(&[][..], Vec::as_slice);
    let existing = spec.get("addresses").and_then(Value::as_array);
    let mut entries: Vec<Value> = existing.into_iter().flatten().cloned().collect();
    entries.retain(|entry| wanted.iter().any(|one| addr(one) == addr(entry)));
    for one in wanted {
        if !entries.iter().any(|entry| addr(entry) == addr(one)) {
            entries.push(one.clone());
        }
    }
    if entries.is_empty() {
        spec.remove("addresses");
    } else {
        spec.insert("addresses".to_owned(), Value::Array(entries));
    }
}

const BGP_FIELDS: &[&str] = &[
    "asNumber",
    "ipv4Address",
    "ipv6Address",
    "ipv4IPIPTunnelAddr",
    "routeReflectorClusterID",
];

/// Fields of the spec that the model covers in full.
fn known_fields(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Node => &[
            "ipv4VXLANTunnelAddr",
            "ipv6VXLANTunnelAddr",
            "vxlanTunnelMACAddr",
            "vxlanTunnelMACAddrV6",
        ],
        Kind::IpPool => &[
            "cidr",
            "vxlanMode",
            "ipipMode",
            "natOutgoing",
            "disabled",
            "disableBGPExport",
            "blockSize",
            "nodeSelector",
            "namespaceSelector",
            "allowedUses",
            "assignmentMode",
        ],
        Kind::ClusterInformation => &[
            "clusterGUID",
            "clusterType",
            "calicoVersion",
            "datastoreReady",
        ],
        Kind::WorkloadEndpoint => &[
            "node",
            "orchestrator",
            "workload",
            "containerID",
            "pod",
            "endpoint",
            "serviceAccountName",
            "ipNetworks",
            "ipNATs",
            "ipv4Gateway",
            "ipv6Gateway",
            "profiles",
            "interfaceName",
            "mac",
            "ports",
            "allowSpoofedSourcePrefixes",
            "qosControls",
        ],
        Kind::NetworkPolicy
        | Kind::GlobalNetworkPolicy
        | Kind::Tier
        | Kind::NetworkSet
        | Kind::GlobalNetworkSet
        | Kind::Profile
        | Kind::HostEndpoint
        | Kind::IpReservation
        | Kind::IpamConfiguration
        | Kind::BlockAffinity
        | Kind::IpamBlock
        | Kind::IpamHandle
        | Kind::FelixConfiguration
        | Kind::StagedNetworkPolicy
        | Kind::StagedGlobalNetworkPolicy
        | Kind::StagedKubernetesNetworkPolicy
        | Kind::BgpConfiguration
        | Kind::BgpPeer
        | Kind::BgpFilter
        | Kind::KubeControllersConfiguration
        | Kind::CalicoNodeStatus
        | Kind::LiveMigration
        | Kind::KubernetesClusterNetworkPolicy
        | Kind::Namespace
        | Kind::ServiceAccount
        | Kind::Service
        | Kind::EndpointSlice
        | Kind::KubernetesNetworkPolicy => &[],
    }
}

/// A spec that takes only what is there, as Go's `omitempty` does.
#[derive(Default)]
struct Spec(Map<String, Value>);

impl Spec {
    fn put(&mut self, field: &str, value: impl Into<Value>) {
        self.0.insert(field.to_owned(), value.into());
    }

    fn text(&mut self, field: &str, value: &str) {
        if !value.is_empty() {
            self.put(field, value);
        }
    }

    fn some<T: ToString>(&mut self, field: &str, value: Option<T>) {
        if let Some(value) = value {
            self.text(field, &value.to_string());
        }
    }

    fn list<T>(&mut self, field: &str, items: &[T], value: impl Fn(&T) -> Value) {
        if !items.is_empty() {
            self.put(field, items.iter().map(value).collect::<Vec<Value>>());
        }
    }
}

fn set_labels(object: &mut Object, labels: &model::Labels) {
    for (key, value) in labels {
        object.set_label(key, value);
    }
}

fn node_spec(node: &Node) -> Map<String, Value> {
    let with_len = |addr: Option<IpAddr>, net: Option<model::Cidr>| {
        addr.map(|addr| match net {
            Some(net) => format!("{addr}/{}", net.len()),
            None => addr.to_string(),
        })
    };
    let mut bgp = Spec::default();
    if let Some(number) = node.as_number {
        bgp.put("asNumber", number);
    }
    bgp.some("ipv4Address", with_len(node.ipv4, node.ipv4_subnet));
    bgp.some("ipv6Address", with_len(node.ipv6, node.ipv6_subnet));
    bgp.some("ipv4IPIPTunnelAddr", node.ipip_tunnel);
    bgp.some(
        "routeReflectorClusterID",
        node.route_reflector_cluster_id.as_deref(),
    );
    let mut spec = Spec::default();
    if !bgp.0.is_empty() {
        spec.put("bgp", Value::Object(bgp.0));
    }
    spec.some("ipv4VXLANTunnelAddr", node.vxlan_tunnel_v4);
    spec.some("ipv6VXLANTunnelAddr", node.vxlan_tunnel_v6);
    spec.some("vxlanTunnelMACAddr", node.vxlan_mac_v4);
    spec.some("vxlanTunnelMACAddrV6", node.vxlan_mac_v6);
    spec.list(
        "addresses",
        &node.addresses,
        |addr| json!({"address": addr.to_string(), "type": "CalicoNodeIP"}),
    );
    spec.0
}

fn encap_name(mode: EncapMode) -> &'static str {
    match mode {
        EncapMode::Never => "Never",
        EncapMode::Always => "Always",
        EncapMode::CrossSubnet => "CrossSubnet",
    }
}

fn pool_spec(pool: &IpPool) -> Map<String, Value> {
    let mut spec = Spec::default();
    spec.put("cidr", pool.cidr.to_string());
    spec.put("vxlanMode", encap_name(pool.vxlan));
    spec.put("ipipMode", encap_name(pool.ipip));
    let flags = [
        ("natOutgoing", pool.nat_outgoing),
        ("disabled", pool.disabled),
        ("disableBGPExport", pool.disable_bgp_export),
    ];
    for (field, _) in flags.into_iter().filter(|(_, set)| *set) {
        spec.put(field, true);
    }
    spec.put("blockSize", pool.block_size);
    spec.put("nodeSelector", pool.node_selector.canonical());
    spec.some("namespaceSelector", pool.namespace_selector.as_ref());
    spec.list("allowedUses", &pool.allowed_uses, |one| {
        let name = match one {
            PoolUse::Workload => "Workload",
            PoolUse::Tunnel => "Tunnel",
            PoolUse::LoadBalancer => "LoadBalancer",
        };
        name.into()
    });
    let mode = match pool.assignment_mode {
        AssignmentMode::Automatic => "Automatic",
        AssignmentMode::Manual => "Manual",
    };
    spec.put("assignmentMode", mode);
    spec.0
}

fn cluster_spec(info: &ClusterInformation) -> Map<String, Value> {
    let mut spec = Spec::default();
    spec.text("clusterGUID", &info.guid);
    spec.text("clusterType", &info.cluster_type);
    spec.text("calicoVersion", &info.version);
    if let Some(ready) = info.datastore_ready {
        spec.put("datastoreReady", ready);
    }
    spec.0
}

fn workload_endpoint(
    id: &WorkloadEndpointId,
    endpoint: &WorkloadEndpoint,
) -> Result<(Object, Map<String, Value>), EncodeError> {
    let name = endpoint_name(id).ok_or_else(|| EncodeError::Unnameable { id: id.clone() })?;
    let mut object = Object::new(Kind::WorkloadEndpoint, Some(&id.namespace), &name);
    set_labels(&mut object, &endpoint.labels);
    object.set_label(labels::NAMESPACE, &id.namespace);
    object.set_label(labels::ORCHESTRATOR, &id.orchestrator);
    Ok((object, endpoint_spec(id, endpoint)))
}

fn endpoint_spec(id: &WorkloadEndpointId, endpoint: &WorkloadEndpoint) -> Map<String, Value> {
    let mut spec = Spec::default();
    spec.text("node", &id.node);
    spec.text("orchestrator", &id.orchestrator);
    let workload_field = match &*id.orchestrator {
        "k8s" => Some("pod"),
        "cni" => Some("containerID"),
        "libnetwork" => None,
        _ => Some("workload"),
    };
    spec.some("containerID", endpoint.container_id.as_deref());
    spec.some("pod", endpoint.pod.as_deref());
    if let Some(field) = workload_field {
        spec.text(field, &id.workload);
    }
    spec.text("endpoint", &id.endpoint);
    spec.some("serviceAccountName", endpoint.service_account.as_deref());
    spec.list("ipNetworks", &endpoint.nets, |net| net.to_string().into());
    spec.list("ipNATs", &endpoint.nats, |nat| {
        json!({"internalIP": nat.internal.to_string(), "externalIP": nat.external.to_string()})
    });
    spec.some("ipv4Gateway", endpoint.gateway_v4);
    spec.some("ipv6Gateway", endpoint.gateway_v6);
    spec.list("profiles", &endpoint.profiles, |name| name.as_ref().into());
    spec.text("interfaceName", &endpoint.interface);
    spec.some("mac", endpoint.mac);
    spec.list("ports", &endpoint.ports, |port| {
        json!({
            "name": port.name.as_ref(),
            "protocol": port.protocol.to_string(),
            "port": port.port,
            "hostPort": port.host_port,
            "hostIP": port.host_ip.map(|ip| ip.to_string()).unwrap_or_default(),
        })
    });
    spec.list(
        "allowSpoofedSourcePrefixes",
        &endpoint.allow_spoofed,
        |net| net.to_string().into(),
    );
    if !endpoint.qos.is_empty() {
        let qos: Map<String, Value> = endpoint
            .qos
            .iter()
            .map(|(field, value)| (field.to_string(), (*value).into()))
            .collect();
        spec.put("qosControls", Value::Object(qos));
    }
    spec.0
}

/// The profile that the CNI plugin makes for a network on first use: it allows traffic within the network, and all egress.
pub fn network_profile(network: &str) -> Object {
    let mut object = Object::new(Kind::Profile, None, network);
    let spec = json!({
        "egress": [{"action": "Allow"}],
        "ingress": [{
            "action": "Allow",
            "source": {"selector": format!("has({network})")},
        }],
        "labelsToApply": {network: ""},
    });
    if let Value::Object(spec) = spec {
        *object.spec_mut() = spec;
    }
    object
}

/// The objects that exist in every cluster: the built-in tiers, and the profile that allows everything.
pub fn built_in_objects() -> Vec<Object> {
    let mut objects = Vec::new();
    for (name, order, action) in crate::kinds::policy::BUILT_IN_TIERS {
        let mut tier = Object::new(Kind::Tier, None, name);
        let spec = tier.spec_mut();
        spec.insert("order".to_owned(), order.into());
        let action = crate::kinds::policy::action_name(action);
        spec.insert("defaultAction".to_owned(), action.into());
        objects.push(tier);
    }
    objects.push(default_profile());
    objects
}

/// The profile that allows everything. Datastores of etcd and of Kubernetes have it without keeping it, as upstream's client
/// does: what it says cannot be changed.
pub fn default_profile() -> Object {
    let mut profile = Object::new(Kind::Profile, None, DEFAULT_ALLOW);
    let spec = profile.spec_mut();
    for direction in ["ingress", "egress"] {
        spec.insert(direction.to_owned(), json!([{"action": "Allow"}]));
    }
    profile
}
