//! Rules and the words to write them with.

use super::expr::Expr;
use super::names::{ChainName, Comment, SetName};

/// Numbers of protocols and address types that rules are written with.
pub mod proto {
    /// ICMP
    pub const ICMP: u8 = 1;
    /// IP in IP
    pub const IPIP: u8 = 4;
    /// TCP
    pub const TCP: u8 = 6;
    /// UDP
    pub const UDP: u8 = 17;
    /// ICMPv6
    pub const ICMPV6: u8 = 58;
    /// SCTP
    pub const SCTP: u8 = 132;
    /// UDP-Lite
    pub const UDPLITE: u8 = 136;
    /// A host's own address, as a routing lookup tells it (linux/rtnetlink.h).
    pub const RTN_LOCAL: u32 = 2;
}

/// Conditions and deeds in order, with a comment for people.
///
/// The methods append what they are named after. Matching an address adds the check of the IP version it needs, once;
/// ports and ICMP types need a [`Rule::l4proto`] before them.
///
/// ```
/// use dataplane::nft::{CtState, Rule};
/// let rule = Rule::new().iifname("cali*").ct_state(CtState::ESTABLISHED | CtState::RELATED).accept();
/// assert_eq!(rule.to_string(), "iifname \"cali*\" ct state established,related accept");
/// ```
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Rule {
    /// What it matches and does.
    pub exprs: Vec<Expr>,
    /// Why it is there.
    pub comment: Option<Comment>,
}

impl Rule {
    /// A rule that matches everything and does nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends an expression as it is.
    #[must_use]
    pub fn push(mut self, expr: Expr) -> Self {
        self.exprs.push(expr);
        self
    }

    /// Says why the rule is there.
    #[must_use]
    pub fn comment(mut self, comment: impl Into<Comment>) -> Self {
        self.comment = Some(comment.into());
        self
    }
    /// The chains it jumps or goes to, through maps written within it too.
    pub fn targets(&self) -> impl Iterator<Item = &ChainName> {
        self.exprs.iter().flat_map(Expr::targets)
    }

    /// The named sets and maps it looks up.
    pub fn sets(&self) -> impl Iterator<Item = &SetName> {
        self.exprs.iter().filter_map(Expr::set)
    }
}
