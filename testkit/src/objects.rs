//! Example objects of every kind, and ways to get them wrong: what admission, `calicoctl` and the API server are held to.
//!
//! `data/valid/<kind>.yaml` has whole objects; `<kind>.client.yaml` those that admission alone takes. `data/invalid/<kind>.txt` has
//! one case a line: who refuses it, what is changed in the first valid object of the kind (or in the one that the last line
//! `base NAME` or `object N` chooses), and which field is to blame:
//!
//! ```text
//! both spec.order="ten"
//! both spec.preDNAT=true spec.egress=- @ spec.types
//! client! spec.nodeSelector="has("
//! ```
//!
//! A change sets a field to some JSON, or removes it (`-`); `*N` after a list or a text repeats it. The field to blame is the first
//! one changed, if no other follows `@`. `both` is the admission of `api` and the API server; `client` is the former alone, where
//! upstream's CRDs too accept it or the kind is none; `server` the API server alone. With `!` admission blames that field and no
//! other.

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

/// What else admission may blame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    /// The field, and others that do not fit it.
    AmongOthers,
    /// The field alone.
    Alone,
}

/// An object that is wrong in one way.
#[derive(Clone, Debug)]
pub struct Wrong {
    /// Where it stands: file and line.
    pub place: String,
    /// Who refuses it.
    pub refused: Refused,
    /// What else is blamed.
    pub blame: Blame,
    /// The object.
    pub object: Value,
    /// The field to blame.
    pub field: String,
}

/// Kinds that are no CRDs: the API server has objects of its own for them, or none.
const NO_CRDS: [&str; 9] = [
    "endpointslice",
    "kubernetesnetworkpolicy",
    "livemigration",
    "namespace",
    "node",
    "profile",
    "service",
    "serviceaccount",
    "workloadendpoint",
];

fn is_crd(path: &Path) -> bool {
    !NO_CRDS.contains(&stem(path).as_str())
}

/// Every valid object of a kind that is a CRD, kind by kind: admission takes it, and the API server.
///
/// # Panics
/// If a file cannot be read: the tree is not whole.
#[must_use]
pub fn valid() -> Vec<Value> {
    files("valid")
        .iter()
        .filter(|path| is_crd(path) && !is_clients(path))
        .flat_map(|path| documents(path))
        .collect()
}

/// Every object that admission takes, with the singular of its kind.
///
/// # Panics
/// As [`valid`].
#[must_use]
pub fn admitted() -> Vec<(String, Value)> {
    let of_file = |path: &PathBuf| {
        let kind = stem(path).replace(".client", "");
        let objects = documents(path).into_iter();
        objects
            .map(move |object| (kind.clone(), object))
            .collect::<Vec<_>>()
    };
    files("valid").iter().flat_map(of_file).collect()
}

/// Every object of a kind that is a CRD that is wrong, kind by kind.
///
/// # Panics
/// If a file cannot be read, or a line of it: the message says which.
#[must_use]
pub fn wrong() -> Vec<Wrong> {
    files("invalid")
        .iter()
        .filter(|path| is_crd(path))
        .flat_map(|path| cases(path))
        .collect()
}

/// Every object that admission refuses.
///
/// # Panics
/// As [`wrong`].
#[must_use]
pub fn refused() -> Vec<Wrong> {
    files("invalid")
        .iter()
        .flat_map(|path| cases(path))
        .filter(|case| case.refused != Refused::ByServer)
        .collect()
}

fn is_clients(path: &Path) -> bool {
    stem(path).ends_with(".client")
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
            Some((word, rest)) => {
                let (refused, blame) = mark(&place, word);
                cases.push(case(place, refused, blame, rest, base.clone()));
            }
            None => panic!("{place}: {line}"),
        }
    }
    cases
}

fn mark(place: &str, word: &str) -> (Refused, Blame) {
    let (word, blame) = match word.strip_suffix('!') {
        Some(word) => (word, Blame::Alone),
        None => (word, Blame::AmongOthers),
    };
    let refused = match word {
        "both" => Refused::ByBoth,
        "client" => Refused::ByClient,
        "server" => Refused::ByServer,
        _ => panic!("{place}: {word} is none of both, client, server"),
    };
    (refused, blame)
}

fn case(place: String, refused: Refused, blame: Blame, rest: &str, mut object: Value) -> Wrong {
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
        blame,
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
    admission == server || plain == server || (!key.is_empty() && map == server)
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
