//! One reading per kind: from JSON to the model, every field checked on the way.
//!
//! [`read`] serves both admission (which throws the model value away) and decoding (which throws nothing away): what is
//! admitted decodes.

pub(crate) mod bgp;
pub(crate) mod cnp;
pub(crate) mod controllers;
pub(crate) mod endpoints;
pub(crate) mod felix;
pub(crate) mod ipam;
pub(crate) mod knp;
pub(crate) mod node;
pub(crate) mod policy;
pub(crate) mod pool;
pub(crate) mod rules;
pub(crate) mod service;
pub(crate) mod sets;

use model::{Key, Labels, Resource};

use crate::fields::{annotations, labels};
use crate::key::StoreKey;
use crate::kind::Kind;
use crate::names;
use crate::reader::{Fields, Item};

/// What an object is called. In the store the key says it, on admission the metadata.
#[derive(Clone, Debug)]
pub(crate) struct Identity<'a> {
    pub(crate) namespace: Option<&'a str>,
    pub(crate) name: &'a str,
}

/// What readings need of the metadata.
#[derive(Clone, Debug, Default)]
pub(crate) struct Metadata {
    pub(crate) labels: Labels,
    pub(crate) annotations: Labels,
    pub(crate) created: Box<str>,
}

/// The key that an identity names in the model, if the kind has one there and the name can be read.
pub(crate) fn key(kind: Kind, id: &Identity<'_>) -> Option<Key> {
    use model::{EndpointSliceId, HostEndpointId, NetworkSetId, PolicyId, PolicyKind, ServiceRef};
    let policy = |kind| {
        Key::Policy(PolicyId {
            kind,
            namespace: id.namespace.map(Into::into),
            name: id.name.into(),
        })
    };
    Some(match kind {
        Kind::NetworkPolicy => policy(PolicyKind::NetworkPolicy),
        Kind::GlobalNetworkPolicy => policy(PolicyKind::GlobalNetworkPolicy),
        Kind::KubernetesNetworkPolicy => policy(PolicyKind::KubernetesNetworkPolicy),
        Kind::StagedNetworkPolicy => policy(PolicyKind::StagedNetworkPolicy),
        Kind::StagedGlobalNetworkPolicy => policy(PolicyKind::StagedGlobalNetworkPolicy),
        Kind::StagedKubernetesNetworkPolicy => policy(PolicyKind::StagedKubernetesNetworkPolicy),
        Kind::KubernetesClusterNetworkPolicy => policy(PolicyKind::KubernetesClusterNetworkPolicy),
        Kind::Tier => Key::Tier(id.name.into()),
        Kind::NetworkSet | Kind::GlobalNetworkSet => Key::NetworkSet(NetworkSetId {
            namespace: id.namespace.map(Into::into),
            name: id.name.into(),
        }),
        Kind::Profile => Key::Profile(id.name.into()),
        Kind::Namespace => Key::Profile(format!("kns.{}", id.name).into()),
        Kind::ServiceAccount => Key::Profile(format!("ksa.{}.{}", id.namespace?, id.name).into()),
        Kind::WorkloadEndpoint => {
            Key::WorkloadEndpoint(endpoints::parse_name(id.namespace?, id.name)?)
        }
        Kind::HostEndpoint => Key::HostEndpoint(HostEndpointId {
            name: id.name.into(),
        }),
        Kind::Node => Key::Node(id.name.into()),
        Kind::IpPool => Key::IpPool(id.name.into()),
        Kind::IpReservation => Key::IpReservation(id.name.into()),
        Kind::FelixConfiguration => Key::FelixConfig(felix::scope(id.name)),
        Kind::ClusterInformation => (id.name == SINGLETON).then_some(Key::ClusterInformation)?,
        Kind::BgpConfiguration => Key::BgpConfiguration(id.name.into()),
        Kind::BgpPeer => Key::BgpPeer(id.name.into()),
        Kind::BgpFilter => Key::BgpFilter(id.name.into()),
        Kind::KubeControllersConfiguration => {
            (id.name == SINGLETON).then_some(Key::KubeControllersConfiguration)?
        }
        Kind::CalicoNodeStatus => Key::NodeStatus(id.name.into()),
        Kind::LiveMigration => Key::LiveMigration {
            namespace: id.namespace?.into(),
            name: id.name.into(),
        },
        Kind::Service => Key::Service(ServiceRef {
            namespace: id.namespace?.into(),
            name: id.name.into(),
        }),
        Kind::EndpointSlice => Key::EndpointSlice(EndpointSliceId {
            namespace: id.namespace?.into(),
            name: id.name.into(),
        }),
        Kind::IpamConfiguration => Key::IpamConfig,
        Kind::IpamHandle => Key::Handle(id.name.into()),
        Kind::IpamBlock | Kind::BlockAffinity => return None,
    })
}

