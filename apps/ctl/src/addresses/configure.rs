//! `ipam configure`: settings of the whole cluster.

use api::{AdmitOptions, Kind, Object};

use crate::cli::{Global, IpamConfigureArgs};
use crate::connect::{Purpose, connect};
use crate::objects::invalid;
use crate::outcome::{Failure, Status};
use crate::session::Session;

pub(crate) fn run(
    args: &IpamConfigureArgs,
    global: &Global,
    session: &mut Session<'_>,
) -> Result<Status, Failure> {
    let strict = args.strictaffinity.as_deref().map(boolean).transpose()?;
    let most = args
        .max_blocks_per_host
        .as_deref()
        .map(number)
        .transpose()?;
    if strict.is_none() && most.is_none() {
        return Err(Failure::usage(
            "at least one configuration option must be specified",
        ));
    }
    let objects = connect(&args.config.config, Purpose::Write, global, session)?;
    for attempt in 0.. {
        let old = objects.find(Kind::IpamConfiguration, None, "default")?;
        let mut wanted = old
            .clone()
            .unwrap_or_else(|| Object::new(Kind::IpamConfiguration, None, "default"));
        let spec = wanted.spec_mut();
        if let Some(strict) = strict {
            spec.insert("strictAffinity".to_owned(), strict.into());
        }
        if let Some(most) = most {
            spec.insert("maxBlocksPerHost".to_owned(), most.into());
        }
        let admitted = api::admit(wanted.clone().into_value(), &AdmitOptions::default());
        let wanted = admitted.map_err(|problems| invalid(&wanted, &problems).context("error: "))?;
        let written = match &old {
            Some(old) => objects.write_over(old, &wanted),
            None => objects.create(&wanted),
        };
        match written {
            Ok(_) => break,
            Err(failure) if failure.status == Status::Conflict && attempt < 20 => {}
            Err(failure) => return Err(failure.context("error: ")),
        }
    }
    if let Some(strict) = strict {
        session.line(format!("Successfully set StrictAffinity to: {strict}"))?;
    }
    if let Some(most) = most {
        session.line(format!("Successfully set MaxBlocksPerHost to: {most}"))?;
    }
    Ok(Status::Done)
}

/// The words that Go takes for booleans.
fn boolean(text: &str) -> Result<bool, Failure> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(Failure::usage(
            "invalid value. Use true or false to set strictaffinity",
        )),
    }
}

fn number(text: &str) -> Result<u32, Failure> {
    let wrong = || {
        Failure::usage("invalid value for maxblockhost. Use a valid number, from 0 for no limit")
    };
    text.parse().map_err(|_| wrong())
}
