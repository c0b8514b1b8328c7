//! Reads files of many documents, YAML or JSON, as Go's tools do: YAML 1.1 words and octals, no key twice. Each document
//! stands alone: a broken one is reported with its place, and the others are read all the same.

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use serde_saphyr::{Options, Spanned};
use std::fmt;

/// A file, or what came on standard input.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    /// Its name, for messages.
    pub(crate) name: String,
    /// Its text.
    pub(crate) text: String,
}

/// A place in a source: line and column, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) line: u64,
    pub(crate) column: u64,
}

/// A document of a source.
#[derive(Debug)]
pub(crate) struct Document {
    /// Which one of its source, from 1.
    pub(crate) index: usize,
    /// How many the source has.
    pub(crate) of: usize,
    /// What it holds, or why it cannot be read.
    pub(crate) content: Result<Located, Unreadable>,
}

/// Why a document cannot be read.
#[derive(Debug)]
pub(crate) struct Unreadable {
    pub(crate) at: Option<Position>,
    pub(crate) message: String,
}

/// A value that knows where each of its parts stands.
#[derive(Debug)]
pub(crate) struct Located {
    pub(crate) at: Position,
    node: Node,
}

#[derive(Debug)]
enum Node {
    Leaf(Value),
    List(Vec<Located>),
    // The key's own position is what a reader looks for.
    Mapping(Vec<(String, Position, Located)>),
}

impl Located {
    /// The plain value.
    pub(crate) fn to_value(&self) -> Value {
        match &self.node {
            Node::Leaf(value) => value.clone(),
            Node::List(items) => items.iter().map(Located::to_value).collect(),
            Node::Mapping(entries) => {
                let pairs = entries
                    .iter()
                    .map(|(key, _, value)| (key.clone(), value.to_value()));
                Value::Object(pairs.collect::<Map<String, Value>>())
            }
        }
    }

    /// The items, if this is a list.
    pub(crate) fn items(&self) -> Option<&[Located]> {
        match &self.node {
            Node::List(items) => Some(items),
            Node::Leaf(_) | Node::Mapping(_) => None,
        }
    }

    /// True if there is nothing here.
    pub(crate) fn is_null(&self) -> bool {
        matches!(&self.node, Node::Leaf(Value::Null))
    }

    fn entry(&self, key: &str) -> Option<(Position, &Located)> {
        match &self.node {
            Node::Mapping(entries) => entries
                .iter()
                .find(|(name, _, _)| name == key)
                .map(|(_, at, value)| (*at, value)),
            Node::Leaf(_) | Node::List(_) => None,
        }
    }

    /// Where the field of this path stands, such as `spec.ingress[0].nets[1]` or `metadata.labels["a.b/c"]`: the nearest
    /// part of the path that is there.
    pub(crate) fn position_of(&self, path: &str) -> Position {
        let mut here = self;
        let mut at = self.at;
        for step in steps(path) {
            let next = match &step {
                Step::Field(name) => here.entry(name),
                Step::Index(index) => here
                    .items()
                    .and_then(|items| items.get(*index))
                    .map(|i| (i.at, i)),
            };
            let Some((position, value)) = next else {
                break;
            };
            (at, here) = (position, value);
        }
        at
    }
}

enum Step {
    Field(String),
    Index(usize),
}

fn steps(path: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut rest = path;
    while !rest.is_empty() {
        if let Some(inner) = rest.strip_prefix('[') {
            let quoted = inner.starts_with('"');
            let end = if quoted {
                inner.rfind("\"]").map(|at| at + 1)
            } else {
                inner.find(']')
            };
            let Some(end) = end else { break };
            let text = &inner[..end];
            steps.push(match text.parse() {
                Ok(index) => Step::Index(index),
                Err(_) => {
                    Step::Field(serde_json::from_str(text).unwrap_or_else(|_| text.to_owned()))
                }
            });
            rest = &inner[(end + 1).min(inner.len())..];
        } else {
            rest = rest.strip_prefix('.').unwrap_or(rest);
            let end = rest.find(['.', '[']).unwrap_or(rest.len());
            steps.push(Step::Field(rest[..end].to_owned()));
            rest = &rest[end..];
        }
    }
    steps
}

