//! Assigns addresses: any of some pools, or wanted ones, for both families in one commit.
//!
//! The order is upstream's: blocks that are the host's own, a block claimed for it (an empty one of another host if nothing
//! else is left), and, where affinity is not strict, an address borrowed from another host's block.

mod draft;
mod error;
mod pools;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use model::{AffinityOwner, Cidr, Family, Key, PoolUse};

use crate::ledger::{Ledger, Owner};
use crate::machine::{Attempt, Contended, Machine, Operation};
use crate::release;
use crate::scan::Scan;
use crate::seam::{Query, Write};
use crate::time::Timestamp;
use crate::view::View;

use draft::Draft;
pub use error::{AssignError, ClaimLimit, PoolState, Strictness};
use pools::Candidates;
pub use pools::PoolRef;

/// Blocks per host where neither the request nor the configuration says otherwise (upstream's number).
pub const DEFAULT_MAX_BLOCKS: u32 = 20;

/// An empty block of another host may be taken over when it was claimed this many seconds ago (upstream's number).
const RECLAIM_AGE: u64 = 60;

/// One thing that a request wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Want {
    /// So many addresses of a family.
    Any {
        /// Which family.
        family: Family,
        /// How many.
        count: usize,
        /// Only from these pools, in this order; empty: every pool that serves the host, the namespace and the use.
        pools: Vec<PoolRef>,
    },
    /// This address.
    Address(IpAddr),
}

/// Ordinals of each new block that the host keeps for itself, as Windows needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostReserved {
    /// How many at the start.
    pub start: usize,
    /// How many at the end.
    pub end: usize,
    /// The owner that is recorded for them.
    pub owner: Owner,
}

/// How much the first read brings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reach {
    /// The host's own blocks; others with a second read if these are full, and the labels of node and namespace if a pool
    /// selects by them. For stores where every object costs.
    #[default]
    OwnBlocks,
    /// Every block: one read is always enough. For the embedded store.
    AllBlocks,
}

/// A request for addresses. All of it is granted, or nothing. One handle is one container's, and a runtime does one thing to a
/// container at a time: requests for the same handle must not run beside each other.
#[derive(Clone, Debug)]
pub struct Request {
    /// Whose blocks to use: the node's, as a rule.
    pub owner: AffinityOwner,
    /// What to assign.
    pub wanted: Vec<Want>,
    /// Who takes the addresses.
    pub taker: Owner,
    /// What the addresses are for.
    pub intended_use: PoolUse,
    /// The namespace of the workload, for pools with a namespace selector.
    pub namespace: Option<Box<str>>,
    /// Most blocks of the owner in each family; `None`: as configured.
    pub max_blocks: Option<u32>,
    /// What the host keeps of each new block.
    pub host_reserved: Option<HostReserved>,
    /// How much to read first.
    pub reach: Reach,
    /// The time.
    pub now: Timestamp,
}

impl Request {
    /// Where the labels are by which pools select nodes.
    fn node(&self) -> Option<Query> {
        match &self.owner {
            AffinityOwner::Host(name) => Some(Query::Key(Key::Node(name.clone()))),
            AffinityOwner::Virtual(_) => None,
        }
    }

    /// Where the labels are by which pools select namespaces.
    fn namespace_profile(&self) -> Option<Query> {
        let namespace = self.namespace.as_ref()?;
        Some(Query::Key(Key::Profile(format!("kns.{namespace}").into())))
    }
}

/// An address given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assigned {
    /// The address.
    pub addr: IpAddr,
    /// The block it is from.
    pub block: Cidr,
    /// The pool it is from.
    pub pool: Box<str>,
}

/// What an assignment comes to: the addresses in the order they were wanted.
pub type Outcome = Result<Vec<Assigned>, AssignError>;

/// An assignment.
#[derive(Clone, Debug)]
pub struct Assign {
    request: Request,
    /// What the handle had before the first attempt.
    before: Option<BTreeSet<IpAddr>>,
}

/// An assignment as a machine.
#[must_use]
pub fn assign(request: Request) -> Machine<Assign> {
    Machine::new(Assign {
        request,
        before: None,
    })
}

