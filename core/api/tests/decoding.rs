//! What store entries mean: how selectors are joined, and what other kinds of object become.

#![expect(clippy::unwrap_used, reason = "a failure is the test's message")]

use std::sync::Arc;

use api::{AdmitOptions, admit, decode, decode_absent, encode, merge, object_of};
use model::{
    ConfigScope, Key, Node, Policy, PolicyKind, Profile, Resource, WorkloadEndpoint,
    WorkloadEndpointId,
};
use serde_json::{Value, json};

fn resource(key: &str, value: &Value) -> Resource {
    let update = decode(key, &serde_json::to_vec(value).unwrap()).unwrap();
    update.value.unwrap()
}

const NP: &str = "/calico/resources/v3/projectcalico.org/networkpolicies/prod/p";
const GNP: &str = "/calico/resources/v3/projectcalico.org/globalnetworkpolicies/p";
const KNP: &str = "/calico/resources/v3/projectcalico.org/kubernetesnetworkpolicies/prod/p";

fn policy(key: &str, spec: Value) -> Arc<Policy> {
    let Resource::Policy(policy) = resource(key, &json!({ "spec": spec })) else {
        panic!("{key} is no policy");
    };
    policy
}

fn profile(key: &str, value: &Value) -> Arc<Profile> {
    let Resource::Profile(profile) = resource(key, value) else {
        panic!("{key} is no profile");
    };
    profile
}

