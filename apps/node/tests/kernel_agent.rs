//! The agent under attack: what it must never let through, what it must repair, and what it must survive.

#[expect(dead_code, reason = "the other test needs the rest")]
mod agent;
#[expect(
    dead_code,
    reason = "the other test sends raw packets of all protocols"
)]
mod wire;

use agent::{Host, LONG, REPAIR, policy, skipped, until};
use serde_json::json;

const PODS: [&[&str]; 3] = [
    &["10.0.0.1", "fd00::1"],
    &["10.0.0.2", "fd00::2"],
    &["10.0.0.3", "fd00::3"],
];

/// Not a test: what this program is when a test starts it as the agent.
#[test]
fn agent_process() {
    agent::become_agent();
}

/// Pods 0 and 2 may both send to pod 1 by their profile; the policy leaves it to pod 0.
fn only_pod_0() -> api::Object {
    policy(
        "only-p0",
        json!([{"action": "Allow", "source": {"selector": "pod == 'p0'"}}]),
    )
}

fn ready_host() -> Host {
    let mut host = Host::new(&PODS);
    host.start();
    host.attach(3);
    host.wait_status(3);
    host
}

fn wait_policy(host: &Host, name: &str) {
    until("the policy is in the kernel", LONG, || {
        host.ask("nft list table inet calico").contains(name)
    });
}

#[test]
fn first_boot_closes_and_policy_opens() {
    if skipped() {
        return;
    }
    let mut host = Host::new(&PODS);
    let early = host.stream(0, 1, 40_000, 1000);
    until("packets flow before there is an agent", LONG, || {
        early.received() > 0
    });
    early.end();
    host.start();
    let closed = host.stream(0, 1, 40_001, 1000);
    until("many packets were sent", LONG, || closed.sent() > 200);
    assert_eq!(closed.received(), 0, "nobody knows these interfaces");
    assert!(!host.status_file(0).exists());
    host.attach(3);
    host.wait_status(3);
    until("policy lets packets pass", LONG, || closed.received() > 0);
    closed.end();
    host.put(&only_pod_0());
    wait_policy(&host, "only-p0");
    let denied = host.stream(2, 1, 40_002, 2000);
    let allowed = host.stream(0, 1, 40_003, 2000);
    until("both were sent", LONG, || {
        denied.sent() > 500 && allowed.sent() > 500
    });
    assert!(allowed.end().1 > 0);
    assert_eq!(denied.received(), 0);
    host.delete(&only_pod_0());
    until("without the policy packets pass", LONG, || {
        denied.received() > 0
    });
    denied.end();
    host.delete(&host.endpoint(1));
    let file = host.status_file(1);
    until("the status went", LONG, || !file.exists());
    let table = host.ask("nft list table inet calico");
    assert!(!table.contains("cali1"), "nothing is left of it:\n{table}");
    assert_eq!(host.ask("ip route show dev cali1"), "", "its routes went");
    assert!(host.terminate().success());
}

/// What another hand does, and how to see that it is undone, besides our table being as it was.
struct Attack {
    what: &'static str,
    strike: fn(&Host),
    repaired: fn(&Host) -> bool,
}

/// Our table as text, in an order that does not depend on what was written first.
fn table_text(host: &Host) -> Vec<String> {
    let list = host.ask("nft -s list table inet calico");
    let mut lines: Vec<String> = list.lines().map(str::to_owned).collect();
    lines.sort_unstable();
    lines
}

