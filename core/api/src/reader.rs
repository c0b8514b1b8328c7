//! Reads JSON field by field: types, unknown fields, nearest names, and the path of everything that is wrong.
//!
//! One reading serves two purposes. Admission ([`Purpose::Admission`]) refuses what upstream refuses, unknown fields
//! included. Decoding ([`Purpose::Stored`]) takes what can be understood: a store may hold what a newer version wrote.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::ops::RangeInclusive;

use model::Labels;
use serde_json::{Map, Value};

use crate::nearest::nearest;
use crate::problem::Problem;

/// Why an object is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Someone wants to store it.
    Admission,
    /// It is stored; its meaning is asked.
    Stored,
}

/// Collects what is wrong while an object is read.
#[derive(Debug)]
pub(crate) struct Reader {
    purpose: Purpose,
    problems: RefCell<Vec<Problem>>,
    suppressed: Cell<usize>,
}

/// Enough for any author to work on; hostile input cannot make the list longer.
const MAX_PROBLEMS: usize = 100;

impl Reader {
    pub(crate) fn new(purpose: Purpose) -> Reader {
        Reader {
            purpose,
            problems: RefCell::new(Vec::new()),
            suppressed: Cell::new(0),
        }
    }

    pub(crate) fn is_admission(&self) -> bool {
        self.purpose == Purpose::Admission
    }

    pub(crate) fn report(&self, problem: Problem) {
        let mut problems = self.problems.borrow_mut();
        if problems.len() < MAX_PROBLEMS {
            problems.push(problem);
        } else {
            self.suppressed.set(self.suppressed.get() + 1);
        }
    }

    pub(crate) fn into_problems(self) -> Vec<Problem> {
        let mut problems = self.problems.into_inner();
        let more = self.suppressed.get();
        if more > 0 {
            problems.push(Problem::of_object(format!("and {more} more problems")));
        }
        problems
    }
}

/// A path into an object, kept on the stack: text is made only when something is wrong.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Path<'a> {
    Root,
    Field(&'a Path<'a>, &'a str),
    Index(&'a Path<'a>, usize),
    Entry(&'a Path<'a>, &'a str),
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Path::Root => Ok(()),
            Path::Field(Path::Root, name) => f.write_str(name),
            Path::Field(parent, name) => write!(f, "{parent}.{name}"),
            Path::Index(parent, index) => write!(f, "{parent}[{index}]"),
            Path::Entry(parent, key) => write!(f, "{parent}[{key:?}]"),
        }
    }
}

/// A value, where it is, and who hears of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Item<'a> {
    pub(crate) reader: &'a Reader,
    pub(crate) path: &'a Path<'a>,
    pub(crate) value: &'a Value,
}

/// A value as a problem shows it.
pub(crate) fn shown(value: &Value) -> String {
    const LIMIT: usize = 80;
    let text = value.to_string();
    if text.len() <= LIMIT {
        return text;
    }
    let mut end = LIMIT;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}...", &text[..end])
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

impl<'a> Item<'a> {
    /// Reports that something is wrong with this value.
    pub(crate) fn wrong(&self, message: impl Into<String>) {
        let problem = Problem::at(self.path.to_string(), message).found(shown(self.value));
        self.reader.report(problem);
    }

    /// The same, with what would be right.
    pub(crate) fn wrong_hint(&self, message: impl Into<String>, hint: impl Into<String>) {
        let problem = Problem::at(self.path.to_string(), message).found(shown(self.value));
        self.reader.report(problem.hint(hint));
    }

    fn wrong_type(&self, wanted: &str) {
        self.wrong(format!("must be {wanted}, not {}", type_name(self.value)));
    }

