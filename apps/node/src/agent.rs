//! The loop: one owner of all state, one closed set of things to wait for.
//!
//! Datastore, kernel notices and signals are descriptors; the loop sleeps on all of them and wakes for one deadline only: when
//! something that failed is due again. A turn takes in what came, lets the graph say what changed, and converges the kernel.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use calc::{Change, Graph};
use dataplane::filter::Filter;
use datastore::AnyStore;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use service::signals::Signals;

use crate::converge::{Converge, Converged};
use crate::feed::{Feed, Listed};
use crate::ledger::Ledger;
use crate::options::Options;
use crate::parameters::{Parameters, Readiness};
use crate::probes::Probes;
use crate::settings::Settings;
use crate::status::StatusFiles;
use std::sync::Arc;

/// Where the next attempt waits after a failure: it doubles up to this.
const LONGEST_BACKOFF: Duration = Duration::from_secs(10);
/// How often addresses are looked for that nobody gives back.
const SWEEP_EVERY: Duration = Duration::from_secs(15 * 60);
/// A sweep that has to wait is not waited for more closely than this.
const SHORTEST: Duration = Duration::from_secs(1);
const FIRST_BACKOFF: Duration = Duration::from_millis(50);

/// All state of the agent.
pub struct Agent {
    store: AnyStore,
    feed: Feed,
    graph: Graph,
    parameters: Parameters,
    options: Options,
    filter: Filter,
    synced: Synced,
    readiness: Readiness,
    kernel: Converge,
    status: StatusFiles,
    signals: Signals,
    probes: Arc<Probes>,
    retry: Retry,
    /// When a datastore that cannot be followed is asked again.
    store_retry: Retry,
    /// When the settings are looked at that change without a notice (`routeRefreshInterval`).
    next_look: Option<Instant>,
    /// When dead addresses are looked for.
    next_sweep: Instant,
    node: String,
    active_policies: std::collections::BTreeSet<model::PolicyId>,
}

/// Whether the policy of the datastore was taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Synced {
    /// Not yet: nothing is written to the kernel.
    NotYet,
    /// It was, and is kept in force whatever the datastore says of itself later.
    Yes,
}

/// When what failed is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Retry {
    Idle,
    Due { at: Instant, backoff: Duration },
}

impl Retry {
    fn after_failure(self, now: Instant) -> Retry {
        let backoff = match self {
            Retry::Idle => FIRST_BACKOFF,
            Retry::Due { backoff, .. } => (backoff * 2).min(LONGEST_BACKOFF),
        };
        Retry::Due {
            at: now + backoff,
            backoff,
        }
    }

    fn at(self) -> Option<Instant> {
        match self {
            Retry::Idle => None,
            Retry::Due { at, .. } => Some(at),
        }
    }

    fn is_due(self, now: Instant) -> bool {
        match self {
            Retry::Idle => false,
            Retry::Due { at, .. } => at <= now,
        }
    }
}

impl Agent {
    /// Lists the datastore and prepares; nothing is written to the kernel yet, except on first boot the table that drops
    /// unknown workload interfaces.
    ///
    /// # Errors
    /// The datastore or the kernel cannot be opened.
    pub fn start(
        settings: &Settings,
        mut parameters: Parameters,
        store: AnyStore,
        probes: Arc<Probes>,
    ) -> anyhow::Result<Agent> {
        let signals = Signals::shutdown().context("failed to take over signals")?;
        // Subscribed and closed before the datastore is read, under what the environment and the file say.
        let mut options = Options::of(&parameters.resolve());
        let mut kernel = Converge::open(
            &options,
            Ledger::open(&settings.paths.ledger),
            probes.clone(),
        )?;
        kernel.guard_first_boot(&Filter::new(options.filter.clone()))?;
        probes.metrics.resync_state.set(1);
        probes.metrics.resyncs.inc();
        let Listed { feed, updates } = Feed::open(&store)?;
        let mut graph = Graph::new(&settings.node);
        probes.metrics.updates.inc_by(updates.len() as u64);
        for update in updates {
            parameters.take(&update);
            graph.apply(update);
        }
        graph.in_sync();
        let now = Options::of(&parameters.resolve());
        if now != options {
            kernel.set_options(&now);
            options = now;
        }
        tracing::info!(node = %settings.node, "datastore read");
        let filter = Filter::new(options.filter.clone());
        Ok(Agent {
            store,
            feed,
            graph,
            parameters,
            options,
            filter,
            synced: Synced::NotYet,
            readiness: Readiness::Ready,
            kernel,
            status: StatusFiles::new(&settings.paths.run),
            signals,
            probes,
            retry: Retry::Idle,
            store_retry: Retry::Idle,
            next_look: None,
            next_sweep: Instant::now(),
            node: settings.node.clone(),
            active_policies: std::collections::BTreeSet::new(),
        })
    }

