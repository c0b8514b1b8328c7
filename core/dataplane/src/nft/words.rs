//! Rules as text that `nft -f` takes and people read. What is printed is what the kernel holds, expression by expression,
//! so checks that `nft` leaves out of its own listings (`meta nfproto`) are shown.

use std::fmt::{self, Display, Formatter, Write};
use std::net::IpAddr;

use super::bytes::{Bytes, IFNAME_LEN, Prefix};
use super::expr::{
    CmpOp, Expr, Log, LogLevel, LogTarget, MarkPlace, MarkSource, Membership, Nat, NatKind, Rate,
    RateUnit, RejectWith, Scope, SetRef,
};
use super::field::{FibKey, FibResult, Field};
use super::flags::{CtState, CtStatus};
use super::names::{PortRange, Verdict};
use super::print::{elements, joined, text, value};
use super::rule::{Rule, proto};
use super::set::KeyType;

impl Display for Rule {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let icmp = self.exprs.iter().any(|expr| {
            matches!(expr, Expr::Cmp { field: Field::L4proto, value, .. } if value.as_slice() == [proto::ICMPV6])
        });
        let words = Words {
            icmp: if icmp { "icmpv6" } else { "icmp" },
        };
        joined(f, &self.exprs, " ", |f, one| words.expr(f, one))?;
        match &self.comment {
            Some(comment) if self.exprs.is_empty() => write!(f, "{comment}"),
            Some(comment) => write!(f, " {comment}"),
            None => Ok(()),
        }
    }
}

impl Display for Verdict {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Accept => f.write_str("accept"),
            Self::Drop => f.write_str("drop"),
            Self::Continue => f.write_str("continue"),
            Self::Return => f.write_str("return"),
            Self::Jump(chain) => write!(f, "jump {chain}"),
            Self::Goto(chain) => write!(f, "goto {chain}"),
        }
    }
}

/// What the words for one rule depend on.
struct Words {
    icmp: &'static str,
}

impl Words {
    fn expr(&self, f: &mut Formatter<'_>, expr: &Expr) -> fmt::Result {
        match expr {
            Expr::Cmp {
                field,
                mask,
                op,
                value,
            } => self.cmp(f, *field, mask.as_ref(), *op, value),
            Expr::Range {
                field,
                membership,
                from,
                to,
            } => {
                self.field(f, *field)?;
                f.write_str(not(*membership))?;
                constant(f, *field, from)?;
                f.write_char('-')?;
                constant(f, *field, to)
            }
            Expr::Lookup {
                fields,
                membership,
                set,
            } => {
                self.fields(f, fields)?;
                f.write_str(not(*membership))?;
                set_ref(f, set)
            }
            Expr::Vmap { fields, map } => {
                self.fields(f, fields)?;
                f.write_str(" vmap ")?;
                set_ref(f, map)
            }
            Expr::SetMark { place, source } => set_mark(f, *place, *source),
            Expr::Counter => f.write_str("counter"),
            Expr::Log(what) => log(f, what),
            Expr::Limit { rate, scope } => limit(f, *rate, *scope),
            Expr::ConnLimit { count, scope } => match scope {
                Scope::Within => write!(f, "ct count {count}"),
                Scope::Over => write!(f, "ct count over {count}"),
            },
            Expr::Reject(with) => reject(f, *with),
            Expr::Notrack => f.write_str("notrack"),
            Expr::Nat(what) => nat(f, what),
            Expr::Verdict(verdict) => write!(f, "{verdict}"),
        }
    }

    fn fields(&self, f: &mut Formatter<'_>, fields: &[Field]) -> fmt::Result {
        joined(f, fields, " . ", |f, one| self.field(f, *one))
    }

    fn field(&self, f: &mut Formatter<'_>, field: Field) -> fmt::Result {
        f.write_str(match field {
            Field::Iifname => "iifname",
            Field::Oifname => "oifname",
            Field::Iif => "iif",
            Field::Oif => "oif",
            Field::L4proto => "meta l4proto",
            Field::Nfproto => "meta nfproto",
            Field::Mark => "meta mark",
            Field::Ip4Saddr => "ip saddr",
            Field::Ip4Daddr => "ip daddr",
            Field::Ip6Saddr => "ip6 saddr",
            Field::Ip6Daddr => "ip6 daddr",
            Field::Sport => "th sport",
            Field::Dport => "th dport",
            Field::IcmpType => return write!(f, "{} type", self.icmp),
            Field::IcmpCode => return write!(f, "{} code", self.icmp),
            Field::CtState => "ct state",
            Field::CtMark => "ct mark",
            Field::CtStatus => "ct status",
            Field::CtDirection => "ct direction",
            Field::Fib(key, result) => return fib(f, key, result),
        })
    }

