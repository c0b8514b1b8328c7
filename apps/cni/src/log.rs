//! What the plugin says of its work: on standard error, and in a file that is turned over, as upstream does.
//!
//! Nothing here ever fails a command. Several plugins write to one file at once: each line is one write to a file opened for
//! appending, and who finds the file too long renames it under a lock on it.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::fs::{FlockOperation, flock};

use crate::conf::NetConf;
use crate::store;

const MEGABYTE: u64 = 1 << 20;
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// How grave a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    Error,
    Warning,
    Info,
    Debug,
}

impl Level {
    /// Of `log_level`; whatever upstream does not know is `info`.
    fn of(text: &str) -> Level {
        match text.to_ascii_lowercase().as_str() {
            "debug" => Level::Debug,
            "error" => Level::Error,
            _ => Level::Info,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Level::Error => "ERROR",
            Level::Warning => "WARNING",
            Level::Info => "INFO",
            Level::Debug => "DEBUG",
        }
    }
}

/// Where lines go.
pub(crate) struct Log {
    level: Level,
    file: Option<Rotated>,
}

impl Log {
    /// As the configuration says.
    pub(crate) fn of(conf: &NetConf) -> Log {
        let path = conf
            .log_file_path
            .clone()
            .filter(|path| !path.as_os_str().is_empty());
        let or = |number: u64, default: u64| if number == 0 { default } else { number };
        let file = path.map(|path| Rotated {
            path,
            longest: or(conf.log_file_max_size, 100).saturating_mul(MEGABYTE),
            oldest: DAY * u32::try_from(or(conf.log_file_max_age, 30)).unwrap_or(u32::MAX),
            most: usize::try_from(or(conf.log_file_max_count, 10)).unwrap_or(usize::MAX),
        });
        if let Some(file) = &file {
            file.prune();
        }
        Log {
            level: Level::of(&conf.log_level),
            file,
        }
    }

    /// The command cannot be carried out.
    pub(crate) fn error(&self, text: fmt::Arguments<'_>) {
        self.say(Level::Error, text);
    }

    /// Somebody may have to act.
    pub(crate) fn warning(&self, text: fmt::Arguments<'_>) {
        self.say(Level::Warning, text);
    }

    /// What was done.
    pub(crate) fn info(&self, text: fmt::Arguments<'_>) {
        self.say(Level::Info, text);
    }

    /// How it was done.
    pub(crate) fn debug(&self, text: fmt::Arguments<'_>) {
        self.say(Level::Debug, text);
    }

    fn say(&self, level: Level, text: fmt::Arguments<'_>) {
        if level > self.level {
            return;
        }
        let time = store::now();
        let line = format!(
            "{time} [{}][{}] calico-cni: {text}\n",
            level.word(),
            std::process::id()
        );
        // A runtime that closed standard error, or a full disk, is no reason to leave a container without network.
        let _ = io::stderr().write_all(line.as_bytes());
        if let Some(Err(error)) = self.file.as_ref().map(|file| file.append(&line)) {
            let path = self.file.as_ref().map(|file| file.path.display());
            let path = path.map(|path| path.to_string()).unwrap_or_default();
            let _ = writeln!(
                io::stderr(),
                "calico-cni: cannot write the log file {path}: {error}"
            );
        }
    }
}

/// A file that is renamed when it is long, and whose renamed ones go when they are old or many.
struct Rotated {
    path: PathBuf,
    longest: u64,
    oldest: Duration,
    most: usize,
}

