//! The real executable against a real Kubernetes API server, with the rights of its own service account.

#[expect(dead_code, reason = "the other tests need the rest")]
mod lab;

use std::os::fd::{AsFd as _, AsRawFd as _};
use std::path::PathBuf;

use lab::{Answer, Conf, Lab, can_run};
use linux::netns::{NetNs, in_netns};
use linux::route::{LinkRef, RouteSocket};
use serde_json::{Value, json};
use testkit::servers::{KubernetesOptions, Place, RealKubernetes, User};

const OBJECTS: &str = "\
apiVersion: v1
kind: Node
metadata: {name: node1}
spec: {podCIDR: 10.77.1.0/24, podCIDRs: [10.77.1.0/24, 'fd77::/64']}
---
apiVersion: v1
kind: Namespace
metadata: {name: shop}
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
---
apiVersion: crd.projectcalico.org/v1
kind: IPPool
metadata: {name: other}
spec: {cidr: 10.66.0.0/24, blockSize: 26, ipipMode: Never, vxlanMode: Never, nodeSelector: all(), allowedUses: [Workload], assignmentMode: Manual}
---
apiVersion: crd.projectcalico.org/v1
kind: IPPool
metadata: {name: six}
spec: {cidr: 'fd66::/112', blockSize: 122, ipipMode: Never, vxlanMode: Never, nodeSelector: all(), allowedUses: [Workload], assignmentMode: Automatic}
";

/// A host and an API server in its namespace.
struct Site {
    lab: Lab,
    server: RealKubernetes,
}

impl Site {
    fn new() -> Option<Site> {
        if !can_run() {
            return None;
        }
        let lab = Lab::new();
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
        // The first list of a definition that was just made may be put off, and is asked for again; that is not to be counted.
        for kind in [
            "blockaffinities",
            "ipamblocks",
            "ipamhandles",
            "ippools",
            "ipreservations",
        ] {
            server.object(&[&format!("{kind}.crd.projectcalico.org")]);
        }
        Some(Site { lab, server })
    }

    /// A pod of namespace `shop`, with annotations.
    fn pod(&self, name: &str, annotations: &Value) {
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": name, "namespace": "shop", "labels": {"app": "web"}, "annotations": annotations},
            "spec": {
                "nodeName": "node1", "serviceAccountName": "robot",
                "containers": [{"name": "c", "image": "i", "ports": [{"name": "http", "containerPort": 8080}]}],
            },
        });
        self.server.apply(&pod.to_string());
    }

    /// The network's configuration, with the API server as the store.
    fn conf(&self, changes: &Conf) -> Value {
        let mut all = Conf::from([
            ("datastore_type", json!("kubernetes")),
            ("datastore_file", json!("")),
            ("kubernetes", self.kubernetes()),
            // As the installers of upstream and ours write it.
            ("calico_api_group", json!("crd.projectcalico.org/v1")),
            ("policy", json!({"type": "k8s"})),
            ("ipam", json!({"type": "calico-ipam"})),
        ]);
        all.extend(changes.clone());
        self.lab.conf(&all)
    }

    fn kubernetes(&self) -> Value {
        json!({"kubeconfig": self.server.kubeconfig(User::CniPlugin)})
    }

    fn attach(&self, command: &str, container: &str, pod: &str, conf: &Value) -> Answer {
        let args = format!(
            "IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME={pod};K8S_POD_INFRA_CONTAINER_ID={container}"
        );
        let netns = self.lab.path(container);
        let netns = netns.to_str().expect("a plain path");
        self.lab.attach(command, container, netns, &args, conf)
    }

    fn annotation(&self, pod: &str, name: &str) -> Value {
        let pod = self.server.object(&["-n", "shop", "pod", pod]);
        pod["metadata"]["annotations"][format!("cni.projectcalico.org/{name}")].clone()
    }

    /// What requests a piece of work made.
    fn requests<T>(&self, work: impl FnOnce() -> T) -> (T, Vec<String>) {
        let before = self.server.requests(User::CniPlugin).len();
        let done = work();
        let mut all = self.server.requests(User::CniPlugin);
        (done, all.split_off(before))
    }

    /// A datastore that is being moved is left alone.
    fn is_left_alone_while_locked(&self, container: &str, pod: &str, conf: &Value) {
        let say = |ready: bool| {
            let spec = format!(r#"{{"spec": {{"datastoreReady": {ready}}}}}"#);
            let cluster = "clusterinformations.crd.projectcalico.org";
            let words = ["patch", cluster, "default", "--type=merge", "-p", &spec];
            self.server.kubectl(&words);
        };
        let address = self.annotation(pod, "podIP");
        say(false);
        for command in ["ADD", "DEL"] {
            let (code, text) = self.attach(command, container, pod, conf).error();
            let part = "Calico is currently not ready to process requests";
            assert!(code == 11 && text.contains(part), "{command}: {text}");
        }
        assert_eq!(self.annotation(pod, "podIP"), address);
        say(true);
    }

    /// That no address, handle or link of anything is left.
    fn assert_clean(&self) {
        assert_eq!(self.lab.links(), []);
        let handles = self.server.object(&["ipamhandles.crd.projectcalico.org"]);
        assert_eq!(handles["items"], json!([]));
        let blocks = self.server.object(&["ipamblocks.crd.projectcalico.org"]);
        for block in blocks["items"].as_array().expect("a list") {
            assert_eq!(block["spec"]["attributes"], json!([]), "{block}");
        }
    }
}