impl Operation for Assign {
    type Outcome = Outcome;

    fn queries(&self) -> Vec<Query> {
        let request = &self.request;
        let mut queries = vec![
            Query::Key(Key::IpamConfig),
            Query::Pools,
            Query::Reservations,
            Query::OwnBlocks(request.owner.clone()),
        ];
        if let Some(handle) = &request.taker.handle {
            queries.push(Query::HandleBlocks(handle.clone()));
        }
        match request.reach {
            Reach::AllBlocks => {
                queries.extend(request.node());
                queries.extend(request.namespace_profile());
                queries.push(Query::AllBlocks);
            }
            Reach::OwnBlocks => {
                queries.extend(request.wanted.iter().filter_map(|want| match want {
                    Want::Address(addr) => Some(Query::Blocks(Cidr::host(*addr))),
                    Want::Any { .. } => None,
                }))
            }
        }
        queries
    }

    fn attempt(&mut self, view: &View) -> Attempt<Outcome> {
        let unread = pools::unread(&self.request, view);
        if !unread.is_empty() {
            return Attempt::Read(unread);
        }
        let held = held(&self.request, view);
        let before = self
            .before
            .get_or_insert_with(|| held.iter().map(|one| one.addr).collect());
        let held: Vec<Assigned> = held
            .into_iter()
            .filter(|one| !before.contains(&one.addr))
            .collect();
        match Plan::new(&self.request, view, held.clone()).run() {
            Ok((draft, assigned)) => {
                let unread = draft.unread();
                if unread.is_empty() {
                    Attempt::Commit(draft.writes(), Ok(assigned))
                } else {
                    Attempt::Read(unread)
                }
            }
            // What is short may be found in blocks that were not read.
            Err(AssignError::Exhausted { .. }) if !view.has_read(&Query::AllBlocks) => {
                Attempt::Read(vec![Query::AllBlocks])
            }
            Err(error) => Attempt::Commit(undo(&self.request, view, &held), Err(error)),
        }
    }

    fn contended(&self, why: Contended) -> Outcome {
        Err(AssignError::Contended(why))
    }
}

/// What the handle has. After the first attempt it may have some of what is wanted: where writes are made one by one, a
/// block may have been written before another met a conflict.
fn held(request: &Request, view: &View) -> Vec<Assigned> {
    let Some(handle) = &request.taker.handle else {
        return Vec::new();
    };
    let named = view
        .handles
        .get(handle)
        .into_iter()
        .flat_map(|handle| handle.blocks.keys());
    let blocks = named.filter_map(|block| view.blocks.get(block));
    blocks
        .flat_map(|block| {
            let ledger = Ledger::read(block, view.config.cooldown_seconds, request.now);
            let pool = view.pool_of(block.cidr.addr()).map_or("", |(name, _)| name);
            ledger
                .addresses_of(handle)
                .into_iter()
                .map(move |addr| Assigned {
                    addr,
                    block: block.cidr,
                    pool: pool.into(),
                })
        })
        .collect()
}

/// Gives back what an earlier attempt took, when a later one fails.
fn undo(request: &Request, view: &View, held: &[Assigned]) -> Vec<Write> {
    let mut draft = release::Draft::new(view, request.now);
    for one in held {
        if let Ok(Some(ledger)) = draft.ledger(one.block) {
            ledger.release(&[one.addr], view.config.cooldown_seconds, request.now);
        }
    }
    if let Some(handle) = request.taker.handle.as_ref().filter(|_| !held.is_empty()) {
        draft.recount(handle);
    }
    draft.writes()
}

struct Plan<'a> {
    request: &'a Request,
    view: &'a View,
    held: Vec<Assigned>,
    draft: Draft<'a>,
}

impl<'a> Plan<'a> {
    fn new(request: &'a Request, view: &'a View, held: Vec<Assigned>) -> Self {
        Plan {
            held,
            request,
            view,
            draft: Draft::new(request, view),
        }
    }

