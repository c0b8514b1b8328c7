//! The configuration file's text: `key = value` lines, in sections whose names do not matter.

use thiserror::Error;

/// A key and its value.
pub type Entry = (Box<str>, Box<str>);

/// A line that is none.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("line {line}: {text:?} is neither a [section], a comment, nor key = value")]
pub struct FileError {
    /// The line's number, from 1.
    pub line: usize,
    /// The line.
    pub text: String,
}

/// Reads a file such as `felix.cfg`. A later value of a key wins. Lines that begin with `#` or `;` are comments.
///
/// # Errors
/// Names the first line that cannot be read.
pub fn parse_file(text: &str) -> Result<Vec<Entry>, FileError> {
    let mut values: Vec<Entry> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let trimmed = line.trim();
        let is_section = trimmed.starts_with('[') && trimmed.ends_with(']');
        if trimmed.is_empty() || trimmed.starts_with(['#', ';']) || is_section {
            continue;
        }
        let pair = trimmed
            .split_once(['=', ':'])
            .filter(|(key, _)| !key.trim().is_empty());
        let Some((key, value)) = pair else {
            return Err(FileError {
                line: index + 1,
                text: trimmed.to_owned(),
            });
        };
        let (key, value) = (key.trim(), unquoted(value.trim()));
        values.retain(|(known, _)| !known.eq_ignore_ascii_case(key));
        values.push((key.into(), value.into()));
    }
    Ok(values)
}

fn unquoted(text: &str) -> &str {
    let inner = |quote| {
        text.strip_prefix(quote)
            .and_then(|t: &str| t.strip_suffix(quote))
    };
    inner('"').or_else(|| inner('\'')).unwrap_or(text)
}
