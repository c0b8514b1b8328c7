//! What stands in the way of a change because of other objects: upstream's rules ([`api::needs`]), with as few questions to the
//! store as they take. What was seen to be there once is not asked for again.

use std::cell::RefCell;
use std::collections::BTreeSet;

use api::{Intent, Object, Objection, Reference};
use datastore::{Query, Snapshot};

use crate::objects::{Existing, Objects};
use crate::outcome::{Failure, Status};
use crate::wording::{describe, described, field_error};

/// Keys of objects that were seen to be there.
#[derive(Debug, Default)]
pub(crate) struct Known(RefCell<BTreeSet<String>>);

impl Known {
    fn has(&self, reference: &Reference) -> bool {
        self.0.borrow().contains(&reference.key())
    }

    fn learn(&self, there: &Snapshot) {
        let keys = there.entries.iter().map(|entry| entry.key.to_string());
        self.0.borrow_mut().extend(keys);
    }

    fn unknown(&self, references: &[Reference]) -> BTreeSet<String> {
        let unknown = references.iter().filter(|one| !self.has(one));
        unknown.map(Reference::key).collect()
    }

    /// What has to be read before many objects are written at once.
    pub(crate) fn queries(&self, objects: &[&Object], existing: Existing) -> Vec<Query> {
        let intents = objects.iter().flat_map(|object| intents(object, existing));
        let keys: BTreeSet<String> = intents
            .flat_map(|intent| self.unknown(&api::needs(&intent).present))
            .collect();
        keys.into_iter().map(Query::key).collect()
    }

    /// True if nothing stands in the way of any of them, written in this order; false too if that takes more to know than what
    /// was read.
    pub(crate) fn nothing_stands_against(
        &self,
        objects: &[&Object],
        existing: Existing,
        there: &Snapshot,
    ) -> bool {
        self.learn(there);
        let mut earlier = BTreeSet::new();
        objects.iter().all(|object| {
            let key = object.store_key();
            let is_there = there.get(&key).is_some();
            let is_known = |one: &Reference| self.has(one) || earlier.contains(&one.key());
            let mut intents = intents(object, existing)
                .into_iter()
                .filter(|intent| is_there || matches!(intent, Intent::Create(_)));
            let free = intents.all(|intent| {
                api::needs(&intent).looked_at.is_empty()
                    && api::objection(&intent, &is_known, []).is_none()
            });
            earlier.insert(key);
            free
        })
    }
}

/// What a write may come to.
fn intents<'a>(object: &'a Object, existing: Existing) -> Vec<Intent<'a>> {
    match existing {
        Existing::Refused => vec![Intent::Create(object)],
        // As upstream: it is made, and only if that fails because it is there, written over.
        Existing::Taken => vec![Intent::Create(object), Intent::Update(object)],
        Existing::Needed => vec![Intent::Update(object)],
    }
}

impl Objects {
    /// Refuses what must not be done because of other objects.
    pub(crate) fn guard(&self, intent: &Intent<'_>) -> Result<(), Failure> {
        let needs = api::needs(intent);
        let keys = self.known.unknown(&needs.present);
        let prefixes = needs.looked_at.iter().map(Query::prefix);
        let queries: Vec<Query> = keys.into_iter().map(Query::key).chain(prefixes).collect();
        let mut there = Snapshot::default();
        if !queries.is_empty() {
            there = self.read(&queries)?;
            self.known.learn(&there);
        }
        let entries = there.entries.iter();
        let entries = entries.map(|entry| (&*entry.key, entry.value.as_slice()));
        match api::objection(intent, &|one| self.known.has(one), entries) {
            Some(objection) => Err(refused(&objection, intent)),
            None => Ok(()),
        }
    }
}

/// Upstream's words, and what to do.
fn refused(objection: &Objection, intent: &Intent<'_>) -> Failure {
    let (verb, what) = match intent {
        Intent::Create(object) => ("create or apply", describe(object)),
        Intent::Update(object) => ("apply or replace", describe(object)),
        Intent::Delete(kind, name) => ("delete", described(*kind, None, name)),
    };
    let unsupported = |reason: &str| {
        Failure::general(format!(
            "operation {verb} is not supported on {what}: {reason}"
        ))
    };
    match objection {
        Objection::Missing(Reference { kind, name }) => Failure::new(
            Status::NotFound,
            format!(
                "resource does not exist: {} with error: not found: {what} belongs in it: create the {} first",
                described(*kind, None, name),
                kind.singular()
            ),
        ),
        Objection::Fields(problems) => {
            let texts: Vec<String> = problems.iter().map(field_error).collect();
            Failure::new(Status::Validation, texts.join("\n"))
        }
        Objection::NotSupported(reason) => unsupported(reason),
        Objection::InUse {
            reason,
            kind,
            namespace,
            name,
        } => {
            let holds = described(*kind, namespace.as_deref(), name);
            unsupported(&format!("{reason}: it holds {holds}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use datastore::{AnyStore, Datastore, MemoryStore, StoreChoice, StoreRequest};
    use serde_json::json;

    use super::*;

    fn object(kind: &str, name: &str, spec: serde_json::Value) -> Object {
        let value = json!({"apiVersion": "projectcalico.org/v3", "kind": kind, "metadata": {"name": name}, "spec": spec});
        api::admit(value, &api::AdmitOptions::default()).unwrap()
    }

    /// How many policies there are in a tier makes no difference to how often it is asked for.
    #[test]
    fn what_was_seen_is_not_asked_for_again() {
        let choice = StoreChoice::of(&StoreRequest::default()).unwrap();
        let objects = Objects::new(AnyStore::Memory(MemoryStore::new()), choice);
        let reads = || objects.store().stats().reads;
        let policy = |name: &str| object("GlobalNetworkPolicy", name, json!({"tier": "dev"}));
        let failure = objects
            .guard(&Intent::Create(&policy("dev.a")))
            .unwrap_err();
        assert_eq!(failure.status, Status::NotFound);
        assert_eq!(
            failure.text,
            "resource does not exist: Tier(dev) with error: not found: GlobalNetworkPolicy(dev.a) belongs in it: create the tier first"
        );
        objects.create(&object("Tier", "dev", json!({}))).unwrap();
        let before = reads();
        for n in 0..100 {
            objects
                .guard(&Intent::Create(&policy(&format!("dev.p{n}"))))
                .unwrap();
        }
        assert_eq!(reads() - before, 1);
    }

    /// In one transaction as one by one: what comes first in the file is there for what follows.
    #[test]
    fn the_order_of_a_file_counts() {
        let tier = object("Tier", "dev", json!({}));
        let policy = object("GlobalNetworkPolicy", "dev.a", json!({"tier": "dev"}));
        let judge = |objects: &[&Object]| {
            Known::default().nothing_stands_against(objects, Existing::Taken, &Snapshot::default())
        };
        assert!(judge(&[&tier, &policy]));
        assert!(!judge(&[&policy, &tier]));
        assert!(!judge(&[&object(
            "IPPool",
            "p",
            json!({"cidr": "10.0.0.0/16"})
        )]));
    }
}
