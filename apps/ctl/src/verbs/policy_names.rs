//! `datastore migrate-policy-names`: releases before v3.32 stored policies of the default tier as `default.NAME`; the key
//! then differs from the name that users see, and no one finds the policy by it.

use api::{Kind, Object};
use datastore::{CommitError, Entry, Query, Write};

use crate::cli::{Global, PolicyNamesArgs};
use crate::connect::{Purpose, connect};
use crate::lock::Refusal;
use crate::objects::{Objects, describe};
use crate::outcome::{Failure, Status, common_status};
use crate::session::Session;

pub(crate) fn run(
    args: &PolicyNamesArgs,
    global: &Global,
    session: &mut Session<'_>,
) -> Result<Status, Failure> {
    let objects = connect(&args.config.config, Purpose::Change, global, session)?;
    let prefixes = Kind::TIERED
        .iter()
        .flat_map(|kind| api::store_prefixes(*kind, None));
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
    let policy =
        Object::from_store(&entry.key, &entry.value, entry.revision.get()).map_err(|error| {
            Failure::general(format!(
                "the entry {} in the datastore is damaged: {error}",
                entry.key
            ))
        })?;
    let key = policy.store_key();
    // Only policies of the default tier were renamed.
    let is_default = matches!(policy.text_at("/spec/tier"), "" | "default");
    if key == *entry.key || !is_default {
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
