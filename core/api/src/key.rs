//! Where objects are in the store: upstream's etcd v3 layout, byte for byte.
//!
//! Resources: `/calico/resources/v3/projectcalico.org/<plural>/[<namespace>/]<name>`. IPAM has its own tree below
//! `/calico/ipam/v2/`. Upstream escapes nothing in these keys: names are validated to hold no slash.

use model::{AffinityId, AffinityOwner, Cidr, Family};

use crate::kind::Kind;

/// What all keys of resources begin with.
pub const RESOURCES: &str = "/calico/resources/v3/projectcalico.org/";
const IPAM: &str = "/calico/ipam/v2/";
const BLOCKS: &str = "/calico/ipam/v2/assignment/";
const HANDLES: &str = "/calico/ipam/v2/handle/";
const HOSTS: &str = "/calico/ipam/v2/host/";
const VIRTUALS: &str = "/calico/ipam/v2/virtual/";
const IPAM_CONFIG: &str = "/calico/ipam/v2/config";

/// What a store key names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StoreKey {
    /// An object kept as its whole JSON.
    Resource {
        /// Its kind.
        kind: Kind,
        /// Its namespace, for namespaced kinds.
        namespace: Option<Box<str>>,
        /// Its name.
        name: Box<str>,
    },
    /// A block.
    Block(Cidr),
    /// A claim on a block.
    Affinity(AffinityId),
    /// A handle.
    Handle(Box<str>),
    /// The IPAM settings.
    IpamConfig,
}

impl StoreKey {
    /// The kind of object there.
    pub fn kind(&self) -> Kind {
        match self {
            StoreKey::Resource { kind, .. } => *kind,
            StoreKey::Block(_) => Kind::IpamBlock,
            StoreKey::Affinity(_) => Kind::BlockAffinity,
            StoreKey::Handle(_) => Kind::IpamHandle,
            StoreKey::IpamConfig => Kind::IpamConfiguration,
        }
    }

    /// The namespace of the object there, for namespaced kinds.
    pub fn namespace(&self) -> Option<&str> {
        match self {
            StoreKey::Resource { namespace, .. } => namespace.as_deref(),
            StoreKey::Block(_)
            | StoreKey::Affinity(_)
            | StoreKey::Handle(_)
            | StoreKey::IpamConfig => None,
        }
    }

    /// The name of the object there.
    pub fn name(&self) -> String {
        match self {
            StoreKey::Resource { name, .. } | StoreKey::Handle(name) => name.to_string(),
            StoreKey::Block(cidr) => cidr_name(*cidr),
            StoreKey::Affinity(id) => match &id.owner {
                AffinityOwner::Host(host) => format!("{host}-{}", cidr_name(id.block)),
                AffinityOwner::Virtual(name) => format!("virtual-{name}-{}", cidr_name(id.block)),
            },
            StoreKey::IpamConfig => "default".to_owned(),
        }
    }
}

/// The key's text.
impl std::fmt::Display for StoreKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            StoreKey::Resource {
                kind,
                namespace,
                name,
            } => match namespace {
                Some(ns) => write!(f, "{RESOURCES}{}/{ns}/{name}", kind.plural()),
                None => write!(f, "{RESOURCES}{}/{name}", kind.plural()),
            },
            StoreKey::Block(cidr) => {
                write!(
                    f,
                    "{BLOCKS}ipv{}/block/{}",
                    cidr.family().version(),
                    dashed(*cidr)
                )
            }
            StoreKey::Affinity(AffinityId { owner, block }) => {
                let (tree, name) = match owner {
                    AffinityOwner::Host(host) => (HOSTS, host),
                    AffinityOwner::Virtual(name) => (VIRTUALS, name),
                };
                let version = block.family().version();
                write!(f, "{tree}{name}/ipv{version}/block/{}", dashed(*block))
            }
            StoreKey::Handle(id) => write!(f, "{HANDLES}{id}"),
            StoreKey::IpamConfig => f.write_str(IPAM_CONFIG),
        }
    }
}

/// The store key of an object. IPAM kinds live in their own tree; of these a name that names no network gives a key that
/// nothing is stored under.
pub fn store_key(kind: Kind, namespace: Option<&str>, name: &str) -> String {
    let nowhere = || format!("{RESOURCES}{}/{name}", kind.plural());
    match kind {
        Kind::IpamConfiguration if name == "default" => StoreKey::IpamConfig.to_string(),
        Kind::IpamHandle => StoreKey::Handle(name.into()).to_string(),
        Kind::IpamBlock => match name_cidr(name) {
            Some(cidr) => StoreKey::Block(cidr).to_string(),
            None => nowhere(),
        },
        Kind::BlockAffinity => {
            affinity_of_name(name).map_or_else(nowhere, |id| StoreKey::Affinity(id).to_string())
        }
        Kind::IpamConfiguration
        | Kind::NetworkPolicy
        | Kind::GlobalNetworkPolicy
        | Kind::Tier
        | Kind::NetworkSet
        | Kind::GlobalNetworkSet
        | Kind::Profile
        | Kind::WorkloadEndpoint
        | Kind::HostEndpoint
        | Kind::Node
        | Kind::IpPool
        | Kind::IpReservation
        | Kind::FelixConfiguration
        | Kind::ClusterInformation
        | Kind::StagedNetworkPolicy
        | Kind::StagedGlobalNetworkPolicy
        | Kind::StagedKubernetesNetworkPolicy
        | Kind::BgpConfiguration
        | Kind::BgpPeer
        | Kind::BgpFilter
        | Kind::KubeControllersConfiguration
        | Kind::CalicoNodeStatus
        | Kind::LiveMigration
        | Kind::KubernetesClusterNetworkPolicy
        | Kind::Namespace
        | Kind::ServiceAccount
        | Kind::Service
        | Kind::EndpointSlice
        | Kind::KubernetesNetworkPolicy => StoreKey::Resource {
            kind,
            namespace: namespace.filter(|_| kind.is_namespaced()).map(Into::into),
            name: name.into(),
        }
        .to_string(),
    }
}

