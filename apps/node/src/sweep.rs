//! Addresses that nobody will ever give back: left by a reboot, or by a runtime that never called DEL. Found at start and
//! every quarter of an hour, for this node only.
//!
//! An address goes only on two independent proofs that its workload is dead. After a reboot: it was taken in an earlier boot,
//! and no interface stands for an endpoint that has it; such an endpoint goes first. In the same boot: no endpoint has it, and
//! the kernel has no route to it; what is younger than [`GRACE`] may be in the making and is left alone.
//!
//! What endpoints there are the graph knows; of IPAM the node's own blocks are read, so that a sweep of a store behind a
//! network costs as much as the node has, not the cluster. Only what was taken from another node's block is not found so: for
//! that, all blocks are looked at after a start and once a day.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use calc::Graph;
use datastore::{AnyStore, Datastore, Entry, Query, Write, block_on_ready};
use ipam::Timestamp;
use ipam::assign::Reach;
use ipam::release::{ReleaseAddress, release_addresses};
use ipam::sweep::{Alive, Why, search};
use linux::route::{RouteFilter, RouteSocket};
use linux::sysctl::BootId;
use model::{Family, Key, Resource, WorkloadEndpointId};

/// How old an address without an endpoint must be.
const GRACE: u64 = 300;

/// What the kernel knows of workloads.
#[derive(Clone, Debug, Default)]
pub struct Kernel {
    /// The identity of this boot; `None` where it cannot be known.
    pub boot: Option<Box<str>>,
    /// Names of all interfaces.
    pub interfaces: BTreeSet<String>,
    /// Addresses to which there is a route of their own.
    pub routed: BTreeSet<IpAddr>,
}

/// What the datastore knows of workloads.
#[derive(Clone, Debug, Default)]
pub struct Workloads {
    /// Those of this node.
    pub here: Vec<Workload>,
    /// The addresses of all others.
    pub elsewhere: BTreeSet<IpAddr>,
}

/// A workload endpoint of this node.
#[derive(Clone, Debug)]
pub struct Workload {
    /// Which.
    pub id: WorkloadEndpointId,
    /// Its interface.
    pub interface: Box<str>,
    /// Its addresses.
    pub addresses: BTreeSet<IpAddr>,
    /// The container for which the CNI plugin made it: it stands and falls with its interface. `None`: another hand's.
    pub container: Option<Box<str>>,
}

impl Workloads {
    /// Those that the graph has taken in.
    #[must_use]
    pub fn of(graph: &Graph) -> Workloads {
        let here = graph.workloads_here().map(|(id, endpoint)| Workload {
            id: id.clone(),
            interface: endpoint.interface.clone(),
            addresses: endpoint.nets.iter().map(|net| net.addr()).collect(),
            container: endpoint.container_id.clone(),
        });
        Workloads {
            here: here.collect(),
            elsewhere: graph
                .workload_nets_elsewhere()
                .map(|net| net.addr())
                .collect(),
        }
    }

    /// Those whose interface is gone, and the addresses of the rest.
    fn fallen(&self, kernel: &Kernel) -> (Vec<&Workload>, BTreeSet<IpAddr>) {
        let has_fallen = |one: &&Workload| {
            one.container.is_some() && !kernel.interfaces.contains(&*one.interface)
        };
        let (fallen, standing): (Vec<_>, Vec<_>) = self.here.iter().partition(has_fallen);
        let standing = standing.iter().flat_map(|one| &one.addresses).copied();
        (
            fallen,
            standing.chain(self.elsewhere.iter().copied()).collect(),
        )
    }
}

/// Looks, and gives back what is dead. Returns how many addresses that were.
///
/// # Errors
/// The kernel or the datastore cannot be asked, or others kept changing the same objects. Nothing that is alive is touched.
pub fn run(
    store: &AnyStore,
    node: &str,
    workloads: &Workloads,
    reach: Reach,
) -> anyhow::Result<usize> {
    let kernel = look().context("failed to look at interfaces and routes")?;
    sweep(store, node, workloads, &kernel, reach)
}

