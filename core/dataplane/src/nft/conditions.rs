//! The words for what a rule matches.

use std::net::IpAddr;

use super::bytes::{Bytes, IfPattern, Prefix};
use super::expr::{Anonymous, CmpOp, Expr, Membership, SetRef};
use super::field::{CtDirection, FibKey, FibResult, Field, NfProto};
use super::flags::{CtState, CtStatus};
use super::names::PortRange;
use super::rule::Rule;
use super::set::{Element, Elements, Key, KeyType, Matching, SetKind, SetType};

impl Rule {
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
        self.interface(Field::Iifname, CmpOp::Eq, &pattern.into())
    }

    /// Came in by another interface.
    #[must_use]
    pub fn not_iifname(self, pattern: impl Into<IfPattern>) -> Self {
        self.interface(Field::Iifname, CmpOp::Neq, &pattern.into())
    }

    /// Leaves by this interface.
    #[must_use]
    pub fn oifname(self, pattern: impl Into<IfPattern>) -> Self {
        self.interface(Field::Oifname, CmpOp::Eq, &pattern.into())
    }

    /// Leaves by another interface.
    #[must_use]
    pub fn not_oifname(self, pattern: impl Into<IfPattern>) -> Self {
        self.interface(Field::Oifname, CmpOp::Neq, &pattern.into())
    }

    fn interface(self, field: Field, op: CmpOp, pattern: &IfPattern) -> Self {
        let bytes = pattern.bytes();
        match (bytes.is_empty(), op) {
            (false, _) => self.cmp(field, op, bytes),
            // `*` is any interface, and its opposite none.
            (true, CmpOp::Eq) => self,
            (true, CmpOp::Neq) => {
                let nothing = Bytes::zeros(field.width());
                self.cmp_masked(field, nothing.clone(), op, nothing)
            }
        }
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

    fn require_all(self, fields: &[Field]) -> Self {
        fields.iter().fold(self, |rule, field| rule.require(*field))
    }

    fn require(self, field: Field) -> Self {
        match field.requires() {
            Some(version) => self.require_version(version),
            None => self,
        }
    }

    pub(super) fn require_version(self, version: NfProto) -> Self {
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
}

#[derive(Clone, Copy)]
enum Side {
    Source,
    Destination,
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
