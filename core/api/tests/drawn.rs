//! What holds for every valid object: drawn objects of every kind go round and come back as they were.

use api::{AdmitOptions, Object, admit, decode, encode, merge};
use serde_json::Value;
use testkit::draw::Drawer;
use testkit::rng::Rng;

/// How many objects of each kind are drawn, and how many of them must be valid.
const DRAWS: u64 = 300;
const LEAST: usize = 40;

fn admitted(value: Value) -> Option<Object> {
    admit(value, &AdmitOptions::default()).ok()
}

fn check(object: &Object, seed: u64) {
    let said = format!("seed {seed}: {}", Value::Object(object.value().clone()));
    assert_eq!(
        admitted(object.clone().into_value()).as_ref(),
        Some(object),
        "admitting twice is admitting once; {said}"
    );
    let (key, bytes) = (object.store_key(), object.to_store_bytes());
    let update = decode(&key, &bytes).unwrap_or_else(|invalid| panic!("{invalid}\n{said}"));
    assert_eq!(
        api::decode_absent(&key).as_ref(),
        Some(&update.key),
        "{said}"
    );
    assert_eq!(api::key_text(&update.key), Some(key.clone()), "{said}");
    let mut read = Object::from_store(&key, &bytes, 7).expect("it was written so");
    assert_eq!(read.to_store_bytes(), bytes, "{said}");
    read.metadata_mut().remove("resourceVersion");
    if key.starts_with(api::RESOURCES) {
        assert_eq!(
            read.into_shown(),
            object.clone().into_shown(),
            "the store keeps an object whole; {said}"
        );
    }
    let Some(resource) = &update.value else {
        return;
    };
    // What our processes write from the model is what they read.
    if let Ok((written_key, written)) = encode(&update.key, resource) {
        assert_eq!(written_key, key, "{said}");
        let again = decode(&key, &written).unwrap_or_else(|invalid| panic!("{invalid}\n{said}"));
        assert_eq!(again.value.as_ref(), Some(resource), "{said}");
        if key.starts_with(api::RESOURCES) {
            let merged = merge(object, &update.key, resource).expect("it encodes");
            let merged = decode(&key, &merged.to_store_bytes()).expect("it decodes");
            assert_eq!(merged.value.as_ref(), Some(resource), "{said}");
        }
    }
}

#[test]
fn drawn_objects_of_every_kind_go_round() {
    let drawer = Drawer::new();
    for (kind, first) in drawer.kinds().zip((0..).step_by(1_000_000)) {
        let mut valid = 0;
        for seed in first..first + DRAWS {
            let value = drawer.draw(kind, &mut Rng::new(seed));
            if let Some(object) = admitted(value) {
                valid += 1;
                check(&object, seed);
            }
        }
        assert!(valid >= LEAST, "{kind}: {valid} of {DRAWS} are valid");
    }
}
