//! An object as users and the store have it: its JSON, with a kind. Fields nobody here knows survive read-modify-write.

use model::Labels;
use serde_json::{Map, Value};

use crate::goform;
use crate::gojson;
use crate::ipam_form;
use crate::key::{StoreKey, parse_store_key, store_key};
use crate::kind::Kind;
use crate::older;
use crate::problem::{Invalid, Problem};

/// An object: admitted by [`crate::admit`], read from the store, or made by [`Object::new`].
#[derive(Clone, Debug, PartialEq)]
pub struct Object {
    kind: Kind,
    // Always an object.
    value: Map<String, Value>,
    /// Where it was read, if that is not where its name says.
    stored: Option<Box<str>>,
}

impl Object {
    /// An object with nothing but its identity. The namespace is ignored for kinds that have none.
    pub fn new(kind: Kind, namespace: Option<&str>, name: &str) -> Object {
        let mut object = Object {
            kind,
            value: Map::new(),
            stored: None,
        };
        object.set_type();
        let meta = object.metadata_mut();
        meta.insert("name".to_owned(), name.into());
        if let Some(ns) = namespace.filter(|_| kind.is_namespaced()) {
            meta.insert("namespace".to_owned(), ns.into());
        }
        object
    }

    pub(crate) fn from_parts(kind: Kind, value: Map<String, Value>) -> Object {
        Object {
            kind,
            value,
            stored: None,
        }
    }

    /// Reads a store entry: the stored object, with `metadata.resourceVersion` set to the entry's revision. IPAM entries,
    /// which upstream stores in a form of their own, become the v3 objects that users see. Policies of older releases get the name
    /// that users know them by (see [`crate::older_key`]).
    ///
    /// # Errors
    /// If the key is none of ours, or the bytes are no JSON object.
    pub fn from_store(key: &str, bytes: &[u8], revision: u64) -> Result<Object, Invalid> {
        let bad = |problem: Problem| Invalid {
            key: crate::decode_absent(key),
            problems: vec![problem],
        };
        let place = parse_store_key(key).ok_or_else(|| {
            bad(Problem::of_object(format!(
                "{key:?} is no key of an object"
            )))
        })?;
        let value: Value = serde_json::from_slice(bytes).map_err(|e| {
            bad(Problem::of_object(format!(
                "the stored value is no JSON: {e}"
            )))
        })?;
        let Value::Object(map) = value else {
            return Err(bad(Problem::of_object(
                "the stored value is no JSON object",
            )));
        };
        let mut object = match &place {
            StoreKey::Resource { kind, .. } => Object::from_parts(*kind, map),
            StoreKey::Block(_)
            | StoreKey::Affinity(_)
            | StoreKey::Handle(_)
            | StoreKey::IpamConfig => ipam_form::to_v3(&place, map),
        };
        object.set_type();
        if object.kind.has_tier() {
            older::restore(&mut object.value);
        }
        object.stored = (object.store_key() != key).then(|| key.into());
        let meta = object.metadata_mut();
        meta.insert("resourceVersion".to_owned(), revision.to_string().into());
        Ok(object)
    }

    /// The bytes to store, which are upstream's: without `metadata.resourceVersion` and `selfLink`, encoded as Go encodes its
    /// structs; policies with their name in an annotation.
    pub fn to_store_bytes(&self) -> Vec<u8> {
        if let Some(bytes) = ipam_form::store_bytes(self) {
            return bytes;
        }
        goform::to_vec(goform::go_type(self.kind), &self.kept())
    }

    /// The same content as it is, with fields in the order of their names: cheaper, for entries that are only read.
    pub(crate) fn to_plain_bytes(&self) -> Vec<u8> {
        if let Some(bytes) = ipam_form::store_bytes(self) {
            return bytes;
        }
        gojson::to_vec(&self.kept())
    }

    /// The object as upstream shows it: what Go's structs always have is there, and nothing that is empty.
    pub fn into_shown(self) -> Value {
        goform::normal(goform::go_type(self.kind), Value::Object(self.value))
    }

    /// The object's kind.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The object's name; empty if it has none, which admission refuses.
    pub fn name(&self) -> &str {
        self.meta_text("name").unwrap_or("")
    }

    /// The object's namespace; `None` for kinds that have none.
    pub fn namespace(&self) -> Option<&str> {
        self.meta_text("namespace")
            .filter(|ns| self.kind.is_namespaced() && !ns.is_empty())
    }

    /// Where it is stored.
    pub fn store_key(&self) -> String {
        ipam_form::own_key(self).map_or_else(
            || store_key(self.kind, self.namespace(), self.name()),
            |key| key.to_string(),
        )
    }

    /// Where it was read; where it is to be stored if it was not read from a store.
    pub fn stored_key(&self) -> String {
        self.stored
            .as_deref()
            .map_or_else(|| self.store_key(), str::to_owned)
    }

    /// The labels.
    pub fn labels(&self) -> Labels {
        self.meta_map("labels")
    }