/// What all keys of a kind begin with; of a namespaced kind, those of one namespace if it is given.
///
/// Affinities have two prefixes (hosts and virtual owners): see [`store_prefixes`].
pub fn store_prefix(kind: Kind, namespace: Option<&str>) -> String {
    match (kind, namespace) {
        (Kind::IpamBlock, _) => BLOCKS.to_owned(),
        (Kind::IpamHandle, _) => HANDLES.to_owned(),
        (Kind::BlockAffinity, _) => HOSTS.to_owned(),
        (Kind::IpamConfiguration, _) => IPAM_CONFIG.to_owned(),
        (_, Some(ns)) if kind.is_namespaced() => format!("{RESOURCES}{}/{ns}/", kind.plural()),
        (_, _) => format!("{RESOURCES}{}/", kind.plural()),
    }
}

/// The prefixes under which all objects of a kind are found.
pub fn store_prefixes(kind: Kind, namespace: Option<&str>) -> Vec<String> {
    let mut prefixes = vec![store_prefix(kind, namespace)];
    if kind == Kind::BlockAffinity {
        prefixes.push(VIRTUALS.to_owned());
    }
    prefixes
}

/// The prefix of one host's affinities of one family.
pub fn host_affinities_prefix(host: &str, family: Family) -> String {
    format!("{HOSTS}{host}/ipv{}/block/", family.version())
}

/// What a store key names; `None` for keys that are none of ours.
pub fn parse_store_key(key: &str) -> Option<StoreKey> {
    if let Some(rest) = key.strip_prefix(RESOURCES) {
        return parse_resource(rest);
    }
    let rest = key.strip_prefix(IPAM)?;
    if rest == "config" {
        return Some(StoreKey::IpamConfig);
    }
    let (tree, rest) = rest.split_once('/')?;
    match tree {
        "handle" => segment(rest).map(|id| StoreKey::Handle(id.into())),
        "assignment" => block_path(rest).map(StoreKey::Block),
        // Upstream reads `@` as a type of its own; nothing writes it.
        "host" | "virtual" => {
            let (owner, rest) = rest.split_once('/')?;
            let owner: Box<str> = segment(owner)?.into();
            let block = block_path(rest)?;
            let owner = match tree {
                "host" => AffinityOwner::Host(owner),
                _ => AffinityOwner::Virtual(owner),
            };
            Some(StoreKey::Affinity(AffinityId { owner, block }))
        }
        _ => None,
    }
}

fn parse_resource(rest: &str) -> Option<StoreKey> {
    let (plural, rest) = rest.split_once('/')?;
    let kind = Kind::by_plural(plural).filter(|kind| is_resource(*kind))?;
    let (namespace, name) = match rest.split_once('/') {
        Some((ns, name)) if kind.is_namespaced() => (Some(segment(ns)?.into()), name),
        None if !kind.is_namespaced() => (None, rest),
        Some(_) | None => return None,
    };
    Some(StoreKey::Resource {
        kind,
        namespace,
        name: segment(name)?.into(),
    })
}

/// True for kinds whose store entry is the object itself.
fn is_resource(kind: Kind) -> bool {
    !matches!(
        kind,
        Kind::IpamBlock | Kind::IpamHandle | Kind::BlockAffinity | Kind::IpamConfiguration
    )
}

fn segment(text: &str) -> Option<&str> {
    (!text.is_empty() && !text.contains('/')).then_some(text)
}

/// `ipv4/block/10.0.0.0-26`.
fn block_path(rest: &str) -> Option<Cidr> {
    let (family, rest) = rest.split_once('/')?;
    let dashed = segment(rest.strip_prefix("block/")?)?;
    let (addr, len) = dashed.split_once('-')?;
    let cidr: Cidr = format!("{addr}/{len}").parse().ok()?;
    (family == format!("ipv{}", cidr.family().version())).then_some(cidr)
}

fn dashed(cidr: Cidr) -> String {
    format!("{}-{}", cidr.addr(), cidr.len())
}

/// A network as part of an object's name: `10-65-0-0-26`.
pub fn cidr_name(cidr: Cidr) -> String {
    cidr.to_string().replace(['.', ':', '/'], "-")
}

/// The network that a name was made of.
pub fn name_cidr(name: &str) -> Option<Cidr> {
    let (addr, len) = name.rsplit_once('-')?;
    let v4: Option<Cidr> = format!("{}/{len}", addr.replace('-', ".")).parse().ok();
    let cidr = match v4 {
        Some(cidr) => cidr,
        None => format!("{}/{len}", addr.replace('-', ":")).parse().ok()?,
    };
    (cidr_name(cidr) == name).then_some(cidr)
}

/// Tries every place where the owner's name could end; the longest network wins.
fn affinity_of_name(name: &str) -> Option<AffinityId> {
    let found = name.match_indices('-').find_map(|(at, _)| {
        let block = name_cidr(&name[at + 1..])?;
        Some((&name[..at], block))
    });
    let (owner, block) = found.filter(|(owner, _)| !owner.is_empty())?;
    let owner = match owner.strip_prefix("virtual-") {
        Some(rest) => AffinityOwner::Virtual(rest.into()),
        None => AffinityOwner::Host(owner.into()),
    };
    Some(AffinityId { owner, block })
}
