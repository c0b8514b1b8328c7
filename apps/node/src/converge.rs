//! From what should be to what is: plans for the packet filter, routes and sysctls, carried out until the kernel agrees.
//!
//! The packet filter is remembered as it was written, so that a change costs what it touches. The memory is given up when
//! another hand changes our table, or when anything fails: then the table is read, compared and brought back.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use anyhow::Context as _;
use calc::LocalEndpoint;
use dataplane::filter::Filter;
use dataplane::host::{self, HostDesired, HostOp, HostOptions};
use dataplane::nft::{ObservedTable, Presence, TableId, diff};
use dataplane::nftables::{self, NftOptions};
use linux::conntrack::ConntrackSocket;
use linux::host as kernel_host;
use linux::monitor::{
    Drained, Monitor as RouteMonitor, NetconfScope, Notice as RouteNotice, Topic,
};
use linux::nft::{Generation, Guard, Monitor as NftMonitor, Nftables, Notice as NftNotice};
use linux::route::{LinkIndex, LinkRef, NextHop, RouteSocket, Via};
use model::{Cidr, WorkloadEndpointId};

use crate::ledger::Ledger;
use crate::locals::Locals;
use crate::options::Options;
use crate::probes::Probes;

/// What of the kernel's routing others may change under us.
const TOPICS: [Topic; 3] = [Topic::Links, Topic::Routes, Topic::Netconf];
/// How often a table that changes under us is read again before the attempt counts as failed.
const READS: usize = 5;

/// How far an attempt came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Converged {
    /// All is as it should be, as far as interfaces exist.
    Done,
    /// Some steps failed and are due again.
    Pending(String),
}

/// What of the host's side has to be looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
enum HostWork {
    /// These interfaces; none: nothing.
    Interfaces(BTreeSet<Box<str>>),
    /// All of them, and the host's own settings.
    All,
}

impl HostWork {
    const NOTHING: HostWork = HostWork::Interfaces(BTreeSet::new());

    fn is_nothing(&self) -> bool {
        *self == HostWork::NOTHING
    }

    fn add(&mut self, interface: &str) {
        match self {
            HostWork::Interfaces(names) => {
                names.insert(interface.into());
            }
            HostWork::All => {}
        }
    }
}

/// The kernel, and what is known of it.
pub struct Converge {
    nft: Nftables,
    nft_monitor: NftMonitor,
    routes: RouteSocket,
    route_monitor: RouteMonitor,
    nft_options: NftOptions,
    host_options: HostOptions,
    /// Our table as it was last written; `None` when it must be read.
    table: Option<ObservedTable>,
    filter_changed: bool,
    host_work: HostWork,
    /// Interfaces that exist and have all they should have.
    complete: BTreeSet<Box<str>>,
    /// The local endpoints, by interface and address.
    locals: Locals,
    /// Interfaces that no endpoint has any more, and whose routes may still be there.
    lost: BTreeSet<Box<str>>,
    /// Endpoints whose status may have changed since it was told.
    status_due: BTreeSet<WorkloadEndpointId>,
    /// Addresses that left this host, whose connections are to be forgotten.
    left: BTreeSet<IpAddr>,
    probes: Arc<Probes>,
    /// Opened at first use and kept: closing a netlink socket waits for all processors.
    conntrack: Option<ConntrackSocket>,
    own_pid: u32,
    /// Transactions of ours whose notices have not come yet.
    own_commits: BTreeSet<Generation>,
    ledger: Ledger,
}

/// Finds out whether the agent can work on this kernel at all, before it leaves anything anywhere.
///
/// # Errors
/// The kernel lacks nf_tables, or this process lacks CAP_NET_ADMIN.
pub fn check() -> anyhow::Result<()> {
    const NEEDED: &str =
        "calico-node needs CAP_NET_ADMIN (run it as root) and a kernel with nf_tables";
    NftMonitor::open().context(NEEDED)?;
    let mut nft = Nftables::open().context(NEEDED)?;
    nft.observe(&TableId::ours()).context(NEEDED)?;
    Ok(())
}

