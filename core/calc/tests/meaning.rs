//! What policy means, case by case: each case holds for the oracle and for the graph's compiled policy alike.
//!
//! The world is one pod `web` (10.0.0.1) on this node and one pod `db` (10.0.0.2) elsewhere, both in `shop`; the profile of
//! `shop` allows all.

use std::net::IpAddr;
use std::sync::Arc;

use calc::oracle::{self, endpoint_verdict};
use calc::{Compiled, Decision, Direction, Graph, Packet, Reason, Transport, World};
use model::selector::Selector;
use model::{
    Action, DefaultAction, EndpointPort, EndpointSlice, EndpointSliceId, EntityMatch, Family,
    IcmpMatch, Key, NetworkSet, NetworkSetId, Order, Policy, PolicyId, PolicyKind, PolicyTypes,
    PortMatch, PortRange, Profile, Protocol, Resource, Rule, ServiceRef, Staged, Tier, Update,
    WorkloadEndpoint, WorkloadEndpointId,
};

const NODE: &str = "here";

/// A world, told to the oracle and to a graph.
struct Case {
    world: World,
    graph: Graph,
}

fn pod(node: &str, workload: &str) -> WorkloadEndpointId {
    WorkloadEndpointId {
        node: node.into(),
        orchestrator: "k8s".into(),
        namespace: "shop".into(),
        workload: workload.into(),
        endpoint: "eth0".into(),
    }
}

fn workload(app: &str, addresses: &[&str]) -> WorkloadEndpoint {
    let label = |key: &str, value: &str| (Box::from(key), Box::from(value));
    WorkloadEndpoint {
        labels: [label("app", app), label(model::labels::NAMESPACE, "shop")].into(),
        nets: addresses
            .iter()
            .map(|text| text.parse().expect("a network or an address"))
            .collect(),
        profiles: vec!["kns.shop".into()],
        ports: vec![EndpointPort {
            name: "sql".into(),
            protocol: Protocol::TCP,
            port: 5432,
            host_port: 0,
            host_ip: None,
        }],
        ..WorkloadEndpoint::default()
    }
}

fn policy_id(name: &str) -> PolicyId {
    PolicyId {
        kind: PolicyKind::GlobalNetworkPolicy,
        namespace: None,
        name: name.into(),
    }
}

fn slice_id(name: &str) -> EndpointSliceId {
    EndpointSliceId {
        namespace: "shop".into(),
        name: name.into(),
    }
}

/// A policy on everything, for both directions.
fn policy(tier: &str, order: f64, rules: Vec<Rule>) -> Policy {
    Policy {
        tier: tier.into(),
        order: Order::new(order),
        selector: Selector::all(),
        types: PolicyTypes {
            ingress: true,
            egress: true,
        },
        ingress: rules.clone(),
        egress: rules,
        staged: Staged::No,
        do_not_track: false,
        pre_dnat: false,
        apply_on_forward: false,
        always_active: false,
    }
}

fn tcp(source: &str, destination: &str, port: u16) -> Packet {
    Packet {
        protocol: Protocol::TCP,
        source: source.parse().expect("a network or an address"),
        destination: destination.parse().expect("a network or an address"),
        transport: Transport::Ports {
            source: 40_000,
            destination: port,
        },
    }
}

fn to_web() -> Packet {
    tcp("10.0.0.2", "10.0.0.1", 80)
}

impl Case {
    fn new() -> Case {
        let mut case = Case {
            world: World::default(),
            graph: Graph::new(NODE),
        };
        case.set(
            Key::WorkloadEndpoint(pod(NODE, "web")),
            Resource::WorkloadEndpoint(workload("web", &["10.0.0.1", "fd00::1"])),
        );
        case.set(
            Key::WorkloadEndpoint(pod("there", "db")),
            Resource::WorkloadEndpoint(workload("db", &["10.0.0.2", "fd00::2"])),
        );
        let all = vec![Rule::any(Action::Allow)];
        let labels = [(Box::from("pcns.team"), Box::from("core"))].into();
        case.profile(
            "kns.shop",
            Profile {
                ingress: all.clone(),
                egress: all,
                labels,
            },
        );
        case.tier("default", 1_000_000.0, DefaultAction::Deny);
        case.graph.in_sync();
        case
    }

    fn set(&mut self, key: Key, value: Resource) {
        let update = Update {
            key,
            value: Some(value),
        };
        self.graph.apply(update.clone());
        self.world.apply(update);
    }

