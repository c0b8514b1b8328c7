//! Expressions, to the kernel: fields are loaded into registers, then compared, looked up or written.
//!
//! The kernel's register file is sixteen slots of four bytes. Every expression starts at the first slot; the parts of a
//! concatenation follow one another.

use std::net::IpAddr;

use dataplane::nft::{
    Anonymous, Bytes, CmpOp, Expr, FibResult, Field, Log, LogLevel, LogTarget, MarkPlace,
    MarkSource, Membership, Nat, NatKind, Rate, RejectWith, Scope, SetKind, SetRef,
};

use super::elements::{self, Naming};
use super::uapi::*;
use crate::netlink::MessageWriter;

/// Slots of an address; ports of a translation come behind it.
pub(super) const PORT_SLOT: usize = 4;

/// The kernel's number of the register that starts at a slot, as it writes it back itself.
pub(super) fn register(slot: usize) -> u32 {
    if slot.is_multiple_of(4) {
        1 + slot as u32 / 4
    } else {
        8 + slot as u32
    }
}

/// How the kernel finds a field.
pub(super) enum Source {
    Meta(u32),
    Ct(u32),
    Payload { base: u32, offset: u32 },
    Fib { result: u32, flags: u32 },
}

pub(super) fn source(field: Field) -> Source {
    let network = |offset| Source::Payload {
        base: NFT_PAYLOAD_NETWORK_HEADER,
        offset,
    };
    let transport = |offset| Source::Payload {
        base: NFT_PAYLOAD_TRANSPORT_HEADER,
        offset,
    };
    match field {
        Field::Iifname => Source::Meta(NFT_META_IIFNAME),
        Field::Oifname => Source::Meta(NFT_META_OIFNAME),
        Field::Iif => Source::Meta(NFT_META_IIF),
        Field::Oif => Source::Meta(NFT_META_OIF),
        Field::L4proto => Source::Meta(NFT_META_L4PROTO),
        Field::Nfproto => Source::Meta(NFT_META_NFPROTO),
        Field::Mark => Source::Meta(NFT_META_MARK),
        Field::Ip4Saddr => network(12),
        Field::Ip4Daddr => network(16),
        Field::Ip6Saddr => network(8),
        Field::Ip6Daddr => network(24),
        Field::Sport | Field::IcmpType => transport(0),
        Field::Dport => transport(2),
        Field::IcmpCode => transport(1),
        Field::CtState => Source::Ct(NFT_CT_STATE),
        Field::CtMark => Source::Ct(NFT_CT_MARK),
        Field::CtStatus => Source::Ct(NFT_CT_STATUS),
        Field::CtDirection => Source::Ct(NFT_CT_DIRECTION),
        Field::Fib(key, result) => match result {
            FibResult::Oif => Source::Fib {
                result: NFT_FIB_RESULT_OIF,
                flags: key.bits(),
            },
            FibResult::AddrType => Source::Fib {
                result: NFT_FIB_RESULT_ADDRTYPE,
                flags: key.bits(),
            },
            FibResult::Exists => Source::Fib {
                result: NFT_FIB_RESULT_OIF,
                flags: key.bits() | NFTA_FIB_F_PRESENT,
            },
        },
    }
}

/// The set written within an expression.
pub(super) fn anonymous(expr: &Expr) -> Option<&Anonymous> {
    if let Expr::Lookup {
        set: SetRef::Anonymous(set),
        ..
    }
    | Expr::Vmap {
        map: SetRef::Anonymous(set),
        ..
    } = expr
    {
        return Some(set);
    }
    None
}

