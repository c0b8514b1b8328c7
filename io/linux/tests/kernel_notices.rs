//! Notices, sysctls and conntrack against the real kernel, each test in a namespace of its own.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use linux::conntrack::{Connection, ConntrackSocket, Tuple};
use linux::monitor::{Change, Drained, Monitor, Netconf, NetconfScope, Notice, Topic};
use linux::netns::{NetNs, in_netns};
use linux::route::{
    Address, Changes, LinkIndex, LinkRef, LinkState, Neighbour, NeighbourKind, Route, RouteSocket,
    Veth, VethEnd,
};
use linux::sysctl::{self, SysctlPath, SysctlValue};
use model::{Cidr, Family, Mac};

fn fresh() -> Option<NetNs> {
    match NetNs::unnamed() {
        Ok(netns) => Some(netns),
        Err(error) => {
            eprintln!("SKIPPED: making a network namespace needs root: {error}");
            None
        }
    }
}

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

/// A veth pair with a dot in its name, both ends up.
fn link(socket: &mut RouteSocket) -> LinkIndex {
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
        .change(|c| {
            c.add_veth(&veth);
            c.set_state(LinkRef::Name("b0"), LinkState::Up);
        })
        .expect("a veth pair");
    socket
        .link(LinkRef::Name("cali.1"))
        .expect("a reply")
        .expect("the link")
        .index
}

/// A monitor, and what it told that nobody waited for yet.
struct Listener {
    monitor: Monitor,
    heard: Vec<Notice>,
}

impl Listener {
    fn open_in(netns: &NetNs, topics: &[Topic]) -> Listener {
        Listener {
            monitor: Monitor::open_in(netns, topics).expect("a monitor"),
            heard: Vec::new(),
        }
    }

    /// Reads notices until one is wanted, for five seconds at most.
    fn wait_for(&mut self, wanted: impl Fn(&Notice) -> bool) -> Notice {
        let deadline = Instant::now() + Duration::from_secs(5);
        while Instant::now() < deadline {
            self.monitor
                .drain(|notice| self.heard.push(notice))
                .expect("notices");
            if let Some(at) = self.heard.iter().position(&wanted) {
                return self.heard.remove(at);
            }
            self.monitor
                .wait(Duration::from_millis(100))
                .expect("to wait");
        }
        panic!("not among {:#?}", self.heard);
    }
}

#[test]
fn every_change_is_told() {
    let Some(netns) = fresh() else { return };
    let mut listener = Listener::open_in(&netns, &Topic::ALL);
    let mut socket = RouteSocket::open_in(&netns).expect("a socket");
    let index = link(&mut socket);
    let up = |notice: &Notice| matches!(notice, Notice::LinkChanged(l) if l.index == index && l.carrier == LinkState::Up);
    listener.wait_for(up);

    for (addr, dst) in [("10.0.0.1", "10.0.0.9"), ("fd00::1", "fd00::9")] {
        let address = Address::host(index, ip(addr));
        let route = Route {
            priority: 9,
            ..Route::over(Cidr::host(ip(dst)), index)
        };
        let neighbour = Neighbour {
            link: index,
            addr: ip(dst),
            kind: NeighbourKind::Permanent(Mac([2; 6])),
        };
        socket
            .change(|c| {
                c.add_address(&address);
                c.add_route(&route);
                c.replace_neighbour(&neighbour);
            })
            .expect("added");
        listener.wait_for(|n| matches!(n, Notice::AddressChanged(Change::Set, a) if *a == address));
        listener.wait_for(|n| matches!(n, Notice::RouteChanged(Change::Set, r) if r.dst == route.dst && r.priority == 9),
        );
        listener.wait_for(|n| *n == Notice::NeighbourChanged(Change::Set, neighbour));
        socket
            .change(|c| {
                c.delete_neighbour(&neighbour);
                c.delete_route(&route);
                c.delete_address(&address);
            })
            .expect("deleted");
        listener.wait_for(|n| matches!(n, Notice::RouteChanged(Change::Gone, r) if r.dst == route.dst && r.priority == 9),
        );
        listener.wait_for(|n| *n == Notice::AddressChanged(Change::Gone, address));
    }
    socket
        .change(|c| _ = c.delete_link(LinkRef::Index(index)))
        .expect("deleted");
    listener.wait_for(|n| {
        *n == Notice::LinkGone {
            index,
            name: "cali.1".to_owned(),
        }
    });
}

