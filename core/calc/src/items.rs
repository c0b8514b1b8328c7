//! What sets are made of: workload endpoints, host endpoints and network sets, kept small.

use std::hash::BuildHasher as _;
use std::net::IpAddr;

use hashbrown::HashTable;
use model::{EndpointPort, HostEndpointId, NetworkSetId, Protocol, WorkloadEndpointId};
use rustc_hash::FxBuildHasher;

use crate::change::Member;
use crate::intern::{Interner, Str};
use crate::slab::Slab;
use crate::things::Nets;

/// The identity of a thing, interned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum ItemKey {
    Workload([Str; 5]),
    Host(Str),
    NetworkSet { namespace: Option<Str>, name: Str },
}

impl ItemKey {
    /// With a reference to each string.
    pub(crate) fn workload(strings: &mut Interner, id: &WorkloadEndpointId) -> Self {
        let WorkloadEndpointId {
            node,
            orchestrator,
            namespace,
            workload,
            endpoint,
        } = id;
        Self::Workload(
            [node, orchestrator, namespace, workload, endpoint].map(|part| strings.intern(part)),
        )
    }

    /// With a reference to each string.
    pub(crate) fn host(strings: &mut Interner, id: &HostEndpointId) -> Self {
        Self::Host(strings.intern(&id.name))
    }

    /// With a reference to each string.
    pub(crate) fn network_set(strings: &mut Interner, id: &NetworkSetId) -> Self {
        let namespace = id
            .namespace
            .as_deref()
            .map(|namespace| strings.intern(namespace));
        Self::NetworkSet {
            namespace,
            name: strings.intern(&id.name),
        }
    }

    /// Gives the references back.
    pub(crate) fn release(self, strings: &mut Interner) {
        match self {
            Self::Workload(parts) => parts.iter().for_each(|&part| strings.release(part)),
            Self::Host(name) => strings.release(name),
            Self::NetworkSet { namespace, name } => {
                namespace
                    .iter()
                    .for_each(|&namespace| strings.release(namespace));
                strings.release(name);
            }
        }
    }
}

/// A declared port that has a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ItemPort {
    name: Str,
    protocol: Protocol,
    port: u16,
}

/// A thing's addresses and named ports.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Body {
    pub(crate) nets: Nets,
    ports: Box<[ItemPort]>,
}

impl Body {
    /// With a reference to each port's name.
    pub(crate) fn new(strings: &mut Interner, nets: Nets, ports: &[EndpointPort]) -> Self {
        let named = ports.iter().filter(|port| !port.name.is_empty());
        Self {
            nets,
            ports: named
                .map(|port| ItemPort {
                    name: strings.intern(&port.name),
                    protocol: port.protocol,
                    port: port.port,
                })
                .collect(),
        }
    }

    /// Gives the references back.
    pub(crate) fn release(&self, strings: &mut Interner) {
        self.ports
            .iter()
            .for_each(|port| strings.release(port.name));
    }

    /// What the thing puts into a set of addresses.
    pub(crate) fn net_members(&self) -> impl Iterator<Item = Member> + '_ {
        self.nets.iter().map(|&net| Member::Net(net))
    }

    /// What the thing puts into a set of addresses with a named port. Only single addresses have ports.
    pub(crate) fn port_members(
        &self,
        name: Str,
        protocol: Option<Protocol>,
    ) -> impl Iterator<Item = Member> + '_ {
        let is_wanted = move |port: &&ItemPort| {
            port.name == name
                && port.protocol.has_ports()
                && protocol.is_none_or(|protocol| protocol == port.protocol)
        };
        let addresses = || {
            self.nets
                .iter()
                .filter(|net| net.is_host())
                .map(|net| net.addr())
        };
        self.ports.iter().filter(is_wanted).flat_map(move |port| {
            addresses()
                .map(move |address: IpAddr| Member::NetPort(address, port.protocol, port.port))
        })
    }
}

/// A thing.
pub(crate) struct Item {
    pub(crate) key: ItemKey,
    pub(crate) class: u32,
    pub(crate) body: Body,
}

/// All things, by number and by identity.
#[derive(Default)]
pub(crate) struct Items {
    items: Slab<Item>,
    by_key: HashTable<u32>,
}

impl Items {
    pub(crate) fn find(&self, key: ItemKey) -> Option<u32> {
        self.by_key
            .find(hash(key), |&index| self.items[index].key == key)
            .copied()
    }

    pub(crate) fn insert(&mut self, item: Item) -> u32 {
        let key = item.key;
        let index = self.items.insert(item);
        let items = &self.items;
        self.by_key
            .insert_unique(hash(key), index, |&other| hash(items[other].key));
        index
    }

    pub(crate) fn remove(&mut self, index: u32) -> Item {
        let item = self.items.remove(index);
        if let Ok(entry) = self
            .by_key
            .find_entry(hash(item.key), |&other| other == index)
        {
            entry.remove();
        }
        item
    }

    pub(crate) fn get(&self, index: u32) -> &Item {
        &self.items[index]
    }

    pub(crate) fn get_mut(&mut self, index: u32) -> &mut Item {
        &mut self.items[index]
    }

    pub(crate) fn len(&self) -> usize {
        self.items.len()
    }

    /// All, with their numbers.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &Item)> {
        self.items.iter()
    }
}

fn hash(key: ItemKey) -> u64 {
    FxBuildHasher.hash_one(key)
}