/// Writes one expression as the kernel's; `ids` are the numbers of the sets written within the rule.
pub(super) fn write(m: &mut MessageWriter<'_>, expr: &Expr, ids: &mut impl Iterator<Item = u32>) {
    match expr {
        Expr::Cmp {
            field,
            mask,
            op,
            value,
        } => {
            load(m, *field, 0);
            if let Some(mask) = mask {
                bitwise(m, mask, &Bytes::zeros(mask.len()));
            }
            cmp(m, *op, value);
        }
        Expr::Range {
            field,
            membership,
            from,
            to,
        } => {
            load(m, *field, 0);
            element(m, "range", |m| {
                m.be32(NFTA_RANGE_SREG, register(0));
                m.be32(
                    NFTA_RANGE_OP,
                    match membership {
                        Membership::In => NFT_RANGE_EQ,
                        Membership::NotIn => NFT_RANGE_NEQ,
                    },
                );
                data(m, NFTA_RANGE_FROM_DATA, from);
                data(m, NFTA_RANGE_TO_DATA, to);
            });
        }
        Expr::Lookup {
            fields,
            membership,
            set,
        } => {
            load_all(m, fields);
            lookup(m, set, Answer::Is(*membership), ids);
        }
        Expr::Vmap { fields, map } => {
            load_all(m, fields);
            lookup(m, map, Answer::Verdict, ids);
        }
        Expr::SetMark { place, source } => set_mark(m, *place, *source),
        Expr::Counter => element(m, "counter", |m| {
            m.be64(1, 0);
            m.be64(2, 0);
        }),
        Expr::Log(what) => element(m, "log", |m| log(m, what)),
        Expr::Limit { rate, scope } => element(m, "limit", |m| limit(m, *rate, *scope)),
        Expr::ConnLimit { count, scope } => element(m, "connlimit", |m| {
            m.be32(NFTA_CONNLIMIT_COUNT, *count);
            m.be32(
                NFTA_CONNLIMIT_FLAGS,
                match scope {
                    Scope::Within => 0,
                    Scope::Over => NFT_CONNLIMIT_F_INV,
                },
            );
        }),
        Expr::Reject(with) => element(m, "reject", |m| reject(m, *with)),
        Expr::Notrack => element(m, "notrack", |_| {}),
        Expr::Nat(what) => nat(m, what),
        Expr::Verdict(verdict) => element(m, "immediate", |m| {
            m.be32(NFTA_IMMEDIATE_DREG, 0);
            m.nest(NFTA_IMMEDIATE_DATA, |m| elements::write_verdict(m, verdict));
        }),
    }
}

fn element(m: &mut MessageWriter<'_>, name: &str, write: impl FnOnce(&mut MessageWriter<'_>)) {
    m.nest(NFTA_LIST_ELEM, |m| {
        m.text(NFTA_EXPR_NAME, name);
        m.nest(NFTA_EXPR_DATA, write);
    });
}

fn data(m: &mut MessageWriter<'_>, kind: u16, bytes: &Bytes) {
    m.nest(kind, |m| m.bytes(NFTA_DATA_VALUE, bytes.as_slice()));
}

fn load_all(m: &mut MessageWriter<'_>, fields: &[Field]) {
    let mut slot = 0;
    for field in fields {
        load(m, *field, slot);
        slot += field.width().div_ceil(4);
    }
}

fn load(m: &mut MessageWriter<'_>, field: Field, slot: usize) {
    match source(field) {
        Source::Meta(key) => element(m, "meta", |m| {
            m.be32(NFTA_META_DREG, register(slot));
            m.be32(NFTA_META_KEY, key);
        }),
        Source::Ct(key) => element(m, "ct", |m| {
            m.be32(NFTA_CT_DREG, register(slot));
            m.be32(NFTA_CT_KEY, key);
        }),
        Source::Payload { base, offset } => element(m, "payload", |m| {
            m.be32(NFTA_PAYLOAD_DREG, register(slot));
            m.be32(NFTA_PAYLOAD_BASE, base);
            m.be32(NFTA_PAYLOAD_OFFSET, offset);
            m.be32(NFTA_PAYLOAD_LEN, field.width() as u32);
        }),
        Source::Fib { result, flags } => element(m, "fib", |m| {
            m.be32(NFTA_FIB_DREG, register(slot));
            m.be32(NFTA_FIB_RESULT, result);
            m.be32(NFTA_FIB_FLAGS, flags);
        }),
    }
}

