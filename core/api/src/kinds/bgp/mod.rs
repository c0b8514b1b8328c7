//! What a BGP speaker is told: BGPConfiguration and BGPPeer here, BGPFilter in [`filter`].

pub(crate) mod filter;

use std::net::IpAddr;
use std::ops::RangeInclusive;

use model::bgp::{
    Advertisement, Aggregation, BgpConfiguration, BgpPeer, Bind, ClusterRoutes, Community, NextHop,
    PeeringNodes, Remote, ReversePeering, SecretRef, SourceAddress,
};
use model::selector::Selector;
use model::{Cidr, Family, Resource};

use super::{Identity, spec};
use crate::fields::{
    address, address_v4, address_v6, as_number, distinct, duration, exact_cidr, limit, limit_text,
    name, selector,
};
use crate::names;
use crate::reader::{Fields, Item};

/// The most communities, and the most networks that carry some.
const MAX_COMMUNITIES: usize = 500;
/// The most communities of one network.
const MAX_NET_COMMUNITIES: usize = 50;
/// Metrics that leave room for one above and one below (upstream: both ends of a signed 32-bit number are kept free).
const PRIORITIES: RangeInclusive<i64> = 1..=2_147_483_646;

const SEVERITIES: [&str; 6] = ["Trace", "Debug", "Info", "Warning", "Error", "Fatal"];

pub(crate) fn configuration(id: &Identity<'_>, fields: &mut Fields<'_>) -> Option<Resource> {
    let configuration = spec(fields, |fields| {
        if fields.reader().is_admission() && id.name != "default" {
            check_own(fields);
        }
        let communities = communities(fields);
        let configuration = BgpConfiguration {
            log_severity: fields.nonempty("logSeverityScreen", severity),
            mesh: fields.read("nodeToNodeMeshEnabled", |item| item.flag()),
            as_number: fields.read("asNumber", as_number),
            mesh_password: password(fields, "nodeMeshPassword"),
            mesh_restart_time: fields.read("nodeMeshMaxRestartTime", duration),
            cluster_ips: blocks(fields, "serviceClusterIPs"),
            external_ips: blocks(fields, "serviceExternalIPs"),
            load_balancer_ips: blocks(fields, "serviceLoadBalancerIPs"),
            load_balancer_aggregation: fields.read("serviceLoadBalancerAggregation", |item| {
                item.word(&[
                    ("Enabled", Aggregation::Enabled),
                    ("Disabled", Aggregation::Disabled),
                ])
            }),
            advertisements: advertisements(fields, &communities),
            listen_port: fields.read("listenPort", listen_port),
            bind: fields.read("bindMode", |item| {
                item.word(&[("None", Bind::All), ("NodeIP", Bind::NodeAddress)])
            }),
            ignored_interfaces: fields
                .read("ignoredInterfaces", |item| {
                    distinct(&item);
                    item.list(ignored_interface)
                })
                .unwrap_or_default(),
            workload_peering_v4: fields.nonempty("localWorkloadPeeringIPV4", address_v4),
            workload_peering_v6: fields.nonempty("localWorkloadPeeringIPV6", address_v6),
            cluster_routes: fields.read("programClusterRoutes", |item| {
                item.word(&[
                    ("Enabled", ClusterRoutes::Enabled),
                    ("Disabled", ClusterRoutes::Disabled),
                    ("EnabledIPIPOnly", ClusterRoutes::IpipOnly),
                    ("EnabledNoEncapOnly", ClusterRoutes::NoEncapOnly),
                ])
            }),
            route_priority_v4: fields.read("ipv4NormalRoutePriority", priority),
            route_priority_v6: fields.read("ipv6NormalRoutePriority", priority),
        };
        if fields.reader().is_admission() {
            check_mesh(fields, &configuration);
            if !communities.is_empty() && configuration.advertisements.is_empty() {
                fields.wrong(
                    "communities",
                    "are not used by any of the prefixAdvertisements",
                );
            }
        }
        configuration
    });
    Some(Resource::BgpConfiguration(Box::new(configuration)))
}

/// Settings of all nodes together can only be made in the object named `default`.
fn check_own(fields: &Fields<'_>) {
    const GLOBAL: [&str; 7] = [
        "nodeToNodeMeshEnabled",
        "asNumber",
        "serviceLoadBalancerIPs",
        "serviceExternalIPs",
        "serviceClusterIPs",
        "nodeMeshPassword",
        "nodeMeshMaxRestartTime",
    ];
    for field in GLOBAL {
        if fields.has(field) && !fields.is_empty_list(field) {
            fields.wrong(field, "can only be set in the object named default");
        }
    }
}

fn check_mesh(fields: &Fields<'_>, configuration: &BgpConfiguration) {
    if configuration.mesh != Some(false) {
        return;
    }
    for field in ["nodeMeshPassword", "nodeMeshMaxRestartTime"] {
        if fields.has(field) {
            fields.wrong(field, "cannot be set while nodeToNodeMeshEnabled is false");
        }
    }
}

