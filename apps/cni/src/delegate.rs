//! Other IPAM plugins, such as `host-local`: run as the specification says, with our own environment and configuration.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::environment::Call;
use crate::error::{CniError, Code};
use crate::result::Outcome;

/// Our own plugin, which runs inside this process.
pub(crate) const OWN: &str = "calico-ipam";

/// Runs the IPAM plugin with the command that the environment has, or another.
pub(crate) fn run(
    kind: &str,
    call: &Call,
    command: &str,
    stdin: &[u8],
) -> Result<Vec<u8>, CniError> {
    let plugin = find(kind, call)?;
    let doing = format!("failed to run the IPAM plugin {}", plugin.display());
    let io = |e: std::io::Error| CniError::from_source(Code::Io, &doing, &e);
    let mut child = Command::new(&plugin)
        .env("CNI_COMMAND", command)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(io)?;
    if let Some(mut pipe) = child.stdin.take() {
        match pipe.write_all(stdin) {
            // One that does not read its configuration says why itself.
            Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => return Err(io(error)),
            Ok(()) | Err(_) => {}
        }
    }
    let output = child.wait_with_output().map_err(io)?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let said: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let text = said.get("msg").and_then(Value::as_str);
    let text = text.map_or_else(
        || String::from_utf8_lossy(&output.stdout).into_owned(),
        str::to_owned,
    );
    Err(CniError::new(
        Code::Ipam,
        format!("the IPAM plugin {kind} failed ({}): {text}", output.status),
    ))
}

/// Runs ADD, and reads the result.
pub(crate) fn add(kind: &str, call: &Call, stdin: &[u8]) -> Result<Outcome, CniError> {
    let stdout = run(kind, call, "ADD", stdin)?;
    let value: Value = serde_json::from_slice(&stdout).map_err(|error| {
        CniError::new(
            Code::Decode,
            format!("the result of the IPAM plugin {kind} is no JSON: {error}"),
        )
    })?;
    let outcome = Outcome::read(&value)?;
    if outcome.ips.is_empty() {
        return Err(CniError::new(
            Code::Ipam,
            format!("the IPAM plugin {kind} gave no address"),
        ));
    }
    Ok(outcome)
}

fn find(kind: &str, call: &Call) -> Result<PathBuf, CniError> {
    // A name with a path in it would run anything.
    if kind.is_empty() || kind.contains(['/', '\0']) || kind == "." || kind == ".." {
        return Err(CniError::new(
            Code::Config,
            format!("ipam.type {kind:?} is not the name of a plugin"),
        )
        .hint("use \"calico-ipam\", or the file name of another plugin in CNI_PATH"));
    }
    let found = call
        .path
        .iter()
        .map(|dir| dir.join(kind))
        .find(|file| file.is_file());
    found.ok_or_else(|| {
        let dirs: Vec<String> = call
            .path
            .iter()
            .map(|dir| dir.display().to_string())
            .collect();
        CniError::new(
            Code::Config,
            format!(
                "there is no IPAM plugin {kind} in CNI_PATH ({})",
                dirs.join(":")
            ),
        )
    })
}
