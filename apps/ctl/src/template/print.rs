//! Values as Go's `fmt` prints them.

use super::quote::{quote, quote_char};
use super::value::{InJson as _, Val, View};
use crate::columns::go_float;

/// `%v`. Where Go would print the address of what a pointer leads to, this prints what is there.
pub(super) fn plain(value: &Val<'_>) -> String {
    let mut out = String::new();
    write(value, &mut out);
    out
}

fn write(value: &Val<'_>, out: &mut String) {
    match value.view() {
        View::Nothing => out.push_str("<nil>"),
        View::Nil => out.push_str(nil(value.type_name())),
        View::Bool(value) => out.push_str(if value { "true" } else { "false" }),
        View::Int(value) => out.push_str(&value.to_string()),
        View::Uint(value) => out.push_str(&value.to_string()),
        View::Float(value) => out.push_str(&go_float(value)),
        View::Text(text) => out.push_str(text),
        View::Named(_, text) => out.push_str(&text),
        View::Items(items) => {
            out.push('[');
            separated(items.iter(), out, write);
            out.push(']');
        }
        View::Map(ty, map) => {
            out.push_str("map[");
            let mut keys: Vec<&String> = map.into_iter().flat_map(|map| map.keys()).collect();
            keys.sort();
            separated(keys.into_iter(), out, |key, out| {
                out.push_str(key);
                out.push(':');
                let json = map.and_then(|map| map.get(key));
                write(&Val::Data { ty, json }, out);
            });
            out.push(']');
        }
        View::Struct(fields, object) => {
            out.push('{');
            separated(fields.iter(), out, |field, out| match field.json {
                Some(_) => write(&field.value(object), out),
                None => embedded(field, object, out),
            });
            out.push('}');
        }
    }
}

/// Types of Kubernetes print nil in a manner of their own.
fn nil(ty: &str) -> &'static str {
    match ty.strip_prefix("*v1.") {
        None | Some("Time") => "<nil>",
        Some(_) => "nil",
    }
}

fn embedded(
    field: &api::gotypes::Field,
    object: Option<&serde_json::Map<String, serde_json::Value>>,
    out: &mut String,
) {
    out.push('{');
    separated(api::gotypes::fields(field.ty).iter(), out, |field, out| {
        write(&field.value(object), out);
    });
    out.push('}');
}

fn separated<T>(
    items: impl Iterator<Item = T>,
    out: &mut String,
    mut each: impl FnMut(T, &mut String),
) {
    for (index, item) in items.enumerate() {
        if index > 0 {
            out.push(' ');
        }
        each(item, out);
    }
}

/// What an action prints.
pub(super) fn shown(value: &Val<'_>) -> String {
    match value {
        Val::Nothing => "<no value>".to_owned(),
        Val::Bool(_)
        | Val::Int(_)
        | Val::Byte(_)
        | Val::Float(_)
        | Val::Text(_)
        | Val::List(..)
        | Val::Data { .. } => plain(value),
    }
}

