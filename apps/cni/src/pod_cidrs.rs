//! `usePodCidr` and `usePodCidrIPv6` in the subnets of `host-local`: they stand for the networks that Kubernetes gave the node.

use std::borrow::Cow;

use datastore::{Query, Snapshot};
use model::{Cidr, Family};
use serde_json::Value;

use crate::conf::NetConf;
use crate::error::{CniError, Code};

const HOST_LOCAL: &str = "host-local";
/// The words, in any case of letters (upstream).
const WORDS: [(&str, Family); 2] = [("usePodCidr", Family::V4), ("usePodCidrIPv6", Family::V6)];

/// The networks of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PodCidrs {
    node: String,
    texts: Vec<(Family, String)>,
}

/// The node whose networks are meant, as upstream chooses it.
pub(crate) fn node<'a>(conf: &'a NetConf, node: &'a str) -> &'a str {
    match conf.kubernetes.node_name.as_str() {
        "" => node,
        named => named,
    }
}

/// What to read to know a node's networks.
pub(crate) fn query(node: &str) -> Query {
    Query::key(api::store_key(api::Kind::Node, None, node))
}

impl PodCidrs {
    /// The networks of a node in a snapshot.
    ///
    /// # Errors
    /// There is no such node, it has none, or they are not one of each family at most.
    pub(crate) fn read(snapshot: &Snapshot, node: &str) -> Result<PodCidrs, CniError> {
        let wrong = |why: String| {
            CniError::new(Code::Config, format!("usePodCidr in ipam: {why}"))
                .hint("Kubernetes gives each node networks (spec.podCIDRs) if kube-controller-manager runs with --allocate-node-cidrs")
        };
        let entry = snapshot.get(&api::store_key(api::Kind::Node, None, node));
        let entry = entry.ok_or_else(|| wrong(format!("there is no node {node}")))?;
        let object: Value = serde_json::from_slice(&entry.value).unwrap_or_default();
        let list = object.pointer("/status/podCIDRs").and_then(Value::as_array);
        let texts = list.into_iter().flatten().filter_map(Value::as_str);
        let texts = texts
            .map(|text| {
                let cidr: Cidr = text.parse().map_err(|error| {
                    wrong(format!(
                        "podCIDR {text:?} of node {node} is no network: {error}"
                    ))
                })?;
                Ok((cidr.family(), text.to_owned()))
            })
            .collect::<Result<Vec<_>, CniError>>()?;
        match &*texts {
            [] => Err(wrong(format!("no podCIDR for node {node}"))),
            [_] => Ok(()),
            [(one, _), (other, _)] if one != other => Ok(()),
            _ => Err(wrong(format!(
                "node {node} has more than one podCIDR of a family"
            ))),
        }?;
        Ok(PodCidrs {
            node: node.to_owned(),
            texts,
        })
    }

    fn of(&self, family: Family) -> Result<String, CniError> {
        let found = self.texts.iter().find(|(of, _)| *of == family);
        let text = found.map(|(_, text)| text.clone());
        text.ok_or_else(|| {
            let word = WORDS.iter().find(|(_, of)| *of == family);
            let word = word.map_or("", |(word, _)| word);
            CniError::new(
                Code::Config,
                format!(
                    "{word} in ipam, but node {} has no IPv{} podCIDR",
                    self.node,
                    family.version()
                ),
            )
        })
    }

    /// The configuration with the node's networks in it.
    pub(crate) fn fill(&self, conf: &NetConf, stdin: &[u8]) -> Result<Vec<u8>, CniError> {
        Ok(replace(conf, stdin, |family| self.of(family))?.into_owned())
    }
}

/// Whether the configuration has one of the words.
pub(crate) fn are_wanted(conf: &NetConf, stdin: &[u8]) -> bool {
    matches!(fill_any(conf, stdin), Cow::Owned(_))
}

/// The configuration with just any networks in it, for commands that can do without their meaning: an address is given back,
/// or looked for, by its container.
pub(crate) fn fill_any<'a>(conf: &NetConf, stdin: &'a [u8]) -> Cow<'a, [u8]> {
    let any = |family| Ok(Cidr::any(family).to_string());
    replace(conf, stdin, any).unwrap_or(Cow::Borrowed(stdin))
}

