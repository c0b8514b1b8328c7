//! GC: takes back the attachments of this node and network that the runtime does not name.

use std::collections::{BTreeMap, BTreeSet};

use api::Kind;
use datastore::{Query, Snapshot};
use ipam::release::release_handles;
use ipam::{Ledger, sweep};
use model::{Key, Resource, WorkloadEndpointId};

use crate::attachment;
use crate::conf::NetConf;
use crate::del::joined;
use crate::environment::Variables;
use crate::error::{CniError, Code};
use crate::identity::{self, Pod};
use crate::interface;
use crate::store::{self, Store};

/// Removes what is not in `cni.dev/valid-attachments`.
pub(crate) fn gc(conf: &NetConf, variables: &Variables) -> Result<(), CniError> {
    conf.check_name()?;
    let valid = conf.valid_attachments.as_ref();
    let valid = valid.ok_or_else(|| {
        CniError::new(
            Code::Config,
            "GC needs cni.dev/valid-attachments in the network configuration",
        )
    })?;
    let valid: BTreeSet<(&str, &str)> = valid
        .iter()
        .map(|one| (&*one.container, &*one.interface))
        .collect();
    let node = identity::node_name(conf)?;
    let store = store::open(conf, variables)?;
    let (taken, endpoints) = look(conf, &node, &store, &valid)?;
    let mut errors = Vec::new();
    let mut dead: BTreeMap<&str, Vec<WorkloadEndpointId>> = BTreeMap::new();
    for one in &endpoints {
        // An endpoint does not say its network; its addresses do.
        let is_valid = valid.contains(&(&*one.container, &*one.id.endpoint));
        if taken.contains_key(&one.container) && !is_valid {
            dead.entry(&one.container).or_default().push(one.id.clone());
        }
    }
    for (container, pod) in &taken {
        if !valid.iter().any(|(known, _)| known == container) {
            dead.entry(container).or_default();
            errors.extend(remove_stray(container, pod.as_ref(), &endpoints).err());
        }
    }
    for (container, ids) in dead {
        errors.extend(remove(conf, &store, container, &ids).err());
    }
    joined(errors)
}

/// The containers that have addresses, and the endpoints to compare them with.
type Found = (BTreeMap<String, Option<Pod>>, Vec<Attached>);

fn look(
    conf: &NetConf,
    node: &str,
    store: &Store,
    valid: &BTreeSet<(&str, &str)>,
) -> Result<Found, CniError> {
    let blocks = Query::prefix(api::store_prefix(Kind::IpamBlock, None));
    if !store.has_pods() {
        let endpoints = Query::prefix(api::store_prefix(Kind::WorkloadEndpoint, None));
        let snapshot = unlocked(store, [blocks, endpoints])?;
        return Ok((
            containers(conf, node, &snapshot),
            endpoints_of(node, &snapshot),
        ));
    }
    // The plugin may not list pods there, and need not: an address knows its pod.
    let taken = containers(conf, node, &unlocked(store, [blocks])?);
    let dead = taken
        .iter()
        .filter(|(container, _)| !valid.iter().any(|(known, _)| known == container));
    let ids: Vec<WorkloadEndpointId> = dead
        .filter_map(|(_, pod)| pod.as_ref().map(|pod| pod_id(node, pod)))
        .collect();
    let snapshot = store.read(&attachment::queries(&ids))?;
    Ok((taken, endpoints_of(node, &snapshot)))
}

/// Reads from a datastore that is not being moved.
fn unlocked<const N: usize>(store: &Store, queries: [Query; N]) -> Result<Snapshot, CniError> {
    let all = queries.into_iter().chain(store::readiness_query());
    let snapshot = store.read(&all.collect::<Vec<_>>())?;
    store::check_unlocked(&snapshot)?;
    Ok(snapshot)
}

/// Removes the interface of an ADD that came to its end before it could write the endpoint. One that an endpoint names is not
/// that: it goes with its endpoint.
fn remove_stray(
    container: &str,
    pod: Option<&Pod>,
    endpoints: &[Attached],
) -> Result<(), CniError> {
    for name in identity::host_interfaces(container, pod) {
        if !endpoints.iter().any(|one| one.interface == name) {
            interface::delete_host(&name)?;
        }
    }
    Ok(())
}

/// The containers that have addresses of this network on this node, each with its pod as the address says it.
fn containers(conf: &NetConf, node: &str, snapshot: &Snapshot) -> BTreeMap<String, Option<Pod>> {
    let prefix = format!("{}.", conf.name);
    let mut found = BTreeMap::new();
    for entry in datastore::ipam_entries(snapshot) {
        if let (Key::Block(_), Some(Resource::Block(block))) = (entry.key, entry.value) {
            let ledger = Ledger::read(&block, u32::MAX, store::now());
            for (_, owner) in ledger.assigned() {
                let said = |name: &str| owner.secondary.get(name).map(ToString::to_string);
                let container = owner
                    .handle
                    .as_deref()
                    .and_then(|handle| handle.strip_prefix(&prefix));
                let here = said(sweep::NODE).is_some_and(|name| name == node);
                let pod = said("namespace").zip(said("pod"));
                let pod = pod.map(|(namespace, name)| Pod { namespace, name });
                let container = container.filter(|_| here);
                found.extend(container.map(|container| (container.to_owned(), pod)));
            }
        }
    }
    found
}

/// The endpoint of a pod, whose interface has one name wherever endpoints are pods.
fn pod_id(node: &str, pod: &Pod) -> WorkloadEndpointId {
    WorkloadEndpointId {
        node: node.into(),
        orchestrator: "k8s".into(),
        namespace: pod.namespace.as_str().into(),
        workload: pod.name.as_str().into(),
        endpoint: "eth0".into(),
    }
}

/// A container's endpoint and its interface.
struct Attached {
    id: WorkloadEndpointId,
    container: String,
    interface: String,
}

fn endpoints_of(node: &str, snapshot: &Snapshot) -> Vec<Attached> {
    datastore::ipam_entries(snapshot)
        .into_iter()
        .filter_map(|entry| match (entry.key, entry.value) {
            (Key::WorkloadEndpoint(id), Some(Resource::WorkloadEndpoint(endpoint)))
                if *id.node == *node =>
            {
                Some(Attached {
                    id,
                    container: endpoint.container_id?.to_string(),
                    interface: endpoint.interface.to_string(),
                })
            }
            _ => None,
        })
        .collect()
}

fn remove(
    conf: &NetConf,
    store: &Store,
    container: &str,
    ids: &[WorkloadEndpointId],
) -> Result<(), CniError> {
    let machine = release_handles(vec![identity::handle(&conf.name, container)], store::now());
    let released = store.run(machine, &attachment::queries(ids), None, &mut |snapshot| {
        let mut writes = Vec::new();
        for (endpoint, write) in attachment::removals(snapshot, ids, container) {
            interface::delete_host(&endpoint.interface)?;
            writes.push(write);
        }
        Ok(writes)
    })?;
    released.map(|_| ()).map_err(|e| {
        CniError::from_source(
            Code::Ipam,
            &format!("failed to give back the addresses of container {container}"),
            &e,
        )
    })
}
