//! What Kubernetes says of a container's pod, where there is a Kubernetes to ask: the store itself, or an API server beside it.

use std::collections::BTreeMap;

use datastore::{Query, Snapshot};
use model::{Key, Resource, WorkloadEndpoint, WorkloadEndpointId};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::attachment;
use crate::error::{CniError, Code};
use crate::identity::Pod;

/// A pod that the API server knows.
#[derive(Clone, Debug, Default)]
pub(crate) struct PodFacts {
    /// `namespace/name`, for people.
    pub(crate) shown: String,
    pub(crate) annotations: BTreeMap<String, String>,
    pub(crate) namespace_annotations: BTreeMap<String, String>,
    /// What it is as an endpoint; `None` if it is none on this node.
    pub(crate) endpoint: Option<WorkloadEndpoint>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Object {
    metadata: Meta,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Meta {
    annotations: Option<BTreeMap<String, String>>,
}

fn namespace_key(pod: &Pod) -> String {
    api::store_key(api::Kind::Namespace, None, &pod.namespace)
}

/// What to read to know a pod: two requests, since its metadata and its endpoint are one object.
pub(crate) fn queries(pod: &Pod, id: &WorkloadEndpointId) -> Vec<Query> {
    let metadata = api::kubernetes::pod_key(&pod.namespace, &pod.name);
    let endpoint = attachment::queries(std::slice::from_ref(id));
    [metadata, namespace_key(pod)]
        .into_iter()
        .map(Query::key)
        .chain(endpoint)
        .collect()
}

/// The pod of a snapshot.
///
/// # Errors
/// The API server does not know it (yet, or any more), or its metadata cannot be read.
pub(crate) fn read(
    pod: &Pod,
    id: &WorkloadEndpointId,
    snapshot: &Snapshot,
) -> Result<PodFacts, CniError> {
    let shown = format!("{}/{}", pod.namespace, pod.name);
    let annotations = |key: &str| {
        let Some(entry) = snapshot.get(key) else {
            return Ok(None);
        };
        let object: Object = serde_json::from_slice(&entry.value).map_err(|error| {
            CniError::from_source(
                Code::TryAgain,
                &format!("failed to read the annotations of pod {shown} and its namespace"),
                &error,
            )
        })?;
        Ok(Some(object.metadata.annotations.unwrap_or_default()))
    };
    let own = annotations(&api::kubernetes::pod_key(&pod.namespace, &pod.name))?;
    let own = own.ok_or_else(|| gone(&shown))?;
    let of_namespace = annotations(&namespace_key(pod))?;
    Ok(PodFacts {
        annotations: own,
        namespace_annotations: of_namespace.unwrap_or_default(),
        endpoint: endpoint(id, snapshot),
        shown,
    })
}

/// The endpoint that the pod is about to be. One without addresses is none to anybody else, so it is read with one that stands
/// for them.
fn endpoint(id: &WorkloadEndpointId, snapshot: &Snapshot) -> Option<WorkloadEndpoint> {
    let key = api::key_text(&Key::WorkloadEndpoint(id.clone()))?;
    let mut object: Value = serde_json::from_slice(&snapshot.get(&key)?.value).ok()?;
    let spec = object.get_mut("spec")?.as_object_mut()?;
    spec.insert("ipNetworks".to_owned(), json!(["0.0.0.0/32"]));
    let update = api::decode(&key, object.to_string().as_bytes()).ok()?;
    match update.value {
        Some(Resource::WorkloadEndpoint(endpoint)) => Some(endpoint),
        _ => None,
    }
}

/// That there is no such pod.
pub(crate) fn gone(shown: &str) -> CniError {
    CniError::new(
        Code::TryAgain,
        format!("the Kubernetes API has no pod {shown}"),
    )
    .hint("it was deleted meanwhile, or the runtime is of another cluster than the configuration's kubeconfig")
}
