//! Workload and host endpoints, and the names of workload endpoints.

use std::collections::BTreeMap;

use model::{Cidr, HostEndpoint, IpNat, Resource, WorkloadEndpoint, WorkloadEndpointId, labels};

use super::{Identity, Metadata, spec};
use crate::fields::{
    address, address_v4, address_v6, cidr, distinct, endpoint_port, interface, mac, masked_cidr,
    name, workload_port,
};
use crate::names;
use crate::reader::{Fields, Item};

/// Traffic controls by field name. `dscp` stands apart: it may be a word.
const QOS: [&str; 14] = [
    "ingressBandwidth",
    "ingressBurst",
    "ingressPeakrate",
    "ingressMinburst",
    "egressBandwidth",
    "egressBurst",
    "egressPeakrate",
    "egressMinburst",
    "ingressPacketRate",
    "ingressPacketBurst",
    "egressPacketRate",
    "egressPacketBurst",
    "ingressMaxConnections",
    "egressMaxConnections",
];

/// The parts of a workload endpoint's name, joined by dashes, their own dashes doubled. `None` if a part is empty or has a
/// dash at an end: such a name could not be taken apart again.
pub fn workload_endpoint_name(
    node: &str,
    orchestrator: &str,
    workload: &str,
    endpoint: &str,
) -> Option<String> {
    let parts = [node, orchestrator, workload, endpoint];
    let bad = |part: &&str| part.is_empty() || part.starts_with('-') || part.ends_with('-');
    if parts.iter().any(bad) {
        return None;
    }
    Some(parts.map(|part| part.replace('-', "--")).join("-"))
}

/// Takes a workload endpoint's name apart; `None` if it has not four parts.
pub(crate) fn parse_name(namespace: &str, name: &str) -> Option<WorkloadEndpointId> {
    let parts = name_parts(name);
    let [node, orchestrator, workload, endpoint] = parts.as_slice() else {
        return None;
    };
    let part = |text: &String| {
        Some(text.as_str())
            .filter(|t| !t.is_empty())
            .map(Into::into)
    };
    Some(WorkloadEndpointId {
        node: part(node)?,
        orchestrator: part(orchestrator)?,
        namespace: namespace.into(),
        workload: part(workload)?,
        endpoint: part(endpoint)?,
    })
}

/// Splits at single dashes; a doubled one is a dash of the part.
fn name_parts(name: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut rest = name.chars().peekable();
    while let Some(c) = rest.next() {
        let doubled = c == '-' && rest.next_if_eq(&'-').is_some();
        match parts.last_mut() {
            Some(part) if c != '-' || doubled => part.push(c),
            Some(_) | None => parts.push(String::new()),
        }
    }
    parts
}

/// What a workload endpoint's spec says of its identity.
#[derive(Default)]
struct Named {
    node: Box<str>,
    orchestrator: Box<str>,
    workload: Box<str>,
    container: Box<str>,
    pod: Box<str>,
    endpoint: Box<str>,
}

impl Named {
    fn read(fields: &mut Fields<'_>) -> Named {
        let mut part = |field| fields.nonempty(field, name).unwrap_or_default();
        Named {
            node: part("node"),
            orchestrator: part("orchestrator"),
            workload: part("workload"),
            pod: part("pod"),
            endpoint: part("endpoint"),
            container: fields
                .nonempty("containerID", container_id)
                .unwrap_or_default(),
        }
    }

    /// The part that tells workloads of an orchestrator apart, with its field's name.
    fn workload(&self) -> (&'static str, &str) {
        match &*self.orchestrator {
            "k8s" => ("pod", &self.pod),
            "cni" => ("containerID", &self.container),
            "libnetwork" => ("orchestrator", &self.orchestrator),
            _ => ("workload", &self.workload),
        }
    }
}

fn container_id(item: Item<'_>) -> Option<Box<str>> {
    let text = item.text()?;
    if item.reader.is_admission() && !names::is_container_id(text) {
        item.wrong("must be letters, digits and '-', with a letter or digit at both ends");
    }
    Some(text.into())
}

/// The name that a workload endpoint's spec demands, for objects that come without one.
pub(crate) fn name_of_spec(spec: &serde_json::Map<String, serde_json::Value>) -> Option<String> {
    let text = |field: &str| {
        spec.get(field)
            .and_then(serde_json::Value::as_str)
            .unwrap_or("")
    };
    let orchestrator = text("orchestrator");
    let workload = match orchestrator {
        "k8s" => text("pod"),
        "cni" => text("containerID"),
        "libnetwork" => orchestrator,
        _ => text("workload"),
    };
    workload_endpoint_name(text("node"), orchestrator, workload, text("endpoint"))
}

