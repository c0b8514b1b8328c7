//! Whole ADD and DEL of the CNI plugin as a runtime sees them: a process for each, with its configuration on standard input.
//!
//! Beside it: the same kernel objects by netlink in this process (the floor), and the distribution's `ptp` with `host-local`.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use linux::netns;
use linux::route::{LinkRef, RouteSocket};
use serde_json::{Value, json};

use crate::sample::{Samples, children_cpu, heading, line};
use crate::site::{self, Agent, Host};

const RUNS: usize = 100;
/// Runs whose store requests are counted.
const COUNTED: usize = 10;

pub(crate) fn run(bin: &Path, cni: &Path) -> anyhow::Result<()> {
    heading("CNI ADD and DEL (upstream: 375 ms, 308 ms CPU; 279 ms, 213 ms CPU)");
    let raw = floor()?;
    let distribution = PathBuf::from("/usr/lib/cni");
    if distribution.join("ptp").exists() {
        let host = Host::new("ptp")?;
        let directory = std::env::temp_dir().join(format!("cbench-ptp-{}", std::process::id()));
        let network = json!({
            "cniVersion": "1.0.0", "name": "bench", "type": "ptp",
            "ipam": { "type": "host-local", "subnet": "10.66.0.0/16", "dataDir": directory },
        });
        let result = plugin(
            &host,
            "distribution's ptp + host-local",
            &distribution,
            "ptp",
            &network,
        );
        // What is left there is only the plugin's own ledger.
        let _ = std::fs::remove_dir_all(&directory);
        result?;
    } else {
        line(
            "distribution's ptp + host-local",
            "SKIPPED: containernetworking-plugins is not installed",
        );
    }
    let host = Host::new("cni")?;
    let agent = Agent::start(&host, bin)?;
    let network = |wait: u32| {
        json!({
            "cniVersion": "1.0.0", "name": "bench", "type": "calico",
            "datastore_type": "embedded", "datastore_file": agent.store(),
            "nodename": "bench", "nodename_file": agent.directory().join("nodename"),
            "mtu": 1450, "log_file_path": agent.directory().join("cni.log"),
            "endpoint_status_dir": agent.directory().join("endpoint-status"),
            "policy_setup_timeout_seconds": wait,
            "ipam_lock_file": agent.directory().join("ipam.lock"),
            "ipam": { "type": "calico-ipam" },
        })
    };
    let cni = cni
        .canonicalize()
        .with_context(|| format!("{} is not there", cni.display()))?;
    let del = plugin(
        &host,
        "calico, without the wait for policy",
        &cni,
        "calico",
        &network(0),
    )?;
    let over =
        |share| (del.quantile(share).as_secs_f64() - raw.quantile(share).as_secs_f64()) * 1e3;
    line(
        "calico: DEL beyond the raw link delete (goal: at most 10 ms)",
        format!("p50 {:8.3} ms  p99 {:8.3} ms", over(0.5), over(0.99)),
    );
    requests(&host, &cni, &network(0))?;
    plugin(
        &host,
        "calico, policy in the kernel when ADD returns",
        &cni,
        "calico",
        &network(10),
    )
    .map(|_| ())
}

/// The same kernel objects by netlink in this process; the durations of DEL, which is a raw link delete, are returned.
fn floor() -> anyhow::Result<Samples> {
    let host = Host::new("floor")?;
    let (mut add, mut del) = (Samples::default(), Samples::default());
    // As with the plugins: all come, then all go, and the namespaces stay.
    let mut pods = Vec::new();
    for pod in 0..RUNS {
        let begin = Instant::now();
        pods.push(site::join(&host, pod)?);
        add.add(begin.elapsed());
    }
    netns::in_netns(&host.netns, || -> anyhow::Result<()> {
        for pod in 0..RUNS {
            let begin = Instant::now();
            let mut routes = RouteSocket::open()?;
            routes.change(|c| {
                c.delete_link(LinkRef::Name(&site::interface(pod)));
            })?;
            del.add(begin.elapsed());
        }
        Ok(())
    })??;
    line("floor, netlink in this process: ADD", &add);
    line(
        "floor, netlink in this process: DEL (raw link delete)",
        &del,
    );
    Ok(del)
}

