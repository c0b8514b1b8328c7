//! Which collection of the API server, and which object in it, a key of the store means.

use model::AffinityOwner;

use super::{Group, ipam};
use crate::key::{StoreKey, parse_store_key, store_prefix, store_prefixes};
use crate::kind::{CALICO_V3, Kind};
use crate::kinds::endpoints::parse_name;

/// What one list or one watch of the API server covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Collection {
    /// What its objects become.
    pub(super) kind: Kind,
    pub(super) source: Source,
}

/// Where the objects come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Source {
    /// Calico's own custom resources.
    Custom(Group),
    /// A kind of Kubernetes itself.
    Native(Native),
}

/// The kinds of Kubernetes itself that are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Native {
    Node,
    Pod,
    /// A pod for what its metadata asks for: the same object under another key.
    PodMetadata,
    Namespace,
    ServiceAccount,
    NetworkPolicy,
    ClusterNetworkPolicy,
    Service,
    EndpointSlice,
}

/// Group, version, plural, and whether it has namespaces.
struct Names {
    group: &'static str,
    version: &'static str,
    plural: &'static str,
    namespaced: bool,
}

impl Native {
    fn names(self) -> Names {
        let (group, version, plural, namespaced) = match self {
            Native::Node => ("", "v1", "nodes", false),
            Native::Pod | Native::PodMetadata => ("", "v1", "pods", true),
            Native::Namespace => ("", "v1", "namespaces", false),
            Native::ServiceAccount => ("", "v1", "serviceaccounts", true),
            Native::Service => ("", "v1", "services", true),
            Native::EndpointSlice => ("discovery.k8s.io", "v1", "endpointslices", true),
            Native::NetworkPolicy => ("networking.k8s.io", "v1", "networkpolicies", true),
            Native::ClusterNetworkPolicy => (
                "policy.networking.k8s.io",
                "v1alpha2",
                "clusternetworkpolicies",
                false,
            ),
        };
        Names {
            group,
            version,
            plural,
            namespaced,
        }
    }
}

impl Collection {
    fn names(self) -> Names {
        match self.source {
            Source::Native(native) => native.names(),
            Source::Custom(group) => Names {
                group: group.name(),
                version: group.version(),
                plural: match (self.kind == Kind::IpamConfiguration, group) {
                    (true, Group::V1) => "ipamconfigs",
                    (true, Group::V3) | (false, _) => self.kind.plural(),
                },
                namespaced: self.kind.is_namespaced(),
            },
        }
    }

    /// The path of its list, in all namespaces or one.
    pub fn path(self, namespace: Option<&str>) -> String {
        let Names {
            group,
            version,
            plural,
            namespaced,
        } = self.names();
        let root = match group {
            "" => format!("/api/{version}"),
            _ => format!("/apis/{group}/{version}"),
        };
        match namespace.filter(|_| namespaced) {
            Some(namespace) => format!("{root}/namespaces/{}/{plural}", escaped(namespace)),
            None => format!("{root}/{plural}"),
        }
    }

    /// Its plural, as roles name it.
    pub fn plural(self) -> &'static str {
        self.names().plural
    }

    /// Its group, as roles name it: empty for Kubernetes' core.
    pub fn group(self) -> &'static str {
        self.names().group
    }

    /// The path that tells which resources its group and version have.
    pub fn discovery(self) -> String {
        let Names { group, version, .. } = self.names();
        match group {
            "" => format!("/api/{version}"),
            _ => format!("/apis/{group}/{version}"),
        }
    }

    /// True if the API server may not know it, because a definition of custom resources has not been installed: then it is
    /// empty.
    pub fn may_be_missing(self) -> bool {
        match self.source {
            Source::Custom(_) | Source::Native(Native::ClusterNetworkPolicy) => true,
            Source::Native(
                Native::Node
                | Native::Pod
                | Native::PodMetadata
                | Native::Namespace
                | Native::ServiceAccount
                | Native::NetworkPolicy
                | Native::Service
                | Native::EndpointSlice,
            ) => false,
        }
    }

    /// The kind of the store's entries that its objects become.
    pub fn kind(self) -> Kind {
        self.kind
    }
}

/// One object of the API server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The collection it is in.
    pub collection: Collection,
    /// Its namespace there.
    pub namespace: Option<String>,
    /// Its name there.
    pub name: String,
}

impl Place {
    /// The path of the object.
    pub fn path(&self) -> String {
        format!(
            "{}/{}",
            self.collection.path(self.namespace.as_deref()),
            escaped(&self.name)
        )
    }
}

