//! What an API server says when it does not do what it was asked, and how that reads.

use std::time::Duration;

use serde::Deserialize;

use crate::remote::{Backoff, RemoteError};

/// Characters of a message that are shown.
const LONGEST_MESSAGE: usize = 2_000;
/// Causes that are shown.
const MOST_CAUSES: usize = 50;

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

/// See [`Failure::pause`].
pub(super) fn pause(status: Option<&Status>, longest: Duration, backoff: &mut Backoff) -> Duration {
    let own = backoff.after_failure();
    let Some(asked) = status.and_then(Status::retry_after) else {
        return own;
    };
    let asked = asked.min(longest);
    own.max(asked + backoff.up_to(asked / 2))
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
        status.presentable()
    }

    /// Fit to be shown: whoever answers must neither fill a log nor speak to a terminal.
    pub(super) fn presentable(mut self) -> Self {
        self.message = presentable(&self.message);
        if let Some(details) = &mut self.details {
            details.causes.truncate(MOST_CAUSES);
            for cause in &mut details.causes {
                cause.field = presentable(&cause.field);
                cause.message = presentable(&cause.message);
            }
        }
        self
    }

    /// True if it is a `Status` that says something, as those of API servers do.
    pub(super) fn is_said(&self) -> bool {
        !self.reason.is_empty()
    }

    /// True if it says of an object that it is not there, and so that its kind is.
    pub(super) fn names_an_object(&self) -> bool {
        let details = self.details.as_ref();
        self.code == 404 && details.is_some_and(|details| !details.kind.is_empty())
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

fn presentable(text: &str) -> String {
    let plain = |c: char| !c.is_control() || matches!(c, '\n' | '\t');
    let mut out: String = text
        .chars()
        .take(LONGEST_MESSAGE)
        .map(|c| if plain(c) { c } else { '\u{fffd}' })
        .collect();
    if text.chars().nth(LONGEST_MESSAGE).is_some() {
        out.push_str("...");
    }
    out
}

impl Failure {
    /// How long to wait before the same is asked again: what the server asks for, up to `longest`, and up to half as much
    /// again, so that those who were put off together do not come back together; never less than the backoff.
    pub(super) fn pause(&self, longest: Duration, backoff: &mut Backoff) -> Duration {
        pause(self.status(), longest, backoff)
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_that_is_asked_for_is_kept_within_bounds_and_never_the_same() {
        let asked = |seconds: u64| Status {
            code: 429,
            details: Some(Details {
                retry_after_seconds: seconds,
                ..Details::default()
            }),
            ..Status::default()
        };
        let longest = Duration::from_secs(30);
        let mut waits = Vec::new();
        for seed in 0..20 {
            let mut backoff = Backoff::seeded(seed);
            let wait = pause(Some(&asked(2)), longest, &mut backoff);
            assert!((2.0..=3.0).contains(&wait.as_secs_f64()), "{wait:?}");
            waits.push(wait);
            let wait = pause(Some(&asked(u64::MAX)), longest, &mut backoff);
            assert!(wait >= longest && wait <= longest * 3 / 2, "{wait:?}");
            let wait = pause(Some(&asked(0)), longest, &mut Backoff::seeded(seed));
            assert!(wait <= Duration::from_millis(50), "{wait:?}");
        }
        waits.sort_unstable();
        waits.dedup();
        assert_eq!(waits.len(), 20);
    }

    #[test]
    fn what_a_server_says_cannot_speak_to_a_terminal() {
        let text = format!(
            r#"{{"reason":"Invalid","message":"a\u001b[2Jb\u0007{}"}}"#,
            "x".repeat(9_000)
        );
        let status = Status::of(422, text.as_bytes());
        assert!(
            status.message.starts_with("a\u{fffd}[2Jb\u{fffd}xxx"),
            "{}",
            status.message
        );
        assert!(status.message.chars().count() <= LONGEST_MESSAGE + 3);
        let page = Status::of(502, b"<html>\x1b]0;gotcha\x07");
        assert!(!page.message.contains('\x1b'));
    }
}
