//! The kernel's own expressions, one by one; [`super::decode`] puts them together to ours.

use dataplane::nft::{
    Bytes, CmpOp, Expr, FibKey, FibResult, Field, Log, LogLevel, LogTarget, MarkPlace, Membership,
    NatFlags, Rate, RateUnit, RejectWith, Scope, SetName, Verdict,
};

use super::elements::{read_bytes, read_verdict};
use super::expressions::{PORT_SLOT, REJECT_CODES, Source, source};
use super::uapi::*;
use crate::netlink::{Attribute, Attributes};

/// One expression of the kernel's, of which ours have one or several.
#[derive(Debug)]
pub(super) enum Part {
    Load {
        slot: usize,
        field: Field,
    },
    Bitwise {
        mask: Bytes,
        xor: Bytes,
    },
    Cmp {
        op: CmpOp,
        value: Bytes,
    },
    Range {
        membership: Membership,
        from: Bytes,
        to: Bytes,
    },
    Lookup {
        set: SetName,
        membership: Membership,
    },
    Vmap {
        map: SetName,
    },
    Immediate {
        slot: usize,
        value: Bytes,
    },
    SetMark(MarkPlace),
    Nat {
        ty: u32,
        family: u32,
        ports: bool,
        flags: NatFlags,
    },
    Masquerade {
        ports: bool,
        flags: NatFlags,
    },
    Whole(Expr),
}

/// The fields without a parameter; routing lookups are found by their flags.
const FIELDS: [Field; 19] = [
    Field::Iifname,
    Field::Oifname,
    Field::Iif,
    Field::Oif,
    Field::L4proto,
    Field::Nfproto,
    Field::Mark,
    Field::Ip4Saddr,
    Field::Ip4Daddr,
    Field::Ip6Saddr,
    Field::Ip6Daddr,
    Field::Sport,
    Field::Dport,
    Field::IcmpType,
    Field::IcmpCode,
    Field::CtState,
    Field::CtMark,
    Field::CtStatus,
    Field::CtDirection,
];

/// One expression of the kernel's, if it is of a kind that we write.
pub(super) fn part(element: Attributes<'_>) -> Option<Part> {
    let empty = Attributes::new(&[]);
    let a = element.get(NFTA_EXPR_DATA).map_or(empty, Attribute::nested);
    match element.get(NFTA_EXPR_NAME)?.text()? {
        "meta" => meta(a),
        "ct" => ct(a),
        "payload" => payload(a),
        "fib" => fib(a),
        "bitwise" => bitwise(a),
        "cmp" => cmp(a),
        "range" => range(a),
        "lookup" => lookup(a),
        "immediate" => immediate(a),
        "nat" => nat(a),
        "masq" => masquerade(a),
        "log" => log(a).map(|log| Part::Whole(Expr::Log(log))),
        "limit" => limit(a).map(Part::Whole),
        "connlimit" => connlimit(a).map(Part::Whole),
        "reject" => reject(a).map(|with| Part::Whole(Expr::Reject(with))),
        "counter" => Some(Part::Whole(Expr::Counter)),
        "notrack" => Some(Part::Whole(Expr::Notrack)),
        _ => None,
    }
}

/// A 32-bit number in network order, which most attributes are.
fn number(a: Attributes<'_>, kind: u16) -> Option<u32> {
    a.get(kind)?.be32()
}

/// The slot that a register starts at.
fn slot(a: Attributes<'_>, kind: u16) -> Option<usize> {
    match number(a, kind)? as usize {
        register @ 1..=4 => Some((register - 1) * 4),
        register @ 8..=23 => Some(register - 8),
        _ => None,
    }
}

/// Operands are always in the first slot.
fn first_slot(a: Attributes<'_>, kind: u16) -> Option<()> {
    (slot(a, kind)? == 0).then_some(())
}

fn bytes(a: Attributes<'_>, kind: u16) -> Option<Bytes> {
    read_bytes(a.get(kind)?)
}

fn meta(a: Attributes<'_>) -> Option<Part> {
    let key = number(a, NFTA_META_KEY)?;
    if a.get(NFTA_META_SREG).is_some() {
        first_slot(a, NFTA_META_SREG)?;
        return (key == NFT_META_MARK).then_some(Part::SetMark(MarkPlace::Packet));
    }
    let field = FIELDS
        .into_iter()
        .find(|field| matches!(source(*field), Source::Meta(one) if one == key))?;
    Some(Part::Load {
        slot: slot(a, NFTA_META_DREG)?,
        field,
    })
}

