//! What `ipam check` finds: where blocks, affinities and handles do not agree. A function over all of them.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use model::{AffinityId, AffinityOwner, AffinityState, Cidr, Key};

use crate::ledger::{Ledger, WINDOWS_RESERVED, sound_handle};
use crate::seam::Entry;
use crate::time::Timestamp;
use crate::view::View;

/// Something that does not agree.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Finding {
    /// An address is in use under a handle that does not exist, or does not know of the block.
    NoHandle {
        /// The address.
        addr: IpAddr,
        /// The handle that its block names.
        handle: Box<str>,
    },
    /// A handle counts more or fewer addresses in a block than the block has.
    Miscount {
        /// The handle.
        handle: Box<str>,
        /// The block.
        block: Cidr,
        /// What the handle says.
        counted: u32,
        /// What the block says.
        found: u32,
    },
    /// A block says it is somebody's who has no confirmed affinity for it.
    NoAffinity {
        /// The block.
        block: Cidr,
        /// Whose it says it is.
        owner: AffinityOwner,
    },
    /// An affinity for a block that does not exist.
    NoBlock {
        /// The affinity.
        affinity: AffinityId,
        /// How far it has come.
        confirmed: Confirmed,
    },
    /// A confirmed affinity for a block that is another's.
    DoubleOwner {
        /// The affinity.
        affinity: AffinityId,
        /// Whose the block is.
        owner: Option<AffinityOwner>,
    },
    /// A block lies in no pool.
    NoPool {
        /// The block.
        block: Cidr,
    },
    /// Two blocks share addresses.
    Overlap {
        /// The one.
        block: Cidr,
        /// The other.
        other: Cidr,
    },
    /// An object is stored in a form that cannot be read.
    Unreadable {
        /// Which.
        key: Box<Key>,
    },
}

/// Whether an affinity was confirmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Confirmed {
    /// It was: the block was lost.
    Yes,
    /// It was not: left by a claim that was cut off.
    No,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Finding::NoHandle { addr, handle } => {
                write!(
                    f,
                    "{addr} is in use under handle {handle}, which does not know of it"
                )
            }
            Finding::Miscount {
                handle,
                block,
                counted,
                found,
            } => {
                write!(
                    f,
                    "handle {handle} counts {counted} addresses in block {block}, which has {found} of it"
                )
            }
            Finding::NoAffinity { block, owner } => {
                write!(
                    f,
                    "block {block} says it is of {owner}, which has no confirmed affinity for it"
                )
            }
            Finding::NoBlock {
                affinity,
                confirmed,
            } => {
                let kind = match confirmed {
                    Confirmed::Yes => "confirmed",
                    Confirmed::No => "unfinished",
                };
                write!(
                    f,
                    "{} has a {kind} affinity for block {}, which does not exist",
                    affinity.owner, affinity.block
                )
            }
            Finding::DoubleOwner { affinity, owner } => {
                let owner = owner
                    .as_ref()
                    .map_or("nobody".to_owned(), AffinityOwner::to_string);
                write!(
                    f,
                    "{} has a confirmed affinity for block {}, which is of {owner}",
                    affinity.owner, affinity.block
                )
            }
            Finding::NoPool { block } => write!(f, "block {block} is in no IP pool"),
            Finding::Overlap { block, other } => {
                write!(f, "blocks {block} and {other} share addresses")
            }
            Finding::Unreadable { key } => {
                write!(f, "{key:?} is stored in a form that cannot be read")
            }
        }
    }
}

/// Compares settings, pools, blocks, affinities and handles with one another.
#[must_use]
pub fn audit(entries: Vec<Entry>, now: Timestamp) -> Vec<Finding> {
    let view = View::new(&[], entries);
    let mut findings: Vec<Finding> = view
        .unreadable
        .iter()
        .map(|key| Finding::Unreadable {
            key: Box::new(key.clone()),
        })
        .collect();
    findings.extend(of_blocks(&view));
    findings.extend(of_affinities(&view));
    findings.extend(of_handles(&view, now));
    findings
}

fn of_blocks(view: &View) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut previous: Option<Cidr> = None;
    for (cidr, block) in &view.blocks {
        if let Some(other) = previous.filter(|other| other.overlaps(*cidr)) {
            findings.push(Finding::Overlap {
                block: *cidr,
                other,
            });
        }
        previous = Some(*cidr);
        if !view.pools.values().any(|pool| pool.cidr.covers(*cidr)) {
            findings.push(Finding::NoPool { block: *cidr });
        }
        if let Some(owner) = &block.affinity {
            let id = AffinityId {
                owner: owner.clone(),
                block: *cidr,
            };
            let state = view.affinities.get(&id).map(|affinity| affinity.state);
            if state != Some(AffinityState::Confirmed) {
                findings.push(Finding::NoAffinity {
                    block: *cidr,
                    owner: owner.clone(),
                });
            }
        }
    }
    findings
}

fn of_affinities(view: &View) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (id, affinity) in &view.affinities {
        let confirmed = affinity.state == AffinityState::Confirmed;
        match view.blocks.get(&id.block) {
            None if view.unreadable.contains(&Key::Block(id.block)) => {}
            None => findings.push(Finding::NoBlock {
                affinity: id.clone(),
                confirmed: if confirmed {
                    Confirmed::Yes
                } else {
                    Confirmed::No
                },
            }),
            Some(block) if confirmed && block.affinity.as_ref() != Some(&id.owner) => {
                findings.push(Finding::DoubleOwner {
                    affinity: id.clone(),
                    owner: block.affinity.clone(),
                });
            }
            Some(_) => {}
        }
    }
    findings
}

fn of_handles(view: &View, now: Timestamp) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut found: BTreeMap<(Box<str>, Cidr), u32> = BTreeMap::new();
    for (cidr, block) in &view.blocks {
        let ledger = Ledger::read(block, view.config.cooldown_seconds, now);
        for (addr, owner) in ledger.assigned() {
            let Some(handle) = owner.handle.as_deref().map(sound_handle) else {
                continue;
            };
            if handle.eq_ignore_ascii_case(WINDOWS_RESERVED) {
                continue;
            }
            *found.entry((handle.into(), *cidr)).or_default() += 1;
            let known = view
                .handles
                .get(handle)
                .is_some_and(|h| h.blocks.contains_key(cidr));
            if !known {
                findings.push(Finding::NoHandle {
                    addr,
                    handle: handle.into(),
                });
            }
        }
    }
    for (id, handle) in &view.handles {
        for (block, counted) in &handle.blocks {
            let found = found.get(&(id.clone(), *block)).copied().unwrap_or(0);
            if found != *counted {
                findings.push(Finding::Miscount {
                    handle: id.clone(),
                    block: *block,
                    counted: *counted,
                    found,
                });
            }
        }
    }
    findings
}
