//! `cargo xtask test`: format, lints, house rules, every test, and what the tests leave behind.
//!
//! Flow: [`binaries`] builds and lists test executables, [`tally`] reads what they print, [`residue`] looks at the
//! machine before and after.

mod binaries;
mod residue;
mod tally;

use std::ffi::OsString;
use std::path::Path;
use std::process::{ExitCode, Output};
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::arguments::{Depth, Options, Skips};
use crate::process::{self, Program};
use crate::setup::kubernetes::Release;
use crate::workspace::Workspace;
use crate::{codegen, setup, tidy};

use binaries::{Rights, TestBinary};
use residue::Snapshot;
use tally::Tally;

/// How long what a test left may take to go: the kernel tears namespaces down in its own time.
const SETTLE: Duration = Duration::from_secs(10);

/// Seconds before a test executable is called hung.
const HUNG_AFTER: [(Depth, &str); 2] = [(Depth::Usual, "900"), (Depth::Deep, "7200")];

/// Random worlds, programs of operations and the like per property under `--deep`.
const DEEP_CASES: &str = "10000";

/// Tests that are run against an older Kubernetes too, under `--deep`.
const ON_OLDER: [&str; 3] = [
    "datastore kubernetes",
    "datastore kubernetes_feed",
    "testkit kubernetes",
];

/// Runs all steps; only a build that fails ends the run early.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<ExitCode> {
    setup::run(options.consent)?;
    let kubernetes = setup::kubernetes::run(Release::Current);
    let mut tally = Tally::default();
    step(&mut tally, "format", || {
        cargo_step(workspace, &["fmt", "--all", "--check"])
    })?;
    step(&mut tally, "lints", || {
        cargo_step(
            workspace,
            &[
                "clippy",
                "--quiet",
                "--workspace",
                "--all-targets",
                "--",
                "-D",
                "warnings",
            ],
        )
    })?;
    step(&mut tally, "house rules", || {
        let report = tidy::run(workspace)?;
        for problem in &report.problems {
            eprintln!("{problem}");
        }
        Ok(Tally::one(report.problems.is_empty(), "house rules"))
    })?;
    step(&mut tally, "generated files", || {
        let stale = codegen::stale(workspace)?;
        for path in &stale {
            eprintln!("{path} is not current: run cargo xtask codegen");
        }
        Ok(Tally::one(stale.is_empty(), "generated files"))
    })?;
    if options.depth == Depth::Deep {
        step(&mut tally, "licences and sources", || licences(workspace))?;
    }

    let before = Snapshot::take();
    match binaries::build(workspace)? {
        None => tally.add(Tally::one(false, "build")),
        Some(mut tests) => {
            // Unprivileged first: what is wrong without a kernel is easier to read.
            tests.sort_by_key(|test| test.rights);
            for test in &tests {
                step(&mut tally, &test.label, || {
                    execute(test, options.depth, kubernetes.as_deref())
                })?;
            }
            if options.depth == Depth::Deep {
                on_the_older_kubernetes(&mut tally, &tests)?;
            }
            step(&mut tally, "documentation tests", || {
                let output = process::cargo(workspace)
                    .args(["test", "--quiet", "--workspace", "--doc"])
                    .captured()?;
                Ok(judge("documentation tests", &output))
            })?;
            step(&mut tally, "nothing left behind", || Ok(leftovers(&before)))?;
        }
    }
    Ok(conclude(&tally, options.skips))
}

/// What a Kubernetes store does is asked of an older server too. Not what our definitions mean: it does not hold numbers to
/// their format (`int32`), and takes an AS number of 4294967296.
fn on_the_older_kubernetes(tally: &mut Tally, tests: &[TestBinary]) -> Result<()> {
    let older = setup::kubernetes::run(Release::Older);
    for test in tests.iter().filter(|test| ON_OLDER.contains(&&*test.label)) {
        let label = format!("{} (older server)", test.label);
        step(tally, &label, || match &older {
            Some(directory) => execute(test, Depth::Usual, Some(directory)),
            None => Ok(Tally::skipped(&label, "no older Kubernetes could be built")),
        })?;
    }
    Ok(())
}

