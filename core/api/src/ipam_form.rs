//! Between the form in which upstream stores IPAM entries and the v3 objects that users see of them.

use model::{AffinityId, AffinityOwner, Key, Resource};
use serde_json::{Map, Value, json};

use crate::encode::encode;
use crate::gojson;
use crate::key::StoreKey;
use crate::kind::Kind;
use crate::kinds::ipam::StoredConfig;
use crate::kinds::{Identity, read};
use crate::object::Object;
use crate::reader::{Item, Path, Purpose, Reader};

/// The v3 object of a stored IPAM entry. What cannot be understood is carried over as it is.
pub(crate) fn to_v3(place: &StoreKey, mut stored: Map<String, Value>) -> Object {
    let mut object = Object::new(place.kind(), None, &place.name());
    let mut renamed = |from: &str, to: &str, spec: &mut Map<String, Value>| {
        if let Some(value) = stored.remove(from) {
            spec.insert(to.to_owned(), value);
        }
    };
    let spec = object.spec_mut();
    match place {
        StoreKey::Block(_) => renamed("affinity_claim_time", "affinityClaimTime", spec),
        StoreKey::Affinity(AffinityId { owner, block }) => {
            let (kind, node) = match owner {
                AffinityOwner::Host(name) => ("host", name),
                AffinityOwner::Virtual(name) => ("virtual", name),
            };
            spec.insert("type".to_owned(), kind.into());
            spec.insert("node".to_owned(), node.as_ref().into());
            spec.insert("cidr".to_owned(), block.to_string().into());
        }
        StoreKey::Handle(id) => {
            spec.insert("handleID".to_owned(), id.as_ref().into());
        }
        StoreKey::IpamConfig => {
            spec.insert("strictAffinity".to_owned(), false.into());
            spec.insert("autoAllocateBlocks".to_owned(), false.into());
            spec.insert("maxBlocksPerHost".to_owned(), json!(0));
            renamed("strict_affinity", "strictAffinity", spec);
            renamed("auto_allocate_blocks", "autoAllocateBlocks", spec);
        }
        StoreKey::Resource { .. } => {}
    }
    spec.extend(stored);
    object
}

/// True for kinds whose stored form is another than their v3 object.
pub(crate) fn is_kept_otherwise(kind: Kind) -> bool {
    [
        Kind::IpamBlock,
        Kind::BlockAffinity,
        Kind::IpamHandle,
        Kind::IpamConfiguration,
    ]
    .contains(&kind)
}

/// Where an IPAM object is stored, which its spec says and not its name. `None` for all other kinds.
pub(crate) fn own_key(object: &Object) -> Option<StoreKey> {
    let text = |field: &str| {
        object
            .pointer(&format!("/spec/{field}"))
            .and_then(Value::as_str)
    };
    match object.kind() {
        Kind::IpamConfiguration => Some(StoreKey::IpamConfig),
        Kind::IpamHandle => Some(StoreKey::Handle(
            text("handleID").unwrap_or(object.name()).into(),
        )),
        Kind::IpamBlock => text("cidr")?.parse().ok().map(StoreKey::Block),
        Kind::BlockAffinity => {
            let node: Box<str> = text("node")?.into();
            let owner = match text("type") {
                Some("virtual") => AffinityOwner::Virtual(node),
                Some(_) | None => AffinityOwner::Host(node),
            };
            let block = text("cidr")?.parse().ok()?;
            Some(StoreKey::Affinity(AffinityId { owner, block }))
        }
        Kind::NetworkPolicy
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
        | Kind::KubernetesNetworkPolicy => None,
    }
}

/// The bytes to store for an IPAM object; `None` for other kinds, and for IPAM objects that are not valid.
pub(crate) fn store_bytes(object: &Object) -> Option<Vec<u8>> {
    let place = own_key(object)?;
    let reader = Reader::new(Purpose::Stored);
    let value = Value::Object(object.value().clone());
    let item = Item {
        reader: &reader,
        path: &Path::Root,
        value: &value,
    };
    let id = Identity {
        namespace: None,
        name: object.name(),
    };
    let resource = read(object.kind(), &id, item)?;
    if !reader.into_problems().is_empty() {
        return None;
    }
    let key = match place {
        StoreKey::Block(cidr) => Key::Block(cidr),
        StoreKey::Affinity(id) => Key::Affinity(id),
        StoreKey::Handle(id) => Key::Handle(id),
        StoreKey::IpamConfig => {
            let Resource::IpamConfig(config) = &resource else {
                return None;
            };
            let persistence = object
                .pointer("/spec/kubeVirtVMAddressPersistence")
                .and_then(Value::as_str);
            return Some(gojson::to_vec(&StoredConfig::of(config, persistence)));
        }
        StoreKey::Resource { .. } => return None,
    };
    encode(&key, &resource).ok().map(|(_, bytes)| bytes)
}