#[test]
fn selectors_of_policies_are_joined_as_upstream_joins_them() {
    for (key, spec, selector) in [
        (NP, json!({}), r#"projectcalico.org/namespace == "prod""#),
        (
            NP,
            json!({"selector": "a == 'b'", "serviceAccountSelector": "c == 'd'"}),
            r#"((a == "b" && projectcalico.org/namespace == "prod") && pcsa.c == "d")"#,
        ),
        (GNP, json!({}), "all()"),
        (
            GNP,
            json!({"selector": "all()", "namespaceSelector": "has(x)", "serviceAccountSelector": "all()"}),
            "((has(projectcalico.org/namespace) && has(pcns.x)) && has(projectcalico.org/serviceaccount))",
        ),
        (
            KNP,
            json!({"podSelector": {"matchLabels": {"b": "c", "a": "d"}, "matchExpressions": [
                {"key": "x", "operator": "NotIn", "values": ["2", "1"]}, {"key": "y", "operator": "DoesNotExist"}]}}),
            r#"((projectcalico.org/orchestrator == "k8s" && a == "d" && b == "c" && x not in {"1", "2"} && !has(y)) && projectcalico.org/namespace == "prod")"#,
        ),
    ] {
        assert_eq!(policy(key, spec).selector.canonical(), selector);
    }
}

#[test]
fn selectors_of_rules_are_joined_as_upstream_joins_them() {
    let own = r#"projectcalico.org/namespace == "prod""#;
    let cases = [
        (json!({}), None, None),
        (json!({"nets": ["10.0.0.0/8"]}), None, None),
        (
            json!({"selector": "has(a)"}),
            Some(format!("({own} && has(a))")),
            Some("has(a)".to_owned()),
        ),
        (json!({"notSelector": "has(a)"}), Some(own.to_owned()), None),
        (
            json!({"namespaceSelector": "all()"}),
            Some("has(projectcalico.org/namespace)".to_owned()),
            Some("has(projectcalico.org/namespace)".to_owned()),
        ),
        (
            json!({"namespaceSelector": "global()", "selector": "has(a)"}),
            Some("(!has(projectcalico.org/namespace) && has(a))".to_owned()),
            Some("(!has(projectcalico.org/namespace) && has(a))".to_owned()),
        ),
        (
            json!({"serviceAccounts": {"names": ["b", "a"], "selector": "has(x)"}, "selector": "has(a)"}),
            Some(format!(
                "({own} && ((has(pcsa.x) && projectcalico.org/serviceaccount in {{\"a\", \"b\"}}) && has(a)))"
            )),
            Some(
                r#"((has(pcsa.x) && projectcalico.org/serviceaccount in {"a", "b"}) && has(a))"#
                    .to_owned(),
            ),
        ),
    ];
    for (source, namespaced, global) in cases {
        for (key, expected) in [(NP, namespaced), (GNP, global)] {
            let rule = json!({"ingress": [{"action": "Allow", "source": source}]});
            let policy = policy(key, rule);
            let selector = policy.ingress[0].source.selector.as_ref();
            assert_eq!(
                selector.map(|s| s.canonical().to_owned()),
                expected,
                "{key} {source}"
            );
        }
    }
}

#[test]
fn kubernetes_policies_become_rules_per_protocol_and_peer() {
    let policy = policy(
        KNP,
        json!({
            "podSelector": {},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [
                {
                    "from": [{"podSelector": {}}, {"namespaceSelector": {"matchLabels": {"a": "b"}}}, {"ipBlock": {"cidr": "10.0.0.1/8", "except": ["10.1.0.0/16"]}}],
                    "ports": [{"port": 81}, {"port": "http"}, {"port": 80}, {"protocol": "SCTP"}, {"port": 90, "endPort": 92}]
                },
                {"from": [{"ipBlock": {"cidr": "nonsense"}}]},
                {"ports": [{"port": 5, "endPort": 4}]}
            ],
            "egress": [{"to": [{"podSelector": {}}], "ports": [{"protocol": "UDP", "port": 53}]}, {}]
        }),
    );
    assert_eq!(
        (policy.order.value(), &*policy.tier),
        (Some(1000.0), "default")
    );
    assert_eq!(policy.ingress.len(), 6, "the two bad rules are left out");
    let texts: Vec<String> = policy
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
            let selector = rule
                .source
                .selector
                .as_ref()
                .map_or("any", |s| s.canonical());
            format!(
                "{:?} {ports:?} {selector} {:?} {:?}",
                rule.protocol, rule.source.nets, rule.source.not_nets
            )
        })
        .collect();
    insta::assert_snapshot!(texts.join("\n"), @r#"
    Some(SCTP) [] (projectcalico.org/namespace == "prod" && projectcalico.org/orchestrator == "k8s") None []
    Some(SCTP) [] (pcns.a == "b" && projectcalico.org/orchestrator == "k8s") None []
    Some(SCTP) [] any Some([10.0.0.0/8]) [10.1.0.0/16]
    Some(TCP) ["http", "80:81", "90:92"] (projectcalico.org/namespace == "prod" && projectcalico.org/orchestrator == "k8s") None []
    Some(TCP) ["http", "80:81", "90:92"] (pcns.a == "b" && projectcalico.org/orchestrator == "k8s") None []
    Some(TCP) ["http", "80:81", "90:92"] any Some([10.0.0.0/8]) [10.1.0.0/16]
    "#);
    assert_eq!(
        policy.egress[0].destination.ports.as_ref().map(Vec::len),
        Some(1)
    );
    assert!(policy.egress[0].destination.selector.is_some());
    assert_eq!(policy.egress[1], model::Rule::any(model::Action::Allow));
    let all_ports = policy_ports(json!([{"port": 80}, {"protocol": "TCP"}]));
    assert_eq!(all_ports, None);
}

fn policy_ports(ports: Value) -> Option<Vec<model::PortMatch>> {
    let policy = policy(KNP, json!({"ingress": [{ "ports": ports }]}));
    policy.ingress[0].destination.ports.clone()
}

#[test]
fn namespaces_and_service_accounts_become_profiles() {
    let key = "/calico/resources/v3/projectcalico.org/namespaces/prod";
    let ns = profile(key, &json!({"metadata": {"labels": {"a": "b"}}}));
    assert_eq!(ns.ingress, [model::Rule::any(model::Action::Allow)]);
    assert_eq!(ns.egress, ns.ingress);
    let labels: Vec<String> = ns.labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
    assert_eq!(labels, ["pcns.a=b", "pcns.projectcalico.org/name=prod"]);
    assert_eq!(decode_absent(key), Some(Key::Profile("kns.prod".into())));
    let key = "/calico/resources/v3/projectcalico.org/serviceaccounts/prod/robot";
    let sa = profile(key, &json!({"metadata": {"labels": {"a": "b"}}}));
    assert!(sa.ingress.is_empty() && sa.egress.is_empty());
    let labels: Vec<String> = sa.labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
    assert_eq!(labels, ["pcsa.a=b", "pcsa.projectcalico.org/name=robot"]);
    assert_eq!(
        decode_absent(key),
        Some(Key::Profile("ksa.prod.robot".into()))
    );
}