    /// Runs until a signal asks to stop. What is in the kernel stays there.
    ///
    /// # Errors
    /// Waiting itself fails, which leaves nothing to go on with.
    pub fn run(mut self) -> anyhow::Result<()> {
        loop {
            let now = Instant::now();
            self.probes.turn_begins(now);
            if self.signals.take() {
                tracing::info!("stopping; routes and policy stay in force");
                return Ok(());
            }
            self.take_updates();
            self.kernel.take_notices(self.filter.endpoints());
            self.take_parameters();
            self.take_changes();
            self.look_from_time_to_time(now);
            let due = self.kernel.has_work() || self.retry.is_due(now);
            if due && self.synced == Synced::Yes {
                self.converge(now);
            }
            self.sweep(now);
            self.probes.turn_ends();
            self.sleep()?;
        }
    }

    fn take_updates(&mut self) {
        match self.feed.poll(&self.store) {
            Ok(updates) => {
                if self.store_retry != Retry::Idle {
                    tracing::info!("datastore can be followed again");
                    self.store_retry = Retry::Idle;
                }
                self.probes.metrics.updates.inc_by(updates.len() as u64);
                for update in updates {
                    self.parameters.take(&update);
                    self.graph.apply(update);
                }
            }
            Err(error) => {
                tracing::error!(
                    error = format!("{error:#}"),
                    "datastore cannot be followed; the last policy stays in force"
                );
                self.store_retry = self.store_retry.after_failure(Instant::now());
            }
        }
    }

    /// Of some sysctls the kernel gives no notice, so everything is looked at now and then.
    fn look_from_time_to_time(&mut self, now: Instant) {
        let Some(every) = self.options.look_every else {
            self.next_look = None;
            return;
        };
        match self.next_look {
            Some(at) if at > now + every => self.next_look = Some(now + every),
            Some(at) if at > now => {}
            Some(_) => {
                self.next_look = Some(now + every);
                self.kernel.look_at_all();
            }
            None => self.next_look = Some(now + every),
        }
    }

    fn sweep(&mut self, now: Instant) {
        // Not before policy stands, and not while somebody works on the datastore.
        let quiet = self.retry == Retry::Idle && self.readiness == Readiness::Ready;
        if self.next_sweep > now || self.synced == Synced::NotYet || !quiet {
            return;
        }
        self.next_sweep = now + SWEEP_EVERY;
        if let Err(error) = crate::sweep::run(&self.store, &self.node) {
            tracing::warn!(
                error = format!("{error:#}"),
                "failed to look for addresses of dead workloads; trying again in 15 minutes"
            );
        }
    }

    fn take_parameters(&mut self) {
        let Some(config) = self.parameters.news() else {
            return;
        };
        let options = Options::of(&config);
        if options == self.options {
            return;
        }
        tracing::info!("parameters changed; bringing the kernel in line with them");
        if options.filter != self.options.filter {
            self.filter = self.filter.with_options(options.filter.clone());
        }
        self.kernel.set_options(&options);
        self.options = options;
    }