pub(crate) fn workload(
    id: &Identity<'_>,
    meta: &Metadata,
    fields: &mut Fields<'_>,
) -> Option<Resource> {
    if id.namespace.is_none() || parse_name(id.namespace?, id.name).is_none() {
        let problem = crate::problem::Problem::at(
            "metadata.name",
            "must be <node>-<orchestrator>-<workload>-<endpoint>, with the dashes of each part doubled",
        );
        fields
            .reader()
            .report(problem.found(format!("{:?}", id.name)));
        fields.accept_all();
        return None;
    }
    let (endpoint, orchestrator) = spec(fields, |fields| {
        let named = Named::read(fields);
        if fields.reader().is_admission() {
            check_named(id, &named, fields);
        }
        let orchestrator = named.orchestrator.clone();
        (Some(attachment(named, fields)), orchestrator)
    });
    let mut endpoint = endpoint?;
    endpoint.labels = own_labels(id, meta, &orchestrator, &endpoint);
    // An endpoint without addresses is no endpoint yet.
    (!endpoint.nets.is_empty()).then_some(Resource::WorkloadEndpoint(endpoint))
}

fn check_named(id: &Identity<'_>, named: &Named, fields: &Fields<'_>) {
    let (workload_field, workload) = named.workload();
    let parts: [(&'static str, &str); 4] = [
        ("node", &named.node),
        ("orchestrator", &named.orchestrator),
        (workload_field, workload),
        ("endpoint", &named.endpoint),
    ];
    for (field, value) in parts {
        if value.is_empty() {
            fields.wrong(field, "is required: it is part of the endpoint's name");
        }
    }
    let name = workload_endpoint_name(&named.node, &named.orchestrator, workload, &named.endpoint);
    if let Some(name) = name.filter(|name| name != id.name) {
        let problem = crate::problem::Problem::at(
            "metadata.name",
            "does not agree with the node, orchestrator, workload and endpoint of the spec",
        );
        let hint = format!("it must be {name}, or be left out");
        fields
            .reader()
            .report(problem.found(format!("{:?}", id.name)).hint(hint));
    }
}

fn attachment(named: Named, fields: &mut Fields<'_>) -> WorkloadEndpoint {
    let nonempty = |text: Box<str>| Some(text).filter(|text| !text.is_empty());
    let service_account = fields.nonempty("serviceAccountName", name);
    let nets = fields.list("ipNetworks", host_network);
    let nats = nats(fields, &nets);
    let gateway_v4 = fields.nonempty("ipv4Gateway", address_v4);
    let gateway_v6 = fields.nonempty("ipv6Gateway", address_v6);
    let profiles = fields.list("profiles", name);
    if !fields.has_content("interfaceName") && fields.reader().is_admission() {
        fields.wrong("interfaceName", "is required");
    }
    let interface = fields.nonempty("interfaceName", interface);
    let mac = fields.nonempty("mac", mac);
    let ports = fields.list("ports", workload_port);
    let allow_spoofed = fields.list("allowSpoofedSourcePrefixes", cidr);
    let qos = fields.read("qosControls", |item| item.object(qos));
    WorkloadEndpoint {
        labels: BTreeMap::new(),
        container_id: nonempty(named.container),
        pod: nonempty(named.pod),
        service_account,
        interface: interface.unwrap_or_default(),
        mac,
        nets,
        nats,
        gateway_v4,
        gateway_v6,
        profiles,
        ports,
        allow_spoofed,
        qos: qos.unwrap_or_default(),
    }
}

/// An endpoint's address: only whole addresses are supported.
fn host_network(item: Item<'_>) -> Option<Cidr> {
    let net = masked_cidr(item)?;
    if item.reader.is_admission() && !net.is_host() {
        item.wrong("must be a single address: /32 for IPv4, /128 for IPv6");
    }
    Some(net)
}

fn nats(fields: &mut Fields<'_>, nets: &[Cidr]) -> Vec<IpNat> {
    fields.list("ipNATs", |item| {
        item.object(|fields| {
            let internal = fields.required("internalIP", address);
            let external = fields.required("externalIP", address);
            let nat = IpNat {
                internal: internal?,
                external: external?,
            };
            if nat.internal.is_ipv4() != nat.external.is_ipv4() {
                fields.wrong("externalIP", "must be of the same family as internalIP");
            }
            if fields.reader().is_admission() && !nets.iter().any(|net| net.contains(nat.internal))
            {
                fields.wrong("internalIP", "is none of the endpoint's ipNetworks");
            }
            Some(nat)
        })?
    })
}

fn qos(fields: &mut Fields<'_>) -> BTreeMap<Box<str>, i64> {
    let mut out = BTreeMap::new();
    for field in QOS {
        if let Some(value) = fields.read(field, |item| item.integer(0..=i64::MAX)) {
            out.insert(field.into(), value);
        }
    }
    let dscp = fields.read("dscp", |item| {
        let word = item.value.as_str().and_then(dscp_of_word);
        word.or_else(|| item.integer(0..=63))
    });
    out.extend(dscp.map(|value| ("dscp".into(), value)));
    out
}

/// A DSCP by number, or by its name in RFC 2474 and RFC 2597.
pub(crate) fn dscp_of_word(text: &str) -> Option<i64> {
    const NAMES: [(&str, i64); 22] = [
        ("DF", 0),
        ("EF", 46),
        ("AF11", 10),
        ("AF12", 12),
        ("AF13", 14),
        ("AF21", 18),
        ("AF22", 20),
        ("AF23", 22),
        ("AF31", 26),
        ("AF32", 28),
        ("AF33", 30),
        ("AF41", 34),
        ("AF42", 36),
        ("AF43", 38),
        ("CS1", 8),
        ("CS2", 16),
        ("CS3", 24),
        ("CS4", 32),
        ("CS5", 40),
        ("CS6", 48),
        ("CS7", 56),
        ("CS0", 0),
    ];
    let named = NAMES
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(text));
    named
        .map(|(_, value)| *value)
        .or_else(|| text.parse().ok().filter(|value| (0..=63).contains(value)))
}

