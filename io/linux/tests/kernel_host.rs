//! The host's side of workloads: planned by `dataplane`, carried out in a namespace, and repaired after another hand.

use std::collections::{BTreeMap, BTreeSet};

use dataplane::host::{
    HostDesired, HostOp, HostOptions, InterfaceWant, Sysctl, WorkloadRoute, plan,
};
use linux::host::{apply, observe};
use linux::netns::{NetNs, in_netns};
use linux::route::{LinkRef, LinkState, NextHop, Route, RouteSocket, Veth, VethEnd};
use model::Cidr;

fn sysctl(parts: &[&str]) -> Sysctl {
    Sysctl(parts.iter().map(|part| (*part).into()).collect())
}

fn cidr(text: &str) -> Cidr {
    text.parse().expect("a CIDR")
}

fn wanted() -> HostDesired {
    let route = |dst: &str| WorkloadRoute {
        dst: cidr(dst),
        metric: 1024,
        protocol: 3,
    };
    let conf = |family, key| sysctl(&["net", family, "conf", "cali.1", key]);
    let want = InterfaceWant {
        routes: BTreeSet::from([
            route("10.65.0.1/32"),
            route("10.65.0.2/32"),
            route("fd00:65::1/128"),
        ]),
        sysctls: BTreeMap::from([
            (conf("ipv4", "proxy_arp"), "1".into()),
            (conf("ipv4", "rp_filter"), "1".into()),
            (conf("ipv6", "proxy_ndp"), "1".into()),
            (conf("ipv6", "accept_ra"), "0".into()),
            (conf("ipv6", "no_such_setting"), "1".into()),
        ]),
    };
    HostDesired {
        interfaces: BTreeMap::from([("cali.1".into(), want.clone()), ("cali.2".into(), want)]),
        sysctls: BTreeMap::from([(sysctl(&["net", "ipv4", "ip_forward"]), "1".into())]),
    }
}

#[test]
fn what_is_planned_stands_and_is_repaired() {
    let netns = match NetNs::unnamed() {
        Ok(netns) => netns,
        Err(error) => {
            eprintln!("SKIPPED: making a network namespace needs root: {error}");
            return;
        }
    };
    in_netns(&netns, converge).expect("entered");
}

fn converge() {
    let mut socket = RouteSocket::open().expect("a socket");
    let end = |name| VethEnd {
        name,
        mac: None,
        mtu: None,
    };
    let veth = Veth {
        host: end("cali.1"),
        host_state: LinkState::Up,
        peer: end("b0"),
        peer_netns: None,
        queues: Some(1),
    };
    socket
        .change(|c| _ = c.add_veth(&veth))
        .expect("a veth pair");
    let want = wanted();
    let seen = observe(&mut socket, &want).expect("observed");
    assert_eq!(seen.interfaces.len(), 1, "cali.2 is not there");
    let steps = plan(&want, &seen, &HostOptions::default());
    assert!(!steps.is_empty());
    let failed = apply(&mut socket, &steps).expect("applied");
    assert!(failed.is_empty(), "{failed:?}");
    let seen = observe(&mut socket, &want).expect("observed");
    assert_eq!(plan(&want, &seen, &HostOptions::default()), []);

    // Another hand: a route of ours goes, foreign ones come, a setting is cleared.
    let link = socket
        .link(LinkRef::Name("cali.1"))
        .expect("a reply")
        .expect("the link")
        .index;
    let over = |dst, metric| Route {
        priority: metric,
        ..Route::over(cidr(dst), link)
    };
    socket
        .change(|c| {
            c.delete_route(&over("10.65.0.1/32", 1024));
            c.add_route(&Route::by(cidr("10.66.0.0/16"), NextHop::link(link)));
            c.add_route(&over("fd00:66::/64", 77));
        })
        .expect("changed");
    let path = linux::sysctl::SysctlPath::dotted("net.ipv4.conf.cali/1.proxy_arp").expect("a path");
    linux::sysctl::write(&path, &"0".into()).expect("cleared");
    let seen = observe(&mut socket, &want).expect("observed");
    let steps = plan(&want, &seen, &HostOptions::default());
    assert_eq!(steps.len(), 4, "{steps:?}");
    let failed = apply(&mut socket, &steps).expect("applied");
    assert!(failed.is_empty(), "{failed:?}");
    let seen = observe(&mut socket, &want).expect("observed");
    assert_eq!(plan(&want, &seen, &HostOptions::default()), []);

    // A step for an interface that is gone: an addition fails by name, a deletion is done.
    let route = WorkloadRoute {
        dst: cidr("10.65.0.1/32"),
        metric: 1024,
        protocol: 3,
    };
    let steps = [
        HostOp::AddRoute("cali.2".into(), route),
        HostOp::DeleteRoute("cali.2".into(), route),
    ];
    let failed = apply(&mut socket, &steps).expect("applied");
    assert_eq!(failed.len(), 1);
    assert_eq!(failed[0].op, steps[0]);
    assert_eq!(
        failed[0].error.to_string(),
        "the interface cali.2 is not there"
    );
}
