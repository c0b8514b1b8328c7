//! JSON as Go prints it, indented by two: the fields of objects and their metadata in Go's order, `<`, `>` and `&` escaped.

use serde_json::{Map, Value};

/// The order of an object's own fields.
const OBJECT: [&str; 7] = [
    "kind",
    "apiVersion",
    "metadata",
    "spec",
    "items",
    "status",
    "data",
];
/// The order of the fields of metadata.
const METADATA: [&str; 15] = [
    "name",
    "generateName",
    "namespace",
    "selfLink",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "labels",
    "annotations",
    "ownerReferences",
    "finalizers",
    "managedFields",
];

/// The value in lines, without a last line break.
pub(crate) fn pretty(value: &Value) -> String {
    pretty_within(value, 0)
}

/// The same as part of a value that has so many others around it; its first line is not indented.
pub(crate) fn pretty_within(value: &Value, depth: usize) -> String {
    let mut out = String::new();
    write(value, depth, &[], &mut out);
    out
}

fn write(value: &Value, depth: usize, order: &[&str], out: &mut String) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            let is_object = map.contains_key("kind") && map.contains_key("apiVersion");
            let order = if is_object { &OBJECT[..] } else { order };
            out.push('{');
            for (index, (key, value)) in ordered(map, order).into_iter().enumerate() {
                separate(index, depth + 1, out);
                text(key, out);
                out.push_str(": ");
                let inner = if is_object && key == "metadata" {
                    &METADATA[..]
                } else {
                    &[]
                };
                write(value, depth + 1, inner, out);
            }
            end('}', depth, out);
        }
        Value::Array(items) if !items.is_empty() => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                separate(index, depth + 1, out);
                write(item, depth + 1, &[], out);
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

fn ordered<'a>(map: &'a Map<String, Value>, order: &[&str]) -> Vec<(&'a String, &'a Value)> {
    let mut entries: Vec<(&String, &Value)> = map.iter().collect();
    let place = |key: &str| {
        order
            .iter()
            .position(|known| *known == key)
            .unwrap_or(order.len())
    };
    entries.sort_by(|a, b| place(a.0).cmp(&place(b.0)).then_with(|| a.0.cmp(b.0)));
    entries
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
