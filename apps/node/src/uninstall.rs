//! Gives the host back: our nf_tables table, our files with the CNI plugins, and the host's own sysctls as they were.
//!
//! Pods that still run keep their interfaces and routes, which go with the pods. The datastore is the operator's.

use std::fs;
use std::io;
use std::path::Path;

use anyhow::Context as _;
use dataplane::nft::{Batch, Op, Presence, TableId};
use linux::nft::{Guard, Nftables};

use crate::install::{Record, record_path};
use crate::ledger::Ledger;
use crate::settings::Settings;

/// Removes all that the agent put on this host; goes on after errors and names them all.
///
/// # Errors
/// At least one thing could not be removed.
pub fn run(settings: &Settings) -> anyhow::Result<()> {
    if super::probe_quietly(settings) {
        anyhow::bail!(
            "the agent is running on this host; stop it first, or it puts everything back"
        );
    }
    let mut errors = Vec::new();
    let mut step = |result: anyhow::Result<()>| {
        if let Err(error) = result {
            errors.push(format!("{error:#}"));
        }
    };
    step(table());
    for (sysctl, value) in Ledger::open(&settings.paths.ledger).before() {
        let path = Path::new("/proc/sys").join(sysctl);
        step(
            fs::write(&path, value)
                .with_context(|| format!("failed to restore {}", path.display())),
        );
    }
    step(plugins(settings));
    step(remove_dir(&settings.paths.run.join("endpoint-status")));
    for path in [
        &settings.paths.nodename,
        &settings.paths.mtu,
        &settings.paths.ledger,
    ] {
        step(remove(path));
    }
    if errors.is_empty() {
        return super::say("calico-node is gone from this host; the datastore was left alone\n");
    }
    anyhow::bail!("not all could be removed:\n  {}", errors.join("\n  "))
}

fn table() -> anyhow::Result<()> {
    let mut nft = Nftables::open().context("failed to open nf_tables")?;
    let (observed, _) = nft
        .observe(&TableId::ours())
        .context("failed to read our table")?;
    if observed.presence == Presence::Absent {
        return Ok(());
    }
    let mut batch = Batch::new(TableId::ours());
    batch.ops.push(Op::DeleteTable);
    nft.apply(&batch, Guard::Any)
        .context("failed to delete our nf_tables table")?;
    Ok(())
}

/// The CNI plugins and their configuration, as far as they are as the installer wrote them.
fn plugins(settings: &Settings) -> anyhow::Result<()> {
    for path in Record::open(&record_path(settings))?.remove_all()? {
        super::say(&format!(
            "{} was changed since it was installed; it was left\n",
            path.display()
        ))?;
    }
    Ok(())
}

fn remove(path: &Path) -> anyhow::Result<()> {
    absent_is_fine(fs::remove_file(path))
        .with_context(|| format!("failed to remove {}", path.display()))
}

fn remove_dir(path: &Path) -> anyhow::Result<()> {
    absent_is_fine(fs::remove_dir_all(path))
        .with_context(|| format!("failed to remove {}", path.display()))
}

fn absent_is_fine(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
