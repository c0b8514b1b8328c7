//! Release binaries under the names people know, `dist/bin` and `dist/cni`, and their manual pages, `dist/man`.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::process::{self, Program};
use crate::workspace::Workspace;

/// Names under which the front is called; it dispatches on its own name.
const FRONT_NAMES: &[&str] = &[
    "calicoctl",
    "calico-node",
    "kubectl-calico",
    "kubectl_complete-calico",
];

/// Builds everything and lays it out.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    let target = workspace.target()?;
    let host = host_triple()?;
    process::cargo(workspace)
        .args([
            "build",
            "--profile",
            "dist",
            "-p",
            "calico",
            "-p",
            "calico-bench",
        ])
        .run()?;
    // The plugin runs on hosts with an older C library, so it brings its own. Naming the target keeps the flag away
    // from build scripts and procedural macros, which cannot be static.
    let flags = format!(
        "CARGO_TARGET_{}_RUSTFLAGS",
        host.to_uppercase().replace('-', "_")
    );
    process::cargo(workspace)
        .env(&flags, "-C target-feature=+crt-static")
        .args(["build", "--profile", "dist", "-p", "cni", "--target", &host])
        .run()?;

    let binaries = workspace.root.join("dist/bin");
    let plugins = workspace.root.join("dist/cni");
    fresh(&binaries)?;
    fresh(&plugins)?;
    let built = target.join("dist");
    copy(&built.join("calico"), &binaries.join("calico"))?;
    copy(&built.join("calico-bench"), &binaries.join("calico-bench"))?;
    for name in FRONT_NAMES {
        let link = binaries.join(name);
        std::os::unix::fs::symlink("calico", &link)
            .with_context(|| format!("cannot link {}", link.display()))?;
    }
    copy(
        &target.join(&host).join("dist/calico-cni"),
        &plugins.join("calico"),
    )?;
    let second = plugins.join("calico-ipam");
    fs::hard_link(plugins.join("calico"), &second)
        .with_context(|| format!("cannot link {}", second.display()))?;
    manual_pages(workspace, &binaries)?;
    for path in [
        binaries.join("calico"),
        binaries.join("calico-bench"),
        plugins.join("calico"),
    ] {
        let bytes = fs::metadata(&path)
            .with_context(|| format!("cannot read {}", path.display()))?
            .len();
        println!(
            "dist: {:22} {:>7} KiB",
            workspace.relative(&path).display(),
            bytes / 1024
        );
    }
    println!(
        "dist: links to dist/bin/calico: {}; to dist/cni/calico: calico-ipam",
        FRONT_NAMES.join(" ")
    );
    Ok(())
}

/// The command line tool writes its own pages; that of the agent is a file of ours.
fn manual_pages(workspace: &Workspace, binaries: &Path) -> Result<()> {
    let pages = workspace.root.join("dist/man");
    fresh(&pages)?;
    let users = pages.join("man1").display().to_string();
    let calicoctl = binaries.join("calicoctl").display().to_string();
    Program::new(&calicoctl).args(["man", &users]).run()?;
    let administrators = pages.join("man8");
    fresh(&administrators)?;
    copy(
        &workspace.root.join("deploy/man/calico-node.8"),
        &administrators.join("calico-node.8"),
    )
}

/// The triple rustc builds for when none is named.
fn host_triple() -> Result<String> {
    let text = Program::new("rustc").args(["-vV"]).output()?;
    text.lines()
        .find_map(|line| line.strip_prefix("host: "))
        .map(str::to_owned)
        .context("rustc -vV names no host")
}

fn fresh(directory: &Path) -> Result<()> {
    if directory.exists() {
        fs::remove_dir_all(directory)
            .with_context(|| format!("cannot empty {}", directory.display()))?;
    }
    fs::create_dir_all(directory).with_context(|| format!("cannot make {}", directory.display()))
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::copy(from, to)
        .with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))
        .map(|_| ())
}