    fn remove(&mut self, key: Key) {
        let update = Update { key, value: None };
        self.graph.apply(update.clone());
        self.world.apply(update);
    }

    fn tier(&mut self, name: &str, order: f64, default_action: DefaultAction) {
        let tier = Tier {
            order: Order::new(order),
            default_action,
        };
        self.set(Key::Tier(name.into()), Resource::Tier(tier));
    }

    fn policy(&mut self, name: &str, policy: Policy) {
        self.set(
            Key::Policy(policy_id(name)),
            Resource::Policy(Arc::new(policy)),
        );
    }

    fn profile(&mut self, name: &str, profile: Profile) {
        self.set(
            Key::Profile(name.into()),
            Resource::Profile(Arc::new(profile)),
        );
    }

    fn net_set(&mut self, name: &str, nets: &[&str]) {
        let set = NetworkSet {
            labels: [(Box::from("set"), Box::from(name))].into(),
            profiles: Vec::new(),
            nets: nets
                .iter()
                .map(|text| text.parse().expect("a network or an address"))
                .collect(),
        };
        self.set(
            Key::NetworkSet(NetworkSetId {
                namespace: None,
                name: name.into(),
            }),
            Resource::NetworkSet(set),
        );
    }

    /// A slice of a service in `shop`.
    fn slice(&mut self, name: &str, service: &str, addresses: &[&str], ports: &[(Protocol, u16)]) {
        let slice = EndpointSlice {
            service: service.into(),
            addresses: addresses
                .iter()
                .map(|text| text.parse().expect("an address"))
                .collect(),
            ports: ports.to_vec(),
        };
        self.set(
            Key::EndpointSlice(slice_id(name)),
            Resource::EndpointSlice(slice),
        );
    }

    /// What becomes of a packet to `web`, and why.
    #[track_caller]
    fn check(&mut self, packet: &Packet, expected: &str) {
        self.check_way(Direction::Ingress, packet, expected);
    }

    #[track_caller]
    fn check_way(&mut self, direction: Direction, packet: &Packet, expected: &str) {
        let verdict = endpoint_verdict(&self.world, &pod(NODE, "web"), direction, packet);
        assert_eq!(verdict.to_string(), expected);
        let mut compiled = Compiled::default();
        let mut graph = Graph::new(NODE);
        for (key, value) in self.world.iter() {
            graph.apply(Update {
                key: key.clone(),
                value: Some(value.clone()),
            });
        }
        graph.in_sync();
        for change in graph.drain() {
            compiled.apply(change).expect("references come first");
        }
        assert_eq!(
            compiled.verdict(&pod(NODE, "web"), direction, packet),
            verdict,
            "the compiled policy differs"
        );
    }

    /// A rule, alone in a policy that applies, matches a packet to `web`.
    #[track_caller]
    fn check_match(&mut self, rule: &Rule, packet: &Packet) {
        self.policy("rule", policy("default", 1.0, vec![rule.clone()]));
        self.check(packet, "allow (tier default, policy gnp/rule, rule 0)");
    }

    /// It does not match.
    #[track_caller]
    fn check_no_match(&mut self, rule: &Rule, packet: &Packet) {
        self.policy("rule", policy("default", 1.0, vec![rule.clone()]));
        self.check(packet, "deny (end of tier default)");
    }
}

fn rule_from(source: EntityMatch) -> Rule {
    Rule {
        source,
        ..Rule::any(Action::Allow)
    }
}

fn rule_to(destination: EntityMatch) -> Rule {
    Rule {
        destination,
        ..Rule::any(Action::Allow)
    }
}

fn selected(text: &str) -> EntityMatch {
    EntityMatch {
        selector: Some(Selector::parse(text).expect("a selector")),
        ..EntityMatch::default()
    }
}

#[test]
fn without_policy_the_profiles_decide() {
    let mut case = Case::new();
    case.check(&to_web(), "allow (profile kns.shop, rule 0)");
    case.profile("kns.shop", Profile::default());
    case.check(&to_web(), "deny (no profile matched)");
    case.remove(Key::Profile("kns.shop".into()));
    case.check(&to_web(), "deny (profile kns.shop does not exist)");
}

