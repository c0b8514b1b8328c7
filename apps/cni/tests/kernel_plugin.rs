//! The real executable, with a real environment, on a real kernel.

#[expect(dead_code, reason = "the other tests need the rest")]
mod lab;

use std::net::IpAddr;

use lab::{Conf, Lab, can_run};
use linux::netns::in_netns;
use linux::route::{Address, LinkRef, RouteSocket, Veth, VethEnd};
use model::{ClusterInformation, Key, Resource};
use serde_json::{Value, json};

const POD: &str =
    "IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web-0;K8S_POD_INFRA_CONTAINER_ID=c1";

fn none() -> Conf {
    Conf::new()
}

fn text(path: &std::path::Path) -> &str {
    path.to_str().expect("a plain path")
}

#[test]
fn add_and_del_dual_stack() {
    if !can_run() {
        return;
    }
    let lab = Lab::new();
    let netns = lab.container("a");
    let conf = lab.conf(&Conf::from([
        ("labels", json!({"tier": "static"})),
        (
            "args",
            json!({"cni": {"labels": [{"key": "app", "value": "web"}]}}),
        ),
    ]));
    let answer = lab.attach("ADD", "0123456789abcdef", text(&netns), "", &conf);
    assert!(
        answer.stderr.contains("3 store requests"),
        "{}",
        answer.stderr
    );
    let result = answer.result();
    assert_eq!(result["interfaces"][0]["name"], "cali0123456789a");
    assert_eq!(result["interfaces"][1]["sandbox"], text(&netns));
    let ips: Vec<&str> = result["ips"]
        .as_array()
        .expect("ips")
        .iter()
        .filter_map(|ip| ip["address"].as_str())
        .collect();
    assert!(
        ips[0].starts_with("10.65.0.") && ips[0].ends_with("/32"),
        "{ips:?}"
    );
    assert!(
        ips[1].starts_with("fd65::") && ips[1].ends_with("/128"),
        "{ips:?}"
    );

    let [endpoint] = &lab.objects("/workloadendpoints/")[..] else {
        panic!("one endpoint")
    };
    assert_eq!(
        endpoint["metadata"]["name"],
        "node1-cni-0123456789abcdef-eth0"
    );
    assert_eq!(endpoint["metadata"]["labels"]["app"], "web");
    assert_eq!(endpoint["metadata"]["labels"]["tier"], "static");
    assert_eq!(endpoint["spec"]["profiles"], json!(["net1"]));
    assert_eq!(endpoint["spec"]["ipNetworks"], json!(ips));
    let [profile] = &lab.objects("/profiles/")[..] else {
        panic!("one profile")
    };
    assert_eq!(
        profile["spec"]["ingress"][0]["source"]["selector"],
        "has(net1)"
    );
    assert_eq!(lab.objects("/handle/net1.0123456789abcdef").len(), 1);

    in_netns(&lab.host, || {
        let mut links = RouteSocket::open().expect("a socket");
        let lo = links
            .link(LinkRef::Name("lo"))
            .expect("read")
            .expect("there");
        links
            .change(|c| {
                c.add_address(&Address::host(lo.index, [10, 99, 0, 1].into()));
                c.add_address(&Address::host(
                    lo.index,
                    "fd99::1".parse().expect("an address"),
                ));
            })
            .expect("addresses");
    })
    .expect("the host");
    lab.exchange(&netns, [10, 99, 0, 1].into());
    lab.exchange(&netns, "fd99::1".parse::<IpAddr>().expect("an address"));

    let mut checked = conf.clone();
    checked["prevResult"] = result.clone();
    lab.attach("CHECK", "0123456789abcdef", text(&netns), "", &checked)
        .result();
    let again = lab
        .attach("ADD", "0123456789abcdef", text(&netns), "", &conf)
        .result();
    assert_eq!(again["ips"], result["ips"], "a repeated ADD gives the same");
    assert_eq!(lab.links().len(), 1);

    lab.attach("DEL", "0123456789abcdef", text(&netns), "", &conf)
        .result();
    lab.assert_clean();
    lab.attach("DEL", "0123456789abcdef", text(&netns), "", &conf)
        .result();
    lab.attach("DEL", "0123456789abcdef", "", "", &conf)
        .result();
    lab.delete_container("a");
    lab.attach("DEL", "0123456789abcdef", text(&netns), "", &conf)
        .result();
    let (code, message) = lab
        .attach("CHECK", "0123456789abcdef", text(&netns), "", &checked)
        .error();
    assert_eq!(code, 3, "{message}");
}

