//! What can be typed after `cargo xtask`, as values.

/// Shown by `help`, and after every mistake.
pub(crate) const USAGE: &str = "\
usage: cargo xtask <verb>

  demo  [--yes] [--datastore embedded|etcdv3|kubernetes] [-- ARGS]
                                  one node, pods, policies, real packets; `-- --help` lists its own options
  test  [--yes] [--deep] [--require all]
                                  format, lints, house rules, all tests; those that need root ask for it
  bench [-- ARGS]                 measure, each figure beside its floor
  dist                            release binaries under dist/bin and dist/cni, manual pages under dist/man
  tidy                            the house rules alone
  codegen [--check]               write deploy/crds from core/api/src/schema, or say what is not current
  bless                           rewrite the expected output of snapshot tests
  setup [--yes] [--deep]          install and build what the other verbs need, and nothing else

  --yes           install missing packages without asking (so does CI=true in the environment)
  --deep          the long runs too, or what they need
  --require all   count every skipped test as failed";

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    Help,
    Tidy,
    Setup,
    Test,
    Dist,
    Bench,
    Demo,
    Bless,
    Codegen,
}

/// Whether packages may be installed without a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Consent {
    Ask,
    Given,
}

/// How long the tests may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Depth {
    Usual,
    Deep,
}

/// What a skipped test counts as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Skips {
    Told,
    Fail,
}

/// What to do with generated files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Generated {
    Write,
    Check,
}

/// Everything but the verb.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) consent: Consent,
    pub(crate) depth: Depth,
    pub(crate) skips: Skips,
    pub(crate) generated: Generated,
    /// What stood after `--`: for the program that the verb starts.
    pub(crate) passed_on: Vec<String>,
}

/// Reads the command line; the error is a sentence for the user.
pub(crate) fn parse(words: impl Iterator<Item = String>) -> Result<(Verb, Options), String> {
    let mut words = words;
    let verb = match words.next().as_deref() {
        None => return Err("no verb given".to_owned()),
        Some("help" | "--help" | "-h") => Verb::Help,
        Some("tidy") => Verb::Tidy,
        Some("setup") => Verb::Setup,
        Some("test") => Verb::Test,
        Some("dist") => Verb::Dist,
        Some("bench") => Verb::Bench,
        Some("demo") => Verb::Demo,
        Some("bless") => Verb::Bless,
        Some("codegen") => Verb::Codegen,
        Some(other) => return Err(format!("no verb {other:?}")),
    };
    let consent = if std::env::var("CI").is_ok_and(|value| value == "true") {
        Consent::Given
    } else {
        Consent::Ask
    };
    let mut options = Options {
        consent,
        depth: Depth::Usual,
        skips: Skips::Told,
        generated: Generated::Write,
        passed_on: Vec::new(),
    };
    while let Some(word) = words.next() {
        match (verb, word.as_str()) {
            (Verb::Bench | Verb::Demo, "--") => options.passed_on.extend(words.by_ref()),
            (Verb::Setup | Verb::Test | Verb::Demo, "--yes") => options.consent = Consent::Given,
            (Verb::Setup | Verb::Test, "--deep") => options.depth = Depth::Deep,
            (Verb::Test, "--require") => match words.next().as_deref() {
                Some("all") => options.skips = Skips::Fail,
                _ => return Err("--require takes one word: all".to_owned()),
            },
            (Verb::Codegen, "--check") => options.generated = Generated::Check,
            (Verb::Demo, "--keep") => options.passed_on.push(word),
            (Verb::Demo, "--datastore") => {
                let store = words
                    .next()
                    .ok_or("--datastore needs a word: embedded, etcdv3 or kubernetes")?;
                options.passed_on.extend([word, store]);
            }
            _ => return Err(format!("{verb:?} does not know {word:?}").to_lowercase()),
        }
    }
    Ok((verb, options))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<(Verb, Options), String> {
        parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn options_belong_to_verbs() {
        let (verb, options) = parsed("test --deep --require all --yes").expect("a valid line");
        assert_eq!(verb, Verb::Test);
        assert_eq!(options.depth, Depth::Deep);
        assert_eq!(options.skips, Skips::Fail);
        assert_eq!(options.consent, Consent::Given);
        let (_, options) = parsed("codegen --check").expect("a valid line");
        assert_eq!(options.generated, Generated::Check);
        let (verb, options) = parsed("setup --deep").expect("a valid line");
        assert_eq!((verb, options.depth), (Verb::Setup, Depth::Deep));
        assert!(parsed("dist --deep").is_err());
        assert!(parsed("test --require some").is_err());
        assert!(parsed("fly").is_err());
        assert!(parsed("").is_err());
    }

    #[test]
    fn the_rest_is_passed_on() {
        let (_, options) =
            parsed("demo --keep --datastore embedded -- --verbose").expect("a valid line");
        assert_eq!(
            options.passed_on,
            ["--keep", "--datastore", "embedded", "--verbose"]
        );
    }
}