fn replace<'a>(
    conf: &NetConf,
    stdin: &'a [u8],
    network: impl Fn(Family) -> Result<String, CniError>,
) -> Result<Cow<'a, [u8]>, CniError> {
    if conf.ipam.kind != HOST_LOCAL {
        return Ok(stdin.into());
    }
    // What is of another form than `host-local` reads is its to refuse.
    let mut whole: Value = serde_json::from_slice(stdin).unwrap_or_default();
    let mut found = false;
    let mut fill = |place: &mut Value| -> Result<(), CniError> {
        let subnet = place.get("subnet").and_then(Value::as_str);
        let word = WORDS
            .into_iter()
            .find(|(word, _)| subnet.is_some_and(|text| text.eq_ignore_ascii_case(word)));
        if let Some((_, family)) = word {
            place["subnet"] = network(family)?.into();
            found = true;
        }
        Ok(())
    };
    if let Some(ipam) = whole.get_mut("ipam") {
        // Its older form has one subnet of its own.
        fill(ipam)?;
        let sets = ipam.get_mut("ranges").and_then(Value::as_array_mut);
        let sets = sets.into_iter().flatten().filter_map(Value::as_array_mut);
        sets.flatten().try_for_each(fill)?;
    }
    match found {
        true => Ok(whole.to_string().into_bytes().into()),
        false => Ok(stdin.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use datastore::{Entry, Revision};
    use serde_json::json;

    fn conf(value: &Value) -> (NetConf, Vec<u8>) {
        let stdin = value.to_string().into_bytes();
        (NetConf::parse(&stdin).unwrap(), stdin)
    }

    fn node(cidrs: &[&str]) -> Snapshot {
        let Query::Key(key) = query("n") else {
            panic!("a key");
        };
        let value = json!({"kind": "Node", "status": {"podCIDRs": cidrs}});
        Snapshot {
            entries: vec![Entry {
                key: key.into(),
                value: value.to_string().into_bytes(),
                revision: Revision::new(1),
            }],
            ..Snapshot::default()
        }
    }

    fn filled(cidrs: &[&str], conf: &NetConf, stdin: &[u8]) -> Result<Value, String> {
        let cidrs = PodCidrs::read(&node(cidrs), "n").map_err(|error| error.message)?;
        let bytes = cidrs.fill(conf, stdin).map_err(|error| error.message)?;
        Ok(serde_json::from_slice(&bytes).unwrap())
    }

    #[test]
    fn words_are_filled_in_everywhere() {
        let value = json!({"x": 1, "ipam": {"type": "host-local", "subnet": "UsePodCIDR", "ranges": [[{"subnet": "usePodCidrIPv6", "rangeStart": "fd00::5"}, {"subnet": "10.0.0.0/8"}]]}});
        let (conf, stdin) = conf(&value);
        assert!(are_wanted(&conf, &stdin));
        let with = |v4: &str, v6: &str| json!({"x": 1, "ipam": {"type": "host-local", "subnet": v4, "ranges": [[{"subnet": v6, "rangeStart": "fd00::5"}, {"subnet": "10.0.0.0/8"}]]}});
        assert_eq!(
            filled(&["fd00::/64", "10.1.0.0/24"], &conf, &stdin).unwrap(),
            with("10.1.0.0/24", "fd00::/64")
        );
        let any: Value = serde_json::from_slice(&fill_any(&conf, &stdin)).unwrap();
        assert_eq!(any, with("0.0.0.0/0", "::/0"));
        for (cidrs, words) in [
            (&[][..], "no podCIDR for node n"),
            (
                &["10.1.0.0/24"],
                "usePodCidrIPv6 in ipam, but node n has no IPv6",
            ),
            (&["fd00::/64"], "usePodCidr in ipam, but node n has no IPv4"),
            (
                &["10.1.0.0/24", "10.2.0.0/24"],
                "more than one podCIDR of a family",
            ),
            (&["here"], "is no network"),
        ] {
            let error = filled(cidrs, &conf, &stdin).unwrap_err();
            assert!(error.contains(words), "{error}");
        }
        let error = PodCidrs::read(&node(&[]), "other").unwrap_err();
        assert!(error.message.contains("there is no node other"), "{error}");
    }

    #[test]
    fn other_configurations_stay_as_they_are() {
        let other = json!({"ipam": {"type": "other", "subnet": "usePodCidr"}});
        let (conf, stdin) = conf(&other);
        assert!(!are_wanted(&conf, &stdin));
        let mut host_local = NetConf::default();
        host_local.ipam.kind = HOST_LOCAL.into();
        for odd in [
            &b"{"[..],
            br#"{"ipam": []}"#,
            br#"{"ipam": {"ranges": [[7], 8]}}"#,
        ] {
            assert!(!are_wanted(&host_local, odd));
            assert_eq!(fill_any(&host_local, odd), odd);
        }
    }
}
