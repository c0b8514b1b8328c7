//! Policies and tiers: which apply to the classes with endpoints of this node, and in what order.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use model::{DefaultAction, Order, Policy, PolicyId, PolicyKind, Staged, Tier};
use rustc_hash::FxBuildHasher;

use crate::change::TierPolicies;
use crate::classes::{Classes, Pair};
use crate::intern::Interner;
use crate::selector_index::SelectorIndex;
use crate::slab::Slab;

struct Slot {
    id: PolicyId,
    policy: Arc<Policy>,
    selector: u32,
}

/// The policies of an endpoint, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ordered {
    pub(crate) ingress: Vec<TierPolicies>,
    pub(crate) egress: Vec<TierPolicies>,
}

/// All policies that workload endpoints can have, and all tiers.
#[derive(Default)]
pub(crate) struct Policies {
    index: SelectorIndex,
    slots: Slab<Slot>,
    by_id: HashMap<PolicyId, u32, FxBuildHasher>,
    tiers: BTreeMap<Box<str>, Tier>,
}

impl Policies {
    /// Whether anything changed.
    pub(crate) fn set_tier(&mut self, name: Box<str>, tier: Option<Tier>) -> bool {
        let before = match &tier {
            Some(tier) => self.tiers.insert(name, tier.clone()),
            None => self.tiers.remove(&name),
        };
        before != tier
    }

    /// Takes in a policy. `None` if nothing changed; otherwise the classes whose endpoints may have other policies, or the
    /// same in another order.
    pub(crate) fn set_policy(
        &mut self,
        strings: &mut Interner,
        classes: &Classes,
        id: &PolicyId,
        policy: Option<Arc<Policy>>,
    ) -> Option<Vec<u32>> {
        let policy = policy.filter(|policy| is_enforced_on_workloads(id, policy));
        let known = self.by_id.get(id).copied();
        Some(match (known, policy) {
            (None, None) => return None,
            (None, Some(policy)) => {
                let selector = policy.selector.clone();
                let slot = self.slots.insert(Slot {
                    id: id.clone(),
                    policy,
                    selector: u32::MAX,
                });
                self.by_id.insert(id.clone(), slot);
                let at = self.index.subscribe(strings, classes, &selector, slot);
                self.slots[slot].selector = at;
                self.index.matching_classes(at)
            }
            (Some(slot), None) => {
                let at = self.slots[slot].selector;
                let touched = self.index.matching_classes(at);
                self.index.unsubscribe(strings, at, slot);
                self.slots.remove(slot);
                self.by_id.remove(id);
                touched
            }
            (Some(slot), Some(policy)) => {
                if self.slots[slot].policy == policy {
                    return None;
                }
                self.replace(strings, classes, slot, policy)
            }
        })
    }

    fn replace(
        &mut self,
        strings: &mut Interner,
        classes: &Classes,
        slot: u32,
        policy: Arc<Policy>,
    ) -> Vec<u32> {
        let before = std::mem::replace(&mut self.slots[slot].policy, policy);
        let after = &self.slots[slot].policy;
        let at = self.slots[slot].selector;
        if before.selector == after.selector {
            let same_place = before.tier == after.tier
                && before.order == after.order
                && before.types == after.types;
            return if same_place {
                Vec::new()
            } else {
                self.index.matching_classes(at)
            };
        }
        let selector = after.selector.clone();
        let mut touched = self.index.matching_classes(at);
        self.index.unsubscribe(strings, at, slot);
        let at = self.index.subscribe(strings, classes, &selector, slot);
        self.slots[slot].selector = at;
        touched.extend(self.index.matching_classes(at));
        touched
    }

    /// A class has its first endpoint of this node. Returns the policies whose selector matched nothing before.
    pub(crate) fn add_class(
        &mut self,
        strings: &Interner,
        class: u32,
        labels: &[Pair],
    ) -> Vec<PolicyId> {
        self.index.add_class(strings, class, labels);
        let first = self
            .index
            .matches(class)
            .iter()
            .filter(|&&at| self.index.match_count(at) == 1);
        first.flat_map(|&at| self.policies_of(at)).collect()
    }

    /// A class has no endpoint of this node any more. Returns the policies whose selector matches
    /// nothing now.
    pub(crate) fn remove_class(&mut self, class: u32, labels: &[Pair]) -> Vec<PolicyId> {
        let matched = self.index.remove_class(class, labels);
        let last = matched
            .iter()
            .filter(|&&at| self.index.match_count(at) == 0);
        last.flat_map(|&at| self.policies_of(at)).collect()
    }

    /// The selectors that match a class: classes with the same ones have the same policies.
    pub(crate) fn matches(&self, class: u32) -> &[u32] {
        self.index.matches(class)
    }

