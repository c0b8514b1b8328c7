//! Admission: what stands between a user's object and the store.

use serde_json::{Map, Value, json};

use crate::defaults;
use crate::fields;
use crate::kind::{CALICO_V3, CORE_V1, DISCOVERY_V1, Kind, NETWORKING_V1, POLICY_V1ALPHA2};
use crate::kinds::{self, Identity};
use crate::nearest::nearest;
use crate::object::{Object, object_at};
use crate::problem::Problem;
use crate::reader::{Item, Path, Purpose, Reader};

/// What admission needs to know beside the object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdmitOptions {
    /// The namespace of namespaced objects that name none.
    pub default_namespace: Box<str>,
}

impl Default for AdmitOptions {
    fn default() -> AdmitOptions {
        AdmitOptions {
            default_namespace: "default".into(),
        }
    }
}

/// Takes an object as its author wrote it, fills in defaults, normalises, and checks it in full.
///
/// Admitting an admitted object changes nothing.
///
/// # Errors
/// Every problem that was found, not only the first.
pub fn admit(value: Value, options: &AdmitOptions) -> Result<Object, Vec<Problem>> {
    let (kind, mut map) = kind_of(value)?;
    place(kind, &mut map, options);
    defaults::apply(kind, &mut map);
    let reader = Reader::new(Purpose::Admission);
    let value = Value::Object(map);
    let text = |field: &str| {
        value
            .pointer(&format!("/metadata/{field}"))
            .and_then(Value::as_str)
    };
    let id = Identity {
        namespace: text("namespace").filter(|_| kind.is_namespaced()),
        name: text("name").unwrap_or(""),
    };
    let item = Item {
        reader: &reader,
        path: &Path::Root,
        value: &value,
    };
    if !kind.is_namespaced() && text("namespace").is_some_and(|ns| !ns.is_empty()) {
        let message = format!("is not for the kind {kind}, which has no namespaces");
        reader.report(Problem::at("metadata.namespace", message).hint("leave it out"));
    }
    kinds::read(kind, &id, item);
    let problems = reader.into_problems();
    if let (Value::Object(map), true) = (value, problems.is_empty()) {
        return Ok(Object::from_parts(kind, map));
    }
    Err(problems)
}

/// The kind that a document says it is of.
fn kind_of(value: Value) -> Result<(Kind, Map<String, Value>), Vec<Problem>> {
    let Value::Object(map) = value else {
        let message = "a document must be an object with apiVersion, kind and metadata";
        return Err(vec![Problem::of_object(message)]);
    };
    let mut problems = Vec::new();
    let mut text = |field: &str| match map.get(field) {
        Some(Value::String(text)) if !text.is_empty() => text.clone(),
        Some(other) if !other.is_null() => {
            let found = crate::reader::shown(other);
            problems.push(Problem::at(field, "must be a string that is not empty").found(found));
            String::new()
        }
        _ => {
            problems.push(Problem::at(field, "is required"));
            String::new()
        }
    };
    let (api_version, kind) = (text("apiVersion"), text("kind"));
    if !problems.is_empty() {
        return Err(problems);
    }
    match Kind::of(&api_version, &kind) {
        Some(kind) => Ok((kind, map)),
        None => Err(vec![unknown_kind(&api_version, &kind)]),
    }
}

fn unknown_kind(api_version: &str, kind: &str) -> Problem {
    let versions = [
        CALICO_V3,
        CORE_V1,
        DISCOVERY_V1,
        NETWORKING_V1,
        POLICY_V1ALPHA2,
    ];
    if let Some(known) = Kind::all().find(|known| known.name() == kind) {
        let message = format!("is not the apiVersion of the kind {kind}");
        let hint = format!("use {}", known.api_version());
        return Problem::at("apiVersion", message)
            .found(format!("{api_version:?}"))
            .hint(hint);
    }
    if !versions.contains(&api_version) {
        let problem =
            Problem::at("apiVersion", "is not supported").found(format!("{api_version:?}"));
        return problem.hint(format!("use {}", versions.join(", ")));
    }
    let problem = Problem::at("kind", "is no kind of this apiVersion").found(format!("{kind:?}"));
    let names = Kind::all()
        .filter(|k| k.api_version() == api_version)
        .map(Kind::name);
    match nearest(kind, names) {
        Some(name) => problem.hint(format!("did you mean {name}?")),
        None => problem,
    }
}

