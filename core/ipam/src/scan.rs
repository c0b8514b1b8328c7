//! The order in which a host looks through a pool: from a place of its own, so that hosts do not meet.

use model::{Cidr, IpPool};

use crate::time::Timestamp;
use crate::view::{View, usable_block_size};

/// The blocks of a pool as offsets from a starting place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scan {
    pool: Cidr,
    block_size: u8,
    start: u128,
    last: u128,
}

impl Scan {
    /// The scan of `host` through a pool; `None` if its block size makes no sense. With blocks of a single address there
    /// is nothing to keep together, and the time decides where to start (as upstream).
    pub(crate) fn new(pool: &IpPool, host: &str, now: Timestamp) -> Option<Scan> {
        let block_size = usable_block_size(pool)?;
        let bits = u32::from(block_size - pool.cidr.len());
        let last = if bits == 128 {
            u128::MAX
        } else {
            (1u128 << bits) - 1
        };
        let seed = if block_size == pool.cidr.family().bits() {
            now.0
        } else {
            hash(host)
        };
        let random = u128::from(mix(seed)) << 64 | u128::from(mix(seed ^ 0x9e37_79b9_7f4a_7c15));
        Some(Scan {
            pool: pool.cidr,
            block_size,
            start: random & last,
            last,
        })
    }

    fn block(&self, index: u128) -> Option<Cidr> {
        let host_bits = u32::from(self.pool.family().bits() - self.block_size);
        let addr = self.pool.nth(index << host_bits)?;
        Some(Cidr::new(addr, self.block_size))
    }

    fn index(&self, block: Cidr) -> Option<u128> {
        let host_bits = u32::from(self.pool.family().bits() - self.block_size);
        Some(
            self.pool
                .offset_of(block.addr())?
                .checked_shr(host_bits)
                .unwrap_or(0),
        )
    }

    /// How far from the start a block comes.
    pub(crate) fn distance(&self, block: Cidr) -> Option<u128> {
        Some(self.index(block)?.wrapping_sub(self.start) & self.last)
    }

    /// The existing blocks of the pool in scanning order.
    pub(crate) fn existing(&self, view: &View) -> Vec<Cidr> {
        let mut blocks: Vec<(u128, Cidr)> = view
            .blocks
            .keys()
            .filter(|block| self.pool.covers(**block))
            .filter_map(|block| Some((self.distance(*block)?, *block)))
            .collect();
        blocks.sort_unstable();
        blocks.into_iter().map(|(_, block)| block).collect()
    }

    /// The first block that does not exist, is not wholly reserved, and is not in `taken`. Every step passes an existing
    /// block or a whole reservation, so a huge pool costs no more than what is in it.
    pub(crate) fn first_free(&self, view: &View, taken: &[Cidr]) -> Option<Cidr> {
        let mut index = self.start;
        let mut walked: u128 = 0;
        loop {
            let block = self.block(index)?;
            let reserved = view.reservations.iter().find(|cidr| cidr.covers(block));
            // Blocks of other sizes may be left from an earlier life of the pool; the plain case needs no search for them.
            let occupied = match view.blocks.contains_key(&block) {
                true => Some(&block),
                false => view.blocks.keys().find(|other| other.overlaps(block)),
            };
            let skip = match (reserved, occupied) {
                (Some(wide), _) | (None, Some(wide)) => self.blocks_until_end(index, *wide),
                (None, None) if view.is_free(block) && !taken.contains(&block) => {
                    return Some(block);
                }
                (None, None) => 1,
            };
            walked = walked.checked_add(skip)?;
            if walked > self.last {
                return None;
            }
            index = index.wrapping_add(skip) & self.last;
        }
    }

    /// Blocks from `index` to behind the end of `wide`, or to the end of the pool.
    fn blocks_until_end(&self, index: u128, wide: Cidr) -> u128 {
        let end = if wide.covers(self.pool) {
            self.last
        } else {
            self.index(Cidr::host(wide.last())).unwrap_or(self.last)
        };
        end.saturating_sub(index).saturating_add(1)
    }
}

/// FNV-1a.
fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// Spreads a seed over all bits (splitmix64's finish).
fn mix(seed: u64) -> u64 {
    let seed = (seed ^ (seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let seed = (seed ^ (seed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    seed ^ (seed >> 31)
}
