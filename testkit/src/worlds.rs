//! Random worlds that policy has something to say about: few names, labels, addresses and ports, so that rules hit.
//!
//! Everything is drawn from a seed. [`update`] draws one change of the world, [`packet`] one packet that may concern it.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use calc::{Packet, Transport};
use model::selector::Selector;
use model::{
    Action, AssignmentMode, Cidr, DefaultAction, EncapMode, EndpointPort, EndpointSlice,
    EndpointSliceId, EntityMatch, Family, HostEndpoint, HostEndpointId, HttpMatch, IcmpMatch,
    IpPool, Key, Labels, NetworkSet, NetworkSetId, Order, Policy, PolicyId, PolicyKind,
    PolicyTypes, PortMatch, PortRange, Profile, Protocol, Resource, Rule, ServiceRef, Staged, Tier,
    Update, WorkloadEndpoint, WorkloadEndpointId,
};

use crate::rng::Rng;

/// The node whose endpoints are local in these worlds.
pub const LOCAL_NODE: &str = "node-a";

const NODES: [&str; 3] = [LOCAL_NODE, LOCAL_NODE, "node-b"];
const NAMESPACES: [&str; 2] = ["red", "blue"];
const TIERS: [&str; 4] = ["default", "security", "platform", "lost"];
const PROFILES: [&str; 4] = ["kns.red", "kns.blue", "ksa.red.web", "absent"];
const PORT_NAMES: [&str; 3] = ["http", "dns", "peer"];
const SERVICES: [&str; 2] = ["front", "back"];
const PORTS: [u16; 4] = [53, 80, 81, 9000];
const ADDRESSES: [&str; 10] = [
    "10.0.0.1",
    "10.0.0.2",
    "10.0.0.3",
    "10.0.0.4",
    "10.0.0.5",
    "10.0.1.1",
    "192.0.2.7",
    "fd00::1",
    "fd00::2",
    "2001:db8::1",
];
const NETS: [&str; 11] = [
    "10.0.0.0/30",
    "10.0.0.4/30",
    "10.0.0.0/24",
    "10.0.0.0/8",
    "0.0.0.0/0",
    "192.0.2.0/24",
    "10.0.0.2/32",
    "fd00::/126",
    "fd00::1/128",
    "::/0",
    "10.0.0.0/31",
];
const PROTOCOLS: [Protocol; 6] = [
    Protocol::TCP,
    Protocol::TCP,
    Protocol::UDP,
    Protocol::SCTP,
    Protocol::ICMP,
    Protocol::ICMPV6,
];
const SELECTORS: [&str; 23] = [
    "all()",
    "app == 'web'",
    "app == 'db'",
    "app != 'web'",
    "app in {'web', 'db'}",
    "app not in {'web'}",
    "has(role)",
    "!has(role)",
    "role == 'x' && app == 'web'",
    "role == 'x' || app == 'db'",
    "app == 'web' || app == 'db'",
    "(app == 'db' && has(role)) || app in {'dmz', 'web'}",
    "pcns.team == 'core' || pcns.team == 'own'",
    "app starts with 'd'",
    "app contains 'e' && has(pcns.team)",
    "pcns.team == 'core'",
    "pcns.team != 'core' && !(app == 'db')",
    "pcsa.trusted == 'yes'",
    "projectcalico.org/namespace == 'red'",
    "projectcalico.org/namespace == 'blue' && has(app)",
    "!has(projectcalico.org/namespace)",
    "app == 'web' && app == 'db'",
    "kind ends with 'set' || (has(app) && !has(kind))",
];

fn text(rng: &mut Rng, choices: &[&str]) -> Box<str> {
    (*rng.pick(choices)).into()
}

fn address(rng: &mut Rng) -> IpAddr {
    rng.pick(&ADDRESSES)
        .parse()
        .expect("the list holds addresses")
}

fn net(rng: &mut Rng) -> Cidr {
    rng.pick(&NETS).parse().expect("the list holds networks")
}

fn selector(rng: &mut Rng) -> Selector {
    let selector = Selector::parse(&text(rng, &SELECTORS)).expect("the list holds selectors");
    if rng.chance(15) {
        selector.and(&self::selector(rng))
    } else {
        selector
    }
}

/// Changes one object: in most cases it gets a value, otherwise it is absent afterwards, be it that it was before.
pub fn update(rng: &mut Rng) -> Update {
    let key = key(rng);
    let value = rng.maybe(75, |rng| resource(rng, &key));
    Update { key, value }
}

