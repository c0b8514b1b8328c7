//! `datastore migrate import`: reads a file that an export wrote, ours or upstream's, into a store that is empty or has part
//! of it already.
//!
//! The file is read twice: once to check all of it, once to write. The store is locked from before the first write until
//! someone unlocks it. What is referred to is written before what refers to it, so that a run that is cut off at any write
//! leaves nothing that misleads; the next run passes over what is there and goes on.

use std::collections::BTreeMap;

use datastore::{Datastore, StoreKind};
use serde_json::Value;

use super::input::{Input, Record, Section};
use super::ipam_part::{Aim, Found};
use super::kinds::IPAM;
use super::prepared::Prepared;
use super::seal::{self, Seals, Written};
use super::target::{Suspects, Target, Wanted};
use super::verify::verify;
use super::{Nature, Store};
use crate::cli::{Global, ImportArgs};
use crate::connect::{Purpose, choose, open};
use crate::outcome::{Failure, Status, bracketed, common_status};
use crate::progress::Progress;
use crate::session::Session;

pub(crate) fn run(
    args: &ImportArgs,
    global: &Global,
    session: &mut Session<'_>,
) -> Result<Status, Failure> {
    let Some(filename) = args.filename.as_deref().filter(|name| !name.is_empty()) else {
        return Err(Failure::usage(
            "no file given: use -f FILE, or -f - for standard input",
        ));
    };
    // As upstream, whatever version the target is of: there is no cluster yet.
    let choice = choose(&args.config.config, global, session)?;
    let mut input = Input::open(filename, session)?;
    let survey = Survey::of(&mut input, session)?;
    survey.refuse_other_aim(choice.kind)?;
    let nature = Nature::of(choice.kind);
    let objects = open(choice, Purpose::Write)?;
    let store = Store::new(objects.store(), objects.choice());
    import(&mut input, &survey, Target::new(store, nature), session)
}

/// What the first reading of a file found.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Survey {
    wanted: Wanted,
    /// The entries of IPAM among them.
    entries: usize,
    failures: Vec<Failure>,
    aim: Option<Aim>,
    information: Value,
}

impl Survey {
    /// Reads a file and checks it against what was sealed in it.
    pub(super) fn of(input: &mut Input, session: &mut Session<'_>) -> Result<Survey, Failure> {
        let mut survey = Survey::default();
        let mut seals = Seals::default();
        let mut sealed: Option<BTreeMap<String, Written>> = None;
        let mut progress = Progress::new("Checked");
        let name = input.name().to_owned();
        input.read(Section::Whole, &mut |record| {
            progress.step(1, session);
            let (prepared, line) = match record {
                Record::Object { value, line } => (sealed_object(value, &mut seals), Some(line)),
                Record::Last(Found::Beside(value)) => (sealed_object(value, &mut seals), None),
                Record::Last(Found::Entry(kind, pair)) => {
                    survey.entries += 1;
                    seals.add(kind, &seal::of_entry(&pair.key, &pair.value));
                    (Prepared::entry(kind, &pair), None)
                }
                Record::Last(Found::Aim(aim)) => {
                    survey.aim = Some(aim);
                    return Ok(());
                }
                Record::Last(Found::Seals(found)) => {
                    sealed = Some(found);
                    return Ok(());
                }
                Record::Information(value) => {
                    survey.information = value;
                    return Ok(());
                }
                Record::Broken(failure) => {
                    survey.failures.push(failure);
                    return Ok(());
                }
            };
            survey.take(prepared, line);
            Ok(())
        })?;
        progress.end(session);
        let differences = sealed.map_or_else(Vec::new, |sealed| seals.differences(&sealed));
        if differences.is_empty() {
            return Ok(survey);
        }
        Err(Failure::new(
            Status::Validation,
            format!(
                "{name} is not what was exported; nothing was imported.\n  {}\n\
                 Export again; if the file was changed on purpose, remove \"seals\" at its end",
                differences.join("\n  ")
            ),
        ))
    }

