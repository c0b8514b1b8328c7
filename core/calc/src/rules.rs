//! From rules to compiled rules: selectors, named ports and services become sets, and the family that a rule speaks of becomes explicit.
//!
//! A function: the same rules give the same compiled rules and the same sets, whatever the world looks like.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::selector::{Selector, unique_id};
use model::{Action, Cidr, EntityMatch, Family, PortMatch, PortRange, Protocol, Rule, ServiceRef};

use crate::change::{CompiledEntity, CompiledPolicy, CompiledPorts, CompiledRule, SetId, SetKind};

/// What a set holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SetSpec {
    /// The addresses of things.
    Selected(Selector),
    /// The addresses of things that have a port of this name, each with that port.
    Named(Selector, NamedPort),
    /// The addresses of a service's endpoints.
    Service(ServiceRef),
    /// The same, each with every port of the service.
    ServicePorts(ServiceRef),
}

/// A port by name; of any protocol that has ports unless one is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NamedPort {
    pub(crate) name: Box<str>,
    pub(crate) protocol: Option<Protocol>,
}

impl SetSpec {
    pub(crate) fn kind(&self) -> SetKind {
        match self {
            SetSpec::Selected(_) | SetSpec::Service(_) => SetKind::Net,
            SetSpec::Named(..) | SetSpec::ServicePorts(_) => SetKind::NetPort,
        }
    }

    /// The set's name, as upstream makes it.
    fn id(&self) -> SetId {
        let of_service = |word, service: &ServiceRef| {
            unique_id(word, &format!("{}/{}", service.namespace, service.name))
        };
        let id: String = match self {
            SetSpec::Selected(selector) => selector.unique_id().to_owned(),
            SetSpec::Named(selector, port) => {
                let (selector, protocol) = (selector.unique_id(), protocol_word(port));
                unique_id("n", &format!("{selector},{protocol},{}", port.name))
            }
            SetSpec::Service(service) => of_service("svcnoport", service),
            SetSpec::ServicePorts(service) => of_service("svc", service),
        };
        SetId(Arc::from(id))
    }
}

fn protocol_word(port: &NamedPort) -> String {
    match port.protocol {
        Some(Protocol::TCP) => "tcp".to_owned(),
        Some(Protocol::UDP) => "udp".to_owned(),
        Some(Protocol::SCTP) => "sctp".to_owned(),
        Some(other) => other.number().to_string(),
        None => "any".to_owned(),
    }
}

/// Rules compiled, with the sets they name.
#[derive(Default)]
pub(crate) struct Compilation {
    pub(crate) policy: CompiledPolicy,
    pub(crate) sets: BTreeMap<SetId, SetSpec>,
}

/// Compiles the rules of a policy or a profile.
pub(crate) fn compile(ingress: &[Rule], egress: &[Rule]) -> Compilation {
    let mut compilation = Compilation::default();
    compilation.policy.ingress = ingress.iter().map(|rule| compilation.rule(rule)).collect();
    compilation.policy.egress = egress.iter().map(|rule| compilation.rule(rule)).collect();
    compilation
}

/// The annotation that marks the rules which stand for a profile that does not exist.
pub(crate) const MISSING_PROFILE: (&str, &str) = ("name", "profile does not exist");

/// What stands for a profile that does not exist: all is denied.
pub(crate) fn missing_profile() -> Compilation {
    let mut deny = Rule::any(Action::Deny);
    deny.annotations
        .insert(MISSING_PROFILE.0.into(), MISSING_PROFILE.1.into());
    compile(std::slice::from_ref(&deny), std::slice::from_ref(&deny))
}

impl Compilation {
    fn rule(&mut self, rule: &Rule) -> CompiledRule {
        let Rule {
            action,
            family,
            protocol,
            not_protocol,
            icmp,
            not_icmp,
            source,
            destination,
            http,
            annotations,
        } = rule;
        let mut compiled = CompiledRule {
            action: *action,
            family: *family,
            protocol: *protocol,
            not_protocol: *not_protocol,
            icmp: *icmp,
            not_icmp: *not_icmp,
            source: self.source(source, *protocol),
            destination: self.destination(destination, *protocol),
            http: http.clone(),
            annotations: annotations.clone(),
        };
        match families(rule).as_slice() {
            // No packet is of no family.
            [] => compiled.source.nets = Some(Vec::new()),
            [only] => compiled.family = Some(*only),
            _ => {}
        }
        compiled
    }

    /// A service as a source is its addresses.
    fn source(&mut self, source: &EntityMatch, protocol: Option<Protocol>) -> CompiledEntity {
        let mut compiled = self.entity(source, protocol);
        if let Some(service) = source.service.clone() {
            compiled.sets.push(self.set(SetSpec::Service(service)));
        }
        compiled
    }

    /// A service as a destination is its addresses with its ports.
    fn destination(&mut self, dest: &EntityMatch, protocol: Option<Protocol>) -> CompiledEntity {
        let mut compiled = self.entity(dest, protocol);
        if let Some(service) = dest.service.clone() {
            compiled
                .port_sets
                .push(self.set(SetSpec::ServicePorts(service)));
        }
        compiled
    }