impl Converge {
    /// Opens sockets and subscriptions; changes nothing.
    ///
    /// # Errors
    /// The kernel lacks nf_tables, or this process lacks CAP_NET_ADMIN.
    pub fn open(
        options: &Options,
        ledger: Ledger,
        probes: Arc<Probes>,
    ) -> anyhow::Result<Converge> {
        Ok(Converge {
            // Subscribed before anything is read, so that no change is missed in between.
            nft_monitor: NftMonitor::open().context("failed to follow changes of nf_tables")?,
            route_monitor: RouteMonitor::open(&TOPICS)
                .context("failed to follow links and routes")?,
            nft: Nftables::open().context("failed to open nf_tables")?,
            routes: RouteSocket::open().context("failed to open the kernel's routing")?,
            nft_options: options.nft,
            host_options: options.host.clone(),
            table: None,
            filter_changed: true,
            host_work: HostWork::All,
            complete: BTreeSet::new(),
            locals: Locals::default(),
            lost: BTreeSet::new(),
            status_due: BTreeSet::new(),
            left: BTreeSet::new(),
            probes,
            conntrack: None,
            own_pid: std::process::id(),
            own_commits: BTreeSet::new(),
            ledger,
        })
    }

    /// On first boot, with no table of ours: writes the one that drops all traffic of unknown workload interfaces, so that
    /// no pod has traffic before its policy stands.
    ///
    /// # Errors
    /// nf_tables cannot be read or written.
    pub fn guard_first_boot(&mut self, empty: &Filter) -> anyhow::Result<()> {
        let (observed, generation) = self
            .nft
            .observe(&TableId::ours())
            .context("failed to read our nf_tables table")?;
        if observed.presence == Presence::Present {
            return Ok(());
        }
        let batch = diff(&nftables::ruleset(empty, self.nft_options), &observed);
        let applied = self
            .nft
            .apply(&batch, Guard::Unchanged(generation))
            .context("failed to write the table that drops unknown workload interfaces")?;
        self.own_commits.extend(applied.generation);
        tracing::info!("first boot: workload interfaces are closed until policy is known");
        Ok(())
    }

    /// What to wait for: notices of routing, then of nf_tables.
    pub fn descriptors(&self) -> [BorrowedFd<'_>; 2] {
        [self.route_monitor.as_fd(), self.nft_monitor.as_fd()]
    }

    /// The filter was changed.
    pub fn filter_changed(&mut self) {
        self.filter_changed = true;
    }

    /// A local endpoint came, changed or went.
    pub fn endpoint_changed(
        &mut self,
        id: &WorkloadEndpointId,
        before: Option<&LocalEndpoint>,
        now: Option<&LocalEndpoint>,
    ) {
        self.status_due.insert(id.clone());
        if before.map(host_side) == now.map(host_side) {
            return;
        }
        if let Some(endpoint) = before {
            self.host_work.add(&endpoint.interface);
            self.locals.remove(id, endpoint);
        }
        if let Some(endpoint) = now {
            self.host_work.add(&endpoint.interface);
            self.locals.insert(id, endpoint);
            self.lost.remove(&endpoint.interface);
        }
        if let Some(endpoint) = before.filter(|before| !self.locals.has(&before.interface)) {
            self.lost.insert(endpoint.interface.clone());
        }
        let kept = now.map_or(&[][..], |endpoint| &endpoint.nets);
        let gone = before.into_iter().flat_map(|endpoint| &endpoint.nets);
        self.left
            .extend(gone.filter(|net| !kept.contains(net)).map(|net| net.addr()));
    }

    /// Everything of the host is looked at again: some of its settings change without a notice.
    pub fn look_at_all(&mut self) {
        self.host_work = HostWork::All;
    }

    /// Goes on under other settings.
    pub fn set_options(&mut self, options: &Options) {
        self.nft_options = options.nft;
        self.host_options = options.host.clone();
        self.filter_changed = true;
        self.forget();
    }

    /// Gives up what is remembered of the kernel.
    pub fn forget(&mut self) {
        self.table = None;
        self.host_work = HostWork::All;
        self.conntrack = None;
    }

    /// True if there is something to converge.
    pub fn has_work(&self) -> bool {
        self.filter_changed || self.table.is_none() || !self.host_work.is_nothing()
    }

    /// Endpoints whose status may have changed since it was told; `None` while the kernel is not known to be as it should be.
    pub fn status_due(&self) -> Option<&BTreeSet<WorkloadEndpointId>> {
        let known = self.table.is_some() && !self.filter_changed;
        known.then_some(&self.status_due)
    }

    /// The status of all endpoints was told.
    pub fn status_told(&mut self) {
        self.status_due.clear();
    }

    /// True if the interface exists and its policy, routes and sysctls are in force, as far as [`Converge::status_due`] says something.
    pub fn is_programmed(&self, interface: &str) -> bool {
        self.complete.contains(interface)
    }

    fn set_complete(&mut self, interface: &str, complete: Complete) {
        let changed = match complete {
            Complete::Yes => self.complete.insert(interface.into()),
            Complete::No => self.complete.remove(interface),
        };
        if changed {
            self.status_due.extend(self.locals.of(interface).cloned());
        }
    }