    fn take_changes(&mut self) {
        let readiness = self.parameters.readiness();
        if readiness != self.readiness {
            self.readiness = readiness;
            match readiness {
                Readiness::Ready => tracing::info!("the datastore is ready again"),
                Readiness::Waiting => tracing::warn!(
                    "ClusterInformation says that the datastore is not ready; the last policy stays in force until it is"
                ),
            }
        }
        if readiness == Readiness::Waiting {
            return;
        }
        if self.synced == Synced::NotYet {
            tracing::info!("datastore in sync");
            self.synced = Synced::Yes;
            self.probes.set_in_sync();
        }
        let changes = self.graph.drain();
        if changes.is_empty() {
            return;
        }
        self.probes
            .metrics
            .output_events
            .inc_by(changes.len() as u64);
        for change in changes {
            match &change {
                Change::PolicyReplace { id, .. } => {
                    self.active_policies.insert(id.clone());
                }
                Change::PolicyRemove(id) => {
                    self.active_policies.remove(id);
                }
                Change::EndpointReplace { id, endpoint } => {
                    let before = self.filter.endpoints().get(id).map(|e| &**e);
                    self.kernel.endpoint_changed(before, Some(endpoint));
                }
                Change::EndpointRemove(id) => {
                    let before = self.filter.endpoints().get(id).map(|e| &**e);
                    self.kernel.endpoint_changed(before, None);
                }
                Change::SetReplace { .. }
                | Change::SetDelta { .. }
                | Change::SetRemove(_)
                | Change::ProfileReplace { .. }
                | Change::ProfileRemove(_)
                | Change::PoolReplace { .. }
                | Change::PoolRemove(_) => {}
            }
            self.filter.apply(change);
        }
        self.kernel.filter_changed();
        let metrics = &self.probes.metrics;
        metrics
            .active_local_endpoints
            .set(count(self.filter.endpoints().len()));
        metrics
            .active_local_policies
            .set(count(self.active_policies.len()));
        metrics.ipsets.set(count(self.filter.sets().len()));
    }

    fn converge(&mut self, now: Instant) {
        let result = self
            .kernel
            .converge(&mut self.filter)
            .and_then(|converged| {
                self.tell_status()?;
                Ok(converged)
            });
        match result {
            Ok(Converged::Done) => {
                self.retry = Retry::Idle;
                self.probes.set_kernel(true);
            }
            Ok(Converged::Pending(why)) => {
                tracing::debug!(%why, "kernel not yet as it should be");
                self.retry = self.retry.after_failure(now);
            }
            Err(error) => {
                tracing::warn!(
                    error = format!("{error:#}"),
                    "failed to bring the kernel in line; trying again"
                );
                self.probes.metrics.failures.inc();
                self.probes.set_kernel(false);
                self.kernel.forget();
                self.retry = self.retry.after_failure(now);
            }
        }
    }

    fn tell_status(&mut self) -> anyhow::Result<()> {
        let kernel = &self.kernel;
        let up = self
            .filter
            .endpoints()
            .iter()
            .filter(|(_, endpoint)| kernel.is_programmed(&endpoint.interface))
            .map(|(id, endpoint)| (id, &*endpoint.interface));
        self.status
            .write(up)
            .context("failed to write endpoint status files")
    }

    fn sleep(&self) -> anyhow::Result<()> {
        let now = Instant::now();
        let due = [self.retry, self.store_retry]
            .into_iter()
            .filter_map(Retry::at);
        let next = due
            .chain(self.next_look)
            .fold(self.next_sweep.max(now + SHORTEST), Instant::min);
        let timeout = Timespec::try_from(next.saturating_duration_since(now)).ok();
        let [route, nft] = self.kernel.descriptors();
        let mut fds = [self.feed.as_fd(), self.signals.as_fd(), route, nft]
            .map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN));
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(errno) => Err(errno).context("failed to wait for events"),
        }
    }
}

fn count(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
