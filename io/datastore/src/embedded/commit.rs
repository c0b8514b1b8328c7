//! Writing: the transactions that wait together are made together, with one flush.

use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use super::schema::{self, Seq};
use super::session::{Access, Session};
use super::{Inner, compact, files, lock};
use crate::write::{Effect, validate};
use crate::{Capabilities, CommitError, Revision, StorageError, Write};

type Outcome = Result<Revision, CommitError>;

/// The transactions of this process that wait for the connection. Each waits in its caller, so there are never more
/// than there are threads.
#[derive(Default)]
pub(super) struct Queue {
    waiting: Mutex<Vec<Arc<Ticket>>>,
}

/// One caller's transaction, and its outcome once someone has made it.
struct Ticket {
    writes: Vec<Write>,
    outcome: Mutex<Option<Outcome>>,
}

impl Queue {
    /// Makes one transaction, and with it whatever else waits.
    pub(super) fn commit(&self, inner: &Inner, writes: &[Write]) -> Outcome {
        validate(writes, Capabilities::LOCAL)?;
        let ticket = Arc::new(Ticket {
            writes: writes.to_vec(),
            outcome: Mutex::default(),
        });
        self.waiting().push(Arc::clone(&ticket));
        let mut slot = lock(&inner.main);
        if let Some(outcome) = ticket.take() {
            return outcome;
        }
        let group = std::mem::take(&mut *self.waiting());
        let made = slot.with(&inner.path, &inner.options, Access::Write, |session| {
            commit_all(session, &group)
        });
        match made {
            Ok(outcomes) => {
                for (ticket, outcome) in group.iter().zip(outcomes) {
                    ticket.put(outcome);
                }
            }
            Err(failure) => {
                for ticket in &group {
                    ticket.put(Err(failure.outcome()));
                }
            }
        }
        drop(slot);
        // This ticket was in the group: it is taken out only under the slot's lock, by whoever fills it in.
        ticket.take().unwrap_or_else(|| {
            Err(StorageError::Deleted {
                path: inner.path.clone(),
            }
            .into())
        })
    }

    fn waiting(&self) -> std::sync::MutexGuard<'_, Vec<Arc<Ticket>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ticket {
    fn take(&self) -> Option<Outcome> {
        self.outcome
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    fn put(&self, outcome: Outcome) {
        *self.outcome.lock().unwrap_or_else(PoisonError::into_inner) = Some(outcome);
    }
}

/// Why a whole group failed.
enum GroupFailure {
    /// Nothing was done.
    Undone(StorageError),
    /// The disk failed during the last step: it may come back after a crash.
    Unsure(StorageError),
}

impl From<StorageError> for GroupFailure {
    fn from(error: StorageError) -> Self {
        Self::Undone(error)
    }
}

impl GroupFailure {
    fn outcome(&self) -> CommitError {
        match self {
            Self::Undone(error) => CommitError::Storage(error.clone()),
            Self::Unsure(error) => CommitError::Unsure(error.clone()),
        }
    }
}

/// Makes the transactions one after the other within one of SQLite's. Those whose conditions fail leave no trace.
fn commit_all(session: &mut Session, group: &[Arc<Ticket>]) -> Result<Vec<Outcome>, GroupFailure> {
    let failed = |error| session.failed("write", error);
    let tx = Transaction::new_unchecked(&session.connection, TransactionBehavior::Immediate)
        .map_err(failed)?;
    session.ensure_format("write")?;
    let (before, _) = schema::head(&tx).map_err(failed)?;
    let mut head = before;
    let mut outcomes = Vec::with_capacity(group.len());
    for ticket in group {
        let outcome = attempt(&tx, &ticket.writes, head).map_err(failed)?;
        head = outcome.as_ref().map_or(head, |&revision| revision);
        outcomes.push(outcome);
    }
    if head == before {
        return Ok(outcomes);
    }
    compact::ride_along(&tx, before, head, session.keep_commits).map_err(failed)?;
    tx.commit().map_err(|error| {
        let error = failed(error);
        // Both are found before the record that makes the transaction real is written.
        if matches!(
            error,
            StorageError::DiskFull { .. } | StorageError::Locked { .. }
        ) {
            return GroupFailure::Undone(error);
        }
        GroupFailure::Unsure(error)
    })?;
    session.ensure_in_place("write")?;
    if let Err(error) = files::touch(&session.resolved) {
        // The commit stands; watches see it with the next one, or when this process closes the file.
        tracing::warn!(path = %session.resolved.display(), %error, "failed to wake the watches of the datastore");
    }
    Ok(outcomes)
}

/// Makes one transaction upon the commit `head`, if its conditions hold; else changes nothing.
fn attempt(connection: &Connection, writes: &[Write], head: Revision) -> rusqlite::Result<Outcome> {
    let mut lookup = connection.prepare_cached("SELECT seq FROM current WHERE key = ?1")?;
    let mut found = Vec::with_capacity(writes.len());
    for write in writes {
        let seq: Option<i64> = lookup
            .query_row(params![&*write.key], |row| row.get(0))
            .optional()?;
        if let Err(refused) = write.permit(seq.map(|seq| Seq(seq).revision())) {
            return Ok(Err(refused));
        }
        found.push(seq);
    }
    let revision = Revision::new(head.get() + 1);
    let mut log = connection
        .prepare_cached("INSERT INTO log (seq, key, prev, value) VALUES (?1, ?2, ?3, ?4)")?;
    let mut store = connection.prepare_cached(
        "INSERT INTO current (key, seq) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET seq = excluded.seq",
    )?;
    let mut remove = connection.prepare_cached("DELETE FROM current WHERE key = ?1")?;
    let mut made = head;
    for (place, (write, prev)) in writes.iter().zip(found).enumerate() {
        let seq = Seq::new(revision, place).0;
        match write.effect() {
            Effect::Keep => continue,
            Effect::Store(value) => {
                log.execute(params![seq, &*write.key, prev, value])?;
                store.execute(params![&*write.key, seq])?;
            }
            Effect::Remove => {
                log.execute(params![seq, &*write.key, prev, None::<&[u8]>])?;
                remove.execute(params![&*write.key])?;
            }
        }
        made = revision;
    }
    Ok(Ok(made))
}
