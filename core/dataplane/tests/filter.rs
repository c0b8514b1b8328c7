//! The filter is a function of the changes' final state, and what it calls dirty is enough to follow it.

use std::collections::BTreeMap;
use std::sync::Arc;

use calc::{
    Change, CompiledEntity, CompiledPolicy, CompiledPorts, CompiledRule, LocalEndpoint, Member,
    NatPool, SetDelta, SetId, SetKind, TierPolicies,
};
use dataplane::filter::{Filter, FilterOptions};
use dataplane::nft::Ruleset;
use dataplane::nftables::{self, NftOptions};
use model::{
    Action, Cidr, DefaultAction, PolicyId, PolicyKind, PortRange, Protocol, WorkloadEndpointId,
};
use proptest::prelude::*;

/// What the changes lead to, by identity.
#[derive(Clone, Debug, Default)]
struct State {
    sets: BTreeMap<SetId, (SetKind, Vec<Member>)>,
    policies: BTreeMap<PolicyId, Arc<CompiledPolicy>>,
    profiles: BTreeMap<Box<str>, Arc<CompiledPolicy>>,
    endpoints: BTreeMap<WorkloadEndpointId, Arc<LocalEndpoint>>,
    pools: BTreeMap<Box<str>, NatPool>,
}

impl State {
    fn apply(&mut self, change: &Change) {
        match change.clone() {
            Change::SetReplace { id, kind, members } => {
                self.sets.insert(id, (kind, members));
            }
            Change::SetDelta { id, delta } => {
                if let Some((_, members)) = self.sets.get_mut(&id) {
                    members.retain(|m| !delta.removed.contains(m));
                    members.extend(delta.added);
                    members.sort_unstable();
                    members.dedup();
                }
            }
            Change::SetRemove(id) => {
                self.sets.remove(&id);
            }
            Change::PolicyReplace { id, policy } => {
                self.policies.insert(id, policy);
            }
            Change::PolicyRemove(id) => {
                self.policies.remove(&id);
            }
            Change::ProfileReplace { name, profile } => {
                self.profiles.insert(name, profile);
            }
            Change::ProfileRemove(name) => {
                self.profiles.remove(&name);
            }
            Change::EndpointReplace { id, endpoint } => {
                self.endpoints.insert(id, endpoint);
            }
            Change::EndpointRemove(id) => {
                self.endpoints.remove(&id);
            }
            Change::PoolReplace { name, pool } => {
                self.pools.insert(name, pool);
            }
            Change::PoolRemove(name) => {
                self.pools.remove(&name);
            }
        }
    }

    /// The final state told once, in an order safe for references.
    fn retold(&self) -> Vec<Change> {
        let mut out = Vec::new();
        for (id, (kind, members)) in &self.sets {
            let members = members.clone();
            out.push(Change::SetReplace {
                id: id.clone(),
                kind: *kind,
                members,
            });
        }
        for (id, policy) in &self.policies {
            out.push(Change::PolicyReplace {
                id: id.clone(),
                policy: policy.clone(),
            });
        }
        for (name, profile) in &self.profiles {
            out.push(Change::ProfileReplace {
                name: name.clone(),
                profile: profile.clone(),
            });
        }
        for (id, endpoint) in &self.endpoints {
            out.push(Change::EndpointReplace {
                id: id.clone(),
                endpoint: endpoint.clone(),
            });
        }
        for (name, pool) in &self.pools {
            out.push(Change::PoolReplace {
                name: name.clone(),
                pool: *pool,
            });
        }
        out
    }
}

fn set_id(n: u8) -> SetId {
    SetId(format!("{}:set{n}", if n < 2 { "s" } else { "n" }).into())
}

fn kind(n: u8) -> SetKind {
    if n < 2 {
        SetKind::Net
    } else {
        SetKind::NetPort
    }
}

fn cidr() -> impl Strategy<Value = Cidr> {
    let v4 = (0u8..3, prop::sample::select(vec![0u8, 8, 24, 32]))
        .prop_map(|(d, len)| Cidr::new([10, 0, 0, d].into(), len));
    let v6 = (0u16..3, prop::sample::select(vec![64u8, 128]))
        .prop_map(|(d, len)| Cidr::new([0xfd00, 0, 0, 0, 0, 0, 0, d].into(), len));
    prop_oneof![v4, v6]
}

fn member(n: u8) -> BoxedStrategy<Member> {
    match kind(n) {
        SetKind::Net => cidr().prop_map(Member::Net).boxed(),
        SetKind::NetPort => (0u8..3, 80u16..82)
            .prop_map(|(d, port)| Member::NetPort([10, 0, 0, d].into(), Protocol::TCP, port))
            .boxed(),
    }
}

fn members(n: u8) -> impl Strategy<Value = Vec<Member>> {
    prop::collection::btree_set(member(n), 0..4).prop_map(|set| set.into_iter().collect())
}

fn rule() -> impl Strategy<Value = CompiledRule> {
    let action = prop::sample::select(vec![Action::Allow, Action::Deny, Action::Pass, Action::Log]);
    let entity = || {
        (
            prop::option::of(prop::collection::vec(cidr(), 0..2)),
            prop::collection::vec(0u8..2, 0..2),
            prop::option::of((any::<bool>(), prop::option::of(2u8..4))),
            prop::collection::vec(2u8..4, 0..2),
        )
            .prop_map(|(nets, sets, ports, port_sets)| CompiledEntity {
                nets,
                port_sets: port_sets.into_iter().map(set_id).collect(),
                sets: sets.into_iter().map(set_id).collect(),
                ports: ports.map(|(numeric, named)| CompiledPorts {
                    ranges: numeric.then(|| PortRange::one(80)).into_iter().collect(),
                    sets: named.into_iter().map(set_id).collect(),
                }),
                ..CompiledEntity::default()
            })
    };
    (action, entity(), entity()).prop_map(|(action, source, destination)| CompiledRule {
        action,
        family: None,
        protocol: Some(Protocol::TCP),
        not_protocol: None,
        icmp: None,
        not_icmp: None,
        source,
        destination,
        http: None,
        annotations: BTreeMap::new(),
    })
}

