//! `create`, `apply`, `replace` and `validate`: objects from files, one after the other, with what became of each.

use api::{Intent, Kind, Object};

use crate::cli::{CreateArgs, FileArgs, Global};
use crate::connect::{Purpose, connect};
use crate::manifest::{Item, load};
use crate::objects::{Existing, Objects, describe};
use crate::outcome::{Failure, Status, bracketed, common_status};
use crate::progress::Progress;
use crate::session::Session;

/// What is done with each object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Create(OnExisting),
    Apply,
    Replace,
    Validate,
}

/// What `create` does with objects that exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OnExisting {
    Fail,
    Skip,
}

impl Action {
    fn word(self) -> &'static str {
        match self {
            Action::Create(_) => "create",
            Action::Apply => "apply",
            Action::Replace => "replace",
            Action::Validate => "validate",
        }
    }

    /// The past at the beginning of a line.
    fn done(self) -> &'static str {
        match self {
            Action::Create(_) => "Created",
            Action::Apply => "Applied",
            Action::Replace => "Replaced",
            Action::Validate => "Validated",
        }
    }

    fn past(self) -> &'static str {
        match self {
            Action::Create(_) => "created",
            Action::Apply => "applied",
            Action::Replace => "replaced",
            Action::Validate => "validated",
        }
    }
}

/// What became of the objects.
#[derive(Debug, Default)]
struct Results {
    total: usize,
    /// The kind of all of them, if it is one.
    single_kind: Option<String>,
    handled: Vec<String>,
    skipped: usize,
    failures: Vec<Failure>,
}

pub(crate) fn create(
    args: &CreateArgs,
    global: &Global,
    session: &mut Session<'_>,
) -> Result<Status, Failure> {
    let existing = if args.skip_exists {
        OnExisting::Skip
    } else {
        OnExisting::Fail
    };
    to_store(&args.files, Action::Create(existing), global, session)
}

pub(crate) fn apply(
    args: &FileArgs,
    global: &Global,
    session: &mut Session<'_>,
) -> Result<Status, Failure> {
    to_store(args, Action::Apply, global, session)
}

pub(crate) fn replace(
    args: &FileArgs,
    global: &Global,
    session: &mut Session<'_>,
) -> Result<Status, Failure> {
    to_store(args, Action::Replace, global, session)
}

pub(crate) fn validate(args: &FileArgs, session: &mut Session<'_>) -> Result<Status, Failure> {
    let items = load(args, session)?;
    let mut results = Results::of(&items);
    let namespace = args.namespace.namespace.as_deref();
    for item in &items {
        match item.admit(namespace) {
            Ok(object) => results.handled.push(describe(&object)),
            Err(failure) => results.failures.push(failure),
        }
    }
    results.report(Action::Validate, session)
}

fn to_store(
    args: &FileArgs,
    action: Action,
    global: &Global,
    session: &mut Session<'_>,
) -> Result<Status, Failure> {
    let items = load(args, session)?;
    let mut results = Results::of(&items);
    if items.is_empty() {
        return results.report(action, session);
    }
    let namespace = args.namespace.namespace.as_deref();
    let admitted: Vec<Result<Object, Failure>> =
        items.iter().map(|item| item.admit(namespace)).collect();
    // A store is neither made nor touched for nothing.
    if admitted.iter().any(Result::is_ok) {
        let objects = connect(&args.config.config, Purpose::Write, global, session)?;
        objects.ensure_initialized()?;
        let admitted: Vec<_> = admitted
            .into_iter()
            .map(|object| object.map(|object| objects.kept(object)))
            .collect();
        let done = all_at_once(&objects, &admitted, action)?;
        let mut progress = Progress::new(action.done());
        for (index, (item, object)) in items.iter().zip(admitted).enumerate() {
            let outcome = object.map(|object| {
                let written = if index < done {
                    Ok(Some(()))
                } else {
                    write(&objects, &object, action)
                };
                (written, object)
            });
            results.take(item, outcome);
            progress.step(1, session);
        }
        progress.end(session);
    } else {
        results
            .failures
            .extend(admitted.into_iter().filter_map(Result::err));
    }
    results.report(action, session)
}

