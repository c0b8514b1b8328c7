//! Running other programs: said before, checked after, with root only where it is needed.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result, bail};

use crate::workspace::Workspace;

/// A program to run; its words are kept for the message when it fails.
pub(crate) struct Program {
    command: Command,
}

/// Cargo itself, as the one that started us, in the workspace.
pub(crate) fn cargo(workspace: &Workspace) -> Program {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    Program::new(cargo).directory(&workspace.root)
}

/// Whether this process may do what root may.
pub(crate) fn is_root() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    effective_user(&status) == Some(0)
}

fn effective_user(status: &str) -> Option<u32> {
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// Where programs are looked for; `sudo` would put a list of its own in its place.
pub(crate) fn search_path() -> OsString {
    let mut path = std::env::var_os("PATH").unwrap_or_default();
    path.push(":/usr/sbin:/sbin");
    path
}

/// Whether a program of that name is on the path.
pub(crate) fn exists(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|directory| directory.join(name))
        .chain([
            Path::new("/usr/sbin").join(name),
            Path::new("/sbin").join(name),
        ])
        .any(|candidate| candidate.is_file())
}

impl Program {
    pub(crate) fn new(name: impl AsRef<OsStr>) -> Self {
        Self {
            command: Command::new(name),
        }
    }

    /// The program as root: as it is when we are root, through `sudo` otherwise. `None`: there is no way to become root.
    pub(crate) fn privileged(
        name: impl AsRef<OsStr>,
        environment: &[(&str, OsString)],
    ) -> Option<Self> {
        if is_root() {
            let mut program = Self::new(name);
            for (key, value) in environment {
                program = program.env(key, value);
            }
            return Some(program);
        }
        if !exists("sudo") {
            return None;
        }
        // `sudo -E` may be refused by its policy; words of `env` never are.
        let mut program = Self::new("sudo").args(["env"]);
        for (key, value) in environment {
            let mut word = OsString::from(key);
            word.push("=");
            word.push(value);
            program.command.arg(word);
        }
        program.command.arg(name);
        Some(program)
    }

    pub(crate) fn args<A: AsRef<OsStr>>(mut self, words: impl IntoIterator<Item = A>) -> Self {
        self.command.args(words);
        self
    }

    pub(crate) fn env(mut self, key: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(key, value);
        self
    }

    pub(crate) fn directory(mut self, directory: &Path) -> Self {
        self.command.current_dir(directory);
        self
    }

    /// Runs it with our own input and output; anything but exit code 0 is an error.
    pub(crate) fn run(mut self) -> Result<()> {
        let status = self
            .command
            .status()
            .with_context(|| format!("cannot start {}", self.words()))?;
        if !status.success() {
            bail!("{} failed ({status})", self.words());
        }
        Ok(())
    }

    /// Runs it with our own input and output, and gives the exit code on.
    pub(crate) fn code(mut self) -> Result<u8> {
        let status = self
            .command
            .status()
            .with_context(|| format!("cannot start {}", self.words()))?;
        Ok(status
            .code()
            .and_then(|code| u8::try_from(code).ok())
            .unwrap_or(1))
    }

    /// Runs it and returns what it printed, whatever its exit code.
    pub(crate) fn captured(mut self) -> Result<Output> {
        self.command
            .stdin(Stdio::null())
            .output()
            .with_context(|| format!("cannot start {}", self.words()))
    }

    /// Standard output of a program that succeeds.
    pub(crate) fn output(self) -> Result<String> {
        let words = self.words();
        let output = self.captured()?;
        if !output.status.success() {
            bail!(
                "{words} failed ({}): {}",
                output.status,
                String::from_utf8_lossy(&output.stderr).trim()
            );
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn words(&self) -> String {
        let mut words = vec![self.command.get_program().to_string_lossy()];
        words.extend(self.command.get_args().map(OsStr::to_string_lossy));
        words.join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn effective_user_is_the_second_number() {
        assert_eq!(effective_user("Name:\tx\nUid:\t1000\t0\t0\t0\n"), Some(0));
        assert_eq!(effective_user("Uid:\t1000\t1000\t1000\t1000\n"), Some(1000));
        assert_eq!(effective_user(""), None);
    }

    #[test]
    fn a_failure_names_the_command() {
        let error = Program::new("false")
            .args(["--really"])
            .run()
            .expect_err("false fails");
        assert!(error.to_string().contains("false --really"), "{error}");
    }
}
