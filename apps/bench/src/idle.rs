//! What an agent costs that has nothing to do.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use datastore::EmbeddedStore;

use crate::sample::{heading, line};
use crate::site::{self, Agent, Host};

const SECONDS: u64 = 60;
const PODS: usize = 110;

pub(crate) fn run(bin: &Path) -> anyhow::Result<()> {
    heading(
        "idle agent over 60 s, 110 local pods (upstream: 1.8 % of a core, 153 MB; goal 0.1 %, 30 MB)",
    );
    let host = Host::new("idle")?;
    let _pods = site::join_all(&host, PODS)?;
    let agent = Agent::start(&host, bin)?;
    let store = EmbeddedStore::open(agent.store())?;
    store.commit_sync(&site::endpoints(PODS)?)?;
    // Until all of them are in the kernel.
    let before = agent.netlink_messages()?;
    let begin = usage(agent.pid())?;
    std::thread::sleep(Duration::from_secs(SECONDS));
    let after = usage(agent.pid())?;
    let share = (after.ticks - begin.ticks) / SECONDS as f64;
    let sent = agent.netlink_messages()? - before;
    line("netlink messages", sent);
    line("CPU", format!("{share:.3} % of a core"));
    let switches = (after.switches - begin.switches) / SECONDS as f64;
    line(
        "wake-ups (voluntary context switches)",
        format!("{switches:.2} a second"),
    );
    line("memory (RSS)", format!("{:.1} MB", after.rss_kib / 1024.0));
    Ok(())
}

/// Of all threads of a process. One tick is 10 ms, so ticks over seconds are per cent of a core.
struct Usage {
    ticks: f64,
    switches: f64,
    rss_kib: f64,
}

fn usage(pid: u32) -> anyhow::Result<Usage> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).context("the agent is gone")?;
    let fields = stat.rsplit(')').next().unwrap_or("").split_whitespace();
    let ticks = fields
        .skip(11)
        .take(2)
        .filter_map(|f| f.parse::<f64>().ok())
        .sum();
    let mut switches = 0.0;
    for thread in std::fs::read_dir(format!("/proc/{pid}/task"))? {
        let status = std::fs::read_to_string(thread?.path().join("status"))?;
        switches += value(&status, "voluntary_ctxt_switches:");
    }
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    Ok(Usage {
        ticks,
        switches,
        rss_kib: value(&status, "VmRSS:"),
    })
}

fn value(status: &str, name: &str) -> f64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok())
        .unwrap_or(0.0)
}
