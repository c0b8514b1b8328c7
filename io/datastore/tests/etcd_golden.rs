//! What a plain etcd client sees of what we write, and what we make of what upstream has written: keys and values built by
//! hand from upstream's layout.

mod etcd;

use std::time::Duration;

use api::{Kind, Object};
use datastore::{Datastore, EtcdStore, Write, block_on_ready, drive};
use ipam::Timestamp;
use ipam::release::{ReleaseAddress, release_addresses};
use serde_json::{Value, json};
use testkit::servers::{Guard, RealEtcd};

const PATIENCE: Duration = Duration::from_secs(30);

fn open() -> Option<(RealEtcd, EtcdStore)> {
    let server = RealEtcd::start(Guard::Open)?;
    let settings = etcd::settings(&server, Guard::Open);
    let store = EtcdStore::open(&settings, PATIENCE).expect("settings of a store");
    Some((server, store))
}

/// All keys and values, as `etcdctl get` prints them.
fn printed(server: &RealEtcd) -> Vec<(String, String)> {
    let text = server.etcdctl(&["get", "--prefix", "/calico/"]);
    let mut lines = text.lines().map(str::to_owned);
    let mut pairs = Vec::new();
    while let (Some(key), Some(value)) = (lines.next(), lines.next()) {
        pairs.push((key, value));
    }
    pairs
}

#[test]
fn a_plain_client_sees_upstreams_keys_and_bytes() {
    let Some((server, store)) = open() else {
        return;
    };
    let mut policy = Object::new(Kind::NetworkPolicy, Some("prod"), "web");
    policy.stamp(
        "0c8c26a6-c6a6-44c6-adc6-ac2646b46c1c",
        "2026-01-02T03:04:05Z",
    );
    policy
        .spec_mut()
        .insert("selector".into(), json!("a == 'b' && c != '<d>'"));
    policy.spec_mut().insert("types".into(), json!(["Ingress"]));
    let mut pool = Object::new(Kind::IpPool, None, "p");
    pool.spec_mut().insert("cidr".into(), json!("10.0.0.0/16"));
    let writes =
        [&policy, &pool].map(|object| Write::create(object.store_key(), object.to_store_bytes()));
    block_on_ready(store.commit(&writes)).expect("create");
    let expected = [
        (
            "/calico/resources/v3/projectcalico.org/ippools/p",
            r#"{"kind":"IPPool","apiVersion":"projectcalico.org/v3","metadata":{"name":"p"},"spec":{"cidr":"10.0.0.0/16"}}"#,
        ),
        (
            "/calico/resources/v3/projectcalico.org/networkpolicies/prod/web",
            r#"{"kind":"NetworkPolicy","apiVersion":"projectcalico.org/v3","metadata":{"name":"web","namespace":"prod","uid":"0c8c26a6-c6a6-44c6-adc6-ac2646b46c1c","creationTimestamp":"2026-01-02T03:04:05Z","annotations":{"projectcalico.org/metadata":"{\"name\":\"web\"}"}},"spec":{"selector":"a == 'b' \u0026\u0026 c != '\u003cd\u003e'","types":["Ingress"]}}"#,
        ),
    ];
    let seen = printed(&server);
    assert_eq!(seen.len(), expected.len(), "{seen:?}");
    for ((key, value), (wanted_key, wanted)) in seen.iter().zip(expected) {
        assert_eq!(key, wanted_key);
        assert_eq!(value, wanted, "{key}");
    }
}

/// A block, its affinity, its handle and the configuration, as upstream's IPAM v2 has them in etcd.
const LAID_DOWN: [(&str, &str); 5] = [
    (
        "/calico/ipam/v2/assignment/ipv4/block/10.0.0.0-26",
        r#"{"cidr":"10.0.0.0/26","affinity":"host:n1","allocations":[0,1,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null],"unallocated":[2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31,32,33,34,35,36,37,38,39,40,41,42,43,44,45,46,47,48,49,50,51,52,53,54,55,56,57,58,59,60,61,62,63],"attributes":[{"handle_id":"k8s-pod-network.aaa","secondary":{"namespace":"prod","node":"n1","pod":"web-1"}},{"handle_id":"k8s-pod-network.bbb","secondary":{"namespace":"prod","node":"n1","pod":"web-2"}}],"sequenceNumber":7,"sequenceNumberForAllocation":{"0":5,"1":6},"deleted":false}"#,
    ),
    (
        "/calico/ipam/v2/host/n1/ipv4/block/10.0.0.0-26",
        r#"{"state":"confirmed","deleted":false}"#,
    ),
    (
        "/calico/ipam/v2/handle/k8s-pod-network.aaa",
        r#"{"block":{"10.0.0.0/26":1},"deleted":false}"#,
    ),
    (
        "/calico/ipam/v2/handle/k8s-pod-network.bbb",
        r#"{"block":{"10.0.0.0/26":1},"deleted":false}"#,
    ),
    (
        "/calico/ipam/v2/config",
        r#"{"strict_affinity":true,"auto_allocate_blocks":true,"maxBlocksPerHost":20}"#,
    ),
];

#[test]
fn what_upstream_laid_down_is_adopted_and_not_rewritten() {
    let Some((server, store)) = open() else {
        return;
    };
    for (key, value) in LAID_DOWN {
        server.etcdctl(&["put", key, value]);
    }
    let before = printed(&server);
    let all = block_on_ready(store.list("/calico/")).expect("list");
    assert_eq!(all.entries.len(), LAID_DOWN.len());
    for entry in &all.entries {
        let update = api::decode(&entry.key, &entry.value).expect("upstream's objects are valid");
        assert!(update.value.is_some(), "{}", entry.key);
        if let Some(value) = &update.value {
            let (key, bytes) = api::encode(&update.key, value).expect("it has a form");
            let bytes = String::from_utf8(bytes).expect("text");
            let stored = String::from_utf8_lossy(&entry.value);
            assert_eq!((&*key, &*bytes), (&*entry.key, &*stored));
        }
    }
    assert_eq!(printed(&server), before, "reading changes nothing");

    // One address is given back: what belongs to others stays as it is, to the byte.
    let address = "10.0.0.1".parse().expect("an address");
    let dead = ReleaseAddress {
        addr: address,
        block: None,
        handle: Some("k8s-pod-network.bbb".into()),
        sequence: None,
    };
    let machine = release_addresses(vec![dead], Timestamp(0));
    let outcome = block_on_ready(drive(&store, machine))
        .expect("released")
        .expect("no conflict");
    assert_eq!(outcome.released.len(), 1);
    let after = printed(&server);
    let keys: Vec<_> = after.iter().map(|(key, _)| key.as_str()).collect();
    assert!(
        !keys.contains(&"/calico/ipam/v2/handle/k8s-pod-network.bbb"),
        "{keys:?}"
    );
    for (key, value) in &after {
        let old = before.iter().find(|(old, _)| old == key);
        match key.contains("/block/") && key.contains("assignment") {
            true => {
                let block: Value = serde_json::from_str(value).expect("JSON");
                assert_eq!(block["allocations"][0], json!(0));
                assert_eq!(block["allocations"][1], Value::Null);
                assert_eq!(block["attributes"].as_array().map(Vec::len), Some(1));
            }
            false => assert_eq!(Some(value), old.map(|(_, value)| value), "{key}"),
        }
    }
}
