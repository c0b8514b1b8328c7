//! `cargo xtask codegen`: the files that are written from tables in the code. So far `deploy/crds`.
//!
//! The table is in core, which this crate does not see: an example of it prints the files' content.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::arguments::Generated;
use crate::process;
use crate::workspace::Workspace;

const DIRECTORY: &str = "deploy/crds";

const HEADER: &str =
    "# Written by `cargo xtask codegen` from core/api/src/schema: change it there.\n";

/// Writes the files, or says which are not current.
pub(crate) fn run(workspace: &Workspace, generated: Generated) -> Result<ExitCode> {
    let stale = match generated {
        Generated::Check => stale(workspace)?,
        Generated::Write => {
            write(workspace)?;
            Vec::new()
        }
    };
    for path in &stale {
        eprintln!("codegen: {path} is not current: run cargo xtask codegen");
    }
    Ok(if stale.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Files that differ from what the tables say, are missing, or should not be there.
pub(crate) fn stale(workspace: &Workspace) -> Result<Vec<String>> {
    let wanted = wanted(workspace)?;
    let mut stale: Vec<PathBuf> = wanted
        .iter()
        .filter(|(path, text)| {
            let found = std::fs::read_to_string(workspace.root.join(path));
            found.ok().as_ref() != Some(*text)
        })
        .map(|(path, _)| path.clone())
        .collect();
    stale.extend(strangers(workspace, &wanted)?);
    Ok(stale
        .iter()
        .map(|path| path.display().to_string())
        .collect())
}

fn write(workspace: &Workspace) -> Result<()> {
    let wanted = wanted(workspace)?;
    for (path, text) in &wanted {
        let path = workspace.root.join(path);
        if let Some(directory) = path.parent() {
            std::fs::create_dir_all(directory)
                .with_context(|| format!("cannot make {}", directory.display()))?;
        }
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    for path in strangers(workspace, &wanted)? {
        std::fs::remove_file(workspace.root.join(&path))
            .with_context(|| format!("cannot remove {}", path.display()))?;
    }
    println!("codegen: {} files in {DIRECTORY}", wanted.len());
    Ok(())
}

/// Every file by its path from the root.
fn wanted(workspace: &Workspace) -> Result<BTreeMap<PathBuf, String>> {
    let printed = process::cargo(workspace)
        .args(["run", "--quiet", "--package", "api", "--example", "crds"])
        .output()?;
    let files: Vec<Value> =
        serde_json::from_str(&printed).context("cannot read what the example crds printed")?;
    let mut wanted = BTreeMap::new();
    for file in files {
        let path = file["path"].as_str().context("a file without path")?;
        let documents = file["documents"]
            .as_array()
            .context("a file without documents")?;
        wanted.insert(Path::new(DIRECTORY).join(path), text(documents)?);
    }
    Ok(wanted)
}

/// Documents as one file of YAML.
fn text(documents: &[Value]) -> Result<String> {
    let mut text = HEADER.to_owned();
    for (index, document) in documents.iter().enumerate() {
        if index > 0 {
            text.push_str("---\n");
        }
        text += &serde_saphyr::to_string(document).context("cannot write YAML")?;
    }
    Ok(text)
}

/// YAML files below the directory that no table asks for.
fn strangers(workspace: &Workspace, wanted: &BTreeMap<PathBuf, String>) -> Result<Vec<PathBuf>> {
    let mut strangers = Vec::new();
    for version in ["v1", "v3"] {
        let directory = Path::new(DIRECTORY).join(version);
        let Ok(entries) = std::fs::read_dir(workspace.root.join(&directory)) else {
            continue;
        };
        for entry in entries {
            let name = entry.context("cannot list deploy/crds")?.file_name();
            let path = directory.join(name);
            if !wanted.contains_key(&path) {
                strangers.push(path);
            }
        }
    }
    strangers.sort();
    Ok(strangers)
}
