//! The packet filter as it should be: chains, kernel sets and dispatch maps, kept up to date change by change.
//!
//! A fold: [`Filter::apply`] takes what the graph says, [`Filter::take_dirty`] says which chains and sets a backend has to
//! print again. What the filter holds is a function of the changes' final state, never of their history.

mod own;
mod rebuild;
pub mod sets;
mod tiers;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use calc::{Change, CompiledPolicy, LocalEndpoint, NatPool, SetDelta, SetId};
use model::{Family, PolicyId, WorkloadEndpointId};

use crate::rules::hooks::{self, Hook, HookOptions};
use crate::rules::policy::{self, PolicyOptions, SetNames};
use crate::rules::{ChainName, Direction, SetName, TreeRule, endpoint, names};
use sets::{ElementDelta, GraphSet, KernelSet, SetElement, SetForm};

/// Settings of the filter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FilterOptions {
    /// Of the fixed chains.
    pub hooks: HookOptions,
    /// Of policy chains.
    pub policy: PolicyOptions,
}

/// The packet filter as it should be.
#[derive(Clone, Debug)]
pub struct Filter {
    options: FilterOptions,
    graph_sets: BTreeMap<SetId, GraphSet>,
    policies: BTreeMap<PolicyId, Arc<CompiledPolicy>>,
    profiles: BTreeMap<Box<str>, Arc<CompiledPolicy>>,
    endpoints: BTreeMap<WorkloadEndpointId, Arc<LocalEndpoint>>,
    by_interface: BTreeMap<Box<str>, BTreeSet<WorkloadEndpointId>>,
    pools: BTreeMap<Box<str>, NatPool>,
    chains: BTreeMap<ChainName, Vec<TreeRule>>,
    tiers: BTreeMap<ChainName, tiers::TierChain>,
    policy_tiers: BTreeMap<PolicyId, BTreeSet<ChainName>>,
    printed: BTreeMap<(Direction, PolicyId), tiers::Printed>,
    endpoint_tiers: BTreeMap<Box<str>, Vec<ChainName>>,
    sets: BTreeMap<SetName, KernelSet>,
    dirty: Dirty,
}

/// What a backend has to print again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dirty {
    /// Chains that appeared, changed or went.
    pub chains: BTreeSet<ChainName>,
    /// Sets that appeared, went, or changed their form.
    pub sets: BTreeSet<SetName>,
    /// Sets of which only some elements changed.
    pub elements: BTreeMap<SetName, ElementDelta>,
}

impl Dirty {
    /// True if nothing has to be printed.
    pub fn is_empty(&self) -> bool {
        self.chains.is_empty() && self.sets.is_empty() && self.elements.is_empty()
    }
}

struct Names<'a>(&'a BTreeMap<SetId, GraphSet>);

impl SetNames for Names<'_> {
    fn name(&self, family: Family, id: &SetId) -> SetName {
        match self.0.get(id) {
            Some(set) => set.name(family, id),
            // The graph tells sets before their users; until then the empty set of that name matches nothing.
            None => names::set(family, names::NetForm::Hosts, id),
        }
    }
}

impl Filter {
    /// An empty filter: every workload interface is unknown, so all their traffic is dropped.
    pub fn new(options: FilterOptions) -> Filter {
        let mut filter = Filter {
            options,
            graph_sets: BTreeMap::new(),
            policies: BTreeMap::new(),
            profiles: BTreeMap::new(),
            endpoints: BTreeMap::new(),
            by_interface: BTreeMap::new(),
            pools: BTreeMap::new(),
            chains: BTreeMap::new(),
            tiers: BTreeMap::new(),
            policy_tiers: BTreeMap::new(),
            printed: BTreeMap::new(),
            endpoint_tiers: BTreeMap::new(),
            sets: BTreeMap::new(),
            dirty: Dirty::default(),
        };
        filter.put_fixed();
        filter
    }

