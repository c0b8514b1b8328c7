//! What a transaction may do to a key, and the rules every store checks before it touches anything.

use std::collections::HashSet;
use std::time::Duration;

use crate::{Capabilities, CommitError, CommitMode, InvalidKey, Lifetimes, Revision};

/// The largest value a store takes, as upstream's etcd does by default.
pub const MAX_VALUE_BYTES: usize = 1_536 * 1024;

/// The most writes in one transaction; a larger change is several transactions.
pub const MAX_WRITES: usize = 100_000;

/// One key's part in a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// The full key. A transaction names each key at most once.
    pub key: Box<str>,
    /// What happens to it.
    pub op: WriteOp,
}

/// What a transaction does to one key, and on what condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WriteOp {
    /// Writes a key that must be absent.
    Create(Vec<u8>),
    /// Writes a key that must have been last modified at `expected`.
    Update {
        /// The bytes to store.
        value: Vec<u8>,
        /// The revision the caller has read.
        expected: Revision,
    },
    /// Writes a key whatever it was.
    Put(Vec<u8>),
    /// Writes a key whatever it was; the store removes it after `lifetime`, unless it is written again before.
    PutFor {
        /// The bytes to store.
        value: Vec<u8>,
        /// In whole seconds, of which a part counts as one; a store may keep it a little longer.
        lifetime: Duration,
    },
    /// Removes a key that must be present.
    Delete {
        /// The revision the caller has read; `None` removes whatever is there.
        expected: Option<Revision>,
    },
    /// Changes nothing, but fails the transaction if the key is not as expected.
    Check {
        /// The revision the caller has read; `None`: the key must be absent.
        expected: Option<Revision>,
    },
}

impl Write {
    /// Writes a key that must be absent.
    pub fn create(key: impl Into<Box<str>>, value: impl Into<Vec<u8>>) -> Self {
        Self {
            key: key.into(),
            op: WriteOp::Create(value.into()),
        }
    }

    /// Writes a key that must have been last modified at `expected`.
    pub fn update(key: impl Into<Box<str>>, value: impl Into<Vec<u8>>, expected: Revision) -> Self {
        Self {
            key: key.into(),
            op: WriteOp::Update {
                value: value.into(),
                expected,
            },
        }
    }

    /// Writes a key whatever it was.
    pub fn put(key: impl Into<Box<str>>, value: impl Into<Vec<u8>>) -> Self {
        Self {
            key: key.into(),
            op: WriteOp::Put(value.into()),
        }
    }

    /// Writes a key whatever it was, which the store removes after `lifetime` unless it is written again before.
    pub fn put_for(
        key: impl Into<Box<str>>,
        value: impl Into<Vec<u8>>,
        lifetime: Duration,
    ) -> Self {
        Self {
            key: key.into(),
            op: WriteOp::PutFor {
                value: value.into(),
                lifetime,
            },
        }
    }

    /// Removes a key that must be present, and, if given, last modified at `expected`.
    pub fn delete(key: impl Into<Box<str>>, expected: Option<Revision>) -> Self {
        Self {
            key: key.into(),
            op: WriteOp::Delete { expected },
        }
    }

    /// Requires a key to have been last modified at `expected`, or to be absent.
    pub fn check(key: impl Into<Box<str>>, expected: Option<Revision>) -> Self {
        Self {
            key: key.into(),
            op: WriteOp::Check { expected },
        }
    }

    /// Tests this write's condition against the key's present revision.
    pub(crate) fn permit(&self, found: Option<Revision>) -> Result<(), CommitError> {
        let key = || self.key.clone();
        let conflict = |expected| CommitError::Conflict {
            key: key(),
            expected,
            found,
        };
        match &self.op {
            WriteOp::Put(_) | WriteOp::PutFor { .. } => Ok(()),
            WriteOp::Create(_) if found.is_some() => Err(CommitError::AlreadyExists { key: key() }),
            WriteOp::Create(_) => Ok(()),
            WriteOp::Update { .. } | WriteOp::Delete { .. } if found.is_none() => {
                Err(CommitError::NotFound { key: key() })
            }
            WriteOp::Update { expected, .. } if found != Some(*expected) => {
                Err(conflict(Some(*expected)))
            }
            WriteOp::Delete {
                expected: Some(expected),
            } if found != Some(*expected) => Err(conflict(Some(*expected))),
            WriteOp::Update { .. } | WriteOp::Delete { .. } => Ok(()),
            WriteOp::Check { expected } if found != *expected => Err(conflict(*expected)),
            WriteOp::Check { .. } => Ok(()),
        }
    }

    /// What the key holds afterwards.
    pub(crate) fn effect(&self) -> Effect<'_> {
        match &self.op {
            WriteOp::Create(value)
            | WriteOp::Update { value, .. }
            | WriteOp::Put(value)
            | WriteOp::PutFor { value, .. } => Effect::Store(value),
            WriteOp::Delete { .. } => Effect::Remove,
            WriteOp::Check { .. } => Effect::Keep,
        }
    }
}

/// What is left to do once a write's condition holds.
pub(crate) enum Effect<'a> {
    Store(&'a [u8]),
    Remove,
    Keep,
}

/// Refuses a transaction that a store of these capabilities cannot take, before any of it is tried.
pub(crate) fn validate(writes: &[Write], can: Capabilities) -> Result<(), CommitError> {
    let at_most = match can.commit {
        CommitMode::Transaction { at_most } => at_most,
        CommitMode::OneByOne => MAX_WRITES,
    };
    if writes.len() > at_most {
        return Err(CommitError::TooManyWrites {
            count: writes.len(),
            at_most,
        });
    }
    let mut seen = HashSet::with_capacity(writes.len());
    for write in writes {
        validate_key(&write.key)?;
        if !seen.insert(&*write.key) {
            return Err(CommitError::DuplicateKey {
                key: write.key.clone(),
            });
        }
        if let (WriteOp::PutFor { .. }, Lifetimes::Refused) = (&write.op, can.lifetimes) {
            return Err(CommitError::NoLifetimes {
                key: write.key.clone(),
            });
        }
        if let Effect::Store(value) = write.effect()
            && value.len() > MAX_VALUE_BYTES
        {
            return Err(CommitError::ValueTooLarge {
                key: write.key.clone(),
                bytes: value.len(),
            });
        }
    }
    Ok(())
}

/// A key is any text but the empty one and one with a NUL.
pub(crate) fn validate_key(key: &str) -> Result<(), InvalidKey> {
    if key.is_empty() {
        return Err(InvalidKey::Empty);
    }
    if key.contains('\0') {
        return Err(InvalidKey::Nul { key: key.into() });
    }
    Ok(())
}