fn bitwise(m: &mut MessageWriter<'_>, mask: &Bytes, xor: &Bytes) {
    element(m, "bitwise", |m| {
        m.be32(NFTA_BITWISE_SREG, register(0));
        m.be32(NFTA_BITWISE_DREG, register(0));
        m.be32(NFTA_BITWISE_LEN, mask.len() as u32);
        data(m, NFTA_BITWISE_MASK, mask);
        data(m, NFTA_BITWISE_XOR, xor);
    });
}

fn cmp(m: &mut MessageWriter<'_>, op: CmpOp, value: &Bytes) {
    element(m, "cmp", |m| {
        m.be32(NFTA_CMP_SREG, register(0));
        m.be32(
            NFTA_CMP_OP,
            match op {
                CmpOp::Eq => NFT_CMP_EQ,
                CmpOp::Neq => NFT_CMP_NEQ,
            },
        );
        data(m, NFTA_CMP_DATA, value);
    });
}

fn immediate(m: &mut MessageWriter<'_>, slot: usize, bytes: &Bytes) {
    element(m, "immediate", |m| {
        m.be32(NFTA_IMMEDIATE_DREG, register(slot));
        data(m, NFTA_IMMEDIATE_DATA, bytes);
    });
}

enum Answer {
    Is(Membership),
    Verdict,
}

fn lookup(
    m: &mut MessageWriter<'_>,
    set: &SetRef,
    answer: Answer,
    ids: &mut impl Iterator<Item = u32>,
) {
    element(m, "lookup", |m| {
        match set {
            SetRef::Named(name) => m.text(NFTA_LOOKUP_SET, name.as_str()),
            SetRef::Anonymous(set) => {
                let kind: SetKind = set.ty.kind;
                let id = ids.next().unwrap_or_default();
                m.text(
                    NFTA_LOOKUP_SET,
                    Naming::Anonymous { id, size: 0 }.name(kind),
                );
                m.be32(NFTA_LOOKUP_SET_ID, id);
            }
        }
        m.be32(NFTA_LOOKUP_SREG, register(0));
        match answer {
            Answer::Verdict => m.be32(NFTA_LOOKUP_DREG, 0),
            Answer::Is(Membership::NotIn) => m.be32(NFTA_LOOKUP_FLAGS, NFT_LOOKUP_F_INV),
            Answer::Is(Membership::In) => {}
        }
    });
}

fn set_mark(m: &mut MessageWriter<'_>, place: MarkPlace, source: MarkSource) {
    match source {
        MarkSource::Constant(number) => immediate(m, 0, &Bytes::native(number)),
        MarkSource::Masked { place, and, xor } => {
            load(m, mark_field(place), 0);
            if and != u32::MAX || xor != 0 {
                bitwise(m, &Bytes::native(and), &Bytes::native(xor));
            }
        }
    }
    match place {
        MarkPlace::Packet => element(m, "meta", |m| {
            m.be32(NFTA_META_KEY, NFT_META_MARK);
            m.be32(NFTA_META_SREG, register(0));
        }),
        MarkPlace::Connection => element(m, "ct", |m| {
            m.be32(NFTA_CT_KEY, NFT_CT_MARK);
            m.be32(NFTA_CT_SREG, register(0));
        }),
    }
}

fn mark_field(place: MarkPlace) -> Field {
    match place {
        MarkPlace::Packet => Field::Mark,
        MarkPlace::Connection => Field::CtMark,
    }
}

