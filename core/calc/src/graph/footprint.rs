//! How much a graph holds: for metrics, and for the proof that it forgets what is gone.

use super::Graph;

/// How much the graph holds. All zero for a graph that was told of nothing, or whose every object is gone (after a drain).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Footprint {
    /// Distinct strings.
    pub strings: usize,
    /// Distinct combinations of labels and profiles.
    pub classes: usize,
    /// Endpoints and network sets.
    pub items: usize,
    /// Enforced policies, active or not.
    pub policies: usize,
    /// Tiers.
    pub tiers: usize,
    /// Profiles that exist or are named.
    pub profiles: usize,
    /// Distinct selectors of policies and of sets in use.
    pub selectors: usize,
    /// Policies and profiles that are told.
    pub active: usize,
    /// Sets in use.
    pub sets: usize,
    /// Members of all sets.
    pub members: usize,
    /// Endpoint slices.
    pub slices: usize,
    /// Services that slices or sets in use name.
    pub services: usize,
    /// Endpoints of this node.
    pub local_endpoints: usize,
    /// Pools.
    pub pools: usize,
    /// Anything left in an index that the other figures do not show.
    pub residue: usize,
}

impl Graph {
    /// How much is kept.
    pub fn footprint(&self) -> Footprint {
        let (sets, members) = self.sets.size();
        let (slices, services) = self.services.size();
        let policies = self.policies.policy_count();
        let tiers = self.policies.tier_count();
        let marks = self.dirty_endpoints.len() + self.dirty_rules.len() + self.dirty_pools.len();
        let unforgotten = [
            sets == 0 && !self.sets.is_empty(),
            policies + tiers == 0 && !self.policies.is_empty(),
            self.classes.len() + self.classes.profile_count() == 0 && !self.classes.is_empty(),
            self.told_endpoints.len() > self.locals.len(),
            self.told_pools.len() > self.pools.len(),
            self.local_ids.len() != self.locals.len(),
        ];
        Footprint {
            strings: self.strings.len(),
            classes: self.classes.len(),
            items: self.items.len(),
            policies,
            tiers,
            profiles: self.classes.profile_count(),
            selectors: self.policies.selector_count() + self.sets.selector_count(),
            active: self.active.len(),
            sets,
            members,
            slices,
            services,
            local_endpoints: self.locals.len(),
            pools: self.pools.len(),
            residue: marks + unforgotten.iter().filter(|&&wrong| wrong).count(),
        }
    }
}