    /// The hooks with the rules of their base chains.
    pub fn base_chains(&self) -> Vec<(Hook, Vec<TreeRule>)> {
        hooks::base_chains(&self.options.hooks)
    }

    /// All chains but the base chains.
    pub fn chains(&self) -> &BTreeMap<ChainName, Vec<TreeRule>> {
        &self.chains
    }

    /// All kernel sets and dispatch maps.
    pub fn sets(&self) -> &BTreeMap<SetName, KernelSet> {
        &self.sets
    }

    /// Local endpoints by identity.
    pub fn endpoints(&self) -> &BTreeMap<WorkloadEndpointId, Arc<LocalEndpoint>> {
        &self.endpoints
    }

    /// What changed since this was last asked.
    pub fn take_dirty(&mut self) -> Dirty {
        std::mem::take(&mut self.dirty)
    }

    /// Takes in one change.
    pub fn apply(&mut self, change: Change) {
        match change {
            Change::SetReplace { id, kind, members } => {
                self.put_graph_set(&id, Some(GraphSet::new(kind, &members)));
            }
            Change::SetDelta { id, delta } => self.change_graph_set(&id, &delta),
            Change::SetRemove(id) => self.put_graph_set(&id, None),
            Change::PolicyReplace { id, policy } => self.put_policy(&id, Some(policy)),
            Change::PolicyRemove(id) => self.put_policy(&id, None),
            Change::ProfileReplace { name, profile } => self.put_profile(&name, Some(profile)),
            Change::ProfileRemove(name) => self.put_profile(&name, None),
            Change::EndpointReplace { id, endpoint } => self.put_endpoint(&id, Some(endpoint)),
            Change::EndpointRemove(id) => self.put_endpoint(&id, None),
            Change::PoolReplace { name, pool } => self.put_pool(&name, Some(pool)),
            Change::PoolRemove(name) => self.put_pool(&name, None),
        }
    }

    fn put_fixed(&mut self) {
        for (name, rules) in hooks::fixed_chains(&self.options.hooks) {
            self.put_chain(name.into(), Some(rules));
        }
        for family in self.options.hooks.families.clone() {
            for (name, form) in [
                (hooks::sets::POOLS, SetForm::Networks(family)),
                (hooks::sets::NAT_POOLS, SetForm::Networks(family)),
                (hooks::sets::OWN, SetForm::InterfaceHosts(family)),
                (hooks::sets::OWN_NETS, SetForm::InterfaceNetworks(family)),
            ] {
                let empty = KernelSet {
                    form,
                    elements: BTreeSet::new(),
                };
                self.put_set(names::own_set(family, name), Some(empty));
            }
        }
        for name in [names::FROM_DISPATCH, names::TO_DISPATCH] {
            let empty = KernelSet {
                form: SetForm::Dispatch,
                elements: BTreeSet::new(),
            };
            self.put_set(name.into(), Some(empty));
        }
    }

    fn put_chain(&mut self, name: ChainName, rules: Option<Vec<TreeRule>>) {
        if self.chains.get(&name) == rules.as_ref() {
            return;
        }
        match rules {
            Some(rules) => {
                self.chains.insert(name.clone(), rules);
            }
            None => {
                self.chains.remove(&name);
            }
        }
        self.dirty.chains.insert(name);
    }

    fn put_set(&mut self, name: SetName, set: Option<KernelSet>) {
        match (self.sets.get(&name), set) {
            (Some(old), Some(new)) if old.form == new.form => {
                let mut delta = ElementDelta::default();
                delta
                    .removed
                    .extend(old.elements.difference(&new.elements).cloned());
                delta
                    .added
                    .extend(new.elements.difference(&old.elements).cloned());
                self.change_set(&name, delta);
            }
            (None, None) => {}
            (_, Some(new)) => {
                self.sets.insert(name.clone(), new);
                self.mark_whole(name);
            }
            (Some(_), None) => {
                self.sets.remove(&name);
                self.mark_whole(name);
            }
        }
    }

