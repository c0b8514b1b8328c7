use serde_json::{Value, json};

use super::super::{Change, Group, Method, write};
use super::{entry, reading};
use crate::kind::Kind;

fn node(annotations: Value) -> Value {
    json!({
        "metadata": {"name": "n1", "uid": "u1", "resourceVersion": "42", "creationTimestamp": "2026-08-01T10:00:00Z",
            "labels": {"zone": "a"}, "annotations": annotations},
        "spec": {"podCIDRs": ["10.244.0.0/24"]},
        "status": {"addresses": [{"type": "InternalIP", "address": "10.0.0.1"}, {"type": "Hostname", "address": "n1"}, {"type": "ExternalIP", "address": "1.2.3.4"}]},
    })
}

#[test]
fn a_node_has_calicos_part_in_its_annotations() {
    let object = node(json!({
        "projectcalico.org/IPv4Address": "10.0.0.1/24",
        "projectcalico.org/ASNumber": "1.10",
        "projectcalico.org/IPv4VXLANTunnelAddr": "10.65.0.1",
        "projectcalico.org/VXLANTunnelMACAddr": "66:00:00:00:00:01",
        "projectcalico.org/IPv6Address": "fd00::1",
        "projectcalico.org/WireguardPublicKey": "key",
        "projectcalico.org/labels": "{\"own\":\"1\",\"zone\":\"hidden\"}",
        "projectcalico.org/annotations": "{\"note\":\"x\"}",
        "projectcalico.org/Interfaces": "[{\"name\":\"eth0\",\"addresses\":[\"10.0.0.1\",\"nonsense\"]}]",
    }));
    let found = reading(Kind::Node, Group::V1, &object);
    assert_eq!(
        found.problems,
        ["annotation projectcalico.org/IPv6Address: \"fd00::1\" is not valid and has no effect"]
    );
    let (key, value) = entry(&found);
    assert_eq!(key, "/calico/resources/v3/projectcalico.org/nodes/n1");
    assert_eq!(
        value,
        json!({
            "apiVersion": "projectcalico.org/v3",
            "kind": "Node",
            "metadata": {"name": "n1", "uid": "u1", "creationTimestamp": "2026-08-01T10:00:00Z",
                "labels": {"own": "1", "zone": "a"},
                "annotations": {"note": "x", "projectcalico.org/kube-labels": "{\"zone\":\"a\"}"}},
            "spec": {"bgp": {"ipv4Address": "10.0.0.1/24", "asNumber": 65546}, "ipv4VXLANTunnelAddr": "10.65.0.1",
                "vxlanTunnelMACAddr": "66:00:00:00:00:01", "orchRefs": [{"nodeName": "n1", "orchestrator": "k8s"}],
                "addresses": [{"address": "10.0.0.1/24", "type": "CalicoNodeIP"}, {"address": "10.0.0.1", "type": "InternalIP"}, {"address": "1.2.3.4", "type": "ExternalIP"}],
                "interfaces": [{"name": "eth0", "addresses": ["10.0.0.1"]}]},
            "status": {"wireguardPublicKey": "key", "podCIDRs": ["10.244.0.0/24"]},
        })
    );
    crate::decode(&key, &found.value.expect("a value")).expect("the model takes it");
}

#[test]
fn a_node_is_written_as_a_patch_of_its_annotations() {
    let mut value = entry(&reading(
        Kind::Node,
        Group::V1,
        &node(json!({"projectcalico.org/ASNumber": "64512"})),
    ))
    .1;
    value["spec"]["bgp"] = json!({"ipv4Address": "10.0.0.2/24"});
    value["metadata"]["labels"]["own"] = "2".into();
    let bytes = value.to_string().into_bytes();
    let key = "/calico/resources/v3/projectcalico.org/nodes/n1";
    let request = write(key, Change::Update(&bytes, 42), Group::V1).expect("it can be written");
    assert_eq!(
        (request.method, request.path.as_str()),
        (Method::MergePatch, "/api/v1/nodes/n1/status")
    );
    let patch: Value = serde_json::from_slice(&request.body).expect("JSON");
    let meta = &patch["metadata"];
    assert_eq!(meta["resourceVersion"], "42");
    let annotations = &meta["annotations"];
    assert_eq!(annotations["projectcalico.org/IPv4Address"], "10.0.0.2/24");
    assert_eq!(
        annotations["projectcalico.org/ASNumber"],
        Value::Null,
        "null takes it away"
    );
    assert_eq!(
        annotations["projectcalico.org/labels"], "{\"own\":\"2\"}",
        "without those of Kubernetes"
    );
    assert_eq!(annotations["projectcalico.org/annotations"], Value::Null);
}
