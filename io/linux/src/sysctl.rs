//! Kernel settings under `/proc/sys`, and the boot identity.
//!
//! `/proc/sys/net` shows the network namespace of the thread that opens the file, whichever process's `/proc` it is: to set a pod's
//! settings, run inside [`crate::netns::in_netns`]. (A test holds the kernel to this.)
//!
//! There is no notice when another hand writes one, but for those that [`crate::monitor::Notice::NetconfChanged`] tells of.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use dataplane::host::Sysctl;
use model::Family;

/// What went wrong with a setting.
#[derive(Debug, thiserror::Error)]
pub enum SysctlError {
    /// It cannot be read.
    #[error("failed to read {path}")]
    Read {
        /// Its file.
        path: SysctlPath,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// It cannot be written.
    #[error("failed to write \"{value}\" to {path}")]
    Write {
        /// Its file.
        path: SysctlPath,
        /// The value.
        value: SysctlValue,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// The name leads elsewhere.
    #[error("{part:?} cannot be part of a sysctl's name")]
    Name {
        /// The part of the name.
        part: String,
    },
}

impl SysctlError {
    /// Whether the setting does not exist: its interface is gone, or the kernel was built without it.
    pub fn is_absent(&self) -> bool {
        match self {
            SysctlError::Read { source, .. } | SysctlError::Write { source, .. } => {
                source.kind() == io::ErrorKind::NotFound
            }
            SysctlError::Name { .. } => false,
        }
    }
}

/// The file of a setting.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SysctlPath(PathBuf);

impl SysctlPath {
    /// From the parts of the name: an interface name is one part, whatever dots it has.
    pub fn new<'a>(parts: impl IntoIterator<Item = &'a str>) -> Result<Self, SysctlError> {
        let mut path = PathBuf::from("/proc/sys");
        for part in parts {
            if part.is_empty() || part == "." || part == ".." || part.contains(['/', '\0']) {
                return Err(SysctlError::Name {
                    part: part.to_owned(),
                });
            }
            path.push(part);
        }
        Ok(SysctlPath(path))
    }

    /// From the dotted form of `sysctl.conf`: `net.ipv4.conf.eth0/5.rp_filter` is for the interface `eth0.5`.
    pub fn dotted(name: &str) -> Result<Self, SysctlError> {
        let parts: Vec<String> = name.split('.').map(|part| part.replace('/', ".")).collect();
        Self::new(parts.iter().map(String::as_str))
    }

    /// A setting of one interface: `net.FAMILY.conf.LINK.KEY`.
    pub fn of_link(family: Family, link: &str, key: &str) -> Result<Self, SysctlError> {
        Self::new(["net", family_name(family), "conf", link, key])
    }

    /// A neighbour setting of one interface: `net.FAMILY.neigh.LINK.KEY`.
    pub fn of_neighbours(family: Family, link: &str, key: &str) -> Result<Self, SysctlError> {
        Self::new(["net", family_name(family), "neigh", link, key])
    }
}

impl TryFrom<&Sysctl> for SysctlPath {
    type Error = SysctlError;

    fn try_from(Sysctl(parts): &Sysctl) -> Result<Self, SysctlError> {
        Self::new(parts.iter().map(|part| &**part))
    }
}

impl fmt::Display for SysctlPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.display().fmt(f)
    }
}

impl AsRef<Path> for SysctlPath {
    fn as_ref(&self) -> &Path {
        &self.0
    }
}

fn family_name(family: Family) -> &'static str {
    match family {
        Family::V4 => "ipv4",
        Family::V6 => "ipv6",
    }
}

/// The value of a setting, without the closing newline.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SysctlValue(String);

impl SysctlValue {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The number, when it is one.
    pub fn number(&self) -> Option<i64> {
        self.0.parse().ok()
    }
}

impl From<&str> for SysctlValue {
    fn from(text: &str) -> Self {
        SysctlValue(text.trim().to_owned())
    }
}

impl From<i64> for SysctlValue {
    fn from(number: i64) -> Self {
        SysctlValue(number.to_string())
    }
}

impl fmt::Display for SysctlValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Reads a setting.
pub fn read(path: &SysctlPath) -> Result<SysctlValue, SysctlError> {
    let read = || {
        let mut text = String::new();
        File::open(path)?.read_to_string(&mut text)?;
        Ok(text)
    };
    match read() {
        Ok(text) => Ok(SysctlValue::from(text.as_str())),
        Err(source) => Err(SysctlError::Read {
            path: path.clone(),
            source,
        }),
    }
}

/// Writes a setting.
pub fn write(path: &SysctlPath, value: &SysctlValue) -> Result<(), SysctlError> {
    // One write call: the kernel takes each as a whole value.
    let write = || {
        OpenOptions::new()
            .write(true)
            .open(path)?
            .write_all(value.0.as_bytes())
    };
    write().map_err(|source| SysctlError::Write {
        path: path.clone(),
        value: value.clone(),
        source,
    })
}

/// Identifies one run of the machine, from power-up to power-down.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BootId(String);

impl BootId {
    /// That of this run.
    pub fn read() -> Result<Self, SysctlError> {
        let path = SysctlPath::new(["kernel", "random", "boot_id"])?;
        read(&path).map(|SysctlValue(text)| BootId(text))
    }

    /// The text, a UUID.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interface_names_keep_their_dots_and_stay_below_proc_sys() {
        let path = SysctlPath::of_link(Family::V4, "eth0.5", "rp_filter").unwrap();
        assert_eq!(path.to_string(), "/proc/sys/net/ipv4/conf/eth0.5/rp_filter");
        assert_eq!(
            SysctlPath::dotted("net.ipv4.conf.eth0/5.rp_filter").unwrap(),
            path
        );
        for bad in ["", ".", "..", "a/b", "a\0"] {
            assert!(
                SysctlPath::of_link(Family::V6, bad, "forwarding").is_err(),
                "{bad:?}"
            );
        }
        assert!(SysctlPath::dotted("net..x").is_err());
        assert!(SysctlPath::dotted("net.//.x").is_err());
    }

    #[test]
    fn the_boot_has_an_identity() {
        let id = BootId::read().unwrap();
        assert_eq!(id.as_str().len(), 36);
        assert_eq!(id, BootId::read().unwrap());
    }
}