/// The key of a store key in the model.
pub(crate) fn key_of_store(place: &StoreKey) -> Option<Key> {
    match place {
        StoreKey::Resource {
            kind,
            namespace,
            name,
        } => key(
            *kind,
            &Identity {
                namespace: namespace.as_deref(),
                name,
            },
        ),
        StoreKey::Block(cidr) => Some(Key::Block(*cidr)),
        StoreKey::Affinity(id) => Some(Key::Affinity(id.clone())),
        StoreKey::Handle(id) => Some(Key::Handle(id.clone())),
        StoreKey::IpamConfig => Some(Key::IpamConfig),
    }
}

/// Reads a whole object. `None`: wrong (and reported), or valid but with nothing to tell the model.
pub(crate) fn read(kind: Kind, id: &Identity<'_>, item: Item<'_>) -> Option<Resource> {
    item.object(|fields| {
        fields.ignore(&["apiVersion", "kind"]);
        let metadata = fields.read("metadata", metadata).unwrap_or_default();
        check_name(kind, id, fields);
        if kind.is_namespaced() && id.namespace.is_none() {
            let problem = crate::problem::Problem::at("metadata.namespace", "is required");
            fields.reader().report(problem);
            fields.accept_all();
            return None;
        }
        body(kind, id, &metadata, fields)
    })?
}

fn body(
    kind: Kind,
    id: &Identity<'_>,
    meta: &Metadata,
    fields: &mut Fields<'_>,
) -> Option<Resource> {
    match kind {
        Kind::NetworkPolicy => policy::network_policy(id, fields),
        Kind::GlobalNetworkPolicy => policy::global_network_policy(fields),
        Kind::StagedNetworkPolicy => policy::staged_network_policy(id, fields),
        Kind::StagedGlobalNetworkPolicy => policy::staged_global_network_policy(fields),
        Kind::KubernetesNetworkPolicy => knp::read(id, fields),
        Kind::StagedKubernetesNetworkPolicy => knp::staged(id, fields),
        Kind::BgpConfiguration => bgp::configuration(id, fields),
        Kind::BgpPeer => bgp::peer(fields),
        Kind::BgpFilter => bgp::filter::filter(fields),
        Kind::KubeControllersConfiguration => {
            controllers::configuration(id, fields);
            None
        }
        Kind::CalicoNodeStatus => {
            controllers::node_status(fields);
            None
        }
        Kind::LiveMigration => {
            controllers::live_migration(fields);
            None
        }
        Kind::KubernetesClusterNetworkPolicy => cnp::read(fields),
        Kind::Tier => policy::tier(id, fields),
        Kind::NetworkSet => sets::network_set(id, meta, fields),
        Kind::GlobalNetworkSet => sets::global_network_set(meta, fields),
        Kind::Profile => sets::profile(fields),
        Kind::Namespace => sets::namespace(id, meta, fields),
        Kind::ServiceAccount => sets::service_account(id, meta, fields),
        Kind::Service => {
            service::service(fields);
            None
        }
        Kind::EndpointSlice => service::endpoint_slice(meta, fields),
        Kind::WorkloadEndpoint => endpoints::workload(id, meta, fields),
        Kind::HostEndpoint => endpoints::host(meta, fields),
        Kind::Node => node::node(meta, fields),
        Kind::ClusterInformation => node::cluster_information(id, fields),
        Kind::IpPool => pool::pool(fields),
        Kind::IpReservation => pool::reservation(fields),
        Kind::FelixConfiguration => felix::read(id, meta, fields),
        Kind::IpamConfiguration => ipam::configuration(id, fields),
        Kind::IpamBlock => ipam::block_object(fields),
        Kind::BlockAffinity => ipam::affinity_object(fields),
        Kind::IpamHandle => ipam::handle_object(fields),
    }
}

fn metadata(item: Item<'_>) -> Option<Metadata> {
    item.object(|fields| {
        for field in [
            "name",
            "namespace",
            "generateName",
            "resourceVersion",
            "uid",
            "selfLink",
        ] {
            fields.text(field);
        }
        let created = fields.text("creationTimestamp").into();
        fields.ignore(&[
            "deletionGracePeriodSeconds",
            "deletionTimestamp",
            "finalizers",
            "generation",
            "managedFields",
            "ownerReferences",
        ]);
        let labels = fields.read("labels", labels).unwrap_or_default();
        let annotations = fields.read("annotations", annotations).unwrap_or_default();
        Metadata {
            labels,
            annotations,
            created,
        }
    })
}

