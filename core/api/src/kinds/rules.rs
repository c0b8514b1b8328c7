//! Rules, as policies and profiles of v3 write them: read, checked, and turned into the model's.
//!
//! The one conversion with a memory: `selector`, `namespaceSelector`, `serviceAccounts` and the policy's own namespace become
//! one selector, exactly as upstream's update processors join them, so that both make the same IP sets.

use model::selector::Selector;
use model::{
    Action, Cidr, EntityMatch, Family, HttpMatch, HttpPath, IcmpMatch, PortMatch, Protocol, Rule,
    ServiceRef, labels,
};

use crate::fields::{
    annotations, distinct, exact_cidr, limit, local_selector, name, port_match, protocol, selector,
};
use crate::reader::{Fields, Item};

/// The most rules of one direction of a policy.
const MAX_RULES: usize = 1024;
const MAX_NETS: usize = 256;
const MAX_PORTS: usize = 50;
const MAX_HTTP: usize = 20;

/// Which way a list of rules looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Ingress,
    Egress,
}

/// What kind of object has the rules: it decides what they may say and how far their selectors reach.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Owner<'a> {
    /// A NetworkPolicy of this namespace.
    Namespaced(&'a str),
    /// A GlobalNetworkPolicy.
    Global,
    /// A profile.
    Profile,
}

impl Owner<'_> {
    fn namespace(&self) -> Option<&str> {
        match self {
            Owner::Namespaced(ns) => Some(ns),
            Owner::Global | Owner::Profile => None,
        }
    }
}

/// The rules of one direction.
pub(crate) fn rules(item: Item<'_>, owner: Owner<'_>, direction: Direction) -> Option<Vec<Rule>> {
    limit(&item, MAX_RULES);
    item.list(|item| item.object(|fields| rule(fields, owner, direction))?)
}

fn rule(fields: &mut Fields<'_>, owner: Owner<'_>, direction: Direction) -> Option<Rule> {
    let action = fields.required("action", action);
    let family = fields.read("ipVersion", family);
    let protocol_match = fields.read("protocol", protocol);
    let not_protocol = fields.read("notProtocol", protocol);
    let icmp_match = fields.read("icmp", icmp);
    let not_icmp = fields.read("notICMP", icmp);
    let source = side(fields, "source", owner);
    let destination = side(fields, "destination", owner);
    let http = fields.read("http", http);
    let metadata = fields.read("metadata", |item| {
        item.object(|fields| fields.read("annotations", annotations))
    });
    let rule = Rule {
        action: action?,
        family,
        protocol: protocol_match,
        not_protocol,
        icmp: icmp_match.flatten(),
        not_icmp: not_icmp.flatten(),
        source,
        destination,
        http,
        annotations: metadata.flatten().unwrap_or_default(),
    };
    check_protocol(fields, &rule);
    check_ports(fields, &rule);
    if fields.reader().is_admission() {
        check_nets(fields, &rule);
        check_services(fields, &rule, owner, direction);
        check_http(fields, &rule, owner, direction);
    }
    Some(rule)
}

fn action(item: Item<'_>) -> Option<Action> {
    item.word(&[
        ("Allow", Action::Allow),
        ("Deny", Action::Deny),
        ("Log", Action::Log),
        ("Pass", Action::Pass),
    ])
}

fn family(item: Item<'_>) -> Option<Family> {
    match item.value.as_u64() {
        Some(4) => Some(Family::V4),
        Some(6) => Some(Family::V6),
        _ => {
            item.wrong("must be 4 or 6");
            None
        }
    }
}

/// `Some(None)` is an object that asks for nothing, which upstream allows.
fn icmp(item: Item<'_>) -> Option<Option<IcmpMatch>> {
    item.object(|fields| {
        let kind = fields.read("type", |i| i.integer(0..=254));
        let code = fields.read("code", |i| i.integer(0..=255));
        if code.is_some() && !fields.has("type") {
            fields.wrong("code", "needs a type beside it");
        }
        let kind = u8::try_from(kind?).ok()?;
        let code = code.and_then(|code| u8::try_from(code).ok());
        Some(IcmpMatch { kind, code })
    })
}

