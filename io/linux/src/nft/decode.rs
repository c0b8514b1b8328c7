//! Expressions, from the kernel: what another hand wrote in a way we never do decodes to nothing, and the rule is foreign.

use std::collections::BTreeMap;

use dataplane::nft::{
    Anonymous, Bytes, Expr, Field, MarkPlace, MarkSource, Nat, NatKind, PortRange, Rule, SetKind,
    SetName, SetRef,
};

use super::encode::read_comment;
use super::expressions::PORT_SLOT;
use super::parts::{Part, part};
use super::uapi::*;
use crate::netlink::{Attribute, Attributes};

/// The sets without names of a table, by the names the kernel made up for them.
pub(super) type AnonymousSets = BTreeMap<SetName, Anonymous>;

/// The rule in a message, if it is one we could have written.
pub(super) fn rule(message: Attributes<'_>, sets: &AnonymousSets) -> Option<Rule> {
    let comment = match message.get(NFTA_RULE_USERDATA) {
        Some(data) => Some(read_comment(data.value)?),
        None => None,
    };
    let mut parts = Vec::new();
    for element in message
        .get(NFTA_RULE_EXPRESSIONS)
        .into_iter()
        .flat_map(Attribute::nested)
    {
        parts.push(part(element.nested())?);
    }
    let mut parts = Parts { rest: &parts, sets };
    let mut exprs = Vec::new();
    while !parts.rest.is_empty() {
        exprs.push(parts.expr()?);
    }
    Some(Rule { exprs, comment })
}

struct Parts<'a> {
    rest: &'a [Part],
    sets: &'a AnonymousSets,
}