/// The first so many attacks open the filter: until it is back the kernel lets packets pass. The others leave it shut.
const OPENING: usize = 2;
const ATTACKS: [Attack; 12] = [
    Attack {
        what: "flushes a base chain",
        strike: |host| host.hand("nft flush chain inet calico filter-FORWARD-to-wl"),
        repaired: |_| true,
    },
    Attack {
        what: "deletes the table",
        strike: |host| host.hand("nft delete table inet calico"),
        repaired: |_| true,
    },
    Attack {
        what: "flushes the chain of an endpoint",
        strike: |host| host.hand("nft flush chain inet calico filter-cali-tw-cali1"),
        repaired: |_| true,
    },
    Attack {
        what: "accepts everything at the front",
        strike: |host| host.hand("nft insert rule inet calico filter-FORWARD accept"),
        repaired: |_| true,
    },
    Attack {
        what: "deletes the pod's route",
        strike: |host| host.hand("ip route del 10.0.0.2"),
        repaired: |host| host.ask("ip route show 10.0.0.2").contains("cali1"),
    },
    Attack {
        what: "adds a route of its own to the pod's interface",
        strike: |host| host.hand("ip route add 10.5.5.5/32 dev cali1"),
        repaired: |host| host.ask("ip route show 10.5.5.5").is_empty(),
    },
    Attack {
        what: "leads the pod's address elsewhere",
        strike: |host| host.hand("ip route replace 10.0.0.2 dev cali2 metric 1024"),
        repaired: |host| {
            let routes = host.ask("ip route show 10.0.0.2");
            routes.contains("cali1") && !routes.contains("cali2")
        },
    },
    Attack {
        what: "clears proxy_arp",
        strike: |host| host.set_sysctl("ipv4/conf/cali1/proxy_arp", "0"),
        repaired: |host| host.sysctl("ipv4/conf/cali1/proxy_arp") == "1",
    },
    Attack {
        what: "clears forwarding of the interface",
        strike: |host| host.set_sysctl("ipv4/conf/cali1/forwarding", "0"),
        repaired: |host| host.sysctl("ipv4/conf/cali1/forwarding") == "1",
    },
    Attack {
        what: "clears forwarding of the host",
        strike: |host| host.set_sysctl("ipv4/ip_forward", "0"),
        repaired: |host| {
            host.sysctl("ipv4/ip_forward") == "1"
                && host.sysctl("ipv4/conf/cali1/forwarding") == "1"
                && host.sysctl("ipv4/conf/cali1/proxy_arp") == "1"
        },
    },
    Attack {
        what: "clears rp_filter",
        strike: |host| host.set_sysctl("ipv4/conf/cali1/rp_filter", "0"),
        repaired: |host| host.sysctl("ipv4/conf/cali1/rp_filter") == "1",
    },
    Attack {
        what: "clears forwarding of IPv6",
        strike: |host| host.set_sysctl("ipv6/conf/all/forwarding", "0"),
        repaired: |host| {
            host.sysctl("ipv6/conf/all/forwarding") == "1"
                && host.sysctl("ipv6/conf/cali1/forwarding") == "1"
        },
    },
];

#[test]
fn repairs_what_another_hand_breaks() {
    if skipped() {
        return;
    }
    let host = ready_host();
    host.put(&only_pod_0());
    wait_policy(&host, "only-p0");
    let denied = host.stream(2, 1, 40_002, 2000);
    let whole = table_text(&host);
    let (opening, shut) = ATTACKS.split_at(OPENING);
    let mut strike = |attack: &Attack| {
        let (sent, passed) = (denied.sent(), denied.received());
        (attack.strike)(&host);
        let took = until(attack.what, REPAIR, || {
            (attack.repaired)(&host) && table_text(&host) == whole
        });
        eprintln!(
            "another hand {}: back within {} ms; {} of {} denied packets passed",
            attack.what,
            took.as_millis(),
            denied.received() - passed,
            denied.sent() - sent,
        );
    };
    opening.iter().for_each(&mut strike);
    let settle = || {
        let sent = denied.sent();
        until("more was sent", LONG, || denied.sent() > sent + 400);
        denied.received()
    };
    let before = settle();
    shut.iter().for_each(&mut strike);
    assert_eq!(settle(), before, "a filter that stands lets nothing pass");
    let answered = host.stream(0, 1, 40_003, 1000);
    until("what is permitted passes", LONG, || answered.received() > 0);
    answered.end();
    denied.end();
}

#[test]
fn set_elements_come_back() {
    if skipped() {
        return;
    }
    let host = ready_host();
    host.put(&only_pod_0());
    wait_policy(&host, "only-p0");
    let allowed = host.stream(0, 1, 40_003, 1000);
    until("what is permitted passes", LONG, || allowed.received() > 0);
    let whole = table_text(&host);
    let name = element_set(&host);
    host.hand(&format!(
        "nft delete element inet calico {name} {{ 10.0.0.1 }}"
    ));
    let took = until("the element is back", REPAIR, || table_text(&host) == whole);
    host.hand(&format!(
        "nft add element inet calico {name} {{ 10.0.0.3 }}"
    ));
    until("the wrong element is gone", REPAIR, || {
        table_text(&host) == whole
    });
    eprintln!("a set element was back within {} ms", took.as_millis());
    allowed.end();
}

