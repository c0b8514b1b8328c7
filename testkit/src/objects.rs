//! Example objects of every kind that is a CRD, and ways to get them wrong.
//!
//! `data/valid/<Kind>.yaml` has whole objects. `data/invalid/<Kind>.txt` has one case a line: who refuses it, what is changed
//! in the first valid object of the kind (or in the one that the last line `base NAME` names), and which field is to blame:
//!
//! ```text
//! both spec.order="ten"
//! both spec.preDNAT=true spec.egress=- @ spec.types
//! ```
//!
//! A change sets a field to some JSON, or removes it (`-`); the field to blame is the first one changed, if no other follows
//! `@`. `both` is the admission of `api` and the API server; `client` is the former alone, where upstream's CRDs too accept it.
//!
//! `data/admission` has the same for admission by itself: kinds that are no CRDs too, in files named by the singular of the kind;
//! lines without a first word, each of which blames one field and no other. `object N` there chooses the N-th valid object, and
//! `*N` after a list or a text repeats it.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

/// Who refuses an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// `api::admit`, and the API server by the CRD.
    ByBoth,
    /// `api::admit` alone.
    ByClient,
    /// The API server alone.
    ByServer,
}

/// An object that is wrong in one way.
#[derive(Clone, Debug)]
pub struct Wrong {
    /// Where it stands: file and line.
    pub place: String,
    /// Who refuses it.
    pub refused: Refused,
    /// The object.
    pub object: Value,
    /// The field to blame.
    pub field: String,
}

/// Every valid object, kind by kind.
///
/// # Panics
/// If a file cannot be read: the tree is not whole.
#[must_use]
pub fn valid() -> Vec<Value> {
    files("valid")
        .iter()
        .flat_map(|path| documents(path))
        .collect()
}

/// Every object that is wrong, kind by kind.
///
/// # Panics
/// If a file cannot be read, or a line of it: the message says which.
#[must_use]
pub fn wrong() -> Vec<Wrong> {
    files("invalid")
        .iter()
        .flat_map(|path| cases(path))
        .collect()
}

/// Every object of `data/admission` that is valid, with the singular of its kind.
///
/// # Panics
/// As [`valid`].
#[must_use]
pub fn admitted() -> Vec<(String, Value)> {
    let of_file = |path: &PathBuf| {
        let kind = stem(path);
        let objects = documents(path).into_iter();
        objects
            .map(move |object| (kind.clone(), object))
            .collect::<Vec<_>>()
    };
    files("admission/valid").iter().flat_map(of_file).collect()
}

/// Every object of `data/admission` that admission refuses.
///
/// # Panics
/// As [`wrong`].
#[must_use]
pub fn refused() -> Vec<Wrong> {
    files("admission/invalid")
        .iter()
        .flat_map(|path| cases(path))
        .collect()
}

fn stem(path: &Path) -> String {
    let stem = path.file_stem().unwrap_or_default();
    stem.to_string_lossy().into_owned()
}

