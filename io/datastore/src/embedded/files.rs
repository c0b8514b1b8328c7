//! The file on the disk: made with care, recognised by device and inode, touched to wake watches.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, UTIME_NOW, utimensat};

use super::Missing;
use crate::StorageError;

/// Only root, or the owner, may read what the store holds.
const FILE_MODE: u32 = 0o600;
/// Others find their files (nodename, mtu) in the same directory.
const DIRECTORY_MODE: u32 = 0o755;

/// Which file it is, whatever its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    device: u64,
    inode: u64,
}

/// The file that stands at `path`, if any.
pub(super) fn identity(path: &Path) -> io::Result<Option<Identity>> {
    match fs::metadata(path) {
        Ok(found) => Ok(Some(Identity {
            device: found.dev(),
            inode: found.ino(),
        })),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Makes sure that a regular file stands at `path`; returns its name without symbolic links.
pub(super) fn prepare(path: &Path, missing: Missing) -> Result<PathBuf, StorageError> {
    match fs::metadata(path) {
        Ok(found) if found.is_file() => {}
        Ok(_) => {
            return Err(StorageError::Foreign {
                path: path.into(),
                detail: "it is not a regular file".into(),
            });
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => match missing {
            Missing::Create => create(path)?,
            Missing::Refuse => return Err(StorageError::Missing { path: path.into() }),
        },
        Err(error) => return Err(refused(path, "open", error)),
    }
    fs::canonicalize(path).map_err(|error| refused(path, "open", error))
}

fn create(path: &Path) -> Result<(), StorageError> {
    if let Some(directory) = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
    {
        create_directory(directory)?;
    }
    match create_file(path) {
        Ok(_) => Ok(()),
        // Another process was faster.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(refused(path, "create", error)),
    }
}

/// Makes an empty file that only its owner can read.
pub(super) fn create_file(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(FILE_MODE)
        .open(path)
}

fn create_directory(directory: &Path) -> Result<(), StorageError> {
    if directory.is_dir() {
        return Ok(());
    }
    let missing: Vec<_> = directory
        .ancestors()
        .take_while(|ancestor| !ancestor.exists())
        .collect();
    DirBuilder::new()
        .recursive(true)
        .mode(DIRECTORY_MODE)
        .create(directory)
        .map_err(|source| StorageError::Directory {
            path: directory.into(),
            source: Arc::new(source),
        })?;
    // SQLite flushes the directory of its files; those above are ours to make durable.
    for made in missing {
        if let Some(parent) = made
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty())
        {
            sync_directory(parent).map_err(|source| StorageError::Directory {
                path: directory.into(),
                source: Arc::new(source),
            })?;
        }
    }
    Ok(())
}

/// Makes the names in a directory durable.
pub(super) fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

/// Tells watches that there is something to see. A process that dies before it gets here closes its files, and that
/// wakes them too.
pub(super) fn touch(path: &Path) -> io::Result<()> {
    // Both times: one alone counts as a read or a write of the file, of which a checkpoint makes many.
    let now = Timespec {
        tv_sec: 0,
        tv_nsec: UTIME_NOW,
    };
    let times = Timestamps {
        last_access: now,
        last_modification: now,
    };
    utimensat(CWD, path, &times, AtFlags::empty()).map_err(Into::into)
}

/// `path` with `suffix` added to its last part, as SQLite names its companions.
pub(super) fn companion(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

/// What the kernel's refusal means for the user.
pub(super) fn refused(path: &Path, action: &'static str, source: io::Error) -> StorageError {
    let path = path.to_owned();
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the kernel's error kinds are not ours, and most have no advice to give"
    )]
    match source.kind() {
        io::ErrorKind::PermissionDenied => StorageError::Permission {
            path,
            source: Arc::new(source),
        },
        io::ErrorKind::ReadOnlyFilesystem => StorageError::ReadOnly { path },
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            StorageError::DiskFull { path }
        }
        _ => StorageError::Io {
            action,
            path,
            source: Arc::new(source),
        },
    }
}