fn http(item: Item<'_>) -> Option<HttpMatch> {
    item.object(|fields| {
        let methods = fields.read("methods", |item| {
            limit(&item, MAX_HTTP);
            distinct(&item);
            item.list(|item| item.text().map(Into::into))
        });
        let paths = fields.read("paths", |item| {
            limit(&item, MAX_HTTP);
            item.list(|item| item.object(http_path)?)
        });
        HttpMatch {
            methods: methods.unwrap_or_default(),
            paths: paths.unwrap_or_default(),
        }
    })
}

fn http_path(fields: &mut Fields<'_>) -> Option<HttpPath> {
    let exact = fields.text("exact");
    let prefix = fields.text("prefix");
    let (field, path) = match (exact, prefix) {
        ("", "") => {
            fields.wrong("", "must have either exact or prefix");
            return None;
        }
        (exact, "") => ("exact", HttpPath::Exact(exact.into())),
        ("", prefix) => ("prefix", HttpPath::Prefix(prefix.into())),
        (_, _) => {
            fields.wrong("", "must not have both exact and prefix");
            return None;
        }
    };
    let text = if exact.is_empty() { prefix } else { exact };
    if !text.starts_with('/') || text.contains(['?', ' ', '#']) || text.len() > 1024 {
        fields.wrong(
            field,
            "must be a path: begin with '/', have no '?', '#' or space, and at most 1024 characters",
        );
    }
    Some(path)
}

fn side(fields: &mut Fields<'_>, field: &'static str, owner: Owner<'_>) -> EntityMatch {
    fields
        .read(field, |item| item.object(|fields| entity(fields, owner)))
        .unwrap_or_default()
}

fn entity(fields: &mut Fields<'_>, owner: Owner<'_>) -> EntityMatch {
    let nets = nets(fields);
    let not_nets = not_nets(fields);
    let own = fields.read("selector", local_selector);
    let not_selector = fields.read("notSelector", selector);
    let namespaces = fields.read("namespaceSelector", namespace_selector);
    let accounts = fields.read("serviceAccounts", service_accounts);
    let not_ports = ports(fields, "notPorts");
    let ports = ports(fields, "ports");
    let service = fields.read("services", |item| item.object(|f| service(f, owner))?);
    if fields.reader().is_admission() && fields.has("services") {
        check_service_alone(fields);
    }
    let selector = entity_selector(EntitySelector {
        namespaces,
        accounts: accounts.flatten(),
        own,
        negated: not_selector.is_some(),
        policy_namespace: owner.namespace(),
    });
    EntityMatch {
        nets: nets.filter(|nets| !nets.is_empty()),
        not_nets: not_nets.unwrap_or_default(),
        selector,
        not_selector,
        ports: ports.filter(|ports| !ports.is_empty()),
        not_ports: not_ports.unwrap_or_default(),
        service,
    }
}

fn nets(fields: &mut Fields<'_>) -> Option<Vec<Cidr>> {
    fields.read("nets", |item| {
        limit(&item, MAX_NETS);
        distinct(&item);
        item.list(exact_cidr)
    })
}

fn not_nets(fields: &mut Fields<'_>) -> Option<Vec<Cidr>> {
    fields.read("notNets", |item| {
        limit(&item, MAX_NETS);
        distinct(&item);
        item.list(|item| {
            let net = exact_cidr(item)?;
            if item.reader.is_admission() && net.len() == 0 {
                item.wrong("excludes every address, so that the rule matches nothing");
            }
            Some(net)
        })
    })
}

fn ports(fields: &mut Fields<'_>, field: &'static str) -> Option<Vec<PortMatch>> {
    fields.read(field, |item| {
        limit(&item, MAX_PORTS);
        item.list(port_match)
    })
}

