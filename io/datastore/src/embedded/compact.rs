//! Forgetting: superseded rows of the log that no watch may ask for any more.
//!
//! A row can go once the row that supersedes it, or it itself if it is a deletion, lies behind the limit. So a step
//! looks at the rows between the old limit and the new one, and never at the live rows it leaves behind.

use rusqlite::{Connection, TransactionBehavior, params};

use super::files;
use super::schema::{self, Seq};
use super::session::Session;
use crate::{Revision, StorageError};

/// A writer whose commit crosses a multiple of this compacts.
const EVERY: u64 = 64;
/// The most commits one step forgets: more than it is called for, so that it catches up, and not so many that the
/// commit it rides on is late.
const STEP: u64 = 4 * EVERY;

/// Compacts within a commit's transaction, if its revisions cross the threshold.
pub(super) fn ride_along(
    connection: &Connection,
    before: Revision,
    after: Revision,
    keep: u64,
) -> rusqlite::Result<()> {
    if before.get() / EVERY == after.get() / EVERY {
        return Ok(());
    }
    let (_, compacted) = schema::head(connection)?;
    let limit = after.get().saturating_sub(keep).min(compacted.get() + STEP);
    forget(connection, compacted, Revision::new(limit))
}

/// Forgets all but the last `keep` commits at once.
pub(super) fn compact(session: &mut Session, keep: u64) -> Result<(), StorageError> {
    let failed = |error| session.failed("compact", error);
    let tx =
        rusqlite::Transaction::new_unchecked(&session.connection, TransactionBehavior::Immediate)
            .map_err(failed)?;
    session.ensure_format("compact")?;
    let (head, compacted) = schema::head(&tx).map_err(failed)?;
    forget(
        &tx,
        compacted,
        Revision::new(head.get().saturating_sub(keep)),
    )
    .map_err(failed)?;
    tx.commit().map_err(failed)?;
    // A watch that is now too far behind learns it at once; it would learn it with the next commit anyway.
    let _ = files::touch(&session.resolved);
    Ok(())
}

fn forget(connection: &Connection, from: Revision, limit: Revision) -> rusqlite::Result<()> {
    if limit <= from {
        return Ok(());
    }
    let span = params![Seq::end(from).0, Seq::end(limit).0];
    connection
        .prepare_cached("DELETE FROM log WHERE seq IN (SELECT prev FROM log WHERE seq > ?1 AND seq <= ?2 AND prev IS NOT NULL)")?
        .execute(span)?;
    // The last row stays even if it is a deletion: it is what remembers the last revision.
    connection
        .prepare_cached(
            "DELETE FROM log WHERE seq > ?1 AND seq <= ?2 AND value IS NULL AND seq < (SELECT max(seq) FROM log)",
        )?
        .execute(span)?;
    connection
        .prepare_cached("UPDATE state SET compacted = ?1")?
        .execute(params![limit.get().cast_signed()])?;
    Ok(())
}
