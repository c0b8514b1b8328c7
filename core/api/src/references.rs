//! What an object has to do with others: those that must be there before it is written, those it must not collide with, and
//! those that keep it from being deleted. Upstream's client for every store has the same rules (`libcalico-go/lib/clientv3`).
//!
//! A function in two steps, since the others have to be fetched: [`needs`] says which, and [`objection`] judges by them.

use model::Cidr;
use serde::Deserialize;
use serde_json::Value;

use crate::key::{StoreKey, parse_store_key, store_key, store_prefix, store_prefixes};
use crate::kind::Kind;
use crate::kinds::sets::DEFAULT_ALLOW;
use crate::object::Object;
use crate::problem::Problem;

/// Names that policies of Kubernetes have where both kinds share one place.
const OF_KUBERNETES: &str = "knp.default.";
/// The tier of policies that name none.
const DEFAULT_TIER: &str = "default";

/// What is about to be done.
#[derive(Clone, Copy, Debug)]
pub enum Intent<'a> {
    /// This object is to be new.
    Create(&'a Object),
    /// This object takes the place of what is there.
    Update(&'a Object),
    /// The object of this kind and name goes.
    Delete(Kind, &'a str),
}

/// An object that another one refers to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// Its kind.
    pub kind: Kind,
    /// Its name.
    pub name: String,
}

impl Reference {
    /// Where it is stored.
    pub fn key(&self) -> String {
        store_key(self.kind, None, &self.name)
    }
}

/// What has to be known of others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// These have to be there.
    pub present: Vec<Reference>,
    /// Everything under these prefixes has to be looked at.
    pub looked_at: Vec<String>,
}

/// Why it must not be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Objection {
    /// Something that it refers to is not there, without which it has no place.
    Missing(Reference),
    /// Fields that do not agree with other objects.
    Fields(Vec<Problem>),
    /// It is never done, whatever else is there: why.
    NotSupported(String),
    /// Another object leans on it: why, and which one.
    InUse {
        /// Why.
        reason: &'static str,
        /// The other's kind.
        kind: Kind,
        /// The other's namespace.
        namespace: Option<Box<str>>,
        /// The other's name.
        name: Box<str>,
    },
}

/// What has to be known of others before this is done.
pub fn needs(intent: &Intent<'_>) -> Needs {
    let mut needs = Needs::default();
    match intent {
        Intent::Create(object) if object.kind().has_tier() => {
            needs.present.push(Reference {
                kind: Kind::Tier,
                name: tier_of(object).to_owned(),
            });
        }
        Intent::Create(object) | Intent::Update(object) if object.kind() == Kind::BgpPeer => {
            needs.present = filters_of(object).map(filter).collect();
        }
        Intent::Create(object) if object.kind() == Kind::IpPool => {
            needs.looked_at = store_prefixes(Kind::IpPool, None);
            if let Some(cidr) = cidr_of(object) {
                let blocks = store_prefix(Kind::IpamBlock, None);
                let version = cidr.family().version();
                needs.looked_at.push(format!("{blocks}ipv{version}/block/"));
            }
        }
        Intent::Delete(Kind::Tier, _) => {
            needs.looked_at = Kind::TIERED
                .iter()
                .flat_map(|kind| store_prefixes(*kind, None))
                .collect();
        }
        Intent::Create(_) | Intent::Update(_) | Intent::Delete(..) => {}
    }
    needs
}

