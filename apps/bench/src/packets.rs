//! What the ruleset costs a packet: round trips of an established flow, and the first packet of new flows.
//!
//! Between two pods of one host, so that every packet meets egress and ingress. Rulesets take turns, so that what else the
//! machine does hits all of them.

use std::net::UdpSocket;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use calc::Graph;
use dataplane::filter::{Filter, FilterOptions};
use dataplane::nft::{Batch, Op, Presence, Ruleset, TableId, diff};
use dataplane::nftables::{self, NftOptions};
use linux::netns;
use linux::nft::{Guard, Nftables};
use model::selector::Selector;
use model::{
    Action, Cidr, EntityMatch, Key, Order, Policy, PolicyId, PolicyKind, PolicyTypes, PortMatch,
    PortRange, Profile, Protocol, Resource, Rule, Staged, Update, WorkloadEndpoint,
    WorkloadEndpointId,
};

use crate::sample::{Samples, heading, line};
use crate::site::{self, Host};

const ROUNDS: usize = 5;
const ROUND_TRIPS: usize = 4_000;
const FLOWS: usize = 1_000;
const PORT: u16 = 7;

/// A ruleset to measure.
struct Case {
    name: &'static str,
    ruleset: Option<Ruleset>,
    load: Samples,
    established: Samples,
    first: Samples,
}

pub(crate) fn run() -> anyhow::Result<()> {
    heading("cost per packet, pod to pod on one host");
    let host = Host::new("packets")?;
    let pods = [site::join(&host, 0)?, site::join(&host, 1)?];
    let case = |name, ruleset| Case {
        name,
        ruleset,
        load: Samples::default(),
        established: Samples::default(),
        first: Samples::default(),
    };
    let mut cases = [
        case("floor: no ruleset", None),
        case("10 policies, all of the pods", Some(ruleset(10, 10))),
        case("10 000 policies, 10 of the pods", Some(ruleset(10_000, 10))),
        case(
            "10 000 policies, all of the pods",
            Some(ruleset(10_000, 10_000)),
        ),
    ];
    let stop = AtomicBool::new(false);
    let echo = netns::in_netns(&pods[1], || UdpSocket::bind((site::address(1), PORT)))??;
    echo.set_read_timeout(Some(Duration::from_millis(100)))?;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut buffer = [0u8; 64];
            while !stop.load(Ordering::Relaxed) {
                if let Ok((length, from)) = echo.recv_from(&mut buffer) {
                    // A peer that is gone makes the next round fail, which says so.
                    let _ = echo.send_to(&buffer[..length], from);
                }
            }
        });
        let result = (|| {
            for _ in 0..ROUNDS {
                for case in &mut cases {
                    let begin = Instant::now();
                    netns::in_netns(&host.netns, || program(case.ruleset.as_ref()))??;
                    case.load.add(begin.elapsed());
                    netns::in_netns(&pods[0], || measure(case))??;
                }
            }
            anyhow::Ok(())
        })();
        stop.store(true, Ordering::Relaxed);
        result
    })?;
    for case in &cases {
        line(&format!("{}: read, compare, load", case.name), &case.load);
        line(&format!("{}: round trip", case.name), &case.established);
        line(
            &format!("{}: first round trip of a flow", case.name),
            &case.first,
        );
    }
    Ok(())
}

fn program(ruleset: Option<&Ruleset>) -> anyhow::Result<()> {
    let mut nft = Nftables::open()?;
    let (observed, _) = nft.observe(&TableId::ours())?;
    let batch = match ruleset {
        Some(ruleset) => diff(ruleset, &observed),
        None => {
            let mut batch = Batch::new(TableId::ours());
            if observed.presence == Presence::Present {
                batch.ops.push(Op::DeleteTable);
            }
            batch
        }
    };
    nft.apply(&batch, Guard::Any)?;
    Ok(())
}

