//! What Calico policy means: the plain, slow, complete definition. It is the specification; the graph and every dataplane
//! are measured against it, and it shares nothing with them but the model and the words for a verdict.
//!
//! In short: a packet is judged where it leaves its workload and where it arrives at one. There the tiers are asked in order,
//! in each tier the policies that apply, in order, and in each policy the rules, in order. `Allow` and `Deny` decide, `Pass`
//! goes on with the next tier, `Log` with the next rule. A tier in which a policy applies and no rule decides denies, unless its
//! default action is `Pass`. After the last tier the endpoint's profiles are asked in order, and after them all is denied.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::net::IpAddr;

use model::{
    Action, Cidr, DefaultAction, EndpointPort, EndpointSlice, EntityMatch, Family, IcmpMatch, Key,
    Labels, NetworkSet, Order, Policy, PolicyId, PolicyKind, PortMatch, Profile, Protocol,
    Resource, Rule, ServiceRef, Staged, Tier, Update, WorkloadEndpoint, WorkloadEndpointId,
};

use crate::verdict::{Decision, Direction, Packet, Reason, Verdict};

/// All objects, by key.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct World {
    resources: BTreeMap<Key, Resource>,
}

impl World {
    /// Takes in an update: afterwards the object is as it says, or absent.
    pub fn apply(&mut self, update: Update) {
        match update.value {
            Some(value) => self.resources.insert(update.key, value),
            None => self.resources.remove(&update.key),
        };
    }

    /// Every object, in the order of the keys.
    pub fn iter(&self) -> impl Iterator<Item = (&Key, &Resource)> {
        self.resources.iter()
    }

    /// One object.
    pub fn get(&self, key: &Key) -> Option<&Resource> {
        self.resources.get(key)
    }

    /// Every workload endpoint.
    pub fn endpoints(&self) -> impl Iterator<Item = (&WorkloadEndpointId, &WorkloadEndpoint)> {
        self.iter()
            .filter_map(|(key, resource)| match (key, resource) {
                (Key::WorkloadEndpoint(id), Resource::WorkloadEndpoint(endpoint)) => {
                    Some((id, endpoint))
                }
                _ => None,
            })
    }

    fn endpoint(&self, id: &WorkloadEndpointId) -> Option<&WorkloadEndpoint> {
        match self.get(&Key::WorkloadEndpoint(id.clone())) {
            Some(Resource::WorkloadEndpoint(endpoint)) => Some(endpoint),
            _ => None,
        }
    }

    fn tier(&self, name: &str) -> Option<&Tier> {
        match self.get(&Key::Tier(name.into())) {
            Some(Resource::Tier(tier)) => Some(tier),
            _ => None,
        }
    }

    fn profile(&self, name: &str) -> Option<&Profile> {
        match self.get(&Key::Profile(name.into())) {
            Some(Resource::Profile(profile)) => Some(profile),
            _ => None,
        }
    }

    fn policies(&self) -> impl Iterator<Item = (&PolicyId, &Policy)> {
        self.iter()
            .filter_map(|(key, resource)| match (key, resource) {
                (Key::Policy(id), Resource::Policy(policy)) => Some((id, policy.as_ref())),
                _ => None,
            })
    }

    /// The workload endpoint that has this address; the first in the order of the keys if several do.
    pub fn endpoint_at(&self, address: IpAddr) -> Option<&WorkloadEndpointId> {
        self.endpoints()
            .find(|(_, endpoint)| endpoint.nets.iter().any(|net| net.contains(address)))
            .map(|(id, _)| id)
    }
}

/// Judges a packet on its whole way: where it leaves a workload, then where it arrives at one.
pub fn verdict(world: &World, packet: &Packet) -> Verdict {
    let hops = [
        (Direction::Egress, world.endpoint_at(packet.source)),
        (Direction::Ingress, world.endpoint_at(packet.destination)),
    ];
    let mut verdict = Verdict {
        action: Decision::Allow,
        reason: Reason::NoEndpoint,
    };
    for (direction, endpoint) in hops {
        let Some(endpoint) = endpoint else { continue };
        verdict = endpoint_verdict(world, endpoint, direction, packet);
        if verdict.action == Decision::Deny {
            break;
        }
    }
    verdict
}

