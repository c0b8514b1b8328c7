//! Keys and values by hand: from upstream's key layout, struct tags and Go's encoding rules.

#![expect(clippy::unwrap_used, reason = "a failure is the test's message")]

use std::collections::BTreeMap;

use api::{Kind, Object, StoreKey, decode, decode_absent, encode, parse_store_key, store_key};
use model::{
    Affinity, AffinityId, AffinityOwner, AffinityState, AllocationAttribute, Block, Handle,
    IpamConfig, Key, Resource,
};

#[test]
fn keys_of_resources() {
    let cases = [
        (
            Kind::NetworkPolicy,
            Some("prod"),
            "web",
            "/calico/resources/v3/projectcalico.org/networkpolicies/prod/web",
        ),
        (
            Kind::GlobalNetworkPolicy,
            None,
            "deny",
            "/calico/resources/v3/projectcalico.org/globalnetworkpolicies/deny",
        ),
        (
            Kind::IpPool,
            Some("ignored"),
            "pool",
            "/calico/resources/v3/projectcalico.org/ippools/pool",
        ),
        (
            Kind::Namespace,
            None,
            "prod",
            "/calico/resources/v3/projectcalico.org/namespaces/prod",
        ),
        (
            Kind::ServiceAccount,
            Some("prod"),
            "robot",
            "/calico/resources/v3/projectcalico.org/serviceaccounts/prod/robot",
        ),
        (
            Kind::KubernetesNetworkPolicy,
            Some("prod"),
            "web",
            "/calico/resources/v3/projectcalico.org/kubernetesnetworkpolicies/prod/web",
        ),
        (
            Kind::KubernetesClusterNetworkPolicy,
            None,
            "admin",
            "/calico/resources/v3/projectcalico.org/kubernetesclusternetworkpolicies/admin",
        ),
        (
            Kind::StagedKubernetesNetworkPolicy,
            Some("prod"),
            "web",
            "/calico/resources/v3/projectcalico.org/stagedkubernetesnetworkpolicies/prod/web",
        ),
        (
            Kind::BgpFilter,
            None,
            "f",
            "/calico/resources/v3/projectcalico.org/bgpfilters/f",
        ),
        (
            Kind::CalicoNodeStatus,
            None,
            "node-1",
            "/calico/resources/v3/projectcalico.org/caliconodestatuses/node-1",
        ),
        (
            Kind::IpamConfiguration,
            None,
            "default",
            "/calico/ipam/v2/config",
        ),
        (
            Kind::IpamHandle,
            None,
            "net.1234",
            "/calico/ipam/v2/handle/net.1234",
        ),
        (
            Kind::IpamBlock,
            None,
            "10-65-0-0-26",
            "/calico/ipam/v2/assignment/ipv4/block/10.65.0.0-26",
        ),
        (
            Kind::BlockAffinity,
            None,
            "node-1-10-65-0-0-26",
            "/calico/ipam/v2/host/node-1/ipv4/block/10.65.0.0-26",
        ),
    ];
    for (kind, ns, name, key) in cases {
        assert_eq!(store_key(kind, ns, name), key);
        let parsed = parse_store_key(key).unwrap();
        assert_eq!(parsed.to_string(), key);
        assert_eq!((parsed.kind(), parsed.name().as_str()), (kind, name));
    }
}

#[test]
fn keys_of_ipam() {
    let v6 = StoreKey::Affinity(AffinityId {
        owner: AffinityOwner::Virtual("load-balancer".into()),
        block: "fd00:65::/122".parse().unwrap(),
    });
    assert_eq!(
        v6.to_string(),
        "/calico/ipam/v2/virtual/load-balancer/ipv6/block/fd00:65::-122"
    );
    assert_eq!(parse_store_key(&v6.to_string()), Some(v6));
    for none in [
        "",
        "/calico/v1/Ready",
        "/calico/ipam/v2/host/a",
        "/calico/ipam/v2/host/a/ipv6/block/10.0.0.0-26",
        "/calico/ipam/v2/assignment/ipv4/block/x-26",
        "/calico/ipam/v2/handle/a/b",
        "/calico/resources/v3/projectcalico.org/ippools/a/b",
        "/calico/resources/v3/projectcalico.org/networkpolicies/a",
        "/calico/resources/v3/projectcalico.org/ipamblocks/10-0-0-0-26",
        "/calico/resources/v3/projectcalico.org/unknowns/a",
    ] {
        assert_eq!(parse_store_key(none), None, "{none}");
        assert_eq!(decode_absent(none), None, "{none}");
    }
}

fn block() -> Block {
    Block {
        cidr: "10.65.0.0/30".parse().unwrap(),
        affinity: Some(AffinityOwner::Host("node-1".into())),
        affinity_claim_time: None,
        allocations: vec![None; 4],
        unallocated: vec![0, 1, 2, 3],
        attributes: Vec::new(),
        sequence: 1_700_000_000_000_000_001,
        sequence_for_allocation: BTreeMap::new(),
        deleted: false,
    }
}