    fn mark_whole(&mut self, name: SetName) {
        self.dirty.elements.remove(&name);
        self.dirty.sets.insert(name);
    }

    fn change_set(&mut self, name: &SetName, delta: ElementDelta) {
        let Some(set) = self.sets.get_mut(name) else {
            return;
        };
        let whole = self.dirty.sets.contains(name);
        for element in delta.removed {
            if set.elements.remove(&element) && !whole {
                self.dirty
                    .elements
                    .entry(name.clone())
                    .or_default()
                    .remove(element);
            }
        }
        for element in delta.added {
            if set.elements.insert(element.clone()) && !whole {
                self.dirty
                    .elements
                    .entry(name.clone())
                    .or_default()
                    .add(element);
            }
        }
        let unchanged = |delta: &ElementDelta| delta.added.is_empty() && delta.removed.is_empty();
        if self.dirty.elements.get(name).is_some_and(unchanged) {
            self.dirty.elements.remove(name);
        }
    }

    fn change_elements(
        &mut self,
        set: &str,
        removed: impl IntoIterator<Item = SetElement>,
        added: impl IntoIterator<Item = SetElement>,
    ) {
        let delta = ElementDelta {
            added: added.into_iter().collect(),
            removed: removed.into_iter().collect(),
        };
        self.change_set(&set.into(), delta);
    }

    fn put_graph_set(&mut self, id: &SetId, set: Option<GraphSet>) {
        let families = self.options.hooks.families.clone();
        let old_names = self.set_names(id);
        match set {
            Some(set) => {
                self.graph_sets.insert(id.clone(), set);
            }
            None => {
                self.graph_sets.remove(id);
            }
        }
        for family in families {
            if let Some(set) = self.graph_sets.get(id) {
                let (name, kernel_set) = (set.name(family, id), set.kernel_set(family));
                self.put_set(name, Some(kernel_set));
            }
        }
        self.drop_old_names(id, &old_names);
    }

    fn change_graph_set(&mut self, id: &SetId, delta: &SetDelta) {
        let old_names = self.set_names(id);
        let Some(set) = self.graph_sets.get_mut(id) else {
            return;
        };
        let had_any: Vec<Family> = Family::ALL
            .into_iter()
            .filter(|family| set.has_any(*family))
            .collect();
        let deltas = set.apply(delta);
        for (family, elements) in deltas {
            if !self.options.hooks.families.contains(&family) {
                continue;
            }
            let Some(set) = self.graph_sets.get(id) else {
                return;
            };
            let name = set.name(family, id);
            let whole =
                had_any.contains(&family) || set.has_any(family) || !old_names.contains(&name);
            if whole {
                let kernel_set = set.kernel_set(family);
                self.put_set(name, Some(kernel_set));
            } else {
                self.change_set(&name, elements);
            }
        }
        self.drop_old_names(id, &old_names);
    }

    /// The names by which rules look in a set, whether it stands or not.
    fn set_names(&self, id: &SetId) -> Vec<SetName> {
        let names = Names(&self.graph_sets);
        self.options
            .hooks
            .families
            .iter()
            .map(|family| names.name(*family, id))
            .collect()
    }

    /// A set that changed its form has another name: who looks in it is printed again, then the old one goes.
    fn drop_old_names(&mut self, id: &SetId, old_names: &[SetName]) {
        if self.set_names(id) != old_names {
            self.print_users_of(id);
        }
        let stands = self.graph_sets.contains_key(id);
        let names = if stands {
            self.set_names(id)
        } else {
            Vec::new()
        };
        for name in old_names.iter().filter(|name| !names.contains(name)) {
            self.put_set(name.clone(), None);
        }
    }

