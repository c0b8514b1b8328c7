//! What can go wrong with nf_tables, in terms of the table rather than of messages.

use dataplane::nft::{Op, Rule, TableId};

use crate::netlink::{Errno, ExtendedAck, Failure, NetlinkError};

/// Why the table could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ObserveError {
    /// The kernel has no nf_tables.
    #[error(
        "this kernel has no nf_tables: load the module nf_tables, or choose the iptables or eBPF dataplane"
    )]
    Unsupported,
    /// The process lacks the privilege.
    #[error(
        "reading nf_tables was not permitted: run as root or with CAP_NET_ADMIN in this network namespace"
    )]
    Denied,
    /// Other hands changed nf_tables during each attempt.
    #[error(
        "nf_tables changed during each of {attempts} attempts to read table {table}; try again"
    )]
    Busy {
        /// The table.
        table: String,
        /// How often it was read.
        attempts: u32,
    },
    /// The exchange with the kernel failed.
    #[error("failed to read table {table}")]
    Netlink {
        /// The table.
        table: String,
        /// What happened.
        #[source]
        source: NetlinkError,
    },
}

impl ObserveError {
    pub(super) fn new(table: String, source: NetlinkError) -> Self {
        match source.errno() {
            Some(Errno::PERM | Errno::ACCESS) => Self::Denied,
            Some(Errno::PROTONOSUPPORT | Errno::OPNOTSUPP | Errno::INVAL) => Self::Unsupported,
            Some(_) | None => Self::Netlink { table, source },
        }
    }
}

/// Why a batch was not applied. Nothing of it was: it is all or nothing.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The kernel has no nf_tables.
    #[error(
        "this kernel has no nf_tables: load the module nf_tables, or choose the iptables or eBPF dataplane"
    )]
    Unsupported,
    /// The process lacks the privilege.
    #[error(
        "changing nf_tables was not permitted: run as root or with CAP_NET_ADMIN in this network namespace"
    )]
    Denied,
    /// Another hand changed nf_tables since the generation that the batch was made for.
    #[error("nf_tables was changed by another hand meanwhile; read the table again and retry")]
    Changed,
    /// The kernel refused one of the changes.
    #[error("the kernel refused to {what}: {errno}{}: {advice}", explained(.explanation.as_ref()))]
    Refused {
        /// Which change, of which chain or set.
        what: String,
        /// The place of the change in the batch; `None` for the transaction as a whole.
        op: Option<usize>,
        /// The kernel's error.
        errno: Errno,
        /// The kernel's words.
        explanation: Option<ExtendedAck>,
        /// What it means and what helps.
        advice: &'static str,
    },
    /// The exchange with the kernel failed, and whether the batch was applied is not known: read the table again.
    #[error("failed to exchange a batch for table {table} with the kernel; read the table again")]
    Netlink {
        /// The table.
        table: String,
        /// What happened.
        #[source]
        source: NetlinkError,
    },
}

impl ApplyError {
    /// Whether reading the table again and retrying can help.
    pub fn is_stale(&self) -> bool {
        match self {
            Self::Changed | Self::Netlink { .. } => true,
            Self::Refused { errno, .. } => {
                matches!(*errno, Errno::NOENT | Errno::EXIST | Errno::BUSY)
            }
            Self::Unsupported | Self::Denied => false,
        }
    }

    pub(super) fn exchange(table: &TableId, source: NetlinkError) -> Self {
        if let (NetlinkError::Socket { .. }, Some(errno @ Errno::MSGSIZE)) =
            (&source, source.errno())
        {
            return Self::Refused {
                what: format!("take a batch of this size for table {table}"),
                op: None,
                errno,
                explanation: None,
                advice: advice(errno),
            };
        }
        Self::Netlink {
            table: table.to_string(),
            source,
        }
    }

    pub(super) fn refused(failure: Failure, op: Option<(usize, &Op)>) -> Self {
        let Failure {
            errno,
            extended,
            doing,
            ..
        } = failure;
        match (errno, op) {
            (Errno::PERM | Errno::ACCESS, _) => Self::Denied,
            (Errno::OPNOTSUPP, None) => Self::Unsupported,
            // ERESTART, which user space never sees otherwise.
            (errno, None) if errno.raw_os_error() == 85 => Self::Changed,
            (errno, op) => Self::Refused {
                what: op.map_or_else(|| doing.to_owned(), |(_, op)| describe(op)),
                op: op.map(|(index, _)| index),
                errno,
                explanation: extended,
                advice: advice(errno),
            },
        }
    }
}

fn explained(explanation: Option<&ExtendedAck>) -> String {
    explanation.map_or_else(String::new, |explanation| format!(" ({explanation})"))
}

fn advice(errno: Errno) -> &'static str {
    match errno {
        Errno::NOENT => {
            "what it changes or refers to is not there; another hand may have removed it: read the table again"
        }
        Errno::EXIST => {
            "something else of this name or an overlapping element is there; read the table again"
        }
        Errno::BUSY => {
            "it is still referred to, by another hand's rule perhaps; read the table again"
        }
        Errno::NOBUFS | Errno::NOMEM => {
            "the kernel is short of memory for a batch of this size; it is tried again"
        }
        Errno::MSGSIZE => {
            "the batch is larger than the socket may send; raise net.core.wmem_max or give CAP_NET_ADMIN"
        }
        Errno::OPNOTSUPP => {
            "this kernel lacks the feature; see the kernel options under CONFIG_NFT_*"
        }
        Errno::MLINK => "jumps are nested more than 16 deep",
        Errno::LOOP => "chains jump in a circle",
        Errno::NAMETOOLONG | Errno::RANGE => "a name or a text is longer than the kernel takes",
        _ => "this is a bug, please report it with the rule",
    }
}

fn describe(op: &Op) -> String {
    let rule_text = |rule: &Rule, chain: &dyn std::fmt::Display| {
        format!("add to chain {chain} the rule: {rule}")
    };
    match op {
        Op::AddTable => "add the table".to_owned(),
        Op::DeleteTable => "delete the table".to_owned(),
        Op::DeleteOther(table) => format!("delete table {table}"),
        Op::AddChain {
            chain,
            base: Some(base),
        } => format!("add base chain {chain} ({base})"),
        Op::AddChain { chain, base: None } => format!("add chain {chain}"),
        Op::SetPolicy { chain, .. } => format!("change the policy of chain {chain}"),
        Op::DeleteChain(chain) => format!("delete chain {chain}"),
        Op::FlushChain(chain) => format!("flush chain {chain}"),
        Op::AddRule { chain, rule, .. } => rule_text(rule, chain),
        Op::ReplaceRule {
            chain,
            rule,
            handle,
        } => format!("{} in place of rule {handle}", rule_text(rule, chain)),
        Op::DeleteRule { chain, handle } => format!("delete rule {handle} of chain {chain}"),
        Op::AddSet { set, ty } => format!("add set {set} ({ty})"),
        Op::DeleteSet(set) => format!("delete set {set}"),
        Op::AddElements { set, elements, .. } => {
            format!("add {} elements to set {set}", elements.len())
        }
        Op::DeleteElements { set, keys, .. } => {
            format!("delete {} elements of set {set}", keys.len())
        }
        Op::FlushSet(set) => format!("flush set {set}"),
    }
}
