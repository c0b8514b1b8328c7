//! Objects as upstream's Go structs encode them: fields in the order of the structs, those that are always written, none
//! that are empty, durations as Go prints them. Fields that the structs do not have follow, in the order of their names.
//!
//! This is the form in which upstream keeps and prints objects, whatever form their author gave them.

use std::borrow::Cow;

use serde::ser::{SerializeMap as _, SerializeSeq as _};
use serde::{Serialize, Serializer};
use serde_json::{Map, Value, json};

use crate::gojson;
use crate::gotypes::{ANY, Field, Shape, Written, fields, item_of, of_kind, pointee, shape};
use crate::kind::{CALICO_V3, Kind};

/// A value that stands in an object, and the Go type of its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Part<'a> {
    /// The field's name in JSON.
    pub key: &'a str,
    /// Its value; parts of it are not in order yet.
    pub value: Cow<'a, Value>,
    /// Its type.
    pub ty: &'static str,
}

/// The Go type of objects of a kind; [`ANY`] for kinds that are not Calico's own.
pub(crate) fn go_type(kind: Kind) -> &'static str {
    match kind.api_version() {
        CALICO_V3 => of_kind(kind.name()),
        _ => ANY,
    }
}

/// The fields of an object of a type, one level deep, as Go writes them.
pub fn parts<'a>(ty: &'static str, map: &'a Map<String, Value>) -> Vec<Part<'a>> {
    match shape(pointee(ty)) {
        Shape::Struct(_) => {
            let mut out = Vec::with_capacity(map.len() + 2);
            let mut known = Vec::new();
            of_struct(pointee(ty), map, &mut out, &mut known);
            let unknown = map.iter().filter(|(key, _)| !known.contains(&key.as_str()));
            out.extend(unknown.map(|(key, value)| part(key, Cow::Borrowed(value), ANY)));
            out
        }
        Shape::Map(inner) => of_map(map, inner),
        Shape::Bool
        | Shape::Int
        | Shape::Uint
        | Shape::Float
        | Shape::Text
        | Shape::Pointer(_)
        | Shape::Slice(_)
        | Shape::Time
        | Shape::Duration
        | Shape::Mixed
        | Shape::Any => of_map(map, ANY),
    }
}

/// A whole value of a type, with all that Go would write and nothing that it would not.
pub(crate) fn normal(ty: &'static str, value: Value) -> Value {
    let ty = pointee(ty);
    match value {
        Value::Object(map) => {
            let parts = parts(ty, &map).into_iter();
            let whole = parts.map(|part| {
                let value = normal(part.ty, part.value.into_owned());
                (part.key.to_owned(), value)
            });
            Value::Object(whole.collect())
        }
        Value::Array(items) => {
            let inner = item_of(ty);
            items
                .into_iter()
                .map(|value| normal(inner, value))
                .collect()
        }
        Value::String(text) if shape(ty) == Shape::Duration => duration(&text).into(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value,
    }
}

/// An object's bytes as Go's encoder has them.
pub(crate) fn to_vec(ty: &'static str, map: &Map<String, Value>) -> Vec<u8> {
    gojson::to_vec(&Fields { ty, map })
}

/// A duration as Go prints it: `90s` is `1m30s`. What is none stays as it is.
pub fn duration(text: &str) -> String {
    config::parse_duration(text).map_or_else(|| text.to_owned(), config::format_duration)
}

fn part<'a>(key: &'a str, value: Cow<'a, Value>, ty: &'static str) -> Part<'a> {
    Part { key, value, ty }
}

fn of_map<'a>(map: &'a Map<String, Value>, inner: &'static str) -> Vec<Part<'a>> {
    let entries = map.iter();
    entries
        .map(|(key, value)| part(key, Cow::Borrowed(value), inner))
        .collect()
}

fn of_struct<'a>(
    ty: &'static str,
    map: &'a Map<String, Value>,
    out: &mut Vec<Part<'a>>,
    known: &mut Vec<&'static str>,
) {
    for field in fields(ty) {
        let Some(key) = field.json else {
            of_struct(field.ty, map, out, known);
            continue;
        };
        known.push(key);
        match map.get(key) {
            Some(value) if is_written(field, value) => {
                out.push(part(key, Cow::Borrowed(value), field.ty));
            }
            Some(_) => {}
            None => {
                if let Some(zero) = zero(field) {
                    out.push(part(key, Cow::Owned(zero), field.ty));
                }
            }
        }
    }
}

/// Whether Go writes a field that has this value.
fn is_written(field: &Field, value: &Value) -> bool {
    match field.written {
        Written::Always => true,
        Written::IfNonzero => !is_empty(value),
        Written::IfFilled => match shape(field.ty) {
            Shape::Pointer(_) => !value.is_null(),
            Shape::Slice(_) | Shape::Map(_) | Shape::Text => !is_empty(value),
            Shape::Bool => value != &Value::Bool(false),
            Shape::Int | Shape::Uint | Shape::Float => value.as_f64() != Some(0.0),
            Shape::Struct(_) | Shape::Time | Shape::Duration | Shape::Mixed => true,
            Shape::Any => !value.is_null(),
        },
    }
}

/// Nothing, or a text, list or map with nothing in it.
pub(crate) fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

/// What Go writes for a field without a value; `None` if nothing.
fn zero(field: &Field) -> Option<Value> {
    let always = match field.written {
        Written::Always => true,
        Written::IfNonzero => return None,
        Written::IfFilled => false,
    };
    let zero = match shape(field.ty) {
        // Written even where it is empty.
        Shape::Struct(_) => return Some(json!({})),
        Shape::Pointer(_) | Shape::Slice(_) | Shape::Map(_) | Shape::Time => Value::Null,
        Shape::Text => "".into(),
        Shape::Bool => false.into(),
        Shape::Int | Shape::Uint | Shape::Float => 0.into(),
        Shape::Duration => "0s".into(),
        // What is valid has these, or does not need them.
        Shape::Mixed | Shape::Any => return None,
    };
    always.then_some(zero)
}

/// An object, to be encoded by its type.
struct Fields<'a> {
    ty: &'static str,
    map: &'a Map<String, Value>,
}

impl Serialize for Fields<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let parts = parts(self.ty, self.map);
        let mut out = serializer.serialize_map(Some(parts.len()))?;
        for Part { key, value, ty } in parts {
            out.serialize_entry(key, &Typed { ty, value: &value })?;
        }
        out.end()
    }
}

/// A value, to be encoded by its type.
struct Typed<'a> {
    ty: &'static str,
    value: &'a Value,
}

impl Serialize for Typed<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let ty = pointee(self.ty);
        match self.value {
            Value::Object(map) => Fields { ty, map }.serialize(serializer),
            Value::Array(items) => {
                let ty = item_of(ty);
                let mut out = serializer.serialize_seq(Some(items.len()))?;
                for value in items {
                    out.serialize_element(&Typed { ty, value })?;
                }
                out.end()
            }
            Value::String(text) if shape(ty) == Shape::Duration => {
                serializer.serialize_str(&duration(text))
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
                self.value.serialize(serializer)
            }
        }
    }
}
