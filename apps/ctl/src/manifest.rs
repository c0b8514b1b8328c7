//! Objects in files: which files, which documents, which object in them, and where each of its fields stands.

use std::path::{Path, PathBuf};
use std::rc::Rc;

use api::{AdmitOptions, Kind, Object, Problem};
use serde_json::Value;

use crate::cli::FileArgs;
use crate::objects::{described, field_error};
use crate::outcome::{Failure, Status};
use crate::session::Session;
use crate::yaml::{Located, Source, documents};

/// Where an object was read.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    source: Rc<str>,
    document: usize,
    of: usize,
    content: Rc<Located>,
    /// The path of the object in its document: empty, or an item of a list.
    path: String,
}

/// An object as its author wrote it.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    pub(crate) origin: Origin,
    pub(crate) value: Value,
}

/// Which object an item means.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    pub(crate) kind: Kind,
    pub(crate) namespace: Option<String>,
    pub(crate) name: String,
}

impl Origin {
    /// The line of the source that the object's field is in.
    fn line(&self, field: &str) -> u64 {
        let path = match (self.path.is_empty(), field.is_empty()) {
            (true, _) => field.to_owned(),
            (false, true) => self.path.clone(),
            (false, false) => format!("{}.{field}", self.path),
        };
        self.content.position_of(&path).line
    }

    /// `policy.yaml, document 2, line 14`; the document is left out if there is one only.
    fn place(&self, field: &str) -> String {
        let line = self.line(field);
        match self.of {
            1 => format!("{}, line {line}", self.source),
            _ => format!("{}, document {}, line {line}", self.source, self.document),
        }
    }
}

impl Item {
    /// The kind as the author spelt it, for messages about what is not known yet.
    fn described(&self) -> String {
        let text = |pointer: &str| {
            self.value
                .pointer(pointer)
                .and_then(Value::as_str)
                .filter(|t| !t.is_empty())
        };
        let kind = text("/kind").unwrap_or("object");
        match (text("/metadata/namespace"), text("/metadata/name")) {
            (Some(ns), Some(name)) => format!("{kind}({ns}/{name})"),
            (None, Some(name)) => format!("{kind}({name})"),
            (_, None) => kind.to_owned(),
        }
    }

    /// One line for each problem: file, document, line, object, field, and what would be right.
    pub(crate) fn explain(&self, problems: &[Problem]) -> Failure {
        let mut sorted: Vec<&Problem> = problems.iter().collect();
        sorted.sort_by_key(|problem| self.origin.line(&problem.field));
        let lines: Vec<String> = sorted
            .into_iter()
            .map(|problem| {
                let place = self.origin.place(&problem.field);
                format!("{place}: {}: {}", self.described(), field_error(problem))
            })
            .collect();
        Failure::new(Status::Validation, lines.join("\n"))
    }

    /// Another failure of this object.
    pub(crate) fn failed(&self, failure: Failure) -> Failure {
        failure.context(format!("{}: ", self.origin.place("")))
    }

    /// The object, with defaults and checked, in the namespace that the command line gives.
    pub(crate) fn admit(&self, namespace: Option<&str>) -> Result<Object, Failure> {
        let options = AdmitOptions {
            default_namespace: namespace.unwrap_or("default").into(),
        };
        self.check_namespace(namespace)?;
        api::admit(self.value.clone(), &options).map_err(|problems| self.explain(&problems))
    }

    /// Which object this is; nothing else of it is looked at.
    pub(crate) fn identity(&self, namespace: Option<&str>) -> Result<Identity, Failure> {
        self.check_namespace(namespace)?;
        let text = |pointer: &str| {
            self.value
                .pointer(pointer)
                .and_then(Value::as_str)
                .unwrap_or("")
        };
        let Some(kind) = Kind::of(text("/apiVersion"), text("/kind")) else {
            // Admission knows best what is wrong with the kind.
            let problems = api::admit(self.value.clone(), &AdmitOptions::default()).err();
            return Err(self.explain(&problems.unwrap_or_default()));
        };
        let own = text("/metadata/namespace");
        let namespace = if own.is_empty() {
            namespace.unwrap_or("default")
        } else {
            own
        };
        let mut name = text("/metadata/name").to_owned();
        if name.is_empty() {
            // The name of an endpoint may follow from its spec.
            name = self.admit(Some(namespace))?.name().to_owned();
        }
        Ok(Identity {
            kind,
            namespace: kind.is_namespaced().then(|| namespace.to_owned()),
            name,
        })
    }

