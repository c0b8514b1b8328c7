//! `node`: the agent of this host: is it running, start it, collect what explains its state, can this host run it.

pub(crate) mod checksystem;
pub(crate) mod diags;
pub(crate) mod run;
pub(crate) mod status;

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

/// The processes that are an agent, ours or upstream's.
fn agents() -> Vec<u32> {
    let own = std::process::id();
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let mut pids: Vec<u32> = entries
        .filter_map(|entry| {
            let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
            let line = std::fs::read(entry.path().join("cmdline")).ok()?;
            (pid != own && is_agent(&line)).then_some(pid)
        })
        .collect();
    pids.sort_unstable();
    pids
}

/// Whether a command line, as `/proc` has it, is an agent's.
fn is_agent(line: &[u8]) -> bool {
    let text = String::from_utf8_lossy(line);
    let words: Vec<&str> = text.split_terminator('\0').collect();
    let (Some(program), rest) = (words.first(), words.get(1..).unwrap_or_default()) else {
        return false;
    };
    let name = Path::new(program)
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or("");
    let agent = |rest: &[&str]| matches!(rest, [] | ["-felix" | "--felix" | "felix"]);
    match (name, rest) {
        ("calico-felix", _) => true,
        ("calico-node", rest) | ("calico", ["component", "node", rest @ ..]) => agent(rest),
        (_, _) => false,
    }
}

/// What the agent of this host says at a path of its health endpoint: whether all is well, and its words.
fn health(path: &str, environment: &BTreeMap<String, String>) -> Option<(bool, String)> {
    const TIMEOUT: Duration = Duration::from_secs(2);
    let setting = |name: &str| {
        environment
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    };
    let host = setting("FELIX_HEALTHHOST").and_then(|text| text.parse().ok());
    let port = setting("FELIX_HEALTHPORT").and_then(|text| text.parse().ok());
    let address = SocketAddr::new(
        host.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        port.unwrap_or(9099),
    );
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT).ok()?;
    stream.set_read_timeout(Some(TIMEOUT)).ok()?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    Some((head.contains(" 200 "), body.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::is_agent;

    #[test]
    fn agents_by_their_command_lines() {
        for line in [
            "calico-node\0",
            "/usr/bin/calico-node\0-felix\0",
            "/usr/local/bin/calico\0component\0node\0",
            "calico\0component\0node\0-felix\0",
            "calico-felix\0",
        ] {
            assert!(is_agent(line.as_bytes()), "{line:?}");
        }
        for line in [
            "",
            "calicoctl\0node\0status\0",
            "calico-node\0-felix-ready\0",
            "calico\0component\0cni\0install\0",
            "vi\0calico-node\0",
            "calico\0",
        ] {
            assert!(!is_agent(line.as_bytes()), "{line:?}");
        }
    }
}
