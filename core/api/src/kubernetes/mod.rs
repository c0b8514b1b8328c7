//! Kubernetes objects as entries of a store, and back: what the store on the Kubernetes API is made of.
//!
//! A store speaks etcd's keys and v3 objects; the API server has custom resources, Pods, Nodes, Namespaces. [`places`]
//! says which collection and which object a key means, [`read`](read()) turns what the API server has into an entry,
//! [`write`](write()) turns a change of an entry into a request. All of it is functions from values to values: bad input
//! gives an entry that says less, and a problem to log, never a stop.

mod custom;
mod identity;
mod ipam;
mod metadata;
mod node;
mod places;
mod pod;
mod profile;
mod qos;
mod quantity;
mod read;
mod write;

pub use places::{Collection, Listing, Place, collections, listings, place, pod_key};
pub use profile::profile_of;
pub use read::{ObjectName, Reading, Unreadable, read};
pub use write::{Change, Method, Refused, Request, write};

/// The group of custom resources that holds Calico's own objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Group {
    /// `crd.projectcalico.org/v1`: v3 objects in a form of their own, with most of their metadata in an annotation.
    V1,
    /// `projectcalico.org/v3`: the objects as they are.
    V3,
}

impl Group {
    /// The group's name.
    pub fn name(self) -> &'static str {
        match self {
            Group::V1 => "crd.projectcalico.org",
            Group::V3 => "projectcalico.org",
        }
    }

    /// Its version.
    pub fn version(self) -> &'static str {
        match self {
            Group::V1 => "v1",
            Group::V3 => "v3",
        }
    }

    /// Group and version, as in `apiVersion`.
    pub fn api_version(self) -> &'static str {
        match self {
            Group::V1 => "crd.projectcalico.org/v1",
            Group::V3 => "projectcalico.org/v3",
        }
    }
}

#[cfg(test)]
mod tests;
