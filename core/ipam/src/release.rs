//! Gives addresses back: by handle, or one by one. A block is written before the handles that count in it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use model::{Cidr, Key, Resource};

use crate::ledger::{Ledger, sound_handle};
use crate::machine::{Attempt, Contended, Machine, Operation};
use crate::seam::{Query, Write};
use crate::time::Timestamp;
use crate::view::View;

/// An address to give back, and what must still be true of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ReleaseAddress {
    /// The address.
    pub addr: IpAddr,
    /// The block that it was seen in, so that no other has to be read.
    pub block: Option<Cidr>,
    /// Only if this handle has it.
    pub handle: Option<Box<str>>,
    /// Only if it was assigned under this number: it was not released and assigned again since.
    pub sequence: Option<u64>,
}

/// What a release came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Released {
    /// What is free again, or rests.
    pub released: Vec<IpAddr>,
    /// What was not in use.
    pub unassigned: Vec<IpAddr>,
    /// What is in use by another than the request says.
    pub changed: Vec<IpAddr>,
}

/// Why a release failed. Some of it may have been done; the rest is found when it is tried again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReleaseError {
    /// A block is stored in a form that cannot be read.
    #[error("block {block} cannot be read, so nothing in it can be released")]
    Unreadable {
        /// Which block.
        block: Cidr,
    },
    /// Others were faster every time.
    #[error(transparent)]
    Contended(Contended),
}

/// What a release comes to. What was not there to release is no error.
pub type Outcome = Result<Released, ReleaseError>;

/// A release by handle.
#[derive(Clone, Debug)]
pub struct ReleaseHandles {
    handles: Vec<Box<str>>,
    now: Timestamp,
}

/// Gives back all that these handles have: a container's own, and the older `<namespace>.<pod>` of its workload.
#[must_use]
pub fn release_handles(handles: Vec<Box<str>>, now: Timestamp) -> Machine<ReleaseHandles> {
    Machine::new(ReleaseHandles { handles, now })
}

impl Operation for ReleaseHandles {
    type Outcome = Outcome;

    fn queries(&self) -> Vec<Query> {
        let handles = self.handles.iter().cloned().map(Query::HandleBlocks);
        std::iter::once(Query::Key(Key::IpamConfig))
            .chain(handles)
            .collect()
    }

    fn attempt(&mut self, view: &View) -> Attempt<Outcome> {
        let mut draft = Draft::new(view, self.now);
        let mut result = Released::default();
        for id in &self.handles {
            let Some(handle) = view.handles.get(id) else {
                continue;
            };
            for block in handle.blocks.keys() {
                match draft.ledger(*block) {
                    Ok(Some(ledger)) => {
                        let addrs = ledger.addresses_of(id);
                        ledger.release(&addrs, view.config.cooldown_seconds, self.now);
                        // A count without addresses may be of an assignment whose block is about to be written:
                        // the block is written too, so that the assignment meets a conflict and begins again.
                        ledger.touch();
                        result.released.extend(addrs);
                    }
                    Ok(None) => {}
                    Err(error) => return Attempt::Done(Err(error)),
                }
            }
            draft.drop_handle(id);
        }
        Attempt::Commit(draft.writes(), Ok(result))
    }

    fn contended(&self, why: Contended) -> Outcome {
        Err(ReleaseError::Contended(why))
    }
}

/// A release of single addresses.
#[derive(Clone, Debug)]
pub struct ReleaseAddresses {
    addrs: Vec<ReleaseAddress>,
    now: Timestamp,
}

/// Gives back single addresses, each only if it is still what the request says.
#[must_use]
pub fn release_addresses(addrs: Vec<ReleaseAddress>, now: Timestamp) -> Machine<ReleaseAddresses> {
    Machine::new(ReleaseAddresses { addrs, now })
}

impl Operation for ReleaseAddresses {
    type Outcome = Outcome;

    fn queries(&self) -> Vec<Query> {
        let named: BTreeSet<Query> = self
            .addrs
            .iter()
            .filter_map(|release| release.handle.clone())
            .map(|handle| Query::Key(Key::Handle(handle)))
            .collect();
        let blocks: BTreeSet<Query> = self
            .addrs
            .iter()
            .map(|release| match release.block {
                Some(block) => Query::Key(Key::Block(block)),
                None => Query::Blocks(Cidr::host(release.addr)),
            })
            .collect();
        std::iter::once(Query::Key(Key::IpamConfig))
            .chain(blocks)
            .chain(named)
            .collect()
    }

