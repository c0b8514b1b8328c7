//! What the graph says, and how little: each update is answered by the changes it makes necessary and no others.

use std::sync::Arc;

use calc::{Change, Graph, Member, SetKind};
use model::selector::Selector;
use model::{
    Action, Cidr, EndpointSlice, EndpointSliceId, EntityMatch, Key, NetworkSet, NetworkSetId,
    Order, Policy, PolicyId, PolicyKind, PolicyTypes, PortMatch, Profile, Protocol, Resource, Rule,
    ServiceRef, Staged, Update, WorkloadEndpoint, WorkloadEndpointId,
};

fn pod_id(node: &str, name: &str) -> WorkloadEndpointId {
    let [node, orchestrator, namespace, workload, endpoint] =
        [node, "k8s", "ns", name, "eth0"].map(Box::from);
    WorkloadEndpointId {
        node,
        orchestrator,
        namespace,
        workload,
        endpoint,
    }
}

fn pod(node: &str, name: &str, app: &str, address: &str) -> Update {
    let endpoint = WorkloadEndpoint {
        labels: [(Box::from("app"), Box::from(app))].into(),
        interface: format!("cali{name}").into(),
        nets: vec![Cidr::host(address.parse().expect("an address"))],
        profiles: vec!["open".into()],
        ..WorkloadEndpoint::default()
    };
    set(
        Key::WorkloadEndpoint(pod_id(node, name)),
        Resource::WorkloadEndpoint(endpoint),
    )
}

fn set(key: Key, value: Resource) -> Update {
    Update {
        key,
        value: Some(value),
    }
}

fn gone(key: &Key) -> Update {
    Update {
        key: key.clone(),
        value: None,
    }
}

fn policy_key(name: &str) -> Key {
    Key::Policy(PolicyId {
        kind: PolicyKind::GlobalNetworkPolicy,
        namespace: None,
        name: name.into(),
    })
}

/// Allows `peers` to reach `selector`.
fn policy(name: &str, selector: &str, peers: &str) -> Update {
    let source = EntityMatch {
        selector: Some(Selector::parse(peers).expect("a selector")),
        ..EntityMatch::default()
    };
    let policy = Policy {
        tier: "default".into(),
        order: Order::LAST,
        selector: Selector::parse(selector).expect("a selector"),
        types: PolicyTypes {
            ingress: true,
            egress: false,
        },
        ingress: vec![Rule {
            source,
            ..Rule::any(Action::Allow)
        }],
        egress: Vec::new(),
        staged: Staged::No,
        do_not_track: false,
        pre_dnat: false,
        apply_on_forward: false,
        always_active: false,
    };
    set(policy_key(name), Resource::Policy(Arc::new(policy)))
}

/// One word for each change.
fn words(changes: &[Change]) -> Vec<String> {
    changes
        .iter()
        .map(|change| match change {
            Change::SetReplace { members, .. } => format!("set of {}", members.len()),
            Change::SetDelta { delta, .. } => {
                format!("delta +{} -{}", delta.added.len(), delta.removed.len())
            }
            Change::SetRemove(_) => "no set".to_owned(),
            Change::PolicyReplace { id, .. } => format!("policy {}", id.name),
            Change::PolicyRemove(id) => format!("no policy {}", id.name),
            Change::ProfileReplace { name, .. } => format!("profile {name}"),
            Change::ProfileRemove(name) => format!("no profile {name}"),
            Change::EndpointReplace { id, .. } => format!("endpoint {}", id.workload),
            Change::EndpointRemove(id) => format!("no endpoint {}", id.workload),
            Change::PoolReplace { name, .. } => format!("pool {name}"),
            Change::PoolRemove(name) => format!("no pool {name}"),
        })
        .collect()
}

