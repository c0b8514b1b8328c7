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

use crate::kind::Kind;
use crate::kubernetes::Group;
pub use admission::admission;
pub(crate) use felix::words_of as felix_words;

pub use table::{Cel, Field, Form, Merge, Need, Reason, Schema};

/// The CustomResourceDefinitions, by plural: Calico's own kinds in a group, and ClusterNetworkPolicy in Kubernetes'.
pub fn crds(calico: Group) -> Vec<Value> {
    let kinds = kinds::CRDS.iter();
    kinds.map(|crd| manifest::definition(crd, calico)).collect()
}

/// What a kind's objects are made of.
#[derive(Clone, Copy, Debug)]
pub struct Structure {
    /// The kind.
    pub kind: Kind,
    /// The plural: the word in URLs.
    pub plural: &'static str,
    /// The schema of `spec`.
    pub spec: Schema,
    /// The schema of `status`, if objects have one.
    pub status: Option<Schema>,
}

/// Every kind that is a CRD with its schemas, by plural; Calico's own as users write them.
pub fn schemas() -> impl Iterator<Item = Structure> {
    kinds::CRDS.iter().map(|crd| Structure {
        kind: crd.kind,
        plural: manifest::plural(crd),
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
