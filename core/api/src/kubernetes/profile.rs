//! Namespaces and service accounts as the profiles that stand for them.

use serde_json::{Map, Value, json};

use super::identity::mirrored;
use crate::kind::Kind;
use crate::object::Object;

/// The profile that stands for a Namespace or a ServiceAccount in a store that has none of these, as etcd has by upstream's
/// layout; nothing for other kinds.
#[must_use]
pub fn profile_of(object: &Object) -> Option<Object> {
    let meta = object.value().get("metadata").and_then(Value::as_object)?;
    let kinds = [
        (Kind::Namespace, of_namespace as fn(&_) -> _),
        (Kind::ServiceAccount, of_account),
    ];
    let (_, of) = kinds.iter().find(|(kind, _)| *kind == object.kind())?;
    Some(of(meta))
}

/// The profile of a namespace: everything is allowed by it, and its labels are handed down.
pub(super) fn of_namespace(meta: &Map<String, Value>) -> Object {
    let name = text(meta, "name");
    let mut profile = profile(&format!("kns.{name}"), "pcns.", name, meta);
    for direction in ["ingress", "egress"] {
        profile
            .spec_mut()
            .insert(direction.to_owned(), json!([{"action": "Allow"}]));
    }
    profile
}

/// The profile of a service account: it only hands labels down.
pub(super) fn of_account(meta: &Map<String, Value>) -> Object {
    let name = text(meta, "name");
    let namespace = match text(meta, "namespace") {
        "" => "default",
        namespace => namespace,
    };
    profile(&format!("ksa.{namespace}.{name}"), "pcsa.", name, meta)
}

fn profile(name: &str, prefix: &str, own_name: &str, meta: &Map<String, Value>) -> Object {
    let mut object = Object::new(Kind::Profile, None, name);
    let out = object.metadata_mut();
    if let Some(created) = meta.get("creationTimestamp") {
        out.insert("creationTimestamp".to_owned(), created.clone());
    }
    if let Some(uid) = mirrored(text(meta, "uid")) {
        out.insert("uid".to_owned(), uid.into());
    }
    let labels = meta.get("labels").and_then(Value::as_object);
    let mut handed: Map<String, Value> = labels
        .into_iter()
        .flatten()
        .map(|(label, value)| (format!("{prefix}{label}"), value.clone()))
        .collect();
    handed.insert(format!("{prefix}projectcalico.org/name"), own_name.into());
    object
        .spec_mut()
        .insert("labelsToApply".to_owned(), handed.into());
    object
}

fn text<'m>(meta: &'m Map<String, Value>, field: &str) -> &'m str {
    meta.get(field).and_then(Value::as_str).unwrap_or("")
}