fn key(rng: &mut Rng) -> Key {
    match rng.below(22) {
        0..6 => Key::WorkloadEndpoint(WorkloadEndpointId {
            node: text(rng, &NODES),
            orchestrator: "k8s".into(),
            namespace: text(rng, &NAMESPACES),
            workload: text(rng, &["p1", "p2", "p3"]),
            endpoint: "eth0".into(),
        }),
        6..12 => Key::Policy(policy_id(rng)),
        12..14 => Key::NetworkSet(NetworkSetId {
            namespace: rng.maybe(50, |rng| text(rng, &NAMESPACES)),
            name: text(rng, &["s1", "s2"]),
        }),
        14 => Key::HostEndpoint(HostEndpointId {
            name: text(rng, &["h1", "h2"]),
        }),
        15..17 => Key::Tier(text(rng, &TIERS[..3])),
        17..19 => Key::Profile(text(rng, &PROFILES[..3])),
        19..21 => Key::EndpointSlice(EndpointSliceId {
            namespace: text(rng, &NAMESPACES),
            name: text(rng, &["e1", "e2", "e3"]),
        }),
        _ => Key::IpPool(text(rng, &["pool-1", "pool-2"])),
    }
}

fn policy_id(rng: &mut Rng) -> PolicyId {
    let kind = *rng.pick(&[
        PolicyKind::NetworkPolicy,
        PolicyKind::GlobalNetworkPolicy,
        PolicyKind::GlobalNetworkPolicy,
        PolicyKind::GlobalNetworkPolicy,
        PolicyKind::KubernetesNetworkPolicy,
        PolicyKind::KubernetesClusterNetworkPolicy,
        PolicyKind::StagedGlobalNetworkPolicy,
        PolicyKind::StagedNetworkPolicy,
        PolicyKind::StagedKubernetesNetworkPolicy,
    ]);
    let namespaced = match kind {
        PolicyKind::NetworkPolicy
        | PolicyKind::KubernetesNetworkPolicy
        | PolicyKind::StagedNetworkPolicy
        | PolicyKind::StagedKubernetesNetworkPolicy => true,
        PolicyKind::GlobalNetworkPolicy
        | PolicyKind::StagedGlobalNetworkPolicy
        | PolicyKind::KubernetesClusterNetworkPolicy => false,
    };
    PolicyId {
        kind,
        namespace: namespaced.then(|| text(rng, &NAMESPACES)),
        name: text(rng, &["a", "a-b", "b"]),
    }
}

fn resource(rng: &mut Rng, key: &Key) -> Resource {
    match key {
        Key::WorkloadEndpoint(id) => Resource::WorkloadEndpoint(workload_endpoint(rng, id)),
        Key::Policy(id) => Resource::Policy(Arc::new(policy(rng, id.kind))),
        Key::NetworkSet(id) => Resource::NetworkSet(network_set(rng, id)),
        Key::HostEndpoint(_) => Resource::HostEndpoint(host_endpoint(rng)),
        Key::Tier(_) => Resource::Tier(Tier {
            order: order(rng),
            default_action: *rng.pick(&[
                DefaultAction::Deny,
                DefaultAction::Deny,
                DefaultAction::Pass,
            ]),
        }),
        Key::Profile(name) => Resource::Profile(Arc::new(profile(rng, name))),
        Key::EndpointSlice(_) => Resource::EndpointSlice(endpoint_slice(rng)),
        Key::IpPool(_)
        | Key::Service(_)
        | Key::Node(_)
        | Key::IpReservation(_)
        | Key::IpamConfig
        | Key::Block(_)
        | Key::Affinity(_)
        | Key::Handle(_)
        | Key::FelixConfig(_)
        | Key::ClusterInformation
        | Key::BgpConfiguration(_)
        | Key::BgpPeer(_)
        | Key::BgpFilter(_)
        | Key::KubeControllersConfiguration
        | Key::NodeStatus(_)
        | Key::LiveMigration { .. } => Resource::IpPool(pool(rng)),
    }
}

fn order(rng: &mut Rng) -> Order {
    match rng.below(4) {
        0 => Order::LAST,
        1 => Order::new(-1.5),
        2 => Order::new(10.0),
        _ => Order::new(100.0),
    }
}

fn own_labels(rng: &mut Rng, namespace: Option<&str>) -> Labels {
    let mut labels = Labels::new();
    if rng.chance(80) {
        labels.insert("app".into(), text(rng, &["web", "db", "dmz"]));
    }
    if rng.chance(40) {
        labels.insert("role".into(), text(rng, &["x", "y"]));
    }
    if rng.chance(10) {
        labels.insert("pcns.team".into(), text(rng, &["core", "own"]));
    }
    if let Some(namespace) = namespace {
        labels.insert(model::labels::NAMESPACE.into(), namespace.into());
    }
    labels
}