/// Fills in the namespace, and the name that only a workload endpoint's spec has.
fn place(kind: Kind, map: &mut Map<String, Value>, options: &AdmitOptions) {
    if map
        .get("metadata")
        .is_some_and(|meta| !meta.is_object() && !meta.is_null())
    {
        return;
    }
    let name = match (kind, map.get("spec").and_then(Value::as_object)) {
        (Kind::WorkloadEndpoint, Some(spec)) => kinds::endpoints::name_of_spec(spec),
        (_, _) => None,
    };
    let meta = object_at(map, "metadata");
    let empty = |meta: &Map<String, Value>, field: &str| match meta.get(field) {
        None | Some(Value::Null) => true,
        Some(value) => value.as_str() == Some(""),
    };
    if kind.is_namespaced() && empty(meta, "namespace") {
        let ns = options.default_namespace.as_ref();
        meta.insert("namespace".to_owned(), ns.into());
    }
    if let Some(name) = name.filter(|_| empty(meta, "name")) {
        meta.insert("name".to_owned(), name.into());
    }
}

/// What an update must not change.
///
/// # Errors
/// One problem per field that was changed and must not be.
pub fn admit_update(old: &Object, new: &Object) -> Result<(), Vec<Problem>> {
    let mut problems = Vec::new();
    let mut fixed = |pointer: &str, field: &str, hint: &str| {
        let (was, is) = (old.pointer(pointer), new.pointer(pointer));
        if was.is_some() && was != is {
            let was = was.map(Value::to_string).unwrap_or_default();
            let mut problem =
                Problem::at(field, format!("cannot be changed from {was}")).hint(hint);
            problem.value = is.map(Value::to_string).unwrap_or_default();
            problems.push(problem);
        }
    };
    match new.kind() {
        Kind::IpPool => {
            let hint = "make a second pool, move the workloads, then delete this one";
            if !same_network(old, new) {
                fixed("/spec/cidr", "spec.cidr", hint);
            }
            fixed("/spec/blockSize", "spec.blockSize", hint);
            if uses(old).contains(&"LoadBalancer") && uses(new).iter().any(|u| *u != "LoadBalancer")
            {
                fixed(
                    "/spec/allowedUses",
                    "spec.allowedUses",
                    "LoadBalancer pools stay so",
                );
            }
        }
        Kind::WorkloadEndpoint => {
            for field in ["node", "orchestrator", "endpoint"] {
                let hint = "it is part of the endpoint's name: make another endpoint";
                fixed(&format!("/spec/{field}"), &format!("spec.{field}"), hint);
            }
        }
        Kind::IpamBlock => fixed("/spec/cidr", "spec.cidr", "a block is its network"),
        Kind::Profile if new.name() == kinds::sets::DEFAULT_ALLOW => {
            fixed("/spec", "spec", "the profile is built in: make another one");
        }
        Kind::NetworkPolicy
        | Kind::GlobalNetworkPolicy
        | Kind::Tier
        | Kind::NetworkSet
        | Kind::GlobalNetworkSet
        | Kind::Profile
        | Kind::HostEndpoint
        | Kind::Node
        | Kind::IpReservation
        | Kind::IpamConfiguration
        | Kind::BlockAffinity
        | Kind::IpamHandle
        | Kind::FelixConfiguration
        | Kind::ClusterInformation
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
        | Kind::KubernetesNetworkPolicy => {}
    }
    if old.kind() != new.kind() {
        problems.push(Problem::at(
            "kind",
            format!("cannot be changed from {}", old.kind()),
        ));
    }
    if problems.is_empty() {
        Ok(())
    } else {
        Err(problems)
    }
}

fn same_network(old: &Object, new: &Object) -> bool {
    let cidr = |object: &Object| -> Option<model::Cidr> {
        object.pointer("/spec/cidr")?.as_str()?.parse().ok()
    };
    cidr(old).is_some() && cidr(old) == cidr(new)
}

