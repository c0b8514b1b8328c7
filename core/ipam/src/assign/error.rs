//! Why addresses were not given, with the numbers that an operator needs to see.

use std::fmt;
use std::net::IpAddr;

use model::{AffinityOwner, Cidr, Family, IpamConfig};

use crate::machine::Contended;

/// What a pool has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolState {
    /// The pool's name.
    pub name: Box<str>,
    /// Its network.
    pub cidr: Cidr,
    /// How many addresses it has.
    pub size: u128,
    /// How many are in use.
    pub in_use: u128,
    /// How many blocks could still be made of what no block covers.
    pub free_blocks: u128,
}

impl fmt::Display for PoolState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let PoolState {
            name,
            cidr,
            size,
            in_use,
            free_blocks,
        } = self;
        write!(
            f,
            "{name} ({cidr}): {in_use} of {size} in use, {free_blocks} blocks unclaimed"
        )
    }
}

/// Why a host may not claim another block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClaimLimit {
    /// It has as many as it may have.
    Blocks(u32),
    /// Blocks are not claimed automatically.
    Off,
}

/// Whether hosts may use each other's blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strictness {
    /// They may not.
    Strict,
    /// They may borrow.
    Loose,
}

impl Strictness {
    pub(super) fn of(config: &IpamConfig) -> Strictness {
        if config.strict_affinity {
            Strictness::Strict
        } else {
            Strictness::Loose
        }
    }
}

/// Why a request was not granted. Nothing was assigned.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AssignError {
    /// No pool serves the request.
    #[error("no IP pool serves this request for an {} address: {}", family_name(*family), reasons(skipped))]
    NoPool {
        /// For which family.
        family: Family,
        /// The pools of that family and why each is out.
        skipped: Vec<(Box<str>, &'static str)>,
    },
    /// A pool was named that does not exist.
    #[error("IP pool {wanted} does not exist; there are: {}", known.join(", "))]
    UnknownPool {
        /// What was asked for.
        wanted: String,
        /// The pools that exist.
        known: Vec<String>,
    },
    /// A pool was named that cannot serve the request.
    #[error("IP pool {name} cannot be used: {why}")]
    UnusablePool {
        /// Which pool.
        name: Box<str>,
        /// Why.
        why: &'static str,
    },
    /// All that could be used is used.
    #[error("no free {} address: wanted {wanted}, found {found}{}; pools: {}", family_name(*family), limits(*limit, *affinity), pool_list(pools))]
    Exhausted {
        /// For which family.
        family: Family,
        /// How many were wanted.
        wanted: usize,
        /// How many could have been had.
        found: usize,
        /// Why the host could not claim another block.
        limit: Option<ClaimLimit>,
        /// Whether other hosts' blocks were out of the question.
        affinity: Strictness,
        /// The pools that were tried.
        pools: Vec<PoolState>,
    },
    /// A wanted address lies in no pool.
    #[error("address {addr} is in no IP pool; pools: {}", pools.iter().map(Cidr::to_string).collect::<Vec<_>>().join(", "))]
    NotInPool {
        /// The address.
        addr: IpAddr,
        /// The pools there are.
        pools: Vec<Cidr>,
    },
    /// A wanted address is reserved.
    #[error("address {addr} is reserved by an IPReservation")]
    Reserved {
        /// The address.
        addr: IpAddr,
    },
    /// A wanted address is in use.
    #[error("address {addr} is in use by {by}")]
    Taken {
        /// The address.
        addr: IpAddr,
        /// By whom, as far as the block says.
        by: String,
    },
    /// A wanted address lies in another host's block, and affinity is strict.
    #[error("address {addr} is in block {block} of {}, and strictAffinity forbids to borrow it", affinity.as_ref().map_or("nobody".to_owned(), AffinityOwner::to_string))]
    Foreign {
        /// The address.
        addr: IpAddr,
        /// Its block.
        block: Cidr,
        /// Whose block it is.
        affinity: Option<AffinityOwner>,
    },
    /// The block of a wanted address cannot be made.
    #[error(
        "block {block} cannot be used: it, or one that overlaps it, is stored in a form that cannot be read"
    )]
    Unreadable {
        /// Which block.
        block: Cidr,
    },
    /// Others were faster every time.
    #[error(transparent)]
    Contended(Contended),
}

fn family_name(family: Family) -> &'static str {
    match family {
        Family::V4 => "IPv4",
        Family::V6 => "IPv6",
    }
}

fn reasons(skipped: &[(Box<str>, &'static str)]) -> String {
    if skipped.is_empty() {
        return "there is none of that family".into();
    }
    let reasons: Vec<String> = skipped
        .iter()
        .map(|(name, why)| format!("{name}: {why}"))
        .collect();
    reasons.join("; ")
}

fn limits(limit: Option<ClaimLimit>, affinity: Strictness) -> String {
    let mut text = match limit {
        None => String::new(),
        Some(ClaimLimit::Blocks(limit)) => {
            format!("; the host has all of the {limit} blocks it may have (maxBlocksPerHost)")
        }
        Some(ClaimLimit::Off) => {
            "; blocks are not claimed automatically (autoAllocateBlocks)".into()
        }
    };
    if affinity == Strictness::Strict {
        text.push_str("; other hosts' blocks may not be used (strictAffinity)");
    }
    text
}

fn pool_list(pools: &[PoolState]) -> String {
    pools
        .iter()
        .map(PoolState::to_string)
        .collect::<Vec<_>>()
        .join("; ")
}
