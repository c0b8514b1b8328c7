use serde_json::{Value, json};

use super::super::{Change, Group, Method, Refused, place, write};
use super::{collection, entry, reading};
use crate::kind::Kind;

fn body(request: &super::super::Request) -> Value {
    serde_json::from_slice(&request.body).expect("JSON")
}

const POLICY: &str = "/calico/resources/v3/projectcalico.org/globalnetworkpolicies/allow";

fn policy() -> Value {
    json!({
        "apiVersion": "projectcalico.org/v3",
        "kind": "GlobalNetworkPolicy",
        "metadata": {
            "name": "allow",
            "uid": "30316465-6365-4463-ad63-3564622d3638",
            "creationTimestamp": "2026-08-01T10:00:00Z",
            "labels": {"a": "<b>", "projectcalico.org/tier": "default"},
            "annotations": {"note": "x"},
        },
        "spec": {"tier": "default", "order": 10, "selector": "all()", "types": ["Ingress"], "unknown": {"kept": true}},
    })
}

#[test]
fn a_policy_is_a_v1_resource_with_its_metadata_in_an_annotation() {
    let bytes = policy().to_string().into_bytes();
    let request = write(POLICY, Change::Update(&bytes, 7), Group::V1).expect("it can be written");
    assert_eq!(request.method, Method::Put);
    assert_eq!(
        request.path,
        "/apis/crd.projectcalico.org/v1/globalnetworkpolicies/allow"
    );
    let written = body(&request);
    assert_eq!(
        written,
        json!({
            "apiVersion": "crd.projectcalico.org/v1",
            "kind": "GlobalNetworkPolicy",
            "metadata": {
                "name": "allow",
                "uid": "0c8c26a6-c6a6-44c6-adc6-ac2646b46c1c",
                "resourceVersion": "7",
                "labels": {"projectcalico.org/tier": "default"},
                "annotations": {
                    "projectcalico.org/metadata": r#"{"name":"allow","creationTimestamp":"2026-08-01T10:00:00Z","labels":{"a":"\u003cb\u003e","projectcalico.org/tier":"default"},"annotations":{"note":"x"}}"#,
                },
            },
            "spec": policy()["spec"],
        })
    );
    let back = reading(Kind::GlobalNetworkPolicy, Group::V1, &written);
    assert_eq!((back.revision, back.problems.len()), (7, 0));
    assert_eq!(
        entry(&back),
        (POLICY.to_owned(), policy()),
        "reading it back is the identity"
    );
    let new = write(POLICY, Change::Create(&bytes), Group::V1).expect("it can be written");
    assert_eq!(
        (new.method, new.path.as_str()),
        (
            Method::Post,
            "/apis/crd.projectcalico.org/v1/globalnetworkpolicies"
        )
    );
    assert_eq!(
        body(&new).pointer("/metadata/uid"),
        None,
        "a new object gets its own"
    );
    assert_eq!(body(&new).pointer("/metadata/resourceVersion"), None);
}

#[test]
fn a_v3_resource_is_the_object_itself() {
    let bytes = policy().to_string().into_bytes();
    let request = write(POLICY, Change::Update(&bytes, 7), Group::V3).expect("it can be written");
    assert_eq!(
        request.path,
        "/apis/projectcalico.org/v3/globalnetworkpolicies/allow"
    );
    let mut expected = policy();
    expected["metadata"]["resourceVersion"] = "7".into();
    assert_eq!(body(&request), expected);
    let mut stored = expected;
    stored["metadata"]["managedFields"] = json!([{"manager": "kubectl"}]);
    let back = reading(Kind::GlobalNetworkPolicy, Group::V3, &stored);
    assert_eq!(entry(&back), (POLICY.to_owned(), policy()));
}

