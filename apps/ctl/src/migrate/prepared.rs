//! An entry of the file on its way into a store: under which key, as which bytes, and its digest.

use std::fmt;

use api::{AdmitOptions, Kind, Object};
use datastore::{Entry, Revision, Write};
use serde_json::Value;

use super::ipam_part::Pair;
use super::seal::{self, Digest, OF_THE_STORE};
use crate::objects::{born, describe, field_error, keep_metadata};
use crate::outcome::{Failure, Status, chain};

/// What is to be in the store.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) kind: Kind,
    pub(super) key: String,
    pub(super) digest: Digest,
    content: Content,
}

#[derive(Debug)]
enum Content {
    /// An object, which gets an identity when it is written.
    Object(Box<Object>),
    /// The bytes of an IPAM entry.
    Entry(Vec<u8>),
}

impl fmt::Display for Prepared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.content {
            Content::Object(object) => f.write_str(&describe(object)),
            Content::Entry(_) => write!(f, "{} {}", self.kind, self.key),
        }
    }
}

impl Prepared {
    /// An object of the file: with defaults where it lacks them. One that admission refuses is taken as it is if agents can
    /// go by it, as objects of other releases may be.
    pub(super) fn object(value: Value) -> Result<Prepared, Failure> {
        let object = match api::admit(value.clone(), &AdmitOptions::default()) {
            Ok(object) => object,
            Err(problems) => stored_form(&value).ok_or_else(|| {
                let texts: Vec<String> = problems.iter().map(field_error).collect();
                Failure::new(
                    Status::Validation,
                    format!("{}: {}", called(&value), texts.join("; ")),
                )
            })?,
        };
        Ok(Prepared {
            kind: object.kind(),
            key: object.store_key(),
            digest: seal::of_object(&object.clone().into_shown()),
            content: Content::Object(Box::new(object)),
        })
    }

    /// An IPAM entry of the file.
    pub(super) fn entry(kind: Kind, pair: &Pair) -> Result<Prepared, Failure> {
        let invalid = |why: String| {
            let text = format!("{kind} {}: {why}", pair.key);
            Failure::new(Status::Validation, text)
        };
        let place = api::parse_store_key(&pair.key).filter(|place| place.kind() == kind);
        if place.is_none() {
            return Err(invalid("its key is none of this kind".to_owned()));
        }
        // Go writes null for a value that is not there.
        if !pair.value.is_object() {
            return Err(invalid("it has no value".to_owned()));
        }
        let raw = pair.value.to_string().into_bytes();
        api::decode(&pair.key, &raw).map_err(|error| invalid(chain(&error)))?;
        let bytes = tidied(&pair.key, raw);
        Ok(Prepared {
            kind,
            key: pair.key.clone(),
            digest: of_stored_ipam(&pair.key, &bytes)
                .map_err(|error| invalid(error.to_string()))?,
            content: Content::Entry(bytes),
        })
    }

    /// True if a store has it, and at most fields besides that an API server fills in where an author says nothing.
    pub(super) fn is_within(&self, entry: &Entry) -> bool {
        if of_stored(self.kind, entry).is_ok_and(|found| found == self.digest) {
            return true;
        }
        let Content::Object(own) = &self.content else {
            return false;
        };
        let Ok(mut there) = Object::from_store(&entry.key, &entry.value, entry.revision.get())
        else {
            return false;
        };
        let mut own = own.as_ref().clone();
        for field in OF_THE_STORE {
            own.metadata_mut().remove(field);
            there.metadata_mut().remove(field);
        }
        // What an object's author says of its status, no API server takes.
        own.value_mut().remove("status");
        covers(&there.into_shown(), &own.into_shown())
    }

    /// The write that brings it into the store.
    pub(super) fn create(&self) -> Result<Write, Failure> {
        match &self.content {
            Content::Object(object) => born(object),
            Content::Entry(bytes) => Ok(Write::create(self.key.as_str(), bytes.clone())),
        }
    }

