//! The events of one watch, as the server sends them: one JSON object a line.

use std::time::Duration;

use api::kubernetes::{Collection, Reading, Unreadable, read as read_object};
use bytes::{Buf, Bytes, BytesMut};
use http::Response;
use http_body_util::BodyExt;
use kube::client::Body;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::client::revision;
use super::status::Status;
use crate::Revision;

/// A server that is well says where it is every minute; one that says nothing for so long is gone without a word.
const SILENCE: Duration = Duration::from_secs(150);
/// A longer line is no event.
const LONGEST: usize = 16 << 20;

/// What a watch says.
#[derive(Debug)]
pub(super) enum Notice {
    /// An object is there, or has changed.
    Present(Reading),
    /// An object is gone; this is the last that it was.
    Gone(Reading),
    /// An object that says too little.
    Unreadable(Unreadable),
    /// Everything up to here was said.
    Position(Revision),
    /// Everything that was there when the watch began was said, up to here.
    Initial(Revision),
}

/// Why a watch ended.
#[derive(Debug)]
pub(super) enum End {
    /// The server closed it, as it does now and then, or the connection broke.
    Closed(String),
    /// Nothing came for too long.
    Silent,
    /// The server said no.
    Refused(Status),
    /// What came is no event.
    Garbled(String),
}

/// A watch under way.
pub(super) struct Lines {
    collection: Collection,
    body: Body,
    buffer: BytesMut,
    /// So much of the buffer has no end of a line in it.
    searched: usize,
}

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(borrow)]
    object: &'a RawValue,
}

#[derive(Deserialize)]
struct Bookmark {
    metadata: BookmarkMeta,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BookmarkMeta {
    resource_version: String,
    #[serde(default)]
    annotations: std::collections::BTreeMap<String, String>,
}

/// The annotation of the bookmark that ends the first part of a streaming list (KEP-3157).
const INITIAL_END: &str = "k8s.io/initial-events-end";

impl Lines {
    pub(super) fn new(collection: Collection, answer: Response<Body>) -> Self {
        Self {
            collection,
            body: answer.into_body(),
            buffer: BytesMut::new(),
            searched: 0,
        }
    }

    /// The next event. Cancel-safe: what was read is kept.
    pub(super) async fn next(&mut self) -> Result<Notice, End> {
        loop {
            if let Some(line) = self.line() {
                if line.iter().all(u8::is_ascii_whitespace) {
                    continue;
                }
                return self.notice(&line);
            }
            if self.buffer.len() > LONGEST {
                return Err(End::Garbled(format!("a line of more than {LONGEST} bytes")));
            }
            match tokio::time::timeout(SILENCE, self.body.frame()).await {
                Err(_) => return Err(End::Silent),
                Ok(None) => return Err(End::Closed("the server closed it".to_owned())),
                Ok(Some(Err(error))) => return Err(End::Closed(error.to_string())),
                Ok(Some(Ok(frame))) => {
                    if let Ok(data) = frame.into_data() {
                        self.buffer.extend_from_slice(&data);
                    }
                }
            }
        }
    }

    /// The next event if it is here already.
    pub(super) fn ready(&mut self) -> Option<Result<Notice, End>> {
        let line = self.line()?;
        Some(self.notice(&line))
    }

    fn line(&mut self) -> Option<Bytes> {
        let found = self.buffer[self.searched..]
            .iter()
            .position(|byte| *byte == b'\n');
        let Some(at) = found else {
            self.searched = self.buffer.len();
            return None;
        };
        let line = self.buffer.split_to(self.searched + at).freeze();
        self.buffer.advance(1);
        self.searched = 0;
        Some(line)
    }

    fn notice(&self, line: &[u8]) -> Result<Notice, End> {
        let garbled =
            |error: serde_json::Error| End::Garbled(format!("a line that is no event: {error}"));
        let Line { kind, object } = serde_json::from_slice(line).map_err(garbled)?;
        let bytes = object.get().as_bytes();
        match kind {
            "ADDED" | "MODIFIED" => Ok(read_object(self.collection, bytes)
                .map_or_else(Notice::Unreadable, Notice::Present)),
            "DELETED" => {
                Ok(read_object(self.collection, bytes)
                    .map_or_else(Notice::Unreadable, Notice::Gone))
            }
            "BOOKMARK" => {
                let Bookmark { metadata } = serde_json::from_slice(bytes).map_err(garbled)?;
                let text = metadata.resource_version;
                let at = revision(&text).ok_or_else(|| {
                    End::Garbled(format!("resourceVersion {text:?} is no decimal number"))
                })?;
                let is_end = metadata
                    .annotations
                    .get(INITIAL_END)
                    .is_some_and(|value| value == "true");
                Ok(match is_end {
                    true => Notice::Initial(at),
                    false => Notice::Position(at),
                })
            }
            "ERROR" => {
                let status: Status = serde_json::from_slice(bytes).map_err(garbled)?;
                Err(End::Refused(status.presentable()))
            }
            other => {
                let start: String = other.chars().take(40).collect();
                Err(End::Garbled(format!("an event of type {start:?}")))
            }
        }
    }
}

impl End {
    /// What the server said, if it said no.
    pub(super) fn status(&self) -> Option<&Status> {
        match self {
            Self::Refused(status) => Some(status),
            Self::Closed(_) | Self::Silent | Self::Garbled(_) => None,
        }
    }

    /// For people.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Closed(detail) | Self::Garbled(detail) => detail.clone(),
            Self::Silent => format!("nothing was heard for {} s", SILENCE.as_secs()),
            Self::Refused(status) => format!("{} ({})", status.message, status.code),
        }
    }
}
