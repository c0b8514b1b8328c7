//! IPAM entries as custom resources: what they are called, the labels they are found by, and the marks of older releases.

use model::{AffinityId, AffinityOwner};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::identity::host_label;
use crate::key::{StoreKey, cidr_name};
use crate::kind::Kind;
use crate::object::{Object, object_at};

const HOST_HASH: &str = "projectcalico.org/hostname-hash";
const AFFINITY_TYPE: &str = "projectcalico.org/affinity-type";
const IP_VERSION: &str = "projectcalico.org/ip-version";

/// The longest name that is not cut.
const LONGEST: usize = 252;
/// So many characters of the digest make a cut name one of its own.
const DIGEST: usize = 11;

/// What an IPAM entry's custom resource is called; `None` for what is no IPAM entry.
pub(super) fn resource_name(key: &StoreKey) -> Option<String> {
    match key {
        StoreKey::Block(cidr) => Some(cidr_name(*cidr)),
        StoreKey::Affinity(id) => Some(affinity_name(id)),
        StoreKey::Handle(id) => Some(id.to_lowercase()),
        StoreKey::IpamConfig => Some("default".to_owned()),
        StoreKey::Resource { .. } => None,
    }
}

/// `<owner>-<network>`; a name that would be too long loses the end of its owner and gains a digest.
fn affinity_name(id: &AffinityId) -> String {
    let (_, owner) = owner_parts(&id.owner);
    let network = cidr_name(id.block);
    let name = format!("{owner}-{network}");
    if name.len() <= LONGEST {
        return name;
    }
    let room = LONGEST - network.len() - DIGEST - 2;
    let cut = (0..=room)
        .rev()
        .find(|at| owner.is_char_boundary(*at))
        .unwrap_or(0);
    let digest: String = Sha256::digest(format!("{owner}+{network}").as_bytes())
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("{}-{network}-{}", &owner[..cut], &digest[..DIGEST])
}

fn owner_parts(owner: &AffinityOwner) -> (&'static str, &str) {
    match owner {
        AffinityOwner::Host(name) => ("host", name),
        AffinityOwner::Virtual(name) => ("virtual", name),
    }
}

/// The labels by which an owner's affinities are found.
fn owner_labels(owner: &AffinityOwner) -> [(&'static str, String); 2] {
    let (kind, name) = owner_parts(owner);
    [
        (HOST_HASH, host_label(name)),
        (AFFINITY_TYPE, kind.to_owned()),
    ]
}

/// The label selector of one owner's affinities.
pub(super) fn selector(owner: &AffinityOwner) -> String {
    let terms = owner_labels(owner).map(|(label, value)| format!("{label}={value}"));
    terms.join(",")
}

/// Completes the v3 object of an IPAM entry to what upstream writes as a custom resource: its labels, and fields that
/// must not be absent.
pub(super) fn complete(key: &StoreKey, object: &mut Object) {
    match key {
        StoreKey::Affinity(AffinityId { owner, block }) => {
            let version = (IP_VERSION, block.family().version().to_string());
            for (label, value) in owner_labels(owner).into_iter().chain([version]) {
                object.set_label(label, &value);
            }
        }
        StoreKey::Block(_) => {
            let spec = object.spec_mut();
            for field in ["attributes", "unallocated"] {
                let slot = spec.entry(field).or_insert(Value::Null);
                if slot.is_null() {
                    *slot = json!([]);
                }
            }
            // Nothing reads it, and both forms of the CRD require it.
            spec.entry("strictAffinity").or_insert(false.into());
        }
        StoreKey::Handle(_) => {
            object_at(object.spec_mut(), "block");
        }
        StoreKey::IpamConfig | StoreKey::Resource { .. } => {}
    }
}

/// What the first version of the custom resources has otherwise: a flag that is text.
pub(super) fn stringly(kind: Kind, custom: &mut Map<String, Value>) {
    let Some(Value::Object(spec)) = custom.get_mut("spec") else {
        return;
    };
    if kind == Kind::BlockAffinity {
        let deleted = is_deleted(spec);
        spec.insert("deleted".to_owned(), deleted.to_string().into());
    }
}

/// True if the object waits for its removal: upstream marks it before it deletes it, and nobody reads it after that.
pub(super) fn is_deleted(spec: &Map<String, Value>) -> bool {
    match spec.get("deleted") {
        Some(Value::Bool(deleted)) => *deleted,
        Some(Value::String(text)) => text == "true",
        Some(Value::Null | Value::Number(_) | Value::Array(_) | Value::Object(_)) | None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn affinity(host: &str, block: &str) -> AffinityId {
        AffinityId {
            owner: AffinityOwner::Host(host.into()),
            block: block.parse().unwrap(),
        }
    }

    #[test]
    fn names_are_made_of_owner_and_network_and_cut_when_too_long() {
        assert_eq!(
            affinity_name(&affinity("node-1", "10.65.0.64/26")),
            "node-1-10-65-0-64-26"
        );
        assert_eq!(affinity_name(&affinity("n", "fd00::/122")), "n-fd00---122");
        let long = affinity_name(&affinity(&"h".repeat(250), "10.65.0.64/26"));
        assert_eq!(long.len(), LONGEST);
        assert!(long.contains("-10-65-0-64-26-"), "{long}");
        let other = affinity_name(&affinity(&format!("{}i", "h".repeat(249)), "10.65.0.64/26"));
        assert_ne!(long, other);
        let limit = affinity_name(&affinity(&"h".repeat(239), "10.65.0.0/26"));
        assert_eq!(limit.len(), 252, "not cut yet");
    }

    #[test]
    fn affinities_are_found_by_labels() {
        let owner = AffinityOwner::Host("node-1".into());
        let selector = selector(&owner);
        assert!(
            selector.ends_with(",projectcalico.org/affinity-type=host"),
            "{selector}"
        );
    }
}
