//! The words in which a decision about a packet is told: shared by the oracle and by the compiled policy, so that the two can
//! be compared. There is no logic here.

use std::fmt;
use std::net::IpAddr;

use model::{Family, PolicyId, Protocol};

/// The first packet of a flow, as policy sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Packet {
    /// The protocol above IP.
    pub protocol: Protocol,
    /// Who sends it.
    pub source: IpAddr,
    /// Whom it is for, after address translation of services.
    pub destination: IpAddr,
    /// What the protocol's header says.
    pub transport: Transport,
}

/// The part of a packet's transport header that rules can ask about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// Ports of TCP, UDP and SCTP. Ports of any other protocol are invisible to rules.
    Ports {
        /// The sender's port.
        source: u16,
        /// The receiver's port.
        destination: u16,
    },
    /// ICMP or ICMPv6.
    Icmp {
        /// The message's type.
        kind: u8,
        /// The message's code.
        code: u8,
    },
    /// Nothing that a rule could ask about.
    Opaque,
}

impl Packet {
    /// The packet's family. The two addresses are of one family in any real packet.
    pub fn family(&self) -> Family {
        Family::of(self.destination)
    }

    /// The ports `(source, destination)`, if the protocol has some that rules can see.
    pub fn ports(&self) -> Option<(u16, u16)> {
        match self.transport {
            Transport::Ports {
                source,
                destination,
            } => self.protocol.has_ports().then_some((source, destination)),
            Transport::Icmp { .. } | Transport::Opaque => None,
        }
    }

    /// The ICMP type and code, if it is an ICMP or ICMPv6 packet.
    pub fn icmp(&self) -> Option<(u8, u8)> {
        match self.transport {
            Transport::Icmp { kind, code } => {
                let carries = self.protocol == Protocol::ICMP || self.protocol == Protocol::ICMPV6;
                carries.then_some((kind, code))
            }
            Transport::Ports { .. } | Transport::Opaque => None,
        }
    }
}

/// Which way a packet goes, seen from the endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// To the endpoint.
    Ingress,
    /// From the endpoint.
    Egress,
}

impl Direction {
    /// Both directions.
    pub const ALL: [Direction; 2] = [Direction::Ingress, Direction::Egress];
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Direction::Ingress => "ingress",
            Direction::Egress => "egress",
        })
    }
}

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Decision {
    /// It goes on.
    Allow,
    /// It is dropped.
    Deny,
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Decision::Allow => "allow",
            Decision::Deny => "deny",
        })
    }
}

/// Why.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// A rule of a policy said so.
    Rule {
        /// The policy's tier.
        tier: Box<str>,
        /// The policy.
        policy: PolicyId,
        /// The rule's place in the policy's list for this direction, from 0.
        rule: usize,
    },
    /// Policies of this tier apply, none of their rules matched, and the tier denies at its end.
    EndOfTier {
        /// The tier.
        tier: Box<str>,
    },
    /// A rule of a profile said so.
    Profile {
        /// The profile.
        profile: Box<str>,
        /// The rule's place in the profile's list for this direction, from 0.
        rule: usize,
    },
    /// The endpoint names a profile that does not exist.
    MissingProfile {
        /// The profile.
        profile: Box<str>,
    },
    /// No tier decided and no rule of any profile matched.
    NoProfileMatched,
    /// There is no such endpoint.
    UnknownEndpoint,
    /// Neither end is a workload endpoint: no policy is asked.
    NoEndpoint,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Rule { tier, policy, rule } => {
                write!(f, "tier {tier}, policy {policy}, rule {rule}")
            }
            Reason::EndOfTier { tier } => write!(f, "end of tier {tier}"),
            Reason::Profile { profile, rule } => write!(f, "profile {profile}, rule {rule}"),
            Reason::MissingProfile { profile } => write!(f, "profile {profile} does not exist"),
            Reason::NoProfileMatched => f.write_str("no profile matched"),
            Reason::UnknownEndpoint => f.write_str("unknown endpoint"),
            Reason::NoEndpoint => f.write_str("no policy: neither end is a workload endpoint"),
        }
    }
}

/// A decision with its reason.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Verdict {
    /// What becomes of the packet.
    pub action: Decision,
    /// Why.
    pub reason: Reason,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.action, self.reason)
    }
}
