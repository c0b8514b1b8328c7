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

/// The word or character at the start of `rest`, as an error shows it.
pub(super) fn shown(rest: &str) -> String {
    const LIMIT: usize = 24;
    let Some(first) = rest.chars().next() else {
        return "the end".to_owned();
    };
    let word = rest
        .bytes()
        .take_while(|&byte| super::lexer::is_label_byte(byte))
        .count();
    if word == 0 {
        return format!("{first:?}");
    }
    if word > LIMIT {
        format!("{:?}...", &rest[..LIMIT])
    } else {
        format!("{:?}", &rest[..word])
    }
}
