//! From store entries to the model: what the agent and the tools know of the world.

use model::{Key, Resource, Update};
use serde_json::Value;

use crate::key::{StoreKey, parse_store_key};
use crate::kinds::{self, Identity, ipam};
use crate::problem::{Invalid, Problem};
use crate::reader::{Item, Path, Purpose, Reader};

/// Reads a store entry.
///
/// The value of the update is `None` for an entry that is valid and tells nothing, such as an endpoint without addresses.
///
/// # Errors
/// If the entry is no valid object: it is to be treated as absent, and the problems to be logged.
pub fn decode(key: &str, bytes: &[u8]) -> Result<Update, Invalid> {
    let Some(place) = parse_store_key(key) else {
        let problem = Problem::of_object(format!("{key:?} is no key of an object"));
        return Err(Invalid {
            key: None,
            problems: vec![problem],
        });
    };
    let model_key = kinds::key_of_store(&place);
    let invalid = |problems| Invalid {
        key: model_key.clone(),
        problems,
    };
    let value = parse(&place, bytes).map_err(|problem| invalid(vec![problem]))?;
    let reader = Reader::new(Purpose::Stored);
    let item = Item {
        reader: &reader,
        path: &Path::Root,
        value: &value,
    };
    let resource = read(&place, item);
    let problems = reader.into_problems();
    if !problems.is_empty() {
        return Err(invalid(problems));
    }
    match model_key {
        Some(key) => Ok(Update {
            key,
            value: resource,
        }),
        None => Err(invalid(vec![Problem::at(
            "metadata.name",
            "is no name that an object of this kind can have",
        )])),
    }
}

/// The model's key of a store key, for entries that are gone. `None` if the key is none of ours.
pub fn decode_absent(key: &str) -> Option<Key> {
    kinds::key_of_store(&parse_store_key(key)?)
}

fn parse(place: &StoreKey, bytes: &[u8]) -> Result<Value, Problem> {
    // Upstream reads an affinity without content as one without a state.
    if bytes.is_empty() && matches!(place, StoreKey::Affinity(_)) {
        return Ok(Value::Object(serde_json::Map::new()));
    }
    serde_json::from_slice(bytes)
        .map_err(|error| Problem::of_object(format!("the stored value is no JSON: {error}")))
}

fn read(place: &StoreKey, item: Item<'_>) -> Option<Resource> {
    match place {
        StoreKey::Resource {
            kind,
            namespace,
            name,
        } => {
            let id = Identity {
                namespace: namespace.as_deref(),
                name,
            };
            kinds::read(*kind, &id, item)
        }
        StoreKey::Block(cidr) => item
            .object(|fields| {
                let block = ipam::block(fields, ipam::Form::Stored)?;
                if block.cidr != *cidr {
                    fields.wrong(
                        "cidr",
                        format!("does not agree with the key, which says {cidr}"),
                    );
                }
                Some(block)
            })?
            .map(Resource::Block),
        StoreKey::Affinity(_) => item.object(ipam::affinity).map(Resource::Affinity),
        StoreKey::Handle(_) => item.object(ipam::handle).map(Resource::Handle),
        StoreKey::IpamConfig => item.object(ipam::config).map(Resource::IpamConfig),
    }
}
