//! What a sweep asks of a store behind a network: as much as the node has, however large the cluster is.

use std::collections::BTreeSet;

use calc::Graph;
use datastore::{AnyStore, Datastore, StoreChoice, StoreRequest, Write, block_on_ready, drive};
use ipam::assign::{Reach, Request, Want, assign};
use ipam::{Owner, Timestamp, sweep as attributes};
use model::{AffinityOwner, Family, PoolUse};
use node::sweep::{Kernel, Workloads, sweep};
use testkit::servers::{RealKubernetes, User};

/// Nodes of the cluster, each with a block of its own.
const NODES: usize = 12;
/// Pods of each.
const PODS: usize = 5;

const POOL: &str = r#"{"apiVersion":"projectcalico.org/v3","kind":"IPPool","metadata":{"name":"p"},"spec":{"cidr":"10.65.0.0/16","blockSize":26,"nodeSelector":"all()","allowedUses":["Workload"]}}"#;

fn open(server: &RealKubernetes, user: User) -> AnyStore {
    let kubeconfig = server.kubeconfig(user).display().to_string();
    let environment = [("KUBECONFIG".to_owned(), kubeconfig)].into();
    let request = StoreRequest {
        environment,
        ..StoreRequest::default()
    };
    let choice = StoreChoice::of(&request).expect("a choice");
    choice.open().expect("usable settings")
}

/// Takes addresses on a node, at a time long past and in an earlier boot.
fn take(store: &AnyStore, node: &str, number: usize) {
    let taker = Owner {
        handle: Some(format!("net.{node}.{number}").into()),
        attributes: [
            (attributes::NODE, node),
            (attributes::BOOT, "earlier"),
            (attributes::TIMESTAMP, "2020-01-01T00:00:00Z"),
        ]
        .map(|(name, value)| (name.into(), value.into()))
        .into(),
    };
    let request = Request {
        owner: AffinityOwner::Host(node.into()),
        wanted: vec![Want::Any {
            family: Family::V4,
            count: 1,
            pools: Vec::new(),
        }],
        taker,
        intended_use: PoolUse::Workload,
        namespace: None,
        max_blocks: None,
        host_reserved: None,
        reach: Reach::OwnBlocks,
        now: Timestamp(0),
    };
    let taken = block_on_ready(drive(store, assign(request)));
    taken.expect("the store works").expect("an address");
}

#[test]
fn a_sweep_asks_for_what_its_node_has() {
    let Some(server) = RealKubernetes::start() else {
        return;
    };
    server.install_definitions("v1");
    let pods: Vec<String> = (0..NODES * PODS)
        .map(|n| format!("apiVersion: v1\nkind: Pod\nmetadata: {{name: p{n}, namespace: default}}\nspec: {{nodeName: n{}, containers: [{{name: c, image: i}}]}}\n", n % NODES))
        .collect();
    server.apply(&pods.join("---\n"));
    let writer = open(&server, User::Calicoctl);
    let key = api::store_key(api::Kind::IpPool, None, "p");
    block_on_ready(writer.commit(&[Write::create(key, POOL)])).expect("a pool");
    for node in 0..NODES {
        (0..PODS).for_each(|number| take(&writer, &format!("n{node}"), number));
    }
    let store = open(&server, User::Node);
    let kernel = Kernel {
        boot: Some("now".into()),
        ..Kernel::default()
    };
    let workloads = Workloads::of(&Graph::new("n3"));
    let sweep_within = |reach| {
        let before = server.requests(User::Node).len();
        let swept = sweep(&store, "n3", &workloads, &kernel, reach).expect("a sweep");
        let asked = server.requests(User::Node).split_off(before);
        eprintln!(
            "{reach:?}: {swept} swept, {} requests: {asked:?}",
            asked.len()
        );
        (swept, asked)
    };
    let (swept, asked) = sweep_within(Reach::OwnBlocks);
    assert_eq!(swept, PODS, "its own, and no other's");
    let lists: Vec<&String> = asked
        .iter()
        .filter(|one| one.starts_with("list "))
        .collect();
    assert!(
        lists.iter().all(|one| *one == "list blockaffinities"),
        "{lists:?}"
    );
    let kinds: BTreeSet<&str> = asked
        .iter()
        .filter_map(|one| one.split(' ').nth(1))
        .collect();
    assert!(
        !kinds.contains("pods"),
        "endpoints are known already: {kinds:?}"
    );
    let read = asked.iter().filter(|one| *one == "get ipamblocks").count();
    assert!(read <= 2, "its one block, and again to write it: {asked:?}");
    // Nothing is left to do: the affinities, the configuration, and the block are looked at.
    let (swept, asked) = sweep_within(Reach::OwnBlocks);
    assert_eq!((swept, asked.len()), (0, 3), "{asked:?}");
}
