//! From the table to what `kubectl apply` takes.

use serde_json::{Map, Value, json};

use super::felix;
use super::kinds::Crd;
use super::table::{Cel, Field, Form, Merge, Need, Reason, Schema};
use crate::kind::{CALICO_V3, Scope};
use crate::kubernetes::Group;

/// The CustomResourceDefinition of one kind, where Calico's own kinds are of one group.
pub(super) fn definition(crd: &Crd, calico: Group) -> Value {
    let (group, version) = group_of(crd, calico);
    let older = crd.older.filter(|_| group == Group::V1.name());
    let (kind, plural, spec) = older.unwrap_or((crd.kind.name(), plural(crd), crd.spec));
    let need = if group == Group::V1.name() {
        crd.older_need
    } else {
        Need::Required
    };
    let mut names = json!({
        "kind": kind,
        "listKind": format!("{kind}List"),
        "plural": plural,
        "singular": kind.to_ascii_lowercase(),
    });
    let mut version = json!({
        "name": version,
        "served": true,
        "storage": true,
        "schema": {"openAPIV3Schema": whole(crd, &spec, need)},
    });
    if group != Group::V1.name() {
        if !crd.short.is_empty() {
            names["shortNames"] = json!(crd.short);
        }
        if !crd.columns.is_empty() {
            version["additionalPrinterColumns"] = columns(crd);
        }
        if !crd.selectable.is_empty() {
            let paths = crd.selectable.iter().map(|path| json!({"jsonPath": path}));
            version["selectableFields"] = paths.collect();
        }
    }
    if crd.status.is_some() {
        version["subresources"] = json!({"status": {}});
    }
    let scope = match crd.kind.scope() {
        Scope::Cluster => "Cluster",
        Scope::Namespaced => "Namespaced",
    };
    let mut metadata = json!({"name": format!("{plural}.{group}")});
    if crd.kind.api_version() != CALICO_V3 {
        // Kubernetes guards the names below its own domain: a definition says by which review it stands there.
        metadata["annotations"] = json!({
            "api-approved.kubernetes.io": "https://github.com/kubernetes-sigs/network-policy-api/pull/347",
        });
    }
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": metadata,
        "spec": {
            "group": group,
            "names": names,
            "scope": scope,
            "versions": [version],
        },
    })
}

/// Group and version that the kind is served in.
pub(super) fn group_of(crd: &Crd, calico: Group) -> (&'static str, &'static str) {
    let foreign = crd.kind.api_version().split_once('/');
    match foreign.filter(|_| crd.kind.api_version() != CALICO_V3) {
        Some(foreign) => foreign,
        None => (calico.name(), calico.version()),
    }
}

/// The plural in URLs. The store has a word of its own for the kind that is Kubernetes'.
pub(super) fn plural(crd: &Crd) -> &'static str {
    let plural = crd.kind.plural();
    plural.strip_prefix("kubernetes").unwrap_or(plural)
}

fn columns(crd: &Crd) -> Value {
    let column = |column: &super::kinds::Column| {
        let mut value = json!({
            "name": column.name,
            "type": column.kind,
            "jsonPath": column.path,
        });
        if !column.doc.is_empty() {
            value["description"] = json!(column.doc);
        }
        value
    };
    crd.columns.iter().map(column).collect()
}

/// The schema of whole objects.
fn whole(crd: &Crd, spec: &Schema, need: Need) -> Value {
    let mut properties = json!({
        "apiVersion": {"type": "string"},
        "kind": {"type": "string"},
        "metadata": {"type": "object"},
        "spec": value(spec),
    });
    if let Some(status) = &crd.status {
        properties["status"] = value(status);
    }
    let mut whole = json!({"type": "object", "properties": properties});
    if !spec.doc.is_empty() {
        whole["description"] = json!(spec.doc);
    }
    if need == Need::Required {
        whole["required"] = json!(["metadata", "spec"]);
    }
    if !crd.rules.is_empty() {
        whole["x-kubernetes-validations"] = rules(crd.rules);
    }
    whole
}

