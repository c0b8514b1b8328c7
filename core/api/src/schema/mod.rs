//! The field structure of every kind that is a CRD: ONE table, of which `cargo xtask codegen` makes `deploy/crds`.
//!
//! [`crds`] gives the definitions of a group and [`admission`] what goes with `projectcalico.org/v3`; [`schemas`] lets tests
//! walk the table. What the API server accepts by it is what upstream's definitions accept; `api::admit` checks the rest.
//! The table by area: [`policy`], [`bgp`], [`ipam`], [`cluster`], [`felix`], [`cluster_policy`]; [`kinds`] names the kinds.

mod admission;
mod bgp;
mod cluster;
mod cluster_policy;
mod felix;
mod ipam;
mod kinds;
mod manifest;
mod policy;
mod shared;
mod table;

use serde_json::Value;

pub use admission::admission;
pub use table::{Cel, Field, Form, Merge, Need, Reason, Schema};

/// A group of the Kubernetes API that we bring definitions for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// `crd.projectcalico.org/v1`: how the objects are stored behind an API server of Calico's own.
    V1,
    /// `projectcalico.org/v3`: the objects as users write them.
    V3,
    /// `policy.networking.k8s.io/v1alpha2`.
    Kubernetes,
}

impl Group {
    /// The group's name.
    pub fn name(self) -> &'static str {
        match self {
            Group::V1 => "crd.projectcalico.org",
            Group::V3 => "projectcalico.org",
            Group::Kubernetes => "policy.networking.k8s.io",
        }
    }

    /// The version that is served and stored.
    pub fn version(self) -> &'static str {
        match self {
            Group::V1 => "v1",
            Group::V3 => "v3",
            Group::Kubernetes => "v1alpha2",
        }
    }

    fn kinds(self) -> &'static [kinds::Crd] {
        match self {
            Group::V1 | Group::V3 => kinds::CALICO,
            Group::Kubernetes => &[kinds::CLUSTER_NETWORK_POLICY],
        }
    }
}

/// The CustomResourceDefinitions of a group, by name.
pub fn crds(group: Group) -> Vec<Value> {
    let kinds = group.kinds().iter();
    kinds.map(|crd| manifest::definition(crd, group)).collect()
}

/// What a kind's objects are made of.
#[derive(Clone, Copy, Debug)]
pub struct Structure {
    /// The kind, as objects spell it.
    pub kind: &'static str,
    /// The plural: the word in URLs.
    pub plural: &'static str,
    /// Whether objects live in namespaces.
    pub scope: crate::Scope,
    /// The schema of `spec`.
    pub spec: Schema,
    /// The schema of `status`, if objects have one.
    pub status: Option<Schema>,
}

/// Every kind of a group with its schemas, by plural.
pub fn schemas(group: Group) -> impl Iterator<Item = Structure> {
    group.kinds().iter().map(|crd| Structure {
        kind: crd.kind,
        plural: crd.plural,
        scope: crd.scope,
        spec: crd.spec,
        status: crd.status,
    })
}

impl Schema {
    /// The fields of an object, in the order of the table; none of another form.
    pub fn fields(&self) -> Vec<Field> {
        manifest::fields(&self.form)
    }
}

#[cfg(test)]
mod tests;
