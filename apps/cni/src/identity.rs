//! Who the container is: its node, its endpoint, its profiles and labels, the name of its interface on the host.

use std::path::Path;

use datastore::{Query, Snapshot};
use model::{EndpointPort, Key, Labels, WorkloadEndpointId, labels};

use crate::conf::NetConf;
use crate::environment::Call;
use crate::error::{CniError, Code};
use crate::pods::PodFacts;

const NODENAME_FILE: &str = "/var/lib/calico/nodename";
const DEFAULT_SERVICE_ACCOUNT: &str = "default";

/// The node's name, as upstream chooses: the configuration's, then the agent's file's, then the host's. The file has to be there
/// unless it is said to be optional: before, the agent has not run.
pub(crate) fn node_name(conf: &NetConf) -> Result<String, CniError> {
    let file = conf.nodename_file.as_deref();
    let file = file
        .filter(|file| !file.as_os_str().is_empty())
        .unwrap_or(Path::new(NODENAME_FILE));
    let found = match std::fs::read_to_string(file) {
        Ok(name) => name.trim().to_owned(),
        Err(_) if conf.nodename_file_optional => String::new(),
        Err(error) => {
            let doing = format!("failed to read the node's name from {}", file.display());
            return Err(CniError::from_source(Code::TryAgain, &doing, &error)
                .hint("calico-node writes it when it starts; is it running, and does it share /var/lib/calico?"));
        }
    };
    let named = [
        &conf.nodename,
        &conf.kubernetes.node_name,
        &found,
        &conf.hostname,
    ];
    if let Some(name) = named.into_iter().find(|name| !name.is_empty()) {
        return Ok(name.clone());
    }
    Ok(rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .trim()
        .to_lowercase())
}

/// What the runtime says of a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pod {
    pub(crate) namespace: String,
    pub(crate) name: String,
}

/// The pod in `CNI_ARGS`, if there is one.
pub(crate) fn pod(call: &Call) -> Option<Pod> {
    Some(Pod {
        namespace: call.arg("K8S_POD_NAMESPACE")?.to_owned(),
        name: call.arg("K8S_POD_NAME")?.to_owned(),
    })
}

/// The handle under which a container has its addresses.
pub(crate) fn handle(network: &str, container: &str) -> Box<str> {
    format!("{network}.{container}").into()
}

/// A container's endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) id: WorkloadEndpointId,
    pub(crate) container: String,
    pub(crate) host_interface: String,
    pub(crate) labels: Labels,
    pub(crate) profiles: Vec<Box<str>>,
    pub(crate) service_account: Option<Box<str>>,
    /// Ports that the pod declares.
    pub(crate) ports: Vec<EndpointPort>,
    /// The profile that the network has, if this endpoint uses it.
    pub(crate) network_profile: Option<String>,
}

/// Both endpoints that a call could be about: the pod's, if it names one, and the container's.
pub(crate) fn candidates(conf: &NetConf, call: &Call, node: &str) -> Vec<WorkloadEndpointId> {
    let pod = pod(call).map(|pod| pod_id(&pod, call, node));
    pod.into_iter()
        .chain([container_id(conf, call, node)])
        .collect()
}

/// The endpoint of a pod.
pub(crate) fn pod_id(pod: &Pod, call: &Call, node: &str) -> WorkloadEndpointId {
    WorkloadEndpointId {
        node: node.into(),
        orchestrator: "k8s".into(),
        namespace: pod.namespace.as_str().into(),
        workload: pod.name.as_str().into(),
        endpoint: call.interface.as_str().into(),
    }
}

fn container_id(conf: &NetConf, call: &Call, node: &str) -> WorkloadEndpointId {
    let mesos = &conf.args.mesos.network_info.labels.labels;
    let namespace = mesos.iter().find(|label| label.key == labels::NAMESPACE);
    WorkloadEndpointId {
        node: node.into(),
        orchestrator: "cni".into(),
        namespace: namespace.map_or("default", |label| &label.value).into(),
        workload: call.container.as_str().into(),
        endpoint: call.interface.as_str().into(),
    }
}

/// What to read to know whether a pod's Namespace exists: the object, or the profile that stands for it where a store keeps no
/// Namespaces (etcd, as upstream lays it out).
pub(crate) fn namespace_queries(pod: &Pod) -> [Query; 2] {
    namespace_keys(pod).map(Query::key)
}

fn namespace_keys(pod: &Pod) -> [String; 2] {
    [
        api::store_key(api::Kind::Namespace, None, &pod.namespace),
        api::store_key(api::Kind::Profile, None, &format!("kns.{}", pod.namespace)),
    ]
}

