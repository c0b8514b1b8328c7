//! Results, in the form of each version of the specification.

use std::net::IpAddr;

use model::{Family, Mac};
use serde_json::{Map, Value, json};

use crate::error::{CniError, Code};

/// Versions of the specification.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Version {
    V0_1_0,
    V0_2_0,
    V0_3_0,
    V0_3_1,
    V0_4_0,
    V1_0_0,
    V1_1_0,
}

impl Version {
    pub(crate) const ALL: [Version; 7] = [
        Version::V0_1_0,
        Version::V0_2_0,
        Version::V0_3_0,
        Version::V0_3_1,
        Version::V0_4_0,
        Version::V1_0_0,
        Version::V1_1_0,
    ];
    pub(crate) const LATEST: Version = Version::V1_1_0;

    pub(crate) fn text(self) -> &'static str {
        match self {
            Version::V0_1_0 => "0.1.0",
            Version::V0_2_0 => "0.2.0",
            Version::V0_3_0 => "0.3.0",
            Version::V0_3_1 => "0.3.1",
            Version::V0_4_0 => "0.4.0",
            Version::V1_0_0 => "1.0.0",
            Version::V1_1_0 => "1.1.0",
        }
    }

    /// A configuration without a version is of 0.1.0, as libcni has it.
    pub(crate) fn parse(text: &str) -> Result<Version, CniError> {
        if text.is_empty() {
            return Ok(Version::V0_1_0);
        }
        let found = Version::ALL
            .into_iter()
            .find(|version| version.text() == text);
        found.ok_or_else(|| {
            let known = Version::ALL.map(Version::text).join(", ");
            CniError::new(
                Code::IncompatibleVersion,
                format!("CNI version {text:?} is not supported"),
            )
            .hint(format!("supported are {known}"))
        })
    }
}

/// The answer to VERSION.
pub(crate) fn versions(asked: &str) -> String {
    let asked = if asked.is_empty() {
        Version::LATEST.text()
    } else {
        asked
    };
    json!({
        "cniVersion": asked,
        "supportedVersions": Version::ALL.map(Version::text),
    })
    .to_string()
}

/// An interface of a result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Interface {
    pub(crate) name: String,
    pub(crate) mac: Option<Mac>,
    pub(crate) mtu: Option<u32>,
    /// The container's namespace; `None`: the host.
    pub(crate) sandbox: Option<String>,
}

/// An address of the container, and how much of it names its network: all of it, from our own main plugin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) addr: IpAddr,
    /// Leading bits.
    pub(crate) length: u8,
}

impl Address {
    /// An address that shares its network with no other.
    pub(crate) fn host(addr: IpAddr) -> Address {
        let length = model::Cidr::host(addr).len();
        Address { addr, length }
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.addr, self.length)
    }
}

/// What an ADD made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) interfaces: Vec<Interface>,
    /// The container's addresses; on the last interface, if there is one.
    pub(crate) ips: Vec<Address>,
    /// What an IPAM plugin says of routes, and another one of name servers.
    pub(crate) routes: Vec<Value>,
    pub(crate) dns: Map<String, Value>,
}

impl Outcome {
    /// The result object.
    pub(crate) fn to_json(&self, version: Version) -> Value {
        if version < Version::V0_3_0 {
            return self.to_old_json(version);
        }
        let interface = |one: &Interface| {
            let mut object = Map::new();
            object.insert("name".into(), one.name.clone().into());
            if let Some(mac) = one.mac {
                object.insert("mac".into(), mac.to_string().into());
            }
            if let (Some(mtu), Version::V1_1_0) = (one.mtu, version) {
                object.insert("mtu".into(), mtu.into());
            }
            if let Some(sandbox) = &one.sandbox {
                object.insert("sandbox".into(), sandbox.clone().into());
            }
            Value::Object(object)
        };
        let address = |ip: &Address| {
            let mut object = Map::new();
            if version < Version::V1_0_0 {
                object.insert(
                    "version".into(),
                    Family::of(ip.addr).version().to_string().into(),
                );
            }
            if let Some(last) = self.interfaces.len().checked_sub(1) {
                object.insert("interface".into(), last.into());
            }
            object.insert("address".into(), ip.to_string().into());
            Value::Object(object)
        };
        let mut object = Map::new();
        object.insert("cniVersion".into(), version.text().into());
        if !self.interfaces.is_empty() {
            object.insert(
                "interfaces".into(),
                self.interfaces.iter().map(interface).collect(),
            );
        }
        object.insert("ips".into(), self.ips.iter().map(address).collect());
        if !self.routes.is_empty() {
            object.insert("routes".into(), self.routes.clone().into());
        }
        object.insert("dns".into(), self.dns.clone().into());
        Value::Object(object)
    }

