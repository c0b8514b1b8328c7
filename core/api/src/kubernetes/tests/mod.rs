//! Golden objects, made by hand from upstream's layout.

mod custom;
mod nodes;
mod places;
mod pods;

use serde_json::Value;

use super::{Collection, Group, Reading, collections, read};
use crate::kind::Kind;

pub(super) fn collection(kind: Kind, group: Group) -> Collection {
    collections(kind, group)[0]
}

pub(super) fn reading(kind: Kind, group: Group, object: &Value) -> Reading {
    read(collection(kind, group), object.to_string().as_bytes()).expect("it can be read")
}

/// The entry as key and JSON, without the annotation that all policies have.
pub(super) fn entry(reading: &Reading) -> (String, Value) {
    let key = reading.key.clone().expect("the store has it");
    let bytes = reading.value.as_ref().expect("it is not marked as deleted");
    let mut value: Value = serde_json::from_slice(bytes).expect("JSON");
    if key.contains("networkpolicies/")
        && let Some(policy) = value.as_object_mut()
    {
        crate::older::strip(policy);
    }
    (key, value)
}