/// `print`: spaces between operands of which neither is a string.
pub(super) fn print(values: &[Val<'_>]) -> String {
    let mut out = String::new();
    let mut after_text = true;
    for value in values {
        let is_text = !value.type_name().starts_with('*') && matches!(value.view(), View::Text(_));
        if !after_text && !is_text {
            out.push(' ');
        }
        after_text = is_text;
        write(value, &mut out);
    }
    out
}

/// `print`, of values as actions print them.
pub(super) fn print_shown(values: &[Val<'_>]) -> String {
    let named = values.iter().map(|value| match value {
        Val::Nothing => Val::text(shown(value)),
        Val::Bool(_)
        | Val::Int(_)
        | Val::Byte(_)
        | Val::Float(_)
        | Val::Text(_)
        | Val::List(..)
        | Val::Data { .. } => value.clone(),
    });
    print(&named.collect::<Vec<_>>())
}

/// `println`: spaces between all, and a line break.
pub(super) fn println(values: &[Val<'_>]) -> String {
    let mut out = String::new();
    separated(values.iter(), &mut out, write);
    out.push('\n');
    out
}

/// The widest field that `printf` fills.
const WIDEST: usize = 1_000_000;

#[derive(Default)]
struct Flags {
    minus: bool,
    plus: bool,
    sharp: bool,
    space: bool,
    zero: bool,
    width: Option<usize>,
    precision: Option<usize>,
}

struct Arguments<'a, 'd> {
    values: &'a [Val<'d>],
    next: usize,
    /// Whether any was taken out of its order: then it is no error to leave some.
    reordered: bool,
    /// Whether an index in brackets was wrong.
    bad_index: bool,
}

/// `printf`.
pub(super) fn printf(format: &str, values: &[Val<'_>]) -> String {
    let mut out = String::new();
    let mut args = Arguments {
        values,
        next: 0,
        reordered: false,
        bad_index: false,
    };
    let mut rest = format;
    while let Some((before, after)) = rest.split_once('%') {
        out.push_str(before);
        rest = directive(after, &mut args, &mut out);
    }
    out.push_str(rest);
    if !args.reordered && args.next < values.len() {
        out.push_str("%!(EXTRA ");
        for (index, value) in values[args.next..].iter().enumerate() {
            if index > 0 {
                out.push_str(", ");
            }
            out.push_str(&typed(value));
        }
        out.push(')');
    }
    out
}

/// A value with its type, as complaints have it.
fn typed(value: &Val<'_>) -> String {
    match value {
        Val::Nothing => "<nil>".to_owned(),
        Val::Bool(_)
        | Val::Int(_)
        | Val::Byte(_)
        | Val::Float(_)
        | Val::Text(_)
        | Val::List(..)
        | Val::Data { .. } => format!("{}={}", value.type_name(), plain(value)),
    }
}

/// One directive, after its `%`; returns what follows.
fn directive<'t>(text: &'t str, args: &mut Arguments<'_, '_>, out: &mut String) -> &'t str {
    let mut flags = Flags::default();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        match c {
            '-' => flags.minus = true,
            '+' => flags.plus = true,
            '#' => flags.sharp = true,
            ' ' => flags.space = true,
            '0' => flags.zero = true,
            _ => break,
        }
        rest = &rest[1..];
    }
    args.bad_index = false;
    rest = args.index(rest);
    (flags.width, rest) = number(rest, args, "%!(BADWIDTH)", out);
    if let Some(after) = rest.strip_prefix('.') {
        rest = args.index(after);
        (flags.precision, rest) = number(rest, args, "%!(BADPREC)", out);
        flags.precision = flags.precision.or(Some(0));
    }
    rest = args.index(rest);
    let Some(verb) = rest.chars().next() else {
        out.push_str("%!(NOVERB)");
        return "";
    };
    rest = &rest[verb.len_utf8()..];
    if verb == '%' {
        out.push('%');
    } else if args.bad_index {
        out.push_str(&format!("%!{verb}(BADINDEX)"));
    } else if let Some(value) = args.values.get(args.next) {
        args.next += 1;
        out.push_str(&padded(value, verb, &flags));
    } else {
        out.push_str(&format!("%!{verb}(MISSING)"));
    }
    rest
}

/// A width or precision: digits, or a `*` that takes an argument.
fn number<'t>(
    text: &'t str,
    args: &mut Arguments<'_, '_>,
    complaint: &str,
    out: &mut String,
) -> (Option<usize>, &'t str) {
    if let Some(rest) = text.strip_prefix('*') {
        let value = args.values.get(args.next).map(Val::view);
        args.next += 1;
        let number = if let Some(View::Int(number)) = value {
            usize::try_from(number).ok().filter(|n| *n <= WIDEST)
        } else {
            None
        };
        if number.is_none() {
            out.push_str(complaint);
        }
        return (number, rest);
    }
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let number = text[..digits].parse().ok().filter(|n| *n <= WIDEST);
    (number, &text[digits..])
}

impl Arguments<'_, '_> {
    /// `[2]` says which argument is next.
    fn index<'t>(&mut self, text: &'t str) -> &'t str {
        let Some((index, rest)) = text.strip_prefix('[').and_then(|t| t.split_once(']')) else {
            return text;
        };
        self.reordered = true;
        match index.parse::<usize>() {
            Ok(index) if index >= 1 && index <= self.values.len() => self.next = index - 1,
            Ok(_) | Err(_) => self.bad_index = true,
        }
        rest
    }
}

fn padded(value: &Val<'_>, verb: char, flags: &Flags) -> String {
    let text = formatted(value, verb, flags);
    let missing = flags
        .width
        .unwrap_or(0)
        .saturating_sub(text.chars().count());
    if missing == 0 {
        return text;
    }
    if flags.minus {
        return text + &" ".repeat(missing);
    }
    if !flags.zero {
        return " ".repeat(missing) + &text;
    }
    let sign =
        usize::from(text.starts_with(['+', '-', ' ']) && !matches!(value.view(), View::Text(_)));
    let (sign, digits) = text.split_at(sign);
    format!("{sign}{}{digits}", "0".repeat(missing))
}

