//! The rule tree: what the packet filter has to do, before any backend's syntax. nftables and iptables print the same tree.
//!
//! A policy's way comes through here after the graph: [`policy`] turns compiled rules into tree rules, [`endpoint`] gives each
//! local endpoint its chains, [`hooks`] holds what does not depend on policy. Verdicts need no mark but for `Pass`: egress and
//! ingress policy are asked in two base chains of the same hook, so that "allow" is a plain accept in each.

pub mod endpoint;
pub mod hooks;
pub mod names;
pub mod policy;

pub use calc::Direction;
use model::{Cidr, Family, PortRange, Protocol};

/// Which end of a packet a match looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// Source address and port.
    Source,
    /// Destination address and port.
    Destination,
}

/// An interface by name, or all whose names begin so.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Interface {
    /// One interface.
    Exact(Box<str>),
    /// Every interface with this prefix.
    Prefix(Box<str>),
}

/// Whether a match asks for a thing or for its absence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Sense {
    /// The packet must match.
    Is,
    /// The packet must not match.
    IsNot,
}

/// What connection tracking says of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ConnState {
    /// Part of, or related to, a connection that was let through.
    EstablishedOrRelated,
    /// Not understood by connection tracking.
    Invalid,
}

/// One criterion. All criteria of a rule must hold.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Match {
    /// The interface it came in by.
    InInterface(Interface),
    /// The interface it goes out by.
    OutInterface(Interface),
    /// What connection tracking says.
    ConnState(ConnState),
    /// The transport protocol.
    Protocol(Sense, Protocol),
    /// The transport protocol has ports that rules can see: TCP, UDP or SCTP.
    Ported(Sense),
    /// The ICMP type; the rule names the protocol too.
    IcmpType(Sense, u8),
    /// The ICMP code; the rule names protocol and type too.
    IcmpCode(Sense, u8),
    /// The address lies in one (none) of these networks; never empty, all of one family.
    Nets(Sense, Side, Vec<Cidr>),
    /// The address is in (not in) the set, by its kernel name without family.
    Set(Sense, Side, SetName),
    /// The port is one (none) of these; never empty.
    Ports(Sense, Side, Vec<PortRange>),
    /// (address, protocol, port) is in (not in) the set.
    PortSet(Sense, Side, SetName),
    /// (incoming interface, source address) is in the set: the address is the endpoint's own.
    OwnSource(SetName),
    /// The policy that was just asked said Pass.
    Passed,
    /// Neighbour discovery and multicast listener messages (RFC 4861, RFC 2710), which IPv6 does not work without.
    NeighbourDiscovery,
}

/// The name of a set for one family, as the kernel has it.
pub type SetName = Box<str>;
/// The name of a chain, without a backend's own prefix.
pub type ChainName = Box<str>;

/// What a rule does.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Target {
    /// Let through as far as this base chain goes.
    Accept,
    /// Drop, and count.
    Drop,
    /// Go back to the chain that jumped here.
    Return,
    /// Ask another chain and come back.
    Jump(ChainName),
    /// Ask the chain that the map holds for the incoming interface. It decides; should another hand empty it, the rule that
    /// follows here does.
    DispatchIn(ChainName),
    /// Ask the chain that the map holds for the outgoing interface, in the same way.
    DispatchOut(ChainName),
    /// Forget any note of Pass, also one that a foreign mark looks like.
    ClearPass,
    /// Note that the policy said Pass, and leave its chain.
    Pass,
    /// Forget the note, and leave the tier's chain.
    EndPass,
    /// Write to the kernel log and go on.
    Log(Box<str>),
    /// Hide the source behind the address of the outgoing interface.
    Masquerade,
}

/// One rule of a chain. `family` is set when a criterion exists in one family only.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TreeRule {
    /// The only family the rule is for.
    pub family: Option<Family>,
    /// The criteria.
    pub matches: Vec<Match>,
    /// What happens when all hold.
    pub target: Target,
    /// A remark for people who read the rules.
    pub comment: Option<Box<str>>,
}

impl TreeRule {
    /// A rule without criteria.
    pub fn always(target: Target) -> TreeRule {
        TreeRule {
            family: None,
            matches: Vec::new(),
            target,
            comment: None,
        }
    }

    /// A rule with criteria.
    pub fn when(matches: Vec<Match>, target: Target) -> TreeRule {
        TreeRule {
            family: None,
            matches,
            target,
            comment: None,
        }
    }

    /// The same rule with a remark.
    #[must_use]
    pub fn remark(mut self, text: impl Into<Box<str>>) -> TreeRule {
        self.comment = Some(text.into());
        self
    }

    /// The same rule for one family.
    #[must_use]
    pub fn only(mut self, family: Family) -> TreeRule {
        self.family = Some(family);
        self
    }
}
