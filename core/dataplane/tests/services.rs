//! A policy that names a service, as nf_tables gets it.

use std::sync::Arc;

use calc::Graph;
use dataplane::filter::{Filter, FilterOptions};
use dataplane::nftables::{self, NftOptions};
use model::selector::Selector;
use model::{
    Action, EndpointSlice, EndpointSliceId, EntityMatch, Key, Order, Policy, PolicyId, PolicyKind,
    PolicyTypes, Protocol, Resource, Rule, ServiceRef, Staged, Update, WorkloadEndpoint,
    WorkloadEndpointId,
};

fn of_service() -> EntityMatch {
    EntityMatch {
        service: Some(ServiceRef {
            namespace: "shop".into(),
            name: "db".into(),
        }),
        ..EntityMatch::default()
    }
}

fn updates() -> [(Key, Resource); 3] {
    let to = |protocol| Rule {
        protocol,
        destination: of_service(),
        ..Rule::any(Action::Allow)
    };
    let from = Rule {
        source: of_service(),
        ..Rule::any(Action::Allow)
    };
    let policy = Policy {
        tier: "default".into(),
        order: Order::LAST,
        selector: Selector::all(),
        types: PolicyTypes {
            ingress: true,
            egress: true,
        },
        ingress: vec![from],
        // The protocol is asked of the packet; ICMP has no ports, and so no rule.
        egress: vec![to(None), to(Some(Protocol::TCP)), to(Some(Protocol::ICMP))],
        staged: Staged::No,
        do_not_track: false,
        pre_dnat: false,
        apply_on_forward: false,
        always_active: false,
    };
    let slice = EndpointSlice {
        service: "db".into(),
        addresses: ["10.0.0.2", "fd00::2"]
            .map(|text| text.parse().expect("an address"))
            .into(),
        ports: vec![(Protocol::TCP, 5432), (Protocol::UDP, 53)],
    };
    let endpoint = WorkloadEndpoint {
        interface: "cali1".into(),
        ..WorkloadEndpoint::default()
    };
    let [node, orchestrator, namespace, workload, name] =
        ["n1", "k8s", "shop", "web", "eth0"].map(Box::from);
    [
        (
            Key::WorkloadEndpoint(WorkloadEndpointId {
                node,
                orchestrator,
                namespace,
                workload,
                endpoint: name,
            }),
            Resource::WorkloadEndpoint(endpoint),
        ),
        (
            Key::Policy(PolicyId {
                kind: PolicyKind::GlobalNetworkPolicy,
                namespace: None,
                name: "db".into(),
            }),
            Resource::Policy(Arc::new(policy)),
        ),
        (
            Key::EndpointSlice(EndpointSliceId {
                namespace: "shop".into(),
                name: "db-1".into(),
            }),
            Resource::EndpointSlice(slice),
        ),
    ]
}

#[test]
fn a_service_is_two_sets_in_each_family() {
    let mut graph = Graph::new("n1");
    for (key, value) in updates() {
        let value = Some(value);
        graph.apply(Update { key, value });
    }
    graph.in_sync();
    let mut filter = Filter::new(FilterOptions::default());
    for change in graph.drain() {
        filter.apply(change);
    }
    let text = nftables::ruleset(&filter, NftOptions::default()).to_string();
    // The sets, and the rules that ask for them.
    let blocks = text.split("\n\t}").filter(|block| block.contains("svc"));
    insta::assert_snapshot!(blocks.collect::<Vec<_>>().join("\n"));
}
