//! The loop: one owner of all state, one closed set of things to wait for.
//!
//! Datastore, kernel notices and signals are descriptors; the loop sleeps on all of them and wakes for one deadline only: when
//! something that failed is due again. A turn takes in what came, lets the graph say what changed, and converges the kernel.

use std::os::fd::AsFd;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use calc::{Change, Graph, LocalEndpoint};
use dataplane::filter::Filter;
use datastore::AnyStore;
use ipam::assign::Reach;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use service::signals::Signals;

use crate::converge::{Converge, Converged};
use crate::follow::{Follow, Taken};
use crate::ledger::Ledger;
use crate::options::Options;
use crate::parameters::{Parameters, Readiness};
use crate::probes::Probes;
use crate::setting_up::{self, SetUp};
use crate::settings::Settings;
use crate::status::StatusFiles;
use crate::sweep::Workloads;
use std::sync::Arc;

/// Where the next attempt waits after a failure: it doubles up to this.
const LONGEST_BACKOFF: Duration = Duration::from_secs(10);
/// How often addresses are looked for that nobody gives back.
const SWEEP_EVERY: Duration = Duration::from_secs(15 * 60);
/// How many sweeps look only at the node's own blocks, until one looks at all: a day's.
const OWN_SWEEPS: u32 = 95;
/// A sweep that has to wait is not waited for more closely than this.
const SHORTEST: Duration = Duration::from_secs(1);
const FIRST_BACKOFF: Duration = Duration::from_millis(50);

/// All state of the agent.
pub struct Agent {
    store: AnyStore,
    follow: Follow,
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
    /// When the settings are looked at that change without a notice (`routeRefreshInterval`).
    next_look: Option<Instant>,
    /// When dead addresses are looked for.
    next_sweep: Instant,
    /// So many sweeps more look only at the node's own blocks.
    own_sweeps: u32,
    /// The sweep that is under way, on a thread of its own, for it waits for the datastore.
    sweep: Option<JoinHandle<()>>,
    node: String,
    active_policies: std::collections::BTreeSet<model::PolicyId>,
}

