//! Names of kernel objects, as upstream spells them, cut by upstream's rule when they are too long.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use calc::SetId;
use model::{Family, PolicyId};
use sha2::{Digest, Sha256};

use super::{ChainName, Direction, SetName};

/// The longest chain or set name we make. The kernel takes 255 bytes; backends put a short prefix in front.
const MAX_NAME: usize = 200;

/// The verdict map from incoming interface to endpoint chain; also the name of the chain that asks it.
pub const FROM_DISPATCH: &str = "cali-from-wl-dispatch";
/// The verdict map from outgoing interface to endpoint chain; also the name of the chain that asks it.
pub const TO_DISPATCH: &str = "cali-to-wl-dispatch";
/// The chain for traffic from workloads to the host itself.
pub const TO_HOST: &str = "cali-wl-to-host";
/// The chain that checks source addresses of workloads.
pub const SOURCE_CHECK: &str = "cali-rpf";
/// The chain for masquerading.
pub const NAT_OUTGOING: &str = "cali-nat-outgoing";

/// Joins prefix and suffix; a name that would be too long keeps the prefix and gets a hash of the suffix.
pub fn limited(prefix: &str, suffix: &str, max: usize) -> Box<str> {
    let long = prefix.len() + suffix.len() > max;
    let ambiguous = prefix.len() + suffix.len() == max && suffix.starts_with('_');
    if !long && !ambiguous {
        return format!("{prefix}{suffix}").into();
    }
    let hash = URL_SAFE_NO_PAD.encode(Sha256::digest(suffix.as_bytes()));
    let room = max.saturating_sub(prefix.len() + 1).min(hash.len());
    format!("{prefix}_{}", hash.get(..room).unwrap_or(&hash)).into()
}

/// `cali-pi-<id>` and `cali-po-<id>`.
pub fn policy_chain(direction: Direction, id: &PolicyId) -> ChainName {
    let prefix = match direction {
        Direction::Ingress => "cali-pi-",
        Direction::Egress => "cali-po-",
    };
    limited(prefix, &legal(&id.to_string()), MAX_NAME)
}

/// `cali-pri-<name>` and `cali-pro-<name>`.
pub fn profile_chain(direction: Direction, name: &str) -> ChainName {
    let prefix = match direction {
        Direction::Ingress => "cali-pri-",
        Direction::Egress => "cali-pro-",
    };
    limited(prefix, &legal(name), MAX_NAME)
}

/// `cali-tw-<interface>` and `cali-fw-<interface>`.
pub fn endpoint_chain(direction: Direction, interface: &str) -> ChainName {
    let prefix = match direction {
        Direction::Ingress => "cali-tw-",
        Direction::Egress => "cali-fw-",
    };
    limited(prefix, &legal(interface), MAX_NAME)
}

/// `cali-gi-<hash>` and `cali-go-<hash>`: the policies of one tier in order, shared by all endpoints that have them.
pub fn tier_chain(direction: Direction, content: &str) -> ChainName {
    let prefix = match direction {
        Direction::Ingress => "cali-gi-",
        Direction::Egress => "cali-go-",
    };
    let hash = URL_SAFE_NO_PAD.encode(Sha256::digest(content.as_bytes()));
    format!("{prefix}{}", hash.get(..22).unwrap_or(&hash)).into()
}

/// `cali40<id>` and `cali60<id>` for sets of single addresses, `cali4n<id>` and `cali6n<id>` for sets of networks, with `:`
/// as `-` because nftables does not take it. A set that changes its form changes its name, so both can stand for a moment.
pub fn set(family: Family, form: NetForm, id: &SetId) -> SetName {
    let prefix = match (form, family) {
        (NetForm::Hosts, _) => set_prefix(family),
        (NetForm::Networks, Family::V4) => "cali4n",
        (NetForm::Networks, Family::V6) => "cali6n",
    };
    limited(prefix, &legal(&id.0), MAX_NAME)
}

/// What a set of addresses holds: hosts alone are a hash in the kernel, networks need intervals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NetForm {
    /// Single addresses only.
    Hosts,
    /// At least one network.
    Networks,
}

/// A set of ours that is no IP set of the graph, such as `cali40masq-ipam-pools`.
pub fn own_set(family: Family, name: &str) -> SetName {
    format!("{}{name}", set_prefix(family)).into()
}

fn set_prefix(family: Family) -> &'static str {
    match family {
        Family::V4 => "cali40",
        Family::V6 => "cali60",
    }
}

/// What may stand in a name; anything else becomes `-`. Names with such bytes come from foreign objects only.
fn legal(text: &str) -> String {
    let ok = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '\\' | '_' | '.' | '-');
    text.chars().map(|c| if ok(c) { c } else { '-' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::PolicyKind;

    #[test]
    fn short_names_are_plain_and_long_ones_hashed() {
        let mut id = PolicyId {
            kind: PolicyKind::NetworkPolicy,
            namespace: Some("shop".into()),
            name: "allow-web".into(),
        };
        assert_eq!(
            &*policy_chain(Direction::Ingress, &id),
            "cali-pi-np/shop/allow-web"
        );
        id.name = "x".repeat(253).into();
        let name = policy_chain(Direction::Egress, &id);
        assert!(
            name.starts_with("cali-po-_") && name.len() <= MAX_NAME,
            "{name}"
        );
        assert_ne!(
            &*limited("cali-tw-", "_x", 10),
            "cali-tw-_x",
            "could be taken for a hashed name"
        );
        assert_eq!(
            &*set(Family::V4, NetForm::Hosts, &SetId("s:abc".into())),
            "cali40s-abc"
        );
    }
}
