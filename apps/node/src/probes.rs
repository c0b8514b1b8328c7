//! Health and metrics: what the loop says of itself, told over HTTP by a thread of its own.
//!
//! Live means: the loop made progress when it had something to do. Ready means: the kernel is as the datastore wants it.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use prometheus::{Encoder, IntCounter, IntGauge, Registry, TextEncoder};
use service::http::{Answer, Handler};

/// How long the loop may work on one turn before it counts as stuck (`dataplaneWatchdogTimeout`).
const STUCK: Duration = Duration::from_secs(90);

/// What the loop says, readable from any thread.
#[derive(Debug)]
pub struct Probes {
    started: Instant,
    /// When the turn that is under way began, in milliseconds since `started`, plus one; 0 while the loop sleeps.
    busy_since: AtomicU64,
    in_sync: AtomicBool,
    /// What keeps the datastore from being followed, if anything does.
    datastore: Mutex<Option<String>>,
    kernel_done: AtomicBool,
    registry: Registry,
    /// The numbers.
    pub metrics: Metrics,
}

/// The agent's numbers under upstream's names.
#[derive(Debug)]
pub struct Metrics {
    /// Local workload endpoints.
    pub active_local_endpoints: IntGauge,
    /// Policies that apply to a local endpoint.
    pub active_local_policies: IntGauge,
    /// IP sets in use.
    pub ipsets: IntGauge,
    /// Updates taken in by the graph.
    pub updates: IntCounter,
    /// What the graph told the dataplane.
    pub output_events: IntCounter,
    /// Failed attempts to bring the kernel in line.
    pub failures: IntCounter,
    /// 0 wait-for-ready, 1 resync, 2 in sync.
    pub resync_state: IntGauge,
    /// Resyncs begun.
    pub resyncs: IntCounter,
    /// Repairs of what another hand changed.
    pub repairs: IntCounter,
    /// Transactions written to nf_tables.
    pub nft_calls: IntCounter,
    /// Messages sent to the kernel over netlink.
    netlink_messages: IntCounter,
}

impl Probes {
    /// New numbers, all zero.
    ///
    /// # Errors
    /// Two metrics have the same name.
    pub fn new(now: Instant) -> prometheus::Result<Arc<Probes>> {
        let registry = Registry::new();
        let metrics = Metrics::new(&registry)?;
        Ok(Arc::new(Probes {
            started: now,
            busy_since: AtomicU64::new(0),
            in_sync: AtomicBool::new(false),
            datastore: Mutex::new(None),
            kernel_done: AtomicBool::new(false),
            registry,
            metrics,
        }))
    }

    /// The loop woke up.
    pub fn turn_begins(&self, now: Instant) {
        self.busy_since
            .store(self.millis(now) + 1, Ordering::Relaxed);
    }

    /// The loop goes to sleep.
    pub fn turn_ends(&self) {
        self.busy_since.store(0, Ordering::Relaxed);
    }

    /// The datastore's objects were all read once.
    pub fn set_in_sync(&self) {
        self.in_sync.store(true, Ordering::Relaxed);
    }

    /// What keeps the datastore from being followed; nothing if it is.
    pub fn set_datastore(&self, why_not: Option<&str>) {
        *self.lock_datastore() = why_not.map(str::to_owned);
    }

    fn lock_datastore(&self) -> MutexGuard<'_, Option<String>> {
        // A text is whole or not there, whatever panicked elsewhere.
        self.datastore
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the kernel is as the datastore wants it.
    pub fn set_kernel(&self, done: bool) {
        self.kernel_done.store(done, Ordering::Relaxed);
    }

    /// How many messages were sent to the kernel so far.
    pub fn set_netlink_messages(&self, sent: u64) {
        let counter = &self.metrics.netlink_messages;
        counter.inc_by(sent.saturating_sub(counter.get()));
    }

    fn millis(&self, now: Instant) -> u64 {
        let elapsed = now.saturating_duration_since(self.started);
        u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX - 1)
    }

    fn stuck_for(&self, now: Instant) -> Option<Duration> {
        let since = self.busy_since.load(Ordering::Relaxed).checked_sub(1)?;
        let busy = Duration::from_millis(self.millis(now).saturating_sub(since));
        (busy > STUCK).then_some(busy)
    }

    fn live(&self) -> Answer {
        match self.stuck_for(Instant::now()) {
            None => Answer::text(200, "live\n"),
            Some(busy) => Answer::text(503, format!("stuck for {} s\n", busy.as_secs())),
        }
    }

    fn ready(&self) -> Answer {
        let datastore = self.lock_datastore().clone();
        if !self.in_sync.load(Ordering::Relaxed) {
            let why = datastore.map_or_else(String::new, |why| format!(" ({why})"));
            let text = format!("not ready: the datastore has not been read yet{why}\n");
            return Answer::text(503, text);
        }
        if !self.kernel_done.load(Ordering::Relaxed) {
            return Answer::text(
                503,
                "not ready: the kernel is not yet as the datastore wants it\n",
            );
        }
        // Policy and routes stay in force while the datastore is away, so the node is as good as before.
        match datastore {
            None => Answer::text(200, "ready\n"),
            Some(why) => Answer::text(
                200,
                format!(
                    "ready, by what the datastore said last; now it cannot be followed: {why}\n"
                ),
            ),
        }
    }

    fn render(&self) -> Answer {
        let mut body = Vec::new();
        let encoder = TextEncoder::new();
        match encoder.encode(&self.registry.gather(), &mut body) {
            Ok(()) => Answer {
                status: 200,
                content_type: "text/plain; version=0.0.4",
                body: String::from_utf8_lossy(&body).into_owned(),
            },
            Err(error) => Answer::text(500, error.to_string()),
        }
    }
}

