//! `ipam release`: gives one address back, or all that reports of `ipam check` name as leaked.

use api::Kind;
use datastore::{CommitError, Revision, Write};
use ipam::release::{ReleaseAddress, Released, release_addresses};

use super::report::{self, Caution, Leaks};
use super::{address, driver};
use crate::cli::{Global, IpamReleaseArgs};
use crate::connect::{Purpose, connect};
use crate::lock::Refusal;
use crate::objects::Objects;
use crate::outcome::{Failure, Status, chain};
use crate::session::{Output, Session};
use crate::time;

/// How many addresses are released at once.
const AT_ONCE: usize = 32;

pub(crate) fn run(
    args: &IpamReleaseArgs,
    global: &Global,
    session: &mut Session<'_>,
) -> Result<Status, Failure> {
    if !args.from_report.is_empty() {
        let objects = connect(&args.config.config, Purpose::Maintain, global, session)?;
        return by_reports(&objects, args, session);
    }
    let text = args.ip.as_deref().ok_or_else(|| {
        Failure::usage("nothing to release: give --ip ADDRESS, or --from-report FILE")
    })?;
    let addr = address(text)?;
    let objects = connect(&args.config.config, Purpose::Maintain, global, session)?;
    let wanted = ReleaseAddress {
        addr,
        block: None,
        handle: None,
        sequence: None,
    };
    let released = release(&objects, vec![wanted])?;
    if released.released.is_empty() {
        return Err(Failure::new(
            Status::NotFound,
            format!("IP address {addr} is not assigned"),
        ));
    }
    session.line(format!("Successfully released IP address {addr}"))?;
    Ok(Status::Done)
}

fn release(objects: &Objects, addrs: Vec<ReleaseAddress>) -> Result<Released, Failure> {
    driver::run(objects, release_addresses(addrs, time::now()))?
        .map_err(|error| Failure::general(format!("error: {}", chain(&error))))
}

fn by_reports(
    objects: &Objects,
    args: &IpamReleaseArgs,
    session: &mut Session<'_>,
) -> Result<Status, Failure> {
    let information = objects.get(Kind::ClusterInformation, None, "default")?;
    let caution = if args.force {
        Caution::Forced
    } else {
        Caution::Kept
    };
    let leaks = report::read(&args.from_report, &information, caution, session)?;
    let addresses = release_leaked(objects, &leaks, session);
    let handles = delete_handles(objects, &leaks, session);
    addresses.and(handles)?;
    session.line("You may now unlock the data store.")?;
    Ok(Status::Done)
}

fn release_leaked(
    objects: &Objects,
    leaks: &Leaks,
    session: &mut Session<'_>,
) -> Result<(), Failure> {
    if leaks.addresses.is_empty() {
        return session.line("Report didn't contain any leaked IPs to clean up.");
    }
    session.line(format!("Releasing {} old IPs...", leaks.addresses.len()))?;
    let wanted: Vec<ReleaseAddress> = leaks
        .addresses
        .iter()
        .map(|(addr, leak)| ReleaseAddress {
            addr: *addr,
            block: None,
            handle: leak.handle.clone(),
            sequence: leak.sequence,
        })
        .collect();
    let (mut all, mut stopped) = (Released::default(), None);
    for part in wanted.chunks(AT_ONCE) {
        match release(objects, part.to_vec()) {
            Ok(done) => {
                all.released.extend(done.released);
                all.unassigned.extend(done.unassigned);
                all.changed.extend(done.changed);
            }
            Err(failure) => {
                stopped = Some(failure);
                break;
            }
        }
    }
    session.line(format!("Released {} IPs successfully", all.released.len()))?;
    if !all.unassigned.is_empty() {
        session.line(format!(
            "{} addresses marked as leaked in the report had already been cleaned up.",
            all.unassigned.len()
        ))?;
    }
    if !all.changed.is_empty() {
        let changed: Vec<String> = all.changed.iter().map(ToString::to_string).collect();
        let text = format!(
            "{} addresses were released and assigned again since the report, and were left alone: {}. Try regenerating the IPAM report and retry.",
            changed.len(),
            changed.join(", ")
        );
        stopped = stopped.or_else(|| Some(Failure::new(Status::Conflict, text)));
    }
    stopped.map_or(Ok(()), Err)
}

fn delete_handles(
    objects: &Objects,
    leaks: &Leaks,
    session: &mut Session<'_>,
) -> Result<(), Failure> {
    if leaks.handles.is_empty() {
        return session.line("Report didn't contain any handles to clean up.");
    }
    session.line(format!("Deleting {} handles...", leaks.handles.len()))?;
    let dots = session.output == Output::Terminal;
    if dots {
        session.line("Key: '.' = Deleted OK; 'x' = skip, handle missing/changed.")?;
    }
    let (mut deleted, mut skipped, mut failures) = (0_usize, 0_usize, Vec::new());
    for (id, revision) in &leaks.handles {
        let mark = match delete_handle(objects, id, revision) {
            Ok(Deleted::Yes) => {
                deleted += 1;
                "."
            }
            Ok(Deleted::NotAsReported) => {
                skipped += 1;
                "x"
            }
            Err(failure) => {
                failures.push(failure.context(format!("Deleting handle {id} failed: ")));
                "!"
            }
        };
        if dots {
            session.print(mark)?;
        }
    }
    if dots {
        session.line("")?;
    }
    session.line(format!(
        "Released {deleted} handles; {skipped} skipped; {} errors.",
        failures.len()
    ))?;
    failures.into_iter().next().map_or(Ok(()), Err)
}

/// What became of a handle.
enum Deleted {
    Yes,
    /// It is gone, or something was assigned under it since.
    NotAsReported,
}

fn delete_handle(objects: &Objects, id: &str, revision: &str) -> Result<Deleted, Failure> {
    let Ok(revision) = revision.parse() else {
        return Ok(Deleted::NotAsReported);
    };
    let key = api::store_key(Kind::IpamHandle, None, id);
    match objects.transact(&[Write::delete(key, Some(Revision::new(revision)))]) {
        Ok(_) => Ok(Deleted::Yes),
        Err(Refusal::Commit(CommitError::NotFound { .. } | CommitError::Conflict { .. })) => {
            Ok(Deleted::NotAsReported)
        }
        Err(refusal) => Err(objects.refused(refusal)),
    }
}
