//! Test executables: built once by cargo as the user who asked, listed from what cargo prints.

use std::path::{Path, PathBuf};

use anyhow::Result;
use serde_json::Value;

use crate::process;
use crate::workspace::Workspace;

/// Who runs it. The order is the order of running.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rights {
    User,
    Root,
}

/// One executable of tests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TestBinary {
    /// Crate and target, for people: `linux kernel_route`.
    pub(crate) label: String,
    pub(crate) executable: PathBuf,
    /// Where cargo would run it.
    pub(crate) directory: PathBuf,
    pub(crate) rights: Rights,
}

/// Builds all tests. `None`: something does not compile, and the compiler has said what.
pub(crate) fn build(workspace: &Workspace) -> Result<Option<Vec<TestBinary>>> {
    let output = process::cargo(workspace)
        .args([
            "test",
            "--quiet",
            "--workspace",
            "--no-run",
            "--message-format=json-render-diagnostics",
        ])
        .captured()?;
    if !output.status.success() {
        eprintln!("{}", String::from_utf8_lossy(&output.stderr));
        return Ok(None);
    }
    let messages = String::from_utf8_lossy(&output.stdout);
    Ok(Some(messages.lines().filter_map(test_binary).collect()))
}

fn test_binary(line: &str) -> Option<TestBinary> {
    let message: Value = serde_json::from_str(line).ok()?;
    if message["profile"]["test"] != Value::Bool(true) {
        return None;
    }
    let executable = PathBuf::from(message["executable"].as_str()?);
    let directory = Path::new(message["manifest_path"].as_str()?)
        .parent()?
        .to_path_buf();
    let target = message["target"]["name"].as_str()?;
    let package = directory.file_name()?.to_string_lossy();
    let label = if *package == *target {
        target.to_owned()
    } else {
        format!("{package} {target}")
    };
    let rights = if target.starts_with("kernel_") {
        Rights::Root
    } else {
        Rights::User
    };
    Some(TestBinary {
        label,
        executable,
        directory,
        rights,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(package: &str, target: &str, test: bool) -> String {
        serde_json::json!({
            "reason": "compiler-artifact", "manifest_path": format!("/p/io/{package}/Cargo.toml"),
            "target": {"name": target}, "profile": {"test": test}, "executable": "/t/x",
        })
        .to_string()
    }

    #[test]
    fn kernel_tests_need_root() {
        let kernel = test_binary(&message("linux", "kernel_route", true)).expect("a test");
        assert_eq!(
            (kernel.label.as_str(), kernel.rights),
            ("linux kernel_route", Rights::Root)
        );
        assert_eq!(kernel.directory, Path::new("/p/io/linux"));
        let unit = test_binary(&message("linux", "linux", true)).expect("a test");
        assert_eq!((unit.label.as_str(), unit.rights), ("linux", Rights::User));
    }

    #[test]
    fn other_messages_are_no_tests() {
        assert_eq!(test_binary(&message("linux", "linux", false)), None);
        assert_eq!(test_binary("{\"reason\":\"build-finished\"}"), None);
        assert_eq!(test_binary("not json"), None);
    }
}
