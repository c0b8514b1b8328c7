//! The names that this program is started by.

use std::ffi::OsString;
use std::path::Path;

/// What this program was started as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Program {
    /// By its own name, or by any that is not known.
    Calicoctl,
    /// As a plugin of kubectl, which is called `kubectl calico`.
    Kubectl,
    /// By kubectl, to complete a command of the plugin.
    KubectlComplete,
}

impl Program {
    /// Which one the first argument, a path, stands for.
    pub(crate) fn of(args: &[OsString]) -> Program {
        let path = args.first().map(Path::new);
        match path
            .and_then(Path::file_stem)
            .and_then(|name| name.to_str())
        {
            Some("kubectl-calico") => Program::Kubectl,
            Some("kubectl_complete-calico") => Program::KubectlComplete,
            Some(_) | None => Program::Calicoctl,
        }
    }

    /// What a user types.
    pub(crate) fn typed(self) -> &'static str {
        match self {
            Program::Calicoctl => "calicoctl",
            Program::Kubectl | Program::KubectlComplete => "kubectl calico",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let of = |name: &str| Program::of(&[OsString::from(name)]);
        assert_eq!(of("/usr/local/bin/kubectl-calico"), Program::Kubectl);
        assert_eq!(of("kubectl-calico.exe"), Program::Kubectl);
        assert_eq!(of("kubectl_complete-calico"), Program::KubectlComplete);
        assert_eq!(of("calicoctl"), Program::Calicoctl);
        assert_eq!(of("calicoctl-linux-amd64"), Program::Calicoctl);
        assert_eq!(Program::of(&[]), Program::Calicoctl);
    }
}
