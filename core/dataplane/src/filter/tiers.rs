//! Policies in their tiers. The chain of a tier holds short policies itself, rule by rule, and jumps to the chains of long ones.
//!
//! A jump costs every first packet of a flow, and the kernel checks all ways through jumps at every change: ten thousand
//! policies on one endpoint must not be ten thousand jumps. In the tier's own chain Pass is a plain return and needs no mark.

use std::sync::Arc;

use calc::{CompiledPolicy, CompiledRule, TierPolicies};
use model::{DefaultAction, PolicyId};

use super::{Filter, Names};
use crate::rules::{ChainName, Direction, Match, Target, TreeRule, names, policy};

/// A policy with more tree rules than this has a chain of its own, shared by all tiers that hold it.
const LONGEST_INLINE: usize = 8;

/// A tier's chain and who uses it.
#[derive(Clone, Debug)]
pub(super) struct TierChain {
    direction: Direction,
    tier: TierPolicies,
    users: usize,
}

/// A policy's rules in one direction, printed.
#[derive(Clone, Debug, Default)]
pub(super) struct Printed {
    rules: Arc<[TreeRule]>,
}

impl Printed {
    fn is_inline(&self) -> bool {
        self.rules.len() <= LONGEST_INLINE
    }
}

impl Filter {
    pub(super) fn put_policy(&mut self, id: &PolicyId, policy: Option<Arc<CompiledPolicy>>) {
        match policy {
            Some(policy) => {
                self.policies.insert(id.clone(), policy);
            }
            None => {
                self.policies.remove(id);
            }
        }
        self.print_policy(id);
    }

    /// Prints a policy's own chains, if it is long, and the tiers that hold it.
    pub(super) fn print_policy(&mut self, id: &PolicyId) {
        let policy = self.policies.get(id).cloned();
        for direction in Direction::ALL {
            let key = (direction, id.clone());
            let chain = names::policy_chain(direction, id);
            let Some(policy) = &policy else {
                self.printed.remove(&key);
                self.put_chain(chain, None);
                continue;
            };
            let names = Names(&self.graph_sets);
            let rules = rules_of(policy, direction);
            let rules = policy::chain(rules, &id.to_string(), &self.options.policy, &names);
            let printed = Printed {
                rules: rules.into(),
            };
            let own = (!printed.is_inline()).then(|| printed.rules.to_vec());
            self.put_chain(chain, own);
            self.printed.insert(key, printed);
        }
        let holders = self.policy_tiers.get(id).cloned().unwrap_or_default();
        for chain in holders {
            self.print_tier(&chain);
        }
    }

    pub(super) fn use_tier(&mut self, direction: Direction, tier: &TierPolicies) -> ChainName {
        let name = names::tier_chain(direction, &content(tier));
        if let Some(known) = self.tiers.get_mut(&name) {
            known.users += 1;
            return name;
        }
        for id in &tier.policies {
            self.policy_tiers
                .entry(id.clone())
                .or_default()
                .insert(name.clone());
        }
        let chain = TierChain {
            direction,
            tier: tier.clone(),
            users: 1,
        };
        self.tiers.insert(name.clone(), chain);
        self.print_tier(&name);
        name
    }

    pub(super) fn leave_tier(&mut self, name: &ChainName) {
        let Some(chain) = self.tiers.get_mut(name) else {
            return;
        };
        chain.users -= 1;
        if chain.users > 0 {
            return;
        }
        if let Some(chain) = self.tiers.remove(name) {
            for id in &chain.tier.policies {
                if let Some(holders) = self.policy_tiers.get_mut(id) {
                    holders.remove(name);
                    if holders.is_empty() {
                        self.policy_tiers.remove(id);
                    }
                }
            }
        }
        self.put_chain(name.clone(), None);
    }

    fn print_tier(&mut self, name: &ChainName) {
        let Some(TierChain {
            direction, tier, ..
        }) = self.tiers.get(name)
        else {
            return;
        };
        let mut rules = Vec::with_capacity(tier.policies.len() + 1);
        for id in &tier.policies {
            let key = (*direction, id.clone());
            let Some(printed) = self.printed.get(&key) else {
                continue;
            };
            if printed.is_inline() {
                rules.extend(printed.rules.iter().map(inlined));
                continue;
            }
            rules.push(TreeRule::always(Target::Jump(names::policy_chain(
                *direction, id,
            ))));
            if printed.rules.iter().any(|rule| rule.target == Target::Pass) {
                rules.push(TreeRule::when(vec![Match::Passed], Target::EndPass));
            }
        }
        match tier.default_action {
            DefaultAction::Deny => {
                let end = TreeRule::always(Target::Drop);
                rules.push(end.remark(format!("end of tier {}", tier.tier)));
            }
            DefaultAction::Pass => {}
        }
        self.put_chain(name.clone(), Some(rules));
    }
}

/// A policy's rule as it stands in the tier's own chain.
fn inlined(rule: &TreeRule) -> TreeRule {
    let mut rule = rule.clone();
    if rule.target == Target::Pass {
        rule.target = Target::Return;
    }
    rule
}

fn rules_of(policy: &CompiledPolicy, direction: Direction) -> &[CompiledRule] {
    match direction {
        Direction::Ingress => &policy.ingress,
        Direction::Egress => &policy.egress,
    }
}

/// What a tier's chain is named after: tiers of different endpoints with the same policies are one chain.
fn content(tier: &TierPolicies) -> String {
    use std::fmt::Write as _;
    let mut content = format!("{}\n{:?}", tier.tier, tier.default_action);
    for policy in &tier.policies {
        // Writing to a String cannot fail.
        let _ = write!(content, "\n{policy}");
    }
    content
}
