//! `patch`: changes some fields of one object.

use api::AdmitOptions;
use serde_json::Value;

use crate::cli::{Global, PatchArgs};
use crate::connect::{Purpose, connect};
use crate::objects::{describe, invalid};
use crate::outcome::{Failure, Status};
use crate::patching::{self, PatchKind};
use crate::session::Session;
use crate::verbs::{identities, kind_of};
use crate::yaml::{Source, documents};

pub(crate) fn run(
    args: &PatchArgs,
    global: &Global,
    session: &mut Session<'_>,
) -> Result<Status, Failure> {
    let patch_kind = PatchKind::parse(&args.kind_of_patch)?;
    let patch = parse(&args.patch)?;
    let kind = kind_of(&args.kind)?;
    let names = std::slice::from_ref(&args.name);
    let target = identities(kind, names, args.namespace.namespace.as_deref())?.remove(0);
    let objects = connect(&args.config.config, Purpose::Change, global, session)?;
    let hit = |failure: Failure| failure.context("hit error: ");
    for attempt in 0.. {
        let old = objects
            .get(kind, target.namespace.as_deref(), &target.name)
            .map_err(hit)?;
        let patched = patching::patch(old.clone().into_value(), &patch, patch_kind).map_err(hit)?;
        let new = api::admit(patched, &AdmitOptions::default())
            .map_err(|problems| hit(invalid(&old, &problems)))?;
        if describe(&new) != describe(&old) || new.kind() != old.kind() {
            let text = format!(
                "the patch would make {} of {}",
                describe(&new),
                describe(&old)
            );
            return Err(hit(Failure::new(Status::Validation, text)));
        }
        match objects.write_over(&old, &new) {
            Ok(_) => break,
            Err(failure) if failure.status == Status::Conflict && attempt < 20 => {}
            Err(failure) => return Err(hit(failure)),
        }
    }
    session.line(format!("Successfully patched 1 '{kind}' resource"))?;
    Ok(Status::Done)
}

fn parse(text: &str) -> Result<Value, Failure> {
    let source = Source {
        name: "patch".to_owned(),
        text: text.to_owned(),
    };
    let document = documents(&source).into_iter().next();
    let wrong = |message: String| {
        Failure::new(
            Status::Validation,
            format!("the patch cannot be read: {message}"),
        )
    };
    match document.map(|document| document.content) {
        Some(Ok(content)) => Ok(content.to_value()),
        Some(Err(unreadable)) => Err(wrong(unreadable.message)),
        None => Err(wrong("it is empty".to_owned())),
    }
}