/// The set that has the address of the selected pod alone.
fn element_set(host: &Host) -> String {
    let (table, _) = host.table();
    let names = table.sets.keys().map(ToString::to_string);
    let found = names.into_iter().find(|name| {
        let set = host.ask(&format!("nft list set inet calico {name}"));
        set.contains("elements = { 10.0.0.1 }")
    });
    found.unwrap_or_else(|| panic!("no set of the selector: {}", host.ask("nft list ruleset")))
}

#[test]
fn dies_and_comes_back_under_traffic() {
    if skipped() {
        return;
    }
    let mut host = ready_host();
    host.put(&only_pod_0());
    wait_policy(&host, "only-p0");
    let allowed = host.stream(0, 1, 40_003, 10_000);
    let denied = host.stream(2, 1, 40_002, 2000);
    until("what is permitted passes", LONG, || allowed.received() > 0);
    let (_, before) = host.table();
    let mut routes = host.inside(|| {
        linux::monitor::Monitor::open(&[linux::monitor::Topic::Routes]).expect("a monitor")
    });
    for _ in 0..3 {
        host.kill();
        let sent = denied.sent();
        until("packets flow without an agent", LONG, || {
            denied.sent() > sent + 200
        });
        host.start();
    }
    let status = host.terminate();
    assert!(status.success(), "an orderly end: {status}");
    let sent = denied.sent();
    until("packets flow without an agent", LONG, || {
        denied.sent() > sent + 200
    });
    host.start();
    let (_, after) = host.table();
    assert_eq!(
        before,
        after,
        "a restart writes nothing to nf_tables\n{}",
        host.log()
    );
    let mut notices = Vec::new();
    routes
        .drain(|notice| notices.push(notice))
        .expect("notices");
    assert!(notices.is_empty(), "a restart writes no route: {notices:?}");
    let (sent, received) = allowed.end();
    assert_eq!(sent - received, 0, "lost of {sent} permitted packets");
    let (sent, received) = denied.end();
    assert_eq!(received, 0, "passed of {sent} denied packets");
}

#[test]
fn what_changed_meanwhile_holds_after_the_restart() {
    if skipped() {
        return;
    }
    let mut host = ready_host();
    host.kill();
    host.put(&only_pod_0());
    host.delete(&host.endpoint(0));
    host.start();
    wait_policy(&host, "only-p0");
    let file = host.status_file(0);
    until("the status went", LONG, || !file.exists());
    let denied = host.stream(2, 1, 40_002, 2000);
    let gone = host.stream(0, 1, 40_003, 2000);
    until("both were sent", LONG, || {
        denied.sent() > 500 && gone.sent() > 500
    });
    assert_eq!((denied.end().1, gone.end().1), (0, 0));
}

#[test]
fn interfaces_come_late_and_again() {
    if skipped() {
        return;
    }
    let host = ready_host();
    host.put(&only_pod_0());
    wait_policy(&host, "only-p0");
    host.hand("ip link del cali1");
    let file = host.status_file(1);
    until("a pod without an interface is not up", LONG, || {
        !file.exists()
    });
    host.hand("ip link add cali1 type veth peer name peer1");
    host.hand("ip link set cali1 up");
    let took = until(
        "the interface made again has its routes and sysctls",
        REPAIR,
        || {
            host.ask("ip route show 10.0.0.2").contains("cali1")
                && host.ask("ip -6 route show fd00::2").contains("cali1")
                && host.sysctl("ipv4/conf/cali1/proxy_arp") == "1"
                && host.sysctl("ipv4/conf/cali1/route_localnet") == "1"
                && host.sysctl("ipv4/neigh/cali1/proxy_delay") == "0"
                && host.sysctl("ipv6/conf/cali1/accept_ra") == "0"
                && file.exists()
        },
    );
    eprintln!(
        "an interface made again was complete within {} ms",
        took.as_millis()
    );
    host.hand("ip link set cali1 down");
    until("an interface that is down is not up", LONG, || {
        !file.exists()
    });
    host.hand("ip link set cali1 up");
    until("it comes back", REPAIR, || {
        file.exists() && host.ask("ip route show 10.0.0.2").contains("cali1")
    });
}

