//! What a pod and its namespace ask for by annotations: upstream's names, formats and order of precedence. All of it is read
//! before anything is done, and what cannot be meant is refused.

use std::collections::BTreeMap;
use std::net::IpAddr;

use model::{Cidr, Family, IpNat, Mac};

use crate::conf::NetConf;
use crate::delegate;
use crate::error::{CniError, Code};
use crate::pods::PodFacts;

const PREFIX: &str = "cni.projectcalico.org/";

/// What a pod asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wishes {
    pub(crate) addresses: Addresses,
    /// Of the container's end of the pair; otherwise the kernel chooses.
    pub(crate) mac: Option<Mac>,
    /// Addresses that lead to the pod's own.
    pub(crate) floating: Vec<IpAddr>,
    /// Networks that the pod may send from besides its own addresses.
    pub(crate) source_prefixes: Vec<Cidr>,
}

/// Which addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Addresses {
    /// Any that IPAM chooses.
    Any(Choice),
    /// These, by IPAM.
    Exactly(Vec<IpAddr>),
    /// These, of which IPAM is not told.
    Unmanaged(Vec<IpAddr>),
}

impl Default for Addresses {
    fn default() -> Self {
        Addresses::Any(Choice::default())
    }
}

/// What IPAM is to choose from; what is not said here the network's configuration says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Choice {
    /// Pools by family.
    pub(crate) pools: BTreeMap<Family, Vec<String>>,
    /// The families to have an address of.
    pub(crate) families: Option<Vec<Family>>,
}

/// The value of an annotation, and whose it is.
struct Text<'a> {
    name: &'static str,
    value: &'a str,
    whose: String,
}

impl Text<'_> {
    fn wrong(&self, why: &str, right: &str) -> CniError {
        let text = format!(
            "annotation {PREFIX}{} of {}: {why}: {}",
            self.name, self.whose, self.value
        );
        CniError::new(Code::Config, text).hint(right)
    }

    fn list(&self, right: &str) -> Result<Vec<String>, CniError> {
        // `null` is as good as an empty list, as Go's decoder has it.
        let list: Option<Vec<String>> = serde_json::from_str(self.value).map_err(|error| {
            self.wrong(&format!("it is no JSON list of texts ({error})"), right)
        })?;
        Ok(list.unwrap_or_default())
    }

    fn addresses(&self, right: &str) -> Result<Vec<IpAddr>, CniError> {
        let list = self.list(right)?;
        let parsed = list.iter().map(|text| {
            let addr: IpAddr = text
                .parse()
                .map_err(|_| self.wrong(&format!("{text:?} is no IP address"), right))?;
            Ok(addr.to_canonical())
        });
        parsed.collect()
    }
}

impl Wishes {
    /// Reads the annotations of a pod and of its namespace.
    ///
    /// # Errors
    /// The first annotation that cannot be read, or asks for what this network does not give.
    pub(crate) fn read(conf: &NetConf, facts: &PodFacts) -> Result<Wishes, CniError> {
        Ok(Wishes {
            addresses: addresses(conf, facts)?,
            mac: mac(facts)?,
            floating: floating(conf, facts)?,
            source_prefixes: source_prefixes(facts)?,
        })
    }

    /// The floating addresses in front of those that the pod got. One of a family that it has no address of leads nowhere.
    pub(crate) fn nats(&self, addrs: &[IpAddr]) -> (Vec<IpNat>, Vec<IpAddr>) {
        let mut nats = Vec::new();
        let mut idle = Vec::new();
        for external in &self.floating {
            let own = addrs
                .iter()
                .find(|addr| Family::of(**addr) == Family::of(*external));
            match own {
                Some(internal) => nats.push(IpNat {
                    internal: *internal,
                    external: *external,
                }),
                None => idle.push(*external),
            }
        }
        (nats, idle)
    }
}

/// The pod's annotation, unless it is absent or empty.
fn of_pod<'a>(facts: &'a PodFacts, name: &'static str) -> Option<Text<'a>> {
    let value = facts.annotations.get(&format!("{PREFIX}{name}"))?;
    (!value.is_empty()).then(|| Text {
        name,
        value,
        whose: format!("pod {}", facts.shown),
    })
}

/// The pod's annotation, or else its namespace's.
fn of_either<'a>(facts: &'a PodFacts, name: &'static str) -> Option<Text<'a>> {
    let of_namespace = || {
        let value = facts
            .namespace_annotations
            .get(&format!("{PREFIX}{name}"))?;
        let namespace = facts.shown.split('/').next().unwrap_or_default();
        (!value.is_empty()).then(|| Text {
            name,
            value,
            whose: format!("namespace {namespace}"),
        })
    };
    of_pod(facts, name).or_else(of_namespace)
}

