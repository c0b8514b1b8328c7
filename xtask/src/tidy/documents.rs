//! Rules on manifests, READMEs and ARCHITECTURE.md.

use std::collections::BTreeSet;

use super::{Member, Problem};

/// A README is a page, not a book.
const README_LINES: usize = 30;

/// Long enough for a map, short enough to be read.
const ARCHITECTURE_LINES: usize = 300;

/// Where our files live: a path in ARCHITECTURE.md is one that starts so.
const TREES: &[&str] = &[
    "core", "io", "apps", "testkit", "xtask", "docs", "examples", "deploy", "fuzz", "ebpf", "web",
    ".ci", ".cargo",
];

/// A member takes the workspace's lints as they are.
pub(crate) fn manifest(member: &Member, text: &str) -> Option<Problem> {
    let mut lines = text
        .lines()
        .map(str::trim)
        .skip_while(|line| *line != "[lints]")
        .skip(1)
        .take_while(|line| !line.starts_with('['));
    let inherits = lines.any(|line| line.replace(' ', "") == "workspace=true");
    (!inherits).then(|| {
        Problem::new(
            format!("{}/Cargo.toml", member.directory),
            "has no `[lints]` with `workspace = true`",
        )
    })
}

/// A member says what it is, on one page.
pub(crate) fn readme(member: &Member, text: Option<&str>) -> Option<Problem> {
    let place = format!("{}/README.md", member.directory);
    let Some(text) = text else {
        return Some(Problem::new(place, "is missing"));
    };
    let lines = text.lines().count();
    if lines > README_LINES {
        return Some(Problem::new(
            place,
            format!("has {lines} lines, the limit is {README_LINES}"),
        ));
    }
    let says = text.lines().filter(|line| !line.trim().is_empty()).count();
    (says < 2).then(|| Problem::new(place, "has a title and nothing under it"))
}

/// Every member is named, and every path named is there.
pub(crate) fn architecture(
    text: &str,
    members: &[Member],
    exists: impl Fn(&str) -> bool,
) -> Vec<Problem> {
    let place = "ARCHITECTURE.md";
    let mut problems = Vec::new();
    let lines = text.lines().count();
    if lines > ARCHITECTURE_LINES {
        problems.push(Problem::new(
            place,
            format!("has {lines} lines, the limit is {ARCHITECTURE_LINES}"),
        ));
    }
    let named = quoted(text);
    for member in members {
        if !named
            .iter()
            .any(|path| path.trim_end_matches('/') == member.directory)
        {
            problems.push(Problem::new(
                place,
                format!("does not name `{}`", member.directory),
            ));
        }
    }
    for path in named {
        let first = path.split('/').next().unwrap_or_default();
        if TREES.contains(&first) && !path.contains(['*', ' ', ':']) && !exists(&path) {
            problems.push(Problem::new(
                place,
                format!("names `{path}`, which is not there"),
            ));
        }
    }
    problems
}

/// What stands in backticks outside code blocks.
fn quoted(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut in_block = false;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            in_block = !in_block;
        } else if !in_block {
            found.extend(line.split('`').skip(1).step_by(2).map(str::to_owned));
        }
    }
    found
}

/// How many packages Cargo.lock pins.
pub(crate) fn locked_packages(lock: &str) -> usize {
    lock.lines().filter(|line| *line == "[[package]]").count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calc() -> Member {
        Member {
            name: "calc".to_owned(),
            directory: "core/calc".to_owned(),
            dependencies: Vec::new(),
        }
    }

    #[test]
    fn lints_are_inherited() {
        assert_eq!(
            manifest(&calc(), "[package]\n[lints]\nworkspace = true\n"),
            None
        );
        assert!(manifest(&calc(), "[package]\nworkspace = true\n").is_some());
        assert!(manifest(&calc(), "[lints]\n[dependencies]\nworkspace = true\n").is_some());
    }

    #[test]
    fn readmes_are_there_and_short() {
        assert_eq!(readme(&calc(), Some("# calc\n\nIt computes.\n")), None);
        assert!(readme(&calc(), None).is_some());
        assert!(readme(&calc(), Some("# calc\n")).is_some());
        assert!(readme(&calc(), Some(&"line\n".repeat(31))).is_some());
    }

    #[test]
    fn the_map_is_complete_and_true() {
        let check = |text: &str| {
            architecture(text, &[calc()], |path| path.starts_with("core/calc"))
                .into_iter()
                .map(|problem| problem.text)
                .collect::<Vec<_>>()
        };
        assert_eq!(check("`core/calc` and `Graph`"), Vec::<String>::new());
        assert_eq!(check("nothing"), ["does not name `core/calc`"]);
        assert_eq!(
            check("`core/calc/` `core/gone`\n```text\n`core/in-a-block`\n```"),
            ["names `core/gone`, which is not there"]
        );
        assert_eq!(
            check("`core/calc` `core/*/tests` `docs/a b`"),
            Vec::<String>::new()
        );
        assert_eq!(check(&"`core/calc`\n".repeat(301)).len(), 1);
    }

    #[test]
    fn locked_packages_are_counted() {
        assert_eq!(
            locked_packages("[[package]]\nname = \"a\"\n\n[[package]]\nname = \"b\"\n"),
            2
        );
    }
}
