//! What is said of objects, in upstream's words.

use api::{Kind, Object};
use serde_json::Value;

use crate::outcome::{Failure, Status};

/// An object's name as messages have it: `NetworkPolicy(default/web)`.
pub(crate) fn described(kind: Kind, namespace: Option<&str>, name: &str) -> String {
    match namespace {
        Some(ns) => format!("{kind}({ns}/{name})"),
        None => format!("{kind}({name})"),
    }
}

/// The same for an object.
pub(crate) fn describe(object: &Object) -> String {
    described(object.kind(), object.namespace(), object.name())
}

/// There is one of this name already.
pub(crate) fn already_exists(object: &Object) -> Failure {
    let text = format!(
        "resource already exists: {} with error: already exists",
        describe(object)
    );
    Failure::new(Status::Conflict, text)
}

/// There is none of this name.
pub(crate) fn not_found(kind: Kind, namespace: Option<&str>, name: &str) -> Failure {
    let text = format!(
        "resource does not exist: {} with error: not found",
        described(kind, namespace, name)
    );
    Failure::new(Status::NotFound, text)
}

/// Someone else changed it.
pub(crate) fn conflict(object: &Object, why: &str) -> Failure {
    Failure::new(
        Status::Conflict,
        format!("update conflict: {}: {why}", describe(object)),
    )
}

/// What is wrong with an object, as upstream puts it.
pub(crate) fn invalid(object: &Object, problems: &[api::Problem]) -> Failure {
    let texts: Vec<String> = problems.iter().map(field_error).collect();
    Failure::new(
        Status::Validation,
        format!("{}: {}", describe(object), texts.join("\n")),
    )
}

/// `error with field spec.order = '"x"' (must be a number; write 10)`
pub(crate) fn field_error(problem: &api::Problem) -> String {
    let hint = problem
        .hint
        .as_ref()
        .map(|hint| format!("; {hint}"))
        .unwrap_or_default();
    if problem.field.is_empty() {
        return format!("{}{hint}", problem.message);
    }
    let value = match serde_json::from_str::<Value>(&problem.value) {
        Ok(Value::String(text)) => format!(" = '{text}'"),
        Ok(_) | Err(_) if !problem.value.is_empty() => format!(" = '{}'", problem.value),
        Ok(_) | Err(_) => String::new(),
    };
    format!(
        "error with field {}{value} ({}{hint})",
        problem.field, problem.message
    )
}