    /// The write that puts it in the place of what is there.
    pub(super) fn replace(&self, old: &Entry) -> Result<Write, Failure> {
        let bytes = match &self.content {
            Content::Object(object) => {
                let mut object = object.as_ref().clone();
                let old = Object::from_store(&old.key, &old.value, old.revision.get())
                    .map_err(|error| Failure::general(chain(&error)))?;
                keep_metadata(&old, &mut object);
                object.to_store_bytes()
            }
            Content::Entry(bytes) => bytes.clone(),
        };
        let revision = Revision::new(old.revision.get());
        Ok(Write::update(self.key.as_str(), bytes, revision))
    }
}

/// The digest of what stands in a store.
pub(super) fn of_stored(kind: Kind, entry: &Entry) -> Result<Digest, Failure> {
    let damaged = |error: &dyn std::error::Error| {
        let text = format!(
            "the entry {} in the datastore is damaged: {}",
            entry.key,
            chain(error)
        );
        Failure::general(text)
    };
    if super::kinds::part(kind) == super::kinds::Part::Ipam {
        let bytes = tidied(&entry.key, entry.value.clone());
        return of_stored_ipam(&entry.key, &bytes).map_err(|error| damaged(&error));
    }
    let object = Object::from_store(&entry.key, &entry.value, entry.revision.get())
        .map_err(|error| damaged(&error))?;
    Ok(seal::of_object(&object.into_shown()))
}

fn of_stored_ipam(key: &str, bytes: &[u8]) -> Result<Digest, serde_json::Error> {
    Ok(seal::of_entry(key, &serde_json::from_slice(bytes)?))
}

/// An IPAM entry in upstream's order of fields, unless that would lose a field that nobody here knows.
pub(super) fn tidied(key: &str, raw: Vec<u8>) -> Vec<u8> {
    // Older releases left affinities empty.
    let raw = if raw.is_empty() { b"{}".to_vec() } else { raw };
    let readable = serde_json::from_slice::<Value>(&raw)
        .ok()
        .filter(|_| api::decode(key, &raw).is_ok());
    let (Some(before), Ok(object)) = (readable, Object::from_store(key, &raw, 0)) else {
        return raw;
    };
    let bytes = object.to_store_bytes();
    let lost = |after: &Value| !covers(after, &before);
    match serde_json::from_slice::<Value>(&bytes) {
        Ok(after) if !lost(&after) => bytes,
        Ok(_) | Err(_) => raw,
    }
}

/// True if every field of `old` that is not null stands in `new` with the same value.
fn covers(new: &Value, old: &Value) -> bool {
    match (new, old) {
        (Value::Object(new), Value::Object(old)) => old.iter().all(|(key, old)| {
            old.is_null() || new.get(key).is_some_and(|new| covers(new, old))
                // What is false, zero or empty is what it is when it is left out.
                || !new.contains_key(key) && is_empty(old)
        }),
        (Value::Array(new), Value::Array(old)) => {
            new.len() == old.len() && new.iter().zip(old).all(|(new, old)| covers(new, old))
        }
        (Value::Null, Value::Array(old)) => old.is_empty(),
        (new, old) => new == old,
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(flag) => !flag,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
    }
}

/// An object as a store would have it, if agents can go by it.
fn stored_form(value: &Value) -> Option<Object> {
    let text = |pointer: &str| value.pointer(pointer).and_then(Value::as_str);
    let kind = Kind::of(text("/apiVersion")?, text("/kind")?)?;
    let key = api::store_key(kind, text("/metadata/namespace"), text("/metadata/name")?);
    let mut object = Object::new(kind, None, "");
    *object.value_mut() = value.as_object()?.clone();
    (object.store_key() == key).then_some(())?;
    api::decode(&key, &object.to_store_bytes()).ok()?;
    Some(object)
}

/// What an object calls itself.
fn called(value: &Value) -> String {
    let text = |pointer: &str| {
        value
            .pointer(pointer)
            .and_then(Value::as_str)
            .filter(|text| !text.is_empty())
    };
    let kind = text("/kind").unwrap_or("object");
    match (text("/metadata/namespace"), text("/metadata/name")) {
        (Some(namespace), Some(name)) => format!("{kind}({namespace}/{name})"),
        (None, Some(name)) => format!("{kind}({name})"),
        (_, None) => kind.to_owned(),
    }
}
