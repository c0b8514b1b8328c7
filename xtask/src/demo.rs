//! `cargo xtask demo`: builds the programs and hands over to `calico-lab demo`, as root.

use std::process::ExitCode;

use anyhow::{Result, bail};

use crate::arguments::Options;
use crate::process::{self, Program};
use crate::setup;
use crate::workspace::Workspace;

/// Packages of the programs that the demo starts.
const PROGRAMS: &[&str] = &["calico", "cni", "lab"];

/// Builds and runs.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<ExitCode> {
    setup::run(options.consent)?;
    let mut cargo = process::cargo(workspace).args(["build"]);
    for package in PROGRAMS {
        cargo = cargo.args(["--package", package]);
    }
    cargo.run()?;
    let built = workspace.target()?.join("debug");
    let binary = built.join("calico-lab");
    let Some(program) = Program::privileged(&binary, &[("PATH", process::search_path())]) else {
        bail!(
            "the demo makes network namespaces, which needs root, and there is no sudo: run it as root"
        );
    };
    let code = program
        .args(["demo", "--binaries"])
        .args([&built])
        .args(["--examples"])
        .args([workspace.root.join("examples")])
        .args(&options.passed_on)
        .directory(&workspace.root)
        .code()?;
    Ok(ExitCode::from(code))
}
