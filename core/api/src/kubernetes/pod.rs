//! Pods as workload endpoints.
//!
//! A pod that runs in a container network of its own on a known node is an endpoint, from then until it is deleted. What
//! its annotations ask for and is not understood is left out, which takes rights away and never gives any.

use std::collections::BTreeMap;

use model::Cidr;
use serde::Deserialize;
use serde_json::{Value, json};

use super::qos;
use crate::kind::Kind;
use crate::kinds::endpoints::workload_endpoint_name;
use crate::object::Object;
use crate::sha1::interface_digest;

/// Addresses the CNI plugin gave, before the kubelet says them in the status. Empty: it has taken them back.
pub(super) const POD_IP: &str = "cni.projectcalico.org/podIP";
pub(super) const POD_IPS: &str = "cni.projectcalico.org/podIPs";
/// The sandbox these addresses are of.
pub(super) const CONTAINER_ID: &str = "cni.projectcalico.org/containerID";
const AWS_IPS: &str = "vpc.amazonaws.com/pod-ips";
const FLOATING_IPS: &str = "cni.projectcalico.org/floatingIPs";
const SOURCE_PREFIXES: &str = "cni.projectcalico.org/allowedSourcePrefixes";
const NETWORK_STATUS: &str = "k8s.v1.cni.cncf.io/network-status";
/// Every endpoint of a pod has this name: the CNI plugin is called for one interface.
const ENDPOINT: &str = "eth0";
/// What the names of interfaces begin with by default.
const INTERFACE_PREFIX: &str = "cali";
/// A name of a service account from this length on does not fit into a label.
const LABEL_LIMIT: usize = 63;

