//! Calico's own objects as custom resources of either group.

use serde_json::{Map, Value};

use super::{Group, ipam, metadata};
use crate::kind::{CALICO_V3, Kind};
use crate::object::Object;

/// What a custom resource is called in its group, as `kind`.
fn kind_name(kind: Kind, group: Group) -> &'static str {
    match (kind == Kind::IpamConfiguration, group) {
        (true, Group::V1) => "IPAMConfig",
        (true, Group::V3) | (false, _) => kind.name(),
    }
}

/// The v3 object that a custom resource holds.
pub(super) fn to_object(
    kind: Kind,
    group: Group,
    mut custom: Map<String, Value>,
    problems: &mut Vec<String>,
) -> Object {
    let own = match custom.remove("metadata") {
        Some(Value::Object(own)) => own,
        Some(_) | None => Map::new(),
    };
    let meta = match group {
        Group::V1 => {
            let tier = custom.get("spec").and_then(|spec| spec.get("tier"));
            metadata::from_custom(kind, tier.and_then(Value::as_str), &own, problems)
        }
        Group::V3 => {
            let mut own = own;
            own.remove("managedFields");
            own.remove("resourceVersion");
            own
        }
    };
    custom.insert("metadata".to_owned(), meta.into());
    custom.insert("apiVersion".to_owned(), CALICO_V3.into());
    custom.insert("kind".to_owned(), kind.name().into());
    Object::from_parts(kind, custom)
}

/// The custom resource that holds a v3 object under `name`.
pub(super) fn from_object(group: Group, object: &Object, name: &str) -> Map<String, Value> {
    let kind = object.kind();
    let mut custom = object.value().clone();
    let mut meta = match custom.remove("metadata") {
        Some(Value::Object(meta)) => meta,
        Some(_) | None => Map::new(),
    };
    if group == Group::V1 {
        meta = metadata::to_custom(kind, &meta);
        ipam::stringly(kind, &mut custom);
    }
    meta.insert("name".to_owned(), name.into());
    custom.insert("metadata".to_owned(), meta.into());
    custom.insert("apiVersion".to_owned(), group.api_version().into());
    custom.insert("kind".to_owned(), kind_name(kind, group).into());
    custom
}
