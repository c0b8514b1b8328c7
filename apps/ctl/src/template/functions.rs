//! The functions of templates: Go's, and those that upstream's calicoctl adds.

use std::cmp::Ordering;

use super::print;
use super::value::{Val, View};

/// How many arguments a function takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arity {
    Exactly(usize),
    AtLeast(usize),
}

/// What an argument must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expected {
    Anything,
    Text,
    Integer,
}

/// How a function is called; `None` if there is none of this name.
pub(super) fn arity(name: &str) -> Option<Arity> {
    Some(match name {
        "not" | "len" | "config" | "StructuralData" => Arity::Exactly(1),
        "ne" | "lt" | "le" | "gt" | "ge" | "join" => Arity::Exactly(2),
        "joinAndTruncate" => Arity::Exactly(3),
        "and" | "or" | "index" | "slice" | "printf" | "eq" | "call" => Arity::AtLeast(1),
        "print" | "println" | "html" | "js" | "urlquery" => Arity::AtLeast(0),
        _ => return None,
    })
}

pub(super) fn exists(name: &str) -> bool {
    arity(name).is_some()
}

/// What the argument at this place must be.
pub(super) fn expected(name: &str, place: usize) -> Expected {
    match (name, place) {
        ("printf" | "config", 0) | ("join" | "joinAndTruncate", 1) => Expected::Text,
        ("joinAndTruncate", 2) => Expected::Integer,
        _ => Expected::Anything,
    }
}

/// Calls a function with as many arguments as it takes, each of which is what it must be. `and` and `or` are not called:
/// they do not look at all of their arguments. `config` is what knows the cluster.
pub(super) fn call<'d>(
    name: &str,
    args: &[Val<'d>],
    config: &dyn Fn(&str) -> Result<String, String>,
) -> Result<Val<'d>, String> {
    match (name, args) {
        ("not", [value]) => Ok(Val::Bool(!value.truth())),
        ("len", [value]) => length(value),
        ("index", [value, path @ ..]) => index(value, path),
        ("slice", [value, bounds @ ..]) => slice(value, bounds),
        ("print", _) => Ok(Val::text(print::print(args))),
        ("println", _) => Ok(Val::text(print::println(args))),
        ("printf", [format, values @ ..]) => {
            Ok(Val::text(print::printf(&print::plain(format), values)))
        }
        ("html", _) => Ok(Val::text(html(&print::print_shown(args)))),
        ("js", _) => Ok(Val::text(js(&print::print_shown(args)))),
        ("urlquery", _) => Ok(Val::text(urlquery(&print::print_shown(args)))),
        ("eq", [first, others @ ..]) => equal(first, others).map(Val::Bool),
        ("ne", [a, b]) => equal(a, std::slice::from_ref(b)).map(|equal| Val::Bool(!equal)),
        ("lt", [a, b]) => less(a, b).map(Val::Bool),
        ("le", [a, b]) => at_most(a, b).map(Val::Bool),
        ("gt", [a, b]) => at_most(a, b).map(|at_most| Val::Bool(!at_most)),
        ("ge", [a, b]) => less(a, b).map(|less| Val::Bool(!less)),
        ("call", _) => Err("no value here is a function".to_owned()),
        ("join", [items, separator]) => join(items, separator, 0),
        ("joinAndTruncate", [items, separator, limit]) => {
            let limit = as_int(limit).and_then(|limit| usize::try_from(limit).ok());
            join(items, separator, limit.unwrap_or(0))
        }
        ("config", [name]) => config(&print::plain(name)).map(Val::text),
        ("StructuralData", [value]) => Ok(value.clone()),
        _ => Err("wrong arguments".to_owned()),
    }
}

fn as_int(value: &Val<'_>) -> Option<i64> {
    if let View::Int(number) = value.view() {
        Some(number)
    } else {
        None
    }
}

fn length<'d>(value: &Val<'d>) -> Result<Val<'d>, String> {
    let length = match value.view() {
        View::Text(text) => text.len(),
        View::Items(items) => items.len(),
        View::Map(_, map) => map.map_or(0, serde_json::Map::len),
        View::Nil => return Err("len of nil pointer".to_owned()),
        View::Nothing => return Err("len of nil".to_owned()),
        View::Bool(_)
        | View::Int(_)
        | View::Uint(_)
        | View::Float(_)
        | View::Struct(..)
        | View::Named(..) => return Err(format!("len of type {}", value.pointee_name())),
    };
    Ok(Val::Int(i64::try_from(length).unwrap_or(i64::MAX)))
}

