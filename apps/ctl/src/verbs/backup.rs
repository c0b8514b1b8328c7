//! `datastore backup`: the embedded store in one file.

use datastore::AnyStore;

use crate::cli::{BackupArgs, Global};
use crate::connect::{Purpose, choose, open};
use crate::outcome::{Failure, Status, chain};
use crate::session::Session;

pub(crate) fn run(
    args: &BackupArgs,
    global: &Global,
    session: &mut Session<'_>,
) -> Result<Status, Failure> {
    let choice = choose(&args.config.config, global, session)?;
    let objects = open(choice, Purpose::Read)?;
    let AnyStore::Embedded(store) = objects.store() else {
        return Err(Failure::usage(format!(
            "only the embedded datastore is backed up so; this is {}",
            objects.choice()
        )));
    };
    let report = store
        .backup(&args.file)
        .map_err(|error| Failure::general(chain(&error)))?;
    session.line(format!(
        "Successfully wrote {} entries of revision {} to {} ({} bytes)",
        report.entries,
        report.revision,
        args.file.display(),
        report.bytes
    ))?;
    Ok(Status::Done)
}