    fn take(&mut self, prepared: Result<Prepared, Failure>, line: Option<u64>) {
        let at = |failure: Failure| match line {
            Some(line) => failure.context(format!("line {line}: ")),
            None => failure,
        };
        match prepared {
            Ok(one) => {
                if self.wanted.contains_key(one.key.as_str()) {
                    let text = format!("{one} is in the file twice; the first one counts");
                    let failure = Failure::new(Status::Validation, text);
                    self.failures.push(at(failure));
                } else {
                    self.wanted.insert(one.key.as_str().into(), one.digest);
                }
            }
            Err(failure) => self.failures.push(at(failure)),
        }
    }

    fn refuse_other_aim(&self, kind: StoreKind) -> Result<(), Failure> {
        let kubernetes = kind == StoreKind::Kubernetes;
        let Some(aim) = self
            .aim
            .filter(|aim| (*aim == Aim::Kubernetes) != kubernetes)
        else {
            return Ok(());
        };
        let why = if kubernetes {
            "its nodes have other names than Kubernetes gives them"
        } else {
            "the workloads are not in it"
        };
        Err(Failure::usage(format!(
            "the file was exported for a datastore of type {}, not {}: {why}. Export it with --to={}",
            aim.word(),
            kind.word(),
            kind.word()
        )))
    }
}

fn sealed_object(value: Value, seals: &mut Seals) -> Result<Prepared, Failure> {
    let text = |field: &str| value.get(field).and_then(Value::as_str).unwrap_or("");
    if let Some(kind) = api::Kind::of(text("apiVersion"), text("kind")) {
        seals.add(kind, &seal::of_object(&value));
    }
    Prepared::object(value)
}

/// Writes what the file has and reads it back.
pub(super) fn import<S: Datastore>(
    input: &mut Input,
    survey: &Survey,
    mut target: Target<'_, S>,
    session: &mut Session<'_>,
) -> Result<Status, Failure> {
    let (mut strangers, suspects) = target.strangers(&survey.wanted)?;
    let guilty = convict(input, &target, suspects, session)?;
    strangers.extend(guilty.map(|named| format!("{named} is another one in the file")));
    target.refuse(&strangers)?;
    if target.initialize_locked()? {
        session.line("Datastore locked.")?;
    }
    let none = Counts::of(&target);
    write(
        input,
        Section::Stream,
        &mut target,
        session,
        &|record| match record {
            Record::Object { value, .. } => Some(Prepared::object(value)),
            Record::Last(_) | Record::Broken(_) | Record::Information(_) => None,
        },
    )?;
    for warning in std::mem::take(&mut target.tally.warnings) {
        session.complain(&warning);
    }
    applied(none, &target, "resource(s)", session)?;
    target.built_in()?;
    target.take_identity(&survey.information)?;
    if survey.entries > 0 {
        session.line("Importing IPAM resources")?;
        let before = Counts::of(&target);
        for kind in IPAM {
            write(
                input,
                Section::Last,
                &mut target,
                session,
                &|record| match record {
                    Record::Last(Found::Entry(of, pair)) if of == kind => {
                        Some(Prepared::entry(kind, &pair))
                    }
                    Record::Object { .. }
                    | Record::Last(_)
                    | Record::Broken(_)
                    | Record::Information(_) => None,
                },
            )?;
        }
        applied(before, &target, "IPAM resource(s)", session)?;
    }
    let before = Counts::of(&target);
    write(
        input,
        Section::Last,
        &mut target,
        session,
        &|record| match record {
            Record::Last(Found::Beside(value)) => Some(Prepared::object(value)),
            Record::Object { .. }
            | Record::Last(_)
            | Record::Broken(_)
            | Record::Information(_) => None,
        },
    )?;
    if before != Counts::of(&target) {
        let what = "resource(s) that are not in files for Kubernetes";
        applied(before, &target, what, session)?;
    }
    report(input, survey, &target, session)
}

