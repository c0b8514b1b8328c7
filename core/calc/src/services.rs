//! Who serves which service: endpoint slices by the service that they name, told to the sets that follow it.
//!
//! A service is kept while a slice names it or a set follows it. A slice that changes puts what it brings into the sets before
//! it takes out what it had, so that what stays neither comes nor goes, also when it moves to another service.

use std::collections::HashMap;
use std::net::IpAddr;

use model::{EndpointSlice, EndpointSliceId, Protocol, ServiceRef};
use rustc_hash::FxBuildHasher;

use crate::change::{Member, SetKind};
use crate::idset::IdSet;
use crate::intern::{Interner, Str};
use crate::sets::{Sets, Step};
use crate::slab::Slab;

type FxMap<K, V> = HashMap<K, V, FxBuildHasher>;

/// A namespace and a name in it.
type Name = (Str, Str);

/// Some of a service's endpoints: every address serves every port.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Slice {
    service: u32,
    addresses: Box<[IpAddr]>,
    ports: Box<[(Protocol, u16)]>,
}

impl Slice {
    /// What the slice puts into a set of this kind. It may say a member twice.
    pub(crate) fn members(&self, kind: SetKind, out: &mut Vec<Member>) {
        for &address in &self.addresses {
            match kind {
                SetKind::Net => out.push(Member::Net(model::Cidr::host(address))),
                SetKind::NetPort => out.extend(
                    self.ports
                        .iter()
                        .map(|&(protocol, port)| Member::NetPort(address, protocol, port)),
                ),
            }
        }
    }
}

struct Service {
    name: Name,
    slices: IdSet,
    sets: IdSet,
}

/// All slices, and the services that they or sets name.
#[derive(Default)]
pub(crate) struct Services {
    slices: Slab<Slice>,
    slice_ids: FxMap<Name, u32>,
    services: Slab<Service>,
    service_ids: FxMap<Name, u32>,
}

impl Services {
    /// Takes in a slice, or its absence, and tells the sets that follow its service.
    pub(crate) fn set_slice(
        &mut self,
        strings: &mut Interner,
        sets: &mut Sets,
        id: &EndpointSliceId,
        slice: Option<EndpointSlice>,
    ) {
        let key = (strings.intern(&id.namespace), strings.intern(&id.name));
        let known = self.slice_ids.get(&key).copied();
        let added = slice.map(|slice| self.add(strings, sets, &id.namespace, slice));
        let before = match added {
            Some(added) => self.slice_ids.insert(key, added),
            None => self.slice_ids.remove(&key),
        };
        if let Some(before) = before {
            self.remove(strings, sets, before);
        }
        // The map holds one reference to each string while it has the key.
        for _ in 0..usize::from(known.is_some()) + usize::from(added.is_none()) {
            strings.release(key.0);
            strings.release(key.1);
        }
    }

    fn add(
        &mut self,
        strings: &mut Interner,
        sets: &mut Sets,
        namespace: &str,
        slice: EndpointSlice,
    ) -> u32 {
        let service = self.enter(strings, namespace, &slice.service);
        let slice = Slice {
            service,
            addresses: slice.addresses.into(),
            ports: slice.ports.into(),
        };
        for set in self.services[service].sets.iter() {
            sets.step_slice(set, &slice, Step::Add);
        }
        let index = self.slices.insert(slice);
        self.services[service].slices.insert(index);
        index
    }

    fn remove(&mut self, strings: &mut Interner, sets: &mut Sets, index: u32) {
        let slice = self.slices.remove(index);
        let service = &mut self.services[slice.service];
        service.slices.remove(index);
        for set in service.sets.iter() {
            sets.step_slice(set, &slice, Step::Remove);
        }
        self.leave(strings, slice.service);
    }

    /// A set follows the service from here on. Returns the service's number.
    pub(crate) fn subscribe(
        &mut self,
        strings: &mut Interner,
        service: &ServiceRef,
        set: u32,
    ) -> u32 {
        let index = self.enter(strings, &service.namespace, &service.name);
        self.services[index].sets.insert(set);
        index
    }

    /// A set follows the service no more.
    pub(crate) fn unsubscribe(&mut self, strings: &mut Interner, service: u32, set: u32) {
        self.services[service].sets.remove(set);
        self.leave(strings, service);
    }

    /// The slices of a service.
    pub(crate) fn slices(&self, service: u32) -> impl Iterator<Item = &Slice> {
        self.services[service]
            .slices
            .iter()
            .map(|slice| &self.slices[slice])
    }

    /// The number of a service, which is made if it is not known.
    fn enter(&mut self, strings: &mut Interner, namespace: &str, name: &str) -> u32 {
        let name = (strings.intern(namespace), strings.intern(name));
        if let Some(&index) = self.service_ids.get(&name) {
            strings.release(name.0);
            strings.release(name.1);
            return index;
        }
        let index = self.services.insert(Service {
            name,
            slices: IdSet::default(),
            sets: IdSet::default(),
        });
        self.service_ids.insert(name, index);
        index
    }

    /// Forgets a service that nothing names.
    fn leave(&mut self, strings: &mut Interner, index: u32) {
        let service = &self.services[index];
        if !service.slices.is_empty() || !service.sets.is_empty() {
            return;
        }
        let name = service.name;
        self.services.remove(index);
        self.service_ids.remove(&name);
        strings.release(name.0);
        strings.release(name.1);
    }

    /// How many slices there are, and how many services they or sets name.
    pub(crate) fn size(&self) -> (usize, usize) {
        (self.slices.len(), self.services.len())
    }
}