fn severity(item: Item<'_>) -> Option<Box<str>> {
    let text = item.text()?;
    let known = SEVERITIES
        .iter()
        .find(|word| word.eq_ignore_ascii_case(text));
    if known.is_none() {
        item.wrong(format!("must be one of {}", SEVERITIES.join(", ")));
    }
    known.map(|word| (*word).into())
}

/// `secretKeyRef: {name, key, optional}`; an object without it is as good as none.
fn password(fields: &mut Fields<'_>, field: &'static str) -> Option<SecretRef> {
    let secret = |item: Item<'_>| {
        item.object(|fields| {
            let name = fields.text("name").into();
            let key = fields.required("key", crate::fields::text);
            let optional = fields.flag("optional");
            Some(SecretRef {
                name,
                key: key?,
                optional,
            })
        })?
    };
    fields.read(field, |item| {
        item.object(|fields| fields.read("secretKeyRef", secret))?
    })
}

/// `[{cidr}]`; an entry without a network says nothing.
fn blocks(fields: &mut Fields<'_>, field: &'static str) -> Vec<Cidr> {
    fields.list(field, |item| {
        item.object(|fields| fields.nonempty("cidr", exact_cidr))?
    })
}

/// Communities by name; one whose value could not be read has a name nevertheless.
fn communities(fields: &mut Fields<'_>) -> Vec<(Box<str>, Option<Community>)> {
    let one = |item: Item<'_>| {
        item.object(|fields| {
            let name = fields.required("name", name);
            let value = fields.required("value", community);
            Some((name?, value))
        })?
    };
    let list = fields.read("communities", |item| {
        limit(&item, MAX_COMMUNITIES);
        item.list(one)
    });
    list.unwrap_or_default()
}

/// A community, with leading zeros too, as upstream has it here.
fn community(item: Item<'_>) -> Option<Community> {
    item.parsed(str::parse)
}

fn advertisements(
    fields: &mut Fields<'_>,
    defined: &[(Box<str>, Option<Community>)],
) -> Vec<Advertisement> {
    let named = |item: Item<'_>| {
        let text = item.text()?;
        let found = defined.iter().find(|(name, _)| **name == *text);
        let community = text.parse().ok();
        if community.is_none() && found.is_none() {
            item.wrong("is neither a community (aa:nn or aa:nn:mm) nor the name of one of spec.communities");
        }
        community.or(found.and_then(|(_, community)| *community))
    };
    let one = |item: Item<'_>| {
        item.object(|fields| {
            let net = fields.required("cidr", exact_cidr);
            let communities = fields.required_list("communities", |item| {
                limit(&item, MAX_NET_COMMUNITIES);
                item.list(named)
            });
            Some(Advertisement {
                net: net?,
                communities: communities?,
            })
        })?
    };
    let list = fields.read("prefixAdvertisements", |item| {
        limit(&item, MAX_COMMUNITIES);
        item.list(one)
    });
    list.unwrap_or_default()
}

fn listen_port(item: Item<'_>) -> Option<u16> {
    u16::try_from(item.integer(1..=65535)?).ok()
}

fn priority(item: Item<'_>) -> Option<u32> {
    u32::try_from(item.integer(PRIORITIES)?).ok()
}

fn ignored_interface(item: Item<'_>) -> Option<Box<str>> {
    let text = item.text()?;
    if text == "*" || !names::is_interface_pattern(text) {
        item.wrong(
            "must be an interface's name, at most 15 letters, digits, '_', '.', '-' and '*', and not '*' alone",
        );
    }
    Some(text.into())
}

pub(crate) fn peer(fields: &mut Fields<'_>) -> Option<Resource> {
    let peer = spec(fields, |fields| Some(peer_spec(fields)));
    let nobody = || BgpPeer {
        nodes: PeeringNodes::All,
        remote: Remote::Nobody,
        as_number: None,
        local_as_number: None,
        next_hop: None,
        password: None,
        source: SourceAddress::Node,
        restart_time: None,
        keepalive_time: None,
        allowed_local_as_numbers: None,
        ttl_security: None,
        reachable_by: None,
        filters: Vec::new(),
        reverse: ReversePeering::Auto,
    };
    Some(Resource::BgpPeer(Box::new(peer.unwrap_or_else(nobody))))
}

