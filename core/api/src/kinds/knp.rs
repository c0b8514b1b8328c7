//! Kubernetes' own NetworkPolicy, turned into a policy of the default tier as upstream turns it.
//!
//! A stored rule that cannot be converted is left out and the others are kept: rules only allow, so that this fails closed.
//! On admission such a rule is refused.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::selector::Selector;
use model::{
    Action, Cidr, EntityMatch, Order, Policy, PolicyTypes, PortMatch, PortRange, Protocol,
    Resource, Rule, Staged, labels,
};

use serde_json::Value;

use super::policy::{check_deletion, staged_action};
use super::rules::{Direction, EntitySelector, entity_selector};
use super::{Identity, spec};
use crate::fields::{cidr, distinct, port_of_text};
use crate::names;
use crate::reader::{Fields, Item, Path, Purpose, Reader};

/// Where all of them stand in the default tier.
const ORDER: f64 = 1000.0;

pub(crate) fn read(id: &Identity<'_>, fields: &mut Fields<'_>) -> Option<Resource> {
    let ns = id.namespace?;
    // Old clusters write it; nothing reads it.
    fields.ignore(&["status"]);
    let policy = spec(fields, |fields| Some(policy(ns, fields)));
    let policy = match policy {
        Some(policy) => policy,
        None if fields.has("spec") => return None,
        None => empty(ns),
    };
    Some(Resource::Policy(Arc::new(policy)))
}

/// v3 `StagedKubernetesNetworkPolicy`: the same, only reported.
pub(crate) fn staged(id: &Identity<'_>, fields: &mut Fields<'_>) -> Option<Resource> {
    let ns = id.namespace?;
    let policy = spec(fields, |fields| {
        let staged = staged_action(fields);
        fields.read("policyTypes", |item| {
            distinct(&item);
            Some(())
        });
        let policy = policy(ns, fields);
        check_deletion(fields, staged, &[]);
        Some(Policy { staged, ..policy })
    });
    let policy = match policy {
        Some(policy) => policy,
        None if fields.has("spec") => return None,
        None => Policy {
            staged: Staged::Set,
            ..empty(ns)
        },
    };
    Some(Resource::Policy(Arc::new(policy)))
}

fn empty(ns: &str) -> Policy {
    let own = Selector::label_is(labels::NAMESPACE, ns);
    Policy {
        tier: "default".into(),
        order: Order::new(ORDER),
        selector: pods(&[]).map_or_else(|| own.clone(), |pods| pods.and(&own)),
        types: PolicyTypes {
            ingress: true,
            egress: false,
        },
        ingress: Vec::new(),
        egress: Vec::new(),
        staged: Staged::No,
        do_not_track: false,
        pre_dnat: false,
        apply_on_forward: false,
        always_active: false,
    }
}

fn policy(ns: &str, fields: &mut Fields<'_>) -> Policy {
    let own = Selector::label_is(labels::NAMESPACE, ns);
    let terms = fields.read("podSelector", label_selector);
    let selector = pods(&terms.unwrap_or_default()).map(|pods| pods.and(&own));
    let ingress = fields.list("ingress", |item| rules(item, ns, Direction::Ingress));
    let egress = fields.list("egress", |item| rules(item, ns, Direction::Egress));
    let words = [
        ("Ingress", Direction::Ingress),
        ("Egress", Direction::Egress),
    ];
    let types = fields.list("policyTypes", |item| item.word(&words));
    let egress_named = types.contains(&Direction::Egress);
    Policy {
        // A policy whose selector cannot be read is reported, and so never used.
        selector: selector.unwrap_or(own),
        types: PolicyTypes {
            ingress: types.contains(&Direction::Ingress) || !egress_named,
            egress: egress_named,
        },
        ingress: ingress.into_iter().flatten().collect(),
        egress: egress.into_iter().flatten().collect(),
        ..empty(ns)
    }
}

/// The rules that one rule becomes: one per protocol and peer.
fn rules(item: Item<'_>, ns: &str, direction: Direction) -> Option<Vec<Rule>> {
    if item.reader.is_admission() {
        return item.object(|fields| rule(fields, ns, direction))?;
    }
    let reader = Reader::new(Purpose::Stored);
    let alone = Item {
        reader: &reader,
        path: &Path::Root,
        value: item.value,
    };
    let rules = alone.object(|fields| rule(fields, ns, direction))?;
    rules.filter(|_| reader.into_problems().is_empty())
}

