//! Why a text is not a selector, told so that its author can mend it.

use thiserror::Error;

/// A text that is not a selector.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("at byte {position}: expected {expected}, found {found}{}", hint_suffix(self.hint))]
pub struct ParseError {
    /// Offset in bytes of what was found.
    pub position: usize,
    /// What stands there, quoted and shortened for display; or "the end".
    pub found: String,
    /// What could stand there.
    pub expected: &'static str,
    /// What the author may have meant.
    pub hint: Option<&'static str>,
}

fn hint_suffix(hint: Option<&'static str>) -> String {
    hint.map(|hint| format!(" ({hint})")).unwrap_or_default()
}
