//! What an assignment is about to change: blocks and affinities as they will be, and the writes that make them so.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use model::{Affinity, AffinityId, AffinityOwner, AffinityState, Cidr, Handle, Key, Resource};

use super::{AssignError, Request};
use crate::ledger::Ledger;
use crate::seam::{Change, Query, Write};
use crate::view::{View, then};

/// The state of an assignment in the making.
pub(super) struct Draft<'a> {
    request: &'a Request,
    view: &'a View,
    blocks: BTreeMap<Cidr, Ledger>,
    /// Blocks to be claimed, or whose claim is to be confirmed.
    claims: BTreeSet<Cidr>,
    confirms: BTreeSet<Cidr>,
    /// Affinities of others whose empty block is taken over.
    evicted: Vec<AffinityId>,
}

impl<'a> Draft<'a> {
    pub(super) fn new(request: &'a Request, view: &'a View) -> Self {
        Draft {
            request,
            view,
            blocks: BTreeMap::new(),
            claims: BTreeSet::new(),
            confirms: BTreeSet::new(),
            evicted: Vec::new(),
        }
    }

    fn read(&self, block: Cidr) -> Option<Ledger> {
        let stored = self.view.blocks.get(&block)?;
        let cooldown = self.view.config.cooldown_seconds;
        Some(Ledger::read(stored, cooldown, self.request.now))
    }

    /// The block as it will be, if it exists or is claimed.
    pub(super) fn ledger(&mut self, block: Cidr) -> Option<&mut Ledger> {
        if !self.blocks.contains_key(&block) {
            let ledger = self.read(block)?;
            self.blocks.insert(block, ledger);
        }
        self.blocks.get_mut(&block)
    }

    /// The blocks that this assignment claims.
    pub(super) fn claimed(&self) -> impl Iterator<Item = Cidr> {
        self.claims
            .iter()
            .copied()
            .filter(|block| !self.view.has_affinity(&self.request.owner, *block))
    }

    /// The blocks that did not exist before.
    pub(super) fn made(&self) -> impl Iterator<Item = Cidr> {
        let blocks = self.blocks.keys().copied();
        blocks.filter(|block| !self.view.blocks.contains_key(block))
    }

    /// The block that an address lies in.
    pub(super) fn block_of(&self, addr: IpAddr) -> Option<Cidr> {
        let blocks = self.view.blocks.keys().chain(self.blocks.keys());
        blocks.copied().find(|block| block.contains(addr))
    }

    pub(super) fn affinity(&mut self, block: Cidr) -> Option<AffinityOwner> {
        self.ledger(block)?.block().affinity.clone()
    }

    /// Whether the block itself says that it is the owner's.
    pub(super) fn is_own(&mut self, block: Cidr) -> bool {
        self.affinity(block).as_ref() == Some(&self.request.owner)
    }

    /// Makes a block that does not exist.
    pub(super) fn claim(&mut self, block: Cidr) {
        let mut ledger = Ledger::create(block, self.request.owner.clone(), self.request.now);
        self.keep_reserved(&mut ledger);
        self.blocks.insert(block, ledger);
        self.claims.insert(block);
    }

    fn keep_reserved(&self, ledger: &mut Ledger) {
        if let Some(reserved) = &self.request.host_reserved {
            ledger.reserve(reserved.start, reserved.end, &reserved.owner);
        }
    }

    /// Sees to it that the affinity of an own block is confirmed.
    pub(super) fn confirm(&mut self, block: Cidr) {
        let id = self.id(block);
        let state = self.view.affinities.get(&id).map(|affinity| affinity.state);
        if state != Some(AffinityState::Confirmed) {
            self.confirms.insert(block);
        }
    }

    /// Takes over an empty block of another owner, if it has been that owner's for a while.
    pub(super) fn take_over(&mut self, block: Cidr, age: u64) -> bool {
        let (owner, now) = (self.request.owner.clone(), self.request.now);
        let Some(ledger) = self.ledger(block) else {
            return false;
        };
        let previous = ledger.block().affinity.clone();
        if previous.as_ref() == Some(&owner) || !ledger.is_empty() || ledger.is_younger(age, now) {
            return false;
        }
        ledger.set_affinity(Some(owner), now);
        self.claims.insert(block);
        if let Some(owner) = previous {
            self.evicted.push(AffinityId { owner, block });
        }
        true
    }

    pub(super) fn assign_any(&mut self, block: Cidr, count: usize) -> Vec<IpAddr> {
        let (request, view) = (self.request, self.view);
        match self.ledger(block) {
            Some(ledger) => ledger.assign_any(count, &request.taker, |addr| view.is_reserved(addr)),
            None => Vec::new(),
        }
    }

