//! Who uses an address, as nodes, services and workloads say it themselves.

use std::collections::BTreeMap;
use std::net::IpAddr;

use api::{Kind, Object};
use datastore::StoreKind;
use serde_json::Value;

use crate::cli::IpamCheckArgs;
use crate::objects::Objects;
use crate::outcome::Failure;
use crate::session::Session;

/// The class of load balancers to whose services Calico gives addresses.
const OWN_CLASS: &str = "calico";
/// By these a service asks Calico for an address.
const ASKS: [&str; 3] = [
    "/metadata/annotations/projectcalico.org~1ipv4pools",
    "/metadata/annotations/projectcalico.org~1ipv6pools",
    "/metadata/annotations/projectcalico.org~1loadBalancerIPs",
];

/// What a user is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Nature {
    Windows,
    Node,
    Service,
    Workload,
}

struct User {
    nature: Nature,
    name: String,
}

/// What is known of the services that have addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Services {
    /// No controller gives addresses to services, as far as is said.
    NoController,
    /// The store has none: they are in a cluster beside it.
    Elsewhere,
    /// So many have or wait for an address of Calico's.
    Known(usize),
}

/// The users of all addresses.
pub(super) struct Users {
    by_address: BTreeMap<IpAddr, Vec<User>>,
    services: Services,
    /// What of the objects cannot be read.
    pub(super) unreadable: Vec<String>,
}

impl Users {
    /// Asks nodes and workloads of the store, and services of wherever they are.
    pub(super) fn read(objects: &Objects, services: Option<&Objects>) -> Result<Users, Failure> {
        let nodes = objects.list(Kind::Node, None)?;
        let workloads = objects.list(Kind::WorkloadEndpoint, None)?;
        let mut users = Users {
            by_address: BTreeMap::new(),
            services: Services::NoController,
            unreadable: [nodes.damaged, workloads.damaged].concat(),
        };
        for node in &nodes.objects {
            users.use_by_node(node);
        }
        users.ask_services(objects, services)?;
        for workload in &workloads.objects {
            users.use_by_workload(workload);
        }
        Ok(users)
    }

    fn ask_services(
        &mut self,
        objects: &Objects,
        services: Option<&Objects>,
    ) -> Result<(), Failure> {
        let configuration = objects.find(Kind::KubeControllersConfiguration, None, "default")?;
        let balancer = configuration
            .as_ref()
            .and_then(|object| object.pointer("/spec/controllers/loadBalancer"));
        let Some(balancer) = balancer else {
            return Ok(());
        };
        let Some(services) = services else {
            self.services = Services::Elsewhere;
            return Ok(());
        };
        let whose = match balancer.get("assignIPs").and_then(Value::as_str) {
            Some("RequestedServicesOnly") => Whose::Requested,
            Some(_) | None => Whose::All,
        };
        let listing = services.list(Kind::Service, None)?;
        self.unreadable.extend(listing.damaged);
        let ours = listing.objects.iter().filter(|one| is_ours(one, whose));
        let mut count = 0;
        for service in ours {
            count += 1;
            let ingress = service.pointer("/status/loadBalancer/ingress");
            let points = ingress.and_then(Value::as_array).into_iter().flatten();
            // A point may have a name of a host instead.
            let addresses = points.filter_map(|point| point.get("ip").and_then(Value::as_str));
            let namespace = service.namespace().unwrap_or("");
            for text in addresses.filter(|text| !text.is_empty()) {
                self.use_by(
                    text,
                    Nature::Service,
                    service_name(namespace, service.name()),
                );
            }
        }
        self.services = Services::Known(count);
        Ok(())
    }

    fn use_by_node(&mut self, node: &Object) {
        const TUNNELS: [&str; 6] = [
            "/spec/ipv4VXLANTunnelAddr",
            "/spec/ipv6VXLANTunnelAddr",
            "/spec/wireguard/interfaceIPv4Address",
            "/spec/wireguard/interfaceIPv6Address",
            "/spec/bgp/ipv4IPIPTunnelAddr",
            "/spec/bgp/ipv6IPIPTunnelAddr",
        ];
        let texts = TUNNELS.iter().map(|pointer| node.text_at(pointer));
        for text in texts.filter(|text| !text.is_empty()) {
            self.use_by(text, Nature::Node, format!("Node({})", node.name()));
        }
    }

    fn use_by_workload(&mut self, endpoint: &Object) {
        let networks = endpoint
            .pointer("/spec/ipNetworks")
            .and_then(Value::as_array);
        let texts = networks.into_iter().flatten().filter_map(Value::as_str);
        let namespace = endpoint.namespace().unwrap_or("");
        let name = format!("Workload({namespace}/{})", endpoint.name());
        for text in texts {
            self.use_by(text, Nature::Workload, name.clone());
        }
    }

    /// Notes that an address, written alone or as a network, is in use.
    fn use_by(&mut self, text: &str, nature: Nature, name: String) {
        let addr = text.split('/').next().unwrap_or(text);
        match addr.parse() {
            Ok(addr) => self.note(addr, nature, name),
            Err(_) => self
                .unreadable
                .push(format!("failed to parse IP ({text}) of {name}")),
        }
    }

    fn note(&mut self, addr: IpAddr, nature: Nature, name: String) {
        let users = self.by_address.entry(addr).or_default();
        users.push(User { nature, name });
    }

    /// Notes that Windows keeps an address for itself.
    pub(super) fn reserved(&mut self, addr: IpAddr) {
        self.note(addr, Nature::Windows, "Reserved for Windows".to_owned());
    }