    fn cmp(
        &self,
        f: &mut Formatter<'_>,
        field: Field,
        mask: Option<&Bytes>,
        op: CmpOp,
        value: &Bytes,
    ) -> fmt::Result {
        self.field(f, field)?;
        let Some(mask) = mask else {
            f.write_str(match op {
                CmpOp::Eq => " ",
                CmpOp::Neq => " != ",
            })?;
            return constant(f, field, value);
        };
        if let (Some(prefix), true) = (prefix_from(value, mask), field.requires().is_some()) {
            return match op {
                CmpOp::Eq => write!(f, " {prefix}"),
                CmpOp::Neq => write!(f, " != {prefix}"),
            };
        }
        if op == CmpOp::Neq
            && value.to_native() == Some(0)
            && matches!(field, Field::CtState | Field::CtStatus)
        {
            f.write_char(' ')?;
            return constant(f, field, mask);
        }
        f.write_str(" & ")?;
        mask_of(f, field, mask)?;
        f.write_str(match op {
            CmpOp::Eq => " == ",
            CmpOp::Neq => " != ",
        })?;
        mask_of(f, field, value)
    }
}

fn not(membership: Membership) -> &'static str {
    match membership {
        Membership::In => " ",
        Membership::NotIn => " != ",
    }
}

fn prefix_from(value: &Bytes, mask: &Bytes) -> Option<Prefix> {
    let addr = value.to_addr()?;
    let len: u32 = mask.as_slice().iter().map(|byte| byte.leading_ones()).sum();
    let prefix = Prefix::new(addr, u8::try_from(len).ok()?);
    (prefix.mask() == *mask && prefix.addr() == addr).then_some(prefix)
}

/// A mask, or the value compared under one: numbers where the whole field would have a name.
fn mask_of(f: &mut Formatter<'_>, field: Field, bytes: &Bytes) -> fmt::Result {
    match field.requires() {
        Some(_) => constant(f, field, bytes),
        None => match (field.key_type(), bytes.to_native()) {
            (Some(KeyType::Mark) | None, Some(number)) => write!(f, "{number:#x}"),
            _ => constant(f, field, bytes),
        },
    }
}

fn constant(f: &mut Formatter<'_>, field: Field, bytes: &Bytes) -> fmt::Result {
    if let (Field::Iifname | Field::Oifname, true) = (field, bytes.len() < IFNAME_LEN) {
        return write!(f, "\"{}*\"", text(bytes));
    }
    if let Some(ty) = field.key_type() {
        return value(f, ty, bytes);
    }
    let number = if bytes.len() == 4 {
        bytes.to_native()
    } else {
        bytes.to_be()
    }
    .unwrap_or_default();
    let names = |names: Vec<String>| {
        if names.is_empty() {
            "0".to_owned()
        } else {
            names.join(",")
        }
    };
    match (field, number) {
        (Field::Nfproto, 2) => f.write_str("ipv4"),
        (Field::Nfproto, 10) => f.write_str("ipv6"),
        (Field::CtDirection, 0) => f.write_str("original"),
        (Field::CtDirection, 1) => f.write_str("reply"),
        (Field::CtState, bits) => f.write_str(&names(CtState::from_bits(bits).names())),
        (Field::CtStatus, bits) => f.write_str(&names(CtStatus::from_bits(bits).names())),
        (Field::Fib(_, FibResult::AddrType), proto::RTN_LOCAL) => f.write_str("local"),
        (Field::Fib(_, FibResult::Exists), 0) => f.write_str("missing"),
        (Field::Fib(_, FibResult::Exists), _) => f.write_str("exists"),
        _ => write!(f, "{number}"),
    }
}

fn fib(f: &mut Formatter<'_>, key: FibKey, result: FibResult) -> fmt::Result {
    let names = [
        (FibKey::SADDR, "saddr"),
        (FibKey::DADDR, "daddr"),
        (FibKey::MARK, "mark"),
        (FibKey::IIF, "iif"),
        (FibKey::OIF, "oif"),
    ];
    f.write_str("fib ")?;
    let set = names
        .into_iter()
        .filter(|(bit, _)| key.bits() & bit.bits() != 0);
    joined(f, set, " . ", |f, (_, name)| f.write_str(name))?;
    f.write_str(match result {
        FibResult::Oif | FibResult::Exists => " oif",
        FibResult::AddrType => " type",
    })
}