#[test]
fn profiles_are_asked_in_order_and_a_missing_one_ends_it() {
    let mut case = Case::new();
    let mut web = workload("web", &["10.0.0.1"]);
    web.profiles = vec!["empty".into(), "absent".into(), "kns.shop".into()];
    case.set(
        Key::WorkloadEndpoint(pod(NODE, "web")),
        Resource::WorkloadEndpoint(web.clone()),
    );
    case.profile(
        "empty",
        Profile {
            ingress: vec![Rule::any(Action::Pass)],
            ..Profile::default()
        },
    );
    case.check(&to_web(), "deny (profile absent does not exist)");
    web.profiles.remove(1);
    case.set(
        Key::WorkloadEndpoint(pod(NODE, "web")),
        Resource::WorkloadEndpoint(web.clone()),
    );
    case.check(&to_web(), "allow (profile kns.shop, rule 0)");
    web.profiles.clear();
    case.set(
        Key::WorkloadEndpoint(pod(NODE, "web")),
        Resource::WorkloadEndpoint(web),
    );
    case.check(&to_web(), "deny (no profile matched)");
}

#[test]
fn a_tier_with_a_policy_that_applies_denies_at_its_end() {
    let mut case = Case::new();
    case.policy("empty", policy("default", 1.0, vec![]));
    case.check(&to_web(), "deny (end of tier default)");
    case.tier("default", 1.0, DefaultAction::Pass);
    case.check(&to_web(), "allow (profile kns.shop, rule 0)");
    case.remove(Key::Tier("default".into()));
    case.check(&to_web(), "deny (end of tier default)");
}

#[test]
fn only_policies_that_apply_count_at_the_end_of_a_tier() {
    let mut case = Case::new();
    let mut other = policy("default", 1.0, vec![]);
    other.selector = Selector::parse("app == 'db'").unwrap();
    case.policy("other", other);
    let mut egress = policy("default", 1.0, vec![]);
    egress.types.ingress = false;
    case.policy("egress", egress);
    let mut staged = policy("default", 1.0, vec![Rule::any(Action::Deny)]);
    staged.staged = Staged::Set;
    case.policy("staged", staged);
    case.check(&to_web(), "allow (profile kns.shop, rule 0)");
    case.check_way(
        Direction::Egress,
        &tcp("10.0.0.1", "10.0.0.2", 80),
        "deny (end of tier default)",
    );
}

#[test]
fn a_tier_with_staged_policies_alone_is_passed() {
    for staged in [Staged::Set, Staged::Delete, Staged::Learn, Staged::Ignore] {
        let mut case = Case::new();
        let mut only = policy("first", 1.0, vec![Rule::any(Action::Deny)]);
        only.staged = staged;
        case.policy("only", only);
        case.check(&to_web(), "allow (profile kns.shop, rule 0)");
        case.policy(
            "open",
            policy("second", 1.0, vec![Rule::any(Action::Allow)]),
        );
        case.check(&to_web(), "allow (tier second, policy gnp/open, rule 0)");
    }
}

#[test]
fn pass_goes_to_the_next_tier_log_to_the_next_rule() {
    let mut case = Case::new();
    case.tier("first", 10.0, DefaultAction::Deny);
    let rules = vec![
        Rule::any(Action::Log),
        Rule::any(Action::Pass),
        Rule::any(Action::Deny),
    ];
    case.policy("guard", policy("first", 1.0, rules));
    case.policy("never", policy("first", 2.0, vec![Rule::any(Action::Deny)]));
    case.check(&to_web(), "allow (profile kns.shop, rule 0)");
    case.policy(
        "open",
        policy("default", 1.0, vec![Rule::any(Action::Allow)]),
    );
    case.check(&to_web(), "allow (tier default, policy gnp/open, rule 0)");
}

#[test]
fn tiers_go_by_order_then_name_and_lost_ones_last() {
    let mut case = Case::new();
    let deny = || policy("lost", 1.0, vec![Rule::any(Action::Deny)]);
    case.policy("in-lost", deny());
    case.check(&to_web(), "deny (tier lost, policy gnp/in-lost, rule 0)");
    case.policy(
        "in-default",
        policy("default", 1.0, vec![Rule::any(Action::Allow)]),
    );
    case.check(
        &to_web(),
        "allow (tier default, policy gnp/in-default, rule 0)",
    );
    case.policy("in-b", policy("b", 1.0, vec![Rule::any(Action::Deny)]));
    case.tier("b", 5.0, DefaultAction::Deny);
    case.policy("in-a", policy("a", 1.0, vec![Rule::any(Action::Allow)]));
    case.tier("a", 5.0, DefaultAction::Deny);
    case.check(&to_web(), "allow (tier a, policy gnp/in-a, rule 0)");
    case.set(
        Key::Tier("a".into()),
        Resource::Tier(Tier {
            order: Order::LAST,
            default_action: DefaultAction::Deny,
        }),
    );
    case.check(&to_web(), "deny (tier b, policy gnp/in-b, rule 0)");
    case.remove(Key::Tier("b".into()));
    case.check(
        &to_web(),
        "allow (tier default, policy gnp/in-default, rule 0)",
    );
}

