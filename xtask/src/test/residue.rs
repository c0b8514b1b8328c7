//! What stands on the machine that tests could have left: compared before and after.

use std::collections::BTreeSet;
use std::fs;

use crate::process::{self, Program};

/// Directories whose entries are counted.
const DIRECTORIES: &[(&str, &str)] = &[
    ("network namespace", "/run/netns"),
    ("link", "/sys/class/net"),
    ("file", "/var/lib/calico"),
    ("file", "/run/calico"),
    ("file", "/etc/cni/net.d"),
];

/// Commands whose lines are counted.
const COMMANDS: &[(&str, &[&str])] = &[
    (
        "route",
        &["ip", "-oneline", "-4", "route", "show", "table", "all"],
    ),
    (
        "route",
        &["ip", "-oneline", "-6", "route", "show", "table", "all"],
    ),
    ("routing rule", &["ip", "-4", "rule"]),
    ("routing rule", &["ip", "-6", "rule"]),
    ("nftables", &["nft", "list", "tables"]),
];

/// One line per thing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Snapshot {
    things: BTreeSet<String>,
}

impl Snapshot {
    /// What can be read is read: without root, or without a tool, there is less to compare.
    pub(crate) fn take() -> Self {
        let mut things = BTreeSet::new();
        for (what, directory) in DIRECTORIES {
            let entries = fs::read_dir(directory).into_iter().flatten().flatten();
            things.extend(entries.map(|entry| format!("{what} {}", entry.path().display())));
        }
        for (what, words) in COMMANDS {
            let text = printed(words);
            things.extend(text.lines().map(|line| format!("{what} {}", steady(line))));
        }
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        things.extend(run_mounts(&mounts).map(|path| format!("mount {path}")));
        things.extend(calico_processes());
        Self { things }
    }

    /// What was not there before.
    pub(crate) fn added_since(&self, before: &Self) -> Vec<String> {
        self.things.difference(&before.things).cloned().collect()
    }
}

fn printed(words: &[&str]) -> String {
    let Some((name, rest)) = words.split_first() else {
        return String::new();
    };
    if !process::exists(name) {
        return String::new();
    }
    Program::privileged(name, &[])
        .unwrap_or_else(|| Program::new(name))
        .args(rest)
        .captured()
        .map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
        .unwrap_or_default()
}

/// A route without the seconds it has left.
fn steady(line: &str) -> String {
    let mut words = line.split_whitespace();
    let mut kept = Vec::new();
    while let Some(word) = words.next() {
        if word == "expires" {
            words.next();
        } else {
            kept.push(word);
        }
    }
    kept.join(" ")
}

/// Mount points under /run, the fifth field of each line.
fn run_mounts(mountinfo: &str) -> impl Iterator<Item = &str> {
    mountinfo
        .lines()
        .filter_map(|line| line.split(' ').nth(4))
        .filter(|path| path.starts_with("/run/"))
}

fn calico_processes() -> Vec<String> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| {
            let name = fs::read_to_string(entry.path().join("comm")).ok()?;
            let name = name.trim();
            name.starts_with("calico")
                .then(|| format!("process {} {name}", entry.file_name().to_string_lossy()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_are_compared_without_their_age() {
        assert_eq!(
            steady("default via fe80::1 dev eth0 expires 1790sec pref medium"),
            "default via fe80::1 dev eth0 pref medium"
        );
    }

    #[test]
    fn only_mounts_under_run_count() {
        let text =
            "22 1 0:20 / / rw - ext4 x rw\n30 22 0:4 net:[1] /run/netns/a rw - nsfs nsfs rw\n";
        assert_eq!(run_mounts(text).collect::<Vec<_>>(), ["/run/netns/a"]);
    }

    #[test]
    fn the_difference_is_what_came() {
        let of = |words: &[&str]| Snapshot {
            things: words.iter().map(|word| (*word).to_owned()).collect(),
        };
        assert_eq!(of(&["a", "b"]).added_since(&of(&["a", "c"])), ["b"]);
    }
}