    fn run(mut self) -> Result<(Draft<'a>, Vec<Assigned>), AssignError> {
        let mut assigned = Vec::new();
        // Wanted addresses first, so that a free choice does not take them.
        let mut by_want: BTreeMap<usize, Vec<Assigned>> = BTreeMap::new();
        for (at, want) in self.request.wanted.iter().enumerate() {
            if let Want::Address(addr) = want {
                by_want.insert(at, vec![self.exactly(*addr)?]);
            }
        }
        for (at, want) in self.request.wanted.iter().enumerate() {
            if let Want::Any {
                family,
                count,
                pools,
            } = want
            {
                by_want.insert(at, self.any(*family, *count, pools)?);
            }
        }
        for (_, some) in by_want {
            assigned.extend(some);
        }
        Ok((self.draft, assigned))
    }

    fn any(
        &mut self,
        family: Family,
        count: usize,
        named: &[PoolRef],
    ) -> Result<Vec<Assigned>, AssignError> {
        if count == 0 {
            return Ok(Vec::new());
        }
        let candidates = pools::candidates(self.request, self.view, family, named)?;
        let mut found = self.take_held(count, &candidates);
        self.use_own(&candidates, count, &mut found);
        let may_claim = self.may_claim(family);
        if may_claim.is_ok() {
            self.use_new(&candidates, count, family, &mut found);
        }
        if !self.view.config.strict_affinity && self.view.has_read(&Query::AllBlocks) {
            self.borrow(&candidates, count, &mut found);
        }
        if found.len() < count {
            return Err(AssignError::Exhausted {
                family,
                wanted: count,
                found: found.len(),
                limit: may_claim.err(),
                affinity: Strictness::of(&self.view.config),
                pools: candidates.states(self.view, &self.draft),
            });
        }
        Ok(found)
    }

    fn take_held(&mut self, count: usize, candidates: &Candidates<'a>) -> Vec<Assigned> {
        let serves = |one: &Assigned| {
            candidates
                .pools
                .iter()
                .any(|(_, pool)| pool.cidr.contains(one.addr))
        };
        let (mut fit, mut rest): (Vec<_>, Vec<_>) = self.held.drain(..).partition(serves);
        rest.extend(fit.split_off(count.min(fit.len())));
        self.held = rest;
        for one in &fit {
            self.confirm_own(one.block);
        }
        fit
    }

    fn use_own(&mut self, candidates: &Candidates<'a>, count: usize, found: &mut Vec<Assigned>) {
        let owner = &self.request.owner;
        for (name, pool) in &candidates.pools {
            // By affinity and by the block's own word: an affinity that was lost is made anew.
            let by_affinity = self.view.affinities_of(owner).map(|(id, _)| id.block);
            let by_block = self
                .view
                .blocks
                .iter()
                .filter(|(_, block)| block.affinity.as_ref() == Some(owner));
            let own: BTreeSet<Cidr> = by_affinity
                .chain(by_block.map(|(cidr, _)| *cidr))
                .chain(self.draft.claimed())
                .filter(|block| pool.cidr.covers(*block))
                .collect();
            for block in own {
                if found.len() >= count {
                    return;
                }
                // An affinity whose block was never made, or was lost, is made good; one that lost its race is not ours.
                if self.draft.ledger(block).is_none() {
                    let whole = block.len() == pool.block_size && self.view.is_free(block);
                    if !whole || !self.view.has_affinity(owner, block) || self.overlaps_other(block)
                    {
                        continue;
                    }
                    self.draft.claim(block);
                }
                if self.draft.is_own(block) {
                    self.confirm_own(block);
                    self.take(block, name, count, found);
                }
            }
        }
    }

    fn confirm_own(&mut self, block: Cidr) {
        if self.draft.is_own(block) {
            self.draft.confirm(block);
        }
    }

    fn overlaps_other(&self, block: Cidr) -> bool {
        self.view.blocks.keys().any(|other| other.overlaps(block))
    }

    fn take(&mut self, block: Cidr, pool: &str, count: usize, found: &mut Vec<Assigned>) {
        let missing = count.saturating_sub(found.len());
        let addrs = self.draft.assign_any(block, missing);
        found.extend(addrs.into_iter().map(|addr| Assigned {
            addr,
            block,
            pool: pool.into(),
        }));
    }

