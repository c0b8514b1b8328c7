//! Who may depend on whom: `apps -> io -> core`, the arrows inside core, and what core may take from others.

use super::members::{Layer, layer};
use super::{Dependency, DependencyKind, Member, Problem};

/// The arrows inside core. A crate that is not listed stands alone.
const INSIDE_CORE: &[(&str, &[&str])] = &[
    ("config", &["model"]),
    ("calc", &["model"]),
    ("ipam", &["model"]),
    ("api", &["model", "config"]),
    ("dataplane", &["calc", "model"]),
];

/// What core may take from others: nothing that awaits, reads a file, or starts a thread.
const CORE_MAY_USE: &[&str] = &[
    "thiserror",
    "sha2",
    "sha3",
    "base64",
    "serde",
    "serde_json",
    "hashbrown",
    "rustc-hash",
    "smallvec",
];

/// What core's tests may take besides.
const CORE_TESTS_MAY_USE: &[&str] = &["proptest", "insta"];

/// The front dispatches to all applets; nothing else in apps sees another app.
const FRONT: &str = "apps/calico";

/// Clusters of namespaces for tests of other apps: a development dependency only.
const LAB: &str = "apps/lab";

/// Figures and demos are made of generated worlds and real servers, as tests are.
const USERS_OF_TESTKIT: [&str; 2] = ["apps/bench", LAB];

/// Every arrow that points the wrong way.
pub(crate) fn check(members: &[Member]) -> Vec<Problem> {
    let mut problems = Vec::new();
    for member in members {
        let Some(from) = layer(&member.directory) else {
            problems.push(Problem::new(
                &member.directory,
                "lies in no layer: members are core/*, io/*, apps/*, testkit and xtask",
            ));
            continue;
        };
        for dependency in &member.dependencies {
            let wrong = match &dependency.directory {
                Some(to) => wrong_arrow(from, member, dependency, to),
                None => wrong_package(from, dependency),
            };
            problems.extend(wrong.map(|text| Problem::new(&member.directory, text)));
        }
    }
    problems
}

fn wrong_arrow(
    from: Layer,
    member: &Member,
    dependency: &Dependency,
    to_directory: &str,
) -> Option<String> {
    let test_only = dependency.kind == DependencyKind::Development;
    let to = layer(to_directory)?;
    let allowed = match (from, to) {
        (_, Layer::Xtask) | (Layer::Xtask, _) => false,
        (_, Layer::Testkit) => test_only || USERS_OF_TESTKIT.contains(&&*member.directory),
        (Layer::Core, Layer::Core) => inside_core(&member.name, &dependency.name),
        (Layer::Io | Layer::Apps | Layer::Testkit, Layer::Core) | (Layer::Apps, Layer::Io) => true,
        (Layer::Apps, Layer::Apps) => {
            member.directory == FRONT || (test_only && to_directory == LAB)
        }
        (Layer::Core | Layer::Io | Layer::Testkit, Layer::Io | Layer::Apps) => false,
    };
    (!allowed).then(|| {
        format!(
            "depends on {to_directory}: arrows go apps -> io -> core, in core as ARCHITECTURE.md says, \
             and testkit is for tests"
        )
    })
}

fn inside_core(from: &str, to: &str) -> bool {
    INSIDE_CORE
        .iter()
        .any(|(crate_name, may_see)| *crate_name == from && may_see.contains(&to))
}

fn wrong_package(from: Layer, dependency: &Dependency) -> Option<String> {
    if from != Layer::Core {
        return None;
    }
    let name = dependency.name.as_str();
    let allowed = CORE_MAY_USE.contains(&name)
        || (dependency.kind == DependencyKind::Development && CORE_TESTS_MAY_USE.contains(&name));
    (!allowed).then(|| {
        format!("depends on {name}, which is not on core's list in xtask/src/tidy/arrows.rs; is it pure, and is it needed?")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `core/calc: core/model serde +testkit` reads: normal ones plain, development ones with a plus.
    fn problems(line: &str) -> Vec<String> {
        let (directory, wanted) = line.split_once(':').expect("directory: dependencies");
        let dependencies = wanted
            .split_whitespace()
            .map(|word| {
                let (kind, path) = match word.strip_prefix('+') {
                    Some(path) => (DependencyKind::Development, path),
                    None => (DependencyKind::Normal, word),
                };
                Dependency {
                    name: path.rsplit('/').next().unwrap_or(path).to_owned(),
                    kind,
                    directory: layer(path).map(|_| path.to_owned()),
                }
            })
            .collect();
        let member = Member {
            name: directory.rsplit('/').next().unwrap_or(directory).to_owned(),
            directory: directory.to_owned(),
            dependencies,
        };
        check(&[member])
            .into_iter()
            .map(|problem| problem.text)
            .collect()
    }

    #[test]
    fn allowed_arrows() {
        for line in [
            "core/model: thiserror",
            "core/api: core/model core/config serde serde_json +proptest +insta +testkit",
            "core/dataplane: core/calc core/model",
            "io/linux: core/model core/dataplane libc",
            "apps/node: core/calc io/linux tokio +apps/lab",
            "apps/calico: apps/ctl apps/node",
            "testkit: core/model proptest",
            "xtask: anyhow",
        ] {
            assert_eq!(problems(line), Vec::<String>::new(), "{line}");
        }
    }

    #[test]
    fn wrong_arrows() {
        for line in [
            "core/model: core/calc",
            "core/calc: core/api",
            "core/flows: core/model",
            "core/calc: io/linux",
            "core/calc: +io/linux",
            "core/calc: apps/node",
            "core/calc: testkit",
            "core/calc: tokio",
            "core/calc: proptest",
            "core/calc: +tempfile",
            "io/linux: io/datastore",
            "io/linux: apps/lab",
            "apps/node: apps/ctl",
            "apps/node: apps/lab",
            "testkit: io/linux",
            "xtask: core/model",
            "apps/node: xtask",
            "tools/x: anyhow",
        ] {
            assert_eq!(problems(line).len(), 1, "{line}");
        }
    }
}