#[test]
fn two_endpoints_on_one_interface() {
    if skipped() {
        return;
    }
    let host = ready_host();
    let mut second = api::Object::new(
        api::Kind::WorkloadEndpoint,
        Some("red"),
        "n1-k8s-other-eth0",
    );
    let spec = json!({
        "orchestrator": "k8s", "node": "n1", "pod": "other", "endpoint": "eth0",
        "interfaceName": "cali1", "ipNetworks": ["10.0.0.77"], "profiles": ["kns.red"],
    });
    second.value_mut().insert("spec".into(), spec);
    let whole = table_text(&host);
    host.put(&second);
    until("the second one is known", LONG, || {
        host.metric("felix_active_local_endpoints") == 4
    });
    // The first one in the order of identities has the interface, whoever came first.
    until("the owner's route", LONG, || {
        host.ask("ip route show dev cali1").contains("10.0.0.77")
    });
    host.delete(&second);
    until("the table is as before", LONG, || {
        table_text(&host) == whole
    });
    until("the route is back", LONG, || {
        let routes = host.ask("ip route show dev cali1");
        routes.contains("10.0.0.2") && !routes.contains("10.0.0.77")
    });
}

#[test]
fn the_store_fails_and_policy_stays() {
    if skipped() {
        return;
    }
    let mut host = ready_host();
    host.put(&only_pod_0());
    wait_policy(&host, "only-p0");
    let denied = host.stream(2, 1, 40_002, 2000);
    let whole = table_text(&host);
    let file = host.path("store/datastore.db");
    let aside = host.path("store/aside.db");
    let copy = std::fs::read(&file).expect("the store's file");
    std::fs::rename(&file, &aside).expect("moved");
    until("the agent says what is wrong", LONG, || {
        host.log().contains("datastore cannot be followed")
    });
    host.hand("nft flush chain inet calico filter-FORWARD");
    until("repairs go on", REPAIR, || table_text(&host) == whole);
    std::fs::rename(&aside, &file).expect("moved back");
    until("the agent says that it is well again", LONG, || {
        host.log().contains("datastore can be followed again")
    });
    host.delete(&only_pod_0());
    until("changes arrive again", LONG, || denied.received() > 0);
    assert!(!copy.is_empty());
    denied.end();
    assert!(host.terminate().success());
}

#[test]
fn invalid_objects_stop_nothing() {
    if skipped() {
        return;
    }
    let mut host = Host::new(&PODS);
    host.attach(3);
    let at = |object: &api::Object, name: &str| {
        let key = object.store_key();
        let (prefix, _) = key.rsplit_once('/').expect("a path");
        format!("{prefix}/{name}")
    };
    host.put_raw(
        &at(&only_pod_0(), "default.broken"),
        b"{\"spec\": ".to_vec(),
    );
    let mut wrong = only_pod_0();
    wrong
        .metadata_mut()
        .insert("name".into(), json!("default.wrong"));
    wrong.spec_mut().insert("selector".into(), json!("pod == "));
    host.put(&wrong);
    let mut odd = only_pod_0();
    odd.metadata_mut()
        .insert("name".into(), json!("default.odd"));
    odd.spec_mut().insert("noSuchField".into(), json!({"a": 1}));
    host.put(&odd);
    host.put_raw(&at(&host.endpoint(0), "nonsense"), b"\xff\xfe".to_vec());
    host.put_raw("/calico/resources/v3/no.such/things/x", b"{}".to_vec());
    host.put(&only_pod_0());
    host.start();
    host.wait_status(3);
    let log = host.log();
    for name in ["default.broken", "default.wrong", "nonsense"] {
        assert!(log.contains(name), "{name} is named in the log");
    }
    let denied = host.stream(2, 1, 40_002, 2000);
    let allowed = host.stream(0, 1, 40_003, 2000);
    until("what is permitted passes", LONG, || allowed.received() > 0);
    until("enough was sent", LONG, || denied.sent() > 500);
    assert_eq!(denied.received(), 0);
    host.put_raw(&at(&only_pod_0(), "default.late"), b"nonsense".to_vec());
    host.put_raw(
        &at(&only_pod_0(), "default.broken"),
        only_pod_0().to_store_bytes(),
    );
    until("the agent goes on", LONG, || {
        host.log().contains("default.late")
    });
    assert_eq!(denied.end().1, 0);
    allowed.end();
}

