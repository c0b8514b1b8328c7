//! One block's book: who has which ordinal. Mends what it reads, so that all code above works on a sound block.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use model::{AffinityOwner, AllocationAttribute, Block, Cidr};

use crate::time::Timestamp;

/// Handle of ordinals that Windows hosts keep for themselves; a block with only these is empty (upstream's name).
pub(crate) const WINDOWS_RESERVED: &str = "windows-reserved-ipam-handle";

/// Who takes an address, as the block records it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Owner {
    /// The handle, by which all addresses of one workload are released together.
    pub handle: Option<Box<str>>,
    /// What the owner says of itself: `namespace`, `pod`, `node`, `timestamp`, `type`.
    pub attributes: BTreeMap<Box<str>, Box<str>>,
}

/// A sound block under change. Counts its own changes, so that an untouched block is not written.
#[derive(Clone, Debug)]
pub struct Ledger {
    block: Block,
    touched: bool,
}

impl Ledger {
    /// A block that did not exist. Its first sequence number is the time, so that a block made anew at the same place never
    /// repeats a number.
    #[must_use]
    pub fn create(cidr: Cidr, affinity: AffinityOwner, now: Timestamp) -> Ledger {
        let size = size(cidr);
        Ledger {
            block: Block {
                cidr,
                affinity: Some(affinity),
                affinity_claim_time: Some(now.to_string().into()),
                allocations: vec![None; size],
                unallocated: (0..size).collect(),
                attributes: Vec::new(),
                sequence: now.0,
                sequence_for_allocation: BTreeMap::new(),
                deleted: false,
            },
            touched: true,
        }
    }

    /// A block as stored, mended: an ordinal whose attribute is missing stays taken, by nobody known; the list of free
    /// ordinals is made to hold each free one once, in the order it had. What has rested long enough is free.
    #[must_use]
    pub fn read(block: &Block, cooldown_seconds: u32, now: Timestamp) -> Ledger {
        let mut ledger = Ledger {
            block: block.clone(),
            touched: false,
        };
        ledger.mend();
        ledger.collect(cooldown_seconds, now);
        ledger
    }

    /// The block, and whether it differs from what was read, apart from what any reader would mend.
    pub(crate) fn finish(mut self) -> Block {
        self.block.sequence = self.block.sequence.wrapping_add(1);
        self.block
    }

    /// Whether it was changed on purpose.
    pub(crate) fn is_touched(&self) -> bool {
        self.touched
    }

    /// Marks it to be written even if nothing in it changes.
    pub(crate) fn touch(&mut self) {
        self.touched = true;
    }

    /// The sound block.
    #[must_use]
    pub fn block(&self) -> &Block {
        &self.block
    }

    /// Gives the block to another owner, or to none.
    pub(crate) fn set_affinity(&mut self, affinity: Option<AffinityOwner>, now: Timestamp) {
        self.block.affinity_claim_time = affinity.as_ref().map(|_| now.to_string().into());
        self.block.affinity = affinity;
        self.touched = true;
    }

    /// Keeps the first and last ordinals of a block for the host itself.
    pub(crate) fn reserve(&mut self, start: usize, end: usize, owner: &Owner) {
        let size = self.block.allocations.len();
        for ordinal in 0..size {
            let kept = ordinal < start || ordinal >= size.saturating_sub(end);
            if kept && self.is_unallocated(ordinal) {
                self.take(ordinal, owner);
            }
        }
    }

    /// Takes up to `count` free addresses, oldest free first, leaving those that `skip` names.
    pub(crate) fn assign_any(
        &mut self,
        count: usize,
        owner: &Owner,
        skip: impl Fn(IpAddr) -> bool,
    ) -> Vec<IpAddr> {
        let mut taken = Vec::new();
        let mut ordinals = Vec::new();
        for &ordinal in &self.block.unallocated {
            if taken.len() == count {
                break;
            }
            if let Some(addr) = self.block.address(ordinal).filter(|addr| !skip(*addr)) {
                taken.push(addr);
                ordinals.push(ordinal);
            }
        }
        for ordinal in ordinals {
            self.take(ordinal, owner);
        }
        taken
    }

