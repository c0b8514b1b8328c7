//! The formats of `get`.

use api::{CALICO_V3, Kind, Object};
use serde_json::{Value, json};

use crate::columns::{self, AsNumber};
use crate::json::{pretty, pretty_within};
use crate::objects::Survey;
use crate::outcome::{Failure, Status};
use crate::session::Session;
use crate::tabwriter;
use crate::template::{Limits, Template};
use crate::yaml::to_yaml;

/// How objects are printed.
#[derive(Debug, PartialEq)]
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
    /// What a template makes of them.
    Template(Template),
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

/// All formats, as they are typed: those with `=` want something after it.
pub(crate) const FORMATS: [&str; 9] = [
    "ps",
    "wide",
    "yaml",
    "json",
    "name",
    "custom-columns=",
    "custom-columns-file=",
    "go-template=",
    "go-template-file=",
];

/// What was asked for and is there.
#[derive(Debug)]
pub(crate) enum Found {
    One(Box<Object>),
    List { kind: Kind, survey: Survey },
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
            ("go-template", "") => Err(Failure::usage("need to specify a template")),
            ("go-template", text) => template(text),
            ("go-template-file", "") => Err(Failure::usage("need to specify a template file")),
            ("go-template-file", file) => template(&read(file, "template")?),
            (_, _) => Err(Failure::usage(format!(
                "unrecognized output format '{text}': use {}",
                FORMATS.join(", ").replace('=', "=...")
            ))),
        }
    }

    /// Prints what was found, object by object; what cannot be shown, or be gone by, goes to `damaged`.
    pub(crate) fn print(
        &self,
        found: &[Found],
        namespaces: Namespaces,
        as_number: AsNumber<'_>,
        damaged: &mut Vec<String>,
        session: &mut Session<'_>,
    ) -> Result<(), Failure> {
        match self {
            Format::Yaml | Format::Json => match (self, found) {
                (Format::Json, [Found::List { kind, survey }]) => {
                    json_list(*kind, survey, damaged, session)
                }
                (_, [Found::List { kind, survey }]) => yaml_list(*kind, survey, damaged, session),
                (Format::Json, found) => session.print(&pretty(&document(found, damaged))),
                (_, found) => session.print(&to_yaml(&document(found, damaged))),
            },
            Format::Name => found.iter().try_for_each(|found| {
                found.each(damaged, &mut |object| session.line(name_of(&object)))
            }),
            Format::Narrow | Format::Wide | Format::Custom(_) => {
                for found in found {
                    let text = self.table(found, namespaces, as_number, damaged)?;
                    session.print(&text)?;
                }
                Ok(())
            }
            Format::Template(template) => {
                let documents: Vec<Value> =
                    found.iter().map(|found| found.to_value(damaged)).collect();
                let config = |name: &str| match name.to_lowercase().as_str() {
                    "asnumber" => Ok(as_number()),
                    _ => Err(format!("unhandled config type {name:?}: there is asnumber")),
                };
                let text = template
                    .render(&documents, Limits::default(), &config)
                    .map_err(|error| Failure::general(error.to_string()))?;
                session.print(&text)
            }
        }
    }

    fn table(
        &self,
        found: &Found,
        namespaces: Namespaces,
        as_number: AsNumber<'_>,
        damaged: &mut Vec<String>,
    ) -> Result<String, Failure> {
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
            Format::Yaml
            | Format::Json
            | Format::Name
            | Format::Custom(_)
            | Format::Template(_) => Vec::new(),
        };
        let wanted = match self {
            Format::Custom(columns) => columns,
            Format::Yaml
            | Format::Json
            | Format::Name
            | Format::Narrow
            | Format::Wide
            | Format::Template(_) => &usual,
        };
        let namespace = CustomColumn::Known("NAMESPACE".to_owned());
        // Whoever names columns gets those, and no other.
        let own = matches!(self, Format::Custom(_));
        let leads = namespaces == Namespaces::Shown && kind.is_namespaced() && !own;
        let columns: Vec<&CustomColumn> = leads
            .then_some(&namespace)
            .into_iter()
            .chain(wanted)
            .collect();
        let mut text = String::new();
        for column in &columns {
            column.exists(&known)?;
            text.push_str(column.heading());
            text.push('\t');
        }
        text.push('\n');
        found.each(damaged, &mut |object| {
            for column in &columns {
                // A cell must not break its line, nor its column.
                let cell = column.value(&known, &object, as_number);
                text.push_str(&cell.replace(['\n', '\t'], " "));
                text.push('\t');
            }
            text.push('\n');
            Ok(())
        })?;
        Ok(tabwriter::align(&text) + "\n")
    }
}

impl CustomColumn {
    /// Whether the kind has this column.
    fn exists(&self, known: &columns::Columns) -> Result<(), Failure> {
        match self {
            CustomColumn::Known(name) if !known.headings().contains(&name.as_str()) => {
                let headings = known.headings().join(", ");
                Err(Failure::usage(format!(
                    "unknown heading {name}, valid values are: {headings}"
                )))
            }
            CustomColumn::Known(_) | CustomColumn::Path { .. } => Ok(()),
        }
    }