/// What stands in the way, if anything does: `is_there` answers for what [`needs`] wants present, `entries` are all that was
/// found under the prefixes it wants looked at, as key and value.
pub fn objection<'e>(
    intent: &Intent<'_>,
    is_there: &dyn Fn(&Reference) -> bool,
    entries: impl IntoIterator<Item = (&'e str, &'e [u8])>,
) -> Option<Objection> {
    if let Some(reason) = never(intent) {
        return Some(Objection::NotSupported(reason));
    }
    match intent {
        Intent::Create(object) | Intent::Update(object) if object.kind() == Kind::BgpPeer => {
            missing_filters(object, is_there)
        }
        Intent::Create(object) if object.kind() == Kind::IpPool => {
            let problems = collisions(object, entries);
            (!problems.is_empty()).then_some(Objection::Fields(problems))
        }
        Intent::Create(_) | Intent::Update(_) => {
            let mut present = needs(intent).present.into_iter();
            present.find(|one| !is_there(one)).map(Objection::Missing)
        }
        Intent::Delete(Kind::Tier, name) => member_of(name, entries),
        Intent::Delete(..) => None,
    }
}

/// What upstream's client never does.
fn never(intent: &Intent<'_>) -> Option<String> {
    let (kind, name) = match intent {
        Intent::Create(object) | Intent::Update(object) => (object.kind(), object.name()),
        Intent::Delete(kind, name) => (*kind, *name),
    };
    if kind == Kind::NetworkPolicy && name.starts_with(OF_KUBERNETES) {
        let reason = "kubernetes network policies must be managed through the kubernetes API";
        return Some(reason.to_owned());
    }
    let verb = match intent {
        Intent::Create(_) => return None,
        Intent::Update(_) => "updated",
        Intent::Delete(..) => "deleted",
    };
    (kind == Kind::Profile && name == DEFAULT_ALLOW).then(|| {
        format!(
            "The profile \"{DEFAULT_ALLOW}\" is a default provided by Calico and cannot be {verb}"
        )
    })
}

fn tier_of(policy: &Object) -> &str {
    let tier = policy.pointer("/spec/tier").and_then(Value::as_str);
    tier.filter(|tier| !tier.is_empty()).unwrap_or(DEFAULT_TIER)
}

fn filters_of(peer: &Object) -> impl Iterator<Item = &str> {
    let filters = peer.pointer("/spec/filters").and_then(Value::as_array);
    filters.into_iter().flatten().filter_map(Value::as_str)
}

fn filter(name: &str) -> Reference {
    Reference {
        kind: Kind::BgpFilter,
        name: name.to_owned(),
    }
}

fn missing_filters(peer: &Object, is_there: &dyn Fn(&Reference) -> bool) -> Option<Objection> {
    let missing: Vec<&str> = filters_of(peer)
        .filter(|name| !is_there(&filter(name)))
        .collect();
    if missing.is_empty() {
        return None;
    }
    let problem = Problem::at("BGPPeer.Spec.Filters", "BGPFilter(s) not found")
        .found(format!("[{}]", missing.join(" ")))
        .hint("make them before the peer");
    Some(Objection::Fields(vec![problem]))
}

fn cidr_of(pool: &Object) -> Option<Cidr> {
    pool.pointer("/spec/cidr")?.as_str()?.parse().ok()
}

/// A new pool overlaps no other, and no blocks of another size.
fn collisions<'e>(
    pool: &Object,
    entries: impl IntoIterator<Item = (&'e str, &'e [u8])>,
) -> Vec<Problem> {
    let Some(own) = cidr_of(pool) else {
        return Vec::new();
    };
    let size = pool.pointer("/spec/blockSize").and_then(Value::as_u64);
    let mut problems = Vec::new();
    let mut of_another_size = None;
    for (key, value) in entries {
        match parse_store_key(key) {
            Some(StoreKey::Block(block)) => {
                let differs = size.is_some_and(|size| size != u64::from(block.len()));
                if differs && of_another_size.is_none() && block.overlaps(own) {
                    of_another_size = Some(block);
                }
            }
            Some(StoreKey::Resource {
                kind: Kind::IpPool,
                name,
                ..
            }) => {
                let theirs = serde_json::from_slice::<PoolOf>(value).ok();
                let theirs = theirs.and_then(|other| other.spec.cidr.parse::<Cidr>().ok());
                if let Some(theirs) =
                    theirs.filter(|theirs| *name != *pool.name() && theirs.overlaps(own))
                {
                    let message = format!(
                        "IPPool({}) CIDR overlaps with IPPool({name}) CIDR {theirs}",
                        pool.name()
                    );
                    problems.push(Problem::at("IPPool.Spec.CIDR", message).found(own.to_string()));
                }
            }
            Some(
                StoreKey::Resource { .. }
                | StoreKey::Affinity(_)
                | StoreKey::Handle(_)
                | StoreKey::IpamConfig,
            )
            | None => {}
        }
    }
    if let (Some(block), Some(size)) = (of_another_size, size) {
        let message =
            "IPPool blocksSize conflicts with existing allocations that use a different blockSize";
        let problem = Problem::at("IPPool.Spec.BlockSize", message)
            .found(size.to_string())
            .hint(format!(
                "the block {block} is in use: set blockSize to {}",
                block.len()
            ));
        problems.push(problem);
    }
    problems
}