#[test]
fn policies_go_by_order_then_name_namespace_kind() {
    let mut case = Case::new();
    let allow = |order| policy("default", order, vec![Rule::any(Action::Allow)]);
    case.policy("z", allow(1.0));
    case.policy("a", policy("default", 2.0, vec![Rule::any(Action::Deny)]));
    case.check(&to_web(), "allow (tier default, policy gnp/z, rule 0)");
    case.policy("m", allow(1.0));
    case.check(&to_web(), "allow (tier default, policy gnp/m, rule 0)");
    let mut unordered = allow(1.0);
    unordered.order = Order::LAST;
    case.policy("m", unordered.clone());
    case.policy("z", unordered.clone());
    case.check(&to_web(), "deny (tier default, policy gnp/a, rule 0)");
    case.remove(Key::Policy(policy_id("a")));
    // `a-b/...` sorts before `a/...`: the text is compared as a whole, and `-` comes before `/`.
    case.policy("a-b", unordered.clone());
    case.policy("a", unordered);
    case.check(&to_web(), "allow (tier default, policy gnp/a-b, rule 0)");
}

#[test]
fn labels_come_from_profiles_unless_the_endpoint_has_them() {
    let mut case = Case::new();
    let mut inherited = policy("default", 1.0, vec![Rule::any(Action::Deny)]);
    inherited.selector = Selector::parse("pcns.team == 'core'").unwrap();
    case.policy("team", inherited);
    case.check(&to_web(), "deny (tier default, policy gnp/team, rule 0)");
    let mut web = workload("web", &["10.0.0.1"]);
    web.labels.insert("pcns.team".into(), "own".into());
    case.set(
        Key::WorkloadEndpoint(pod(NODE, "web")),
        Resource::WorkloadEndpoint(web),
    );
    case.check(&to_web(), "allow (profile kns.shop, rule 0)");
}

#[test]
fn selectors_select_endpoints_and_network_sets() {
    let mut case = Case::new();
    case.net_set("office", &["192.0.2.0/24", "10.0.0.2/32"]);
    let office = || tcp("192.0.2.9", "10.0.0.1", 80);
    case.check_match(&rule_from(selected("app == 'db'")), &to_web());
    case.check_no_match(&rule_from(selected("app == 'web'")), &to_web());
    case.check_match(&rule_from(selected("set == 'office'")), &office());
    case.check_match(&rule_from(selected("all()")), &office());
    case.check_no_match(
        &rule_from(selected("all()")),
        &tcp("203.0.113.1", "10.0.0.1", 80),
    );
    case.check_match(&rule_from(selected("pcns.team == 'core'")), &to_web());
    // Alone, a not-selector permits what Calico does not know.
    let not = |text| EntityMatch {
        not_selector: Some(Selector::parse(text).unwrap()),
        ..EntityMatch::default()
    };
    case.check_no_match(&rule_from(not("app == 'db'")), &to_web());
    case.check_match(
        &rule_from(not("app == 'db'")),
        &tcp("203.0.113.1", "10.0.0.1", 80),
    );
    // With a selector it narrows that: the address must be of something that is the one and not the other.
    let both = |yes, no| EntityMatch {
        selector: Some(Selector::parse(yes).unwrap()),
        ..not(no)
    };
    case.check_no_match(&rule_from(both("has(app)", "app == 'db'")), &to_web());
    case.check_match(&rule_from(both("has(app)", "set == 'office'")), &to_web());
    case.check_no_match(
        &rule_from(both("all()", "app == 'none'")),
        &tcp("203.0.113.1", "10.0.0.1", 80),
    );
}

