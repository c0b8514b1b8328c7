//! The calculation graph: updates in, this node's desired state out. A fold: `apply`, `drain`.
//!
//! [`Graph::apply`] keeps the indexes true at once (who matches whom, who is in which set) and only marks what may have to be
//! told; [`Graph::drain`] settles the marks: it compiles what became active, orders the policies of endpoints, compares with
//! what was told before and says the difference, in an order safe for references. So updates between two drains coalesce, and
//! what comes and goes costs nothing. Before [`Graph::in_sync`] nothing is active and nothing is said.

mod footprint;
mod workloads;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use model::{
    IpPool, Key, Labels, Policy, PolicyId, Profile, Tier, Update, WorkloadEndpoint,
    WorkloadEndpointId,
};

use crate::change::{Change, CompiledPolicy, LocalEndpoint, NatPool};
use crate::classes::{Classes, Difference, Pair, ProfileSlot};
use crate::intern::{Interner, Str};
use crate::items::{Body, Item, ItemKey, Items};
use crate::rules::{self, Compilation};
use crate::selector_index::Matches;
use crate::services::Services;
use crate::sets::{Sets, Sources};
use crate::things::{self, Thing};
use crate::tiers::{Ordered, Policies};

pub use footprint::Footprint;

/// The calculation graph of one node.
pub struct Graph {
    hostname: Box<str>,
    phase: Phase,
    strings: Interner,
    classes: Classes,
    items: Items,
    policies: Policies,
    sets: Sets,
    services: Services,
    active: BTreeMap<RulesId, ActiveRules>,
    locals: BTreeMap<WorkloadEndpointId, Local>,
    local_ids: BTreeMap<u32, WorkloadEndpointId>,
    pools: BTreeMap<Box<str>, NatPool>,
    told_endpoints: BTreeMap<WorkloadEndpointId, Arc<LocalEndpoint>>,
    told_pools: BTreeMap<Box<str>, NatPool>,
    dirty_endpoints: BTreeSet<WorkloadEndpointId>,
    dirty_rules: BTreeSet<RulesId>,
    dirty_pools: BTreeSet<Box<str>>,
    scratch: Vec<Pair>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Loading,
    InSync,
}

/// An endpoint of this node.
struct Local {
    item: u32,
    endpoint: WorkloadEndpoint,
}

/// Whose rules.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum RulesId {
    Policy(PolicyId),
    Profile(Box<str>),
}

/// Rules that are told, and the sets they hold.
struct ActiveRules {
    rules: Arc<CompiledPolicy>,
    sets: Vec<u32>,
}

/// Whether a thing is an endpoint of this node.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Residence {
    Here,
    Elsewhere,
}

impl Graph {
    /// A graph for the node of this name, which knows nothing yet.
    pub fn new(hostname: &str) -> Self {
        Self {
            hostname: hostname.into(),
            phase: Phase::Loading,
            strings: Interner::default(),
            classes: Classes::default(),
            items: Items::default(),
            policies: Policies::default(),
            sets: Sets::default(),
            services: Services::default(),
            active: BTreeMap::new(),
            locals: BTreeMap::new(),
            local_ids: BTreeMap::new(),
            pools: BTreeMap::new(),
            told_endpoints: BTreeMap::new(),
            told_pools: BTreeMap::new(),
            dirty_endpoints: BTreeSet::new(),
            dirty_rules: BTreeSet::new(),
            dirty_pools: BTreeSet::new(),
            scratch: Vec::new(),
        }
    }

