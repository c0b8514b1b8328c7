use super::super::{Change, Group, Refused, listings, place, pod_key, read, write};

fn check_place(key: &str, group: Group, expected: &str) {
    assert_eq!(place(key, group).expect(key).path(), expected);
}

#[test]
fn keys_are_objects_of_the_api_server() {
    let root = "/calico/resources/v3/projectcalico.org";
    let crd = "/apis/crd.projectcalico.org/v1";
    for (key, expected) in [
        (format!("{root}/ippools/p"), format!("{crd}/ippools/p")),
        (
            format!("{root}/networkpolicies/a/b"),
            format!("{crd}/namespaces/a/networkpolicies/b"),
        ),
        (
            format!("{root}/kubernetesnetworkpolicies/a/b"),
            "/apis/networking.k8s.io/v1/namespaces/a/networkpolicies/b".to_owned(),
        ),
        (
            format!("{root}/kubernetesservice/a/b"),
            "/api/v1/namespaces/a/services/b".to_owned(),
        ),
        (
            format!("{root}/kubernetesendpointslices/a/b"),
            "/apis/discovery.k8s.io/v1/namespaces/a/endpointslices/b".to_owned(),
        ),
        (
            format!("{root}/workloadendpoints/a/node--1-k8s-web--0-eth0"),
            "/api/v1/namespaces/a/pods/web-0".to_owned(),
        ),
        (format!("{root}/nodes/n"), "/api/v1/nodes/n".to_owned()),
        (
            format!("{root}/profiles/kns.a"),
            "/api/v1/namespaces/a".to_owned(),
        ),
        (
            format!("{root}/profiles/ksa.a.b.c"),
            "/api/v1/namespaces/a/serviceaccounts/b.c".to_owned(),
        ),
        (
            "/calico/ipam/v2/config".to_owned(),
            format!("{crd}/ipamconfigs/default"),
        ),
        (
            "/calico/ipam/v2/handle/A.b".to_owned(),
            format!("{crd}/ipamhandles/a.b"),
        ),
        (
            "/calico/ipam/v2/assignment/ipv6/block/fd00::-122".to_owned(),
            format!("{crd}/ipamblocks/fd00---122"),
        ),
        (
            "/calico/ipam/v2/virtual/load-balancer/ipv4/block/10.0.0.0-26".to_owned(),
            format!("{crd}/blockaffinities/load-balancer-10-0-0-0-26"),
        ),
    ] {
        check_place(&key, Group::V1, &expected);
    }
    check_place(
        "/calico/ipam/v2/handle/a?b c%",
        Group::V1,
        &format!("{crd}/ipamhandles/a%3Fb%20c%25"),
    );
    check_place(
        "/calico/ipam/v2/config",
        Group::V3,
        "/apis/projectcalico.org/v3/ipamconfigurations/default",
    );
    for nowhere in [
        "/a",
        "",
        "/calico/resources/v3/projectcalico.org/profiles/own",
        "/calico/resources/v3/projectcalico.org/workloadendpoints/a/n-cni-c-eth0",
        // A path of these would be that of a collection, or of something else.
        "/calico/resources/v3/projectcalico.org/ippools/",
        "/calico/resources/v3/projectcalico.org/ippools/..",
        "/calico/resources/v3/projectcalico.org/networkpolicies/../a",
        "/calico/resources/v3/projectcalico.org/networkpolicies//a",
    ] {
        assert_eq!(place(nowhere, Group::V1), None, "{nowhere}");
    }
}

fn paths(prefix: &str) -> Vec<String> {
    listings(prefix, Group::V1)
        .into_iter()
        .map(|listing| {
            let selector = listing
                .selector
                .map(|text| format!("?{}", text.split(',').count()))
                .unwrap_or_default();
            listing.collection.path(listing.namespace.as_deref()) + &selector
        })
        .collect()
}

#[test]
fn prefixes_are_lists_and_no_wider_than_they_must_be() {
    let root = "/calico/resources/v3/projectcalico.org/";
    let crd = "/apis/crd.projectcalico.org/v1";
    let check = |prefix: &str, expected: &[&str]| assert_eq!(paths(prefix), expected, "{prefix}");
    check(
        &format!("{root}workloadendpoints/a/"),
        &["/api/v1/namespaces/a/pods"],
    );
    check(&format!("{root}workloadendpoints/"), &["/api/v1/pods"]);
    check(
        &format!("{root}profiles/"),
        &["/api/v1/namespaces", "/api/v1/serviceaccounts"],
    );
    check(
        "/calico/ipam/v2/assignment/",
        &[&format!("{crd}/ipamblocks")],
    );
    check(
        "/calico/ipam/v2/host/n1/ipv4/block/",
        &[&format!("{crd}/blockaffinities?2")],
    );
    // Both families are one list.
    assert_eq!(
        listings("/calico/ipam/v2/host/n1/ipv4/block/", Group::V1),
        listings("/calico/ipam/v2/host/n1/ipv6/block/", Group::V1)
    );
    check(
        "/calico/ipam/v2/host/",
        &[&format!("{crd}/blockaffinities")],
    );
    check(
        &format!("{root}kubernetesendpointslices/"),
        &["/apis/discovery.k8s.io/v1/endpointslices"],
    );
    check(
        &format!("{root}kubernetesservice/a/"),
        &["/api/v1/namespaces/a/services"],
    );
    check("/nothing/", &[]);
    let all = paths(root);
    for path in [
        "/api/v1/pods",
        "/api/v1/namespaces",
        "/apis/networking.k8s.io/v1/networkpolicies",
        "/apis/discovery.k8s.io/v1/endpointslices",
        "/api/v1/services",
    ] {
        assert_eq!(
            all.iter().filter(|one| *one == path).count(),
            1,
            "{path} once"
        );
    }
    assert!(!all.iter().any(|path| path.contains("ipamblocks")));
}

#[test]
fn a_pod_has_its_metadata_beside_its_endpoint() {
    let key = pod_key("a", "web-0");
    assert_eq!(key, "/calico/resources/v3/kubernetes.io/pods/a/web-0");
    let place = place(&key, Group::V3).expect("a place");
    assert_eq!(place.path(), "/api/v1/namespaces/a/pods/web-0");
    let pod = r#"{"kind": "Pod", "metadata": {"name": "web-0", "namespace": "a", "resourceVersion": "7", "managedFields": [1],
        "annotations": {"x/y": "z"}}, "spec": {"containers": [{"env": [{"name": "TOKEN", "value": "secret"}]}]}}"#;
    let reading = read(place.collection, pod.as_bytes()).expect("readable");
    assert_eq!((reading.key.as_deref(), reading.revision), (Some(&*key), 7));
    let value = String::from_utf8(reading.value.expect("a value")).expect("text");
    insta::assert_snapshot!(
        value,
        @r#"{"metadata":{"annotations":{"x/y":"z"},"name":"web-0","namespace":"a","resourceVersion":"7"}}"#
    );
    let refused = write(&key, Change::Delete(None), Group::V1).expect_err("not ours");
    assert!(
        matches!(refused, Refused::Foreign { what: "pods", .. }),
        "{refused}"
    );
    for nowhere in ["a", "a/", "/b", "a/b/c"] {
        let key = format!("/calico/resources/v3/kubernetes.io/pods/{nowhere}");
        assert_eq!(super::super::place(&key, Group::V1), None, "{key}");
    }
}
