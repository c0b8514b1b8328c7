//! Cuts tokens off a text, as the parser asks for them.
//!
//! What a word means depends on where it stands (`in` may be a label as well as an operator), so there is no list of
//! tokens made beforehand: the parser says what it is looking for.

use super::MAX_LABEL_LENGTH;
use super::error::ParseError;

/// The text and how much of it is read.
pub(super) struct Lexer<'a> {
    text: &'a str,
    position: usize,
}

/// What may follow a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Equals,
    NotEquals,
    Contains,
    StartsWith,
    EndsWith,
    In,
    NotIn,
}

/// The operators made of words; the words may be written together or with blanks between them.
const WORD_OPERATORS: [(&[&str], Operator); 5] = [
    (&["contains"], Operator::Contains),
    (&["starts", "with"], Operator::StartsWith),
    (&["ends", "with"], Operator::EndsWith),
    (&["not", "in"], Operator::NotIn),
    (&["in"], Operator::In),
];

fn is_label_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'/' | b'-')
}

impl<'a> Lexer<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, position: 0 }
    }

    pub(super) fn position(&self) -> usize {
        self.position
    }

    fn rest(&self) -> &'a str {
        &self.text[self.position..]
    }

    /// Skips blanks: spaces and tabs, nothing else.
    fn skip_blanks(&mut self) {
        self.position += blanks(self.rest());
    }

    /// Whether nothing but blanks is left.
    pub(super) fn at_end(&mut self) -> bool {
        self.skip_blanks();
        self.rest().is_empty()
    }

    /// Takes `symbol`, after blanks, if it is there.
    pub(super) fn take(&mut self, symbol: &str) -> bool {
        self.skip_blanks();
        let found = self.rest().starts_with(symbol);
        if found {
            self.position += symbol.len();
        }
        found
    }

    /// Takes a `!` that is not the start of `!=`.
    pub(super) fn take_not(&mut self) -> bool {
        self.skip_blanks();
        !self.rest().starts_with("!=") && self.take("!")
    }

    /// Takes a label name, if there is one.
    pub(super) fn take_label(&mut self) -> Result<Option<&'a str>, ParseError> {
        self.skip_blanks();
        let length = self
            .rest()
            .bytes()
            .take_while(|&byte| is_label_byte(byte))
            .count();
        if length > MAX_LABEL_LENGTH {
            return Err(self.error("a label name of at most 512 bytes", None));
        }
        let label = &self.rest()[..length];
        self.position += length;
        Ok((length > 0).then_some(label))
    }

    /// Takes an operator that may follow a label.
    pub(super) fn take_operator(&mut self) -> Result<Operator, ParseError> {
        if self.take("==") {
            return Ok(Operator::Equals);
        }
        if self.take("!=") {
            return Ok(Operator::NotEquals);
        }
        for (words, operator) in WORD_OPERATORS {
            if let Some(length) = words_length(self.rest(), words) {
                self.position += length;
                return Ok(operator);
            }
        }
        let hint = if self.rest().starts_with('=') {
            Some("equality is written ==")
        } else if self.rest().is_empty() {
            Some("to test that a label is there, write has(label)")
        } else {
            None
        };
        Err(self.error(
            "==, !=, in, not in, contains, starts with or ends with after the label",
            hint,
        ))
    }

    /// Takes a quoted string, if there is one. There are no escapes.
    pub(super) fn take_string(&mut self) -> Result<Option<&'a str>, ParseError> {
        self.skip_blanks();
        let rest = self.rest();
        let Some(quote) = rest
            .chars()
            .next()
            .filter(|first| matches!(first, '"' | '\''))
        else {
            return Ok(None);
        };
        let Some(length) = rest[1..].find(quote) else {
            return Err(self.error(
                "a closing quote for this string",
                Some("there are no escapes in strings"),
            ));
        };
        self.position += length + 2;
        Ok(Some(&rest[1..=length]))
    }

    /// The complaint that `expected` is not what stands here.
    pub(super) fn error(
        &mut self,
        expected: &'static str,
        hint: Option<&'static str>,
    ) -> ParseError {
        self.skip_blanks();
        ParseError {
            position: self.position,
            found: shown(self.rest()),
            expected,
            hint,
        }
    }
}

fn blanks(text: &str) -> usize {
    text.bytes()
        .take_while(|byte| matches!(byte, b' ' | b'\t'))
        .count()
}

/// How many bytes `words` take at the start of `text`, if they are there and no other word adjoins.
fn words_length(text: &str, words: &[&str]) -> Option<usize> {
    let mut length = 0;
    for word in words {
        length += blanks(&text[length..]);
        length += text[length..].starts_with(word).then_some(word.len())?;
    }
    let adjoining = text[length..].bytes().next().is_some_and(is_label_byte);
    (!adjoining).then_some(length)
}

/// The word or character at the start of `rest`, as an error shows it.
fn shown(rest: &str) -> String {
    const LIMIT: usize = 24;
    let Some(first) = rest.chars().next() else {
        return "the end".to_owned();
    };
    let word = rest.bytes().take_while(|&byte| is_label_byte(byte)).count();
    if word == 0 {
        return format!("{first:?}");
    }
    if word > LIMIT {
        format!("{:?}...", &rest[..LIMIT])
    } else {
        format!("{:?}", &rest[..word])
    }
}