    /// Takes in an update. A value that is not of its key's kind counts as absent.
    pub fn apply(&mut self, update: Update) {
        let Update { key, value } = update;
        match key {
            Key::Tier(name) => self.apply_tier(name, value.and_then(things::tier)),
            Key::Policy(id) => self.apply_policy(id, value.and_then(things::policy)),
            Key::Profile(name) => self.apply_profile(name, value.and_then(things::profile)),
            Key::NetworkSet(id) => {
                let key = ItemKey::network_set(&mut self.strings, &id);
                let set = value.and_then(things::network_set);
                self.apply_item(
                    key,
                    Residence::Elsewhere,
                    set.as_ref().map(Thing::of_network_set),
                );
            }
            Key::HostEndpoint(id) => {
                let key = ItemKey::host(&mut self.strings, &id);
                let endpoint = value.and_then(things::host_endpoint);
                self.apply_item(
                    key,
                    Residence::Elsewhere,
                    endpoint.as_ref().map(Thing::of_host_endpoint),
                );
            }
            Key::WorkloadEndpoint(id) => {
                self.apply_workload(id, value.and_then(things::workload_endpoint))
            }
            Key::IpPool(name) => self.apply_pool(name, value.and_then(things::pool)),
            Key::EndpointSlice(id) => {
                let slice = value.and_then(things::endpoint_slice);
                self.services
                    .set_slice(&mut self.strings, &mut self.sets, &id, slice);
            }
            // A service's slices say who serves it.
            Key::Service(_) => {}
            // Not part of the calculation: the agent reads these itself.
            Key::Node(_)
            | Key::IpReservation(_)
            | Key::IpamConfig
            | Key::Block(_)
            | Key::Affinity(_)
            | Key::Handle(_)
            | Key::FelixConfig(_)
            | Key::ClusterInformation
            | Key::BgpConfiguration(_)
            | Key::BgpPeer(_)
            | Key::BgpFilter(_)
            | Key::KubeControllersConfiguration
            | Key::NodeStatus(_)
            | Key::LiveMigration { .. } => {}
        }
    }

    /// All objects that exist have been applied at least once: from here on the output means something.
    pub fn in_sync(&mut self) {
        self.phase = Phase::InSync;
    }

    /// What changed since the last drain, in an order safe for references. Nothing before [`Graph::in_sync`].
    pub fn drain(&mut self) -> Vec<Change> {
        if self.phase == Phase::Loading {
            return Vec::new();
        }
        let (rules, rules_removed) = self.drain_rules();
        let (sets, sets_removed) = self.sets.drain(&mut self.strings, &mut self.services);
        let (endpoints, endpoints_removed) = self.drain_endpoints();
        let mut changes = sets;
        changes.extend(rules);
        changes.extend(endpoints);
        changes.extend(self.drain_pools());
        changes.extend(endpoints_removed);
        changes.extend(rules_removed.into_iter().rev());
        changes.extend(sets_removed);
        changes
    }

    fn apply_tier(&mut self, name: Box<str>, tier: Option<Tier>) {
        if self.policies.set_tier(name, tier) {
            self.dirty_endpoints.extend(self.locals.keys().cloned());
        }
    }

    fn apply_policy(&mut self, id: PolicyId, policy: Option<Arc<Policy>>) {
        let Some(touched) = self
            .policies
            .set_policy(&mut self.strings, &self.classes, &id, policy)
        else {
            return;
        };
        for class in touched {
            self.mark_locals(class);
        }
        let touches = self.policies.active(&id).is_some();
        let id = RulesId::Policy(id);
        if touches || self.active.contains_key(&id) {
            self.dirty_rules.insert(id);
        }
    }

    fn apply_profile(&mut self, name: Box<str>, profile: Option<Arc<Profile>>) {
        let profile = profile.as_deref();
        let classes: Vec<u32> = match self.classes.compare_profile(&self.strings, &name, profile) {
            Difference::Nothing => return,
            Difference::Rules => Vec::new(),
            Difference::Labels => {
                let slot = self.profile_slot(&name);
                slot.into_iter()
                    .flat_map(|slot| slot.classes.iter())
                    .collect()
            }
        };
        let before: Vec<_> = classes
            .into_iter()
            .map(|class| (class, self.unindex(class)))
            .collect();
        self.classes.set_profile(&mut self.strings, &name, profile);
        for (class, matched) in before {
            self.index(class);
            self.sets
                .reclassify(&self.classes, &self.items, class, &matched);
        }
        if self
            .profile_slot(&name)
            .is_some_and(|slot| slot.local_classes > 0)
        {
            self.dirty_rules.insert(RulesId::Profile(name));
        }
    }

