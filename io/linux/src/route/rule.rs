//! Policy rules: which routing table a packet is looked up in.

use model::{Cidr, Family};

use super::fib::{RouteProtocol, TableId};
use super::socket::{Changes, RouteSocket};
use super::{CREATE, family_number, family_of};
use crate::netlink::{Message, MessageWriter, NetlinkError, Request};

/// `struct fib_rule_hdr`.
const HEADER_LEN: usize = 12;

// linux/fib_rules.h
const FRA_DST: u16 = 1;
const FRA_SRC: u16 = 2;
const FRA_IIFNAME: u16 = 3;
const FRA_PRIORITY: u16 = 6;
const FRA_FWMARK: u16 = 10;
const FRA_TABLE: u16 = 15;
const FRA_FWMASK: u16 = 16;
const FRA_OIFNAME: u16 = 17;
const FRA_PROTOCOL: u16 = 21;
const FR_ACT_TO_TBL: u8 = 1;
const FR_ACT_BLACKHOLE: u8 = 6;
const FR_ACT_UNREACHABLE: u8 = 7;
const FR_ACT_PROHIBIT: u8 = 8;
const FIB_RULE_INVERT: u32 = 2;

/// A packet mark under a mask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Mark {
    /// The wanted bits.
    pub value: u32,
    /// The bits that count.
    pub mask: u32,
}

/// Whether a rule is for the packets that match, or for the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RuleMatch {
    /// For those that match.
    Matching,
    /// For the others (`not`).
    Others,
}

/// What a rule does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RuleAction {
    /// Looks the packet up in a table.
    Lookup(TableId),
    /// Drops it without a word.
    Blackhole,
    /// Refuses it: unreachable.
    Unreachable,
    /// Refuses it: prohibited.
    Prohibit,
    /// Any other number.
    Other(u8),
}

/// A rule.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PolicyRule {
    /// Its family.
    pub family: Family,
    /// Its place: rules are tried from the lowest number.
    pub priority: u32,
    /// Whether it is for matching packets or the others.
    pub matching: RuleMatch,
    /// Sources it matches.
    pub from: Option<Cidr>,
    /// Destinations it matches.
    pub to: Option<Cidr>,
    /// Marks it matches.
    pub mark: Option<Mark>,
    /// The interface packets came in by.
    pub input: Option<String>,
    /// The interface packets of bound sockets go out by.
    pub output: Option<String>,
    /// What it does.
    pub action: RuleAction,
    /// Who put it there.
    pub protocol: RouteProtocol,
}

impl PolicyRule {
    /// Looks every packet of a family up in a table.
    pub fn lookup(family: Family, priority: u32, table: TableId) -> Self {
        PolicyRule {
            family,
            priority,
            matching: RuleMatch::Matching,
            from: None,
            to: None,
            mark: None,
            input: None,
            output: None,
            action: RuleAction::Lookup(table),
            protocol: RouteProtocol::BOOT,
        }
    }

    fn header(&self) -> [u8; HEADER_LEN] {
        let mut bytes = [0; HEADER_LEN];
        bytes[0] = family_number(self.family);
        bytes[1] = self.to.map_or(0, Cidr::len);
        bytes[2] = self.from.map_or(0, Cidr::len);
        let (action, table) = match self.action {
            RuleAction::Lookup(table) => (FR_ACT_TO_TBL, u8::try_from(table.0).unwrap_or(0)),
            RuleAction::Blackhole => (FR_ACT_BLACKHOLE, 0),
            RuleAction::Unreachable => (FR_ACT_UNREACHABLE, 0),
            RuleAction::Prohibit => (FR_ACT_PROHIBIT, 0),
            RuleAction::Other(action) => (action, 0),
        };
        bytes[4] = table;
        bytes[7] = action;
        let flags = match self.matching {
            RuleMatch::Matching => 0,
            RuleMatch::Others => FIB_RULE_INVERT,
        };
        bytes[8..12].copy_from_slice(&flags.to_ne_bytes());
        bytes
    }

