//! Writing, one object at a time.

use api::kubernetes::{
    Change, Group, Method, Place, Reading, Refused, Request, place, read, write,
};

use super::client::{Client, Repeat};
use super::read::object;
use super::status::{Failure, Status};
use crate::{CommitError, Revision, StorageError, Write, WriteOp};

/// How often a write that has no condition is prepared again when another was faster.
const ATTEMPTS: usize = 10;

/// Makes all writes in order until one fails. The answer is the revision of the last.
pub(super) async fn commit(client: &Client, writes: &[Write]) -> Result<Revision, CommitError> {
    let group = client.group().await.map_err(StorageError::from)?;
    let mut last = None;
    for write in writes {
        let one = Commit {
            client,
            group,
            key: &write.key,
        };
        last = one.run(&write.op).await?.max(last);
    }
    Ok(last.unwrap_or(Revision::ZERO))
}

/// One write.
struct Commit<'a> {
    client: &'a Client,
    group: Group,
    key: &'a str,
}

impl Commit<'_> {
    async fn run(&self, op: &WriteOp) -> Result<Option<Revision>, CommitError> {
        match op {
            WriteOp::Create(value) => self.create(value).await.map(Some),
            WriteOp::Update { value, expected } => {
                let change = Change::Update(value, expected.get());
                self.change(change, Some(*expected)).await.map(Some)
            }
            WriteOp::Put(value) | WriteOp::PutFor { value, .. } => self.put(value).await.map(Some),
            WriteOp::Delete { expected } => {
                let change = Change::Delete(expected.map(Revision::get));
                self.change(change, *expected).await.map(Some)
            }
            WriteOp::Check { expected } => {
                let found = self.found().await?;
                if found != *expected {
                    return Err(self.conflict(*expected, found));
                }
                Ok(found)
            }
        }
    }

    async fn create(&self, value: &[u8]) -> Result<Revision, CommitError> {
        let request = self.request(Change::Create(value))?;
        for _ in 0..ATTEMPTS {
            let failure = match self.send(&request).await {
                Ok(revision) => return Ok(revision),
                Err(failure) => failure,
            };
            if failure.code() != Some(409) {
                return Err(self.failed(failure, &request.place));
            }
            // What is marked as deleted is nothing to us, and keeps its name until somebody removes it.
            if !self.finish_removal(&request.place).await? {
                return Err(CommitError::AlreadyExists {
                    key: self.key.into(),
                });
            }
        }
        Err(CommitError::AlreadyExists {
            key: self.key.into(),
        })
    }

    /// Removes what is there if it is marked as deleted; says whether there is room now.
    async fn finish_removal(&self, place: &Place) -> Result<bool, CommitError> {
        let body = match self.client.get(&place.path()).await {
            Ok(body) => body,
            Err(failure) if failure.code() == Some(404) => return Ok(true),
            Err(failure) => return Err(self.failed(failure, place)),
        };
        let Ok(reading) = read(place.collection, &body) else {
            return Ok(false);
        };
        if reading.key.is_none() || reading.value.is_some() {
            return Ok(false);
        }
        let request = self.request(Change::Delete(Some(reading.revision)))?;
        match self.send(&request).await {
            Ok(_) => Ok(true),
            Err(failure) if matches!(failure.code(), Some(404 | 409)) => Ok(true),
            Err(failure) => Err(self.failed(failure, place)),
        }
    }

    /// An update or a removal.
    async fn change(
        &self,
        change: Change<'_>,
        expected: Option<Revision>,
    ) -> Result<Revision, CommitError> {
        let request = self.request(change)?;
        let failure = match self.send(&request).await {
            Ok(revision) => return Ok(revision),
            Err(failure) => failure,
        };
        match failure.code() {
            Some(404) => Err(self.absent()),
            Some(409) => Err(self.conflict(expected, self.found().await?)),
            Some(_) | None => Err(self.failed(failure, &request.place)),
        }
    }

    /// A write without a condition: the API has none, so what is there is looked up, and again if another is faster.
    async fn put(&self, value: &[u8]) -> Result<Revision, CommitError> {
        let mut last = None;
        for _ in 0..ATTEMPTS {
            let written = match self.look().await? {
                Some(reading) => {
                    let revision = Revision::new(reading.revision);
                    let change = Change::Update(value, revision.get());
                    self.change(change, Some(revision)).await
                }
                None => self.create(value).await,
            };
            match written {
                Err(error) if error.is_conflict() => last = Some(error),
                written => return written,
            }
        }
        Err(last.unwrap_or_else(|| self.absent()))
    }

    async fn look(&self) -> Result<Option<Reading>, CommitError> {
        let Some(place) = place(self.key, self.group) else {
            return Ok(None);
        };
        match object(self.client, self.key, &place).await {
            Ok(found) => Ok(found.filter(|reading| reading.value.is_some())),
            Err(failure) => Err(self.failed(failure, &place)),
        }
    }

    /// The revision that is there.
    async fn found(&self) -> Result<Option<Revision>, CommitError> {
        Ok(self
            .look()
            .await?
            .map(|reading| Revision::new(reading.revision)))
    }

    fn request(&self, change: Change<'_>) -> Result<Request, CommitError> {
        write(self.key, change, self.group).map_err(|refused: Refused| CommitError::Refused {
            key: self.key.into(),
            why: refused.to_string().into(),
        })
    }

    /// Sends it, and reads the revision that the object has by that.
    async fn send(&self, request: &Request) -> Result<Revision, Failure> {
        let Request {
            method, path, body, ..
        } = request;
        // A second time, the first having been carried out, is told from it by its conflict; what is made or removed twice is
        // not.
        let repeat = match method {
            Method::MergePatch => Repeat::Harmless,
            Method::Post | Method::Put | Method::Delete => Repeat::IfRefused,
        };
        let answer = self.client.change(*method, path, body, repeat).await?;
        let meta: Answer = serde_json::from_slice(&answer)
            .map_err(|error| Failure::Garbled(format!("its answer cannot be read: {error}")))?;
        let text = match &meta.metadata.resource_version {
            // The answer to a removal may be a mere Status; the store's order goes on all the same.
            None => return Ok(Revision::ZERO),
            Some(text) => text,
        };
        super::client::revision(text).ok_or_else(|| {
            Failure::Garbled(format!("resourceVersion {text:?} is no decimal number"))
        })
    }

    fn conflict(&self, expected: Option<Revision>, found: Option<Revision>) -> CommitError {
        match (expected, found) {
            (Some(_), None) => self.absent(),
            (_, _) => CommitError::Conflict {
                key: self.key.into(),
                expected,
                found,
            },
        }
    }

    fn absent(&self) -> CommitError {
        CommitError::NotFound {
            key: self.key.into(),
        }
    }

    fn failed(&self, failure: Failure, place: &Place) -> CommitError {
        let refused = |why: String| CommitError::Refused {
            key: self.key.into(),
            why: why.into(),
        };
        if let Some(status) = failure.status() {
            match status.code {
                404 => return self.missing(status, place),
                400 | 413 | 415 | 422 => return refused(status.objections()),
                _ => {}
            }
        }
        let is_unsure = failure.is_unsure();
        let error = StorageError::from(failure.into_error("write to", self.client.shown()));
        match is_unsure {
            true => CommitError::Unsure(error),
            false => error.into(),
        }
    }

    /// Nothing of that path: the namespace, the kind, or the object.
    fn missing(&self, status: &Status, place: &Place) -> CommitError {
        let refused = |why: String| CommitError::Refused {
            key: self.key.into(),
            why: why.into(),
        };
        let what = status.details.as_ref().map_or("", |details| &details.kind);
        if what == "namespaces" {
            let namespace = place.namespace.as_deref().unwrap_or("");
            return refused(format!(
                "there is no namespace {namespace}: make it with kubectl"
            ));
        }
        // A missing object is named; a missing kind is not.
        if what.is_empty() && place.collection.may_be_missing() {
            return refused(format!(
                "the API server has no {} of {}: install Calico's custom resource definitions",
                place.collection.plural(),
                place.collection.group()
            ));
        }
        self.absent()
    }
}

#[derive(serde::Deserialize)]
struct Answer {
    #[serde(default)]
    metadata: AnswerMeta,
}

#[derive(Default, serde::Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct AnswerMeta {
    resource_version: Option<String>,
}
