//! The syntax tree: what it matches, how it is written canonically.
//!
//! All recursion here is as deep as the tree, which the parser bounds by [`super::MAX_DEPTH`].

use std::collections::BTreeSet;
use std::fmt;

use super::LabelSource;

/// A node of a selector expression.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Expr {
    /// `all()`
    All,
    /// `global()`: true wherever it is evaluated; means something only as a whole namespaceSelector.
    Global,
    /// `has(label)`
    Has(Box<str>),
    /// `label == 'value'`
    Equals(Box<str>, Box<str>),
    /// `label != 'value'`: also matches if there is no such label.
    NotEquals(Box<str>, Box<str>),
    /// `label contains 'value'`: a substring of the label's value.
    Contains(Box<str>, Box<str>),
    /// `label starts with 'value'`
    StartsWith(Box<str>, Box<str>),
    /// `label ends with 'value'`
    EndsWith(Box<str>, Box<str>),
    /// `label in {'value', ...}`
    In(Box<str>, ValueSet),
    /// `label not in {'value', ...}`: also matches if there is no such label.
    NotIn(Box<str>, ValueSet),
    /// `!operand`
    Not(Box<Expr>),
    /// Two or more operands joined by `&&`.
    And(Vec<Expr>),
    /// Two or more operands joined by `||`.
    Or(Vec<Expr>),
}

/// The values of a set literal: sorted, each once, possibly none.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ValueSet(Box<[Box<str>]>);

impl ValueSet {
    /// Whether `value` is one of the values.
    #[must_use]
    pub fn contains(&self, value: &str) -> bool {
        self.0
            .binary_search_by(|candidate| (**candidate).cmp(value))
            .is_ok()
    }

    /// The values, in order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(AsRef::as_ref)
    }
}

impl<'a> FromIterator<&'a str> for ValueSet {
    fn from_iter<I: IntoIterator<Item = &'a str>>(values: I) -> Self {
        let values: BTreeSet<&str> = values.into_iter().collect();
        Self(values.into_iter().map(Box::from).collect())
    }
}

impl Expr {
    pub(super) fn matches<L: LabelSource + ?Sized>(&self, labels: &L) -> bool {
        match self {
            Self::All | Self::Global => true,
            Self::Has(label) => labels.get(label).is_some(),
            Self::Equals(label, wanted) => labels.get(label) == Some(wanted),
            Self::NotEquals(label, unwanted) => labels.get(label) != Some(unwanted),
            Self::Contains(label, part) => labels
                .get(label)
                .is_some_and(|value| value.contains(&**part)),
            Self::StartsWith(label, start) => labels
                .get(label)
                .is_some_and(|value| value.starts_with(&**start)),
            Self::EndsWith(label, end) => labels
                .get(label)
                .is_some_and(|value| value.ends_with(&**end)),
            Self::In(label, values) => labels
                .get(label)
                .is_some_and(|value| values.contains(value)),
            Self::NotIn(label, values) => !labels
                .get(label)
                .is_some_and(|value| values.contains(value)),
            Self::Not(operand) => !operand.matches(labels),
            Self::And(operands) => operands.iter().all(|operand| operand.matches(labels)),
            Self::Or(operands) => operands.iter().any(|operand| operand.matches(labels)),
        }
    }

    pub(super) fn with_prefix(&self, prefix: &str) -> Self {
        let prefixed = |label: &str| format!("{prefix}{label}").into_boxed_str();
        let all = |operands: &[Self]| {
            operands
                .iter()
                .map(|operand| operand.with_prefix(prefix))
                .collect()
        };
        match self {
            Self::All => Self::All,
            Self::Global => Self::Global,
            Self::Has(label) => Self::Has(prefixed(label)),
            Self::Equals(label, value) => Self::Equals(prefixed(label), value.clone()),
            Self::NotEquals(label, value) => Self::NotEquals(prefixed(label), value.clone()),
            Self::Contains(label, value) => Self::Contains(prefixed(label), value.clone()),
            Self::StartsWith(label, value) => Self::StartsWith(prefixed(label), value.clone()),
            Self::EndsWith(label, value) => Self::EndsWith(prefixed(label), value.clone()),
            Self::In(label, values) => Self::In(prefixed(label), values.clone()),
            Self::NotIn(label, values) => Self::NotIn(prefixed(label), values.clone()),
            Self::Not(operand) => Self::Not(Box::new(operand.with_prefix(prefix))),
            Self::And(operands) => Self::And(all(operands)),
            Self::Or(operands) => Self::Or(all(operands)),
        }
    }

    pub(super) fn mentions_global(&self) -> bool {
        match self {
            Self::Global => true,
            Self::Not(operand) => operand.mentions_global(),
            Self::And(operands) | Self::Or(operands) => operands.iter().any(Self::mentions_global),
            Self::All
            | Self::Has(_)
            | Self::Equals(..)
            | Self::NotEquals(..)
            | Self::Contains(..)
            | Self::StartsWith(..)
            | Self::EndsWith(..)
            | Self::In(..)
            | Self::NotIn(..) => false,
        }
    }
}

/// Writes the canonical form.
impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all()"),
            Self::Global => f.write_str("global()"),
            Self::Has(label) => write!(f, "has({label})"),
            Self::Equals(label, value) => comparison(f, label, "==", value),
            Self::NotEquals(label, value) => comparison(f, label, "!=", value),
            Self::Contains(label, value) => comparison(f, label, "contains", value),
            Self::StartsWith(label, value) => comparison(f, label, "starts with", value),
            Self::EndsWith(label, value) => comparison(f, label, "ends with", value),
            Self::In(label, values) => membership(f, label, "in", values),
            Self::NotIn(label, values) => membership(f, label, "not in", values),
            Self::Not(operand) => write!(f, "!{operand}"),
            Self::And(operands) => joined(f, operands, " && "),
            Self::Or(operands) => joined(f, operands, " || "),
        }
    }
}

fn comparison(f: &mut fmt::Formatter<'_>, label: &str, operator: &str, value: &str) -> fmt::Result {
    write!(f, "{label} {operator} ")?;
    quoted(f, value)
}

fn membership(
    f: &mut fmt::Formatter<'_>,
    label: &str,
    operator: &str,
    values: &ValueSet,
) -> fmt::Result {
    write!(f, "{label} {operator} {{")?;
    for (index, value) in values.iter().enumerate() {
        if index > 0 {
            f.write_str(", ")?;
        }
        quoted(f, value)?;
    }
    f.write_str("}")
}

fn joined(f: &mut fmt::Formatter<'_>, operands: &[Expr], operator: &str) -> fmt::Result {
    f.write_str("(")?;
    for (index, operand) in operands.iter().enumerate() {
        if index > 0 {
            f.write_str(operator)?;
        }
        write!(f, "{operand}")?;
    }
    f.write_str(")")
}

/// The language has no escapes: a value that contains one kind of quotes is written in the other.
fn quoted(f: &mut fmt::Formatter<'_>, value: &str) -> fmt::Result {
    let quote = if value.contains('"') { '\'' } else { '"' };
    write!(f, "{quote}{value}{quote}")
}
