//! What objects have to do with others: what must be there first, what must not collide, what goes along, and policies that
//! releases before v3.32 put under another name.

#[expect(dead_code, reason = "these tests read no files")]
mod support;

use datastore::{Datastore, EmbeddedStore, Write, block_on_ready};
use support::Lab;

const V3: &str = "/calico/resources/v3/projectcalico.org/";

fn object(kind: &str, name: &str, spec: &str) -> String {
    format!(
        "---\n{{apiVersion: projectcalico.org/v3, kind: {kind}, metadata: {{name: {name}}}, spec: {spec}}}\n"
    )
}

fn put(lab: &Lab, entries: &[(&str, &str)]) {
    let store = EmbeddedStore::open(lab.store()).expect("the store opens");
    let writes: Vec<Write> = entries
        .iter()
        .map(|(key, value)| Write::put(*key, *value))
        .collect();
    block_on_ready(store.commit(&writes)).expect("a commit");
}

/// All keys of the store below a prefix.
fn keys(lab: &Lab, prefix: &str) -> Vec<String> {
    let store = EmbeddedStore::open(lab.store()).expect("the store opens");
    let there = block_on_ready(store.list(prefix)).expect("a list");
    let keys = there.entries.iter().map(|entry| entry.key.to_string());
    keys.collect()
}

#[test]
fn what_must_be_there_first() {
    let mut lab = Lab::new();
    let policy = object("NetworkPolicy", "dev.a", "{tier: dev}");
    let tier = object("Tier", "dev", "{order: 5}");
    lab.pipe(&["create", "-f", "-"], &policy);
    lab.pipe(&["apply", "-f", "-"], &format!("{policy}{tier}"));
    lab.pipe(&["apply", "-f", "-"], &format!("{tier}{policy}"));
    lab.run(&["delete", "tier", "dev"]);
    lab.run(&["delete", "np", "dev.a"]);
    lab.run(&["delete", "tier", "dev"]);
    // What is there already may stay in a tier that is gone, and be changed.
    put(
        &lab,
        &[(
            &format!("{V3}networkpolicies/default/gone.a"),
            r#"{"metadata":{"name":"gone.a","namespace":"default"},"spec":{"tier":"gone"}}"#,
        )],
    );
    let gone = object("NetworkPolicy", "gone.a", "{tier: gone, order: 7}");
    lab.pipe(&["replace", "-f", "-"], &gone);
    lab.pipe(&["apply", "-f", "-"], &gone);

    let peer = object(
        "BGPPeer",
        "rack",
        "{peerIP: 192.0.2.1, asNumber: 64512, filters: [one, two]}",
    );
    let one = object("BGPFilter", "one", "{}");
    lab.pipe(&["create", "-f", "-"], &format!("{one}{peer}"));
    let two = object("BGPFilter", "two", "{}");
    lab.pipe(&["create", "-f", "-"], &format!("{two}{peer}"));
    lab.run(&[
        "patch",
        "bgppeer",
        "rack",
        "-p",
        r#"{"spec": {"filters": ["three"]}}"#,
    ]);

    let kubernetes = object("NetworkPolicy", "knp.default.web", "{}");
    lab.pipe(&["create", "-f", "-"], &kubernetes);
    lab.run(&["delete", "np", "knp.default.web"]);
    let profile = object(
        "Profile",
        "projectcalico-default-allow",
        "{labelsToApply: {a: b}}",
    );
    lab.pipe(&["create", "-f", "-"], &profile);
    lab.pipe(&["apply", "-f", "-"], &profile);
    insta::assert_snapshot!(lab.transcript());
}

#[test]
fn pools_keep_clear_of_others_and_give_up_their_blocks() {
    let mut lab = Lab::new();
    let pool = |name: &str, spec: &str| object("IPPool", name, spec);
    lab.pipe(&["apply", "-f", "-"], &pool("a", "{cidr: 10.0.0.0/16}"));
    lab.pipe(
        &["create", "-f", "-"],
        &[
            pool("b", "{cidr: 10.0.128.0/17}"),
            pool("c", "{cidr: 10.1.0.0/16}"),
        ]
        .concat(),
    );
    // A block that is in use, and one that is not, both of one node; and one of another pool.
    put(
        &lab,
        &[
            (
                "/calico/ipam/v2/assignment/ipv4/block/10.0.0.0-26",
                &block(
                    "10.0.0.0/26",
                    "host:n1",
                    r#"{"handle_id":"h","secondary":{}}"#,
                ),
            ),
            (
                "/calico/ipam/v2/assignment/ipv4/block/10.0.0.64-26",
                &block("10.0.0.64/26", "host:n1", ""),
            ),
            (
                "/calico/ipam/v2/assignment/ipv4/block/10.1.0.0-26",
                &block("10.1.0.0/26", "host:n1", ""),
            ),
            (
                "/calico/ipam/v2/handle/h",
                r#"{"handleID":"h","block":{"10.0.0.0/26":1},"deleted":false}"#,
            ),
            ("/calico/ipam/v2/host/n1/ipv4/block/10.0.0.0-26", CONFIRMED),
            ("/calico/ipam/v2/host/n1/ipv4/block/10.0.0.64-26", CONFIRMED),
            ("/calico/ipam/v2/host/n1/ipv4/block/10.1.0.0-26", CONFIRMED),
        ],
    );
    lab.run(&["delete", "ippool", "a"]);
    let left = keys(&lab, "/calico/ipam/v2/").join("\n");
    lab.pipe(
        &["create", "-f", "-"],
        &pool("d", "{cidr: 10.0.0.0/16, blockSize: 28}"),
    );
    lab.run(&["delete", "ippool", "none"]);
    insta::assert_snapshot!(format!("{}{left}", lab.transcript()));
}