    /// Notes that an address was given to a service. Where the services cannot be asked it is in use: it must not be taken
    /// for leaked.
    pub(super) fn given(&mut self, addr: IpAddr, namespace: &str, service: &str) {
        match self.services {
            Services::NoController | Services::Elsewhere => {
                self.note(addr, Nature::Service, service_name(namespace, service));
            }
            Services::Known(_) => {}
        }
    }

    /// How many addresses are in use.
    pub(super) fn len(&self) -> usize {
        self.by_address.len()
    }

    /// The users of an address by name; `None` if there are none.
    pub(super) fn of(&self, addr: IpAddr) -> Option<Vec<&str>> {
        let users = self.by_address.get(&addr)?;
        Some(users.iter().map(|user| user.name.as_str()).collect())
    }

    /// Every address in use.
    pub(super) fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.by_address.keys().copied()
    }

    pub(super) fn show(
        &self,
        args: &IpamCheckArgs,
        session: &mut Session<'_>,
    ) -> Result<(), Failure> {
        session.line("Loading all nodes.")?;
        let nodes = self.list(Nature::Node, args, session)?;
        session.line(format!("Found {nodes} node tunnel IPs.\n"))?;
        session.line("Loading all service load balancer IPs.")?;
        let given = self.list(Nature::Service, args, session)?;
        let in_use = match given {
            0 => String::new(),
            given => {
                format!("\nFound {given} IPs that were given to services, which count as in use.")
            }
        };
        session.line(match self.services {
            Services::NoController => format!(
                "No configuration for LoadBalancer kubecontroller found, skipping service check{in_use}\n"
            ),
            Services::Elsewhere => format!(
                "Services are not in this datastore, skipping service check{in_use}\n"
            ),
            Services::Known(count) => format!("Found {count} service load balancer(s).\n"),
        })?;
        session.line("Loading all workload endpoints.")?;
        let workloads = self.list(Nature::Workload, args, session)?;
        session.line(format!("Found {workloads} workload IPs."))?;
        session.line(format!(
            "Workloads and nodes are using {} IPs.\n",
            self.len()
        ))
    }

    /// Prints the addresses of users of one nature if all are to be printed; returns how many there are.
    fn list(
        &self,
        nature: Nature,
        args: &IpamCheckArgs,
        session: &mut Session<'_>,
    ) -> Result<usize, Failure> {
        let mut count = 0;
        for (addr, users) in &self.by_address {
            for user in users.iter().filter(|user| user.nature == nature) {
                count += 1;
                if args.show_all_ips {
                    session.line(format!("  {addr} belongs to {}", user.name))?;
                }
            }
        }
        Ok(count)
    }
}

/// Where the services are whose addresses a store keeps: in the store itself, or (`None`) in a cluster beside it.
pub(super) fn services_of(objects: &Objects) -> Option<&Objects> {
    match objects.choice().kind {
        StoreKind::Kubernetes | StoreKind::Embedded => Some(objects),
        StoreKind::EtcdV3 => None,
    }
}

fn service_name(namespace: &str, name: &str) -> String {
    format!("Service({namespace}/{name})")
}

/// To which services the controller gives addresses (`assignIPs`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whose {
    All,
    /// To those that ask.
    Requested,
}

/// Whether the controller gives the service its addresses, by upstream's rule.
fn is_ours(service: &Object, whose: Whose) -> bool {
    let class = service
        .pointer("/spec/loadBalancerClass")
        .and_then(Value::as_str);
    let asks = || {
        let annotated = ASKS
            .iter()
            .any(|pointer| !service.text_at(pointer).is_empty());
        annotated || !service.text_at("/spec/loadBalancerIP").is_empty()
    };
    service.text_at("/spec/type") == "LoadBalancer"
        && match (whose, class) {
            (_, Some(class)) => class == OWN_CLASS,
            (Whose::All, None) => true,
            (Whose::Requested, None) => asks(),
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_that_calico_gives_addresses_to() {
        let check = |whose, service: Value, expected| {
            let mut object = Object::new(Kind::Service, Some("a"), "b");
            if let (Value::Object(fields), value) = (service, object.value_mut()) {
                value.extend(fields);
            }
            assert_eq!(is_ours(&object, whose), expected, "{whose:?} {object:?}");
        };
        let of = |spec: Value| serde_json::json!({ "spec": spec });
        let balancer = serde_json::json!({"type": "LoadBalancer"});
        let of_class = |class| {
            let mut spec = balancer.clone();
            spec["loadBalancerClass"] = Value::from(class);
            of(spec)
        };
        check(Whose::All, of(balancer.clone()), true);
        check(Whose::Requested, of(balancer.clone()), false);
        for whose in [Whose::All, Whose::Requested] {
            check(whose, of(serde_json::json!({"type": "NodePort"})), false);
            check(whose, of_class("calico"), true);
            check(whose, of_class("other"), false);
        }
        let mut asking = of(balancer.clone());
        asking["spec"]["loadBalancerIP"] = "10.0.0.1".into();
        check(Whose::Requested, asking, true);
        for name in ["ipv4pools", "ipv6pools", "loadBalancerIPs"] {
            let mut asking = of(balancer.clone());
            asking["metadata"] =
                serde_json::json!({"annotations": {format!("projectcalico.org/{name}"): "[]"}});
            check(Whose::Requested, asking.clone(), true);
            asking["spec"]["loadBalancerClass"] = "other".into();
            check(Whose::Requested, asking, false);
        }
    }
}