#[test]
fn pods_have_their_namespace_and_account() {
    if !can_run() {
        return;
    }
    let lab = Lab::new();
    let (first, second) = (lab.container("a"), lab.container("b"));
    lab.apply(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}));
    let conf = lab.conf(&none());
    let one = lab.attach("ADD", "c1", text(&first), POD, &conf).result();
    // SHA-1 of "shop.web-0".
    let [endpoint] = &lab.objects("/workloadendpoints/shop/")[..] else {
        panic!("one endpoint")
    };
    assert_eq!(endpoint["metadata"]["name"], "node1-k8s-web--0-eth0");
    assert_eq!(
        endpoint["spec"]["profiles"],
        json!(["kns.shop", "ksa.shop.default"])
    );
    assert_eq!(
        endpoint["spec"]["interfaceName"],
        one["interfaces"][0]["name"]
    );
    assert_eq!(lab.objects("/profiles/"), [] as [Value; 0]);

    // The pod's next sandbox comes before the DEL of this one.
    let two = lab.attach("ADD", "c2", text(&second), POD, &conf).result();
    assert_ne!(one["ips"], two["ips"]);
    lab.attach("DEL", "c1", text(&first), POD, &conf).result();
    let [endpoint] = &lab.objects("/workloadendpoints/shop/")[..] else {
        panic!("one endpoint")
    };
    assert_eq!(endpoint["spec"]["containerID"], "c2");
    assert_eq!(
        lab.links().len(),
        1,
        "a late DEL leaves the later container alone"
    );
    assert_eq!(lab.objects("/handle/").len(), 1);
    lab.attach("DEL", "c2", text(&second), POD, &conf).result();
    lab.assert_clean();

    // A store without Namespaces has the profile that stands for one.
    lab.apply(json!({"apiVersion": "projectcalico.org/v3", "kind": "Profile", "metadata": {"name": "kns.etcd"}, "spec": {}}));
    let args = "K8S_POD_NAMESPACE=etcd;K8S_POD_NAME=web-0";
    lab.attach("ADD", "c3", text(&first), args, &conf).result();
    let [endpoint] = &lab.objects("/workloadendpoints/etcd/")[..] else {
        panic!("one endpoint")
    };
    assert_eq!(endpoint["spec"]["orchestrator"], "k8s");
    lab.attach("DEL", "c3", text(&first), args, &conf).result();
    lab.assert_clean();
}

#[test]
fn a_failed_add_leaves_nothing() {
    if !can_run() {
        return;
    }
    let lab = Lab::new();
    let netns = lab.container("a");
    let conf = lab.conf(&none());
    let fails = |expected: u64, part: &str, netns: &str, args: &str, conf: &Value| {
        let (code, message) = lab.attach("ADD", "c1", netns, args, conf).error();
        assert_eq!(code, expected, "{message}");
        assert!(message.contains(part), "{message}");
        lab.assert_clean();
    };
    fails(
        3,
        "network namespace",
        "/run/netns/no-such-namespace",
        "",
        &conf,
    );
    fails(101, "", "/etc/hostname", "", &conf);
    fails(100, "is in no IP pool", text(&netns), "IP=192.0.2.1", &conf);
    fails(7, "is not an IP address", text(&netns), "IP=here", &conf);
    fails(
        100,
        "nowhere does not exist",
        text(&netns),
        "",
        &lab.conf(&Conf::from([(
            "ipam",
            json!({"type": "calico-ipam", "ipv4_pools": ["nowhere"]}),
        )])),
    );
    fails(
        7,
        "not the name of a plugin",
        text(&netns),
        "",
        &lab.conf(&Conf::from([("ipam", json!({"type": "../../bin/sh"}))])),
    );
    fails(
        7,
        "no IPAM plugin",
        text(&netns),
        "",
        &lab.conf(&Conf::from([("ipam", json!({"type": "no-such-plugin"}))])),
    );
    fails(
        7,
        "labels",
        text(&netns),
        "",
        &lab.conf(&Conf::from([("labels", json!({"a b": "c"}))])),
    );

    // The name is taken inside the container.
    let inside = linux::netns::NetNs::open(&netns).expect("the container");
    in_netns(&inside, || {
        let end = |name| VethEnd {
            name,
            mac: None,
            mtu: None,
        };
        let veth = Veth {
            host: end("eth0"),
            host_state: linux::route::LinkState::Down,
            peer: end("other"),
            peer_netns: None,
            queues: None,
        };
        RouteSocket::open()
            .and_then(|mut s| s.change(|c| _ = c.add_veth(&veth)))
            .expect("a pair");
    })
    .expect("the container");
    fails(101, "is in the container already", text(&netns), "", &conf);

    lab.delete_table();
    fails(11, "no table inet calico", text(&netns), "", &conf);
    let (code, _) = lab.run("STATUS", &[], &conf).error();
    assert_eq!(code, 50);
    lab.write_table();
    lab.run("STATUS", &[], &conf).result();
    fails(
        11,
        "datastore",
        text(&netns),
        "",
        &lab.conf(&Conf::from([(
            "datastore_file",
            json!("/nonexistent/store.db"),
        )])),
    );
}