fn compiled() -> impl Strategy<Value = Arc<CompiledPolicy>> {
    let rules = || prop::collection::vec(rule(), 0..3);
    (rules(), rules()).prop_map(|(ingress, egress)| Arc::new(CompiledPolicy { ingress, egress }))
}

fn policy_id(n: u8) -> PolicyId {
    PolicyId {
        kind: PolicyKind::GlobalNetworkPolicy,
        namespace: None,
        name: format!("p{n}").into(),
    }
}

fn endpoint() -> impl Strategy<Value = Change> {
    let tiers = || {
        prop::collection::vec((any::<bool>(), prop::collection::vec(0u8..3, 1..3)), 0..3).prop_map(
            |tiers| -> Vec<TierPolicies> {
                let tier = |(index, (pass, policies)): (usize, (bool, Vec<u8>))| TierPolicies {
                    tier: format!("t{index}").into(),
                    default_action: if pass {
                        DefaultAction::Pass
                    } else {
                        DefaultAction::Deny
                    },
                    policies: policies.into_iter().map(policy_id).collect(),
                };
                tiers.into_iter().enumerate().map(tier).collect()
            },
        )
    };
    let nets = || prop::collection::vec(cidr(), 0..3);
    // Fewer interfaces than endpoints: two may claim the same.
    (0u8..4, 0u8..3, nets(), nets(), tiers(), tiers()).prop_map(
        |(id, interface, nets, allow_spoofed, ingress, egress)| Change::EndpointReplace {
            id: endpoint_id(id),
            endpoint: Arc::new(LocalEndpoint {
                interface: format!("cali{interface}").into(),
                mac: None,
                nets,
                allow_spoofed,
                ingress,
                egress,
                profiles: vec!["prof".into()],
            }),
        },
    )
}

fn endpoint_id(n: u8) -> WorkloadEndpointId {
    WorkloadEndpointId {
        node: "n".into(),
        orchestrator: "cni".into(),
        namespace: "ns".into(),
        workload: format!("w{n}").into(),
        endpoint: "eth0".into(),
    }
}

fn change() -> impl Strategy<Value = Change> {
    let set = (0u8..4)
        .prop_flat_map(|n| members(n).prop_map(move |members| (n, members)))
        .prop_map(|(n, members)| Change::SetReplace {
            id: set_id(n),
            kind: kind(n),
            members,
        });
    let delta = (0u8..4)
        .prop_flat_map(|n| (members(n), members(n)).prop_map(move |(a, r)| (n, a, r)))
        .prop_map(|(n, added, mut removed)| {
            removed.retain(|m| !added.contains(m));
            Change::SetDelta {
                id: set_id(n),
                delta: SetDelta { added, removed },
            }
        });
    let policy = (0u8..3, compiled()).prop_map(|(n, policy)| Change::PolicyReplace {
        id: policy_id(n),
        policy,
    });
    let profile = compiled().prop_map(|profile| Change::ProfileReplace {
        name: "prof".into(),
        profile,
    });
    let pool =
        (0u8..3, cidr(), any::<bool>()).prop_map(|(n, cidr, nat_outgoing)| Change::PoolReplace {
            name: format!("pool{n}").into(),
            pool: NatPool { cidr, nat_outgoing },
        });
    prop_oneof![
        3 => set,
        4 => delta,
        1 => (0u8..4).prop_map(|n| Change::SetRemove(set_id(n))),
        4 => policy,
        1 => (0u8..3).prop_map(|n| Change::PolicyRemove(policy_id(n))),
        2 => profile,
        4 => endpoint(),
        2 => (0u8..4).prop_map(|n| Change::EndpointRemove(endpoint_id(n))),
        2 => pool,
        1 => (0u8..3).prop_map(|n| Change::PoolRemove(format!("pool{n}").into())),
    ]
}

fn print(filter: &Filter) -> Ruleset {
    nftables::ruleset(filter, NftOptions::default())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn history_leaves_no_trace(changes in prop::collection::vec(change(), 0..40)) {
        let mut state = State::default();
        let mut filter = Filter::new(FilterOptions::default());
        for change in changes {
            state.apply(&change);
            filter.apply(change);
        }
        let mut fresh = Filter::new(FilterOptions::default());
        for change in state.retold() {
            fresh.apply(change);
        }
        prop_assert_eq!(print(&filter), print(&fresh));
    }

    #[test]
    fn dirt_is_enough_to_follow(batches in prop::collection::vec(prop::collection::vec(change(), 0..6), 1..10)) {
        let mut filter = Filter::new(FilterOptions::default());
        filter.take_dirty();
        let mut mirror = print(&filter);
        for batch in batches {
            for change in batch {
                filter.apply(change);
            }
            let dirty = filter.take_dirty();
            nftables::delta(&filter, &dirty, NftOptions::default()).apply_to(&mut mirror);
            prop_assert_eq!(&mirror, &print(&filter));
        }
    }
}
