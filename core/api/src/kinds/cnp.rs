//! Kubernetes' ClusterNetworkPolicy (`policy.networking.k8s.io/v1alpha2`), turned into a policy of the tiers `kube-admin` and
//! `kube-baseline` as upstream turns it.
//!
//! A stored rule that cannot be converted fails closed: one that allows is left out, one that denies or passes becomes a rule
//! that denies everything. A policy whose tier or subject cannot be read counts as absent. On admission all of that is refused.

use std::sync::Arc;

use model::selector::Selector;
use model::{
    Action, Cidr, EntityMatch, Order, Policy, PolicyTypes, PortMatch, PortRange, Protocol,
    Resource, Rule, Staged, labels,
};

use super::knp::{by_protocol, label_selector, namespaces, pods};
use super::policy::join;
use super::required_spec;
use super::rules::{Direction, EntitySelector, entity_selector};
use crate::fields::{cidr, distinct, limit, limit_text, text};
use crate::names;
use crate::problem::Problem;
use crate::reader::{Fields, Item, Path, Purpose, Reader};

/// The most rules of a direction, peers of a rule, protocols of a rule, and networks of a peer.
const MAX: usize = 25;
/// The longest name of a rule.
const MAX_RULE_NAME: usize = 100;
/// The annotation of a rule that carries its name.
const RULE_NAME: &str = "name";

pub(crate) fn read(fields: &mut Fields<'_>) -> Option<Resource> {
    // Controllers write it; nothing reads it.
    fields.ignore(&["status"]);
    let policy = required_spec(fields, policy)?;
    Some(Resource::Policy(Arc::new(policy)))
}

fn policy(fields: &mut Fields<'_>) -> Option<Policy> {
    let tiers = [("Admin", "kube-admin"), ("Baseline", "kube-baseline")];
    let tier = fields.required("tier", |item| item.word(&tiers));
    let priority = fields.required("priority", |item| item.integer(0..=1000));
    let subject = fields.required("subject", |item| item.object(subject)?);
    let ingress = rules(fields, "ingress", Direction::Ingress);
    let egress = rules(fields, "egress", Direction::Egress);
    Some(Policy {
        tier: tier?.into(),
        order: Order::new(f64::from(i32::try_from(priority?).ok()?)),
        selector: subject?,
        types: PolicyTypes {
            ingress: !ingress.is_empty(),
            egress: !egress.is_empty(),
        },
        ingress,
        egress,
        staged: Staged::No,
        do_not_track: false,
        pre_dnat: false,
        apply_on_forward: false,
        always_active: false,
    })
}

/// What `subject` and the peers have in common: namespaces, or pods in namespaces.
struct Chosen {
    namespaces: Option<Selector>,
    pods: Option<Selector>,
}

fn chosen(fields: &mut Fields<'_>) -> Option<Chosen> {
    let by_namespace = fields.read("namespaces", label_selector);
    let by_pod = fields.read("pods", |item| {
        item.object(|fields| {
            // What is not there is empty, and so selects everything.
            let of_namespaces = fields.read("namespaceSelector", label_selector);
            let of_pods = if fields.reader().is_admission() {
                fields.required("podSelector", label_selector)
            } else {
                fields.read("podSelector", label_selector)
            };
            Chosen {
                namespaces: namespaces(&of_namespaces.unwrap_or_default()),
                pods: pods(&of_pods.unwrap_or_default()),
            }
        })
    });
    let by_namespace = by_namespace.map(|terms| Chosen {
        namespaces: namespaces(&terms),
        pods: None,
    });
    by_pod.or(by_namespace)
}

fn check_one_of(fields: &Fields<'_>, choices: &[&str]) {
    let given = choices.iter().filter(|field| fields.has(field)).count();
    if fields.reader().is_admission() && given != 1 {
        fields.wrong(
            "",
            format!("must have exactly one of {}", choices.join(", ")),
        );
    }
}

fn subject(fields: &mut Fields<'_>) -> Option<Selector> {
    check_one_of(fields, &["namespaces", "pods"]);
    let chosen = chosen(fields);
    if chosen.is_none() && !fields.reader().is_admission() {
        fields.wrong("", "must have namespaces or pods");
    }
    let Chosen {
        namespaces,
        pods: of_pods,
    } = chosen?;
    // Host endpoints are no subjects, whatever their labels.
    let endpoints = of_pods.or_else(|| pods(&[]));
    Some(join(
        endpoints,
        &namespaces?,
        labels::NAMESPACE_PREFIX,
        labels::NAMESPACE,
    ))
}

fn rules(fields: &mut Fields<'_>, field: &'static str, direction: Direction) -> Vec<Rule> {
    let rules = fields.read(field, |item| {
        limit(&item, MAX);
        item.list(|item| Some(rules_of(item, direction)))
    });
    rules.into_iter().flatten().flatten().collect()
}

/// The rules that one rule becomes: one per protocol and peer; what fails closed in their place.
fn rules_of(item: Item<'_>, direction: Direction) -> Vec<Rule> {
    if item.reader.is_admission() {
        let rules = item.object(|fields| rule(fields, direction));
        return rules.flatten().unwrap_or_default();
    }
    let reader = Reader::new(Purpose::Stored);
    let alone = Item {
        reader: &reader,
        path: &Path::Root,
        value: item.value,
    };
    let rules = alone.object(|fields| rule(fields, direction)).flatten();
    if let (Some(rules), true) = (rules, reader.into_problems().is_empty()) {
        return rules;
    }
    match item.value.get("action").and_then(serde_json::Value::as_str) {
        Some("Deny" | "Pass") => vec![Rule::any(Action::Deny)],
        Some(_) | None => Vec::new(),
    }
}

