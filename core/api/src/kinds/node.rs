//! Nodes and the facts about the cluster.

use std::net::IpAddr;

use model::{Cidr, ClusterInformation, Family, Node, Resource};

use super::{Identity, Metadata, check_singleton, spec};
use crate::fields::{address, address_v4, address_v6, as_number, mac, text, wireguard_key};
use crate::reader::{Fields, Item};

/// What a node's `bgp` says.
#[derive(Default)]
struct Bgp {
    as_number: Option<u32>,
    v4: Option<(IpAddr, Cidr)>,
    v6: Option<(IpAddr, Cidr)>,
    ipip_tunnel: Option<IpAddr>,
    cluster_id: Option<Box<str>>,
}

pub(crate) fn node(meta: &Metadata, fields: &mut Fields<'_>) -> Option<Resource> {
    let mut node = spec(fields, node_spec);
    node.labels = meta.labels.clone();
    fields.read("status", |item| item.object(status));
    Some(Resource::Node(node))
}

fn node_spec(fields: &mut Fields<'_>) -> Node {
    let bgp = fields.read("bgp", |item| {
        if item.reader.is_admission()
            && item
                .value
                .as_object()
                .is_some_and(serde_json::Map::is_empty)
        {
            item.wrong_hint("should not be empty", "leave it out");
        }
        item.object(bgp)
    });
    let bgp = bgp.unwrap_or_default();
    let vxlan_tunnel_v4 = fields.nonempty("ipv4VXLANTunnelAddr", address_v4);
    let vxlan_mac_v4 = fields.nonempty("vxlanTunnelMACAddr", mac);
    let vxlan_tunnel_v6 = fields.nonempty("ipv6VXLANTunnelAddr", address_v6);
    let vxlan_mac_v6 = fields.nonempty("vxlanTunnelMACAddrV6", mac);
    fields.list("orchRefs", |item| {
        item.object(|fields| {
            fields.text("nodeName");
            fields.text("orchestrator");
        })
    });
    fields.read("wireguard", |item| {
        item.object(|fields| {
            fields.nonempty("interfaceIPv4Address", address_v4);
            fields.nonempty("interfaceIPv6Address", address_v6);
        })
    });
    let addresses = fields.list("addresses", node_address);
    fields.list("interfaces", |item| {
        item.object(|fields| {
            fields.nonempty("name", text);
            fields.list("addresses", text);
        })
    });
    Node {
        labels: model::Labels::new(),
        ipv4: bgp.v4.map(|(addr, _)| addr),
        ipv4_subnet: bgp.v4.map(|(_, net)| net),
        ipv6: bgp.v6.map(|(addr, _)| addr),
        ipv6_subnet: bgp.v6.map(|(_, net)| net),
        as_number: bgp.as_number,
        route_reflector_cluster_id: bgp.cluster_id,
        ipip_tunnel: bgp.ipip_tunnel,
        vxlan_tunnel_v4,
        vxlan_tunnel_v6,
        vxlan_mac_v4,
        vxlan_mac_v6,
        addresses,
    }
}

fn bgp(fields: &mut Fields<'_>) -> Bgp {
    Bgp {
        as_number: fields.read("asNumber", as_number),
        v4: fields.nonempty("ipv4Address", |item| address_and_subnet(item, Family::V4)),
        v6: fields.nonempty("ipv6Address", |item| address_and_subnet(item, Family::V6)),
        ipip_tunnel: fields.nonempty("ipv4IPIPTunnelAddr", address_v4),
        cluster_id: fields.nonempty("routeReflectorClusterID", |item| {
            address_v4(item).map(|addr| addr.to_string().into())
        }),
    }
}

/// `192.0.2.1/24`: the node's own address, and the subnet it is in.
fn address_and_subnet(item: Item<'_>, family: Family) -> Option<(IpAddr, Cidr)> {
    let text = item.text()?;
    let net: Option<Cidr> = text.parse().ok();
    let addr = text.split('/').next().and_then(|addr| addr.parse().ok());
    let both = addr.zip(net).filter(|(_, net)| net.family() == family);
    if both.is_none() {
        item.wrong_hint(
            "is no address with its prefix length",
            "write for example 192.0.2.1/24",
        );
    }
    both
}

fn node_address(item: Item<'_>) -> Option<IpAddr> {
    if !item.reader.is_admission() {
        // One address that is none must not make a node unknown: the others are kept.
        let text = item.value.get("address")?.as_str()?;
        return text.split('/').next()?.parse().ok();
    }
    item.object(|fields| {
        let words = [("CalicoNodeIP", ()), ("InternalIP", ()), ("ExternalIP", ())];
        fields.nonempty("type", |item| item.word(&words));
        fields.required("address", |item| {
            // Upstream takes a network here too; only its address is of use.
            let text = item.text()?;
            let addr = text.split('/').next().and_then(|addr| addr.parse().ok());
            if addr.is_none() {
                address(item);
            }
            addr
        })
    })?
}

fn status(fields: &mut Fields<'_>) {
    for key in ["wireguardPublicKey", "wireguardPublicKeyV6"] {
        fields.nonempty(key, wireguard_key);
    }
    fields.list("podCIDRs", text);
}

pub(crate) fn cluster_information(id: &Identity<'_>, fields: &mut Fields<'_>) -> Option<Resource> {
    check_singleton(id, fields);
    let info = spec(fields, |fields| {
        fields.text("variant");
        ClusterInformation {
            guid: fields.text("clusterGUID").into(),
            cluster_type: fields.text("clusterType").into(),
            version: fields.text("calicoVersion").into(),
            datastore_ready: fields.read("datastoreReady", |item| item.flag()),
        }
    });
    Some(Resource::ClusterInformation(info))
}
