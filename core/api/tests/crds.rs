//! The CRDs and admission are two readings of one API: what one knows the other knows.

use std::collections::{BTreeMap, BTreeSet};

use api::kubernetes::Group;
use api::schema::{Form, Schema, crds, schemas};
use api::{AdmitOptions, Problem, admit};
use serde_json::{Value, json};
use testkit::objects::{self, Refused, same_field, valid, wrong};
use testkit::structural::{check, schema_of};

fn problems(object: Value) -> Vec<Problem> {
    match admit(object, &AdmitOptions::default()) {
        Ok(_) => Vec::new(),
        Err(problems) => problems,
    }
}

fn lines(problems: &[Problem]) -> String {
    let lines = problems.iter().map(|problem| format!("    {problem}\n"));
    lines.collect()
}

/// The definitions of v3, by kind.
fn definitions() -> BTreeMap<String, Value> {
    let all = crds(Group::V3).into_iter();
    all.map(|crd| {
        let kind = crd["spec"]["names"]["kind"].as_str().unwrap_or("");
        (kind.to_owned(), crd)
    })
    .collect()
}

fn kind_of(object: &Value) -> &str {
    object["kind"].as_str().unwrap_or("")
}

#[test]
fn admission_accepts_every_example() {
    let mut report = String::new();
    for object in valid() {
        let name = format!("{} {}", object["kind"], object["metadata"]["name"]);
        let found = problems(object);
        if !found.is_empty() {
            report += &format!("{name}\n{}", lines(&found));
        }
    }
    assert!(report.is_empty(), "\n{report}");
}

#[test]
fn admission_blames_the_field_that_is_wrong() {
    let mut report = String::new();
    let mut by_both = 0;
    for case in wrong() {
        let found = problems(case.object);
        let blamed = found.iter().any(|p| same_field(&p.field, &case.field));
        let ok = match case.refused {
            Refused::ByServer => found.is_empty(),
            Refused::ByBoth | Refused::ByClient => blamed,
        };
        by_both += usize::from(case.refused == Refused::ByBoth);
        if !ok {
            report += &format!("{} {}\n{}", case.place, case.field, lines(&found));
        }
    }
    assert!(report.is_empty(), "\n{report}");
    assert!(by_both >= 300, "{by_both}");
}

#[test]
fn the_schemas_accept_every_example_as_written_and_as_admitted() {
    let definitions = definitions();
    for object in valid() {
        let schema = schema_of(&definitions[kind_of(&object)]);
        assert_eq!(check(schema, &object), [], "{object}");
        let admitted = admit(object, &AdmitOptions::default()).expect("it is valid");
        let admitted = admitted.into_value();
        assert_eq!(check(schema, &admitted), [], "{admitted}");
    }
}

/// What rules in CEL refuse is seen on a real server only.
#[test]
fn the_schemas_blame_the_field_that_is_wrong() {
    let definitions = definitions();
    let mut seen = 0;
    for case in wrong() {
        let found = check(schema_of(&definitions[kind_of(&case.object)]), &case.object);
        let blamed = found.iter().any(|(field, _)| *field == case.field);
        assert!(found.is_empty() || blamed, "{}: {found:?}", case.place);
        assert!(
            found.is_empty() || case.refused != Refused::ByClient,
            "{}: {found:?}",
            case.place
        );
        seen += usize::from(blamed);
    }
    assert!(seen >= 300, "{seen}");
}

/// A value that a schema has, as bare as can be.
fn sample(schema: &Schema) -> Value {
    match &schema.form {
        Form::Text => json!(schema.words.first().copied().unwrap_or("")),
        Form::Integer => json!(
            schema
                .numbers
                .first()
                .or(schema.least.as_ref())
                .unwrap_or(&0)
        ),
        Form::Number | Form::IntOrString => json!(0),
        Form::Flag => json!(false),
        Form::Object(_) | Form::Parameters | Form::Map(_) => json!({}),
        Form::List(_) => json!([]),
    }
}

