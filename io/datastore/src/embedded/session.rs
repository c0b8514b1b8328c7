//! One connection to one file, and the slot that keeps it the right one.

use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::failure::Doing;
use super::files::{self, Identity};
use super::schema::{self, Format};
use super::{Close, Missing, Options};
use crate::StorageError;

/// An open file of the present format.
pub(super) struct Session {
    pub(super) connection: Connection,
    /// The file's name, without symbolic links: where SQLite puts its companions.
    pub(super) resolved: PathBuf,
    named: PathBuf,
    identity: Identity,
    lock_timeout: Duration,
    pub(super) keep_commits: u64,
}

/// What a session is wanted for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// A read of whatever file stands there.
    Read,
    /// A change that rests on what was read before: not made to a file that took the other's place.
    Write,
}

impl Session {
    /// Opens the file, and makes or upgrades what it holds.
    pub(super) fn open(
        path: &Path,
        options: &Options,
        missing: Missing,
    ) -> Result<Self, StorageError> {
        let resolved = files::prepare(path, missing)?;
        let doing = Doing {
            action: "open",
            path,
            lock_timeout: options.lock_timeout,
        };
        let before = files::identity(path).map_err(|error| files::refused(path, "open", error))?;
        let connection = connect(&resolved, options).map_err(|error| doing.failed(error))?;
        let Some(identity) = before else {
            return Err(doing.moved());
        };
        let mut session = Self {
            connection,
            resolved,
            named: path.to_owned(),
            identity,
            lock_timeout: options.lock_timeout,
            keep_commits: options.keep_commits,
        };
        session.adopt()?;
        // What SQLite opened is what was looked at, if the same file stands there before and after.
        session.ensure_in_place("open")?;
        Ok(session)
    }

    fn adopt(&mut self) -> Result<(), StorageError> {
        match schema::format(&self.connection).map_err(|error| self.failed("open", error))? {
            Format::Present => {}
            Format::Older => {
                self.enter_wal()
                    .map_err(|error| self.failed("open", error))?;
                schema::upgrade(&mut self.connection, schema::STEPS)
                    .map_err(|error| self.failed("upgrade", error))?;
            }
            Format::Newer { found } => return Err(self.newer(found)),
            Format::Foreign => {
                return Err(StorageError::Foreign {
                    path: self.named.clone(),
                    detail: "it is a database of another program".into(),
                });
            }
        }
        // A restored backup is not in WAL mode yet.
        self.enter_wal().map_err(|error| self.failed("open", error))
    }

    /// Write-ahead logging is a property of the file, so this changes it once in its life.
    fn enter_wal(&self) -> rusqlite::Result<()> {
        let mode: String = self
            .connection
            .pragma_query_value(None, "journal_mode", |row| row.get(0))?;
        if mode == "wal" {
            return Ok(());
        }
        // SQLite does not wait for the lock here if two processes try at once, lest they wait for each other.
        let deadline = Instant::now() + self.lock_timeout;
        loop {
            let changed =
                self.connection
                    .pragma_update_and_check(None, "journal_mode", "WAL", |row| {
                        row.get::<_, String>(0)
                    });
            match changed {
                Err(error)
                    if error.sqlite_error_code() == Some(rusqlite::ErrorCode::DatabaseBusy)
                        && Instant::now() < deadline =>
                {
                    sleep(Duration::from_millis(1));
                }
                changed => return changed.map(drop),
            }
        }
    }

    /// Makes sure that the file under our name is still the one that is open.
    pub(super) fn ensure_in_place(&self, action: &'static str) -> Result<(), StorageError> {
        match files::identity(&self.named) {
            Ok(Some(identity)) if identity == self.identity => Ok(()),
            Ok(Some(_)) => Err(StorageError::Replaced {
                path: self.named.clone(),
            }),
            Ok(None) => Err(StorageError::Deleted {
                path: self.named.clone(),
            }),
            Err(error) => Err(files::refused(&self.named, action, error)),
        }
    }