    fn attempt(&mut self, view: &View) -> Attempt<Outcome> {
        let mut draft = Draft::new(view, self.now);
        let mut result = Released::default();
        let mut handles: BTreeSet<Box<str>> = BTreeSet::new();
        let mut done: BTreeSet<IpAddr> = BTreeSet::new();
        for wanted in self.addrs.iter().filter(|wanted| done.insert(wanted.addr)) {
            let block = view
                .blocks
                .keys()
                .copied()
                .find(|block| block.contains(wanted.addr));
            let Some(block) = block else {
                if let Some(Key::Block(block)) = view.unreadable_block_of(wanted.addr) {
                    return Attempt::Done(Err(ReleaseError::Unreadable { block: *block }));
                }
                result.unassigned.push(wanted.addr);
                continue;
            };
            let ledger = match draft.ledger(block) {
                Ok(Some(ledger)) => ledger,
                Ok(None) => continue,
                Err(error) => return Attempt::Done(Err(error)),
            };
            match ledger.owner(wanted.addr).map(|owner| owner.handle.clone()) {
                None => result.unassigned.push(wanted.addr),
                Some(handle) => {
                    let handle = handle.as_deref().map(sound_handle);
                    let same_handle = wanted.handle.is_none() || wanted.handle.as_deref() == handle;
                    let same_number = wanted.sequence.is_none()
                        || wanted.sequence == ledger.sequence(wanted.addr);
                    if !same_handle || !same_number {
                        result.changed.push(wanted.addr);
                        continue;
                    }
                    handles.extend(handle.map(Box::from));
                    ledger.release(&[wanted.addr], view.config.cooldown_seconds, self.now);
                    result.released.push(wanted.addr);
                }
            }
        }
        let unknown: Vec<Query> = handles
            .iter()
            .map(|handle| Query::Key(Key::Handle(handle.clone())))
            .filter(|query| !view.has_read(query))
            .collect();
        if !unknown.is_empty() {
            return Attempt::Read(unknown);
        }
        for handle in &handles {
            draft.recount(handle);
        }
        Attempt::Commit(draft.writes(), Ok(result))
    }

    fn contended(&self, why: Contended) -> Outcome {
        Err(ReleaseError::Contended(why))
    }
}

/// Blocks and handles as they will be.
pub(crate) struct Draft<'a> {
    view: &'a View,
    now: Timestamp,
    blocks: BTreeMap<Cidr, Ledger>,
    handles: Vec<Write>,
}

impl<'a> Draft<'a> {
    pub(crate) fn new(view: &'a View, now: Timestamp) -> Self {
        Draft {
            view,
            now,
            blocks: BTreeMap::new(),
            handles: Vec::new(),
        }
    }

    pub(crate) fn ledger(&mut self, block: Cidr) -> Result<Option<&mut Ledger>, ReleaseError> {
        if self.view.unreadable.contains(&Key::Block(block)) {
            return Err(ReleaseError::Unreadable { block });
        }
        if !self.blocks.contains_key(&block) {
            let Some(stored) = self.view.blocks.get(&block) else {
                return Ok(None);
            };
            let cooldown = self.view.config.cooldown_seconds;
            self.blocks
                .insert(block, Ledger::read(stored, cooldown, self.now));
        }
        Ok(self.blocks.get_mut(&block))
    }

    fn drop_handle(&mut self, id: &str) {
        let write = self.view.delete(Key::Handle(id.into()));
        self.handles.push(write);
    }

    /// Sets a handle's count in every block that is written to what the block says.
    pub(crate) fn recount(&mut self, id: &str) {
        let Some(mut handle) = self.view.handles.get(id).cloned() else {
            return;
        };
        for (cidr, ledger) in &self.blocks {
            match ledger.count(id) {
                0 => handle.blocks.remove(cidr),
                count => handle.blocks.insert(*cidr, count),
            };
        }
        let key = Key::Handle(id.into());
        self.handles.push(if handle.blocks.is_empty() {
            self.view.delete(key)
        } else {
            self.view.put(key, Resource::Handle(handle))
        });
    }

    pub(crate) fn writes(self) -> Vec<Write> {
        let mut writes = Vec::new();
        for (cidr, ledger) in self.blocks {
            if !ledger.is_touched() {
                continue;
            }
            let key = Key::Block(cidr);
            // A block that is nobody's is only kept for what is in it.
            writes.push(
                if ledger.block().affinity.is_none() && ledger.block().attributes.is_empty() {
                    self.view.delete(key)
                } else {
                    self.view.put(key, Resource::Block(ledger.finish()))
                },
            );
        }
        writes.extend(self.handles);
        writes
    }
}
