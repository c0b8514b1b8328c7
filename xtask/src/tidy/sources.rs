//! Rules on Rust files: how long, and which words never reach the main branch.

use super::Problem;

/// The most lines a hand-written file has, tests aside.
const LINES: usize = 600;

/// Files that are longer, and why.
const LONGER: &[(&str, &str)] = &[
    (
        "core/dataplane/src/nft/expr.rs",
        "a vocabulary: one entry per nf_tables expression",
    ),
    (
        "core/dataplane/src/nft/rule.rs",
        "a vocabulary: one builder per match and statement",
    ),
    (
        "core/dataplane/src/nft/print.rs",
        "a vocabulary: one text per nf_tables expression",
    ),
    (
        "io/linux/src/nft/decode.rs",
        "a vocabulary: one reader per nf_tables expression",
    ),
];

/// Words that stand for work not done; in pieces, so that this file has none of them.
const FORBIDDEN: &[(&str, &str)] = &[
    (concat!("to", "do!("), "finish it"),
    (concat!("unimplem", "ented!("), "finish it"),
    (concat!("db", "g!("), "use tracing"),
    (
        concat!("#[ig", "nore"),
        "say SKIPPED and return, or assert what is",
    ),
    (concat!("```ig", "nore"), "a documented example is tested"),
];

/// All problems of one file.
pub(crate) fn check(place: &str, text: &str) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (number, line) in text.lines().enumerate() {
        for (word, instead) in FORBIDDEN {
            if line.contains(word) {
                problems.push(Problem::new(
                    format!("{place}:{}", number + 1),
                    format!("has `{word}`: {instead}"),
                ));
            }
        }
    }
    let is_test = place.contains("/tests/") || place.ends_with("/tests.rs");
    let lines = lines_without_tests(text);
    if lines > LINES && !is_test && !LONGER.iter().any(|(path, _)| *path == place) {
        problems.push(Problem::new(
            place,
            format!("has {lines} lines without tests, the limit is {LINES}: split it by concept"),
        ));
    }
    problems
}

/// Lines before the test module, which stands last.
fn lines_without_tests(text: &str) -> usize {
    let mut lines = text.lines().peekable();
    let mut count = 0;
    while let Some(line) = lines.next() {
        if line == "#[cfg(test)]" && lines.peek().is_some_and(|next| next.starts_with("mod ")) {
            break;
        }
        count += 1;
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unfinished_work_is_found() {
        for (word, _) in FORBIDDEN {
            let problems = check("core/x/src/lib.rs", &format!("fn f() {{\n    {word}\n}}\n"));
            assert_eq!(problems.len(), 1, "{word}");
            assert_eq!(problems[0].place, "core/x/src/lib.rs:2");
        }
        assert!(
            check(
                "core/x/src/lib.rs",
                "let todo = 1; // unimplemented features\n"
            )
            .is_empty()
        );
    }

    #[test]
    fn long_files_are_found_but_tests_are_free() {
        let long = "x\n".repeat(601);
        assert_eq!(check("core/x/src/a.rs", &long).len(), 1);
        assert!(check("core/x/tests/a.rs", &long).is_empty());
        let tested = format!(
            "{}#[cfg(test)]\nmod tests {{\n{long}}}\n",
            "x\n".repeat(500)
        );
        assert!(check("core/x/src/a.rs", &tested).is_empty());
    }
}
