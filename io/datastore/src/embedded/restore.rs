//! Going back to a backup, as an ordinary commit: a file put in another's place would leave its write-ahead log behind
//! for the wrong file, and everyone who has it open on the old one.

use std::path::Path;

use super::EmbeddedStore;
use super::backup::{BackupError, open_checked};
use super::failure::Doing;
use crate::{CommitError, Entry, Query, ReadError, Revision, Snapshot, Write};

/// How often another's commit may come between before this gives up.
const ATTEMPTS: usize = 10;

/// What a restore did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RestoreReport {
    /// The commit that made the store hold what the backup holds.
    pub revision: Revision,
    /// How many keys were written.
    pub written: usize,
    /// How many keys were removed.
    pub removed: usize,
}

pub(super) fn restore(store: &EmbeddedStore, path: &Path) -> Result<RestoreReport, BackupError> {
    let wanted = entries(path)?;
    let failed = |source| BackupError::Restore {
        path: path.into(),
        source,
    };
    let mut attempt = 1;
    loop {
        let found = store
            .read_sync(&[Query::prefix("")])
            .map_err(|error| match error {
                ReadError::Storage(error) => BackupError::Storage(error),
                ReadError::InvalidKey(error) => failed(error.into()),
            })?;
        let writes = difference(&found, &wanted);
        let removed = writes
            .iter()
            .filter(|write| matches!(write.op, crate::WriteOp::Delete { .. }))
            .count();
        match store.commit_sync(&writes) {
            Ok(revision) => {
                return Ok(RestoreReport {
                    revision,
                    written: writes.len() - removed,
                    removed,
                });
            }
            Err(
                CommitError::Conflict { .. }
                | CommitError::AlreadyExists { .. }
                | CommitError::NotFound { .. },
            ) if attempt < ATTEMPTS => {
                attempt += 1;
            }
            Err(error) => return Err(failed(error)),
        }
    }
}

/// All that a sound backup holds, in order.
fn entries(path: &Path) -> Result<Snapshot, BackupError> {
    let (connection, report) = open_checked(path)?;
    let read = || -> rusqlite::Result<Vec<Entry>> {
        let mut statement = connection.prepare(
            "SELECT c.key, l.value FROM current c JOIN log l ON l.seq = c.seq ORDER BY c.key",
        )?;
        let rows = statement.query_map([], |row| {
            Ok(Entry {
                key: row.get(0)?,
                value: row.get(1)?,
                revision: report.revision,
            })
        })?;
        rows.collect()
    };
    let doing = Doing {
        action: "read",
        path,
        lock_timeout: std::time::Duration::ZERO,
    };
    let entries = read().map_err(|error| doing.failed(error))?;
    Ok(Snapshot {
        revision: report.revision,
        entries,
    })
}

/// What turns `found` into `wanted`; on condition that `found` still stands where it changes.
fn difference(found: &Snapshot, wanted: &Snapshot) -> Vec<Write> {
    let gone = found
        .entries
        .iter()
        .filter(|entry| wanted.get(&entry.key).is_none());
    let removed = gone.map(|entry| Write::delete(entry.key.clone(), Some(entry.revision)));
    let written = wanted
        .entries
        .iter()
        .filter_map(|entry| match found.get(&entry.key) {
            None => Some(Write::create(entry.key.clone(), entry.value.clone())),
            Some(there) if there.value != entry.value => Some(Write::update(
                entry.key.clone(),
                entry.value.clone(),
                there.revision,
            )),
            Some(_) => None,
        });
    removed.chain(written).collect()
}
