//! The desired state as the graph told it, and what it does to a packet: the rule tree that the printers get, walked.
//!
//! `calicoctl explain` and the tests read verdicts from here. It is a renderer like any other: it knows nothing but
//! [`Change`]s, and it checks that they come in an order safe for references.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use model::{Action, DefaultAction, PolicyId, Protocol, WorkloadEndpointId};
use thiserror::Error;

use crate::change::{
    Change, CompiledEntity, CompiledPolicy, CompiledPorts, CompiledRule, LocalEndpoint, Member,
    NatPool, SetId, SetKind, TierPolicies,
};
use crate::rules::MISSING_PROFILE;
use crate::verdict::{Decision, Direction, Packet, Reason, Verdict};

/// The accumulated state.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Compiled {
    sets: BTreeMap<SetId, (SetKind, BTreeSet<Member>)>,
    policies: BTreeMap<PolicyId, Arc<CompiledPolicy>>,
    profiles: BTreeMap<Box<str>, Arc<CompiledPolicy>>,
    endpoints: BTreeMap<WorkloadEndpointId, Arc<LocalEndpoint>>,
    pools: BTreeMap<Box<str>, NatPool>,
}

/// A change that does not fit what was told before. The graph never makes one.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Inconsistent {
    /// Rules or a delta name a set that is not there.
    #[error("{referrer} needs the set {set}, which was not told before")]
    MissingSet {
        /// What needs it.
        referrer: String,
        /// The set.
        set: SetId,
    },
    /// An endpoint names a policy or profile that is not there.
    #[error("endpoint {endpoint} needs {rules}, which was not told before")]
    MissingRules {
        /// The endpoint.
        endpoint: String,
        /// The policy or profile.
        rules: String,
    },
    /// Something is removed that is not there, or that is still needed.
    #[error("{what} is removed, but {why}")]
    BadRemoval {
        /// What is removed.
        what: String,
        /// Why it must not be.
        why: &'static str,
    },
    /// A delta adds what is there or removes what is not.
    #[error("the delta of set {0} does not fit its members")]
    BadDelta(SetId),
}

impl Compiled {
    /// Takes in a change.
    ///
    /// # Errors
    /// The change refers to what is not there, or removes what is not there or still needed. It is then not taken in.
    pub fn apply(&mut self, change: Change) -> Result<(), Inconsistent> {
        match change {
            Change::SetReplace { id, kind, members } => {
                self.sets.insert(id, (kind, members.into_iter().collect()));
            }
            Change::SetDelta { id, delta } => {
                let Some((_, members)) = self.sets.get_mut(&id) else {
                    return Err(Inconsistent::MissingSet {
                        referrer: "a delta".to_owned(),
                        set: id,
                    });
                };
                let fits = delta.removed.iter().all(|member| members.contains(member))
                    && !delta.added.iter().any(|member| members.contains(member));
                if !fits {
                    return Err(Inconsistent::BadDelta(id));
                }
                members.retain(|member| delta.removed.binary_search(member).is_err());
                members.extend(delta.added);
            }
            Change::SetRemove(id) => self.remove_set(&id)?,
            Change::PolicyReplace { id, policy } => {
                self.check_sets(&policy, || format!("policy {id}"))?;
                self.policies.insert(id, policy);
            }
            Change::ProfileReplace { name, profile } => {
                self.check_sets(&profile, || format!("profile {name}"))?;
                self.profiles.insert(name, profile);
            }
            Change::PolicyRemove(id) => {
                let what = || format!("policy {id}");
                let needs =
                    |endpoint: &Arc<LocalEndpoint>| policies_of(endpoint).any(|other| *other == id);
                unneeded(self.endpoints.values().map(needs), what)?;
                removed(self.policies.remove(&id), what)?;
            }
            Change::ProfileRemove(name) => {
                let what = || format!("profile {name}");
                let needs = |endpoint: &Arc<LocalEndpoint>| endpoint.profiles.contains(&name);
                unneeded(self.endpoints.values().map(needs), what)?;
                removed(self.profiles.remove(&name), what)?;
            }
            Change::EndpointReplace { id, endpoint } => {
                self.check_endpoint(&id, &endpoint)?;
                self.endpoints.insert(id, endpoint);
            }
            Change::EndpointRemove(id) => {
                removed(self.endpoints.remove(&id), || format!("endpoint {id}"))?
            }
            Change::PoolReplace { name, pool } => {
                self.pools.insert(name, pool);
            }
            Change::PoolRemove(name) => {
                removed(self.pools.remove(&name), || format!("pool {name}"))?
            }
        }
        Ok(())
    }

    fn remove_set(&mut self, id: &SetId) -> Result<(), Inconsistent> {
        let what = || format!("set {id}");
        let rules = self.policies.values().chain(self.profiles.values());
        unneeded(
            rules.map(|policy| sets_of(policy).any(|set| set == id)),
            what,
        )?;
        removed(self.sets.remove(id), what)
    }