const CONFIRMED: &str = r#"{"state":"confirmed","deleted":false}"#;

/// A stored block whose first address has an owner, if one is given.
fn block(cidr: &str, affinity: &str, attribute: &str) -> String {
    let free = |from: usize| {
        (from..64)
            .map(|n| n.to_string())
            .collect::<Vec<_>>()
            .join(",")
    };
    let nulls = |count: usize| vec!["null"; count].join(",");
    let (allocations, unallocated, attributes) = match attribute {
        "" => (nulls(64), free(0), String::new()),
        used => (format!("0,{}", nulls(63)), free(1), used.to_owned()),
    };
    format!(
        r#"{{"cidr":"{cidr}","affinity":"{affinity}","allocations":[{allocations}],"unallocated":[{unallocated}],"attributes":[{attributes}],"deleted":false}}"#
    )
}

#[test]
fn a_node_takes_along_what_is_its_own() {
    let mut lab = Lab::new();
    let endpoint = |node: &str, address: &str| {
        object(
            "WorkloadEndpoint",
            "\"\"",
            &format!(
                "{{node: {node}, orchestrator: cni, containerID: c, endpoint: eth0, interfaceName: cali1, ipNetworks: [{address}/32]}}"
            ),
        )
    };
    let files = [
        object("Node", "n1", "{ipv4VXLANTunnelAddr: 10.0.0.1}"),
        object("Node", "n1-b", "{}"),
        endpoint("n1", "10.0.0.0"),
        endpoint("n1-b", "10.0.0.2"),
        object("HostEndpoint", "h1", "{node: n1, interfaceName: eth0}"),
        object("HostEndpoint", "h2", "{node: n1-b, interfaceName: eth0}"),
        object(
            "BGPPeer",
            "p1",
            "{node: n1, peerIP: 192.0.2.1, asNumber: 64512}",
        ),
        object("BGPPeer", "p2", "{peerIP: 192.0.2.1, asNumber: 64512}"),
        object("FelixConfiguration", "node.n1", "{}"),
        object("FelixConfiguration", "default", "{}"),
        object("BGPConfiguration", "node.n1", "{}"),
    ];
    lab.pipe(&["apply", "-f", "-"], &files.concat());
    put(
        &lab,
        &[
            (
                "/calico/ipam/v2/assignment/ipv4/block/10.0.0.0-26",
                &block(
                    "10.0.0.0/26",
                    "host:n1",
                    r#"{"handle_id":"h","secondary":{}}"#,
                ),
            ),
            (
                "/calico/ipam/v2/handle/h",
                r#"{"handleID":"h","block":{"10.0.0.0/26":1},"deleted":false}"#,
            ),
            ("/calico/ipam/v2/host/n1/ipv4/block/10.0.0.0-26", CONFIRMED),
        ],
    );
    lab.run(&["delete", "node", "n1"]);
    let left = keys(&lab, "/calico/");
    let built_in = ["/tiers/", "/profiles/", "/clusterinformations/"];
    let left: Vec<&str> = left
        .iter()
        .map(String::as_str)
        .filter(|key| !built_in.iter().any(|part| key.contains(part)))
        .collect();
    lab.run(&["delete", "node", "n1"]);
    insta::assert_snapshot!(format!("{}{}", lab.transcript(), left.join("\n")));
}

#[test]
fn policies_of_older_releases_go_by_the_name_that_lists_show() {
    let mut lab = Lab::new();
    lab.pipe(
        &["apply", "-f", "-"],
        &object("GlobalNetworkPolicy", "new", "{}"),
    );
    let older = |name: &str, more: &str| {
        format!(
            r#"{{"kind":"GlobalNetworkPolicy","apiVersion":"projectcalico.org/v3","metadata":{{"name":"default.{name}"{more}}},"spec":{{"tier":"default","order":1}}}}"#
        )
    };
    let own = r#","annotations":{"projectcalico.org/metadata":"{\"name\":\"default.own\"}"}"#;
    put(
        &lab,
        &[
            (
                &format!("{V3}globalnetworkpolicies/default.old"),
                &older("old", ""),
            ),
            (
                &format!("{V3}globalnetworkpolicies/default.gone"),
                &older("gone", ""),
            ),
            // Not an older one: its author calls it so.
            (
                &format!("{V3}globalnetworkpolicies/default.own"),
                &older("own", own),
            ),
        ],
    );
    lab.run(&["get", "gnp"]);
    lab.run(&["get", "gnp", "old", "-o", "name"]);
    lab.run(&["get", "gnp", "default.old", "-o", "name"]);
    lab.run(&["get", "gnp", "own"]);
    lab.run(&["label", "gnp", "old", "a=b"]);
    let old = object("GlobalNetworkPolicy", "old", "{order: 2}");
    lab.pipe(&["create", "-f", "-"], &old);
    lab.pipe(&["apply", "-f", "-"], &old);
    lab.run(&[
        "get",
        "gnp",
        "old",
        "-o",
        "custom-columns=NAME:.metadata.name,ORDER:.spec.order",
    ]);
    lab.run(&["delete", "gnp", "gone"]);
    lab.run(&["delete", "gnp", "own"]);
    let named = object("GlobalNetworkPolicy", "default.named", "{}");
    lab.pipe(&["create", "-f", "-"], &named);
    lab.run(&["get", "gnp", "default.named", "-o", "name"]);
    let before = keys(&lab, &format!("{V3}globalnetworkpolicies/"));
    lab.run(&["datastore", "migrate-policy-names"]);
    let after = keys(&lab, &format!("{V3}globalnetworkpolicies/"));
    insta::assert_snapshot!(format!(
        "{}{}\n\n{}",
        lab.transcript(),
        before.join("\n"),
        after.join("\n")
    ));
}