    pub(crate) fn text(&self) -> Option<&'a str> {
        let text = self.value.as_str();
        if text.is_none() {
            let hint = match self.value {
                Value::Bool(_) | Value::Number(_) => {
                    Some(format!("write it in quotes: \"{}\"", self.value))
                }
                Value::Null | Value::String(_) | Value::Array(_) | Value::Object(_) => None,
            };
            match hint {
                Some(hint) => {
                    let message = format!("must be a string, not {}", type_name(self.value));
                    self.wrong_hint(message, hint);
                }
                None => self.wrong_type("a string"),
            }
        }
        text
    }

    pub(crate) fn flag(&self) -> Option<bool> {
        let flag = self.value.as_bool();
        if flag.is_none() {
            self.wrong_type("true or false");
        }
        flag
    }

    pub(crate) fn integer(&self, range: RangeInclusive<i64>) -> Option<i64> {
        let Some(number) = self.value.as_i64() else {
            self.wrong_type("a whole number");
            return None;
        };
        if !range.contains(&number) {
            let (low, high) = range.into_inner();
            self.wrong(format!("must be a number from {low} to {high}"));
            return None;
        }
        Some(number)
    }

    pub(crate) fn number(&self) -> Option<f64> {
        let number = self.value.as_f64();
        if number.is_none() {
            self.wrong_type("a number");
        }
        number
    }

    /// A string that parses; its error is the message.
    pub(crate) fn parsed<T, E: fmt::Display>(
        &self,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        match parse(self.text()?) {
            Ok(value) => Some(value),
            Err(error) => {
                let problem = Problem::at(self.path.to_string(), error.to_string());
                self.reader.report(problem);
                None
            }
        }
    }

    /// One of a few words.
    pub(crate) fn word<T: Copy>(&self, words: &[(&str, T)]) -> Option<T> {
        let text = self.text()?;
        let found = words.iter().find(|(word, _)| *word == text);
        if found.is_none() {
            let names: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            let message = format!("must be one of {}", names.join(", "));
            match nearest(text, names.iter().copied()) {
                Some(name) => self.wrong_hint(message, format!("did you mean {name}?")),
                None => self.wrong(message),
            }
        }
        found.map(|(_, value)| *value)
    }

    /// The items of a list that `read` could read; those it could not it has reported.
    pub(crate) fn list<T>(&self, mut read: impl FnMut(Item<'_>) -> Option<T>) -> Option<Vec<T>> {
        let Value::Array(items) = self.value else {
            self.wrong_type("a list");
            return None;
        };
        let mut out = Vec::with_capacity(items.len());
        for (index, value) in items.iter().enumerate() {
            let path = Path::Index(self.path, index);
            let item = Item {
                reader: self.reader,
                path: &path,
                value,
            };
            out.extend(read(item));
        }
        Some(out)
    }

    /// The object here, its fields read by `read`; then unknown fields are reported.
    pub(crate) fn object<T>(&self, read: impl FnOnce(&mut Fields<'_>) -> T) -> Option<T> {
        let Value::Object(map) = self.value else {
            self.wrong_type("an object");
            return None;
        };
        let mut fields = Fields {
            reader: self.reader,
            path: self.path,
            map,
            asked: Vec::with_capacity(16),
            open: false,
        };
        let out = read(&mut fields);
        fields.finish();
        Some(out)
    }

    /// A map of strings.
    pub(crate) fn string_map(&self, mut check: impl FnMut(Item<'_>, &str, &str)) -> Option<Labels> {
        let Value::Object(map) = self.value else {
            self.wrong_type("an object of strings");
            return None;
        };
        let mut out = Labels::new();
        for (key, value) in map {
            let path = Path::Entry(self.path, key);
            let item = Item {
                reader: self.reader,
                path: &path,
                value,
            };
            if let Some(text) = item.text() {
                check(item, key, text);
                out.insert(key.as_str().into(), text.into());
            }
        }
        Some(out)
    }
}

/// The fields of one object, asked for one by one. A field that is `null` counts as absent, as in Go.
pub(crate) struct Fields<'a> {
    reader: &'a Reader,
    path: &'a Path<'a>,
    map: &'a Map<String, Value>,
    asked: Vec<&'static str>,
    open: bool,
}

impl<'a> Fields<'a> {
    pub(crate) fn reader(&self) -> &'a Reader {
        self.reader
    }

    /// Reports a problem of the object, under a field of it if one is named.
    pub(crate) fn wrong(&self, field: &'static str, message: impl Into<String>) {
        if !field.is_empty() {
            return self.wrong_at(field, message);
        }
        let problem = Problem::at(self.path.to_string(), message);
        self.reader.report(problem);
    }

    /// The same for a field whose name is data.
    pub(crate) fn wrong_at(&self, field: &str, message: impl Into<String>) {
        let mut problem = Problem::at(Path::Field(self.path, field).to_string(), message);
        if let Some(value) = self.map.get(field) {
            problem = problem.found(shown(value));
        }
        self.reader.report(problem);
    }

    /// The same for an entry of an object that is a map.
    pub(crate) fn wrong_entry(&self, key: &str, message: impl Into<String>) {
        let mut problem = Problem::at(Path::Entry(self.path, key).to_string(), message);
        if let Some(value) = self.map.get(key) {
            problem = problem.found(shown(value));
        }
        self.reader.report(problem);
    }

    /// True if the field is there and not null.
    pub(crate) fn has(&self, field: &str) -> bool {
        self.map.get(field).is_some_and(|value| !value.is_null())
    }

    /// True if the field is there and holds something: no empty text, list or object.
    pub(crate) fn has_content(&self, field: &str) -> bool {
        match self.map.get(field) {
            None | Some(Value::Null) => false,
            Some(Value::String(text)) => !text.is_empty(),
            Some(Value::Array(items)) => !items.is_empty(),
            Some(Value::Object(map)) => !map.is_empty(),
            Some(Value::Bool(_) | Value::Number(_)) => true,
        }
    }

    /// True if the field is a list without members.
    pub(crate) fn is_empty_list(&self, field: &str) -> bool {
        self.map
            .get(field)
            .and_then(Value::as_array)
            .is_some_and(Vec::is_empty)
    }

    /// True if the field is the number zero.
    pub(crate) fn is_zero(&self, field: &str) -> bool {
        self.map.get(field).and_then(Value::as_f64) == Some(0.0)
    }

    /// True if the field is `true`.
    pub(crate) fn is_true(&self, field: &str) -> bool {
        self.map.get(field) == Some(&Value::Bool(true))
    }

    /// Reads a field if it is there.
    pub(crate) fn read<T>(
        &mut self,
        field: &'static str,
        read: impl FnOnce(Item<'_>) -> Option<T>,
    ) -> Option<T> {
        self.asked.push(field);
        let value = self.map.get(field).filter(|value| !value.is_null())?;
        let path = Path::Field(self.path, field);
        read(Item {
            reader: self.reader,
            path: &path,
            value,
        })
    }

    /// Reads a field that must be there.
    pub(crate) fn required<T>(
        &mut self,
        field: &'static str,
        read: impl FnOnce(Item<'_>) -> Option<T>,
    ) -> Option<T> {
        if !self.has(field) {
            self.wrong(field, "is required");
        }
        self.read(field, read)
    }

    /// A list that must be given, and may be empty: Go leaves an empty one out when it stores the object.
    pub(crate) fn required_list<T>(
        &mut self,
        field: &'static str,
        read: impl FnOnce(Item<'_>) -> Option<Vec<T>>,
    ) -> Option<Vec<T>> {
        if self.has(field) || self.reader.is_admission() {
            return self.required(field, read);
        }
        self.asked.push(field);
        Some(Vec::new())
    }

    /// A string; absent is empty, as in Go.
    pub(crate) fn text(&mut self, field: &'static str) -> &'a str {
        self.asked.push(field);
        let Some(value) = self.map.get(field).filter(|value| !value.is_null()) else {
            return "";
        };
        let path = Path::Field(self.path, field);
        let item = Item {
            reader: self.reader,
            path: &path,
            value,
        };
        item.text();
        value.as_str().unwrap_or("")
    }

    /// Reads a string field that is there and not empty: Go's `omitempty`.
    pub(crate) fn nonempty<T>(
        &mut self,
        field: &'static str,
        read: impl FnOnce(Item<'_>) -> Option<T>,
    ) -> Option<T> {
        if self.map.get(field).and_then(Value::as_str) == Some("") {
            self.asked.push(field);
            return None;
        }
        self.read(field, read)
    }

    /// A boolean; absent is false, as in Go.
    pub(crate) fn flag(&mut self, field: &'static str) -> bool {
        self.read(field, |item| item.flag()).unwrap_or(false)
    }

    /// A list; absent is empty.
    pub(crate) fn list<T>(
        &mut self,
        field: &'static str,
        read: impl FnMut(Item<'_>) -> Option<T>,
    ) -> Vec<T> {
        self.read(field, |item| item.list(read)).unwrap_or_default()
    }

    /// Names fields that are known here and that nobody reads.
    pub(crate) fn ignore(&mut self, fields: &[&'static str]) {
        self.asked.extend_from_slice(fields);
    }

    /// Takes every field as known: for maps, whose keys are data.
    pub(crate) fn accept_all(&mut self) {
        self.open = true;
    }

    /// Every field that is there, without regard to names.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (&'a String, &'a Value)> {
        self.map.iter()
    }

    fn finish(self) {
        if self.open || !self.reader.is_admission() {
            return;
        }
        for name in self.map.keys() {
            if self.asked.contains(&name.as_str()) {
                continue;
            }
            let path = Path::Field(self.path, name).to_string();
            let mut problem = Problem::at(path, "is no field that this kind has");
            if let Some(near) = nearest(name, self.asked.iter().copied()) {
                problem = problem.hint(format!("did you mean {near}?"));
            }
            self.reader.report(problem);
        }
    }
}