    pub(super) fn assign(&mut self, block: Cidr, addr: IpAddr) -> Result<(), AssignError> {
        let request = self.request;
        let taken = |by: String| AssignError::Taken { addr, by };
        let ledger = self
            .ledger(block)
            .ok_or(AssignError::Unreadable { block })?;
        ledger.assign(addr, &request.taker).map_err(|busy| {
            taken(match busy.by {
                None => "nobody (it rests after its release)".into(),
                Some(by) => {
                    let handle = by.handle.as_deref().unwrap_or("an owner without a handle");
                    let of = |name: &str| by.secondary.get(name).map(|value| &**value);
                    match (of("namespace"), of("pod"), of("node")) {
                        (Some(namespace), Some(pod), Some(node)) => {
                            format!("{namespace}/{pod} on {node} (handle {handle})")
                        }
                        _ => format!("handle {handle}"),
                    }
                }
            })
        })
    }

    /// Whether an own affinity is for a block that is another's: left by a claim that lost its race.
    pub(super) fn is_stale(&self, id: &AffinityId) -> bool {
        let block = self.view.blocks.get(&id.block);
        block.is_some_and(|block| block.affinity.as_ref() != Some(&id.owner))
    }

    /// How many addresses of a block were in use before.
    pub(super) fn in_use_before(&self, block: Cidr) -> u128 {
        self.read(block)
            .map_or(0, |ledger| ledger.assigned().count() as u128)
    }

    fn id(&self, block: Cidr) -> AffinityId {
        AffinityId {
            owner: self.request.owner.clone(),
            block,
        }
    }

    /// What must be seen before it is written: the affinities of those whose block is taken over.
    pub(super) fn unread(&self) -> Vec<Query> {
        let keys = self
            .evicted
            .iter()
            .cloned()
            .map(|id| Query::Key(Key::Affinity(id)));
        keys.filter(|query| !self.view.has_read(query)).collect()
    }

    /// The writes, in the order that is safe to be cut anywhere.
    pub(super) fn writes(self) -> Vec<Write> {
        let affinity = |state| {
            Resource::Affinity(Affinity {
                state,
                deleted: false,
            })
        };
        let mut first = Vec::new();
        let mut last = Vec::new();
        for id in &self.evicted {
            let key = Key::Affinity(id.clone());
            if self.view.affinities.contains_key(id) {
                first.push(
                    self.view
                        .put(key.clone(), affinity(AffinityState::PendingDeletion)),
                );
                last.push(then(key, Change::Delete));
            }
        }
        for block in self.claims.union(&self.confirms) {
            let id = self.id(*block);
            let key = Key::Affinity(id.clone());
            let confirmed = affinity(AffinityState::Confirmed);
            if self.view.affinities.get(&id).map(|a| a.state) == Some(AffinityState::Pending) {
                last.insert(0, self.view.put(key, confirmed));
            } else {
                first.push(self.view.put(key.clone(), affinity(AffinityState::Pending)));
                last.insert(0, then(key, Change::Put(confirmed)));
            }
        }
        let own = self.view.affinities_of(&self.request.owner);
        for (id, _) in own.filter(|(id, _)| self.is_stale(id) && !self.claims.contains(&id.block)) {
            last.push(self.view.delete(Key::Affinity(id.clone())));
        }
        first.extend(self.handle());
        for (cidr, ledger) in self.blocks {
            // A confirmed claim rests on the block being as it was read, so the block is written with it.
            if ledger.is_touched() || self.confirms.contains(&cidr) {
                first.push(
                    self.view
                        .put(Key::Block(cidr), Resource::Block(ledger.finish())),
                );
            }
        }
        first.extend(last);
        first
    }

    /// The handle, counting in each block what the block will have. What an earlier attempt counted and did not assign is
    /// put right with it.
    fn handle(&self) -> Option<Write> {
        let id = self.request.taker.handle.as_ref()?;
        let before = self.view.handles.get(id).cloned().unwrap_or_default();
        let touched = self.blocks.iter().filter(|(_, ledger)| ledger.is_touched());
        let blocks = touched.map(|(cidr, _)| cidr).chain(before.blocks.keys());
        let counts: BTreeMap<Cidr, u32> = blocks
            .filter_map(|cidr| {
                let count = match self.blocks.get(cidr) {
                    Some(ledger) => ledger.count(id),
                    None => self.read(*cidr)?.count(id),
                };
                (count > 0).then_some((*cidr, count))
            })
            .collect();
        let after = Handle {
            blocks: counts,
            deleted: false,
        };
        (after != before).then(|| {
            self.view
                .put(Key::Handle(id.clone()), Resource::Handle(after))
        })
    }
}
