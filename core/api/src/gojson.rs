//! JSON as Go's encoder writes it, which is what upstream has in its store: `<`, `>`, `&`, U+2028 and U+2029 escaped.

use serde_json::Value;
use serde_json::ser::{CharEscape, Formatter, Serializer};
use std::io;

/// Encodes a value. Objects come out in the order of their maps.
pub(crate) fn to_vec<T: serde::Serialize>(value: &T) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    let mut serializer = Serializer::with_formatter(&mut out, GoFormatter);
    // Writing to memory cannot fail, and no map here has keys that are no strings.
    match value.serialize(&mut serializer) {
        Ok(()) => out,
        Err(_) => Value::Null.to_string().into_bytes(),
    }
}

struct GoFormatter;

impl Formatter for GoFormatter {
    fn write_string_fragment<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let mut rest = fragment;
        while let Some(at) = rest.find(['<', '>', '&', '\u{2028}', '\u{2029}']) {
            writer.write_all(&rest.as_bytes()[..at])?;
            let mut chars = rest[at..].chars();
            if let Some(c) = chars.next() {
                write!(writer, "\\u{:04x}", u32::from(c))?;
            }
            rest = chars.as_str();
        }
        writer.write_all(rest.as_bytes())
    }

    /// A number that is whole is written without a fraction, as Go writes a float: `1000`, not `1000.0`.
    fn write_f64<W: ?Sized + io::Write>(&mut self, writer: &mut W, value: f64) -> io::Result<()> {
        write_float(writer, value)
    }

    fn write_char_escape<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        escape: CharEscape,
    ) -> io::Result<()> {
        let text: &[u8] = match escape {
            CharEscape::Quote => b"\\\"",
            CharEscape::ReverseSolidus => b"\\\\",
            CharEscape::Solidus => b"/",
            CharEscape::Backspace => b"\\b",
            CharEscape::FormFeed => b"\\f",
            CharEscape::LineFeed => b"\\n",
            CharEscape::CarriageReturn => b"\\r",
            CharEscape::Tab => b"\\t",
            CharEscape::AsciiControl(byte) => return write!(writer, "\\u{byte:04x}"),
        };
        writer.write_all(text)
    }
}

/// Go's form: shortest digits, exponent only below 1e-6 and from 1e21 on.
fn write_float<W: ?Sized + io::Write>(writer: &mut W, value: f64) -> io::Result<()> {
    let magnitude = value.abs();
    if magnitude != 0.0 && !(1e-6..1e21).contains(&magnitude) {
        let text = format!("{value:e}");
        return match text.split_once("e-") {
            Some((digits, exponent)) => write!(writer, "{digits}e-{exponent:0>1}"),
            None => write!(writer, "{}", text.replace('e', "e+")),
        };
    }
    write!(writer, "{value}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn text(value: &Value) -> String {
        String::from_utf8(to_vec(value)).unwrap()
    }

    #[test]
    fn writes_what_go_writes() {
        assert_eq!(
            text(&json!({"s": "a<b>&c\u{2028}\"\\\n\u{1}\u{7f}é", "n": null, "l": [1, true]})),
            r#"{"l":[1,true],"n":null,"s":"a\u003cb\u003e\u0026c\u2028\"\\\n\u0001"#.to_owned()
                + "\u{7f}é\"}"
        );
        for (value, expected) in [
            (1000.0, "1000"),
            (0.5, "0.5"),
            (1e20, "100000000000000000000"),
            (1e21, "1e+21"),
            (1e-7, "1e-7"),
            (-2.5e-9, "-2.5e-9"),
            (0.0, "0"),
        ] {
            assert_eq!(text(&json!(value)), expected);
        }
    }
}
