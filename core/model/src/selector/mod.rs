//! Calico's selector language: expressions over labels, as users write them in policies.
//!
//! `api` parses every selector of an object once, at the edge; from there on a [`Selector`] is a value that can be
//! evaluated, combined, compared and named. Two texts that differ only in whitespace, quotes, or the order of the values in
//! a set have the same canonical form and so the same [`Selector::unique_id`], which is the name of the IP set they share.
//!
//! ```
//! use model::selector::Selector;
//! use std::collections::BTreeMap;
//!
//! let selector = Selector::parse("role in {'db', \"cache\"} && !has(retired)")?;
//! let labels = BTreeMap::from([("role".to_owned(), "db".to_owned())]);
//! assert!(selector.matches(&labels));
//! assert_eq!(selector.canonical(), r#"(role in {"cache", "db"} && !has(retired))"#);
//! # Ok::<(), model::selector::ParseError>(())
//! ```
//!
//! Upstream's reference: `libcalico-go/lib/selector`. Bounds that are ours: [`MAX_LENGTH`] and [`MAX_DEPTH`], wide enough for
//! every text upstream's validation admits (1024 characters), so that hostile input can exhaust neither stack nor memory.

mod error;
mod expr;
mod lexer;
mod parser;
mod restrictions;
#[cfg(test)]
mod tests;

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, OnceLock};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha224};

pub use error::ParseError;
pub use expr::Expr;
pub use parser::{MAX_DEPTH, MAX_LENGTH};
pub use restrictions::{Restriction, Restrictions};

/// The longest label name an expression may contain, in bytes.
pub const MAX_LABEL_LENGTH: usize = 512;

/// A name made of content, as upstream makes them for IP sets: `prefix:` and the unpadded URL-safe base64 of SHA-224 over
/// `prefix:content`.
#[must_use]
pub fn unique_id(prefix: &str, content: &str) -> String {
    let digest = Sha224::new()
        .chain_update(prefix)
        .chain_update(":")
        .chain_update(content)
        .finalize();
    format!("{prefix}:{}", URL_SAFE_NO_PAD.encode(digest))
}

/// What a selector is evaluated against.
pub trait LabelSource {
    /// The value of the label `key`, `None` if there is no such label.
    fn get(&self, key: &str) -> Option<&str>;
}

impl<K: Borrow<str> + Ord, V: AsRef<str>> LabelSource for BTreeMap<K, V> {
    fn get(&self, key: &str) -> Option<&str> {
        BTreeMap::get(self, key).map(AsRef::as_ref)
    }
}

/// A parsed selector expression. Cheap to clone; equal if and only if the canonical expressions are equal.
#[derive(Clone)]
pub struct Selector(Arc<Inner>);

struct Inner {
    expr: Expr,
    canonical: Box<str>,
    unique_id: OnceLock<Box<str>>,
}

impl Selector {
    /// Reads an expression. The empty text means [`Selector::all`].
    ///
    /// # Errors
    /// Says at which byte what was found and what was expected there.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        parser::parse(text).map(Self::new)
    }

    /// `all()`: matches everything.
    #[must_use]
    pub fn all() -> Self {
        Self::new(Expr::All)
    }

    /// `has(key)`.
    #[must_use]
    pub fn has(key: &str) -> Self {
        Self::new(Expr::Has(key.into()))
    }

    /// `!has(key)`.
    #[must_use]
    pub fn lacks(key: &str) -> Self {
        Self::new(Expr::Not(Box::new(Expr::Has(key.into()))))
    }

    /// `key == 'value'`. The value is taken as it is, it needs no quoting.
    #[must_use]
    pub fn label_is(key: &str, value: &str) -> Self {
        Self::new(Expr::Equals(key.into(), value.into()))
    }

    /// `key in {values}`.
    #[must_use]
    pub fn label_in<'a>(key: &str, values: impl IntoIterator<Item = &'a str>) -> Self {
        Self::new(Expr::In(key.into(), values.into_iter().collect()))
    }

    fn new(expr: Expr) -> Self {
        let canonical = expr.to_string().into_boxed_str();
        Self(Arc::new(Inner {
            expr,
            canonical,
            unique_id: OnceLock::new(),
        }))
    }

    /// Whether an object with these labels is selected.
    #[must_use]
    pub fn matches<L: LabelSource + ?Sized>(&self, labels: &L) -> bool {
        self.0.expr.matches(labels)
    }

    /// The normalised text. Reading it back gives an equal selector, except that a negation directly around another one
    /// (`!(!has(a))`) is collapsed, which does not change what it matches. Upstream does the same, and the text is hashed
    /// into names, so it stays so.
    #[must_use]
    pub fn canonical(&self) -> &str {
        &self.0.canonical
    }

    /// The name of this selector's IP set: `s:` and the unpadded URL-safe base64 of SHA-224 over `s:` and the canonical text.
    #[must_use]
    pub fn unique_id(&self) -> &str {
        self.0
            .unique_id
            .get_or_init(|| unique_id("s", self.canonical()).into_boxed_str())
    }

    /// What any match must have: a sound prefilter for indexes, never the whole condition.
    #[must_use]
    pub fn restrictions(&self) -> Restrictions<'_> {
        restrictions::of(&self.0.expr)
    }

    /// The syntax tree.
    #[must_use]
    pub fn expr(&self) -> &Expr {
        &self.0.expr
    }

    /// Whether this is `all()` as a whole.
    #[must_use]
    pub fn is_all(&self) -> bool {
        self.0.expr == Expr::All
    }

    /// Whether this is `global()` as a whole, which means "not in any namespace" in a rule's namespaceSelector, and nothing
    /// anywhere else.
    #[must_use]
    pub fn is_global(&self) -> bool {
        self.0.expr == Expr::Global
    }

    /// Whether `global()` occurs anywhere in the expression. Only the whole expression may be `global()`.
    #[must_use]
    pub fn mentions_global(&self) -> bool {
        self.0.expr.mentions_global()
    }

    /// Both this and `other`, in this order: what upstream's `(this) && (other)` parses to.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        Self::new(Expr::And(vec![self.0.expr.clone(), other.0.expr.clone()]))
    }

    /// Whatever this does not select: what upstream's `!(this)` parses to.
    #[must_use]
    pub fn negated(&self) -> Self {
        Self::new(Expr::Not(Box::new(self.0.expr.clone())))
    }

    /// The same expression about labels whose names carry `prefix`: `pcns.` turns a selector of namespaces into one of
    /// the endpoints in them, `pcsa.` does so for service accounts.
    #[must_use]
    pub fn with_prefix(&self, prefix: &str) -> Self {
        Self::new(self.0.expr.with_prefix(prefix))
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.canonical())
    }
}

impl fmt::Debug for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Selector({})", self.canonical())
    }
}

impl std::str::FromStr for Selector {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        Self::parse(text)
    }
}

// The tree is compared too: a value with both kinds of quotes, which only `label_is` can make, has no canonical text of its own.
impl PartialEq for Selector {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
            || (self.0.canonical == other.0.canonical && self.0.expr == other.0.expr)
    }
}

impl Eq for Selector {}

impl PartialOrd for Selector {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Selector {
    fn cmp(&self, other: &Self) -> Ordering {
        if Arc::ptr_eq(&self.0, &other.0) {
            return Ordering::Equal;
        }
        self.0
            .canonical
            .cmp(&other.0.canonical)
            .then_with(|| self.0.expr.cmp(&other.0.expr))
    }
}

impl Hash for Selector {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.canonical.hash(state);
    }
}
