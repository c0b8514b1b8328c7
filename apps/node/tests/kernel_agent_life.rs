//! The agent from its first to its last day on a host: refused starts, quiet days, stores that break, dead workloads, uninstall.

#[expect(dead_code, reason = "the other test needs the rest")]
mod agent;
#[expect(
    dead_code,
    reason = "the other test sends raw packets of all protocols"
)]
mod wire;

use std::collections::BTreeMap;
use std::process::Command;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use agent::{Host, LONG, skipped, until};
use ipam::assign::{Reach, Request, Want, assign};
use ipam::{Owner, sweep};
use model::{AffinityOwner, PoolUse};
use serde_json::json;

const PODS: [&[&str]; 2] = [&["10.0.0.1", "fd00::1"], &["10.0.0.2", "fd00::2"]];

/// Not a test: what this program is when a test starts it as the agent.
#[test]
fn agent_process() {
    agent::become_agent();
}

#[test]
fn uninstall_gives_the_host_back() {
    if skipped() {
        return;
    }
    let mut host = Host::new(&PODS);
    host.set_sysctl("ipv4/ip_forward", "0");
    host.start();
    host.attach(2);
    host.wait_status(2);
    assert_eq!(host.sysctl("ipv4/ip_forward"), "1");
    assert!(!host.run("uninstall").success(), "not while the agent runs");
    assert!(host.log().contains("stop it first"));
    assert!(host.is_ready() && host.status_file(0).exists());
    assert!(host.terminate().success());
    for _ in 0..2 {
        assert!(host.run("uninstall").success(), "{}", host.log());
        assert_eq!(host.ask("nft list ruleset"), "");
        assert_eq!(host.sysctl("ipv4/ip_forward"), "0");
        for name in [
            "lib/nodename",
            "lib/mtu",
            "lib/host-ledger.json",
            "run/endpoint-status",
        ] {
            assert!(!host.path(name).exists(), "{name}");
        }
    }
    assert!(host.path("store/datastore.db").exists());
}

/// Takes an address as the CNI plugin does.
fn take(host: &Host, address: &str, node: &str, boot: &str, time: &str) {
    let address = address.parse().expect("an address");
    let attributes = [
        (sweep::NODE, node),
        (sweep::BOOT, boot),
        (sweep::TIMESTAMP, time),
    ];
    let attributes: BTreeMap<Box<str>, Box<str>> =
        attributes.map(|(k, v)| (k.into(), v.into())).into();
    let request = Request {
        owner: AffinityOwner::Host("n1".into()),
        wanted: vec![Want::Address(address)],
        taker: Owner {
            handle: Some(format!("net.{address}").into()),
            attributes,
        },
        intended_use: PoolUse::Workload,
        namespace: None,
        max_blocks: None,
        host_reserved: None,
        reach: Reach::AllBlocks,
        now: "2026-01-01T00:00:00Z".parse().expect("a time"),
    };
    datastore::block_on_ready(datastore::drive(&host.store(), assign(request)))
        .expect("the store works")
        .expect("the address is free");
}

fn is_taken(host: &Host, address: &str) -> bool {
    let prefix = api::store_prefix(api::Kind::IpamHandle, None);
    let key = format!("{prefix}net.{address}");
    let query = [datastore::Query::key(key.as_str())];
    let store = host.store();
    let read = datastore::Datastore::read(&store, &query);
    let found = datastore::block_on_ready(read).expect("the store");
    found.get(&key).is_some()
}

fn container(host: &Host, name: &str, interface: &str, address: &str) -> api::Object {
    let mut object = host.endpoint(0);
    let full = format!("n1-k8s-{name}-eth0");
    object.metadata_mut().insert("name".into(), json!(full));
    let spec = json!({
        "orchestrator": "k8s", "node": "n1", "pod": name, "endpoint": "eth0", "containerID": name,
        "interfaceName": interface, "ipNetworks": [address], "profiles": ["kns.red"],
    });
    object.value_mut().insert("spec".into(), spec);
    object
}

#[test]
fn addresses_of_the_dead_are_given_back() {
    if skipped() {
        return;
    }
    let mut host = Host::new(&PODS);
    assert!(host.run("-startup").success(), "{}", host.log());
    let boot = linux::sysctl::BootId::read().expect("a boot");
    let boot = boot.as_str();
    let long_ago = "2020-01-01T00:00:00Z";
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("a clock");
    let just_now = ipam::Timestamp(since.as_nanos() as u64).to_string();
    host.put(&agent::profile());
    take(&host, "10.0.0.1", "n1", "old", long_ago);
    host.put(&container(&host, "alive", "cali0", "10.0.0.1"));
    take(&host, "10.0.0.11", "n1", "old", long_ago);
    take(&host, "10.0.0.12", "n1", "old", long_ago);
    let fallen = container(&host, "fallen", "caliold", "10.0.0.12");
    host.put(&fallen);
    take(&host, "10.0.0.13", "n1", boot, long_ago);
    host.put(&container(&host, "late", "calilate", "10.0.0.13"));
    take(&host, "10.0.0.14", "n1", boot, &just_now);
    take(&host, "10.0.0.15", "n1", boot, long_ago);
    take(&host, "10.0.0.16", "other", "old", long_ago);
    host.start();
    until("the dead are found", LONG, || {
        !is_taken(&host, "10.0.0.11")
            && !is_taken(&host, "10.0.0.12")
            && !is_taken(&host, "10.0.0.15")
    });
    for address in ["10.0.0.1", "10.0.0.13", "10.0.0.14", "10.0.0.16"] {
        assert!(is_taken(&host, address), "{address} may be in use");
    }
    let query = [datastore::Query::key(fallen.store_key())];
    let store = host.store();
    let read = datastore::Datastore::read(&store, &query);
    let there = datastore::block_on_ready(read).expect("the store");
    assert!(
        there.entries.is_empty(),
        "the endpoint of an earlier boot is gone"
    );
    let said = "gave back addresses of workloads that are gone";
    assert!(host.log().contains(said));
    host.terminate();
    host.start();
    host.terminate();
    assert_eq!(
        host.log().matches(said).count(),
        1,
        "there is nothing left to give back"
    );
}