    fn profile_slot(&self, name: &str) -> Option<&ProfileSlot> {
        self.classes.profile(self.strings.find(name)?)
    }

    fn apply_pool(&mut self, name: Box<str>, pool: Option<IpPool>) {
        match pool {
            Some(pool) => {
                let pool = NatPool {
                    cidr: pool.cidr,
                    nat_outgoing: pool.nat_outgoing,
                };
                self.pools.insert(name.clone(), pool);
            }
            None => {
                self.pools.remove(&name);
            }
        }
        self.dirty_pools.insert(name);
    }

    fn apply_workload(&mut self, id: WorkloadEndpointId, endpoint: Option<WorkloadEndpoint>) {
        let key = ItemKey::workload(&mut self.strings, &id);
        if id.node != self.hostname {
            self.apply_item(
                key,
                Residence::Elsewhere,
                endpoint.as_ref().map(Thing::of_workload_endpoint),
            );
            return;
        }
        let item = self.apply_item(
            key,
            Residence::Here,
            endpoint.as_ref().map(Thing::of_workload_endpoint),
        );
        let before = match item.zip(endpoint) {
            Some((item, mut endpoint)) => {
                // The class has them.
                endpoint.labels = Labels::new();
                self.local_ids.insert(item, id.clone());
                self.locals.insert(id.clone(), Local { item, endpoint })
            }
            None => self.locals.remove(&id),
        };
        if let Some(before) = before.filter(|before| Some(before.item) != item) {
            self.local_ids.remove(&before.item);
        }
        self.dirty_endpoints.insert(id);
    }

    /// Takes in a thing that sets can hold; `key` comes with its references. Returns the thing's number if it exists.
    fn apply_item(
        &mut self,
        key: ItemKey,
        residence: Residence,
        thing: Option<Thing<'_>>,
    ) -> Option<u32> {
        let known = self.items.find(key);
        let Some(thing) = thing else {
            key.release(&mut self.strings);
            if let Some(index) = known {
                self.remove_item(index, residence);
            }
            return None;
        };
        let body = Body::new(&mut self.strings, thing.nets, thing.ports);
        let entered = self
            .classes
            .enter(&mut self.strings, thing.labels, thing.profiles);
        if entered.is_new {
            self.index(entered.class);
        }
        let Some(index) = known else {
            self.sets.add_item(entered.class, &body);
            let index = self.items.insert(Item {
                key,
                class: entered.class,
                body,
            });
            self.join_class(entered.class, index, residence);
            return Some(index);
        };
        key.release(&mut self.strings);
        self.replace_item(index, entered.class, body, residence);
        Some(index)
    }

    fn replace_item(&mut self, index: u32, class: u32, body: Body, residence: Residence) {
        let item = self.items.get_mut(index);
        if item.class == class && item.body == body {
            body.release(&mut self.strings);
            return;
        }
        // What it brings first: what it had before and has again neither goes nor comes.
        self.sets.add_item(class, &body);
        let old_class = std::mem::replace(&mut item.class, class);
        let old_body = std::mem::replace(&mut item.body, body);
        self.sets.remove_item(old_class, &old_body);
        old_body.release(&mut self.strings);
        if old_class != class {
            self.join_class(class, index, residence);
            self.leave_class(old_class, index, residence);
        }
    }

    fn remove_item(&mut self, index: u32, residence: Residence) {
        let item = self.items.remove(index);
        self.sets.remove_item(item.class, &item.body);
        self.leave_class(item.class, index, residence);
        item.body.release(&mut self.strings);
        item.key.release(&mut self.strings);
    }