    /// Takes one address, if it is free.
    pub(crate) fn assign(&mut self, addr: IpAddr, owner: &Owner) -> Result<(), Taken> {
        let ordinal = self.block.ordinal(addr).ok_or(Taken { by: None })?;
        if !self.is_unallocated(ordinal) {
            return Err(Taken {
                by: self.owner(addr).cloned(),
            });
        }
        self.take(ordinal, owner);
        Ok(())
    }

    fn is_unallocated(&self, ordinal: usize) -> bool {
        self.block
            .allocations
            .get(ordinal)
            .is_some_and(Option::is_none)
    }

    fn take(&mut self, ordinal: usize, owner: &Owner) {
        let attribute = self.find_or_add(AllocationAttribute {
            handle: owner.handle.clone(),
            secondary: owner.attributes.clone(),
            alternate: BTreeMap::new(),
            released_at: None,
        });
        if let Some(slot) = self.block.allocations.get_mut(ordinal) {
            *slot = Some(attribute);
        }
        self.block.unallocated.retain(|free| *free != ordinal);
        self.block
            .sequence_for_allocation
            .insert(ordinal, self.block.sequence);
        self.touched = true;
    }

    fn find_or_add(&mut self, attribute: AllocationAttribute) -> usize {
        match self.block.attributes.iter().position(|a| *a == attribute) {
            Some(at) => at,
            None => {
                self.block.attributes.push(attribute);
                self.block.attributes.len() - 1
            }
        }
    }

    /// Who has an address; `None` if it is free or rests.
    #[must_use]
    pub fn owner(&self, addr: IpAddr) -> Option<&AllocationAttribute> {
        let ordinal = self.block.ordinal(addr)?;
        let attribute = (*self.block.allocations.get(ordinal)?)?;
        self.block
            .attributes
            .get(attribute)
            .filter(|a| a.released_at.is_none())
    }

    /// The number under which an address was assigned.
    #[must_use]
    pub fn sequence(&self, addr: IpAddr) -> Option<u64> {
        let ordinal = self.block.ordinal(addr)?;
        self.block.sequence_for_allocation.get(&ordinal).copied()
    }

    /// The addresses in use with their owners, in order.
    pub fn assigned(&self) -> impl Iterator<Item = (IpAddr, &AllocationAttribute)> {
        (0..self.block.allocations.len()).filter_map(|ordinal| {
            let addr = self.block.address(ordinal)?;
            Some((addr, self.owner(addr)?))
        })
    }

    /// The addresses that a handle has.
    pub fn addresses_of(&self, handle: &str) -> Vec<IpAddr> {
        self.assigned()
            .filter(|(_, owner)| owner.handle.as_deref().map(sound_handle) == Some(handle))
            .map(|(addr, _)| addr)
            .collect()
    }

    /// How many addresses a handle has.
    #[must_use]
    pub fn count(&self, handle: &str) -> u32 {
        u32::try_from(self.addresses_of(handle).len()).unwrap_or(u32::MAX)
    }

    /// Frees addresses, or lays them to rest for the cooldown.
    pub(crate) fn release(&mut self, addrs: &[IpAddr], cooldown_seconds: u32, now: Timestamp) {
        let resting = AllocationAttribute {
            released_at: Some(now.to_string().into()),
            ..AllocationAttribute::default()
        };
        for &addr in addrs {
            if self.owner(addr).is_none() {
                continue;
            }
            let Some(ordinal) = self.block.ordinal(addr) else {
                continue;
            };
            let attribute = self.find_or_add(resting.clone());
            if let Some(slot) = self.block.allocations.get_mut(ordinal) {
                *slot = Some(attribute);
            }
            self.block
                .sequence_for_allocation
                .insert(ordinal, self.block.sequence);
            self.touched = true;
        }
        self.collect(cooldown_seconds, now);
    }

    /// How many addresses could be assigned, those that `skip` names left out.
    #[must_use]
    pub fn free(&self, skip: impl Fn(IpAddr) -> bool) -> usize {
        let addrs = self.block.unallocated.iter();
        addrs
            .filter_map(|ordinal| self.block.address(*ordinal))
            .filter(|addr| !skip(*addr))
            .count()
    }

