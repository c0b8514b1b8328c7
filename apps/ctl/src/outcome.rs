//! How a command ends: what is said about a failure, and the number the shell sees.

use std::fmt::Write as _;

/// How a command ended. With `--exit-codes=extended` each has a number of its own; otherwise all failures are 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    /// It did what was asked.
    Done,
    /// Any failure that has no status of its own.
    General,
    /// The command line is wrong.
    Usage,
    /// An object, or a file, is not there.
    NotFound,
    /// The store cannot be reached or opened.
    Unreachable,
    /// An object is not valid.
    Validation,
    /// Someone else changed the object, or it exists already.
    Conflict,
    /// A check found something wrong.
    CheckFailed,
}

/// Which numbers failures have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum ExitCodes {
    /// 0 and 1, as upstream.
    #[default]
    Upstream,
    /// One for each kind of failure.
    Extended,
}

impl Status {
    /// The process's exit code.
    pub(crate) fn code(self, codes: ExitCodes) -> u8 {
        let extended = match self {
            Status::Done => 0,
            Status::General => 1,
            Status::Usage => 2,
            Status::NotFound => 3,
            Status::Unreachable => 5,
            Status::Validation => 6,
            Status::Conflict => 7,
            Status::CheckFailed => 8,
        };
        match codes {
            ExitCodes::Upstream => extended.min(1),
            ExitCodes::Extended => extended,
        }
    }
}

/// Why a command, or its part for one object, failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) status: Status,
    /// For the user: whole sentences, no trailing line break.
    pub(crate) text: String,
}

impl Failure {
    pub(crate) fn new(status: Status, text: impl Into<String>) -> Failure {
        Failure {
            status,
            text: text.into(),
        }
    }

    pub(crate) fn general(text: impl Into<String>) -> Failure {
        Failure::new(Status::General, text)
    }

    pub(crate) fn usage(text: impl Into<String>) -> Failure {
        Failure::new(Status::Usage, text)
    }

    /// The same, with words before.
    pub(crate) fn context(self, before: impl std::fmt::Display) -> Failure {
        Failure {
            status: self.status,
            text: format!("{before}{}", self.text),
        }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Failure {
        Failure::general(error.to_string())
    }
}

/// An error and all its causes in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        // Writing to a string cannot fail.
        let _ = write!(text, ": {cause}");
        source = cause.source();
    }
    text
}

/// The status that speaks for several failures: theirs if they agree.
pub(crate) fn common_status(failures: &[Failure]) -> Status {
    let first = failures.first().map_or(Status::Done, |f| f.status);
    if failures.iter().all(|f| f.status == first) {
        first
    } else {
        Status::General
    }
}

/// Several failures as upstream shows a list of errors.
pub(crate) fn bracketed(failures: &[Failure]) -> String {
    let texts: Vec<&str> = failures.iter().map(|f| f.text.as_str()).collect();
    format!("[{}]", texts.join("\n "))
}
