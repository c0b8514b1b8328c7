//! Where upstream's calicoctl is wrong and this one is to be right, one test for each; and the lock of the datastore.

mod support;

use datastore::{Datastore, EmbeddedStore, Write, block_on_ready};
use support::Lab;

const TIERS: &str = "\
{apiVersion: projectcalico.org/v3, kind: Tier, metadata: {name: a}, spec: {order: 1}}
---
{apiVersion: projectcalico.org/v3, kind: Tier, metadata: {name: b}, spec: {order: 2}}
";

#[expect(clippy::unwrap_used, reason = "what fails here fails the test")]
fn put(lab: &Lab, key: &str, value: &str) {
    let store = EmbeddedStore::open(lab.store()).unwrap();
    block_on_ready(store.commit(&[Write::put(key, value)])).unwrap();
}

#[test]
fn verbs_on_files_say_that_a_file_is_missing() {
    let mut lab = Lab::new();
    for verb in ["create", "apply", "replace", "validate"] {
        assert_eq!(lab.run(&[verb, "--exit-codes=extended"]), 2, "{verb}");
    }
    insta::assert_snapshot!(lab.transcript());
}

#[test]
fn get_shows_what_is_there_whatever_is_missing() {
    let mut lab = Lab::new();
    lab.file("tiers.yaml", TIERS);
    lab.run(&["apply", "-f", "DIR/tiers.yaml"]);
    lab.run(&["get", "tier", "a", "nope", "b"]);
    lab.run(&["get", "tier", "a", "nope", "b", "-o", "name"]);
    lab.run(&["get", "tier", "nope", "-o", "yaml"]);
    insta::assert_snapshot!(lab.transcript());
}

#[test]
fn damaged_entries_are_named_and_the_rest_is_shown() {
    let mut lab = Lab::new();
    lab.pipe(&["apply", "-f", "-"], TIERS);
    let tiers = "/calico/resources/v3/projectcalico.org/tiers/";
    put(&lab, &format!("{tiers}broken"), "{\"spec\": ");
    put(&lab, &format!("{tiers}list"), "[1, 2]");
    put(
        &lab,
        &format!("{tiers}wrong"),
        r#"{"kind":"Tier","apiVersion":"projectcalico.org/v3","metadata":{"name":"wrong"},"spec":{"order":"first"}}"#,
    );
    lab.run(&["get", "tiers"]);
    lab.run(&["get", "tiers", "-o", "name"]);
    lab.run(&["get", "tier", "broken"]);
    lab.run(&["get", "tier", "wrong"]);
    insta::assert_snapshot!(lab.transcript());
}

#[test]
fn endpoints_with_little_in_them_have_a_wide_table() {
    let mut lab = Lab::new();
    lab.pipe(&["apply", "-f", "-"], TIERS);
    let key = "/calico/resources/v3/projectcalico.org/workloadendpoints/default/n-k8s-p-eth0";
    put(
        &lab,
        key,
        r#"{"kind":"WorkloadEndpoint","apiVersion":"projectcalico.org/v3","metadata":{"name":"n-k8s-p-eth0","namespace":"default"},"spec":{"node":"n","orchestrator":"k8s","pod":"p","endpoint":"eth0","ipNetworks":null,"ipNATs":[{"internalIP":"10.0.0.1","externalIP":"192.0.2.1"}]}}"#,
    );
    lab.run(&["get", "workloadendpoints", "-o", "wide"]);
    insta::assert_snapshot!(lab.transcript());
}

#[test]
fn a_locked_datastore_is_not_written() {
    let mut lab = Lab::new();
    lab.pipe(&["apply", "-f", "-"], TIERS);
    lab.run(&[
        "patch",
        "clusterinfo",
        "default",
        "-p",
        r#"{"spec": {"datastoreReady": false}}"#,
    ]);
    let before = lab.quiet(&["get", "tiers", "-o", "yaml"], "").out;
    lab.pipe(&["apply", "-f", "-"], TIERS);
    lab.pipe(&["create", "-f", "-"], TIERS);
    lab.pipe(&["replace", "-f", "-"], TIERS);
    lab.pipe(&["delete", "-f", "-"], TIERS);
    lab.run(&["patch", "tier", "a", "-p", r#"{"spec": {"order": 9}}"#]);
    lab.run(&["label", "tier", "a", "x=y"]);
    lab.run(&["ipam", "configure", "--strictaffinity=true"]);
    lab.pipe(&["validate", "-f", "-"], TIERS);
    assert_eq!(lab.quiet(&["get", "tiers", "-o", "yaml"], "").out, before);
    lab.pipe(&["apply", "--allow-locked-datastore", "-f", "-"], TIERS);
    insta::assert_snapshot!(lab.transcript());
}
