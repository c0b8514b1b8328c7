//! The five ways to write a scalar, and which of them a text allows.

/// How a text is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    Plain,
    SingleQuoted,
    DoubleQuoted,
    Literal,
}

/// Where a scalar stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// As the key of a mapping, on one line with its value.
    SimpleKey,
    /// Anywhere else.
    Value,
}

/// What a text has in it that some styles cannot take.
#[derive(Debug, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent observations on one text"
)]
struct Traits {
    indicators: bool,
    line_breaks: bool,
    special: bool,
    space_at_end: bool,
    blank_at_edge: bool,
    break_then_space: bool,
    space_then_break: bool,
}

pub(super) fn is_break(c: char) -> bool {
    matches!(c, '\r' | '\n' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// Go's emitter escapes everything above the basic plane, and tabs.
pub(super) fn is_printable(c: char) -> bool {
    matches!(c, '\n' | ' '..='~' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fefe}' | '\u{ff00}'..='\u{fffd}')
}

fn observe(text: &str) -> Traits {
    let mut traits = Traits {
        indicators: text.starts_with("---") || text.starts_with("..."),
        ..Traits::default()
    };
    let mut previous: Option<char> = None;
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        let blank_follows = rest.peek().is_none_or(|next| matches!(next, ' ' | '\t'));
        let blank_before =
            previous.is_none_or(|p| p == ' ' || p == '\t' || p == '\0' || is_break(p));
        let first = previous.is_none();
        traits.indicators |= match c {
            '#' => first || blank_before,
            ',' | '[' | ']' | '{' | '}' | '&' | '*' | '!' | '|' | '>' | '\'' | '"' | '%' | '@'
            | '`' => first,
            '?' | '-' => first && blank_follows,
            ':' => blank_follows,
            _ => false,
        };
        // Line breaks to readers of YAML 1.1, characters to those of 1.2: only an escape is one thing to both.
        traits.special |= !is_printable(c) || matches!(c, '\u{2028}' | '\u{2029}');
        let last = rest.peek().is_none();
        if c == ' ' {
            traits.space_at_end |= last;
            traits.blank_at_edge |= first || last;
            traits.break_then_space |= previous.is_some_and(is_break);
        } else if is_break(c) {
            traits.line_breaks = true;
            traits.blank_at_edge |= first || last;
            traits.space_then_break |= previous == Some(' ');
        }
        previous = Some(c);
    }
    traits
}

/// The style for a text: as wanted, or the next one that can hold it.
pub(super) fn style(text: &str, wanted: Style, place: Place) -> Style {
    let traits = observe(text);
    let impossible = traits.space_then_break || traits.special;
    let plain = !(traits.blank_at_edge || traits.line_breaks || traits.indicators || impossible);
    let single_quoted = !(traits.break_then_space || impossible);
    let literal = !(traits.space_at_end || impossible || text.is_empty()) && place == Place::Value;
    match wanted {
        Style::Literal if literal => Style::Literal,
        Style::Plain if plain && !(traits.line_breaks && place == Place::SimpleKey) => Style::Plain,
        Style::Plain | Style::SingleQuoted if single_quoted => Style::SingleQuoted,
        Style::Plain | Style::SingleQuoted | Style::DoubleQuoted | Style::Literal => {
            Style::DoubleQuoted
        }
    }
}

/// A character as double quotes have it.
pub(super) fn escape(c: char, out: &mut String) {
    let short = match c {
        '\0' => '0',
        '\u{7}' => 'a',
        '\u{8}' => 'b',
        '\t' => 't',
        '\n' => 'n',
        '\u{b}' => 'v',
        '\u{c}' => 'f',
        '\r' => 'r',
        '\u{1b}' => 'e',
        '"' => '"',
        '\\' => '\\',
        '\u{85}' => 'N',
        '\u{a0}' => '_',
        '\u{2028}' => 'L',
        '\u{2029}' => 'P',
        _ => {
            let code = u32::from(c);
            out.push_str(&match code {
                0..=0xff => format!("\\x{code:02X}"),
                0x100..=0xffff => format!("\\u{code:04X}"),
                _ => format!("\\U{code:08X}"),
            });
            return;
        }
    };
    out.push('\\');
    out.push(short);
}
