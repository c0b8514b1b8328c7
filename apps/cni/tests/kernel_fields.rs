//! Fields of the network configuration, each through the real executable: real, or refused in words.

#[expect(dead_code, reason = "the other tests need the rest")]
mod lab;

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use lab::{Conf, Lab, can_run};
use linux::netns::{NetNs, in_netns};
use linux::route::{RouteFilter, RouteSocket};
use model::Family;
use serde_json::{Value, json};

const POD: &str =
    "IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web-0;K8S_POD_INFRA_CONTAINER_ID=c1";

fn text(path: &Path) -> &str {
    path.to_str().expect("a plain path")
}

fn one(field: &'static str, value: Value) -> Conf {
    Conf::from([(field, value)])
}

#[test]
fn fields_that_cannot_be_meant_are_refused_before_anything_is_done() {
    if !can_run() {
        return;
    }
    let lab = Lab::new();
    let netns = lab.container("a");
    let refused = |code: u64, words: &str, conf: Conf| {
        let conf = lab.conf(&conf);
        let (found, message) = lab.attach("ADD", "c1", text(&netns), "", &conf).error();
        assert_eq!(found, code, "{message}");
        assert!(message.contains(words), "{message}");
        lab.assert_clean();
    };
    refused(
        7,
        "device_type \"tap\" is unknown",
        one("device_type", json!("tap")),
    );
    refused(
        2,
        "dataplane_options.type \"grpc\"",
        one(
            "dataplane_options",
            json!({"type": "grpc", "socket": "unix:///x"}),
        ),
    );
    refused(
        2,
        "ip_addrs_no_ipam",
        one("feature_control", json!({"ip_addrs_no_ipam": true})),
    );
    refused(
        7,
        "https",
        one("readiness_gates", json!(["https://localhost/ready"])),
    );
    refused(6, "log_file_max_size", one("log_file_max_size", json!("x")));
    let node = lab.dir.path().join("no-nodename");
    refused(
        11,
        "no-nodename",
        Conf::from([
            ("nodename_file_optional", json!(false)),
            ("nodename_file", json!(node)),
        ]),
    );
    if !Path::new("/var/lib/calico/mtu").exists() {
        refused(
            11,
            "/var/lib/calico/mtu",
            one("require_mtu_file", json!(true)),
        );
    }
}

#[test]
fn netkit_where_the_kernel_has_it_and_veth_elsewhere() {
    if !can_run() {
        return;
    }
    let lab = Lab::new();
    let netns = lab.container("a");
    let log = lab.dir.path().join("logs/cni.log");
    let conf = lab.conf(&Conf::from([
        ("device_type", json!("netkit")),
        ("num_queues", json!(2)),
        ("mtu", json!(1400)),
        ("log_file_path", json!(log)),
    ]));
    let mut checked = conf.clone();
    checked["prevResult"] = lab.attach("ADD", "c1", text(&netns), "", &conf).result();
    let links = lab.links();
    let kind = links[0].kind.as_deref().expect("a kind");
    assert_eq!(links[0].mtu.map(|mtu| mtu.0), Some(1400));
    let said = std::fs::read_to_string(&log).expect("a log");
    match kind {
        "netkit" => assert!(!said.contains("has no netkit"), "{said}"),
        "veth" => assert!(said.contains("this kernel has no netkit"), "{said}"),
        other => panic!("{other}"),
    }
    lab.attach("CHECK", "c1", text(&netns), "", &checked)
        .result();
    lab.attach("DEL", "c1", text(&netns), "", &conf).result();
    lab.assert_clean();
}

#[test]
fn what_is_logged_and_where() {
    if !can_run() {
        return;
    }
    let lab = Lab::new();
    let netns = lab.container("a");
    let log = lab.dir.path().join("logs/cni.log");
    let conf = |level: &str| {
        lab.conf(&Conf::from([
            ("log_file_path", json!(log)),
            ("log_level", json!(level)),
        ]))
    };
    let answer = lab.attach("ADD", "c1", text(&netns), "", &conf("debug"));
    let said = std::fs::read_to_string(&log).expect("a log");
    assert_eq!(answer.stderr, said, "both say the same");
    answer.result();
    for words in [
        "[DEBUG]",
        "3 store requests for ADD of default/c1:eth0@node1",
        "[INFO]",
    ] {
        assert!(said.contains(words), "{said}");
    }
    lab.attach("DEL", "c1", text(&netns), "", &conf("info"))
        .result();
    let (_, message) = lab
        .attach("ADD", "c1", "/nowhere", "", &conf("error"))
        .error();
    let said = std::fs::read_to_string(&log).expect("a log");
    let last = said.lines().last().expect("a line");
    assert!(
        last.contains("[ERROR]") && last.contains("ADD failed"),
        "{last}"
    );
    assert!(
        message.contains("/nowhere") && last.contains("/nowhere"),
        "{last}"
    );
    // A log that cannot be written stops nothing.
    let blocked = lab.conf(&one("log_file_path", json!("/proc/no/cni.log")));
    let answer = lab.attach("ADD", "c1", text(&netns), "", &blocked);
    assert!(
        answer.stderr.contains("cannot write the log file"),
        "{}",
        answer.stderr
    );
    answer.result();
    lab.attach("DEL", "c1", text(&netns), "", &blocked).result();
    lab.assert_clean();
}

