//! What admission fills in, what it refuses, and how it says so.

#![expect(clippy::unwrap_used, reason = "a failure is the test's message")]

use api::{AdmitOptions, Kind, admit, admit_labels, admit_update, expand_list, refuse_delete};
use serde_json::{Value, json};

fn v3(kind: &str, name: &str, spec: Value) -> Value {
    json!({"apiVersion": "projectcalico.org/v3", "kind": kind, "metadata": {"name": name}, "spec": spec})
}

/// The problems of a document, one per line.
fn problems(value: Value) -> String {
    match admit(value, &AdmitOptions::default()) {
        Ok(object) => format!("admitted {}", object.store_key()),
        Err(problems) => problems.iter().map(|p| format!("{p}\n")).collect(),
    }
}

fn spec_of(value: Value) -> Value {
    let object = admit(value, &AdmitOptions::default()).unwrap();
    object.pointer("/spec").cloned().unwrap()
}

#[test]
fn defaults_are_filled_in() {
    let policy = admit(
        v3(
            "NetworkPolicy",
            "p",
            json!({"egress": [{"action": "Allow", "protocol": "udp"}]}),
        ),
        &AdmitOptions {
            default_namespace: "ns".into(),
        },
    )
    .unwrap();
    assert_eq!(
        policy.into_value(),
        json!({
            "apiVersion": "projectcalico.org/v3", "kind": "NetworkPolicy",
            "metadata": {"name": "p", "namespace": "ns", "labels": {"projectcalico.org/tier": "default"}},
            "spec": {"tier": "default", "types": ["Egress"], "egress": [{"action": "Allow", "protocol": "UDP"}]}
        })
    );
    assert_eq!(
        spec_of(v3("Tier", "t", json!({}))),
        json!({"defaultAction": "Deny", "order": 1_000_000})
    );
    assert_eq!(
        spec_of(v3("IPPool", "p", json!({"cidr": "FD00:0::/64"}))),
        json!({
            "cidr": "fd00::/64", "blockSize": 122, "nodeSelector": "all()", "vxlanMode": "Never", "ipipMode": "Never",
            "allowedUses": ["Workload", "Tunnel"], "assignmentMode": "Automatic"
        })
    );
    for (ingress, egress, types) in [
        (json!([]), json!([]), json!(["Ingress"])),
        (
            json!([{"action": "Deny"}]),
            json!([{"action": "Deny"}]),
            json!(["Ingress", "Egress"]),
        ),
    ] {
        let spec = spec_of(v3(
            "GlobalNetworkPolicy",
            "p",
            json!({"ingress": ingress, "egress": egress}),
        ));
        assert_eq!(spec["types"], types);
    }
}

#[test]
fn labels_without_quotes_are_texts() {
    let mut node = v3("Node", "n", json!({}));
    node["metadata"]["labels"] = json!({"a": true, "b": 1, "c": "x"});
    let node = admit(node, &AdmitOptions::default()).unwrap();
    let labels: Vec<String> = node.labels().values().map(ToString::to_string).collect();
    assert_eq!(labels, ["true", "1", "x"]);
}