    fn print_users_of(&mut self, id: &SetId) {
        let policies: Vec<_> = self
            .policies
            .iter()
            .filter(|(_, policy)| uses(policy, id))
            .map(|(policy_id, _)| policy_id.clone())
            .collect();
        for policy_id in policies {
            self.print_policy(&policy_id);
        }
        let profiles: Vec<_> = self
            .profiles
            .iter()
            .filter(|(_, profile)| uses(profile, id))
            .map(|(name, profile)| (name.clone(), profile.clone()))
            .collect();
        for (name, profile) in profiles {
            self.print_profile(&name, &profile);
        }
    }

    fn put_profile(&mut self, name: &str, profile: Option<Arc<CompiledPolicy>>) {
        match profile {
            Some(profile) => {
                self.profiles.insert(name.into(), profile.clone());
                self.print_profile(name, &profile);
            }
            None => {
                self.profiles.remove(name);
                for direction in Direction::ALL {
                    self.put_chain(names::profile_chain(direction, name), None);
                }
            }
        }
    }

    fn print_profile(&mut self, name: &str, profile: &CompiledPolicy) {
        let origin = format!("profile {name}");
        for (direction, rules) in [
            (Direction::Ingress, &profile.ingress),
            (Direction::Egress, &profile.egress),
        ] {
            let names = Names(&self.graph_sets);
            let rules = policy::chain(rules, &origin, &self.options.policy, &names);
            self.put_chain(names::profile_chain(direction, name), Some(rules));
        }
    }

    fn put_endpoint(&mut self, id: &WorkloadEndpointId, endpoint: Option<Arc<LocalEndpoint>>) {
        let old = match &endpoint {
            Some(new) => self.endpoints.insert(id.clone(), new.clone()),
            None => self.endpoints.remove(id),
        };
        let mut interfaces = BTreeSet::new();
        if let Some(old) = old {
            if let Some(ids) = self.by_interface.get_mut(&old.interface) {
                ids.remove(id);
                if ids.is_empty() {
                    self.by_interface.remove(&old.interface);
                }
            }
            interfaces.insert(old.interface.clone());
        }
        if let Some(new) = endpoint {
            self.by_interface
                .entry(new.interface.clone())
                .or_default()
                .insert(id.clone());
            interfaces.insert(new.interface.clone());
        }
        for interface in interfaces {
            self.print_interface(&interface);
        }
    }

    /// Prints all that belongs to an interface. Of several endpoints on one interface the first by identity has it.
    fn print_interface(&mut self, interface: &str) {
        let owner = self.by_interface.get(interface).and_then(|ids| ids.first());
        let owner = owner.and_then(|id| self.endpoints.get(id)).cloned();
        let mut tier_chains = Vec::new();
        for direction in Direction::ALL {
            let chain = names::endpoint_chain(direction, interface);
            let Some(owner) = &owner else {
                self.put_chain(chain, None);
                continue;
            };
            let tiers: Vec<ChainName> = endpoint::tiers(direction, owner)
                .iter()
                .map(|tier| self.use_tier(direction, tier))
                .collect();
            let rules = endpoint::endpoint_chain(direction, &tiers, owner);
            tier_chains.extend(tiers);
            self.put_chain(chain, Some(rules));
        }
        let before = self.endpoint_tiers.remove(interface).unwrap_or_default();
        if owner.is_some() {
            self.endpoint_tiers.insert(interface.into(), tier_chains);
        }
        for chain in before {
            self.leave_tier(&chain);
        }
        let owned = if owner.is_some() {
            own::Owned::Yes
        } else {
            own::Owned::No
        };
        self.print_dispatch(interface, owned);
        self.print_sources(interface, owner.as_deref());
    }
}

fn uses(policy: &CompiledPolicy, id: &SetId) -> bool {
    let rules = policy.ingress.iter().chain(&policy.egress);
    rules
        .flat_map(|rule| [&rule.source, &rule.destination])
        .any(|entity| {
            let ports = entity.ports.iter().flat_map(|p| &p.sets);
            entity
                .sets
                .iter()
                .chain(&entity.not_sets)
                .chain(&entity.port_sets)
                .chain(ports)
                .chain(&entity.not_ports.sets)
                .any(|set| set == id)
        })
}