fn ct(a: Attributes<'_>) -> Option<Part> {
    let key = number(a, NFTA_CT_KEY)?;
    if a.get(NFTA_CT_DIRECTION).is_some() {
        return None;
    }
    if a.get(NFTA_CT_SREG).is_some() {
        first_slot(a, NFTA_CT_SREG)?;
        return (key == NFT_CT_MARK).then_some(Part::SetMark(MarkPlace::Connection));
    }
    let field = FIELDS
        .into_iter()
        .find(|field| matches!(source(*field), Source::Ct(one) if one == key))?;
    Some(Part::Load {
        slot: slot(a, NFTA_CT_DREG)?,
        field,
    })
}

fn payload(a: Attributes<'_>) -> Option<Part> {
    let wanted = (
        number(a, NFTA_PAYLOAD_BASE)?,
        number(a, NFTA_PAYLOAD_OFFSET)?,
    );
    let len = number(a, NFTA_PAYLOAD_LEN)? as usize;
    let field = FIELDS.into_iter().find(|field| match source(*field) {
        Source::Payload { base, offset } => (base, offset) == wanted && field.width() == len,
        Source::Meta(_) | Source::Ct(_) | Source::Fib { .. } => false,
    })?;
    Some(Part::Load {
        slot: slot(a, NFTA_PAYLOAD_DREG)?,
        field,
    })
}

fn fib(a: Attributes<'_>) -> Option<Part> {
    let flags = number(a, NFTA_FIB_FLAGS)?;
    let result = match (number(a, NFTA_FIB_RESULT)?, flags & NFTA_FIB_F_PRESENT) {
        (NFT_FIB_RESULT_OIF, 0) => FibResult::Oif,
        (NFT_FIB_RESULT_OIF, _) => FibResult::Exists,
        (NFT_FIB_RESULT_ADDRTYPE, 0) => FibResult::AddrType,
        _ => return None,
    };
    let field = Field::Fib(FibKey::from_bits(flags & !NFTA_FIB_F_PRESENT)?, result);
    Some(Part::Load {
        slot: slot(a, NFTA_FIB_DREG)?,
        field,
    })
}

fn bitwise(a: Attributes<'_>) -> Option<Part> {
    first_slot(a, NFTA_BITWISE_SREG)?;
    first_slot(a, NFTA_BITWISE_DREG)?;
    if number(a, NFTA_BITWISE_OP).unwrap_or_default() != 0 {
        return None;
    }
    let (mask, xor) = (bytes(a, NFTA_BITWISE_MASK)?, bytes(a, NFTA_BITWISE_XOR)?);
    let whole = number(a, NFTA_BITWISE_LEN)? as usize == mask.len();
    whole.then_some(Part::Bitwise { mask, xor })
}

fn cmp(a: Attributes<'_>) -> Option<Part> {
    first_slot(a, NFTA_CMP_SREG)?;
    let op = match number(a, NFTA_CMP_OP)? {
        NFT_CMP_EQ => CmpOp::Eq,
        NFT_CMP_NEQ => CmpOp::Neq,
        _ => return None,
    };
    Some(Part::Cmp {
        op,
        value: bytes(a, NFTA_CMP_DATA)?,
    })
}

fn range(a: Attributes<'_>) -> Option<Part> {
    first_slot(a, NFTA_RANGE_SREG)?;
    let membership = match number(a, NFTA_RANGE_OP)? {
        NFT_RANGE_EQ => Membership::In,
        NFT_RANGE_NEQ => Membership::NotIn,
        _ => return None,
    };
    Some(Part::Range {
        membership,
        from: bytes(a, NFTA_RANGE_FROM_DATA)?,
        to: bytes(a, NFTA_RANGE_TO_DATA)?,
    })
}

fn lookup(a: Attributes<'_>) -> Option<Part> {
    first_slot(a, NFTA_LOOKUP_SREG)?;
    let set = SetName::from(a.get(NFTA_LOOKUP_SET)?.text()?);
    let membership = match number(a, NFTA_LOOKUP_FLAGS).unwrap_or_default() {
        0 => Membership::In,
        NFT_LOOKUP_F_INV => Membership::NotIn,
        _ => return None,
    };
    match (number(a, NFTA_LOOKUP_DREG), membership) {
        (None, membership) => Some(Part::Lookup { set, membership }),
        (Some(0), Membership::In) => Some(Part::Vmap { map: set }),
        (Some(_), _) => None,
    }
}

fn immediate(a: Attributes<'_>) -> Option<Part> {
    let data = a.get(NFTA_IMMEDIATE_DATA)?;
    if number(a, NFTA_IMMEDIATE_DREG)? == 0 {
        let verdict: Verdict = read_verdict(data)?;
        return Some(Part::Whole(Expr::Verdict(verdict)));
    }
    Some(Part::Immediate {
        slot: slot(a, NFTA_IMMEDIATE_DREG)?,
        value: read_bytes(data)?,
    })
}

