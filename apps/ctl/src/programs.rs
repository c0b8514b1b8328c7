//! Other programs: where they are, and what they print.

use std::path::PathBuf;
use std::process::{Command, Stdio};

/// The program of this name on the search path.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|directory| directory.join(name))
        .find(|program| program.is_file())
}

/// Why a program gave no answer.
#[derive(Debug)]
pub(crate) enum Unanswered {
    /// It could not be started.
    NotStarted(std::io::Error),
    /// It ended badly, after it had printed this.
    Failed(Vec<u8>),
}

impl Unanswered {
    /// What to say of it.
    pub(crate) fn text(&self) -> String {
        match self {
            Unanswered::NotStarted(error) => error.to_string(),
            Unanswered::Failed(printed) => String::from_utf8_lossy(printed).trim_end().to_owned(),
        }
    }
}

/// Runs a program to its end; returns what it printed, on standard error too.
pub(crate) fn run(words: &[&str]) -> Result<Vec<u8>, Unanswered> {
    let (program, args) = words.split_first().unwrap_or((&"", &[]));
    let output = Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .output()
        .map_err(Unanswered::NotStarted)?;
    let mut printed = output.stdout;
    printed.extend(output.stderr);
    if output.status.success() {
        Ok(printed)
    } else {
        Err(Unanswered::Failed(printed))
    }
}