    /// Whether nothing is in use but what a Windows host keeps.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.block.allocations.iter().flatten().all(|at| {
            self.block.attributes.get(*at).is_some_and(|attribute| {
                let handle = attribute.handle.as_deref().unwrap_or_default();
                handle.eq_ignore_ascii_case(WINDOWS_RESERVED)
            })
        })
    }

    /// Whether the block was claimed less than `seconds` ago. A block without a time is old.
    pub(crate) fn is_younger(&self, seconds: u64, now: Timestamp) -> bool {
        let claimed = self.block.affinity_claim_time.as_deref();
        claimed
            .and_then(|text| text.parse().ok())
            .is_some_and(|claimed| now.seconds_since(claimed) < seconds)
    }

    fn mend(&mut self) {
        let size = size(self.block.cidr);
        let stored = self.block.allocations.len();
        let known = self.block.attributes.len();
        self.block.allocations.resize(size, None);
        let lost: Vec<usize> = (0..size)
            .filter(|&ordinal| {
                ordinal >= stored
                    || self
                        .block
                        .allocations
                        .get(ordinal)
                        .copied()
                        .flatten()
                        .is_some_and(|at| at >= known)
            })
            .collect();
        if !lost.is_empty() {
            let note = BTreeMap::from([("note".into(), "attribute lost".into())]);
            let at = self.find_or_add(AllocationAttribute {
                secondary: note,
                ..AllocationAttribute::default()
            });
            for ordinal in lost {
                if let Some(slot) = self.block.allocations.get_mut(ordinal) {
                    *slot = Some(at);
                }
            }
        }
        let mut seen = BTreeSet::new();
        let allocations = &self.block.allocations;
        let is_free = |ordinal: usize| allocations.get(ordinal).is_some_and(Option::is_none);
        self.block
            .unallocated
            .retain(|&ordinal| is_free(ordinal) && seen.insert(ordinal));
        let missing = (0..size).filter(|&ordinal| is_free(ordinal) && !seen.contains(&ordinal));
        let missing: Vec<usize> = missing.collect();
        self.block.unallocated.extend(missing);
        let allocations = &self.block.allocations;
        self.block
            .sequence_for_allocation
            .retain(|&ordinal, _| allocations.get(ordinal).is_some_and(Option::is_some));
    }

    /// Frees what has rested long enough, and drops attributes that nothing refers to.
    fn collect(&mut self, cooldown_seconds: u32, now: Timestamp) {
        let rested: Vec<bool> = self
            .block
            .attributes
            .iter()
            .map(|attribute| has_rested(attribute, cooldown_seconds, now))
            .collect();
        for ordinal in 0..self.block.allocations.len() {
            if let Some(slot) = self.block.allocations.get_mut(ordinal)
                && slot.is_some_and(|at| rested.get(at) == Some(&true))
            {
                *slot = None;
                self.block.unallocated.push(ordinal);
                self.block.sequence_for_allocation.remove(&ordinal);
            }
        }
        self.prune();
    }

    fn prune(&mut self) {
        let used: BTreeSet<usize> = self.block.allocations.iter().flatten().copied().collect();
        if used.len() == self.block.attributes.len() {
            return;
        }
        let places: BTreeMap<usize, usize> = used
            .iter()
            .enumerate()
            .map(|(new, old)| (*old, new))
            .collect();
        let mut at = 0;
        self.block.attributes.retain(|_| {
            at += 1;
            used.contains(&(at - 1))
        });
        for slot in &mut self.block.allocations {
            *slot = slot.and_then(|old| places.get(&old).copied());
        }
    }
}

/// An address is not free; by whom it is held, if that is known.
pub(crate) struct Taken {
    pub(crate) by: Option<AllocationAttribute>,
}

/// Handles written by a migration from host-local may end in `\r` and more (upstream issue cni-plugin 821).
pub(crate) fn sound_handle(handle: &str) -> &str {
    handle.split('\r').next().unwrap_or(handle)
}

fn has_rested(attribute: &AllocationAttribute, cooldown_seconds: u32, now: Timestamp) -> bool {
    let Some(released) = attribute.released_at.as_deref() else {
        return false;
    };
    // A time that cannot be read would never pass; with no cooldown nothing waits.
    cooldown_seconds == 0
        || released
            .parse()
            .is_ok_and(|released| now.seconds_since(released) >= u64::from(cooldown_seconds))
}

/// The number of addresses in a block; the view admits none of more than 12 bits.
fn size(cidr: Cidr) -> usize {
    1 << (cidr.family().bits() - cidr.len()).min(16)
}

#[cfg(test)]
mod tests;