fn peer_spec(fields: &mut Fields<'_>) -> BgpPeer {
    if fields.reader().is_admission() {
        check_peer(fields);
    }
    let node = fields.nonempty("node", |item| {
        limit_text(&item, names::MAX_NAME);
        name(item)
    });
    let nodes = fields.nonempty("nodeSelector", selector);
    let router = fields.nonempty("peerIP", |item| {
        limit_text(&item, 64);
        address_and_port(item)
    });
    let peers = fields.nonempty("peerSelector", selector);
    let workloads = fields.nonempty("localWorkloadSelector", selector);
    let reachable_by = fields.nonempty("reachableBy", |item| {
        limit_text(&item, 64);
        address(item)
    });
    if let (Some(gateway), Some((router, _))) = (reachable_by, router)
        && Family::of(gateway) != Family::of(router)
    {
        fields.wrong("reachableBy", "must be of the same family as peerIP");
    }
    let next_hop = fields.read("nextHopMode", |item| {
        item.word(&[
            ("Auto", NextHop::Auto),
            ("Self", NextHop::Own),
            ("Keep", NextHop::Keep),
        ])
    });
    // The older form of the same.
    let keeps = fields.flag("keepOriginalNextHop").then_some(NextHop::Keep);
    BgpPeer {
        nodes: peering_nodes(node, nodes),
        remote: remote(router, peers, workloads),
        as_number: fields.read("asNumber", as_number).filter(|n| *n != 0),
        local_as_number: fields.read("localASNumber", as_number),
        next_hop: next_hop.or(keeps),
        password: password(fields, "password"),
        source: fields
            .nonempty("sourceAddress", |item| {
                item.word(&[
                    ("UseNodeIP", SourceAddress::Node),
                    ("None", SourceAddress::Any),
                ])
            })
            .unwrap_or_default(),
        restart_time: fields.read("maxRestartTime", duration),
        keepalive_time: fields.read("keepaliveTime", duration),
        allowed_local_as_numbers: fields.read("numAllowedLocalASNumbers", |item| {
            let all = i64::from(i32::MIN)..=i64::from(i32::MAX);
            i32::try_from(item.integer(all)?).ok()
        }),
        ttl_security: fields.read("ttlSecurity", |item| {
            u8::try_from(item.integer(0..=255)?).ok()
        }),
        reachable_by,
        filters: fields.list("filters", name),
        reverse: fields
            .read("reversePeering", |item| {
                item.word(&[
                    ("Auto", ReversePeering::Auto),
                    ("Manual", ReversePeering::Manual),
                ])
            })
            .unwrap_or_default(),
    }
}

fn peering_nodes(node: Option<Box<str>>, selected: Option<Selector>) -> PeeringNodes {
    match (node, selected) {
        (Some(node), _) => PeeringNodes::Node(node),
        (None, Some(selector)) => PeeringNodes::Selected(selector),
        (None, None) => PeeringNodes::All,
    }
}

fn remote(
    router: Option<(IpAddr, Option<u16>)>,
    peers: Option<Selector>,
    workloads: Option<Selector>,
) -> Remote {
    match (router, peers, workloads) {
        (Some((address, port)), _, _) => Remote::Address { address, port },
        (None, Some(selector), _) => Remote::Nodes(selector),
        (None, None, Some(selector)) => Remote::Workloads(selector),
        (None, None, None) => Remote::Nobody,
    }
}

/// Which fields exclude or need one another.
fn check_peer(fields: &Fields<'_>) {
    let has = |field| fields.has_content(field);
    let number = fields.has("asNumber") && !fields.is_zero("asNumber");
    if has("node") && has("nodeSelector") {
        fields.wrong("nodeSelector", "cannot be set together with node");
    }
    if has("peerSelector") {
        if has("peerIP") {
            fields.wrong("peerSelector", "cannot be set together with peerIP");
        }
        if number {
            let message = "must be left out when there is a peerSelector: nodes bring their own";
            fields.wrong("asNumber", message);
        }
    }
    if has("localWorkloadSelector") {
        for other in ["peerIP", "peerSelector"] {
            if has(other) {
                fields.wrong(other, "cannot be set together with localWorkloadSelector");
            }
        }
        if !number && !has("peerSelector") {
            fields.wrong(
                "asNumber",
                "is required when there is a localWorkloadSelector",
            );
        }
    }
    if has("reachableBy") && !has("peerIP") {
        fields.wrong("reachableBy", "needs a peerIP, which is reached by it");
    }
    if fields.is_true("keepOriginalNextHop") && fields.has("nextHopMode") {
        let message = "is the older form of nextHopMode: leave it out";
        fields.wrong("keepOriginalNextHop", message);
    }
}

/// `192.0.2.1`, `192.0.2.1:179`, `2001:db8::1`, `[2001:db8::1]:179`.
fn address_and_port(item: Item<'_>) -> Option<(IpAddr, Option<u16>)> {
    let text = item.text()?;
    let parsed = text
        .parse()
        .ok()
        .map(|address| (address, None))
        .or_else(|| {
            let address: std::net::SocketAddr = text.parse().ok()?;
            (address.port() > 0).then(|| (address.ip(), Some(address.port())))
        });
    if parsed.is_none() {
        item.wrong_hint(
            "is no address, nor an address with a port",
            "write 192.0.2.1, 192.0.2.1:179, 2001:db8::1 or [2001:db8::1]:179",
        );
    }
    parsed
}