/// Names are checked on admission: what is stored under a name is called so.
fn check_name(kind: Kind, id: &Identity<'_>, fields: &Fields<'_>) {
    if !fields.reader().is_admission() {
        return;
    }
    let wrong = |field: &str, value: &str, message: &str| {
        let problem = crate::problem::Problem::at(field, message);
        fields.reader().report(problem.found(format!("{value:?}")));
    };
    if id.name.is_empty() {
        let problem = crate::problem::Problem::at("metadata.name", "is required");
        fields.reader().report(problem);
        return;
    }
    let (ok, limit, rule) = name_rule(kind, id.name);
    if !ok {
        wrong("metadata.name", id.name, rule);
    }
    if id.name.len() > limit {
        let message = format!("is longer than {limit} characters");
        wrong("metadata.name", id.name, &message);
    }
    if let Some(ns) = id
        .namespace
        .filter(|ns| !names::is_dns_label(ns) || ns.len() > names::MAX_LABEL)
    {
        wrong(
            "metadata.namespace",
            ns,
            "must be at most 63 lower case letters, digits and '-', with a letter or digit at both ends",
        );
    }
}

/// The name of the one object of kinds that have one.
pub(crate) const SINGLETON: &str = "default";

pub(crate) fn check_singleton(id: &Identity<'_>, fields: &Fields<'_>) {
    if fields.reader().is_admission() && id.name != SINGLETON && !id.name.is_empty() {
        let message = "must be default: there is one such object";
        let problem = crate::problem::Problem::at("metadata.name", message);
        fields
            .reader()
            .report(problem.found(format!("{:?}", id.name)));
    }
}

fn name_rule(kind: Kind, name: &str) -> (bool, usize, &'static str) {
    const SUBDOMAIN: &str = "must consist of lower case letters, digits, '-' and '.', with a letter or digit at both ends of every part";
    const LABEL: &str =
        "must consist of lower case letters, digits and '-', with a letter or digit at both ends";
    const TWO: &str = "must be one or two parts, joined by '.', of lower case letters, digits and '-', with a letter or digit at both ends";
    match kind {
        Kind::Tier | Kind::Namespace | Kind::Service => {
            (names::is_dns_label(name), names::MAX_LABEL, LABEL)
        }
        Kind::NetworkPolicy | Kind::StagedNetworkPolicy => {
            (names::is_network_policy_name(name), names::MAX_NAME, TWO)
        }
        Kind::GlobalNetworkPolicy | Kind::StagedGlobalNetworkPolicy => (
            names::is_global_network_policy_name(name),
            names::MAX_NAME,
            TWO,
        ),
        Kind::IpamHandle
        | Kind::BlockAffinity
        | Kind::IpamBlock
        | Kind::NetworkSet
        | Kind::GlobalNetworkSet
        | Kind::Profile
        | Kind::WorkloadEndpoint
        | Kind::HostEndpoint
        | Kind::Node
        | Kind::IpPool
        | Kind::IpReservation
        | Kind::IpamConfiguration
        | Kind::FelixConfiguration
        | Kind::ClusterInformation
        | Kind::ServiceAccount
        | Kind::EndpointSlice
        | Kind::BgpConfiguration
        | Kind::BgpPeer
        | Kind::BgpFilter
        | Kind::KubeControllersConfiguration
        | Kind::CalicoNodeStatus
        | Kind::LiveMigration
        | Kind::StagedKubernetesNetworkPolicy
        | Kind::KubernetesClusterNetworkPolicy
        | Kind::KubernetesNetworkPolicy => (names::is_subdomain(name), names::MAX_NAME, SUBDOMAIN),
    }
}

/// Reads `spec` of an object that says nothing without one.
pub(crate) fn required_spec<T: Default>(
    fields: &mut Fields<'_>,
    read: impl FnOnce(&mut Fields<'_>) -> T,
) -> T {
    fields
        .required("spec", |item| item.object(read))
        .unwrap_or_default()
}

/// Reads `spec`, which may be left out.
pub(crate) fn spec<T: Default>(
    fields: &mut Fields<'_>,
    read: impl FnOnce(&mut Fields<'_>) -> T,
) -> T {
    fields
        .read("spec", |item| item.object(read))
        .unwrap_or_default()
}
