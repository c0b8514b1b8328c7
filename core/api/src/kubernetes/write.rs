//! From a change of an entry to a request to the API server.

use serde_json::{Map, Value, json};

use super::places::{Native, Source, place};
use super::{Group, Place, custom, ipam, node, pod};
use crate::gojson;
use crate::ipam_form;
use crate::key::{StoreKey, parse_store_key};
use crate::kind::Kind;
use crate::object::Object;
use crate::older;

/// What is to happen to an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change<'a> {
    /// It must be absent, and gets this value.
    Create(&'a [u8]),
    /// It must be of this revision, and gets this value.
    Update(&'a [u8], u64),
    /// It must be there, of this revision if one is given, and goes.
    Delete(Option<u64>),
}

/// How a request is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// A new object.
    Post,
    /// An object in place of the one there is.
    Put,
    /// A JSON merge patch (RFC 7396).
    MergePatch,
    /// Removal.
    Delete,
}

/// A request to the API server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// How.
    pub method: Method,
    /// Where: path and query.
    pub path: String,
    /// What, as JSON.
    pub body: Vec<u8>,
    /// The object that it changes.
    pub place: Place,
}

/// An entry that no request can change so. Each text says what to do instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// No object of an API server has this key.
    #[error("{key} is nothing that the Kubernetes API has")]
    NoPlace {
        /// The key.
        key: String,
    },
    /// The object is Kubernetes' own.
    #[error("{what} belong to Kubernetes, and are {verb} there: use kubectl")]
    Foreign {
        /// What kind of object, in the plural.
        what: &'static str,
        /// What was wanted.
        verb: &'static str,
    },
    /// The bytes are no object.
    #[error("the value for {key} is no object: {problem}")]
    Value {
        /// The key.
        key: String,
        /// What is wrong.
        problem: String,
    },
}

/// The request that makes a change.
///
/// # Errors
/// If the API server takes no such change.
pub fn write(key: &str, change: Change<'_>, group: Group) -> Result<Request, Refused> {
    let found = place(key, group);
    if found.as_ref().is_some_and(is_pod_metadata) {
        // Only its endpoint is ours to write.
        return Err(Refused::Foreign {
            what: "pods",
            verb: verb(change),
        });
    }
    let (Some(place), Some(parsed)) = (found, parse_store_key(key)) else {
        return Err(Refused::NoPlace {
            key: key.to_owned(),
        });
    };
    match place.collection.source {
        Source::Custom(group) => write_custom(key, &parsed, change, group, place),
        Source::Native(Native::Pod) => write_pod(key, change, place),
        Source::Native(Native::Node) => write_node(key, change, place),
        Source::Native(
            Native::PodMetadata
            | Native::Namespace
            | Native::ServiceAccount
            | Native::NetworkPolicy
            | Native::ClusterNetworkPolicy
            | Native::Service
            | Native::EndpointSlice,
        ) => Err(foreign(place.collection.kind(), change)),
    }
}

fn is_pod_metadata(place: &Place) -> bool {
    place.collection.source == Source::Native(Native::PodMetadata)
}

fn foreign(kind: Kind, change: Change<'_>) -> Refused {
    let what = match kind.name() {
        "Namespace" => "namespaces",
        "ServiceAccount" => "service accounts",
        "Profile" => "profiles come from namespaces and service accounts, which",
        "Node" => "nodes",
        "Service" => "services",
        "EndpointSlice" => "endpoint slices",
        "ClusterNetworkPolicy" => "cluster network policies",
        _ => "Kubernetes network policies",
    };
    Refused::Foreign {
        what,
        verb: verb(change),
    }
}