    /// Makes sure, within a transaction, that no newer release has changed the format meanwhile.
    pub(super) fn ensure_format(&self, action: &'static str) -> Result<(), StorageError> {
        let found =
            schema::user_version(&self.connection).map_err(|error| self.failed(action, error))?;
        if found == schema::known() {
            Ok(())
        } else {
            Err(self.newer(found))
        }
    }

    fn newer(&self, found: i64) -> StorageError {
        StorageError::Newer {
            path: self.named.clone(),
            found,
            known: schema::known(),
        }
    }

    /// Says what SQLite's error means.
    pub(super) fn failed(&self, action: &'static str, error: rusqlite::Error) -> StorageError {
        Doing {
            action,
            path: &self.named,
            lock_timeout: self.lock_timeout,
        }
        .failed(error)
    }

    /// Moves the write-ahead log into the main file, as far as no reader needs it.
    pub(super) fn checkpoint(&mut self) -> Result<(), StorageError> {
        self.connection
            .query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))
            .map_err(|error| self.failed("checkpoint", error))
    }
}

/// Opens a connection; nothing here reads the file yet.
fn connect(path: &Path, options: &Options) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags)?;
    connection.busy_handler(Some(patience(options.lock_timeout)))?;
    // Durable through power loss: each commit waits until its log is on the disk.
    connection.pragma_update(None, "synchronous", "FULL")?;
    match options.close {
        Close::Fold => {}
        Close::Leave => {
            connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        }
    }
    Ok(connection)
}

/// Waits for another process's lock: short at first, as a commit takes a flush's time, and never in step with others.
fn patience(limit: Duration) -> impl FnMut(i32) -> bool + Send + 'static {
    let mut started = Instant::now();
    let mut random = u64::from(std::process::id()) | 1 << 32;
    move |attempt| {
        if attempt == 0 {
            started = Instant::now();
        }
        if started.elapsed() >= limit {
            return false;
        }
        // xorshift64: spreads the waiters, nothing more.
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let ceiling = 100_u64 << attempt.clamp(0, 4);
        sleep(Duration::from_micros(50 + random % ceiling));
        true
    }
}

/// A session that is opened on need, and opened again when another file has taken the place of its own.
#[derive(Default)]
pub(super) struct Slot {
    session: Option<Session>,
}

impl Slot {
    /// Opens the session of a new store.
    pub(super) fn open(&mut self, path: &Path, options: &Options) -> Result<(), StorageError> {
        self.session = Some(Session::open(path, options, options.missing)?);
        Ok(())
    }

    /// Does `work` with a session of the file that stands there.
    pub(super) fn with<T, E: From<StorageError>>(
        &mut self,
        path: &Path,
        options: &Options,
        access: Access,
        work: impl FnOnce(&mut Session) -> Result<T, E>,
    ) -> Result<T, E> {
        let session = self.current(path, options, access)?;
        let result = work(session);
        if result.is_err() && session.ensure_in_place("use").is_err() {
            // The next caller opens what stands there then.
            self.session = None;
        }
        result
    }

    fn current(
        &mut self,
        path: &Path,
        options: &Options,
        access: Access,
    ) -> Result<&mut Session, StorageError> {
        let place = self
            .session
            .as_ref()
            .map(|session| session.ensure_in_place("use"));
        match place {
            Some(Ok(())) => {}
            None => self.session = Some(reopen(path, options)?),
            Some(Err(StorageError::Replaced { path: replaced })) => {
                tracing::warn!(path = %path.display(), "datastore file was replaced while in use; opening the new one");
                self.session = Some(reopen(path, options)?);
                if access == Access::Write {
                    return Err(StorageError::Replaced { path: replaced });
                }
            }
            Some(Err(error)) => return Err(error),
        }
        // Only a missing session is left here, and each arm above that goes on has made one.
        self.session.as_mut().ok_or(StorageError::Deleted {
            path: path.to_owned(),
        })
    }
}

/// A file that was there and is gone is not made anew: an empty store would take the node's policy away.
fn reopen(path: &Path, options: &Options) -> Result<Session, StorageError> {
    match Session::open(path, options, Missing::Refuse) {
        Err(StorageError::Missing { path }) => Err(StorageError::Deleted { path }),
        opened => opened,
    }
}