/// A namespaceSelector of a rule: `global()` must be all of it.
fn namespace_selector(item: Item<'_>) -> Option<Selector> {
    let selector = selector(item)?;
    if selector.mentions_global() && !selector.is_global() {
        item.wrong("global() cannot be combined with other selectors");
    }
    Some(selector)
}

fn service_accounts(item: Item<'_>) -> Option<Option<Selector>> {
    item.object(|fields| {
        let names = fields.read("names", |item| {
            distinct(&item);
            item.list(|item| item.text().map(str::to_owned))
        });
        let by_labels = fields
            .read("selector", selector)
            .map(|s| s.with_prefix(labels::SERVICE_ACCOUNT_PREFIX));
        let names = names.filter(|names| !names.is_empty());
        let by_name = names.map(|names| {
            Selector::label_in(labels::SERVICE_ACCOUNT, names.iter().map(String::as_str))
        });
        match (by_labels, by_name) {
            (Some(labels), Some(names)) => Some(labels.and(&names)),
            (labels, names) => labels.or(names),
        }
    })
}

fn service(fields: &mut Fields<'_>, owner: Owner<'_>) -> Option<ServiceRef> {
    let namespace = fields.nonempty("namespace", name);
    let service = fields.nonempty("name", name);
    if !fields.has_content("name") {
        fields.wrong("name", "is required");
    }
    let namespace = namespace.or_else(|| owner.namespace().map(Into::into));
    if namespace.is_none() {
        fields.wrong("namespace", "is required outside of a namespaced policy");
    }
    Some(ServiceRef {
        namespace: namespace?,
        name: service?,
    })
}

/// `services` names the endpoints by itself.
fn check_service_alone(fields: &Fields<'_>) {
    for other in [
        "selector",
        "notSelector",
        "namespaceSelector",
        "nets",
        "notNets",
    ] {
        if fields.has_content(other) {
            fields.wrong(other, "cannot be combined with services");
        }
    }
    // Upstream refuses it even if it is empty.
    if fields.has("serviceAccounts") {
        fields.wrong("serviceAccounts", "cannot be combined with services");
    }
}

/// The parts of which one side's selector is made.
pub(crate) struct EntitySelector<'a> {
    pub(crate) namespaces: Option<Selector>,
    pub(crate) accounts: Option<Selector>,
    pub(crate) own: Option<Selector>,
    pub(crate) negated: bool,
    pub(crate) policy_namespace: Option<&'a str>,
}

pub(crate) fn entity_selector(parts: EntitySelector<'_>) -> Option<Selector> {
    let named = parts.namespaces.is_some();
    let scope = match (&parts.namespaces, parts.policy_namespace) {
        (Some(selector), _) => Some(namespaces_of(selector)),
        (None, Some(ns)) => Some(Selector::label_is(labels::NAMESPACE, ns)),
        (None, None) => None,
    };
    let endpoints = match (parts.accounts, parts.own) {
        (Some(accounts), Some(own)) => Some(accounts.and(&own)),
        (accounts, own) => accounts.or(own),
    };
    match (scope, endpoints) {
        (Some(scope), Some(endpoints)) => Some(scope.and(&endpoints)),
        // A namespaced policy's rule without any selector is about all addresses, not only those of its namespace.
        (Some(scope), None) => (named || parts.negated).then_some(scope),
        (None, endpoints) => endpoints,
    }
}

/// A selector of namespaces as one of the endpoints in them: `all()` is "in some namespace", `global()` "in none".
///
/// The replacement is made in the text, wherever the words stand, as upstream makes it.
fn namespaces_of(selector: &Selector) -> Selector {
    if selector.is_all() {
        return Selector::has(labels::NAMESPACE);
    }
    if selector.is_global() {
        return Selector::lacks(labels::NAMESPACE);
    }
    let prefixed = selector.with_prefix(labels::NAMESPACE_PREFIX);
    replaced(&prefixed, labels::NAMESPACE)
}