    fn heading(&self) -> &str {
        match self {
            CustomColumn::Known(name) => name,
            CustomColumn::Path { heading, .. } => heading,
        }
    }

    fn value(&self, known: &columns::Columns, object: &Object, as_number: AsNumber<'_>) -> String {
        match self {
            CustomColumn::Known(name) => known.value(name, object, as_number).unwrap_or_default(),
            CustomColumn::Path { path, .. } => {
                let mut values = Vec::new();
                let whole;
                match path.split_first() {
                    Some((Step::Field(name), rest)) => {
                        if let Some(inner) = object.value().get(name) {
                            collect(inner, rest, &mut values);
                        }
                    }
                    Some((Step::Index(_) | Step::All, _)) => {}
                    None => {
                        whole = Value::Object(object.value().clone());
                        values.push(&whole);
                    }
                }
                let texts: Vec<String> = values.into_iter().map(plain).collect();
                if texts.is_empty() {
                    "<none>".to_owned()
                } else {
                    texts.join(",")
                }
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

fn template(text: &str) -> Result<Format, Failure> {
    Template::parse("get", text)
        .map(Format::Template)
        .map_err(|error| Failure::usage(error.to_string()))
}

fn read(file: &str, what: &str) -> Result<String, Failure> {
    std::fs::read_to_string(file).map_err(|error| {
        let text = format!("failed to read {what} file {file}: {error}");
        Failure::new(Status::NotFound, text)
    })
}

/// A file whose first line has headings, and whose second has the path below each.
fn columns_file(file: &str) -> Result<Format, Failure> {
    let text = read(file, "columns")?;
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

    /// Does something with each object, one after the other: no more than one is in memory beside its bytes.
    fn each(
        &self,
        damaged: &mut Vec<String>,
        act: &mut dyn FnMut(Object) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        match self {
            Found::One(object) => act(object.as_ref().clone()),
            Found::List { survey, .. } => survey.each(damaged, act),
        }
    }

    fn to_value(&self, damaged: &mut Vec<String>) -> Value {
        let mut values = Vec::new();
        // Keeping a value cannot fail.
        let _ = self.each(damaged, &mut |object| {
            values.push(object.into_shown());
            Ok(())
        });
        match self {
            Found::One(_) => values.pop().unwrap_or_default(),
            Found::List { kind, survey } => {
                let mut list = list_head(*kind, survey);
                list["items"] = values.into();
                list
            }
        }
    }
}

/// One thing is printed as itself, several as a list of them, nothing as upstream does.
fn document(found: &[Found], damaged: &mut Vec<String>) -> Value {
    match found {
        [] => Value::Null,
        [one] => one.to_value(damaged),
        several => several
            .iter()
            .map(|found| found.to_value(damaged))
            .collect(),
    }
}

/// A list object but for its items.
fn list_head(kind: Kind, survey: &Survey) -> Value {
    json!({
        "apiVersion": kind.api_version(),
        "kind": format!("{kind}List"),
        "metadata": {"resourceVersion": survey.revision.to_string()},
    })
}

/// The same text as of the whole list at once.
fn yaml_list(
    kind: Kind,
    survey: &Survey,
    damaged: &mut Vec<String>,
    session: &mut Session<'_>,
) -> Result<(), Failure> {
    let mut head = list_head(kind, survey);
    session.print(&to_yaml(&json!({"apiVersion": head["apiVersion"].take()})))?;
    session.print("items:")?;
    let mut separator = "\n";
    survey.each(damaged, &mut |object| {
        session.print(std::mem::take(&mut separator))?;
        session.print(&to_yaml(&json!([object.into_shown()])))
    })?;
    if !separator.is_empty() {
        session.line(" []")?;
    }
    let rest = json!({"kind": head["kind"].take(), "metadata": head["metadata"].take()});
    session.print(&to_yaml(&rest))
}

/// The same text as of the whole list at once.
fn json_list(
    kind: Kind,
    survey: &Survey,
    damaged: &mut Vec<String>,
    session: &mut Session<'_>,
) -> Result<(), Failure> {
    let mut head = list_head(kind, survey);
    head["items"] = json!([]);
    let head = pretty(&head);
    session.print(head.strip_suffix("]\n}").unwrap_or(&head))?;
    let mut separator = "\n    ";
    let mut count = 0_usize;
    survey.each(damaged, &mut |object| {
        session.print(separator)?;
        separator = ",\n    ";
        count += 1;
        session.print(&pretty_within(&object.into_shown(), 2))
    })?;
    session.print(if count == 0 { "]\n}" } else { "\n  ]\n}" })
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
        assert!(Format::parse("go-template={{.}}").is_ok());
        assert!(Format::parse("go-template={{").is_err());
        assert!(Format::parse("go-template-file=/no/such/file").is_err());
        let known = |name: &str| CustomColumn::Known(name.to_owned());
        assert_eq!(
            Format::parse("custom-columns=NAME,CIDR").unwrap(),
            Format::Custom(vec![known("NAME"), known("CIDR")])
        );
    }
}
