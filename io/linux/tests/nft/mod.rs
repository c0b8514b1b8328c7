//! A network namespace of its own for each test, and the `nft` program as another hand and as a judge.

pub(crate) mod rulesets;

use std::io::Write;
use std::process::{Command, Stdio};

use linux::netns::{NetNs, in_netns};

/// Runs a test on a thread in a network namespace of its own, which goes with the thread. Without the privilege it says so.
pub(crate) fn in_namespace(test: impl FnOnce() + Send) {
    match NetNs::unnamed() {
        Ok(namespace) => in_netns(namespace, test).expect("the namespace can be entered"),
        Err(error) => eprintln!("SKIPPED: a network namespace needs root: {error}"),
    }
}

/// Runs `nft` with this input in the thread's namespace: what it printed, or how it complained.
pub(crate) fn nft(arguments: &[&str], input: &str) -> Result<String, String> {
    let child = Command::new("nft")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(error) => return Err(format!("nft does not start: {error}")),
    };
    child
        .stdin
        .take()
        .expect("stdin is piped")
        .write_all(input.as_bytes())
        .expect("nft reads its input");
    let output = child.wait_with_output().expect("nft ends");
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    if output.status.success() {
        Ok(text(output.stdout))
    } else {
        Err(text(output.stderr))
    }
}