#[test]
fn workload_endpoints_are_named_by_their_spec() {
    let mut spec = json!({
        "node": "node-1", "orchestrator": "cni", "containerID": "abc", "endpoint": "eth0", "interfaceName": "cali1",
        "ipNetworks": ["10.0.0.1/32"]
    });
    let document = |spec: &Value, name: &str| {
        let mut value = v3("WorkloadEndpoint", name, spec.clone());
        value["metadata"]["namespace"] = json!("ns");
        value
    };
    let object = admit(document(&spec, ""), &AdmitOptions::default()).unwrap();
    assert_eq!(object.name(), "node--1-cni-abc-eth0");
    assert_eq!(
        object
            .labels()
            .get("projectcalico.org/orchestrator")
            .map(|v| &**v),
        Some("cni")
    );
    insta::assert_snapshot!(problems(document(&spec, "node1-cni-abc-eth0")), @r#"metadata.name: does not agree with the node, orchestrator, workload and endpoint of the spec (found "node1-cni-abc-eth0"); it must be node--1-cni-abc-eth0, or be left out"#);
    spec["ipNetworks"] = json!(["10.0.0.0/24"]);
    spec["ports"] = json!([{"protocol": "ICMP", "port": 0}]);
    insta::assert_snapshot!(problems(document(&spec, "")), @r#"
    spec.ipNetworks[0]: must be a single address: /32 for IPv4, /128 for IPv6 (found "10.0.0.0/24")
    spec.ports[0].protocol: has no ports (found "ICMP"); use TCP, UDP or SCTP
    spec.ports[0].port: must be a number from 1 to 65535 (found 0)
    spec.ports[0].name: is required when there is no hostPort
    "#);
}

#[test]
fn kinds_that_are_none() {
    insta::assert_snapshot!(problems(json!([])), @"a document must be an object with apiVersion, kind and metadata");
    insta::assert_snapshot!(problems(json!({"kind": 1})), @r"
    apiVersion: is required
    kind: must be a string that is not empty (found 1)
    ");
    insta::assert_snapshot!(problems(v3("IPPol", "x", json!({}))), @r#"kind: is no kind of this apiVersion (found "IPPol"); did you mean IPPool?"#);
    insta::assert_snapshot!(problems(json!({"apiVersion": "v1", "kind": "IPPool"})), @r#"apiVersion: is not the apiVersion of the kind IPPool (found "v1"); use projectcalico.org/v3"#);
    insta::assert_snapshot!(problems(json!({"apiVersion": "apps/v1", "kind": "Deployment"})), @r#"apiVersion: is not supported (found "apps/v1"); use projectcalico.org/v3, v1, discovery.k8s.io/v1, networking.k8s.io/v1, policy.networking.k8s.io/v1alpha2"#);
}

#[test]
fn policies_say_what_is_wrong() {
    let policy = v3(
        "NetworkPolicy",
        "Web",
        json!({
            "selecter": "all()",
            "selector": "a = 'b'",
            "types": ["Ingress", "ingress"],
            "ingress": [
                {"action": "allow"},
                {"action": "Allow", "source": {"nets": ["10.0.0.1/8", "10.0.0.0/33"], "notNets": ["0.0.0.0/0"]}},
                {"action": "Allow", "destination": {"ports": [80, 0, "9:8", "a b"]}},
                {"action": "Allow", "protocol": "ICMPv6", "ipVersion": 4, "icmp": {"code": 1}},
                {"action": "Deny", "http": {}, "destination": {"services": {"name": "x"}}},
                {"action": "Allow", "source": {"nets": ["10.0.0.0/8"]}, "destination": {"nets": ["fd00::/8"]}},
                {"action": "Allow", "source": {"namespaceSelector": "global() || has(x)", "selector": "global()"}}
            ]
        }),
    );
    insta::assert_snapshot!(problems(policy), @r#"
    metadata.name: must be one or two parts, joined by '.', of lower case letters, digits and '-', with a letter or digit at both ends (found "Web")
    spec.ingress[0].action: must be one of Allow, Deny, Log, Pass (found "allow"); did you mean Allow?
    spec.ingress[1].source.nets[0]: has bits set outside of its prefix (found "10.0.0.1/8"); write 10.0.0.0/8
    spec.ingress[1].source.nets[1]: is no network in CIDR form: "10.0.0.0/33" has prefix length "33"; it must be a number from 0 to 32 (found "10.0.0.0/33")
    spec.ingress[1].source.notNets[0]: excludes every address, so that the rule matches nothing (found "0.0.0.0/0")
    spec.ingress[2].destination.ports[1]: is no port (found 0); use a number from 1 to 65535, a range such as "8000:8080", or the name of a port
    spec.ingress[2].destination.ports[2]: is no port (found "9:8"); use a number from 1 to 65535, a range such as "8000:8080", or the name of a port
    spec.ingress[2].destination.ports[3]: is no port (found "a b"); use a number from 1 to 65535, a range such as "8000:8080", or the name of a port
    spec.ingress[2].destination: has ports, so the rule needs protocol TCP, UDP or SCTP (found {"ports":[80,0,"9:8","a b"]})
    spec.ingress[3].icmp.code: needs a type beside it (found 1)
    spec.ingress[3].protocol: needs ipVersion 6 (found "ICMPv6")
    spec.ingress[4].destination: cannot have services: the other side of the connection can (found {"services":{"name":"x"}})
    spec.ingress[4].http: is for rules whose action is Allow (found {})
    spec.ingress[5].destination: mixes IPv4 and IPv6 networks in one rule; write two rules (found {"nets":["fd00::/8"]})
    spec.ingress[6].source.selector: global() can only be used in the namespaceSelector of a rule (found "global()")
    spec.ingress[6].source.namespaceSelector: global() cannot be combined with other selectors (found "global() || has(x)")
    spec.types[1]: must be one of Ingress, Egress (found "ingress"); did you mean Ingress?
    spec.selector: is no selector: at byte 2: expected ==, !=, in, not in, contains, starts with or ends with after the label, found '=' (equality is written ==) (found "a = 'b'")
    spec.selecter: is no field that this kind has; did you mean selector?
    "#);
}

#[test]
fn pools_say_what_is_wrong() {
    let wrong = |spec| problems(v3("IPPool", "p", spec));
    insta::assert_snapshot!(wrong(json!({})), @"spec.cidr: is required");
    insta::assert_snapshot!(wrong(json!({"cidr": "10.0.0.1/16", "ipipMode": "Always", "vxlanMode": "Always"})), @r#"
    spec.cidr: has bits set outside of its prefix (found "10.0.0.1/16"); write 10.0.0.0/16
    spec.ipipMode: cannot be used together with vxlanMode: one of them must be Never (found "Always")
    "#);
    insta::assert_snapshot!(wrong(json!({"cidr": "fd00::/125", "ipipMode": "CrossSubnet"})), @r#"
    spec.ipipMode: must be Never for an IPv6 pool (found "CrossSubnet")
    spec.cidr: is smaller than a block of /122: it has no room for one (found "fd00::/125")
    "#);
    insta::assert_snapshot!(wrong(json!({"cidr": "169.254.0.0/17", "blockSize": 19, "allowedUses": ["Workload", "LoadBalancer"], "nodeSelector": "a == 'b'"})), @r#"
    spec.allowedUses: cannot have LoadBalancer together with Workload or Tunnel (found ["Workload","LoadBalancer"])
    spec.nodeSelector: must be all() for a LoadBalancer pool (found "a == 'b'")
    spec.blockSize: must be from 20 to 32 for an IPv4 pool (found 19)
    spec.cidr: overlaps with the link-local range 169.254.0.0/16 (found "169.254.0.0/17")
    "#);
}

#[test]
fn other_kinds_say_what_is_wrong() {
    let wrong = |kind, name, spec| problems(v3(kind, name, spec));
    insta::assert_snapshot!(wrong("Tier", "a.b", json!({"order": "1"})), @r#"
    metadata.name: must consist of lower case letters, digits and '-', with a letter or digit at both ends (found "a.b")
    spec.order: must be a number, not a string (found "1")
    "#);
    insta::assert_snapshot!(wrong("Tier", "default", json!({"order": 5, "defaultAction": "Pass"})), @r#"
    spec.order: must be 1000000 for the built-in tier default (found 5)
    spec.defaultAction: must be Deny for the built-in tier default (found "Pass")
    "#);
    insta::assert_snapshot!(wrong("HostEndpoint", "h", json!({"interfaceName": "a/b"})), @r#"
    spec.node: is required
    spec.interfaceName: must be an interface's name: at most 15 letters, digits, '_', '.' and '-' (found "a/b")
    "#);
    insta::assert_snapshot!(wrong("IPAMConfiguration", "x", json!({"maxBlocksPerHost": -1})), @r#"
    metadata.name: must be default: there is one such object (found "x")
    spec.maxBlocksPerHost: must be a number from 0 to 1000000 (found -1)
    "#);
    insta::assert_snapshot!(wrong("FelixConfiguration", "default", json!({"logSeverityScrean": "Info", "routeRefreshInterval": "90", "bpfMaglevMaxServices": 0, "nodeSelector": "all()", "chainInsertMode": "middle"})), @r#"
    spec.nodeSelector: is not for the objects named default and node.<name> (found "all()")
    spec.routeRefreshInterval: is no duration (found "90"); write it with units, such as 90s or 1m30s
    spec.chainInsertMode: must be one of insert, append (found "middle")
    spec.bpfMaglevMaxServices: must be a number from 1 to 3000 (found 0)
    spec.logSeverityScrean: is no field that this kind has; did you mean logSeverityScreen?
    "#);
    let mut set = v3(
        "GlobalNetworkSet",
        "s",
        json!({"nets": ["10.0.0.0/8", "10.0.0.0/8", "x"]}),
    );
    set["metadata"]["namespace"] = json!("ns");
    set["metadata"]["labels"] = json!({"projectcalico.org/namespace": "x", "a b": "c d"});
    insta::assert_snapshot!(problems(set), @r#"
    metadata.namespace: is not for the kind GlobalNetworkSet, which has no namespaces; leave it out
    metadata.labels["a b"]: is no name of a label: an optional domain and '/', then at most 63 letters, digits, '-', '_' and '.' (found "c d")
    metadata.labels["a b"]: is no value of a label: at most 63 letters, digits, '-', '_' and '.', with a letter or digit at both ends (found "c d")
    metadata.labels["projectcalico.org/namespace"]: is set by Calico itself; leave it out
    spec.nets[1]: occurs more than once (found "10.0.0.0/8")
    spec.nets[2]: is no network in CIDR form: "x" is not an IPv4 or IPv6 address (found "x")
    "#);
}

#[test]
fn kubernetes_policies_say_what_is_wrong() {
    let policy = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "p"},
        "spec": {
            "podSelector": {"matchExpressions": [{"key": "a", "operator": "In"}, {"key": "b'", "operator": "Has"}]},
            "ingress": [{"from": [{}, {"ipBlock": {"cidr": "10.0.0.0/8", "except": ["11.0.0.0/8"]}}], "ports": [{"port": "a b"}, {"endPort": 5}]}]
        }
    });
    insta::assert_snapshot!(problems(policy), @r#"
    spec.podSelector.matchExpressions[0].values: are required by In and NotIn
    spec.podSelector.matchExpressions[1].key: is no name of a label (found "b'")
    spec.podSelector.matchExpressions[1].operator: must be one of In, NotIn, Exists, DoesNotExist (found "Has")
    spec.ingress[0].from[0]: must have podSelector, namespaceSelector or ipBlock
    spec.ingress[0].from[1].ipBlock.except[0]: must lie inside of the block's cidr, and be smaller (found "11.0.0.0/8")
    spec.ingress[0].ports[0].port: is no port: a number from 1 to 65535 (not above endPort), or the name of a port (found "a b")
    spec.ingress[0].ports[1].endPort: needs a port beside it (found 5)
    "#);
}

#[test]
fn updates_keep_what_must_stay() {
    let pool = |cidr: &str, size: u8| {
        let spec = json!({"cidr": cidr, "blockSize": size});
        admit(v3("IPPool", "p", spec), &AdmitOptions::default()).unwrap()
    };
    let old = pool("10.0.0.0/16", 26);
    assert_eq!(admit_update(&old, &old), Ok(()));
    let problems = admit_update(&old, &pool("10.1.0.0/16", 27)).unwrap_err();
    let text: String = problems.iter().map(|p| format!("{p}\n")).collect();
    insta::assert_snapshot!(text, @r#"
    spec.cidr: cannot be changed from "10.0.0.0/16" (found "10.1.0.0/16"); make a second pool, move the workloads, then delete this one
    spec.blockSize: cannot be changed from 26 (found 27); make a second pool, move the workloads, then delete this one
    "#);
    assert!(refuse_delete(Kind::Tier, "kube-admin").is_some());
    assert!(refuse_delete(Kind::Tier, "mine").is_none());
    assert!(admit_labels(&[("a".into(), "b".into())].into()).is_ok());
    assert!(admit_labels(&[("a b".into(), "b".into())].into()).is_err());
}

#[test]
fn built_in_objects_are_valid() {
    for object in api::built_in_objects() {
        let admitted = admit(object.clone().into_value(), &AdmitOptions::default());
        assert_eq!(admitted.as_ref(), Ok(&object));
    }
    let profile = api::network_profile("mynet");
    assert!(admit(profile.into_value(), &AdmitOptions::default()).is_ok());
}

#[test]
fn lists_are_taken_apart() {
    let typed = json!({"kind": "IPPoolList", "apiVersion": "projectcalico.org/v3", "items": [{"metadata": {"name": "a"}}]});
    let items = expand_list(typed).unwrap();
    assert_eq!(items[0]["kind"], "IPPool");
    let mixed = json!({"kind": "List", "apiVersion": "v1", "items": [{"kind": "A"}, {"kind": "List", "items": [{"kind": "B"}]}]});
    let kinds: Vec<Value> = expand_list(mixed)
        .unwrap()
        .iter()
        .map(|i| i["kind"].clone())
        .collect();
    assert_eq!(kinds, ["A", "B"]);
    assert_eq!(expand_list(json!({"kind": "Tier"})).unwrap().len(), 1);
    assert!(expand_list(json!({"kind": "List", "items": {}})).is_err());
}