/// Every field of a schema, each in an object that has only it: the path, and the object.
fn alone(schema: &Schema) -> Vec<(String, Value)> {
    let below = |name: &str, inner: &Schema, wrap: &dyn Fn(Value) -> Value| {
        let mut found = vec![(name.to_owned(), wrap(sample(inner)))];
        for (path, value) in alone(inner) {
            found.push((format!("{name}{path}"), wrap(value)));
        }
        found
    };
    match &schema.form {
        Form::Object(_) | Form::Parameters => schema
            .fields()
            .iter()
            .flat_map(|field| {
                let wrap = |value| json!({field.name: value});
                below(&format!(".{}", field.name), &field.schema, &wrap)
            })
            .collect(),
        Form::List(item) => below("[0]", item, &|value| json!([value])),
        Form::Text
        | Form::Integer
        | Form::Number
        | Form::Flag
        | Form::IntOrString
        | Form::Map(_) => Vec::new(),
    }
}

#[test]
fn admission_knows_every_field_of_the_schemas() {
    let mut unknown = Vec::new();
    for structure in schemas() {
        let parts = [("spec", Some(structure.spec)), ("status", structure.status)];
        for (part, schema) in parts {
            for (path, value) in schema.iter().flat_map(alone) {
                let object = json!({
                    "apiVersion": structure.kind.api_version(),
                    "kind": structure.kind.name(),
                    "metadata": {"name": "default", "namespace": "default"},
                    part: value,
                });
                let path = format!("{part}{path}");
                let stranger = problems(object).into_iter().find(|problem| {
                    problem.field == path && problem.message.contains("is no field")
                });
                unknown.extend(stranger.map(|_| format!("{} {path}", structure.kind)));
            }
        }
    }
    assert!(unknown.is_empty(), "{unknown:#?}");
}

/// Whatever stands in a field of an example, in turn: what the schema finds to be of a wrong type, admission refuses there.
#[test]
fn admission_takes_no_value_of_a_wrong_type() {
    let definitions = definitions();
    let mut report = String::new();
    let mut tried = 0;
    for object in valid() {
        let schema = schema_of(&definitions[kind_of(&object)]);
        for pointer in objects::pointers(&object["spec"]) {
            for value in [
                json!(true),
                json!(7),
                json!("x"),
                json!([]),
                json!({}),
                json!(1.5),
            ] {
                let mut changed = object.clone();
                *changed["spec"].pointer_mut(&pointer).expect(&pointer) = value;
                let found = check(schema, &changed);
                let wrong_type = found.iter().find(|(_, what)| what.starts_with("is no "));
                let Some((field, _)) = wrong_type else {
                    continue;
                };
                tried += 1;
                let refused = problems(changed.clone());
                if !refused.iter().any(|p| same_field(&p.field, field)) {
                    let value = changed["spec"].pointer(&pointer);
                    report += &format!(
                        "{} {field} {value:?}\n{}",
                        kind_of(&object),
                        lines(&refused)
                    );
                }
            }
        }
    }
    assert!(report.is_empty(), "\n{report}");
    assert!(tried >= 1000, "{tried}");
}

/// A field of `spec` by its kind, a field further down by its name alone: rules and selectors are the same in many kinds.
fn place(kind: &str, path: &str) -> String {
    let path = path.replace("[0]", "").replace("[]", "");
    match path.rsplit_once('.') {
        Some(("", name)) => format!("{kind} {name}"),
        Some((_, name)) => name.to_owned(),
        None => path,
    }
}

/// So that the examples show what there is, and the server takes it.
#[test]
fn the_examples_use_every_field_of_every_spec() {
    let mut used = BTreeSet::new();
    for object in valid() {
        objects::fields(&object["spec"], &mut |path| {
            used.insert(place(kind_of(&object), path));
        });
    }
    let mut unused = BTreeSet::new();
    for structure in schemas() {
        let paths = alone(&structure.spec).into_iter();
        unused.extend(paths.map(|(path, _)| place(structure.kind.name(), &path)));
    }
    unused.retain(|place| !used.contains(place));
    assert!(unused.is_empty(), "{unused:#?}");
}
