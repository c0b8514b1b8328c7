//! The error object of the specification: a code, what went wrong, and what to do about it.

use std::error::Error;
use std::fmt;

use serde_json::json;

/// The codes of the specification, and ours from 100 on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// The configuration's version is none we speak.
    IncompatibleVersion,
    /// A field of the configuration is not supported; the message names it.
    UnsupportedField,
    /// The container is unknown or does not exist.
    UnknownContainer,
    /// A `CNI_*` variable is missing or wrong.
    Environment,
    /// Reading or writing failed.
    Io,
    /// The configuration cannot be parsed.
    Decode,
    /// The configuration makes no sense.
    Config,
    /// It may work later.
    TryAgain,
    /// The plugin cannot serve an ADD (STATUS).
    NotAvailable,
    /// Addresses could not be assigned or given back.
    Ipam,
    /// The kernel refused an interface, address or route.
    Network,
    /// What is there is not what ADD made (CHECK).
    Differs,
}

impl Code {
    /// The number in the error object.
    #[must_use]
    pub fn number(self) -> u32 {
        match self {
            Code::IncompatibleVersion => 1,
            Code::UnsupportedField => 2,
            Code::UnknownContainer => 3,
            Code::Environment => 4,
            Code::Io => 5,
            Code::Decode => 6,
            Code::Config => 7,
            Code::TryAgain => 11,
            Code::NotAvailable => 50,
            Code::Ipam => 100,
            Code::Network => 101,
            Code::Differs => 102,
        }
    }
}

/// What the plugin says instead of a result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CniError {
    /// The kind.
    pub code: Code,
    /// What we were doing, and what went wrong.
    pub message: String,
    /// What the operator can do, or more of what is known.
    pub details: String,
}

impl CniError {
    /// An error without details.
    pub fn new(code: Code, message: impl Into<String>) -> CniError {
        CniError {
            code,
            message: message.into(),
            details: String::new(),
        }
    }

    /// An error from another, with its causes.
    pub fn from_source(code: Code, doing: &str, source: &dyn Error) -> CniError {
        let mut message = format!("{doing}: {source}");
        let mut cause = source.source();
        while let Some(error) = cause {
            let text = error.to_string();
            if !message.ends_with(&text) {
                message.push_str(": ");
                message.push_str(&text);
            }
            cause = error.source();
        }
        CniError::new(code, message)
    }

    /// Says what to do about it.
    #[must_use]
    pub fn hint(mut self, details: impl Into<String>) -> CniError {
        self.details = details.into();
        self
    }

    /// Another code for the same error.
    #[must_use]
    pub fn with_code(mut self, code: Code) -> CniError {
        self.code = code;
        self
    }

    /// The error object.
    #[must_use]
    pub fn to_json(&self, version: &str) -> String {
        let object = json!({
            "cniVersion": version,
            "code": self.code.number(),
            "msg": self.message,
            "details": self.details,
        });
        object.to_string()
    }
}

impl fmt::Display for CniError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if !self.details.is_empty() {
            write!(f, " ({})", self.details)?;
        }
        Ok(())
    }
}

impl Error for CniError {}
