//! Claims blocks for an owner and gives them up.

use std::collections::BTreeMap;

use model::{Affinity, AffinityId, AffinityOwner, AffinityState, Block, Cidr, Key, Resource};

use crate::ledger::Ledger;
use crate::machine::{Attempt, Contended, Machine, Operation};
use crate::seam::{Change, Query, Write};
use crate::time::Timestamp;
use crate::view::{View, then, usable_block_size};

/// Most blocks that one claim may name.
const MAX_CLAIM: u128 = 4096;

/// Why blocks were not claimed or given up.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AffinityError {
    /// The network lies in no pool.
    #[error("{cidr} is in no IP pool")]
    NotInPool {
        /// The network.
        cidr: Cidr,
    },
    /// The network is smaller than a block.
    #[error("{cidr} is smaller than a block of its pool (/{block_size})")]
    TooSmall {
        /// The network.
        cidr: Cidr,
        /// The pool's block size.
        block_size: u8,
    },
    /// The network has too many blocks, or its pool a senseless block size.
    #[error(
        "{cidr} has more than {MAX_CLAIM} blocks, or its pool has a blockSize that does not fit"
    )]
    TooLarge {
        /// The network.
        cidr: Cidr,
    },
    /// Others were faster every time.
    #[error(transparent)]
    Contended(Contended),
}

/// What a claim came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claimed {
    /// Blocks that are the owner's.
    pub claimed: Vec<Cidr>,
    /// Blocks that are another's.
    pub refused: Vec<Cidr>,
}

/// A claim of all blocks in a network.
#[derive(Clone, Debug)]
pub struct Claim {
    owner: AffinityOwner,
    cidr: Cidr,
    now: Timestamp,
}

/// Claims all blocks of a network for an owner.
#[must_use]
pub fn claim(owner: AffinityOwner, cidr: Cidr, now: Timestamp) -> Machine<Claim> {
    Machine::new(Claim { owner, cidr, now })
}

impl Claim {
    fn blocks(&self, view: &View) -> Result<Vec<Cidr>, AffinityError> {
        let cidr = self.cidr;
        let (_, pool) = view
            .pool_of(cidr.addr())
            .filter(|(_, pool)| pool.cidr.covers(cidr))
            .ok_or(AffinityError::NotInPool { cidr })?;
        let size = usable_block_size(pool).ok_or(AffinityError::TooLarge { cidr })?;
        if cidr.len() > size {
            return Err(AffinityError::TooSmall {
                cidr,
                block_size: size,
            });
        }
        let count = 1u128
            .checked_shl(u32::from(size - cidr.len()))
            .filter(|count| *count <= MAX_CLAIM);
        let count = count.ok_or(AffinityError::TooLarge { cidr })?;
        let bits = u32::from(cidr.family().bits() - size);
        let addrs = (0..count).filter_map(|at| cidr.nth(at << bits));
        Ok(addrs.map(|addr| Cidr::new(addr, size)).collect())
    }
}

impl Operation for Claim {
    type Outcome = Result<Claimed, AffinityError>;

    fn queries(&self) -> Vec<Query> {
        vec![
            Query::Key(Key::IpamConfig),
            Query::Pools,
            Query::OwnBlocks(self.owner.clone()),
            Query::Blocks(self.cidr),
        ]
    }

    fn attempt(&mut self, view: &View) -> Attempt<Self::Outcome> {
        let blocks = match self.blocks(view) {
            Ok(blocks) => blocks,
            Err(error) => return Attempt::Done(Err(error)),
        };
        let mut writes = Vec::new();
        let mut result = Claimed::default();
        for block in blocks {
            let own = view
                .blocks
                .get(&block)
                .is_some_and(|b| b.affinity.as_ref() == Some(&self.owner));
            let free =
                view.is_free(block) && !view.blocks.keys().any(|other| other.overlaps(block));
            if !own && !free {
                result.refused.push(block);
                continue;
            }
            result.claimed.push(block);
            let id = AffinityId {
                owner: self.owner.clone(),
                block,
            };
            let state = view.affinities.get(&id).map(|affinity| affinity.state);
            if own && state == Some(AffinityState::Confirmed) {
                continue;
            }
            let ledger = match view.blocks.get(&block) {
                Some(stored) => Ledger::read(stored, view.config.cooldown_seconds, self.now),
                None => Ledger::create(block, self.owner.clone(), self.now),
            };
            let key = Key::Affinity(id);
            writes.push(view.put(key.clone(), affinity(AffinityState::Pending)));
            writes.push(view.put(Key::Block(block), Resource::Block(ledger.finish())));
            writes.push(then(key, Change::Put(affinity(AffinityState::Confirmed))));
        }
        Attempt::Commit(writes, Ok(result))
    }

    fn contended(&self, why: Contended) -> Self::Outcome {
        Err(AffinityError::Contended(why))
    }
}

/// Which blocks an owner gives up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GiveUp {
    /// All of them; what is in use stays in blocks that are nobody's.
    All,
    /// Those in which nothing is in use, but the first so many.
    EmptyBut(usize),
    /// Those inside this network.
    Inside(Cidr),
    /// Those inside this network, if nothing is in use in them.
    EmptyInside(Cidr),
}

/// What giving up came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GivenUp {
    /// Blocks that are gone.
    pub deleted: Vec<Cidr>,
    /// Blocks that are nobody's, because something is in use in them.
    pub kept: Vec<Cidr>,
}

