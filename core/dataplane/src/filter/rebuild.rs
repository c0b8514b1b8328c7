//! The same policy under other settings: everything is printed again from what the graph said.

use super::{Filter, FilterOptions};

impl Filter {
    /// The filter that other settings make of the same changes. All of it counts as dirty.
    #[must_use]
    pub fn with_options(&self, options: FilterOptions) -> Filter {
        let mut new = Filter::new(options);
        for (id, set) in &self.graph_sets {
            new.put_graph_set(id, Some(set.clone()));
        }
        for (id, policy) in &self.policies {
            new.put_policy(id, Some(policy.clone()));
        }
        for (name, profile) in &self.profiles {
            new.put_profile(name, Some(profile.clone()));
        }
        for (name, pool) in &self.pools {
            new.put_pool(name, Some(*pool));
        }
        for (id, endpoint) in &self.endpoints {
            new.put_endpoint(id, Some(endpoint.clone()));
        }
        new
    }
}
