//! What `ipam show` shows: how full pools and blocks are, and what is borrowed. A function over pools, blocks, reservations.

use std::collections::BTreeMap;
use std::net::IpAddr;

use model::{AffinityOwner, Cidr, IpPool};

use crate::ledger::Ledger;
use crate::seam::Entry;
use crate::time::Timestamp;
use crate::view::View;

/// How full a block is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockUsage {
    /// The block.
    pub cidr: Cidr,
    /// Whose it is.
    pub affinity: Option<AffinityOwner>,
    /// How many addresses it has.
    pub capacity: u128,
    /// How many are in use.
    pub in_use: u128,
    /// How many could be assigned.
    pub free: u128,
}

/// How full a pool is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolUsage {
    /// The pool's name.
    pub name: Box<str>,
    /// Its network.
    pub cidr: Cidr,
    /// How many addresses it has.
    pub capacity: u128,
    /// How many are in use.
    pub in_use: u128,
    /// How many are neither in use, nor reserved, nor resting.
    pub free: u128,
    /// Its blocks.
    pub blocks: Vec<BlockUsage>,
}

/// An address used by another node than the one its block belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Borrowed {
    /// The address.
    pub addr: IpAddr,
    /// Its block.
    pub block: Cidr,
    /// The node that uses it, as the allocation says.
    pub node: Box<str>,
    /// Whose the block is.
    pub affinity: Option<AffinityOwner>,
    /// The allocation's handle and attributes.
    pub attributes: BTreeMap<Box<str>, Box<str>>,
}

/// All there is to show.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// The pools with their blocks, by name.
    pub pools: Vec<PoolUsage>,
    /// Blocks in no pool.
    pub orphans: Vec<BlockUsage>,
    /// What is borrowed.
    pub borrowed: Vec<Borrowed>,
}

/// Computes the utilisation from settings, pools, reservations and blocks.
#[must_use]
pub fn usage(entries: Vec<Entry>, now: Timestamp) -> Usage {
    let view = View::new(&[], entries);
    let mut usage = Usage::default();
    let mut by_pool: BTreeMap<&str, Vec<BlockUsage>> = BTreeMap::new();
    for (cidr, block) in &view.blocks {
        let ledger = Ledger::read(block, view.config.cooldown_seconds, now);
        usage.borrowed.extend(borrowed(&ledger));
        let of_block = BlockUsage {
            cidr: *cidr,
            affinity: block.affinity.clone(),
            capacity: size(*cidr),
            in_use: ledger.assigned().count() as u128,
            free: ledger.free(|addr| view.is_reserved(addr)) as u128,
        };
        match view.pool_of(cidr.addr()) {
            Some((name, _)) => by_pool.entry(name).or_default().push(of_block),
            None => usage.orphans.push(of_block),
        }
    }
    for (name, pool) in &view.pools {
        let blocks = by_pool.remove(&**name).unwrap_or_default();
        usage.pools.push(pool_usage(&view, name, pool, blocks));
    }
    usage
}

fn pool_usage(view: &View, name: &str, pool: &IpPool, blocks: Vec<BlockUsage>) -> PoolUsage {
    let capacity = size(pool.cidr);
    let covered: u128 = blocks.iter().map(|block| block.capacity).sum();
    let within = blocks.iter().map(|block| block.free).sum::<u128>();
    // Reservations that do not lie in a block; one inside another counts once.
    let outermost = view.reservations.iter().enumerate().filter(|(at, cidr)| {
        let others = view.reservations.iter().enumerate();
        !others
            .into_iter()
            .any(|(other, wide)| wide.covers(**cidr) && (wide != *cidr || other < *at))
    });
    let reserved: u128 = outermost
        .filter(|(_, cidr)| cidr.overlaps(pool.cidr))
        .map(|(_, cidr)| {
            let inside = if cidr.covers(pool.cidr) {
                pool.cidr
            } else {
                *cidr
            };
            let in_blocks: u128 = blocks
                .iter()
                .filter(|block| block.cidr.overlaps(inside))
                .map(|block| size(block.cidr).min(size(inside)))
                .sum();
            size(inside).saturating_sub(in_blocks)
        })
        .sum();
    PoolUsage {
        name: name.into(),
        cidr: pool.cidr,
        capacity,
        in_use: blocks.iter().map(|block| block.in_use).sum(),
        free: capacity.saturating_sub(covered).saturating_sub(reserved) + within,
        blocks,
    }
}

fn borrowed(ledger: &Ledger) -> Vec<Borrowed> {
    let affinity = &ledger.block().affinity;
    let foreign = |node: &str| match affinity {
        Some(AffinityOwner::Host(host)) => **host != *node,
        Some(AffinityOwner::Virtual(_)) | None => true,
    };
    ledger
        .assigned()
        .filter_map(|(addr, owner)| {
            let node = owner.secondary.get("node").filter(|node| foreign(node))?;
            Some(Borrowed {
                addr,
                block: ledger.block().cidr,
                node: node.clone(),
                affinity: affinity.clone(),
                attributes: owner.secondary.clone(),
            })
        })
        .collect()
}

fn size(cidr: Cidr) -> u128 {
    1u128
        .checked_shl(u32::from(cidr.family().bits() - cidr.len()))
        .unwrap_or(u128::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seam::Revision;
    use model::{Key, Resource};

    #[test]
    fn counts() {
        let now = Timestamp(1_800_000_000_000_000_000);
        let mut ledger = Ledger::create(
            "10.0.0.0/26".parse().unwrap(),
            AffinityOwner::Host("a".into()),
            now,
        );
        let owner = crate::Owner {
            handle: None,
            attributes: BTreeMap::from([("node".into(), "b".into())]),
        };
        ledger.assign_any(3, &owner, |_| false);
        let entry = |key, value| Entry {
            key,
            value: Some(value),
            revision: Revision(1),
        };
        let pool = crate::assign::test_pool("10.0.0.0/24", 26);
        let reserved = model::IpReservation {
            cidrs: vec![
                "10.0.0.64/28".parse().unwrap(),
                "10.0.0.62/31".parse().unwrap(),
            ],
        };
        let usage = usage(
            vec![
                entry(Key::IpPool("p".into()), Resource::IpPool(pool)),
                entry(
                    Key::IpReservation("r".into()),
                    Resource::IpReservation(reserved),
                ),
                entry(
                    Key::Block("10.0.0.0/26".parse().unwrap()),
                    Resource::Block(ledger.finish()),
                ),
            ],
            now,
        );
        let [pool] = &usage.pools[..] else {
            panic!("{usage:?}")
        };
        assert_eq!(
            (pool.capacity, pool.in_use, pool.free),
            (256, 3, 256 - 3 - 16 - 2)
        );
        assert_eq!(usage.borrowed.len(), 3);
    }
}
