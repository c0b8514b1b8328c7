//! Links, addresses, routes, neighbours and rules against the real kernel, each test in a namespace of its own.

use std::net::IpAddr;
use std::os::fd::AsFd;

use linux::netlink::Errno;
use linux::netns::{self, NetNs};
use linux::route::{
    Address, AddressGeneration, Changes, DuplicateDetection, LinkChange, LinkIndex, LinkRef,
    LinkState, Mark, Mtu, Neighbour, NeighbourKind, NextHop, OnLink, PolicyRule, Route,
    RouteFilter, RouteKind, RouteProtocol, RouteSocket, RuleAction, RuleMatch, Scope, TableId,
    Veth, VethEnd, Via,
};
use model::{Cidr, Family, Mac};

/// A fresh namespace that goes with its descriptor; `None`, said aloud, without the right to make one.
fn fresh() -> Option<NetNs> {
    match NetNs::unnamed() {
        Ok(netns) => Some(netns),
        Err(error) => {
            eprintln!("SKIPPED: making a network namespace needs root: {error}");
            None
        }
    }
}

fn cidr(text: &str) -> Cidr {
    text.parse().expect("a CIDR")
}

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn end(name: &str) -> VethEnd<'_> {
    VethEnd {
        name,
        mac: None,
        mtu: None,
    }
}

