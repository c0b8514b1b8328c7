//! Go's text/template, as far as `calicoctl get -o go-template` goes: what upstream's templates print, ours print.
//!
//! A template sees what upstream's sees: a list of objects and of lists of objects, whose fields have their names in Go
//! (`.ObjectMeta.Name`, `.Spec.CIDR`; [`api::gotypes`] has them all) and their zero values where they are not set. The names that
//! files have (`.metadata.name`, `.spec.cidr`) are understood as well. Pointers are followed where Go would print an address
//! or refuse a comparison. What upstream refuses since it is no valid YAML is printed.
//!
//! A text becomes tokens ([`lex`]), then a tree ([`parse`], [`tree`]), and with [`value`]s it becomes text ([`eval`],
//! [`functions`], [`print`]). Nothing panics, and nothing goes on for ever: [`Limits`] says how much is done.

mod eval;
mod functions;
mod lex;
mod parse;
mod print;
mod quote;
mod tree;
mod value;

#[cfg(test)]
mod tests;

use std::fmt;

use serde_json::Value;

use value::Val;

/// How much a template may do.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Actions and functions.
    pub steps: usize,
    /// Bytes of output, and of any text in between.
    pub output: usize,
}

impl Default for Limits {
    /// More than anyone needs: minutes of work, and 256 MiB.
    fn default() -> Limits {
        Limits {
            steps: 100_000_000,
            output: 256 << 20,
        }
    }
}

/// What is wrong with a template, or with what it does: `template: NAME:LINE: ...`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateError(String);

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for TemplateError {}

/// A template that was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Template {
    name: String,
    text: String,
    templates: parse::Templates,
}

impl Template {
    /// Reads a template; errors give its name.
    ///
    /// # Errors
    /// If the text is no template, or uses a function or variable that there is not.
    pub fn parse(name: &str, text: &str) -> Result<Template, TemplateError> {
        Ok(Template {
            name: name.to_owned(),
            text: text.to_owned(),
            templates: parse::parse(name, text).map_err(TemplateError)?,
        })
    }

    /// What the template makes of these documents, each an object or a list of objects. `config` answers the function of
    /// this name: `asnumber` is the cluster's default AS number.
    ///
    /// # Errors
    /// If the template wants what is not there, or too much.
    pub fn render(
        &self,
        documents: &[Value],
        limits: Limits,
        config: &dyn Fn(&str) -> Result<String, String>,
    ) -> Result<String, TemplateError> {
        let documents: Vec<Val<'_>> = documents.iter().map(document).collect();
        let data = Val::List("[]runtime.Object", documents.into());
        let Template {
            name,
            text,
            templates,
        } = self;
        eval::run(name, text, templates, &data, limits, config).map_err(TemplateError)
    }
}

/// An object or a list, as the Go type of its kind.
fn document(json: &Value) -> Val<'_> {
    let text = |name: &str| json.get(name).and_then(Value::as_str).unwrap_or_default();
    let kind = text("kind");
    let ty = if text("apiVersion") == api::CALICO_V3 {
        api::gotypes::of_kind(kind)
    } else if kind.ends_with("List") {
        "*unstructured.List"
    } else {
        "*unstructured.Object"
    };
    Val::Data {
        ty,
        json: Some(json),
    }
}
