use serde_json::{Value, json};

use super::super::{Change, Group, Method, write};
use super::{collection, entry, reading};
use crate::kind::Kind;

fn pod(annotations: Value, status: Value) -> Value {
    json!({
        "metadata": {"name": "web-0", "namespace": "prod", "uid": "u1", "generateName": "web-", "resourceVersion": "42",
            "creationTimestamp": "2026-08-01T10:00:00Z", "labels": {"app": "web"}, "annotations": annotations},
        "spec": {"nodeName": "node-1", "serviceAccountName": "robot",
            "containers": [{"name": "c", "ports": [
                {"name": "http", "containerPort": 8080, "protocol": "TCP"},
                {"containerPort": 9, "protocol": "UDP"},
                {"containerPort": 53, "protocol": "UDP", "hostPort": 5353, "hostIP": "10.0.0.1"},
                {"name": "odd", "containerPort": 1, "protocol": "QUIC"}]}],
            "initContainers": [{"ports": [{"name": "init", "containerPort": 7, "protocol": "SCTP"}]}]},
        "status": status,
    })
}

fn endpoint(pod: &Value) -> (Value, usize) {
    let reading = reading(Kind::WorkloadEndpoint, Group::V1, pod);
    let problems = reading.problems.len();
    (entry(&reading).1, problems)
}

fn networks(annotations: Value, status: Value) -> Value {
    endpoint(&pod(annotations, status)).0["spec"]["ipNetworks"].clone()
}

#[test]
fn a_pod_is_an_endpoint_as_upstream_has_it() {
    let annotations = json!({"cni.projectcalico.org/containerID": "c1", "kubernetes.io/ingress-bandwidth": "1M",
        "cni.projectcalico.org/floatingIPs": "[\"1.2.3.4\", \"fd00::9\"]",
        "cni.projectcalico.org/allowedSourcePrefixes": "[\"10.9.8.7/24\"]",
        "k8s.v1.cni.cncf.io/network-status": "[]"});
    let object = pod(
        annotations,
        json!({"phase": "Running", "podIP": "10.65.0.2", "podIPs": [{"ip": "10.65.0.2"}]}),
    );
    let found = reading(Kind::WorkloadEndpoint, Group::V1, &object);
    assert_eq!(found.revision, 42);
    assert_eq!(found.problems.len(), 1, "{:?}", found.problems);
    let (key, value) = entry(&found);
    assert_eq!(
        key,
        "/calico/resources/v3/projectcalico.org/workloadendpoints/prod/node--1-k8s-web--0-eth0"
    );
    assert_eq!(
        value,
        json!({
            "apiVersion": "projectcalico.org/v3",
            "kind": "WorkloadEndpoint",
            "metadata": {"name": "node--1-k8s-web--0-eth0", "namespace": "prod", "uid": "u1", "generateName": "web-",
                "creationTimestamp": "2026-08-01T10:00:00Z",
                "labels": {"app": "web", "projectcalico.org/namespace": "prod", "projectcalico.org/orchestrator": "k8s",
                    "projectcalico.org/serviceaccount": "robot"},
                "annotations": {"k8s.v1.cni.cncf.io/network-status": "[]"}},
            "spec": {"orchestrator": "k8s", "node": "node-1", "pod": "web-0", "containerID": "c1", "endpoint": "eth0",
                // printf 'prod.web-0' | sha1sum | cut -c1-11
                "interfaceName": "caliaa960f0d82e", "profiles": ["kns.prod", "ksa.prod.robot"],
                "serviceAccountName": "robot", "ipNetworks": ["10.65.0.2/32"],
                "ipNATs": [{"internalIP": "10.65.0.2", "externalIP": "1.2.3.4"}],
                "allowSpoofedSourcePrefixes": ["10.9.8.0/24"],
                "ports": [{"name": "http", "protocol": "tcp", "port": 8080},
                    {"name": "", "protocol": "udp", "port": 53, "hostPort": 5353, "hostIP": "10.0.0.1"},
                    {"name": "init", "protocol": "sctp", "port": 7}],
                "qosControls": {"ingressBandwidth": 1_000_000, "ingressBurst": 4_294_967_296_i64}},
        })
    );
    let update = crate::decode(&key, &found.value.expect("a value")).expect("the model takes it");
    assert!(update.value.is_some());
}

