//! A selector over interned labels: comparing numbers where the text compares strings.

use model::selector::{Expr, Restrictions, Selector};

use crate::intern::{Interner, Str};

/// What [`Expr`] says, with keys and values interned. It owns a reference to each string it names.
pub(crate) enum Condition {
    True,
    Has(Str),
    Equals(Str, Str),
    Contains(Str, Box<str>),
    StartsWith(Str, Box<str>),
    EndsWith(Str, Box<str>),
    In(Str, Box<[Str]>),
    Not(Box<Condition>),
    All(Box<[Condition]>),
    Any(Box<[Condition]>),
}

impl Condition {
    pub(crate) fn new(strings: &mut Interner, expr: &Expr) -> Self {
        let not = |condition| Self::Not(Box::new(condition));
        match expr {
            Expr::All | Expr::Global => Self::True,
            Expr::Has(key) => Self::Has(strings.intern(key)),
            Expr::Equals(key, value) => Self::Equals(strings.intern(key), strings.intern(value)),
            Expr::NotEquals(key, value) => {
                not(Self::Equals(strings.intern(key), strings.intern(value)))
            }
            Expr::Contains(key, part) => Self::Contains(strings.intern(key), part.clone()),
            Expr::StartsWith(key, start) => Self::StartsWith(strings.intern(key), start.clone()),
            Expr::EndsWith(key, end) => Self::EndsWith(strings.intern(key), end.clone()),
            Expr::In(key, values) => Self::In(
                strings.intern(key),
                values.iter().map(|value| strings.intern(value)).collect(),
            ),
            Expr::NotIn(key, values) => not(Self::In(
                strings.intern(key),
                values.iter().map(|value| strings.intern(value)).collect(),
            )),
            Expr::Not(operand) => not(Self::new(strings, operand)),
            Expr::And(operands) => Self::All(
                operands
                    .iter()
                    .map(|operand| Self::new(strings, operand))
                    .collect(),
            ),
            Expr::Or(operands) => Self::Any(
                operands
                    .iter()
                    .map(|operand| Self::new(strings, operand))
                    .collect(),
            ),
        }
    }

    /// Whether it holds for a thing whose labels `label` looks up.
    pub(crate) fn holds(&self, strings: &Interner, label: &impl Fn(Str) -> Option<Str>) -> bool {
        let text = |key: Str| label(key).map(|value| strings.text(value));
        match self {
            Self::True => true,
            Self::Has(key) => label(*key).is_some(),
            Self::Equals(key, wanted) => label(*key) == Some(*wanted),
            Self::Contains(key, part) => text(*key).is_some_and(|value| value.contains(&**part)),
            Self::StartsWith(key, start) => {
                text(*key).is_some_and(|value| value.starts_with(&**start))
            }
            Self::EndsWith(key, end) => text(*key).is_some_and(|value| value.ends_with(&**end)),
            Self::In(key, wanted) => label(*key).is_some_and(|value| wanted.contains(&value)),
            Self::Not(operand) => !operand.holds(strings, label),
            Self::All(operands) => operands.iter().all(|operand| operand.holds(strings, label)),
            Self::Any(operands) => operands.iter().any(|operand| operand.holds(strings, label)),
        }
    }

    /// Gives the strings back.
    pub(crate) fn release(&self, strings: &mut Interner) {
        match self {
            Self::True => {}
            Self::Has(key)
            | Self::Contains(key, _)
            | Self::StartsWith(key, _)
            | Self::EndsWith(key, _) => {
                strings.release(*key);
            }
            Self::Equals(key, value) => {
                strings.release(*key);
                strings.release(*value);
            }
            Self::In(key, values) => {
                strings.release(*key);
                values.iter().for_each(|&value| strings.release(value));
            }
            Self::Not(operand) => operand.release(strings),
            Self::All(operands) | Self::Any(operands) => {
                operands.iter().for_each(|operand| operand.release(strings));
            }
        }
    }
}

/// Where a selector is hung up, so that only things with the right label are tried on it, and it only on them.
/// All strings in it are also in the selector's [`Condition`], which keeps them alive.
#[derive(Clone, Debug)]
pub(crate) enum Anchor {
    /// It can match nothing.
    Nowhere,
    /// It requires nothing that could be looked up.
    Anywhere,
    /// It requires this label.
    Key(Str),
    /// It requires this label with one of these values.
    Values(Str, Box<[Str]>),
}

impl Anchor {
    /// The cheapest of the anchors that the selector's restrictions permit; the selector's strings are interned.
    pub(crate) fn choose(
        selector: &Selector,
        strings: &Interner,
        cost: impl Fn(&Anchor) -> usize,
    ) -> Self {
        let restrictions: Restrictions<'_> = selector.restrictions();
        if restrictions
            .values()
            .any(|restriction| !restriction.is_satisfiable())
        {
            return Self::Nowhere;
        }
        let required = restrictions
            .iter()
            .filter(|(_, restriction)| restriction.must_be_present);
        required
            .filter_map(|(key, restriction)| {
                let key = strings.find(key)?;
                Some(match &restriction.one_of {
                    Some(values) => Self::Values(
                        key,
                        values
                            .iter()
                            .filter_map(|value| strings.find(value))
                            .collect(),
                    ),
                    None => Self::Key(key),
                })
            })
            .min_by_key(cost)
            .unwrap_or(Self::Anywhere)
    }
}
