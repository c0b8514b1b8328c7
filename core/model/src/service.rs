//! Kubernetes services, as rules name them, and the slices that say who serves them.

use std::net::IpAddr;

use crate::port::Protocol;

/// A Kubernetes service by name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceRef {
    /// The service's namespace.
    pub namespace: Box<str>,
    /// The service's name.
    pub name: Box<str>,
}

/// An endpoint slice's identity.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EndpointSliceId {
    /// The namespace: the service's too.
    pub namespace: Box<str>,
    /// The object's name.
    pub name: Box<str>,
}

/// Some of the endpoints of a service (Kubernetes resource: `discovery.k8s.io/v1` `EndpointSlice`).
///
/// Every address serves every port. Whether an endpoint is ready or about to go makes no difference.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EndpointSlice {
    /// The name of the service, in the slice's namespace. A slice of no service has no value.
    pub service: Box<str>,
    /// The addresses; names of hosts are left out.
    pub addresses: Vec<IpAddr>,
    /// The ports that have a number, each with its protocol.
    pub ports: Vec<(Protocol, u16)>,
}
