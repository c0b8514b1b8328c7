//! A container's attachment as the datastore has it, and what to ask IPAM for.

use std::collections::BTreeMap;
use std::net::IpAddr;

use datastore::{Query, Snapshot, Write};
use ipam::Owner;
use ipam::assign::{PoolRef, Reach, Request, Want};
use ipam::sweep;
use linux::sysctl::BootId;
use model::{AffinityOwner, Family, Key, PoolUse, Resource, WorkloadEndpoint, WorkloadEndpointId};

use crate::conf::{self, NetConf};
use crate::environment::Call;
use crate::error::{CniError, Code};
use crate::identity;
use crate::store::{self, Store};
use crate::wishes::Choice;

/// The endpoint of an identity, if there is one.
pub(crate) fn endpoint(snapshot: &Snapshot, id: &WorkloadEndpointId) -> Option<WorkloadEndpoint> {
    match store::resource(snapshot, &Key::WorkloadEndpoint(id.clone())) {
        Some(Resource::WorkloadEndpoint(endpoint)) => Some(endpoint),
        _ => None,
    }
}

/// What to read to know the endpoints of these identities.
pub(crate) fn queries(ids: &[WorkloadEndpointId]) -> Vec<Query> {
    let keys = ids.iter().map(|id| Key::WorkloadEndpoint(id.clone()));
    keys.filter_map(|key| api::key_text(&key))
        .map(Query::key)
        .collect()
}

/// The endpoints of these identities that are still this container's, and the writes that remove them.
pub(crate) fn removals(
    snapshot: &Snapshot,
    ids: &[WorkloadEndpointId],
    container: &str,
) -> Vec<(WorkloadEndpoint, Write)> {
    ids.iter()
        .filter_map(|id| {
            let endpoint = endpoint(snapshot, id)?;
            // A later container of the same pod has taken the endpoint over: it is not ours to remove.
            if endpoint.container_id.as_deref() != Some(container) {
                return None;
            }
            let entry = snapshot.get(&api::key_text(&Key::WorkloadEndpoint(id.clone()))?)?;
            Some((
                endpoint,
                Write::delete(entry.key.clone(), Some(entry.revision)),
            ))
        })
        .collect()
}

/// The addresses that a configuration, a call and a pod's choice ask for.
pub(crate) fn wants(conf: &NetConf, call: &Call, choice: &Choice) -> Result<Vec<Want>, CniError> {
    let mut wanted: Vec<IpAddr> = conf.wanted_addresses()?;
    for text in call.arg("IP").into_iter().flat_map(|list| list.split(',')) {
        wanted.push(conf::address(text)?);
    }
    wanted.dedup();
    let mut wants = exactly(&wanted);
    for (family, switch, pools) in [
        (Family::V4, conf.ipam.assign_ipv4, &conf.ipam.ipv4_pools),
        (Family::V6, conf.ipam.assign_ipv6, &conf.ipam.ipv6_pools),
    ] {
        // Who wants certain addresses gets these, and of another family only what the configuration says in words.
        let default = family == Family::V4 && wanted.is_empty();
        let chosen = choice.families.as_ref().map(|all| all.contains(&family));
        let asked = wanted.iter().any(|addr| Family::of(*addr) == family);
        if chosen.or(switch).unwrap_or(default) && !asked {
            let pools = choice.pools.get(&family).unwrap_or(pools).iter();
            wants.push(Want::Any {
                family,
                count: 1,
                pools: pools.map(|pool| PoolRef::from(pool.as_str())).collect(),
            });
        }
    }
    if wants.is_empty() {
        return Err(
            CniError::new(Code::Config, "the configuration asks for no address")
                .hint("set ipam.assign_ipv4 or ipam.assign_ipv6 to \"true\""),
        );
    }
    Ok(wants)
}

/// These addresses and no others.
pub(crate) fn exactly(addrs: &[IpAddr]) -> Vec<Want> {
    addrs.iter().copied().map(Want::Address).collect()
}

/// What to ask IPAM for a container.
pub(crate) fn request(conf: &NetConf, call: &Call, node: &str, wants: Vec<Want>) -> Request {
    Request {
        owner: AffinityOwner::Host(node.into()),
        wanted: wants,
        taker: taker(conf, call, node),
        intended_use: PoolUse::Workload,
        namespace: identity::pod(call).map(|pod| pod.namespace.into()),
        max_blocks: None,
        host_reserved: None,
        reach: Reach::default(),
        now: store::now(),
    }
}

fn taker(conf: &NetConf, call: &Call, node: &str) -> Owner {
    let mut attributes: BTreeMap<Box<str>, Box<str>> = BTreeMap::new();
    attributes.insert(sweep::NODE.into(), node.into());
    attributes.insert(sweep::TIMESTAMP.into(), store::now().to_string().into());
    // Addresses of an earlier run of the machine are found by this, and given back.
    if let Ok(boot) = BootId::read() {
        attributes.insert(sweep::BOOT.into(), boot.as_str().into());
    }
    if let Some(pod) = identity::pod(call) {
        attributes.insert("namespace".into(), pod.namespace.into());
        attributes.insert("pod".into(), pod.name.into());
    }
    Owner {
        handle: Some(identity::handle(&conf.name, &call.container)),
        attributes,
    }
}

/// All handles that a container may have addresses under: its own, and the older one of its pod, of releases that had no
/// IPAM on Kubernetes.
pub(crate) fn handles(conf: &NetConf, call: &Call, store: &Store) -> Vec<Box<str>> {
    let pod = identity::pod(call).filter(|_| !store.has_pods());
    let pod = pod.map(|pod| format!("{}.{}", pod.namespace, pod.name).into());
    [identity::handle(&conf.name, &call.container)]
        .into_iter()
        .chain(pod)
        .collect()
}

/// IPAM's refusal as an error of the plugin.
pub(crate) fn refusal(error: &dyn std::error::Error) -> CniError {
    CniError::from_source(Code::Ipam, "failed to assign an address", error)
}
