//! Writes a JSON value as YAML, byte for byte as `sigs.k8s.io/yaml` writes it: sorted keys, lists not indented under their
//! keys, long strings continued at the first space past column 80, strings quoted where YAML 1.1 would misread them. Only text
//! with U+2028 or U+2029 is written otherwise: quoted, where Go's breaks lines that YAML 1.2 does not join again.

use std::cmp::Ordering;

use serde_json::{Map, Number, Value};

use super::resolve::reads_as_string;
use super::scalar::{Place, Style, escape, is_break, is_printable, style};

const STEP: usize = 2;
/// A line is continued at the first space after this column.
const WIDTH: usize = 80;
/// Longer keys are written in the explicit form.
const LONGEST_SIMPLE_KEY: usize = 128;

/// The value as one YAML document.
pub(crate) fn to_yaml(value: &Value) -> String {
    let mut emitter = Emitter::default();
    match value {
        Value::Object(map) if !map.is_empty() => emitter.mapping(map, 0),
        Value::Array(items) if !items.is_empty() => emitter.sequence(items, 0),
        Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::String(_)
        | Value::Array(_)
        | Value::Object(_) => emitter.leaf(value, STEP),
    }
    emitter.fresh_line();
    emitter.out
}

#[derive(Default)]
struct Emitter {
    out: String,
    column: usize,
}

impl Emitter {
    fn push(&mut self, c: char) {
        self.out.push(c);
        self.column += 1;
    }

    fn push_str(&mut self, text: &str) {
        self.out.push_str(text);
        self.column += text.chars().count();
    }

    fn line_break(&mut self) {
        self.out.push('\n');
        self.column = 0;
    }

    /// To the start of a line, unless there already.
    fn fresh_line(&mut self) {
        if self.column > 0 {
            self.line_break();
        }
    }

    fn indented_line(&mut self, indent: usize) {
        self.fresh_line();
        for _ in 0..indent {
            self.push(' ');
        }
    }

    /// Writes a mapping whose first key goes where the cursor stands, at column `indent`.
    fn mapping(&mut self, map: &Map<String, Value>, indent: usize) {
        let mut entries: Vec<(&String, &Value)> = map.iter().collect();
        entries.sort_by(|a, b| compare_keys(a.0, b.0));
        for (index, (key, value)) in entries.into_iter().enumerate() {
            if index > 0 {
                self.indented_line(indent);
            }
            if key.len() > LONGEST_SIMPLE_KEY || key.contains(is_break) {
                self.explicit_entry(key, value, indent);
                continue;
            }
            self.text(key, indent + STEP, Place::SimpleKey);
            self.push(':');
            match value {
                Value::Object(map) if !map.is_empty() => {
                    self.indented_line(indent + STEP);
                    self.mapping(map, indent + STEP);
                }
                Value::Array(items) if !items.is_empty() => {
                    self.indented_line(indent);
                    self.sequence(items, indent);
                }
                Value::Null
                | Value::Bool(_)
                | Value::Number(_)
                | Value::String(_)
                | Value::Array(_)
                | Value::Object(_) => {
                    self.push(' ');
                    self.leaf(value, indent + STEP);
                }
            }
        }
    }

    /// `? key` and, on a line of its own, `: value`.
    fn explicit_entry(&mut self, key: &str, value: &Value, indent: usize) {
        self.push_str("? ");
        self.text(key, indent + STEP, Place::Value);
        self.indented_line(indent);
        self.push_str(": ");
        self.nested(value, indent);
    }

    fn sequence(&mut self, items: &[Value], indent: usize) {
        for (index, item) in items.iter().enumerate() {
            if index > 0 {
                self.indented_line(indent);
            }
            self.push_str("- ");
            self.nested(item, indent);
        }
    }

    /// A value that begins on the line of its mark, which stands at `indent`.
    fn nested(&mut self, value: &Value, indent: usize) {
        match value {
            Value::Object(map) if !map.is_empty() => self.mapping(map, indent + STEP),
            Value::Array(items) if !items.is_empty() => self.sequence(items, indent + STEP),
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Array(_)
            | Value::Object(_) => self.leaf(value, indent + STEP),
        }
    }

