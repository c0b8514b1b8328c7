//! Endpoint status files: how the CNI plugin learns that a pod's policy is in the kernel.
//!
//! One file per local endpoint in `endpoint-status/`, written by rename so that a reader never sees half of one. A file is
//! there only while the endpoint's policy is in force; leftovers of an earlier run go at the first write.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use model::WorkloadEndpointId;

/// The directory of status files.
#[derive(Debug)]
pub struct StatusFiles {
    directory: PathBuf,
    /// File names that are there; `None` until the directory was looked at.
    written: Option<BTreeSet<String>>,
}

impl StatusFiles {
    /// The files below `run`, as they may have been left.
    pub fn new(run: &Path) -> StatusFiles {
        StatusFiles {
            directory: run.join("endpoint-status"),
            written: None,
        }
    }

    /// Makes the files say exactly that these endpoints are up.
    ///
    /// # Errors
    /// The directory or a file cannot be written; what was done stays done, and the next call goes on.
    pub fn write<'a>(
        &mut self,
        up: impl Iterator<Item = (&'a WorkloadEndpointId, &'a str)>,
    ) -> io::Result<()> {
        if self.written.is_none() {
            fs::create_dir_all(&self.directory)?;
            self.written = Some(existing(&self.directory)?);
        }
        let Some(written) = &mut self.written else {
            return Ok(());
        };
        let mut want = BTreeSet::new();
        for (id, interface) in up {
            let name = id.status_file_name();
            if written.insert(name.clone()) {
                let content = serde_json::json!({ "ifaceName": interface, "status": "up" });
                let temporary = self.directory.join(format!(".{name}"));
                let result = fs::write(&temporary, content.to_string())
                    .and_then(|()| fs::rename(&temporary, self.directory.join(&name)));
                if let Err(error) = result {
                    written.remove(&name);
                    return Err(error);
                }
            }
            want.insert(name);
        }
        let gone: Vec<String> = written.difference(&want).cloned().collect();
        for name in gone {
            match fs::remove_file(self.directory.join(&name)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
            written.remove(&name);
        }
        Ok(())
    }
}

fn existing(directory: &Path) -> io::Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(directory)? {
        if let Ok(name) = entry?.file_name().into_string() {
            names.insert(name);
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_follow_the_endpoints() {
        let run = tempfile::tempdir().unwrap();
        let id = WorkloadEndpointId {
            node: "n".into(),
            orchestrator: "k8s".into(),
            namespace: "ns".into(),
            workload: "pod".into(),
            endpoint: "eth0".into(),
        };
        let directory = run.path().join("endpoint-status");
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join("k8s stale%2Fpod eth0"), "x").unwrap();
        let mut files = StatusFiles::new(run.path());
        files.write([(&id, "cali1")].into_iter()).unwrap();
        let names = existing(&directory).unwrap();
        assert_eq!(names, BTreeSet::from(["k8s ns%2Fpod eth0".to_owned()]));
        files.write(std::iter::empty()).unwrap();
        assert_eq!(existing(&directory).unwrap(), BTreeSet::new());
    }
}