/// `all()` inside a longer selector becomes `has(label)`.
pub(crate) fn replaced(selector: &Selector, label: &str) -> Selector {
    if !selector.canonical().contains("all()") {
        return selector.clone();
    }
    let text = selector
        .canonical()
        .replace("all()", &format!("has({label})"));
    Selector::parse(&text).unwrap_or_else(|_| selector.clone())
}

fn check_protocol(fields: &Fields<'_>, rule: &Rule) {
    if fields.has("protocol") && rule.protocol.is_none() {
        // It is no protocol, which has been said; what would go with it is open.
        return;
    }
    let is_icmp = |p: Protocol| p == Protocol::ICMP || p == Protocol::ICMPV6;
    if rule.icmp.is_some() && !rule.protocol.is_some_and(is_icmp) {
        fields.wrong("icmp", "needs protocol ICMP or ICMPv6");
    }
    for (field, protocol) in [
        ("protocol", rule.protocol),
        ("notProtocol", rule.not_protocol),
    ] {
        let family = match protocol {
            Some(Protocol::ICMP) => Some(Family::V4),
            Some(Protocol::ICMPV6) => Some(Family::V6),
            Some(_) | None => None,
        };
        let clash = family
            .zip(rule.family)
            .filter(|(needed, given)| needed != given);
        if let Some((needed, _)) = clash {
            fields.wrong(field, format!("needs ipVersion {}", needed.version()));
        }
    }
}

fn check_ports(fields: &Fields<'_>, rule: &Rule) {
    if fields.has("protocol") && rule.protocol.is_none() {
        return;
    }
    let numeric = |port: &PortMatch| matches!(port, PortMatch::Range(_));
    for (side, entity) in [("source", &rule.source), ("destination", &rule.destination)] {
        let mut ports = entity.ports.iter().flatten().chain(&entity.not_ports);
        let wrong = match rule.protocol {
            None => ports.any(numeric),
            Some(protocol) => !protocol.has_ports() && ports.next().is_some(),
        };
        if wrong {
            fields.wrong(
                side,
                "has ports, so the rule needs protocol TCP, UDP or SCTP",
            );
        }
    }
}

fn check_nets(fields: &Fields<'_>, rule: &Rule) {
    let sides = [("source", &rule.source), ("destination", &rule.destination)];
    let mut seen: Option<Family> = None;
    for (side, entity) in sides {
        for net in entity.nets.iter().flatten().chain(&entity.not_nets) {
            if rule.family.is_some_and(|family| family != net.family()) {
                fields.wrong(
                    side,
                    format!("has the network {net}, which does not agree with ipVersion"),
                );
                return;
            }
            if seen.is_some_and(|family| family != net.family()) {
                fields.wrong(
                    side,
                    "mixes IPv4 and IPv6 networks in one rule; write two rules",
                );
                return;
            }
            seen = Some(net.family());
        }
    }
}

fn check_services(fields: &Fields<'_>, rule: &Rule, owner: Owner<'_>, direction: Direction) {
    let (field, misplaced) = match direction {
        Direction::Ingress => ("destination", rule.destination.service.is_some()),
        Direction::Egress => ("source", rule.source.service.is_some()),
    };
    let is_policy = !matches!(owner, Owner::Profile);
    if misplaced && is_policy {
        fields.wrong(
            field,
            "cannot have services: the other side of the connection can",
        );
    }
    let destination = &rule.destination;
    if destination.service.is_some()
        && (destination.ports.is_some() || !destination.not_ports.is_empty())
    {
        fields.wrong(
            "destination",
            "has services, which bring their own ports: leave out ports and notPorts",
        );
    }
}

fn check_http(fields: &Fields<'_>, rule: &Rule, owner: Owner<'_>, direction: Direction) {
    if rule.http.is_none() {
        return;
    }
    if rule.protocol.is_some_and(|p| p != Protocol::TCP) {
        fields.wrong("http", "needs protocol TCP or none");
    }
    if rule.action != Action::Allow {
        fields.wrong("http", "is for rules whose action is Allow");
    }
    if direction == Direction::Egress && !matches!(owner, Owner::Profile) {
        fields.wrong("http", "is for ingress rules");
    }
}