#[test]
fn sets_keep_what_can_be_read() {
    let key = "/calico/resources/v3/projectcalico.org/networksets/prod/s";
    let Resource::NetworkSet(set) = resource(
        key,
        &json!({"spec": {"nets": ["10.1.1.1/8", "x", "fd00::1"]}}),
    ) else {
        panic!("a network set");
    };
    let nets: Vec<String> = set.nets.iter().map(ToString::to_string).collect();
    assert_eq!(nets, ["10.0.0.0/8", "fd00::1/128"]);
    assert_eq!(set.profiles, ["kns.prod".into()]);
    assert_eq!(
        set.labels.get("projectcalico.org/namespace").map(|v| &**v),
        Some("prod")
    );
}

fn endpoint() -> (Key, WorkloadEndpoint) {
    let id = WorkloadEndpointId {
        node: "node-1".into(),
        orchestrator: "k8s".into(),
        namespace: "prod".into(),
        workload: "web-0".into(),
        endpoint: "eth0".into(),
    };
    let labels = [
        ("app", "web"),
        ("projectcalico.org/namespace", "prod"),
        ("projectcalico.org/orchestrator", "k8s"),
        ("projectcalico.org/serviceaccount", "robot"),
    ];
    let endpoint = WorkloadEndpoint {
        labels: labels
            .into_iter()
            .map(|(k, v)| (k.into(), v.into()))
            .collect(),
        container_id: Some("abc".into()),
        pod: Some("web-0".into()),
        service_account: Some("robot".into()),
        interface: "cali1".into(),
        mac: Some("ee:ee:ee:ee:ee:ee".parse().unwrap()),
        nets: vec!["10.65.0.1/32".parse().unwrap()],
        profiles: vec!["kns.prod".into()],
        ..WorkloadEndpoint::default()
    };
    (Key::WorkloadEndpoint(id), endpoint)
}

#[test]
fn endpoints_go_there_and_back() {
    let (key, endpoint) = endpoint();
    let resource = Resource::WorkloadEndpoint(endpoint.clone());
    let mut object = object_of(&key, &resource).unwrap();
    object.stamp("0-0", "2026-01-01T00:00:00Z");
    assert_eq!(
        object.store_key(),
        "/calico/resources/v3/projectcalico.org/workloadendpoints/prod/node--1-k8s-web--0-eth0"
    );
    assert_eq!(
        admit(object.clone().into_value(), &AdmitOptions::default()).as_ref(),
        Ok(&object)
    );
    let update = decode(&object.store_key(), &object.to_store_bytes()).unwrap();
    assert_eq!((update.key, update.value), (key.clone(), Some(resource)));
    let none = Resource::WorkloadEndpoint(WorkloadEndpoint {
        nets: Vec::new(),
        ..endpoint
    });
    let (at, bytes) = encode(&key, &none).unwrap();
    assert_eq!(
        decode(&at, &bytes).unwrap().value,
        None,
        "no addresses, no endpoint"
    );
}

