//! The formats of `get`.

use api::{CALICO_V3, Kind, Object};
use serde_json::{Value, json};

use crate::columns;
use crate::json::pretty;
use crate::objects::Listing;
use crate::outcome::{Failure, Status};
use crate::tabwriter;
use crate::yaml::to_yaml;

/// How objects are printed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Yaml,
    Json,
    Name,
    /// A table of the kind's most important columns.
    Narrow,
    /// A table of the kind's usual columns.
    Wide,
    /// A table of named columns, or of headings with paths into the object.
    Custom(Vec<CustomColumn>),
}

/// A column that the user asked for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum CustomColumn {
    /// A column that the kind has.
    Known(String),
    /// A heading, and where in the object its value is.
    Path { heading: String, path: Vec<Step> },
}

/// A step into an object.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Field(String),
    Index(usize),
    /// All members of a list.
    All,
}

/// What was asked for and is there.
#[derive(Debug)]
pub(crate) enum Found {
    One(Box<Object>),
    List { kind: Kind, listing: Listing },
}

/// Whether tables of namespaced kinds begin with the namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Namespaces {
    Shown,
    Hidden,
}

impl Format {
    pub(crate) fn parse(text: &str) -> Result<Format, Failure> {
        let (word, value) = text.split_once('=').unwrap_or((text, ""));
        match (word, value) {
            ("yaml" | "yml", "") => Ok(Format::Yaml),
            ("json", "") => Ok(Format::Json),
            ("name", "") => Ok(Format::Name),
            ("ps", "") => Ok(Format::Narrow),
            ("wide", "") => Ok(Format::Wide),
            ("custom-columns", "") => Err(Failure::usage("need to specify at least one column")),
            ("custom-columns", columns) => {
                let columns: Result<Vec<_>, Failure> = columns.split(',').map(custom).collect();
                Ok(Format::Custom(columns?))
            }
            ("custom-columns-file", "") => Err(Failure::usage("need to specify a file of columns")),
            ("custom-columns-file", file) => columns_file(file),
            ("go-template" | "go-template-file", _) => Err(Failure::usage(
                "go templates are not supported: use custom-columns=HEADING:.path.to.field, json or yaml",
            )),
            (_, _) => Err(Failure::usage(format!(
                "unrecognized output format '{text}': use yaml, json, name, ps, wide, custom-columns=... or custom-columns-file=..."
            ))),
        }
    }

    pub(crate) fn print(&self, found: &[Found], namespaces: Namespaces) -> Result<String, Failure> {
        match self {
            Format::Yaml => Ok(to_yaml(&document(found))),
            Format::Json => Ok(pretty(&document(found))),
            Format::Name => Ok(found
                .iter()
                .flat_map(Found::objects)
                .map(|object| name_of(object) + "\n")
                .collect()),
            Format::Narrow | Format::Wide | Format::Custom(_) => found
                .iter()
                .map(|found| self.table(found, namespaces))
                .collect(),
        }
    }

    fn table(&self, found: &Found, namespaces: Namespaces) -> Result<String, Failure> {
        let kind = found.kind();
        let known = columns::of(kind);
        let usual = |names: &[&str]| {
            names
                .iter()
                .map(|name| CustomColumn::Known((*name).to_owned()))
                .collect()
        };
        let usual: Vec<CustomColumn> = match self {
            Format::Narrow => usual(known.narrow),
            Format::Wide => usual(known.wide),
            Format::Yaml | Format::Json | Format::Name | Format::Custom(_) => Vec::new(),
        };
        let wanted = match self {
            Format::Custom(columns) => columns,
            Format::Yaml | Format::Json | Format::Name | Format::Narrow | Format::Wide => &usual,
        };
        let namespace = CustomColumn::Known("NAMESPACE".to_owned());
        let leads =
            namespaces == Namespaces::Shown && kind.is_namespaced() && !wanted.contains(&namespace);
        let columns: Vec<&CustomColumn> = leads
            .then_some(&namespace)
            .into_iter()
            .chain(wanted)
            .collect();
        let mut text = String::new();
        for column in &columns {
            text.push_str(column.heading());
            text.push('\t');
        }
        text.push('\n');
        for object in found.objects() {
            for column in &columns {
                // A cell must not break its line, nor its column.
                let cell = column.value(&known, object)?;
                text.push_str(&cell.replace(['\n', '\t'], " "));
                text.push('\t');
            }
            text.push('\n');
        }
        Ok(tabwriter::align(&text) + "\n")
    }
}

impl CustomColumn {
    fn heading(&self) -> &str {
        match self {
            CustomColumn::Known(name) => name,
            CustomColumn::Path { heading, .. } => heading,
        }
    }

    fn value(&self, known: &columns::Columns, object: &Object) -> Result<String, Failure> {
        match self {
            CustomColumn::Known(name) => known.value(name, object).ok_or_else(|| {
                let headings = known.headings().join(", ");
                Failure::usage(format!(
                    "unknown heading {name}, valid values are: {headings}"
                ))
            }),
            CustomColumn::Path { path, .. } => {
                let mut values = Vec::new();
                let whole = Value::Object(object.value().clone());
                collect(&whole, path, &mut values);
                let texts: Vec<String> = values.into_iter().map(plain).collect();
                Ok(if texts.is_empty() {
                    "<none>".to_owned()
                } else {
                    texts.join(",")
                })
            }
        }
    }
}

fn collect<'a>(value: &'a Value, path: &[Step], out: &mut Vec<&'a Value>) {
    let Some((step, rest)) = path.split_first() else {
        out.push(value);
        return;
    };
    match step {
        Step::Field(name) => {
            if let Some(inner) = value.get(name) {
                collect(inner, rest, out);
            }
        }
        Step::Index(index) => {
            if let Some(inner) = value.get(index) {
                collect(inner, rest, out);
            }
        }
        Step::All => {
            for inner in value.as_array().into_iter().flatten() {
                collect(inner, rest, out);
            }
        }
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            value.to_string()
        }
    }
}