    fn write(&self, m: &mut MessageWriter<'_>) {
        m.u32(FRA_PRIORITY, self.priority);
        m.u8(FRA_PROTOCOL, self.protocol.0);
        if let Some(to) = self.to {
            m.ip(FRA_DST, to.addr());
        }
        if let Some(from) = self.from {
            m.ip(FRA_SRC, from.addr());
        }
        if let Some(Mark { value, mask }) = self.mark {
            m.u32(FRA_FWMARK, value);
            m.u32(FRA_FWMASK, mask);
        }
        if let Some(input) = &self.input {
            m.text(FRA_IIFNAME, input);
        }
        if let Some(output) = &self.output {
            m.text(FRA_OIFNAME, output);
        }
        match self.action {
            RuleAction::Lookup(table) => m.u32(FRA_TABLE, table.0),
            RuleAction::Blackhole
            | RuleAction::Unreachable
            | RuleAction::Prohibit
            | RuleAction::Other(_) => {}
        }
    }
}

impl Changes {
    /// Adds a rule; the same rule twice is a failure.
    pub fn add_rule(&mut self, rule: &PolicyRule) -> usize {
        self.rule("add the rule", libc::RTM_NEWRULE, CREATE, rule)
    }

    /// Deletes the rule that matches in all that is given here.
    pub fn delete_rule(&mut self, rule: &PolicyRule) -> usize {
        self.rule("delete the rule", libc::RTM_DELRULE, 0, rule)
    }

    fn rule(&mut self, doing: &'static str, kind: u16, flags: u16, rule: &PolicyRule) -> usize {
        let header = rule.header();
        self.batch.message(
            Request {
                doing,
                kind,
                flags,
                header: &header,
            },
            |m| rule.write(m),
        )
    }
}

impl RouteSocket {
    /// All rules of a family.
    pub fn rules(&mut self, family: Family) -> Result<Vec<PolicyRule>, NetlinkError> {
        let mut header = [0; HEADER_LEN];
        header[0] = family_number(family);
        let request = Request {
            doing: "list the rules",
            kind: libc::RTM_GETRULE,
            flags: 0,
            header: &header,
        };
        self.netlink.dump(request, |_| {}, decode_rule)
    }
}

/// Reads a rule from a reply.
pub(super) fn decode_rule(message: &Message<'_>) -> Option<PolicyRule> {
    if message.kind != libc::RTM_NEWRULE {
        return None;
    }
    let (header, attributes) = message.split(HEADER_LEN)?;
    let &[
        family,
        to_len,
        from_len,
        _,
        table,
        _,
        _,
        action,
        f0,
        f1,
        f2,
        f3,
    ] = header.first_chunk::<HEADER_LEN>()?;
    let family = family_of(family)?;
    let text = |kind| {
        attributes
            .get(kind)
            .and_then(|a| a.text())
            .map(str::to_owned)
    };
    let net = |kind, len| {
        attributes
            .get(kind)
            .and_then(|a| a.ip())
            .map(|addr| Cidr::new(addr, len))
    };
    let number = |kind| attributes.get(kind).and_then(|a| a.u32());
    let inverted = u32::from_ne_bytes([f0, f1, f2, f3]) & FIB_RULE_INVERT != 0;
    Some(PolicyRule {
        family,
        priority: number(FRA_PRIORITY).unwrap_or(0),
        matching: if inverted {
            RuleMatch::Others
        } else {
            RuleMatch::Matching
        },
        from: net(FRA_SRC, from_len),
        to: net(FRA_DST, to_len),
        mark: number(FRA_FWMASK).map(|mask| Mark {
            value: number(FRA_FWMARK).unwrap_or(0),
            mask,
        }),
        input: text(FRA_IIFNAME),
        output: text(FRA_OIFNAME),
        action: match action {
            FR_ACT_TO_TBL => RuleAction::Lookup(TableId(number(FRA_TABLE).unwrap_or(table.into()))),
            FR_ACT_BLACKHOLE => RuleAction::Blackhole,
            FR_ACT_UNREACHABLE => RuleAction::Unreachable,
            FR_ACT_PROHIBIT => RuleAction::Prohibit,
            other => RuleAction::Other(other),
        },
        protocol: RouteProtocol(
            attributes
                .get(FRA_PROTOCOL)
                .and_then(|a| a.u8())
                .unwrap_or(0),
        ),
    })
}