#[test]
fn merging_keeps_what_others_wrote() {
    let old = json!({
        "apiVersion": "projectcalico.org/v3", "kind": "Node", "metadata": {"name": "n", "labels": {"rack": "1"}, "uid": "u"},
        "spec": {"bgp": {"asNumber": 64512, "ipv4Address": "192.0.2.1/24"}, "wireguard": {"interfaceIPv4Address": "10.0.0.1"},
                 "vxlanTunnelMACAddr": "66:00:00:00:00:01",
                 "addresses": [{"address": "192.0.2.1", "type": "CalicoNodeIP"}, {"address": "10.9.9.9", "type": "InternalIP"}]}
    });
    let old = admit(old, &AdmitOptions::default()).unwrap();
    let node = Node {
        ipv4: Some("192.0.2.2".parse().unwrap()),
        ipv4_subnet: Some("192.0.2.0/24".parse().unwrap()),
        as_number: Some(64512),
        addresses: vec!["192.0.2.2".parse().unwrap(), "10.9.9.9".parse().unwrap()],
        labels: [("zone".into(), "a".into())].into(),
        ..Node::default()
    };
    let (key, node) = (Key::Node("n".into()), Resource::Node(node));
    let merged = merge(&old, &key, &node).unwrap();
    assert_eq!(
        merge(&merged, &key, &node).as_ref(),
        Ok(&merged),
        "nothing is left to write"
    );
    assert_eq!(
        merged.into_value(),
        json!({
            "apiVersion": "projectcalico.org/v3", "kind": "Node",
            "metadata": {"name": "n", "labels": {"rack": "1", "zone": "a"}, "uid": "u"},
            "spec": {"addresses": [{"address": "10.9.9.9", "type": "InternalIP"}, {"address": "192.0.2.2", "type": "CalicoNodeIP"}], "bgp": {"asNumber": 64512, "ipv4Address": "192.0.2.2/24"}, "wireguard": {"interfaceIPv4Address": "10.0.0.1"}}
        })
    );
}

#[test]
fn felix_parameters_become_texts() {
    let value = json!({
        "metadata": {"creationTimestamp": "2026-01-01T00:00:00Z", "annotations": {"config.projectcalico.org/LogFilePath": "none"}},
        "spec": {
            "routeRefreshInterval": "1m30s", "iptablesLockProbeInterval": "100ms", "ipv6Support": false,
            "failsafeInboundHostPorts": [{"protocol": "TCP", "port": 22, "net": "fd00::/8"}, {"protocol": "UDP", "port": 68}],
            "failsafeOutboundHostPorts": [], "routeTableRanges": [{"min": 1, "max": 2}], "chainInsertMode": "nonsense"
        }
    });
    let key = "/calico/resources/v3/projectcalico.org/felixconfigurations/node.n1";
    let Resource::FelixConfig(config) = resource(key, &value) else {
        panic!("a FelixConfiguration");
    };
    let texts: Vec<String> = config
        .parameters
        .iter()
        .map(|(k, v)| format!("{k}={v}"))
        .collect();
    assert_eq!(
        texts,
        [
            "chainInsertMode=nonsense",
            "failsafeInboundHostPorts=tcp:[fd00::/8]:22,udp:68",
            "failsafeOutboundHostPorts=none",
            "iptablesLockProbeInterval=100",
            "ipv6Support=false",
            "logFilePath=none",
            "routeRefreshInterval=90",
            "routeTableRanges=1-2",
        ]
    );
    assert_eq!(
        decode_absent(key),
        Some(Key::FelixConfig(ConfigScope::Node("n1".into())))
    );
}

#[test]
fn invalid_entries_say_which_and_why() {
    let error = decode(NP, b"{\"spec\":{\"selector\":\"a =\"}}").unwrap_err();
    let Some(Key::Policy(id)) = &error.key else {
        panic!("a policy");
    };
    assert_eq!((id.kind, &*id.name), (PolicyKind::NetworkPolicy, "p"));
    assert_eq!(error.problems[0].field, "spec.selector");
    let error = decode(NP, b"{").unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("the stored value is no JSON: "),
        "{error}"
    );
    let error = decode("/calico/v1/x", b"{}").unwrap_err();
    assert_eq!((error.key, error.problems.len()), (None, 1));
    let twice =
        br#"{"cidr":"10.0.0.0/31","allocations":[null,null],"unallocated":[0,0],"attributes":[]}"#;
    let error = decode("/calico/ipam/v2/assignment/ipv4/block/10.0.0.0-31", twice).unwrap_err();
    assert_eq!(
        error.to_string(),
        "unallocated: names ordinal 0 twice (found [0,0])"
    );
}