/// A column is a heading the kind knows, or `HEADING:.path[0].to.field`.
fn custom(text: &str) -> Result<CustomColumn, Failure> {
    match text.split_once(':') {
        Some((heading, path)) => Ok(CustomColumn::Path {
            heading: heading.to_owned(),
            path: path_of(path)?,
        }),
        None if text.is_empty() => Err(Failure::usage("need to specify at least one column")),
        None => Ok(CustomColumn::Known(text.to_owned())),
    }
}

fn path_of(text: &str) -> Result<Vec<Step>, Failure> {
    let wrong = || {
        Failure::usage(format!(
            "{text:?} is no path into an object: write it like .spec.nets[0]"
        ))
    };
    let inner = text
        .strip_prefix('{')
        .and_then(|t| t.strip_suffix('}'))
        .unwrap_or(text);
    let mut steps = Vec::new();
    let mut rest = inner.trim_start_matches('$');
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix('[') {
            let (index, after) = after.split_once(']').ok_or_else(wrong)?;
            steps.push(match index.trim_matches(['\'', '"']) {
                "*" => Step::All,
                quoted if quoted.len() < index.len() => Step::Field(quoted.to_owned()),
                number => Step::Index(number.parse().map_err(|_| wrong())?),
            });
            rest = after;
        } else {
            let after = rest.strip_prefix('.').ok_or_else(wrong)?;
            // A backslash lets a key have dots in it, as in labels.
            let end = after
                .char_indices()
                .find(|(at, c)| matches!(c, '.' | '[') && !after[..*at].ends_with('\\'))
                .map_or(after.len(), |(at, _)| at);
            if end == 0 {
                return Err(wrong());
            }
            steps.push(Step::Field(after[..end].replace('\\', "")));
            rest = &after[end..];
        }
    }
    Ok(steps)
}

/// A file whose first line has headings, and whose second has the path below each.
fn columns_file(file: &str) -> Result<Format, Failure> {
    let text = std::fs::read_to_string(file).map_err(|error| {
        Failure::new(
            Status::NotFound,
            format!("failed to read columns file {file}: {error}"),
        )
    })?;
    let mut lines = text.lines().filter(|line| !line.trim().is_empty());
    let headings: Vec<&str> = lines
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    let paths: Vec<&str> = lines
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    if headings.is_empty() || headings.len() != paths.len() {
        return Err(Failure::usage(format!(
            "columns file {file} must have a line of headings and a line of as many paths; it has {} and {}",
            headings.len(),
            paths.len()
        )));
    }
    let columns: Result<Vec<_>, Failure> = headings
        .into_iter()
        .zip(paths)
        .map(|(heading, path)| {
            Ok(CustomColumn::Path {
                heading: heading.to_owned(),
                path: path_of(path)?,
            })
        })
        .collect();
    Ok(Format::Custom(columns?))
}

impl Found {
    fn kind(&self) -> Kind {
        match self {
            Found::One(object) => object.kind(),
            Found::List { kind, .. } => *kind,
        }
    }

    fn objects(&self) -> &[Object] {
        match self {
            Found::One(object) => std::slice::from_ref(object),
            Found::List { listing, .. } => &listing.objects,
        }
    }

    fn to_value(&self) -> Value {
        match self {
            Found::One(object) => object.as_ref().clone().into_value(),
            Found::List { kind, listing } => json!({
                "apiVersion": kind.api_version(),
                "kind": format!("{kind}List"),
                "metadata": {"resourceVersion": listing.revision.to_string()},
                "items": listing.objects.iter().cloned().map(Object::into_value).collect::<Vec<_>>(),
            }),
        }
    }
}

/// One thing is printed as itself, several as a list of them, nothing as upstream does.
fn document(found: &[Found]) -> Value {
    match found {
        [] => Value::Null,
        [one] => one.to_value(),
        several => several.iter().map(Found::to_value).collect(),
    }
}

fn name_of(object: &Object) -> String {
    let kind = object.kind();
    let group = match kind.api_version() {
        CALICO_V3 => ".projectcalico.org".to_owned(),
        version => version
            .split_once('/')
            .map_or_else(String::new, |(group, _)| format!(".{group}")),
    };
    // Kubernetes' own words for its two kinds, without the prefix that tells them from Calico's here.
    let word = kind.singular();
    let word = word.strip_prefix("kubernetes").unwrap_or(word);
    format!("{word}{group}/{}", object.name())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        let field = |name: &str| Step::Field(name.to_owned());
        assert_eq!(
            path_of(".spec.nets[0]").unwrap(),
            [field("spec"), field("nets"), Step::Index(0)]
        );
        assert_eq!(
            path_of("{.a[*].b}").unwrap(),
            [field("a"), Step::All, field("b")]
        );
        assert_eq!(path_of(r".l.x\.y/z").unwrap(), [field("l"), field("x.y/z")]);
        assert_eq!(path_of(".l['x.y']").unwrap(), [field("l"), field("x.y")]);
        assert!(path_of("spec").is_err() && path_of(".a..b").is_err() && path_of(".a[x]").is_err());
    }

    #[test]
    fn formats() {
        assert!(Format::parse("bogus").is_err() && Format::parse("custom-columns=").is_err());
        assert!(Format::parse("go-template={{.}}").is_err());
        let known = |name: &str| CustomColumn::Known(name.to_owned());
        assert_eq!(
            Format::parse("custom-columns=NAME,CIDR").unwrap(),
            Format::Custom(vec![known("NAME"), known("CIDR")])
        );
    }
}
