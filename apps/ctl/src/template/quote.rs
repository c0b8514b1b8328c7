//! Strings and numbers as Go writes them in its source: read and printed.

/// In double quotes, as `%q` prints.
pub(super) fn quote(text: &str) -> String {
    quote_with(text, '"')
}

/// A character in single quotes, as `%q` prints it.
pub(super) fn quote_char(c: char) -> String {
    quote_with(&c.to_string(), '\'')
}

fn quote_with(text: &str, mark: char) -> String {
    let mut out = String::from(mark);
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            c if c == mark => out.extend(['\\', c]),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{b}' => out.push_str("\\v"),
            c if printable(c) => out.push(c),
            c if c < ' ' || c == '\u{7f}' => out.push_str(&format!("\\x{:02x}", u32::from(c))),
            c if u32::from(c) < 0x10000 => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push_str(&format!("\\U{:08x}", u32::from(c))),
        }
    }
    out.push(mark);
    out
}

/// Whether a character shows as itself: Go's definition, nearly.
pub(super) fn printable(c: char) -> bool {
    c == ' '
        || !(c.is_control()
            || c.is_whitespace()
            || matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e000}'..='\u{f8ff}' | '\u{f0000}'..))
}

/// `U+0023 '#'`
pub(super) fn code_point(c: char) -> String {
    let number = format!("U+{:04X}", u32::from(c));
    if printable(c) {
        format!("{number} '{c}'")
    } else {
        number
    }
}

/// What a string in double or back quotes stands for; `None` if it is not well written.
pub(super) fn unquote(quoted: &str) -> Option<String> {
    if let Some(raw) = quoted.strip_prefix('`') {
        return Some(raw.strip_suffix('`')?.replace('\r', ""));
    }
    let mut rest = quoted.strip_prefix('"')?.strip_suffix('"')?;
    let mut bytes = Vec::new();
    while !rest.is_empty() {
        rest = unescape(rest, '"', &mut bytes)?;
    }
    // Bytes that are no text are shown as Go shows them on a terminal.
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// The character that a constant in single quotes stands for.
pub(super) fn unquote_char(quoted: &str) -> Result<char, String> {
    let wrong = || "invalid syntax".to_owned();
    let inside = quoted.strip_prefix('\'').ok_or_else(wrong)?;
    let mut bytes = Vec::new();
    let rest = unescape(inside, '\'', &mut bytes).ok_or_else(wrong)?;
    if rest != "'" {
        return Err(format!("malformed character constant: {quoted}"));
    }
    match (std::str::from_utf8(&bytes), bytes.as_slice()) {
        (Ok(text), _) => text.chars().next().ok_or_else(wrong),
        (Err(_), [byte]) => Ok(char::from(*byte)),
        (Err(_), _) => Err(wrong()),
    }
}

/// Takes one character, escaped or not, from the front.
fn unescape<'a>(text: &'a str, mark: char, out: &mut Vec<u8>) -> Option<&'a str> {
    let push = |c: char, out: &mut Vec<u8>| out.extend(c.to_string().bytes());
    let mut chars = text.chars();
    let first = chars.next()?;
    if first == mark {
        return None;
    }
    if first != '\\' {
        push(first, out);
        return Some(chars.as_str());
    }
    let escape = chars.next()?;
    let rest = chars.as_str();
    let number = |digits: usize, radix: u32, text: &'a str| {
        let (number, rest) = text.split_at_checked(digits)?;
        let well = number.chars().all(|c| c.is_digit(radix));
        Some((
            u32::from_str_radix(number, radix).ok().filter(|_| well)?,
            rest,
        ))
    };
    let simple = match escape {
        'a' => '\u{7}',
        'b' => '\u{8}',
        'f' => '\u{c}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'v' => '\u{b}',
        '\\' => '\\',
        '\'' | '"' if escape == mark => mark,
        'x' => {
            let (byte, rest) = number(2, 16, rest)?;
            out.push(u8::try_from(byte).ok()?);
            return Some(rest);
        }
        '0'..='7' => {
            let (byte, rest) = number(3, 8, &text[1..])?;
            out.push(u8::try_from(byte).ok()?);
            return Some(rest);
        }
        'u' | 'U' => {
            let (code, rest) = number(if escape == 'u' { 4 } else { 8 }, 16, rest)?;
            push(char::from_u32(code)?, out);
            return Some(rest);
        }
        _ => return None,
    };
    push(simple, out);
    Some(rest)
}

/// A number in a template: the integer and the fraction it can be taken for.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Number {
    /// As it is written.
    pub(super) text: String,
    /// Its value, if that is a whole number of 64 bits.
    pub(super) int: Option<i64>,
    /// Its value, if it is unsigned and larger than that.
    pub(super) uint: Option<u64>,
    pub(super) float: f64,
}