    fn entity(&mut self, entity: &EntityMatch, protocol: Option<Protocol>) -> CompiledEntity {
        let EntityMatch {
            nets,
            not_nets,
            selector,
            not_selector,
            ports,
            not_ports,
            service: _,
        } = entity;
        // A positive selector and a negative one make one set: something known that the one selects and the other does not.
        let (positive, negative) = match (selector, not_selector) {
            (Some(wanted), Some(unwanted)) => (Some(wanted.and(&unwanted.negated())), None),
            (wanted, unwanted) => (wanted.clone(), unwanted.clone()),
        };
        let owner = positive.clone().unwrap_or_else(Selector::all);
        let compiled_ports = ports
            .as_ref()
            .map(|ports| self.ports(ports, &owner, protocol));
        // Named ports are those of selected endpoints: where only they can match, the selector is asked already.
        let asked_by_ports = compiled_ports
            .as_ref()
            .is_some_and(|ports| ports.ranges.is_empty() && !ports.sets.is_empty());
        let positive = positive.filter(|_| !asked_by_ports);
        CompiledEntity {
            nets: nets.clone(),
            not_nets: not_nets.clone(),
            sets: positive
                .map(|selector| self.set(SetSpec::Selected(selector)))
                .into_iter()
                .collect(),
            not_sets: negative
                .map(|selector| self.set(SetSpec::Selected(selector)))
                .into_iter()
                .collect(),
            port_sets: Vec::new(),
            ports: compiled_ports,
            not_ports: self.ports(not_ports, &owner, protocol),
        }
    }

    fn ports(
        &mut self,
        ports: &[PortMatch],
        owner: &Selector,
        protocol: Option<Protocol>,
    ) -> CompiledPorts {
        let mut compiled = CompiledPorts::default();
        for port in ports {
            match port {
                PortMatch::Range(range) => compiled.ranges.push(*range),
                PortMatch::Named(name) => {
                    let port = NamedPort {
                        name: name.clone(),
                        protocol,
                    };
                    compiled
                        .sets
                        .push(self.set(SetSpec::Named(owner.clone(), port)));
                }
            }
        }
        compiled.ranges = merged(compiled.ranges);
        compiled.sets.sort_unstable();
        compiled.sets.dedup();
        compiled
    }

    fn set(&mut self, spec: SetSpec) -> SetId {
        let id = spec.id();
        self.sets.entry(id.clone()).or_insert(spec);
        id
    }
}

/// The families of packets that the rule can match: a list of networks speaks only of the families in it.
fn families(rule: &Rule) -> Vec<Family> {
    let speaks_of = |nets: &[Cidr], family| nets.iter().any(|net| net.family() == family);
    let permits = |entity: &EntityMatch, family| {
        entity
            .nets
            .as_ref()
            .is_none_or(|nets| speaks_of(nets, family))
            && (entity.not_nets.is_empty() || speaks_of(&entity.not_nets, family))
    };
    let possible = |family: &Family| {
        rule.family.is_none_or(|only| only == *family)
            && permits(&rule.source, *family)
            && permits(&rule.destination, *family)
    };
    Family::ALL.into_iter().filter(possible).collect()
}

/// Sorted, without overlaps, neighbours joined.
fn merged(mut ranges: Vec<PortRange>) -> Vec<PortRange> {
    ranges.sort_unstable();
    let mut merged: Vec<PortRange> = Vec::with_capacity(ranges.len());
    for range in ranges {
        let joined = merged
            .last()
            .filter(|last| u32::from(range.first()) <= u32::from(last.last()) + 1)
            .and_then(|last| PortRange::new(last.first(), last.last().max(range.last())));
        match joined {
            Some(joined) => {
                merged.pop();
                merged.push(joined);
            }
            None => merged.push(range),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_of_services_have_upstreams_names() {
        let service = ServiceRef {
            namespace: "default".into(),
            name: "svc".into(),
        };
        assert_eq!(
            SetSpec::ServicePorts(service.clone()).id().to_string(),
            "svc:Jhwii46PCMT5NlhWsUqZmv7al8TeHFbNQMhoVg"
        );
        assert_eq!(
            SetSpec::Service(service).id().to_string(),
            "svcnoport:T03S_6hogdrGKrNFBcbKTFsH_uKwDHEo8JddOg"
        );
    }

    #[test]
    fn ranges_are_merged() {
        let check = |ranges: &[(u16, u16)], expected: &str| {
            let ranges = ranges
                .iter()
                .filter_map(|&(first, last)| PortRange::new(first, last))
                .collect();
            let texts: Vec<String> = merged(ranges).iter().map(ToString::to_string).collect();
            assert_eq!(texts.join(" "), expected);
        };
        check(&[], "");
        check(&[(80, 80), (53, 53)], "53 80");
        check(&[(1, 5), (3, 4), (6, 6), (8, 9)], "1:6 8:9");
        check(&[(0, 65535), (65535, 65535)], "0:65535");
    }
}