#[test]
fn a_datastore_that_is_being_moved_is_left_alone() {
    if !can_run() {
        return;
    }
    let lab = Lab::new();
    let netns = lab.container("a");
    let netns = text(&netns);
    let conf = lab.conf(&Conf::from([("cni.dev/valid-attachments", json!([]))]));
    let added = lab.attach("ADD", "c1", netns, "", &conf).result();
    let kept = || ["workloadendpoints", "/ipam/v2/"].map(|part| lab.objects(part));
    let before = kept();
    let say = |ready: bool| {
        let information = ClusterInformation {
            datastore_ready: Some(ready),
            ..ClusterInformation::default()
        };
        let information = Resource::ClusterInformation(information);
        lab.put(&Key::ClusterInformation, &information);
    };
    say(false);
    for command in ["ADD", "DEL", "GC"] {
        let (code, message) = lab.attach(command, "c1", netns, "", &conf).error();
        let part = "Calico is currently not ready to process requests: datastoreReady";
        assert!(code == 11 && message.contains(part), "{command}: {message}");
    }
    assert_eq!(kept(), before, "nothing was taken out of it");
    say(true);
    lab.attach("DEL", "c1", netns, "", &conf).result();
    lab.assert_clean();
    assert!(!added["ips"].is_null());
}

#[test]
fn full_pools_and_taken_addresses() {
    if !can_run() {
        return;
    }
    let lab = Lab::new();
    lab.apply(json!({"apiVersion": "projectcalico.org/v3", "kind": "IPPool", "metadata": {"name": "tiny"}, "spec": {"cidr": "10.66.0.0/32", "blockSize": 32}}));
    let tiny = lab.conf(&Conf::from([(
        "ipam",
        json!({"type": "calico-ipam", "assign_ipv6": "true", "ipv4_pools": ["tiny"]}),
    )]));
    let (a, b) = (lab.container("a"), lab.container("b"));
    lab.attach("ADD", "c1", text(&a), "", &tiny).result();
    let before = lab.all().entries;
    let (code, message) = lab.attach("ADD", "c2", text(&b), "", &tiny).error();
    assert_eq!(code, 100);
    assert!(
        message.contains("tiny (10.66.0.0/32): 1 of 1 in use"),
        "{message}"
    );
    let (_, message) = lab
        .attach("ADD", "c2", text(&b), "IP=10.66.0.0", &tiny)
        .error();
    assert!(message.contains("in use by handle net1.c1"), "{message}");
    assert_eq!(lab.all().entries, before, "what fails writes nothing");
    lab.attach("DEL", "c1", text(&a), "", &tiny).result();
    lab.attach("ADD", "c2", text(&b), "IP=10.66.0.0", &tiny)
        .result();
    lab.attach("DEL", "c2", text(&b), "", &tiny).result();
    lab.assert_clean();
}

