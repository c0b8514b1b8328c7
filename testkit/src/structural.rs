//! Checks an object against the schema of a CRD as an API server does, but for rules in CEL: types, fields, required ones,
//! words, patterns, bounds, sizes, sets, and the formats that our CRDs use.

use std::collections::BTreeSet;

use regex_lite::Regex;
use serde_json::Value;

/// Every field that the schema refuses, with the reason; empty if it accepts the object.
#[must_use]
pub fn check(schema: &Value, object: &Value) -> Vec<(String, String)> {
    let mut found = Vec::new();
    at("", schema, object, &mut found);
    found
}

/// The schema of whole objects in a CustomResourceDefinition.
#[must_use]
pub fn schema_of(definition: &Value) -> &Value {
    &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
}

fn at(path: &str, schema: &Value, value: &Value, found: &mut Vec<(String, String)>) {
    let mut wrong = |what: String| found.push((path.to_owned(), what));
    if value.is_null() && schema["nullable"] == true {
        return;
    }
    let kind = schema["type"].as_str().unwrap_or("");
    let fits = match kind {
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => schema["x-kubernetes-int-or-string"] == true && (value.is_string() || value.is_i64()),
    };
    if !fits {
        wrong(format!("is no {kind}"));
        return;
    }
    if let Some(words) = schema["enum"]
        .as_array()
        .filter(|words| !words.contains(value))
    {
        wrong(format!("is none of {words:?}"));
    }
    if let Some(text) = value.as_str() {
        string(schema, text, &mut wrong);
    }
    let bound = |name: &str| schema[name].as_f64().zip(value.as_f64());
    if bound("minimum").is_some_and(|(least, number)| number < least)
        || bound("maximum").is_some_and(|(most, number)| number > most)
    {
        wrong("is out of bounds".to_owned());
    }
    let size = match value {
        Value::String(text) => Some((text.chars().count(), "minLength", "maxLength")),
        Value::Array(items) => Some((items.len(), "minItems", "maxItems")),
        Value::Object(fields) => Some((fields.len(), "minProperties", "maxProperties")),
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
    };
    if let Some((size, fewest, most)) = size {
        let size = u64::try_from(size).unwrap_or(u64::MAX);
        if schema[fewest].as_u64().is_some_and(|fewest| size < fewest)
            || schema[most].as_u64().is_some_and(|most| size > most)
        {
            wrong(format!("has the size {size}"));
        }
    }
    match value {
        Value::Array(items) => list(path, schema, items, found),
        Value::Object(_) => fields(path, schema, value, found),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn string(schema: &Value, text: &str, wrong: &mut impl FnMut(String)) {
    if let Some(pattern) = schema["pattern"].as_str() {
        let regex = Regex::new(pattern).unwrap_or_else(|error| panic!("{pattern}: {error}"));
        if !regex.is_match(text) {
            wrong(format!("does not match {pattern}"));
        }
    }
    let fits = match schema["format"].as_str() {
        Some("cidr") => text.contains('/') && text.parse::<model::Cidr>().is_ok(),
        Some("date-time") => text.len() >= 20 && text.contains('T'),
        Some(_) | None => true,
    };
    if !fits {
        wrong(format!("is no {}", schema["format"]));
    }
}

fn list(path: &str, schema: &Value, items: &[Value], found: &mut Vec<(String, String)>) {
    let key = |item: &Value| match schema["x-kubernetes-list-type"].as_str() {
        Some("set") => Some(item.to_string()),
        Some("map") => Some(
            item[schema["x-kubernetes-list-map-keys"][0]
                .as_str()
                .unwrap_or("")]
            .to_string(),
        ),
        Some(_) | None => None,
    };
    let mut seen = BTreeSet::new();
    for (index, item) in items.iter().enumerate() {
        let path = format!("{path}[{index}]");
        if key(item).is_some_and(|key| !seen.insert(key)) {
            found.push((path.clone(), "is there twice".to_owned()));
        }
        at(&path, &schema["items"], item, found);
    }
}

fn fields(path: &str, schema: &Value, value: &Value, found: &mut Vec<(String, String)>) {
    let below = |name: &str| match path {
        "" => name.to_owned(),
        _ => format!("{path}.{name}"),
    };
    for name in schema["required"].as_array().into_iter().flatten() {
        let name = name.as_str().unwrap_or("");
        if value.get(name).is_none() && schema["properties"][name]["default"].is_null() {
            found.push((below(name), "is required".to_owned()));
        }
    }
    if path == "metadata" {
        return;
    }
    for (name, value) in value.as_object().into_iter().flatten() {
        match (
            schema["properties"].get(name),
            schema.get("additionalProperties"),
        ) {
            (Some(inner), _) | (None, Some(inner)) => at(&below(name), inner, value, found),
            (None, None) => found.push((below(name), "is no field".to_owned())),
        }
    }
}
