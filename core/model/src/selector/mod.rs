//! The selector language (stands in until the full parser lands).

use thiserror::Error;

/// A parsed selector.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Selector(std::sync::Arc<str>);

/// Why a text is not a selector.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("invalid selector")]
pub struct ParseError;

impl Selector {
    /// Parses a selector.
    ///
    /// # Errors
    /// The text is not a selector.
    pub fn parse(text: &str) -> Result<Selector, ParseError> {
        Ok(Selector(text.into()))
    }
}
