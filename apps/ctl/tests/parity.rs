//! What upstream's own `calicoctl` was seen to store and to say, for the same command lines on an etcd of its own.

#[expect(dead_code, reason = "these tests look at single commands")]
mod support;

use datastore::{Datastore, EmbeddedStore, block_on_ready};
use support::{Lab, same};

const RESOURCES: &str = "/calico/resources/v3/projectcalico.org/";

/// The object as its author writes it, where it is stored, and the value.
const STORED: [(&str, &str, &str); 5] = [
    (
        "{apiVersion: projectcalico.org/v3, kind: Tier, metadata: {name: security}, spec: {order: 100, defaultAction: Pass}}",
        "tiers/security",
        r#"{"kind":"Tier","apiVersion":"projectcalico.org/v3","metadata":{"name":"security","uid":"UUID","creationTimestamp":"TIME"},"spec":{"order":100,"defaultAction":"Pass"},"status":{}}"#,
    ),
    (
        "{apiVersion: projectcalico.org/v3, kind: GlobalNetworkPolicy, metadata: {name: x}, spec: {selector: all()}}",
        "globalnetworkpolicies/x",
        r#"{"kind":"GlobalNetworkPolicy","apiVersion":"projectcalico.org/v3","metadata":{"name":"x","uid":"UUID","creationTimestamp":"TIME","labels":{"projectcalico.org/tier":"default"},"annotations":{"projectcalico.org/metadata":"{\"name\":\"x\"}"}},"spec":{"tier":"default","selector":"all()","types":["Ingress"]}}"#,
    ),
    (
        "{apiVersion: projectcalico.org/v3, kind: Profile, metadata: {name: p, labels: {}}, spec: {egress: [{destination: {ports: [80]}, protocol: TCP, action: Deny}], ingress: [{action: Allow}]}}",
        "profiles/p",
        r#"{"kind":"Profile","apiVersion":"projectcalico.org/v3","metadata":{"name":"p","uid":"UUID","creationTimestamp":"TIME"},"spec":{"ingress":[{"action":"Allow"}],"egress":[{"action":"Deny","protocol":"TCP","destination":{"ports":[80]}}]}}"#,
    ),
    (
        "{apiVersion: projectcalico.org/v3, kind: WorkloadEndpoint, metadata: {name: node1-k8s-w-eth0, namespace: default}, spec: {node: node1, orchestrator: k8s, pod: w, endpoint: eth0, interfaceName: cali1, ipNetworks: [10.65.0.1/32], ports: [{name: http, port: 80, protocol: TCP}]}}",
        "workloadendpoints/default/node1-k8s-w-eth0",
        r#"{"kind":"WorkloadEndpoint","apiVersion":"projectcalico.org/v3","metadata":{"name":"node1-k8s-w-eth0","namespace":"default","uid":"UUID","creationTimestamp":"TIME","labels":{"projectcalico.org/namespace":"default","projectcalico.org/orchestrator":"k8s"}},"spec":{"orchestrator":"k8s","node":"node1","pod":"w","endpoint":"eth0","ipNetworks":["10.65.0.1/32"],"interfaceName":"cali1","ports":[{"name":"http","protocol":"TCP","port":80,"hostPort":0,"hostIP":""}]}}"#,
    ),
    (
        "{apiVersion: projectcalico.org/v3, kind: KubeControllersConfiguration, metadata: {name: default}, spec: {healthChecks: Enabled, prometheusMetricsPort: 9094, etcdV3CompactionPeriod: 90s, controllers: {policy: {reconcilerPeriod: 5m}}}}",
        "kubecontrollersconfigurations/default",
        r#"{"kind":"KubeControllersConfiguration","apiVersion":"projectcalico.org/v3","metadata":{"name":"default","uid":"UUID","creationTimestamp":"TIME"},"spec":{"healthChecks":"Enabled","etcdV3CompactionPeriod":"1m30s","prometheusMetricsPort":9094,"controllers":{"policy":{"reconcilerPeriod":"5m0s"}}},"status":{}}"#,
    ),
];

#[test]
fn stored_to_the_byte() {
    let lab = Lab::new();
    for (object, place, expected) in STORED {
        let created = lab.quiet(&["create", "-f", "-"], object);
        assert_eq!(created.code, 0, "{object}: {}", created.err);
        let store = EmbeddedStore::open(lab.store()).unwrap();
        let entry = block_on_ready(store.get(&format!("{RESOURCES}{place}"))).unwrap();
        let value = String::from_utf8(entry.unwrap().value).unwrap();
        assert_eq!(same(&value, &lab.path("")), expected, "{place}");
    }
}

#[test]
fn tiers_are_listed_in_their_order() {
    let lab = Lab::new();
    for (object, ..) in &STORED[..1] {
        assert_eq!(lab.quiet(&["create", "-f", "-"], object).code, 0);
    }
    let shown = lab.quiet(&["get", "tiers"], "");
    let names: Vec<&str> = shown
        .out
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    let expected = ["NAME", "security", "kube-admin", "default", "kube-baseline"];
    assert_eq!(names, expected);
}

#[test]
fn an_object_that_names_a_revision_is_not_created() {
    let lab = Lab::new();
    let object = "{apiVersion: projectcalico.org/v3, kind: GlobalNetworkPolicy, metadata: {name: x, resourceVersion: '1'}, spec: {}}";
    let created = lab.quiet(&["create", "-f", "-"], object);
    assert_eq!(created.code, 1, "{}", created.out);
    assert!(created.err.contains("must not be set"), "{}", created.err);
    assert_eq!(lab.quiet(&["get", "gnp", "x"], "").code, 1);
}

#[test]
fn labels_leave_no_empty_map_behind() {
    let lab = Lab::new();
    let (tier, ..) = STORED[0];
    assert_eq!(lab.quiet(&["create", "-f", "-"], tier).code, 0);
    assert_eq!(lab.quiet(&["label", "tier", "security", "a=b"], "").code, 0);
    let removed = lab.quiet(&["label", "tier", "security", "a", "--remove"], "");
    assert_eq!(
        removed.out,
        "Successfully removed label a from tier security\n"
    );
    let shown = lab.quiet(&["get", "tier", "security", "-o", "yaml"], "");
    assert!(!shown.out.contains("labels"), "{}", shown.out);
}