#[test]
fn policies_of_older_releases_have_their_bare_name_under_their_own_key() {
    let old = |tier: Option<&str>, annotation: &str| {
        json!({
            "metadata": {"name": "default.web", "namespace": "prod", "resourceVersion": "3",
                "annotations": {"projectcalico.org/metadata": annotation}},
            "spec": {"tier": tier},
        })
    };
    let key = "/calico/resources/v3/projectcalico.org/networkpolicies/prod/default.web";
    let name = |object: &Value| {
        let (at, value) = entry(&reading(Kind::NetworkPolicy, Group::V1, object));
        assert_eq!(at, key);
        value["metadata"]["name"].as_str().map(str::to_owned)
    };
    assert_eq!(name(&old(Some("default"), "{}")).as_deref(), Some("web"));
    assert_eq!(name(&old(None, "{}")).as_deref(), Some("web"));
    let kept = Some("default.web");
    assert_eq!(name(&old(Some("security"), "{}")).as_deref(), kept);
    let annotated = old(Some("default"), r#"{"name":"default.web"}"#);
    assert_eq!(name(&annotated).as_deref(), kept);
    let bare = "/calico/resources/v3/projectcalico.org/networkpolicies/prod/web";
    let older = crate::older_key(Kind::NetworkPolicy, Some("prod"), "web");
    assert_eq!(older.as_deref(), Some(key));
    assert_eq!(place(bare, Group::V1).expect("a place").name, "web");
    let broken = reading(Kind::NetworkPolicy, Group::V1, &old(None, "[1"));
    assert_eq!(broken.problems.len(), 1);

    // What is read is written to where it was.
    let read = reading(Kind::NetworkPolicy, Group::V1, &old(None, "{}"));
    let bytes = read.value.expect("it is there");
    let request = write(key, Change::Update(&bytes, 3), Group::V1).expect("it can be written");
    assert_eq!(
        request.path,
        "/apis/crd.projectcalico.org/v1/namespaces/prod/networkpolicies/default.web"
    );
    let written = body(&request);
    assert_eq!(written["metadata"]["name"], "default.web");
    let annotation = &written["metadata"]["annotations"]["projectcalico.org/metadata"];
    assert_eq!(annotation, r#"{"name":"web"}"#);
}

#[test]
fn owners_have_the_uid_of_their_group() {
    let mut object = policy();
    object["metadata"]["ownerReferences"] = json!([
        {"apiVersion": "projectcalico.org/v3", "kind": "Tier", "name": "t", "uid": "30316465-6365-4463-ad63-3564622d3638"},
        {"apiVersion": "v1", "kind": "Node", "name": "n", "uid": "u"},
    ]);
    let bytes = object.to_string().into_bytes();
    let request = write(POLICY, Change::Update(&bytes, 1), Group::V1).expect("it can be written");
    let written = body(&request);
    let text = written["metadata"]["annotations"]["projectcalico.org/metadata"]
        .as_str()
        .expect("text");
    assert!(
        text.contains(
            r#""apiVersion":"crd.projectcalico.org/v1","kind":"Tier","name":"t","uid":"0c8c26a6"#
        ),
        "{text}"
    );
    assert_eq!(
        entry(&reading(Kind::GlobalNetworkPolicy, Group::V1, &written)).1,
        object
    );
}

fn check_ipam(kind: Kind, key: &str, stored: &Value, name: &str, v1_spec: &Value, v3_spec: &Value) {
    for (group, spec) in [(Group::V1, v1_spec), (Group::V3, v3_spec)] {
        let bytes = stored.to_string().into_bytes();
        let request = write(key, Change::Create(&bytes), group).expect("it can be written");
        let mut written = body(&request);
        assert_eq!(written["metadata"]["name"], name, "{key}");
        assert_eq!(&written["spec"], spec, "{key}");
        written["metadata"]["resourceVersion"] = "5".into();
        let back = reading(kind, group, &written);
        let (found, value) = entry(&back);
        assert_eq!((found.as_str(), &value), (key, stored), "{group:?}");
        written["spec"]["deleted"] = match (kind, group) {
            (Kind::BlockAffinity, Group::V1) => "true".into(),
            (_, _) => true.into(),
        };
        let marked = reading(kind, group, &written);
        assert_eq!(marked.key.as_deref(), Some(key));
        assert_eq!(marked.value.is_some(), kind == Kind::IpamConfiguration);
    }
}

#[test]
fn blocks_affinities_handles_and_settings_are_resources() {
    let block = json!({
        "cidr": "10.65.0.64/30", "affinity": "host:n1", "affinity_claim_time": "2026-08-01T10:00:00Z",
        "allocations": [0, null, null, null], "unallocated": [1, 2, 3],
        "attributes": [{"handle_id": "h", "secondary": {"pod": "p"}}],
        "sequenceNumber": 9, "sequenceNumberForAllocation": {"0": 8}, "deleted": false,
    });
    let mut spec = block.clone();
    let spec_map = spec.as_object_mut().expect("an object");
    let time = spec_map
        .remove("affinity_claim_time")
        .expect("it was there");
    spec_map.insert("affinityClaimTime".to_owned(), time);
    spec["strictAffinity"] = false.into();
    check_ipam(
        Kind::IpamBlock,
        "/calico/ipam/v2/assignment/ipv4/block/10.65.0.64-30",
        &block,
        "10-65-0-64-30",
        &spec,
        &spec,
    );

    let affinity = |deleted: Value| json!({"state": "confirmed", "node": "n1", "type": "host", "cidr": "10.65.0.64/26", "deleted": deleted});
    check_ipam(
        Kind::BlockAffinity,
        "/calico/ipam/v2/host/n1/ipv4/block/10.65.0.64-26",
        &json!({"state": "confirmed", "deleted": false}),
        "n1-10-65-0-64-26",
        &affinity("false".into()),
        &affinity(false.into()),
    );
    let handle =
        json!({"handleID": "k8s-pod-network.ABC", "block": {"10.65.0.64/26": 1}, "deleted": false});
    check_ipam(
        Kind::IpamHandle,
        "/calico/ipam/v2/handle/k8s-pod-network.ABC",
        &json!({"block": {"10.65.0.64/26": 1}, "deleted": false}),
        "k8s-pod-network.abc",
        &handle,
        &handle,
    );
    let settings =
        json!({"strictAffinity": true, "autoAllocateBlocks": true, "maxBlocksPerHost": 4});
    check_ipam(
        Kind::IpamConfiguration,
        "/calico/ipam/v2/config",
        &json!({"strict_affinity": true, "auto_allocate_blocks": true, "maxBlocksPerHost": 4}),
        "default",
        &settings,
        &settings,
    );
}

#[test]
fn an_affinity_has_the_labels_that_it_is_found_by() {
    let key = "/calico/ipam/v2/host/n1/ipv4/block/10.65.0.64-26";
    let request = write(key, Change::Create(br#"{"state":"pending"}"#), Group::V1)
        .expect("it can be written");
    let written = body(&request);
    let labels = &written["metadata"]["labels"];
    assert_eq!(labels["projectcalico.org/affinity-type"], "host");
    assert_eq!(labels["projectcalico.org/ip-version"], "4");
    let hash = labels["projectcalico.org/hostname-hash"]
        .as_str()
        .expect("text");
    let annotation = written["metadata"]["annotations"]["projectcalico.org/metadata"]
        .as_str()
        .expect("text");
    assert_eq!(
        annotation,
        format!(
            r#"{{"labels":{{"projectcalico.org/affinity-type":"host","projectcalico.org/hostname-hash":"{hash}","projectcalico.org/ip-version":"4"}}}}"#
        )
    );
}

#[test]
fn what_kubernetes_owns_is_refused_with_the_way_to_do_it() {
    let root = "/calico/resources/v3/projectcalico.org";
    let check = |key: String, change: Change<'_>, expected: &str| {
        let refused = write(&key, change, Group::V1).expect_err("it is refused");
        assert_eq!(refused.to_string(), expected);
    };
    check(
        format!("{root}/namespaces/a"),
        Change::Create(b"{}"),
        "namespaces belong to Kubernetes, and are made there: use kubectl",
    );
    check(
        format!("{root}/kubernetesnetworkpolicies/a/b"),
        Change::Delete(None),
        "Kubernetes network policies belong to Kubernetes, and are deleted there: use kubectl",
    );
    check(
        format!("{root}/nodes/n"),
        Change::Create(b"{}"),
        "nodes belong to Kubernetes, and are made there: use kubectl",
    );
    check(
        format!("{root}/profiles/kns.a"),
        Change::Update(b"{}", 1),
        "profiles come from namespaces and service accounts, which belong to Kubernetes, and are changed there: use kubectl",
    );
    check(
        "/calico/nope".to_owned(),
        Change::Delete(None),
        "/calico/nope is nothing that the Kubernetes API has",
    );
    assert!(matches!(
        write(POLICY, Change::Create(b"[]"), Group::V1),
        Err(Refused::Value { .. })
    ));
}

#[test]
fn a_removal_names_the_revision_it_is_of() {
    let request = write(POLICY, Change::Delete(Some(7)), Group::V3).expect("it can be removed");
    assert_eq!(request.method, Method::Delete);
    assert_eq!(
        body(&request)["preconditions"],
        json!({"resourceVersion": "7"})
    );
    let any = write(POLICY, Change::Delete(None), Group::V3).expect("it can be removed");
    assert_eq!(body(&any).get("preconditions"), None);
}

#[test]
fn an_object_that_says_nothing_is_unreadable_and_named() {
    let read = |bytes: &[u8]| {
        super::super::read(collection(Kind::Tier, Group::V1), bytes)
            .expect_err("it says nothing")
            .to_string()
    };
    assert!(read(b"{").starts_with("tiers (unknown) of the API server cannot be read"));
    assert_eq!(
        read(br#"{"metadata":{"name":"a","resourceVersion":"opaque"}}"#),
        "tiers a of the API server cannot be read: its resourceVersion is \"opaque\"; only decimal numbers can be compared"
    );
}
