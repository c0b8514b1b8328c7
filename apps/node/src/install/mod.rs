//! `calico component cni install`: puts the CNI plugins and their network configuration where container runtimes look.
//!
//! Run once on a host, or at every start of a pod: what is as it should be is left alone. Every file is noted in [`Record`]
//! before it is written, so that `calico-node uninstall` takes away what is ours and nothing else.

mod conflist;
mod files;
mod options;

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};

pub use files::{Outcome, Record, Removal};
use options::{Command, Options, Skip};

use crate::host;
use crate::settings::{Env, Settings};

/// Names under which runtimes call the plugin; it does what its name says.
const PLUGINS: [&str; 2] = ["calico", "calico-ipam"];
/// Anyone may call a plugin.
const PROGRAM: u32 = 0o755;
/// A configuration may hold secrets of the datastore.
const CONFIGURATION: u32 = 0o600;

/// Runs `calico component cni` with the arguments after that.
pub fn main(args: &[String]) -> ExitCode {
    let env: Env = std::env::vars_os()
        .filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)))
        .collect();
    let command = Command::parse(args, &env);
    let result = match command {
        Ok(Command::Help) => super::say(options::USAGE),
        Ok(Command::Install(options)) => install(&Settings::new(env, &host::name()), &options),
        Err(error) => Err(anyhow::anyhow!("{error}\n\n{}", options::USAGE)),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody is left to tell when standard error is gone.
            let _ = writeln!(std::io::stderr(), "calico component cni: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Where the record of installed files is.
pub fn record_path(settings: &Settings) -> PathBuf {
    settings.paths.ledger.with_file_name("cni-install.json")
}

/// All that can be wrong with what was asked for is found before the first file is written.
fn install(settings: &Settings, options: &Options) -> anyhow::Result<()> {
    let text = conflist::render(settings, options)?;
    let mut files = Vec::new();
    let mut said = Vec::new();
    for name in PLUGINS {
        let target = options.bin_dir.join(name);
        if options.skips(name) == Skip::Yes || (options.keep_existing() && target.exists()) {
            said.push(format!("{}: left as it is, as asked", target.display()));
            continue;
        }
        let source = source(options.from.as_deref(), name)?;
        let bytes =
            fs::read(&source).with_context(|| format!("failed to read {}", source.display()))?;
        files.push((target, bytes, PROGRAM));
    }
    // Last: a runtime that sees the configuration may call the plugins.
    let target = options.conf_dir.join(&options.conf_name);
    files.push((target, text.into_bytes(), CONFIGURATION));

    let mut record = Record::open(&record_path(settings))?;
    for (target, bytes, mode) in files {
        let outcome = record.install(&target, &bytes, mode)?;
        said.push(format!("{}: {}", target.display(), outcome.words()));
    }
    if let Some(old) = old_configuration(settings, options)
        && record.remove(&old)? == Removal::Gone
    {
        said.push(format!("{}: removed, it had our network", old.display()));
    }
    super::say(&format!("{}\n", said.join("\n")))
}

/// A configuration that we wrote under another name would be a second network.
fn old_configuration(settings: &Settings, options: &Options) -> Option<PathBuf> {
    let old = settings
        .env
        .get("CNI_OLD_CONF_NAME")
        .map_or(options::CONF_NAME, |name| name.as_str());
    let path = options.conf_dir.join(old);
    (old != options.conf_name && path.exists()).then_some(path)
}

/// The plugin to copy: under its own name, or under the name that cargo builds it by.
fn source(from: Option<&Path>, name: &str) -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe().context("failed to find the running program")?;
    let beside = own.parent().unwrap_or(Path::new("/"));
    let directories = match from {
        Some(directory) => vec![directory.to_owned()],
        None => vec![beside.join("../cni"), beside.to_owned()],
    };
    for directory in &directories {
        // Beside the program, `calico` is the program itself; only `calico-cni` is the plugin there.
        let names: &[&str] = if directory == beside {
            &["calico-cni"]
        } else {
            &[name, "calico-cni"]
        };
        let found = names.iter().map(|name| directory.join(name));
        if let Some(path) = found.into_iter().find(|path| path.is_file()) {
            return Ok(path);
        }
    }
    let places: Vec<String> = directories
        .iter()
        .map(|d| d.display().to_string())
        .collect();
    bail!(
        "no plugin {name:?} in {}; name the directory that has it: --from DIR",
        places.join(" or ")
    )
}