    /// Whether the owner may have another block; the limit it has reached, if not.
    fn may_claim(&self, family: Family) -> Result<(), ClaimLimit> {
        if !self.view.config.auto_allocate_blocks {
            return Err(ClaimLimit::Off);
        }
        let limit = match self.request.max_blocks.unwrap_or(0) {
            0 => match self.view.config.max_blocks_per_host {
                0 => DEFAULT_MAX_BLOCKS,
                configured => configured,
            },
            requested => requested,
        };
        let own = self
            .view
            .affinities_of(&self.request.owner)
            .filter(|(id, _)| id.block.family() == family && !self.draft.is_stale(id));
        let owned = own.count()
            + self
                .draft
                .claimed()
                .filter(|b| b.family() == family)
                .count();
        if owned >= usize::try_from(limit).unwrap_or(usize::MAX) {
            return Err(ClaimLimit::Blocks(limit));
        }
        Ok(())
    }

    fn use_new(
        &mut self,
        candidates: &Candidates<'a>,
        count: usize,
        family: Family,
        found: &mut Vec<Assigned>,
    ) {
        if !self.view.has_read(&Query::AllBlocks) {
            // Without the others' blocks it is not known which are free; the attempt ends as exhausted, and reads them.
            return;
        }
        for (name, pool) in &candidates.pools {
            let Some(scan) = self.scan(pool) else {
                continue;
            };
            while found.len() < count && self.may_claim(family).is_ok() {
                let made: Vec<Cidr> = self.draft.made().collect();
                let Some(block) = scan.first_free(self.view, &made) else {
                    break;
                };
                self.draft.claim(block);
                self.take(block, name, count, found);
            }
        }
        for (name, pool) in &candidates.pools {
            let Some(scan) = self.scan(pool) else {
                continue;
            };
            for block in scan.existing(self.view) {
                if found.len() >= count || self.may_claim(family).is_err() {
                    return;
                }
                if self.draft.take_over(block, RECLAIM_AGE) {
                    self.take(block, name, count, found);
                }
            }
        }
    }

    fn borrow(&mut self, candidates: &Candidates<'a>, count: usize, found: &mut Vec<Assigned>) {
        for (name, pool) in &candidates.pools {
            let Some(scan) = self.scan(pool) else {
                continue;
            };
            for block in scan.existing(self.view) {
                if found.len() >= count {
                    return;
                }
                if !self.draft.is_own(block) {
                    self.take(block, name, count, found);
                }
            }
        }
    }

    fn scan(&self, pool: &model::IpPool) -> Option<Scan> {
        let host = match &self.request.owner {
            AffinityOwner::Host(name) | AffinityOwner::Virtual(name) => name,
        };
        Scan::new(pool, host, self.request.now)
    }

    fn exactly(&mut self, addr: IpAddr) -> Result<Assigned, AssignError> {
        if let Some(at) = self.held.iter().position(|one| one.addr == addr) {
            let one = self.held.swap_remove(at);
            self.confirm_own(one.block);
            return Ok(one);
        }
        let (name, pool) = pools::pool_for(self.request, self.view, addr)?;
        if self.view.is_reserved(addr) {
            return Err(AssignError::Reserved { addr });
        }
        let existing = self.draft.block_of(addr);
        let block = match existing {
            Some(block) => block,
            None => {
                let block = Cidr::new(addr, pools::block_size(name, pool)?);
                if !self.view.is_free(block) || self.overlaps_other(block) {
                    return Err(AssignError::Unreadable { block });
                }
                self.draft.claim(block);
                block
            }
        };
        if self.view.config.strict_affinity && !self.draft.is_own(block) {
            return Err(AssignError::Foreign {
                addr,
                block,
                affinity: self.draft.affinity(block),
            });
        }
        self.confirm_own(block);
        self.draft.assign(block, addr)?;
        Ok(Assigned {
            addr,
            block,
            pool: name.into(),
        })
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) use tests::test_pool;
