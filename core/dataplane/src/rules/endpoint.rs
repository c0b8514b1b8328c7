//! Chains of one local endpoint: established traffic never gets here, so each chain only judges new connections.
//! Tiers in order, then profiles in order, then drop. Tier chains are in `filter`.

use calc::{LocalEndpoint, TierPolicies};

use super::{ChainName, Direction, Target, TreeRule, names};

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
