//! What holds for every object, whole or mutated.

mod common;

use api::{AdmitOptions, Kind, Object, admit, decode, decode_absent};
use proptest::prelude::*;
use serde_json::{Value, json};

#[test]
fn the_samples_cover_every_kind() {
    let admitted = |value| admit(value, &AdmitOptions::default()).unwrap();
    let mut kinds: Vec<Kind> = common::objects()
        .into_iter()
        .map(|v| admitted(v).kind())
        .collect();
    kinds.sort_unstable();
    assert_eq!(kinds, Kind::all().collect::<Vec<_>>());
    assert_eq!(kinds.len(), common::COUNT);
}

#[test]
fn what_is_admitted_decodes_and_admitting_twice_is_admitting_once() {
    for value in common::objects() {
        let once = admit(value, &AdmitOptions::default()).unwrap();
        let twice = admit(once.clone().into_value(), &AdmitOptions::default()).unwrap();
        assert_eq!(once, twice);
        let update = decode(&once.store_key(), &once.to_store_bytes()).unwrap();
        let told = update.value.is_some();
        assert_eq!(told, has_model(once.kind()), "{}", once.store_key());
        assert_eq!(decode_absent(&once.store_key()), Some(update.key.clone()));
        assert_eq!(api::key_text(&update.key), Some(once.store_key()));
        let mut read = Object::from_store(&once.store_key(), &once.to_store_bytes(), 5).unwrap();
        assert_eq!((read.revision(), read.name()), (Some(5), once.name()));
        assert_eq!(read.to_store_bytes(), once.to_store_bytes());
        read.metadata_mut().remove("resourceVersion");
        let again = decode(&read.store_key(), &read.to_store_bytes()).unwrap();
        assert_eq!(again, update);
    }
}

/// Whether the model has a value for objects of the kind.
fn has_model(kind: Kind) -> bool {
    !matches!(
        kind,
        Kind::KubeControllersConfiguration
            | Kind::CalicoNodeStatus
            | Kind::LiveMigration
            | Kind::Service
    )
}

#[test]
fn unknown_fields_survive_the_store_and_are_refused_at_the_door() {
    let pool = json!({
        "apiVersion": "projectcalico.org/v3", "kind": "IPPool", "metadata": {"name": "p", "x": 1},
        "spec": {"cidr": "10.0.0.0/16", "future": {"a": [1]}}, "more": true
    });
    let key = "/calico/resources/v3/projectcalico.org/ippools/p";
    let bytes = serde_json::to_vec(&pool).unwrap();
    assert!(decode(key, &bytes).is_ok());
    let object = Object::from_store(key, &bytes, 1).unwrap();
    assert_eq!(
        serde_json::from_slice::<Value>(&object.to_store_bytes()).unwrap(),
        pool
    );
    let problems = admit(pool, &AdmitOptions::default()).unwrap_err();
    let fields: Vec<&str> = problems.iter().map(|p| p.field.as_str()).collect();
    assert_eq!(fields, ["metadata.x", "spec.future", "more"]);
}

/// Values that are rarely right where they land.
fn odd() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[ -~]{0,12}".prop_map(Value::from),
        "(10\\.0\\.0\\.0/3[0-9]|fd00::/[0-9]{1,3}|all\\(\\)|global\\(\\)|a == 'b')"
            .prop_map(Value::from),
        Just(json!([])),
        Just(json!({})),
        Just(json!([null, {}, [], "", 0])),
        Just(json!({"a": {"b": null}, "": "", "10.0.0.0/26": -1})),
    ]
}

/// Puts `odd` in place of the `index`-th value of the tree, counted in order.
fn replace(value: &mut Value, index: &mut usize, odd: &Value) {
    if *index == 0 {
        *value = odd.clone();
    }
    *index = index.wrapping_sub(1);
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| replace(item, index, odd)),
        Value::Object(map) => map.values_mut().for_each(|item| replace(item, index, odd)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_mutation_panics(
        which in 0usize..common::COUNT,
        mutations in prop::collection::vec((0usize..90, odd()), 1..4),
    ) {
        let original = common::objects().swap_remove(which);
        let key = admit(original.clone(), &AdmitOptions::default()).unwrap().store_key();
        let mut value = original;
        for (index, odd) in &mutations {
            let mut index = *index;
            replace(&mut value, &mut index, odd);
        }
        let bytes = serde_json::to_vec(&value).unwrap();
        let _ = decode(&key, &bytes);
        if let Ok(object) = Object::from_store(&key, &bytes, 1) {
            let _ = decode(&object.store_key(), &object.to_store_bytes());
        }
        match admit(value, &AdmitOptions::default()) {
            Ok(object) => {
                let twice = admit(object.clone().into_value(), &AdmitOptions::default());
                prop_assert_eq!(Ok(&object), twice.as_ref());
                let decoded = decode(&object.store_key(), &object.to_store_bytes());
                prop_assert!(decoded.is_ok(), "{:?}", decoded);
            }
            Err(problems) => prop_assert!(!problems.is_empty()),
        }
    }

    #[test]
    fn no_bytes_panic(which in 0usize..common::COUNT, at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<bool>()) {
        let value = common::objects().swap_remove(which);
        let object = admit(value, &AdmitOptions::default()).unwrap();
        let mut bytes = object.to_store_bytes();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if cut {
            bytes.truncate(at);
        }
        let _ = decode(&object.store_key(), &bytes);
        let _ = Object::from_store(&object.store_key(), &bytes, 1);
    }

    #[test]
    fn no_key_panics(tail in "[a-z0-9/.:@-]{0,60}", which in 0usize..4) {
        let prefix = ["/calico/resources/v3/projectcalico.org/", "/calico/ipam/v2/", "/calico/ipam/v2/host/", ""][which];
        let key = format!("{prefix}{tail}");
        let _ = decode(&key, b"{}");
        if let Some(parsed) = api::parse_store_key(&key) {
            prop_assert_eq!(api::parse_store_key(&parsed.to_string()), Some(parsed));
        }
    }
}
