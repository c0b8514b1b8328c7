//! What one read brought, by kind: the world as an operation sees it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use model::{
    Affinity, AffinityId, AffinityOwner, Block, Cidr, Handle, IpPool, IpamConfig, Key, Node,
    Profile, Resource,
};

use crate::seam::{Change, Entry, Expect, Query, Revision, Write};

/// Most bits of addresses that a block may have; upstream allows blocks of at most 4096 addresses.
const MAX_BLOCK_BITS: u8 = 12;

/// The objects of a read, sorted by kind. Objects marked as deleted count as absent, but keep their revision.
#[derive(Clone, Debug, Default)]
pub struct View {
    pub(crate) config: IpamConfig,
    pub(crate) pools: BTreeMap<Box<str>, IpPool>,
    pub(crate) reservations: Vec<Cidr>,
    pub(crate) nodes: BTreeMap<Box<str>, Node>,
    pub(crate) profiles: BTreeMap<Box<str>, Arc<Profile>>,
    pub(crate) affinities: BTreeMap<AffinityId, Affinity>,
    pub(crate) blocks: BTreeMap<Cidr, Block>,
    pub(crate) handles: BTreeMap<Box<str>, Handle>,
    pub(crate) unreadable: BTreeSet<Key>,
    revisions: BTreeMap<Key, Revision>,
    asked: Vec<Query>,
}

impl View {
    /// Sorts what was read as the answer to `asked`.
    #[must_use]
    pub fn new(asked: &[Query], entries: Vec<Entry>) -> View {
        let mut view = View {
            asked: asked.to_vec(),
            ..View::default()
        };
        for entry in entries {
            view.revisions.insert(entry.key.clone(), entry.revision);
            match entry.value {
                Some(value) => view.take(entry.key, value),
                None => {
                    view.unreadable.insert(entry.key);
                }
            }
        }
        view
    }

    fn take(&mut self, key: Key, value: Resource) {
        match (key, value) {
            (Key::IpamConfig, Resource::IpamConfig(config)) => self.config = config,
            (Key::IpPool(name), Resource::IpPool(pool)) => {
                self.pools.insert(name, pool);
            }
            (Key::IpReservation(_), Resource::IpReservation(reservation)) => {
                self.reservations.extend(reservation.cidrs);
            }
            (Key::Node(name), Resource::Node(node)) => {
                self.nodes.insert(name, node);
            }
            (Key::Profile(name), Resource::Profile(profile)) => {
                self.profiles.insert(name, profile);
            }
            (Key::Affinity(id), Resource::Affinity(affinity)) if !affinity.deleted => {
                self.affinities.insert(id, affinity);
            }
            (Key::Block(cidr), Resource::Block(block)) => self.take_block(cidr, block),
            (Key::Handle(id), Resource::Handle(handle)) if !handle.deleted => {
                self.handles.insert(id, handle);
            }
            // What a driver brings beyond what was asked.
            _ => {}
        }
    }

    fn take_block(&mut self, cidr: Cidr, block: Block) {
        if block.deleted {
            return;
        }
        if block.cidr != cidr || cidr.family().bits() - cidr.len() > MAX_BLOCK_BITS {
            self.unreadable.insert(Key::Block(cidr));
            return;
        }
        self.blocks.insert(cidr, block);
    }

    /// Whether this was asked, so that what is not here does not exist.
    pub(crate) fn has_read(&self, query: &Query) -> bool {
        self.asked.contains(query)
    }

    /// The condition that an object still is as this view has it.
    pub(crate) fn expect(&self, key: &Key) -> Expect {
        self.revisions
            .get(key)
            .map_or(Expect::Absent, |revision| Expect::Unchanged(*revision))
    }

    /// A write on the condition that the object is as this view has it.
    pub(crate) fn put(&self, key: Key, value: Resource) -> Write {
        Write {
            expect: self.expect(&key),
            key,
            change: Change::Put(value),
        }
    }

    /// A removal on the condition that the object is as this view has it.
    pub(crate) fn delete(&self, key: Key) -> Write {
        Write {
            expect: self.expect(&key),
            key,
            change: Change::Delete,
        }
    }

    /// The pool that an address lies in.
    pub(crate) fn pool_of(&self, addr: IpAddr) -> Option<(&str, &IpPool)> {
        self.pools
            .iter()
            .find(|(_, pool)| pool.cidr.contains(addr))
            .map(|(name, pool)| (&**name, pool))
    }

    /// A block that holds the address but cannot be read.
    pub(crate) fn unreadable_block_of(&self, addr: IpAddr) -> Option<&Key> {
        self.unreadable
            .iter()
            .find(|key| matches!(key, Key::Block(block) if block.contains(addr)))
    }

    /// Whether an address is reserved.
    pub(crate) fn is_reserved(&self, addr: IpAddr) -> bool {
        self.reservations.iter().any(|cidr| cidr.contains(addr))
    }

    /// The owner's affinities, in order of their blocks.
    pub(crate) fn affinities_of(
        &self,
        owner: &AffinityOwner,
    ) -> impl Iterator<Item = (&AffinityId, &Affinity)> {
        self.affinities
            .iter()
            .filter(move |(id, _)| id.owner == *owner)
    }

    /// Whether the owner has an affinity for the block, however far it has come.
    pub(crate) fn has_affinity(&self, owner: &AffinityOwner, block: Cidr) -> bool {
        let id = AffinityId {
            owner: owner.clone(),
            block,
        };
        self.affinities.contains_key(&id)
    }

    /// Whether a block of this network could be made: nothing readable or unreadable is where it would be.
    pub(crate) fn is_free(&self, cidr: Cidr) -> bool {
        !self.blocks.contains_key(&cidr) && !self.unreadable.contains(&Key::Block(cidr))
    }
}

/// A block size that this code works with: within the pool, and not so large that one block is a burden.
pub(crate) fn usable_block_size(pool: &IpPool) -> Option<u8> {
    let bits = pool.cidr.family().bits();
    let fits = pool.block_size >= pool.cidr.len()
        && pool.block_size <= bits
        && bits - pool.block_size <= MAX_BLOCK_BITS;
    fits.then_some(pool.block_size)
}

/// Further writes to an object within one commit.
pub(crate) fn then(key: Key, change: Change) -> Write {
    Write {
        key,
        expect: Expect::AsWritten,
        change,
    }
}
