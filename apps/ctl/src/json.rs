//! JSON as Go prints it, indented by two: fields in the order of Go's structs, `<`, `>` and `&` escaped.

use api::gotypes::{ANY, item_of, of_kind};
use api::{CALICO_V3, GoPart, go_parts};
use serde_json::Value;

/// The value in lines, without a last line break.
pub(crate) fn pretty(value: &Value) -> String {
    pretty_within(value, 0)
}

/// The same as part of a value that has so many others around it; its first line is not indented.
pub(crate) fn pretty_within(value: &Value, depth: usize) -> String {
    let mut out = String::new();
    write(value, depth, ANY, &mut out);
    out
}

/// Writes a value of a type; an object says of itself what it is.
fn write(value: &Value, depth: usize, ty: &'static str, out: &mut String) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            let has = |field: &str| map.get(field).and_then(Value::as_str);
            let ty = match (has("kind"), has("apiVersion")) {
                (Some(kind), Some(CALICO_V3)) => of_kind(kind),
                // One that has the fields of all objects and nothing else is known of.
                (Some(_), Some(_)) => of_kind(""),
                (_, _) => ty,
            };
            out.push('{');
            for (index, part) in go_parts(ty, map).into_iter().enumerate() {
                let GoPart { key, value, ty } = part;
                separate(index, depth + 1, out);
                text(key, out);
                out.push_str(": ");
                write(&value, depth + 1, ty, out);
            }
            end('}', depth, out);
        }
        Value::Array(items) if !items.is_empty() => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                separate(index, depth + 1, out);
                write(item, depth + 1, item_of(ty), out);
            }
            end(']', depth, out);
        }
        Value::String(string) => text(string, out),
        Value::Number(number) => {
            let whole = number
                .as_f64()
                .filter(|f| number.is_f64() && f.fract() == 0.0 && f.abs() < 1e15);
            out.push_str(&whole.map_or_else(|| number.to_string(), |f| format!("{f:.0}")));
        }
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => {
            out.push_str(&value.to_string())
        }
    }
}

fn separate(index: usize, depth: usize, out: &mut String) {
    if index > 0 {
        out.push(',');
    }
    out.push('\n');
    out.push_str(&"  ".repeat(depth));
}

fn end(bracket: char, depth: usize, out: &mut String) {
    out.push('\n');
    out.push_str(&"  ".repeat(depth));
    out.push(bracket);
}

fn text(string: &str, out: &mut String) {
    for c in Value::from(string).to_string().chars() {
        match c {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                out.push_str(&format!("\\u{:04x}", u32::from(c)))
            }
            c => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn prints_in_go_order() {
        let value = json!({
            "apiVersion": "v1", "kind": "X", "spec": {"b": "<a>", "a": [], "order": 10.0},
            "metadata": {"annotations": {"x": "y"}, "name": "n", "uid": "u"},
        });
        let expected = "{\n  \"kind\": \"X\",\n  \"apiVersion\": \"v1\",\n  \"metadata\": {\n    \"name\": \"n\",\n    \"uid\": \"u\",\n    \"annotations\": {\n      \"x\": \"y\"\n    }\n  },\n  \"spec\": {\n    \"a\": [],\n    \"b\": \"\\u003ca\\u003e\",\n    \"order\": 10\n  }\n}";
        assert_eq!(pretty(&value), expected);
    }
}