fn verb(change: Change<'_>) -> &'static str {
    match change {
        Change::Create(_) => "made",
        Change::Update(..) => "changed",
        Change::Delete(_) => "deleted",
    }
}

fn object_of(key: &str, bytes: &[u8], kind: Kind) -> Result<Object, Refused> {
    let refused = |problem: String| Refused::Value {
        key: key.to_owned(),
        problem,
    };
    match serde_json::from_slice(bytes) {
        Ok(Value::Object(map)) => Ok(Object::from_parts(kind, map)),
        Ok(_) => Err(refused("it is other JSON".to_owned())),
        Err(error) => Err(refused(error.to_string())),
    }
}

fn write_custom(
    key: &str,
    parsed: &StoreKey,
    change: Change<'_>,
    group: Group,
    place: Place,
) -> Result<Request, Refused> {
    let (bytes, revision, method) = match change {
        Change::Create(bytes) => (bytes, None, Method::Post),
        Change::Update(bytes, revision) => (bytes, Some(revision), Method::Put),
        Change::Delete(revision) => return Ok(delete(revision, place)),
    };
    let kind = parsed.kind();
    let mut object = object_of(key, bytes, kind)?;
    if kind.has_tier() {
        older::strip(object.value_mut());
    }
    if ipam_form::is_kept_otherwise(kind) {
        object = ipam_form::to_v3(parsed, object.value().clone());
        ipam::complete(parsed, &mut object);
    }
    let mut custom = custom::from_object(group, &object, &place.name);
    if let Some(Value::Object(meta)) = custom.get_mut("metadata") {
        meta.remove("resourceVersion");
        match revision {
            Some(revision) => {
                meta.insert("resourceVersion".to_owned(), revision.to_string().into());
            }
            // A new object's identity is the API server's to give.
            None => {
                meta.remove("uid");
            }
        }
    }
    let path = match method {
        Method::Post => place.collection.path(place.namespace.as_deref()),
        Method::Put | Method::MergePatch | Method::Delete => place.path(),
    };
    Ok(Request {
        method,
        path,
        body: gojson::to_vec(&Value::Object(custom)),
        place,
    })
}

fn delete(revision: Option<u64>, place: Place) -> Request {
    let mut options = json!({"apiVersion": "v1", "kind": "DeleteOptions"});
    if let Some(revision) = revision {
        options["preconditions"] = json!({"resourceVersion": revision.to_string()});
    }
    Request {
        method: Method::Delete,
        path: place.path(),
        body: gojson::to_vec(&options),
        place,
    }
}

fn patch(meta: Map<String, Value>, place: Place) -> Request {
    Request {
        method: Method::MergePatch,
        path: format!("{}/status", place.path()),
        body: gojson::to_vec(&json!({"metadata": meta})),
        place,
    }
}

/// An endpoint's addresses are said on its pod, so that others know of them before the kubelet says so. The pod itself is
/// the kubelet's: it writes it at any time, so no revision is compared, only which pod it is.
fn write_pod(key: &str, change: Change<'_>, place: Place) -> Result<Request, Refused> {
    let mut annotations = Map::new();
    let mut meta = Map::new();
    match change {
        Change::Create(bytes) | Change::Update(bytes, _) => {
            let object = object_of(key, bytes, Kind::WorkloadEndpoint)?;
            let networks = object.pointer("/spec/ipNetworks").and_then(Value::as_array);
            let texts: Vec<&str> = networks
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .collect();
            if let Some(first) = texts.first() {
                annotations.insert(pod::POD_IP.to_owned(), (*first).into());
                annotations.insert(pod::POD_IPS.to_owned(), texts.join(",").into());
            }
            let container = object.pointer("/spec/containerID").and_then(Value::as_str);
            if let Some(container) = container.filter(|id| !id.is_empty()) {
                annotations.insert(pod::CONTAINER_ID.to_owned(), container.into());
            }
            if let (Some(uid), Change::Update(..)) = (object.uid(), change) {
                meta.insert("uid".to_owned(), uid.into());
            }
        }
        // Empty, not absent: so it says that the addresses were taken back. The container's identity stays, for a second
        // removal to be known as such.
        Change::Delete(_) => {
            for name in [pod::POD_IP, pod::POD_IPS] {
                annotations.insert(name.to_owned(), "".into());
            }
        }
    }
    meta.insert("annotations".to_owned(), annotations.into());
    Ok(patch(meta, place))
}

fn write_node(key: &str, change: Change<'_>, place: Place) -> Result<Request, Refused> {
    let Change::Update(bytes, revision) = change else {
        return Err(foreign(Kind::Node, change));
    };
    let object = object_of(key, bytes, Kind::Node)?;
    let mut meta = Map::new();
    meta.insert("resourceVersion".to_owned(), revision.to_string().into());
    meta.insert("annotations".to_owned(), node::annotations(&object).into());
    Ok(patch(meta, place))
}
