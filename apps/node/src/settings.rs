//! What the environment says. Names are upstream's; everything is read once, at the start.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

/// The environment as a map, so that tests pass their own.
pub type Env = BTreeMap<String, String>;

/// Where things are on the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paths {
    /// The file that tells the CNI plugin this node's name.
    pub nodename: PathBuf,
    /// The file that tells the CNI plugin which MTU to use.
    pub mtu: PathBuf,
    /// What the host was like before us.
    pub ledger: PathBuf,
    /// The file of parameters.
    pub config: PathBuf,
    /// The directory in which `endpoint-status/` is.
    pub run: PathBuf,
}

/// What the agent needs to know before it reads the datastore.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// This node's name.
    pub node: String,
    /// Places on the host.
    pub paths: Paths,
    /// Where health is told; `None` switches it off.
    pub health: Option<SocketAddr>,
    /// Where metrics are told; `None` switches them off.
    pub metrics: Option<SocketAddr>,
    /// Log level or filter.
    pub log_level: String,
    /// The whole environment, for layers that come later (`FELIX_*`, `IP`, `CALICO_IPV4POOL_*`).
    pub env: Env,
}

impl Settings {
    /// Reads the environment. `hostname` is what the host calls itself.
    pub fn new(env: Env, hostname: &str) -> Settings {
        let node = node_name(&env, hostname);
        let path = |name: &str, default: &str| {
            PathBuf::from(felix(&env, name).map_or(default, |v| v.as_str()))
        };
        let run = path("ENDPOINTSTATUSPATHPREFIX", "/var/run/calico");
        let nodename = env
            .get("CALICO_NODENAME_FILE")
            .map_or_else(|| PathBuf::from("/var/lib/calico/nodename"), PathBuf::from);
        let mtu = env
            .get("CALICO_MTU_FILE")
            .map_or_else(|| PathBuf::from("/var/lib/calico/mtu"), PathBuf::from);
        let log_level = felix(&env, "LOGSEVERITYSCREEN")
            .or_else(|| env.get("CALICO_STARTUP_LOGLEVEL"))
            .map_or("info", |v| v.as_str());
        Settings {
            node,
            paths: Paths {
                config: env
                    .get("CALICO_FELIX_CONFIG_FILE")
                    .map_or_else(|| PathBuf::from("/etc/calico/felix.cfg"), PathBuf::from),
                ledger: mtu.with_file_name("host-ledger.json"),
                nodename,
                mtu,
                run,
            },
            // On without being asked for: an agent whose health nobody can see is no use.
            health: listener(&env, "HEALTHENABLED", "HEALTHHOST", "HEALTHPORT", 9099),
            metrics: listener(
                &env,
                "PROMETHEUSMETRICSENABLED",
                "PROMETHEUSMETRICSHOST",
                "PROMETHEUSMETRICSPORT",
                9091,
            ),
            log_level: level(log_level).to_owned(),
            env,
        }
    }
}

/// `NODENAME`, else `HOSTNAME`, else what the host calls itself; trimmed, in lower case.
fn node_name(env: &Env, hostname: &str) -> String {
    let given = ["NODENAME", "HOSTNAME"].iter().find_map(|name| {
        env.get(*name)
            .map(|value| value.trim())
            .filter(|value| !value.is_empty())
    });
    given.unwrap_or(hostname.trim()).to_lowercase()
}

/// `FELIX_<NAME>` in any case.
pub fn felix<'a>(env: &'a Env, name: &str) -> Option<&'a String> {
    env.iter()
        .find(|(key, value)| {
            key.get(..6)
                .is_some_and(|prefix| prefix.eq_ignore_ascii_case("FELIX_"))
                && key
                    .get(6..)
                    .is_some_and(|rest| rest.eq_ignore_ascii_case(name))
                && !value.is_empty()
        })
        .map(|(_, value)| value)
}

fn listener(env: &Env, enabled: &str, host: &str, port: &str, default: u16) -> Option<SocketAddr> {
    let on = felix(env, enabled).is_none_or(|value| is_true(value));
    let port: u16 = felix(env, port)
        .and_then(|value| value.parse().ok())
        .unwrap_or(default);
    let host = felix(env, host).and_then(|value| value.parse().ok());
    on.then(|| SocketAddr::new(host.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)), port))
}

/// What upstream takes for true.
pub fn is_true(text: &str) -> bool {
    ["true", "1", "yes", "y", "t", "on"].contains(&text.trim().to_ascii_lowercase().as_str())
}

/// Our word for a level of upstream's.
pub fn level(upstream: &str) -> &str {
    match upstream.to_ascii_uppercase().as_str() {
        "WARNING" | "WARN" => "warn",
        "FATAL" | "PANIC" | "CRITICAL" | "ERROR" => "error",
        "DEBUG" => "debug",
        "TRACE" => "trace",
        "INFO" | "" => "info",
        _ => upstream,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(pairs: &[(&str, &str)]) -> Env {
        pairs
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect()
    }

    #[test]
    fn names_and_defaults() {
        let settings = Settings::new(env(&[("HOSTNAME", " Node-A ")]), "other");
        assert_eq!(settings.node, "node-a");
        assert_eq!(settings.health, Some("127.0.0.1:9099".parse().unwrap()));
        let settings = Settings::new(
            env(&[
                ("NODENAME", "n1"),
                ("felix_HealthPort", "1234"),
                ("FELIX_LOGSEVERITYSCREEN", "Warning"),
            ]),
            "x",
        );
        assert_eq!(
            (settings.node.as_str(), settings.log_level.as_str()),
            ("n1", "warn")
        );
        assert_eq!(settings.health, Some("127.0.0.1:1234".parse().unwrap()));
        let off = Settings::new(env(&[("FELIX_PROMETHEUSMETRICSENABLED", "false")]), "x");
        assert_eq!(off.metrics, None);
    }
}
