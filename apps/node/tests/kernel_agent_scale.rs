//! What one endpoint's coming and going costs beside many others. By hand, with figures that mean something:
//! `CALICO_ENDPOINTS=1000 cargo test --release -p node --test kernel_agent_scale -- --nocapture`

#[expect(dead_code, reason = "the other tests need the rest")]
mod agent;
#[expect(
    dead_code,
    reason = "the other test sends raw packets of all protocols"
)]
mod wire;

use std::fmt::Write as _;
use std::time::Duration;

use agent::{Host, LONG, skipped, until};
use serde_json::json;

/// Changes that are measured.
const ROUNDS: u32 = 20;

/// Not a test: what this program is when a test starts it as the agent.
#[test]
fn agent_process() {
    agent::become_agent();
}

fn endpoint(number: usize) -> api::Object {
    let name = format!("n1-k8s-many{number}-eth0");
    let mut object = api::Object::new(api::Kind::WorkloadEndpoint, Some("red"), &name);
    object.set_label("projectcalico.org/namespace", "red");
    object.set_label("projectcalico.org/orchestrator", "k8s");
    let spec = json!({
        "orchestrator": "k8s", "node": "n1", "pod": format!("many{number}"), "endpoint": "eth0",
        "interfaceName": format!("calim{number}"), "profiles": ["kns.red"],
        "ipNetworks": [format!("10.1.{}.{}", number / 250, number % 250 + 1)],
    });
    object.value_mut().insert("spec".into(), spec);
    object
}

/// Processor time of the agent, all threads.
fn busy(host: &Host) -> Duration {
    let pid = host.agent.as_ref().expect("it runs").id();
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).expect("threads");
    let nanos = tasks.flatten().filter_map(|task| {
        let stat = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
        stat.split(' ').next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(nanos.sum())
}

#[test]
fn one_among_many() {
    if skipped() {
        return;
    }
    let wanted = std::env::var("CALICO_ENDPOINTS").ok();
    let count: usize = wanted.and_then(|n| n.parse().ok()).unwrap_or(110);
    let mut host = Host::new(&[]);
    host.put(&agent::profile());
    let mut links = String::new();
    for number in 0..=count {
        writeln!(
            links,
            "link add calim{number} type veth peer name peer{number}"
        )
        .expect("text");
        writeln!(links, "link set calim{number} up").expect("text");
    }
    std::fs::write(host.path("links"), links).expect("a file");
    host.hand(&format!("ip -batch {}", host.path("links").display()));
    let writes: Vec<datastore::Write> = (0..count)
        .map(endpoint)
        .map(|object| datastore::Write::create(object.store_key(), object.to_store_bytes()))
        .collect();
    let store = host.store();
    datastore::block_on_ready(datastore::Datastore::commit(&store, &writes)).expect("a commit");
    host.start();
    let directory = host.path("run/endpoint-status");
    until("all are up", LONG, || {
        std::fs::read_dir(&directory).is_ok_and(|files| files.count() == count)
    });
    eprintln!(
        "{count} endpoints: ready after {:?} of processor time",
        busy(&host)
    );
    let (one, file) = (
        endpoint(count),
        directory.join(format!("k8s red%2Fmany{count} eth0")),
    );
    let (mut came, mut went) = (Duration::ZERO, Duration::ZERO);
    let before = busy(&host);
    for _ in 0..ROUNDS {
        host.put(&one);
        came += until("it is up", LONG, || file.exists());
        host.delete(&one);
        went += until("it is gone", LONG, || !file.exists());
    }
    let spent = busy(&host).saturating_sub(before);
    eprintln!(
        "one of {count} endpoints: up {:?} after its commit, gone {:?} after; {:?} of processor time for both",
        came / ROUNDS,
        went / ROUNDS,
        spent / ROUNDS,
    );
}
