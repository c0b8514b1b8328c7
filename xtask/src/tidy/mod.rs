//! The house rules that a program can check: layers, dependencies, documents, sizes, words.
//!
//! Each rule is a function from what was read to problems; this file reads, and prints.

mod arrows;
mod documents;
mod members;
mod sources;

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};

use crate::workspace::Workspace;

pub(crate) use members::{Dependency, DependencyKind, Member};

/// One broken rule: where, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Problem {
    pub(crate) place: String,
    pub(crate) text: String,
}

impl Problem {
    pub(crate) fn new(place: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            place: place.into(),
            text: text.into(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.text)
    }
}

/// What one run found.
pub(crate) struct Report {
    pub(crate) problems: Vec<Problem>,
    pub(crate) summary: String,
}

impl Report {
    pub(crate) fn exit_code(&self) -> ExitCode {
        for problem in &self.problems {
            eprintln!("tidy: {problem}");
        }
        println!("tidy: {}", self.summary);
        if self.problems.is_empty() {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }
    }
}

/// Reads the tree and applies every rule to it.
pub(crate) fn run(workspace: &Workspace) -> Result<Report> {
    let members = members::from_metadata(&workspace.metadata()?, &workspace.root)?;
    let architecture = read(&workspace.root.join("ARCHITECTURE.md"))?;
    let mut problems = arrows::check(&members);
    problems.extend(documents::architecture(&architecture, &members, |path| {
        workspace.root.join(path).exists()
    }));
    let mut lines = 0;
    for member in &members {
        let directory = workspace.root.join(&member.directory);
        let manifest = read(&directory.join("Cargo.toml"))?;
        problems.extend(documents::manifest(member, &manifest));
        let readme = std::fs::read_to_string(directory.join("README.md")).ok();
        problems.extend(documents::readme(member, readme.as_deref()));
        for path in rust_files(&directory)? {
            let text = read(&path)?;
            lines += text.lines().count();
            let place = workspace.relative(&path).to_string_lossy().into_owned();
            problems.extend(sources::check(&place, &text));
        }
    }
    let lock = read(&workspace.root.join("Cargo.lock"))?;
    let dependencies = documents::locked_packages(&lock) - members.len();
    problems.sort();
    let summary = format!(
        "{} members, {lines} lines of Rust, {dependencies} packages of others, {} problems",
        members.len(),
        problems.len()
    );
    Ok(Report { problems, summary })
}

fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

/// Every Rust file below, in a stable order; build output and hidden directories are not ours.
fn rust_files(directory: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut waiting = vec![directory.to_path_buf()];
    while let Some(next) = waiting.pop() {
        let entries =
            std::fs::read_dir(&next).with_context(|| format!("cannot list {}", next.display()))?;
        for entry in entries {
            let path = entry
                .with_context(|| format!("cannot list {}", next.display()))?
                .path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if path.is_dir() && name != "target" && !name.starts_with('.') {
                waiting.push(path);
            } else if name.ends_with(".rs") {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}