fn log(m: &mut MessageWriter<'_>, log: &Log) {
    if !log.prefix.is_empty() {
        m.text(NFTA_LOG_PREFIX, &log.prefix);
    }
    match log.target {
        LogTarget::Kernel(level) => {
            m.be32(
                NFTA_LOG_LEVEL,
                LogLevel::ALL
                    .iter()
                    .position(|one| *one == level)
                    .unwrap_or_default() as u32,
            );
        }
        LogTarget::Group {
            group,
            snaplen,
            queue_threshold,
        } => {
            m.be16(NFTA_LOG_GROUP, group);
            if let Some(snaplen) = snaplen {
                m.be32(NFTA_LOG_SNAPLEN, snaplen);
            }
            if queue_threshold != 0 {
                m.be16(NFTA_LOG_QTHRESHOLD, queue_threshold);
            }
        }
    }
}

fn limit(m: &mut MessageWriter<'_>, rate: Rate, scope: Scope) {
    m.be64(NFTA_LIMIT_RATE, rate.packets);
    m.be64(NFTA_LIMIT_UNIT, rate.per as u64);
    m.be32(NFTA_LIMIT_BURST, rate.burst);
    m.be32(NFTA_LIMIT_TYPE, NFT_LIMIT_PKTS);
    m.be32(
        NFTA_LIMIT_FLAGS,
        match scope {
            Scope::Within => 0,
            Scope::Over => NFT_LIMIT_F_INV,
        },
    );
}

/// The codes in the order of the kernel's numbers (NFT_REJECT_ICMPX_*).
pub(super) const REJECT_CODES: [RejectWith; 4] = [
    RejectWith::NoRoute,
    RejectWith::PortUnreachable,
    RejectWith::HostUnreachable,
    RejectWith::AdminProhibited,
];

fn reject(m: &mut MessageWriter<'_>, with: RejectWith) {
    match REJECT_CODES.iter().position(|code| *code == with) {
        Some(code) => {
            m.be32(NFTA_REJECT_TYPE, NFT_REJECT_ICMPX_UNREACH);
            m.u8(NFTA_REJECT_ICMP_CODE, code as u8);
        }
        None => m.be32(NFTA_REJECT_TYPE, NFT_REJECT_TCP_RST),
    }
}

fn nat(m: &mut MessageWriter<'_>, nat: &Nat) {
    let addr = match nat.kind {
        NatKind::Source(addr) | NatKind::Destination(addr) => Some(addr),
        NatKind::Masquerade => None,
    };
    if let Some(addr) = addr {
        immediate(m, 0, &Bytes::addr(addr));
    }
    if let Some(ports) = nat.ports {
        immediate(m, PORT_SLOT, &Bytes::port(ports.first));
        immediate(m, PORT_SLOT + 1, &Bytes::port(ports.last));
    }
    let flags = nat.flags.bits();
    match nat.kind {
        NatKind::Masquerade => element(m, "masq", |m| {
            if flags != 0 {
                m.be32(NFTA_MASQ_FLAGS, flags);
            }
            if nat.ports.is_some() {
                m.be32(NFTA_MASQ_REG_PROTO_MIN, register(PORT_SLOT));
                m.be32(NFTA_MASQ_REG_PROTO_MAX, register(PORT_SLOT + 1));
            }
        }),
        NatKind::Source(addr) => translate(m, nat, (NFT_NAT_SNAT, addr)),
        NatKind::Destination(addr) => translate(m, nat, (NFT_NAT_DNAT, addr)),
    }
}

fn translate(m: &mut MessageWriter<'_>, nat: &Nat, (ty, addr): (u32, IpAddr)) {
    let family = if addr.is_ipv4() {
        NFPROTO_IPV4
    } else {
        NFPROTO_IPV6
    };
    element(m, "nat", |m| {
        m.be32(NFTA_NAT_TYPE, ty);
        m.be32(NFTA_NAT_FAMILY, family.into());
        m.be32(NFTA_NAT_REG_ADDR_MIN, register(0));
        if nat.ports.is_some() {
            m.be32(NFTA_NAT_REG_PROTO_MIN, register(PORT_SLOT));
            m.be32(NFTA_NAT_REG_PROTO_MAX, register(PORT_SLOT + 1));
        }
        if nat.flags.bits() != 0 {
            m.be32(NFTA_NAT_FLAGS, nat.flags.bits());
        }
    });
}
