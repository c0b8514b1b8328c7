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
use crate::identity;
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
    let prefixes = [Kind::WorkloadEndpoint, Kind::IpamBlock]
        .map(|kind| Query::prefix(api::store_prefix(kind, None)));
    let snapshot = store.read(&prefixes)?;
    let taken = containers(conf, &node, &snapshot);
    let mut errors = Vec::new();
    let mut dead: BTreeMap<&str, Vec<WorkloadEndpointId>> = BTreeMap::new();
    let endpoints = endpoints(&node, &snapshot);
    for (id, container) in &endpoints {
        // An endpoint does not say its network; its addresses do.
        if taken.contains(container) && !valid.contains(&(&**container, &*id.endpoint)) {
            dead.entry(container).or_default().push(id.clone());
        }
    }
    for container in &taken {
        if !valid.iter().any(|(known, _)| known == container) {
            dead.entry(container).or_default();
        }
    }
    for (container, ids) in dead {
        errors.extend(remove(conf, &store, container, &ids).err());
    }
    joined(errors)
}

/// The containers that have addresses of this network on this node.
fn containers(conf: &NetConf, node: &str, snapshot: &Snapshot) -> BTreeSet<String> {
    let prefix = format!("{}.", conf.name);
    let mut found = BTreeSet::new();
    for entry in datastore::ipam_entries(snapshot) {
        if let (Key::Block(_), Some(Resource::Block(block))) = (entry.key, entry.value) {
            let ledger = Ledger::read(&block, u32::MAX, store::now());
            for (_, owner) in ledger.assigned() {
                let here = owner
                    .secondary
                    .get(sweep::NODE)
                    .is_some_and(|name| **name == *node);
                let container = owner
                    .handle
                    .as_deref()
                    .and_then(|handle| handle.strip_prefix(&prefix));
                found.extend(container.filter(|_| here).map(str::to_owned));
            }
        }
    }
    found
}

fn endpoints(node: &str, snapshot: &Snapshot) -> Vec<(WorkloadEndpointId, String)> {
    datastore::ipam_entries(snapshot)
        .into_iter()
        .filter_map(|entry| match (entry.key, entry.value) {
            (Key::WorkloadEndpoint(id), Some(Resource::WorkloadEndpoint(endpoint)))
                if *id.node == *node =>
            {
                Some((id, endpoint.container_id?.to_string()))
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
