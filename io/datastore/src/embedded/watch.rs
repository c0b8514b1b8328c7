//! Following the log: a connection of its own, a place in the log, and what wakes it.

use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use rusqlite::params;

use super::notify::Notify;
use super::schema::{self, Seq};
use super::session::Session;
use super::{Missing, Options};
use crate::watch::Source;
use crate::{Entry, Event, Revision, StorageError, WatchError, WatchMode};

/// A batch ends after the transaction in which it reaches this many events, or this many bytes.
const BATCH_EVENTS: usize = 4096;
const BATCH_BYTES: usize = 16 << 20;

const AFTER: &str = "SELECT seq, key, value FROM log WHERE seq > ?1 ORDER BY seq";

/// One watch's place in the log.
pub(super) struct EmbeddedSource {
    session: Session,
    notify: Notify,
    prefixes: Vec<Box<str>>,
    position: Revision,
    state: State,
}

enum State {
    /// There may be something after the position, whatever the kernel says.
    Look,
    /// Nothing to see until woken.
    Idle,
    /// Changes were missed: no more events.
    Lost { compacted: Revision },
}

impl EmbeddedSource {
    pub(super) fn open(
        path: &Path,
        options: &Options,
        prefixes: &[&str],
        from: Revision,
    ) -> Result<Self, WatchError> {
        let session = Session::open(path, options, Missing::Refuse)?;
        let notify = Notify::new(&session.resolved).map_err(WatchError::Wait)?;
        if let WatchMode::Polled { every, why } = notify.mode() {
            tracing::warn!(path = %path.display(), ?every, %why, "datastore changes are looked for at intervals");
        }
        let prefixes = prefixes.iter().map(|&prefix| prefix.into()).collect();
        Ok(Self {
            session,
            notify,
            prefixes,
            position: from,
            state: State::Look,
        })
    }

    fn look(&mut self) -> Result<Vec<Event>, WatchError> {
        let session = &self.session;
        let failed = |error| session.failed("watch", error);
        let tx = session.connection.unchecked_transaction().map_err(failed)?;
        session.ensure_format("watch")?;
        let (head, compacted) = schema::head(&tx).map_err(failed)?;
        if self.position < compacted || self.position > head {
            drop(tx);
            return Ok(self.lost(compacted));
        }
        let (events, reached) = collect(&tx, &self.prefixes, self.position).map_err(failed)?;
        drop(tx);
        match reached {
            Some(revision) => self.position = revision,
            None => (self.position, self.state) = (head, State::Idle),
        }
        Ok(events)
    }

    fn lost(&mut self, compacted: Revision) -> Vec<Event> {
        self.state = State::Lost { compacted };
        vec![Event::Resync { compacted }]
    }
}

impl Source for EmbeddedSource {
    fn mode(&self) -> &WatchMode {
        self.notify.mode()
    }

    fn revision(&self) -> Revision {
        self.position
    }

    /// What is there since the last call, if the kernel told of anything.
    fn drain(&mut self) -> Result<Vec<Event>, WatchError> {
        let woken = self.notify.clear();
        match self.state {
            State::Lost { compacted } => return Ok(vec![Event::Resync { compacted }]),
            State::Idle if !woken => return Ok(Vec::new()),
            State::Idle | State::Look => {}
        }
        // Whatever fails below is tried again at the next call.
        self.state = State::Look;
        match self.session.ensure_in_place("watch") {
            Ok(()) => {}
            Err(StorageError::Replaced { .. }) => return Ok(self.lost(self.position)),
            Err(error) => return Err(error.into()),
        }
        self.look()
    }
}

impl AsFd for EmbeddedSource {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.notify.as_fd()
    }
}

/// The events after `from`, and, if the batch was full before the log's end, the transaction it ends with.
fn collect(
    connection: &rusqlite::Connection,
    prefixes: &[Box<str>],
    from: Revision,
) -> rusqlite::Result<(Vec<Event>, Option<Revision>)> {
    let mut statement = connection.prepare_cached(AFTER)?;
    let mut rows = statement.query(params![Seq::end(from).0])?;
    let (mut events, mut bytes, mut last) = (Vec::new(), 0, from);
    while let Some(row) = rows.next()? {
        let revision = Seq(row.get(0)?).revision();
        if revision != last && (events.len() >= BATCH_EVENTS || bytes >= BATCH_BYTES) {
            return Ok((events, Some(last)));
        }
        last = revision;
        let key = row.get_ref(1)?.as_str()?;
        if !prefixes.is_empty() && !prefixes.iter().any(|prefix| key.starts_with(&**prefix)) {
            continue;
        }
        let key = key.into();
        events.push(match row.get_ref(2)?.as_blob_or_null()? {
            Some(value) => {
                bytes += value.len();
                Event::Put(Entry {
                    key,
                    value: value.to_vec(),
                    revision,
                })
            }
            None => Event::Delete { key, revision },
        });
    }
    Ok((events, None))
}