#[test]
fn without_rights_nothing_is_begun() {
    if skipped() {
        return;
    }
    if Command::new("setpriv").arg("--version").output().is_err() {
        eprintln!("SKIPPED: setpriv is needed to start without CAP_NET_ADMIN");
        return;
    }
    let mut host = Host::new(&PODS);
    host.wrapper = vec!["setpriv".into(), "--bounding-set=-net_admin".into()];
    let status = host.run(" ");
    assert_eq!(status.code(), Some(1), "{}", host.log());
    let log = host.log();
    let errors: Vec<&str> = log
        .lines()
        .filter(|line| line.starts_with("calico-node:"))
        .collect();
    assert_eq!(errors.len(), 1, "{log}");
    assert!(errors[0].contains("CAP_NET_ADMIN"), "{log}");
    assert!(
        !host.path("store").exists() && !host.path("lib").exists(),
        "nothing is left"
    );
    assert_eq!(host.ask("nft list ruleset"), "");
}

#[test]
fn settings_without_a_notice_come_back_too() {
    if skipped() {
        return;
    }
    let mut host = Host::new(&PODS);
    host.environment
        .push(("FELIX_ROUTEREFRESHINTERVAL".into(), "1".into()));
    host.start();
    host.attach(2);
    host.wait_status(2);
    for (path, wrong, right) in [
        ("ipv4/conf/cali1/route_localnet", "0", "1"),
        ("ipv6/conf/cali1/accept_ra", "1", "0"),
        ("ipv4/neigh/cali1/proxy_delay", "80", "0"),
    ] {
        host.set_sysctl(path, wrong);
        until(path, Duration::from_secs(3), || host.sysctl(path) == right);
    }
}

/// Turns of the loop while nothing happens, by the voluntary context switches of the agent's first threads.
#[test]
fn a_quiet_agent_sleeps() {
    if skipped() {
        return;
    }
    let mut host = Host::new(&PODS);
    host.start();
    host.attach(2);
    host.wait_status(2);
    let pid = host.agent.as_ref().expect("it runs").id();
    let switches = || -> u64 {
        let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).expect("threads");
        let of = |status: String| -> u64 {
            let line = status.lines().find(|l| l.starts_with("voluntary"));
            line.and_then(|l| l.split_whitespace().nth(1)?.parse().ok())
                .unwrap_or(0)
        };
        tasks
            .flatten()
            .filter_map(|task| std::fs::read_to_string(task.path().join("status")).ok())
            .map(of)
            .sum()
    };
    // Its own last writes may still be on their way to it.
    let mut calm = (switches(), Instant::now());
    until("it becomes quiet", LONG, || {
        let now = switches();
        if now != calm.0 {
            calm = (now, Instant::now());
        }
        calm.1.elapsed() > Duration::from_secs(1)
    });
    let (before, begin) = (switches(), Instant::now());
    until("time passes", LONG, || {
        begin.elapsed() > Duration::from_secs(5)
    });
    let turns = switches() - before;
    eprintln!("a quiet agent woke {turns} times in 5 s");
    assert!(turns <= 5, "{turns} wake-ups in 5 s");
}

#[test]
fn a_store_that_breaks_and_is_mended() {
    if skipped() {
        return;
    }
    let mut host = Host::new(&PODS);
    host.start();
    host.attach(2);
    host.wait_status(2);
    let stream = host.stream(0, 1, 40_000, 1000);
    until("packets pass", LONG, || stream.received() > 0);
    let file = host.path("store/datastore.db");
    let log = host.path("store/datastore.db-wal");
    // Everything is in the main file after this, so that the copy is a whole store.
    let copy = host.path("copy.db");
    host.hand(&format!("cp {} {}", file.display(), copy.display()));
    host.hand(&format!("cp {} {}-wal", log.display(), copy.display()));
    std::fs::write(
        host.path("store/new"),
        b"this is no database at all, not even nearly",
    )
    .expect("a file");
    // Without its log, or the log would mend it.
    std::fs::remove_file(&log).expect("removed");
    std::fs::remove_file(host.path("store/datastore.db-shm")).expect("removed");
    std::fs::rename(host.path("store/new"), &file).expect("in its place");
    until("the agent says what is wrong", LONG, || {
        host.log().contains("datastore cannot be followed")
    });
    let before = stream.received();
    until("packets still pass", LONG, || {
        stream.received() > before + 500
    });
    assert!(host.is_ready() && host.status_file(1).exists());
    for name in ["datastore.db", "datastore.db-wal", "datastore.db-shm"] {
        let _ = std::fs::remove_file(host.path("store").join(name));
    }
    host.hand(&format!("cp {}-wal {}", copy.display(), log.display()));
    host.hand(&format!("mv {} {}", copy.display(), file.display()));
    until("the agent follows again", LONG, || {
        host.log().contains("datastore can be followed again")
    });
    host.delete(&host.endpoint(1));
    let status = host.status_file(1);
    until("changes arrive", LONG, || !status.exists());
    stream.end();
}