    fn check_namespace(&self, namespace: Option<&str>) -> Result<(), Failure> {
        let text = |pointer: &str| {
            self.value
                .pointer(pointer)
                .and_then(Value::as_str)
                .unwrap_or("")
        };
        let (Some(given), Some(kind)) = (namespace, Kind::of(text("/apiVersion"), text("/kind")))
        else {
            return Ok(());
        };
        let own = text("/metadata/namespace");
        let wrong = |text: String| Err(self.failed(Failure::new(Status::Validation, text)));
        if !kind.is_namespaced() {
            return wrong(format!("{kind} is not namespaced"));
        }
        if !own.is_empty() && own != given {
            return wrong(format!(
                "resource namespace does not match client namespace. {own} != {given}"
            ));
        }
        Ok(())
    }

    /// The kind as messages count objects by it.
    pub(crate) fn kind_word(&self) -> &str {
        self.value.get("kind").and_then(Value::as_str).unwrap_or("")
    }
}

impl Identity {
    pub(crate) fn describe(&self) -> String {
        described(self.kind, self.namespace.as_deref(), &self.name)
    }
}

/// Reads all objects of all files. Nothing is returned unless every document can be read: then nothing is half-done.
pub(crate) fn load(args: &FileArgs, session: &mut Session<'_>) -> Result<Vec<Item>, Failure> {
    if args.filename.is_empty() {
        return Err(Failure::usage(
            "no file given: use -f FILE, -f DIRECTORY, or -f - for standard input",
        ));
    }
    let mut items = Vec::new();
    let mut broken: Vec<Failure> = Vec::new();
    for filename in &args.filename {
        let before = items.len();
        let is_directory = filename != "-" && Path::new(filename).is_dir();
        for source in sources(filename, args.recursive, session)? {
            let before = items.len();
            read_source(&source, &mut items, &mut broken);
            if items.len() == before && broken.is_empty() && !args.skip_empty {
                let text = format!("no resources specified in file {}", source.name);
                return Err(Failure::new(Status::Validation, text));
            }
        }
        if is_directory && items.len() == before && broken.is_empty() && !args.skip_empty {
            let text = format!("no resources specified in directory {filename}");
            return Err(Failure::new(Status::Validation, text));
        }
    }
    if broken.is_empty() {
        return Ok(items);
    }
    let texts: Vec<String> = broken.into_iter().map(|failure| failure.text).collect();
    Err(Failure::new(
        Status::Validation,
        format!("failed to execute command: {}", texts.join("\n")),
    ))
}

/// Reads all objects below a path, for a world to reason about.
pub(crate) fn load_world(path: &str, session: &mut Session<'_>) -> Result<Vec<Item>, Failure> {
    let (mut items, mut broken) = (Vec::new(), Vec::new());
    for source in sources(path, true, session)? {
        read_source(&source, &mut items, &mut broken);
    }
    match broken.into_iter().next() {
        Some(failure) => Err(failure),
        None => Ok(items),
    }
}

fn sources(
    filename: &str,
    recursive: bool,
    session: &mut Session<'_>,
) -> Result<Vec<Source>, Failure> {
    if filename == "-" {
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(session.stdin, &mut bytes)?;
        return Ok(vec![text_of("standard input", bytes)?]);
    }
    let path = Path::new(filename);
    let mut files = Vec::new();
    if path.is_dir() {
        walk(path, recursive, &mut files)?;
    } else {
        files.push(path.to_owned());
    }
    let read = |file: PathBuf| {
        let name = file.display().to_string();
        let bytes = std::fs::read(&file).map_err(|error| unreadable(&file, &error))?;
        text_of(&name, bytes)
    };
    files.into_iter().map(read).collect()
}

fn text_of(name: &str, bytes: Vec<u8>) -> Result<Source, Failure> {
    let text = String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        Failure::new(
            Status::Validation,
            format!("failed to execute command: {name}: byte {at} is not UTF-8 text"),
        )
    })?;
    Ok(Source {
        name: name.to_owned(),
        text,
    })
}