fn uses(object: &Object) -> Vec<&str> {
    let list = object
        .pointer("/spec/allowedUses")
        .and_then(Value::as_array);
    list.into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect()
}

/// Why an object must not be deleted; `None` if it may be.
pub fn refuse_delete(kind: Kind, name: &str) -> Option<Problem> {
    let built_in = match kind {
        Kind::Tier => kinds::policy::BUILT_IN_TIERS
            .iter()
            .any(|(tier, ..)| *tier == name),
        Kind::Profile => name == kinds::sets::DEFAULT_ALLOW,
        Kind::NetworkPolicy
        | Kind::GlobalNetworkPolicy
        | Kind::NetworkSet
        | Kind::GlobalNetworkSet
        | Kind::WorkloadEndpoint
        | Kind::HostEndpoint
        | Kind::Node
        | Kind::IpPool
        | Kind::IpReservation
        | Kind::IpamConfiguration
        | Kind::BlockAffinity
        | Kind::IpamBlock
        | Kind::IpamHandle
        | Kind::FelixConfiguration
        | Kind::ClusterInformation
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
        | Kind::KubernetesNetworkPolicy => false,
    };
    built_in.then(|| {
        Problem::of_object(format!(
            "the {} {name} is built in and cannot be deleted",
            kind.singular()
        ))
    })
}

/// The documents in a document: a `List` (of any kind) holds many, everything else is itself.
///
/// Items of a typed list, such as `IPPoolList`, need not repeat their kind.
///
/// # Errors
/// If the document is a list whose `items` is no list.
pub fn expand_list(value: Value) -> Result<Vec<Value>, Problem> {
    let text = |field: &str| value.get(field).and_then(Value::as_str).unwrap_or("");
    let kind = text("kind");
    let Some(item_kind) = kind
        .strip_suffix("List")
        .filter(|_| value.get("items").is_some())
    else {
        return Ok(vec![value]);
    };
    let (item_kind, api_version) = (item_kind.to_owned(), text("apiVersion").to_owned());
    let mut value = value;
    let items = value.get_mut("items").map(Value::take).unwrap_or_default();
    if !items.is_array() && !items.is_null() {
        let problem = Problem::at("items", "must be a list");
        return Err(problem.found(crate::reader::shown(&items)));
    }
    let mut items = if let Value::Array(items) = items {
        items
    } else {
        Vec::new()
    };
    for item in &mut items {
        if let (Value::Object(map), false) = (item, item_kind.is_empty()) {
            map.entry("kind").or_insert_with(|| json!(item_kind));
            map.entry("apiVersion")
                .or_insert_with(|| json!(api_version));
        }
    }
    let nested: Result<Vec<Vec<Value>>, Problem> = items.into_iter().map(flat).collect();
    Ok(nested?.into_iter().flatten().collect())
}

/// One more level, for lists of lists; deeper ones are left to be refused as unknown kinds.
fn flat(value: Value) -> Result<Vec<Value>, Problem> {
    if value.get("kind").and_then(Value::as_str) != Some("List") {
        return Ok(vec![value]);
    }
    let mut value = value;
    match value.get_mut("items").map(Value::take) {
        Some(Value::Array(items)) => Ok(items),
        Some(_) | None => Err(Problem::at("items", "must be a list")),
    }
}

/// Checks the labels that someone wants to put on an object.
///
/// # Errors
/// One problem per label that is none.
pub fn admit_labels(labels: &model::Labels) -> Result<(), Vec<Problem>> {
    let map: Map<String, Value> = labels
        .iter()
        .map(|(key, value)| (key.to_string(), value.as_ref().into()))
        .collect();
    let reader = Reader::new(Purpose::Admission);
    let value = Value::Object(map);
    fields::labels(Item {
        reader: &reader,
        path: &Path::Field(&Path::Root, "metadata.labels"),
        value: &value,
    });
    let problems = reader.into_problems();
    if problems.is_empty() {
        Ok(())
    } else {
        Err(problems)
    }
}