fn addresses(conf: &NetConf, facts: &PodFacts) -> Result<Addresses, CniError> {
    let exactly = of_pod(facts, "ipAddrs");
    let unmanaged = of_pod(facts, "ipAddrsNoIpam");
    match (exactly, unmanaged) {
        // Pools and families are for our IPAM; another has its own ways.
        (None, None) if conf.ipam.kind != delegate::OWN => Ok(Addresses::default()),
        (None, None) => choice(facts).map(Addresses::Any),
        (Some(_), Some(_)) => Err(CniError::new(
            Code::Config,
            format!(
                "pod {} has both annotations: {PREFIX}ipAddrs and {PREFIX}ipAddrsNoIpam",
                facts.shown
            ),
        )
        .hint("ipAddrs takes addresses from IPAM, ipAddrsNoIpam passes it by; leave one away")),
        (Some(text), None) => {
            needs_own_ipam(conf, &text)?;
            one_of_each_family(&text).map(Addresses::Exactly)
        }
        (None, Some(text)) => {
            needs_own_ipam(conf, &text)?;
            let switch = ("ip_addrs_no_ipam", conf.feature_control.ip_addrs_no_ipam);
            needs_feature(&text, switch)?;
            one_of_each_family(&text).map(Addresses::Unmanaged)
        }
    }
}

fn needs_own_ipam(conf: &NetConf, text: &Text<'_>) -> Result<(), CniError> {
    if conf.ipam.kind == delegate::OWN {
        return Ok(());
    }
    let why = format!("it is not compatible with the IPAM {:?}", conf.ipam.kind);
    Err(text.wrong(&why, "it needs \"calico-ipam\" as ipam.type"))
}

fn needs_feature(text: &Text<'_>, (name, is_on): (&str, bool)) -> Result<(), CniError> {
    if is_on {
        return Ok(());
    }
    let why = format!("requested feature is not enabled: {name}");
    let right =
        format!("the network configuration allows it by \"feature_control\": {{\"{name}\": true}}");
    Err(text.wrong(&why, &right))
}

/// An interface has one address of each family at most.
fn one_of_each_family(text: &Text<'_>) -> Result<Vec<IpAddr>, CniError> {
    let right = r#"write one IPv4 address, one IPv6 address, or one of each, such as ["10.0.0.1", "fd00::1"]"#;
    let addrs = text.addresses(right)?;
    if addrs.is_empty() {
        return Err(text.wrong("it names no address", right));
    }
    for family in Family::ALL {
        let of_family = addrs.iter().filter(|addr| Family::of(**addr) == family);
        if of_family.count() > 1 {
            let why = format!("it has more than one IPv{} address", family.version());
            return Err(text.wrong(&why, right));
        }
    }
    Ok(addrs)
}

fn choice(facts: &PodFacts) -> Result<Choice, CniError> {
    let mut choice = Choice::default();
    for (family, name) in [(Family::V4, "ipv4pools"), (Family::V6, "ipv6pools")] {
        if let Some(text) = of_either(facts, name) {
            let pools = text.list(r#"write names or networks of IP pools, such as ["blue"]"#)?;
            choice.pools.insert(family, pools);
        }
    }
    if let Some(text) = of_either(facts, "ipFamilies") {
        let right = r#"write ["IPv4"], ["IPv6"] or ["IPv4", "IPv6"]"#;
        let list = text.list(right)?;
        let families = list.iter().map(|word| match word.as_str() {
            "IPv4" => Ok(Family::V4),
            "IPv6" => Ok(Family::V6),
            other => Err(text.wrong(&format!("{other:?} is no family"), right)),
        });
        let families = families.collect::<Result<Vec<Family>, CniError>>()?;
        if families.is_empty() {
            return Err(text.wrong("it names no family", right));
        }
        choice.families = Some(families);
    }
    Ok(choice)
}

fn mac(facts: &PodFacts) -> Result<Option<Mac>, CniError> {
    let Some(value) = facts.annotations.get(&format!("{PREFIX}hwAddr")) else {
        return Ok(None);
    };
    // Empty is no address either: upstream goes by its being there.
    let text = Text {
        name: "hwAddr",
        value,
        whose: format!("pod {}", facts.shown),
    };
    let right = "write six hexadecimal bytes of one interface, such as 02:00:5e:10:00:01";
    let mac: Mac = value
        .parse()
        .map_err(|_| text.wrong("it is no MAC address", right))?;
    let Mac([first, ..]) = mac;
    if first & 1 == 1 || mac == Mac([0; 6]) {
        return Err(text.wrong("it is a MAC address that no interface can have", right));
    }
    Ok(Some(mac))
}

fn floating(conf: &NetConf, facts: &PodFacts) -> Result<Vec<IpAddr>, CniError> {
    let Some(text) = of_pod(facts, "floatingIPs") else {
        return Ok(Vec::new());
    };
    needs_feature(&text, ("floating_ips", conf.feature_control.floating_ips))?;
    text.addresses(r#"write a list of addresses, such as ["192.0.2.1"]"#)
}

fn source_prefixes(facts: &PodFacts) -> Result<Vec<Cidr>, CniError> {
    let Some(text) = of_pod(facts, "allowedSourcePrefixes") else {
        return Ok(Vec::new());
    };
    let right = r#"write a list of networks with their lengths, such as ["10.0.0.0/24"]"#;
    let list = text.list(right)?;
    let parsed = list.iter().map(|one| {
        let network = one.contains('/').then(|| one.parse().ok()).flatten();
        network.ok_or_else(|| text.wrong(&format!("{one:?} is no network"), right))
    });
    parsed.collect()
}

#[cfg(test)]
mod tests;