/// The same, by what was seen in the kernel.
///
/// # Errors
/// As those of [`run`].
pub fn sweep(
    store: &AnyStore,
    node: &str,
    workloads: &Workloads,
    kernel: &Kernel,
    reach: Reach,
) -> anyhow::Result<usize> {
    let (fallen, standing) = workloads.fallen(kernel);
    let dead = find(store, node, workloads, kernel, standing, reach)?;
    if dead.is_empty() {
        return Ok(0);
    }
    let gone: BTreeSet<IpAddr> = dead.iter().map(|release| release.addr).collect();
    let endpoints = fallen
        .into_iter()
        .filter(|one| one.addresses.is_subset(&gone));
    let endpoints = remove(store, endpoints)?;
    let released = block_on_ready(datastore::drive(store, release_addresses(dead, now())))??;
    tracing::info!(
        addresses = ?gone,
        released = released.released.len(),
        endpoints,
        "gave back addresses of workloads that are gone"
    );
    Ok(released.released.len())
}

fn look() -> anyhow::Result<Kernel> {
    let mut socket = RouteSocket::open()?;
    let interfaces = socket.links()?.into_iter().map(|link| link.name).collect();
    let mut routed = BTreeSet::new();
    for family in Family::ALL {
        let routes = socket.routes(&RouteFilter::all(family))?;
        let hosts = routes.iter().filter(|route| route.dst.is_host());
        routed.extend(hosts.map(|route| route.dst.addr()));
    }
    let boot = BootId::read().ok().map(|boot| boot.as_str().into());
    Ok(Kernel {
        boot,
        interfaces,
        routed,
    })
}

/// The addresses that are dead.
fn find(
    store: &AnyStore,
    node: &str,
    workloads: &Workloads,
    kernel: &Kernel,
    standing: BTreeSet<IpAddr>,
    reach: Reach,
) -> anyhow::Result<Vec<ReleaseAddress>> {
    let here = workloads.here.iter().flat_map(|one| &one.addresses);
    let claimed: BTreeSet<IpAddr> = here.chain(&workloads.elsewhere).copied().collect();
    let alive = Alive {
        node: node.into(),
        boot: kernel.boot.clone(),
        handles: BTreeSet::new(),
        addrs: standing,
        grace_seconds: GRACE,
    };
    let found = block_on_ready(datastore::drive(store, search(alive, reach, now())))?;
    let proven = |addr: &IpAddr, why: Why| match why {
        Why::Reboot => !kernel.routed.contains(addr),
        Why::NoWorkload => !claimed.contains(addr) && !kernel.routed.contains(addr),
    };
    let found = found
        .into_iter()
        .filter(|(release, why)| proven(&release.addr, *why));
    Ok(found.map(|(release, _)| release).collect())
}

/// Removes endpoints of an earlier boot; returns how many there were.
fn remove<'a>(
    store: &AnyStore,
    endpoints: impl Iterator<Item = &'a Workload>,
) -> anyhow::Result<usize> {
    let named = endpoints.filter_map(|one| {
        let key = api::key_text(&Key::WorkloadEndpoint(one.id.clone()))?;
        Some((key, one))
    });
    let named: BTreeMap<String, &Workload> = named.collect();
    if named.is_empty() {
        return Ok(0);
    }
    let queries: Vec<Query> = named.keys().map(Query::key).collect();
    let there = block_on_ready(store.read(&queries)).context("failed to read endpoints")?;
    let mut writes = Vec::new();
    for entry in &there.entries {
        // One that changed meanwhile is alive again: then nothing goes, until the next sweep.
        let as_seen = named.get(&*entry.key).is_some_and(|one| one.is(entry));
        anyhow::ensure!(as_seen, "{} has changed meanwhile", entry.key);
        writes.push(Write::delete(entry.key.clone(), Some(entry.revision)));
    }
    block_on_ready(store.commit(&writes))
        .context("failed to remove endpoints of an earlier boot")?;
    Ok(writes.len())
}

impl Workload {
    /// Whether an entry of the store is still this.
    fn is(&self, entry: &Entry) -> bool {
        let update = api::decode(&entry.key, &entry.value).ok();
        match update.and_then(|update| update.value) {
            Some(Resource::WorkloadEndpoint(endpoint)) => {
                let addresses = endpoint.nets.iter().map(|net| net.addr());
                endpoint.container_id == self.container
                    && addresses.collect::<BTreeSet<IpAddr>>() == self.addresses
            }
            Some(_) | None => false,
        }
    }
}

fn now() -> Timestamp {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}
