//! Starting calicoctl, which scripts do by the thousand.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::Context as _;

use crate::sample::{Samples, heading, line};

const RUNS: usize = 100;

pub(crate) fn run(bin: &Path) -> anyhow::Result<()> {
    heading("start-up (upstream: 110 ms, 44 MB)");
    let mut floor = Samples::default();
    let mut version = Samples::default();
    for _ in 0..RUNS {
        floor.add(timed(&mut Command::new("true"))?);
        let calicoctl = bin.join("calicoctl");
        version.add(timed(
            Command::new(calicoctl).args(["version", "--client"]),
        )?);
    }
    line("floor: true", &floor);
    line("calicoctl version --client", &version);
    Ok(())
}

fn timed(command: &mut Command) -> anyhow::Result<std::time::Duration> {
    let begin = Instant::now();
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
    let took = begin.elapsed();
    anyhow::ensure!(
        status
            .with_context(|| format!("failed to run {command:?}"))?
            .success(),
        "{command:?} failed"
    );
    Ok(took)
}