    /// A scalar or an empty collection.
    fn leaf(&mut self, value: &Value, indent: usize) {
        match value {
            Value::Null => self.push_str("null"),
            Value::Bool(flag) => self.push_str(if *flag { "true" } else { "false" }),
            Value::Number(number) => self.push_str(&go_number(number)),
            Value::String(text) => self.text(text, indent, Place::Value),
            Value::Array(_) => self.push_str("[]"),
            Value::Object(_) => self.push_str("{}"),
        }
    }

    fn text(&mut self, text: &str, indent: usize, place: Place) {
        let wanted = if text.contains('\n') {
            Style::Literal
        } else if reads_as_string(text) {
            Style::Plain
        } else {
            Style::DoubleQuoted
        };
        match style(text, wanted, place) {
            Style::Plain => self.flowing(text, indent, place, |c, out| out.push(c)),
            Style::SingleQuoted => {
                self.push('\'');
                self.flowing(text, indent, place, |c, out| {
                    out.push_str(if c == '\'' { "''" } else { "" });
                    if c != '\'' {
                        out.push(c);
                    }
                });
                self.push('\'');
            }
            Style::DoubleQuoted => self.double_quoted(text, indent, place),
            Style::Literal => self.literal(text, indent),
        }
    }

    /// Text that goes on in the next line at a single space past the width. Only single quotes can hold spaces at the
    /// edges, and are not broken there.
    fn flowing(&mut self, text: &str, indent: usize, place: Place, write: fn(char, &mut String)) {
        let last = text.chars().count().saturating_sub(1);
        let mut chars = text.chars().enumerate().peekable();
        let mut after_space = false;
        while let Some((index, c)) = chars.next() {
            let space_follows = chars.peek().is_some_and(|(_, next)| *next == ' ');
            let breakable = place == Place::Value
                && c == ' '
                && !after_space
                && !space_follows
                && self.column > WIDTH
                && index > 0
                && index < last;
            if breakable {
                self.indented_line(indent);
            } else {
                let before = self.out.len();
                write(c, &mut self.out);
                self.column += self.out[before..].chars().count();
            }
            after_space = c == ' ';
        }
    }

    fn double_quoted(&mut self, text: &str, indent: usize, place: Place) {
        self.push('"');
        let last = text.chars().count().saturating_sub(1);
        let mut chars = text.chars().enumerate().peekable();
        let mut after_space = false;
        while let Some((index, c)) = chars.next() {
            if !is_printable(c) || is_break(c) || matches!(c, '"' | '\\') {
                let before = self.out.len();
                escape(c, &mut self.out);
                self.column += self.out.len() - before;
                after_space = false;
                continue;
            }
            let breakable = place == Place::Value
                && c == ' '
                && !after_space
                && self.column > WIDTH
                && index > 0
                && index < last;
            if breakable {
                self.indented_line(indent);
                if chars.peek().is_some_and(|(_, next)| *next == ' ') {
                    self.push('\\');
                }
            } else {
                self.push(c);
            }
            after_space = c == ' ';
        }
        self.push('"');
    }

    fn literal(&mut self, text: &str, indent: usize) {
        self.push('|');
        if text.starts_with(|c: char| c == ' ' || is_break(c)) {
            self.push_str(&STEP.to_string());
        }
        let mut backwards = text.chars().rev();
        match (backwards.next(), backwards.next()) {
            (Some(last), Some(before)) if is_break(last) && is_break(before) => self.push('+'),
            (Some(last), None) if is_break(last) => self.push('+'),
            (Some(last), _) if is_break(last) => {}
            (_, _) => self.push('-'),
        }
        self.line_break();
        let mut at_start = true;
        for c in text.chars() {
            if is_break(c) {
                self.line_break();
                at_start = true;
            } else {
                if at_start {
                    self.indented_line(indent);
                }
                self.push(c);
                at_start = false;
            }
        }
    }
}