/// A place in a list of so many, of which the one behind the last is a place as well.
fn place(index: &Val<'_>, length: usize) -> Result<usize, String> {
    let number = match index.view() {
        View::Int(number) => i128::from(number),
        View::Uint(number) => i128::from(number),
        View::Nothing | View::Nil => return Err("cannot index slice/array with nil".to_owned()),
        View::Bool(_)
        | View::Float(_)
        | View::Text(_)
        | View::Items(_)
        | View::Map(..)
        | View::Struct(..)
        | View::Named(..) => {
            let ty = index.type_name();
            return Err(format!("cannot index slice/array with type {ty}"));
        }
    };
    let place = usize::try_from(number)
        .ok()
        .filter(|place| *place <= length);
    place.ok_or_else(|| format!("index out of range: {number}"))
}

fn index<'d>(value: &Val<'d>, path: &[Val<'d>]) -> Result<Val<'d>, String> {
    let mut item = value.clone();
    if matches!(item, Val::Nothing) {
        return Err("index of untyped nil".to_owned());
    }
    for index in path {
        item = match item.view() {
            View::Nothing | View::Nil => return Err("index of nil pointer".to_owned()),
            View::Text(text) => {
                let place = place(index, text.len())?;
                let byte = text.as_bytes().get(place);
                Val::Byte(*byte.ok_or("reflect: string index out of range")?)
            }
            View::Items(items) => {
                let place = place(index, items.len())?;
                let item = items.get(place).cloned();
                item.ok_or("reflect: slice index out of range")?
            }
            View::Map(ty, map) => {
                let View::Text(key) = index.view() else {
                    let ty = index.type_name();
                    return Err(format!("value has type {ty}; should be string"));
                };
                let json = map.and_then(|map| map.get(key));
                Val::Data { ty, json }
            }
            View::Bool(_)
            | View::Int(_)
            | View::Uint(_)
            | View::Float(_)
            | View::Struct(..)
            | View::Named(..) => {
                return Err(format!("can't index item of type {}", item.pointee_name()));
            }
        };
    }
    Ok(item)
}

fn slice<'d>(value: &Val<'d>, bounds: &[Val<'d>]) -> Result<Val<'d>, String> {
    if bounds.len() > 3 {
        return Err(format!("too many slice indexes: {}", bounds.len()));
    }
    let range = |length: usize| {
        let mut ends = [0, length, length];
        for (end, bound) in ends.iter_mut().zip(bounds) {
            *end = place(bound, length)?;
        }
        if ends[0] > ends[1] {
            return Err(format!("invalid slice index: {} > {}", ends[0], ends[1]));
        }
        if ends[1] > ends[2] {
            return Err(format!("invalid slice index: {} > {}", ends[1], ends[2]));
        }
        Ok(ends[0]..ends[1])
    };
    match value.view() {
        View::Nothing => Err("slice of untyped nil".to_owned()),
        View::Nil => Err("slice of nil pointer".to_owned()),
        View::Text(_) if bounds.len() == 3 => Err("cannot 3-index slice a string".to_owned()),
        View::Text(text) => {
            let bytes = &text.as_bytes()[range(text.len())?];
            Ok(Val::text(String::from_utf8_lossy(bytes).into_owned()))
        }
        View::Items(items) => {
            let kept = &items[range(items.len())?];
            Ok(Val::List(value.pointee_name(), kept.into()))
        }
        View::Bool(_)
        | View::Int(_)
        | View::Uint(_)
        | View::Float(_)
        | View::Map(..)
        | View::Struct(..)
        | View::Named(..) => Err(format!("can't slice item of type {}", value.pointee_name())),
    }
}

/// What two basic values are to one another; `None` if they are no such values of one kind.
fn compare(a: &Val<'_>, b: &Val<'_>) -> Option<Ordering> {
    match (a.view(), b.view()) {
        (View::Bool(a), View::Bool(b)) => Some(a.cmp(&b)),
        (View::Int(a), View::Int(b)) => Some(a.cmp(&b)),
        (View::Uint(a), View::Uint(b)) => Some(a.cmp(&b)),
        (View::Int(a), View::Uint(b)) => Some(i128::from(a).cmp(&i128::from(b))),
        (View::Uint(a), View::Int(b)) => Some(i128::from(a).cmp(&i128::from(b))),
        (View::Text(a), View::Text(b)) => Some(a.cmp(b)),
        (View::Float(a), View::Float(b)) => Some(a.partial_cmp(&b).unwrap_or(Ordering::Less)),
        // Words that are more than a string in Go; nobody who writes a template should have to know.
        (View::Named(_, a), View::Named(_, b)) => Some(a.cmp(&b)),
        (View::Named(_, a), View::Text(b)) => Some(a.as_str().cmp(b)),
        (View::Text(a), View::Named(_, b)) => Some(a.cmp(b.as_str())),
        _ => None,
    }
}

fn incompatible(a: &Val<'_>, b: &Val<'_>) -> String {
    let (a, b) = (a.type_name(), b.type_name());
    format!("incompatible types for comparison: {a} and {b}")
}

fn equal(first: &Val<'_>, others: &[Val<'_>]) -> Result<bool, String> {
    if others.is_empty() {
        return Err("missing argument for comparison".to_owned());
    }
    for other in others {
        let equal = match compare(first, other) {
            Some(ordering) => ordering == Ordering::Equal,
            None if first.is_nil() || other.is_nil() => first.is_nil() == other.is_nil(),
            None => return Err(incompatible(first, other)),
        };
        if equal {
            return Ok(true);
        }
    }
    Ok(false)
}

fn less(a: &Val<'_>, b: &Val<'_>) -> Result<bool, String> {
    order(a, b).map(|order| order == Ordering::Less)
}

fn at_most(a: &Val<'_>, b: &Val<'_>) -> Result<bool, String> {
    order(a, b).map(|order| order != Ordering::Greater)
}

fn order(a: &Val<'_>, b: &Val<'_>) -> Result<Ordering, String> {
    let has_order = |value: &Val<'_>| match value.view() {
        View::Int(_) | View::Uint(_) | View::Float(_) | View::Text(_) | View::Named(..) => true,
        View::Nothing | View::Nil | View::Bool(_) => false,
        View::Items(_) | View::Map(..) | View::Struct(..) => false,
    };
    if !has_order(a) || !has_order(b) {
        return Err("invalid type for comparison".to_owned());
    }
    compare(a, b).ok_or_else(|| incompatible(a, b))
}