    /// Before 0.3.0 a result had one address of each family, and no interfaces.
    fn to_old_json(&self, version: Version) -> Value {
        let mut object = Map::new();
        object.insert("cniVersion".into(), version.text().into());
        for ip in &self.ips {
            let field = if Family::of(ip.addr) == Family::V4 {
                "ip4"
            } else {
                "ip6"
            };
            object
                .entry(field)
                .or_insert_with(|| json!({"ip": ip.to_string()}));
        }
        object.insert("dns".into(), self.dns.clone().into());
        Value::Object(object)
    }

    /// Reads a result of any version, as another plugin or an earlier ADD gave it.
    pub(crate) fn read(value: &Value) -> Result<Outcome, CniError> {
        let bad =
            |what: &str| CniError::new(Code::Decode, format!("the CNI result {what}: {value}"));
        let list = |field: &str| {
            value
                .get(field)
                .and_then(Value::as_array)
                .cloned()
                .unwrap_or_default()
        };
        let text = |value: &Value, field: &str| {
            value.get(field).and_then(Value::as_str).map(str::to_owned)
        };
        let mut ips = Vec::new();
        let modern = list("ips").into_iter().map(|ip| text(&ip, "address"));
        let old = ["ip4", "ip6"]
            .into_iter()
            .filter_map(|field| value.get(field))
            .map(|ip| text(ip, "ip"));
        for ip in modern.chain(old) {
            let ip = ip.ok_or_else(|| bad("has an address that is no text"))?;
            let addr: IpAddr = ip
                .split('/')
                .next()
                .unwrap_or("")
                .parse()
                .map_err(|_| bad("has an address that is none"))?;
            ips.push(Address::host(addr));
        }
        let listed = list("interfaces");
        let interfaces = listed.iter().map(|one| Interface {
            name: text(one, "name").unwrap_or_default(),
            mac: text(one, "mac").and_then(|mac| mac.parse().ok()),
            mtu: None,
            sandbox: text(one, "sandbox").filter(|sandbox| !sandbox.is_empty()),
        });
        Ok(Outcome {
            interfaces: interfaces.collect(),
            ips,
            routes: list("routes"),
            dns: value
                .get("dns")
                .and_then(Value::as_object)
                .cloned()
                .unwrap_or_default(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_version() {
        let outcome = Outcome {
            interfaces: vec![
                Interface {
                    name: "cali1".into(),
                    mac: None,
                    mtu: None,
                    sandbox: None,
                },
                Interface {
                    name: "eth0".into(),
                    mac: None,
                    mtu: Some(1450),
                    sandbox: Some("/run/netns/x".into()),
                },
            ],
            ips: vec![
                Address::host("10.0.0.1".parse().unwrap()),
                Address::host("fd00::1".parse().unwrap()),
            ],
            ..Outcome::default()
        };
        assert_eq!(
            outcome.to_json(Version::V0_2_0),
            json!({"cniVersion": "0.2.0", "ip4": {"ip": "10.0.0.1/32"}, "ip6": {"ip": "fd00::1/128"}, "dns": {}})
        );
        let old = outcome.to_json(Version::V0_3_1);
        assert_eq!(
            old["ips"][1],
            json!({"version": "6", "interface": 1, "address": "fd00::1/128"})
        );
        let new = outcome.to_json(Version::V1_1_0);
        assert_eq!(
            new["ips"][0],
            json!({"interface": 1, "address": "10.0.0.1/32"})
        );
        assert_eq!(
            new["interfaces"][1],
            json!({"name": "eth0", "mtu": 1450, "sandbox": "/run/netns/x"})
        );
        for version in Version::ALL {
            let read = Outcome::read(&outcome.to_json(version)).unwrap();
            assert_eq!(read.ips, outcome.ips);
        }
        assert!(Version::parse("2.0.0").is_err());
    }
}
