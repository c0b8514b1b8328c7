//! From the words of the command line to a packet: who sends, who receives, and what.

use std::net::IpAddr;

use calc::{Packet, Transport, World};
use model::{Family, Protocol, WorkloadEndpointId};

use crate::cli::ExplainArgs;
use crate::outcome::{Failure, Status};

/// The sender's port, which nobody gives: an ephemeral one.
const EPHEMERAL: u16 = 49152;

/// One end of a flow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// A workload's endpoint, with its addresses.
    Workload {
        id: WorkloadEndpointId,
        addresses: Vec<IpAddr>,
    },
    /// An address that is no workload's.
    Outside(IpAddr),
}

impl End {
    pub(super) fn endpoint(&self) -> Option<&WorkloadEndpointId> {
        match self {
            End::Workload { id, .. } => Some(id),
            End::Outside(_) => None,
        }
    }

    /// What people call it.
    pub(super) fn name(&self) -> String {
        match self {
            End::Workload { id, .. } => format!("{}/{}", id.namespace, id.workload),
            End::Outside(address) => address.to_string(),
        }
    }

    fn addresses(&self) -> &[IpAddr] {
        match self {
            End::Workload { addresses, .. } => addresses,
            End::Outside(address) => std::slice::from_ref(address),
        }
    }
}

/// What is asked about, before the family is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    Port { protocol: Protocol, port: u16 },
    Icmp { kind: u8, code: u8 },
}

impl Wanted {
    pub(super) fn parse(args: &ExplainArgs) -> Result<Wanted, Failure> {
        match (&args.port, &args.icmp) {
            (Some(text), _) => port(text),
            (None, Some(text)) => icmp(text),
            (None, None) => Err(Failure::usage(
                "say what is sent: --port PORT/PROTO or --icmp TYPE[/CODE]",
            )),
        }
    }
}

fn port(text: &str) -> Result<Wanted, Failure> {
    let wrong = || {
        Failure::usage(format!(
            "--port {text:?} is not understood: write it like 443/tcp or 53/udp"
        ))
    };
    let (first, second) = text.split_once('/').ok_or_else(wrong)?;
    // Both orders are in use.
    let (number, protocol) = if first.bytes().all(|b| b.is_ascii_digit()) {
        (first, second)
    } else {
        (second, first)
    };
    let port: u16 = number.parse().map_err(|_| wrong())?;
    let protocol: Protocol = protocol.parse().map_err(|_| wrong())?;
    if !protocol.has_ports() {
        return Err(Failure::usage(format!(
            "--port {text:?}: this protocol has no ports; use tcp, udp or sctp, or --icmp"
        )));
    }
    Ok(Wanted::Port { protocol, port })
}

fn icmp(text: &str) -> Result<Wanted, Failure> {
    let wrong = || {
        Failure::usage(format!(
            "--icmp {text:?} is not understood: write TYPE or TYPE/CODE, such as 8 or 3/1"
        ))
    };
    let (kind, code) = text.split_once('/').unwrap_or((text, "0"));
    let kind = kind.parse().map_err(|_| wrong())?;
    let code = code.parse().map_err(|_| wrong())?;
    Ok(Wanted::Icmp { kind, code })
}

/// The end that a word means: an address, or a workload by namespace and name.
pub(super) fn end(world: &World, flag: &str, word: &str) -> Result<End, Failure> {
    if let Ok(address) = word.parse::<IpAddr>() {
        let Some(id) = world.endpoint_at(address) else {
            return Ok(End::Outside(address));
        };
        // The address that was asked about, not another one of the endpoint's.
        return Ok(End::Workload {
            id: id.clone(),
            addresses: vec![address],
        });
    }
    let Some((namespace, name)) = word
        .split_once('/')
        .filter(|(ns, name)| !ns.is_empty() && !name.is_empty())
    else {
        let text = format!("{flag} {word:?} is neither an address nor NAMESPACE/WORKLOAD");
        return Err(Failure::usage(text));
    };
    let object_name = |id: &WorkloadEndpointId| {
        api::workload_endpoint_name(&id.node, &id.orchestrator, &id.workload, &id.endpoint)
    };
    let found: Vec<_> = world
        .endpoints()
        .filter(|(id, endpoint)| {
            let pod = endpoint.pod.as_deref();
            *id.namespace == *namespace
                && (*id.workload == *name
                    || pod == Some(name)
                    || object_name(id).as_deref() == Some(name))
        })
        .collect();
    match found.as_slice() {
        [(id, endpoint)] => Ok(End::Workload {
            id: (*id).clone(),
            addresses: endpoint.nets.iter().map(|net| net.addr()).collect(),
        }),
        [] => {
            let mut others = world
                .endpoints()
                .filter(|(id, _)| *id.namespace == *namespace)
                .map(|(id, _)| &id.workload);
            let hint = match others.next() {
                Some(other) => format!("; there is {namespace}/{other}"),
                None => format!("; there is none in namespace {namespace}"),
            };
            let text = format!("{flag} {word}: there is no such workload endpoint{hint}");
            Err(Failure::new(Status::NotFound, text))
        }
        [(first, _), (second, _), ..] => Err(Failure::usage(format!(
            "{flag} {word} means several endpoints, {first} and {second} among them: give an address instead"
        ))),
    }
}

/// The packet from one end to the other, in a family that both speak: IPv4 if there is a choice.
pub(super) fn between(from: &End, to: &End, wanted: &Wanted) -> Result<Packet, Failure> {
    let of = |end: &End, family: Family| {
        end.addresses()
            .iter()
            .copied()
            .find(|addr| Family::of(*addr) == family)
    };
    let pair = Family::ALL
        .into_iter()
        .find_map(|family| Some((of(from, family)?, of(to, family)?)));
    let Some((source, destination)) = pair else {
        let text = format!(
            "{} and {} have no addresses of one family",
            from.name(),
            to.name()
        );
        return Err(Failure::new(Status::NotFound, text));
    };
    let (protocol, transport) = match *wanted {
        Wanted::Port { protocol, port } => (
            protocol,
            Transport::Ports {
                source: EPHEMERAL,
                destination: port,
            },
        ),
        Wanted::Icmp { kind, code } => {
            let protocol = match Family::of(destination) {
                Family::V4 => Protocol::ICMP,
                Family::V6 => Protocol::ICMPV6,
            };
            (protocol, Transport::Icmp { kind, code })
        }
    };
    Ok(Packet {
        protocol,
        source,
        destination,
        transport,
    })
}
