//! Valid objects drawn at random, out of parts of the examples.
//!
//! A drawn object has fields of several examples of its kind, and lists made of entries of all of them. Not every such mixture
//! is valid: whoever draws, admits, and counts what passes.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::objects;
use crate::rng::Rng;

/// The examples of a kind, taken apart.
struct Parts {
    whole: Vec<Value>,
    /// Every value that a field of a spec has in one of them.
    fields: BTreeMap<String, Vec<Value>>,
}

/// Draws objects.
pub struct Drawer {
    kinds: BTreeMap<String, Parts>,
}

impl Drawer {
    /// Takes the examples of every kind apart.
    #[must_use]
    pub fn new() -> Drawer {
        let mut kinds: BTreeMap<String, Parts> = BTreeMap::new();
        for (kind, object) in objects::admitted() {
            let parts = kinds.entry(kind).or_insert_with(|| Parts {
                whole: Vec::new(),
                fields: BTreeMap::new(),
            });
            let spec = object.get("spec").and_then(Value::as_object);
            for (field, value) in spec.into_iter().flatten() {
                let values = parts.fields.entry(field.clone()).or_default();
                values.push(value.clone());
            }
            parts.whole.push(object);
        }
        Drawer { kinds }
    }

    /// The kinds, by their singulars.
    pub fn kinds(&self) -> impl Iterator<Item = &str> {
        self.kinds.keys().map(String::as_str)
    }

    /// An object of a kind.
    ///
    /// # Panics
    /// If there is no such kind.
    #[must_use]
    pub fn draw(&self, kind: &str, rng: &mut Rng) -> Value {
        let parts = self
            .kinds
            .get(kind)
            .expect("there are examples of the kind");
        let mut object = rng.pick(&parts.whole).clone();
        if let Some(Value::Object(spec)) = object.get_mut("spec") {
            for (field, values) in &parts.fields {
                if rng.chance(15) {
                    spec.remove(field);
                } else if rng.chance(25) {
                    spec.insert(field.clone(), mixed(rng, values));
                }
            }
        }
        if let Some(Value::Object(meta)) = object.get_mut("metadata") {
            for map in ["labels", "annotations"] {
                if rng.chance(20) {
                    let pair = ("example.org/drawn".to_owned(), rng.below(1000).to_string());
                    let pairs = Map::from_iter([(pair.0, Value::String(pair.1))]);
                    meta.insert(map.to_owned(), Value::Object(pairs));
                }
            }
        }
        object
    }
}

impl Default for Drawer {
    fn default() -> Drawer {
        Drawer::new()
    }
}

/// One of the values; of lists of objects, some entries of all.
fn mixed(rng: &mut Rng, values: &[Value]) -> Value {
    let entries: Vec<&Value> = values
        .iter()
        .filter_map(Value::as_array)
        .flatten()
        .collect();
    let lists = values.iter().all(Value::is_array);
    if !lists || entries.is_empty() || !entries.iter().all(|entry| entry.is_object()) {
        return rng.pick(values).clone();
    }
    let count = rng.below(4);
    (0..count).map(|_| (*rng.pick(&entries)).clone()).collect()
}
