//! Reading: one transaction of ranges, then pages at its revision.

use etcd_client::proto::{PbKeyValue, PbRangeResponse, PbTxnOpResponse};
use etcd_client::{Client, Error, GetOptions, Txn, TxnOp};

use super::endpoints::{Again, Failed};
use super::failure::Class;
use super::{Counts, MAX_OPERATIONS, Shared};
use crate::remote::{Deadline, RemoteError};
use crate::write::validate_key;
use crate::{Entry, Query, ReadError, Revision, Snapshot, StorageError};

/// The largest answer taken at once.
pub(super) const MAX_ANSWER_BYTES: usize = 64 << 20;
/// So many keys are asked for at once, at first.
const PAGE: i64 = 4000;
const ACTION: &str = "read from";

/// Reads all `queries` at one revision.
pub(super) async fn read(shared: &Shared, queries: &[Query]) -> Result<Snapshot, ReadError> {
    for query in queries {
        if let Query::Key(key) = query {
            validate_key(key)?;
        }
    }
    let reader = Reader {
        shared,
        deadline: shared.endpoints.deadline(),
    };
    let mut page = PAGE;
    loop {
        match reader.read(queries, page).await {
            Ok(snapshot) => return Ok(snapshot),
            Err(Failed {
                class: Class::LongAnswer,
                ..
            }) if page > 1 => page = (page / 8).max(1),
            // So many changes were made during the paging that its revision was dropped: begin anew.
            Err(Failed {
                class: Class::Compacted,
                ..
            }) if !reader.deadline.left().is_zero() => {}
            Err(failed) => return Err(StorageError::from(failed.error).into()),
        }
    }
}

struct Reader<'a> {
    shared: &'a Shared,
    deadline: Deadline,
}

/// What one range has said so far.
struct Range {
    /// Where the next page begins, if there is one.
    next: Option<Vec<u8>>,
    end: Vec<u8>,
}

impl Reader<'_> {
    async fn read(&self, queries: &[Query], page: i64) -> Result<Snapshot, Failed> {
        let mut snapshot = Snapshot::default();
        let mut ranges = Vec::new();
        // At least one request, for the revision.
        let mut begun = 0;
        while begun == 0 || begun < queries.len() {
            let some = &queries[begun..queries.len().min(begun + MAX_OPERATIONS)];
            let at = snapshot.revision;
            let (revision, answers) = self.transaction(some, at, page).await?;
            if begun == 0 {
                snapshot.revision = revision;
            }
            for (query, answer) in some.iter().zip(answers) {
                ranges.push(Range::of(query, &answer));
                take(answer, &mut snapshot.entries);
            }
            begun += MAX_OPERATIONS;
        }
        for mut range in ranges {
            while let Some(from) = range.next.take() {
                let answer = self
                    .page(from, range.end.clone(), snapshot.revision, page)
                    .await?;
                range.next = next(&answer);
                take(answer, &mut snapshot.entries);
            }
        }
        // Several queries may name the same key.
        snapshot.entries.sort_by(|a, b| a.key.cmp(&b.key));
        snapshot.entries.dedup_by(|a, b| a.key == b.key);
        Ok(snapshot)
    }

    /// The first page of each range, at revision `at`, or now if that is zero.
    async fn transaction(
        &self,
        queries: &[Query],
        at: Revision,
        page: i64,
    ) -> Result<(Revision, Vec<PbRangeResponse>), Failed> {
        Counts::add(&self.shared.counts.reads);
        let request = |client: Client| async move {
            let mut kv = client
                .kv_client()
                .max_decoding_message_size(MAX_ANSWER_BYTES);
            let operations: Vec<_> = queries.iter().map(|query| get(query, at, page)).collect();
            kv.txn(Txn::new().and_then(operations)).await
        };
        let answer = self.ask(request).await?;
        let revision = answer.header().map_or(0, |header| header.revision());
        let mut ranges = Vec::new();
        for response in answer.0.responses {
            match response.response {
                Some(PbTxnOpResponse::ResponseRange(range)) => ranges.push(range),
                Some(
                    PbTxnOpResponse::ResponsePut(_)
                    | PbTxnOpResponse::ResponseDeleteRange(_)
                    | PbTxnOpResponse::ResponseTxn(_),
                )
                | None => {}
            }
        }
        if ranges.len() != queries.len() {
            return Err(self.senseless("its answer does not match the question"));
        }
        match super::revision(revision) {
            Some(revision) => Ok((revision, ranges)),
            None => Err(self.senseless("its answer has no revision")),
        }
    }

    async fn page(
        &self,
        from: Vec<u8>,
        end: Vec<u8>,
        at: Revision,
        page: i64,
    ) -> Result<PbRangeResponse, Failed> {
        Counts::add(&self.shared.counts.reads);
        let (from, end) = (&from, &end);
        let request = |client: Client| async move {
            let mut kv = client
                .kv_client()
                .max_decoding_message_size(MAX_ANSWER_BYTES);
            let options = GetOptions::new()
                .with_range(end.clone())
                .with_limit(page)
                .with_revision(super::number(at));
            kv.get(from.clone(), Some(options)).await
        };
        Ok(self.ask(request).await?.0)
    }

    async fn ask<T, F>(&self, request: impl Fn(Client) -> F) -> Result<T, Failed>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let endpoints = &self.shared.endpoints;
        endpoints
            .ask(ACTION, Again::Harmless, self.deadline, request)
            .await
    }

    fn senseless(&self, detail: &str) -> Failed {
        Failed {
            class: Class::Refused,
            error: RemoteError::Failed {
                action: ACTION,
                store: self.shared.endpoints.name(),
                detail: format!("{detail}; is it etcd, version 3?").into(),
            },
        }
    }
}