/// Whether the policy of the datastore was taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Synced {
    /// Not yet: nothing is written to the kernel.
    NotYet,
    /// All of it was read; it is acted on as soon as the datastore says that it may be.
    Read,
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
    /// Prepares; nothing is read from the datastore and nothing written to the kernel yet, except on first boot the table
    /// that drops unknown workload interfaces.
    ///
    /// # Errors
    /// The kernel cannot be opened.
    pub fn start(
        settings: &Settings,
        mut parameters: Parameters,
        store: AnyStore,
        probes: Arc<Probes>,
    ) -> anyhow::Result<Agent> {
        let signals = Signals::shutdown().context("failed to take over signals")?;
        // Subscribed and closed before the datastore is read, under what the environment and the file say.
        let options = Options::of(&parameters.resolve());
        let mut kernel = Converge::open(
            &options,
            Ledger::open(&settings.paths.ledger),
            probes.clone(),
        )?;
        kernel.guard_first_boot(&Filter::new(options.filter.clone()))?;
        let follow = Follow::new(&store, probes.clone())?;
        tracing::info!(node = %settings.node, "reading the datastore");
        let graph = Graph::new(&settings.node);
        let filter = Filter::new(options.filter.clone());
        Ok(Agent {
            store,
            follow,
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
            next_look: None,
            next_sweep: Instant::now(),
            own_sweeps: 0,
            sweep: None,
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
            self.kernel.take_notices();
            self.take_parameters();
            self.take_changes();
            self.look_from_time_to_time(now);
            let due = self.kernel.has_work() || self.retry.is_due(now);
            if due && self.synced == Synced::Yes {
                self.converge(now);
            }
            self.sweep(now);
            self.probes
                .set_netlink_messages(self.kernel.netlink_messages());
            self.probes.turn_ends();
            self.sleep()?;
        }
    }

    fn take_updates(&mut self) {
        let (parameters, graph, synced) = (&mut self.parameters, &mut self.graph, &mut self.synced);
        self.follow.take(|taken| match taken {
            Taken::Update(update) => {
                parameters.take(&update);
                graph.apply(*update);
            }
            Taken::InSync => {
                graph.in_sync();
                *synced = Synced::Read;
            }
        });
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
        // Not before policy stands, not while somebody works on the datastore, and not by endpoints that may be others by now.
        let quiet = self.retry == Retry::Idle
            && self.readiness == Readiness::Ready
            && self.follow.is_in_sync();
        let busy = self
            .sweep
            .as_ref()
            .is_some_and(|sweep| !sweep.is_finished());
        if self.next_sweep > now || self.synced != Synced::Yes || !quiet || busy {
            return;
        }
        self.next_sweep = now + SWEEP_EVERY;
        let reach = match self.own_sweeps {
            0 => Reach::AllBlocks,
            _ => Reach::OwnBlocks,
        };
        self.own_sweeps = self.own_sweeps.checked_sub(1).unwrap_or(OWN_SWEEPS);
        let (store, node) = (self.store.clone(), self.node.clone());
        let workloads = Workloads::of(&self.graph);
        let sweep = thread::Builder::new().name("sweep".into()).spawn(move || {
            if let Err(error) = crate::sweep::run(&store, &node, &workloads, reach) {
                tracing::warn!(
                    error = format!("{error:#}"),
                    "failed to look for addresses of dead workloads; trying again in 15 minutes"
                );
            }
        });
        match sweep {
            Ok(sweep) => self.sweep = Some(sweep),
            Err(error) => {
                tracing::warn!(%error, "failed to start a thread that looks for addresses of dead workloads")
            }
        }
    }

    /// Does what has to be done in the datastore before the loop begins, as often as it takes; `first` is how the first
    /// attempt ended, if it was made already.
    ///
    /// # Errors
    /// It failed in a way that trying again does not mend.
    pub fn set_up(
        &mut self,
        first: Option<anyhow::Result<()>>,
        attempt: impl Fn() -> anyhow::Result<()> + Clone + Send + 'static,
    ) -> anyhow::Result<SetUp> {
        setting_up::set_up(&mut self.signals, &self.probes, first, attempt)
    }

    fn take_parameters(&mut self) {
        // What is half read may say anything.
        if self.synced == Synced::NotYet {
            return;
        }
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
        // What is half read may say anything.
        if self.synced == Synced::NotYet {
            return;
        }
        let readiness = self.parameters.readiness();
        if readiness != self.readiness {
            self.readiness = readiness;
            match readiness {
                Readiness::Ready => tracing::info!("the datastore is ready again"),
                Readiness::Waiting => tracing::warn!(
                    "ClusterInformation does not say that the datastore is ready (datastoreReady): it is not ready; the last policy stays in force until it is"
                ),
            }
        }
        if readiness == Readiness::Waiting {
            return;
        }
        if self.synced == Synced::Read {
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
                    self.kernel.endpoint_changed(id, before, Some(endpoint));
                }
                Change::EndpointRemove(id) => {
                    let before = self.filter.endpoints().get(id).map(|e| &**e);
                    self.kernel.endpoint_changed(id, before, None);
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

    /// Says of the endpoints that changed whether their policy is in force; of all of them the first time.
    fn tell_status(&mut self) -> anyhow::Result<()> {
        let Some(due) = self.kernel.status_due() else {
            return Ok(());
        };
        let (kernel, endpoints) = (&self.kernel, self.filter.endpoints());
        let up = |id| {
            let endpoint: &LocalEndpoint = endpoints.get(id)?;
            let up = kernel.is_programmed(&endpoint.interface);
            up.then_some(&*endpoint.interface)
        };
        let told = match self.status.is_begun() {
            true => due.iter().try_for_each(|id| self.status.tell(id, up(id))),
            false => self
                .status
                .begin(endpoints.keys().filter_map(|id| Some((id, up(id)?)))),
        };
        told.context("failed to write endpoint status files")?;
        self.kernel.status_told();
        Ok(())
    }

    fn sleep(&self) -> anyhow::Result<()> {
        let now = Instant::now();
        let due = self.retry.at().into_iter();
        let next = due
            .chain(self.next_look)
            .fold(self.next_sweep.max(now + SHORTEST), Instant::min);
        let timeout = Timespec::try_from(next.saturating_duration_since(now)).ok();
        let [route, nft] = self.kernel.descriptors();
        let mut fds = [self.follow.as_fd(), self.signals.as_fd(), route, nft]
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
