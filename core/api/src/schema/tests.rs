use std::collections::BTreeSet;

use serde_json::Value;

use super::*;

/// Every schema with its path, outermost first.
fn walk(visit: &mut dyn FnMut(&str, &Schema)) {
    for structure in schemas() {
        inside(&format!("{}.spec", structure.kind), &structure.spec, visit);
        if let Some(status) = &structure.status {
            inside(&format!("{}.status", structure.kind), status, visit);
        }
    }
}

fn inside(path: &str, schema: &Schema, visit: &mut dyn FnMut(&str, &Schema)) {
    visit(path, schema);
    match &schema.form {
        Form::Object(_) | Form::Parameters => {
            for field in schema.fields() {
                inside(&format!("{path}.{}", field.name), &field.schema, visit);
            }
        }
        Form::Map(inner) => inside(&format!("{path}.*"), inner, visit),
        Form::List(item) => inside(&format!("{path}[]"), item, visit),
        Form::Text | Form::Integer | Form::Number | Form::Flag | Form::IntOrString => {}
    }
}

#[test]
fn every_field_says_what_it_is_for() {
    walk(&mut |path, schema| {
        let item = path.ends_with("[]") || path.ends_with('*');
        assert!(item || !schema.doc.is_empty(), "{path}");
    });
}

#[test]
fn no_object_has_a_field_twice() {
    walk(&mut |path, schema| {
        let mut seen = BTreeSet::new();
        for field in schema.fields() {
            assert!(seen.insert(field.name), "{path}.{}", field.name);
        }
    });
}

#[test]
fn defaults_are_values_of_their_schema() {
    walk(&mut |path, schema| {
        if schema.default.is_empty() {
            return;
        }
        let value: Value = serde_json::from_str(schema.default).expect(path);
        let fits = match schema.form {
            Form::Text => value.is_string(),
            Form::Integer => value.is_i64(),
            Form::Flag => value.is_boolean(),
            Form::Number
            | Form::IntOrString
            | Form::Object(_)
            | Form::Parameters
            | Form::Map(_)
            | Form::List(_) => false,
        };
        assert!(fits, "{path}: {value}");
        let word = value.as_str().unwrap_or("");
        assert!(schema.words.is_empty() || schema.words.contains(&word));
    });
}

#[test]
fn the_older_group_has_its_own_names_and_forms() {
    let find = |group, name: &str| {
        let mut all = crds(group).into_iter();
        all.find(|crd| crd["metadata"]["name"] == name)
            .expect("it is defined")
    };
    let older = find(Group::V1, "ipamconfigs.crd.projectcalico.org");
    assert_eq!(older["spec"]["names"]["kind"], "IPAMConfig");
    let deleted = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/deleted/type";
    let older = find(Group::V1, "blockaffinities.crd.projectcalico.org");
    assert_eq!(
        older.pointer(deleted).and_then(Value::as_str),
        Some("string")
    );
    let newer = find(Group::V3, "blockaffinities.projectcalico.org");
    assert_eq!(
        newer.pointer(deleted).and_then(Value::as_str),
        Some("boolean")
    );
}
