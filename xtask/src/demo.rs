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
    let wanted = |pair: &[String]| pair == ["--datastore", "kubernetes"];
    let kubernetes = match options.passed_on.windows(2).any(wanted) {
        true => setup::kubernetes::run(setup::kubernetes::Release::Current),
        false => None,
    };
    let mut cargo = process::cargo(workspace).args(["build"]);
    for package in PROGRAMS {
        cargo = cargo.args(["--package", package]);
    }
    cargo.run()?;
    let built = workspace.target()?.join("debug");
    let binary = built.join("calico-lab");
    let mut environment = vec![("PATH", process::search_path())];
    // Root's home, and so its cache, is another.
    environment.extend(kubernetes.map(|directory| ("CALICO_TEST_KUBERNETES", directory.into())));
    let Some(program) = Program::privileged(&binary, &environment) else {
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
