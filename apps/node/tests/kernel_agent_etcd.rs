//! The agent on a real etcd: it waits for one that is not there, and outlives one that goes away.

#[expect(dead_code, reason = "the other tests need the rest")]
mod agent;
#[expect(
    dead_code,
    reason = "the other tests send raw packets of all protocols"
)]
mod wire;

use std::net::TcpListener;
use std::time::{Duration, Instant};

use agent::{Host, LONG, skipped, until};
use api::{Kind, Object};
use serde_json::json;
use testkit::servers::{Guard, Proxy, RealEtcd};

const PODS: [&[&str]; 1] = [&["10.0.0.1", "fd00::1"]];

/// Not a test: what this program is when a test starts it as the agent.
#[test]
fn agent_process() {
    agent::become_agent();
}

fn policy(order: u32) -> Object {
    let mut policy = Object::new(Kind::GlobalNetworkPolicy, None, "p");
    let spec = json!({
        "tier": "default", "order": order, "selector": "all()", "types": ["Ingress"],
        "ingress": [{"action": "Allow", "protocol": "TCP", "destination": {"ports": [order]}}],
    });
    policy.value_mut().insert("spec".into(), spec);
    policy
}

#[test]
fn the_agent_waits_for_its_datastore_and_outlives_it() {
    if skipped() {
        return;
    }
    let Some(mut etcd) = RealEtcd::start(Guard::Open) else {
        return;
    };
    let mut host = Host::new(&PODS);
    // The same place in both namespaces: here the server itself, there a proxy.
    let listener = host
        .inside(|| TcpListener::bind(etcd.address()))
        .expect("a port");
    let proxy = Proxy::serve(listener, etcd.address()).expect("a proxy");
    proxy.refuse();
    host.environment
        .retain(|(name, _)| !name.contains("DATASTORE"));
    host.environment
        .push(("DATASTORE_TYPE".into(), "etcdv3".into()));
    host.environment.push(("ETCD_ENDPOINTS".into(), etcd.url()));

    host.launch();
    until("it says what it waits for", LONG, || {
        let answer = host.readiness();
        answer.starts_with("HTTP/1.1 503") && answer.contains(&etcd.url())
    });
    assert!(
        host.log().contains("waiting for the datastore"),
        "{}",
        host.log()
    );
    // Nothing is let through before policy is known.
    host.ask("nft list table inet calico");
    proxy.allow();
    host.wait_ready();
    assert!(
        etcd.etcdctl(&["get", "--prefix", "--keys-only", "/calico/"])
            .contains("/nodes/n1")
    );

    host.attach(1);
    host.put(&policy(1000));
    host.wait_status(1);
    let has = |host: &Host, port: &str| host.ask("nft list table inet calico").contains(port);
    until("the policy is enforced", LONG, || has(&host, "1000"));

    etcd.kill();
    until("it says that it cannot follow", LONG, || {
        host.readiness().contains("cannot be followed")
    });
    assert!(
        host.is_ready() && has(&host, "1000"),
        "the last policy stays in force"
    );
    etcd.restart();
    host.put(&policy(2000));
    until("it follows again", LONG, || has(&host, "2000"));
    assert!(host.is_ready());
    assert_eq!(
        host.metric("felix_resyncs_started"),
        1,
        "it went on where it was"
    );
}

#[test]
fn an_agent_that_waits_can_be_told_to_stop() {
    if skipped() {
        return;
    }
    let mut host = Host::new(&PODS);
    host.environment
        .retain(|(name, _)| !name.contains("DATASTORE"));
    host.environment
        .push(("DATASTORE_TYPE".into(), "etcdv3".into()));
    host.environment
        .push(("ETCD_ENDPOINTS".into(), "http://127.0.0.1:9".into()));
    host.launch();
    until("it waits", LONG, || {
        host.readiness().starts_with("HTTP/1.1 503")
    });
    assert!(host.terminate().success(), "{}", host.log());
}

/// It takes connections, and never answers.
fn silent_etcd(host: &mut Host) -> TcpListener {
    let silent = host
        .inside(|| TcpListener::bind("127.0.0.1:0"))
        .expect("a port");
    let place = silent.local_addr().expect("it is bound");
    host.environment
        .retain(|(name, _)| !name.contains("DATASTORE"));
    host.environment
        .push(("DATASTORE_TYPE".into(), "etcdv3".into()));
    host.environment
        .push(("ETCD_ENDPOINTS".into(), format!("http://{place}")));
    silent
}

#[test]
fn an_attempt_under_way_keeps_nobody_waiting() {
    if skipped() {
        return;
    }
    let mut host = Host::new(&PODS);
    let silent = silent_etcd(&mut host);
    host.launch();
    // A request is under way that would be waited for 10 s.
    let connected = silent.accept().expect("the agent connects");
    let began = Instant::now();
    assert!(host.terminate().success(), "{}", host.log());
    assert!(
        began.elapsed() < Duration::from_secs(1),
        "{:?}",
        began.elapsed()
    );
    drop(connected);
}

#[test]
fn unknown_interfaces_are_shut_while_the_datastore_says_nothing() {
    if skipped() {
        return;
    }
    let mut host = Host::new(&PODS);
    let _silent = silent_etcd(&mut host);
    host.launch();
    until("the agent answers", LONG, || {
        host.readiness().starts_with("HTTP/1.1 503")
    });
    until("its table stands", LONG, || {
        host.ask("nft list tables").contains("table inet calico")
    });
    assert!(
        !host.log().contains("waiting for the datastore"),
        "not only after the first attempt has failed: {}",
        host.log()
    );
}
