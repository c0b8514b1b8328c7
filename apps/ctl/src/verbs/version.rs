//! `version`: this program's version, the store and why it is this one, and the cluster's version.

use std::time::Duration;

use api::Kind;

use crate::cli::{Global, VersionArgs};
use model::COMPATIBLE_VERSION;

use crate::connect::{Purpose, choose, open};
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
    let known = |pointer: &str| match information.text_at(pointer) {
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

/// A duration as Go reads it: numbers with units, such as `500ms`, `1.5h` or `1m30s`.
fn duration(text: &str) -> Result<Duration, Failure> {
    const UNITS: [(&str, f64); 7] = [
        ("ns", 1e-9),
        ("us", 1e-6),
        ("µs", 1e-6),
        ("ms", 1e-3),
        ("s", 1.0),
        ("m", 60.0),
        ("h", 3_600.0),
    ];
    let wrong = || Failure::usage(format!("invalid poll duration specified: {text}"));
    let (mut rest, mut seconds) = (text, 0.0);
    if rest == "0" {
        return Ok(Duration::ZERO);
    }
    while !rest.is_empty() || text.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.');
        let (number, after) = rest.split_at(end.ok_or_else(wrong)?);
        let end = after.find(|c: char| c.is_ascii_digit() || c == '.');
        let (unit, after) = after.split_at(end.unwrap_or(after.len()));
        let number: f64 = number.parse().map_err(|_| wrong())?;
        let unit = UNITS.iter().find(|(name, _)| *name == unit);
        seconds += number * unit.ok_or_else(wrong)?.1;
        rest = after;
    }
    Duration::try_from_secs_f64(seconds).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_as_go_reads_them() {
        for (text, milliseconds) in [("0", 0), ("500ms", 500), ("1.5s", 1500), ("1m30s", 90_000)] {
            assert_eq!(duration(text).unwrap(), Duration::from_millis(milliseconds));
        }
        for text in ["", "5", "s", "5x", "1h5", "1e9h", "-1s"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
