//! The kernel's verdict on real packets is the oracle's: random worlds are computed, printed, written to the kernel, and judged
//! by what arrives.

mod wire;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use calc::{Decision, Direction, Graph, Packet, Reason, Transport, Verdict, World, oracle};
use dataplane::filter::{Filter, FilterOptions};
use dataplane::nft::{TableId, diff};
use dataplane::nftables::{self, NftOptions};
use linux::conntrack::ConntrackSocket;
use linux::netns;
use linux::nft::{Guard, Nftables};
use model::{Cidr, Family, Key, Protocol, Resource, Update, WorkloadEndpointId};
use testkit::rng::Rng;
use testkit::worlds::{self, LOCAL_NODE};
use wire::Site;

const PODS: [&[&str]; 3] = [
    &["10.0.0.1", "fd00::1"],
    &["10.0.0.2", "fd00::2"],
    &["10.0.0.3"],
];
const OUTSIDE: [&str; 5] = [
    "10.0.1.1",
    "192.0.2.7",
    "2001:db8::1",
    "10.0.0.4",
    "10.0.0.5",
];
const PACKETS: usize = 60;

#[test]
fn kernel_agrees_with_oracle() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: network namespaces and nf_tables need root");
        return;
    }
    let worlds = std::env::var("CALICO_KERNEL_WORLDS")
        .ok()
        .and_then(|n| n.parse().ok());
    let site = Site::new(&PODS, &OUTSIDE);
    netns::in_netns(&site.host, || {
        let mut nft = Nftables::open().expect("nf_tables");
        let (mut allowed, mut denied) = (0, 0);
        for seed in 0..worlds.unwrap_or(200) {
            let world = random_world(&mut Rng::new(seed));
            program(&mut nft, &world);
            let (a, d) = judge(&site, &world, seed);
            allowed += a;
            denied += d;
        }
        eprintln!("{allowed} packets allowed, {denied} denied, as the oracle says");
        assert!(allowed > 100 && denied > 100, "the worlds say something");
    })
    .expect("entered");
}

fn random_world(rng: &mut Rng) -> World {
    let mut world = World::default();
    let mut labelled = Vec::new();
    for _ in 0..60 {
        let mut update = worlds::update(rng);
        if let (Key::WorkloadEndpoint(id), Some(Resource::WorkloadEndpoint(endpoint))) =
            (&update.key, &mut update.value)
        {
            if &*id.node == LOCAL_NODE {
                labelled.push(endpoint.clone());
                continue;
            }
            let outside = rng.pick(&OUTSIDE).parse::<IpAddr>().expect("an address");
            endpoint.nets = vec![Cidr::host(outside)];
        }
        if !matches!(&update.key, Key::WorkloadEndpoint(id) if &*id.node == LOCAL_NODE) {
            world.apply(update);
        }
    }
    for (pod, addresses) in PODS.iter().enumerate() {
        let mut endpoint = labelled.get(pod).cloned().unwrap_or_default();
        endpoint.interface = wire::interface(pod).into();
        endpoint.nets = addresses
            .iter()
            .map(|a| a.parse().expect("an address"))
            .collect();
        endpoint.allow_spoofed.clear();
        let id = WorkloadEndpointId {
            node: LOCAL_NODE.into(),
            orchestrator: "k8s".into(),
            namespace: "red".into(),
            workload: format!("pod{pod}").into(),
            endpoint: "eth0".into(),
        };
        let value = Some(Resource::WorkloadEndpoint(endpoint));
        world.apply(Update {
            key: Key::WorkloadEndpoint(id),
            value,
        });
    }
    world
}

fn program(nft: &mut Nftables, world: &World) {
    let mut graph = Graph::new(LOCAL_NODE);
    for (key, resource) in world.iter() {
        graph.apply(Update {
            key: key.clone(),
            value: Some(resource.clone()),
        });
    }
    graph.in_sync();
    let mut filter = Filter::new(FilterOptions::default());
    for change in graph.drain() {
        filter.apply(change);
    }
    let desired = nftables::ruleset(&filter, NftOptions::default());
    let (observed, generation) = nft.observe(&TableId::ours()).expect("observed");
    nft.apply(&diff(&desired, &observed), Guard::Unchanged(generation))
        .expect("applied");
    let (observed, _) = nft.observe(&TableId::ours()).expect("observed");
    assert!(
        diff(&desired, &observed).is_empty(),
        "what was written is what is read"
    );
}