/// The addresses of a result.
fn addresses(result: &Value) -> Vec<&str> {
    let ips = result["ips"].as_array().expect("addresses");
    ips.iter()
        .map(|ip| ip["address"].as_str().expect("a text"))
        .collect()
}

fn wishes(pairs: &[(&str, &str)]) -> Value {
    let pairs = pairs
        .iter()
        .map(|(name, value)| (format!("cni.projectcalico.org/{name}"), json!(value)));
    Value::Object(pairs.collect())
}

#[test]
fn a_pod_gets_its_address_and_says_so() {
    let Some(site) = Site::new() else {
        return;
    };
    let (lab, server) = (&site.lab, &site.server);
    site.pod("web-0", &json!({}));
    site.pod("web-1", &json!({}));
    let conf = site.conf(&Conf::new());
    lab.container("c1");
    let (answer, requests) = site.requests(|| site.attach("ADD", "c1", "web-0", &conf));
    eprintln!("ADD with a new block: {}: {requests:#?}", requests.len());
    assert!(requests.len() <= 14, "{requests:#?}");
    let result = answer.result();
    let address = result["ips"][0]["address"].as_str().expect("an address");
    assert!(address.starts_with("10.65.0."), "{address}");
    assert_eq!(site.annotation("web-0", "podIP"), address);
    assert_eq!(site.annotation("web-0", "podIPs"), address);
    assert_eq!(site.annotation("web-0", "containerID"), "c1");
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

    let again = site.attach("ADD", "c1", "web-0", &conf).result();
    assert_eq!(again["ips"], result["ips"], "a repeated ADD gives the same");
    lab.container("c2");
    let (answer, requests) = site.requests(|| site.attach("ADD", "c2", "web-1", &conf));
    eprintln!(
        "ADD in a block of its own: {}: {requests:#?}",
        requests.len()
    );
    assert!(requests.len() <= 12, "{requests:#?}");
    answer.result();
    site.is_left_alone_while_locked("c1", "web-0", &conf);
    let (answer, requests) = site.requests(|| site.attach("DEL", "c1", "web-0", &conf));
    eprintln!("DEL: {}: {requests:#?}", requests.len());
    // One of them looks whether the datastore is locked, as upstream does.
    assert!(requests.len() <= 8, "{requests:#?}");
    answer.result();
    assert_eq!(
        site.annotation("web-0", "podIP"),
        "",
        "taken back, and said"
    );
    assert_eq!(site.annotation("web-0", "containerID"), "c1");
    let mut gc = conf.clone();
    gc["cni.dev/valid-attachments"] = json!([]);
    lab.run("GC", &[], &gc).result();
    assert_eq!(site.annotation("web-1", "podIP"), "");
    site.assert_clean();
    site.attach("DEL", "c2", "web-1", &conf).result();
    site.attach("DEL", "c1", "web-0", &conf).result();

    let (code, message) = site.attach("ADD", "c1", "nobody", &conf).error();
    assert_eq!(code, 11, "{message}");
    assert!(message.contains("has no pod shop/nobody"), "{message}");
    let netns = lab.path("c1");
    let netns = netns.to_str().expect("a plain path");
    let (code, message) = lab.attach("ADD", "c1", netns, "", &conf).error();
    assert_eq!(code, 4, "{message}");
    assert!(message.contains("CNI_ARGS names no pod"), "{message}");
    site.assert_clean();
}

