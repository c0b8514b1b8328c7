//! What services and their slices mean, where they are kept, and what rules that name services say.

#![expect(clippy::unwrap_used, reason = "a failure is the test's message")]

use api::{AdmitOptions, admit, decode, decode_absent};
use model::{EndpointSlice, EndpointSliceId, Key, Protocol, Resource, ServiceRef};
use serde_json::{Value, json};

const SLICE: &str = "/calico/resources/v3/projectcalico.org/kubernetesendpointslices/prod/web-x1";
const SERVICE: &str = "/calico/resources/v3/projectcalico.org/kubernetesservice/prod/web";

fn slice(value: &Value) -> Option<EndpointSlice> {
    let update = decode(SLICE, value.to_string().as_bytes()).unwrap();
    let id = EndpointSliceId {
        namespace: "prod".into(),
        name: "web-x1".into(),
    };
    assert_eq!(update.key, Key::EndpointSlice(id.clone()));
    assert_eq!(decode_absent(SLICE), Some(Key::EndpointSlice(id)));
    update.value.map(|value| {
        let Resource::EndpointSlice(slice) = value else {
            panic!("{value:?}");
        };
        slice
    })
}

/// An object as an API server has it.
fn of_kubernetes() -> Value {
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {
            "name": "web-x1", "generateName": "web-", "namespace": "prod", "generation": 3,
            "labels": {"kubernetes.io/service-name": "web", "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io"},
            "annotations": {"endpoints.kubernetes.io/last-change-trigger-time": "2026-01-01T00:00:00Z"},
            "ownerReferences": [{"apiVersion": "v1", "kind": "Service", "name": "web", "uid": "u"}]
        },
        "addressType": "IPv4",
        "endpoints": [
            {"addresses": ["10.0.0.2"], "conditions": {"ready": true, "serving": true, "terminating": false},
             "nodeName": "n1", "zone": "z", "hostname": "h", "hints": {"forZones": [{"name": "z"}]},
             "targetRef": {"kind": "Pod", "name": "web-1", "namespace": "prod", "uid": "v"}},
            {"addresses": ["10.0.0.1"], "conditions": {"ready": false, "serving": false, "terminating": true}},
            {"addresses": ["10.0.0.2"]}
        ],
        "ports": [
            {"name": "http", "protocol": "TCP", "port": 8080, "appProtocol": "http"},
            {"name": "dns", "protocol": "UDP", "port": 53},
            {"name": "any", "protocol": "TCP"}
        ]
    })
}

#[test]
fn a_slice_is_addresses_and_ports_of_its_service() {
    let expected = EndpointSlice {
        service: "web".into(),
        // Once each, whether ready or not.
        addresses: vec!["10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap()],
        ports: vec![(Protocol::TCP, 8080), (Protocol::UDP, 53)],
    };
    assert_eq!(slice(&of_kubernetes()), Some(expected));
    // As Go writes empty lists; a port whose protocol is not said is TCP's.
    let bare = slice(&json!({
        "metadata": {"labels": {"kubernetes.io/service-name": "web"}},
        "addressType": "IPv6", "endpoints": null, "ports": [{"port": 1}]
    }));
    let bare = bare.unwrap();
    assert!(bare.addresses.is_empty());
    assert_eq!(bare.ports, [(Protocol::TCP, 1)]);
    // Names of hosts are passed over.
    let mut names = of_kubernetes();
    names["addressType"] = "FQDN".into();
    names["endpoints"] = json!([{"addresses": ["example.com"]}, {"addresses": ["::1"]}]);
    assert_eq!(
        slice(&names).unwrap().addresses,
        ["::1".parse::<std::net::IpAddr>().unwrap()]
    );
    // Whose it is, its label says.
    let mut stray = of_kubernetes();
    stray["metadata"]["labels"] = json!({"kubernetes.io/service-name": ""});
    assert_eq!(slice(&stray), None);
    stray["metadata"]["labels"] = json!({});
    assert_eq!(slice(&stray), None);
}

#[test]
fn a_slice_that_cannot_be_read_is_absent_and_says_why() {
    let mut wrong = of_kubernetes();
    wrong["ports"][0]["port"] = 70_000.into();
    wrong["ports"][1]["protocol"] = "ICMP".into();
    wrong["endpoints"][0]["addresses"] = "10.0.0.1".into();
    let invalid = decode(SLICE, wrong.to_string().as_bytes()).unwrap_err();
    insta::assert_snapshot!(invalid.to_string());
}

#[test]
fn a_service_tells_nothing() {
    let service = json!({"metadata": {"name": "web"}, "spec": {"type": "LoadBalancer"}, "status": {"loadBalancer": {}}});
    let update = decode(SERVICE, service.to_string().as_bytes()).unwrap();
    let id = ServiceRef {
        namespace: "prod".into(),
        name: "web".into(),
    };
    assert_eq!((update.key, update.value), (Key::Service(id), None));
}

#[test]
fn slices_are_admitted_as_an_api_server_would() {
    let admitted = admit(of_kubernetes(), &AdmitOptions::default()).unwrap();
    assert_eq!(admitted.store_key(), SLICE);
    let mut wrong = of_kubernetes();
    wrong["addressType"] = "IPv6".into();
    wrong["endpoints"][2] = json!({"address": "10.0.0.2"});
    wrong["slices"] = 1.into();
    let problems = admit(wrong, &AdmitOptions::default()).unwrap_err();
    let text: Vec<String> = problems.iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(text.join("\n"));
}