impl<'a> Parts<'a> {
    fn next(&mut self) -> Option<&'a Part> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(first)
    }

    fn expr(&mut self) -> Option<Expr> {
        match self.rest.first()? {
            Part::Load { .. } => self.with_fields(),
            Part::Immediate { .. } => self.with_constants(),
            Part::Masquerade {
                ports: false,
                flags,
            } => {
                self.next();
                Some(Expr::Nat(Nat {
                    kind: NatKind::Masquerade,
                    ports: None,
                    flags: *flags,
                }))
            }
            Part::Whole(expr) => {
                self.next();
                Some(expr.clone())
            }
            Part::Bitwise { .. }
            | Part::Cmp { .. }
            | Part::Range { .. }
            | Part::Lookup { .. }
            | Part::Vmap { .. }
            | Part::SetMark(_)
            | Part::Nat { .. }
            | Part::Masquerade { ports: true, .. } => None,
        }
    }

    fn with_fields(&mut self) -> Option<Expr> {
        let mut fields = Vec::new();
        let mut free = 0;
        while let Some(Part::Load { slot, field }) = self.rest.first() {
            if *slot != free {
                return None;
            }
            free += field.width().div_ceil(4);
            fields.push(*field);
            self.next();
        }
        match (self.next()?, fields.as_slice()) {
            (Part::Lookup { set, membership }, _) => {
                let set = self.set_ref(set, SetKind::Set)?;
                Some(Expr::Lookup {
                    fields,
                    membership: *membership,
                    set,
                })
            }
            (Part::Vmap { map }, _) => Some(Expr::Vmap {
                fields,
                map: self.set_ref(map, SetKind::VerdictMap)?,
            }),
            (Part::Cmp { op, value }, [field]) => Some(Expr::Cmp {
                field: *field,
                mask: None,
                op: *op,
                value: value.clone(),
            }),
            (
                Part::Range {
                    membership,
                    from,
                    to,
                },
                [field],
            ) => Some(Expr::Range {
                field: *field,
                membership: *membership,
                from: from.clone(),
                to: to.clone(),
            }),
            (Part::SetMark(place), [field]) => {
                let source = MarkSource::Masked {
                    place: mark_place(*field)?,
                    and: u32::MAX,
                    xor: 0,
                };
                Some(Expr::SetMark {
                    place: *place,
                    source,
                })
            }
            (Part::Bitwise { mask, xor }, [field]) => self.masked(*field, mask, xor),
            (
                Part::Load { .. }
                | Part::Immediate { .. }
                | Part::Nat { .. }
                | Part::Masquerade { .. },
                _,
            ) => None,
            (Part::Whole(_), _) => None,
            (
                Part::Cmp { .. } | Part::Range { .. } | Part::SetMark(_) | Part::Bitwise { .. },
                _,
            ) => None,
        }
    }

    fn masked(&mut self, field: Field, mask: &Bytes, xor: &Bytes) -> Option<Expr> {
        match self.next()? {
            Part::Cmp { op, value } if *xor == Bytes::zeros(xor.len()) => Some(Expr::Cmp {
                field,
                mask: Some(mask.clone()),
                op: *op,
                value: value.clone(),
            }),
            Part::SetMark(place) => {
                let (and, xor) = (mask.to_native()?, xor.to_native()?);
                let source = MarkSource::Masked {
                    place: mark_place(field)?,
                    and,
                    xor,
                };
                Some(Expr::SetMark {
                    place: *place,
                    source,
                })
            }
            Part::Cmp { .. }
            | Part::Load { .. }
            | Part::Bitwise { .. }
            | Part::Range { .. }
            | Part::Lookup { .. }
            | Part::Vmap { .. }
            | Part::Immediate { .. }
            | Part::Nat { .. }
            | Part::Masquerade { .. }
            | Part::Whole(_) => None,
        }
    }

    fn with_constants(&mut self) -> Option<Expr> {
        let mut constants = BTreeMap::new();
        while let Some(Part::Immediate { slot, value }) = self.rest.first() {
            constants.insert(*slot, value);
            self.next();
        }
        let mut port = |slot| {
            constants
                .remove(&slot)?
                .to_be()
                .and_then(|port| u16::try_from(port).ok())
        };
        let ports = match (port(PORT_SLOT), port(PORT_SLOT + 1)) {
            (Some(first), Some(last)) => Some(PortRange { first, last }),
            (None, None) => None,
            (Some(_), None) | (None, Some(_)) => return None,
        };
        let first = constants.remove(&0);
        if !constants.is_empty() {
            return None;
        }
        match (self.next()?, first) {
            (Part::SetMark(place), Some(value)) if ports.is_none() => Some(Expr::SetMark {
                place: *place,
                source: MarkSource::Constant(value.to_native()?),
            }),
            (Part::Masquerade { ports: true, flags }, None) if ports.is_some() => {
                Some(Expr::Nat(Nat {
                    kind: NatKind::Masquerade,
                    ports,
                    flags: *flags,
                }))
            }
            (
                Part::Nat {
                    ty,
                    family,
                    ports: has_ports,
                    flags,
                },
                Some(addr),
            ) if *has_ports == ports.is_some() => {
                let addr = addr.to_addr()?;
                let expected = if addr.is_ipv4() {
                    NFPROTO_IPV4
                } else {
                    NFPROTO_IPV6
                };
                let kind = match *ty {
                    NFT_NAT_SNAT => NatKind::Source(addr),
                    NFT_NAT_DNAT => NatKind::Destination(addr),
                    _ => return None,
                };
                (*family == expected.into()).then_some(Expr::Nat(Nat {
                    kind,
                    ports,
                    flags: *flags,
                }))
            }
            (_, _) => None,
        }
    }

    fn set_ref(&self, name: &SetName, kind: SetKind) -> Option<SetRef> {
        match self.sets.get(name) {
            Some(set) => (set.ty.kind == kind).then(|| SetRef::Anonymous(Box::new(set.clone()))),
            // A name the kernel made up, of a set that we cannot read.
            None if name.as_str().starts_with("__") => None,
            None => Some(SetRef::Named(name.clone())),
        }
    }
}

fn mark_place(field: Field) -> Option<MarkPlace> {
    if field == Field::Mark {
        return Some(MarkPlace::Packet);
    }
    (field == Field::CtMark).then_some(MarkPlace::Connection)
}