#[test]
fn addresses_come_from_the_first_place_that_has_any() {
    let ours = json!({"cni.projectcalico.org/podIP": "10.0.0.3/32", "cni.projectcalico.org/podIPs": "10.0.0.3/32,fd00::3/128", "vpc.amazonaws.com/pod-ips": "10.0.0.4"});
    let both = json!({"podIP": "10.0.0.1", "podIPs": [{"ip": "10.0.0.1"}, {"ip": "fd00::1"}]});
    assert_eq!(
        networks(ours.clone(), both),
        json!(["10.0.0.1/32", "fd00::1/128"])
    );
    assert_eq!(
        networks(ours.clone(), json!({"podIP": "10.0.0.2"})),
        json!(["10.0.0.2/32"])
    );
    assert_eq!(
        networks(ours, json!({})),
        json!(["10.0.0.3/32", "fd00::3/128"])
    );
    assert_eq!(
        networks(
            json!({"cni.projectcalico.org/podIP": "10.0.0.3/32"}),
            json!({})
        ),
        json!(["10.0.0.3/32"])
    );
    assert_eq!(
        networks(
            json!({"vpc.amazonaws.com/pod-ips": "10.0.0.4,10.0.0.5"}),
            json!({})
        ),
        json!(["10.0.0.4/32", "10.0.0.5/32"])
    );
    assert_eq!(networks(json!({}), json!({})), json!([]));
}

#[test]
fn a_finished_pod_has_no_addresses() {
    for phase in ["Failed", "Succeeded", "Completed"] {
        assert_eq!(
            networks(json!({}), json!({"phase": phase, "podIP": "10.0.0.1"})),
            json!([]),
            "{phase}"
        );
    }
    let mut leaving = pod(
        json!({"cni.projectcalico.org/podIP": ""}),
        json!({"podIP": "10.0.0.1"}),
    );
    assert_eq!(
        endpoint(&leaving).0["spec"]["ipNetworks"],
        json!(["10.0.0.1/32"]),
        "it is not being deleted"
    );
    leaving["metadata"]["deletionTimestamp"] = "2026-08-01T11:00:00Z".into();
    assert_eq!(endpoint(&leaving).0["spec"]["ipNetworks"], json!([]));
    let mut serving = pod(
        json!({"cni.projectcalico.org/podIP": "10.0.0.1/32"}),
        json!({"podIP": "10.0.0.1"}),
    );
    serving["metadata"]["deletionTimestamp"] = "2026-08-01T11:00:00Z".into();
    assert_eq!(
        endpoint(&serving).0["spec"]["ipNetworks"],
        json!(["10.0.0.1/32"])
    );
}

#[test]
fn pods_without_a_network_or_a_node_are_no_endpoints() {
    let mut host = pod(json!({}), json!({}));
    host["spec"]["hostNetwork"] = true.into();
    assert_eq!(reading(Kind::WorkloadEndpoint, Group::V1, &host).key, None);
    let mut waiting = pod(json!({}), json!({}));
    waiting["spec"]["nodeName"] = "".into();
    assert_eq!(
        reading(Kind::WorkloadEndpoint, Group::V1, &waiting).key,
        None
    );
}

