//! Runs calicoctl on a store of its own and keeps a transcript, with what differs from run to run made the same.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use ctl::{Output, Session, run_with};
use tempfile::TempDir;

/// A store, a directory of files, and what was said so far.
pub(crate) struct Lab {
    dir: TempDir,
    transcript: String,
}

/// The end of one command.
pub(crate) struct Ended {
    pub(crate) code: u8,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Lab {
    pub(crate) fn new() -> Lab {
        Lab {
            dir: TempDir::new().unwrap(),
            transcript: String::new(),
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn file(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.path("store.db")
    }

    /// Runs a command; `DIR` in arguments is the directory of files.
    pub(crate) fn quiet(&self, args: &[&str], stdin: &str) -> Ended {
        self.in_environment(
            args,
            stdin,
            &[("CALICO_DATASTORE_FILE", self.store().to_str().unwrap())],
        )
    }

    pub(crate) fn in_environment(
        &self,
        args: &[&str],
        stdin: &str,
        environment: &[(&str, &str)],
    ) -> Ended {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let dir = self.dir.path().to_str().unwrap();
        let words = std::iter::once("calicoctl".to_owned())
            .chain(args.iter().map(|arg| arg.replace("DIR", dir)));
        let code = run_with(
            words.map(OsString::from).collect(),
            &mut Session {
                out: &mut out,
                err: &mut err,
                stdin: &mut stdin.as_bytes(),
                environment: environment
                    .iter()
                    .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
                    .collect::<BTreeMap<_, _>>(),
                output: Output::Other,
                errors: Output::Other,
            },
        );
        Ended {
            code,
            out: String::from_utf8(out).unwrap(),
            err: String::from_utf8(err).unwrap(),
        }
    }

    /// Runs a command and keeps what it said.
    pub(crate) fn run(&mut self, args: &[&str]) -> u8 {
        self.pipe(args, "")
    }

    pub(crate) fn pipe(&mut self, args: &[&str], stdin: &str) -> u8 {
        let ended = self.quiet(args, stdin);
        self.note(args, &ended);
        ended.code
    }

    pub(crate) fn note(&mut self, args: &[&str], ended: &Ended) {
        let body = same(&format!("{}{}", ended.out, ended.err), self.dir.path());
        let end = if body.is_empty() || body.ends_with('\n') {
            ""
        } else {
            "\n"
        };
        self.transcript += &format!(
            "$ calicoctl {}\n{body}{end}[{}]\n\n",
            args.join(" "),
            ended.code
        );
    }

    pub(crate) fn transcript(self) -> String {
        self.transcript
    }
}

/// Takes out what is never the same twice.
pub(crate) fn same(text: &str, dir: &Path) -> String {
    let text = text.replace(dir.to_str().unwrap(), "DIR");
    let mut out = String::new();
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let run = rest
            .bytes()
            .take_while(|b| b.is_ascii_hexdigit() || b"-:TZ".contains(b))
            .count();
        let (word, after) = rest.split_at(run);
        let digits = word.bytes().filter(u8::is_ascii_digit).count();
        out += match word {
            uuid if uuid.len() == 36 && uuid.matches('-').count() == 4 => "UUID",
            guid if guid.len() == 32 && guid.bytes().all(|b| b.is_ascii_hexdigit()) => "GUID",
            time if time.len() == 20 && time.ends_with('Z') && digits == 14 => "TIME",
            other => other,
        };
        let next = after.chars().next().map_or(0, char::len_utf8);
        out += &after[..next];
        rest = &after[next..];
    }
    out
}