fn felix(name: &str, spec: serde_json::Value) -> api::Object {
    let mut object = api::Object::new(api::Kind::FelixConfiguration, None, name);
    object.value_mut().insert("spec".into(), spec);
    object
}

#[test]
fn parameters_change_live() {
    if skipped() {
        return;
    }
    let mut host = Host::new(&PODS);
    let environment = ("FELIX_IPV4NORMALROUTEPRIORITY".to_owned(), "77".to_owned());
    host.environment.push(environment);
    std::fs::write(host.path("felix.cfg"), "[global]\nLogPrefix = from-file\n").expect("a file");
    host.start();
    host.attach(3);
    host.wait_status(3);
    let stream = host.stream(0, 1, 40_003, 2000);
    until("packets pass", LONG, || stream.received() > 0);
    let table = |word: &'static str| {
        let host = &host;
        move || host.ask("nft list table inet calico").contains(word)
    };
    let spec = json!({
        "nftablesFilterDenyAction": "Reject", "vxlanPort": 4444, "deviceRouteProtocol": 80,
        "ipv4NormalRoutePriority": 500, "ipv6NormalRoutePriority": 500,
        "interfacePrefix": "cali,tap", "logPrefix": "from-store",
    });
    host.put(&felix("default", spec));
    until("denied packets are answered", LONG, table("reject"));
    until("the port of VXLAN", LONG, table("4444"));
    until("the other prefix", LONG, table("tap*"));
    until("routes of the other protocol", LONG, || {
        host.ask("ip -6 route show fd00::2")
            .contains("proto 80 metric 500")
            && host
                .ask("ip route show 10.0.0.2")
                .contains("proto 80 scope link metric 77")
    });
    host.put(&felix(
        "node.n1",
        json!({"nftablesFilterDenyAction": "Drop", "ipv6Support": false}),
    ));
    until("the node's own word counts", LONG, || !table("reject")());
    until("no IPv6", LONG, || !table("fd00::2")());
    host.put(&felix("node.n1", json!({"removeExternalRoutes": false})));
    until("IPv6 again", LONG, table("fd00::2"));
    host.hand("ip route add 10.5.5.5/32 dev cali1");
    host.hand("ip route del 10.0.0.2");
    until("our route is back", REPAIR, || {
        host.ask("ip route show 10.0.0.2").contains("cali1")
    });
    assert!(
        host.ask("ip route show 10.5.5.5").contains("cali1"),
        "another's route stays"
    );
    stream.end();
}

#[test]
fn waits_for_a_datastore_that_is_not_ready() {
    if skipped() {
        return;
    }
    let mut host = ready_host();
    let mut cluster = api::Object::new(api::Kind::ClusterInformation, None, "default");
    let mut say = |host: &Host, ready: bool| {
        let spec = json!({"datastoreReady": ready, "calicoVersion": "v3.33.0"});
        cluster.value_mut().insert("spec".into(), spec);
        host.put(&cluster);
    };
    let whole = table_text(&host);
    say(&host, false);
    until("the agent waits", LONG, || {
        host.log().contains("is not ready;")
    });
    host.delete(&host.endpoint(1));
    host.kill();
    host.launch();
    until("the agent waits again", LONG, || {
        host.log().matches("is not ready;").count() == 2
    });
    assert_eq!(table_text(&host), whole, "the last policy stays in force");
    assert!(host.status_file(1).exists());
    say(&host, true);
    let file = host.status_file(1);
    until("the agent goes on", LONG, || {
        !file.exists() && host.is_ready()
    });
}