/// Runs one step and prints its line.
fn step(total: &mut Tally, name: &str, work: impl FnOnce() -> Result<Tally>) -> Result<()> {
    let start = Instant::now();
    let result = work()?;
    let verdict = if result.failures.is_empty() {
        "ok"
    } else {
        "FAILED"
    };
    println!(
        "{name:44} {verdict:6} {:>4} passed {:>3} skipped {:>7.1} s",
        result.passed,
        result.skips.len(),
        start.elapsed().as_secs_f64()
    );
    total.add(result);
    Ok(())
}

fn cargo_step(workspace: &Workspace, words: &[&str]) -> Result<Tally> {
    let code = process::cargo(workspace).args(words).code()?;
    Ok(Tally::one(code == 0, &format!("cargo {}", words.join(" "))))
}

/// Cargo-deny takes minutes to build, so it is used where it is and never installed.
fn licences(workspace: &Workspace) -> Result<Tally> {
    if !process::exists("cargo-deny") {
        return Ok(Tally::skipped(
            "licences and sources",
            "cargo-deny is not installed",
        ));
    }
    cargo_step(workspace, &["deny", "check"])
}

fn execute(test: &TestBinary, depth: Depth, kubernetes: Option<&Path>) -> Result<Tally> {
    let mut environment: Vec<(&str, OsString)> = vec![
        ("PATH", process::search_path()),
        ("CARGO_MANIFEST_DIR", test.directory.clone().into()),
    ];
    // Root's home, and so its cache, is another.
    if let Some(directory) = kubernetes {
        environment.push(("CALICO_TEST_KUBERNETES", directory.into()));
    }
    match depth {
        Depth::Deep => {
            environment.push(("CALICO_CASES", DEEP_CASES.into()));
            environment.push(("CALICO_MANY", "100000".into()));
            environment.push(("CALICO_CHAOS_SECONDS", "600".into()));
        }
        Depth::Usual => environment.push(("CALICO_CHAOS_SECONDS", "60".into())),
    }
    let limit = HUNG_AFTER
        .iter()
        .find(|(of, _)| *of == depth)
        .map_or("900", |(_, seconds)| *seconds);
    let privileged = match test.rights {
        Rights::Root => Program::privileged("timeout", &environment),
        Rights::User => None,
    };
    // Without a way to root the tests run all the same: each says itself that it is skipped.
    let program = privileged.unwrap_or_else(|| {
        environment
            .iter()
            .fold(Program::new("timeout"), |program, (key, value)| {
                program.env(key, value)
            })
    });
    let show = match test.rights {
        Rights::Root => "--nocapture",
        Rights::User => "--show-output",
    };
    let output = program
        .args(["--kill-after=10", limit])
        .args([&test.executable])
        .args([show])
        .directory(&test.directory)
        .captured()?;
    Ok(judge(&test.label, &output))
}

/// Counts what a test program printed, and shows all of it when something failed.
fn judge(label: &str, output: &Output) -> Tally {
    let printed = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    let tally = tally::read(label, &printed, &errors, output.status.success());
    if !tally.failures.is_empty() {
        eprintln!("{printed}{errors}");
    }
    tally
}

fn leftovers(before: &Snapshot) -> Tally {
    let deadline = Instant::now() + SETTLE;
    loop {
        let left = Snapshot::take().added_since(before);
        if left.is_empty() {
            return Tally::one(true, "nothing left behind");
        }
        if Instant::now() >= deadline {
            for thing in &left {
                eprintln!("left behind: {thing}");
            }
            return Tally::one(false, "nothing left behind");
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

fn conclude(tally: &Tally, skips: Skips) -> ExitCode {
    for (times, label, reason) in tally.skip_reasons() {
        println!("SKIPPED {times} in {label}: {reason}");
    }
    for failure in &tally.failures {
        println!("FAILED {failure}");
    }
    let failed = match skips {
        Skips::Told => tally.failures.len(),
        Skips::Fail => tally.failures.len() + tally.skips.len(),
    };
    let skipped = match skips {
        Skips::Told => tally.skips.len(),
        Skips::Fail => 0,
    };
    if skips == Skips::Fail && !tally.skips.is_empty() {
        println!("--require all: each skipped test counts as failed");
    }
    println!(
        "{} passed, {failed} failed, {skipped} skipped",
        tally.passed
    );
    if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