/// The endpoint: a pod's if Kubernetes told of it, or the runtime names one whose Namespace exists; otherwise the container's.
pub(crate) fn identify(
    conf: &NetConf,
    call: &Call,
    node: &str,
    snapshot: &Snapshot,
    facts: Option<&PodFacts>,
) -> Result<Identity, CniError> {
    let known = |pod: &Pod| {
        let keys = namespace_keys(pod);
        facts.is_some() || keys.iter().any(|key| snapshot.get(key).is_some())
    };
    let mut own = own_labels(conf)?;
    let identity = match pod(call).filter(known) {
        Some(pod) => {
            let told = facts.and_then(|facts| facts.endpoint.as_ref());
            let account = told
                .and_then(|endpoint| endpoint.service_account.as_deref())
                .or_else(|| call.arg("K8S_POD_SERVICE_ACCOUNT"))
                .unwrap_or(DEFAULT_SERVICE_ACCOUNT);
            let digest = pod_digest(&pod);
            own.insert(labels::SERVICE_ACCOUNT.into(), account.into());
            own.extend(told.into_iter().flat_map(|one| one.labels.clone()));
            Identity {
                id: pod_id(&pod, call, node),
                container: call.container.clone(),
                host_interface: format!("cali{digest}"),
                profiles: vec![
                    format!("kns.{}", pod.namespace).into(),
                    format!("ksa.{}.{account}", pod.namespace).into(),
                ],
                labels: own,
                service_account: Some(account.into()),
                ports: told.map(|one| one.ports.clone()).unwrap_or_default(),
                network_profile: None,
            }
        }
        None => Identity {
            id: container_id(conf, call, node),
            container: call.container.clone(),
            host_interface: format!("cali{}", container_part(&call.container)),
            profiles: vec![conf.name.as_str().into()],
            labels: own,
            service_account: None,
            ports: Vec::new(),
            network_profile: Some(conf.name.clone()),
        },
    };
    Ok(identity)
}

/// The names that a container's interface on the host can have.
pub(crate) fn host_interfaces(container: &str, pod: Option<&Pod>) -> Vec<String> {
    let of_pod = pod.map(|pod| format!("cali{}", pod_digest(pod)));
    let of_container = format!("cali{}", container_part(container));
    of_pod.into_iter().chain([of_container]).collect()
}

fn pod_digest(pod: &Pod) -> String {
    api::interface_digest(&format!("{}.{}", pod.namespace, pod.name))
}

/// The first characters of a container's identity that an interface name has room for; an identity that is longer than
/// that and not hexadecimal, and so may differ from others only in its end, by its digest.
fn container_part(container: &str) -> String {
    let hexadecimal = container.bytes().all(|b| b.is_ascii_hexdigit());
    match container.get(..11) {
        None => container.to_owned(),
        Some(first) if hexadecimal || container.len() == 11 => first.to_owned(),
        Some(_) => api::interface_digest(container),
    }
}

/// The static labels of the network, then those of the container by both conventions; the later win.
fn own_labels(conf: &NetConf) -> Result<Labels, CniError> {
    let mut labels: Labels = conf
        .labels
        .iter()
        .map(|(k, v)| (k.as_str().into(), v.as_str().into()))
        .collect();
    for label in &conf.args.cni.labels {
        labels.insert(label.key.as_str().into(), label.value.as_str().into());
    }
    for label in &conf.args.mesos.network_info.labels.labels {
        if label.key != labels::NAMESPACE {
            labels.insert(sanitize(&label.key).into(), sanitize(&label.value).into());
        }
    }
    api::admit_labels(&labels).map_err(|problems| {
        let texts: Vec<String> = problems.iter().map(ToString::to_string).collect();
        CniError::new(
            Code::Config,
            format!("the endpoint's labels are not valid: {}", texts.join("; ")),
        )
    })?;
    Ok(labels)
}

/// Mesos allows any character in a label; what a selector cannot say becomes a dash (upstream's rule).
fn sanitize(text: &str) -> String {
    let allowed = |c: char| {
        if c.is_ascii_alphanumeric() || "-_./".contains(c) {
            c
        } else {
            '-'
        }
    };
    let clean: String = text.chars().map(allowed).collect();
    clean
        .trim_matches(|c: char| !c.is_ascii_alphanumeric())
        .to_owned()
}

/// Where the endpoint's profile is, for the reads of ADD.
pub(crate) fn profile_key(conf: &NetConf) -> Key {
    Key::Profile(conf.name.as_str().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interface_names() {
        assert_eq!(container_part("0123456789abcdef"), "0123456789a");
        assert_eq!(container_part("short"), "short");
        assert_ne!(
            container_part("container-one-1"),
            container_part("container-one-2")
        );
        assert_eq!(container_part("container-one-1").len(), 11);
    }

    #[test]
    fn node_names_in_upstreams_order() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("nodename");
        let conf = |nodename: &str, optional| NetConf {
            nodename: nodename.into(),
            nodename_file: Some(file.clone()),
            nodename_file_optional: optional,
            hostname: "old".into(),
            ..NetConf::default()
        };
        assert_eq!(node_name(&conf("", true)).unwrap(), "old");
        let error = node_name(&conf("given", false)).unwrap_err();
        assert!(
            error.code == Code::TryAgain && error.message.contains("/nodename"),
            "{error}"
        );
        std::fs::write(&file, "agent\n").unwrap();
        assert_eq!(node_name(&conf("", false)).unwrap(), "agent");
        assert_eq!(node_name(&conf("given", false)).unwrap(), "given");
    }

    #[test]
    fn mesos_labels_are_made_sayable() {
        assert_eq!(sanitize("a b/ü="), "a-b");
    }
}