/// A graph in sync: `web` here, `client` elsewhere, and a policy between them. What it says first is returned too.
fn started() -> (Graph, Vec<String>) {
    let mut graph = Graph::new("here");
    let all = vec![Rule::any(Action::Allow)];
    let open = Profile {
        ingress: all.clone(),
        egress: all,
        ..Profile::default()
    };
    graph.apply(set(
        Key::Profile("open".into()),
        Resource::Profile(Arc::new(open)),
    ));
    graph.apply(policy("web", "app == 'web'", "app == 'client'"));
    graph.apply(pod("here", "web", "web", "10.0.0.1"));
    graph.apply(pod("there", "client", "client", "10.0.1.1"));
    graph.in_sync();
    let first = words(&graph.drain());
    (graph, first)
}

fn told(graph: &mut Graph, updates: impl IntoIterator<Item = Update>) -> Vec<String> {
    updates.into_iter().for_each(|update| graph.apply(update));
    words(&graph.drain())
}

#[test]
fn references_come_before_their_users_and_go_after_them() {
    let (mut graph, first) = started();
    assert_eq!(
        first,
        ["set of 1", "policy web", "profile open", "endpoint web"]
    );
    let web = Key::WorkloadEndpoint(pod_id("here", "web"));
    assert_eq!(
        told(&mut graph, [gone(&web)]),
        [
            "no endpoint web",
            "no profile open",
            "no policy web",
            "no set"
        ]
    );
}

#[test]
fn one_member_is_one_delta() {
    let (mut graph, _) = started();
    assert_eq!(
        told(&mut graph, [pod("there", "client-2", "client", "10.0.1.2")]),
        ["delta +1 -0"]
    );
    assert_eq!(
        told(&mut graph, [pod("there", "client-2", "client", "10.0.1.3")]),
        ["delta +1 -1"]
    );
    let client = Key::WorkloadEndpoint(pod_id("there", "client-2"));
    assert_eq!(told(&mut graph, [gone(&client)]), ["delta +0 -1"]);
    assert_eq!(told(&mut graph, [gone(&client)]), [""; 0]);
}

#[test]
fn what_cancels_out_is_not_told() {
    let (mut graph, _) = started();
    let client = Key::WorkloadEndpoint(pod_id("there", "client"));
    assert_eq!(
        told(
            &mut graph,
            [gone(&client), pod("there", "client", "client", "10.0.1.1")]
        ),
        [""; 0]
    );
    assert_eq!(
        told(
            &mut graph,
            [
                gone(&policy_key("web")),
                policy("web", "app == 'web'", "app == 'client'")
            ]
        ),
        [""; 0]
    );
    // Another pod takes over the address.
    assert_eq!(
        told(
            &mut graph,
            [gone(&client), pod("there", "heir", "client", "10.0.1.1")]
        ),
        [""; 0]
    );
    assert_eq!(
        told(&mut graph, [pod("there", "twin", "client", "10.0.1.1")]),
        [""; 0]
    );
    assert_eq!(
        told(
            &mut graph,
            [gone(&Key::WorkloadEndpoint(pod_id("there", "heir")))]
        ),
        [""; 0]
    );
}

#[test]
fn what_is_not_used_here_costs_nothing() {
    let (mut graph, _) = started();
    let before = graph.footprint();
    assert_eq!(
        told(
            &mut graph,
            [policy("elsewhere", "app == 'batch'", "has(app)")]
        ),
        [""; 0]
    );
    assert_eq!(graph.footprint().sets, before.sets);
    assert_eq!(graph.footprint().active, before.active);
    assert_eq!(
        told(&mut graph, [pod("there", "batch", "batch", "10.0.1.9")]),
        [""; 0]
    );
    let first_local = told(&mut graph, [pod("here", "batch", "batch", "10.0.0.9")]);
    assert_eq!(
        first_local,
        ["set of 4", "policy elsewhere", "endpoint batch"]
    );
}