/// The fields of an object's schema; none for other forms.
pub(super) fn fields(form: &Form) -> Vec<Field> {
    match form {
        Form::Object(fields) => fields.to_vec(),
        Form::Parameters => felix::fields(),
        Form::Text
        | Form::Integer
        | Form::Number
        | Form::Flag
        | Form::IntOrString
        | Form::Map(_)
        | Form::List(_) => Vec::new(),
    }
}

/// One schema, as OpenAPI writes it.
fn value(schema: &Schema) -> Value {
    let mut out = Map::new();
    let mut put = |key: &str, value: Value| {
        out.insert(key.to_owned(), value);
    };
    let sizes = match &schema.form {
        Form::Text => ["minLength", "maxLength"],
        Form::List(_) => ["minItems", "maxItems"],
        Form::Object(_)
        | Form::Parameters
        | Form::Map(_)
        | Form::Integer
        | Form::Number
        | Form::Flag
        | Form::IntOrString => ["minProperties", "maxProperties"],
    };
    for (key, size) in sizes.into_iter().zip([schema.fewest, schema.most]) {
        if let Some(size) = size {
            put(key, json!(size));
        }
    }
    for (key, bound) in [("minimum", schema.least), ("maximum", schema.greatest)] {
        if let Some(bound) = bound {
            put(key, json!(bound));
        }
    }
    for (key, text) in [
        ("description", schema.doc),
        ("pattern", schema.pattern),
        ("format", schema.format),
    ] {
        if !text.is_empty() {
            put(key, json!(text));
        }
    }
    if !schema.words.is_empty() {
        put("enum", json!(schema.words));
    }
    if !schema.numbers.is_empty() {
        put("enum", json!(schema.numbers));
    }
    if schema.nullable {
        put("nullable", json!(true));
    }
    if let Ok(default) = serde_json::from_str::<Value>(schema.default) {
        put("default", default);
    }
    if !schema.rules.is_empty() {
        put("x-kubernetes-validations", rules(schema.rules));
    }
    merge(schema, &mut put);
    shape(&schema.form, &mut put);
    Value::Object(out)
}

fn merge(schema: &Schema, put: &mut impl FnMut(&str, Value)) {
    let of_list = matches!(schema.form, Form::List(_));
    match schema.merge {
        Merge::Unsaid => {}
        Merge::Atomic if of_list => put("x-kubernetes-list-type", json!("atomic")),
        Merge::Atomic => put("x-kubernetes-map-type", json!("atomic")),
        Merge::Set => put("x-kubernetes-list-type", json!("set")),
        Merge::ByKey(key) => {
            put("x-kubernetes-list-type", json!("map"));
            put("x-kubernetes-list-map-keys", json!([key]));
        }
    }
}

fn shape(form: &Form, put: &mut impl FnMut(&str, Value)) {
    match form {
        Form::Text => put("type", json!("string")),
        Form::Integer => put("type", json!("integer")),
        Form::Number => put("type", json!("number")),
        Form::Flag => put("type", json!("boolean")),
        Form::IntOrString => {
            put("anyOf", json!([{"type": "integer"}, {"type": "string"}]));
            put("x-kubernetes-int-or-string", json!(true));
        }
        Form::Map(inner) => {
            put("type", json!("object"));
            put("additionalProperties", value(inner));
        }
        Form::List(item) => {
            put("type", json!("array"));
            put("items", value(item));
        }
        Form::Object(_) | Form::Parameters => {
            put("type", json!("object"));
            let fields = fields(form);
            let named = |field: &Field| (field.name.to_owned(), value(&field.schema));
            put(
                "properties",
                Value::Object(fields.iter().map(named).collect()),
            );
            let required: Vec<&str> = fields
                .iter()
                .filter(|field| field.need == Need::Required)
                .map(|field| field.name)
                .collect();
            if !required.is_empty() {
                put("required", json!(required));
            }
        }
    }
}

fn rules(rules: &[Cel]) -> Value {
    let rule = |cel: &Cel| {
        let reason = match cel.reason {
            Reason::Invalid => "FieldValueInvalid",
            Reason::Forbidden => "FieldValueForbidden",
            Reason::Required => "FieldValueRequired",
        };
        let mut value = json!({"rule": cel.rule, "message": cel.message, "reason": reason});
        if !cel.field.is_empty() {
            value["fieldPath"] = json!(cel.field);
        }
        value
    };
    rules.iter().map(rule).collect()
}