/// Judges a packet at one endpoint.
pub fn endpoint_verdict(
    world: &World,
    id: &WorkloadEndpointId,
    direction: Direction,
    packet: &Packet,
) -> Verdict {
    let Some(endpoint) = world.endpoint(id) else {
        return Verdict {
            action: Decision::Deny,
            reason: Reason::UnknownEndpoint,
        };
    };
    let labels = effective_labels(world, &endpoint.labels, &endpoint.profiles);
    for (tier, policies) in applicable_tiers(world, &labels, direction) {
        if let Some(verdict) = tier_verdict(world, tier, &policies, direction, packet) {
            return verdict;
        }
    }
    profiles_verdict(world, endpoint, direction, packet)
}

/// The endpoint's own labels and those of its profiles; its own win, then those of the earlier profile.
fn effective_labels(world: &World, own: &Labels, profiles: &[Box<str>]) -> Labels {
    let mut labels = own.clone();
    for profile in profiles.iter().filter_map(|name| world.profile(name)) {
        for (key, value) in &profile.labels {
            labels.entry(key.clone()).or_insert_with(|| value.clone());
        }
    }
    labels
}

/// The tiers that have a policy which applies, in order, with those policies in order.
fn applicable_tiers<'w>(
    world: &'w World,
    labels: &Labels,
    direction: Direction,
) -> Vec<(&'w str, Vec<(&'w PolicyId, &'w Policy)>)> {
    let mut by_tier: BTreeMap<&str, Vec<(&PolicyId, &Policy)>> = BTreeMap::new();
    for (id, policy) in world.policies() {
        if is_enforced_on_workloads(id, policy)
            && speaks_for(policy, direction)
            && policy.selector.matches(labels)
        {
            by_tier.entry(&policy.tier).or_default().push((id, policy));
        }
    }
    for policies in by_tier.values_mut() {
        policies.sort_by(|(left_id, left), (right_id, right)| {
            left.order
                .cmp(&right.order)
                .then_with(|| tie_break(left_id).cmp(&tie_break(right_id)))
        });
    }
    let mut tiers: Vec<_> = by_tier.into_iter().collect();
    tiers.sort_by(|(left, _), (right, _)| tier_order(world, left, right));
    tiers
}

/// Staged policies are only reported; untracked and pre-DNAT policies are for host endpoints.
fn is_enforced_on_workloads(id: &PolicyId, policy: &Policy) -> bool {
    let staged_kind = match id.kind {
        PolicyKind::StagedNetworkPolicy
        | PolicyKind::StagedGlobalNetworkPolicy
        | PolicyKind::StagedKubernetesNetworkPolicy => true,
        PolicyKind::NetworkPolicy
        | PolicyKind::GlobalNetworkPolicy
        | PolicyKind::KubernetesNetworkPolicy
        | PolicyKind::KubernetesClusterNetworkPolicy => false,
    };
    !staged_kind && policy.staged == Staged::No && !policy.do_not_track && !policy.pre_dnat
}

fn speaks_for(policy: &Policy, direction: Direction) -> bool {
    match direction {
        Direction::Ingress => policy.types.ingress,
        Direction::Egress => policy.types.egress,
    }
}

/// The text that decides between policies of the same order.
fn tie_break(id: &PolicyId) -> String {
    format!(
        "{}/{}/{}",
        id.name,
        id.namespace.as_deref().unwrap_or(""),
        id.kind.name()
    )
}

/// Tiers that exist by order, those without order after them, then those that do not exist; ties by name.
fn tier_order(world: &World, left: &str, right: &str) -> Ordering {
    let rank = |name: &str| match world.tier(name) {
        Some(tier) => (0, tier.order),
        None => (1, Order::LAST),
    };
    rank(left).cmp(&rank(right)).then_with(|| left.cmp(right))
}

/// `None`: the tier does not decide, the next one is asked.
fn tier_verdict(
    world: &World,
    tier: &str,
    policies: &[(&PolicyId, &Policy)],
    direction: Direction,
    packet: &Packet,
) -> Option<Verdict> {
    for (id, policy) in policies {
        let rules = match direction {
            Direction::Ingress => &policy.ingress,
            Direction::Egress => &policy.egress,
        };
        if let Some((rule, action)) = first_decision(world, rules, packet) {
            let action = match action {
                Action::Allow => Decision::Allow,
                Action::Deny => Decision::Deny,
                Action::Pass | Action::Log => return None,
            };
            let reason = Reason::Rule {
                tier: tier.into(),
                policy: (*id).clone(),
                rule,
            };
            return Some(Verdict { action, reason });
        }
    }
    // A tier that does not exist denies: what is missing fails closed.
    match world
        .tier(tier)
        .map_or(DefaultAction::Deny, |tier| tier.default_action)
    {
        DefaultAction::Deny => Some(Verdict {
            action: Decision::Deny,
            reason: Reason::EndOfTier { tier: tier.into() },
        }),
        DefaultAction::Pass => None,
    }
}

