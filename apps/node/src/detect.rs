//! Which of the host's addresses is the node's: upstream's autodetection methods over a list of interfaces.

use std::net::IpAddr;

use model::{Cidr, Family};
use regex_lite::Regex;

/// An interface of the host with its addresses, in the kernel's order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostInterface {
    /// The name.
    pub name: String,
    /// Whether it is up.
    pub up: bool,
    /// The MTU.
    pub mtu: u32,
    /// Addresses with the length of their subnet.
    pub addresses: Vec<(IpAddr, u8)>,
}

/// An address that was chosen, and how it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Detected {
    /// The address.
    pub address: IpAddr,
    /// The length of its subnet.
    pub length: u8,
    /// The interface it is on.
    pub interface: String,
}

/// How to choose (`IP_AUTODETECTION_METHOD`, `IP6_AUTODETECTION_METHOD`).
#[derive(Clone, Debug)]
pub enum Method {
    /// The first address of the first interface that is no virtual one.
    FirstFound,
    /// The address from which this one is reached.
    CanReach(String),
    /// The first address of an interface whose name matches one of these.
    Interface(Vec<Regex>),
    /// Like first-found, but without interfaces whose name matches one of these.
    SkipInterface(Vec<Regex>),
    /// The first address inside one of these networks.
    Cidr(Vec<Cidr>),
}

/// Interfaces that first-found never takes: bridges, tunnels and virtual devices of container tools.
const SKIPPED: [&str; 16] = [
    "docker",
    "cbr",
    "dummy",
    "podman",
    "virbr",
    "lxcbr",
    "veth",
    "lo",
    "cali",
    "tunl",
    "flannel",
    "kube-ipvs",
    "cni",
    "vxlan",
    "wireguard",
    "nodelocaldns",
];

impl Method {
    /// Parses a method as the environment gives it; empty is `first-found`.
    ///
    /// # Errors
    /// A sentence that says what is wrong and what would be right.
    pub fn parse(text: &str) -> Result<Method, String> {
        let text = text.trim();
        if text.is_empty() || text == "first-found" {
            return Ok(Method::FirstFound);
        }
        let unknown = || {
            format!(
                "{text:?} is no autodetection method; use first-found, can-reach=HOST, \
                 interface=REGEX[,REGEX], skip-interface=REGEX[,REGEX] or cidr=CIDR[,CIDR]"
            )
        };
        let (method, argument) = text.split_once('=').ok_or_else(unknown)?;
        match method {
            "can-reach" => Ok(Method::CanReach(argument.to_owned())),
            "interface" => Ok(Method::Interface(regexes(argument)?)),
            "skip-interface" => Ok(Method::SkipInterface(regexes(argument)?)),
            "cidr" => {
                let cidrs = argument.split(',').map(|c| c.trim().parse::<Cidr>());
                cidrs
                    .collect::<Result<_, _>>()
                    .map(Method::Cidr)
                    .map_err(|e| e.to_string())
            }
            _ => Err(unknown()),
        }
    }

    /// Chooses an address of the family. `reach` answers from which address another one is reached.
    pub fn choose(
        &self,
        family: Family,
        interfaces: &[HostInterface],
        reach: impl Fn(&str) -> Option<IpAddr>,
    ) -> Option<Detected> {
        match self {
            Method::FirstFound => first(family, interfaces, |i| !is_virtual(&i.name), |_| true),
            Method::CanReach(host) => {
                let from = reach(host)?;
                first(family, interfaces, |_| true, |address| address == from)
            }
            Method::Interface(wanted) => wanted
                .iter()
                .find_map(|regex| first(family, interfaces, |i| regex.is_match(&i.name), |_| true)),
            Method::SkipInterface(skip) => {
                let wanted = |i: &HostInterface| {
                    !is_virtual(&i.name) && !skip.iter().any(|regex| regex.is_match(&i.name))
                };
                first(family, interfaces, wanted, |_| true)
            }
            Method::Cidr(cidrs) => {
                let inside = |address| cidrs.iter().any(|cidr| cidr.contains(address));
                first(family, interfaces, |_| true, inside)
            }
        }
    }
}