/// Go's order of keys: letters after everything else, digits by the number they form.
fn compare_keys(a: &str, b: &str) -> Ordering {
    let left: Vec<char> = a.chars().collect();
    let right: Vec<char> = b.chars().collect();
    let Some(at) = left.iter().zip(&right).position(|(l, r)| l != r) else {
        return left.len().cmp(&right.len());
    };
    let (l, r) = (left[at], right[at]);
    match (l.is_alphabetic(), r.is_alphabetic()) {
        (true, true) => return l.cmp(&r),
        (true, false) => return Ordering::Greater,
        (false, true) => return Ordering::Less,
        (false, false) => {}
    }
    // A zero inside of a number that began before counts as a digit, not as padding.
    let digits_before = left[..at].iter().rev().take_while(|c| c.is_ascii_digit());
    let inside = (l == '0' || r == '0') && digits_before.into_iter().any(|c| *c != '0');
    let number = |chars: &[char]| {
        let start = u64::from(inside);
        let digits = chars[at..].iter().map_while(|c| c.to_digit(10));
        digits.fold((start, 0_usize), |(value, count), digit| {
            (
                value.wrapping_mul(10).wrapping_add(u64::from(digit)),
                count + 1,
            )
        })
    };
    number(&left).cmp(&number(&right)).then(l.cmp(&r))
}

/// A number as Go's JSON, then Go's YAML, has it: whole ones without a fraction, others shortest.
fn go_number(number: &Number) -> String {
    if number.is_i64() || number.is_u64() {
        return number.to_string();
    }
    let value = number.as_f64().unwrap_or_default();
    if value.fract() == 0.0 && value.abs() < 9.2e18 {
        return format!("{value:.0}");
    }
    let scientific = format!("{value:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    // Go's `g` with the shortest digits turns to exponents here.
    if (-4..6).contains(&exponent) {
        return format!("{value}");
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The expected text was written by Go's `sigs.k8s.io/yaml` 1.6.0.
    #[test]
    fn writes_what_go_writes() {
        let value: Value =
            serde_json::from_str(include_str!("../../tests/golden/yaml.json")).unwrap();
        let expected = include_str!("../../tests/golden/yaml.yaml");
        assert_eq!(to_yaml(&value), expected);
    }

    /// What is written is read as what it was, whatever is in it.
    #[test]
    fn any_text_survives_writing_and_reading() {
        use crate::yaml::{Source, documents};
        use testkit::rng::Rng;
        const PARTS: [&str; 44] = [
            " ",
            "  ",
            "\n",
            "\n\n",
            "\t",
            "\r",
            "\r\n",
            "\u{85}",
            "\u{a0}",
            "\u{2028}",
            "\u{2029}",
            "\u{feff}",
            "\u{0}",
            "\u{7f}",
            "\u{fffe}",
            "\u{1f600}",
            "é",
            "a",
            "Z",
            "0",
            "1e3",
            "0x1",
            "true",
            "no",
            "null",
            "~",
            "-",
            "- ",
            ":",
            ": ",
            "#",
            " #",
            "'",
            "\"",
            "\\",
            "|",
            ">",
            "%",
            "@",
            "---\n",
            "...\n",
            "===\n",
            "{",
            "a long word ",
        ];
        for seed in 0..4000 {
            let mut rng = Rng::new(seed);
            let mut text = || -> String {
                let parts = rng.below(if seed % 50 == 0 { 60 } else { 6 });
                (0..parts).map(|_| *rng.pick(&PARTS)).collect()
            };
            let value = serde_json::json!({"k": text(), "list": [text(), {"in": text()}], "map": {(text()): text()}});
            let source = Source {
                name: "test".to_owned(),
                text: to_yaml(&value),
            };
            let read = documents(&source)
                .into_iter()
                .next()
                .map(|document| document.content);
            let Some(Ok(content)) = read else {
                panic!("seed {seed}: {value}\n{}", source.text);
            };
            assert_eq!(content.to_value(), value, "seed {seed}:\n{}", source.text);
        }
    }

    #[test]
    fn writes_lone_values() {
        assert_eq!(to_yaml(&serde_json::json!([])), "[]\n");
        assert_eq!(
            to_yaml(&serde_json::json!([{"b": 1, "a": 2}])),
            "- a: 2\n  b: 1\n"
        );
    }
}
