//! A copy of the whole store in one file, and the proof that such a file is sound.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::{Connection, OpenFlags, params};
use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::failure::Doing;
use super::schema::{self, Format};
use super::session::Session;
use super::{Missing, Options, files};
use crate::{CommitError, Revision, StorageError};

/// Why a backup could not be made, or is not sound.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The target is there already.
    #[error("{} exists already: name a new file, or remove it", .path.display())]
    Exists {
        /// The target.
        path: PathBuf,
    },
    /// The target could not be written.
    #[error("failed to write backup {}", .path.display())]
    Write {
        /// The target.
        path: PathBuf,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// The store refused what the backup holds.
    #[error("failed to write what backup {} holds; the store is as it was", .path.display())]
    Restore {
        /// The backup.
        path: PathBuf,
        /// Why.
        #[source]
        source: CommitError,
    },
    /// The store, or the backup that is checked, failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// What a backup holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackupReport {
    /// The last commit it includes.
    pub revision: Revision,
    /// How many keys are live in it.
    pub entries: u64,
    /// The size of its file.
    pub bytes: u64,
}

/// Copies under a temporary name, flushes, and only then gives the copy its own: there is never half a backup.
pub(super) fn backup(
    path: &Path,
    options: &Options,
    target: &Path,
) -> Result<BackupReport, BackupError> {
    if target.symlink_metadata().is_ok() {
        return Err(BackupError::Exists {
            path: target.into(),
        });
    }
    let session = Session::open(path, options, Missing::Refuse)?;
    let partial = files::companion(target, &format!(".partial-{}", std::process::id()));
    let made = copy(&session, &partial, target);
    if made.is_err() {
        // Whatever is left of it is of no use; the first error is the one to tell.
        let _ = fs::remove_file(&partial);
    }
    made
}

fn copy(session: &Session, partial: &Path, target: &Path) -> Result<BackupReport, BackupError> {
    let failed = |source: io::Error| BackupError::Write {
        path: target.into(),
        source,
    };
    let file = files::create_file(partial).map_err(failed)?;
    let name = partial
        .to_str()
        .ok_or_else(|| failed(io::Error::other("its name is not UTF-8")))?;
    session
        .connection
        .execute("VACUUM INTO ?1", params![name])
        .map_err(|error| {
            let error = session.failed("copy", error);
            if matches!(error, StorageError::DiskFull { .. }) {
                // It is the target's disk that is full.
                return failed(io::ErrorKind::StorageFull.into());
            }
            BackupError::Storage(error)
        })?;
    file.sync_all().map_err(failed)?;
    let report = check(partial)?;
    renameat_with(CWD, partial, CWD, target, RenameFlags::NOREPLACE).map_err(
        |errno| match errno {
            rustix::io::Errno::EXIST => BackupError::Exists {
                path: target.into(),
            },
            errno => failed(errno.into()),
        },
    )?;
    let directory = target
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    files::sync_directory(directory).map_err(failed)?;
    Ok(report)
}

/// Reads every page, and compares what the tables say about each other.
pub(super) fn check(path: &Path) -> Result<BackupReport, BackupError> {
    open_checked(path).map(|(_, report)| report)
}

/// Opens a file that is sound, for reading only.
pub(super) fn open_checked(path: &Path) -> Result<(Connection, BackupReport), BackupError> {
    let resolved = files::prepare(path, Missing::Refuse)?;
    let doing = Doing {
        action: "check",
        path,
        lock_timeout: std::time::Duration::ZERO,
    };
    let failed = |error| BackupError::Storage(doing.failed(error));
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(&resolved, flags).map_err(failed)?;
    match schema::format(&connection).map_err(failed)? {
        Format::Present => {}
        Format::Older | Format::Foreign => {
            let detail = "it does not have the tables of one".into();
            return Err(StorageError::Foreign {
                path: path.into(),
                detail,
            }
            .into());
        }
        Format::Newer { found } => {
            return Err(StorageError::Newer {
                path: path.into(),
                found,
                known: schema::known(),
            }
            .into());
        }
    }
    let corrupt = |detail| {
        BackupError::Storage(StorageError::Corrupt {
            path: path.into(),
            detail,
        })
    };
    let verdict: String = connection
        .query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))
        .map_err(failed)?;
    if verdict != "ok" {
        return Err(corrupt(verdict));
    }
    let dangling: i64 = connection
        .query_row(
            "SELECT count(*) FROM current c LEFT JOIN log l ON l.seq = c.seq WHERE l.key IS NOT c.key OR l.value IS NULL",
            [],
            |row| row.get(0),
        )
        .map_err(failed)?;
    if dangling != 0 {
        return Err(corrupt(format!("{dangling} keys have no value")));
    }
    let (revision, _) = schema::head(&connection).map_err(failed)?;
    let entries: i64 = connection
        .query_row("SELECT count(*) FROM current", [], |row| row.get(0))
        .map_err(failed)?;
    let bytes = fs::metadata(path)
        .map_err(|error| StorageError::Io {
            action: "check",
            path: path.into(),
            source: Arc::new(error),
        })?
        .len();
    Ok((
        connection,
        BackupReport {
            revision,
            entries: entries.cast_unsigned(),
            bytes,
        },
    ))
}