/// A name as one segment of a path (RFC 3986): names of Kubernetes have nothing to escape, others must not become something
/// else.
fn escaped(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:".contains(&byte);
    let mut out = String::with_capacity(name.len());
    for byte in name.bytes() {
        match plain(byte) {
            true => out.push(byte.into()),
            false => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// What to list for a prefix of keys. What comes back may be more than asked for: the caller compares keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    /// The collection.
    pub collection: Collection,
    /// Of one namespace only.
    pub namespace: Option<String>,
    /// Of those with these labels only.
    pub selector: Option<String>,
}

/// The collections whose objects become entries of a kind; none for kinds that an API server has not.
pub fn collections(kind: Kind, group: Group) -> Vec<Collection> {
    let native = |native| Collection {
        kind,
        source: Source::Native(native),
    };
    // Profiles are not kept: each namespace and each service account has one.
    let natives: &[(Kind, &[Native])] = &[
        (Kind::Node, &[Native::Node]),
        (Kind::WorkloadEndpoint, &[Native::Pod]),
        (Kind::Profile, &[Native::Namespace, Native::ServiceAccount]),
        (Kind::Namespace, &[Native::Namespace]),
        (Kind::ServiceAccount, &[Native::ServiceAccount]),
        (Kind::KubernetesNetworkPolicy, &[Native::NetworkPolicy]),
        (Kind::Service, &[Native::Service]),
        (Kind::EndpointSlice, &[Native::EndpointSlice]),
    ];
    if let Some((_, natives)) = natives.iter().find(|(of, _)| *of == kind) {
        return natives.iter().copied().map(native).collect();
    }
    // By name: both are kinds that not every store has.
    match kind.name() {
        "ClusterNetworkPolicy" => vec![native(Native::ClusterNetworkPolicy)],
        "LiveMigration" => Vec::new(),
        _ if kind.api_version() == CALICO_V3 => vec![Collection {
            kind,
            source: Source::Custom(group),
        }],
        _ => Vec::new(),
    }
}

/// What to list for all keys that begin with `prefix`.
///
/// A prefix wider than one kind gives namespaces and service accounts, not the profiles that stand for them as well.
pub fn listings(prefix: &str, group: Group) -> Vec<Listing> {
    let mut all = Vec::new();
    for kind in Kind::all() {
        let own = store_prefixes(kind, None);
        let narrow = own.iter().any(|own| prefix.starts_with(own.as_str()));
        let wide = own.iter().any(|own| own.starts_with(prefix));
        if !narrow && (!wide || kind == Kind::Profile) {
            continue;
        }
        let namespace = narrow.then(|| namespace_of(prefix, kind)).flatten();
        let selector = narrow.then(|| selector_of(prefix, kind)).flatten();
        all.extend(
            collections(kind, group)
                .into_iter()
                .map(|collection| Listing {
                    collection,
                    namespace: namespace.clone(),
                    selector: selector.clone(),
                }),
        );
    }
    all
}

fn namespace_of(prefix: &str, kind: Kind) -> Option<String> {
    let rest = prefix.strip_prefix(&store_prefix(kind, None))?;
    let (namespace, _) = rest.split_once('/').filter(|_| kind.is_namespaced())?;
    Some(namespace.to_owned())
}

/// Of affinities, those of one owner can be asked for alone.
fn selector_of(prefix: &str, kind: Kind) -> Option<String> {
    if kind != Kind::BlockAffinity {
        return None;
    }
    let [hosts, virtuals] = &store_prefixes(kind, None)[..] else {
        return None;
    };
    let (rest, owner): (_, fn(Box<str>) -> AffinityOwner) = match prefix.strip_prefix(hosts) {
        Some(rest) => (rest, AffinityOwner::Host),
        None => (prefix.strip_prefix(virtuals)?, AffinityOwner::Virtual),
    };
    // Of both families: who asks for one asks for the other as a rule, and then it is one list.
    let (name, _) = rest.split_once('/')?;
    Some(ipam::selector(&owner(name.into())))
}

/// Where a pod's own metadata is, which its endpoint does not tell: annotations by which it asks for addresses. Only a store
/// on the Kubernetes API has entries there, for single reads; upstream's layout has the same place for Kubernetes' own kinds.
const PODS: &str = "/calico/resources/v3/kubernetes.io/pods/";

/// The key of a pod's metadata: the value is `{"metadata": {..}}` as the API server has it.
pub fn pod_key(namespace: &str, name: &str) -> String {
    format!("{PODS}{namespace}/{name}")
}

fn parse_pod_key(key: &str) -> Option<(&str, &str)> {
    let (namespace, name) = key.strip_prefix(PODS)?.split_once('/')?;
    (!namespace.is_empty() && !name.is_empty() && !name.contains('/')).then_some((namespace, name))
}

/// The object that a key means; `None` for keys that no API server has an object for.
pub fn place(key: &str, group: Group) -> Option<Place> {
    let place = place_of(key, group)?;
    let is_whole = is_segment(&place.name) && place.namespace.as_deref().is_none_or(is_segment);
    is_whole.then_some(place)
}

/// A name that names nothing would make the path that of a whole collection, and dots that of what is above it.
fn is_segment(name: &str) -> bool {
    !matches!(name, "" | "." | "..")
}

fn place_of(key: &str, group: Group) -> Option<Place> {
    if let Some((namespace, name)) = parse_pod_key(key) {
        return Some(Place {
            collection: Collection {
                kind: Kind::WorkloadEndpoint,
                source: Source::Native(Native::PodMetadata),
            },
            namespace: Some(namespace.to_owned()),
            name: name.to_owned(),
        });
    }
    let parsed = parse_store_key(key)?;
    let kind = parsed.kind();
    if let Some(name) = ipam::resource_name(&parsed) {
        let collection = *collections(kind, group).first()?;
        return Some(Place {
            collection,
            namespace: None,
            name,
        });
    }
    let StoreKey::Resource {
        namespace, name, ..
    } = parsed
    else {
        return None;
    };
    let all = collections(kind, group);
    let of = |native| {
        all.iter()
            .copied()
            .find(|one| one.source == Source::Native(native))
    };
    let at = |collection, namespace: Option<&str>, name: &str| {
        Some(Place {
            collection,
            namespace: namespace.map(str::to_owned),
            name: name.to_owned(),
        })
    };
    if kind == Kind::WorkloadEndpoint {
        let namespace = namespace?;
        let id = parse_name(&namespace, &name).filter(|id| &*id.orchestrator == "k8s")?;
        return at(of(Native::Pod)?, Some(&namespace), &id.workload);
    }
    if kind == Kind::Profile {
        if let Some(namespace) = name.strip_prefix("kns.") {
            return at(of(Native::Namespace)?, None, namespace);
        }
        let (namespace, account) = name.strip_prefix("ksa.")?.split_once('.')?;
        return at(of(Native::ServiceAccount)?, Some(namespace), account);
    }
    at(*all.first()?, namespace.as_deref(), &name)
}