fn set_ref(f: &mut Formatter<'_>, set: &SetRef) -> fmt::Result {
    match set {
        SetRef::Named(name) => write!(f, "@{name}"),
        SetRef::Anonymous(set) => {
            f.write_str("{ ")?;
            elements(f, &set.ty, &set.elements, ", ")?;
            f.write_str(" }")
        }
    }
}

fn set_mark(f: &mut Formatter<'_>, place: MarkPlace, source: MarkSource) -> fmt::Result {
    let name = |place| match place {
        MarkPlace::Packet => "meta mark",
        MarkPlace::Connection => "ct mark",
    };
    write!(f, "{} set ", name(place))?;
    match source {
        MarkSource::Constant(number) => write!(f, "{number:#x}"),
        MarkSource::Masked { place, and, xor } => {
            f.write_str(name(place))?;
            if and != u32::MAX {
                write!(f, " & {and:#x}")?;
            }
            if xor != 0 {
                write!(f, " ^ {xor:#x}")?;
            }
            Ok(())
        }
    }
}

fn log(f: &mut Formatter<'_>, log: &Log) -> fmt::Result {
    f.write_str("log")?;
    if !log.prefix.is_empty() {
        write!(f, " prefix \"{}\"", log.prefix)?;
    }
    match log.target {
        LogTarget::Kernel(level) => write!(f, " level {}", level_name(level)),
        LogTarget::Group {
            group,
            snaplen,
            queue_threshold,
        } => {
            write!(f, " group {group}")?;
            if let Some(snaplen) = snaplen {
                write!(f, " snaplen {snaplen}")?;
            }
            if queue_threshold != 0 {
                write!(f, " queue-threshold {queue_threshold}")?;
            }
            Ok(())
        }
    }
}

fn level_name(level: LogLevel) -> &'static str {
    match level {
        LogLevel::Emerg => "emerg",
        LogLevel::Alert => "alert",
        LogLevel::Crit => "crit",
        LogLevel::Err => "err",
        LogLevel::Warn => "warn",
        LogLevel::Notice => "notice",
        LogLevel::Info => "info",
        LogLevel::Debug => "debug",
    }
}

fn limit(f: &mut Formatter<'_>, rate: Rate, scope: Scope) -> fmt::Result {
    let over = match scope {
        Scope::Within => "",
        Scope::Over => "over ",
    };
    let unit = match rate.per {
        RateUnit::Second => "second",
        RateUnit::Minute => "minute",
        RateUnit::Hour => "hour",
        RateUnit::Day => "day",
    };
    write!(
        f,
        "limit rate {over}{}/{unit} burst {} packets",
        rate.packets, rate.burst
    )
}

fn reject(f: &mut Formatter<'_>, with: RejectWith) -> fmt::Result {
    f.write_str("reject with ")?;
    f.write_str(match with {
        RejectWith::TcpReset => "tcp reset",
        RejectWith::NoRoute => "icmpx no-route",
        RejectWith::PortUnreachable => "icmpx port-unreachable",
        RejectWith::HostUnreachable => "icmpx host-unreachable",
        RejectWith::AdminProhibited => "icmpx admin-prohibited",
    })
}

fn nat(f: &mut Formatter<'_>, nat: &Nat) -> fmt::Result {
    let (verb, addr) = match nat.kind {
        NatKind::Source(addr) => ("snat", Some(addr)),
        NatKind::Destination(addr) => ("dnat", Some(addr)),
        NatKind::Masquerade => ("masquerade", None),
    };
    f.write_str(verb)?;
    match (addr, nat.ports) {
        (None, None) => {}
        (None, Some(_)) => f.write_str(" to ")?,
        (Some(IpAddr::V4(addr)), _) => write!(f, " ip to {addr}")?,
        (Some(IpAddr::V6(addr)), None) => write!(f, " ip6 to {addr}")?,
        (Some(IpAddr::V6(addr)), Some(_)) => write!(f, " ip6 to [{addr}]")?,
    }
    match nat.ports {
        Some(PortRange { first, last }) if first == last => write!(f, ":{first}")?,
        Some(PortRange { first, last }) => write!(f, ":{first}-{last}")?,
        None => {}
    }
    let flags = nat.flags.names().join(",");
    if flags.is_empty() {
        Ok(())
    } else {
        write!(f, " {flags}")
    }
}
