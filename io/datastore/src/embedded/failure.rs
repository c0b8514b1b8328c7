//! What SQLite's refusals mean for the user.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Error, ErrorCode, ffi};

use super::files::{companion, identity, refused};
use crate::StorageError;

/// Where an error happened, to make it one that says so.
#[derive(Clone, Copy)]
pub(super) struct Doing<'a> {
    pub(super) action: &'static str,
    pub(super) path: &'a Path,
    pub(super) lock_timeout: Duration,
}

impl Doing<'_> {
    /// Names the failure, in the user's terms.
    pub(super) fn failed(self, error: Error) -> StorageError {
        let path = self.path.to_owned();
        let Error::SqliteFailure(code, text) = &error else {
            return StorageError::Corrupt {
                path,
                detail: error.to_string(),
            };
        };
        match code.extended_code {
            ffi::SQLITE_READONLY_DBMOVED => return self.moved(),
            // The shared index could not grow; SQLite has no code of its own for a full disk here.
            ffi::SQLITE_IOERR_SHMSIZE => return StorageError::DiskFull { path },
            _ => {}
        }
        #[expect(
            clippy::wildcard_enum_match_arm,
            reason = "SQLite's codes are not ours, and most have no meaning here"
        )]
        match code.code {
            ErrorCode::DatabaseBusy
            | ErrorCode::DatabaseLocked
            | ErrorCode::FileLockingProtocolFailed => StorageError::Locked {
                holder: holder(self.path),
                path,
                waited: self.lock_timeout,
            },
            ErrorCode::DiskFull => StorageError::DiskFull { path },
            ErrorCode::ReadOnly => StorageError::ReadOnly { path },
            ErrorCode::CannotOpen | ErrorCode::PermissionDenied => self.cannot_open(error),
            ErrorCode::DatabaseCorrupt => StorageError::Corrupt {
                path,
                detail: text
                    .clone()
                    .unwrap_or_else(|| "its pages do not fit together".into()),
            },
            ErrorCode::NotADatabase => StorageError::Foreign {
                path,
                detail: "it is not an SQLite database".into(),
            },
            // The failed operation had a system call's error behind it, which SQLite does not hand out.
            _ => StorageError::Sqlite {
                action: self.action,
                path,
                source: Arc::new(error),
            },
        }
    }

    /// The file under this name is not the one that is open.
    pub(super) fn moved(self) -> StorageError {
        let path = self.path.to_owned();
        match identity(self.path) {
            Ok(Some(_)) => StorageError::Replaced { path },
            Ok(None) => StorageError::Deleted { path },
            Err(error) => refused(self.path, self.action, error),
        }
    }

    /// SQLite only says that it could not open a file: find out which and why.
    fn cannot_open(self, error: Error) -> StorageError {
        let path = self.path.to_owned();
        let directory = self.path.parent().unwrap_or(Path::new("/"));
        let write = rustix::fs::Access::WRITE_OK | rustix::fs::Access::READ_OK;
        for file in [self.path, directory] {
            match rustix::fs::access(file, write) {
                Ok(()) => {}
                Err(rustix::io::Errno::ROFS) => return StorageError::ReadOnly { path },
                Err(errno) => return refused(self.path, self.action, errno.into()),
            }
        }
        match fs::File::options()
            .write(true)
            .open(companion(self.path, "-wal"))
        {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                refused(self.path, self.action, error)
            }
            _ => StorageError::Sqlite {
                action: self.action,
                path,
                source: Arc::new(error),
            },
        }
    }
}

/// Who holds a lock on the file, as far as the kernel tells.
fn holder(path: &Path) -> String {
    let files = [path.to_owned(), companion(path, "-shm")];
    let inodes: Vec<_> = files
        .iter()
        .filter_map(|file| fs::metadata(file).ok())
        .map(|found| found.ino())
        .collect();
    let locks = fs::read_to_string("/proc/locks").unwrap_or_default();
    let holder = locks.lines().find_map(|line| write_lock_of(line, &inodes));
    match holder {
        Some(pid) if pid == std::process::id() => "another thread of this process".into(),
        Some(pid) => match fs::read_to_string(format!("/proc/{pid}/comm")) {
            Ok(name) => format!("process {pid} ({})", name.trim_end()),
            Err(_) => format!("process {pid}"),
        },
        None => "another process".into(),
    }
}

/// The process of one line of `/proc/locks`, if that is a write lock on one of `inodes`:
/// `1: POSIX  ADVISORY  WRITE 4711 fe:00:1234 120 120`.
fn write_lock_of(line: &str, inodes: &[u64]) -> Option<u32> {
    let mut words = line.split_ascii_whitespace().skip(1);
    let (_class, _advisory, kind) = (words.next()?, words.next()?, words.next()?);
    let pid: u32 = words.next()?.parse().ok()?;
    let inode: u64 = words.next()?.rsplit(':').next()?.parse().ok()?;
    // A process outside our PID namespace has the number 0.
    (kind == "WRITE" && pid != 0 && inodes.contains(&inode)).then_some(pid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_names_the_holder() {
        let line = "12: POSIX  ADVISORY  WRITE 4711 fe:00:1234 120 120";
        assert_eq!(write_lock_of(line, &[1, 1234]), Some(4711));
        assert_eq!(write_lock_of(line, &[4711]), None);
        assert_eq!(
            write_lock_of(
                "12: POSIX  ADVISORY  READ  4711 fe:00:1234 120 120",
                &[1234]
            ),
            None
        );
        assert_eq!(write_lock_of("12: -> POSIX", &[1234]), None);
        assert_eq!(
            write_lock_of("1: POSIX  ADVISORY  WRITE 0 fe:00:1234 120 120", &[1234]),
            None
        );
        assert_eq!(write_lock_of("", &[]), None);
    }
}
