//! From the datastore to the kernel: how long after a write was acknowledged the agent's transaction stands in nf_tables, how
//! many objects it touched, and how many netlink messages the agent sent for it.

use std::os::fd::AsFd;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use api::{Kind, Object};
use datastore::{EmbeddedStore, Write};
use linux::netns;
use linux::nft::{Monitor, Notice};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde_json::{Value, json};

use crate::sample::{Samples, heading, line};
use crate::site::{self, Agent, Host};

const PODS: usize = 110;
const CHANGES: usize = 100;
/// Changes whose netlink messages are counted.
const COUNTED: usize = 21;

pub(crate) fn run(bin: &Path) -> anyhow::Result<()> {
    heading(
        "datastore to kernel, 110 local pods (upstream: 7-13 ms a rule or member, quiet machine)",
    );
    let host = Host::new("latency")?;
    let _pods = site::join_all(&host, PODS)?;
    let agent = Agent::start(&host, bin)?;
    let store = EmbeddedStore::open(agent.store())?;
    let endpoints = site::endpoints(PODS)?.into_iter();
    let writes: Vec<Write> = endpoints
        .chain([put(&network_set(&[])), put(&policy(1))])
        .collect();
    store.commit_sync(&writes)?;
    netns::in_netns(&host.netns, || {
        let mut monitor = Monitor::open()?;
        quiet(&mut monitor)?;
        let mut nets = Vec::new();
        let member = changes(&agent, &store, &mut monitor, |number| {
            let [high, low] = u16::try_from(number).unwrap_or(0).to_be_bytes();
            nets.push(format!("192.0.{high}.{low}/32"));
            network_set(&nets)
        })?;
        tell("one set member", &member);
        let rule = changes(&agent, &store, &mut monitor, |number| policy(number + 2))?;
        tell("one rule of a policy of all pods", &rule);
        anyhow::Ok(())
    })??;
    Ok(())
}

/// Times and objects of a kind of change.
#[derive(Default)]
struct Outcome {
    times: Samples,
    objects: Vec<usize>,
    messages: Vec<u64>,
}

fn tell(what: &str, outcome: &Outcome) {
    line(what, &outcome.times);
    let most = outcome.objects.iter().max().copied().unwrap_or(0);
    line(&format!("{what}: nf_tables objects touched, at most"), most);
    // The median: a look at what the kernel announces nothing of, every 90 s, may fall into one of the changes.
    let mut messages = outcome.messages.clone();
    messages.sort_unstable();
    let median = messages.get(messages.len() / 2).copied().unwrap_or(0);
    line(
        &format!("{what}: netlink messages the agent sent, median"),
        median,
    );
}

fn changes(
    agent: &Agent,
    store: &EmbeddedStore,
    monitor: &mut Monitor,
    mut object: impl FnMut(usize) -> Object,
) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::default();
    let mut change = |number: usize| -> anyhow::Result<(Duration, usize)> {
        let object = object(number);
        let write = Write::put(object.store_key(), object.to_store_bytes());
        store.commit_sync(&[write])?;
        let begin = Instant::now();
        let objects = committed(monitor, Duration::from_secs(5))?;
        let objects = objects.context("the kernel was not changed within 5 s")?;
        Ok((begin.elapsed(), objects))
    };
    for number in 0..CHANGES {
        let (time, objects) = change(number)?;
        outcome.times.add(time);
        outcome.objects.push(objects);
    }
    // Counted apart from the times: asking the agent would cool its caches.
    let mut before = agent.netlink_messages()?;
    for number in CHANGES..CHANGES + COUNTED {
        change(number)?;
        let after = agent.netlink_messages()?;
        outcome.messages.push(after - before);
        before = after;
    }
    Ok(outcome)
}

/// Waits for a transaction; says how many objects it touched.
fn committed(monitor: &mut Monitor, timeout: Duration) -> anyhow::Result<Option<usize>> {
    let deadline = Instant::now() + timeout;
    let mut objects = 0;
    loop {
        for notice in monitor.drain()? {
            match notice {
                Notice::Changed(..) => objects += 1,
                Notice::Committed { .. } => return Ok(Some(objects)),
                Notice::Overrun => anyhow::bail!("notices were lost"),
            }
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(None);
        }
        let mut fds = [PollFd::from_borrowed_fd(monitor.as_fd(), PollFlags::IN)];
        poll(&mut fds, Timespec::try_from(left).ok().as_ref())?;
    }
}

/// Waits until the agent wrote all it had to.
fn quiet(monitor: &mut Monitor) -> anyhow::Result<()> {
    while committed(monitor, Duration::from_millis(500))?.is_some() {}
    Ok(())
}

fn put(object: &Object) -> Write {
    Write::put(object.store_key(), object.to_store_bytes())
}

fn network_set(nets: &[String]) -> Object {
    let mut object = Object::new(Kind::GlobalNetworkSet, None, "bench");
    object.set_label("set", "bench");
    object.spec_mut().insert("nets".into(), json!(nets));
    object
}

fn policy(rules: usize) -> Object {
    let rule = |number: usize| -> Value {
        json!({
            "action": "Allow",
            "protocol": "TCP",
            "source": { "selector": "set == 'bench'" },
            "destination": { "ports": [1000 + number] },
        })
    };
    let mut object = Object::new(Kind::GlobalNetworkPolicy, None, "bench");
    let spec = object.spec_mut();
    spec.insert("selector".into(), json!("app == 'bench'"));
    spec.insert("tier".into(), json!("default"));
    spec.insert("types".into(), json!(["Ingress"]));
    spec.insert("ingress".into(), (0..rules).map(rule).collect());
    object
}