/// A veth pair inside one namespace, both ends up.
fn pair(socket: &mut RouteSocket) -> (LinkIndex, LinkIndex) {
    let veth = Veth {
        host: end("a0"),
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
    let index = |socket: &mut RouteSocket, name| {
        let link = socket
            .link(LinkRef::Name(name))
            .expect("a reply")
            .expect("the link");
        link.index
    };
    (index(socket, "a0"), index(socket, "b0"))
}

#[test]
fn a_veth_is_born_with_its_peer_in_another_namespace() {
    let (Some(host), Some(pod)) = (fresh(), fresh()) else {
        return;
    };
    let mut host_socket = RouteSocket::open_in(&host).expect("a socket");
    let mut pod_socket = RouteSocket::open_in(&pod).expect("a socket");
    let mac = Mac([0xee; 6]);
    let veth = Veth {
        host: VethEnd {
            name: "cali12345",
            mac: Some(mac),
            mtu: Some(Mtu(1410)),
        },
        host_state: LinkState::Up,
        peer: VethEnd {
            name: "eth0",
            mac: None,
            mtu: Some(Mtu(1400)),
        },
        peer_netns: Some(pod.as_fd()),
        queues: Some(2),
    };
    host_socket
        .change(|c| _ = c.add_veth(&veth))
        .expect("a veth pair");

    pod_socket
        .change(|c| _ = c.set_state(LinkRef::Name("eth0"), LinkState::Up))
        .expect("up");

    let near = host_socket
        .link(LinkRef::Name("cali12345"))
        .expect("a reply")
        .expect("the near end");
    assert_eq!((near.mac, near.mtu), (Some(mac), Some(Mtu(1410))));
    assert_eq!((near.state, near.carrier), (LinkState::Up, LinkState::Up));
    assert_eq!(near.kind.as_deref(), Some("veth"));
    let far = pod_socket
        .link(LinkRef::Name("eth0"))
        .expect("a reply")
        .expect("the far end");
    assert_eq!((far.mtu, far.state), (Some(Mtu(1400)), LinkState::Up));
    assert_eq!((near.peer, far.peer), (Some(far.index), Some(near.index)));
    assert!(near.peer_netns.is_some());
    assert_eq!(
        host_socket.link(LinkRef::Name("eth0")).expect("a reply"),
        None
    );

    let again = host_socket
        .change(|c| _ = c.add_veth(&veth))
        .expect_err("it is there");
    assert!(again.is_present(), "{again}");
    host_socket
        .change(|c| _ = c.delete_link(LinkRef::Name("cali12345")))
        .expect("deleted");
    assert_eq!(
        pod_socket.link(LinkRef::Name("eth0")).expect("a reply"),
        None
    );
    let gone = host_socket
        .change(|c| _ = c.delete_link(LinkRef::Name("cali12345")))
        .expect_err("it is gone");
    assert!(gone.is_absent(), "{gone}");
}

#[test]
fn links_change() {
    let Some(netns) = fresh() else { return };
    let mut socket = RouteSocket::open_in(&netns).expect("a socket");
    let (a0, _) = pair(&mut socket);
    socket
        .change(|c| _ = c.add_bridge("br0"))
        .expect("a bridge");
    let bridge = socket
        .link(LinkRef::Name("br0"))
        .expect("a reply")
        .expect("the bridge");
    assert_eq!(
        (bridge.kind.as_deref(), bridge.state),
        (Some("bridge"), LinkState::Down)
    );
    let change = LinkChange {
        state: Some(LinkState::Down),
        mtu: Some(Mtu(1300)),
        mac: Some(Mac([2, 0, 0, 0, 0, 9])),
        name: Some("c0"),
        master: Some(bridge.index),
        address_generation: Some(AddressGeneration::Off),
    };
    socket
        .change(|c| _ = c.set_state(LinkRef::Index(a0), LinkState::Down))
        .expect("down");
    socket
        .change(|c| _ = c.set_link(LinkRef::Index(a0), &change))
        .expect("changed");
    socket
        .change(|c| _ = c.set_state(LinkRef::Name("c0"), LinkState::Up))
        .expect("up");
    let link = socket
        .link(LinkRef::Index(a0))
        .expect("a reply")
        .expect("the link");
    assert_eq!(
        (link.name.as_str(), link.mtu, link.mac),
        ("c0", Some(Mtu(1300)), Some(Mac([2, 0, 0, 0, 0, 9])))
    );
    assert_eq!(
        (link.master, link.state),
        (Some(bridge.index), LinkState::Up)
    );
    let names: Vec<String> = socket
        .links()
        .expect("a list")
        .into_iter()
        .map(|link| link.name)
        .collect();
    assert_eq!(names, ["lo", "b0", "c0", "br0"]);
    // Off: the interface came up without a link-local address.
    assert_eq!(socket.addresses(Some(a0)).expect("a list"), []);
}

#[test]
fn addresses_of_both_families_come_and_go() {
    let Some(netns) = fresh() else { return };
    let mut socket = RouteSocket::open_in(&netns).expect("a socket");
    let (a0, _) = pair(&mut socket);
    for addr in [ip("10.0.0.1"), ip("fd00::1")] {
        let address = Address::host(a0, addr);
        socket
            .change(|c| _ = c.add_address(&address))
            .expect("added");
        let error = socket
            .change(|c| _ = c.add_address(&address))
            .expect_err("it is there");
        assert!(error.is_present(), "{error}");
        socket
            .change(|c| _ = c.replace_address(&address))
            .expect("replaced");
        let found = socket.addresses(Some(a0)).expect("a list");
        assert!(found.contains(&address), "{found:?}");
        assert_eq!(address.duplicate_detection, DuplicateDetection::Off);
        socket
            .change(|c| _ = c.delete_address(&address))
            .expect("deleted");
        let error = socket
            .change(|c| _ = c.delete_address(&address))
            .expect_err("it is gone");
        assert!(error.is_absent(), "{error}");
    }
    assert!(
        socket
            .addresses(Some(LinkIndex(9999)))
            .expect("no error")
            .is_empty()
    );
}

#[test]
fn a_thousand_routes_go_in_few_calls_and_come_back_the_same() {
    let Some(netns) = fresh() else { return };
    let mut socket = RouteSocket::open_in(&netns).expect("a socket");
    let (a0, _) = pair(&mut socket);
    let before = socket.stats();
    let mut changes = Changes::new();
    let mut wanted = Vec::new();
    for number in 0..1000u32 {
        let dst = Cidr::host(std::net::Ipv4Addr::from(0x0a41_0000 + number).into());
        let route = Route {
            protocol: RouteProtocol::CALICO,
            ..Route::over(dst, a0)
        };
        changes.add_route(&route);
        wanted.push(route);
    }
    assert_eq!(socket.apply(&mut changes).expect("a reply").failures, []);
    let after = socket.stats();
    assert_eq!(after.messages - before.messages, 1000);
    assert_eq!(after.sends - before.sends, 8);

    let filter = RouteFilter {
        protocol: Some(RouteProtocol::CALICO),
        ..RouteFilter::all(Family::V4)
    };
    let mut found = socket.routes(&filter).expect("a list");
    found.sort_by_key(|route| route.dst);
    assert_eq!(found, wanted);
    assert_eq!(
        socket
            .routes(&RouteFilter {
                table: Some(TableId(77)),
                ..filter
            })
            .expect("no error"),
        []
    );

    // The same again: each one fails, by its index, and nothing else is disturbed.
    let outcome = socket.apply(&mut changes).expect("a reply");
    assert_eq!(outcome.failures.len(), 1000);
    assert!(
        outcome
            .failures
            .iter()
            .enumerate()
            .all(|(at, failure)| failure.index == at)
    );
    assert_eq!(outcome.failures[0].errno, Errno::EXIST);

    let mut deletions = Changes::new();
    for route in &wanted {
        deletions.delete_route(route);
    }
    assert_eq!(socket.apply(&mut deletions).expect("a reply").failures, []);
    assert_eq!(socket.routes(&filter).expect("a list"), []);
}

#[test]
fn routes_of_all_shapes_come_back_as_written() {
    let Some(netns) = fresh() else { return };
    let mut socket = RouteSocket::open_in(&netns).expect("a socket");
    let (a0, b0) = pair(&mut socket);
    socket
        .change(|c| {
            c.add_address(&Address {
                prefix_len: 24,
                ..Address::host(a0, ip("10.0.0.1"))
            });
            c.add_address(&Address {
                prefix_len: 64,
                ..Address::host(a0, ip("fd00::1"))
            });
        })
        .expect("addresses");
    let hop = |link, gateway: &str, weight| NextHop {
        link: Some(link),
        weight,
        ..NextHop::gateway(ip(gateway))
    };
    let on_link = NextHop {
        on_link: OnLink::Assumed,
        ..hop(b0, "169.254.1.1", 1)
    };
    let base = |dst: &str, hop| Route {
        protocol: RouteProtocol::CALICO,
        priority: 50,
        ..Route::by(cidr(dst), hop)
    };
    let many = |dst: &str, hops: Vec<NextHop>| Route {
        via: Via::Many(hops),
        ..base(dst, NextHop::link(a0))
    };
    let routes = [
        base("10.1.0.0/16", hop(a0, "10.0.0.2", 1)),
        Route {
            mtu: Some(Mtu(1400)),
            source: Some(ip("10.0.0.1")),
            ..base("10.2.0.0/16", hop(a0, "10.0.0.3", 1))
        },
        base("10.3.0.0/16", on_link),
        Route {
            table: TableId(1000),
            ..base("10.4.0.0/16", hop(a0, "10.0.0.2", 1))
        },
        Route {
            priority: 50,
            protocol: RouteProtocol::CALICO,
            ..Route::blackhole(cidr("10.5.0.0/26"))
        },
        Route {
            kind: RouteKind::Local,
            scope: Scope::Host,
            ..base("10.6.0.1/32", NextHop::link(a0))
        },
        base("10.7.0.0/16", hop(a0, "fd00::2", 1)),
        many(
            "10.8.0.0/16",
            vec![hop(a0, "10.0.0.2", 1), hop(a0, "10.0.0.3", 3)],
        ),
        base("0.0.0.0/0", hop(a0, "10.0.0.2", 1)),
        base("fd01::/64", hop(a0, "fd00::2", 1)),
        base("fd02::1/128", NextHop::link(a0)),
        many(
            "fd03::/64",
            vec![hop(a0, "fd00::2", 1), hop(a0, "fd00::3", 1)],
        ),
        base("::/0", hop(a0, "fd00::2", 1)),
    ];
    for route in &routes {
        socket
            .change(|c| _ = c.add_route(route))
            .unwrap_or_else(|error| panic!("{route:?}: {error}"));
        let filter = RouteFilter {
            protocol: Some(RouteProtocol::CALICO),
            ..RouteFilter::all(route.dst.family())
        };
        let found = socket.routes(&filter).expect("a list");
        assert!(found.contains(route), "wanted {route:?}\nfound {found:#?}");
    }
    for family in Family::ALL {
        let over = RouteFilter {
            link: Some(b0),
            protocol: Some(RouteProtocol::CALICO),
            ..RouteFilter::all(family)
        };
        let found = socket.routes(&over).expect("a list").len();
        assert_eq!(found, if family == Family::V4 { 1 } else { 0 });
    }
    for route in &routes {
        socket
            .change(|c| _ = c.delete_route(route))
            .unwrap_or_else(|error| panic!("{route:?}: {error}"));
    }
}

#[test]
fn a_route_is_replaced_in_place() {
    let Some(netns) = fresh() else { return };
    let mut socket = RouteSocket::open_in(&netns).expect("a socket");
    let (a0, b0) = pair(&mut socket);
    for dst in ["10.65.0.1/32", "fd00:65::1/128"] {
        let first = Route {
            protocol: RouteProtocol::CALICO,
            priority: 7,
            ..Route::by(cidr(dst), NextHop::link(a0))
        };
        let second = Route {
            via: Via::One(NextHop::link(b0)),
            ..first.clone()
        };
        socket
            .change(|c| _ = c.replace_route(&first))
            .expect("made by replace");
        let error = socket
            .change(|c| _ = c.add_route(&second))
            .expect_err("the place is taken");
        assert!(error.is_present(), "{error}");
        socket
            .change(|c| _ = c.replace_route(&second))
            .expect("replaced");
        let filter = RouteFilter {
            protocol: Some(RouteProtocol::CALICO),
            ..RouteFilter::all(first.dst.family())
        };
        assert_eq!(
            socket.routes(&filter).expect("a list"),
            std::slice::from_ref(&second)
        );
        let error = socket
            .change(|c| _ = c.delete_route(&first))
            .expect_err("it goes over another link");
        assert!(error.is_absent(), "{error}");
        socket
            .change(|c| _ = c.delete_route(&second))
            .expect("deleted");
    }
}

#[test]
fn permanent_neighbours_and_proxies() {
    let Some(netns) = fresh() else { return };
    let mut socket = RouteSocket::open_in(&netns).expect("a socket");
    let (a0, _) = pair(&mut socket);
    for (gateway, proxied) in [
        (ip("169.254.1.1"), ip("10.0.0.9")),
        (ip("fe80::1"), ip("fd00::9")),
    ] {
        let family = Family::of(gateway);
        let permanent = Neighbour {
            link: a0,
            addr: gateway,
            kind: NeighbourKind::Permanent(Mac([0xee; 6])),
        };
        let proxy = Neighbour {
            link: a0,
            addr: proxied,
            kind: NeighbourKind::Proxy,
        };
        socket
            .change(|c| {
                c.replace_neighbour(&permanent);
                c.replace_neighbour(&proxy);
            })
            .expect("written");
        let found = socket.neighbours(family).expect("a list");
        assert!(
            found.contains(&permanent) && found.contains(&proxy),
            "{found:?}"
        );
        socket
            .change(|c| {
                c.delete_neighbour(&permanent);
                c.delete_neighbour(&proxy);
            })
            .expect("deleted");
        let found = socket.neighbours(family).expect("a list");
        assert!(
            !found.contains(&permanent) && !found.contains(&proxy),
            "{found:?}"
        );
    }
}

#[test]
fn rules_come_back_as_written() {
    let Some(netns) = fresh() else { return };
    let mut socket = RouteSocket::open_in(&netns).expect("a socket");
    for family in Family::ALL {
        let net = match family {
            Family::V4 => cidr("10.0.0.0/8"),
            Family::V6 => cidr("fd00::/8"),
        };
        let marked = PolicyRule {
            matching: RuleMatch::Others,
            from: Some(net),
            to: Some(net),
            mark: Some(Mark {
                value: 0x10_0000,
                mask: 0x10_0000,
            }),
            input: Some("a0".to_owned()),
            output: None,
            protocol: RouteProtocol::CALICO,
            ..PolicyRule::lookup(family, 99, TableId(1000))
        };
        let refused = PolicyRule {
            action: RuleAction::Unreachable,
            ..PolicyRule::lookup(family, 98, TableId::MAIN)
        };
        for rule in [&marked, &refused] {
            socket.change(|c| _ = c.add_rule(rule)).expect("added");
            let found = socket.rules(family).expect("a list");
            assert!(found.contains(rule), "wanted {rule:?}\nfound {found:#?}");
            let error = socket
                .change(|c| _ = c.add_rule(rule))
                .expect_err("it is there");
            assert!(error.is_present(), "{error}");
            socket.change(|c| _ = c.delete_rule(rule)).expect("deleted");
            assert!(!socket.rules(family).expect("a list").contains(rule));
        }
    }
}

#[test]
fn a_refusal_says_why() {
    let Some(netns) = fresh() else { return };
    let mut socket = RouteSocket::open_in(&netns).expect("a socket");
    let route = Route::by(cidr("10.0.0.0/8"), NextHop::gateway(ip("192.0.2.1")));
    let error = socket
        .change(|c| _ = c.add_route(&route))
        .expect_err("no way to the gateway");
    let text = error.to_string();
    assert!(
        text.starts_with("the kernel refused to add the route"),
        "{text}"
    );
    assert!(text.contains("Nexthop has invalid gateway"), "{text}");
}

#[test]
fn dumps_stay_whole_while_routes_change() {
    let Some(netns) = fresh() else { return };
    let mut socket = RouteSocket::open_in(&netns).expect("a socket");
    let (a0, _) = pair(&mut socket);
    let host = |number: u32| Cidr::host(std::net::Ipv4Addr::from(0x0a41_0000 + number).into());
    let stable: Vec<Route> = (0..5000)
        .map(|number| Route {
            protocol: RouteProtocol::CALICO,
            ..Route::over(host(number), a0)
        })
        .collect();
    let mut changes = Changes::new();
    for route in &stable {
        changes.add_route(route);
    }
    assert_eq!(socket.apply(&mut changes).expect("a reply").failures, []);

    let mut other = RouteSocket::open_in(&netns).expect("a socket");
    let done = std::sync::atomic::AtomicBool::new(false);
    let repeated = std::thread::scope(|scope| {
        scope.spawn(|| {
            let churned = Route::over(cidr("10.99.0.1/32"), a0);
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                other
                    .change(|c| _ = c.replace_route(&churned))
                    .expect("replaced");
                other
                    .change(|c| _ = c.delete_route(&churned))
                    .expect("deleted");
            }
        });
        let filter = RouteFilter {
            protocol: Some(RouteProtocol::CALICO),
            ..RouteFilter::all(Family::V4)
        };
        let lists: Vec<_> = (0..20).map(|_| socket.routes(&filter)).collect();
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        for list in lists {
            match list {
                Ok(routes) => assert_eq!(routes.len(), stable.len()),
                // Allowed to give up, never to give half.
                Err(error) => assert!(error.to_string().contains("changed during"), "{error}"),
            }
        }
        socket.stats().dumps_repeated
    });
    eprintln!("dumps taken again: {repeated}");
}

