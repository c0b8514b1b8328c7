//! `cluster diags`: what explains the state of a Kubernetes cluster, asked of it by `kubectl` and packed in one archive.

mod collect;
mod lists;
mod pods;
mod secrets;

use std::path::Path;

use serde_json::Value;

use crate::cli::{ClusterDiagsArgs, Global};
use crate::connect::environment_of;
use crate::outcome::{Failure, Status};
use crate::programs;
use crate::session::Session;
use crate::time;

use collect::{Collector, Kubectl};

/// A setting of the operator that voids support; files with it are named.
const UNSUPPORTED: &str = "unsupported.operator.tigera.io";

pub(crate) fn run(
    args: &ClusterDiagsArgs,
    global: &Global,
    session: &mut Session<'_>,
) -> Result<Status, Failure> {
    check(args)?;
    if programs::find("kubectl").is_none() {
        return Err(Failure::general(
            "missing dependency: unable to locate kubectl in PATH",
        ));
    }
    let kubeconfig = environment_of(&args.config.config)?.remove("KUBECONFIG");
    let kubectl = Kubectl::new(global.context.as_deref(), kubeconfig.as_deref());
    session.line("==== Begin collecting diagnostics. ====")?;
    let place = tempfile::tempdir()
        .map_err(|error| Failure::general(format!("cannot make a temporary directory: {error}")))?;
    session.line(format!(
        "Created temporary directory: {}",
        place.path().display()
    ))?;
    let name = format!("calico-diagnostics-{}", time::compact());
    let root = place.path().join(&name);
    let collector = Collector {
        kubectl: &kubectl,
        at_once: args.max_parallelism.max(1),
    };
    secrets::collect(&collector, &root.join("tls"), session)?;
    pods::collect(&collector, args, &root, session)?;
    lists::collect(&collector, &root.join("cluster"), session)?;
    name_unsupported(&root, session)?;
    let packed = pack(place.path(), &name, session);
    if args.skip_temp_dir_cleanup {
        let _kept = place.keep();
    }
    packed?;
    Ok(Status::Done)
}

fn check(args: &ClusterDiagsArgs) -> Result<(), Failure> {
    let digits = args.since.trim_end_matches(['s', 'm', 'h']);
    let is_duration = args.since.len() == digits.len() + 1
        && !digits.is_empty()
        && digits.bytes().all(|b| b.is_ascii_digit());
    if !is_duration {
        return Err(Failure::usage(format!(
            "Error executing command: invalid duration for since flag (try 10s, 5m, or 1h): {}",
            args.since
        )));
    }
    if args.max_logs < 0 {
        return Err(Failure::usage(
            "Error executing command: negative value for max-logs flag",
        ));
    }
    Ok(())
}

fn name_unsupported(root: &Path, session: &mut Session<'_>) -> Result<(), Failure> {
    let mut found = Vec::new();
    search(root, root, &mut found);
    if found.is_empty() {
        return Ok(());
    }
    session.line("\n==== WARNING: Unsupported annotation usage detected in the cluster ====")?;
    let path = root.join("files_with_unsupported_annotation.txt");
    if let Err(error) = std::fs::write(&path, found.join("\n")) {
        session.line(format!("Error writing {}: {error}", path.display()))?;
    }
    Ok(())
}

/// The files below a directory that have the annotation, by their paths from the root.
fn search(directory: &Path, root: &Path, found: &mut Vec<String>) {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let mut paths: Vec<_> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        if path.is_symlink() {
            continue;
        }
        if path.is_dir() {
            search(&path, root, found);
        } else if let Ok(bytes) = std::fs::read(&path)
            && String::from_utf8_lossy(&bytes).contains(UNSUPPORTED)
        {
            let shown = path.strip_prefix(root).unwrap_or(&path);
            found.push(shown.display().to_string());
        }
    }
}

fn pack(place: &Path, name: &str, session: &mut Session<'_>) -> Result<(), Failure> {
    session.line("\n==== Producing a diagnostics bundle. ====")?;
    let archive = format!("./{name}.tar.gz");
    let from = place.display().to_string();
    programs::run(&["tar", "-czf", &archive, "-C", &from, name]).map_err(|why| {
        Failure::general(format!(
            "Could not create new archive {archive}: {}",
            why.text()
        ))
    })?;
    session.line(format!("Diagnostic bundle created at {archive}"))
}

/// The items of a list as `kubectl get -o json` prints it.
fn items(list: Value) -> Vec<Value> {
    match list {
        Value::Object(mut map) => match map.remove("items") {
            Some(Value::Array(items)) => items,
            Some(_) | None => Vec::new(),
        },
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Vec::new()
        }
    }
}

/// The text at a pointer of an item; empty if there is none.
fn text<'a>(item: &'a Value, pointer: &str) -> &'a str {
    item.pointer(pointer).and_then(Value::as_str).unwrap_or("")
}