impl Rotated {
    fn open(&self) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.create(true).append(true).mode(0o644);
        match options.open(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                fs::create_dir_all(self.path.parent().unwrap_or(Path::new("/")))?;
                options.open(&self.path)
            }
            opened => opened,
        }
    }

    fn append(&self, line: &str) -> io::Result<()> {
        let mut file = self.open()?;
        let len = file.metadata()?.len();
        if len > 0 && len.saturating_add(line.len() as u64) > self.longest {
            self.turn_over(&file)?;
            file = self.open()?;
        }
        file.write_all(line.as_bytes())
    }

    /// Renames the file, unless another plugin did it meanwhile.
    fn turn_over(&self, file: &File) -> io::Result<()> {
        flock(file, FlockOperation::LockExclusive)?;
        let there = fs::metadata(&self.path).map(|meta| meta.ino());
        if there.is_ok_and(|inode| file.metadata().is_ok_and(|meta| meta.ino() == inode)) {
            let now = store::now().to_string().replace(':', "-");
            let mut name = self.renamed(&now);
            for number in 1.. {
                if !name.exists() {
                    break;
                }
                name = self.renamed(&format!("{now}.{number}"));
            }
            fs::rename(&self.path, name)?;
            self.prune();
        }
        Ok(())
    }

    /// `cni.log` of a time is `cni-TIME.log`, as upstream's library has it.
    fn renamed(&self, time: &str) -> PathBuf {
        let (stem, end) = self.name_parts();
        self.path.with_file_name(format!("{stem}-{time}{end}"))
    }

    fn name_parts(&self) -> (String, String) {
        let text = |part: Option<&std::ffi::OsStr>| {
            part.unwrap_or_default().to_string_lossy().into_owned()
        };
        let end = text(self.path.extension());
        let dot = if end.is_empty() { "" } else { "." };
        (text(self.path.file_stem()), format!("{dot}{end}"))
    }

    /// Removes renamed files that are too old or too many.
    fn prune(&self) {
        let (stem, end) = self.name_parts();
        let directory = self.path.parent().unwrap_or(Path::new("/"));
        let is_renamed = |name: &str| {
            let time = name
                .strip_prefix(&stem)
                .and_then(|rest| rest.strip_prefix('-'));
            let year = time.and_then(|time| time.get(..5));
            // Upstream's may be compressed: then more follows.
            year.is_some_and(|year| {
                year.ends_with('-') && year[..4].bytes().all(|b| b.is_ascii_digit())
            }) && name.contains(&end)
        };
        let entries = fs::read_dir(directory).into_iter().flatten().flatten();
        let mut names: Vec<String> = entries
            .filter_map(|entry| entry.file_name().into_string().ok())
            .filter(|name| is_renamed(name))
            .collect();
        // The time is in the name: the newest first.
        names.sort_unstable_by(|a, b| b.cmp(a));
        let now = SystemTime::now();
        for (place, name) in names.iter().enumerate() {
            let file = directory.join(name);
            let age = fs::metadata(&file)
                .and_then(|meta| meta.modified())
                .ok()
                .and_then(|time| now.duration_since(time).ok());
            if place >= self.most || age.is_some_and(|age| age > self.oldest) {
                // Another plugin may have removed it, and one that stays is tried again by the next.
                let _ = fs::remove_file(&file);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rotated(path: PathBuf) -> Rotated {
        Rotated {
            path,
            longest: 40,
            oldest: DAY,
            most: 3,
        }
    }

    fn names(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_long_file_is_turned_over_and_the_oldest_goes() {
        let dir = tempfile::tempdir().unwrap();
        let log = rotated(dir.path().join("logs/cni.log"));
        for number in 0..12 {
            log.append(&format!("line {number:02} of twenty\n"))
                .unwrap();
        }
        let names = names(&dir.path().join("logs"));
        assert_eq!(names.len(), 4, "{names:?}");
        let last = fs::read_to_string(&log.path).unwrap();
        assert_eq!(last, "line 10 of twenty\nline 11 of twenty\n");
    }

    #[test]
    fn only_its_own_old_files_go() {
        let dir = tempfile::tempdir().unwrap();
        let log = rotated(dir.path().join("cni.log"));
        let old = SystemTime::now() - 2 * DAY;
        for name in [
            "cni-2020-01-01T00-00-00.000.log",
            "cni-2020-01-01T00-00-00.000.log.zst",
            "cni-notes.log",
            "other.log",
        ] {
            let file = File::create(dir.path().join(name)).unwrap();
            file.set_modified(old).unwrap();
        }
        log.prune();
        assert_eq!(names(dir.path()), ["cni-notes.log", "other.log"]);
    }

    #[test]
    fn many_writers_lose_no_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cni.log");
        std::thread::scope(|scope| {
            for writer in 0..4 {
                let path = path.clone();
                scope.spawn(move || {
                    let log = Rotated {
                        longest: 2_000,
                        most: 1_000,
                        ..rotated(path)
                    };
                    for number in 0..200 {
                        log.append(&format!("writer {writer} line {number}\n"))
                            .unwrap();
                    }
                });
            }
        });
        let lines: usize = names(dir.path())
            .iter()
            .map(|name| {
                fs::read_to_string(dir.path().join(name))
                    .unwrap()
                    .lines()
                    .count()
            })
            .sum();
        assert_eq!(lines, 800);
    }
}
