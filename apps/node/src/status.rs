//! Endpoint status files: how the CNI plugin learns that a pod's policy is in the kernel.
//!
//! One file per local endpoint in `endpoint-status/`, written by rename so that a reader never sees half of one. A file is
//! there only while the endpoint's policy is in force; leftovers of an earlier run go at the first write.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use model::WorkloadEndpointId;

/// The directory of status files.
#[derive(Debug)]
pub struct StatusFiles {
    directory: PathBuf,
    /// File names that are there, with the interface they tell; `None` until the directory was looked at.
    written: Option<BTreeMap<String, Box<str>>>,
}

impl StatusFiles {
    /// The files below `run`, as they may have been left.
    pub fn new(run: &Path) -> StatusFiles {
        StatusFiles {
            directory: run.join("endpoint-status"),
            written: None,
        }
    }

    /// Whether [`StatusFiles::begin`] was successful.
    pub fn is_begun(&self) -> bool {
        self.written.is_some()
    }

    /// Makes the files say exactly that these endpoints are up, whatever an earlier run left.
    ///
    /// # Errors
    /// The directory or a file cannot be written; what was done stays done, and has to be begun again.
    pub fn begin<'a>(
        &mut self,
        up: impl Iterator<Item = (&'a WorkloadEndpointId, &'a str)>,
    ) -> io::Result<()> {
        fs::create_dir_all(&self.directory)?;
        let mut written = BTreeMap::new();
        for (id, interface) in up {
            let name = id.status_file_name();
            write(&self.directory, &name, interface)?;
            written.insert(name, interface.into());
        }
        for entry in fs::read_dir(&self.directory)? {
            let name = entry?.file_name();
            if name.to_str().is_none_or(|name| !written.contains_key(name)) {
                remove(&self.directory.join(name))?;
            }
        }
        self.written = Some(written);
        Ok(())
    }

    /// Says that an endpoint is up on an interface, or that it is not up.
    ///
    /// # Errors
    /// The file cannot be written or removed.
    pub fn tell(&mut self, id: &WorkloadEndpointId, interface: Option<&str>) -> io::Result<()> {
        let Some(written) = &mut self.written else {
            return Ok(());
        };
        let name = id.status_file_name();
        match interface {
            Some(interface) => {
                if written.get(&name).is_none_or(|told| **told != *interface) {
                    write(&self.directory, &name, interface)?;
                    written.insert(name, interface.into());
                }
            }
            None => {
                if written.contains_key(&name) {
                    remove(&self.directory.join(&name))?;
                    written.remove(&name);
                }
            }
        }
        Ok(())
    }
}

fn write(directory: &Path, name: &str, interface: &str) -> io::Result<()> {
    let content = serde_json::json!({ "ifaceName": interface, "status": "up" });
    let temporary = directory.join(format!(".{name}"));
    fs::write(&temporary, content.to_string())?;
    fs::rename(&temporary, directory.join(name))
}

fn remove(file: &Path) -> io::Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn existing(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).unwrap();
        entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    }

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
        files.begin([(&id, "cali1")].into_iter()).unwrap();
        assert_eq!(existing(&directory), ["k8s ns%2Fpod eth0"]);
        files.tell(&id, Some("cali2")).unwrap();
        let text = fs::read_to_string(directory.join("k8s ns%2Fpod eth0")).unwrap();
        assert!(text.contains("cali2"), "{text}");
        files.tell(&id, None).unwrap();
        files.tell(&id, None).unwrap();
        assert!(existing(&directory).is_empty());
    }
}