    fn join_class(&mut self, class: u32, item: u32, residence: Residence) {
        self.classes.class_mut(class).items.insert(item);
        if residence == Residence::Elsewhere {
            return;
        }
        let is_first = !self.classes.is_local(class);
        self.classes.add_local(class, item);
        if is_first {
            self.index_locals(class);
            for name in self.classes.class(class).profiles.clone() {
                self.count_local_class(name, |count| count + 1);
            }
        }
    }

    fn leave_class(&mut self, class: u32, item: u32, residence: Residence) {
        self.classes.class_mut(class).items.remove(item);
        if residence == Residence::Here {
            self.classes.remove_local(class, item);
            if !self.classes.is_local(class) {
                self.unindex_locals(class);
                for name in self.classes.class(class).profiles.clone() {
                    self.count_local_class(name, |count| count - 1);
                }
            }
        }
        if self.classes.class(class).items.is_empty() {
            self.unindex(class);
            self.classes.leave(&mut self.strings, class);
        }
    }

    /// A class with endpoints of this node names the profile more, or less.
    fn count_local_class(&mut self, name: Str, step: impl Fn(u32) -> u32) {
        if let Some(slot) = self.classes.profile_mut(name) {
            slot.local_classes = step(slot.local_classes);
        }
        self.dirty_rules
            .insert(RulesId::Profile(self.strings.text(name).into()));
    }

    /// Puts a class into the indexes, with the labels it has.
    fn index(&mut self, class: u32) {
        let labels = self.labels_of(class);
        self.sets.add_class(&self.strings, class, &labels);
        self.scratch = labels;
        if self.classes.is_local(class) {
            self.index_locals(class);
        }
    }

    /// Takes a class out of the indexes, before its labels change or it ends. Returns the selectors of sets that matched it.
    fn unindex(&mut self, class: u32) -> Matches {
        if self.classes.is_local(class) {
            self.unindex_locals(class);
        }
        let labels = self.labels_of(class);
        let matched = self.sets.remove_class(class, &labels);
        self.scratch = labels;
        matched
    }

    fn index_locals(&mut self, class: u32) {
        let labels = self.labels_of(class);
        let awoken = self.policies.add_class(&self.strings, class, &labels);
        self.scratch = labels;
        self.dirty_rules
            .extend(awoken.into_iter().map(RulesId::Policy));
        self.mark_locals(class);
    }

    fn unindex_locals(&mut self, class: u32) {
        let labels = self.labels_of(class);
        let asleep = self.policies.remove_class(class, &labels);
        self.scratch = labels;
        self.dirty_rules
            .extend(asleep.into_iter().map(RulesId::Policy));
        self.mark_locals(class);
    }

    /// The effective labels, in the buffer kept for them; the caller puts it back.
    fn labels_of(&mut self, class: u32) -> Vec<Pair> {
        let mut labels = std::mem::take(&mut self.scratch);
        self.classes.effective_labels(class, &mut labels);
        labels
    }

    fn mark_locals(&mut self, class: u32) {
        let locals = self.classes.locals(class);
        self.dirty_endpoints
            .extend(locals.filter_map(|item| self.local_ids.get(&item).cloned()));
    }

    fn drain_rules(&mut self) -> (Vec<Change>, Vec<Change>) {
        let (mut changes, mut removals) = (Vec::new(), Vec::new());
        for id in std::mem::take(&mut self.dirty_rules) {
            let compilation = match &id {
                RulesId::Policy(id) => self
                    .policies
                    .active(id)
                    .map(|policy| rules::compile(&policy.ingress, &policy.egress)),
                RulesId::Profile(name) => self.compile_profile(name),
            };
            let change = match compilation {
                Some(compilation) => self.activate(id, compilation),
                None => self.deactivate(id),
            };
            match change {
                Some(removal @ (Change::PolicyRemove(_) | Change::ProfileRemove(_))) => {
                    removals.push(removal)
                }
                Some(change) => changes.push(change),
                None => {}
            }
        }
        (changes, removals)
    }

