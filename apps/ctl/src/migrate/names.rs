//! Names of nodes: a node that its orchestrator calls otherwise has the orchestrator's name in Kubernetes, and everything
//! that refers to it follows.

use std::collections::BTreeMap;

use api::{Kind, Object};
use model::{AffinityId, AffinityOwner};
use serde_json::Value;

/// What addresses of tunnels are kept under: this, then the node's name.
const TUNNEL_HANDLES: [&str; 5] = [
    "ipip-tunnel-addr-",
    "vxlan-tunnel-addr-",
    "vxlan-v6-tunnel-addr-",
    "wireguard-tunnel-addr-",
    "wireguard-v6-tunnel-addr-",
];

/// From the names nodes have to those they get.
#[derive(Debug, Default)]
pub(super) struct Names(BTreeMap<String, String>);

impl Names {
    /// The names that Kubernetes has for these nodes.
    ///
    /// # Errors
    /// The node that Kubernetes has no name for.
    pub(super) fn of_kubernetes(nodes: &[Object]) -> Result<Names, String> {
        let mut names = Names::default();
        for node in nodes {
            let text = |reference: &Value, field: &str| {
                reference
                    .get(field)
                    .and_then(Value::as_str)
                    .unwrap_or("")
                    .to_owned()
            };
            let references = node.pointer("/spec/orchRefs").and_then(Value::as_array);
            let name = references
                .into_iter()
                .flatten()
                .rfind(|reference| text(reference, "orchestrator") == "k8s")
                .map(|reference| text(reference, "nodeName"))
                .filter(|name| !name.is_empty())
                .ok_or_else(|| node.name().to_owned())?;
            if name != node.name() {
                names.0.insert(node.name().to_owned(), name);
            }
        }
        Ok(names)
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Gives an object of the stream the new names.
    pub(super) fn rename(&self, object: &mut Object) {
        let kind = object.kind();
        let renamed = if kind == Kind::Node {
            self.get(object.name()).map(str::to_owned)
        } else if matches!(kind, Kind::FelixConfiguration | Kind::BgpConfiguration) {
            let node = object.name().strip_prefix("node.");
            node.and_then(|node| self.get(node))
                .map(|node| format!("node.{node}"))
        } else {
            None
        };
        if matches!(kind, Kind::HostEndpoint | Kind::BgpPeer) {
            let node = object.pointer("/spec/node").and_then(Value::as_str);
            if let Some(node) = node.and_then(|node| self.get(node)).map(str::to_owned) {
                object.spec_mut().insert("node".to_owned(), node.into());
            }
        }
        if let Some(name) = renamed {
            object.metadata_mut().insert("name".to_owned(), name.into());
        }
    }

    /// The owner of a claim.
    pub(super) fn affinity(&self, mut id: AffinityId) -> AffinityId {
        if let AffinityOwner::Host(host) = &mut id.owner
            && let Some(name) = self.get(host)
        {
            *host = name.into();
        }
        id
    }

    /// A handle's name.
    pub(super) fn handle(&self, handle: &str) -> Option<String> {
        TUNNEL_HANDLES.iter().find_map(|prefix| {
            let node = handle.strip_prefix(prefix)?;
            Some(format!("{prefix}{}", self.get(node)?))
        })
    }

    /// A block as stored: its owner, and those of its addresses.
    pub(super) fn block(&self, block: &mut Value) {
        if let Some(affinity) = block.get_mut("affinity")
            && let Some(host) = affinity
                .as_str()
                .and_then(|text| text.strip_prefix("host:"))
            && let Some(name) = self.get(host)
        {
            *affinity = format!("host:{name}").into();
        }
        let attributes = block.get_mut("attributes").and_then(Value::as_array_mut);
        for attribute in attributes.into_iter().flatten() {
            for owner in ["secondary", "alternateOwnerAttrs"] {
                if let Some(node) = attribute.get_mut(owner).and_then(|o| o.get_mut("node"))
                    && let Some(name) = node.as_str().and_then(|node| self.get(node))
                {
                    *node = name.into();
                }
            }
            if let Some(handle) = attribute.get_mut("handle_id")
                && let Some(name) = handle.as_str().and_then(|handle| self.handle(handle))
            {
                *handle = name.into();
            }
        }
    }
}
