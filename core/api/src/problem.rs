//! What is wrong with an object, field by field, said so that its author can mend it.

use std::fmt;

use thiserror::Error;

/// One thing that is wrong with one field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The field's path, such as `spec.ingress[0].source.nets[1]`; empty for the object as a whole.
    pub field: String,
    /// The value found there, as JSON and shortened; empty if there is none.
    pub value: String,
    /// What is wrong.
    pub message: String,
    /// What would be right, if that can be said.
    pub hint: Option<String>,
}

impl Problem {
    /// A problem of the object as a whole.
    pub fn of_object(message: impl Into<String>) -> Problem {
        Problem {
            field: String::new(),
            value: String::new(),
            message: message.into(),
            hint: None,
        }
    }

    /// A problem of one field.
    pub fn at(field: impl Into<String>, message: impl Into<String>) -> Problem {
        Problem {
            field: field.into(),
            ..Problem::of_object(message)
        }
    }

    /// The same with what was found.
    #[must_use]
    pub fn found(mut self, value: impl Into<String>) -> Problem {
        self.value = value.into();
        self
    }

    /// The same with what would be right.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Problem {
        self.hint = Some(hint.into());
        self
    }
}

/// `field: message (found value); hint`.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.field.is_empty() {
            write!(f, "{}: ", self.field)?;
        }
        f.write_str(&self.message)?;
        if !self.value.is_empty() {
            write!(f, " (found {})", self.value)?;
        }
        match &self.hint {
            Some(hint) => write!(f, "; {hint}"),
            None => Ok(()),
        }
    }
}

/// A store entry that is no valid object. It counts as absent, which fails closed; the problems are for the log.
#[derive(Clone, Debug, PartialEq, Error)]
#[error("{}", joined(.problems))]
pub struct Invalid {
    /// Which object it would be, if the entry's key says so.
    pub key: Option<model::Key>,
    /// What is wrong with it; never empty.
    pub problems: Vec<Problem>,
}

fn joined(problems: &[Problem]) -> String {
    let lines: Vec<String> = problems.iter().map(Problem::to_string).collect();
    lines.join("\n")
}
