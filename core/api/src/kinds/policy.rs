//! Tiers and Calico's own policies.

use std::sync::Arc;

use model::selector::Selector;
use model::{DefaultAction, Order, Policy, PolicyTypes, Resource, Rule, Staged, Tier, labels};

use super::rules::{Direction, Owner, replaced, rules};
use super::{Identity, spec};
use crate::fields::{distinct, limit, local_selector, name};
use crate::reader::{Fields, Item};

/// Tiers that always exist: name, order, default action.
pub(crate) const BUILT_IN_TIERS: [(&str, f64, DefaultAction); 3] = [
    ("kube-admin", 1_000.0, DefaultAction::Pass),
    ("default", 1_000_000.0, DefaultAction::Deny),
    ("kube-baseline", 10_000_000.0, DefaultAction::Pass),
];

pub(crate) fn action_name(action: DefaultAction) -> &'static str {
    match action {
        DefaultAction::Deny => "Deny",
        DefaultAction::Pass => "Pass",
    }
}

pub(crate) fn tier(id: &Identity<'_>, fields: &mut Fields<'_>) -> Option<Resource> {
    // Status is written by controllers; its conditions have Kubernetes' form.
    fields.ignore(&["status"]);
    let tier = spec(fields, |fields| {
        let order = fields.read("order", |item| item.number());
        let words = [("Deny", DefaultAction::Deny), ("Pass", DefaultAction::Pass)];
        let action = fields.read("defaultAction", |item| item.word(&words));
        let tier = Tier {
            order: order.map_or(Order::LAST, Order::new),
            default_action: action.unwrap_or_default(),
        };
        if fields.reader().is_admission() {
            check_built_in(id, tier.order, tier.default_action, fields);
        }
        Some(tier)
    });
    let none = Tier {
        order: Order::LAST,
        default_action: DefaultAction::Deny,
    };
    Some(Resource::Tier(tier.unwrap_or(none)))
}

fn check_built_in(id: &Identity<'_>, order: Order, action: DefaultAction, fields: &Fields<'_>) {
    let Some((name, wanted, wanted_action)) = BUILT_IN_TIERS
        .into_iter()
        .find(|(name, ..)| *name == id.name)
    else {
        return;
    };
    if order.value() != Some(wanted) {
        fields.wrong(
            "order",
            format!("must be {wanted} for the built-in tier {name}"),
        );
    }
    if action != wanted_action {
        let wanted = action_name(wanted_action);
        fields.wrong(
            "defaultAction",
            format!("must be {wanted} for the built-in tier {name}"),
        );
    }
}

/// What all kinds of Calico's policies have in common.
struct Common {
    staged: Staged,
    tier: Box<str>,
    order: Order,
    types: PolicyTypes,
    ingress: Vec<Rule>,
    egress: Vec<Rule>,
    selector: Option<Selector>,
    accounts: Option<Selector>,
    always_active: bool,
}

fn common(fields: &mut Fields<'_>, owner: Owner<'_>) -> Common {
    let tier = fields.nonempty("tier", name);
    let order = fields.read("order", |item| item.number());
    let ingress = fields.read("ingress", |item| rules(item, owner, Direction::Ingress));
    let egress = fields.read("egress", |item| rules(item, owner, Direction::Egress));
    let types = fields.read("types", types);
    let selector = fields.read("selector", local_selector);
    let accounts = fields.read("serviceAccountSelector", local_selector);
    let hints = fields.read("performanceHints", |item| {
        distinct(&item);
        item.list(|item| item.word(&[("AssumeNeededOnEveryNode", ())]))
    });
    let ingress = ingress.unwrap_or_default();
    let egress = egress.unwrap_or_default();
    let types = types.unwrap_or(PolicyTypes {
        ingress: egress.is_empty() || !ingress.is_empty(),
        egress: !egress.is_empty(),
    });
    Common {
        staged: Staged::No,
        tier: tier.unwrap_or_else(|| "default".into()),
        order: order.map_or(Order::LAST, Order::new),
        types,
        ingress,
        egress,
        selector,
        accounts,
        always_active: hints.is_some_and(|hints| !hints.is_empty()),
    }
}

/// An empty list is as good as none: the types follow from the rules.
fn types(item: Item<'_>) -> Option<PolicyTypes> {
    limit(&item, 2);
    distinct(&item);
    let given = item.list(|item| {
        item.word(&[
            ("Ingress", Direction::Ingress),
            ("Egress", Direction::Egress),
        ])
    })?;
    if given.is_empty() {
        return None;
    }
    Some(PolicyTypes {
        ingress: given.contains(&Direction::Ingress),
        egress: given.contains(&Direction::Egress),
    })
}

pub(crate) fn network_policy(id: &Identity<'_>, fields: &mut Fields<'_>) -> Option<Resource> {
    let ns = id.namespace?;
    let spec = spec(fields, |fields| Some(common(fields, Owner::Namespaced(ns))));
    Some(namespaced(spec.unwrap_or_else(|| empty(Staged::No)), ns))
}

/// A NetworkPolicy that is only reported.
pub(crate) fn staged_network_policy(
    id: &Identity<'_>,
    fields: &mut Fields<'_>,
) -> Option<Resource> {
    let ns = id.namespace?;
    let spec = spec(fields, |fields| {
        let staged = staged_action(fields);
        let spec = common(fields, Owner::Namespaced(ns));
        check_deletion(fields, staged, &["tier"]);
        Some(Common { staged, ..spec })
    });
    Some(namespaced(spec.unwrap_or_else(|| empty(Staged::Set)), ns))
}

