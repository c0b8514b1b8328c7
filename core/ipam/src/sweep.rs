//! Finds addresses that nobody will ever give back: their workload is gone, or the machine was started again since.
//!
//! A function of blocks, handles and what is alive; what it finds is given to
//! [`release_addresses`](crate::release::release_addresses), which takes back only what is still as it was seen.

use std::collections::BTreeSet;
use std::net::IpAddr;

use model::{AffinityOwner, Key};

use crate::assign::Reach;
use crate::ledger::{Ledger, sound_handle};
use crate::machine::{Attempt, Contended, Machine, Operation};
use crate::release::ReleaseAddress;
use crate::seam::{Entry, Query};
use crate::time::Timestamp;
use crate::view::View;

/// The attribute that names the node.
pub const NODE: &str = "node";
/// The attribute that names the boot of the node at which the address was taken.
pub const BOOT: &str = "boot";
/// The attribute that says what the address is for, where that is no workload.
pub const TYPE: &str = "type";
/// The attribute that says when the address was taken (RFC 3339).
pub const TIMESTAMP: &str = "timestamp";

/// What is alive on a node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Alive {
    /// The node.
    pub node: Box<str>,
    /// The identity of its present boot; `None` where it cannot be known.
    pub boot: Option<Box<str>>,
    /// Handles of workloads that exist.
    pub handles: BTreeSet<Box<str>>,
    /// Addresses of workloads that exist, whatever their handle.
    pub addrs: BTreeSet<IpAddr>,
    /// What was taken within so many seconds is left alone: its workload may be in the making.
    pub grace_seconds: u64,
}

/// Why an address is to be given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// It was taken before the node's last start.
    Reboot,
    /// No workload has its handle or the address itself.
    NoWorkload,
}

/// The addresses that `alive.node` took and that nothing on it uses. Tunnel addresses and those of other nodes are never
/// among them.
#[must_use]
pub fn sweep(entries: Vec<Entry>, alive: &Alive, now: Timestamp) -> Vec<(ReleaseAddress, Why)> {
    dead(&View::new(&[], entries), alive, now)
}

/// A search of a node's own blocks, or of all: it only reads.
#[derive(Clone, Debug)]
pub struct Search {
    alive: Alive,
    reach: Reach,
    now: Timestamp,
}

/// Searches as [`sweep`] does. What a node took from another's blocks is only found in all of them.
#[must_use]
pub fn search(alive: Alive, reach: Reach, now: Timestamp) -> Machine<Search> {
    Machine::new(Search { alive, reach, now })
}

impl Operation for Search {
    type Outcome = Vec<(ReleaseAddress, Why)>;

    fn queries(&self) -> Vec<Query> {
        let blocks = match self.reach {
            Reach::OwnBlocks => Query::OwnBlocks(AffinityOwner::Host(self.alive.node.clone())),
            Reach::AllBlocks => Query::AllBlocks,
        };
        vec![Query::Key(Key::IpamConfig), blocks]
    }

    fn attempt(&mut self, view: &View) -> Attempt<Self::Outcome> {
        Attempt::Done(dead(view, &self.alive, self.now))
    }

    fn contended(&self, _: Contended) -> Self::Outcome {
        Vec::new()
    }
}

fn dead(view: &View, alive: &Alive, now: Timestamp) -> Vec<(ReleaseAddress, Why)> {
    let mut found = Vec::new();
    for (cidr, block) in &view.blocks {
        let ledger = Ledger::read(block, view.config.cooldown_seconds, now);
        for (addr, owner) in ledger.assigned() {
            let of = |name: &str| owner.secondary.get(name).map(|value| &**value);
            let handle = owner.handle.as_deref().map(sound_handle);
            let used = alive.addrs.contains(&addr)
                || handle.is_some_and(|handle| alive.handles.contains(handle));
            if used || of(NODE) != Some(&*alive.node) || of(TYPE).is_some() {
                continue;
            }
            let rebooted =
                matches!((of(BOOT), &alive.boot), (Some(then), Some(now)) if *then != **now);
            let taken = of(TIMESTAMP).and_then(|text| text.parse().ok());
            let young = taken.is_some_and(|taken| now.seconds_since(taken) < alive.grace_seconds);
            let why = match (rebooted, young) {
                (true, _) => Why::Reboot,
                (false, false) => Why::NoWorkload,
                (false, true) => continue,
            };
            let release = ReleaseAddress {
                addr,
                block: Some(*cidr),
                handle: handle.map(Box::from),
                sequence: ledger.sequence(addr),
            };
            found.push((release, why));
        }
    }
    found
}

/// Handles that name no address in use anywhere, left by an assignment or a release that was cut off. `entries` must
/// have all blocks and handles; a handle of an assignment under way looks the same, so ask only for what has been so for
/// a while.
#[must_use]
pub fn dead_handles(entries: Vec<Entry>, now: Timestamp) -> Vec<Box<str>> {
    let view = View::new(&[], entries);
    let mut used: BTreeSet<Box<str>> = BTreeSet::new();
    for block in view.blocks.values() {
        let ledger = Ledger::read(block, view.config.cooldown_seconds, now);
        let handles = ledger
            .assigned()
            .filter_map(|(_, owner)| owner.handle.as_deref());
        used.extend(handles.map(sound_handle).map(Box::from));
    }
    view.handles
        .keys()
        .filter(|id| !used.contains(*id))
        .cloned()
        .collect()
}