#[test]
fn gc_takes_what_the_runtime_does_not_know() {
    if !can_run() {
        return;
    }
    let lab = Lab::new();
    let (a, b, c) = (lab.container("a"), lab.container("b"), lab.container("c"));
    let conf = lab.conf(&none());
    let other = lab.conf(&Conf::from([("name", json!("net2"))]));
    lab.attach("ADD", "c1", text(&a), "", &conf).result();
    lab.attach("ADD", "c2", text(&b), "", &conf).result();
    lab.attach("ADD", "c3", text(&c), "", &other).result();
    let mut gc = conf.clone();
    gc["cni.dev/valid-attachments"] = json!([{"containerID": "c1", "ifname": "eth0"}]);
    lab.run("GC", &[], &gc).result();
    let names: Vec<String> = lab.links().into_iter().map(|link| link.name).collect();
    assert_eq!(names.len(), 2, "{names:?}");
    assert!(!names.contains(&"calic2".to_owned()), "{names:?}");
    assert_eq!(lab.objects("/workloadendpoints/").len(), 2);
    assert_eq!(lab.objects("/handle/net1.c2"), [] as [Value; 0]);
    gc["cni.dev/valid-attachments"] = json!([]);
    lab.run("GC", &[], &gc).result();
    lab.attach("DEL", "c3", text(&c), "", &other).result();
    lab.assert_clean();
}

#[test]
fn waits_for_the_policy_and_says_when_it_did_not_come() {
    if !can_run() {
        return;
    }
    let lab = Lab::new();
    let netns = lab.container("a");
    let status = lab.dir.path().join("status");
    let conf = lab.conf(&Conf::from([
        ("policy_setup_timeout_seconds", json!(1)),
        ("endpoint_status_dir", json!(status)),
    ]));
    let late = lab.attach("ADD", "c1", text(&netns), "", &conf);
    assert!(
        late.stderr.contains("[WARNING]")
            && late.stderr.contains("no policy for default/c1:eth0@node1"),
        "{}",
        late.stderr
    );
    late.result();
    lab.attach("DEL", "c1", text(&netns), "", &conf).result();
    std::fs::write(status.join("cni default%2Fc1 eth0"), "{}").expect("written");
    let answer = lab.attach("ADD", "c1", text(&netns), "", &conf);
    assert!(!answer.stderr.contains("WARNING"), "{}", answer.stderr);
    answer.result();
    lab.attach("DEL", "c1", text(&netns), "", &conf).result();
    lab.assert_clean();
}

#[test]
fn every_version_of_the_result() {
    if !can_run() {
        return;
    }
    let lab = Lab::new();
    let netns = lab.container("a");
    for version in [
        "0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0",
    ] {
        let conf = lab.conf(&Conf::from([("cniVersion", json!(version))]));
        let result = lab.attach("ADD", "c1", text(&netns), "", &conf).result();
        assert_eq!(result["cniVersion"], version);
        assert_eq!(result.get("ip4").is_some(), version < "0.3");
        lab.attach("DEL", "c1", text(&netns), "", &conf).result();
    }
    lab.assert_clean();
    let (code, _) = lab
        .run(
            "ADD",
            &[],
            &lab.conf(&Conf::from([("cniVersion", json!("9.0.0"))])),
        )
        .error();
    assert_eq!(code, 1);
    let versions = lab
        .run("VERSION", &[], &json!({"cniVersion": "1.1.0"}))
        .result();
    assert_eq!(
        versions["supportedVersions"].as_array().map(Vec::len),
        Some(7)
    );
}

#[test]
fn the_ipam_plugin_alone() {
    if !can_run() {
        return;
    }
    let lab = Lab::new();
    let conf = lab.conf(&none());
    let call = |command: &str| {
        let environment = [
            ("CALICO_CNI_PLUGIN", "calico-ipam"),
            ("CNI_CONTAINERID", "c1"),
            ("CNI_NETNS", "/x"),
            ("CNI_IFNAME", "eth0"),
        ];
        lab.run(command, &environment, &conf)
    };
    let result = call("ADD").result();
    let ips = result["ips"].as_array().expect("addresses");
    assert_eq!(ips.len(), 2);
    for (ip, route) in ips.iter().zip(result["routes"].as_array().expect("routes")) {
        let address = ip["address"].as_str().expect("text");
        assert!(
            address.ends_with("/26") || address.ends_with("/122"),
            "{address}"
        );
        assert_eq!(route["dst"], ip["address"]);
    }
    assert_eq!(result.get("interfaces"), None);
    assert_eq!(lab.links(), []);
    call("CHECK").result();
    call("DEL").result();
    assert_eq!(call("CHECK").error().0, 102);
    call("DEL").result();
    lab.assert_clean();
}