fn files(directory: &str) -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("data")
        .join(directory);
    let entries = std::fs::read_dir(&directory).expect("testkit's data are in the tree");
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    files.sort();
    files
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn documents(path: &Path) -> Vec<Value> {
    serde_saphyr::from_multiple(&read(path))
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn cases(path: &Path) -> Vec<Wrong> {
    let kind = stem(path);
    let valid = documents(&path.with_file_name("..").join(format!("valid/{kind}.yaml")));
    let mut base = valid.first().expect("a valid object of the kind");
    let mut cases = Vec::new();
    for (number, line) in read(path).lines().enumerate() {
        let place = format!("{kind}.txt:{}", number + 1);
        let line = line.trim();
        match line.split_once(' ') {
            _ if line.is_empty() || line.starts_with('#') => {}
            Some(("base", name)) => {
                let named = |object: &&Value| object["metadata"]["name"] == name;
                base = valid
                    .iter()
                    .find(named)
                    .unwrap_or_else(|| panic!("{place}: no {name}"));
            }
            Some(("object", number)) => {
                let number: usize = number.parse().expect("a number follows");
                base = &valid[number - 1];
            }
            Some((word, rest)) if !word.contains('=') && !word.contains('[') => {
                let refused = refuser(&place, word);
                cases.push(case(place, refused, rest, base.clone()));
            }
            _ => cases.push(case(place, Refused::ByClient, line, base.clone())),
        }
    }
    cases
}

fn refuser(place: &str, word: &str) -> Refused {
    match word {
        "both" => Refused::ByBoth,
        "client" => Refused::ByClient,
        "server" => Refused::ByServer,
        _ => panic!("{place}: {word} is none of both, client, server"),
    }
}

fn case(place: String, refused: Refused, rest: &str, mut object: Value) -> Wrong {
    let mut rest = rest.trim();
    let mut field = None;
    while !rest.is_empty() {
        if let Some(blamed) = rest.strip_prefix('@') {
            field = Some(blamed.trim().to_owned());
            break;
        }
        let (path, value) = rest
            .split_once('=')
            .unwrap_or_else(|| panic!("{place}: {rest}"));
        let (value, after) = change(value).unwrap_or_else(|| panic!("{place}: {value}"));
        set(&mut object, &steps(path), value);
        field.get_or_insert_with(|| path.to_owned());
        rest = after.trim_start();
    }
    let field = field.unwrap_or_else(|| panic!("{place}: nothing is changed"));
    Wrong {
        place,
        refused,
        object,
        field,
    }
}

/// The JSON at the beginning of a text, `None` for `-`, and what follows.
fn change(text: &str) -> Option<(Option<Value>, &str)> {
    if let Some(after) = text
        .strip_prefix('-')
        .filter(|after| after.is_empty() || after.starts_with(' '))
    {
        return Some((None, after));
    }
    let mut stream = serde_json::Deserializer::from_str(text).into_iter();
    let value = stream.next()?.ok()?;
    let after = text.get(stream.byte_offset()..)?;
    let Some(count) = after.strip_prefix('*') else {
        return Some((Some(value), after));
    };
    let end = count.find(' ').unwrap_or(count.len());
    let (count, after) = count.split_at(end);
    Some((Some(repeated(value, count.parse().ok()?)), after))
}

fn repeated(value: Value, count: usize) -> Value {
    match value {
        Value::String(text) => text.repeat(count).into(),
        Value::Array(items) => {
            let length = items.len() * count;
            items.into_iter().cycle().take(length).collect()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => value,
    }
}

/// One step of a path.
enum Step {
    Field(String),
    Item(usize),
}

/// `spec.ingress[0].labels["a.b"]`.
fn steps(path: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut rest = path;
    while !rest.is_empty() {
        if let Some(inside) = rest.strip_prefix('[') {
            let (index, after) = inside.split_once(']').expect("a closed bracket");
            steps.push(match index.parse() {
                Ok(index) => Step::Item(index),
                Err(_) => Step::Field(index.trim_matches('"').to_owned()),
            });
            rest = after.strip_prefix('.').unwrap_or(after);
        } else {
            let end = rest.find(['.', '[']).unwrap_or(rest.len());
            let (name, after) = rest.split_at(end);
            steps.push(Step::Field(name.to_owned()));
            rest = after.strip_prefix('.').unwrap_or(after);
        }
    }
    steps
}

/// Sets or removes what a path leads to, making objects on the way.
fn set(object: &mut Value, path: &[Step], value: Option<Value>) {
    let Some((step, rest)) = path.split_first() else {
        *object = value.unwrap_or_default();
        return;
    };
    if rest.is_empty() && value.is_none() {
        match (step, object) {
            (Step::Field(name), Value::Object(map)) => drop(map.remove(name)),
            (Step::Item(index), Value::Array(items)) => drop(items.remove(*index)),
            (Step::Field(_) | Step::Item(_), _) => {}
        }
        return;
    }
    match step {
        Step::Field(name) => {
            if !object.is_object() {
                *object = Value::Object(Map::new());
            }
            set(&mut object[name.as_str()], rest, value);
        }
        Step::Item(index) => set(&mut object[*index], rest, value),
    }
}

/// Whether admission's path is the server's: of an entry of a map the server may name the map alone, and it writes the key of
/// one without quotes.
#[must_use]
pub fn same_field(admission: &str, server: &str) -> bool {
    let (map, key) = admission.split_once("[\"").unwrap_or((admission, ""));
    let plain = admission.replace("[\"", ".").replace("\"]", "");
    plain == server || (!key.is_empty() && map == server)
}

/// Calls back with the path of every field and item in a value: `.ingress`, `.ingress[]`, `.ingress[].action`.
pub fn fields(value: &Value, seen: &mut impl FnMut(&str)) {
    walk("", value, seen);
}

fn walk(path: &str, value: &Value, seen: &mut impl FnMut(&str)) {
    if !path.is_empty() {
        seen(path);
    }
    match value {
        Value::Object(map) => {
            for (name, value) in map {
                walk(&format!("{path}.{name}"), value, seen);
            }
        }
        Value::Array(items) => {
            for item in items {
                walk(&format!("{path}[]"), item, seen);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// JSON pointers to every field and item in a value.
#[must_use]
pub fn pointers(value: &Value) -> Vec<String> {
    let below = |step: &str, value: &Value| {
        let step = step.replace('~', "~0").replace('/', "~1");
        let mut found = vec![format!("/{step}")];
        found.extend(pointers(value).iter().map(|rest| format!("/{step}{rest}")));
        found
    };
    match value {
        Value::Object(map) => map
            .iter()
            .flat_map(|(name, value)| below(name, value))
            .collect(),
        Value::Array(items) => {
            let items = items.iter().enumerate();
            items
                .flat_map(|(index, value)| below(&index.to_string(), value))
                .collect()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    }
}
