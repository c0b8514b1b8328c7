//! The call: `CNI_*` variables, checked before anything is done.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::error::{CniError, Code};

/// What the runtime wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    Add,
    Del,
    Check,
    Gc,
    Status,
    Version,
}

/// The runtime's call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) container: String,
    pub(crate) interface: String,
    /// Empty: the runtime knows of none, as a DEL may be.
    pub(crate) netns: PathBuf,
    pub(crate) args: BTreeMap<String, String>,
    pub(crate) path: Vec<PathBuf>,
}

pub(crate) type Variables = BTreeMap<String, String>;

fn wrong(name: &str, value: &str, what: &str) -> CniError {
    CniError::new(Code::Environment, format!("{name}={value:?} {what}"))
}

pub(crate) fn command(variables: &Variables) -> Result<Command, CniError> {
    match variables.get("CNI_COMMAND").map_or("", String::as_str) {
        "ADD" => Ok(Command::Add),
        "DEL" => Ok(Command::Del),
        "CHECK" => Ok(Command::Check),
        "GC" => Ok(Command::Gc),
        "STATUS" => Ok(Command::Status),
        "VERSION" => Ok(Command::Version),
        other => Err(wrong("CNI_COMMAND", other, "is none of ADD, DEL, CHECK, GC, STATUS, VERSION")
            .hint("a container runtime sets it; on the command line use -v for the version, -t for a test of the datastore")),
    }
}

impl Call {
    /// Reads the variables that a command on one attachment has.
    pub(crate) fn read(command: Command, variables: &Variables) -> Result<Call, CniError> {
        let text = |name: &str| variables.get(name).cloned().unwrap_or_default();
        let container = text("CNI_CONTAINERID");
        if !is_identifier(&container) {
            return Err(wrong(
                "CNI_CONTAINERID",
                &container,
                "must begin with a letter or digit and hold only letters, digits, '.', '_' and '-'",
            ));
        }
        let interface = text("CNI_IFNAME");
        let plain =
            !interface.contains(['/', ':', '\0']) && !interface.contains(char::is_whitespace);
        if interface.is_empty()
            || interface.len() > 15
            || !plain
            || interface == "."
            || interface == ".."
        {
            return Err(wrong(
                "CNI_IFNAME",
                &interface,
                "is not the name of an interface: 1 to 15 characters without '/', ':' and blanks",
            ));
        }
        let netns = text("CNI_NETNS");
        if netns.is_empty() && matches!(command, Command::Add | Command::Check) {
            return Err(wrong(
                "CNI_NETNS",
                "",
                "must name the container's network namespace",
            ));
        }
        Ok(Call {
            container,
            interface,
            netns: netns.into(),
            args: cni_args(&text("CNI_ARGS"))?,
            path: path(variables),
        })
    }

    /// An argument that is there and not empty.
    pub(crate) fn arg(&self, name: &str) -> Option<&str> {
        self.args
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }
}

/// The directories in which other plugins are.
pub(crate) fn path(variables: &Variables) -> Vec<PathBuf> {
    let list = variables.get("CNI_PATH").map_or("", String::as_str);
    list.split(':')
        .filter(|dir| !dir.is_empty())
        .map(PathBuf::from)
        .collect()
}

/// Letters, digits, `.`, `_`, `-`, the first a letter or digit: what the specification asks of identities and names.
pub(crate) fn is_identifier(text: &str) -> bool {
    let first = text
        .chars()
        .next()
        .is_some_and(|c| c.is_ascii_alphanumeric());
    first
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
}

fn cni_args(text: &str) -> Result<BTreeMap<String, String>, CniError> {
    text.split(';')
        .filter(|pair| !pair.is_empty())
        .map(|pair| match pair.split_once('=') {
            Some((key, value)) => Ok((key.to_owned(), value.to_owned())),
            None => Err(wrong(
                "CNI_ARGS",
                text,
                "must be KEY=VALUE pairs with ';' between them",
            )),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(pairs: &[(&str, &str)]) -> Variables {
        pairs
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect()
    }

    #[test]
    fn calls() {
        let mut v = variables(&[
            ("CNI_CONTAINERID", "c1"),
            ("CNI_IFNAME", "eth0"),
            ("CNI_NETNS", "/run/netns/x"),
            ("CNI_ARGS", "IgnoreUnknown=1;K8S_POD_NAME=web;IP=10.0.0.1"),
        ]);
        let call = Call::read(Command::Add, &v).expect("good");
        assert_eq!(
            (call.arg("IP"), call.arg("K8S_POD_NAMESPACE")),
            (Some("10.0.0.1"), None)
        );
        v.insert("CNI_NETNS".into(), String::new());
        assert!(Call::read(Command::Del, &v).is_ok());
        assert!(Call::read(Command::Add, &v).is_err());
        for (name, value) in [
            ("CNI_CONTAINERID", ""),
            ("CNI_CONTAINERID", "../x"),
            ("CNI_IFNAME", "a/b"),
            ("CNI_IFNAME", "aaaaaaaaaaaaaaaa"),
            ("CNI_ARGS", "x"),
        ] {
            let mut bad = v.clone();
            bad.insert(name.into(), value.into());
            assert_eq!(
                Call::read(Command::Del, &bad).expect_err("bad").code,
                Code::Environment,
                "{name}={value}"
            );
        }
        assert!(command(&variables(&[("CNI_COMMAND", "add")])).is_err());
    }
}