fn unreadable(path: &Path, error: &std::io::Error) -> Failure {
    let status = if error.kind() == std::io::ErrorKind::NotFound {
        Status::NotFound
    } else {
        Status::General
    };
    Failure::new(
        status,
        format!(
            "failed to execute command: open {}: {error}",
            path.display()
        ),
    )
}

/// The manifests of a directory, in the order of their names.
fn walk(directory: &Path, recursive: bool, files: &mut Vec<PathBuf>) -> Result<(), Failure> {
    let listing = std::fs::read_dir(directory).map_err(|error| unreadable(directory, &error))?;
    let mut paths = Vec::new();
    for entry in listing {
        paths.push(entry.map_err(|error| unreadable(directory, &error))?.path());
    }
    paths.sort();
    for path in paths {
        let extension = path
            .extension()
            .and_then(|e| e.to_str())
            .unwrap_or("")
            .to_ascii_lowercase();
        // A link to a directory is not followed, so that no loop of links is endless.
        let is_directory = path.symlink_metadata().is_ok_and(|meta| meta.is_dir());
        if is_directory && recursive {
            walk(&path, recursive, files)?;
        } else if !is_directory && ["yaml", "yml", "json"].contains(&extension.as_str()) {
            files.push(path);
        }
    }
    Ok(())
}

fn read_source(source: &Source, items: &mut Vec<Item>, broken: &mut Vec<Failure>) {
    let name: Rc<str> = source.name.as_str().into();
    for document in documents(source) {
        let content = match document.content {
            Ok(content) => content,
            Err(unreadable) => {
                let line = unreadable
                    .at
                    .map(|at| format!(", line {}, column {}", at.line, at.column));
                let number = if document.of == 1 {
                    String::new()
                } else {
                    format!(", document {}", document.index)
                };
                let text = format!(
                    "{name}{number}{}: {}",
                    line.unwrap_or_default(),
                    unreadable.message
                );
                broken.push(Failure::new(Status::Validation, text));
                continue;
            }
        };
        let origin = Origin {
            source: name.clone(),
            document: document.index,
            of: document.of,
            content: Rc::new(content),
            path: String::new(),
        };
        let first = items.len();
        expand(&origin, items, broken);
        for item in &items[first..] {
            if let Some(failure) = misfit(item) {
                broken.push(failure);
            }
        }
    }
}

/// The objects of a document: itself, the items of a list object, or the members of a plain list.
fn expand(origin: &Origin, items: &mut Vec<Item>, broken: &mut Vec<Failure>) {
    let content = Rc::clone(&origin.content);
    let parts: Vec<(String, Value)> = match content.items() {
        Some(members) => members
            .iter()
            .enumerate()
            .map(|(n, part)| (format!("[{n}]"), part.to_value()))
            .collect(),
        None => vec![(String::new(), content.to_value())],
    };
    for (path, value) in parts {
        let origin = Origin {
            path,
            ..origin.clone()
        };
        let is_list = value.get("items").is_some();
        match api::expand_list(value.clone()) {
            Ok(values) => items.extend(values.into_iter().enumerate().map(|(n, value)| {
                let path = match (is_list, origin.path.is_empty()) {
                    (false, _) => origin.path.clone(),
                    (true, true) => format!("items[{n}]"),
                    (true, false) => format!("{}.items[{n}]", origin.path),
                };
                Item {
                    origin: Origin {
                        path,
                        ..origin.clone()
                    },
                    value,
                }
            })),
            Err(problem) => broken.push(Item { origin, value }.explain(&[problem])),
        }
    }
}

/// What makes a whole file unfit, as upstream has it: a kind or a field that nobody knows. Other problems are the single
/// object's.
fn misfit(item: &Item) -> Option<Failure> {
    let problems = api::admit(item.value.clone(), &AdmitOptions::default()).err()?;
    let structural = |problem: &Problem| {
        matches!(problem.field.as_str(), "" | "apiVersion" | "kind")
            || problem.message.starts_with("is no field")
    };
    let problems: Vec<Problem> = problems.into_iter().filter(structural).collect();
    (!problems.is_empty()).then(|| item.explain(&problems))
}
