//! Reading: all queries in one read transaction.

use rusqlite::{Row, params};

use super::schema::{self, Seq};
use super::session::Session;
use crate::write::validate_key;
use crate::{Entry, Query, ReadError, Snapshot};

const ONE: &str =
    "SELECT c.key, l.value, c.seq FROM current c JOIN log l ON l.seq = c.seq WHERE c.key = ?1";
const RANGE: &str = "SELECT c.key, l.value, c.seq FROM current c CROSS JOIN log l ON l.seq = c.seq \
    WHERE c.key >= ?1 AND c.key < ?2 ORDER BY c.key";
const REST: &str = "SELECT c.key, l.value, c.seq FROM current c CROSS JOIN log l ON l.seq = c.seq \
    WHERE c.key >= ?1 ORDER BY c.key";

/// Answers all `queries` from one snapshot.
pub(super) fn read(session: &mut Session, queries: &[Query]) -> Result<Snapshot, ReadError> {
    for query in queries {
        if let Query::Key(key) = query {
            validate_key(key)?;
        }
    }
    // Dropped without a commit: it has nothing to keep.
    let tx = session
        .connection
        .unchecked_transaction()
        .map_err(|error| session.failed("read", error))?;
    session.ensure_format("read")?;
    let snapshot = collect(&tx, queries).map_err(|error| session.failed("read", error))?;
    Ok(snapshot)
}

fn collect(connection: &rusqlite::Connection, queries: &[Query]) -> rusqlite::Result<Snapshot> {
    let (revision, _) = schema::head(connection)?;
    let mut entries = Vec::new();
    for query in queries {
        match query {
            Query::Key(key) => {
                let mut statement = connection.prepare_cached(ONE)?;
                append(&mut entries, statement.query_map(params![key], entry)?)?;
            }
            Query::Prefix(prefix) => match successor(prefix) {
                Some(end) => {
                    let mut statement = connection.prepare_cached(RANGE)?;
                    append(
                        &mut entries,
                        statement.query_map(params![prefix, end], entry)?,
                    )?;
                }
                None => {
                    let mut statement = connection.prepare_cached(REST)?;
                    append(&mut entries, statement.query_map(params![prefix], entry)?)?;
                }
            },
        }
    }
    if queries.len() > 1 {
        entries.sort_unstable_by(|a, b| a.key.cmp(&b.key));
        entries.dedup_by(|a, b| a.key == b.key);
    }
    Ok(Snapshot { revision, entries })
}

fn append(
    entries: &mut Vec<Entry>,
    found: impl Iterator<Item = rusqlite::Result<Entry>>,
) -> rusqlite::Result<()> {
    for entry in found {
        entries.push(entry?);
    }
    Ok(())
}

fn entry(row: &Row<'_>) -> rusqlite::Result<Entry> {
    Ok(Entry {
        key: row.get(0)?,
        value: row.get(1)?,
        revision: Seq(row.get(2)?).revision(),
    })
}

/// The least text greater than all that begin with `prefix`; `None` if nothing is. SQLite compares the bytes of UTF-8,
/// whose order is that of the characters.
fn successor(prefix: &str) -> Option<String> {
    let mut end = prefix.to_owned();
    while let Some(last) = end.pop() {
        // There is no character between U+D7FF and U+E000.
        let next = if last == '\u{d7ff}' {
            Some('\u{e000}')
        } else {
            char::from_u32(u32::from(last) + 1)
        };
        if let Some(next) = next {
            end.push(next);
            return Some(end);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::successor;

    #[test]
    fn the_successor_is_the_next_text_of_no_longer_length() {
        assert_eq!(successor("/a/").as_deref(), Some("/a0"));
        assert_eq!(successor("/a\u{d7ff}").as_deref(), Some("/a\u{e000}"));
        assert_eq!(successor("/a\u{10ffff}").as_deref(), Some("/b"));
        assert_eq!(successor("\u{10ffff}"), None);
        assert_eq!(successor(""), None);
    }
}
