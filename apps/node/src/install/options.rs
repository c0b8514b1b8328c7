//! What the command line and the environment ask of the installer. Variables are upstream's, and flags win.

use std::path::{Path, PathBuf};

use crate::settings::{Env, is_true};

/// Upstream's name; runtimes take the first file of the directory.
pub(super) const CONF_NAME: &str = "10-calico.conflist";

/// How to call it.
pub(super) const USAGE: &str = "\
Usage: calico component cni install [--from DIR] [--bin-dir DIR] [--conf-dir DIR]

Copies the CNI plugins calico and calico-ipam to where container runtimes look for them, and writes the network's
configuration. What is as it should be is left alone. calico-node uninstall takes it all away again.

  --from DIR      where the plugins are (../cni from this program)
  --bin-dir DIR   where they go (CNI_BIN_DIR, /opt/cni/bin)
  --conf-dir DIR  where the configuration goes (CNI_NET_DIR, /etc/cni/net.d)

Environment: CNI_NETWORK_CONFIG or CNI_NETWORK_CONFIG_FILE (the configuration, with upstream's __VARIABLES__), CNI_CONF_NAME,
CNI_OLD_CONF_NAME, CNI_MTU, SKIP_CNI_BINARIES, UPDATE_CNI_BINARIES, and those of calico-node that say where the datastore
and its files are.
";

/// What `calico component cni` is asked to do.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Command {
    Install(Options),
    Help,
}

/// Where from, where to.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Options {
    pub(super) from: Option<PathBuf>,
    pub(super) bin_dir: PathBuf,
    /// The directory to write to.
    pub(super) conf_dir: PathBuf,
    /// The same as runtimes see it: another one if we run in a container.
    pub(super) conf_dir_on_host: PathBuf,
    pub(super) conf_name: String,
    skip: Vec<String>,
    existing: Existing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Existing {
    Replace,
    Keep,
}

/// Whether a program is not to be installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Skip {
    Yes,
    No,
}

impl Command {
    /// Reads arguments and environment; the error is a sentence.
    pub(super) fn parse(args: &[String], env: &Env) -> Result<Command, String> {
        let mut words = args.iter().map(String::as_str);
        match words.next() {
            Some("install") => {}
            Some("-h" | "--help" | "help") => return Ok(Command::Help),
            Some(other) => return Err(format!("unknown command {other:?}; there is: install")),
            None => return Err("say what to do; there is: install".to_owned()),
        }
        let mut options = Options::from_environment(env)?;
        while let Some(word) = words.next() {
            let (flag, inline) = word
                .split_once('=')
                .map_or((word, None), |(flag, value)| (flag, Some(value)));
            if matches!(flag, "-h" | "--help") {
                return Ok(Command::Help);
            }
            let slot = match flag {
                "--from" => options.from.insert(PathBuf::new()),
                "--bin-dir" => &mut options.bin_dir,
                "--conf-dir" => {
                    options.conf_dir_on_host = PathBuf::new();
                    &mut options.conf_dir
                }
                _ => return Err(format!("unknown argument {word:?}")),
            };
            let value = inline.or_else(|| words.next()).unwrap_or_default();
            if value.is_empty() {
                return Err(format!("{flag} needs a directory"));
            }
            *slot = PathBuf::from(value);
        }
        if options.conf_dir_on_host.as_os_str().is_empty() {
            options.conf_dir_on_host.clone_from(&options.conf_dir);
        }
        Ok(Command::Install(options))
    }
}

impl Options {
    fn from_environment(env: &Env) -> Result<Options, String> {
        let get = |name: &str| env.get(name).map(|v| v.trim()).filter(|v| !v.is_empty());
        let conf_dir = PathBuf::from(get("CNI_NET_DIR").unwrap_or("/etc/cni/net.d"));
        let conf_name = get("CNI_CONF_NAME").unwrap_or(CONF_NAME);
        if conf_name.contains('/') {
            return Err(format!(
                "CNI_CONF_NAME={conf_name} must be a name without '/'"
            ));
        }
        let skip = get("SKIP_CNI_BINARIES").unwrap_or_default();
        Ok(Options {
            from: None,
            bin_dir: get("CNI_BIN_DIR").map_or_else(
                || mounted("/host/opt/cni/bin").unwrap_or_else(|| "/opt/cni/bin".into()),
                PathBuf::from,
            ),
            conf_dir: mounted("/host/etc/cni/net.d").unwrap_or_else(|| conf_dir.clone()),
            conf_dir_on_host: conf_dir,
            conf_name: conf_name.to_owned(),
            skip: skip.split(',').map(|name| name.trim().to_owned()).collect(),
            existing: match get("UPDATE_CNI_BINARIES") {
                Some(text) if !is_true(text) => Existing::Keep,
                _ => Existing::Replace,
            },
        })
    }

    /// Whether a program was named in `SKIP_CNI_BINARIES`.
    pub(super) fn skips(&self, name: &str) -> Skip {
        if self.skip.iter().any(|skipped| skipped == name) {
            Skip::Yes
        } else {
            Skip::No
        }
    }

    /// True if programs that are there are to be left alone.
    pub(super) fn keep_existing(&self) -> bool {
        self.existing == Existing::Keep
    }
}

/// In upstream's container the host's directories are below `/host`.
fn mounted(path: &str) -> Option<PathBuf> {
    Path::new(path).is_dir().then(|| PathBuf::from(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &[&str], env: &[(&str, &str)]) -> Result<Command, String> {
        let args: Vec<String> = args.iter().map(|&a| a.to_owned()).collect();
        let env = env
            .iter()
            .map(|&(k, v)| (k.to_owned(), v.to_owned()))
            .collect();
        Command::parse(&args, &env)
    }

    #[test]
    fn flags_win_over_the_environment() {
        let env = [
            ("CNI_BIN_DIR", "/e"),
            ("SKIP_CNI_BINARIES", "a, calico-ipam"),
        ];
        let Ok(Command::Install(options)) =
            parse(&["install", "--bin-dir=/f", "--from", "/g"], &env)
        else {
            panic!("good arguments");
        };
        assert_eq!(options.bin_dir, Path::new("/f"));
        assert_eq!(options.from.as_deref(), Some(Path::new("/g")));
        assert_eq!(options.conf_dir, Path::new("/etc/cni/net.d"));
        assert_eq!(options.conf_name, CONF_NAME);
        assert_eq!(
            (options.skips("calico-ipam"), options.skips("calico")),
            (Skip::Yes, Skip::No)
        );
    }

    #[test]
    fn bad_words_are_named() {
        assert!(parse(&[], &[]).unwrap_err().contains("install"));
        assert!(parse(&["remove"], &[]).unwrap_err().contains("remove"));
        assert!(
            parse(&["install", "--from"], &[])
                .unwrap_err()
                .contains("--from")
        );
        assert!(
            parse(&["install", "--to", "/x"], &[])
                .unwrap_err()
                .contains("--to")
        );
        let sly = [("CNI_CONF_NAME", "../x")];
        assert!(
            parse(&["install"], &sly)
                .unwrap_err()
                .contains("CNI_CONF_NAME")
        );
        assert_eq!(parse(&["install", "-h"], &[]), Ok(Command::Help));
    }
}