/// Reads a part of the file and writes some of it.
fn write<S: Datastore>(
    input: &mut Input,
    section: Section,
    target: &mut Target<'_, S>,
    session: &mut Session<'_>,
    wanted: &dyn Fn(Record) -> Option<Result<Prepared, Failure>>,
) -> Result<(), Failure> {
    let mut progress = Progress::new("Imported");
    let outcome = input
        .read(section, &mut |record| {
            // What is not valid was found by the first reading.
            let Some(Ok(one)) = wanted(record) else {
                return Ok(());
            };
            progress.step(1, session);
            target.put(one)
        })
        .and_then(|()| target.flush());
    progress.end(session);
    outcome
}

/// Looks at what is not as the file has it again, where an API server fills in fields; what is left is named.
fn convict<S: Datastore>(
    input: &mut Input,
    target: &Target<'_, S>,
    mut suspects: Suspects,
    session: &mut Session<'_>,
) -> Result<impl Iterator<Item = String> + use<S>, Failure> {
    if target.nature == Nature::Kubernetes && !suspects.is_empty() {
        let mut progress = Progress::new("Compared");
        input.read(Section::Stream, &mut |record| {
            progress.step(1, session);
            if let Record::Object { value, .. } = record
                && let Ok(one) = Prepared::object(value)
                && suspects
                    .get(one.key.as_str())
                    .is_some_and(|(_, entry)| one.is_within(entry))
            {
                suspects.remove(one.key.as_str());
            }
            Ok(())
        })?;
        progress.end(session);
    }
    Ok(suspects.into_values().map(|(named, _)| named))
}

/// How much was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Counts {
    written: usize,
    there: usize,
}

impl Counts {
    fn of<S>(target: &Target<'_, S>) -> Counts {
        Counts {
            written: target.tally.written,
            there: target.tally.there,
        }
    }
}

/// What a part of the file came to, in upstream's words.
fn applied<S>(
    before: Counts,
    target: &Target<'_, S>,
    what: &str,
    session: &mut Session<'_>,
) -> Result<(), Failure> {
    let now = Counts::of(target);
    let there = now.there - before.there;
    let all = now.written - before.written + there;
    let already = if there > 0 {
        format!(", of which {there} were there already")
    } else {
        String::new()
    };
    session.line(format!("Successfully applied {all} {what}{already}"))
}

/// What went wrong, object by object; or that all is there.
fn report<S: Datastore>(
    input: &mut Input,
    survey: &Survey,
    target: &Target<'_, S>,
    session: &mut Session<'_>,
) -> Result<Status, Failure> {
    let mut verified = verify(target, &survey.wanted)?;
    let suspects = std::mem::take(&mut verified.suspects);
    let suspected = suspects.len();
    let wrong: Vec<String> = convict(input, target, suspects, session)?.collect();
    let objects = verified.objects + suspected - wrong.len();
    session.line(format!(
        "Verified {objects} resource(s) and {} IPAM resource(s) of the datastore against the file",
        verified.entries
    ))?;
    let mut failures = survey.failures.clone();
    failures.extend(target.tally.failures.iter().cloned());
    let missing = verified.missing.iter();
    let missing = missing.map(|key| format!("{key} is not in the datastore"));
    let wrong = wrong.iter();
    let wrong = wrong.map(|key| format!("{key} reads back otherwise than the file has it"));
    failures.extend(
        missing
            .chain(wrong)
            .map(|line| Failure::new(Status::CheckFailed, line)),
    );
    if failures.is_empty() {
        session.line(
            "Datastore information successfully imported. Please refer to the datastore migration documentation for next steps.",
        )?;
        return Ok(Status::Done);
    }
    let done = objects + verified.entries;
    session.line(format!(
        "Partial success: applied {done} out of {} resources:",
        done + failures.len()
    ))?;
    let status = common_status(&failures);
    let errors = bracketed(&failures);
    Err(Failure::new(status, format!("hit error(s): {errors}")))
}
