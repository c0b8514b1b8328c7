//! What goes with a pool or a node that is deleted, as upstream's client has it: blocks of the pool lose their owners first,
//! and a node takes its endpoints, their addresses, its blocks and its settings along.
//!
//! What others lean on goes last, so that the same command completes what was cut off.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use api::{Kind, Object, StoreKey};
use datastore::{Query, Snapshot, StoreKind, Write};
use ipam::affinity::{GiveUp, give_up};
use ipam::release::{ReleaseAddress, release_addresses};
use model::{AffinityOwner, Cidr};
use serde_json::Value;

use crate::addresses::driver;
use crate::objects::Objects;
use crate::outcome::{Failure, Status, chain};
use crate::time;
use crate::wording::{described, not_found};

/// How long who has read that a pool can be used has to say what was assigned from it.
const PAUSE: Duration = Duration::from_millis(500);
/// How many addresses are released at once.
const AT_ONCE: usize = 32;
/// How often it is begun again because others change the same.
const TRIES: usize = 5;

/// Deletes a pool: nothing more is assigned from it, then nobody owns its blocks, then it goes. What is in use stays so.
pub(crate) fn pool(objects: &Objects, name: &str) -> Result<(), Failure> {
    let pool = objects.get(Kind::IpPool, None, name)?;
    if pool.pointer("/spec/disabled") != Some(&Value::Bool(true)) {
        let mut disabled = pool.clone();
        disabled
            .spec_mut()
            .insert("disabled".to_owned(), true.into());
        objects.write_over(&pool, &disabled)?;
        std::thread::sleep(PAUSE);
    }
    if let Ok(cidr) = pool.text_at("/spec/cidr").parse::<Cidr>() {
        for owner in owners(objects, cidr)? {
            let machine = give_up(owner, GiveUp::Inside(cidr), time::now());
            driver::run(objects, machine)?.map_err(|error| Failure::general(chain(&error)))?;
        }
    }
    objects.delete(Kind::IpPool, None, name, None)
}

/// Who owns blocks of a network.
fn owners(objects: &Objects, cidr: Cidr) -> Result<BTreeSet<AffinityOwner>, Failure> {
    let prefixes = api::store_prefixes(Kind::BlockAffinity, None);
    let queries: Vec<Query> = prefixes.into_iter().map(Query::prefix).collect();
    let there = objects.read(&queries)?;
    let owner = |entry: &datastore::Entry| match api::parse_store_key(&entry.key)? {
        StoreKey::Affinity(id) if cidr.covers(id.block) => Some(id.owner),
        StoreKey::Affinity(_)
        | StoreKey::Resource { .. }
        | StoreKey::Block(_)
        | StoreKey::Handle(_)
        | StoreKey::IpamConfig => None,
    };
    Ok(there.entries.iter().filter_map(owner).collect())
}

/// Deletes a node and what is its own.
pub(crate) fn node(objects: &Objects, name: &str) -> Result<(), Failure> {
    if objects.choice().kind == StoreKind::Kubernetes {
        return Err(Failure::general(format!(
            "operation Delete is not supported on {}: nodes belong to Kubernetes: use kubectl",
            described(Kind::Node, None, name)
        )));
    }
    let mut last = None;
    for _ in 0..TRIES {
        match clear_node(objects, name) {
            Err(failure) if failure.status == Status::Conflict => last = Some(failure),
            done => return done,
        }
    }
    last.map_or(Ok(()), Err)
}

fn clear_node(objects: &Objects, name: &str) -> Result<(), Failure> {
    let own = format!("node.{name}");
    let keys = [
        api::store_key(Kind::FelixConfiguration, None, &own),
        api::store_key(Kind::BgpConfiguration, None, &own),
        api::store_key(Kind::Node, None, name),
    ];
    let kinds = [Kind::WorkloadEndpoint, Kind::BgpPeer, Kind::HostEndpoint];
    let prefixes = kinds.map(|kind| api::store_prefix(kind, None));
    let queries: Vec<Query> = keys
        .iter()
        .map(Query::key)
        .chain(prefixes.iter().map(Query::prefix))
        .collect();
    let there = objects.read(&queries)?;
    let [endpoints, peers, hosts] = prefixes.map(|prefix| on_node(&there, &prefix, name));

    let node = there.get(&keys[2]);
    let node = node.and_then(|e| Object::from_store(&e.key, &e.value, e.revision.get()).ok());
    let tunnels = node.iter().flat_map(tunnels);
    let addresses: Vec<IpAddr> = endpoints.iter().flat_map(networks).chain(tunnels).collect();
    for part in addresses.chunks(AT_ONCE) {
        let wanted = part.iter().map(|addr| ReleaseAddress {
            addr: *addr,
            block: None,
            handle: None,
            sequence: None,
        });
        driver::run(objects, release_addresses(wanted.collect(), time::now()))?
            .map_err(|error| Failure::general(chain(&error)))?;
    }
    let gone = |objects: &[Object]| -> Vec<Write> {
        let keys = objects.iter().map(Object::stored_key);
        keys.map(|key| Write::delete(key, None)).collect()
    };
    objects.carry_out(&gone(&endpoints))?;
    let owner = AffinityOwner::Host(name.into());
    driver::run(objects, give_up(owner, GiveUp::All, time::now()))?
        .map_err(|error| Failure::general(chain(&error)))?;
    let mut writes = gone(&peers);
    writes.extend(gone(&hosts));
    let settings = keys.iter().filter(|key| there.get(key).is_some());
    writes.extend(settings.map(|key| Write::delete(key.as_str(), None)));
    objects.carry_out(&writes)?;
    match there.get(&keys[2]) {
        Some(_) => Ok(()),
        None => Err(not_found(Kind::Node, None, name)),
    }
}

/// The objects under a prefix that name the node. What cannot be read names none.
fn on_node(there: &Snapshot, prefix: &str, node: &str) -> Vec<Object> {
    let entries = there.with_prefix(prefix).iter();
    let objects =
        entries.filter_map(|e| Object::from_store(&e.key, &e.value, e.revision.get()).ok());
    objects
        .filter(|object| object.text_at("/spec/node") == node)
        .collect()
}

/// The addresses of an endpoint.
fn networks(endpoint: &Object) -> Vec<IpAddr> {
    let networks = endpoint
        .pointer("/spec/ipNetworks")
        .and_then(Value::as_array);
    let texts = networks.into_iter().flatten().filter_map(Value::as_str);
    texts.filter_map(address).collect()
}

/// The addresses of a node's tunnels.
fn tunnels(node: &Object) -> Vec<IpAddr> {
    const FIELDS: [&str; 5] = [
        "/spec/bgp/ipv4IPIPTunnelAddr",
        "/spec/ipv4VXLANTunnelAddr",
        "/spec/ipv6VXLANTunnelAddr",
        "/spec/wireguard/interfaceIPv4Address",
        "/spec/wireguard/interfaceIPv6Address",
    ];
    let texts = FIELDS.iter().map(|field| node.text_at(field));
    texts.filter_map(address).collect()
}

fn address(text: &str) -> Option<IpAddr> {
    let host = text.split('/').next()?;
    host.parse().ok()
}
