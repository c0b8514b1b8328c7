//! The `ipam` commands on a store whose entries are upstream's bytes.

mod support;

use datastore::{Datastore, EmbeddedStore, Write, block_on_ready};
use support::Lab;

const OBJECTS: &str = "\
{apiVersion: projectcalico.org/v3, kind: IPPool, metadata: {name: main}, spec: {cidr: 10.244.0.0/24}}
---
{apiVersion: projectcalico.org/v3, kind: IPReservation, metadata: {name: r}, spec: {reservedCIDRs: [10.244.0.0/30]}}
---
apiVersion: projectcalico.org/v3
kind: WorkloadEndpoint
metadata: {namespace: default}
spec: {node: n1, orchestrator: k8s, pod: web, endpoint: eth0, interfaceName: cali1, ipNetworks: [10.244.0.5/32]}
---
apiVersion: projectcalico.org/v3
kind: WorkloadEndpoint
metadata: {namespace: default}
spec: {node: n1, orchestrator: k8s, pod: rogue, endpoint: eth0, interfaceName: cali2, ipNetworks: [10.244.0.9/32]}
";

/// A block of n1 with three addresses: of a running pod, of a pod that is gone, and one that another node borrowed.
#[expect(clippy::unwrap_used, reason = "what fails here fails the test")]
fn seed(lab: &Lab) {
    lab.file("objects.yaml", OBJECTS);
    assert_eq!(lab.quiet(&["apply", "-f", "DIR/objects.yaml"], "").code, 0);
    let mut allocations = vec!["null"; 64];
    (allocations[5], allocations[6], allocations[7]) = ("0", "1", "2");
    let free: Vec<String> = (0..64)
        .filter(|n| !(5..8).contains(n))
        .map(|n| n.to_string())
        .collect();
    let owner = |handle: &str, pod: &str, node: &str| {
        format!(
            r#"{{"handle_id":"{handle}","secondary":{{"namespace":"default","node":"{node}","pod":"{pod}","timestamp":"2026-01-01 00:00:00 +0000 UTC"}}}}"#
        )
    };
    let block = format!(
        r#"{{"cidr":"10.244.0.0/26","affinity":"host:n1","allocations":[{}],"unallocated":[{}],"attributes":[{},{},{}],"deleted":false,"sequenceNumber":3,"sequenceNumberForAllocation":{{"5":0,"6":1,"7":2}}}}"#,
        allocations.join(","),
        free.join(","),
        owner("net.web", "web", "n1"),
        owner("net.gone", "gone", "n1"),
        owner("net.far", "far", "n2"),
    );
    let handle = |id: &str| {
        let value =
            format!(r#"{{"handleID":"{id}","block":{{"10.244.0.0/26":1}},"deleted":false}}"#);
        Write::create(format!("/calico/ipam/v2/handle/{id}"), value)
    };
    let writes = [
        Write::create("/calico/ipam/v2/assignment/ipv4/block/10.244.0.0-26", block),
        Write::create(
            "/calico/ipam/v2/host/n1/ipv4/block/10.244.0.0-26",
            r#"{"state":"confirmed","deleted":"false"}"#,
        ),
        handle("net.web"),
        handle("net.gone"),
        handle("net.far"),
    ];
    let store = EmbeddedStore::open(lab.store()).unwrap();
    block_on_ready(store.commit(&writes)).unwrap();
}

#[test]
fn show_check_release_configure() {
    let mut lab = Lab::new();
    seed(&lab);
    for args in [
        &["ipam", "show"][..],
        &["ipam", "show", "--show-blocks"],
        &["ipam", "show", "--ip", "10.244.0.5"],
        &["ipam", "show", "--ip", "10.244.0.50"],
        &["ipam", "show", "--ip", "nonsense"],
        &["ipam", "show", "--show-borrowed"],
        &["ipam", "show", "--show-configuration"],
        &["ipam", "check", "--show-problem-ips"],
        &[
            "ipam",
            "check",
            "--show-all-ips",
            "--exit-codes=extended",
            "-o",
            "DIR/report.json",
        ],
        &["ipam", "release"],
        &["ipam", "release", "--ip", "10.244.0.6"],
        &[
            "ipam",
            "release",
            "--ip",
            "10.244.0.6",
            "--exit-codes=extended",
        ],
        &["ipam", "show", "--ip", "10.244.0.6"],
        &["ipam", "show"],
        &["ipam", "configure"],
        &[
            "ipam",
            "configure",
            "--strictaffinity=true",
            "--max-blocks-per-host=3",
        ],
        &["ipam", "configure", "--strictaffinity=maybe"],
        &["ipam", "configure", "--max-blocks-per-host=-1"],
        &["ipam", "configure", "--max-blocks-per-host=2000000"],
        &["ipam", "configure", "--kubevirt-ip-persistence=Sometimes"],
        &["ipam", "configure", "--ip-cooldown-seconds=-5"],
        &[
            "ipam",
            "configure",
            "--kubevirt-ip-persistence=Disabled",
            "--ip-cooldown-seconds=60",
        ],
        &["ipam", "show", "--show-configuration"],
        &["get", "ipamconfig", "-o", "wide"],
        &["get", "blockaffinity"],
    ] {
        lab.run(args);
    }
    let report = std::fs::read_to_string(lab.path("report.json")).unwrap();
    let report = support::same(&report, &lab.path(""));
    let transcript = lab.transcript();
    insta::assert_snapshot!(format!("{transcript}{report}"));
}

#[test]
fn release_from_reports() {
    let mut lab = Lab::new();
    seed(&lab);
    let store = EmbeddedStore::open(lab.store()).unwrap();
    let idle = r#"{"handleID":"net.idle","block":{},"deleted":false}"#;
    block_on_ready(store.commit(&[Write::create("/calico/ipam/v2/handle/net.idle", idle)]))
        .unwrap();
    let check = |file: &str| {
        let code = lab.quiet(&["ipam", "check", "-o", file], "").code;
        assert_eq!(code, 0);
    };
    check("DIR/open.json");
    let by = |lab: &mut Lab, more: &[&str]| {
        lab.run(&[&["ipam", "release", "--from-report"], more].concat());
    };
    by(&mut lab, &["DIR/missing.json"]);
    by(&mut lab, &["DIR/open.json"]);
    lab.run(&["datastore", "migrate", "lock"]);
    by(&mut lab, &["DIR/open.json"]);
    let check = |lab: &Lab, file: &str| {
        assert_eq!(lab.quiet(&["ipam", "check", "-o", file], "").code, 0);
    };
    check(&lab, "DIR/locked.json");
    let report = std::fs::read_to_string(lab.path("locked.json")).unwrap();
    lab.file("old.json", &report.replace("v3.33.0", "v3.20.1"));
    lab.file(
        "other.json",
        &report.replace("\"clusterGUID\": \"", "\"clusterGUID\": \"0"),
    );
    by(&mut lab, &["DIR/old.json"]);
    by(&mut lab, &["DIR/other.json", "--force"]);
    by(
        &mut lab,
        &[
            "DIR/old.json",
            "--from-report",
            "DIR/locked.json",
            "--force",
        ],
    );
    by(&mut lab, &["DIR/locked.json"]);
    lab.run(&[
        "ipam",
        "release",
        "--ip",
        "10.244.0.5",
        "--from-report",
        "DIR/locked.json",
    ]);
    lab.run(&["ipam", "check", "--show-all-ips"]);
    insta::assert_snapshot!(lab.transcript());
}

/// A block of addresses of services: one was given to `web/shop`.
#[expect(clippy::unwrap_used, reason = "what fails here fails the test")]
fn seed_service(lab: &Lab) {
    let store = EmbeddedStore::open(lab.store()).unwrap();
    let free: Vec<String> = (1..64).map(|n| n.to_string()).collect();
    let block = format!(
        r#"{{"cidr":"10.244.0.64/26","affinity":"virtual:load-balancer","allocations":[0{}],"unallocated":[{}],"attributes":[{{"handle_id":"lb-x","secondary":{{"service":"shop","namespace":"web","type":"LoadBalancer"}}}}],"deleted":false,"sequenceNumber":1,"sequenceNumberForAllocation":{{"0":0}}}}"#,
        ",null".repeat(63),
        free.join(",")
    );
    let handle = r#"{"handleID":"lb-x","block":{"10.244.0.64/26":1},"deleted":false}"#;
    let writes = [
        Write::create(
            "/calico/ipam/v2/assignment/ipv4/block/10.244.0.64-26",
            block,
        ),
        Write::create("/calico/ipam/v2/handle/lb-x", handle),
    ];
    block_on_ready(store.commit(&writes)).unwrap();
}

/// An address of a service is in no endpoint, and yet not leaked.
#[test]
fn addresses_of_services_are_not_released() {
    let mut lab = Lab::new();
    seed(&lab);
    seed_service(&lab);
    let checked = lab.quiet(&["ipam", "check", "--show-all-ips"], "").out;
    assert!(
        checked.contains("10.244.0.64 belongs to Service(web/shop)"),
        "{checked}"
    );
    assert!(!checked.contains("10.244.0.64 leaked"), "{checked}");
    lab.run(&["ipam", "show", "--ip", "10.244.0.64"]);
    insta::assert_snapshot!(lab.transcript());
}

/// With a controller for them the services themselves say what they use.
#[test]
fn addresses_of_services_are_compared_with_the_services() {
    let mut lab = Lab::new();
    seed(&lab);
    seed_service(&lab);
    let controllers = |assign| {
        format!(
            "apiVersion: projectcalico.org/v3\nkind: KubeControllersConfiguration\nmetadata: {{name: default}}\n\
             spec: {{controllers: {{loadBalancer: {{assignIPs: {assign}}}}}}}\n"
        )
    };
    let service = |addresses: &str| {
        format!(
            "---\napiVersion: v1\nkind: Service\nmetadata: {{name: shop, namespace: web}}\nspec: {{type: LoadBalancer}}\n\
             status: {{loadBalancer: {{ingress: [{addresses}]}}}}\n"
        )
    };
    let check = ["ipam", "check", "--show-all-ips"];
    let all = controllers("AllServices");
    lab.quiet(&["apply", "-f", "-"], &all);
    let without = lab.quiet(&check, "").out;
    assert!(without.contains("10.244.0.64 leaked"), "{without}");
    let both = "{ip: 10.244.0.64}, {ip: 10.244.0.65}, {hostname: h}";
    lab.quiet(&["apply", "-f", "-"], &(all + &service(both)));
    lab.run(&check);
    lab.quiet(&["apply", "-f", "-"], &controllers("RequestedServicesOnly"));
    let asked = lab.quiet(&check, "").out;
    assert!(asked.contains("10.244.0.64 leaked"), "{asked}");
    insta::assert_snapshot!(lab.transcript());
}

#[test]
fn split_a_pool() {
    let mut lab = Lab::new();
    seed(&lab);
    lab.run(&["ipam", "split", "2"]);
    lab.run(&["ipam", "split", "three", "--name", "main"]);
    lab.run(&["ipam", "split", "3", "--name", "main"]);
    lab.run(&["ipam", "split", "2", "--name", "main"]);
    lab.run(&["datastore", "migrate", "lock"]);
    lab.run(&["ipam", "split", "2", "--name", "nope"]);
    lab.run(&["ipam", "split", "2", "--cidr", "10.99.0.0/16"]);
    lab.run(&[
        "ipam",
        "split",
        "2",
        "--name",
        "main",
        "--cidr",
        "10.99.0.0/16",
    ]);
    lab.run(&["ipam", "split", "8", "--name", "main"]);
    lab.run(&["get", "ippools"]);
    lab.run(&["ipam", "split", "2", "--cidr", "10.244.0.0/24"]);
    lab.run(&["get", "ippools", "-o", "wide"]);
    lab.run(&["ipam", "show", "--show-blocks"]);
    lab.run(&["datastore", "migrate", "unlock"]);
    insta::assert_snapshot!(lab.transcript());
}

/// Cut off after some of the new pools stood, on a store that makes no transactions: the same command completes it.
#[test]
fn a_split_that_was_cut_off_is_completed() {
    let mut lab = Lab::new();
    seed(&lab);
    assert_eq!(lab.quiet(&["datastore", "migrate", "lock"], "").code, 0);
    let pool = lab.quiet(&["get", "pool", "main", "-o", "json"], "").out;
    let half = pool
        .replace("\"name\": \"main\"", "\"name\": \"split-main-0\"")
        .replace("10.244.0.0/24", "10.244.0.0/25");
    let store = EmbeddedStore::open(lab.store()).unwrap();
    let key = "/calico/resources/v3/projectcalico.org/ippools/split-main-0";
    block_on_ready(store.commit(&[Write::create(key, half.as_bytes())])).unwrap();
    lab.run(&["ipam", "split", "4", "--name", "main"]);
    lab.run(&["get", "ippools"]);
    lab.run(&["ipam", "split", "2", "--name", "main"]);
    lab.run(&["get", "ippools"]);
    insta::assert_snapshot!(lab.transcript());
}