/// Reads all documents of a source; empty ones are left out.
pub(crate) fn documents(source: &Source) -> Vec<Document> {
    let parts = split(&source.text);
    let of = parts.len();
    let numbered = parts.into_iter().enumerate();
    numbered
        .map(|(number, part)| Document {
            index: number + 1,
            of,
            content: read(&part),
        })
        .filter(|document| !document.content.as_ref().is_ok_and(Located::is_null))
        .collect()
}

struct Part {
    /// How many lines of the source come before it.
    lines_before: u64,
    text: String,
}

/// Splits at lines that begin with `---`. Parts of nothing but comments and directives are left out.
fn split(text: &str) -> Vec<Part> {
    let mut parts = vec![Part {
        lines_before: 0,
        text: String::new(),
    }];
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    for (number, line) in text.split_inclusive('\n').enumerate() {
        let rest = line
            .strip_prefix("---")
            .filter(|rest| rest.starts_with([' ', '\t', '\r', '\n']) || rest.is_empty());
        match (rest, parts.last_mut()) {
            (Some(rest), _) => parts.push(Part {
                lines_before: number as u64,
                // Blanks keep the columns right.
                text: format!("   {rest}"),
            }),
            (None, Some(part)) => part.text.push_str(line),
            (None, None) => {}
        }
    }
    let blank = |line: &str| {
        let line = line.trim();
        line.is_empty() || line.starts_with('#') || line.starts_with("%YAML") || line == "..."
    };
    parts.retain(|part| !part.text.lines().all(blank));
    parts
}

fn read(part: &Part) -> Result<Located, Unreadable> {
    let parsed: Result<Spanned<Raw>, _> =
        serde_saphyr::from_str_with_options(&part.text, options());
    let shift = |location: serde_saphyr::Location| Position {
        line: location.line() + part.lines_before,
        column: location.column(),
    };
    match parsed {
        Ok(raw) => Ok(locate(raw, &shift)),
        Err(error) => {
            // JSON indented with tabs is JSON all the same.
            let json = part.text.trim_start().starts_with(['{', '[']);
            if json && let Ok(value) = serde_json::from_str::<Value>(&part.text) {
                let at = Position {
                    line: part.lines_before + 1,
                    column: 1,
                };
                return Ok(place_all(value, at));
            }
            let plain = error.without_snippet();
            Err(Unreadable {
                at: plain.location().filter(|l| l.line() > 0).map(shift),
                message: first_line(&plain.to_string()),
            })
        }
    }
}

/// The message without the position that its end repeats.
fn first_line(message: &str) -> String {
    let line = message.lines().next().unwrap_or_default();
    let line = line.split(" at line ").next().unwrap_or(line);
    if line.contains("budget breached") {
        return "it is too large, or too deep, once its aliases are put in".to_owned();
    }
    // The library's advice is for programmers.
    let line = line
        .split(", set DuplicateKeyPolicy")
        .next()
        .unwrap_or(line);
    line.strip_prefix("error: ")
        .unwrap_or(line)
        .trim()
        .to_owned()
}

fn options() -> Options {
    let mut options = Options::default();
    options.legacy_octal_numbers = true;
    options.strict_booleans = false;
    options.with_snippet = false;
    if let Some(budget) = options.budget.as_mut() {
        budget.max_nodes = 20_000_000;
        budget.max_events = 40_000_000;
        budget.max_recorded_anchor_events = 100_000;
    }
    options
}

fn place_all(value: Value, at: Position) -> Located {
    let node = match value {
        Value::Array(items) => {
            Node::List(items.into_iter().map(|item| place_all(item, at)).collect())
        }
        Value::Object(map) => Node::Mapping(
            map.into_iter()
                .map(|(key, value)| (key, at, place_all(value, at)))
                .collect(),
        ),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Node::Leaf(value),
    };
    Located { at, node }
}

