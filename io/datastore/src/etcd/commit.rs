//! Committing: one transaction whose comparisons are the conditions. If one fails, the same transaction tells which.

use std::time::Duration;

use etcd_client::proto::PbTxnOpResponse;
use etcd_client::{
    Client, Compare, CompareOp, DeleteOptions, Error, GetOptions, PutOptions, Txn, TxnOp,
    TxnResponse,
};

use super::endpoints::{Again, Failed};
use super::{CAPABILITIES, Counts, MAX_REQUEST_BYTES, Shared};
use crate::remote::{Deadline, RemoteError};
use crate::write::{Effect, validate};
use crate::{CommitError, Revision, StorageError, Write, WriteOp};

const ACTION: &str = "write to";
/// What a request holds besides keys and values, for each write, at most.
const OVERHEAD: usize = 64;

/// Makes all `writes` or none.
pub(super) async fn commit(shared: &Shared, writes: Vec<Write>) -> Result<Revision, CommitError> {
    validate(&writes, CAPABILITIES)?;
    let bytes = writes.iter().map(size).sum();
    if bytes > MAX_REQUEST_BYTES {
        return Err(CommitError::TooLarge {
            bytes,
            at_most: MAX_REQUEST_BYTES,
        });
    }
    let deadline = shared.endpoints.deadline();
    let leases = grant(shared, &writes, deadline).await?;
    let made = transact(shared, &writes, &leases, deadline).await;
    if !matches!(made, Ok(_) | Err(CommitError::Unsure(_))) {
        // Nothing hangs on them. What is not given back now ends by itself.
        for lease in leases.into_iter().flatten() {
            let revoke = |client: Client| async move { client.lease_client().revoke(lease).await };
            let _ = ask(shared, Again::Harmful, deadline, revoke).await;
        }
    }
    made
}

async fn transact(
    shared: &Shared,
    writes: &[Write],
    leases: &[Option<i64>],
    deadline: Deadline,
) -> Result<Revision, CommitError> {
    Counts::add(&shared.counts.commits);
    let request =
        |client: Client| async move { client.kv_client().txn(transaction(writes, leases)).await };
    let answer = ask(shared, Again::Harmful, deadline, request)
        .await
        .map_err(told)?;
    if !answer.succeeded() {
        return Err(refusal(shared, writes, answer));
    }
    let revision = answer.header().map_or(0, |header| header.revision());
    super::revision(revision).ok_or_else(|| {
        // It says that it was made and not where.
        CommitError::Unsure(senseless(shared, "its answer has no revision"))
    })
}

async fn ask<T, F>(
    shared: &Shared,
    again: Again,
    deadline: Deadline,
    request: impl Fn(Client) -> F,
) -> Result<T, Failed>
where
    F: Future<Output = Result<T, Error>>,
{
    shared.endpoints.ask(ACTION, again, deadline, request).await
}

fn told(failed: Failed) -> CommitError {
    let error = StorageError::from(failed.error);
    if failed.class.is_certain() {
        error.into()
    } else {
        CommitError::Unsure(error)
    }
}

/// A lease for each key that is to be kept for a time.
async fn grant(
    shared: &Shared,
    writes: &[Write],
    deadline: Deadline,
) -> Result<Vec<Option<i64>>, CommitError> {
    let mut leases = Vec::with_capacity(writes.len());
    for write in writes {
        let WriteOp::PutFor { lifetime, .. } = &write.op else {
            leases.push(None);
            continue;
        };
        Counts::add(&shared.counts.commits);
        let seconds = seconds(*lifetime);
        // A lease too many ends by itself, so the request may be sent twice.
        let request =
            |client: Client| async move { client.lease_client().grant(seconds, None).await };
        let granted = ask(shared, Again::Harmless, deadline, request).await;
        match granted {
            Ok(lease) => leases.push(Some(lease.id())),
            Err(failed) => return Err(StorageError::from(failed.error).into()),
        }
    }
    Ok(leases)
}

/// Whole seconds, of which a part counts as one.
fn seconds(lifetime: Duration) -> i64 {
    let whole = lifetime.as_secs() + u64::from(lifetime.subsec_nanos() > 0);
    i64::try_from(whole.max(1)).unwrap_or(i64::MAX)
}

/// What a write adds to the request: its key stands in it up to three times.
fn size(write: &Write) -> usize {
    let value = match write.effect() {
        Effect::Store(value) => value.len(),
        Effect::Remove | Effect::Keep => 0,
    };
    3 * write.key.len() + value + OVERHEAD
}

fn transaction(writes: &[Write], leases: &[Option<i64>]) -> Txn {
    let conditions: Vec<_> = writes.iter().filter_map(condition).collect();
    let effects: Vec<_> = writes
        .iter()
        .zip(leases)
        .filter_map(|(write, lease)| effect(write, *lease))
        .collect();
    let looks: Vec<_> = writes
        .iter()
        .filter(|write| condition(write).is_some())
        .map(|write| TxnOp::get(&*write.key, Some(GetOptions::new().with_keys_only())))
        .collect();
    let transaction = Txn::new().when(conditions).and_then(effects);
    if looks.is_empty() {
        return transaction;
    }
    transaction.or_else(looks)
}

fn condition(write: &Write) -> Option<Compare> {
    let key = &*write.key;
    let absent = || Compare::version(key, CompareOp::Equal, 0);
    let unchanged = |at: Revision| Compare::mod_revision(key, CompareOp::Equal, super::number(at));
    match &write.op {
        WriteOp::Put(_) | WriteOp::PutFor { .. } => None,
        WriteOp::Create(_) | WriteOp::Check { expected: None } => Some(absent()),
        WriteOp::Delete { expected: None } => Some(Compare::version(key, CompareOp::Greater, 0)),
        WriteOp::Update { expected, .. }
        | WriteOp::Delete {
            expected: Some(expected),
        }
        | WriteOp::Check {
            expected: Some(expected),
        } => Some(unchanged(*expected)),
    }
}

fn effect(write: &Write, lease: Option<i64>) -> Option<TxnOp> {
    let key = &*write.key;
    match write.effect() {
        Effect::Store(value) => {
            let options = lease.map(|lease| PutOptions::new().with_lease(lease));
            Some(TxnOp::put(key, value, options))
        }
        Effect::Remove => Some(TxnOp::delete(key, Some(DeleteOptions::new()))),
        Effect::Keep => None,
    }
}

/// Which condition failed first, by what the transaction found instead.
fn refusal(shared: &Shared, writes: &[Write], answer: TxnResponse) -> CommitError {
    let looked = writes.iter().filter(|write| condition(write).is_some());
    for (write, response) in looked.zip(answer.0.responses) {
        let Some(PbTxnOpResponse::ResponseRange(range)) = response.response else {
            break;
        };
        let found = range
            .kvs
            .first()
            .and_then(|kv| super::revision(kv.mod_revision));
        if let Err(refused) = write.permit(found) {
            return refused;
        }
    }
    senseless(shared, "it refused the transaction and says not why").into()
}

fn senseless(shared: &Shared, detail: &str) -> StorageError {
    StorageError::from(RemoteError::Failed {
        action: ACTION,
        store: shared.endpoints.name(),
        detail: format!("{detail}; is it etcd, version 3?").into(),
    })
}