fn rule(fields: &mut Fields<'_>, ns: &str, direction: Direction) -> Option<Vec<Rule>> {
    let peers_field = match direction {
        Direction::Ingress => "from",
        Direction::Egress => "to",
    };
    let mut peers = fields.list(peers_field, |item| item.object(|fields| peer(fields, ns)));
    let ports = fields.list("ports", |item| item.object(port)?);
    if peers.is_empty() && !fields.has_content(peers_field) {
        peers.push(EntityMatch::default());
    }
    let mut out = Vec::new();
    for (protocol, ports) in by_protocol(ports) {
        for peer in &peers {
            let mut rule = Rule::any(Action::Allow);
            rule.protocol = protocol;
            let (peer_side, port_side) = match direction {
                Direction::Ingress => (&mut rule.source, &mut rule.destination),
                Direction::Egress => (&mut rule.destination, &mut EntityMatch::default()),
            };
            *peer_side = peer.clone();
            match direction {
                Direction::Ingress => port_side.ports = ports.clone(),
                Direction::Egress => peer_side.ports = ports.clone(),
            }
            out.push(rule);
        }
    }
    Some(out)
}

/// The ports of each protocol, by the protocol's name; `None` is every protocol, and every port, and wins over any list.
pub(super) fn by_protocol(
    ports: Vec<(Option<Protocol>, Option<PortMatch>)>,
) -> Vec<(Option<Protocol>, Option<Vec<PortMatch>>)> {
    if ports.is_empty() || ports.contains(&(None, None)) {
        return vec![(None, None)];
    }
    let mut by_name: BTreeMap<String, (Option<Protocol>, Option<Vec<PortMatch>>)> = BTreeMap::new();
    for (protocol, port) in ports {
        let name = protocol.map_or_else(String::new, |protocol| protocol.to_string());
        let entry = by_name
            .entry(name)
            .or_insert_with(|| (protocol, Some(Vec::new())));
        match (&mut entry.1, port) {
            (Some(list), Some(port)) => list.push(port),
            (all, None) => *all = None,
            (None, Some(_)) => {}
        }
    }
    by_name
        .into_values()
        .map(|(protocol, ports)| (protocol, ports.map(simplified)))
        .collect()
}

/// Names first, then the numbers as the fewest ranges.
fn simplified(ports: Vec<PortMatch>) -> Vec<PortMatch> {
    let mut out = Vec::new();
    let mut ranges: Vec<PortRange> = Vec::new();
    for port in ports {
        match port {
            PortMatch::Named(_) => out.push(port),
            PortMatch::Range(range) => ranges.push(range),
        }
    }
    ranges.sort_unstable();
    let mut merged: Vec<PortRange> = Vec::new();
    for range in ranges {
        let joined = merged
            .last()
            .filter(|last| range.first() <= last.last().saturating_add(1))
            .and_then(|last| PortRange::new(last.first(), last.last().max(range.last())));
        match (joined, merged.last_mut()) {
            (Some(joined), Some(last)) => *last = joined,
            (_, _) => merged.push(range),
        }
    }
    out.extend(merged.into_iter().map(PortMatch::Range));
    out
}

/// One entry of `ports`: TCP unless it says otherwise, every port unless it names one.
fn port(fields: &mut Fields<'_>) -> Option<(Option<Protocol>, Option<PortMatch>)> {
    let words = [
        ("TCP", Protocol::TCP),
        ("UDP", Protocol::UDP),
        ("SCTP", Protocol::SCTP),
    ];
    let given = fields.has_content("protocol");
    let protocol = fields.nonempty("protocol", |item| item.word(&words));
    let end = fields.read("endPort", |item| item.integer(1..=65535));
    let has_port = fields.has("port");
    let port = fields.read("port", |item| port_value(item, end));
    if end.is_some() && !has_port {
        fields.wrong("endPort", "needs a port beside it");
    }
    if (given && protocol.is_none()) || (has_port && port.is_none()) {
        return None;
    }
    Some((Some(protocol.unwrap_or(Protocol::TCP)), port))
}

fn port_value(item: Item<'_>, end: Option<i64>) -> Option<PortMatch> {
    let text = match item.value {
        Value::String(name) => name.clone(),
        Value::Number(number) if number.is_u64() => number.to_string(),
        // What is neither has the text of no port.
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            String::new()
        }
    };
    let text = end.map_or(text.clone(), |end| format!("{text}:{end}"));
    let port = port_of_text(&text);
    if port.is_none() {
        item.wrong(
            "is no port: a number from 1 to 65535 (not above endPort), or the name of a port",
        );
    }
    port
}