    fn check_sets(
        &self,
        policy: &CompiledPolicy,
        referrer: impl Fn() -> String,
    ) -> Result<(), Inconsistent> {
        match sets_of(policy).find(|set| !self.sets.contains_key(*set)) {
            Some(set) => Err(Inconsistent::MissingSet {
                referrer: referrer(),
                set: set.clone(),
            }),
            None => Ok(()),
        }
    }

    fn check_endpoint(
        &self,
        id: &WorkloadEndpointId,
        endpoint: &LocalEndpoint,
    ) -> Result<(), Inconsistent> {
        let missing_policy =
            policies_of(endpoint).find(|policy| !self.policies.contains_key(*policy));
        let missing_profile = endpoint
            .profiles
            .iter()
            .find(|name| !self.profiles.contains_key(*name));
        let missing = missing_policy
            .map(|policy| format!("policy {policy}"))
            .or_else(|| missing_profile.map(|name| format!("profile {name}")));
        match missing {
            Some(rules) => Err(Inconsistent::MissingRules {
                endpoint: id.to_string(),
                rules,
            }),
            None => Ok(()),
        }
    }

    /// Whether nothing is desired.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The endpoints.
    pub fn endpoints(&self) -> &BTreeMap<WorkloadEndpointId, Arc<LocalEndpoint>> {
        &self.endpoints
    }

    /// The compiled rules of a policy.
    pub fn policy(&self, id: &PolicyId) -> Option<&CompiledPolicy> {
        self.policies.get(id).map(AsRef::as_ref)
    }

    /// The compiled rules of a profile.
    pub fn profile(&self, name: &str) -> Option<&CompiledPolicy> {
        self.profiles.get(name).map(AsRef::as_ref)
    }

    /// The members of a set.
    pub fn members(&self, set: &SetId) -> Option<&BTreeSet<Member>> {
        self.sets.get(set).map(|(_, members)| members)
    }

    /// How many sets there are.
    pub fn set_count(&self) -> usize {
        self.sets.len()
    }

    /// Judges a packet at one endpoint of this node.
    pub fn verdict(
        &self,
        id: &WorkloadEndpointId,
        direction: Direction,
        packet: &Packet,
    ) -> Verdict {
        let Some(endpoint) = self.endpoints.get(id) else {
            return denied(Reason::UnknownEndpoint);
        };
        let tiers = match direction {
            Direction::Ingress => &endpoint.ingress,
            Direction::Egress => &endpoint.egress,
        };
        tiers
            .iter()
            .find_map(|tier| self.tier_verdict(tier, direction, packet))
            .or_else(|| {
                endpoint
                    .profiles
                    .iter()
                    .find_map(|name| self.profile_verdict(name, direction, packet))
            })
            .unwrap_or_else(|| denied(Reason::NoProfileMatched))
    }

    fn tier_verdict(
        &self,
        tier: &TierPolicies,
        direction: Direction,
        packet: &Packet,
    ) -> Option<Verdict> {
        for id in &tier.policies {
            let rules = self
                .policies
                .get(id)
                .map(|policy| rules_of(policy, direction))
                .unwrap_or_default();
            let Some((rule, action)) = self.first_decision(rules, packet) else {
                continue;
            };
            let reason = Reason::Rule {
                tier: tier.tier.clone(),
                policy: id.clone(),
                rule,
            };
            return decision(action).map(|action| Verdict { action, reason });
        }
        match tier.default_action {
            DefaultAction::Deny => Some(denied(Reason::EndOfTier {
                tier: tier.tier.clone(),
            })),
            DefaultAction::Pass => None,
        }
    }

    fn profile_verdict(
        &self,
        name: &str,
        direction: Direction,
        packet: &Packet,
    ) -> Option<Verdict> {
        let rules = rules_of(self.profiles.get(name)?, direction);
        let (rule, action) = self.first_decision(rules, packet)?;
        let (mark, text) = MISSING_PROFILE;
        let is_missing = rules[rule]
            .annotations
            .get(mark)
            .is_some_and(|value| **value == *text);
        let profile = name.into();
        let reason = if is_missing {
            Reason::MissingProfile { profile }
        } else {
            Reason::Profile { profile, rule }
        };
        decision(action).map(|action| Verdict { action, reason })
    }

    /// The first rule that matches and does more than to log.
    fn first_decision(&self, rules: &[CompiledRule], packet: &Packet) -> Option<(usize, Action)> {
        let decisive =
            |rule: &CompiledRule| rule.action != Action::Log && self.rule_matches(rule, packet);
        rules
            .iter()
            .position(decisive)
            .map(|index| (index, rules[index].action))
    }

