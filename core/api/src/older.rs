//! Names of policies that releases before v3.32 have written.
//!
//! They put `default.` before the names of policies of the default tier, in key and object alike. What users call the policy is
//! the name in an annotation that v3.30 and later write with every policy, or else the stored one without the prefix.

use serde_json::{Map, Value};

use crate::gojson;
use crate::key::store_key;
use crate::kind::Kind;
use crate::object::object_at;

/// The annotation, which has metadata as JSON.
pub(crate) const ANNOTATION: &str = "projectcalico.org/metadata";
/// What stands before the name.
pub(crate) const PREFIX: &str = "default.";

/// The key under which an older release has put the object of this name; `None` if it would be the same.
pub fn older_key(kind: Kind, namespace: Option<&str>, name: &str) -> Option<String> {
    let differs = kind.has_tier() && !name.starts_with(PREFIX);
    differs.then(|| store_key(kind, namespace, &format!("{PREFIX}{name}")))
}

/// The name without what older releases put before it, of a policy of this tier.
pub(crate) fn bare<'a>(name: &'a str, tier: Option<&str>) -> &'a str {
    match tier {
        None | Some("" | "default") => name.strip_prefix(PREFIX).unwrap_or(name),
        Some(_) => name,
    }
}

/// Gives a stored policy the name that its users know, and takes the annotation away that is nobody's but the store's.
pub(crate) fn restore(policy: &mut Map<String, Value>) {
    let tier = policy.get("spec").and_then(|spec| spec.get("tier"));
    let tier = tier.and_then(Value::as_str).map(str::to_owned);
    let meta = object_at(policy, "metadata");
    let name = match taken(meta) {
        Some(name) => name,
        None => {
            let stored = meta.get("name").and_then(Value::as_str).unwrap_or("");
            bare(stored, tier.as_deref()).to_owned()
        }
    };
    meta.insert("name".to_owned(), name.into());
}

/// Takes the annotation, and the name in it.
fn taken(meta: &mut Map<String, Value>) -> Option<String> {
    let annotations = meta.get_mut("annotations")?.as_object_mut()?;
    let text = annotations.get(ANNOTATION)?.as_str()?;
    let kept: Value = serde_json::from_str(text).ok()?;
    let name = kept.get("name")?.as_str().filter(|name| !name.is_empty());
    let name = name.map(str::to_owned)?;
    annotations.remove(ANNOTATION);
    if annotations.is_empty() {
        meta.remove("annotations");
    }
    Some(name)
}

/// Takes the annotation from a policy that is going to be kept elsewhere than under a key.
pub(crate) fn strip(policy: &mut Map<String, Value>) {
    taken(object_at(policy, "metadata"));
}

/// Writes the annotation, as every client of upstream's does with every policy.
pub(crate) fn keep(policy: &mut Map<String, Value>) {
    let meta = object_at(policy, "metadata");
    let name = meta.get("name").cloned().unwrap_or_default();
    let kept = Map::from_iter([("name".to_owned(), name)]);
    let text = String::from_utf8_lossy(&gojson::to_vec(&kept)).into_owned();
    object_at(meta, "annotations").insert(ANNOTATION.to_owned(), text.into());
}