/// Sends packets and compares; returns how many were allowed and denied.
fn judge(site: &Site, world: &World, seed: u64) -> (usize, usize) {
    let mut conntrack = ConntrackSocket::open().expect("conntrack");
    let pods: BTreeSet<IpAddr> = parse(PODS.iter().copied().flatten()).into_iter().collect();
    conntrack.delete_by_addresses(&pods).expect("forgotten");
    let packets = packets(&mut Rng::new(seed ^ 0xabcd));
    for (number, packet) in &packets {
        site.place(packet.source).send(packet, *number);
    }
    let mut arrived: BTreeMap<u32, usize> = BTreeMap::new();
    let places = site.pods.iter().chain([&site.outside]);
    for (index, place) in places.enumerate() {
        arrived.extend(place.arrived().into_iter().map(|number| (number, index)));
    }
    let mut counts = (0, 0);
    for (number, packet) in &packets {
        let expected = local_verdict(world, packet);
        let passed = arrived.contains_key(number);
        assert_eq!(
            passed,
            expected.action == Decision::Allow,
            "world {seed}: the oracle says {expected} of {packet:?}"
        );
        match expected.action {
            Decision::Allow => counts.0 += 1,
            Decision::Deny => counts.1 += 1,
        }
    }
    counts
}

/// What this host has a say in: egress policy of a local source, ingress policy of a local destination.
fn local_verdict(world: &World, packet: &Packet) -> Verdict {
    let ends = [
        (Direction::Egress, packet.source),
        (Direction::Ingress, packet.destination),
    ];
    let mut verdict = Verdict {
        action: Decision::Allow,
        reason: Reason::NoEndpoint,
    };
    for (direction, address) in ends {
        let endpoint = world
            .endpoint_at(address)
            .filter(|id| &*id.node == LOCAL_NODE);
        let Some(id) = endpoint else { continue };
        verdict = oracle::endpoint_verdict(world, id, direction, packet);
        if verdict.action == Decision::Deny {
            break;
        }
    }
    verdict
}

/// Packets that do not meet in connection tracking: an answer to an allowed packet would be let through.
fn packets(rng: &mut Rng) -> Vec<(u32, Packet)> {
    let pods: Vec<IpAddr> = parse(PODS.iter().copied().flatten());
    let all: Vec<IpAddr> = pods.iter().copied().chain(parse(OUTSIDE.iter())).collect();
    let mut seen = BTreeSet::new();
    let mut out = Vec::new();
    for number in 1..=u32::try_from(PACKETS).expect("few") {
        let (source, destination) = (*rng.pick(&all), *rng.pick(&all));
        let same_place = |a: IpAddr, b: IpAddr| {
            let place = |x: IpAddr| {
                PODS.iter()
                    .position(|p| p.iter().any(|t| t.parse() == Ok(x)))
            };
            place(a) == place(b)
        };
        if Family::of(source) != Family::of(destination) || same_place(source, destination) {
            continue;
        }
        let mut packet = worlds::packet_between(rng, source, destination);
        let flow = match &mut packet.transport {
            Transport::Ports {
                source: s,
                destination: d,
            } => {
                let mut ends = [(source, *s), (destination, *d)];
                ends.sort_unstable();
                Some((packet.protocol, ends))
            }
            Transport::Icmp { kind, .. } => {
                // Only requests begin a connection.
                *kind = if packet.protocol == Protocol::ICMP {
                    8
                } else {
                    128
                };
                None
            }
            Transport::Opaque => {
                let mut ends = [(source, 0), (destination, 0)];
                ends.sort_unstable();
                Some((packet.protocol, ends))
            }
        };
        if flow.is_none_or(|flow| seen.insert(flow)) {
            out.push((number, packet));
        }
    }
    out
}

fn parse<'a>(list: impl Iterator<Item = &'a &'a str>) -> Vec<IpAddr> {
    list.map(|a| a.parse().expect("an address")).collect()
}