#[test]
fn what_is_not_understood_takes_rights_away_and_stops_nothing() {
    let status = || json!({"podIP": "10.0.0.1"});
    let (value, problems) = endpoint(&pod(
        json!({"cni.projectcalico.org/podIPs": "nonsense"}),
        json!({}),
    ));
    assert_eq!(
        (value["spec"]["ipNetworks"].clone(), problems),
        (json!([]), 2)
    );
    for (annotation, field) in [
        ("cni.projectcalico.org/floatingIPs", "ipNATs"),
        (
            "cni.projectcalico.org/allowedSourcePrefixes",
            "allowSpoofedSourcePrefixes",
        ),
    ] {
        for text in ["{", "\"10.0.0.1\"", "[\"10.0.0\"]", "[1]"] {
            let (value, problems) = endpoint(&pod(json!({annotation: text}), status()));
            assert_eq!(
                (value["spec"].get(field), problems),
                (None, 2),
                "{annotation}: {text}"
            );
            assert_eq!(value["spec"]["ipNetworks"], json!(["10.0.0.1/32"]));
        }
    }
    let long = "a".repeat(63);
    let mut object = pod(json!({}), status());
    object["spec"]["serviceAccountName"] = long.clone().into();
    let (value, _) = endpoint(&object);
    assert_eq!(
        value["metadata"]["labels"].get("projectcalico.org/serviceaccount"),
        None
    );
    assert_eq!(value["spec"]["profiles"][1], format!("ksa.prod.{long}"));
    let unreadable = super::super::read(
        collection(Kind::WorkloadEndpoint, Group::V1),
        br#"{"metadata":{"name":"p","namespace":"n","labels":{"a":1}}}"#,
    );
    assert!(
        unreadable
            .expect_err("labels are text")
            .to_string()
            .starts_with("pods n/p of the API server")
    );
}

#[test]
fn an_endpoint_is_written_into_its_pods_annotations() {
    let key =
        "/calico/resources/v3/projectcalico.org/workloadendpoints/prod/node--1-k8s-web--0-eth0";
    let object = json!({"metadata": {"uid": "u1"}, "spec": {"ipNetworks": ["10.0.0.1/32", "fd00::1/128"], "containerID": "c1"}});
    let bytes = object.to_string().into_bytes();
    let request = write(key, Change::Update(&bytes, 42), Group::V1).expect("it can be written");
    assert_eq!(request.method, Method::MergePatch);
    assert_eq!(request.path, "/api/v1/namespaces/prod/pods/web-0/status");
    let text = String::from_utf8(request.body).expect("text");
    assert_eq!(
        text,
        r#"{"metadata":{"annotations":{"cni.projectcalico.org/containerID":"c1","cni.projectcalico.org/podIP":"10.0.0.1/32","cni.projectcalico.org/podIPs":"10.0.0.1/32,fd00::1/128"},"uid":"u1"}}"#
    );
    let request = write(key, Change::Delete(Some(42)), Group::V1).expect("it can be removed");
    let text = String::from_utf8(request.body).expect("text");
    assert_eq!(
        text,
        r#"{"metadata":{"annotations":{"cni.projectcalico.org/podIP":"","cni.projectcalico.org/podIPs":""}}}"#
    );
}

#[test]
fn namespaces_and_accounts_are_profiles() {
    let namespace = json!({"metadata": {"name": "prod", "uid": "30316465-6365-4463-ad63-3564622d3638", "resourceVersion": "1", "labels": {"team": "a"}}});
    let (key, value) = entry(&reading(Kind::Profile, Group::V1, &namespace));
    assert_eq!(
        key,
        "/calico/resources/v3/projectcalico.org/profiles/kns.prod"
    );
    assert_eq!(
        value["metadata"],
        json!({"name": "kns.prod", "uid": "0c8c26a6-c6a6-44c6-adc6-ac2646b46c1c"})
    );
    assert_eq!(
        value["spec"],
        json!({"ingress": [{"action": "Allow"}], "egress": [{"action": "Allow"}], "labelsToApply": {"pcns.team": "a", "pcns.projectcalico.org/name": "prod"}})
    );
    let account =
        json!({"metadata": {"name": "robot", "namespace": "prod", "resourceVersion": "1"}});
    let accounts = super::super::collections(Kind::Profile, Group::V1)[1];
    let found =
        super::super::read(accounts, account.to_string().as_bytes()).expect("it can be read");
    let (key, value) = entry(&found);
    assert_eq!(
        key,
        "/calico/resources/v3/projectcalico.org/profiles/ksa.prod.robot"
    );
    assert_eq!(
        value["spec"],
        json!({"labelsToApply": {"pcsa.projectcalico.org/name": "robot"}})
    );
}