    /// Whether a packet meets every criterion of a rule.
    pub fn rule_matches(&self, rule: &CompiledRule, packet: &Packet) -> bool {
        let icmp_is = |wanted: model::IcmpMatch| {
            packet.icmp().is_some_and(|(kind, code)| {
                kind == wanted.kind && wanted.code.is_none_or(|wanted| wanted == code)
            })
        };
        let ports = packet.ports();
        let source = End {
            address: packet.source,
            protocol: packet.protocol,
            port: ports.map(|(port, _)| port),
        };
        let destination = End {
            address: packet.destination,
            protocol: packet.protocol,
            port: ports.map(|(_, port)| port),
        };
        rule.http.is_none()
            && rule.family.is_none_or(|family| family == packet.family())
            && rule
                .protocol
                .is_none_or(|protocol| protocol == packet.protocol)
            && rule.not_protocol != Some(packet.protocol)
            && rule.icmp.is_none_or(icmp_is)
            && !rule.not_icmp.is_some_and(icmp_is)
            && self.entity_matches(&rule.source, source)
            && self.entity_matches(&rule.destination, destination)
    }

    fn entity_matches(&self, entity: &CompiledEntity, end: End) -> bool {
        let in_nets = |nets: &[model::Cidr]| nets.iter().any(|net| net.contains(end.address));
        entity.nets.as_deref().is_none_or(in_nets)
            && !in_nets(&entity.not_nets)
            && entity.sets.iter().all(|set| self.holds(set, end))
            && !entity.not_sets.iter().any(|set| self.holds(set, end))
            && entity.port_sets.iter().all(|set| self.holds(set, end))
            && entity
                .ports
                .as_ref()
                .is_none_or(|ports| self.port_matches(ports, end))
            && !self.port_matches(&entity.not_ports, end)
    }

    fn port_matches(&self, ports: &CompiledPorts, end: End) -> bool {
        end.port
            .is_some_and(|port| ports.ranges.iter().any(|range| range.contains(port)))
            || ports.sets.iter().any(|set| self.holds(set, end))
    }

    /// Whether the end of a packet is in a set.
    fn holds(&self, set: &SetId, end: End) -> bool {
        let Some((kind, members)) = self.sets.get(set) else {
            return false;
        };
        match kind {
            SetKind::Net => members.iter().any(|member| match member {
                Member::Net(net) => net.contains(end.address),
                Member::NetPort(..) => false,
            }),
            SetKind::NetPort => end.port.is_some_and(|port| {
                members.contains(&Member::NetPort(end.address, end.protocol, port))
            }),
        }
    }
}

/// One end of a packet.
#[derive(Clone, Copy)]
struct End {
    address: IpAddr,
    protocol: Protocol,
    port: Option<u16>,
}

fn denied(reason: Reason) -> Verdict {
    Verdict {
        action: Decision::Deny,
        reason,
    }
}

/// `None`: what follows is asked.
fn decision(action: Action) -> Option<Decision> {
    match action {
        Action::Allow => Some(Decision::Allow),
        Action::Deny => Some(Decision::Deny),
        Action::Pass | Action::Log => None,
    }
}

fn rules_of(policy: &CompiledPolicy, direction: Direction) -> &[CompiledRule] {
    match direction {
        Direction::Ingress => &policy.ingress,
        Direction::Egress => &policy.egress,
    }
}

fn policies_of(endpoint: &LocalEndpoint) -> impl Iterator<Item = &PolicyId> {
    endpoint
        .ingress
        .iter()
        .chain(&endpoint.egress)
        .flat_map(|tier| &tier.policies)
}

fn sets_of(policy: &CompiledPolicy) -> impl Iterator<Item = &SetId> {
    let rules = policy.ingress.iter().chain(&policy.egress);
    rules
        .flat_map(|rule| [&rule.source, &rule.destination])
        .flat_map(|entity| {
            let ports = entity
                .ports
                .iter()
                .chain([&entity.not_ports])
                .flat_map(|ports| &ports.sets);
            let sets = entity.sets.iter().chain(&entity.not_sets);
            sets.chain(&entity.port_sets).chain(ports)
        })
}

/// What was removed, if it was there.
fn removed<T>(thing: Option<T>, what: impl Fn() -> String) -> Result<(), Inconsistent> {
    let why = "it was not told before";
    thing
        .map(drop)
        .ok_or_else(|| Inconsistent::BadRemoval { what: what(), why })
}

/// Nothing needs what is to be removed.
fn unneeded(
    mut needs: impl Iterator<Item = bool>,
    what: impl Fn() -> String,
) -> Result<(), Inconsistent> {
    if needs.any(|needs| needs) {
        return Err(Inconsistent::BadRemoval {
            what: what(),
            why: "it is still needed",
        });
    }
    Ok(())
}