fn measure(case: &mut Case) -> anyhow::Result<()> {
    let to = (site::address(1), PORT);
    let round_trip = |socket: &UdpSocket| -> anyhow::Result<Duration> {
        let mut buffer = [0u8; 64];
        let begin = Instant::now();
        socket.send_to(b"calico", to)?;
        socket
            .recv(&mut buffer)
            .context("no answer: does the ruleset allow it?")?;
        Ok(begin.elapsed())
    };
    let open = || -> anyhow::Result<UdpSocket> {
        let socket = UdpSocket::bind((site::address(0), 0))?;
        socket.set_read_timeout(Some(Duration::from_secs(2)))?;
        Ok(socket)
    };
    let socket = open()?;
    round_trip(&socket)?;
    for _ in 0..ROUND_TRIPS {
        case.established.add(round_trip(&socket)?);
    }
    for _ in 0..FLOWS / ROUNDS {
        let socket = open()?;
        case.first.add(round_trip(&socket)?);
    }
    Ok(())
}

/// Both pods, and policies of which some apply to them; the last allows the flow.
fn ruleset(policies: usize, applying: usize) -> Ruleset {
    let mut graph = Graph::new("bench");
    for pod in 0..2 {
        graph.apply(endpoint(pod));
    }
    let profile = Profile {
        ingress: vec![Rule::any(Action::Allow)],
        egress: vec![Rule::any(Action::Allow)],
        ..Profile::default()
    };
    let value = Some(Resource::Profile(profile.into()));
    graph.apply(Update {
        key: Key::Profile("open".into()),
        value,
    });
    for number in 0..policies {
        graph.apply(policy(number, applying));
    }
    graph.in_sync();
    let mut filter = Filter::new(FilterOptions::default());
    for change in graph.drain() {
        filter.apply(change);
    }
    nftables::ruleset(&filter, NftOptions::default())
}

fn endpoint(pod: usize) -> Update {
    let id = WorkloadEndpointId {
        node: "bench".into(),
        orchestrator: "cni".into(),
        namespace: "default".into(),
        workload: format!("pod{pod}").into(),
        endpoint: "eth0".into(),
    };
    let endpoint = WorkloadEndpoint {
        labels: [("app".into(), "bench".into())].into(),
        interface: site::interface(pod).into(),
        nets: vec![Cidr::host(site::address(pod))],
        profiles: vec!["open".into()],
        ..WorkloadEndpoint::default()
    };
    let value = Some(Resource::WorkloadEndpoint(endpoint));
    Update {
        key: Key::WorkloadEndpoint(id),
        value,
    }
}

fn policy(number: usize, applying: usize) -> Update {
    let selector = if number < applying {
        "app == 'bench'"
    } else {
        "app == 'other'"
    };
    let port = if number + 1 == applying {
        PORT
    } else {
        1_000 + u16::try_from(number % 60_000).unwrap_or(0)
    };
    let ports = vec![PortMatch::Range(PortRange::one(port))];
    let rule = Rule {
        protocol: Some(Protocol::UDP),
        destination: EntityMatch {
            ports: Some(ports),
            ..EntityMatch::default()
        },
        ..Rule::any(Action::Allow)
    };
    let id = PolicyId {
        kind: PolicyKind::GlobalNetworkPolicy,
        namespace: None,
        name: format!("p{number:05}").into(),
    };
    let policy = Policy {
        tier: "default".into(),
        order: Order::LAST,
        selector: Selector::parse(selector).unwrap_or_else(|_| Selector::all()),
        types: PolicyTypes {
            ingress: true,
            egress: false,
        },
        ingress: vec![rule],
        egress: Vec::new(),
        staged: Staged::No,
        do_not_track: false,
        pre_dnat: false,
        apply_on_forward: false,
        always_active: false,
    };
    Update {
        key: Key::Policy(id),
        value: Some(Resource::Policy(policy.into())),
    }
}
