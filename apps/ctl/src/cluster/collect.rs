//! Runs many `kubectl` commands, some at once, and keeps what each prints in a file of its own.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

use serde_json::Value;

use crate::outcome::Failure;
use crate::programs::{self, Unanswered};
use crate::session::Session;

/// How long one request may take; logs may take longer.
const TIMEOUT: &str = "--request-timeout=30s";

/// `kubectl` with the flags that say which cluster.
pub(super) struct Kubectl {
    flags: Vec<String>,
}

impl Kubectl {
    pub(super) fn new(context: Option<&str>, kubeconfig: Option<&str>) -> Kubectl {
        let flag = |name: &str, value: Option<&str>| value.map(|value| format!("--{name}={value}"));
        let flags = [flag("context", context), flag("kubeconfig", kubeconfig)];
        Kubectl {
            flags: flags.into_iter().flatten().collect(),
        }
    }

    fn run(&self, words: &[String]) -> Result<Vec<u8>, Unanswered> {
        let words = words.iter().map(String::as_str);
        let flags = self.flags.iter().map(String::as_str);
        let all: Vec<&str> = std::iter::once("kubectl")
            .chain(flags)
            .chain(words)
            .collect();
        programs::run(&all)
    }

    /// The answer to a `get`, as JSON.
    pub(super) fn get(&self, words: &[&str]) -> Result<Value, String> {
        self.json(&[&["get", TIMEOUT, "-o", "json"], words].concat())
    }

    /// What the API server has at a path.
    pub(super) fn raw(&self, path: &str) -> Result<Value, String> {
        self.json(&["get", TIMEOUT, "--raw", path])
    }

    fn json(&self, words: &[&str]) -> Result<Value, String> {
        let all: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        let printed = self.run(&all).map_err(|why| why.text())?;
        serde_json::from_slice(&printed).map_err(|error| format!("no JSON: {error}"))
    }
}

/// A command whose output is kept.
pub(super) struct Collect {
    pub(super) info: String,
    /// What follows `kubectl`.
    pub(super) words: Vec<String>,
    pub(super) file: PathBuf,
    /// Where the file is to be found too.
    pub(super) link: Option<PathBuf>,
}

impl Collect {
    pub(super) fn new(info: impl Into<String>, words: &str, file: PathBuf) -> Collect {
        Collect {
            info: info.into(),
            words: words.split_whitespace().map(str::to_owned).collect(),
            file,
            link: None,
        }
    }

    /// `kubectl get ... -o yaml` and `-o wide`, in two files.
    pub(super) fn both(what: &str, get: &str, base: &Path) -> [Collect; 2] {
        let file = |extension: &str| {
            let mut name = base.as_os_str().to_owned();
            name.push(extension);
            PathBuf::from(name)
        };
        [
            Collect::new(
                format!("Collect {what} (yaml)"),
                &format!("get {TIMEOUT} {get} -o yaml"),
                file(".yaml"),
            ),
            Collect::new(
                format!("Collect {what} (wide text)"),
                &format!("get {TIMEOUT} {get} -o wide"),
                file(".txt"),
            ),
        ]
    }
}

/// Runs commands, so many at once.
pub(super) struct Collector<'a> {
    pub(super) kubectl: &'a Kubectl,
    pub(super) at_once: usize,
}

impl Collector<'_> {
    /// Runs all, whatever becomes of any of them.
    pub(super) fn run(
        &self,
        commands: &[Collect],
        session: &mut Session<'_>,
    ) -> Result<(), Failure> {
        let next = AtomicUsize::new(0);
        let (said, lines) = mpsc::channel();
        std::thread::scope(|scope| {
            for _ in 0..self.at_once.min(commands.len()) {
                let (said, next) = (said.clone(), &next);
                scope.spawn(move || {
                    while let Some(command) = commands.get(next.fetch_add(1, Ordering::Relaxed)) {
                        // Nobody listens any more if the output is gone; the rest is run all the same.
                        let _ = said.send(command.info.clone());
                        if let Err(text) = self.one(command) {
                            let _ = said.send(text);
                        }
                    }
                });
            }
            drop(said);
            lines.iter().try_for_each(|line| session.line(line))
        })
    }

    fn one(&self, command: &Collect) -> Result<(), String> {
        let (output, failed) = match self.kubectl.run(&command.words) {
            Ok(output) => (output, None),
            Err(Unanswered::Failed(printed)) => {
                let text = String::from_utf8_lossy(&printed).trim_end().to_owned();
                (printed, Some(text))
            }
            Err(why @ Unanswered::NotStarted(_)) => return Err(why.text()),
        };
        let written = write(&command.file, &output, command.link.as_deref());
        if let Some(text) = failed {
            let words = command.words.join(" ");
            return Err(format!(
                "Failed to run command: kubectl {words}\nError: {text}"
            ));
        }
        written.map_err(|error| format!("Error writing {}: {error}", command.file.display()))
    }
}

fn write(file: &Path, bytes: &[u8], link: Option<&Path>) -> std::io::Result<()> {
    let make = |path: &Path| path.parent().map_or(Ok(()), std::fs::create_dir_all);
    make(file)?;
    std::fs::write(file, bytes)?;
    let Some(link) = link else {
        return Ok(());
    };
    make(link)?;
    std::os::unix::fs::symlink(relative(link, file), link)
}

/// The way from a link to a file, so that both can be moved together.
fn relative(link: &Path, file: &Path) -> PathBuf {
    let from: Vec<_> = link
        .parent()
        .into_iter()
        .flat_map(Path::components)
        .collect();
    let to: Vec<_> = file.components().collect();
    let common = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
    let up = std::iter::repeat_n(Path::new("..").as_os_str(), from.len() - common);
    let down = to[common..].iter().map(|part| part.as_os_str());
    up.chain(down).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_lead_to_their_files() {
        assert_eq!(
            relative(
                Path::new("/t/links/ns/pod.log"),
                Path::new("/t/nodes/n/ns/pod.log")
            ),
            Path::new("../../nodes/n/ns/pod.log")
        );
    }
}
