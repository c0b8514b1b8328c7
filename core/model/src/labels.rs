//! Labels: what selectors look at. Every labelled thing (endpoint, network set, node, namespace profile) carries one map.

use std::collections::BTreeMap;

/// Label keys and values in key order, so that two equal maps are equal byte for byte.
pub type Labels = BTreeMap<Box<str>, Box<str>>;

/// The label that carries the namespace of every namespaced endpoint and network set.
pub const NAMESPACE: &str = "projectcalico.org/namespace";
/// The label that carries an endpoint's service account.
pub const SERVICE_ACCOUNT: &str = "projectcalico.org/serviceaccount";
/// The label that carries an endpoint's orchestrator (`k8s`, `cni`, `libnetwork`, `openstack`).
pub const ORCHESTRATOR: &str = "projectcalico.org/orchestrator";
/// The label that the profile of a namespace or a service account carries with its name.
pub const NAME: &str = "projectcalico.org/name";
/// Prefix of labels inherited from a namespace's profile.
pub const NAMESPACE_PREFIX: &str = "pcns.";
/// Prefix of labels inherited from a service account's profile.
pub const SERVICE_ACCOUNT_PREFIX: &str = "pcsa.";
