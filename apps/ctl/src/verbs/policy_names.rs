//! `datastore migrate-policy-names`: releases before v3.32 stored policies of the default tier as `default.NAME`; the key
//! then differs from the name that users see, and no one finds the policy by it.

use api::{CALICO_V3, Kind, Object};
use datastore::{CommitError, Entry, Query, Write};
use serde_json::Value;

use crate::cli::{Global, PolicyNamesArgs};
use crate::connect::{Purpose, connect, text_at};
use crate::lock::Refusal;
use crate::objects::{Objects, describe};
use crate::outcome::{Failure, Status, common_status};
use crate::session::Session;

/// Policies that have tiers.
const KINDS: [&str; 4] = [
    "NetworkPolicy",
    "GlobalNetworkPolicy",
    "StagedNetworkPolicy",
    "StagedGlobalNetworkPolicy",
];
/// What the name was before a store changed it, as JSON of the metadata.
const ORIGINAL: &str = "projectcalico.org/metadata";
const PREFIX: &str = "default.";

pub(crate) fn run(
    args: &PolicyNamesArgs,
    global: &Global,
    session: &mut Session<'_>,
) -> Result<Status, Failure> {
    let objects = connect(&args.config.config, Purpose::Change, global, session)?;
    let kinds = KINDS.iter().filter_map(|name| Kind::of(CALICO_V3, name));
    let prefixes = kinds.flat_map(|kind| api::store_prefixes(kind, None));
    let queries: Vec<Query> = prefixes.map(Query::prefix).collect();
    let (mut migrated, mut failures) = (0_usize, Vec::new());
    for entry in &objects.read(&queries)?.entries {
        match migrate(&objects, entry) {
            Ok(Outcome::Renamed) => migrated += 1,
            Ok(Outcome::LeftAlone) => {}
            Err(failure) => failures.push(failure),
        }
    }
    session.line(format!(
        "Policy name migration complete, migrated {migrated} policies."
    ))?;
    if failures.is_empty() {
        return Ok(Status::Done);
    }
    let lines: Vec<&str> = failures.iter().map(|f| f.text.as_str()).collect();
    Err(Failure::new(common_status(&failures), lines.join("\n")))
}

/// What became of an entry.
enum Outcome {
    Renamed,
    LeftAlone,
}

fn migrate(objects: &Objects, entry: &Entry) -> Result<Outcome, Failure> {
    let mut policy =
        Object::from_store(&entry.key, &entry.value, entry.revision.get()).map_err(|error| {
            Failure::general(format!(
                "the entry {} in the datastore is damaged: {error}",
                entry.key
            ))
        })?;
    give_rightful_name(&mut policy);
    let key = policy.store_key();
    if key == *entry.key {
        return Ok(Outcome::LeftAlone);
    }
    let delete = Write::delete(entry.key.clone(), Some(entry.revision));
    let create = Write::create(key.as_str(), policy.to_store_bytes());
    match objects.transact(&[create, delete.clone()]) {
        Ok(_) => Ok(Outcome::Renamed),
        Err(Refusal::Commit(CommitError::AlreadyExists { .. })) => {
            // An earlier run got this far, unless the one under the right name says something else.
            let there = objects.get(policy.kind(), policy.namespace(), policy.name())?;
            if there.pointer("/spec") != policy.pointer("/spec") {
                return Err(Failure::new(
                    Status::Conflict,
                    format!(
                        "{} is stored twice, at {key} and at {}, and the two differ: delete one of them",
                        describe(&policy),
                        entry.key
                    ),
                ));
            }
            match objects.transact(&[delete]) {
                Ok(_) => Ok(Outcome::Renamed),
                Err(refusal) => Err(objects.refused(refusal)),
            }
        }
        Err(refusal) => Err(objects.refused(refusal)),
    }
}

/// Gives a policy the name that users know it by, which the store may have kept beside the one it gave. Other objects stay
/// as they are.
pub(crate) fn give_rightful_name(object: &mut Object) {
    if !KINDS.contains(&object.kind().name()) || object.kind().api_version() != CALICO_V3 {
        return;
    }
    if let Some(name) = rightful_name(object) {
        object.metadata_mut().insert("name".to_owned(), name.into());
        drop_annotation(object);
    }
}

/// The name that users know the policy by; `None` if its tier is not the default one, whose policies alone were renamed.
fn rightful_name(policy: &Object) -> Option<String> {
    if !matches!(text_at(policy, "/spec/tier"), "" | "default") {
        return None;
    }
    let original = policy.annotations().get(ORIGINAL).and_then(|text| {
        let metadata: Value = serde_json::from_str(text).ok()?;
        metadata.get("name")?.as_str().map(str::to_owned)
    });
    let stored = policy.name();
    Some(original.unwrap_or_else(|| stored.strip_prefix(PREFIX).unwrap_or(stored).to_owned()))
}

fn drop_annotation(policy: &mut Object) {
    let metadata = policy.metadata_mut();
    if let Some(Value::Object(annotations)) = metadata.get_mut("annotations") {
        annotations.remove(ORIGINAL);
        if annotations.is_empty() {
            metadata.remove("annotations");
        }
    }
}