fn profiles_verdict(
    world: &World,
    endpoint: &WorkloadEndpoint,
    direction: Direction,
    packet: &Packet,
) -> Verdict {
    for name in &endpoint.profiles {
        let Some(profile) = world.profile(name) else {
            return Verdict {
                action: Decision::Deny,
                reason: Reason::MissingProfile {
                    profile: name.clone(),
                },
            };
        };
        let rules = match direction {
            Direction::Ingress => &profile.ingress,
            Direction::Egress => &profile.egress,
        };
        if let Some((rule, action)) = first_decision(world, rules, packet) {
            let action = match action {
                Action::Allow => Decision::Allow,
                Action::Deny => Decision::Deny,
                // There is no next tier after the profiles: the rest of this profile is skipped.
                Action::Pass | Action::Log => continue,
            };
            return Verdict {
                action,
                reason: Reason::Profile {
                    profile: name.clone(),
                    rule,
                },
            };
        }
    }
    Verdict {
        action: Decision::Deny,
        reason: Reason::NoProfileMatched,
    }
}

/// The first rule that matches and does more than to log.
fn first_decision(world: &World, rules: &[Rule], packet: &Packet) -> Option<(usize, Action)> {
    let decisive = |rule: &Rule| rule.action != Action::Log && rule_matches(world, rule, packet);
    rules
        .iter()
        .position(decisive)
        .map(|index| (index, rules[index].action))
}

/// Every criterion that is present must hold.
fn rule_matches(world: &World, rule: &Rule, packet: &Packet) -> bool {
    let ports = packet.ports();
    // HTTP cannot be seen in a packet: a rule that asks for it never matches here.
    rule.http.is_none()
        && rule.family.is_none_or(|family| family == packet.family())
        && rule
            .protocol
            .is_none_or(|protocol| protocol == packet.protocol)
        && rule
            .not_protocol
            .is_none_or(|protocol| protocol != packet.protocol)
        && rule.icmp.is_none_or(|icmp| icmp_matches(icmp, packet))
        && !rule.not_icmp.is_some_and(|icmp| icmp_matches(icmp, packet))
        && entity_matches(
            world,
            &rule.source,
            packet.protocol,
            packet.source,
            ports.map(|(source, _)| source),
        )
        && entity_matches(
            world,
            &rule.destination,
            packet.protocol,
            packet.destination,
            ports.map(|(_, dest)| dest),
        )
        && rule
            .source
            .service
            .as_ref()
            .is_none_or(|service| serves(world, service, packet.source))
        && rule.destination.service.as_ref().is_none_or(|service| {
            ports.is_some_and(|(_, port)| {
                serves_at(world, service, packet.destination, packet.protocol, port)
            })
        })
}

/// Whether a slice of the service has the address: whom a connection comes from is known by that alone, whatever its port.
fn serves(world: &World, service: &ServiceRef, address: IpAddr) -> bool {
    slices(world, service).any(|slice| slice.addresses.contains(&address))
}

/// Whether a slice of the service has both the address and the port. A slice without numbered ports leads nowhere.
fn serves_at(
    world: &World,
    service: &ServiceRef,
    address: IpAddr,
    protocol: Protocol,
    port: u16,
) -> bool {
    slices(world, service)
        .any(|slice| slice.addresses.contains(&address) && slice.ports.contains(&(protocol, port)))
}

/// The slices that name the service, in its namespace. A service without any, known or not, matches nothing.
fn slices<'w>(
    world: &'w World,
    service: &'w ServiceRef,
) -> impl Iterator<Item = &'w EndpointSlice> {
    world
        .iter()
        .filter_map(move |(key, resource)| match (key, resource) {
            (Key::EndpointSlice(id), Resource::EndpointSlice(slice))
                if id.namespace == service.namespace && slice.service == service.name =>
            {
                Some(slice)
            }
            _ => None,
        })
}

fn icmp_matches(icmp: IcmpMatch, packet: &Packet) -> bool {
    packet.icmp().is_some_and(|(kind, code)| {
        icmp.kind == kind && icmp.code.is_none_or(|wanted| wanted == code)
    })
}

