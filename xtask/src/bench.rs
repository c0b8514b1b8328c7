//! `cargo xtask bench`: the figures, each beside its floor, by `calico-bench` in release.

use std::process::ExitCode;

use anyhow::{Result, bail};

use crate::arguments::Options;
use crate::process::Program;
use crate::workspace::Workspace;
use crate::{dist, process, setup};

/// Builds what is measured as it is shipped, then measures as root.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<ExitCode> {
    dist::run(workspace)?;
    let binary = workspace.root.join("dist/bin/calico-bench");
    let mut environment = vec![("PATH", process::search_path())];
    // Root's home, and so its cache, is another.
    if let Some(directory) = setup::kubernetes::found() {
        environment.push(("CALICO_TEST_KUBERNETES", directory.into()));
    }
    let Some(program) = Program::privileged(&binary, &environment) else {
        bail!(
            "bench makes network namespaces, which needs root, and there is no sudo: run it as root"
        );
    };
    let code = program
        .args(&options.passed_on)
        .directory(&workspace.root)
        .code()?;
    Ok(ExitCode::from(code))
}