impl Metrics {
    fn new(registry: &Registry) -> prometheus::Result<Metrics> {
        let gauge = |name: &str, help: &str| {
            let gauge = IntGauge::new(name, help)?;
            registry.register(Box::new(gauge.clone()))?;
            Ok::<_, prometheus::Error>(gauge)
        };
        let counter = |name: &str, help: &str| {
            let counter = IntCounter::new(name, help)?;
            registry.register(Box::new(counter.clone()))?;
            Ok::<_, prometheus::Error>(counter)
        };
        Ok(Metrics {
            active_local_endpoints: gauge(
                "felix_active_local_endpoints",
                "Number of active endpoints on this host.",
            )?,
            active_local_policies: gauge(
                "felix_active_local_policies",
                "Number of active policies on this host.",
            )?,
            ipsets: gauge("felix_ipsets_calico", "Number of active Calico IP sets.")?,
            updates: counter(
                "felix_calc_graph_updates_processed",
                "Number of datastore updates processed by the calculation graph.",
            )?,
            output_events: counter(
                "felix_calc_graph_output_events",
                "Number of events emitted by the calculation graph.",
            )?,
            failures: counter(
                "felix_int_dataplane_failures",
                "Number of times dataplane updates failed and will be retried.",
            )?,
            resync_state: gauge("felix_resync_state", "Current datastore state.")?,
            resyncs: counter(
                "felix_resyncs_started",
                "Number of times the agent has started resyncing with the datastore.",
            )?,
            repairs: counter(
                "calico_dataplane_repairs",
                "Number of times the kernel was brought back after another hand changed it.",
            )?,
            nft_calls: counter("felix_nft_calls", "Number of nf_tables transactions.")?,
            netlink_messages: counter(
                "calico_netlink_messages",
                "Number of messages sent to the kernel over netlink, questions included.",
            )?,
        })
    }
}

/// Begins to answer on the addresses that are given.
///
/// # Errors
/// An address cannot be bound: another agent runs, or something else has the port.
pub fn serve(
    probes: &Arc<Probes>,
    health: Option<SocketAddr>,
    metrics: Option<SocketAddr>,
) -> anyhow::Result<()> {
    use anyhow::Context as _;
    if let Some(address) = health {
        let probes = probes.clone();
        let handler: Handler = Arc::new(move |path| match path {
            "/liveness" => Some(probes.live()),
            "/readiness" => Some(probes.ready()),
            _ => None,
        });
        service::http::serve(address, handler).with_context(|| {
            format!("failed to serve health on {address}; is another agent running? FELIX_HEALTHPORT chooses another port")
        })?;
    }
    if let Some(address) = metrics {
        let probes = probes.clone();
        let handler: Handler = Arc::new(move |path| (path == "/metrics").then(|| probes.render()));
        service::http::serve(address, handler).with_context(|| {
            format!("failed to serve metrics on {address}; FELIX_PROMETHEUSMETRICSPORT chooses another port")
        })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_only_when_the_kernel_follows() {
        let now = Instant::now();
        let probes = Probes::new(now).unwrap();
        probes.set_datastore(Some("no answer"));
        assert_eq!(probes.ready().status, 503);
        assert!(probes.ready().body.contains("read yet (no answer)"));
        probes.set_datastore(None);
        probes.set_in_sync();
        assert!(probes.ready().body.contains("kernel"));
        probes.set_kernel(true);
        assert_eq!((probes.ready().status, probes.live().status), (200, 200));
        probes.set_datastore(Some("it is gone"));
        assert_eq!(probes.ready().status, 200);
        assert!(probes.ready().body.contains("it is gone"));
    }

    #[test]
    fn a_turn_that_takes_too_long_is_not_live() {
        let now = Instant::now();
        let probes = Probes::new(now).unwrap();
        probes.turn_begins(now);
        assert_eq!(probes.stuck_for(now + STUCK), None);
        assert!(
            probes
                .stuck_for(now + STUCK + Duration::from_secs(1))
                .is_some()
        );
        probes.turn_ends();
        assert_eq!(probes.stuck_for(now + 2 * STUCK), None);
    }
}
