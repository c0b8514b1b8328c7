//! Chains of one local endpoint: established traffic never gets here, so each chain only judges new connections.
//! Tiers in order, then profiles in order, then drop. Tier chains are shared by all endpoints with the same policies.

use calc::{LocalEndpoint, TierPolicies};
use model::{DefaultAction, PolicyId};

use super::{ChainName, Direction, Match, Target, TreeRule, names};

/// A tier's chain: its name says its content, so equal tiers of different endpoints are one chain.
pub fn tier_chain_name(direction: Direction, tier: &TierPolicies, passing: &[bool]) -> ChainName {
    use std::fmt::Write as _;
    let mut content = format!("{}\n{:?}", tier.tier, tier.default_action);
    for (policy, pass) in tier.policies.iter().zip(passing) {
        // Writing to a String cannot fail.
        let _ = write!(content, "\n{policy} {pass}");
    }
    names::tier_chain(direction, &content)
}

/// The rules of a tier's chain. `passing` says of each policy whether it may say Pass.
pub fn tier_chain(direction: Direction, tier: &TierPolicies, passing: &[bool]) -> Vec<TreeRule> {
    let mut rules = Vec::with_capacity(tier.policies.len() + 1);
    for (policy, pass) in tier.policies.iter().zip(passing) {
        rules.push(TreeRule::always(Target::Jump(names::policy_chain(
            direction, policy,
        ))));
        if *pass {
            rules.push(TreeRule::when(vec![Match::Passed], Target::EndPass));
        }
    }
    match tier.default_action {
        DefaultAction::Deny => {
            rules.push(TreeRule::always(Target::Drop).remark(format!("end of tier {}", tier.tier)));
        }
        DefaultAction::Pass => {}
    }
    rules
}

/// The rules of an endpoint's chain.
pub fn endpoint_chain(
    direction: Direction,
    tiers: &[ChainName],
    endpoint: &LocalEndpoint,
) -> Vec<TreeRule> {
    let mut rules: Vec<TreeRule> = Vec::with_capacity(tiers.len() + endpoint.profiles.len() + 1);
    for tier in tiers {
        rules.push(TreeRule::always(Target::Jump(tier.clone())));
    }
    for profile in &endpoint.profiles {
        let chain = names::profile_chain(direction, profile);
        rules.push(TreeRule::always(Target::Jump(chain)));
    }
    rules.push(TreeRule::always(Target::Drop).remark("no profile allowed it"));
    rules
}

/// The tiers that a direction asks.
pub fn tiers(direction: Direction, endpoint: &LocalEndpoint) -> &[TierPolicies] {
    match direction {
        Direction::Ingress => &endpoint.ingress,
        Direction::Egress => &endpoint.egress,
    }
}

/// Every policy that the endpoint's chains jump to in a direction.
pub fn policies(direction: Direction, endpoint: &LocalEndpoint) -> impl Iterator<Item = &PolicyId> {
    tiers(direction, endpoint)
        .iter()
        .flat_map(|tier| tier.policies.iter())
}