/// Gives up blocks.
#[derive(Clone, Debug)]
pub struct Release {
    owner: AffinityOwner,
    which: GiveUp,
    now: Timestamp,
}

/// Gives up blocks of an owner.
#[must_use]
pub fn give_up(owner: AffinityOwner, which: GiveUp, now: Timestamp) -> Machine<Release> {
    Machine::new(Release { owner, which, now })
}

impl Operation for Release {
    type Outcome = Result<GivenUp, AffinityError>;

    fn queries(&self) -> Vec<Query> {
        vec![
            Query::Key(Key::IpamConfig),
            Query::OwnBlocks(self.owner.clone()),
        ]
    }

    fn attempt(&mut self, view: &View) -> Attempt<Self::Outcome> {
        let mut writes = Vec::new();
        let mut result = GivenUp::default();
        let mut empties: BTreeMap<model::Family, usize> = BTreeMap::new();
        for (id, state) in view.affinities_of(&self.owner) {
            let stored = view.blocks.get(&id.block);
            let own = stored.filter(|block| block.affinity.as_ref() == Some(&self.owner));
            let ledger =
                own.map(|block| Ledger::read(block, view.config.cooldown_seconds, self.now));
            let empty = ledger.as_ref().is_none_or(Ledger::is_empty);
            let wanted = match &self.which {
                GiveUp::All => true,
                GiveUp::Inside(cidr) => cidr.covers(id.block),
                GiveUp::EmptyInside(cidr) => empty && cidr.covers(id.block),
                GiveUp::EmptyBut(keep) => {
                    let seen = empties.entry(id.block.family()).or_default();
                    *seen += usize::from(empty && ledger.is_some());
                    empty && (ledger.is_none() || *seen > *keep)
                }
            };
            if !wanted || view.unreadable.contains(&Key::Block(id.block)) {
                continue;
            }
            writes.extend(self.writes(view, id, state.state, ledger));
            match empty {
                true => result.deleted.push(id.block),
                false => result.kept.push(id.block),
            }
        }
        Attempt::Commit(writes, Ok(result))
    }

    fn contended(&self, why: Contended) -> Self::Outcome {
        Err(AffinityError::Contended(why))
    }
}

impl Release {
    fn writes(
        &self,
        view: &View,
        id: &AffinityId,
        state: AffinityState,
        ledger: Option<Ledger>,
    ) -> Vec<Write> {
        let key = Key::Affinity(id.clone());
        let Some(mut ledger) = ledger else {
            return vec![view.delete(key)];
        };
        let mut writes = Vec::new();
        if state != AffinityState::PendingDeletion {
            writes.push(view.put(key.clone(), affinity(AffinityState::PendingDeletion)));
        }
        let block = Key::Block(id.block);
        if ledger.is_empty() {
            writes.push(view.delete(block));
        } else {
            ledger.set_affinity(None, self.now);
            writes.push(view.put(block, Resource::Block(ledger.finish())));
        }
        writes.push(match state {
            AffinityState::PendingDeletion => view.delete(key),
            AffinityState::Pending | AffinityState::Confirmed => then(key, Change::Delete),
        });
        writes
    }
}

/// Brings the affinities of an owner in line with the blocks.
#[derive(Clone, Debug)]
pub struct Repair {
    owner: AffinityOwner,
    now: Timestamp,
}

/// Makes good what a crash left of an owner's claims: an own block's affinity is confirmed, one without a block, or for
/// another's block, is removed. For the start of an agent.
#[must_use]
pub fn repair(owner: AffinityOwner, now: Timestamp) -> Machine<Repair> {
    Machine::new(Repair { owner, now })
}

impl Operation for Repair {
    type Outcome = Result<(), AffinityError>;

    fn queries(&self) -> Vec<Query> {
        vec![
            Query::Key(Key::IpamConfig),
            Query::OwnBlocks(self.owner.clone()),
            Query::AllBlocks,
        ]
    }

    fn attempt(&mut self, view: &View) -> Attempt<Self::Outcome> {
        let mut writes = Vec::new();
        let is_own = |block: &Block| block.affinity.as_ref() == Some(&self.owner);
        for (id, _) in view.affinities_of(&self.owner) {
            let own = view.blocks.get(&id.block).is_some_and(is_own);
            if !own && !view.unreadable.contains(&Key::Block(id.block)) {
                writes.push(view.delete(Key::Affinity(id.clone())));
            }
        }
        for (cidr, block) in view.blocks.iter().filter(|(_, block)| is_own(block)) {
            let id = AffinityId {
                owner: self.owner.clone(),
                block: *cidr,
            };
            let state = view.affinities.get(&id).map(|affinity| affinity.state);
            if state == Some(AffinityState::Confirmed) {
                continue;
            }
            let key = Key::Affinity(id);
            writes.push(view.put(key.clone(), affinity(AffinityState::Pending)));
            // Written as it is, so that it is the owner's at the very moment that the claim rests on.
            let ledger = Ledger::read(block, view.config.cooldown_seconds, self.now);
            writes.push(view.put(Key::Block(*cidr), Resource::Block(ledger.finish())));
            writes.push(then(key, Change::Put(affinity(AffinityState::Confirmed))));
        }
        Attempt::Commit(writes, Ok(()))
    }

    fn contended(&self, why: Contended) -> Self::Outcome {
        Err(AffinityError::Contended(why))
    }
}

fn affinity(state: AffinityState) -> Resource {
    Resource::Affinity(Affinity {
        state,
        deleted: false,
    })
}