/// Whether both ends of a port range come from the slots we use; the kernel repeats the first for a single port.
fn port_slots(a: Attributes<'_>, (min, max): (u16, u16)) -> Option<bool> {
    if a.get(min).is_none() {
        return Some(false);
    }
    (slot(a, min)? == PORT_SLOT && slot(a, max)? == PORT_SLOT + 1).then_some(true)
}

fn nat_flags(a: Attributes<'_>, kind: u16) -> Option<NatFlags> {
    let bits = number(a, kind).unwrap_or_default() & !NF_NAT_RANGE_IMPLIED;
    let known = NatFlags::RANDOM | NatFlags::PERSISTENT | NatFlags::FULLY_RANDOM;
    (bits & !known.bits() == 0).then(|| NatFlags::from_bits(bits))
}

fn nat(a: Attributes<'_>) -> Option<Part> {
    first_slot(a, NFTA_NAT_REG_ADDR_MIN)?;
    if a.get(NFTA_NAT_REG_ADDR_MAX).is_some() {
        first_slot(a, NFTA_NAT_REG_ADDR_MAX)?;
    }
    Some(Part::Nat {
        ty: number(a, NFTA_NAT_TYPE)?,
        family: number(a, NFTA_NAT_FAMILY)?,
        ports: port_slots(a, (NFTA_NAT_REG_PROTO_MIN, NFTA_NAT_REG_PROTO_MAX))?,
        flags: nat_flags(a, NFTA_NAT_FLAGS)?,
    })
}

fn masquerade(a: Attributes<'_>) -> Option<Part> {
    let ports = port_slots(a, (NFTA_MASQ_REG_PROTO_MIN, NFTA_MASQ_REG_PROTO_MAX))?;
    Some(Part::Masquerade {
        ports,
        flags: nat_flags(a, NFTA_MASQ_FLAGS)?,
    })
}

fn log(a: Attributes<'_>) -> Option<Log> {
    let prefix = match a.get(NFTA_LOG_PREFIX) {
        Some(prefix) => prefix.text()?.to_owned(),
        None => String::new(),
    };
    let target = match a.get(NFTA_LOG_GROUP) {
        Some(group) => LogTarget::Group {
            group: group.be16()?,
            snaplen: number(a, NFTA_LOG_SNAPLEN),
            queue_threshold: a
                .get(NFTA_LOG_QTHRESHOLD)
                .and_then(|threshold| threshold.be16())
                .unwrap_or_default(),
        },
        None if number(a, NFTA_LOG_FLAGS).unwrap_or_default() != 0 => return None,
        None => LogTarget::Kernel(*LogLevel::ALL.get(number(a, NFTA_LOG_LEVEL)? as usize)?),
    };
    Some(Log { prefix, target })
}

fn limit(a: Attributes<'_>) -> Option<Expr> {
    let unit = a.get(NFTA_LIMIT_UNIT)?.be64()?;
    let units = [
        RateUnit::Second,
        RateUnit::Minute,
        RateUnit::Hour,
        RateUnit::Day,
    ];
    let per = units.into_iter().find(|one| *one as u64 == unit)?;
    let scope = scope(
        number(a, NFTA_LIMIT_FLAGS).unwrap_or_default(),
        NFT_LIMIT_F_INV,
    )?;
    let rate = Rate {
        packets: a.get(NFTA_LIMIT_RATE)?.be64()?,
        per,
        burst: number(a, NFTA_LIMIT_BURST)?,
    };
    (number(a, NFTA_LIMIT_TYPE)? == NFT_LIMIT_PKTS).then_some(Expr::Limit { rate, scope })
}

fn connlimit(a: Attributes<'_>) -> Option<Expr> {
    let scope = scope(
        number(a, NFTA_CONNLIMIT_FLAGS).unwrap_or_default(),
        NFT_CONNLIMIT_F_INV,
    )?;
    Some(Expr::ConnLimit {
        count: number(a, NFTA_CONNLIMIT_COUNT)?,
        scope,
    })
}

fn scope(flags: u32, inverted: u32) -> Option<Scope> {
    if flags == 0 {
        return Some(Scope::Within);
    }
    (flags == inverted).then_some(Scope::Over)
}

fn reject(a: Attributes<'_>) -> Option<RejectWith> {
    match number(a, NFTA_REJECT_TYPE)? {
        NFT_REJECT_TCP_RST => Some(RejectWith::TcpReset),
        NFT_REJECT_ICMPX_UNREACH => REJECT_CODES
            .get(usize::from(a.get(NFTA_REJECT_ICMP_CODE)?.u8()?))
            .copied(),
        _ => None,
    }
}