    /// Messages sent to the kernel over netlink so far.
    pub fn netlink_messages(&self) -> u64 {
        let conntrack = self.conntrack.as_ref();
        let conntrack = conntrack.map_or(0, |socket| socket.stats().messages);
        self.nft.stats().messages + self.routes.stats().messages + conntrack
    }

    /// Reads what the kernel says others changed.
    pub fn take_notices(&mut self) {
        self.take_nft_notices();
        loop {
            let mut notices = Vec::new();
            match self.route_monitor.drain(|notice| notices.push(notice)) {
                Ok(drained) => {
                    for notice in &notices {
                        self.take_route_notice(notice);
                    }
                    if drained == Drained::Empty {
                        return;
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "lost notices of links and routes; looking at all of them");
                    self.host_work = HostWork::All;
                    return;
                }
            }
        }
    }

    fn take_nft_notices(&mut self) {
        let notices = match self.nft_monitor.drain() {
            Ok(notices) => notices,
            Err(error) => {
                tracing::warn!(%error, "lost notices of nf_tables; reading our table again");
                self.table = None;
                return;
            }
        };
        let mut ours_touched = Vec::new();
        for notice in notices {
            match notice {
                NftNotice::Changed(table, object) => {
                    if table == TableId::ours() {
                        ours_touched.push(object);
                    }
                }
                NftNotice::Committed { generation, author } => {
                    // The number is the thread's, and that of another PID namespace in a container; the generation is certain.
                    let own = self.own_commits.remove(&generation) || author.pid == self.own_pid;
                    if !own && !ours_touched.is_empty() {
                        tracing::warn!(
                            process = %author.name, pid = author.pid, what = ?ours_touched,
                            "another hand changed our nf_tables table; repairing it"
                        );
                        self.probes.metrics.repairs.inc();
                        self.table = None;
                    }
                    ours_touched.clear();
                }
                NftNotice::Overrun => {
                    self.own_commits.clear();
                    self.table = None;
                }
            }
        }
    }

    fn take_route_notice(&mut self, notice: &RouteNotice) {
        match notice {
            RouteNotice::LinkChanged(link) => {
                if self.locals.has(&link.name) {
                    self.host_work.add(&link.name);
                }
            }
            RouteNotice::LinkGone { name, .. } => {
                self.set_complete(name, Complete::No);
                if self.locals.has(name) {
                    self.host_work.add(name);
                }
            }
            RouteNotice::RouteChanged(_, route) => {
                // A route over another interface may have taken the place of ours.
                for interface in self.locals.with_net(route.dst) {
                    self.host_work.add(interface);
                }
                match &route.via {
                    Via::Nothing => {}
                    Via::One(hop) => self.look_at_hop(hop),
                    Via::Many(hops) => hops.iter().for_each(|hop| self.look_at_hop(hop)),
                }
            }
            RouteNotice::NetconfChanged { scope, .. } => match scope {
                NetconfScope::Link(index) => self.look_at(*index),
                NetconfScope::All | NetconfScope::Default => self.host_work = HostWork::All,
            },
            RouteNotice::AddressChanged(..) | RouteNotice::NeighbourChanged(..) => {}
            RouteNotice::Overrun => self.host_work = HostWork::All,
        }
    }

    fn look_at_hop(&mut self, hop: &NextHop) {
        if let Some(index) = hop.link {
            self.look_at(index);
        }
    }

    fn look_at(&mut self, index: LinkIndex) {
        match self.routes.link(LinkRef::Index(index)) {
            Ok(Some(link)) => {
                if self.locals.has(&link.name) || self.lost.contains(link.name.as_str()) {
                    self.host_work.add(&link.name);
                }
            }
            // Its going is another notice.
            Ok(None) => {}
            Err(_) => self.host_work = HostWork::All,
        }
    }

    /// Brings the kernel in line.
    ///
    /// # Errors
    /// The packet filter cannot be read or written. Call [`Converge::forget`] and try again later.
    pub fn converge(&mut self, filter: &mut Filter) -> anyhow::Result<Converged> {
        self.converge_filter(filter)?;
        self.filter_changed = false;
        let converged = self.converge_host(filter)?;
        self.forget_connections()?;
        Ok(converged)
    }