impl Range {
    fn of(query: &Query, answer: &PbRangeResponse) -> Self {
        match query {
            Query::Key(_) => Self {
                next: None,
                end: Vec::new(),
            },
            Query::Prefix(prefix) => Self {
                next: next(answer),
                end: end_of(prefix.as_bytes()),
            },
        }
    }
}

fn get(query: &Query, at: Revision, page: i64) -> TxnOp {
    let options = GetOptions::new().with_revision(super::number(at));
    match query {
        Query::Key(key) => TxnOp::get(key.as_str(), Some(options)),
        Query::Prefix(prefix) => {
            let (from, end) = range_of(prefix.as_bytes());
            let options = options.with_range(end).with_limit(page);
            TxnOp::get(from, Some(options))
        }
    }
}

/// Just after the last key of an answer that is not whole.
fn next(answer: &PbRangeResponse) -> Option<Vec<u8>> {
    let last = answer.kvs.last().filter(|_| answer.more)?;
    Some([&last.key[..], &[0]].concat())
}

fn take(answer: PbRangeResponse, entries: &mut Vec<Entry>) {
    entries.extend(answer.kvs.into_iter().filter_map(entry));
}

/// What etcd keeps, as an entry. A key that is no text is none of ours.
pub(super) fn entry(kv: PbKeyValue) -> Option<Entry> {
    let revision = super::revision(kv.mod_revision)?;
    match String::from_utf8(kv.key) {
        Ok(key) => Some(Entry {
            key: key.into(),
            value: kv.value,
            revision,
        }),
        Err(error) => {
            tracing::debug!(key = %error.as_bytes().escape_ascii(), "a key in etcd is no text and is passed over");
            None
        }
    }
}

/// All keys with a prefix, as etcd names a range: from, and up to.
pub(super) fn range_of(prefix: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let from = match prefix {
        [] => vec![0],
        _ => prefix.to_vec(),
    };
    (from, end_of(prefix))
}

/// Just after the last key that begins with `prefix`; a zero byte means the end of all keys.
fn end_of(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            return end;
        }
    }
    vec![0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_hold_all_keys_with_the_prefix_and_no_other() {
        assert_eq!(range_of(b""), (vec![0], vec![0]));
        assert_eq!(range_of(b"/a"), (b"/a".to_vec(), b"/b".to_vec()));
        assert_eq!(range_of(b"/\xff"), (b"/\xff".to_vec(), b"0".to_vec()));
        assert_eq!(range_of(b"\xff\xff"), (b"\xff\xff".to_vec(), vec![0]));
    }
}