fn regexes(list: &str) -> Result<Vec<Regex>, String> {
    let parse = |text: &str| Regex::new(text).map_err(|e| format!("{text:?} is no regex: {e}"));
    list.split(',').map(|text| parse(text.trim())).collect()
}

fn is_virtual(name: &str) -> bool {
    name.starts_with("br-") || SKIPPED.iter().any(|prefix| name.starts_with(prefix))
}

fn first(
    family: Family,
    interfaces: &[HostInterface],
    wanted: impl Fn(&HostInterface) -> bool,
    inside: impl Fn(IpAddr) -> bool,
) -> Option<Detected> {
    interfaces
        .iter()
        .filter(|i| i.up && wanted(i))
        .find_map(|interface| {
            let usable = |address: IpAddr| {
                Family::of(address) == family && is_global_unicast(address) && inside(address)
            };
            interface
                .addresses
                .iter()
                .find(|(address, _)| usable(*address))
                .map(|(address, length)| Detected {
                    address: *address,
                    length: *length,
                    interface: interface.name.clone(),
                })
        })
}

fn is_global_unicast(address: IpAddr) -> bool {
    let local = match address {
        IpAddr::V4(a) => a.is_link_local() || a.is_broadcast(),
        IpAddr::V6(a) => a.is_unicast_link_local(),
    };
    !(local || address.is_loopback() || address.is_multicast() || address.is_unspecified())
}

/// The smallest MTU of the host's real interfaces, if there is one: what pods may use without an overlay.
pub fn smallest_mtu(interfaces: &[HostInterface], pattern: &Regex) -> Option<u32> {
    let real = interfaces
        .iter()
        .filter(|i| i.up && pattern.is_match(&i.name));
    real.map(|i| i.mtu).filter(|mtu| *mtu > 0).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interface(name: &str, addresses: &[&str]) -> HostInterface {
        let address = |text: &&str| {
            let (address, length) = text.split_once('/').unwrap();
            (address.parse().unwrap(), length.parse().unwrap())
        };
        HostInterface {
            name: name.to_owned(),
            up: true,
            mtu: 1500,
            addresses: addresses.iter().map(address).collect(),
        }
    }

    fn chosen(method: &str, family: Family) -> Option<String> {
        let interfaces = [
            interface("lo", &["127.0.0.1/8", "::1/128"]),
            interface("docker0", &["172.17.0.1/16"]),
            interface(
                "eth0",
                &["169.254.9.9/16", "10.0.0.7/24", "fe80::1/64", "fd00::7/64"],
            ),
            interface("eth1", &["192.168.1.2/24"]),
        ];
        let reach = |host: &str| (host == "192.168.1.9").then(|| "192.168.1.2".parse().unwrap());
        let method = Method::parse(method).unwrap();
        method
            .choose(family, &interfaces, reach)
            .map(|d| format!("{} {}", d.interface, d.address))
    }

    #[test]
    fn methods() {
        assert_eq!(chosen("", Family::V4).unwrap(), "eth0 10.0.0.7");
        assert_eq!(chosen("first-found", Family::V6).unwrap(), "eth0 fd00::7");
        assert_eq!(
            chosen("interface=eth1.*", Family::V4).unwrap(),
            "eth1 192.168.1.2"
        );
        assert_eq!(
            chosen("skip-interface=eth0", Family::V4).unwrap(),
            "eth1 192.168.1.2"
        );
        assert_eq!(
            chosen("cidr=192.168.0.0/16,10.0.0.0/8", Family::V4).unwrap(),
            "eth0 10.0.0.7"
        );
        assert_eq!(
            chosen("can-reach=192.168.1.9", Family::V4).unwrap(),
            "eth1 192.168.1.2"
        );
        assert_eq!(chosen("cidr=11.0.0.0/8", Family::V4), None);
        assert!(
            Method::parse("frist-found")
                .unwrap_err()
                .contains("can-reach=HOST")
        );
    }
}