fn entity_matches(
    world: &World,
    entity: &EntityMatch,
    protocol: Protocol,
    address: IpAddr,
    port: Option<u16>,
) -> bool {
    nets_match(entity, address)
        && selectors_match(world, entity, address)
        && entity.ports.as_ref().is_none_or(|ports| {
            ports
                .iter()
                .any(|wanted| port_matches(world, entity, wanted, protocol, address, port))
        })
        && !entity
            .not_ports
            .iter()
            .any(|unwanted| port_matches(world, entity, unwanted, protocol, address, port))
}

fn nets_match(entity: &EntityMatch, address: IpAddr) -> bool {
    // A list of networks of one family makes the rule one for that family, also a list of networks to exclude.
    let speaks_of_family =
        |nets: &[Cidr]| nets.iter().any(|net| net.family() == Family::of(address));
    entity
        .nets
        .as_ref()
        .is_none_or(|nets| nets.iter().any(|net| net.contains(address)))
        && (entity.not_nets.is_empty() || speaks_of_family(&entity.not_nets))
        && !entity.not_nets.iter().any(|net| net.contains(address))
}

/// With a selector, the address must belong to something that it selects and the not-selector does not. With a not-selector
/// alone, the address must not belong to anything that it selects: addresses unknown to Calico match too.
fn selectors_match(world: &World, entity: &EntityMatch, address: IpAddr) -> bool {
    if entity.selector.is_none() && entity.not_selector.is_none() {
        return true;
    }
    let mut owners =
        things(world).filter(|thing| thing.nets.iter().any(|net| net.contains(address)));
    if entity.selector.is_some() {
        return owners.any(|owner| is_selected(entity, &owner.labels));
    }
    !owners.any(|owner| {
        entity
            .not_selector
            .as_ref()
            .is_some_and(|unwanted| unwanted.matches(&owner.labels))
    })
}

fn is_selected(entity: &EntityMatch, labels: &Labels) -> bool {
    entity.selector.as_ref().is_none_or(|selector| {
        selector.matches(labels)
            && !entity
                .not_selector
                .as_ref()
                .is_some_and(|unwanted| unwanted.matches(labels))
    })
}

/// A number matches the packet's port. A name matches if an endpoint that the entity's selector selects has the address and
/// declares a port of that name with the packet's protocol and port.
fn port_matches(
    world: &World,
    entity: &EntityMatch,
    wanted: &PortMatch,
    protocol: Protocol,
    address: IpAddr,
    port: Option<u16>,
) -> bool {
    let Some(port) = port else { return false };
    match wanted {
        PortMatch::Range(range) => range.contains(port),
        PortMatch::Named(name) => things(world).any(|thing| {
            thing.nets.contains(&Cidr::host(address))
                && is_selected(entity, &thing.labels)
                && thing.ports.iter().any(|declared| {
                    declared.name == *name && declared.protocol == protocol && declared.port == port
                })
        }),
    }
}

/// Anything that selectors of rules can select: endpoints of workloads and hosts, network sets.
struct Thing<'w> {
    labels: Labels,
    nets: Vec<Cidr>,
    ports: &'w [EndpointPort],
}

fn things(world: &World) -> impl Iterator<Item = Thing<'_>> {
    world.iter().filter_map(|(_, resource)| match resource {
        Resource::WorkloadEndpoint(endpoint) => Some(Thing {
            labels: effective_labels(world, &endpoint.labels, &endpoint.profiles),
            nets: endpoint.nets.clone(),
            ports: &endpoint.ports,
        }),
        Resource::HostEndpoint(endpoint) => Some(Thing {
            labels: effective_labels(world, &endpoint.labels, &endpoint.profiles),
            nets: endpoint
                .expected_ips
                .iter()
                .map(|&address| Cidr::host(address))
                .collect(),
            ports: &endpoint.ports,
        }),
        Resource::NetworkSet(NetworkSet {
            labels,
            profiles,
            nets,
        }) => Some(Thing {
            labels: effective_labels(world, labels, profiles),
            nets: nets.clone(),
            ports: &[],
        }),
        Resource::Tier(_)
        | Resource::Policy(_)
        | Resource::Profile(_)
        | Resource::EndpointSlice(_)
        | Resource::Node(_)
        | Resource::IpPool(_)
        | Resource::IpReservation(_)
        | Resource::IpamConfig(_)
        | Resource::Block(_)
        | Resource::Affinity(_)
        | Resource::Handle(_)
        | Resource::FelixConfig(_)
        | Resource::ClusterInformation(_)
        | Resource::BgpConfiguration(_)
        | Resource::BgpPeer(_)
        | Resource::BgpFilter(_) => None,
    })
}