#[test]
fn annotations_say_which_address_and_interface() {
    let Some(site) = Site::new() else {
        return;
    };
    let conf = site.conf(&Conf::new());
    site.lab.container("c1");
    site.lab.container("c2");
    pools_of_pod_and_namespace(&site, &conf);
    an_address_by_name_moves_with_the_pod(&site, &conf);
    addresses_that_ipam_does_not_know(&site);
    floating_addresses(&site);
    bad_annotations(&site, &conf);
}

fn pools_of_pod_and_namespace(site: &Site, conf: &Value) {
    let namespace = json!({
        "apiVersion": "v1", "kind": "Namespace",
        "metadata": {"name": "shop", "annotations": wishes(&[("ipv4pools", r#"["other"]"#), ("ipFamilies", r#"["IPv4", "IPv6"]"#)])},
    });
    site.server.apply(&namespace.to_string());
    site.pod("of-namespace", &json!({}));
    let result = site.attach("ADD", "c1", "of-namespace", conf).result();
    let both = addresses(&result);
    assert!(both[0].starts_with("10.66.0."), "{both:?}");
    assert!(both[1].starts_with("fd66::"), "{both:?}");
    assert_eq!(
        site.annotation("of-namespace", "podIPs"),
        both.join(",").as_str()
    );
    site.attach("DEL", "c1", "of-namespace", conf).result();
    site.pod(
        "of-its-own",
        &wishes(&[
            ("ipv4pools", r#"["10.65.0.0/24"]"#),
            ("ipFamilies", r#"["IPv4"]"#),
            ("hwAddr", "02:00:5e:10:00:01"),
        ]),
    );
    let result = site.attach("ADD", "c1", "of-its-own", conf).result();
    let one = addresses(&result);
    assert!(one.len() == 1 && one[0].starts_with("10.65.0."), "{one:?}");
    assert_eq!(result["interfaces"][1]["mac"], "02:00:5e:10:00:01");
    let netns = NetNs::open(&site.lab.path("c1")).expect("the container");
    let link = in_netns(&netns, || {
        let mut links = RouteSocket::open().expect("a socket");
        links.link(LinkRef::Name("eth0")).expect("readable")
    });
    let mac = link.expect("the container").and_then(|link| link.mac);
    assert_eq!(mac.expect("a MAC").to_string(), "02:00:5e:10:00:01");
    site.attach("DEL", "c1", "of-its-own", conf).result();
    site.assert_clean();
}

fn an_address_by_name_moves_with_the_pod(site: &Site, conf: &Value) {
    site.pod("fixed", &wishes(&[("ipAddrs", r#"["10.65.0.77"]"#)]));
    let result = site.attach("ADD", "c1", "fixed", conf).result();
    assert_eq!(addresses(&result), ["10.65.0.77/32"]);
    // Its sandbox is made anew before the old one's DEL has come.
    let result = site.attach("ADD", "c2", "fixed", conf).result();
    assert_eq!(addresses(&result), ["10.65.0.77/32"]);
    site.attach("DEL", "c1", "fixed", conf).result();
    assert_eq!(site.lab.links().len(), 1, "the new one stays");
    assert_eq!(site.annotation("fixed", "containerID"), "c2");
    // What another pod has is another pod's.
    site.pod("thief", &wishes(&[("ipAddrs", r#"["10.65.0.77"]"#)]));
    let (code, message) = site.attach("ADD", "c1", "thief", conf).error();
    assert_eq!(code, 100, "{message}");
    assert!(message.contains("shop/fixed"), "{message}");
    site.attach("DEL", "c1", "thief", conf).result();
    site.attach("DEL", "c2", "fixed", conf).result();
    site.assert_clean();
}

fn addresses_that_ipam_does_not_know(site: &Site) {
    let conf = site.conf(&Conf::from([(
        "feature_control",
        json!({"ip_addrs_no_ipam": true}),
    )]));
    site.pod(
        "free",
        &wishes(&[("ipAddrsNoIpam", r#"["192.0.2.7", "2001:db8::7"]"#)]),
    );
    let result = site.attach("ADD", "c1", "free", &conf).result();
    assert_eq!(addresses(&result), ["192.0.2.7/32", "2001:db8::7/128"]);
    let handles = site.server.object(&["ipamhandles.crd.projectcalico.org"]);
    assert_eq!(handles["items"], json!([]), "IPAM is not told");
    site.attach("DEL", "c1", "free", &conf).result();
    site.assert_clean();
}

fn floating_addresses(site: &Site) {
    let conf = site.conf(&Conf::from([(
        "feature_control",
        json!({"floating_ips": true}),
    )]));
    site.pod(
        "floating",
        &wishes(&[
            ("floatingIPs", r#"["192.0.2.9"]"#),
            ("ipFamilies", r#"["IPv4"]"#),
        ]),
    );
    site.attach("ADD", "c1", "floating", &conf).result();
    site.attach("DEL", "c1", "floating", &conf).result();
    site.assert_clean();
}

fn bad_annotations(site: &Site, conf: &Value) {
    for (pod, name, value, words) in [
        ("bad-0", "ipAddrs", "10.0.0.1", "no JSON list"),
        (
            "bad-1",
            "ipAddrs",
            r#"["10.9.9.9"]"#,
            "10.9.9.9 is in no IP pool",
        ),
        (
            "bad-2",
            "ipAddrsNoIpam",
            r#"["10.9.9.9"]"#,
            "requested feature is not enabled: ip_addrs_no_ipam",
        ),
        (
            "bad-3",
            "floatingIPs",
            r#"["10.9.9.9"]"#,
            "requested feature is not enabled: floating_ips",
        ),
        ("bad-4", "hwAddr", "nonsense", "no MAC address"),
        ("bad-5", "ipv4pools", r#"["nowhere"]"#, "nowhere"),
        ("bad-6", "ipFamilies", r#"["IPv5"]"#, "no family"),
        (
            "bad-7",
            "allowedSourcePrefixes",
            r#"["10.9.9.9"]"#,
            "no network",
        ),
    ] {
        site.pod(pod, &wishes(&[(name, value)]));
        let (_, message) = site.attach("ADD", "c1", pod, conf).error();
        assert!(message.contains(words), "{message}");
        assert_eq!(site.annotation(pod, "podIP"), Value::Null);
        site.assert_clean();
    }
}

#[test]
fn a_store_beside_the_api_server() {
    let Some(site) = Site::new() else {
        return;
    };
    site.lab.container("c1");
    site.pod(
        "web-0",
        &wishes(&[
            ("ipAddrs", r#"["10.65.0.9"]"#),
            ("allowedSourcePrefixes", r#"["10.9.0.0/16"]"#),
        ]),
    );
    let conf = site.lab.conf(&Conf::from([
        ("policy", json!({"type": "k8s"})),
        ("kubernetes", site.kubernetes()),
    ]));
    let (answer, requests) = site.requests(|| site.attach("ADD", "c1", "web-0", &conf));
    assert_eq!(addresses(&answer.result()), ["10.65.0.9/32"]);
    assert!(requests.len() <= 3, "{requests:#?}");
    let endpoint = &site.lab.objects("/workloadendpoints/")[0];
    assert_eq!(endpoint["metadata"]["labels"]["app"], "web");
    let spec = &endpoint["spec"];
    assert_eq!(spec["profiles"], json!(["kns.shop", "ksa.shop.robot"]));
    assert_eq!(spec["serviceAccountName"], "robot");
    assert_eq!(spec["ports"][0]["name"], "http");
    assert_eq!(spec["allowSpoofedSourcePrefixes"], json!(["10.9.0.0/16"]));
    site.attach("DEL", "c1", "web-0", &conf).result();
    site.lab.assert_clean();
    pod_cidrs(&site);
}

fn pod_cidrs(site: &Site) {
    if !std::path::Path::new("/usr/lib/cni/host-local").exists() {
        eprintln!("SKIPPED: host-local is not installed");
        return;
    }
    let mut conf = site.conf(&Conf::from([(
        "ipam",
        json!({
            "type": "host-local", "dataDir": site.lab.dir.path().join("host-local"),
            "ranges": [[{"subnet": "usePodCidr"}], [{"subnet": "usePodCidrIPv6"}]],
        }),
    )]));
    // The distribution's is of that version.
    conf["cniVersion"] = json!("1.0.0");
    site.pod("local", &json!({}));
    let result = site.attach("ADD", "c1", "local", &conf).result();
    let both = addresses(&result);
    assert!(both[0].starts_with("10.77.1."), "{both:?}");
    assert!(both[1].starts_with("fd77::"), "{both:?}");
    let mut checked = conf.clone();
    checked["prevResult"] = result.clone();
    site.attach("CHECK", "c1", "local", &checked).result();
    site.attach("DEL", "c1", "local", &conf).result();
    assert_eq!(site.lab.links(), []);
}
