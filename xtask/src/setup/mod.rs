//! Packages of the distribution that tests and demos drive: listed first, installed without starting anything, kept after.
//! What no distribution has is built from its source, once: [`kubernetes`].

mod go;
pub(crate) mod kubernetes;

use std::io::{BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::arguments::Consent;
use crate::process::{self, Program};

/// A Debian package, and what it is for.
const PACKAGES: &[(&str, &str)] = &[
    (
        "nftables",
        "an independent eye on the rules that are written over netlink",
    ),
    (
        "iproute2",
        "an independent eye on links, routes and namespaces",
    ),
    ("iputils-ping", "ICMP probes"),
    ("conntrack", "a look at tracked connections"),
    ("tcpdump", "a look at packets"),
    ("jq", "recipes in the documentation"),
    (
        "busybox-static",
        "a container image made without a registry",
    ),
    (
        "containerd",
        "a container runtime that is not ours, as CNI client",
    ),
    ("runc", "what containerd starts containers with"),
    (
        "containernetworking-plugins",
        "the peers to compare our CNI plugin with",
    ),
    (
        "protobuf-compiler",
        "what the etcd client is generated with when it is built",
    ),
    (
        "libprotobuf-dev",
        "the definitions that the protobuf compiler includes",
    ),
    ("etcd-server", "a real etcd for the tests of its store"),
    ("etcd-client", "an independent eye on what we write to etcd"),
    ("openssl", "keys and certificates of servers under test"),
    ("curl", "whether a server under test is ready"),
];

/// While this file stands, Debian's packages start no service.
const POLICY: &str = "/usr/sbin/policy-rc.d";

/// Makes sure that the packages are there, or says what is missing and goes on: the tests that need it say so too.
pub(crate) fn run(consent: Consent) -> Result<()> {
    let names: Vec<&str> = PACKAGES.iter().map(|(name, _)| *name).collect();
    if !process::exists("dpkg-query") || !process::exists("apt-get") {
        println!(
            "set-up: not a Debian system; tests and demos use: {}",
            names.join(" ")
        );
        return Ok(());
    }
    let output = Program::new("dpkg-query")
        .args(["-W", "-f", "${db:Status-Abbrev} ${Package}\n"])
        .args(&names)
        .captured()?;
    let missing = missing(&names, &String::from_utf8_lossy(&output.stdout));
    if missing.is_empty() {
        println!("set-up: all {} packages are there", names.len());
        return Ok(());
    }
    println!(
        "set-up: these packages are missing; they will be installed and kept, and no service started:"
    );
    for (name, purpose) in PACKAGES.iter().filter(|(name, _)| missing.contains(name)) {
        println!("  {name:28} {purpose}");
    }
    if consent == Consent::Ask && !confirmed()? {
        println!("set-up: nothing installed; tests that need them will be skipped");
        return Ok(());
    }
    install(&missing)
}

/// Those that `dpkg-query` does not call installed.
fn missing<'n>(names: &[&'n str], report: &str) -> Vec<&'n str> {
    let installed = |name: &str| {
        report
            .lines()
            .any(|line| line.starts_with("ii") && line.split_whitespace().nth(1) == Some(name))
    };
    names
        .iter()
        .copied()
        .filter(|name| !installed(name))
        .collect()
}

fn confirmed() -> Result<bool> {
    if !std::io::stdin().is_terminal() {
        bail!(
            "packages are missing and there is no terminal to ask on: run again with --yes, or install them"
        );
    }
    print!("set-up: install them? [y/N] ");
    std::io::stdout()
        .flush()
        .context("cannot write the question")?;
    let mut answer = String::new();
    std::io::stdin()
        .lock()
        .read_line(&mut answer)
        .context("cannot read the answer")?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

fn install(packages: &[&str]) -> Result<()> {
    let policy = ServicePolicy::forbid()?;
    let apt = |words: &[&str]| -> Result<()> {
        let environment = [("DEBIAN_FRONTEND", "noninteractive".into())];
        let Some(program) = Program::privileged("apt-get", &environment) else {
            bail!(
                "installing packages needs root, and there is no sudo: run `cargo xtask setup` as root"
            );
        };
        program
            .args(["-q", "-o", "DPkg::Lock::Timeout=300"])
            .args(words)
            .run()
    };
    let installed = apt(&["update"]).and_then(|()| {
        let mut words = vec!["install", "--yes", "--no-install-recommends"];
        words.extend(packages);
        apt(&words)
    });
    policy.restore()?;
    installed
}

/// Debian's own way to keep packages from starting services, and what stood there before.
struct ServicePolicy {
    saved: Option<PathBuf>,
}

impl ServicePolicy {
    fn forbid() -> Result<Self> {
        let saved = PathBuf::from(format!("{POLICY}.calico-xtask"));
        let saved = if Path::new(POLICY).exists() {
            as_root(&["mv", POLICY, &saved.to_string_lossy()])?;
            Some(saved)
        } else {
            None
        };
        as_root(&[
            "sh",
            "-c",
            &format!("printf '#!/bin/sh\\nexit 101\\n' > {POLICY} && chmod 755 {POLICY}"),
        ])?;
        Ok(Self { saved })
    }

    fn restore(self) -> Result<()> {
        match self.saved {
            Some(saved) => as_root(&["mv", &saved.to_string_lossy(), POLICY]),
            None => as_root(&["rm", "-f", POLICY]),
        }
    }
}

fn as_root(words: &[&str]) -> Result<()> {
    let Some((name, rest)) = words.split_first() else {
        return Ok(());
    };
    match Program::privileged(name, &[]) {
        Some(program) => program.args(rest).run(),
        None => bail!("{} needs root, and there is no sudo", words.join(" ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_installed_packages_count() {
        let report = "ii  nftables\nrc  jq\nun  runc\n";
        assert_eq!(
            missing(&["nftables", "jq", "runc", "tcpdump"], report),
            ["jq", "runc", "tcpdump"]
        );
    }
}
