//! What an API server says when it does not do what it was asked, and how that reads.

use std::time::Duration;

use serde::Deserialize;

use crate::remote::RemoteError;

/// A request that did not succeed.
#[derive(Debug)]
pub(super) enum Failure {
    /// The server said no.
    Status(Status),
    /// There was no connection: nothing was carried out.
    Unsent(String),
    /// The connection broke: it may have been carried out.
    Lost(String),
    /// There was no answer in time: it may have been carried out.
    Late(Duration),
    /// The answer makes no sense.
    Garbled(String),
    /// Our own credentials cannot be read.
    Credentials(String),
}

/// An API server's `Status`, as far as it is read.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Status {
    pub(super) code: u16,
    pub(super) reason: String,
    pub(super) message: String,
    pub(super) details: Option<Details>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Details {
    pub(super) kind: String,
    pub(super) causes: Vec<Cause>,
    pub(super) retry_after_seconds: u64,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Cause {
    pub(super) field: String,
    pub(super) message: String,
}

impl Status {
    /// From the body of an answer; what is no `Status` is shown as it is, in part.
    pub(super) fn of(code: u16, body: &[u8]) -> Self {
        let parsed: Option<Self> = serde_json::from_slice(body).ok();
        let mut status = parsed.unwrap_or_else(|| {
            let text = String::from_utf8_lossy(body);
            Self {
                message: text.trim().chars().take(200).collect(),
                ..Self::default()
            }
        });
        status.code = code;
        status
    }

    /// How long it wants us to wait.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        let seconds = self.details.as_ref()?.retry_after_seconds;
        (seconds > 0).then(|| Duration::from_secs(seconds))
    }

    /// The position we have is not known any more.
    pub(super) fn is_expired(&self) -> bool {
        self.code == 410 || matches!(&*self.reason, "Expired" | "Gone")
    }

    /// The server has not come as far as the position we have: it was set back, or this is another one.
    pub(super) fn is_ahead(&self) -> bool {
        let causes = self.details.iter().flat_map(|details| &details.causes);
        self.message.contains("Too large resource version")
            || causes
                .into_iter()
                .any(|cause| cause.message.contains("Too large resource version"))
    }

    /// What is wrong with an object, each with its field.
    pub(super) fn objections(&self) -> String {
        let causes = self
            .details
            .as_ref()
            .map_or(&[][..], |details| &details.causes);
        let texts: Vec<String> = causes
            .iter()
            .filter(|cause| !cause.field.is_empty())
            .map(|cause| format!("{}: {}", cause.field, cause.message))
            .collect();
        if texts.is_empty() {
            return self.message.clone();
        }
        texts.join("; ")
    }
}

impl Failure {
    /// The status code, if the server answered.
    pub(super) fn code(&self) -> Option<u16> {
        match self {
            Self::Status(status) => Some(status.code),
            Self::Unsent(_)
            | Self::Lost(_)
            | Self::Late(_)
            | Self::Garbled(_)
            | Self::Credentials(_) => None,
        }
    }

    /// The status, if the server answered.
    pub(super) fn status(&self) -> Option<&Status> {
        match self {
            Self::Status(status) => Some(status),
            Self::Unsent(_)
            | Self::Lost(_)
            | Self::Late(_)
            | Self::Garbled(_)
            | Self::Credentials(_) => None,
        }
    }

    /// True if it is not known whether the request was carried out.
    pub(super) fn is_unsure(&self) -> bool {
        match self {
            Self::Lost(_) | Self::Late(_) | Self::Garbled(_) => true,
            Self::Status(status) => status.code >= 500 && status.code != 503,
            Self::Unsent(_) | Self::Credentials(_) => false,
        }
    }

    /// As the error of an operation on `store`, such as `read from`.
    pub(super) fn into_error(self, action: &'static str, store: &str) -> RemoteError {
        let store = store.into();
        match self {
            Self::Unsent(detail) | Self::Lost(detail) => RemoteError::Unreachable {
                action,
                store,
                detail: detail.into(),
            },
            Self::Late(waited) => RemoteError::Timeout {
                action,
                store,
                waited,
                detail: "".into(),
            },
            Self::Garbled(detail) => RemoteError::Failed {
                action,
                store,
                detail: detail.into(),
            },
            Self::Credentials(detail) => RemoteError::Denied {
                action,
                store,
                detail: detail.into(),
            },
            Self::Status(status) => {
                let detail = format!("{} ({})", status.message, status.code).into();
                match status.code {
                    401 | 403 => RemoteError::Denied {
                        action,
                        store,
                        detail,
                    },
                    429 | 500.. => RemoteError::Unavailable {
                        action,
                        store,
                        detail,
                    },
                    _ => RemoteError::Failed {
                        action,
                        store,
                        detail,
                    },
                }
            }
        }
    }
}
