//! Files of ours on the host: written whole or not at all, and known again by their content.
//!
//! A path is in the record with the digests of what we ever wrote there, and is noted before it is written; so a file is ours
//! exactly if its digest is in the record, wherever an installation was cut off. What stood there before is kept beside it, and
//! comes back when ours goes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

/// What is appended to the name of a file that was there before ours. Runtimes do not read such names.
const BEFORE: &str = ".before-calico";

/// What installing a file came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was as it should be.
    Unchanged,
    /// It is new, or was ours.
    Written,
    /// Somebody else's was there, and is kept beside it.
    Replaced,
}

/// What removing a file came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removal {
    /// It is gone, or was gone.
    Gone,
    /// It is not as we wrote it, so it was left.
    Changed,
}

impl Outcome {
    /// For people.
    pub fn words(self) -> &'static str {
        match self {
            Outcome::Unchanged => "unchanged",
            Outcome::Written => "written",
            Outcome::Replaced => "written; what was there is kept as *.before-calico",
        }
    }
}

/// What we put on the host.
#[derive(Debug)]
pub struct Record {
    path: PathBuf,
    /// Digests of what we wrote, by path.
    files: BTreeMap<PathBuf, BTreeSet<String>>,
    /// Directories we made; parents come before children.
    directories: BTreeSet<PathBuf>,
}

impl Record {
    /// Reads the record; one that is missing is empty.
    ///
    /// # Errors
    /// It is there and cannot be read: then nothing is known to be ours.
    pub fn open(path: &Path) -> anyhow::Result<Record> {
        let value: Value = match fs::read(path) {
            Ok(bytes) => serde_json::from_slice(&bytes).with_context(|| {
                format!(
                    "the record of installed files {} is damaged; move it away",
                    path.display()
                )
            })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Value::Null,
            Err(error) => {
                return Err(error).with_context(|| format!("failed to read {}", path.display()));
            }
        };
        let texts = |value: &Value| -> Vec<String> {
            let list = value.as_array().into_iter().flatten();
            list.filter_map(|item| item.as_str().map(str::to_owned))
                .collect()
        };
        let files = value["files"].as_object().into_iter().flatten();
        Ok(Record {
            path: path.to_owned(),
            files: files
                .map(|(path, digests)| (path.into(), texts(digests).into_iter().collect()))
                .collect(),
            directories: texts(&value["directories"])
                .into_iter()
                .map(PathBuf::from)
                .collect(),
        })
    }

    /// Makes a file what it should be.
    ///
    /// # Errors
    /// It cannot be written; what was there is still there.
    pub fn install(&mut self, target: &Path, content: &[u8], mode: u32) -> anyhow::Result<Outcome> {
        let target = &absolute(target)?;
        let digest = digest(content);
        let there = read(target)?;
        let ours = there.as_ref().is_none_or(|bytes| self.wrote(target, bytes));
        self.note(target, digest)?;
        if there.as_deref() == Some(content) && has_mode(target, mode)? {
            return Ok(Outcome::Unchanged);
        }
        let written = (|| {
            if !ours && there.as_deref() != Some(content) {
                keep(target)?;
            }
            replace(target, content, mode)
        })();
        written.with_context(|| format!("failed to write {}", target.display()))?;
        Ok(if ours {
            Outcome::Written
        } else {
            Outcome::Replaced
        })
    }

    /// Takes a file away if it is as we wrote it, and brings back what was there before.
    ///
    /// # Errors
    /// It cannot be read or removed.
    pub fn remove(&mut self, target: &Path) -> anyhow::Result<Removal> {
        let target = &absolute(target)?;
        if !self.files.contains_key(target) {
            return Ok(Removal::Changed);
        }
        if let Some(bytes) = read(target)? {
            if !self.wrote(target, &bytes) {
                return Ok(Removal::Changed);
            }
            fs::remove_file(target)
                .with_context(|| format!("failed to remove {}", target.display()))?;
        }
        match fs::rename(before(target), target) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(error)
                    .with_context(|| format!("failed to bring back {}", target.display()));
            }
            Ok(()) | Err(_) => {}
        }
        self.files.remove(target);
        self.save()?;
        Ok(Removal::Gone)
    }

    /// Takes everything away that is as we wrote it, and the record. Returns what was changed since, and left.
    ///
    /// # Errors
    /// Something cannot be removed; the record then still has it.
    pub fn remove_all(mut self) -> anyhow::Result<Vec<PathBuf>> {
        let paths: Vec<PathBuf> = self.files.keys().cloned().collect();
        let mut left = Vec::new();
        for path in paths {
            match self.remove(&path)? {
                Removal::Gone => {}
                Removal::Changed => left.push(path),
            }
        }
        for directory in self.directories.iter().rev() {
            // Others may have put files there, and somebody may have removed it.
            let _ = fs::remove_dir(directory);
        }
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("failed to remove {}", self.path.display()))
            }
            Ok(()) | Err(_) => Ok(left),
        }
    }

    fn wrote(&self, target: &Path, content: &[u8]) -> bool {
        self.files
            .get(target)
            .is_some_and(|digests| digests.contains(&digest(content)))
    }

    /// Notes what is about to be written, with the directories it needs, and makes those.
    fn note(&mut self, target: &Path, digest: String) -> anyhow::Result<()> {
        let Some(directory) = target.parent() else {
            bail!("{} is not the name of a file", target.display());
        };
        let missing = directory.ancestors().take_while(|dir| !dir.exists());
        self.directories.extend(missing.map(Path::to_owned));
        self.files
            .entry(target.to_owned())
            .or_default()
            .insert(digest);
        self.save()?;
        fs::create_dir_all(directory)
            .with_context(|| format!("failed to make {}", directory.display()))
    }

    fn save(&self) -> anyhow::Result<()> {
        let files: Map<String, Value> = self
            .files
            .iter()
            .map(|(path, digests)| (path.display().to_string(), json!(digests)))
            .collect();
        let bytes = serde_json::to_vec(&json!({"files": files, "directories": self.directories}))
            .context("failed to write JSON")?;
        let save = || {
            if let Some(directory) = self.path.parent() {
                fs::create_dir_all(directory)?;
            }
            replace(&self.path, &bytes, 0o600)
        };
        save().with_context(|| format!("failed to write {}", self.path.display()))
    }
}

