//! Probes, servers, streams and cluster of namespaces, on the real kernel.

use std::net::IpAddr;
use std::process::Command;
use std::time::Duration;

use lab::cluster::{self, Cluster, NODE, ROUTER};
use lab::probe::{Answer, KINDS, Servers, probe};
use lab::traffic::{Rate, Stream};

const PATIENCE: Duration = Duration::from_millis(1500);

/// A cluster that goes with the test, whatever becomes of it.
struct Temporary {
    prefix: String,
    cluster: Cluster,
}

impl Temporary {
    fn create(test: &str) -> Option<Self> {
        let prefix = format!("lab{}{test}", std::process::id());
        let far: IpAddr = "203.0.113.10".parse().expect("an address");
        match Cluster::create(&prefix, &[far]) {
            Ok(cluster) => Some(Self { prefix, cluster }),
            Err(error)
                if std::fs::read_to_string("/proc/self/status")
                    .is_ok_and(|text| !text.contains("\nUid:\t0\t0")) =>
            {
                eprintln!("SKIPPED: making network namespaces needs root: {error:#}");
                None
            }
            Err(error) => panic!("{error:#}"),
        }
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if let Err(error) = cluster::sweep(&self.prefix) {
            eprintln!("cannot clean up: {error:#}");
        }
    }
}

#[test]
fn every_kind_of_probe_is_answered_in_both_families() {
    let Some(lab) = Temporary::create("probe") else {
        return;
    };
    let servers = Servers::start(lab.cluster.outside.netns()).expect("servers");
    for to in ROUTER {
        for kind in KINDS {
            let answer = probe(lab.cluster.node.netns(), kind, to, PATIENCE).expect("a probe");
            assert_eq!(answer, Answer::Reached, "{kind} to {to}");
        }
    }
    let far: IpAddr = "203.0.113.10".parse().expect("an address");
    let answer = probe(lab.cluster.node.netns(), KINDS[0], far, PATIENCE).expect("a probe");
    assert_eq!(answer, Answer::Reached, "beyond the router");
    drop(servers);
}

#[test]
fn a_dropped_probe_is_silent() {
    let Some(lab) = Temporary::create("drop") else {
        return;
    };
    let _servers = Servers::start(lab.cluster.outside.netns()).expect("servers");
    let rules =
        "add table inet t; add chain inet t in { type filter hook input priority 0; policy drop; }";
    let status = lab
        .cluster
        .outside
        .spawn(Command::new("nft").arg(rules))
        .map(|mut nft| nft.wait());
    if !status.is_ok_and(|status| status.is_ok_and(|status| status.success())) {
        eprintln!("SKIPPED: nft is not installed");
        return;
    }
    for kind in KINDS {
        let answer = probe(
            lab.cluster.node.netns(),
            kind,
            ROUTER[0],
            Duration::from_millis(200),
        )
        .expect("a probe");
        assert_eq!(answer, Answer::Silent, "{kind}");
    }
}

#[test]
fn a_stream_without_obstacles_loses_nothing() {
    let Some(lab) = Temporary::create("flow") else {
        return;
    };
    let (from, to) = (lab.cluster.outside.netns(), lab.cluster.node.netns());
    let stream = Stream::start(from, to, NODE[0], 9000, Rate(5000)).expect("a stream");
    while stream.arrived() < 2000 {
        std::thread::yield_now();
    }
    let count = stream.finish().expect("a count");
    assert_eq!(count.lost(), 0, "{count:?}");
    assert!(
        count.sent >= 2000 && count.at_interface >= count.received,
        "{count:?}"
    );
}

#[test]
fn a_sweep_ends_what_runs_inside() {
    let Some(lab) = Temporary::create("sweep") else {
        return;
    };
    let mut child = lab
        .cluster
        .node
        .spawn(Command::new("sleep").arg("1000"))
        .expect("sleep");
    // The child is ours to wait for: only then is it gone for the sweep.
    let waiter = std::thread::spawn(move || child.wait());
    assert_eq!(cluster::sweep(&lab.prefix).expect("a sweep"), 2);
    let status = waiter.join().expect("no panic").expect("a status");
    assert!(!status.success());
    assert_eq!(cluster::sweep(&lab.prefix).expect("a second sweep"), 0);
}