fn round_trip(key: &Key, resource: Resource, store_key: &str, bytes: &str) {
    let (at, encoded) = encode(key, &resource).unwrap();
    assert_eq!(at, store_key);
    assert_eq!(String::from_utf8(encoded).unwrap(), bytes);
    let update = decode(store_key, bytes.as_bytes()).unwrap();
    assert_eq!((&update.key, update.value.as_ref()), (key, Some(&resource)));
    assert_eq!(decode_absent(store_key).as_ref(), Some(key));
    let object = Object::from_store(store_key, bytes.as_bytes(), 7).unwrap();
    assert_eq!(object.revision(), Some(7));
    assert_eq!(object.store_key(), store_key);
    assert_eq!(String::from_utf8(object.to_store_bytes()).unwrap(), bytes);
}

#[test]
fn fresh_block() {
    let block = block();
    round_trip(
        &Key::Block(block.cidr),
        Resource::Block(block),
        "/calico/ipam/v2/assignment/ipv4/block/10.65.0.0-30",
        concat!(
            r#"{"cidr":"10.65.0.0/30","affinity":"host:node-1","allocations":[null,null,null,null],"#,
            r#""unallocated":[0,1,2,3],"attributes":null,"sequenceNumber":1700000000000000001,"#,
            r#""sequenceNumberForAllocation":{},"deleted":false}"#
        ),
    );
}

#[test]
fn used_block() {
    let mut block = block();
    block.affinity = None;
    block.affinity_claim_time = Some("2026-01-02T03:04:05Z".into());
    block.allocations = vec![Some(0), None, Some(1), Some(0)];
    block.unallocated = vec![1];
    block.attributes = vec![
        AllocationAttribute {
            handle: Some("net.<a&b>".into()),
            secondary: BTreeMap::from([
                ("pod".into(), "web".into()),
                ("namespace".into(), "prod".into()),
            ]),
            ..AllocationAttribute::default()
        },
        AllocationAttribute {
            released_at: Some("2026-01-02T03:04:06Z".into()),
            ..AllocationAttribute::default()
        },
    ];
    block.sequence_for_allocation = BTreeMap::from([(0, 5), (2, 6), (10, 7)]);
    round_trip(
        &Key::Block(block.cidr),
        Resource::Block(block),
        "/calico/ipam/v2/assignment/ipv4/block/10.65.0.0-30",
        concat!(
            r#"{"cidr":"10.65.0.0/30","affinity":null,"affinity_claim_time":"2026-01-02T03:04:05Z","#,
            r#""allocations":[0,null,1,0],"unallocated":[1],"attributes":[{"handle_id":"net.\u003ca\u0026b\u003e","#,
            r#""secondary":{"namespace":"prod","pod":"web"}},{"releasedAt":"2026-01-02T03:04:06Z"}],"#,
            r#""sequenceNumber":1700000000000000001,"sequenceNumberForAllocation":{"0":5,"10":7,"2":6},"deleted":false}"#
        ),
    );
}

#[test]
fn emptied_block() {
    let mut block = block();
    block.unallocated = vec![3, 0, 1, 2];
    let (_, bytes) = encode(&Key::Block(block.cidr), &Resource::Block(block)).unwrap();
    assert!(
        String::from_utf8(bytes)
            .unwrap()
            .contains(r#""attributes":[],"#)
    );
}

#[test]
fn affinity_handle_config() {
    let block = "10.65.0.0/26".parse().unwrap();
    round_trip(
        &Key::Affinity(AffinityId {
            owner: AffinityOwner::Host("node-1".into()),
            block,
        }),
        Resource::Affinity(Affinity {
            state: AffinityState::Pending,
            deleted: false,
        }),
        "/calico/ipam/v2/host/node-1/ipv4/block/10.65.0.0-26",
        r#"{"state":"pending","deleted":false}"#,
    );
    round_trip(
        &Key::Handle("net.1234".into()),
        Resource::Handle(Handle {
            blocks: BTreeMap::from([(block, 1), ("fd00::/122".parse().unwrap(), 2)]),
            deleted: false,
        }),
        "/calico/ipam/v2/handle/net.1234",
        r#"{"block":{"10.65.0.0/26":1,"fd00::/122":2},"deleted":false}"#,
    );
    round_trip(
        &Key::IpamConfig,
        Resource::IpamConfig(IpamConfig::default()),
        "/calico/ipam/v2/config",
        r#"{"auto_allocate_blocks":true}"#,
    );
}

#[test]
fn kubevirt_setting_survives() {
    let bytes = br#"{"strict_affinity":true,"kubeVirtVMAddressPersistence":"Disabled","ipCooldownSeconds":30}"#;
    let object = Object::from_store("/calico/ipam/v2/config", bytes, 1).unwrap();
    assert_eq!(object.pointer("/spec/strictAffinity"), Some(&true.into()));
    assert_eq!(
        object.pointer("/spec/autoAllocateBlocks"),
        Some(&false.into())
    );
    assert_eq!(object.to_store_bytes(), bytes);
}