fn rule(fields: &mut Fields<'_>, direction: Direction) -> Option<Vec<Rule>> {
    let actions = [
        ("Accept", Action::Allow),
        ("Deny", Action::Deny),
        ("Pass", Action::Pass),
    ];
    let action = fields.required("action", |item| item.word(&actions));
    let name = fields.nonempty("name", |item| {
        limit_text(&item, MAX_RULE_NAME);
        text(item)
    });
    let protocols = fields.read("protocols", |item| {
        some_of(&item);
        item.list(|item| item.object(protocol)?)
    });
    let peers_field = match direction {
        Direction::Ingress => "from",
        Direction::Egress => "to",
    };
    let peers = fields.required(peers_field, |item| {
        some_of(&item);
        item.list(|item| item.object(|fields| peer(fields, direction))?)
    });
    let mut template = Rule::any(action?);
    if let Some(name) = name {
        template.annotations.insert(RULE_NAME.into(), name);
    }
    let (peers, mut out) = (peers?, Vec::new());
    for (protocol, ports) in by_protocol(protocols.unwrap_or_default()) {
        for peer in &peers {
            let mut rule = template.clone();
            rule.protocol = protocol;
            match direction {
                Direction::Ingress => rule.source = peer.clone(),
                Direction::Egress => rule.destination = peer.clone(),
            }
            rule.destination.ports.clone_from(&ports);
            out.push(rule);
        }
    }
    Some(out)
}

/// A list that is there has members, and not too many.
fn some_of(item: &Item<'_>) {
    limit(item, MAX);
    let empty = item.value.as_array().is_some_and(Vec::is_empty);
    if item.reader.is_admission() && empty {
        let problem = Problem::at(item.path.to_string(), "must not be empty");
        item.reader.report(problem);
    }
}

/// One entry of `protocols`; neither a protocol nor a port: everything.
fn protocol(fields: &mut Fields<'_>) -> Option<(Option<Protocol>, Option<PortMatch>)> {
    const PROTOCOLS: [(&str, Protocol); 3] = [
        ("tcp", Protocol::TCP),
        ("udp", Protocol::UDP),
        ("sctp", Protocol::SCTP),
    ];
    check_one_of(fields, &["tcp", "udp", "sctp", "destinationNamedPort"]);
    let mut found = None;
    for (field, protocol) in PROTOCOLS {
        let ports = fields.read(field, |item| item.object(destination));
        found = found.or(ports.map(|port| (Some(protocol), port)));
    }
    let named = fields.nonempty("destinationNamedPort", |item| {
        let text = item.text()?;
        if !names::is_rule_port_name(text) {
            item.wrong("is no name of a port");
            return None;
        }
        Some(PortMatch::Named(text.into()))
    });
    Some(found.unwrap_or((None, named)))
}

/// `{destinationPort: {number} or {range: {start, end}}}`.
fn destination(fields: &mut Fields<'_>) -> Option<PortMatch> {
    if fields.reader().is_admission() && !fields.has("destinationPort") {
        fields.wrong("destinationPort", "is required");
    }
    let number = |item: Item<'_>| u16::try_from(item.integer(1..=65535)?).ok();
    fields.read("destinationPort", |item| {
        item.object(|fields| {
            check_one_of(fields, &["number", "range"]);
            let one = fields.read("number", number).map(PortRange::one);
            let range = fields.read("range", |item| {
                item.object(|fields| {
                    let first = fields.required("start", number);
                    let last = fields.required("end", number);
                    let range = PortRange::new(first?, last?);
                    if range.is_none_or(|range| range.first() == range.last()) {
                        fields.wrong("", "must have a start below its end");
                    }
                    range
                })?
            });
            one.or(range).map(PortMatch::Range)
        })?
    })
}

fn peer(fields: &mut Fields<'_>, direction: Direction) -> Option<EntityMatch> {
    let choices: &[&str] = match direction {
        Direction::Ingress => &["namespaces", "pods"],
        Direction::Egress => &["namespaces", "pods", "networks"],
    };
    check_one_of(fields, choices);
    let nets = match direction {
        Direction::Ingress => None,
        Direction::Egress => fields.read("networks", |item| {
            some_of(&item);
            distinct(&item);
            item.list(network)
        }),
    };
    let nets = nets.filter(|nets| !nets.is_empty());
    let chosen = chosen(fields);
    if nets.is_none() && chosen.is_none() && !fields.reader().is_admission() {
        fields.wrong("", format!("must have one of {}", choices.join(", ")));
    }
    let selector = chosen.and_then(|chosen| {
        entity_selector(EntitySelector {
            namespaces: chosen.namespaces,
            accounts: None,
            own: chosen.pods,
            negated: false,
            policy_namespace: None,
        })
    });
    Some(EntityMatch {
        nets,
        selector,
        ..EntityMatch::default()
    })
}

fn network(item: Item<'_>) -> Option<Cidr> {
    let net = cidr(item)?;
    let bare = item.value.as_str().is_some_and(|text| !text.contains('/'));
    if bare {
        item.wrong_hint("has no prefix length", format!("write {net}"));
    }
    Some(net)
}