    fn compile_profile(&self, name: &str) -> Option<Compilation> {
        let slot = self.profile_slot(name)?;
        (slot.local_classes > 0).then(|| match &slot.rules {
            Some(rules) => rules::compile(&rules.ingress, &rules.egress),
            None => rules::missing_profile(),
        })
    }

    fn activate(&mut self, id: RulesId, compilation: Compilation) -> Option<Change> {
        let Compilation { policy, sets } = compilation;
        let used = sets
            .iter()
            .map(|(id, spec)| {
                let sources = Sources {
                    classes: &self.classes,
                    items: &self.items,
                    services: &mut self.services,
                };
                self.sets.acquire(&mut self.strings, sources, id, spec)
            })
            .collect();
        let rules = Arc::new(policy);
        let before = self.active.insert(
            id.clone(),
            ActiveRules {
                rules: rules.clone(),
                sets: used,
            },
        );
        let unchanged = before.as_ref().is_some_and(|before| before.rules == rules);
        for set in before.into_iter().flat_map(|before| before.sets) {
            self.sets.release(set);
        }
        (!unchanged).then_some(match id {
            RulesId::Policy(id) => Change::PolicyReplace { id, policy: rules },
            RulesId::Profile(name) => Change::ProfileReplace {
                name,
                profile: rules,
            },
        })
    }

    fn deactivate(&mut self, id: RulesId) -> Option<Change> {
        for set in self.active.remove(&id)?.sets {
            self.sets.release(set);
        }
        Some(match id {
            RulesId::Policy(id) => Change::PolicyRemove(id),
            RulesId::Profile(name) => Change::ProfileRemove(name),
        })
    }

    fn drain_endpoints(&mut self) -> (Vec<Change>, Vec<Change>) {
        let (mut changes, mut removals) = (Vec::new(), Vec::new());
        let mut known: BTreeMap<Matches, Ordered> = BTreeMap::new();
        for id in std::mem::take(&mut self.dirty_endpoints) {
            let Some(local) = self.locals.get(&id) else {
                if self.told_endpoints.remove(&id).is_some() {
                    removals.push(Change::EndpointRemove(id));
                }
                continue;
            };
            let class = self.items.get(local.item).class;
            let matches = Matches::from_slice(self.policies.matches(class));
            let ordered = known
                .entry(matches)
                .or_insert_with(|| self.policies.ordered(class));
            let endpoint = Arc::new(local_endpoint(&local.endpoint, ordered));
            let before = self.told_endpoints.insert(id.clone(), endpoint.clone());
            if before.as_ref() != Some(&endpoint) {
                changes.push(Change::EndpointReplace { id, endpoint });
            }
        }
        (changes, removals)
    }

    fn drain_pools(&mut self) -> Vec<Change> {
        let mut changes = Vec::new();
        for name in std::mem::take(&mut self.dirty_pools) {
            let pool = self.pools.get(&name).copied();
            let before = match pool {
                Some(pool) => self.told_pools.insert(name.clone(), pool),
                None => self.told_pools.remove(&name),
            };
            match pool {
                _ if pool == before => {}
                Some(pool) => changes.push(Change::PoolReplace { name, pool }),
                None => changes.push(Change::PoolRemove(name)),
            }
        }
        changes
    }
}

fn local_endpoint(endpoint: &WorkloadEndpoint, ordered: &Ordered) -> LocalEndpoint {
    LocalEndpoint {
        interface: endpoint.interface.clone(),
        mac: endpoint.mac,
        nets: endpoint.nets.clone(),
        allow_spoofed: endpoint.allow_spoofed.clone(),
        ingress: ordered.ingress.clone(),
        egress: ordered.egress.clone(),
        profiles: endpoint.profiles.clone(),
    }
}
