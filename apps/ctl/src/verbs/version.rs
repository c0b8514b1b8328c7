//! `version`: this program's version, the store and why it is this one, and the cluster's version.

use std::time::Duration;

use api::Kind;

use crate::cli::{Global, VersionArgs};
use model::COMPATIBLE_VERSION;

use crate::connect::{Purpose, choose, open, text_at};
use crate::objects::Objects;
use crate::outcome::{Failure, Status};
use crate::session::Session;

pub(crate) fn run(
    args: &VersionArgs,
    global: &Global,
    session: &mut Session<'_>,
) -> Result<Status, Failure> {
    let every = args.poll.as_deref().map(duration).transpose()?;
    session.line(format!("Client Version:    {COMPATIBLE_VERSION}"))?;
    session.line(format!(
        "Git commit:        {}",
        option_env!("CALICO_GIT_COMMIT").unwrap_or("unknown")
    ))?;
    session.line(format!(
        "Build:             calico-rs {}",
        env!("CARGO_PKG_VERSION")
    ))?;
    if args.client {
        return Ok(Status::Done);
    }
    let choice = choose(&args.config, global, session)?;
    session.line(format!("Datastore:         {choice}"))?;
    let objects = open(choice, Purpose::Read)?;
    let mut shown = (String::new(), String::new());
    loop {
        let outcome = show(&objects, &mut shown, session);
        let Some(every) = every else {
            return outcome.map(|()| Status::Done);
        };
        if let Err(failure) = outcome {
            shown = (String::new(), String::new());
            session.complain(&failure.text);
        }
        session.out.flush()?;
        std::thread::sleep(every);
    }
}

/// Shows what has changed since it was shown last.
fn show(
    objects: &Objects,
    shown: &mut (String, String),
    session: &mut Session<'_>,
) -> Result<(), Failure> {
    let information = objects
        .get(Kind::ClusterInformation, None, "default")
        .map_err(|failure| failure.context("unable to retrieve Cluster Version or Type: "))?;
    let known = |pointer: &str| match text_at(&information, pointer) {
        "" => "unknown".to_owned(),
        text => text.to_owned(),
    };
    let (version, kind) = (known("/spec/calicoVersion"), known("/spec/clusterType"));
    if shown.0 != version {
        session.line(format!("Cluster Version:   {version}"))?;
    }
    if shown.1 != kind {
        session.line(format!("Cluster Type:      {kind}"))?;
    }
    *shown = (version, kind);
    Ok(())
}

/// A Go duration of one unit, such as `500ms`, `5s` or `1m`.
fn duration(text: &str) -> Result<Duration, Failure> {
    let wrong = || Failure::usage(format!("invalid poll duration specified: {text}"));
    let digits = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let milliseconds = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(wrong()),
    };
    number
        .checked_mul(milliseconds)
        .map(Duration::from_millis)
        .ok_or_else(wrong)
}
