//! Which local endpoints have an interface or an address, so that a notice of the kernel finds them without a look at all.

use std::collections::{BTreeMap, BTreeSet};

use calc::LocalEndpoint;
use model::{Cidr, WorkloadEndpointId};

/// Local endpoints by what they have.
#[derive(Debug, Default)]
pub(crate) struct Locals {
    interfaces: BTreeMap<Box<str>, BTreeSet<WorkloadEndpointId>>,
    nets: BTreeMap<Cidr, BTreeMap<WorkloadEndpointId, Box<str>>>,
}

impl Locals {
    /// An endpoint came.
    pub(crate) fn insert(&mut self, id: &WorkloadEndpointId, endpoint: &LocalEndpoint) {
        let interface = &endpoint.interface;
        self.interfaces
            .entry(interface.clone())
            .or_default()
            .insert(id.clone());
        for net in &endpoint.nets {
            self.nets
                .entry(*net)
                .or_default()
                .insert(id.clone(), interface.clone());
        }
    }

    /// An endpoint as it was is no more.
    pub(crate) fn remove(&mut self, id: &WorkloadEndpointId, endpoint: &LocalEndpoint) {
        if let Some(ids) = self.interfaces.get_mut(&endpoint.interface) {
            ids.remove(id);
            if ids.is_empty() {
                self.interfaces.remove(&endpoint.interface);
            }
        }
        for net in &endpoint.nets {
            if let Some(ids) = self.nets.get_mut(net) {
                ids.remove(id);
                if ids.is_empty() {
                    self.nets.remove(net);
                }
            }
        }
    }

    /// Whether an endpoint has the interface.
    pub(crate) fn has(&self, interface: &str) -> bool {
        self.interfaces.contains_key(interface)
    }

    /// The endpoints that have the interface, in their order.
    pub(crate) fn of(&self, interface: &str) -> impl Iterator<Item = &WorkloadEndpointId> {
        self.interfaces.get(interface).into_iter().flatten()
    }

    /// The interfaces of the endpoints that have this net.
    pub(crate) fn with_net(&self, net: Cidr) -> impl Iterator<Item = &str> {
        let endpoints = self.nets.get(&net).into_iter();
        endpoints.flat_map(|ids| ids.values().map(|interface| &**interface))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(workload: &str) -> WorkloadEndpointId {
        WorkloadEndpointId {
            node: "n".into(),
            orchestrator: "k8s".into(),
            namespace: "ns".into(),
            workload: workload.into(),
            endpoint: "eth0".into(),
        }
    }

    #[test]
    fn the_last_endpoint_of_an_interface_takes_it_along() {
        let net = Cidr::host([10, 0, 0, 1].into());
        let endpoint = LocalEndpoint {
            interface: "cali1".into(),
            mac: None,
            nets: vec![net],
            allow_spoofed: Vec::new(),
            ingress: Vec::new(),
            egress: Vec::new(),
            profiles: Vec::new(),
        };
        let mut locals = Locals::default();
        locals.insert(&id("a"), &endpoint);
        locals.insert(&id("b"), &endpoint);
        locals.insert(&id("b"), &endpoint);
        assert_eq!(locals.of("cali1").count(), 2);
        locals.remove(&id("b"), &endpoint);
        assert!(locals.has("cali1"));
        assert_eq!(locals.with_net(net).collect::<Vec<_>>(), ["cali1"]);
        locals.remove(&id("a"), &endpoint);
        locals.remove(&id("a"), &endpoint);
        assert!(!locals.has("cali1"));
        assert_eq!(locals.with_net(net).count(), 0);
    }
}
