//! Addresses that nobody will ever give back: left by a reboot, or by a runtime that never called DEL. Found at start and
//! every quarter of an hour, for this node only.
//!
//! An address goes only on two independent proofs that its workload is dead. After a reboot: it was taken in an earlier boot,
//! and no interface stands for an endpoint that has it; such an endpoint goes first. In the same boot: no endpoint has it, and
//! the kernel has no route to it; what is younger than [`GRACE`] may be in the making and is left alone.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use api::Kind;
use datastore::{AnyStore, Datastore, Query, Snapshot, Write, block_on_ready, ipam_entries};
use ipam::Timestamp;
use ipam::release::{ReleaseAddress, release_addresses};
use ipam::sweep::{Alive, Why};
use linux::route::{RouteFilter, RouteSocket};
use linux::sysctl::BootId;
use model::{Family, Key, Resource};

/// How old an address without an endpoint must be.
const GRACE: u64 = 300;
/// What IPAM consists of, and the endpoints.
const KINDS: [Kind; 7] = [
    Kind::IpPool,
    Kind::IpReservation,
    Kind::IpamConfiguration,
    Kind::IpamBlock,
    Kind::BlockAffinity,
    Kind::IpamHandle,
    Kind::WorkloadEndpoint,
];

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

/// What a sweep found: endpoints that go, then addresses that go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dead {
    /// Endpoints of an earlier boot.
    pub endpoints: Vec<Write>,
    /// Addresses.
    pub addresses: Vec<ReleaseAddress>,
}

/// Looks, and gives back what is dead. Returns how many addresses that were.
///
/// # Errors
/// The kernel or the datastore cannot be asked, or others kept changing the same objects. Nothing that is alive is touched.
pub fn run(store: &AnyStore, node: &str) -> anyhow::Result<usize> {
    let kernel = look().context("failed to look at interfaces and routes")?;
    let dead = find(&everything(store)?, node, &kernel, now());
    if dead.addresses.is_empty() {
        return Ok(0);
    }
    if !dead.endpoints.is_empty() {
        // An endpoint that changed meanwhile is alive again: then nothing goes, until the next sweep.
        block_on_ready(store.commit(&dead.endpoints))
            .context("failed to remove endpoints of an earlier boot")?;
    }
    let addresses: Vec<IpAddr> = dead.addresses.iter().map(|dead| dead.addr).collect();
    let released = block_on_ready(datastore::drive(
        store,
        release_addresses(dead.addresses, now()),
    ))??;
    tracing::info!(
        ?addresses,
        released = released.released.len(),
        endpoints = dead.endpoints.len(),
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

/// What is dead, by what was seen.
pub fn find(snapshot: &Snapshot, node: &str, kernel: &Kernel, now: Timestamp) -> Dead {
    let mut standing = BTreeSet::new();
    let mut claimed: BTreeSet<IpAddr> = BTreeSet::new();
    let mut fallen = Vec::new();
    for entry in &snapshot.entries {
        let Ok(update) = api::decode(&entry.key, &entry.value) else {
            continue;
        };
        let (Key::WorkloadEndpoint(id), Some(Resource::WorkloadEndpoint(endpoint))) =
            (update.key, update.value)
        else {
            continue;
        };
        let addresses: BTreeSet<IpAddr> = endpoint.nets.iter().map(|net| net.addr()).collect();
        claimed.extend(&addresses);
        let by_runtime = endpoint.container_id.is_some();
        if &*id.node == node && by_runtime && !kernel.interfaces.contains(&*endpoint.interface) {
            fallen.push((entry, addresses));
        } else {
            standing.extend(addresses);
        }
    }
    let alive = Alive {
        node: node.into(),
        boot: kernel.boot.clone(),
        handles: BTreeSet::new(),
        addrs: standing,
        grace_seconds: GRACE,
    };
    let found = ipam::sweep::sweep(ipam_entries(snapshot), &alive, now);
    let proven = |addr: &IpAddr, why: Why| match why {
        Why::Reboot => !kernel.routed.contains(addr),
        Why::NoWorkload => !claimed.contains(addr) && !kernel.routed.contains(addr),
    };
    let addresses: Vec<ReleaseAddress> = found
        .into_iter()
        .filter(|(release, why)| proven(&release.addr, *why))
        .map(|(release, _)| release)
        .collect();
    let gone: BTreeSet<IpAddr> = addresses.iter().map(|release| release.addr).collect();
    let endpoints = fallen
        .into_iter()
        .filter(|(_, addresses)| addresses.is_subset(&gone))
        .map(|(entry, _)| Write::delete(entry.key.clone(), Some(entry.revision)))
        .collect();
    Dead {
        endpoints,
        addresses,
    }
}

fn everything(store: &AnyStore) -> anyhow::Result<Snapshot> {
    let prefixes = KINDS
        .iter()
        .flat_map(|kind| api::store_prefixes(*kind, None));
    let queries: Vec<Query> = prefixes.map(Query::prefix).collect();
    block_on_ready(store.read(&queries)).context("failed to read the datastore")
}

fn now() -> Timestamp {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}
