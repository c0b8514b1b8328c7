//! What the host was like before us: the ledger from which `uninstall` gives it back.
//!
//! Only settings of the host as a whole are in it; what belongs to a workload's interface goes with the interface. An entry is
//! written before the change it is about, and an older one is never overwritten.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Sysctls (paths below `/proc/sys`) with the values they had.
#[derive(Debug)]
pub struct Ledger {
    path: PathBuf,
    before: BTreeMap<String, String>,
}

impl Ledger {
    /// Reads the ledger; one that is missing or unreadable is empty.
    pub fn open(path: &Path) -> Ledger {
        let before = fs::read(path)
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok());
        Ledger {
            path: path.to_owned(),
            before: before.unwrap_or_default(),
        }
    }

    /// Notes the value a sysctl has, before it is changed.
    ///
    /// # Errors
    /// The ledger cannot be written; then nothing should be changed.
    pub fn note(&mut self, sysctl: &str, value: &str) -> io::Result<()> {
        if self.before.contains_key(sysctl) {
            return Ok(());
        }
        let mut before = self.before.clone();
        before.insert(sysctl.to_owned(), value.to_owned());
        if let Some(directory) = self.path.parent() {
            fs::create_dir_all(directory)?;
        }
        let temporary = self.path.with_extension("new");
        fs::write(&temporary, serde_json::to_vec(&before)?)?;
        fs::rename(&temporary, &self.path)?;
        self.before = before;
        Ok(())
    }

    /// The values to give back.
    pub fn before(&self) -> &BTreeMap<String, String> {
        &self.before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_value_stays() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("sub/ledger.json");
        let mut ledger = Ledger::open(&path);
        ledger.note("net/ipv4/ip_forward", "0").unwrap();
        ledger.note("net/ipv4/ip_forward", "1").unwrap();
        let again = Ledger::open(&path);
        assert_eq!(again.before()["net/ipv4/ip_forward"], "0");
    }
}