    fn converge_filter(&mut self, filter: &mut Filter) -> anyhow::Result<()> {
        let dirty = filter.take_dirty();
        if let Some(table) = &mut self.table {
            if dirty.is_empty() {
                return Ok(());
            }
            let batch = nftables::delta(filter, &dirty, self.nft_options).plan(table);
            if batch.is_empty() {
                return Ok(());
            }
            self.probes.metrics.nft_calls.inc();
            match self.nft.apply(&batch, Guard::Any) {
                Ok(applied) => {
                    self.own_commits.extend(applied.generation);
                    if table.apply(&batch, &applied.handles).is_err() {
                        self.table = None;
                    }
                    return Ok(());
                }
                Err(error) => {
                    tracing::info!(%error, "our table is not as remembered; reading it");
                    self.table = None;
                }
            }
        }
        self.resync_filter(filter)
    }

    fn resync_filter(&mut self, filter: &Filter) -> anyhow::Result<()> {
        let desired = nftables::ruleset(filter, self.nft_options);
        for attempt in 1.. {
            let (mut observed, generation) = self
                .nft
                .observe(&TableId::ours())
                .context("failed to read our nf_tables table")?;
            let batch = diff(&desired, &observed);
            if batch.is_empty() {
                self.table = Some(observed);
                return Ok(());
            }
            tracing::debug!(changes = batch.ops.len(), "writing our nf_tables table");
            self.probes.metrics.nft_calls.inc();
            match self.nft.apply(&batch, Guard::Unchanged(generation)) {
                Ok(applied) => {
                    self.own_commits.extend(applied.generation);
                    self.table = observed
                        .apply(&batch, &applied.handles)
                        .is_ok()
                        .then_some(observed);
                    return Ok(());
                }
                Err(error) if error.is_stale() && attempt < READS => {}
                Err(error) => return Err(error).context("failed to write our nf_tables table"),
            }
        }
        Ok(())
    }

    fn converge_host(&mut self, filter: &Filter) -> anyhow::Result<Converged> {
        if self.host_work.is_nothing() {
            return Ok(Converged::Done);
        }
        let desired = self.desired(filter);
        let seen = kernel_host::observe(&mut self.routes, &desired)
            .context("failed to look at this host's links and routes")?;
        for sysctl in desired.sysctls.keys() {
            if let Some(Some(value)) = seen.sysctls.get(sysctl) {
                self.ledger
                    .note(&sysctl.to_string(), value)
                    .context("failed to write the ledger")?;
            }
        }
        let steps = host::plan(&desired, &seen, &self.host_options);
        let failed = kernel_host::apply(&mut self.routes, &steps)
            .context("failed to change this host's routes")?;
        for interface in desired.interfaces.keys() {
            let complete = match seen.interfaces.contains_key(interface) {
                true => Complete::Yes,
                false => Complete::No,
            };
            self.set_complete(interface, complete);
        }
        let Some(first) = failed.first() else {
            self.host_work = HostWork::NOTHING;
            self.lost.clear();
            return Ok(Converged::Done);
        };
        for failure in &failed {
            if let HostOp::AddRoute(interface, _) = &failure.op {
                self.set_complete(interface, Complete::No);
            }
        }
        let count = failed.len();
        Ok(Converged::Pending(format!(
            "{:?}: {} ({count} steps failed)",
            first.op, first.error
        )))
    }

    /// What should be, as far as it has to be looked at. An interface that lost its endpoint has no routes.
    fn desired(&self, filter: &Filter) -> HostDesired {
        let endpoints = filter.endpoints();
        let mut desired = match &self.host_work {
            HostWork::All => host::desired(endpoints.values().map(|e| &**e), &self.host_options),
            HostWork::Interfaces(names) => {
                let ids = names.iter().flat_map(|name| self.locals.of(name));
                let looked_at = ids.filter_map(|id| endpoints.get(id)).map(|e| &**e);
                let mut desired = host::desired(looked_at, &self.host_options);
                desired.sysctls.clear();
                desired
            }
        };
        for lost in &self.lost {
            desired.interfaces.entry(lost.clone()).or_default();
        }
        desired
    }

    /// Connections of addresses that left an endpoint are forgotten: whoever gets the address next, or has it already, must not
    /// inherit them.
    fn forget_connections(&mut self) -> anyhow::Result<()> {
        if self.left.is_empty() {
            return Ok(());
        }
        let socket = match &mut self.conntrack {
            Some(socket) => socket,
            none => {
                none.insert(ConntrackSocket::open().context("failed to open connection tracking")?)
            }
        };
        socket
            .delete_by_addresses(&self.left)
            .context("failed to forget the connections of addresses that left")?;
        self.left.clear();
        Ok(())
    }
}

/// Whether an interface has all it should have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Complete {
    Yes,
    No,
}

/// What of an endpoint the host's routes and sysctls depend on.
fn host_side(endpoint: &LocalEndpoint) -> (&str, &[Cidr], &[Cidr]) {
    (&endpoint.interface, &endpoint.nets, &endpoint.allow_spoofed)
}
