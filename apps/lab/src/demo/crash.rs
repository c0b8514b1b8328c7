//! SIGKILL under traffic: what is permitted goes on, what is denied stays denied, for old connections and new ones.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::Tally;
use super::site::{Pod, Site};
use crate::probe::{Answer, Kind, probe};
use crate::traffic::{Count, Rate, Stream};

/// Permitted traffic.
const PERMITTED: Rate = Rate(10_000);

/// Denied traffic, enough to hit any gap of a few milliseconds.
const DENIED: Rate = Rate(1_000);

/// The port of the streams; the examples open it from web to db, and to nobody else.
const PORT: u16 = 9000;

/// How long streams run before the kill, without the agent, and after it is ready again.
const PHASE: Duration = Duration::from_secs(2);

/// How long a single probe waits.
const PATIENCE: Duration = Duration::from_millis(700);

/// Kills, waits, restarts, counts.
pub(crate) fn run(site: &Site, tally: &mut Tally) -> Result<()> {
    let pods = site.pods();
    let pod = |title: &str| {
        pods.iter()
            .find(|pod| pod.spec.title() == title)
            .with_context(|| format!("pod {title} does not run"))
    };
    let (web, db, tv) = (pod("shop/web")?, pod("shop/db")?, pod("guest/tv")?);
    let permitted = Stream::start(
        web.host.netns(),
        db.host.netns(),
        db.addrs[0],
        PORT,
        PERMITTED,
    )?;
    let denied = Stream::start(
        tv.host.netns(),
        db.host.netns(),
        db.addrs[0],
        PORT + 1,
        DENIED,
    )?;
    let reaches = |from: &Pod| probe(from.host.netns(), Kind::Tcp, db.addrs[0], PATIENCE);
    thread::sleep(PHASE);
    site.kill_agent()?;
    let killed = Instant::now();
    tally.check(
        reaches(web)? == Answer::Reached,
        "without the agent, a new permitted connection does not come about",
    );
    tally.check(
        reaches(tv)? == Answer::Silent,
        "without the agent, a new denied connection comes about",
    );
    thread::sleep(PHASE);
    site.start_agent()?;
    let away = killed.elapsed();
    thread::sleep(PHASE);
    let (permitted, denied) = (permitted.finish()?, denied.finish()?);
    report(tally, &permitted, &denied, away);
    Ok(())
}

fn report(tally: &mut Tally, permitted: &Count, denied: &Count, away: Duration) {
    println!("  the agent was away for {:.1} s", away.as_secs_f64());
    println!(
        "  permitted: {} sent, {} received, {} packets at the pod's interface, {} overflowed its socket, {} lost, longest gap {:.1} ms",
        permitted.sent,
        permitted.received,
        permitted.at_interface,
        permitted.overflowed,
        permitted.lost(),
        permitted.longest_gap.as_secs_f64() * 1e3
    );
    println!(
        "  denied: {} sent, {} received",
        denied.sent + denied.refused,
        denied.received
    );
    tally.check(
        permitted.overflowed == 0,
        "the receiver was too slow, which voids the count",
    );
    tally.check(
        permitted.lost() == 0,
        format_args!("{} permitted packets lost", permitted.lost()),
    );
    tally.check(
        permitted.refused == 0,
        format_args!("{} packets refused at the sender", permitted.refused),
    );
    tally.check(
        denied.received == 0,
        format_args!("{} denied packets passed", denied.received),
    );
    tally.check(
        denied.sent > 0 && permitted.received > 0,
        "there was no traffic to speak of",
    );
}
