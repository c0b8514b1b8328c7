//! Network sets and profiles, and the profiles that namespaces and service accounts stand for.

use std::sync::Arc;

use model::{Action, Cidr, Labels, NetworkSet, Profile, Resource, Rule, labels};

use super::rules::{Direction, Owner, rules};
use super::{Identity, Metadata, spec};
use crate::fields::{self, cidr, distinct};
use crate::reader::{Fields, Item};

/// Name of the built-in profile that allows everything.
pub(crate) const DEFAULT_ALLOW: &str = "projectcalico-default-allow";

fn nets(fields: &mut Fields<'_>) -> Vec<Cidr> {
    let read = |item: Item<'_>| {
        if item.reader.is_admission() {
            return cidr(item);
        }
        // A set in the store that names one impossible network keeps the others, as upstream has it.
        item.value.as_str().and_then(|text| text.parse().ok())
    };
    spec(fields, |fields| {
        fields.read("nets", |item| {
            distinct(&item);
            item.list(read)
        })
    })
    .unwrap_or_default()
}

fn check_labels(meta: &Metadata, fields: &Fields<'_>) {
    if fields.reader().is_admission() && meta.labels.contains_key(labels::NAMESPACE) {
        let field = format!("metadata.labels[{:?}]", labels::NAMESPACE);
        let problem = crate::problem::Problem::at(field, "is set by Calico itself");
        fields.reader().report(problem.hint("leave it out"));
    }
}

pub(crate) fn network_set(
    id: &Identity<'_>,
    meta: &Metadata,
    fields: &mut Fields<'_>,
) -> Option<Resource> {
    check_labels(meta, fields);
    let ns = id.namespace?;
    let mut own = meta.labels.clone();
    own.insert(labels::NAMESPACE.into(), ns.into());
    Some(Resource::NetworkSet(NetworkSet {
        labels: own,
        profiles: vec![format!("kns.{ns}").into()],
        nets: nets(fields),
    }))
}

pub(crate) fn global_network_set(meta: &Metadata, fields: &mut Fields<'_>) -> Option<Resource> {
    check_labels(meta, fields);
    Some(Resource::NetworkSet(NetworkSet {
        labels: meta.labels.clone(),
        profiles: Vec::new(),
        nets: nets(fields),
    }))
}

pub(crate) fn profile(fields: &mut Fields<'_>) -> Option<Resource> {
    let profile = spec(fields, |fields| {
        let owner = Owner::Profile;
        let ingress = fields.read("ingress", |item| rules(item, owner, Direction::Ingress));
        let egress = fields.read("egress", |item| rules(item, owner, Direction::Egress));
        let labels = fields.read("labelsToApply", fields::labels);
        Profile {
            ingress: ingress.unwrap_or_default(),
            egress: egress.unwrap_or_default(),
            labels: labels.unwrap_or_default(),
        }
    });
    Some(Resource::Profile(Arc::new(profile)))
}

fn inherited(prefix: &str, name: &str, own: &Labels) -> Labels {
    let mut out: Labels = own
        .iter()
        .map(|(key, value)| (format!("{prefix}{key}").into(), value.clone()))
        .collect();
    out.insert(format!("{prefix}{}", labels::NAME).into(), name.into());
    out
}

/// A namespace is a profile that allows everything and hands its labels on.
pub(crate) fn namespace(
    id: &Identity<'_>,
    meta: &Metadata,
    fields: &mut Fields<'_>,
) -> Option<Resource> {
    fields.ignore(&["spec", "status"]);
    Some(Resource::Profile(Arc::new(Profile {
        ingress: vec![Rule::any(Action::Allow)],
        egress: vec![Rule::any(Action::Allow)],
        labels: inherited(labels::NAMESPACE_PREFIX, id.name, &meta.labels),
    })))
}

/// A service account is a profile without rules that hands its labels on.
pub(crate) fn service_account(
    id: &Identity<'_>,
    meta: &Metadata,
    fields: &mut Fields<'_>,
) -> Option<Resource> {
    fields.ignore(&[
        "automountServiceAccountToken",
        "imagePullSecrets",
        "secrets",
    ]);
    Some(Resource::Profile(Arc::new(Profile {
        ingress: Vec::new(),
        egress: Vec::new(),
        labels: inherited(labels::SERVICE_ACCOUNT_PREFIX, id.name, &meta.labels),
    })))
}