fn peer(fields: &mut Fields<'_>, ns: &str) -> EntityMatch {
    let block = fields.read("ipBlock", |item| item.object(ip_block));
    let pod_terms = fields.read("podSelector", label_selector);
    let namespace_terms = fields.read("namespaceSelector", label_selector);
    if let Some((net, except)) = block {
        if pod_terms.is_some() || namespace_terms.is_some() {
            fields.wrong(
                "ipBlock",
                "cannot be combined with podSelector or namespaceSelector",
            );
        }
        return EntityMatch {
            nets: net.map(|net| vec![net]),
            not_nets: except,
            ..EntityMatch::default()
        };
    }
    if pod_terms.is_none() && namespace_terms.is_none() && fields.reader().is_admission() {
        fields.wrong("", "must have podSelector, namespaceSelector or ipBlock");
    }
    let selector = entity_selector(EntitySelector {
        namespaces: namespace_terms.and_then(|terms| namespaces(&terms)),
        accounts: None,
        own: pods(&pod_terms.unwrap_or_default()),
        negated: false,
        policy_namespace: Some(ns),
    });
    EntityMatch {
        selector,
        ..EntityMatch::default()
    }
}

fn ip_block(fields: &mut Fields<'_>) -> (Option<Cidr>, Vec<Cidr>) {
    let net = fields.required("cidr", cidr);
    let except = fields.list("except", |item| {
        let hole = cidr(item)?;
        if item.reader.is_admission() && net.is_some_and(|net| !net.covers(hole) || net == hole) {
            item.wrong("must lie inside of the block's cidr, and be smaller");
        }
        Some(hole)
    });
    (net, except)
}

/// The terms of a Kubernetes label selector in Calico's language, in upstream's order.
pub(super) fn label_selector(item: Item<'_>) -> Option<Vec<String>> {
    item.object(|fields| {
        let labels = fields.read("matchLabels", |item| {
            item.string_map(|at, key, value| {
                check_label(at, key);
                check_value(at, value);
            })
        });
        let mut terms: Vec<String> = labels
            .unwrap_or_default()
            .iter()
            .map(|(key, value)| format!("{key} == '{value}'"))
            .collect();
        terms.extend(fields.list("matchExpressions", |item| item.object(expression)?));
        terms
    })
}

/// What is no label could end a quoted text early, and so is refused in the store too.
fn check_label(at: Item<'_>, key: &str) {
    if !names::is_qualified_name(key) {
        at.wrong("is no name of a label");
    }
}

fn check_value(at: Item<'_>, value: &str) {
    if !names::is_label_value(value) {
        at.wrong("is no value of a label");
    }
}

#[derive(Clone, Copy)]
enum Operator {
    In,
    NotIn,
    Exists,
    DoesNotExist,
}

fn expression(fields: &mut Fields<'_>) -> Option<String> {
    let key = fields.required("key", |item| {
        let key = item.text()?;
        check_label(item, key);
        Some(key.to_owned())
    });
    let values = fields.list("values", |item| {
        let value = item.text()?;
        check_value(item, value);
        Some(value.to_owned())
    });
    let words = [
        ("In", Operator::In),
        ("NotIn", Operator::NotIn),
        ("Exists", Operator::Exists),
        ("DoesNotExist", Operator::DoesNotExist),
    ];
    let operator = fields.required("operator", |item| item.word(&words));
    let (key, operator) = key.zip(operator)?;
    let takes_values = matches!(operator, Operator::In | Operator::NotIn);
    if takes_values == values.is_empty() {
        let message = if takes_values {
            "are required by In and NotIn"
        } else {
            "are only for In and NotIn"
        };
        fields.wrong("values", message);
        return None;
    }
    let list = values.join("', '");
    Some(match operator {
        Operator::In => format!("{key} in {{ '{list}' }}"),
        Operator::NotIn => format!("{key} not in {{ '{list}' }}"),
        Operator::Exists => format!("has({key})"),
        Operator::DoesNotExist => format!("! has({key})"),
    })
}

/// Pods are the endpoints that Kubernetes orchestrates.
pub(super) fn pods(terms: &[String]) -> Option<Selector> {
    let mut text = format!("{} == 'k8s'", labels::ORCHESTRATOR);
    for term in terms {
        text.push_str(" && ");
        text.push_str(term);
    }
    Selector::parse(&text).ok()
}

/// A selector of namespaces without terms means all of them.
pub(super) fn namespaces(terms: &[String]) -> Option<Selector> {
    Selector::parse(&terms.join(" && ")).ok()
}
