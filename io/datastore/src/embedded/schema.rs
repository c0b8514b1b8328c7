//! The file's format, and how an older one becomes the present one.
//!
//! `log` is everything that happened and is not yet forgotten; `current` names the row of the log that holds each live
//! key. A row's `seq` is its commit's revision and its place within the commit, so the log needs no second index and a
//! watch reads it by its primary key. `prev` is the row it supersedes, so that compaction looks only at what it passes.

use rusqlite::{Connection, Transaction, TransactionBehavior};

use crate::Revision;

/// `PRAGMA application_id` of our files: "CALI".
pub(super) const APPLICATION_ID: i64 = 0x4341_4c49;

/// What makes each format from the one before; the first makes a file from nothing.
pub(super) const STEPS: &[&str] = &["
    CREATE TABLE log (
        seq INTEGER PRIMARY KEY,  -- revision << 20 | place in its commit
        key TEXT NOT NULL,
        prev INTEGER,             -- the row of this key that it supersedes
        value BLOB                -- NULL: deleted
    );
    CREATE TABLE current (key TEXT PRIMARY KEY, seq INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE state (compacted INTEGER NOT NULL);  -- one row
    INSERT INTO state VALUES (0);
"];

const PLACE_BITS: u32 = 20;

/// A row's number in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Seq(pub(super) i64);

impl Seq {
    /// The row at `place` in the commit `revision`.
    pub(super) fn new(revision: Revision, place: usize) -> Self {
        // A revision beyond 2^43 is not reached: a million commits a second take 278 years.
        Self(
            Self::end(revision)
                .0
                .wrapping_sub((1 << PLACE_BITS) - 1)
                .wrapping_add_unsigned(place as u64),
        )
    }

    /// The last number the commit `revision` can have.
    pub(super) fn end(revision: Revision) -> Self {
        let start = i64::try_from(revision.get()).unwrap_or(i64::MAX) & (i64::MAX >> PLACE_BITS);
        Self(start << PLACE_BITS | ((1 << PLACE_BITS) - 1))
    }

    /// The commit this row belongs to.
    pub(super) fn revision(self) -> Revision {
        Revision::new(u64::try_from(self.0 >> PLACE_BITS).unwrap_or(0))
    }
}

/// What a file says about itself.
pub(super) enum Format {
    Present,
    Older,
    Newer { found: i64 },
    Foreign,
}

/// The newest format this build reads.
pub(super) fn known() -> i64 {
    i64::try_from(STEPS.len()).unwrap_or(i64::MAX)
}

/// Asks a file for its format.
pub(super) fn format(connection: &Connection) -> rusqlite::Result<Format> {
    // One snapshot: another process may be making the file at this moment.
    let tx = connection.unchecked_transaction()?;
    let found = user_version(&tx)?;
    let application: i64 = tx.pragma_query_value(None, "application_id", |row| row.get(0))?;
    if application == APPLICATION_ID {
        return Ok(match found.cmp(&known()) {
            std::cmp::Ordering::Less => Format::Older,
            std::cmp::Ordering::Equal => Format::Present,
            std::cmp::Ordering::Greater => Format::Newer { found },
        });
    }
    let tables: i64 = tx.query_row("SELECT count(*) FROM sqlite_master", [], |row| row.get(0))?;
    Ok(if (application, found, tables) == (0, 0, 0) {
        Format::Older
    } else {
        Format::Foreign
    })
}

/// The format's number; asked again in every transaction, for a newer release may upgrade the file meanwhile.
pub(super) fn user_version(connection: &Connection) -> rusqlite::Result<i64> {
    connection
        .prepare_cached("PRAGMA user_version")?
        .query_row([], |row| row.get(0))
}

/// Brings an older or empty file to the last of `steps`, in one transaction; another process may have been faster.
pub(super) fn upgrade(connection: &mut Connection, steps: &[&str]) -> rusqlite::Result<()> {
    let tx = Transaction::new(connection, TransactionBehavior::Immediate)?;
    let found = usize::try_from(user_version(&tx)?).unwrap_or(usize::MAX);
    for step in steps.iter().skip(found) {
        tx.execute_batch(step)?;
    }
    if found < steps.len() {
        tx.pragma_update(None, "application_id", APPLICATION_ID)?;
        tx.pragma_update(
            None,
            "user_version",
            i64::try_from(steps.len()).unwrap_or(i64::MAX),
        )?;
    }
    tx.commit()
}

/// The last commit, and the last that is forgotten.
pub(super) fn head(connection: &Connection) -> rusqlite::Result<(Revision, Revision)> {
    connection
        .prepare_cached("SELECT (SELECT max(seq) FROM log), compacted FROM state")?
        .query_row([], |row| {
            let head: Option<i64> = row.get(0)?;
            let compacted: i64 = row.get(1)?;
            let compacted = Revision::new(u64::try_from(compacted).unwrap_or(0));
            Ok((head.map_or(compacted, |seq| Seq(seq).revision()), compacted))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_ordered_by_commit_then_place() {
        let revision = Revision::new(7);
        assert_eq!(Seq::new(revision, 0).revision(), revision);
        assert_eq!(Seq::new(revision, crate::MAX_WRITES).revision(), revision);
        assert!(Seq::end(Revision::new(6)) < Seq::new(revision, 0));
        assert!(Seq::new(revision, crate::MAX_WRITES) < Seq::end(revision));
        const { assert!(crate::MAX_WRITES < 1 << PLACE_BITS) };
        assert_eq!(
            Seq::end(Revision::new(u64::MAX)).revision(),
            Revision::new((1 << 43) - 1)
        );
    }

    #[test]
    fn an_older_file_is_brought_up_step_by_step() {
        let mut connection = Connection::open_in_memory().expect("memory");
        upgrade(
            &mut connection,
            &["CREATE TABLE a (x); INSERT INTO a VALUES (1)"],
        )
        .expect("step 1");
        let steps = [
            "CREATE TABLE a (x)",
            "ALTER TABLE a ADD COLUMN y",
            "UPDATE a SET y = x + 1",
        ];
        upgrade(&mut connection, &steps).expect("steps 2 and 3");
        upgrade(&mut connection, &steps).expect("nothing left to do");
        let y: i64 = connection
            .query_row("SELECT y FROM a", [], |row| row.get(0))
            .expect("y");
        assert_eq!((y, user_version(&connection).expect("version")), (2, 3));
    }

    #[test]
    fn a_failed_upgrade_changes_nothing() {
        let mut connection = Connection::open_in_memory().expect("memory");
        upgrade(&mut connection, &["CREATE TABLE a (x)"]).expect("step 1");
        upgrade(&mut connection, &["", "CREATE TABLE b (x)", "nonsense"])
            .expect_err("step 3 fails");
        assert_eq!(user_version(&connection).expect("version"), 1);
        connection
            .execute("CREATE TABLE b (x)", [])
            .expect("b was rolled back");
    }
}
