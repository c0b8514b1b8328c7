//! How many objects of each kind there are, and a digest of all of them: what an export wrote is what an import reads.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use api::Kind;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// The SHA-256 of one object in its canonical form.
pub(super) type Digest = [u8; 32];

/// Metadata that a store gives, and that is not the author's.
pub(super) const OF_THE_STORE: [&str; 8] = [
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "managedFields",
    "selfLink",
];

/// The count of a kind and the sum of its digests, which the order of its objects has no part in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Seal {
    pub(super) count: u64,
    sum: Digest,
}

/// The seals of all kinds, by plural.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Seals(BTreeMap<&'static str, Seal>);

/// A seal as a file has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Written {
    pub(super) count: u64,
    pub(super) digest: String,
}

impl Seals {
    pub(super) fn add(&mut self, kind: Kind, digest: &Digest) {
        let seal = self.0.entry(kind.plural()).or_default();
        seal.count += 1;
        // Addition modulo 2^256: twice the same object does not cancel out.
        let mut carry = 0;
        for (byte, other) in seal.sum.iter_mut().zip(digest).rev() {
            let sum = u16::from(*byte) + u16::from(*other) + carry;
            *byte = sum.to_le_bytes()[0];
            carry = sum >> 8;
        }
    }

    pub(super) fn written(&self) -> BTreeMap<String, Written> {
        let write = |(plural, seal): (&&str, &Seal)| {
            let digest = seal.sum.iter().fold(String::new(), |mut text, byte| {
                // Writing to a string cannot fail.
                let _ = write!(text, "{byte:02x}");
                text
            });
            let count = seal.count;
            ((*plural).to_owned(), Written { count, digest })
        };
        self.0.iter().map(write).collect()
    }

    /// What a file says that these are not; empty if they agree.
    pub(super) fn differences(&self, file: &BTreeMap<String, Written>) -> Vec<String> {
        let mine = self.written();
        let plurals: std::collections::BTreeSet<&String> = mine.keys().chain(file.keys()).collect();
        let mut differences = Vec::new();
        for plural in plurals {
            let count =
                |seals: &BTreeMap<String, Written>| seals.get(plural).map_or(0, |s| s.count);
            let (found, exported) = (count(&mine), count(file));
            if found != exported {
                differences.push(format!(
                    "{plural}: {exported} were exported, {found} are in the file"
                ));
            } else if mine.get(plural) != file.get(plural) {
                differences.push(format!(
                    "{plural}: the {found} in the file are not those that were exported"
                ));
            }
        }
        differences
    }
}

/// The digest of an object: of its canonical JSON without what a store adds, nulls, and its status.
pub(super) fn of_object(value: &Value) -> Digest {
    let mut text = String::new();
    let map = value.as_object().into_iter().flatten();
    text.push('{');
    for (key, value) in sorted(map.filter(|(key, _)| *key != "status")) {
        field(key, &mut text);
        if let (Value::Object(metadata), "metadata") = (value, key.as_str()) {
            let own = metadata.iter().filter(|(key, value)| {
                let empty = value.as_object().is_some_and(serde_json::Map::is_empty);
                !OF_THE_STORE.contains(&key.as_str()) && !empty
            });
            object(own, &mut text);
        } else {
            canonical(value, &mut text);
        }
    }
    text.push('}');
    Sha256::digest(&text).into()
}

/// The digest of a stored entry: of its key and its value in canonical form.
pub(super) fn of_entry(key: &str, value: &Value) -> Digest {
    let mut text = format!("{key}\0");
    canonical(value, &mut text);
    Sha256::digest(&text).into()
}

/// JSON with sorted keys, without spaces and without fields that are null; whole numbers have no fraction.
fn canonical(value: &Value, out: &mut String) {
    match value {
        Value::Object(map) => object(map.iter(), out),
        Value::Array(items) => {
            out.push('[');
            for item in items {
                canonical(item, out);
                out.push(',');
            }
            out.push(']');
        }
        Value::Number(number) => {
            let whole = number
                .as_f64()
                .filter(|f| number.is_f64() && f.fract() == 0.0 && f.abs() < 1e15);
            match whole {
                Some(float) => out.push_str(&format!("{float:.0}")),
                None => out.push_str(&number.to_string()),
            }
        }
        Value::Null | Value::Bool(_) | Value::String(_) => out.push_str(&value.to_string()),
    }
}

fn object<'a>(entries: impl Iterator<Item = (&'a String, &'a Value)>, out: &mut String) {
    out.push('{');
    for (key, value) in sorted(entries) {
        field(key, out);
        canonical(value, out);
    }
    out.push('}');
}

fn field(key: &str, out: &mut String) {
    out.push_str(&Value::from(key).to_string());
    out.push(':');
}

fn sorted<'a>(
    entries: impl Iterator<Item = (&'a String, &'a Value)>,
) -> Vec<(&'a String, &'a Value)> {
    let mut entries: Vec<_> = entries.filter(|(_, value)| !value.is_null()).collect();
    entries.sort_by(|a, b| a.0.cmp(b.0));
    entries
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_store_adds_has_no_part_in_it() {
        let plain = json!({"kind": "Tier", "metadata": {"name": "a"}, "spec": {"order": 10}});
        let stored = json!({
            "spec": {"order": 10.0, "defaultAction": null}, "kind": "Tier", "status": {"x": 1},
            "metadata": {"name": "a", "uid": "u", "resourceVersion": "7", "labels": {}},
        });
        assert_eq!(of_object(&plain), of_object(&stored));
        let other =
            json!({"kind": "Tier", "metadata": {"name": "a"}, "spec": {"order": 10, "x": []}});
        assert_ne!(of_object(&plain), of_object(&other));
        assert_ne!(
            of_object(&json!({"spec": [null]})),
            of_object(&json!({"spec": []}))
        );
    }

    #[test]
    fn seals_tell_what_is_missing_and_what_is_changed() {
        let digest = |n: u64| of_object(&json!({"spec": n}));
        let mut exported = Seals::default();
        let mut found = Seals::default();
        for n in 0..300 {
            exported.add(Kind::Tier, &digest(n));
            found.add(Kind::Tier, &digest(299 - n));
        }
        assert_eq!(found.differences(&exported.written()), Vec::<String>::new());
        exported.add(Kind::Tier, &digest(1));
        assert_eq!(
            found.differences(&exported.written()),
            ["tiers: 301 were exported, 300 are in the file"]
        );
        found.add(Kind::Tier, &digest(2));
        assert_eq!(
            found.differences(&exported.written()),
            ["tiers: the 301 in the file are not those that were exported"]
        );
    }
}
