//! Objects of every kind as data: the valid ones go through everything unharmed, each invalid one is refused for one field.

use std::collections::{BTreeMap, BTreeSet};

use api::{AdmitOptions, Kind, Object, Problem, admit, decode};
use serde_json::{Value, json};
use testkit::objects::{self, Blame, same_field};

fn admitted(value: Value) -> Result<Object, Vec<Problem>> {
    admit(value, &AdmitOptions::default())
}

fn said(problems: &[Problem]) -> String {
    let lines: Vec<String> = problems.iter().map(Problem::to_string).collect();
    lines.join("\n")
}

#[test]
fn every_kind_has_three_valid_objects_and_each_is_admitted_and_decodes() {
    let mut seen: BTreeMap<Kind, usize> = BTreeMap::new();
    for (file, value) in objects::admitted() {
        let object = admitted(value.clone())
            .unwrap_or_else(|problems| panic!("{file}: {value}\n{}", said(&problems)));
        assert_eq!(object.kind().singular(), file);
        *seen.entry(object.kind()).or_default() += 1;
        let again = admitted(object.clone().into_value());
        assert_eq!(again.as_ref(), Ok(&object), "admitted twice");
        let update = decode(&object.store_key(), &object.to_store_bytes());
        assert!(update.is_ok(), "{file}: {update:?}");
        let read = Object::from_store(&object.store_key(), &object.to_store_bytes(), 7).unwrap();
        assert_eq!(read.to_store_bytes(), object.to_store_bytes(), "{file}");
    }
    for kind in Kind::all() {
        assert!(seen.get(&kind) >= Some(&3), "{}", kind.singular());
    }
}

#[test]
fn each_invalid_object_is_refused_for_its_field() {
    let refused = objects::refused();
    let mut wrong = Vec::new();
    for case in &refused {
        let problems = admitted(case.object.clone()).err().unwrap_or_default();
        let fields: BTreeSet<&str> = problems.iter().map(|p| p.field.as_str()).collect();
        let alone = fields == BTreeSet::from([case.field.as_str()]);
        let right = match case.blame {
            Blame::Alone => alone,
            Blame::AmongOthers => fields.iter().any(|field| same_field(field, &case.field)),
        };
        if !right {
            wrong.push(format!(
                "{}: {}\n{}",
                case.place,
                case.field,
                said(&problems)
            ));
        }
    }
    let (wrong, all) = (wrong.join("\n"), refused.len());
    assert!(wrong.is_empty(), "of {all}:\n{wrong}");
    assert!(all >= 1400, "{all}");
}

#[test]
fn unknown_fields_of_every_kind_survive_the_store() {
    for (file, value) in objects::admitted() {
        let mut object = admitted(value).unwrap();
        if !object.store_key().starts_with(api::RESOURCES) {
            // IPAM entries have a form of their own, without room for more.
            continue;
        }
        let future = json!({"a": [1, null]});
        object
            .value_mut()
            .insert("future".to_owned(), future.clone());
        object.spec_mut().insert("future".to_owned(), json!("x"));
        let bytes = object.to_store_bytes();
        let decoded = decode(&object.store_key(), &bytes);
        assert!(decoded.is_ok(), "{file}: {decoded:?}");
        let mut read = Object::from_store(&object.store_key(), &bytes, 7).unwrap();
        read.set_label("touched", "yes");
        let written: Value = serde_json::from_slice(&read.to_store_bytes()).unwrap();
        assert_eq!(written["future"], future, "{file}");
        assert_eq!(written["spec"]["future"], json!("x"), "{file}");
        let problems = admitted(read.into_value()).unwrap_err();
        assert!(problems.iter().any(|p| p.field == "future"), "{file}");
    }
}

#[test]
fn annotations_have_a_limit_together() {
    let pool = |length| {
        admitted(json!({
            "apiVersion": "projectcalico.org/v3", "kind": "IPPool",
            "metadata": {"name": "p", "annotations": {"key": "x".repeat(length)}},
            "spec": {"cidr": "10.0.0.0/16"}
        }))
    };
    assert!(pool(256 * 1024 - 3).is_ok());
    let problems = pool(256 * 1024 - 2).unwrap_err();
    assert_eq!(problems[0].field, "metadata.annotations");
}

#[test]
fn a_rule_has_so_many_networks_and_no_more() {
    let policy = |count| {
        let nets: Vec<String> = (0..count)
            .map(|n| format!("10.{}.{}.0/24", n / 256, n % 256))
            .collect();
        admitted(json!({
            "apiVersion": "projectcalico.org/v3", "kind": "NetworkPolicy", "metadata": {"name": "p"},
            "spec": {"ingress": [{"action": "Deny", "source": {"nets": nets}}]}
        }))
    };
    assert!(policy(256).is_ok());
    let problems = policy(257).unwrap_err();
    assert_eq!(problems[0].field, "spec.ingress[0].source.nets");
}
