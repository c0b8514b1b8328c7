//! The real executable against a real Kubernetes API server, with the rights of its own service account.

#[expect(dead_code, reason = "the other tests need the rest")]
mod lab;

use std::os::fd::{AsFd as _, AsRawFd as _};
use std::path::PathBuf;

use lab::{Conf, Lab, can_run};
use serde_json::{Value, json};
use testkit::servers::{KubernetesOptions, Place, RealKubernetes, User};

const POD: &str =
    "IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web-0;K8S_POD_INFRA_CONTAINER_ID=c1";

const OBJECTS: &str = "\
apiVersion: v1
kind: Node
metadata: {name: node1}
---
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: v1
kind: Pod
metadata: {name: web-0, namespace: shop}
spec: {nodeName: node1, serviceAccountName: robot, containers: [{name: c, image: i}]}
---
apiVersion: crd.projectcalico.org/v1
kind: ClusterInformation
metadata: {name: default}
spec: {datastoreReady: true}
---
apiVersion: crd.projectcalico.org/v1
kind: IPPool
metadata: {name: four}
spec: {cidr: 10.65.0.0/24, blockSize: 26, ipipMode: Never, vxlanMode: Never, nodeSelector: all(), allowedUses: [Workload], assignmentMode: Automatic}
";

/// The API server in the host's namespace.
fn cluster(lab: &Lab) -> Option<RealKubernetes> {
    let namespace = format!(
        "/proc/{}/fd/{}",
        std::process::id(),
        lab.host.as_fd().as_raw_fd()
    );
    let place = Place {
        namespace: Some(PathBuf::from(namespace)),
        ..Place::default()
    };
    let server = RealKubernetes::start_with(KubernetesOptions {
        place,
        ..KubernetesOptions::default()
    })?;
    server.install_definitions("v1");
    server.apply(OBJECTS);
    Some(server)
}

fn annotation(server: &RealKubernetes, name: &str) -> Value {
    let pod = server.object(&["-n", "shop", "pod", "web-0"]);
    pod["metadata"]["annotations"][format!("cni.projectcalico.org/{name}")].clone()
}

#[test]
fn a_pod_gets_its_address_and_says_so() {
    if !can_run() {
        return;
    }
    let lab = Lab::new();
    let Some(server) = cluster(&lab) else {
        return;
    };
    let netns = lab.container("a");
    let netns = netns.to_str().expect("a plain path");
    let conf = lab.conf(&Conf::from([
        ("datastore_type", json!("kubernetes")),
        ("datastore_file", json!("")),
        (
            "kubernetes",
            json!({"kubeconfig": server.kubeconfig(User::CniPlugin)}),
        ),
        ("ipam", json!({"type": "calico-ipam"})),
    ]));
    let answer = lab.attach("ADD", "c1", netns, POD, &conf);
    let requests = server.requests(User::CniPlugin);
    eprintln!("ADD: {} requests: {requests:?}", requests.len());
    let result = answer.result();
    let address = result["ips"][0]["address"].as_str().expect("an address");
    assert!(address.starts_with("10.65.0."), "{address}");
    assert_eq!(annotation(&server, "podIP"), address);
    assert_eq!(annotation(&server, "podIPs"), address);
    assert_eq!(annotation(&server, "containerID"), "c1");
    let name = format!("cali{}", api::interface_digest("shop.web-0"));
    assert_eq!(result["interfaces"][0]["name"], name.as_str());

    // As upstream lays them out.
    let affinity = server.object(&["blockaffinities.crd.projectcalico.org"]);
    let spec = &affinity["items"][0]["spec"];
    assert_eq!(
        (&spec["node"], &spec["state"], &spec["deleted"]),
        (&json!("node1"), &json!("confirmed"), &json!("false"))
    );
    let handle = server.object(&["ipamhandles.crd.projectcalico.org", "net1.c1"]);
    assert_eq!(handle["spec"]["handleID"], "net1.c1");
    let block = server.object(&["ipamblocks.crd.projectcalico.org"]);
    let spec = &block["items"][0]["spec"];
    assert_eq!(spec["affinity"], "host:node1");
    assert_eq!(spec["attributes"][0]["secondary"]["pod"], "web-0");

    let again = lab.attach("ADD", "c1", netns, POD, &conf).result();
    assert_eq!(again["ips"], result["ips"], "a repeated ADD gives the same");
    let before = server.requests(User::CniPlugin).len();
    lab.attach("DEL", "c1", netns, POD, &conf).result();
    eprintln!(
        "DEL: {} requests",
        server.requests(User::CniPlugin).len() - before
    );
    assert_eq!(annotation(&server, "podIP"), "", "taken back, and said");
    assert_eq!(annotation(&server, "containerID"), "c1");
    assert_eq!(lab.links(), []);
    let handles = server.object(&["ipamhandles.crd.projectcalico.org"]);
    assert_eq!(handles["items"], json!([]));
    lab.attach("DEL", "c1", netns, POD, &conf).result();
}
