//! What objects of the staged, BGP and cluster-wide kinds mean to the model.

use std::sync::Arc;

use api::{AdmitOptions, Kind, admit, decode, store_key};
use model::bgp::{
    BgpConfiguration, BgpFilter, BgpPeer, Community, FilterAction, NetOperator, PeeringNodes,
    Remote, RouteOperation,
};
use model::{Action, Order, Policy, PolicyTypes, Resource, Rule, Staged};
use serde_json::{Value, json};

fn stored(kind: Kind, namespace: Option<&str>, spec: &Value) -> Result<Option<Resource>, String> {
    let key = store_key(kind, namespace, "x");
    let bytes = serde_json::to_vec(&json!({"spec": spec})).expect("it is JSON");
    decode(&key, &bytes)
        .map(|update| update.value)
        .map_err(|invalid| invalid.to_string())
}

fn policy(kind: Kind, namespace: Option<&str>, spec: &Value) -> Arc<Policy> {
    match stored(kind, namespace, spec) {
        Ok(Some(Resource::Policy(policy))) => policy,
        other => panic!("{other:?}"),
    }
}

fn cluster_policy(spec: &Value) -> Arc<Policy> {
    policy(Kind::KubernetesClusterNetworkPolicy, None, spec)
}

fn selector(rule: &Rule) -> (Option<&str>, Option<&str>) {
    let text = |entity: &model::EntityMatch| {
        let selector = entity.selector.as_ref();
        selector.map(|selector| Box::leak(selector.canonical().to_owned().into_boxed_str()) as &str)
    };
    (text(&rule.source), text(&rule.destination))
}