#[test]
fn an_always_active_policy_is_told_everywhere() {
    let (mut graph, _) = started();
    let mut update = policy("hinted", "app == 'nowhere'", "has(app)");
    if let Some(Resource::Policy(policy)) = &mut update.value {
        Arc::make_mut(policy).always_active = true;
    }
    assert_eq!(told(&mut graph, [update]), ["set of 2", "policy hinted"]);
    assert_eq!(
        told(
            &mut graph,
            [policy("hinted", "app == 'nowhere'", "has(app)")]
        ),
        ["no policy hinted", "no set"]
    );
}

#[test]
fn equal_selectors_share_a_set() {
    let (mut graph, _) = started();
    assert_eq!(
        told(
            &mut graph,
            [policy("again", "app == 'web'", "app in {\"client\"}")]
        )
        .len(),
        3
    );
    assert_eq!(
        told(
            &mut graph,
            [policy("same", "app == 'web'", " app=='client' ")]
        ),
        ["policy same", "endpoint web"]
    );
    assert_eq!(graph.footprint().sets, 2);
    assert_eq!(
        told(&mut graph, [gone(&policy_key("same"))]),
        ["endpoint web", "no policy same"]
    );
}

#[test]
fn a_rule_edit_tells_the_policy_only() {
    let (mut graph, _) = started();
    assert_eq!(
        told(
            &mut graph,
            [policy("web", "app == 'web'", "app == 'other'")]
        ),
        ["set of 0", "policy web", "no set"]
    );
}

#[test]
fn overlapping_networks_are_counted() {
    let (mut graph, _) = started();
    let nets = |name: &str, nets: &[&str]| {
        let value = NetworkSet {
            labels: [(Box::from("app"), Box::from("client"))].into(),
            profiles: Vec::new(),
            nets: nets.iter().map(|net| net.parse().unwrap()).collect(),
        };
        let id = NetworkSetId {
            namespace: None,
            name: name.into(),
        };
        set(Key::NetworkSet(id), Resource::NetworkSet(value))
    };
    assert_eq!(
        told(&mut graph, [nets("a", &["192.0.2.0/24", "192.0.2.0/25"])]),
        ["delta +2 -0"]
    );
    assert_eq!(
        told(&mut graph, [nets("b", &["192.0.2.0/24", "192.0.2.0/24"])]),
        [""; 0]
    );
    assert_eq!(told(&mut graph, [nets("a", &[])]), ["delta +0 -1"]);
    assert_eq!(told(&mut graph, [nets("b", &["192.0.2.0/24"])]), [""; 0]);
    assert_eq!(
        told(&mut graph, [nets("b", &["0.0.0.0/0"])]),
        ["delta +1 -1"]
    );
}

/// Allows `app == 'web'` to reach a service, and the service to reach it.
fn service_policy(name: &str) -> Update {
    let mut update = policy(name, "app == 'web'", "all()");
    let side = EntityMatch {
        service: Some(ServiceRef {
            namespace: "ns".into(),
            name: "db".into(),
        }),
        ..EntityMatch::default()
    };
    if let Some(Resource::Policy(policy)) = &mut update.value {
        let policy = Arc::make_mut(policy);
        policy.types.egress = true;
        policy.ingress[0].source = side.clone();
        policy.egress = vec![Rule {
            destination: side,
            ..Rule::any(Action::Allow)
        }];
    }
    update
}

fn slice_key(name: &str) -> Key {
    Key::EndpointSlice(EndpointSliceId {
        namespace: "ns".into(),
        name: name.into(),
    })
}

fn slice(name: &str, service: &str, addresses: &[&str], ports: &[u16]) -> Update {
    let slice = EndpointSlice {
        service: service.into(),
        addresses: addresses
            .iter()
            .map(|text| text.parse().expect("an address"))
            .collect(),
        ports: ports.iter().map(|&port| (Protocol::TCP, port)).collect(),
    };
    set(slice_key(name), Resource::EndpointSlice(slice))
}

