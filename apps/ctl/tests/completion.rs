//! What shells and kubectl are offered, and what this program is called where it is a plugin of kubectl.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Write as _};
use std::process::{Command, Stdio};

use ctl::{Output, Session, run_with};

/// Runs this program under a name.
fn run_as(words: &[&str]) -> (u8, String, String) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let mut session = Session {
        out: &mut out,
        err: &mut err,
        stdin: &mut std::io::empty(),
        environment: BTreeMap::new(),
        output: Output::Other,
        errors: Output::Other,
    };
    let code = run_with(words.iter().map(Into::into).collect(), &mut session);
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    (code, text(out), text(err))
}

/// What bash offers for the last of these words.
fn bash(script: &str, words: &[&str]) -> Option<Vec<String>> {
    let last = words.len() - 1;
    let quoted: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
    let program = format!(
        "{script}\nCOMP_WORDS=({}); COMP_CWORD={last}\n_calicoctl calicoctl {} {} 2>/dev/null\nprintf '%s\\n' \"${{COMPREPLY[@]}}\"",
        quoted.join(" "),
        quoted[last],
        quoted[last - 1],
    );
    // Over standard input: the script is longer than an argument may be.
    let mut child = match Command::new("bash")
        .args(["--norc", "-s"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
    {
        Ok(child) => child,
        Err(error) if error.kind() == ErrorKind::NotFound => return None,
        Err(error) => panic!("bash cannot be started: {error}"),
    };
    let mut input = child.stdin.take().expect("it is piped");
    input
        .write_all(program.as_bytes())
        .expect("bash reads its program");
    drop(input);
    let output = child.wait_with_output().expect("bash ends");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    Some(text.lines().map(str::to_owned).collect())
}

#[test]
fn bash_completes_kinds_formats_stores_and_patches() {
    let (code, script, _) = run_as(&["calicoctl", "completion", "bash"]);
    assert_eq!(code, 0);
    for (words, offered) in [
        (
            &["calicoctl", "get", "ippo"][..],
            &["ippool", "ippools"][..],
        ),
        (&["calicoctl", "delete", "hep"], &["hep", "heps"]),
        (
            &["calicoctl", "get", "nodes", "-o", "go-"],
            &["go-template=", "go-template-file="],
        ),
        (&["calicoctl", "get", "nodes", "--output", "y"], &["yaml"]),
        (
            &["calicoctl", "get", "--datastore", "e"],
            &["embedded", "etcdv3"],
        ),
        (
            &["calicoctl", "patch", "node", "n", "-t", ""],
            &["strategic", "merge", "json"],
        ),
        (&["calicoctl", "ipam", "sp"], &["split"]),
        (&["calicoctl", "val"], &["validate"]),
    ] {
        let Some(found) = bash(&script, words) else {
            eprintln!("SKIPPED: there is no bash to complete words in");
            return;
        };
        for word in offered {
            assert!(
                found.iter().any(|f| f == word),
                "{words:?}: {word} is not among {found:?}"
            );
        }
    }
}

#[test]
fn every_shell_has_a_script_that_knows_the_kinds() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let (code, script, err) = run_as(&["calicoctl", "completion", shell]);
        assert_eq!((code, err.as_str()), (0, ""), "{shell}");
        // PowerShell's and elvish's completes verbs and flags only.
        if !["elvish", "powershell"].contains(&shell) {
            assert!(script.contains("globalnetworkpolicies"), "{shell}");
        }
        assert!(
            script.contains("validate") && script.contains("datastore"),
            "{shell}"
        );
    }
}

#[test]
fn kubectl_is_answered_as_it_asks() {
    let (code, out, err) = run_as(&["kubectl_complete-calico", "get", "ippo"]);
    assert_eq!(
        (code, out.as_str(), err.as_str()),
        (0, "ippool\nippools\n:4\n", "")
    );
    let (_, out, _) = run_as(&["kubectl_complete-calico", "get", "node", "-o", "js"]);
    assert_eq!(out, "json\n:4\n");
    let (_, out, _) = run_as(&["kubectl_complete-calico", "get", "--output=w"]);
    assert_eq!(out, "--output=wide\n:4\n");
    let (_, out, _) = run_as(&["kubectl_complete-calico", "-l", "info", "datastore", "b"]);
    assert_eq!(
        out,
        "backup\tWrite a consistent copy of the embedded store to a file\n:4\n"
    );
    let (_, out, _) = run_as(&["kubectl_complete-calico", "get", "--all-n"]);
    assert_eq!(out, "--all-namespaces\tObjects of all namespaces\n:4\n");
    // Files are the shell's own.
    let (_, out, _) = run_as(&["kubectl_complete-calico", "apply", "-f", ""]);
    assert_eq!(out, ":0\n");
    let (code, out, _) = run_as(&["kubectl_complete-calico"]);
    assert_eq!((code, out.as_str()), (0, ":0\n"));
}

#[test]
fn as_a_plugin_of_kubectl_it_says_kubectl_calico() {
    for name in [
        "kubectl-calico",
        "/usr/local/bin/kubectl-calico",
        "kubectl-calico.exe",
    ] {
        let (code, out, _) = run_as(&[name, "--help"]);
        assert_eq!(code, 0);
        assert!(out.contains("Usage: kubectl calico "), "{out}");
        let (_, out, _) = run_as(&[name, "get", "--help"]);
        assert!(out.contains("Usage: kubectl calico get "), "{out}");
        assert!(
            out.contains("  kubectl calico get networkpolicies -A\n"),
            "{out}"
        );
        assert!(!out.contains("calicoctl get"), "{out}");
        let (code, _, err) = run_as(&[name, "get", "--nope"]);
        assert_eq!(code, 1);
        assert!(err.contains("Usage: kubectl calico get"), "{err}");
    }
    let (_, out, _) = run_as(&["calicoctl", "ipam", "show", "--help"]);
    assert!(
        out.contains("Usage: calicoctl ipam show ") && out.contains("  calicoctl ipam show --ip"),
        "{out}"
    );
}

#[test]
fn manual_pages_are_written() {
    let dir = tempfile::tempdir().unwrap();
    let pages = dir.path().join("man/man1");
    let (code, out, err) = run_as(&["calicoctl", "man", pages.to_str().unwrap()]);
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(
        out.ends_with(&format!(" manual pages to {}\n", pages.display())),
        "{out}"
    );
    let page = std::fs::read_to_string(pages.join("calicoctl-ipam-show.1")).unwrap();
    assert!(
        page.contains("calicoctl ipam show \\-\\-show\\-blocks"),
        "{page}"
    );
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    let (code, _, err) = run_as(&["calicoctl", "man", file.to_str().unwrap()]);
    assert_eq!(code, 1);
    assert!(err.starts_with("failed to write "), "{err}");
}
