//! The cheapest possible pod set-up: what the kernel alone takes, over two hundred pods.
//!
//! Each pod: a veth pair whose peer is born in the pod's namespace; there an address, the link up, the gateway's link route, a default
//! route and a permanent neighbour; on the host a /32 route and four sysctls. The pod's namespace is made before the clock starts, as a
//! container runtime does; deletion is timed apart. Needs root: `cargo run --release -p linux --example add_floor [pods]`.

use std::error::Error;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use linux::netns::{NetNs, in_netns};
use linux::route::{
    Address, LinkRef, LinkState, Neighbour, NeighbourKind, NextHop, OnLink, Route, RouteSocket,
    Veth, VethEnd,
};
use linux::sysctl::{self, SysctlPath, SysctlValue};
use model::{Cidr, Family, Mac};

const GATEWAY: Ipv4Addr = Ipv4Addr::new(169, 254, 1, 1);
const HOST_MAC: Mac = Mac([0xee; 6]);

/// What each step of one pod took.
#[derive(Clone, Copy, Default)]
struct Laps {
    pair: Duration,
    enter: Duration,
    pod: Duration,
    route: Duration,
    sysctls: Duration,
    total: Duration,
    delete: Duration,
}

/// Picks one step's time.
type Step = fn(&Laps) -> Duration;

fn main() -> Result<(), Box<dyn Error>> {
    let pods = match std::env::args().nth(1) {
        Some(text) => text.parse()?,
        None => 200,
    };
    let host = NetNs::unnamed()?;
    let mut laps = in_netns(&host, || run(pods).map_err(|error| error.to_string()))??;
    println!("pods: {pods}                p50 ms   p99 ms");
    let steps: [(&str, Step); 7] = [
        ("veth pair, peer in the pod", |l| l.pair),
        ("socket in the pod", |l| l.enter),
        ("pod side, one batch", |l| l.pod),
        ("host route", |l| l.route),
        ("four host sysctls", |l| l.sysctls),
        ("whole ADD", |l| l.total),
        ("whole DEL (delete link)", |l| l.delete),
    ];
    for (name, lap) in steps {
        laps.sort_by_key(lap);
        let at = |percent: usize| {
            laps.get(laps.len() * percent / 100)
                .map_or(0.0, |l| lap(l).as_secs_f64() * 1e3)
        };
        println!("{name:28} {:8.3} {:8.3}", at(50), at(99));
    }
    Ok(())
}

/// Sets up and takes down the pods one after another, from within the host's namespace.
fn run(pods: u32) -> Result<Vec<Laps>, Box<dyn Error>> {
    let mut host = RouteSocket::open()?;
    let mut laps = Vec::new();
    let mut namespaces = Vec::new();
    for number in 0..pods {
        let pod = NetNs::unnamed()?;
        let addr = IpAddr::from(Ipv4Addr::from(0x0a41_0000 + number));
        laps.push(add(&mut host, &pod, &format!("cali{number:011x}"), addr)?);
        namespaces.push(pod);
    }
    for (number, lap) in laps.iter_mut().enumerate() {
        let start = Instant::now();
        host.change(|c| _ = c.delete_link(LinkRef::Name(&format!("cali{number:011x}"))))?;
        lap.delete = start.elapsed();
    }
    Ok(laps)
}

fn add(
    host: &mut RouteSocket,
    pod: &NetNs,
    name: &str,
    addr: IpAddr,
) -> Result<Laps, Box<dyn Error>> {
    let start = Instant::now();
    let mut last = start;
    let mut lap = || {
        let now = Instant::now();
        now - std::mem::replace(&mut last, now)
    };
    let veth = Veth {
        host: VethEnd {
            name,
            mac: Some(HOST_MAC),
            mtu: None,
        },
        host_state: LinkState::Up,
        peer: VethEnd {
            name: "eth0",
            mac: None,
            mtu: None,
        },
        peer_netns: Some(pod.as_fd()),
        queues: Some(1),
    };
    host.change(|c| _ = c.add_veth(&veth))?;
    let near = host
        .link(LinkRef::Name(name))?
        .ok_or("the host's end is gone")?;
    let eth0 = near.peer.ok_or("the host's end has no peer")?;
    let mut laps = Laps {
        pair: lap(),
        ..Laps::default()
    };

    let mut inside = RouteSocket::open_in(pod)?;
    laps.enter = lap();

    let gateway = IpAddr::from(GATEWAY);
    let by_gateway = NextHop {
        link: Some(eth0),
        on_link: OnLink::Checked,
        ..NextHop::gateway(gateway)
    };
    inside.change(|c| {
        c.set_state(LinkRef::Index(eth0), LinkState::Up);
        c.add_address(&Address::host(eth0, addr));
        c.add_route(&Route::over(Cidr::host(gateway), eth0));
        c.add_route(&Route::by(Cidr::any(Family::V4), by_gateway));
        c.replace_neighbour(&Neighbour {
            link: eth0,
            addr: gateway,
            kind: NeighbourKind::Permanent(HOST_MAC),
        });
    })?;
    laps.pod = lap();

    host.change(|c| _ = c.add_route(&Route::over(Cidr::host(addr), near.index)))?;
    laps.route = lap();

    for (family, key) in [
        (Family::V4, "proxy_arp"),
        (Family::V4, "forwarding"),
        (Family::V4, "rp_filter"),
        (Family::V6, "accept_ra"),
    ] {
        let value = if key == "accept_ra" { 0 } else { 1 };
        sysctl::write(
            &SysctlPath::of_link(family, name, key)?,
            &SysctlValue::from(value),
        )?;
    }
    laps.sysctls = lap();
    laps.total = start.elapsed();
    Ok(laps)
}