fn endpoint_ports(rng: &mut Rng) -> Vec<EndpointPort> {
    rng.several(3, |rng| EndpointPort {
        name: text(rng, &PORT_NAMES),
        protocol: *rng.pick(&PROTOCOLS[..4]),
        port: *rng.pick(&PORTS),
        host_port: 0,
        host_ip: None,
    })
}

fn workload_endpoint(rng: &mut Rng, id: &WorkloadEndpointId) -> WorkloadEndpoint {
    let namespace_profile: Box<str> = format!("kns.{}", id.namespace).into();
    let mut profiles = vec![namespace_profile];
    if rng.chance(40) {
        profiles.push(text(rng, &PROFILES));
    }
    if rng.chance(20) {
        profiles.reverse();
    }
    WorkloadEndpoint {
        labels: own_labels(rng, Some(&id.namespace)),
        interface: format!("cali{}{}", id.namespace, id.workload).into(),
        nets: rng.several(3, |rng| Cidr::host(address(rng))),
        profiles,
        ports: endpoint_ports(rng),
        ..WorkloadEndpoint::default()
    }
}

fn host_endpoint(rng: &mut Rng) -> HostEndpoint {
    let mut labels = own_labels(rng, None);
    labels.insert("kind".into(), "host".into());
    HostEndpoint {
        node: text(rng, &NODES),
        labels,
        interface: None,
        expected_ips: rng.several(2, address),
        profiles: rng.several(1, |rng| text(rng, &PROFILES)),
        ports: endpoint_ports(rng),
    }
}

fn network_set(rng: &mut Rng, id: &NetworkSetId) -> NetworkSet {
    let mut labels = own_labels(rng, id.namespace.as_deref());
    labels.insert("kind".into(), "netset".into());
    let profiles = id
        .namespace
        .iter()
        .map(|namespace| format!("kns.{namespace}").into())
        .collect();
    NetworkSet {
        labels,
        profiles,
        nets: rng.several(4, net),
    }
}

/// One or two families, ports several times and none at all, now of this service and now of that.
fn endpoint_slice(rng: &mut Rng) -> EndpointSlice {
    EndpointSlice {
        service: text(rng, &SERVICES),
        addresses: rng.several(4, address),
        ports: rng.several(3, |rng| (*rng.pick(&PROTOCOLS[..4]), *rng.pick(&PORTS))),
    }
}

fn profile(rng: &mut Rng, name: &str) -> Profile {
    let mut labels = Labels::new();
    let prefix = if name.starts_with("kns.") {
        "pcns.team"
    } else {
        "pcsa.trusted"
    };
    if rng.chance(70) {
        labels.insert(prefix.into(), text(rng, &["core", "yes", "no"]));
    }
    let allow_all = rng.chance(50);
    let rules = |rng: &mut Rng| {
        if allow_all {
            vec![Rule::any(Action::Allow)]
        } else {
            rng.several(2, rule)
        }
    };
    Profile {
        ingress: rules(rng),
        egress: rules(rng),
        labels,
    }
}

/// A staged policy says what its change would be. That an enforced kind should say so too, no object can.
fn staged(rng: &mut Rng, kind: PolicyKind) -> Staged {
    match kind {
        PolicyKind::StagedNetworkPolicy
        | PolicyKind::StagedGlobalNetworkPolicy
        | PolicyKind::StagedKubernetesNetworkPolicy => {
            *rng.pick(&[Staged::Set, Staged::Delete, Staged::Learn, Staged::Ignore])
        }
        PolicyKind::NetworkPolicy
        | PolicyKind::GlobalNetworkPolicy
        | PolicyKind::KubernetesNetworkPolicy
        | PolicyKind::KubernetesClusterNetworkPolicy => Staged::No,
    }
}

fn policy(rng: &mut Rng, kind: PolicyKind) -> Policy {
    let types = match rng.below(4) {
        0 => PolicyTypes {
            ingress: true,
            egress: false,
        },
        1 => PolicyTypes {
            ingress: false,
            egress: true,
        },
        _ => PolicyTypes {
            ingress: true,
            egress: true,
        },
    };
    Policy {
        tier: text(rng, &TIERS),
        order: order(rng),
        selector: selector(rng),
        types,
        ingress: rng.several(3, rule),
        egress: rng.several(3, rule),
        staged: staged(rng, kind),
        do_not_track: rng.chance(3),
        pre_dnat: rng.chance(3),
        apply_on_forward: false,
        always_active: rng.chance(5),
    }
}