#[test]
fn another_hand_on_a_sysctl_is_told() {
    let Some(netns) = fresh() else { return };
    let mut socket = RouteSocket::open_in(&netns).expect("a socket");
    let index = link(&mut socket);
    let mut listener = Listener::open_in(&netns, &[Topic::Netconf]);
    let scope = NetconfScope::Link(index);
    let none = Netconf::default();
    let cases = [
        (
            Family::V4,
            "proxy_arp",
            Netconf {
                proxy_neighbours: Some(1),
                ..none
            },
            Netconf {
                proxy_neighbours: Some(0),
                ..none
            },
        ),
        (
            Family::V4,
            "rp_filter",
            Netconf {
                rp_filter: Some(1),
                ..none
            },
            Netconf {
                rp_filter: Some(0),
                ..none
            },
        ),
        (
            Family::V4,
            "forwarding",
            Netconf {
                forwarding: Some(1),
                ..none
            },
            Netconf {
                forwarding: Some(0),
                ..none
            },
        ),
        (
            Family::V6,
            "proxy_ndp",
            Netconf {
                proxy_neighbours: Some(1),
                ..none
            },
            Netconf {
                proxy_neighbours: Some(0),
                ..none
            },
        ),
        (
            Family::V6,
            "forwarding",
            Netconf {
                forwarding: Some(1),
                ..none
            },
            Netconf {
                forwarding: Some(0),
                ..none
            },
        ),
    ];
    for (family, key, on, off) in cases {
        let path = SysctlPath::of_link(family, "cali.1", key).expect("a path");
        for (value, values) in [(1, on), (0, off)] {
            in_netns(&netns, || sysctl::write(&path, &SysctlValue::from(value)))
                .expect("entered")
                .expect("written");
            listener.wait_for(|n| {
                *n == Notice::NetconfChanged {
                    family,
                    scope,
                    values,
                }
            });
        }
    }
}

#[test]
fn sysctls_are_those_of_the_threads_namespace() {
    let (Some(one), Some(two)) = (fresh(), fresh()) else {
        return;
    };
    let path = SysctlPath::dotted("net.ipv4.ip_forward").expect("a path");
    let write = |netns: &NetNs, value: i64| {
        in_netns(netns, || sysctl::write(&path, &SysctlValue::from(value)))
            .expect("entered")
            .expect("written");
    };
    let read = |netns: &NetNs| {
        in_netns(netns, || sysctl::read(&path))
            .expect("entered")
            .expect("read")
            .number()
            .expect("a number")
    };
    let outside = sysctl::read(&path).expect("read");
    for (first, second) in [(0, 1), (1, 0), (0, 0), (1, 1)] {
        write(&one, first);
        write(&two, second);
        assert_eq!((read(&one), read(&two)), (first, second));
    }
    assert_eq!(sysctl::read(&path).expect("read"), outside);

    let absent = SysctlPath::of_link(Family::V4, "absent0", "proxy_arp").expect("a path");
    let error = in_netns(&one, || sysctl::read(&absent))
        .expect("entered")
        .expect_err("no such interface");
    assert!(error.is_absent(), "{error}");
    let error = in_netns(&one, || sysctl::write(&path, &SysctlValue::from("x"))).expect("entered");
    let error = error.expect_err("not a number");
    assert_eq!(
        error.to_string(),
        "failed to write \"x\" to /proc/sys/net/ipv4/ip_forward"
    );
}

