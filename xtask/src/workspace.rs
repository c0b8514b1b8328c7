//! Where the project is, what cargo says about it, and where binaries land.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::Value;

use crate::process;

/// The tree this xtask was started from.
pub(crate) struct Workspace {
    pub(crate) root: PathBuf,
}

impl Workspace {
    /// Cargo names the directory of xtask's own manifest; the root is the one above.
    pub(crate) fn find() -> Result<Self> {
        let manifest = std::env::var_os("CARGO_MANIFEST_DIR")
            .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        let root = manifest
            .parent()
            .context("xtask has no directory above it")?
            .to_path_buf();
        Ok(Self { root })
    }

    /// `cargo metadata` of the members alone.
    pub(crate) fn metadata(&self) -> Result<Value> {
        let text = process::cargo(self)
            .args(["metadata", "--no-deps", "--format-version", "1"])
            .output()?;
        serde_json::from_str(&text).context("cannot read what cargo metadata printed")
    }

    /// The directory cargo builds into, which `CARGO_TARGET_DIR` may move.
    pub(crate) fn target(&self) -> Result<PathBuf> {
        let metadata = self.metadata()?;
        let directory = metadata["target_directory"]
            .as_str()
            .context("cargo metadata names no target directory")?;
        Ok(PathBuf::from(directory))
    }

    /// A path as seen from the root, for messages.
    pub(crate) fn relative<'p>(&self, path: &'p Path) -> &'p Path {
        path.strip_prefix(&self.root).unwrap_or(path)
    }
}
