//! Members of the workspace as `cargo metadata` tells them.

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

/// One crate of ours.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) name: String,
    /// From the root, with slashes: `core/model`.
    pub(crate) directory: String,
    pub(crate) dependencies: Vec<Dependency>,
}

/// What a crate asks for.
#[derive(Clone, Debug)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    pub(crate) kind: DependencyKind,
    /// Set when it is a member too.
    pub(crate) directory: Option<String>,
}

/// When it is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DependencyKind {
    Normal,
    Development,
    Build,
}

/// Which part of the house a directory belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layer {
    Core,
    Io,
    Apps,
    Testkit,
    Xtask,
}

/// The layer of a directory, by its first component.
pub(crate) fn layer(directory: &str) -> Option<Layer> {
    match directory.split('/').next() {
        Some("core") => Some(Layer::Core),
        Some("io") => Some(Layer::Io),
        Some("apps") => Some(Layer::Apps),
        Some("testkit") => Some(Layer::Testkit),
        Some("xtask") => Some(Layer::Xtask),
        _ => None,
    }
}

/// Reads the output of `cargo metadata --no-deps`.
pub(crate) fn from_metadata(metadata: &Value, root: &Path) -> Result<Vec<Member>> {
    let packages = metadata["packages"]
        .as_array()
        .context("cargo metadata lists no packages")?;
    let mut members = packages
        .iter()
        .map(|package| member(package, root))
        .collect::<Result<Vec<_>>>()?;
    members.sort_by(|a, b| a.directory.cmp(&b.directory));
    Ok(members)
}

fn member(package: &Value, root: &Path) -> Result<Member> {
    let name = package["name"]
        .as_str()
        .context("a package without a name")?;
    let manifest = package["manifest_path"]
        .as_str()
        .with_context(|| format!("package {name} has no manifest path"))?;
    let directory = Path::new(manifest)
        .parent()
        .and_then(|path| path.strip_prefix(root).ok())
        .with_context(|| format!("package {name} lies outside the workspace"))?;
    let none = Vec::new();
    let dependencies = package["dependencies"]
        .as_array()
        .unwrap_or(&none)
        .iter()
        .map(|value| dependency(value, root))
        .collect::<Result<Vec<_>>>()?;
    Ok(Member {
        name: name.to_owned(),
        directory: directory.to_string_lossy().into_owned(),
        dependencies,
    })
}

fn dependency(value: &Value, root: &Path) -> Result<Dependency> {
    let name = value["name"]
        .as_str()
        .context("a dependency without a name")?;
    let kind = match value["kind"].as_str() {
        Some("dev") => DependencyKind::Development,
        Some("build") => DependencyKind::Build,
        _ => DependencyKind::Normal,
    };
    let directory = value["path"]
        .as_str()
        .and_then(|path| Path::new(path).strip_prefix(root).ok())
        .map(|path| path.to_string_lossy().into_owned());
    Ok(Dependency {
        name: name.to_owned(),
        kind,
        directory,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_becomes_members() {
        let metadata = serde_json::json!({"packages": [{
        "name": "calc", "manifest_path": "/p/core/calc/Cargo.toml", "dependencies": [
            {"name": "model", "kind": null, "path": "/p/core/model"},
            {"name": "proptest", "kind": "dev"},
        ]}]});
        let members = from_metadata(&metadata, Path::new("/p")).expect("valid metadata");
        assert_eq!(members[0].directory, "core/calc");
        assert_eq!(
            members[0].dependencies[0].directory.as_deref(),
            Some("core/model")
        );
        assert_eq!(members[0].dependencies[1].kind, DependencyKind::Development);
        assert_eq!(layer(&members[0].directory), Some(Layer::Core));
    }

    #[test]
    fn a_member_outside_the_root_is_refused() {
        let metadata =
            serde_json::json!({"packages": [{"name": "x", "manifest_path": "/q/Cargo.toml"}]});
        assert!(from_metadata(&metadata, Path::new("/p")).is_err());
    }
}