#[test]
fn a_monitor_that_is_not_read_says_what_it_missed() {
    let Some(netns) = fresh() else { return };
    let mut socket = RouteSocket::open_in(&netns).expect("a socket");
    let index = link(&mut socket);
    let mut monitor = in_netns(&netns, || Monitor::open_with(&[Topic::Routes], 4096))
        .expect("entered")
        .expect("a monitor");
    let mut changes = Changes::new();
    for number in 0..1000u32 {
        changes.add_route(&Route::over(
            Cidr::host(std::net::Ipv4Addr::from(0x0a41_0000 + number).into()),
            index,
        ));
    }
    assert_eq!(socket.apply(&mut changes).expect("a reply").failures, []);
    let (mut overruns, mut routes) = (0, 0);
    let drain = |monitor: &mut Monitor, overruns: &mut usize, routes: &mut usize| {
        monitor
            .drain(|notice| match &notice {
                Notice::Overrun => *overruns += 1,
                Notice::RouteChanged(..) => *routes += 1,
                Notice::LinkChanged(_)
                | Notice::LinkGone { .. }
                | Notice::AddressChanged(..)
                | Notice::NeighbourChanged(..)
                | Notice::NetconfChanged { .. } => panic!("not asked for: {notice:?}"),
            })
            .expect("notices")
    };
    while drain(&mut monitor, &mut overruns, &mut routes) == Drained::MayHoldMore {}
    assert_eq!(overruns, 1);
    assert!(routes < 1000, "{routes}");
    // And it goes on afterwards.
    socket
        .change(|c| _ = c.add_route(&Route::over(Cidr::host(ip("10.99.0.1")), index)))
        .expect("added");
    let before = routes;
    drain(&mut monitor, &mut overruns, &mut routes);
    assert_eq!((overruns, routes - before), (1, 1));
}

#[test]
fn connections_of_an_address_are_forgotten() {
    let Some(netns) = fresh() else { return };
    let mut socket = ConntrackSocket::open_in(&netns).expect("a socket");
    let tuple = |source: &str, destination: &str, source_port, destination_port| Tuple {
        source: ip(source),
        destination: ip(destination),
        protocol: libc::IPPROTO_UDP as u8,
        source_port: Some(source_port),
        destination_port: Some(destination_port),
    };
    let plain = |a: &str, b: &str, port| Connection {
        original: tuple(a, b, port, 53),
        reply: tuple(b, a, 53, port),
    };
    // To a service at 10.96.0.1, sent on to the pod 10.65.0.7.
    let translated = Connection {
        original: tuple("10.65.0.3", "10.96.0.1", 1003, 80),
        reply: tuple("10.65.0.7", "10.65.0.3", 8080, 1003),
    };
    let kept = [
        plain("10.65.0.1", "10.65.0.2", 1001),
        plain("fd00::1", "fd00::2", 1001),
    ];
    let lost = [
        plain("10.65.0.7", "10.65.0.2", 1002),
        plain("10.65.0.2", "10.65.0.7", 1002),
        translated,
        plain("fd00::7", "fd00::2", 1002),
    ];
    assert_eq!(socket.count().expect("a count"), Some(0));
    for connection in kept.iter().chain(&lost) {
        socket.insert(connection, 600).expect("inserted");
    }
    assert_eq!(socket.count().expect("a count"), Some(6));
    assert_eq!(socket.connections(Family::V4).expect("a list").len(), 4);
    let v4 = BTreeSet::from([ip("10.65.0.7")]);
    let both = BTreeSet::from([ip("10.65.0.7"), ip("fd00::7"), ip("10.65.0.99")]);
    assert_eq!(socket.delete_by_addresses(&v4).expect("deleted"), 3);
    assert_eq!(socket.delete_by_addresses(&both).expect("deleted"), 1);
    assert_eq!(socket.delete_by_addresses(&both).expect("deleted"), 0);
    assert_eq!(socket.connections(Family::V4).expect("a list"), [kept[0]]);
    assert_eq!(socket.connections(Family::V6).expect("a list"), [kept[1]]);
}