/// A policy in a tier.
fn member_of<'e>(
    tier: &str,
    entries: impl IntoIterator<Item = (&'e str, &'e [u8])>,
) -> Option<Objection> {
    entries.into_iter().find_map(|(key, value)| {
        let policy: PolicyOf = serde_json::from_slice(value).ok()?;
        let place = parse_store_key(key).filter(|place| place.kind().has_tier())?;
        (policy.spec.tier == tier).then(|| Objection::InUse {
            reason: "Cannot delete a non-empty tier",
            kind: place.kind(),
            namespace: place.namespace().map(Into::into),
            name: place.name().into(),
        })
    })
}

#[derive(Deserialize)]
struct PoolOf {
    spec: PoolSpec,
}

#[derive(Deserialize)]
struct PoolSpec {
    cidr: String,
}

#[derive(Deserialize)]
struct PolicyOf {
    spec: PolicySpec,
}

#[derive(Deserialize)]
struct PolicySpec {
    #[serde(default)]
    tier: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AdmitOptions, admit};
    use serde_json::json;

    fn object(kind: &str, name: &str, spec: Value) -> Object {
        let value = json!({"apiVersion": "projectcalico.org/v3", "kind": kind, "metadata": {"name": name}, "spec": spec});
        admit(value, &AdmitOptions::default()).unwrap()
    }

    fn stored(objects: &[Object]) -> Vec<(String, Vec<u8>)> {
        let entry = |object: &Object| (object.store_key(), object.to_store_bytes());
        objects.iter().map(entry).collect()
    }

    fn judged(intent: &Intent<'_>, there: &[Object]) -> Option<Objection> {
        let all = stored(there);
        let is_there = |wanted: &Reference| all.iter().any(|(key, _)| *key == wanted.key());
        let needs = needs(intent);
        let found = all.iter().filter(|(key, _)| {
            needs
                .looked_at
                .iter()
                .any(|prefix| key.starts_with(prefix.as_str()))
        });
        objection(
            intent,
            &is_there,
            found.map(|(key, value)| (key.as_str(), value.as_slice())),
        )
    }

    #[test]
    fn a_policy_needs_its_tier_when_it_is_made() {
        let tier = object("Tier", "dev", json!({"order": 5}));
        for kind in Kind::TIERED {
            let policy = object(kind.name(), "dev.a", json!({"tier": "dev"}));
            let missing = judged(&Intent::Create(&policy), &[]);
            assert!(
                matches!(&missing, Some(Objection::Missing(tier)) if tier.name == "dev"),
                "{kind}: {missing:?}"
            );
            assert_eq!(
                judged(&Intent::Create(&policy), std::slice::from_ref(&tier)),
                None
            );
            assert_eq!(judged(&Intent::Update(&policy), &[]), None);
        }
        let policy = object("GlobalNetworkPolicy", "a", json!({}));
        let wanted = needs(&Intent::Create(&policy)).present;
        assert_eq!(wanted[0].name, DEFAULT_TIER);
        let staged = object("StagedKubernetesNetworkPolicy", "a", json!({}));
        assert_eq!(needs(&Intent::Create(&staged)), Needs::default());
    }

    #[test]
    fn a_tier_with_policies_stays() {
        let policy = object("StagedNetworkPolicy", "dev.a", json!({"tier": "dev"}));
        let found = judged(
            &Intent::Delete(Kind::Tier, "dev"),
            std::slice::from_ref(&policy),
        );
        assert!(
            matches!(&found, Some(Objection::InUse { kind: Kind::StagedNetworkPolicy, name, .. }) if **name == *"dev.a"),
            "{found:?}"
        );
        assert_eq!(
            judged(&Intent::Delete(Kind::Tier, "other"), &[policy]),
            None
        );
    }

    #[test]
    fn a_peer_needs_its_filters() {
        let peer = object(
            "BGPPeer",
            "p",
            json!({"peerIP": "192.0.2.1", "asNumber": 1, "filters": ["a", "b", "c"]}),
        );
        let there = [object("BGPFilter", "b", json!({}))];
        for intent in [Intent::Create(&peer), Intent::Update(&peer)] {
            let Some(Objection::Fields(problems)) = judged(&intent, &there) else {
                panic!("two are missing");
            };
            assert_eq!(problems[0].field, "BGPPeer.Spec.Filters");
            assert_eq!(problems[0].value, "[a c]");
        }
    }

    #[test]
    fn a_pool_keeps_clear_of_others_and_of_their_blocks() {
        let pool = object("IPPool", "new", json!({"cidr": "10.0.0.0/16"}));
        let others = [
            object("IPPool", "wide", json!({"cidr": "10.0.0.0/8"})),
            object("IPPool", "far", json!({"cidr": "10.1.0.0/16"})),
            object("IPPool", "new", json!({"cidr": "10.0.0.0/16"})),
            object("IPPool", "six", json!({"cidr": "fd00::/64"})),
        ];
        let Some(Objection::Fields(problems)) = judged(&Intent::Create(&pool), &others) else {
            panic!("it overlaps one");
        };
        let texts: Vec<&str> = problems.iter().map(|p| p.message.as_str()).collect();
        assert_eq!(
            texts,
            ["IPPool(new) CIDR overlaps with IPPool(wide) CIDR 10.0.0.0/8"]
        );
        assert_eq!(judged(&Intent::Update(&pool), &others), None);

        let block = |cidr: &str| store_key(Kind::IpamBlock, None, cidr);
        let judge = |keys: &[String]| {
            objection(
                &Intent::Create(&pool),
                &|_| true,
                keys.iter().map(|key| (key.as_str(), &b"{}"[..])),
            )
        };
        assert_eq!(
            judge(&[block("10-0-3-0-26"), block("10-1-0-0-27")]),
            None,
            "the same size, and elsewhere"
        );
        let Some(Objection::Fields(problems)) = judge(&[block("10-0-3-0-27")]) else {
            panic!("a block of another size");
        };
        assert_eq!(
            problems[0].to_string(),
            "IPPool.Spec.BlockSize: IPPool blocksSize conflicts with existing allocations that use a different blockSize (found 26); the block 10.0.3.0/27 is in use: set blockSize to 27"
        );
    }

    #[test]
    fn what_is_never_done() {
        let policy = object("NetworkPolicy", "knp.default.web", json!({}));
        let profile = object("Profile", DEFAULT_ALLOW, json!({}));
        let intents = [
            Intent::Create(&policy),
            Intent::Update(&policy),
            Intent::Delete(Kind::NetworkPolicy, "knp.default.web"),
            Intent::Update(&profile),
            Intent::Delete(Kind::Profile, DEFAULT_ALLOW),
        ];
        for intent in intents {
            let found = judged(&intent, &[]);
            assert!(
                matches!(found, Some(Objection::NotSupported(_))),
                "{intent:?}"
            );
        }
        assert_eq!(judged(&Intent::Create(&profile), &[]), None);
    }
}
