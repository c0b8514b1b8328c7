//! The metadata of `crd.projectcalico.org/v1` objects: most of it is the JSON text of one annotation.
//!
//! Upstream keeps the v3 object's labels, annotations, owners and time of birth there, so that an API server of its own can
//! present them; name, namespace and UID stay where Kubernetes wants them.

use serde_json::{Map, Value};

use super::identity::mirrored;
use crate::goform::is_empty;
use crate::gojson;
use crate::kind::{CALICO_V3, Kind};
use crate::older::{self, ANNOTATION};

/// What owners are called in custom resources.
const V1: &str = "crd.projectcalico.org/v1";

/// Fields in the order in which upstream's encoder writes them; what is empty is left out.
const ORDER: [&str; 10] = [
    "name",
    "generateName",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "labels",
    "annotations",
    "ownerReferences",
    "finalizers",
];

/// The metadata of a custom resource for a v3 object's.
pub(super) fn to_custom(kind: Kind, meta: &Map<String, Value>) -> Map<String, Value> {
    let mut kept = meta.clone();
    for field in [
        "namespace",
        "resourceVersion",
        "uid",
        "selfLink",
        "managedFields",
    ] {
        kept.remove(field);
    }
    // Custom resources of policies may be called otherwise than the policies.
    if !kind.has_tier() {
        kept.remove("name");
    }
    translate_owners(&mut kept, CALICO_V3, V1);
    let mut annotations = owned_by_us(meta.get("annotations"));
    annotations.insert(ANNOTATION.to_owned(), ordered(&kept).into());
    let mut out = Map::new();
    for field in ["name", "namespace", "resourceVersion"] {
        if let Some(value) = meta.get(field).filter(|value| !is_empty(value)) {
            out.insert(field.to_owned(), value.clone());
        }
    }
    let labels = owned_by_us(meta.get("labels"));
    if !labels.is_empty() {
        out.insert("labels".to_owned(), labels.into());
    }
    out.insert("annotations".to_owned(), annotations.into());
    if let Some(uid) = meta.get("uid").and_then(Value::as_str).and_then(mirrored) {
        out.insert("uid".to_owned(), uid.into());
    }
    out
}

/// The metadata of the v3 object that a custom resource holds. An annotation that is no JSON object counts as none, and is
/// a problem.
pub(super) fn from_custom(
    kind: Kind,
    tier: Option<&str>,
    own: &Map<String, Value>,
    problems: &mut Vec<String>,
) -> Map<String, Value> {
    let text = own
        .get("annotations")
        .and_then(|annotations| annotations.get(ANNOTATION))
        .and_then(Value::as_str);
    let stored = text.and_then(|text| match serde_json::from_str(text) {
        Ok(Value::Object(stored)) => Some(stored),
        Ok(_) => {
            problems.push(format!("annotation {ANNOTATION} is no JSON object"));
            None
        }
        Err(error) => {
            problems.push(format!("annotation {ANNOTATION} is no JSON: {error}"));
            None
        }
    });
    let mut meta = match stored {
        Some(stored) => merged(kind, tier, own, stored),
        None => own.clone(),
    };
    for field in ["resourceVersion", "selfLink", "managedFields", "generation"] {
        meta.remove(field);
    }
    if let Some(Value::Object(annotations)) = meta.get_mut("annotations") {
        annotations.remove(ANNOTATION);
    }
    match own.get("uid").and_then(Value::as_str).and_then(mirrored) {
        Some(uid) => meta.insert("uid".to_owned(), uid.into()),
        None => meta.remove("uid"),
    };
    meta.retain(|_, value| !is_empty(value));
    meta
}

/// What stands in the annotation goes before what stands beside it.
fn merged(
    kind: Kind,
    tier: Option<&str>,
    own: &Map<String, Value>,
    mut meta: Map<String, Value>,
) -> Map<String, Value> {
    // Some were written before the UID was translated; these say v3.
    translate_owners(&mut meta, V1, CALICO_V3);
    for field in ["labels", "annotations"] {
        let mut all = own
            .get(field)
            .and_then(Value::as_object)
            .cloned()
            .unwrap_or_default();
        if let Some(Value::Object(stored)) = meta.remove(field) {
            all.extend(stored);
        }
        meta.insert(field.to_owned(), all.into());
    }
    if meta.get("name").is_none_or(is_empty) {
        let name = own.get("name").and_then(Value::as_str).unwrap_or("");
        let bare = match kind.has_tier() {
            true => older::bare(name, tier),
            false => name,
        };
        meta.insert("name".to_owned(), bare.into());
    }
    for field in ["namespace", "creationTimestamp"] {
        let fixed = field == "namespace" || meta.get(field).is_none_or(is_empty);
        if let Some(value) = own.get(field).filter(|_| fixed) {
            meta.insert(field.to_owned(), value.clone());
        }
    }
    meta
}

/// Owners of one group become owners of the other, with the UID they have there.
fn translate_owners(meta: &mut Map<String, Value>, from: &str, to: &str) {
    let Some(Value::Array(owners)) = meta.get_mut("ownerReferences") else {
        return;
    };
    for owner in owners.iter_mut().filter_map(Value::as_object_mut) {
        let version = owner.get("apiVersion").and_then(Value::as_str);
        // On the way to v3 those that say v3 already have the UID of the custom resource all the same.
        if version != Some(from) && !(to == CALICO_V3 && version == Some(to)) {
            continue;
        }
        owner.insert("apiVersion".to_owned(), to.into());
        if let Some(uid) = owner.get("uid").and_then(Value::as_str).and_then(mirrored) {
            owner.insert("uid".to_owned(), uid.into());
        }
    }
}

/// Those labels or annotations that are ours: they stand on the custom resource as well.
fn owned_by_us(map: Option<&Value>) -> Map<String, Value> {
    let ours =
        |key: &str| key.contains("projectcalico.org/") || key.contains("operator.tigera.io/");
    let map = map.and_then(Value::as_object);
    map.into_iter()
        .flatten()
        .filter(|(key, _)| ours(key))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

fn ordered(meta: &Map<String, Value>) -> String {
    let known = ORDER.iter().filter_map(|field| meta.get_key_value(*field));
    let unknown = meta
        .iter()
        .filter(|(field, _)| !ORDER.contains(&field.as_str()));
    let mut text = b"{".to_vec();
    for (field, value) in known.chain(unknown).filter(|(_, value)| !is_empty(value)) {
        if text.len() > 1 {
            text.push(b',');
        }
        text.extend(gojson::to_vec(field));
        text.push(b':');
        text.extend(gojson::to_vec(value));
    }
    text.push(b'}');
    String::from_utf8_lossy(&text).into_owned()
}