#[test]
fn named_namespaces_are_made_and_deleted_once() {
    if fresh().is_none() {
        return;
    }
    let name = format!("calirs-{}", std::process::id());
    let made = netns::create(&name).expect("made");
    let again = netns::create(&name).expect_err("the name is taken");
    assert!(again.is_present(), "{again}");
    let opened = NetNs::named(&name).expect("opened");
    let current = NetNs::current().expect("open");
    assert_eq!(made.id().expect("an id"), opened.id().expect("an id"));
    assert_ne!(made.id().expect("an id"), current.id().expect("an id"));
    let of_process = NetNs::of_process(std::process::id()).expect("open");
    assert_eq!(
        of_process.id().expect("an id"),
        current.id().expect("an id")
    );
    let inside = netns::in_netns(&made, || {
        NetNs::current().expect("open").id().expect("an id")
    })
    .expect("entered");
    assert_eq!(inside, made.id().expect("an id"));
    // The caller's thread stayed where it was.
    assert_eq!(
        NetNs::current().expect("open").id().expect("an id"),
        current.id().expect("an id")
    );
    netns::delete(&name).expect("deleted");
    let gone = netns::delete(&name).expect_err("it is gone");
    assert!(gone.is_absent(), "{gone}");
    assert!(NetNs::named(&name).expect_err("it is gone").is_absent());
    assert!(netns::create("../evil").is_err() && netns::create("").is_err());
    let file = tempfile::NamedTempFile::new().expect("a file");
    let error = NetNs::open(file.path()).expect_err("an ordinary file");
    assert!(
        error.to_string().contains("is not a network namespace"),
        "{error}"
    );
}