fn namespaced(spec: Common, ns: &str) -> Resource {
    let own = Selector::label_is(labels::NAMESPACE, ns);
    let mut selector = match &spec.selector {
        Some(selector) => selector.and(&own),
        None => own,
    };
    if let Some(accounts) = &spec.accounts {
        selector = selector.and(&accounts.with_prefix(labels::SERVICE_ACCOUNT_PREFIX));
    }
    policy(spec, selector, Flags::default())
}

/// What a staged policy would do; `Set` if it does not say.
pub(super) fn staged_action(fields: &mut Fields<'_>) -> Staged {
    let words = [
        ("Set", Staged::Set),
        ("Delete", Staged::Delete),
        ("Learn", Staged::Learn),
        ("Ignore", Staged::Ignore),
    ];
    let action = fields.nonempty("stagedAction", |item| item.word(&words));
    action.unwrap_or(Staged::Set)
}

/// A policy that stands for a deletion says which policy, and nothing of what it would have been.
pub(super) fn check_deletion(fields: &Fields<'_>, staged: Staged, identity: &[&str]) {
    if staged != Staged::Delete || !fields.reader().is_admission() {
        return;
    }
    for (field, value) in fields.entries() {
        let kept = field == "stagedAction" || identity.contains(&field.as_str());
        if !kept && !is_zero(value) {
            fields.wrong_at(field, "must be left out when stagedAction is Delete");
        }
    }
}

/// What Go takes for a field that was not given.
fn is_zero(value: &serde_json::Value) -> bool {
    use serde_json::Value;
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Bool(true) | Value::Number(_) => false,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Flags {
    do_not_track: bool,
    pre_dnat: bool,
    apply_on_forward: bool,
}

pub(crate) fn global_network_policy(fields: &mut Fields<'_>) -> Option<Resource> {
    let spec = spec(fields, |fields| Some(global(fields, Staged::No)));
    Some(spec.unwrap_or_else(|| policy(empty(Staged::No), Selector::all(), Flags::default())))
}

/// A GlobalNetworkPolicy that is only reported.
pub(crate) fn staged_global_network_policy(fields: &mut Fields<'_>) -> Option<Resource> {
    let spec = spec(fields, |fields| {
        let staged = staged_action(fields);
        let policy = global(fields, staged);
        check_deletion(fields, staged, &["tier"]);
        Some(policy)
    });
    Some(spec.unwrap_or_else(|| policy(empty(Staged::Set), Selector::all(), Flags::default())))
}

fn global(fields: &mut Fields<'_>, staged: Staged) -> Resource {
    let spec = Common {
        staged,
        ..common(fields, Owner::Global)
    };
    let namespaces = fields.read("namespaceSelector", local_selector);
    let flags = Flags {
        do_not_track: fields.flag("doNotTrack"),
        pre_dnat: fields.flag("preDNAT"),
        apply_on_forward: fields.flag("applyOnForward"),
    };
    check_flags(fields, &spec, flags);
    let selector = global_selector(&spec, namespaces.as_ref());
    policy(spec, selector, flags)
}

fn global_selector(spec: &Common, namespaces: Option<&Selector>) -> Selector {
    let mut selector = spec.selector.clone();
    if let Some(namespaces) = namespaces {
        let (prefix, label) = (labels::NAMESPACE_PREFIX, labels::NAMESPACE);
        selector = Some(join(selector, namespaces, prefix, label));
    }
    if let Some(accounts) = &spec.accounts {
        let (prefix, label) = (labels::SERVICE_ACCOUNT_PREFIX, labels::SERVICE_ACCOUNT);
        selector = Some(join(selector, accounts, prefix, label));
    }
    selector.unwrap_or_else(Selector::all)
}

/// Joins the selectors as upstream does: `all()` anywhere, once another selector has been joined to it, means "has a
/// namespace" or "has a service account".
pub(super) fn join(
    left: Option<Selector>,
    right: &Selector,
    prefix: &str,
    label: &str,
) -> Selector {
    let right = right.with_prefix(prefix);
    let joined = match left {
        Some(left) => left.and(&right),
        None => right,
    };
    replaced(&joined, label)
}

fn check_flags(fields: &Fields<'_>, spec: &Common, flags: Flags) {
    if flags.do_not_track && flags.pre_dnat {
        fields.wrong("preDNAT", "cannot be true together with doNotTrack");
    }
    if (flags.do_not_track || flags.pre_dnat) && !flags.apply_on_forward {
        fields.wrong(
            "applyOnForward",
            "must be true when doNotTrack or preDNAT is true",
        );
    }
    if flags.pre_dnat && !spec.egress.is_empty() {
        fields.wrong("egress", "must be empty when preDNAT is true");
    }
    if flags.pre_dnat && fields.has("types") && spec.types.egress {
        fields.wrong("types", "cannot have Egress when preDNAT is true");
    }
}

fn empty(staged: Staged) -> Common {
    Common {
        staged,
        tier: "default".into(),
        order: Order::LAST,
        types: PolicyTypes {
            ingress: true,
            egress: false,
        },
        ingress: Vec::new(),
        egress: Vec::new(),
        selector: None,
        accounts: None,
        always_active: false,
    }
}

fn policy(spec: Common, selector: Selector, flags: Flags) -> Resource {
    Resource::Policy(Arc::new(Policy {
        tier: spec.tier,
        order: spec.order,
        selector,
        types: spec.types,
        ingress: spec.ingress,
        egress: spec.egress,
        staged: spec.staged,
        do_not_track: flags.do_not_track,
        pre_dnat: flags.pre_dnat,
        apply_on_forward: flags.apply_on_forward,
        always_active: spec.always_active,
    }))
}
