//! `label`: sets or removes labels of one object.

use crate::cli::{Global, LabelArgs};
use crate::connect::{Purpose, connect};
use crate::outcome::{Failure, Status};
use crate::session::Session;
use crate::verbs::{identities, kind_of};

/// A wish for one label.
enum Wish<'a> {
    Set { key: &'a str, value: &'a str },
    Remove { key: &'a str },
}

pub(crate) fn run(
    args: &LabelArgs,
    global: &Global,
    session: &mut Session<'_>,
) -> Result<Status, Failure> {
    let wishes = args
        .labels
        .iter()
        .map(|text| wish(text, args))
        .collect::<Result<Vec<_>, Failure>>()?;
    let kind = kind_of(&args.kind)?;
    let names = std::slice::from_ref(&args.name);
    let target = identities(kind, names, args.namespace.namespace.as_deref())?.remove(0);
    let objects = connect(&args.config.config, Purpose::Change, global, session)?;
    let (word, name) = (&args.kind, &args.name);
    let mut lines = Vec::new();
    for attempt in 0.. {
        let old = objects
            .get(kind, target.namespace.as_deref(), name)
            .map_err(|failure| {
                let before = format!("failed to get {word} {name}, error ");
                failure.context(before)
            })?;
        let mut new = old.clone();
        lines.clear();
        for wish in &wishes {
            lines.push(grant(wish, &mut new, args)?);
        }
        api::admit_labels(&new.labels())
            .map_err(|problems| crate::objects::invalid(&new, &problems))?;
        match objects.write_over(&old, &new) {
            Ok(_) => break,
            Err(failure) if failure.status == Status::Conflict && attempt < 20 => {}
            Err(failure) => {
                return Err(failure.context(format!(
                    "failed to update {word} {name}, label not changed: "
                )));
            }
        }
    }
    for line in lines {
        session.line(line)?;
    }
    Ok(Status::Done)
}

fn wish<'a>(text: &'a str, args: &LabelArgs) -> Result<Wish<'a>, Failure> {
    if args.remove {
        return Ok(Wish::Remove { key: text });
    }
    let parts = text.split_once('=');
    let (key, value) = parts.ok_or_else(|| Failure::usage(format!("invalid label {text}")))?;
    Ok(Wish::Set { key, value })
}

fn grant(wish: &Wish<'_>, object: &mut api::Object, args: &LabelArgs) -> Result<String, Failure> {
    let (word, name) = (&args.kind, &args.name);
    match wish {
        Wish::Remove { key } => {
            if !object.remove_label(key) {
                let text =
                    format!("cannot remove label of {word} {name}, key {key} does not exist");
                return Err(Failure::new(Status::NotFound, text));
            }
            Ok(format!(
                "Successfully removed label {key} from {word} {name}"
            ))
        }
        Wish::Set { key, value } => {
            let there = object.labels().get(*key).map(|old| **old == **value);
            if there == Some(false) && !args.overwrite {
                let text = format!(
                    "failed to update label of {word} {name}, key {key} is already present. please use '--overwrite' to set a new value"
                );
                return Err(Failure::new(Status::Conflict, text));
            }
            object.set_label(key, value);
            Ok(match there {
                Some(_) => format!("Successfully updated label {key} on {word} {name}"),
                None => format!("Successfully set label {key} on {word} {name}"),
            })
        }
    }
}
