//! What any match of an expression must have, derived from its shape.
//!
//! Read by the indexes of `calc`: a selector that requires `app` to be one of two values need only be tried on the objects that
//! carry one of these. The answer is sound but not exact: whatever the selector matches satisfies it, not the other way round.

use std::collections::BTreeMap;

use super::Expr;

/// By label: what a match must have. A label that is not listed is unrestricted.
pub type Restrictions<'a> = BTreeMap<&'a str, Restriction<'a>>;

/// What one label must be like.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Restriction<'a> {
    /// Without the label there is no match.
    pub must_be_present: bool,
    /// With the label there is no match.
    pub must_be_absent: bool,
    /// The value must be one of these, sorted. `Some` of nothing: no value will do. `None`: nothing is known.
    pub one_of: Option<Vec<&'a str>>,
}

impl Restriction<'_> {
    /// Whether any label could be like this.
    #[must_use]
    pub fn is_satisfiable(&self) -> bool {
        !(self.must_be_present && self.must_be_absent)
            && self.one_of.as_ref().is_none_or(|values| !values.is_empty())
    }

    fn is_none(&self) -> bool {
        !self.must_be_present && !self.must_be_absent
    }
}

pub(super) fn of(expr: &Expr) -> Restrictions<'_> {
    let present = |one_of| Restriction {
        must_be_present: true,
        must_be_absent: false,
        one_of,
    };
    match expr {
        Expr::Has(label)
        | Expr::Contains(label, _)
        | Expr::StartsWith(label, _)
        | Expr::EndsWith(label, _) => Restrictions::from([(&**label, present(None))]),
        Expr::Equals(label, value) => {
            Restrictions::from([(&**label, present(Some(vec![&**value])))])
        }
        Expr::In(label, values) => {
            Restrictions::from([(&**label, present(Some(values.iter().collect())))])
        }
        Expr::Not(operand) => negated(operand),
        Expr::And(operands) => operands.iter().map(of).reduce(both).unwrap_or_default(),
        Expr::Or(operands) => operands.iter().map(of).reduce(either).unwrap_or_default(),
        Expr::All | Expr::Global | Expr::NotEquals(..) | Expr::NotIn(..) => Restrictions::new(),
    }
}

/// Only `!has(a)` says anything: what does not match `a == 'b'` may have any `a`, or none.
fn negated(operand: &Expr) -> Restrictions<'_> {
    let Expr::Has(label) = operand else {
        return Restrictions::new();
    };
    let absent = Restriction {
        must_be_absent: true,
        ..Restriction::default()
    };
    Restrictions::from([(&**label, absent)])
}

fn both<'a>(mut left: Restrictions<'a>, right: Restrictions<'a>) -> Restrictions<'a> {
    for (label, theirs) in right {
        let ours = left.entry(label).or_default();
        ours.must_be_present |= theirs.must_be_present;
        ours.must_be_absent |= theirs.must_be_absent;
        ours.one_of = match (ours.one_of.take(), theirs.one_of) {
            (Some(mut values), Some(others)) => {
                values.retain(|value| others.binary_search(value).is_ok());
                Some(values)
            }
            (values, None) | (None, values) => values,
        };
    }
    left
}

fn either<'a>(mut left: Restrictions<'a>, mut right: Restrictions<'a>) -> Restrictions<'a> {
    left.retain(|label, ours| {
        let theirs = right.remove(label).unwrap_or_default();
        ours.must_be_present &= theirs.must_be_present;
        ours.must_be_absent &= theirs.must_be_absent;
        ours.one_of = match (ours.one_of.take(), theirs.one_of) {
            (Some(mut values), Some(others)) if ours.must_be_present => {
                values.extend(others);
                values.sort_unstable();
                values.dedup();
                Some(values)
            }
            _ => None,
        };
        !ours.is_none()
    });
    left
}
