//! Walks compiled policy as a packet does, and notes every tier and policy on the way.

use calc::{Compiled, CompiledPolicy, CompiledRule, Decision, Direction, Graph, Packet, World};
use model::{
    Action, DefaultAction, Key, PolicyId, Resource, ServiceRef, Update, WorkloadEndpointId,
};

use crate::outcome::{Failure, Status};

/// The way to a verdict.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Walk {
    pub(super) tiers: Vec<TierStep>,
    pub(super) profiles: Vec<ProfileStep>,
    /// Where it ended.
    pub(super) action: Decision,
}

/// A tier with policies that apply.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TierStep {
    pub(super) tier: String,
    pub(super) policies: Vec<PolicyStep>,
    pub(super) outcome: Outcome,
}

/// A policy, and the rule of it that matched.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct PolicyStep {
    pub(super) policy: PolicyId,
    pub(super) matched: Option<Matched>,
}

/// A profile, and the rule of it that matched.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ProfileStep {
    pub(super) profile: String,
    pub(super) matched: Option<Matched>,
}

/// A rule that matched and decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Matched {
    /// Its place in the list of its direction, from 0.
    pub(super) rule: usize,
    pub(super) action: Action,
    /// What its author calls it, in its annotation `name`.
    pub(super) name: Option<String>,
    /// The service by which it knows the source.
    pub(super) from: Option<String>,
    /// The service by which it knows the destination.
    pub(super) to: Option<String>,
}

impl Matched {
    /// Takes the services from the rule as it was written: compiled, it has sets instead.
    fn with_services(mut self, written: Option<&Resource>, direction: Direction) -> Matched {
        let lists = match written {
            Some(Resource::Policy(policy)) => Some((&policy.ingress, &policy.egress)),
            Some(Resource::Profile(profile)) => Some((&profile.ingress, &profile.egress)),
            Some(_) | None => None,
        };
        let rules = lists.map(|(ingress, egress)| match direction {
            Direction::Ingress => ingress,
            Direction::Egress => egress,
        });
        let text = |service: &ServiceRef| format!("{}/{}", service.namespace, service.name);
        if let Some(rule) = rules.and_then(|rules| rules.get(self.rule)) {
            self.from = rule.source.service.as_ref().map(text);
            self.to = rule.destination.service.as_ref().map(text);
        }
        self
    }
}

/// How a tier ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Allow,
    Deny,
    /// A rule passed to the next tier.
    Pass,
    /// No rule matched, and the tier denies.
    EndDeny,
    /// No rule matched, and the tier passes.
    EndPass,
}

/// The policy that the agent of a node would print.
pub(super) fn compile(world: &World, node: &str) -> Result<Compiled, Failure> {
    let mut graph = Graph::new(node);
    for (key, resource) in world.iter() {
        graph.apply(Update {
            key: key.clone(),
            value: Some(resource.clone()),
        });
    }
    graph.in_sync();
    let mut compiled = Compiled::default();
    for change in graph.drain() {
        compiled.apply(change).map_err(|error| {
            Failure::new(
                Status::CheckFailed,
                format!("BUG: the graph contradicts itself: {error}"),
            )
        })?;
    }
    Ok(compiled)
}

pub(super) fn walk(
    world: &World,
    compiled: &Compiled,
    id: &WorkloadEndpointId,
    direction: Direction,
    packet: &Packet,
) -> Walk {
    let mut walk = Walk {
        tiers: Vec::new(),
        profiles: Vec::new(),
        action: Decision::Deny,
    };
    let Some(endpoint) = compiled.endpoints().get(id) else {
        return walk;
    };
    let rules = |key: &Key, policy: Option<&CompiledPolicy>| -> Option<Matched> {
        let policy = policy?;
        let rules = match direction {
            Direction::Ingress => &policy.ingress,
            Direction::Egress => &policy.egress,
        };
        let matched = first_match(compiled, rules, packet)?;
        Some(matched.with_services(world.get(key), direction))
    };
    let tiers = match direction {
        Direction::Ingress => &endpoint.ingress,
        Direction::Egress => &endpoint.egress,
    };
    for tier in tiers {
        let mut policies = Vec::new();
        for policy in &tier.policies {
            let matched = rules(&Key::Policy(policy.clone()), compiled.policy(policy));
            let decided = matched.is_some();
            policies.push(PolicyStep {
                policy: policy.clone(),
                matched,
            });
            if decided {
                break;
            }
        }
        let matched = policies
            .last()
            .and_then(|step| step.matched.as_ref())
            .map(|matched| matched.action);
        let outcome = match (matched, tier.default_action) {
            (Some(Action::Allow), _) => Outcome::Allow,
            (Some(Action::Deny), _) => Outcome::Deny,
            (Some(Action::Pass), _) => Outcome::Pass,
            (Some(Action::Log) | None, DefaultAction::Deny) => Outcome::EndDeny,
            (Some(Action::Log) | None, DefaultAction::Pass) => Outcome::EndPass,
        };
        walk.tiers.push(TierStep {
            tier: tier.tier.to_string(),
            policies,
            outcome,
        });
        match outcome {
            Outcome::Allow => walk.action = Decision::Allow,
            Outcome::Deny | Outcome::EndDeny => {}
            Outcome::Pass | Outcome::EndPass => continue,
        }
        return walk;
    }
    for profile in &endpoint.profiles {
        let matched = rules(&Key::Profile(profile.clone()), compiled.profile(profile));
        let action = matched.as_ref().map(|matched| matched.action);
        walk.profiles.push(ProfileStep {
            profile: profile.to_string(),
            matched,
        });
        match action {
            Some(Action::Allow) => walk.action = Decision::Allow,
            Some(Action::Deny) => {}
            Some(Action::Pass | Action::Log) | None => continue,
        }
        return walk;
    }
    walk
}

/// The first rule that matches and does more than to log.
fn first_match(compiled: &Compiled, rules: &[CompiledRule], packet: &Packet) -> Option<Matched> {
    let decides = |(_, rule): &(usize, &CompiledRule)| {
        rule.action != Action::Log && compiled.rule_matches(rule, packet)
    };
    let (index, rule) = rules.iter().enumerate().find(decides)?;
    Some(Matched {
        rule: index,
        action: rule.action,
        name: rule.annotations.get("name").map(|name| name.to_string()),
        from: None,
        to: None,
    })
}