/// Items of a list, or `key=value` of a map, or one value, with something between them; cut where a limit is given.
fn join<'d>(items: &Val<'d>, separator: &Val<'d>, limit: usize) -> Result<Val<'d>, String> {
    const CUT: &str = "...";
    let parts: Vec<String> = match items.view() {
        View::Nothing => Vec::new(),
        View::Items(items) => items.iter().map(print::plain).collect(),
        View::Map(ty, map) => {
            let entry = |(key, json)| {
                let value = Val::Data {
                    ty,
                    json: Some(json),
                };
                format!("{key}={}", print::plain(&value))
            };
            let mut parts: Vec<String> = map.into_iter().flatten().map(entry).collect();
            parts.sort();
            parts
        }
        View::Nil
        | View::Bool(_)
        | View::Int(_)
        | View::Uint(_)
        | View::Float(_)
        | View::Text(_)
        | View::Struct(..)
        | View::Named(..) => vec![print::plain(items)],
    };
    let text = parts.join(&print::plain(separator));
    if limit == 0 || text.len() <= limit {
        return Ok(Val::text(text));
    }
    let kept = limit
        .checked_sub(CUT.len())
        .ok_or_else(|| format!("cannot truncate to {limit} characters"))?;
    let bytes = text.as_bytes().get(..kept).unwrap_or_default();
    Ok(Val::text(String::from_utf8_lossy(bytes).into_owned() + CUT))
}

fn html(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '\0' => out.push('\u{fffd}'),
            '"' => out.push_str("&#34;"),
            '\'' => out.push_str("&#39;"),
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            c => out.push(c),
        }
    }
    out
}

fn js(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\'' => out.push_str("\\'"),
            '"' => out.push_str("\\\""),
            '<' | '>' | '&' | '=' => out.push_str(&format!("\\u{:04X}", u32::from(c))),
            c if c >= ' ' && super::quote::printable(c) => out.push(c),
            c => out.push_str(&format!("\\u{:04X}", u32::from(c))),
        }
    }
    out
}

fn urlquery(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b' ' => out.push('+'),
            b'-' | b'_' | b'.' | b'~' => out.push(char::from(byte)),
            byte if byte.is_ascii_alphanumeric() => out.push(char::from(byte)),
            byte => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}