#[test]
fn a_cluster_policy_is_a_policy_of_its_tier() {
    let policy = cluster_policy(&json!({
        "tier": "Admin", "priority": 10, "subject": {"namespaces": {"matchLabels": {"env": "prod"}}},
        "ingress": [
            {
                "name": "web", "action": "Accept",
                "from": [
                    {"namespaces": {}},
                    {"pods": {"namespaceSelector": {"matchLabels": {"a": "b"}}, "podSelector": {"matchLabels": {"app": "web"}}}}
                ],
                "protocols": [
                    {"tcp": {"destinationPort": {"number": 81}}},
                    {"udp": {"destinationPort": {"number": 53}}},
                    {"tcp": {"destinationPort": {"range": {"start": 82, "end": 90}}}},
                    {"destinationNamedPort": "sql"}
                ]
            },
            {"action": "Pass", "from": [{"namespaces": {}}]}
        ]
    }));
    assert_eq!(
        (&*policy.tier, policy.order),
        ("kube-admin", Order::new(10.0))
    );
    assert_eq!(
        policy.selector.canonical(),
        r#"(projectcalico.org/orchestrator == "k8s" && pcns.env == "prod")"#
    );
    let types = PolicyTypes {
        ingress: true,
        egress: false,
    };
    assert_eq!((policy.types, policy.staged), (types, Staged::No));
    let said: Vec<String> = policy
        .ingress
        .iter()
        .map(|rule| {
            let ports: Vec<String> = rule
                .destination
                .ports
                .iter()
                .flatten()
                .map(ToString::to_string)
                .collect();
            let protocol = rule.protocol.map(|p| p.to_string()).unwrap_or_default();
            format!("{:?} {protocol} {}", rule.action, ports.join(","))
        })
        .collect();
    // By the protocol's name, none first; each with every peer; ports joined to ranges.
    let expected = [
        "Allow  sql",
        "Allow  sql",
        "Allow TCP 81:90",
        "Allow TCP 81:90",
        "Allow UDP 53",
        "Allow UDP 53",
        "Pass  ",
    ];
    assert_eq!(said, expected);
    assert_eq!(&*policy.ingress[0].annotations["name"], "web");
    assert_eq!(
        selector(&policy.ingress[0]),
        (Some("has(projectcalico.org/namespace)"), None)
    );
    assert_eq!(
        selector(&policy.ingress[1]).0,
        Some(r#"(pcns.a == "b" && (projectcalico.org/orchestrator == "k8s" && app == "web"))"#)
    );
}

#[test]
fn subjects_and_peers_of_a_cluster_policy() {
    let policy = cluster_policy(&json!({
        "tier": "Baseline", "priority": 0, "subject": {"pods": {"podSelector": {}}},
        "egress": [{"action": "Deny", "to": [{"networks": ["10.1.2.3/8", "2001:db8::/32"]}, {"pods": {"podSelector": {}}}]}]
    }));
    assert_eq!(&*policy.tier, "kube-baseline");
    assert_eq!(
        policy.selector.canonical(),
        r#"(projectcalico.org/orchestrator == "k8s" && has(projectcalico.org/namespace))"#
    );
    let nets = policy.egress[0].destination.nets.clone().unwrap();
    assert_eq!(
        nets.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["10.0.0.0/8", "2001:db8::/32"]
    );
    assert_eq!(policy.egress.len(), 2);
    let types = PolicyTypes {
        ingress: false,
        egress: true,
    };
    assert_eq!(policy.types, types);
}

#[test]
fn what_a_cluster_policy_says_badly_fails_closed() {
    let with = |rule: Value| {
        let good = json!({"action": "Accept", "to": [{"namespaces": {}}]});
        let policy = cluster_policy(&json!({
            "tier": "Admin", "priority": 1, "subject": {"namespaces": {}}, "egress": [rule, good]
        }));
        policy
            .egress
            .iter()
            .map(|rule| (rule.action, rule.clone() == Rule::any(rule.action)))
            .collect::<Vec<_>>()
    };
    let kept = (Action::Allow, false);
    for action in ["Deny", "Pass"] {
        for peers in [
            json!([{"networks": ["nowhere"]}]),
            json!([{"domains": ["x"]}]),
            json!([{"pods": {"podSelector": {"matchLabels": {"a b": "c"}}}}]),
            json!(7),
        ] {
            let rule = json!({"action": action, "to": peers});
            assert_eq!(with(rule.clone()), [(Action::Deny, true), kept], "{rule}");
        }
    }
    let accept = json!({"action": "Accept", "to": [{"networks": ["nowhere"]}]});
    assert_eq!(with(accept), [kept]);
    assert_eq!(
        with(json!({"action": "Log", "to": [{"namespaces": {}}]})),
        [kept]
    );
    for (spec, why) in [
        (
            json!({"tier": "Other", "priority": 1, "subject": {"namespaces": {}}}),
            "spec.tier",
        ),
        (
            json!({"tier": "Admin", "priority": 1, "subject": {}}),
            "spec.subject",
        ),
        (json!({"tier": "Admin", "priority": 1}), "spec.subject"),
    ] {
        let invalid = stored(Kind::KubernetesClusterNetworkPolicy, None, &spec).unwrap_err();
        assert!(invalid.contains(why), "{invalid}");
    }
}

#[test]
fn staged_policies_are_policies_that_say_so() {
    let spec = |action: &str| json!({"stagedAction": action, "selector": "app == 'web'", "ingress": [{"action": "Deny"}]});
    let words = [
        ("Set", Staged::Set),
        ("Learn", Staged::Learn),
        ("Ignore", Staged::Ignore),
        ("", Staged::Set),
    ];
    let enforced = policy(
        Kind::NetworkPolicy,
        Some("ns"),
        &spec("Set")
            .as_object()
            .map(|m| {
                let mut m = m.clone();
                m.remove("stagedAction");
                Value::Object(m)
            })
            .unwrap(),
    );
    for (word, staged) in words {
        let policy = policy(Kind::StagedNetworkPolicy, Some("ns"), &spec(word));
        assert_eq!(policy.staged, staged, "{word}");
        assert_eq!(
            Policy {
                staged: Staged::No,
                ..(*policy).clone()
            },
            *enforced
        );
    }
    let gone = policy(
        Kind::StagedGlobalNetworkPolicy,
        None,
        &json!({"stagedAction": "Delete", "tier": "t"}),
    );
    assert_eq!((gone.staged, &*gone.tier), (Staged::Delete, "t"));
    let knp = json!({"podSelector": {"matchLabels": {"app": "web"}}, "egress": [{}]});
    let staged = policy(Kind::StagedKubernetesNetworkPolicy, Some("ns"), &knp);
    let plain = policy(Kind::KubernetesNetworkPolicy, Some("ns"), &knp);
    assert_eq!(
        Policy {
            staged: Staged::No,
            ..(*staged).clone()
        },
        *plain
    );
    assert_eq!(staged.staged, Staged::Set);
}

#[test]
fn the_built_in_profile_stays_as_it_is() {
    let profiles = api::built_in_objects().into_iter();
    let profile = profiles.filter(|object| object.kind() == Kind::Profile);
    for old in profile {
        let mut new = old.clone();
        assert_eq!(api::admit_update(&old, &new), Ok(()));
        new.set_label("a", "b");
        assert_eq!(api::admit_update(&old, &new), Ok(()));
        new.spec_mut().insert("egress".to_owned(), json!([]));
        let problems = api::admit_update(&old, &new).unwrap_err();
        assert_eq!(problems[0].field, "spec");
    }
}

#[test]
fn one_bad_address_makes_no_node_unknown() {
    let spec = json!({"addresses": [{"address": "nowhere"}, {"address": "192.0.2.1/24", "type": "Other"}, 7]});
    let node = stored(Kind::Node, None, &spec);
    let Ok(Some(Resource::Node(node))) = node else {
        panic!("{node:?}");
    };
    assert_eq!(
        node.addresses,
        ["192.0.2.1".parse::<std::net::IpAddr>().unwrap()]
    );
}

#[test]
fn a_deletion_keeps_no_types() {
    let object = admit(
        json!({
            "apiVersion": "projectcalico.org/v3", "kind": "StagedNetworkPolicy", "metadata": {"name": "x"},
            "spec": {"stagedAction": "Delete", "types": ["Ingress"]}
        }),
        &AdmitOptions::default(),
    );
    let object = object.unwrap();
    let expected = json!({"stagedAction": "Delete", "tier": "default"});
    assert_eq!(object.pointer("/spec"), Some(&expected));
}

fn bgp_configuration(spec: &Value) -> BgpConfiguration {
    match stored(Kind::BgpConfiguration, None, spec) {
        Ok(Some(Resource::BgpConfiguration(configuration))) => *configuration,
        other => panic!("{other:?}"),
    }
}

#[test]
fn bgp_settings_name_communities_and_networks() {
    let configuration = bgp_configuration(&json!({
        "logSeverityScreen": "debug", "asNumber": "64.1", "listenPort": 1179,
        "communities": [{"name": "a", "value": "64512:7"}],
        "prefixAdvertisements": [{"cidr": "10.65.0.0/16", "communities": ["a", "1:2:3"]}]
    }));
    assert_eq!(configuration.as_number, Some(64 << 16 | 1));
    assert_eq!(configuration.log_severity.as_deref(), Some("Debug"));
    let [advertisement] = configuration.advertisements.as_slice() else {
        panic!("{configuration:?}");
    };
    let communities = [Community::Standard(64512, 7), Community::Large(1, 2, 3)];
    assert_eq!(advertisement.communities, communities);
    assert_eq!(bgp_configuration(&json!({})), BgpConfiguration::default());
}

fn bgp_peer(spec: &Value) -> BgpPeer {
    match stored(Kind::BgpPeer, None, spec) {
        Ok(Some(Resource::BgpPeer(peer))) => *peer,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_peering_says_who_with_whom() {
    let peer = bgp_peer(
        &json!({"nodeSelector": "has(x)", "peerIP": "[2001:db8::1]:1179", "asNumber": 64512}),
    );
    assert!(matches!(peer.nodes, PeeringNodes::Selected(_)));
    let address = "2001:db8::1".parse().unwrap();
    assert_eq!(
        peer.remote,
        Remote::Address {
            address,
            port: Some(1179)
        }
    );
    let peer = bgp_peer(&json!({"node": "n", "peerSelector": "all()", "asNumber": 0}));
    assert_eq!(
        (peer.nodes, peer.as_number),
        (PeeringNodes::Node("n".into()), None)
    );
    assert!(matches!(peer.remote, Remote::Nodes(_)));
    let peer = bgp_peer(
        &json!({"localWorkloadSelector": "all()", "asNumber": 7, "keepOriginalNextHop": true}),
    );
    assert_eq!(
        (peer.nodes, peer.next_hop),
        (PeeringNodes::All, Some(model::bgp::NextHop::Keep))
    );
    assert!(matches!(peer.remote, Remote::Workloads(_)));
    assert_eq!(bgp_peer(&json!({})).remote, Remote::Nobody);
}

#[test]
fn a_filter_keeps_the_order_of_its_rules() {
    let filter = stored(
        Kind::BgpFilter,
        None,
        &json!({"importV4": [
            {"action": "Reject", "cidr": "10.0.0.0/8", "matchOperator": "In", "prefixLength": {"min": 25}},
            {"action": "Accept", "operations": [{"setPriority": {"value": 5}}, {"addCommunity": {"value": "1:2"}}, {"prependASPath": {"prefix": [1, "0.2"]}}]}
        ]}),
    );
    let Ok(Some(Resource::BgpFilter(filter))) = filter else {
        panic!("{filter:?}");
    };
    let BgpFilter {
        import_v4,
        export_v4,
        ..
    } = *filter;
    assert!(export_v4.is_empty());
    let net = import_v4[0].net.unwrap();
    assert_eq!(
        (net.operator, net.shortest, net.longest),
        (NetOperator::In, Some(25), None)
    );
    assert_eq!(import_v4[1].action, FilterAction::Accept);
    let operations = [
        RouteOperation::SetPriority(5),
        RouteOperation::AddCommunity(Community::Standard(1, 2)),
        RouteOperation::PrependAsPath(vec![1, 2]),
    ];
    assert_eq!(import_v4[1].operations, operations);
}

#[test]
fn kinds_without_a_model_are_known_and_say_nothing() {
    for (kind, namespace) in [
        (Kind::KubeControllersConfiguration, None),
        (Kind::CalicoNodeStatus, None),
        (Kind::LiveMigration, Some("ns")),
    ] {
        let name = "default";
        let spec = json!({"spec": {"node": "n", "classes": [], "updatePeriodSeconds": 1}});
        let update = decode(
            &store_key(kind, namespace, name),
            &serde_json::to_vec(&spec).unwrap(),
        );
        assert_eq!(update.unwrap().value, None);
    }
    let other = store_key(Kind::KubeControllersConfiguration, None, "other");
    assert!(decode(&other, b"{}").is_err());
}