fn plugin(
    host: &Host,
    what: &str,
    path: &Path,
    name: &str,
    network: &Value,
) -> anyhow::Result<Samples> {
    let (mut add, mut del) = (Samples::default(), Samples::default());
    let (mut add_cpu, mut del_cpu) = (0.0, 0.0);
    // All come, then all go: a namespace that is being torn down holds the kernel's routing lock, and another's ADD waits.
    let pods = Pods::new(RUNS)?;
    for pod in &pods.0 {
        add_cpu -= children_cpu();
        add.add(call(host, path, name, "ADD", pod, network)?.took);
        add_cpu += children_cpu();
    }
    for pod in &pods.0 {
        del_cpu -= children_cpu();
        del.add(call(host, path, name, "DEL", pod, network)?.took);
        del_cpu += children_cpu();
    }
    let cpu = |total: f64| format!("{:.1} ms CPU each", total * 1e3 / RUNS as f64);
    line(&format!("{what}: ADD"), &add);
    line(&format!("{what}: ADD"), cpu(add_cpu));
    line(&format!("{what}: DEL"), &del);
    line(&format!("{what}: DEL"), cpu(del_cpu));
    Ok(del)
}

/// Store requests of ADD and DEL, as the plugin's log counts them at its debug level, of some runs of their own.
fn requests(host: &Host, path: &Path, network: &Value) -> anyhow::Result<()> {
    let mut network = network.clone();
    network["log_level"] = json!("debug");
    let pods = Pods::new(COUNTED)?;
    for (verb, upstream) in [("ADD", 14), ("DEL", 11)] {
        let mut counts = Vec::new();
        for pod in &pods.0 {
            let said = call(host, path, "calico", verb, pod, &network)?.stderr;
            let words = format!(" store requests for {verb}");
            let count = said
                .lines()
                .find_map(|line| line.split_once(&words)?.0.rsplit(' ').next()?.parse().ok());
            let count: u64 =
                count.with_context(|| format!("the plugin's log counts no requests: {said}"))?;
            counts.push(count);
        }
        let (least, most) = (counts.iter().min(), counts.iter().max());
        line(
            &format!("calico: {verb}: store requests (upstream {upstream})"),
            format!("{} to {}", least.unwrap_or(&0), most.unwrap_or(&0)),
        );
    }
    Ok(())
}

/// Network namespaces of containers, deleted with the value.
struct Pods(Vec<String>);

impl Pods {
    fn new(count: usize) -> anyhow::Result<Pods> {
        let mut pods = Pods(Vec::new());
        for run in 0..count {
            let name = format!("cbench-pod-{}-{run}", std::process::id());
            netns::create(&name)?;
            pods.0.push(name);
        }
        Ok(pods)
    }
}

impl Drop for Pods {
    fn drop(&mut self) {
        for name in &self.0 {
            if let Err(error) = netns::delete(name) {
                eprintln!("calico-bench: {error}");
            }
        }
    }
}

/// A command that ended well.
struct Call {
    took: Duration,
    stderr: String,
}

fn call(
    host: &Host,
    path: &Path,
    name: &str,
    verb: &str,
    pod: &str,
    network: &Value,
) -> anyhow::Result<Call> {
    let mut command: Command = host.command(&path.join(name));
    command
        .env("CNI_COMMAND", verb)
        .env("CNI_CONTAINERID", pod)
        .env("CNI_NETNS", format!("/run/netns/{pod}"))
        .env("CNI_IFNAME", "eth0")
        .env("CNI_PATH", path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let begin = Instant::now();
    let mut child = command
        .spawn()
        .with_context(|| format!("failed to run {name}"))?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(network.to_string().as_bytes())?;
    }
    let output = child.wait_with_output()?;
    let took = begin.elapsed();
    anyhow::ensure!(
        output.status.success(),
        "{name} {verb} failed: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(Call {
        took,
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}
