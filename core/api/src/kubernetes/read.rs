//! From what the API server has to an entry of the store.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::places::{Collection, Native, Source, pod_key};
use super::pod::Pod;
use super::{Group, custom, ipam, node, profile};
use crate::gojson;
use crate::ipam_form;
use crate::key::store_key;
use crate::kind::Kind;
use crate::object::Object;

/// Which object of a collection.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectName {
    /// Its namespace, empty for what has none.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// An object of the API server as the store has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Which object it is.
    pub object: ObjectName,
    /// Its `resourceVersion`.
    pub revision: u64,
    /// The key under which it is found; `None` if it is nothing to the store, such as a pod in its host's network.
    pub key: Option<String>,
    /// The bytes there; `None` if there are none: there is no key, or the object is marked as deleted and waits for someone
    /// to remove it, as IPAM objects do.
    pub value: Option<Vec<u8>>,
    /// What in it was not understood and left out.
    pub problems: Vec<String>,
}

/// An object that says too little to be anything: it counts as absent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} {} of the API server cannot be read: {problem}", .collection.plural(), .object.as_ref().map_or("(unknown)".to_owned(), ObjectName::text))]
pub struct Unreadable {
    /// Where it is.
    pub collection: Collection,
    /// Which it is, if it says so much.
    pub object: Option<ObjectName>,
    /// What is wrong with it.
    pub problem: String,
}

/// Reads one object of a collection.
///
/// # Errors
/// If the bytes are no object with a name and a decimal `resourceVersion`.
pub fn read(collection: Collection, bytes: &[u8]) -> Result<Reading, Unreadable> {
    let Collection { kind, source } = collection;
    if source == Source::Native(Native::Pod) {
        return read_pod(collection, bytes);
    }
    let unreadable = |object: Option<ObjectName>, problem: String| Unreadable {
        collection,
        object,
        problem,
    };
    let mut map: Map<String, Value> =
        serde_json::from_slice(bytes).map_err(|error| unreadable(None, error.to_string()))?;
    let text = |field: &str| {
        let value = map.get("metadata").and_then(|meta| meta.get(field));
        value.and_then(Value::as_str).unwrap_or("").to_owned()
    };
    let (namespace, name, version) = (text("namespace"), text("name"), text("resourceVersion"));
    if name.is_empty() {
        return Err(unreadable(None, "it has no name".to_owned()));
    }
    let name = ObjectName { namespace, name };
    let revision = revision(&version).map_err(|problem| unreadable(Some(name.clone()), problem))?;
    if source == Source::Native(Native::PodMetadata) {
        return Ok(metadata_of_pod(name, revision, &map));
    }
    let mut problems = Vec::new();
    let mut is_deleted = false;
    let object = match source {
        Source::Native(Native::Node) => node::to_object(&map, &mut problems),
        Source::Native(Native::Namespace | Native::ServiceAccount) if kind == Kind::Profile => {
            let meta = map.get("metadata").and_then(Value::as_object);
            let meta = meta.cloned().unwrap_or_default();
            match source == Source::Native(Native::Namespace) {
                true => profile::of_namespace(&meta),
                false => profile::of_account(&meta),
            }
        }
        // A pod was read above.
        Source::Native(_) => {
            if let Some(Value::Object(meta)) = map.get_mut("metadata") {
                meta.remove("managedFields");
            }
            map.insert("apiVersion".to_owned(), kind.api_version().into());
            map.insert("kind".to_owned(), kind.name().into());
            Object::from_parts(kind, map)
        }
        Source::Custom(group) => {
            let spec = map.get("spec").and_then(Value::as_object);
            is_deleted = ipam_form::is_kept_otherwise(kind)
                && kind != Kind::IpamConfiguration
                && spec.is_some_and(ipam::is_deleted);
            custom_object(kind, group, map, &mut problems)
        }
    };
    // A policy is kept under the name that its custom resource has, which older releases have given another than its own.
    let key = match kind.has_tier() {
        true => store_key(kind, object.namespace(), &name.name),
        false => object.store_key(),
    };
    Ok(Reading {
        object: name,
        revision,
        key: Some(key),
        value: (!is_deleted).then(|| object.to_plain_bytes()),
        problems,
    })
}

/// Nothing but the metadata: the rest of a pod may hold secrets, and nobody here needs it.
fn metadata_of_pod(object: ObjectName, revision: u64, pod: &Map<String, Value>) -> Reading {
    let mut meta = pod.get("metadata").cloned().unwrap_or_default();
    if let Value::Object(meta) = &mut meta {
        meta.remove("managedFields");
    }
    Reading {
        key: Some(pod_key(&object.namespace, &object.name)),
        value: Some(gojson::to_vec(&json!({"metadata": meta}))),
        object,
        revision,
        problems: Vec::new(),
    }
}

fn custom_object(
    kind: Kind,
    group: Group,
    map: Map<String, Value>,
    problems: &mut Vec<String>,
) -> Object {
    let mut object = custom::to_object(kind, group, map, problems);
    if ipam_form::is_kept_otherwise(kind) && !object.value().contains_key("spec") {
        object.spec_mut();
    }
    object
}

fn read_pod(collection: Collection, bytes: &[u8]) -> Result<Reading, Unreadable> {
    // Enough to say which pod it is, if the whole cannot be read.
    #[derive(Deserialize)]
    struct Named {
        metadata: NamedMeta,
    }
    #[derive(Deserialize)]
    struct NamedMeta {
        #[serde(default)]
        namespace: String,
        name: String,
    }
    let unreadable = |object: Option<ObjectName>, problem: String| Unreadable {
        collection,
        object,
        problem,
    };
    let pod: Pod = serde_json::from_slice(bytes).map_err(|error| {
        let named = serde_json::from_slice::<Named>(bytes).ok();
        let name = named.map(|pod| ObjectName {
            namespace: pod.metadata.namespace,
            name: pod.metadata.name,
        });
        unreadable(name, error.to_string())
    })?;
    let object = ObjectName {
        namespace: pod.namespace().to_owned(),
        name: pod.name().to_owned(),
    };
    let revision = revision(pod.resource_version())
        .map_err(|problem| unreadable(Some(object.clone()), problem))?;
    let mut problems = Vec::new();
    let endpoint = pod.endpoint(&mut problems);
    Ok(Reading {
        object,
        revision,
        key: endpoint.as_ref().map(Object::store_key),
        value: endpoint.as_ref().map(Object::to_plain_bytes),
        problems,
    })
}

/// A `resourceVersion` as a number. The API says it is opaque; every API server has numbers that grow (KEP-5504 says so).
fn revision(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| {
        format!("its resourceVersion is {text:?}; only decimal numbers can be compared")
    })
}

impl ObjectName {
    /// As `namespace/name`, or the name alone.
    pub fn text(&self) -> String {
        match self.namespace.as_str() {
            "" => self.name.clone(),
            namespace => format!("{namespace}/{}", self.name),
        }
    }
}
