//! `explain`: whether policy lets one end reach another, and which rule says so.
//!
//! The world comes from the store or from files. For each end that is a workload, the graph of its node compiles the very
//! policy that is printed into the kernel, and that is walked; the oracle judges the same packet beside it.

mod packet;
mod report;
mod walk;
mod world;

use calc::{Direction, Packet, Verdict, World, oracle};
use model::WorkloadEndpointId;

use crate::cli::{ExplainArgs, Global};
use crate::json::pretty;
use crate::outcome::{Failure, Status};
use crate::session::{Output, Session};
use crate::yaml::to_yaml;
use packet::End;
use walk::{Walk, compile, walk};

/// What one end has to say about a packet.
struct Hop {
    direction: Direction,
    endpoint: WorkloadEndpointId,
    /// The compiled policy's verdict.
    verdict: Verdict,
    /// The way to it.
    walk: Walk,
    /// The oracle's verdict.
    oracle: Verdict,
}

impl Hop {
    /// True if everybody who judged the packet says the same.
    fn agrees(&self) -> bool {
        self.verdict == self.oracle && self.walk.action == self.verdict.action
    }
}

/// The answer.
struct Explanation {
    packet: Packet,
    from: End,
    to: End,
    /// At the sender, if it is a workload.
    egress: Option<Hop>,
    /// At the receiver, if it is a workload.
    ingress: Option<Hop>,
}

/// How the answer is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Style {
    Text,
    Json,
    Yaml,
}

pub(crate) fn run(
    args: &ExplainArgs,
    global: &Global,
    session: &mut Session<'_>,
) -> Result<Status, Failure> {
    let style = match args.output.as_deref() {
        None | Some("text") => Style::Text,
        Some("json") => Style::Json,
        Some("yaml" | "yml") => Style::Yaml,
        Some(other) => {
            return Err(Failure::usage(format!(
                "unrecognized output format '{other}': use text, json or yaml"
            )));
        }
    };
    let wanted = packet::Wanted::parse(args)?;
    let world = world::load(args, global, session)?;
    let from = packet::end(&world, "--from", &args.from)?;
    let to = packet::end(&world, "--to", &args.to)?;
    let packet = packet::between(&from, &to, &wanted)?;
    let explanation = Explanation {
        egress: from
            .endpoint()
            .map(|id| hop(&world, id, Direction::Egress, &packet))
            .transpose()?,
        ingress: to
            .endpoint()
            .map(|id| hop(&world, id, Direction::Ingress, &packet))
            .transpose()?,
        packet,
        from,
        to,
    };
    match style {
        Style::Text => {
            let colours = match session.output {
                Output::Terminal if !session.environment.contains_key("NO_COLOR") => {
                    report::Colours::Yes
                }
                Output::Terminal | Output::Other => report::Colours::No,
            };
            session.print(&report::text(&explanation, colours))?;
        }
        Style::Json => session.line(pretty(&report::value(&explanation)))?,
        Style::Yaml => session.print(&to_yaml(&report::value(&explanation)))?,
    }
    let hops = [&explanation.egress, &explanation.ingress];
    if hops.into_iter().flatten().all(Hop::agrees) {
        return Ok(Status::Done);
    }
    let text = "BUG: the compiled policy and the oracle differ; please report this with the objects involved";
    Err(Failure::new(Status::CheckFailed, text))
}

fn hop(
    world: &World,
    id: &WorkloadEndpointId,
    direction: Direction,
    packet: &Packet,
) -> Result<Hop, Failure> {
    let compiled = compile(world, &id.node)?;
    Ok(Hop {
        direction,
        endpoint: id.clone(),
        verdict: compiled.verdict(id, direction, packet),
        walk: walk(world, &compiled, id, direction, packet),
        oracle: oracle::endpoint_verdict(world, id, direction, packet),
    })
}