/// The labels that selectors see: the object's own without those reserved for profiles, and Calico's.
fn own_labels(
    id: &Identity<'_>,
    meta: &Metadata,
    orchestrator: &str,
    endpoint: &WorkloadEndpoint,
) -> model::Labels {
    let inherited = |key: &str| {
        key.starts_with(labels::NAMESPACE_PREFIX) || key.starts_with(labels::SERVICE_ACCOUNT_PREFIX)
    };
    let mut out = meta.labels.clone();
    out.retain(|key, _| !inherited(key));
    out.insert(labels::NAMESPACE.into(), id.namespace.unwrap_or("").into());
    if !orchestrator.is_empty() {
        out.insert(labels::ORCHESTRATOR.into(), orchestrator.into());
    }
    if let Some(account) = &endpoint.service_account {
        out.insert(labels::SERVICE_ACCOUNT.into(), account.clone());
    }
    out
}

pub(crate) fn host(meta: &Metadata, fields: &mut Fields<'_>) -> Option<Resource> {
    let endpoint = spec(fields, |fields| {
        if fields.reader().is_admission() {
            if !fields.has_content("node") {
                fields.wrong("node", "is required");
            }
            if !fields.has_content("interfaceName") && !fields.has_content("expectedIPs") {
                fields.wrong("interfaceName", "is required when there are no expectedIPs");
            }
        }
        Some(HostEndpoint {
            node: fields.nonempty("node", name).unwrap_or_default(),
            labels: meta.labels.clone(),
            interface: fields.nonempty("interfaceName", interface),
            expected_ips: fields
                .read("expectedIPs", |item| {
                    distinct(&item);
                    item.list(address)
                })
                .unwrap_or_default(),
            profiles: fields
                .read("profiles", |item| {
                    distinct(&item);
                    item.list(name)
                })
                .unwrap_or_default(),
            ports: fields.list("ports", endpoint_port),
        })
    });
    if endpoint.is_none() {
        let problem = crate::problem::Problem::at("spec", "is required");
        fields.reader().report(problem);
    }
    endpoint.map(Resource::HostEndpoint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_there_and_back() {
        let name = workload_endpoint_name("node-1", "k8s", "web-0", "eth0").unwrap();
        assert_eq!(name, "node--1-k8s-web--0-eth0");
        let id = parse_name("ns", &name).unwrap();
        assert_eq!((&*id.node, &*id.workload), ("node-1", "web-0"));
        for bad in ["", "a", "a-b-c", "a-b-c-d-e", "-b-c-d", "a-b-c-"] {
            assert_eq!(parse_name("ns", bad), None, "{bad}");
        }
        assert_eq!(workload_endpoint_name("-a", "k8s", "b", "c"), None);
        assert_eq!(workload_endpoint_name("a", "k8s", "", "c"), None);
    }
}