    fn policies_of(&self, selector: u32) -> impl Iterator<Item = PolicyId> + '_ {
        self.index
            .users(selector)
            .iter()
            .map(|slot| self.slots[slot].id.clone())
    }

    /// The policy, if it is wanted on this node.
    pub(crate) fn active(&self, id: &PolicyId) -> Option<&Arc<Policy>> {
        let slot = &self.slots[*self.by_id.get(id)?];
        let wanted = slot.policy.always_active || self.index.match_count(slot.selector) > 0;
        wanted.then_some(&slot.policy)
    }

    /// The policies of the endpoints in a class, in order.
    pub(crate) fn ordered(&self, class: u32) -> Ordered {
        let matching = self
            .index
            .matches(class)
            .iter()
            .flat_map(|&at| self.index.users(at).iter());
        let mut by_tier: BTreeMap<&str, Vec<&Slot>> = BTreeMap::new();
        for slot in matching.map(|slot| &self.slots[slot]) {
            by_tier.entry(&slot.policy.tier).or_default().push(slot);
        }
        let mut tiers: Vec<(&str, Vec<&Slot>)> = by_tier.into_iter().collect();
        tiers.sort_by_cached_key(|(name, _)| self.place(name));
        let mut ordered = Ordered::default();
        for (tier, mut policies) in tiers {
            policies.sort_by(|left, right| {
                left.policy
                    .order
                    .cmp(&right.policy.order)
                    .then_with(|| compare_names(&left.id, &right.id))
            });
            ordered
                .ingress
                .extend(self.tier_policies(tier, &policies, |slot| slot.policy.types.ingress));
            ordered
                .egress
                .extend(self.tier_policies(tier, &policies, |slot| slot.policy.types.egress));
        }
        ordered
    }

    fn tier_policies(
        &self,
        tier: &str,
        policies: &[&Slot],
        speaks: impl Fn(&Slot) -> bool,
    ) -> Option<TierPolicies> {
        let policies: Vec<PolicyId> = policies
            .iter()
            .filter(|slot| speaks(slot))
            .map(|slot| slot.id.clone())
            .collect();
        let default_action = self
            .tiers
            .get(tier)
            .map_or(DefaultAction::Deny, |tier| tier.default_action);
        (!policies.is_empty()).then(|| TierPolicies {
            tier: tier.into(),
            default_action,
            policies,
        })
    }

    /// Where a tier stands: those that exist by order, then those that do not; ties by name.
    fn place(&self, name: &str) -> (bool, Order, String) {
        match self.tiers.get(name) {
            Some(tier) => (false, tier.order, name.to_owned()),
            None => (true, Order::LAST, name.to_owned()),
        }
    }

    pub(crate) fn policy_count(&self) -> usize {
        self.slots.len()
    }

    pub(crate) fn tier_count(&self) -> usize {
        self.tiers.len()
    }

    pub(crate) fn selector_count(&self) -> usize {
        self.index.selector_count()
    }

    /// Whether nothing at all is kept.
    pub(crate) fn is_empty(&self) -> bool {
        self.slots.len() == 0
            && self.by_id.is_empty()
            && self.tiers.is_empty()
            && self.index.is_empty()
    }
}

/// Staged policies are only reported; untracked and pre-DNAT policies are for host endpoints.
fn is_enforced_on_workloads(id: &PolicyId, policy: &Policy) -> bool {
    let enforced_kind = match id.kind {
        PolicyKind::NetworkPolicy
        | PolicyKind::GlobalNetworkPolicy
        | PolicyKind::KubernetesNetworkPolicy
        | PolicyKind::KubernetesClusterNetworkPolicy => true,
        PolicyKind::StagedNetworkPolicy
        | PolicyKind::StagedGlobalNetworkPolicy
        | PolicyKind::StagedKubernetesNetworkPolicy => false,
    };
    enforced_kind && policy.staged == Staged::No && !policy.do_not_track && !policy.pre_dnat
}

/// Compares `name/namespace/kind` as one text, without making it.
fn compare_names(left: &PolicyId, right: &PolicyId) -> Ordering {
    fn text(id: &PolicyId) -> impl Iterator<Item = u8> + '_ {
        let (name, namespace, kind) = id.tie_break();
        [name, "/", namespace, "/", kind]
            .into_iter()
            .flat_map(str::bytes)
    }
    // Most names differ before the shorter one ends: compare so far as bytes in one go.
    let shared = left.name.len().min(right.name.len());
    let start = left.name.as_bytes()[..shared].cmp(&right.name.as_bytes()[..shared]);
    start.then_with(|| text(left).skip(shared).cmp(text(right).skip(shared)))
}