#[test]
fn a_readiness_gate_is_asked_in_the_hosts_namespace() {
    if !can_run() {
        return;
    }
    let lab = Lab::new();
    let netns = lab.container("a");
    let server = in_netns(&lab.host, || {
        TcpListener::bind("127.0.0.1:0").expect("bound")
    });
    let server = server.expect("the host");
    let url = format!(
        "http://{}/readiness",
        server.local_addr().expect("an address")
    );
    let answers = std::thread::spawn(move || {
        for answer in ["HTTP/1.1 503 No\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n"] {
            let (mut stream, _) = server.accept().expect("asked");
            let mut buffer = [0; 512];
            let _ = stream.read(&mut buffer).expect("a request");
            stream.write_all(answer.as_bytes()).expect("answered");
        }
    });
    let conf = lab.conf(&one("readiness_gates", json!([url])));
    let answer = lab.attach("ADD", "c1", text(&netns), "", &conf);
    assert!(
        answer.stderr.contains("it answers 503"),
        "{}",
        answer.stderr
    );
    answer.result();
    answers.join().expect("both were asked");
    lab.attach("DEL", "c1", text(&netns), "", &conf).result();
    lab.assert_clean();
}

/// The destinations of the routes of a container, but for those of its link.
fn destinations(container: &Path) -> Vec<String> {
    let netns = NetNs::open(container).expect("the container");
    let mut socket = RouteSocket::open_in(&netns).expect("a socket");
    let routes = socket
        .routes(&RouteFilter::all(Family::V4))
        .expect("routes");
    let mut found: Vec<String> = routes
        .iter()
        .map(|route| route.dst.to_string())
        .filter(|dst| !(dst.starts_with("127.") || dst.starts_with("192.0.2.")))
        .collect();
    found.sort();
    found.dedup();
    found
}

#[test]
fn routes_and_subnets_of_host_local() {
    if !can_run() {
        return;
    }
    let lab = Lab::new();
    lab.apply(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}));
    let netns = lab.container("a");
    let (dir, log) = (lab.dir.path().join("bin"), lab.dir.path().join("log"));
    std::fs::create_dir(&dir).expect("made");
    let script = format!(
        "#!/bin/sh\ncat >> {}\n[ $CNI_COMMAND = ADD ] && echo '{}'\nexit 0\n",
        log.display(),
        json!({"cniVersion": "1.0.0", "ips": [{"address": "192.0.2.9/24"}]})
    );
    let plugin = dir.join("host-local");
    std::fs::write(&plugin, script).expect("written");
    std::fs::set_permissions(&plugin, std::fs::Permissions::from_mode(0o755)).expect("set");
    let call = |command: &str, conf: &Value| {
        let environment = [
            ("CNI_CONTAINERID", "c1"),
            ("CNI_NETNS", text(&netns)),
            ("CNI_IFNAME", "eth0"),
            ("CNI_ARGS", POD),
            ("CNI_PATH", text(&dir)),
        ];
        lab.run(command, &environment, conf)
    };
    let ipam =
        json!({"type": "host-local", "subnet": "192.0.2.0/24", "routes": [{"dst": "10.0.0.0/8"}]});
    for (include, expected) in [
        (false, &["10.0.0.0/8", "169.254.1.1/32"][..]),
        (true, &["0.0.0.0/0", "10.0.0.0/8", "169.254.1.1/32"]),
    ] {
        let conf = lab.conf(&Conf::from([
            ("ipam", ipam.clone()),
            ("include_default_routes", json!(include)),
        ]));
        let mut checked = conf.clone();
        checked["prevResult"] = call("ADD", &conf).result();
        assert_eq!(destinations(&netns), expected);
        call("CHECK", &checked).result();
        call("DEL", &conf).result();
    }
    let conf = lab.conf(&one(
        "ipam",
        json!({"type": "host-local", "subnet": "usePodCidr"}),
    ));
    let (code, message) = call("ADD", &conf).error();
    assert!(
        code == 7 && message.contains("there is no node node1"),
        "{message}"
    );
    std::fs::write(&log, "").expect("emptied");
    call("DEL", &conf).result();
    let given = std::fs::read_to_string(&log).expect("a log");
    assert!(
        given.contains("0.0.0.0/0") && !given.contains("usePodCidr"),
        "{given}"
    );
    lab.assert_clean();
}

#[test]
fn flags() {
    if !can_run() {
        return;
    }
    let lab = Lab::new();
    let program = env!("CARGO_BIN_EXE_calico-cni");
    let ipam = [("CALICO_CNI_PLUGIN", "calico-ipam")];
    let good = lab.conf(&Conf::new());
    let version = lab.run_as(&[program, "-v"], "", &[], &good).result();
    assert_eq!(version, model::COMPATIBLE_VERSION);
    lab.run_as(&[program, "-t"], "", &[], &good).result();
    let bad = lab.conf(&one("datastore_file", json!("/nonexistent/store.db")));
    let (code, message) = lab.run_as(&[program, "-t"], "", &[], &bad).error();
    assert_eq!(code, 100);
    assert!(
        message.contains("data store connection failed") && message.contains("/nonexistent"),
        "{message}"
    );
    let (_, message) = lab.run_as(&[program, "-x"], "", &[], &good).error();
    assert!(message.contains("-x is unknown"), "{message}");
    if !Path::new("/var/lib/cni/networks/k8s-pod-network").exists() {
        lab.run_as(&[program, "-upgrade"], "", &ipam, &good)
            .result();
    }
    let (_, message) = lab.run_as(&[program, "-t"], "", &ipam, &good).error();
    assert!(message.contains("-t is unknown"), "{message}");
}