fn pool(rng: &mut Rng) -> IpPool {
    IpPool {
        cidr: net(rng),
        vxlan: EncapMode::Never,
        ipip: EncapMode::Never,
        nat_outgoing: rng.chance(50),
        disabled: rng.chance(20),
        disable_bgp_export: false,
        block_size: 26,
        node_selector: Selector::all(),
        namespace_selector: None,
        allowed_uses: Vec::new(),
        assignment_mode: AssignmentMode::Automatic,
        terminating: false,
    }
}

/// A rule with few criteria as a rule, so that packets match; now and then one that validation would refuse.
pub fn rule(rng: &mut Rng) -> Rule {
    let protocol = rng.maybe(50, |rng| *rng.pick(&PROTOCOLS));
    let is_icmp =
        protocol.is_some_and(|protocol| protocol == Protocol::ICMP || protocol == Protocol::ICMPV6);
    let icmp_chance = if is_icmp { 50 } else { 2 };
    Rule {
        action: *rng.pick(&[
            Action::Allow,
            Action::Allow,
            Action::Deny,
            Action::Pass,
            Action::Log,
        ]),
        family: rng.maybe(10, |rng| *rng.pick(&Family::ALL)),
        protocol,
        not_protocol: rng.maybe(7, |rng| *rng.pick(&PROTOCOLS)),
        icmp: rng.maybe(icmp_chance, icmp),
        not_icmp: rng.maybe(icmp_chance / 2, icmp),
        source: entity(rng),
        destination: entity(rng),
        http: rng.maybe(2, |_| HttpMatch::default()),
        annotations: BTreeMap::new(),
    }
}

fn icmp(rng: &mut Rng) -> IcmpMatch {
    IcmpMatch {
        kind: *rng.pick(&[0, 8]),
        code: rng.maybe(40, |rng| *rng.pick(&[0, 1])),
    }
}

fn entity(rng: &mut Rng) -> EntityMatch {
    if rng.chance(40) {
        return EntityMatch::default();
    }
    EntityMatch {
        nets: rng.maybe(20, |rng| rng.several(3, net)),
        not_nets: rng.maybe(12, |rng| rng.several(2, net)).unwrap_or_default(),
        selector: rng.maybe(40, selector),
        not_selector: rng.maybe(15, selector),
        ports: rng.maybe(20, |rng| rng.several(3, port)),
        not_ports: rng
            .maybe(10, |rng| rng.several(2, port))
            .unwrap_or_default(),
        service: rng.maybe(12, |rng| ServiceRef {
            namespace: text(rng, &NAMESPACES),
            name: text(rng, &SERVICES),
        }),
    }
}

fn port(rng: &mut Rng) -> PortMatch {
    match rng.below(4) {
        0 => PortMatch::Range(PortRange::one(*rng.pick(&PORTS))),
        1 => {
            let first = *rng.pick(&[0, 53, 79, 81, 82]);
            let last = first + *rng.pick(&[0, 1, 2, 900]);
            PortMatch::Range(PortRange::new(first, last).expect("the first is lower"))
        }
        _ => PortMatch::Named(text(rng, &PORT_NAMES)),
    }
}

/// A packet between addresses of these worlds, or from or to the outside.
pub fn packet(rng: &mut Rng) -> Packet {
    let source = address(rng);
    let mut destination = address(rng);
    while Family::of(destination) != Family::of(source) {
        destination = address(rng);
    }
    packet_between(rng, source, destination)
}

/// A packet between two addresses of one family.
pub fn packet_between(rng: &mut Rng, source: IpAddr, destination: IpAddr) -> Packet {
    let protocol = match (rng.below(10), Family::of(source)) {
        (0..5, _) => Protocol::TCP,
        (5..7, _) => Protocol::UDP,
        (7, _) => Protocol::SCTP,
        (8, Family::V4) => Protocol::ICMP,
        (8, Family::V6) => Protocol::ICMPV6,
        _ => Protocol::from_number(47).expect("not 0"),
    };
    let transport = if protocol.has_ports() {
        Transport::Ports {
            source: *rng.pick(&PORTS),
            destination: *rng.pick(&PORTS),
        }
    } else if protocol == Protocol::ICMP || protocol == Protocol::ICMPV6 {
        Transport::Icmp {
            kind: *rng.pick(&[0, 8]),
            code: *rng.pick(&[0, 1]),
        }
    } else {
        Transport::Opaque
    };
    Packet {
        protocol,
        source,
        destination,
        transport,
    }
}
