//! Counting: what the test programs print becomes passed, failed and skipped, with names.

use std::collections::BTreeMap;

/// A test that can do nothing where it runs prints this, with the reason, and returns.
const SKIPPED: &str = "SKIPPED:";

/// What came of one step, or of all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed: usize,
    /// One line per failed test.
    pub(crate) failures: Vec<String>,
    /// Where, and why.
    pub(crate) skips: Vec<(String, String)>,
}

impl Tally {
    /// A step that is one test.
    pub(crate) fn one(passed: bool, name: &str) -> Self {
        if passed {
            Self {
                passed: 1,
                ..Self::default()
            }
        } else {
            Self {
                failures: vec![name.to_owned()],
                ..Self::default()
            }
        }
    }

    pub(crate) fn skipped(label: &str, reason: &str) -> Self {
        Self {
            skips: vec![(label.to_owned(), reason.to_owned())],
            ..Self::default()
        }
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failures.extend(other.failures);
        self.skips.extend(other.skips);
    }

    /// The same reason in the same place once, with how often.
    pub(crate) fn skip_reasons(&self) -> Vec<(usize, &str, &str)> {
        let mut counts: BTreeMap<(&str, &str), usize> = BTreeMap::new();
        for (label, reason) in &self.skips {
            *counts.entry((label, reason)).or_default() += 1;
        }
        counts
            .into_iter()
            .map(|((label, reason), times)| (times, label, reason))
            .collect()
    }
}

/// Reads the output of one run of test programs: several results for documentation tests, one otherwise.
pub(crate) fn read(label: &str, printed: &str, errors: &str, succeeded: bool) -> Tally {
    let mut tally = Tally::default();
    let mut failed = 0;
    let mut ignored = 0;
    for line in printed
        .lines()
        .filter(|line| line.starts_with("test result: "))
    {
        tally.passed += number_before(line, " passed");
        failed += number_before(line, " failed");
        ignored += number_before(line, " ignored");
    }
    for line in printed.lines().chain(errors.lines()) {
        if let Some((_, reason)) = line.split_once(SKIPPED) {
            tally
                .skips
                .push((label.to_owned(), reason.trim().to_owned()));
        }
    }
    // To libtest a test that returns has passed.
    tally.passed = tally.passed.saturating_sub(tally.skips.len());
    for _ in 0..ignored {
        tally.skips.push((label.to_owned(), "ignored".to_owned()));
    }
    tally.failures = failed_names(printed)
        .into_iter()
        .map(|name| format!("{label} {name}"))
        .collect();
    while tally.failures.len() < failed {
        tally.failures.push(label.to_owned());
    }
    if !succeeded && tally.failures.is_empty() {
        tally
            .failures
            .push(format!("{label} ended without a result: crashed, or hung"));
    }
    tally
}

/// The names in libtest's closing list; it prints every name once there, indented by four.
fn failed_names(printed: &str) -> Vec<&str> {
    let Some(start) = printed.rfind("\nfailures:\n") else {
        return Vec::new();
    };
    printed[start..]
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with("    "))
        .map(str::trim)
        .collect()
}

fn number_before(line: &str, word: &str) -> usize {
    let Some((before, _)) = line.split_once(word) else {
        return 0;
    };
    before
        .rsplit(' ')
        .next()
        .and_then(|digits| digits.parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RESULT: &str = "test result: ok. 5 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.0s\n";

    #[test]
    fn a_good_run_is_counted() {
        let tally = read("calc", RESULT, "", true);
        assert_eq!(tally.passed, 5);
        assert!(tally.failures.is_empty() && tally.skips.is_empty());
        let documentation = read("doc", &RESULT.repeat(3), "", true);
        assert_eq!(documentation.passed, 15);
    }

    #[test]
    fn skips_are_taken_from_the_passed_with_their_reason() {
        let errors = "test a ... SKIPPED: needs root\nSKIPPED: needs root\n";
        let tally = read("kernel_x", RESULT, errors, true);
        assert_eq!(tally.passed, 3);
        assert_eq!(tally.skip_reasons(), [(2, "kernel_x", "needs root")]);
        let ignored = read(
            "x",
            "test result: ok. 1 passed; 0 failed; 2 ignored; 0 measured",
            "",
            true,
        );
        assert_eq!(ignored.skips.len(), 2);
    }

    #[test]
    fn failures_carry_names() {
        let printed = "\nfailures:\n\n---- a::b stdout ----\nboom\n\n\nfailures:\n    a::b\n    a::c\n\n\
                       test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured\n";
        let tally = read("calc", printed, "", false);
        assert_eq!(tally.failures, ["calc a::b", "calc a::c"]);
        assert_eq!(tally.passed, 1);
    }

    #[test]
    fn a_crash_is_a_failure() {
        let tally = read("calc", "running 3 tests\n", "", false);
        assert_eq!(tally.failures.len(), 1);
        let mut total = Tally::one(true, "format");
        total.add(tally);
        assert_eq!((total.passed, total.failures.len()), (1, 1));
    }
}