#[test]
fn many_at_once() {
    if !can_run() {
        return;
    }
    let lab = Lab::new();
    let conf = lab.conf(&none());
    let names: Vec<String> = (0..8).map(|number| format!("c{number}")).collect();
    let paths: Vec<_> = names.iter().map(|name| lab.container(name)).collect();
    let all = |command: &'static str| -> Vec<Value> {
        std::thread::scope(|scope| {
            let calls: Vec<_> = names
                .iter()
                .zip(&paths)
                .map(|(name, path)| {
                    let (lab, conf) = (&lab, &conf);
                    scope.spawn(move || lab.attach(command, name, text(path), "", conf).result())
                })
                .collect();
            let answers = calls.into_iter().map(|call| call.join().expect("no panic"));
            answers.collect()
        })
    };
    let results = all("ADD");
    let addrs: std::collections::BTreeSet<String> = results
        .iter()
        .flat_map(|result| result["ips"].as_array().cloned().unwrap_or_default())
        .map(|ip| ip["address"].to_string())
        .collect();
    assert_eq!(addrs.len(), 16, "{addrs:?}");
    assert_eq!(lab.links().len(), 8);
    all("DEL");
    lab.assert_clean();
}

/// No runtime does two things to one container at once. One that did would have one of them fail, and nothing left after DEL.
#[test]
fn two_commands_at_once_on_one_container() {
    if !can_run() {
        return;
    }
    let lab = Lab::new();
    let netns = lab.container("a");
    let conf = lab.conf(&none());
    let call = |command: &str| lab.attach(command, "c1", text(&netns), "", &conf);
    for other in ["ADD", "DEL"] {
        for _ in 0..5 {
            std::thread::scope(|scope| {
                let first = scope.spawn(|| call("ADD"));
                let second = scope.spawn(|| call(other));
                let oks = [first, second].map(|one| one.join().expect("no panic").ok);
                assert!(oks.contains(&true));
            });
            call("DEL").result();
            lab.assert_clean();
        }
    }
}

#[test]
fn other_ipam_plugins_are_run() {
    use std::os::unix::fs::PermissionsExt as _;
    if !can_run() {
        return;
    }
    let lab = Lab::new();
    let netns = lab.container("a");
    let dir = lab.dir.path().join("bin");
    let log = lab.dir.path().join("log");
    std::fs::create_dir(&dir).expect("made");
    let script = format!(
        "#!/bin/sh\necho $CNI_COMMAND >> {}\ncat > /dev/null\n[ $CNI_COMMAND = ADD ] && echo '{}'\nexit 0\n",
        log.display(),
        json!({"cniVersion": "1.0.0", "ips": [{"address": "192.0.2.9/24", "gateway": "192.0.2.1"}], "dns": {"nameservers": ["192.0.2.53"]}})
    );
    let plugin = dir.join("other-ipam");
    std::fs::write(&plugin, script).expect("written");
    std::fs::set_permissions(&plugin, std::fs::Permissions::from_mode(0o755)).expect("set");
    let conf = lab.conf(&Conf::from([("ipam", json!({"type": "other-ipam"}))]));
    let path = dir.to_str().expect("a plain path");
    let call = |command: &str| {
        let environment = [
            ("CNI_CONTAINERID", "c1"),
            ("CNI_NETNS", text(&netns)),
            ("CNI_IFNAME", "eth0"),
            ("CNI_PATH", path),
        ];
        lab.run(command, &environment, &conf)
    };
    let result = call("ADD").result();
    assert_eq!(result["ips"][0]["address"], "192.0.2.9/32");
    assert_eq!(result["dns"]["nameservers"][0], "192.0.2.53");
    assert_eq!(lab.objects("/ipam/"), [] as [Value; 0]);
    call("DEL").result();
    lab.assert_clean();
    lab.delete_table();
    lab.write_table();
    let commands = std::fs::read_to_string(&log).expect("a log");
    assert_eq!(commands, "ADD\nDEL\n");
}
