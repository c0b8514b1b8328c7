//! What etcd's answers mean: whether the request may have been carried out, whether another member may do better, and what to
//! tell the user.

use std::error::Error as _;
use std::time::Duration;

use etcd_client::Error;
use tonic::{Code, ConnectError};

use crate::remote::RemoteError;

/// One attempt at one member that failed.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) class: Class,
    /// What happened, for people.
    pub(super) detail: String,
}

/// What a failure means for what to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// No connection came about: nothing was sent.
    Unreachable,
    /// No answer in time; it may have been carried out.
    NoAnswer(Duration),
    /// The connection broke, or the member says that it cannot say; it may have been carried out.
    Unsure,
    /// The member cannot serve now, and has done nothing.
    Unavailable,
    /// Who we are, or what we may do, was not accepted.
    Denied,
    /// The revision asked for was dropped.
    Compacted,
    /// The answer is larger than we take.
    LongAnswer,
    /// The request was refused for what it is.
    Refused,
}

impl Class {
    /// Whether the request was certainly not carried out.
    pub(super) const fn is_certain(self) -> bool {
        match self {
            Self::NoAnswer(_) | Self::Unsure => false,
            Self::Unreachable
            | Self::Unavailable
            | Self::Denied
            | Self::Compacted
            | Self::LongAnswer
            | Self::Refused => true,
        }
    }

    /// Whether another member, or the same a little later, may do better.
    pub(super) const fn may_pass(self) -> bool {
        match self {
            Self::Unreachable | Self::NoAnswer(_) | Self::Unsure | Self::Unavailable => true,
            Self::Denied | Self::Compacted | Self::LongAnswer | Self::Refused => false,
        }
    }
}

impl Failure {
    /// No answer within this time.
    pub(super) const fn no_answer(waited: Duration) -> Self {
        Self {
            class: Class::NoAnswer(waited),
            detail: String::new(),
        }
    }

    /// What an error of the client means.
    pub(super) fn of(error: &Error) -> Self {
        match error {
            Error::GRpcStatus(status) => of_status(status),
            Error::TransportError(_) | Error::IoError(_) => Self {
                class: Class::Unsure,
                detail: deepest(error),
            },
            Error::InvalidArgs(_)
            | Error::InvalidUri(_)
            | Error::WatchError(_)
            | Error::Utf8Error(_)
            | Error::LeaseKeepAliveError(_)
            | Error::ElectError(_)
            | Error::InvalidMetadataValue(_)
            | Error::EndpointError(_)
            | Error::EndpointsNotManaged
            | Error::Internal(_) => Self {
                class: Class::Refused,
                detail: error.to_string(),
            },
        }
    }

    /// The error to tell of it.
    pub(super) fn told(self, action: &'static str, store: Box<str>) -> RemoteError {
        let detail = self.detail.into_boxed_str();
        match self.class {
            Class::Unreachable | Class::Unsure => RemoteError::Unreachable {
                action,
                store,
                detail,
            },
            Class::NoAnswer(waited) => RemoteError::Timeout {
                action,
                store,
                waited,
                detail,
            },
            Class::Denied => RemoteError::Denied {
                action,
                store,
                detail,
            },
            Class::Unavailable => RemoteError::Unavailable {
                action,
                store,
                detail,
            },
            Class::Compacted | Class::LongAnswer | Class::Refused => RemoteError::Failed {
                action,
                store,
                detail,
            },
        }
    }
}

fn of_status(status: &tonic::Status) -> Failure {
    let detail = if status.message().is_empty() {
        status
            .source()
            .map_or_else(|| status.code().to_string(), deepest)
    } else if status.source().is_some() {
        status.source().map_or_else(String::new, deepest)
    } else {
        status.message().to_owned()
    };
    Failure {
        class: class_of(status),
        detail,
    }
}

fn class_of(status: &tonic::Status) -> Class {
    if is_connect_error(status) {
        return Class::Unreachable;
    }
    let message = status.message();
    match status.code() {
        Code::OutOfRange if message.contains("compacted") => Class::Compacted,
        Code::OutOfRange if message.contains("decoded message length") => Class::LongAnswer,
        Code::Unauthenticated | Code::PermissionDenied => Class::Denied,
        // Etcd answers so where a name or a password is wrong, or missing.
        Code::InvalidArgument if message.contains("auth") || message.contains("user name") => {
            Class::Denied
        }
        // Looked at before anything is proposed.
        Code::Unavailable if message.contains("no leader") => Class::Unavailable,
        Code::ResourceExhausted if message.contains("too many requests") => Class::Unavailable,
        Code::Unavailable
        | Code::Unknown
        | Code::Internal
        | Code::Cancelled
        | Code::DeadlineExceeded
        | Code::Aborted
        | Code::DataLoss => Class::Unsure,
        Code::Ok
        | Code::InvalidArgument
        | Code::NotFound
        | Code::AlreadyExists
        | Code::ResourceExhausted
        | Code::FailedPrecondition
        | Code::OutOfRange
        | Code::Unimplemented => Class::Refused,
    }
}

fn is_connect_error(status: &tonic::Status) -> bool {
    let mut source = status.source();
    while let Some(error) = source {
        if error.is::<ConnectError>() {
            return true;
        }
        source = error.source();
    }
    false
}

/// The cause that caused all others: `Connection refused` rather than `transport error`.
fn deepest(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_is_certain_only_where_etcd_says_so_before_it_proposes() {
        let class = |code, message: &str| {
            Failure::of(&Error::GRpcStatus(tonic::Status::new(code, message))).class
        };
        let unsure = [
            (Code::Unavailable, "etcdserver: leader changed"),
            (Code::Unavailable, "etcdserver: request timed out"),
            (Code::Unknown, "broken pipe"),
            (Code::Internal, "h2 protocol error"),
        ];
        for (code, message) in unsure {
            assert!(!class(code, message).is_certain(), "{message}");
        }
        let certain = [
            (
                Code::Unavailable,
                "etcdserver: no leader",
                Class::Unavailable,
            ),
            (
                Code::ResourceExhausted,
                "etcdserver: mvcc: database space exceeded",
                Class::Refused,
            ),
            (
                Code::ResourceExhausted,
                "etcdserver: too many requests",
                Class::Unavailable,
            ),
            (
                Code::InvalidArgument,
                "etcdserver: request is too large",
                Class::Refused,
            ),
            (
                Code::InvalidArgument,
                "etcdserver: authentication failed, invalid user ID or password",
                Class::Denied,
            ),
            (
                Code::PermissionDenied,
                "etcdserver: permission denied",
                Class::Denied,
            ),
            (
                Code::Unauthenticated,
                "etcdserver: invalid auth token",
                Class::Denied,
            ),
            (
                Code::OutOfRange,
                "etcdserver: mvcc: required revision has been compacted",
                Class::Compacted,
            ),
        ];
        for (code, message, expected) in certain {
            assert_eq!(class(code, message), expected, "{message}");
            assert!(expected.is_certain());
        }
    }
}
