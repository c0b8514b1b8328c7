//! `datastore migrate lock` and `unlock`: `datastoreReady` of ClusterInformation.

use api::Kind;

use crate::cli::{Global, MigrateArgs};
use crate::connect::{Purpose, connect};
use crate::objects::Objects;
use crate::outcome::{Failure, Status};
use crate::session::Session;

/// What the datastore is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Readiness {
    /// Open to changes.
    Ready,
    /// Closed to them.
    Locked,
}

pub(crate) fn run(
    args: &MigrateArgs,
    readiness: Readiness,
    global: &Global,
    session: &mut Session<'_>,
) -> Result<Status, Failure> {
    let objects = connect(&args.config.config, Purpose::Maintain, global, session)?;
    if readiness == Readiness::Locked {
        objects.ensure_initialized().map_err(|failure| {
            failure
                .context("unable to initialize cluster information for the datastore migration: ")
        })?;
    }
    set(&objects, readiness)?;
    session.line(match readiness {
        Readiness::Ready => "Datastore unlocked.",
        Readiness::Locked => "Datastore locked.",
    })?;
    Ok(Status::Done)
}

/// Makes the datastore ready or locked; nothing else of ClusterInformation changes.
pub(crate) fn set(objects: &Objects, readiness: Readiness) -> Result<(), Failure> {
    let (ready, word) = match readiness {
        Readiness::Ready => (true, "unlocking"),
        Readiness::Locked => (false, "locking"),
    };
    for attempt in 0.. {
        let old = objects
            .get(Kind::ClusterInformation, None, "default")
            .map_err(|failure| {
                failure.context(format!("error retrieving ClusterInformation for {word}: "))
            })?;
        let mut new = old.clone();
        new.spec_mut()
            .insert("datastoreReady".to_owned(), ready.into());
        match objects.write_over(&old, &new) {
            Ok(_) => break,
            Err(failure) if failure.status == Status::Conflict && attempt < 20 => {}
            Err(failure) => {
                let before = format!("error updating ClusterInformation for {word}: ");
                return Err(failure.context(before));
            }
        }
    }
    Ok(())
}
