//! One binary under many names: what it does follows from the name it was started by, or from its first argument.
//!
//! `calicoctl ...`, `kubectl-calico ...` and `kubectl_complete-calico ...` are `calico ctl ...`; `calico-node ...` is `calico component node ...`.

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What the binary is asked to be.
#[derive(Debug, PartialEq, Eq)]
enum Applet {
    /// The command line tool, with its arguments; the first is the name to show.
    Ctl(Vec<OsString>),
    /// A daemon or an installer, with its arguments.
    Component { name: String, args: Vec<OsString> },
    /// Nothing we know; show what there is.
    Usage { wanted: Option<String> },
}

fn main() -> ExitCode {
    match applet(std::env::args_os().collect()) {
        Applet::Ctl(args) => ctl::run(args),
        Applet::Component { name, args } => component(&name, &args),
        Applet::Usage { wanted } => usage(wanted.as_deref()),
    }
}

fn applet(args: Vec<OsString>) -> Applet {
    let name = args
        .first()
        .map(Path::new)
        .and_then(Path::file_stem)
        .and_then(|name| name.to_str())
        .unwrap_or("");
    match name {
        "calicoctl" | "kubectl-calico" | "kubectl_complete-calico" => return Applet::Ctl(args),
        "calico-node" => {
            let args = args.into_iter().skip(1).collect();
            return Applet::Component {
                name: "node".to_owned(),
                args,
            };
        }
        _ => {}
    }
    let text = |index: usize| {
        args.get(index)
            .and_then(|arg| arg.to_str())
            .map(str::to_owned)
    };
    match (text(1).as_deref(), text(2)) {
        (Some("ctl"), _) => {
            let rest = args.into_iter().skip(2);
            Applet::Ctl(
                [OsString::from("calicoctl")]
                    .into_iter()
                    .chain(rest)
                    .collect(),
            )
        }
        (Some("component"), Some(name)) => Applet::Component {
            name,
            args: args.into_iter().skip(3).collect(),
        },
        (Some("version"), _) => Applet::Ctl(vec![
            "calicoctl".into(),
            "version".into(),
            "--client".into(),
        ]),
        (wanted, _) => Applet::Usage {
            wanted: wanted.map(str::to_owned),
        },
    }
}

/// Starts a component.
fn component(name: &str, args: &[OsString]) -> ExitCode {
    let args: Vec<String> = args
        .iter()
        .map(|arg| arg.to_string_lossy().into_owned())
        .collect();
    match name {
        "node" => node::run(&args),
        "cni" => node::install::main(&args),
        _ => {
            eprintln!("calico: component {name:?} is not part of this build; there are: cni, node");
            ExitCode::FAILURE
        }
    }
}

fn usage(wanted: Option<&str>) -> ExitCode {
    let text =
        "usage: calico ctl ARGUMENTS...              the command line tool, also called calicoctl
       calico component NAME ARGUMENTS...   a component: cni (its installer) or node, also called calico-node
       calico version                       the version of this program";
    match wanted {
        None | Some("help" | "--help" | "-h") => {
            println!("{text}");
            ExitCode::SUCCESS
        }
        Some(wanted) => {
            eprintln!("calico: unknown command {wanted:?}\n{text}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(words: &[&str]) -> Applet {
        applet(words.iter().map(OsString::from).collect())
    }

    #[test]
    fn names_and_first_arguments_decide() {
        let words = |words: &[&str]| words.iter().map(OsString::from).collect::<Vec<_>>();
        assert_eq!(
            of(&["/usr/bin/calicoctl", "get"]),
            Applet::Ctl(words(&["/usr/bin/calicoctl", "get"]))
        );
        assert_eq!(
            of(&["kubectl-calico", "get"]),
            Applet::Ctl(words(&["kubectl-calico", "get"]))
        );
        assert_eq!(
            of(&["calico", "ctl", "get"]),
            Applet::Ctl(words(&["calicoctl", "get"]))
        );
        assert_eq!(
            of(&["kubectl_complete-calico", "get", ""]),
            Applet::Ctl(words(&["kubectl_complete-calico", "get", ""]))
        );
        let node = |args: &[&str]| Applet::Component {
            name: "node".to_owned(),
            args: words(args),
        };
        assert_eq!(of(&["calico-node", "-felix"]), node(&["-felix"]));
        assert_eq!(
            of(&["calico", "component", "node", "-felix"]),
            node(&["-felix"])
        );
        assert_eq!(
            of(&["calico", "bogus"]),
            Applet::Usage {
                wanted: Some("bogus".to_owned())
            }
        );
        assert_eq!(of(&[]), Applet::Usage { wanted: None });
    }
}