/// What is read of a pod.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Pod {
    metadata: Meta,
    spec: Spec,
    status: Status,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Meta {
    name: String,
    namespace: String,
    generate_name: Option<String>,
    uid: Option<String>,
    resource_version: String,
    creation_timestamp: Option<String>,
    deletion_timestamp: Option<String>,
    labels: Option<BTreeMap<String, String>>,
    annotations: Option<BTreeMap<String, String>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Spec {
    node_name: String,
    host_network: bool,
    service_account_name: String,
    containers: Vec<Container>,
    init_containers: Vec<Container>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Container {
    ports: Vec<Port>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Port {
    name: String,
    container_port: u16,
    host_port: u16,
    #[serde(rename = "hostIP")]
    host_ip: String,
    protocol: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Status {
    phase: String,
    #[serde(rename = "podIP")]
    ip: String,
    #[serde(rename = "podIPs")]
    ips: Vec<StatusIp>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct StatusIp {
    ip: String,
}

impl Pod {
    pub(super) fn namespace(&self) -> &str {
        &self.metadata.namespace
    }

    pub(super) fn name(&self) -> &str {
        &self.metadata.name
    }

    pub(super) fn resource_version(&self) -> &str {
        &self.metadata.resource_version
    }

    /// The name of its endpoint; `None` while it is on no node, and for one in its host's own network.
    pub(super) fn endpoint_name(&self) -> Option<String> {
        if self.spec.host_network {
            return None;
        }
        workload_endpoint_name(&self.spec.node_name, "k8s", &self.metadata.name, ENDPOINT)
    }

    fn annotation(&self, name: &str) -> Option<&str> {
        let annotations = self.metadata.annotations.as_ref()?;
        annotations.get(name).map(String::as_str)
    }

    /// True if its addresses may be another pod's by now.
    fn is_finished(&self) -> bool {
        let taken_back = |name| self.annotation(name).is_some_and(str::is_empty);
        let leaving = self.metadata.deletion_timestamp.is_some();
        (leaving && (taken_back(POD_IP) || taken_back(AWS_IPS)))
            || matches!(&*self.status.phase, "Failed" | "Succeeded" | "Completed")
    }

    /// Its addresses, from the first place that says any.
    fn networks(&self, problems: &mut Vec<String>) -> Vec<Cidr> {
        if self.is_finished() {
            return Vec::new();
        }
        let listed = |name| {
            let text = self.annotation(name).filter(|text| !text.is_empty());
            text.map(|text| text.split(',').map(|one| (one, name)).collect())
        };
        let single =
            || Some(vec![(&*self.status.ip, "status.podIP")]).filter(|one| !one[0].0.is_empty());
        let all = || {
            let ips: Vec<_> = self
                .status
                .ips
                .iter()
                .map(|one| (&*one.ip, "status.podIPs"))
                .collect();
            Some(ips).filter(|ips| !ips.is_empty())
        };
        let texts: Vec<(&str, &str)> = all()
            .or_else(single)
            .or_else(|| listed(POD_IPS))
            .or_else(|| {
                self.annotation(POD_IP)
                    .filter(|text| !text.is_empty())
                    .map(|text| vec![(text, POD_IP)])
            })
            .or_else(|| listed(AWS_IPS))
            .unwrap_or_default();
        let mut networks = Vec::with_capacity(texts.len());
        for (text, origin) in texts {
            match network(text) {
                Some(network) => networks.push(network),
                None => {
                    problems.push(format!(
                        "{origin}: {text:?} is no address; the pod counts as having none"
                    ));
                    return Vec::new();
                }
            }
        }
        networks
    }

    fn ports(&self, problems: &mut Vec<String>) -> Vec<Value> {
        let containers = self
            .spec
            .containers
            .iter()
            .chain(&self.spec.init_containers);
        let ports = containers.flat_map(|container| &container.ports);
        let wanted = |port: &&Port| {
            port.container_port != 0 && (port.host_port != 0 || !port.name.is_empty())
        };
        let mut out = Vec::new();
        for port in ports.filter(wanted) {
            // As upstream: the names are in lower case in what it makes of a pod.
            let protocol = match &*port.protocol {
                "TCP" | "" => "tcp",
                "UDP" => "udp",
                "SCTP" => "sctp",
                other => {
                    problems.push(format!(
                        "port {:?} has protocol {other:?}, which is none",
                        port.name
                    ));
                    continue;
                }
            };
            let mut one =
                json!({"name": port.name, "protocol": protocol, "port": port.container_port});
            if port.host_port != 0 {
                one["hostPort"] = port.host_port.into();
            }
            if !port.host_ip.is_empty() {
                one["hostIP"] = port.host_ip.clone().into();
            }
            out.push(one);
        }
        out
    }

    /// The endpoint it is; `None` as [`endpoint_name`](Self::endpoint_name).
    pub(super) fn endpoint(&self, problems: &mut Vec<String>) -> Option<Object> {
        let Meta {
            namespace, name, ..
        } = &self.metadata;
        let mut object = Object::new(
            Kind::WorkloadEndpoint,
            Some(namespace),
            &self.endpoint_name()?,
        );
        self.identify(&mut object);
        let networks = self.networks(problems);
        let account = &*self.spec.service_account_name;
        let mut profiles = vec![format!("kns.{namespace}")];
        if !account.is_empty() {
            profiles.push(format!("ksa.{namespace}.{account}"));
        }
        let digest = interface_digest(&format!("{namespace}.{name}"));
        let texts: Vec<String> = networks.iter().map(ToString::to_string).collect();
        let optional = [
            (
                "containerID",
                self.annotation(CONTAINER_ID).map(Value::from),
            ),
            (
                "serviceAccountName",
                Some(account)
                    .filter(|name| !name.is_empty())
                    .map(Value::from),
            ),
            ("ipNATs", self.floating(&networks, problems)),
            ("allowSpoofedSourcePrefixes", self.prefixes(problems)),
            (
                "ports",
                Some(self.ports(problems))
                    .filter(|ports| !ports.is_empty())
                    .map(Value::from),
            ),
            (
                "qosControls",
                self.metadata
                    .annotations
                    .as_ref()
                    .and_then(|all| qos::controls(all, problems)),
            ),
        ];
        let spec = object.spec_mut();
        spec.insert("orchestrator".to_owned(), "k8s".into());
        spec.insert("node".to_owned(), self.spec.node_name.clone().into());
        spec.insert("pod".to_owned(), name.clone().into());
        spec.insert("endpoint".to_owned(), ENDPOINT.into());
        spec.insert(
            "interfaceName".to_owned(),
            format!("{INTERFACE_PREFIX}{digest}").into(),
        );
        spec.insert("profiles".to_owned(), profiles.into());
        spec.insert("ipNetworks".to_owned(), texts.into());
        for (field, value) in optional {
            if let Some(value) = value {
                spec.insert(field.to_owned(), value);
            }
        }
        Some(object)
    }

    fn identify(&self, object: &mut Object) {
        let Meta {
            generate_name,
            uid,
            creation_timestamp,
            labels,
            namespace,
            ..
        } = &self.metadata;
        for (label, value) in labels.iter().flatten() {
            object.set_label(label, value);
        }
        object.set_label("projectcalico.org/namespace", namespace);
        object.set_label("projectcalico.org/orchestrator", "k8s");
        let account = &*self.spec.service_account_name;
        if !account.is_empty() && account.len() < LABEL_LIMIT {
            object.set_label("projectcalico.org/serviceaccount", account);
        }
        let fields = [
            ("generateName", generate_name),
            ("uid", uid),
            ("creationTimestamp", creation_timestamp),
        ];
        let meta = object.metadata_mut();
        for (field, value) in fields {
            if let Some(value) = value {
                meta.insert(field.to_owned(), value.clone().into());
            }
        }
        if let Some(status) = self.annotation(NETWORK_STATUS) {
            let meta = object.metadata_mut();
            meta.insert("annotations".to_owned(), json!({NETWORK_STATUS: status}));
        }
    }

    /// Addresses that lead to the pod's own of the same family.
    fn floating(&self, networks: &[Cidr], problems: &mut Vec<String>) -> Option<Value> {
        let text = self
            .annotation(FLOATING_IPS)
            .filter(|_| !networks.is_empty())?;
        let wanted = match serde_json::from_str::<Vec<String>>(text) {
            Ok(wanted) => wanted,
            Err(error) => {
                problems.push(format!(
                    "annotation {FLOATING_IPS} is no list of addresses: {error}"
                ));
                return None;
            }
        };
        let mut nats = Vec::new();
        for text in wanted {
            let Some(external) = network(&text).filter(|external| external.is_host()) else {
                problems.push(format!("annotation {FLOATING_IPS}: {text:?} is no address"));
                continue;
            };
            let internal = networks
                .iter()
                .find(|own| own.family() == external.family() && own.is_host());
            if let Some(internal) = internal {
                nats.push(json!({"internalIP": internal.addr().to_string(), "externalIP": external.addr().to_string()}));
            }
        }
        (!nats.is_empty()).then(|| nats.into())
    }

    /// Networks that it may send from besides its own addresses: all of them, or none if one is not understood.
    fn prefixes(&self, problems: &mut Vec<String>) -> Option<Value> {
        let text = self
            .annotation(SOURCE_PREFIXES)
            .filter(|text| !text.is_empty())?;
        let wanted = match serde_json::from_str::<Vec<String>>(text) {
            Ok(wanted) => wanted,
            Err(error) => {
                problems.push(format!(
                    "annotation {SOURCE_PREFIXES} is no list of networks: {error}"
                ));
                return None;
            }
        };
        let parsed = |text: &String| {
            text.contains('/')
                .then(|| text.parse::<Cidr>().ok())
                .flatten()
        };
        match wanted.iter().map(parsed).collect::<Option<Vec<Cidr>>>() {
            Some(networks) => {
                let texts: Vec<String> = networks.iter().map(ToString::to_string).collect();
                (!texts.is_empty()).then(|| texts.into())
            }
            None => {
                problems.push(format!(
                    "annotation {SOURCE_PREFIXES}: {text:?} has an entry that is no network"
                ));
                None
            }
        }
    }
}

/// An address, or a network.
fn network(text: &str) -> Option<Cidr> {
    match text.trim().parse() {
        Ok(addr) => Some(Cidr::host(addr)),
        Err(_) => text.trim().parse().ok(),
    }
}
