//! Rules and the words to write them with.

use std::net::IpAddr;

use super::bytes::{Bytes, IfPattern, Prefix};
use super::chain::ChainName;
use super::expr::{
    Anonymous, CmpOp, CtDirection, CtState, CtStatus, Expr, FibKey, FibResult, Field, Log,
    LogLevel, LogTarget, MarkPlace, MarkSource, Membership, Nat, NatFlags, NatKind, NfProto,
    PortRange, Rate, RejectWith, Scope, SetRef, Verdict,
};
use super::set::{Element, Elements, Key, KeyType, Matching, SetKind, SetName, SetType};

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

/// A comment on a rule or an element: one line of at most 127 bytes, as `nft` reads it back.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Comment(Box<str>);

impl Comment {
    const MAX: usize = 127;

    /// The text with quotes and control characters replaced, cut to what the kernel's tools can show.
    pub fn new(text: &str) -> Self {
        let mut clean = String::with_capacity(text.len().min(Self::MAX));
        for c in text.chars().map(|c| {
            if c == '"' || c == '\\' || c.is_control() {
                '\''
            } else {
                c
            }
        }) {
            if clean.len() + c.len_utf8() > Self::MAX {
                break;
            }
            clean.push(c);
        }
        Self(clean.into())
    }

    /// The text as the kernel holds it, which may be another hand's.
    pub fn verbatim(text: &str) -> Self {
        Self(text.into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<T: AsRef<str>> From<T> for Comment {
    fn from(text: T) -> Self {
        Self::new(text.as_ref())
    }
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

    /// Compares a whole field.
    #[must_use]
    pub fn cmp(self, field: Field, op: CmpOp, value: Bytes) -> Self {
        self.require(field).push(Expr::Cmp {
            field,
            mask: None,
            op,
            value,
        })
    }

    /// Compares the bits of a field that a mask selects.
    #[must_use]
    pub fn cmp_masked(self, field: Field, mask: Bytes, op: CmpOp, value: Bytes) -> Self {
        self.require(field).push(Expr::Cmp {
            field,
            mask: Some(mask),
            op,
            value,
        })
    }

    /// Compares a field with a range.
    #[must_use]
    pub fn range(self, field: Field, membership: Membership, from: Bytes, to: Bytes) -> Self {
        self.require(field).push(Expr::Range {
            field,
            membership,
            from,
            to,
        })
    }

    /// Came in by this interface; a closing `*` makes a prefix of it.
    #[must_use]
    pub fn iifname(self, pattern: impl Into<IfPattern>) -> Self {
        self.cmp(Field::Iifname, CmpOp::Eq, pattern.into().bytes())
    }

    /// Came in by another interface.
    #[must_use]
    pub fn not_iifname(self, pattern: impl Into<IfPattern>) -> Self {
        self.cmp(Field::Iifname, CmpOp::Neq, pattern.into().bytes())
    }

    /// Leaves by this interface.
    #[must_use]
    pub fn oifname(self, pattern: impl Into<IfPattern>) -> Self {
        self.cmp(Field::Oifname, CmpOp::Eq, pattern.into().bytes())
    }

    /// Leaves by another interface.
    #[must_use]
    pub fn not_oifname(self, pattern: impl Into<IfPattern>) -> Self {
        self.cmp(Field::Oifname, CmpOp::Neq, pattern.into().bytes())
    }

    /// Came in by the interface of this index.
    #[must_use]
    pub fn iif(self, index: u32) -> Self {
        self.cmp(Field::Iif, CmpOp::Eq, Bytes::native(index))
    }

    /// Leaves by the interface of this index.
    #[must_use]
    pub fn oif(self, index: u32) -> Self {
        self.cmp(Field::Oif, CmpOp::Eq, Bytes::native(index))
    }

    /// Is of this IP version.
    #[must_use]
    pub fn nfproto(self, version: NfProto) -> Self {
        self.cmp(Field::Nfproto, CmpOp::Eq, Bytes::byte(version as u8))
    }

    /// Is of this transport protocol.
    #[must_use]
    pub fn l4proto(self, proto: u8) -> Self {
        self.cmp(Field::L4proto, CmpOp::Eq, Bytes::byte(proto))
    }

    /// Is of another transport protocol.
    #[must_use]
    pub fn not_l4proto(self, proto: u8) -> Self {
        self.cmp(Field::L4proto, CmpOp::Neq, Bytes::byte(proto))
    }

    /// Comes from one of these addresses.
    #[must_use]
    pub fn saddr(self, prefix: impl Into<Prefix>) -> Self {
        self.addr(prefix.into(), Side::Source, CmpOp::Eq)
    }

    /// Comes from another address of the same IP version.
    #[must_use]
    pub fn not_saddr(self, prefix: impl Into<Prefix>) -> Self {
        self.addr(prefix.into(), Side::Source, CmpOp::Neq)
    }

    /// Goes to one of these addresses.
    #[must_use]
    pub fn daddr(self, prefix: impl Into<Prefix>) -> Self {
        self.addr(prefix.into(), Side::Destination, CmpOp::Eq)
    }

    /// Goes to another address of the same IP version.
    #[must_use]
    pub fn not_daddr(self, prefix: impl Into<Prefix>) -> Self {
        self.addr(prefix.into(), Side::Destination, CmpOp::Neq)
    }

    fn addr(self, prefix: Prefix, side: Side, op: CmpOp) -> Self {
        let field = match (prefix.addr(), side) {
            (IpAddr::V4(_), Side::Source) => Field::Ip4Saddr,
            (IpAddr::V4(_), Side::Destination) => Field::Ip4Daddr,
            (IpAddr::V6(_), Side::Source) => Field::Ip6Saddr,
            (IpAddr::V6(_), Side::Destination) => Field::Ip6Daddr,
        };
        let value = Bytes::addr(prefix.addr());
        if prefix.is_host() {
            self.cmp(field, op, value)
        } else {
            self.cmp_masked(field, prefix.mask(), op, value)
        }
    }

    /// Comes from one of these ports.
    #[must_use]
    pub fn sport(self, ports: impl Into<PortRange>) -> Self {
        self.ports(Field::Sport, ports.into(), Membership::In)
    }

    /// Goes to one of these ports.
    #[must_use]
    pub fn dport(self, ports: impl Into<PortRange>) -> Self {
        self.ports(Field::Dport, ports.into(), Membership::In)
    }

    /// Comes from any other port.
    #[must_use]
    pub fn not_sport(self, ports: impl Into<PortRange>) -> Self {
        self.ports(Field::Sport, ports.into(), Membership::NotIn)
    }

    /// Goes to any other port.
    #[must_use]
    pub fn not_dport(self, ports: impl Into<PortRange>) -> Self {
        self.ports(Field::Dport, ports.into(), Membership::NotIn)
    }

    fn ports(self, field: Field, ports: PortRange, membership: Membership) -> Self {
        if ports.first == ports.last {
            let op = match membership {
                Membership::In => CmpOp::Eq,
                Membership::NotIn => CmpOp::Neq,
            };
            return self.cmp(field, op, Bytes::port(ports.first));
        }
        self.range(
            field,
            membership,
            Bytes::port(ports.first),
            Bytes::port(ports.last),
        )
    }

    /// Is an ICMP or ICMPv6 message of this type.
    #[must_use]
    pub fn icmp_type(self, number: u8) -> Self {
        self.cmp(Field::IcmpType, CmpOp::Eq, Bytes::byte(number))
    }

    /// Is an ICMP or ICMPv6 message of this code.
    #[must_use]
    pub fn icmp_code(self, number: u8) -> Self {
        self.cmp(Field::IcmpCode, CmpOp::Eq, Bytes::byte(number))
    }

    /// Belongs to a connection in one of these states.
    #[must_use]
    pub fn ct_state(self, states: CtState) -> Self {
        let mask = Bytes::native(states.bits());
        self.cmp_masked(Field::CtState, mask, CmpOp::Neq, Bytes::native(0))
    }

    /// Belongs to a connection in none of these states.
    #[must_use]
    pub fn not_ct_state(self, states: CtState) -> Self {
        let mask = Bytes::native(states.bits());
        self.cmp_masked(Field::CtState, mask, CmpOp::Eq, Bytes::native(0))
    }

    /// Belongs to a connection with one of these status bits.
    #[must_use]
    pub fn ct_status(self, status: CtStatus) -> Self {
        let mask = Bytes::native(status.bits());
        self.cmp_masked(Field::CtStatus, mask, CmpOp::Neq, Bytes::native(0))
    }

    /// Belongs to a connection with none of these status bits.
    #[must_use]
    pub fn not_ct_status(self, status: CtStatus) -> Self {
        let mask = Bytes::native(status.bits());
        self.cmp_masked(Field::CtStatus, mask, CmpOp::Eq, Bytes::native(0))
    }

    /// Goes this way within its connection.
    #[must_use]
    pub fn ct_direction(self, direction: CtDirection) -> Self {
        self.cmp(Field::CtDirection, CmpOp::Eq, Bytes::byte(direction as u8))
    }

    /// The selected bits of the packet's mark are these.
    #[must_use]
    pub fn mark(self, value: u32, mask: u32) -> Self {
        self.mark_cmp(Field::Mark, CmpOp::Eq, value, mask)
    }

    /// The selected bits of the packet's mark are not these.
    #[must_use]
    pub fn not_mark(self, value: u32, mask: u32) -> Self {
        self.mark_cmp(Field::Mark, CmpOp::Neq, value, mask)
    }

    /// The selected bits of the connection's mark are these.
    #[must_use]
    pub fn ct_mark(self, value: u32, mask: u32) -> Self {
        self.mark_cmp(Field::CtMark, CmpOp::Eq, value, mask)
    }

    /// The selected bits of the connection's mark are not these.
    #[must_use]
    pub fn not_ct_mark(self, value: u32, mask: u32) -> Self {
        self.mark_cmp(Field::CtMark, CmpOp::Neq, value, mask)
    }

    fn mark_cmp(self, field: Field, op: CmpOp, value: u32, mask: u32) -> Self {
        match mask {
            u32::MAX => self.cmp(field, op, Bytes::native(value)),
            mask => self.cmp_masked(field, Bytes::native(mask), op, Bytes::native(value)),
        }
    }

    /// A routing lookup answers this type of address.
    #[must_use]
    pub fn fib_type(self, key: FibKey, address_type: u32) -> Self {
        self.cmp(
            Field::Fib(key, FibResult::AddrType),
            CmpOp::Eq,
            Bytes::native(address_type),
        )
    }

    /// A routing lookup answers another type of address.
    #[must_use]
    pub fn not_fib_type(self, key: FibKey, address_type: u32) -> Self {
        self.cmp(
            Field::Fib(key, FibResult::AddrType),
            CmpOp::Neq,
            Bytes::native(address_type),
        )
    }

    /// A routing lookup finds nothing.
    #[must_use]
    pub fn fib_missing(self, key: FibKey) -> Self {
        self.cmp(
            Field::Fib(key, FibResult::Exists),
            CmpOp::Eq,
            Bytes::byte(0),
        )
    }

    /// These fields, taken together, are an element of the set.
    #[must_use]
    pub fn in_set(self, fields: impl Into<Vec<Field>>, set: impl Into<SetRef>) -> Self {
        self.lookup(fields.into(), Membership::In, set.into())
    }

    /// These fields, taken together, are no element of the set.
    #[must_use]
    pub fn not_in_set(self, fields: impl Into<Vec<Field>>, set: impl Into<SetRef>) -> Self {
        self.lookup(fields.into(), Membership::NotIn, set.into())
    }

    /// The field is one of these values or ranges, written within the rule. Fields without a set type match nothing.
    #[must_use]
    pub fn one_of(self, field: Field, elements: impl IntoIterator<Item = Element>) -> Self {
        let set = anonymous(&[field], SetKind::Set, elements);
        self.lookup(vec![field], Membership::In, set)
    }

    /// The field is none of these values or ranges.
    #[must_use]
    pub fn none_of(self, field: Field, elements: impl IntoIterator<Item = Element>) -> Self {
        let set = anonymous(&[field], SetKind::Set, elements);
        self.lookup(vec![field], Membership::NotIn, set)
    }

    fn lookup(self, fields: Vec<Field>, membership: Membership, set: SetRef) -> Self {
        self.require_all(&fields).push(Expr::Lookup {
            fields,
            membership,
            set,
        })
    }

    /// Does what the map says for these fields.
    #[must_use]
    pub fn vmap(self, fields: impl Into<Vec<Field>>, map: impl Into<SetRef>) -> Self {
        let fields = fields.into();
        self.require_all(&fields).push(Expr::Vmap {
            fields,
            map: map.into(),
        })
    }

    /// Does what these elements, written within the rule, say for these fields.
    #[must_use]
    pub fn vmap_of(
        self,
        fields: impl Into<Vec<Field>>,
        elements: impl IntoIterator<Item = Element>,
    ) -> Self {
        let fields = fields.into();
        let map = anonymous(&fields, SetKind::VerdictMap, elements);
        self.vmap(fields, map)
    }

    /// Sets the selected bits of the packet's mark to these and keeps the others.
    #[must_use]
    pub fn set_mark(self, value: u32, mask: u32) -> Self {
        self.push(masked_mark(MarkPlace::Packet, value, mask))
    }

    /// Sets the selected bits of the connection's mark to these and keeps the others.
    #[must_use]
    pub fn set_ct_mark(self, value: u32, mask: u32) -> Self {
        self.push(masked_mark(MarkPlace::Connection, value, mask))
    }

    /// Copies the selected bits of one mark to the other and clears all others there.
    #[must_use]
    pub fn copy_mark(self, from: MarkPlace, to: MarkPlace, and: u32) -> Self {
        self.push(Expr::SetMark {
            place: to,
            source: MarkSource::Masked {
                place: from,
                and,
                xor: 0,
            },
        })
    }

    /// Counts packets and bytes.
    #[must_use]
    pub fn counter(self) -> Self {
        self.push(Expr::Counter)
    }

    /// Matches packets within a rate.
    #[must_use]
    pub fn limit(self, rate: Rate) -> Self {
        self.push(Expr::Limit {
            rate,
            scope: Scope::Within,
        })
    }

    /// Matches packets beyond a rate.
    #[must_use]
    pub fn limit_over(self, rate: Rate) -> Self {
        self.push(Expr::Limit {
            rate,
            scope: Scope::Over,
        })
    }

    /// Matches packets of connections beyond this many.
    #[must_use]
    pub fn connections_over(self, count: u32) -> Self {
        self.push(Expr::ConnLimit {
            count,
            scope: Scope::Over,
        })
    }

    /// Writes a line to the kernel log.
    #[must_use]
    pub fn log(self, prefix: &str, level: LogLevel) -> Self {
        self.push(Expr::Log(Log {
            prefix: prefix.to_owned(),
            target: LogTarget::Kernel(level),
        }))
    }

    /// Sends a record to an NFLOG group.
    #[must_use]
    pub fn nflog(self, prefix: &str, group: u16, snaplen: Option<u32>) -> Self {
        let target = LogTarget::Group {
            group,
            snaplen,
            queue_threshold: 0,
        };
        self.push(Expr::Log(Log {
            prefix: prefix.to_owned(),
            target,
        }))
    }

    /// Exempts the packet from connection tracking.
    #[must_use]
    pub fn notrack(self) -> Self {
        self.push(Expr::Notrack)
    }

    /// Translates the source to the outgoing interface's address.
    #[must_use]
    pub fn masquerade(self, ports: Option<PortRange>, flags: NatFlags) -> Self {
        self.push(Expr::Nat(Nat {
            kind: NatKind::Masquerade,
            ports,
            flags,
        }))
    }

    /// Translates the source to this address. Needs a check of the IP version, which it adds.
    #[must_use]
    pub fn snat(self, to: IpAddr, ports: Option<PortRange>, flags: NatFlags) -> Self {
        self.require_version(to.into()).push(Expr::Nat(Nat {
            kind: NatKind::Source(to),
            ports,
            flags,
        }))
    }

    /// Translates the destination to this address and, if given, port.
    #[must_use]
    pub fn dnat(self, to: IpAddr, ports: Option<PortRange>) -> Self {
        let nat = Nat {
            kind: NatKind::Destination(to),
            ports,
            flags: NatFlags::default(),
        };
        self.require_version(to.into()).push(Expr::Nat(nat))
    }

    /// Decides.
    #[must_use]
    pub fn verdict(self, verdict: Verdict) -> Self {
        self.push(Expr::Verdict(verdict))
    }

    /// Accepts: on to the following base chain.
    #[must_use]
    pub fn accept(self) -> Self {
        self.verdict(Verdict::Accept)
    }

    /// Drops.
    #[must_use]
    pub fn drop(self) -> Self {
        self.verdict(Verdict::Drop)
    }

    /// Goes back to the chain that jumped here.
    #[must_use]
    pub fn ret(self) -> Self {
        self.verdict(Verdict::Return)
    }

    /// Goes to another chain and comes back.
    #[must_use]
    pub fn jump(self, chain: impl Into<ChainName>) -> Self {
        self.verdict(Verdict::Jump(chain.into()))
    }

    /// Goes to another chain for good.
    #[must_use]
    pub fn goto(self, chain: impl Into<ChainName>) -> Self {
        self.verdict(Verdict::Goto(chain.into()))
    }

    /// Drops and answers.
    #[must_use]
    pub fn reject(self, with: RejectWith) -> Self {
        self.push(Expr::Reject(with))
    }

    fn require_all(self, fields: &[Field]) -> Self {
        fields.iter().fold(self, |rule, field| rule.require(*field))
    }

    fn require(self, field: Field) -> Self {
        match field.requires() {
            Some(version) => self.require_version(version),
            None => self,
        }
    }

    fn require_version(self, version: NfProto) -> Self {
        let stated = self.exprs.iter().any(|expr| {
            matches!(
                expr,
                Expr::Cmp {
                    field: Field::Nfproto,
                    op: CmpOp::Eq,
                    mask: None,
                    ..
                }
            )
        });
        if stated { self } else { self.nfproto(version) }
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

#[derive(Clone, Copy)]
enum Side {
    Source,
    Destination,
}

fn masked_mark(place: MarkPlace, value: u32, mask: u32) -> Expr {
    let source = match mask {
        u32::MAX => MarkSource::Constant(value),
        mask => MarkSource::Masked {
            place,
            and: !mask,
            xor: value & mask,
        },
    };
    Expr::SetMark { place, source }
}

fn anonymous(
    fields: &[Field],
    kind: SetKind,
    elements: impl IntoIterator<Item = Element>,
) -> SetRef {
    let elements: Elements = elements
        .into_iter()
        .map(|Element { key, load }| (key, load))
        .collect();
    let matching = if elements.keys().all(Key::is_single) {
        Matching::Exact
    } else {
        Matching::Interval
    };
    let key: Vec<KeyType> = fields.iter().filter_map(|field| field.key_type()).collect();
    SetRef::Anonymous(Box::new(Anonymous {
        ty: SetType {
            key,
            kind,
            matching,
        },
        elements,
    }))
}
