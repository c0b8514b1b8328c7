//! `node diags`: what explains the state of this host's agent and kernel, in one archive.

use std::path::Path;

use crate::cli::NodeDiagsArgs;
use crate::outcome::{Failure, Status};
use crate::programs::{self, Unanswered};
use crate::session::Session;
use crate::time;

/// A program whose output is kept.
struct Dump {
    /// What is said meanwhile; nothing if it is empty.
    info: &'static str,
    words: &'static [&'static str],
    /// The file below `diagnostics`.
    file: &'static str,
}

const fn dump(info: &'static str, words: &'static [&'static str], file: &'static str) -> Dump {
    Dump { info, words, file }
}

const DUMPS: [Dump; 16] = [
    dump("", &["date"], "date"),
    dump("", &["hostname"], "hostname"),
    dump("", &["uname", "-a"], "uname"),
    dump(
        "Dumping routes (IPv4)",
        &["ip", "-4", "route", "show", "table", "all"],
        "ipv4_route",
    ),
    dump(
        "Dumping routes (IPv6)",
        &["ip", "-6", "route", "show", "table", "all"],
        "ipv6_route",
    ),
    dump(
        "Dumping interface info (IPv4)",
        &["ip", "-4", "addr"],
        "ipv4_addr",
    ),
    dump(
        "Dumping interface info (IPv6)",
        &["ip", "-6", "addr"],
        "ipv6_addr",
    ),
    dump("Dumping links", &["ip", "-details", "link"], "links"),
    dump("Dumping routing rules", &["ip", "rule"], "ip_rule"),
    dump("Dumping neighbours", &["ip", "neigh"], "ip_neigh"),
    dump(
        "Dumping nftables",
        &["nft", "-n", "-a", "list", "ruleset"],
        "nft_ruleset",
    ),
    dump(
        "Dumping iptables (IPv4)",
        &["iptables-save", "-c"],
        "ipv4_tables",
    ),
    dump(
        "Dumping iptables (IPv6)",
        &["ip6tables-save", "-c"],
        "ipv6_tables",
    ),
    dump("Dumping ipsets", &["ipset", "list"], "ipsets"),
    dump("Dumping sysctls", &["sysctl", "-a"], "sysctls"),
    dump(
        "Copying journal for calico-node.service",
        &["journalctl", "-u", "calico-node.service", "--no-pager"],
        "journalctl_calico_node",
    ),
];

pub(crate) fn run(args: &NodeDiagsArgs, session: &mut Session<'_>) -> Result<Status, Failure> {
    if !rustix::process::geteuid().is_root() {
        return Err(Failure::general(
            "Need super user privileges: Operation not permitted",
        ));
    }
    session.line("Collecting diagnostics")?;
    let failed = |what: &str, error: &std::io::Error| Failure::general(format!("{what}: {error}"));
    let place = tempfile::Builder::new()
        .prefix("calico")
        .tempdir()
        .map_err(|error| failed("error creating temp directory to dump logs", &error))?
        // The archive stays in it.
        .keep();
    session.line(format!("Using temp dir: {}", place.display()))?;
    let diagnostics = place.join("diagnostics");
    std::fs::create_dir(&diagnostics)
        .map_err(|error| failed("error creating diagnostics directory", &error))?;
    for dump in &DUMPS {
        take(dump, &diagnostics, session)?;
    }
    let sockets = match programs::find("netstat") {
        Some(_) => dump("Dumping netstat", &["netstat", "-a", "-n"], "netstat"),
        None => dump("Dumping ss", &["ss", "-a", "-n"], "ss"),
    };
    take(&sockets, &diagnostics, session)?;
    agent(&diagnostics, session)?;
    copy_logs(&args.log_dir, &diagnostics.join("logs"), session)?;
    let archive = format!("diags-{}.tar.gz", time::compact());
    let (root, file) = (place.display().to_string(), place.join(&archive));
    let packed = file.display().to_string();
    let words = ["tar", "-czf", &packed, "-C", &root, "diagnostics"];
    programs::run(&words).map_err(|why| {
        Failure::general(format!(
            "error compressing the diagnostics: {}; they are in {}",
            why.text(),
            diagnostics.display()
        ))
    })?;
    session.line(format!("\nDiags saved to {packed}"))?;
    session
        .line("If required, you can upload the diagnostics bundle to a file sharing service.")?;
    Ok(Status::Done)
}

fn take(dump: &Dump, diagnostics: &Path, session: &mut Session<'_>) -> Result<(), Failure> {
    if !dump.info.is_empty() {
        session.line(dump.info)?;
    }
    let output = match programs::run(dump.words) {
        Ok(output) => output,
        Err(why) => {
            session.line(format!(
                "Failed to run command: {}\nError: {}",
                dump.words.join(" "),
                why.text()
            ))?;
            match why {
                // What a program said before it failed may be all there is.
                Unanswered::Failed(printed) => printed,
                Unanswered::NotStarted(_) => return Ok(()),
            }
        }
    };
    write(&diagnostics.join(dump.file), &output, session)
}

fn write(path: &Path, bytes: &[u8], session: &mut Session<'_>) -> Result<(), Failure> {
    match std::fs::write(path, bytes) {
        Ok(()) => Ok(()),
        Err(error) => session.line(format!("Error writing {}: {error}", path.display())),
    }
}

/// What the agent says of itself.
fn agent(diagnostics: &Path, session: &mut Session<'_>) -> Result<(), Failure> {
    session.line("Asking the agent for its health")?;
    for path in ["readiness", "liveness"] {
        let text = match super::health(&format!("/{path}"), &session.environment) {
            Some((true, text)) => format!("ok\n{text}\n"),
            Some((false, text)) => format!("not ok\n{text}\n"),
            None => "no agent answers\n".to_owned(),
        };
        write(&diagnostics.join(path), text.as_bytes(), session)?;
    }
    Ok(())
}

/// Copies the files of a directory and of those below it; links are not followed.
fn copy_logs(from: &Path, to: &Path, session: &mut Session<'_>) -> Result<(), Failure> {
    match std::fs::metadata(from) {
        Err(error) => session.line(format!("Error copying log files: {error}")),
        Ok(found) if !found.is_dir() => session.line(format!(
            "No logs found in {}; skipping log copying",
            from.display()
        )),
        Ok(_) => {
            session.line("Copying Calico logs")?;
            copy_tree(from, to)
                .or_else(|error| session.line(format!("Error copying log files: {error}")))
        }
    }
}

fn copy_tree(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        let target = to.join(entry.file_name());
        if kind.is_dir() {
            copy_tree(&entry.path(), &target)?;
        } else if kind.is_file() {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