#[test]
fn a_slice_tells_what_changed_of_it() {
    let (mut graph, _) = started();
    assert_eq!(
        told(&mut graph, [slice("a", "db", &["10.0.2.1"], &[5432])]),
        [""; 0],
        "no rule names it"
    );
    // Both directions: the addresses, and the addresses with the port. A second policy shares them.
    assert_eq!(
        told(&mut graph, [service_policy("db")]),
        ["set of 1", "set of 1", "policy db", "endpoint web"]
    );
    assert_eq!(
        told(&mut graph, [service_policy("again")]),
        ["policy again", "endpoint web"]
    );
    let more = ["10.0.2.1", "10.0.2.2", "fd00::2"];
    assert_eq!(
        told(&mut graph, [slice("a", "db", &more, &[5432])]),
        ["delta +2 -0", "delta +2 -0"]
    );
    // A port more is one member for each address, and the addresses are the same.
    assert_eq!(
        told(&mut graph, [slice("a", "db", &more, &[5432, 5433])]),
        ["delta +3 -0"]
    );
    // What another slice says too neither comes nor goes with this one; nor does what is said twice.
    let twice = slice("b", "db", &["10.0.2.1", "10.0.2.1"], &[5432, 5432]);
    assert_eq!(told(&mut graph, [twice]), [""; 0]);
    assert_eq!(
        told(&mut graph, [slice("a", "db", &["10.0.2.2"], &[5432])]),
        ["delta +0 -4", "delta +0 -1"]
    );
    // It moves to another service, and back; then it goes.
    let other = || slice("a", "cache", &["10.0.2.2"], &[5432]);
    assert_eq!(told(&mut graph, [other()]), ["delta +0 -1", "delta +0 -1"]);
    let back = || slice("a", "db", &["10.0.2.2"], &[5432]);
    assert_eq!(told(&mut graph, [back(), other(), back()]).len(), 2);
    assert_eq!(told(&mut graph, [other(), back(), back()]), [""; 0]);
    assert_eq!(
        told(&mut graph, [gone(&slice_key("a")), gone(&slice_key("b"))]),
        ["delta +0 -2", "delta +0 -2"]
    );
    assert_eq!(graph.footprint().slices, 0);
    assert_eq!(graph.footprint().services, 1, "rules name it");
    let policies = [gone(&policy_key("db")), gone(&policy_key("again"))];
    assert_eq!(told(&mut graph, policies).len(), 5);
    assert_eq!(graph.footprint().services, 0);
}

#[test]
fn set_names_are_upstreams() {
    let mut graph = Graph::new("here");
    let source = EntityMatch {
        selector: Some(Selector::parse("all()").unwrap()),
        ports: Some(vec![PortMatch::Named("http".into()), range(80)]),
        ..EntityMatch::default()
    };
    let rule = Rule {
        protocol: Some(Protocol::TCP),
        source,
        ..Rule::any(Action::Allow)
    };
    let open = Profile {
        ingress: vec![rule],
        ..Profile::default()
    };
    graph.apply(set(
        Key::Profile("open".into()),
        Resource::Profile(Arc::new(open)),
    ));
    graph.apply(pod("here", "web", "web", "10.0.0.1"));
    graph.in_sync();
    let sets: Vec<_> = graph
        .drain()
        .into_iter()
        .filter_map(|change| {
            let Change::SetReplace { id, kind, members } = change else {
                return None;
            };
            Some((id.to_string(), kind, members))
        })
        .collect();
    let web = Member::Net("10.0.0.1/32".parse().unwrap());
    assert_eq!(
        sets,
        [
            (
                "n:cl9_Kgeu4H0OGLbhovVR3NBLUOZscKeMK1Mu4A".to_owned(),
                SetKind::NetPort,
                vec![]
            ),
            (
                "s:5y5I3VdRZfDU01O--xXAPx2yxCQQqMf0M6IWug".to_owned(),
                SetKind::Net,
                vec![web]
            ),
        ]
    );
}

fn range(port: u16) -> PortMatch {
    PortMatch::Range(model::PortRange::one(port))
}