fn formatted(value: &Val<'_>, verb: char, flags: &Flags) -> String {
    if verb == 'T' {
        let is_nothing = matches!(value, Val::Nothing);
        let ty = if is_nothing {
            "<nil>"
        } else {
            value.type_name()
        };
        return ty.to_owned();
    }
    let wrong = || format!("%!{verb}({})", typed(value));
    let signed = |negative: bool, digits: String| {
        let sign = match (negative, flags.plus, flags.space) {
            (true, _, _) => "-",
            (false, true, _) => "+",
            (false, false, true) => " ",
            (false, false, false) => "",
        };
        format!("{sign}{digits}")
    };
    let cut = |text: &str| -> String {
        match flags.precision {
            Some(most) => text.chars().take(most).collect(),
            None => text.to_owned(),
        }
    };
    match (value.view(), verb) {
        (View::Nothing, 'v') => "<nil>".to_owned(),
        (View::Text(text), 'v') if flags.sharp => quote(text),
        (View::Text(text), 's' | 'v') => cut(text),
        (View::Named(_, text), 's' | 'v') => cut(&text),
        (View::Text(text), 'q') => quoted(&cut(text), flags),
        (View::Named(_, text), 'q') => quoted(&cut(&text), flags),
        (View::Text(text), 'x' | 'X') => hex(&cut(text), verb),
        (View::Bool(value), 't' | 'v') => value.to_string(),
        (View::Int(number), _) => integer(number < 0, number.unsigned_abs(), verb, flags)
            .map_or_else(wrong, |digits| {
                unsigned_text(verb, number < 0, digits, &signed)
            }),
        (View::Uint(number), _) => integer(false, number, verb, flags)
            .map_or_else(wrong, |digits| unsigned_text(verb, false, digits, &signed)),
        (View::Float(number), _) => float(number.abs(), verb, flags)
            .map_or_else(wrong, |digits| signed(number < 0.0, digits)),
        (View::Items(items), 's' | 'd' | 'q' | 'x' | 'X' | 'f' | 'g' | 'e') => {
            let parts: Vec<String> = items
                .iter()
                .map(|item| formatted(item, verb, flags))
                .collect();
            format!("[{}]", parts.join(" "))
        }
        (View::Nil | View::Items(_) | View::Map(..) | View::Struct(..), 'v' | 's') => plain(value),
        _ => wrong(),
    }
}

/// Characters have no sign.
fn unsigned_text(
    verb: char,
    negative: bool,
    digits: String,
    signed: &impl Fn(bool, String) -> String,
) -> String {
    if matches!(verb, 'c' | 'q' | 'U') {
        digits
    } else {
        signed(negative, digits)
    }
}

fn quoted(text: &str, flags: &Flags) -> String {
    let raw = flags.sharp
        && !text.contains(['`', '\u{7f}', '\u{feff}'])
        && !text.chars().any(|c| c < ' ' && c != '\t');
    if raw {
        format!("`{text}`")
    } else {
        quote(text)
    }
}

fn hex(text: &str, verb: char) -> String {
    let digits: String = text.bytes().map(|byte| format!("{byte:02x}")).collect();
    if verb == 'X' {
        digits.to_uppercase()
    } else {
        digits
    }
}

fn integer(negative: bool, number: u64, verb: char, flags: &Flags) -> Option<String> {
    let prefix = |prefix: &str, digits: String| {
        if flags.sharp {
            format!("{prefix}{digits}")
        } else {
            digits
        }
    };
    let character = || {
        let code = u32::try_from(number).ok().filter(|_| !negative);
        code.and_then(char::from_u32).unwrap_or('\u{fffd}')
    };
    let digits = match verb {
        'd' | 'v' => number.to_string(),
        'b' => prefix("0b", format!("{number:b}")),
        'o' => prefix("0", format!("{number:o}")),
        'O' => format!("0o{number:o}"),
        'x' => prefix("0x", format!("{number:x}")),
        'X' => prefix("0X", format!("{number:X}")),
        'c' => character().to_string(),
        'q' => quote_char(character()),
        'U' => format!("U+{number:04X}"),
        _ => return None,
    };
    let least = flags.precision.filter(|_| !matches!(verb, 'c' | 'q' | 'U'));
    let missing = least.unwrap_or(0).saturating_sub(digits.len());
    Some("0".repeat(missing) + &digits)
}

fn float(number: f64, verb: char, flags: &Flags) -> Option<String> {
    let places = flags.precision;
    let text = match verb {
        'v' | 'g' | 'G' => match places {
            None => go_float(number),
            Some(places) => general(number, places),
        },
        'f' | 'F' => format!("{number:.*}", places.unwrap_or(6)),
        'e' | 'E' => scientific(number, places.unwrap_or(6)),
        _ => return None,
    };
    Some(if verb.is_ascii_uppercase() {
        text.to_uppercase()
    } else {
        text
    })
}

fn scientific(number: f64, places: usize) -> String {
    let text = format!("{number:.places$e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.unsigned_abs())
}

/// `%.3g`: so many digits that count, without zeros at the end.
fn general(number: f64, digits: usize) -> String {
    let digits = digits.clamp(1, 100);
    let rounded = scientific(number, digits - 1);
    let (mantissa, exponent) = rounded.split_once('e').unwrap_or((&rounded, "+00"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    let trim = |text: &str| {
        if text.contains('.') {
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        } else {
            text.to_owned()
        }
    };
    let limit = i32::try_from(digits).unwrap_or(i32::MAX);
    if exponent < -4 || exponent >= limit {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{}e{sign}{:02}", trim(mantissa), exponent.unsigned_abs());
    }
    let places = usize::try_from(limit - 1 - exponent).unwrap_or(0);
    trim(&format!("{number:.places$}"))
}
