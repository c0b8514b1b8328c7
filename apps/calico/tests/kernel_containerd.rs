//! A container runtime that is not ours: containerd starts two containers through our CNI plugins, installed as a user
//! installs them; policy holds between them; nothing is left when they are gone.
//!
//! And `calicoctl node` on such a machine: it checks it, starts the agent, sees it run, and collects its state.
//!
//! All of it runs in namespaces of its own (mounts, network, processes), with a private view of `/etc`, `/opt`, `/var/lib`
//! and `/run`: a machine with no configuration, whose end takes everything along.

#[expect(dead_code, reason = "the other test needs the rest")]
mod machine;

use machine::{Machine, until};
use serde_json::Value;

#[test]
fn containerd_starts_containers_on_our_network() {
    if let Some(missing) = machine::missing() {
        eprintln!("SKIPPED: {missing}");
        return;
    }
    let machine = Machine::start();
    let calico = env!("CARGO_BIN_EXE_calico");
    machine.ok(&[calico, "component", "cni", "install"]);
    let agent = machine.start_agent();
    until("calico-node is ready", || {
        machine.succeeds(&["calico-node", "-felix-ready"])
    });

    machine.start_containerd();
    machine.start_container("web", "while :; do nc -l -p 8080 -e echo hello; done");
    machine.start_container("client", "sleep 600");
    let web = endpoint(&machine, "web");
    let client = endpoint(&machine, "client");
    let address = web["spec"]["ipNetworks"][0].as_str().expect("an address");
    let address = address.trim_end_matches("/32").to_owned();
    let reaches = || {
        let command = format!("nc -w 1 {address} 8080 </dev/null");
        machine.exec("client", &command)
    };
    until("one network, no policy: allowed", reaches);

    label(&machine, &web, "app=web");
    machine.apply("web-for-friends.yaml");
    until("only friends may: denied", || !reaches());
    assert!(!reaches(), "it stays denied");
    label(&machine, &client, "role=friend");
    until("a friend: allowed", reaches);
    machine.kill(agent);
    assert!(reaches(), "without an agent the policy is in force");
    let agent = machine.start_agent();
    until("calico-node is back", || {
        machine.succeeds(&["calico-node", "-felix-ready"])
    });

    machine.stop_container("web");
    machine.stop_container("client");
    nothing_is_left(&machine);

    machine.kill(agent);
    machine.ok(&["calico-node", "uninstall"]);
    for place in ["/opt/cni/bin", "/etc/cni/net.d"] {
        let listed = machine.ok(&["ls", place]);
        assert_eq!(listed.trim(), "", "{place} is as it was");
    }
    let tables = machine.ok(&["nft", "list", "tables"]);
    assert!(!tables.contains("calico"), "{tables}");
}

/// The endpoint of a container, as `calicoctl` shows it.
fn endpoint(machine: &Machine, container: &str) -> Value {
    let listed = machine.ok(&["calicoctl", "get", "workloadendpoints", "-A", "-o", "json"]);
    let listed: Value = serde_json::from_str(&listed).expect("JSON");
    let mut items = listed["items"].as_array().expect("a list").iter();
    let id = machine.container_id(container);
    let found = items.find(|item| item["spec"]["containerID"] == id.as_str());
    found
        .unwrap_or_else(|| panic!("no endpoint of {id} in {listed}"))
        .clone()
}

fn label(machine: &Machine, endpoint: &Value, label: &str) {
    let name = endpoint["metadata"]["name"].as_str().expect("a name");
    machine.ok(&[
        "calicoctl",
        "label",
        "workloadendpoints",
        name,
        "-n",
        "default",
        label,
    ]);
}

fn nothing_is_left(machine: &Machine) {
    let links = machine.ok(&["ip", "-brief", "link"]);
    assert!(!links.contains("cali"), "{links}");
    let routes = machine.ok(&["ip", "route"]);
    assert!(!routes.contains("cali"), "{routes}");
    let endpoints = machine.ok(&["calicoctl", "get", "workloadendpoints", "-A", "-o", "json"]);
    let endpoints: Value = serde_json::from_str(&endpoints).expect("JSON");
    assert_eq!(
        endpoints["items"].as_array().map(Vec::len),
        Some(0),
        "{endpoints}"
    );
    let checked = machine.ok(&["calicoctl", "ipam", "check"]);
    assert!(
        checked.contains("IPAM blocks record 0 allocations"),
        "{checked}"
    );
    assert!(!machine.succeeds(&["sh", "-c", "ls /var/lib/cni/results | grep ."]));
}

#[test]
fn calicoctl_starts_the_agent_and_sees_it_run() {
    if let Some(missing) = machine::missing() {
        eprintln!("SKIPPED: {missing}");
        return;
    }
    let machine = Machine::start();
    fn node<'a>(words: &[&'a str]) -> Vec<&'a str> {
        [&["env", "TMPDIR=/run", "calicoctl", "node"], words].concat()
    }
    assert!(!machine.succeeds(&node(&["status"])));
    let checked = machine.ok(&node(&["checksystem"]));
    assert!(checked.contains("nf_tables"), "{checked}");
    let shown = machine.ok(&node(&["run", "--dryrun"]));
    assert!(shown.contains("calico component node"), "{shown}");
    assert!(
        !machine.succeeds(&node(&["status"])),
        "a dry run starts nothing"
    );

    let run = node(&["run", "--no-default-ippools", "--log-dir=/run/log"]);
    let ran = machine.ok(&run);
    assert!(ran.contains("Calico node started successfully"), "{ran}");
    let status = machine.ok(&node(&["status"]));
    let is_ready = "Calico process is running.\nIt is ready.";
    assert!(status.contains(is_ready), "{status}");
    let pools = machine.ok(&["calicoctl", "get", "ippools", "-o", "name"]);
    assert_eq!(pools, "", "no pools were asked for");
    assert!(!machine.succeeds(&run), "one agent is enough");

    let collected = machine.ok(&node(&["diags", "--log-dir=/run/log"]));
    let archive = collected
        .lines()
        .find_map(|line| line.strip_prefix("Diags saved to "))
        .expect("an archive");
    let names = machine.ok(&["tar", "-tzf", archive]);
    for name in ["nft_ruleset", "ipv4_route", "logs/calico-node.log"] {
        let path = format!("diagnostics/{name}");
        assert!(names.lines().any(|line| line == path), "{path} in {names}");
    }
    let ready = machine.ok(&["tar", "-xzOf", archive, "diagnostics/readiness"]);
    assert!(ready.starts_with("ok"), "{ready}");
}