fn digest(content: &[u8]) -> String {
    Sha256::digest(content)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn absolute(path: &Path) -> anyhow::Result<PathBuf> {
    std::path::absolute(path).with_context(|| format!("failed to find {}", path.display()))
}

fn read(path: &Path) -> anyhow::Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("failed to read {}", path.display())),
    }
}

fn has_mode(path: &Path, mode: u32) -> anyhow::Result<bool> {
    let metadata = fs::symlink_metadata(path)
        .with_context(|| format!("failed to look at {}", path.display()))?;
    let owner = rustix::process::geteuid().as_raw();
    Ok(metadata.is_file() && metadata.mode() & 0o7777 == mode && metadata.uid() == owner)
}

fn before(target: &Path) -> PathBuf {
    let mut name = target.as_os_str().to_owned();
    name.push(BEFORE);
    name.into()
}

/// Gives what is there a second name. The first that was kept stays: later ones are edits of ours.
fn keep(target: &Path) -> io::Result<()> {
    match fs::hard_link(target, before(target)) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    }
}

/// Writes a file under another name, with its exact mode, and puts it in place when it is on the disk.
fn replace(target: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    let temporary = target.with_file_name(format!(".{name}.{}", std::process::id()));
    let write = || {
        // A leftover of a run that was killed, or somebody's link: never written through.
        match fs::remove_file(&temporary) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&temporary)?;
        file.write_all(content)?;
        file.set_permissions(fs::Permissions::from_mode(mode))?;
        file.sync_all()?;
        fs::rename(&temporary, target)
    };
    let result = write();
    if result.is_err() {
        // The error that is told is the first one.
        let _ = fs::remove_file(&temporary);
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Place {
        directory: tempfile::TempDir,
    }

    impl Place {
        fn new() -> Place {
            let directory = tempfile::tempdir().unwrap();
            Place { directory }
        }

        fn path(&self, name: &str) -> PathBuf {
            self.directory.path().join(name)
        }

        fn record(&self) -> Record {
            Record::open(&self.path("lib/record.json")).unwrap()
        }
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o7777
    }

    #[test]
    fn files_are_written_once_with_their_mode_and_go_again() {
        let place = Place::new();
        let target = place.path("opt/cni/bin/calico");
        let install = |content: &[u8]| place.record().install(&target, content, 0o755).unwrap();
        assert_eq!(install(b"one"), Outcome::Written);
        let inode = fs::metadata(&target).unwrap().ino();
        assert_eq!(install(b"one"), Outcome::Unchanged);
        assert_eq!(fs::metadata(&target).unwrap().ino(), inode);
        assert_eq!(install(b"two"), Outcome::Written);
        assert_eq!(mode(&target), 0o755);
        fs::set_permissions(&target, fs::Permissions::from_mode(0o4755)).unwrap();
        assert_eq!(install(b"two"), Outcome::Written);
        assert_eq!(mode(&target), 0o755);
        assert_eq!(place.record().remove_all().unwrap(), Vec::<PathBuf>::new());
        assert!(!place.path("opt").exists(), "directories we made are gone");
        assert!(!place.path("lib/record.json").exists());
    }

    #[test]
    fn what_was_there_comes_back() {
        let place = Place::new();
        let target = place.path("10-calico.conflist");
        fs::write(&target, "theirs").unwrap();
        let mut record = place.record();
        assert_eq!(
            record.install(&target, b"ours", 0o600).unwrap(),
            Outcome::Replaced
        );
        assert_eq!(
            (fs::read(&target).unwrap(), mode(&target)),
            (b"ours".to_vec(), 0o600)
        );
        assert_eq!(place.record().remove_all().unwrap(), Vec::<PathBuf>::new());
        assert_eq!(fs::read(&target).unwrap(), b"theirs");
        assert!(!before(&target).exists());
    }

    #[test]
    fn what_was_changed_since_is_left() {
        let place = Place::new();
        let target = place.path("10-calico.conflist");
        place.record().install(&target, b"ours", 0o600).unwrap();
        fs::write(&target, "edited").unwrap();
        assert_eq!(place.record().remove_all().unwrap(), vec![target.clone()]);
        assert_eq!(fs::read(&target).unwrap(), b"edited");
    }

    #[test]
    fn a_cut_between_note_and_write_leaves_both_contents_ours() {
        let place = Place::new();
        let target = place.path("calico");
        place.record().install(&target, b"one", 0o755).unwrap();
        place.record().note(&target, digest(b"two")).unwrap();
        assert_eq!(place.record().remove(&target).unwrap(), Removal::Gone);
        assert!(!target.exists());
    }

    #[test]
    fn a_damaged_record_is_an_error() {
        let place = Place::new();
        fs::write(place.path("record"), "{").unwrap();
        assert!(Record::open(&place.path("record")).is_err());
    }
}
