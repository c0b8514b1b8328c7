//! What a command has of the world: its streams and its environment, so that tests can give it their own.

use std::collections::BTreeMap;
use std::io::{Read, Write};

use crate::outcome::Failure;

/// The streams and the environment of one run.
pub struct Session<'a> {
    /// Standard output.
    pub out: &'a mut dyn Write,
    /// Standard error.
    pub err: &'a mut dyn Write,
    /// Standard input.
    pub stdin: &'a mut dyn Read,
    /// The environment.
    pub environment: BTreeMap<String, String>,
    /// What standard output is.
    pub output: Output,
    /// What standard error is.
    pub errors: Output,
}

/// What an output is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// A person's terminal.
    Terminal,
    /// A file or a pipe.
    Other,
}

impl Session<'_> {
    /// Writes text as it is.
    pub(crate) fn print(&mut self, text: &str) -> Result<(), Failure> {
        self.out.write_all(text.as_bytes()).map_err(|error| {
            if error.kind() == std::io::ErrorKind::BrokenPipe {
                return Failure::general("");
            }
            Failure::general(format!("failed to write the output: {error}"))
        })
    }

    /// Writes a line.
    pub(crate) fn line(&mut self, text: impl AsRef<str>) -> Result<(), Failure> {
        self.print(text.as_ref())?;
        self.print("\n")
    }

    /// Writes a line to standard error. There is nobody to tell if that fails.
    pub(crate) fn complain(&mut self, text: &str) {
        let _ = writeln!(self.err, "{text}");
    }
}