impl Number {
    /// A number, as Go's source has it.
    pub(super) fn parse(text: &str) -> Result<Number, String> {
        let number = |int, uint, float| {
            Ok(Number {
                text: text.to_owned(),
                int,
                uint,
                float,
            })
        };
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            reason = "a number is as near as a float comes to it, as in Go"
        )]
        match integer(text) {
            Some(whole) => match (i64::try_from(whole), u64::try_from(whole)) {
                (Ok(int), _) => return number(Some(int), None, int as f64),
                (Err(_), Ok(uint)) => return number(None, Some(uint), uint as f64),
                (Err(_), Err(_)) => return Err(format!("integer overflow: {}", quote(text))),
            },
            None => {
                let float = float(text).filter(|_| text.contains(['.', 'e', 'E', 'p', 'P']));
                if let Some(float) = float {
                    let int = (float.fract() == 0.0 && float.abs() < 9e18).then_some(float as i64);
                    return number(int, None, float);
                }
            }
        }
        let digits = text.trim_start_matches(['+', '-']);
        if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(format!("integer overflow: {}", quote(text)));
        }
        Err(format!("illegal number syntax: {}", quote(text)))
    }

    /// A character constant: its code point.
    pub(super) fn character(text: &str) -> Result<Number, String> {
        let code = u32::from(unquote_char(text)?);
        Ok(Number {
            text: text.to_owned(),
            int: Some(i64::from(code)),
            uint: None,
            float: f64::from(code),
        })
    }

    /// Whether it is a float where nothing says what it should be.
    pub(super) fn is_float(&self) -> bool {
        let hex = self
            .text
            .get(..2)
            .is_some_and(|start| start.eq_ignore_ascii_case("0x"));
        let marks: &[char] = if hex {
            &['p', 'P']
        } else {
            &['.', 'e', 'E', 'p', 'P']
        };
        !self.text.starts_with('\'') && self.text.contains(marks)
    }
}

/// A whole number in any base that Go has.
fn integer(text: &str) -> Option<i128> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let lower = digits.to_ascii_lowercase();
    let (radix, body) = match lower.get(..2) {
        Some("0x") => (16, &lower[2..]),
        Some("0b") => (2, &lower[2..]),
        Some("0o") => (8, &lower[2..]),
        Some(_) if lower.starts_with('0') => (8, &lower[1..]),
        Some(_) | None => (10, lower.as_str()),
    };
    let plain = without_underscores(body, radix != 10)?;
    let well = plain.chars().all(|c| c.is_digit(radix));
    let number = i128::from_str_radix(&plain, radix).ok().filter(|_| well)?;
    Some(sign * number)
}

/// Underscores stand between digits, or after a base.
fn without_underscores(text: &str, after_base: bool) -> Option<String> {
    let misplaced =
        (text.starts_with('_') && !after_base) || text.ends_with('_') || text.contains("__");
    (!misplaced).then(|| text.replace('_', ""))
}

fn float(text: &str) -> Option<f64> {
    let digits = text.trim_start_matches(['+', '-']);
    if text.len() - digits.len() > 1
        || !digits.starts_with(|c: char| c.is_ascii_digit() || c == '.')
    {
        return None;
    }
    if digits
        .get(..2)
        .is_some_and(|start| start.eq_ignore_ascii_case("0x"))
    {
        return hex_float(&digits[2..]).map(|f| if text.starts_with('-') { -f } else { f });
    }
    if digits.contains('_') {
        return None;
    }
    text.parse().ok().filter(|float: &f64| float.is_finite())
}

/// `1.8p3`: hexadecimal digits times a power of two.
fn hex_float(text: &str) -> Option<f64> {
    let (digits, exponent) = text.split_once(['p', 'P'])?;
    let exponent: i32 = exponent.parse().ok()?;
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.len() + fraction.len() == 0 {
        return None;
    }
    let mut value = 0.0;
    for c in whole.chars().chain(fraction.chars()) {
        value = value * 16.0 + f64::from(c.to_digit(16)?);
    }
    let places = i32::try_from(fraction.len()).ok()?;
    let value = value * 2f64.powi(exponent.checked_sub(places.checked_mul(4)?)?);
    value.is_finite().then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings() {
        assert_eq!(quote("a\"b\n\u{1}é\u{200b}"), "\"a\\\"b\\n\\x01é\\u200b\"");
        assert_eq!(quote_char('\''), "'\\''");
        assert_eq!(
            unquote(r#""a\tb\x41\101\u00e9""#).as_deref(),
            Some("a\tbAAé")
        );
        assert_eq!(unquote("`a\\n`").as_deref(), Some("a\\n"));
        for wrong in [
            r#""\'""#,
            r#""\xg0""#,
            r#""\8""#,
            r#""a"b""#,
            r#""\ud800""#,
            "\"",
        ] {
            assert_eq!(unquote(wrong), None, "{wrong}");
        }
        assert_eq!(unquote_char("'\\n'"), Ok('\n'));
        assert!(unquote_char("'ab'").is_err() && unquote_char("''").is_err());
    }

    #[test]
    fn numbers() {
        for (text, int) in [
            ("10", 10),
            ("-0x1F", -31),
            ("0b11", 3),
            ("017", 15),
            ("1_000", 1000),
            ("1e3", 1000),
            ("0", 0),
        ] {
            assert_eq!(Number::parse(text).map(|n| n.int), Ok(Some(int)), "{text}");
        }
        assert_eq!(Number::parse("0x1p-1").map(|n| n.float), Ok(0.5));
        assert_eq!(
            Number::parse("18446744073709551615").map(|n| n.uint),
            Ok(Some(u64::MAX))
        );
        for wrong in [
            "08",
            "1__0",
            "-",
            "99999999999999999999",
            ".",
            "+",
            "1e",
            "0x",
        ] {
            assert!(Number::parse(wrong).is_err(), "{wrong}");
        }
    }
}
