//! `delete`, and what must not be done to objects that others lean on.

use api::{Intent, Kind, Object};

use crate::cli::{DeleteArgs, Global};
use crate::connect::{Purpose, connect};
use crate::manifest::{Identity, load};
use crate::objects::Objects;
use crate::outcome::{Failure, Status, common_status};
use crate::progress::Progress;
use crate::session::Session;
use crate::verbs::{clearing, identities, kind_of};

pub(crate) fn run(
    args: &DeleteArgs,
    global: &Global,
    session: &mut Session<'_>,
) -> Result<Status, Failure> {
    let targets = targets(args, session)?;
    if targets.is_empty() {
        session.line("No resources specified")?;
        return Ok(Status::Done);
    }
    let first = targets[0].kind;
    let single_kind = targets
        .iter()
        .all(|target| target.kind == first)
        .then_some(first);
    let quoted = single_kind
        .map(|kind| format!("'{kind}' "))
        .unwrap_or_default();
    let objects = connect(&args.files.config.config, Purpose::Change, global, session)?;
    let (mut deleted, mut absent, mut failures) = (0_usize, 0_usize, Vec::new());
    let mut progress = Progress::new("Deleted");
    for target in &targets {
        progress.step(1, session);
        match delete(&objects, target) {
            Ok(()) => deleted += 1,
            Err(failure) if failure.status == Status::NotFound && args.skip_not_exists => {
                absent += 1
            }
            Err(failure) => failures.push(failure),
        }
    }
    progress.end(session);
    if absent > 0 {
        session.line(format!(
            "Skipped {absent} {quoted}resource(s) that do not exist"
        ))?;
    }
    if deleted > 0 {
        session.line(format!(
            "Successfully deleted {deleted} {quoted}resource(s)"
        ))?;
    }
    if failures.is_empty() {
        return Ok(Status::Done);
    }
    let lines: Vec<String> = failures
        .iter()
        .map(|failure| format!("Failed to delete {quoted}resource: {}", failure.text))
        .collect();
    Err(Failure::new(common_status(&failures), lines.join("\n")))
}

fn targets(args: &DeleteArgs, session: &mut Session<'_>) -> Result<Vec<Identity>, Failure> {
    let namespace = args.files.namespace.namespace.as_deref();
    match &args.kind {
        Some(_) if !args.files.filename.is_empty() => Err(Failure::usage(
            "give either a kind and names, or -f, not both",
        )),
        Some(word) => {
            let kind = kind_of(word)?;
            if args.names.is_empty() {
                return Err(Failure::usage(
                    "resource name may not be empty: name what to delete",
                ));
            }
            identities(kind, &args.names, namespace)
        }
        None if args.files.filename.is_empty() => Err(Failure::usage(
            "nothing to delete: give a kind and names, or -f FILE",
        )),
        None => load(&args.files, session)?
            .iter()
            .map(|item| item.identity(namespace))
            .collect(),
    }
}

fn delete(objects: &Objects, target: &Identity) -> Result<(), Failure> {
    if let Some(problem) = api::refuse_delete(target.kind, &target.name) {
        let text = format!(
            "operation delete is not supported on {}: {}",
            target.describe(),
            problem.message
        );
        return Err(Failure::general(text));
    }
    if target.kind == Kind::ClusterInformation {
        let text = "operation delete is not supported on ClusterInformation: resource is readonly";
        return Err(Failure::general(text));
    }
    objects.guard(&Intent::Delete(target.kind, &target.name))?;
    if target.kind == Kind::IpPool {
        return clearing::pool(objects, &target.name);
    }
    if target.kind == Kind::Node {
        return clearing::node(objects, &target.name);
    }
    let object = objects.kept(Object::new(
        target.kind,
        target.namespace.as_deref(),
        &target.name,
    ));
    objects.delete(object.kind(), object.namespace(), object.name(), None)
}