#[test]
fn networks_and_families() {
    let mut case = Case::new();
    let nets = |list: &[&str]| Some(list.iter().map(|text| text.parse().unwrap()).collect());
    let v6 = || tcp("fd00::2", "fd00::1", 80);
    let with = |entity| rule_from(entity);
    let yes = |list: &[&str]| EntityMatch {
        nets: nets(list),
        ..EntityMatch::default()
    };
    let no = |list: &[&str]| EntityMatch {
        not_nets: nets(list).unwrap(),
        ..EntityMatch::default()
    };
    case.check_match(&with(yes(&["10.0.0.0/8"])), &to_web());
    case.check_no_match(&with(yes(&["11.0.0.0/8"])), &to_web());
    case.check_match(&with(yes(&["11.0.0.0/8", "fd00::/8"])), &v6());
    case.check_no_match(&with(yes(&[])), &to_web());
    case.check_no_match(&with(no(&["10.0.0.0/8"])), &to_web());
    case.check_match(&with(no(&["11.0.0.0/8"])), &to_web());
    // A list of IPv4 networks makes the rule one for IPv4, also a list of networks to leave out.
    case.check_no_match(&with(no(&["11.0.0.0/8"])), &v6());
    case.check_match(&with(no(&["11.0.0.0/8", "fe80::/16"])), &v6());
    case.check_no_match(
        &Rule {
            family: Some(Family::V4),
            ..Rule::any(Action::Allow)
        },
        &v6(),
    );
    let mut contradiction = with(yes(&["10.0.0.0/8"]));
    contradiction.destination = yes(&["fd00::/8"]);
    case.check_no_match(&contradiction, &to_web());
}

#[test]
fn ports_by_number_and_by_name() {
    let mut case = Case::new();
    let range = |first, last| PortMatch::Range(PortRange::new(first, last).unwrap());
    let name = |name: &str| PortMatch::Named(name.into());
    let ports = |list: Vec<PortMatch>| EntityMatch {
        ports: Some(list),
        ..EntityMatch::default()
    };
    let not_ports = |list| EntityMatch {
        not_ports: list,
        ..EntityMatch::default()
    };
    let sql = || tcp("10.0.0.2", "10.0.0.1", 5432);
    let icmp = || Packet {
        protocol: Protocol::ICMP,
        transport: Transport::Icmp { kind: 8, code: 0 },
        ..to_web()
    };
    case.check_match(
        &rule_to(ports(vec![range(79, 80), range(90, 91)])),
        &to_web(),
    );
    case.check_no_match(&rule_to(ports(vec![range(81, 90)])), &to_web());
    case.check_no_match(&rule_to(ports(vec![])), &to_web());
    case.check_no_match(&rule_to(ports(vec![range(0, 65535)])), &icmp());
    case.check_no_match(&rule_to(not_ports(vec![range(80, 80)])), &to_web());
    case.check_match(&rule_to(not_ports(vec![range(80, 80)])), &icmp());
    case.check_match(&rule_from(ports(vec![range(40_000, 40_000)])), &to_web());
    case.check_match(&rule_to(ports(vec![name("sql")])), &sql());
    case.check_no_match(&rule_to(ports(vec![name("sql")])), &to_web());
    case.check_match(&rule_to(ports(vec![name("sql"), range(80, 80)])), &to_web());
    case.check_no_match(&rule_to(ports(vec![name("other")])), &sql());
    case.check_no_match(&rule_to(not_ports(vec![name("sql")])), &sql());
    // A named port is looked for only among what the selector selects.
    let among = |text, list| EntityMatch {
        ports: Some(list),
        ..selected(text)
    };
    case.check_match(&rule_to(among("app == 'web'", vec![name("sql")])), &sql());
    case.check_no_match(&rule_to(among("app == 'db'", vec![name("sql")])), &sql());
    let udp = Rule {
        protocol: Some(Protocol::UDP),
        ..rule_to(ports(vec![name("sql")]))
    };
    case.check_no_match(
        &udp,
        &Packet {
            protocol: Protocol::UDP,
            ..sql()
        },
    );
}

#[test]
fn protocols_and_icmp() {
    let mut case = Case::new();
    let any = || Rule::any(Action::Allow);
    let icmp = |kind, code| Packet {
        protocol: Protocol::ICMP,
        transport: Transport::Icmp { kind, code },
        ..to_web()
    };
    case.check_match(
        &Rule {
            protocol: Some(Protocol::TCP),
            ..any()
        },
        &to_web(),
    );
    case.check_no_match(
        &Rule {
            protocol: Some(Protocol::UDP),
            ..any()
        },
        &to_web(),
    );
    case.check_no_match(
        &Rule {
            not_protocol: Some(Protocol::TCP),
            ..any()
        },
        &to_web(),
    );
    case.check_match(
        &Rule {
            not_protocol: Some(Protocol::UDP),
            ..any()
        },
        &to_web(),
    );
    let echo = |code| Rule {
        protocol: Some(Protocol::ICMP),
        icmp: Some(IcmpMatch { kind: 8, code }),
        ..any()
    };
    case.check_match(&echo(None), &icmp(8, 3));
    case.check_no_match(&echo(Some(0)), &icmp(8, 3));
    case.check_no_match(&echo(None), &icmp(0, 0));
    let not_echo = Rule {
        not_icmp: Some(IcmpMatch {
            kind: 8,
            code: None,
        }),
        ..any()
    };
    case.check_no_match(&not_echo, &icmp(8, 0));
    case.check_match(&not_echo, &icmp(0, 0));
    case.check_match(&not_echo, &to_web());
}

