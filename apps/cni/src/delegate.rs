//! Other IPAM plugins, such as `host-local`: run as the specification says, with our own environment and configuration.

use std::borrow::Cow;
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
    let stdin = &*with_pod_cidrs(kind, command, stdin)?;
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

/// The subnets of `host-local` that stand for what Kubernetes gave the node. To give an address back any will do: it is found by its
/// container.
const POD_CIDRS: [(&str, &str); 2] = [("usePodCidr", "0.0.0.0/0"), ("usePodCidrIPv6", "::/0")];

/// The configuration with `usePodCidr` filled in, for commands that can do without its meaning; refused for ADD.
fn with_pod_cidrs<'a>(
    kind: &str,
    command: &str,
    stdin: &'a [u8],
) -> Result<Cow<'a, [u8]>, CniError> {
    let named = |value: &Value| {
        let subnet = value.get("subnet").and_then(Value::as_str);
        POD_CIDRS
            .into_iter()
            .find(|(word, _)| subnet == Some(*word))
    };
    let mut conf: Value = serde_json::from_slice(stdin).unwrap_or_default();
    if kind != "host-local" {
        return Ok(stdin.into());
    }
    let mut found = None;
    if let Some(ipam) = conf.get_mut("ipam") {
        let mut replace = |place: &mut Value| {
            if let Some((word, any)) = named(place) {
                place["subnet"] = any.into();
                found = Some(word);
            }
        };
        replace(ipam);
        let sets = ipam.get_mut("ranges").and_then(Value::as_array_mut);
        for range in sets
            .into_iter()
            .flatten()
            .filter_map(Value::as_array_mut)
            .flatten()
        {
            replace(range);
        }
    }
    match found {
        None => Ok(stdin.into()),
        Some(_) if command == "DEL" => Ok(conf.to_string().into_bytes().into()),
        Some(word) => Err(CniError::new(
            Code::UnsupportedField,
            format!("the subnet {word:?} in ipam is not supported: the datastore does not say what network Kubernetes gave this node"),
        )
        .hint("write the node's subnet, or use \"calico-ipam\"")),
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn pod_cidrs_are_refused_for_add_and_filled_in_for_del() {
        let conf = json!({"x": 1, "ipam": {"type": "host-local", "subnet": "usePodCidr", "ranges": [[{"subnet": "usePodCidrIPv6"}, {"subnet": "10.0.0.0/8"}]]}});
        let stdin = conf.to_string().into_bytes();
        let error = with_pod_cidrs("host-local", "ADD", &stdin).unwrap_err();
        assert!(
            error.code == Code::UnsupportedField && error.message.contains("usePodCidr"),
            "{error}"
        );
        let filled = with_pod_cidrs("host-local", "DEL", &stdin).unwrap();
        let filled: Value = serde_json::from_slice(&filled).unwrap();
        assert_eq!(
            filled,
            json!({"x": 1, "ipam": {"type": "host-local", "subnet": "0.0.0.0/0", "ranges": [[{"subnet": "::/0"}, {"subnet": "10.0.0.0/8"}]]}})
        );
        assert_eq!(with_pod_cidrs("other", "ADD", &stdin).unwrap(), stdin);
        for odd in [
            &b"{"[..],
            br#"{"ipam": []}"#,
            br#"{"ipam": {"ranges": [[7], 8]}}"#,
        ] {
            assert_eq!(with_pod_cidrs("host-local", "ADD", odd).unwrap(), odd);
        }
    }
}