/// Writes all objects in as few transactions as it takes, if nothing stands in the way of any: the usual case. Returns how
/// many of the first ones are written.
fn all_at_once(
    objects: &Objects,
    admitted: &[Result<Object, Failure>],
    action: Action,
) -> Result<usize, Failure> {
    let existing = match action {
        Action::Create(_) => Existing::Refused,
        Action::Apply => Existing::Taken,
        Action::Replace => Existing::Needed,
        Action::Validate => return Ok(0),
    };
    let Ok(valid) = admitted
        .iter()
        .map(Result::as_ref)
        .collect::<Result<Vec<&Object>, _>>()
    else {
        return Ok(0);
    };
    // Pools are compared with the others that are there, which may be of this very file.
    let special =
        |object: &&Object| matches!(object.kind(), Kind::IpPool | Kind::ClusterInformation);
    let told_apart = |object: &&Object| existing == Existing::Refused && names_revision(object);
    if valid.iter().any(special) || valid.iter().any(told_apart) {
        return Ok(0);
    }
    objects.write_all(&valid, existing)
}

/// True if the object says which revision it is meant to replace.
fn names_revision(object: &Object) -> bool {
    let revision = object.pointer("/metadata/resourceVersion");
    revision
        .and_then(serde_json::Value::as_str)
        .is_some_and(|revision| !revision.is_empty())
}

/// One object's way into the store; `None` if it was left alone.
fn write(objects: &Objects, object: &Object, action: Action) -> Result<Option<()>, Failure> {
    if object.kind() == Kind::ClusterInformation && action == Action::Apply {
        return Err(Failure::general(
            "operation apply is not supported on ClusterInformation: resource is readonly",
        ));
    }
    if matches!(action, Action::Create(_)) && names_revision(object) {
        return Err(Failure::new(
            Status::Validation,
            format!(
                "{}: error with field metadata.resourceVersion (must not be set for a new object: leave it out)",
                describe(object)
            ),
        ));
    }
    match action {
        Action::Apply | Action::Create(_) => objects.guard(&Intent::Create(object))?,
        // Whatever is written over is looked at then.
        Action::Replace | Action::Validate => {}
    }
    match action {
        Action::Apply => objects.apply(object).map(|_| Some(())),
        Action::Replace => objects.update(object).map(|_| Some(())),
        Action::Create(existing) => match objects.create(object) {
            Err(failure) if failure.status == Status::Conflict && existing == OnExisting::Skip => {
                Ok(None)
            }
            done => done.map(|_| Some(())),
        },
        Action::Validate => Ok(Some(())),
    }
}

impl Results {
    fn of(items: &[Item]) -> Results {
        let first = items.first().map(Item::kind_word);
        let single = first.filter(|kind| items.iter().all(|item| item.kind_word() == *kind));
        Results {
            total: items.len(),
            single_kind: single.map(str::to_owned),
            ..Results::default()
        }
    }

    fn take(
        &mut self,
        item: &Item,
        outcome: Result<(Result<Option<()>, Failure>, Object), Failure>,
    ) {
        match outcome {
            Ok((Ok(Some(())), object)) => self.handled.push(describe(&object)),
            Ok((Ok(None), _)) => self.skipped += 1,
            Ok((Err(failure), _)) => self.failures.push(item.failed(failure)),
            Err(failure) => self.failures.push(failure),
        }
    }

    /// Upstream's words for how it went.
    fn report(&self, action: Action, session: &mut Session<'_>) -> Result<Status, Failure> {
        let (word, past, handled) = (action.word(), action.past(), self.handled.len());
        let kind = self.single_kind.as_deref();
        let quoted = kind.map(|kind| format!("'{kind}' ")).unwrap_or_default();
        if self.total == 0 {
            session.line("No resources specified")?;
            return Ok(Status::Done);
        }
        if self.skipped > 0 {
            session.line(format!(
                "Skipped {} {quoted}resource(s) that already exist",
                self.skipped
            ))?;
        }
        let errors = bracketed(&self.failures);
        let status = common_status(&self.failures);
        if self.failures.is_empty() {
            if handled > 0 {
                session.line(format!("Successfully {past} {handled} {quoted}resource(s)"))?;
            }
            return Ok(Status::Done);
        }
        if handled > 0 {
            let total = self.total;
            session.line(format!(
                "Partial success: {past} {handled} out of {total} {quoted}resources:"
            ))?;
            for object in &self.handled {
                session.line(format!("  {past} {object}"))?;
            }
            return Err(Failure::new(status, format!("hit error: {errors}")));
        }
        let what = match kind {
            Some(kind) if self.total == 1 => format!("'{kind}' resource"),
            Some(kind) => format!("any '{kind}' resources"),
            None => "any resources".to_owned(),
        };
        Err(Failure::new(
            status,
            format!("failed to {word} {what}: {errors}"),
        ))
    }
}
