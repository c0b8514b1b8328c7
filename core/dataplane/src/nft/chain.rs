//! Tables and chains, and the [`Ruleset`]: all that our table should hold.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::names::{ChainName, SetName};
use super::rule::Rule;
use super::set::Set;

/// The family of a table.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum TableFamily {
    /// IPv4 and IPv6 together, where ours lives.
    Inet,
    /// IPv4 only.
    Ip,
    /// IPv6 only.
    Ip6,
    /// ARP.
    Arp,
}

/// A table's identity.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct TableId {
    /// Its family.
    pub family: TableFamily,
    /// Its name.
    pub name: Arc<str>,
}

impl TableId {
    /// A table by family and name.
    pub fn new(family: TableFamily, name: &str) -> Self {
        Self {
            family,
            name: name.into(),
        }
    }

    /// The table that is ours: `inet calico`.
    pub fn ours() -> Self {
        Self::new(TableFamily::Inet, "calico")
    }

    /// The tables of upstream's nftables mode, which ours replaces.
    pub fn upstream() -> [Self; 3] {
        [TableFamily::Ip, TableFamily::Ip6, TableFamily::Arp]
            .map(|family| Self::new(family, "calico"))
    }
}

/// Where in a packet's way through the kernel a base chain is called.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Hook {
    /// Before routing.
    Prerouting,
    /// To this host.
    Input,
    /// Through this host.
    Forward,
    /// From this host.
    Output,
    /// After routing.
    Postrouting,
}

/// What a base chain may do.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum ChainKind {
    /// Filter packets.
    Filter,
    /// Translate addresses; sees the first packet of a connection.
    Nat,
    /// Route again when the mark or an address changed (output only).
    Route,
}

/// What becomes of a packet at the end of a base chain.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Policy {
    /// On to the following base chain.
    Accept,
    /// Gone.
    Drop,
}

/// The kernel's customary priorities (linux/netfilter_ipv4.h).
pub mod priority {
    /// Before connection tracking.
    pub const RAW: i32 = -300;
    /// Where connection tracking looks packets up.
    pub const CONNTRACK: i32 = -200;
    /// Where marks and headers are changed.
    pub const MANGLE: i32 = -150;
    /// Where destinations are translated.
    pub const DSTNAT: i32 = -100;
    /// Where packets are filtered.
    pub const FILTER: i32 = 0;
    /// Where sources are translated.
    pub const SRCNAT: i32 = 100;
}

/// How a base chain hangs on its hook.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Base {
    /// What it may do.
    pub kind: ChainKind,
    /// Where it is called.
    pub hook: Hook,
    /// Its place among the chains of that hook, lowest first; see [`priority`].
    pub priority: i32,
    /// Its last word.
    pub policy: Policy,
}

impl Base {
    /// A filtering base chain that accepts what its rules do not decide.
    pub fn filter(hook: Hook, priority: i32) -> Self {
        Self {
            kind: ChainKind::Filter,
            hook,
            priority,
            policy: Policy::Accept,
        }
    }

    /// A translating base chain.
    pub fn nat(hook: Hook, priority: i32) -> Self {
        Self {
            kind: ChainKind::Nat,
            hook,
            priority,
            policy: Policy::Accept,
        }
    }

    /// A base chain that routes again after a changed mark.
    pub fn route(hook: Hook, priority: i32) -> Self {
        Self {
            kind: ChainKind::Route,
            hook,
            priority,
            policy: Policy::Accept,
        }
    }

    /// The same with this last word.
    #[must_use]
    pub fn policy(self, policy: Policy) -> Self {
        Self { policy, ..self }
    }
}

/// Rules in order, called from a hook (base chain) or from other rules.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Chain {
    /// Its name.
    pub name: ChainName,
    /// Its hook; `None` for a chain that is only jumped to.
    pub base: Option<Base>,
    /// Its rules, first to last.
    pub rules: Vec<Rule>,
}

impl Chain {
    /// A chain that rules and verdict maps jump to.
    pub fn new(name: impl Into<ChainName>) -> Self {
        Self {
            name: name.into(),
            base: None,
            rules: Vec::new(),
        }
    }

    /// A chain called from a hook.
    pub fn base(name: impl Into<ChainName>, base: Base) -> Self {
        Self {
            name: name.into(),
            base: Some(base),
            rules: Vec::new(),
        }
    }

    /// The same with this rule at its end.
    #[must_use]
    pub fn rule(mut self, rule: Rule) -> Self {
        self.rules.push(rule);
        self
    }
}

/// Everything one table should hold. What the kernel's table holds beyond it is another hand's and is removed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ruleset {
    /// The table.
    pub table: TableId,
    /// Its named sets and maps.
    pub sets: BTreeMap<SetName, Set>,
    /// Its chains.
    pub chains: BTreeMap<ChainName, Chain>,
}

impl Ruleset {
    /// An empty table.
    pub fn new(table: TableId) -> Self {
        Self {
            table,
            sets: BTreeMap::new(),
            chains: BTreeMap::new(),
        }
    }

    /// Puts a chain, in place of one of the same name.
    pub fn put_chain(&mut self, chain: Chain) {
        self.chains.insert(chain.name.clone(), chain);
    }

    /// Puts a set, in place of one of the same name.
    pub fn put_set(&mut self, set: Set) {
        self.sets.insert(set.name.clone(), set);
    }
}