#[test]
fn a_packet_is_judged_where_it_leaves_and_where_it_arrives() {
    let mut case = Case::new();
    let verdict = |case: &Case, packet: &Packet| oracle::verdict(&case.world, packet);
    assert_eq!(
        verdict(&case, &tcp("10.0.0.1", "10.0.0.2", 80)).action,
        Decision::Allow
    );
    assert_eq!(
        verdict(&case, &tcp("203.0.113.1", "203.0.113.2", 80)).reason,
        Reason::NoEndpoint
    );
    let mut egress = policy("default", 1.0, vec![Rule::any(Action::Deny)]);
    egress.types.ingress = false;
    egress.selector = Selector::parse("app == 'web'").unwrap();
    case.policy("egress", egress);
    assert_eq!(
        verdict(&case, &tcp("10.0.0.1", "10.0.0.2", 80)).action,
        Decision::Deny
    );
    assert_eq!(
        verdict(&case, &tcp("10.0.0.2", "10.0.0.1", 80)).action,
        Decision::Allow
    );
    let address: IpAddr = "10.0.0.2".parse().unwrap();
    assert_eq!(case.world.endpoint_at(address), Some(&pod("there", "db")));
}

#[test]
fn services_mean_who_serves_them() {
    let mut case = Case::new();
    let service = |namespace: &str, name: &str| EntityMatch {
        service: Some(ServiceRef {
            namespace: namespace.into(),
            name: name.into(),
        }),
        ..EntityMatch::default()
    };
    let (tcp_80, udp_53) = ((Protocol::TCP, 80), (Protocol::UDP, 53));
    let v6 = || tcp("fd00::2", "fd00::1", 80);
    let to = || rule_to(service("shop", "web"));
    let from = || rule_from(service("shop", "db"));
    // A service of which nothing is known is nobody.
    case.check_no_match(&to(), &to_web());
    case.check_no_match(&from(), &to_web());
    // As a destination it is address, protocol and port together.
    case.slice("web-1", "web", &["10.0.0.1", "fd00::1"], &[tcp_80, udp_53]);
    case.check_match(&to(), &to_web());
    case.check_match(&to(), &v6());
    case.check_no_match(&to(), &tcp("10.0.0.2", "10.0.0.1", 81));
    case.check_no_match(&to(), &tcp("10.0.0.2", "10.0.0.1", 53));
    let icmp = Packet {
        protocol: Protocol::ICMP,
        transport: Transport::Icmp { kind: 8, code: 0 },
        ..to_web()
    };
    case.check_no_match(&to(), &icmp);
    case.check_no_match(&rule_to(service("other", "web")), &to_web());
    let udp = Rule {
        protocol: Some(Protocol::UDP),
        ..to()
    };
    case.check_no_match(&udp, &to_web());
    // As a source it is the addresses, whatever their ports.
    case.slice("db-1", "db", &["10.0.0.2"], &[]);
    case.check_match(&from(), &to_web());
    case.check_match(
        &from(),
        &Packet {
            source: to_web().source,
            ..icmp
        },
    );
    case.check_no_match(&from(), &v6());
    // Without numbered ports nothing leads to it.
    case.slice("web-1", "web", &["10.0.0.1"], &[]);
    case.check_no_match(&to(), &to_web());
    // Every slice of a service counts, but a port of one does not go with an address of another.
    case.slice("web-2", "web", &["10.0.0.9"], &[tcp_80]);
    case.check_no_match(&to(), &to_web());
    case.slice("web-3", "web", &["10.0.0.1"], &[tcp_80]);
    case.check_match(&to(), &to_web());
    // A slice may come to belong to another service.
    case.slice("web-3", "db", &["10.0.0.1"], &[tcp_80]);
    case.check_no_match(&to(), &to_web());
    case.check_match(&rule_to(service("shop", "db")), &to_web());
    case.remove(Key::EndpointSlice(slice_id("db-1")));
    case.check_no_match(&from(), &to_web());
}