    /// The annotations.
    pub fn annotations(&self) -> Labels {
        self.meta_map("annotations")
    }

    /// `metadata.uid`.
    pub fn uid(&self) -> Option<&str> {
        self.meta_text("uid")
    }

    /// `metadata.creationTimestamp`.
    pub fn creation_timestamp(&self) -> Option<&str> {
        self.meta_text("creationTimestamp")
    }

    /// `metadata.resourceVersion` as a revision, if it is there and a number.
    pub fn revision(&self) -> Option<u64> {
        self.meta_text("resourceVersion")?.parse().ok()
    }

    /// The value at a JSON pointer, such as `/spec/cidr`.
    pub fn pointer(&self, pointer: &str) -> Option<&Value> {
        let (first, rest) = match pointer.strip_prefix('/')?.split_once('/') {
            Some((first, rest)) => (first, Some(rest)),
            None => (&pointer[1..], None),
        };
        let value = self.value.get(first)?;
        rest.map_or(Some(value), |rest| value.pointer(&format!("/{rest}")))
    }

    /// The text at a JSON pointer, empty if there is none.
    pub fn text_at(&self, pointer: &str) -> &str {
        self.pointer(pointer).and_then(Value::as_str).unwrap_or("")
    }

    /// The whole object.
    pub fn value(&self) -> &Map<String, Value> {
        &self.value
    }

    /// The whole object, owned.
    pub fn into_value(self) -> Value {
        Value::Object(self.value)
    }

    /// The object's fields, to edit. Admit the result before it is stored.
    pub fn value_mut(&mut self) -> &mut Map<String, Value> {
        &mut self.value
    }

    /// The `spec`, made if it is not there.
    pub fn spec_mut(&mut self) -> &mut Map<String, Value> {
        object_at(&mut self.value, "spec")
    }

    /// The `metadata`, made if it is not there.
    pub fn metadata_mut(&mut self) -> &mut Map<String, Value> {
        object_at(&mut self.value, "metadata")
    }

    /// Sets what an object gets when it is created: its unique identity and its time of birth (RFC 3339, UTC, seconds).
    pub fn stamp(&mut self, uid: &str, created: &str) {
        let meta = self.metadata_mut();
        meta.insert("uid".to_owned(), uid.into());
        meta.insert("creationTimestamp".to_owned(), created.into());
    }

    /// Takes the identity and time of birth of the object that this one replaces, as a write over it must.
    pub fn inherit_identity(&mut self, old: &Object) {
        for field in ["uid", "creationTimestamp"] {
            let value = old.value.get("metadata").and_then(|meta| meta.get(field));
            let meta = self.metadata_mut();
            match value {
                Some(value) => meta.insert(field.to_owned(), value.clone()),
                None => meta.remove(field),
            };
        }
    }

    /// Sets `metadata.resourceVersion`.
    pub fn set_revision(&mut self, revision: u64) {
        self.metadata_mut()
            .insert("resourceVersion".to_owned(), revision.to_string().into());
    }

    /// Sets a label.
    pub fn set_label(&mut self, key: &str, value: &str) {
        object_at(self.metadata_mut(), "labels").insert(key.to_owned(), value.into());
    }

    /// Removes a label; true if there was one.
    pub fn remove_label(&mut self, key: &str) -> bool {
        object_at(self.metadata_mut(), "labels")
            .remove(key)
            .is_some()
    }

    /// What is kept of the object in a store.
    fn kept(&self) -> Map<String, Value> {
        let mut value = self.value.clone();
        if let Some(Value::Object(meta)) = value.get_mut("metadata") {
            meta.remove("resourceVersion");
            meta.remove("selfLink");
        }
        if self.kind.has_tier() {
            older::keep(&mut value);
        }
        value
    }

    fn set_type(&mut self) {
        self.value
            .insert("apiVersion".to_owned(), self.kind.api_version().into());
        self.value
            .insert("kind".to_owned(), self.kind.name().into());
    }

    fn meta_text(&self, field: &str) -> Option<&str> {
        self.value.get("metadata")?.get(field)?.as_str()
    }

    fn meta_map(&self, field: &str) -> Labels {
        let map = self
            .value
            .get("metadata")
            .and_then(|meta| meta.get(field))
            .and_then(Value::as_object);
        let text = |(k, v): (&String, &Value)| Some((k.as_str().into(), v.as_str()?.into()));
        map.into_iter().flatten().filter_map(text).collect()
    }
}

/// The object under a field; whatever else stands there is replaced by an empty one.
pub(crate) fn object_at<'a>(
    map: &'a mut Map<String, Value>,
    field: &str,
) -> &'a mut Map<String, Value> {
    let slot = map.entry(field).or_insert(Value::Null);
    if !slot.is_object() {
        *slot = Value::Object(Map::new());
    }
    match slot {
        Value::Object(map) => map,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            unreachable!("it was made an object just above")
        }
    }
}
