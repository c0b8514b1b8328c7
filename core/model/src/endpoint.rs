//! Endpoints: where policy is applied.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use crate::addr::{Cidr, Mac};
use crate::labels::Labels;
use crate::port::Protocol;

/// A workload endpoint's identity. `node` is part of it: the same workload on another node is another endpoint.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkloadEndpointId {
    /// The node that hosts it.
    pub node: Box<str>,
    /// `k8s`, `cni`, `libnetwork`, `openstack`.
    pub orchestrator: Box<str>,
    /// The namespace of the object.
    pub namespace: Box<str>,
    /// The workload: the pod's name for `k8s`, the container's identity for `cni`.
    pub workload: Box<str>,
    /// The endpoint's name inside the workload, such as `eth0`.
    pub endpoint: Box<str>,
}

/// `<namespace>/<workload>:<endpoint>@<node>`, for people.
impl fmt::Display for WorkloadEndpointId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}/{}:{}@{}",
            self.namespace, self.workload, self.endpoint, self.node
        )
    }
}

/// A port that an endpoint declares.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EndpointPort {
    /// The name that rules use; may be empty for a host port without a name.
    pub name: Box<str>,
    /// The protocol.
    pub protocol: Protocol,
    /// The port's number.
    pub port: u16,
    /// The port on the host that is mapped to it; 0 is none.
    pub host_port: u16,
    /// The host's address for the mapping; `None` is any.
    pub host_ip: Option<IpAddr>,
}

/// A floating address in front of an endpoint's own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IpNat {
    /// The endpoint's address.
    pub internal: IpAddr,
    /// The address others use.
    pub external: IpAddr,
}

/// A container's or virtual machine's attachment (upstream resource: v3 `WorkloadEndpoint`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WorkloadEndpoint {
    /// Own labels, with namespace, orchestrator and service account among them.
    pub labels: Labels,
    /// The runtime's identity for the container, if any.
    pub container_id: Option<Box<str>>,
    /// The pod's name, if the endpoint belongs to one.
    pub pod: Option<Box<str>>,
    /// The service account, if any.
    pub service_account: Option<Box<str>>,
    /// The interface on the host.
    pub interface: Box<str>,
    /// The interface's MAC address inside the workload.
    pub mac: Option<Mac>,
    /// The addresses, as networks: /32 and /128 as a rule.
    pub nets: Vec<Cidr>,
    /// Floating addresses.
    pub nats: Vec<IpNat>,
    /// IPv4 gateway, for orchestrators that want one told.
    pub gateway_v4: Option<IpAddr>,
    /// IPv6 gateway.
    pub gateway_v6: Option<IpAddr>,
    /// Profiles, in order.
    pub profiles: Vec<Box<str>>,
    /// Declared ports.
    pub ports: Vec<EndpointPort>,
    /// Networks that the workload may send from besides its own.
    pub allow_spoofed: Vec<Cidr>,
    /// Traffic controls by upstream's field name, kept for the dataplane that enforces them.
    pub qos: BTreeMap<Box<str>, i64>,
}

/// A host endpoint's identity.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostEndpointId {
    /// The object's name; unique in the cluster.
    pub name: Box<str>,
}

/// A host's own interface under policy (upstream resource: v3 `HostEndpoint`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostEndpoint {
    /// The node it is on.
    pub node: Box<str>,
    /// Own labels.
    pub labels: Labels,
    /// The interface; `*` is every one, `None` goes by `expected_ips`.
    pub interface: Option<Box<str>>,
    /// Addresses that name the interface and that sets use.
    pub expected_ips: Vec<IpAddr>,
    /// Profiles, in order.
    pub profiles: Vec<Box<str>>,
    /// Declared ports.
    pub ports: Vec<EndpointPort>,
}

impl WorkloadEndpointId {
    /// The name of the file in `endpoint-status/` by which agent and CNI plugin tell each other that the endpoint's policy is
    /// in force: orchestrator, workload and endpoint, path-escaped, with a space between (upstream: `epstatusfile`).
    pub fn status_file_name(&self) -> String {
        let workload = format!("{}/{}", self.namespace, self.workload);
        [&*self.orchestrator, &workload, &*self.endpoint]
            .map(path_escape)
            .join(" ")
    }
}

/// Escapes all but what a path segment may hold (RFC 3986 section 3.3, without `,` and `;`, as Go's `url.PathEscape`).
fn path_escape(text: &str) -> String {
    use fmt::Write as _;
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~$&+=:@".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_file_names_have_no_slash() {
        let id = WorkloadEndpointId {
            node: "n1".into(),
            orchestrator: "k8s".into(),
            namespace: "shop".into(),
            workload: "web-1".into(),
            endpoint: "eth0".into(),
        };
        assert_eq!(id.status_file_name(), "k8s shop%2Fweb-1 eth0");
    }
}
