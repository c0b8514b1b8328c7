//! The programs of a real API server, and what their release wants.

use std::borrow::Cow;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Which Kubernetes it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Release {
    pub(super) version: Box<str>,
    minor: u32,
}

impl Release {
    /// Asks the program.
    fn of(api_server: &Path) -> Result<Self, String> {
        let printed = Command::new(api_server).arg("--version").output();
        let printed = printed.map_err(|error| format!("{}: {error}", api_server.display()))?;
        let printed = String::from_utf8_lossy(&printed.stdout);
        Self::parse(&printed).ok_or_else(|| format!("{} is {printed:?}", api_server.display()))
    }

    /// `Kubernetes v1.36.3`
    fn parse(printed: &str) -> Option<Self> {
        let version = printed.trim().strip_prefix("Kubernetes ")?;
        let minor = version.strip_prefix("v1.")?.split('.').next()?;
        Some(Self {
            version: version.into(),
            minor: minor.parse().ok()?,
        })
    }

    /// Mutating admission policies were a beta, off by default, before this release.
    fn has_mutating_policies(&self) -> bool {
        self.minor >= 36
    }

    /// What a cluster's administrator has to switch on for our definitions, as for upstream's.
    pub(super) fn flags(&self) -> Vec<String> {
        if self.has_mutating_policies() {
            return Vec::new();
        }
        vec![
            "--feature-gates=MutatingAdmissionPolicy=true".to_owned(),
            "--runtime-config=admissionregistration.k8s.io/v1beta1=true".to_owned(),
        ]
    }

    /// A definition in the version of the API that this release has of it: see deploy/README.md.
    pub(super) fn admission<'t>(&self, definition: &'t str) -> Cow<'t, str> {
        if self.has_mutating_policies() {
            return definition.into();
        }
        let at = |version: &str| {
            format!("apiVersion: admissionregistration.k8s.io/{version}\nkind: Mutating")
        };
        definition.replace(&at("v1"), &at("v1beta1")).into()
    }
}

/// The programs that `cargo xtask setup` built, and kubectl.
pub(super) struct Programs {
    pub(super) release: Release,
    pub(super) api_server: PathBuf,
    pub(super) etcd: PathBuf,
    pub(super) kubectl: PathBuf,
}

impl Programs {
    pub(super) fn find() -> Result<Self, String> {
        let directory =
            built().ok_or("no Kubernetes API server has been built: run `cargo xtask setup`")?;
        let api_server = directory.join("kube-apiserver");
        let etcd = directory.join("etcd");
        for program in [&api_server, &etcd] {
            if !program.is_file() {
                return Err(format!(
                    "{} is not there: run `cargo xtask setup`",
                    program.display()
                ));
            }
        }
        let kubectl = Some(directory.join("kubectl")).filter(|path| path.is_file());
        let kubectl = kubectl
            .or_else(|| on_path("kubectl"))
            .ok_or("there is no kubectl: run `cargo xtask setup`")?;
        Ok(Self {
            release: Release::of(&api_server)?,
            api_server,
            etcd,
            kubectl,
        })
    }
}

/// Where set-up says it built, else the newest in the cache.
fn built() -> Option<PathBuf> {
    if let Some(directory) = std::env::var_os("CALICO_TEST_KUBERNETES") {
        return Some(directory.into());
    }
    let cache = std::env::var_os("XDG_CACHE_HOME")
        .filter(|path| !path.is_empty())
        .map(PathBuf::from)
        .or_else(|| std::env::home_dir().map(|home| home.join(".cache")))?;
    let entries = fs::read_dir(cache.join("calico-rs")).ok()?;
    entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.join("kube-apiserver").is_file())
        .max()
}

fn on_path(name: &str) -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?)
        .map(|directory| directory.join(name))
        .find(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_older_release_gets_its_own_form_of_admission_policies() {
        let older = Release::parse("Kubernetes v1.34.4\n").expect("a version");
        let current = Release::parse("Kubernetes v1.36.3\n").expect("a version");
        let text = "apiVersion: admissionregistration.k8s.io/v1\nkind: MutatingAdmissionPolicy\n---\n\
            apiVersion: admissionregistration.k8s.io/v1\nkind: ValidatingAdmissionPolicy\n";
        assert_eq!(current.admission(text), text);
        let theirs = older.admission(text);
        assert_eq!(theirs.matches("/v1beta1\nkind: Mutating").count(), 1);
        assert_eq!(theirs.matches("/v1\nkind: Validating").count(), 1);
        assert!(current.flags().is_empty() && older.flags().len() == 2);
        assert_eq!(Release::parse("etcd"), None);
    }
}