fn locate(raw: Spanned<Raw>, shift: &dyn Fn(serde_saphyr::Location) -> Position) -> Located {
    let node = match raw.value {
        Raw::Leaf(value) => Node::Leaf(value),
        Raw::List(items) => Node::List(items.into_iter().map(|item| locate(item, shift)).collect()),
        Raw::Mapping(entries) => Node::Mapping(
            entries
                .into_iter()
                .map(|(key, value)| (key.value, shift(key.referenced), locate(value, shift)))
                .collect(),
        ),
    };
    Located {
        at: shift(raw.referenced),
        node,
    }
}

/// What the parser gives, before lines are counted from the start of the source.
enum Raw {
    Leaf(Value),
    List(Vec<Spanned<Raw>>),
    Mapping(Vec<(Spanned<String>, Spanned<Raw>)>),
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Raw, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E>(self) -> Result<Raw, E> {
        Ok(Raw::Leaf(Value::Null))
    }

    fn visit_none<E>(self) -> Result<Raw, E> {
        Ok(Raw::Leaf(Value::Null))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Raw, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Raw, E> {
        Ok(Raw::Leaf(Value::Bool(value)))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Raw, E> {
        Ok(Raw::Leaf(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Raw, E> {
        Ok(Raw::Leaf(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Raw, E> {
        let number = Number::from_f64(value);
        number
            .map(|n| Raw::Leaf(n.into()))
            .ok_or_else(|| E::custom("infinity and not-a-number have no place in an object"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Raw, E> {
        Ok(Raw::Leaf(value.into()))
    }

    fn visit_string<E>(self, value: String) -> Result<Raw, E> {
        Ok(Raw::Leaf(value.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Raw, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(Raw::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Raw, A::Error> {
        let mut entries: Vec<(Spanned<String>, Spanned<Raw>)> = Vec::new();
        let mut seen = std::collections::HashSet::new();
        while let Some((key, value)) = access.next_entry::<Spanned<String>, Spanned<Raw>>()? {
            if !seen.insert(key.value.clone()) {
                return Err(A::Error::custom(format!(
                    "key {:?} is there twice",
                    key.value
                )));
            }
            entries.push((key, value));
        }
        Ok(Raw::Mapping(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn source(text: &str) -> Source {
        Source {
            name: "test".to_owned(),
            text: text.to_owned(),
        }
    }

    #[test]
    fn reads_documents_apart_with_their_lines() {
        let text =
            "# only a comment\n---\na: 1\nb: [x]\n---\na: {\n---\nc: yes\nd: 0644\ne: 'yes'\n";
        let documents = documents(&source(text));
        assert_eq!(documents.len(), 3);
        let first = documents[0].content.as_ref().unwrap();
        assert_eq!(first.to_value(), json!({"a": 1, "b": ["x"]}));
        assert_eq!(first.position_of("b[0]"), Position { line: 4, column: 5 });
        assert_eq!(
            first.position_of("b.nowhere"),
            Position { line: 4, column: 1 }
        );
        assert!(documents[1].content.as_ref().unwrap_err().at.unwrap().line >= 6);
        let third = documents[2].content.as_ref().unwrap();
        assert_eq!(third.to_value(), json!({"c": true, "d": 420, "e": "yes"}));
        assert_eq!((documents[2].index, documents[2].of), (3, 3));
    }

    #[test]
    fn json_is_read_even_with_tabs() {
        let documents = documents(&source("{\n\t\"a\": [1,\n\t\t2.5]\n}\n"));
        assert_eq!(
            documents[0].content.as_ref().unwrap().to_value(),
            json!({"a": [1, 2.5]})
        );
    }

    #[test]
    fn paths_with_quoted_keys() {
        let documents = documents(&source("metadata:\n  labels:\n    a.b/c: x\n"));
        let content = documents[0].content.as_ref().unwrap();
        assert_eq!(content.position_of("metadata.labels[\"a.b/c\"]").line, 3);
        assert_eq!(content.position_of("metadata.labels.a.b/c").line, 2);
    }

    #[test]
    fn broken_text_never_panics() {
        for text in [
            "a: b: c",
            "\t- x",
            "{",
            "a: &x [*x]",
            "- - - -",
            "a: !!binary x",
            "? ? ?",
            "a: .inf",
            "a: 1\na: 2",
        ] {
            let _ = documents(&source(text));
        }
        assert!(documents(&source("a: 1\na: 2"))[0].content.is_err());
    }
}
