//! What a node needs before the agent runs: its Node object, default pools, the built-in tiers, ClusterInformation, and the
//! files that the CNI plugin reads. One read, one commit; what exists is adopted, never overwritten.

use std::fs;
use std::net::IpAddr;
use std::path::Path;
use std::time::SystemTime;

use anyhow::{Context as _, bail};
use api::{Kind, Object};
use datastore::{
    AnyStore, CommitError, Datastore, Query, ReadError, Snapshot, Write, block_on_ready,
};
use model::{Cidr, Family};
use serde_json::json;

use crate::detect::{Detected, HostInterface, Method, smallest_mtu};
use crate::settings::{Env, Settings, is_true};

/// How often a commit that another process overtook is prepared again.
const ATTEMPTS: usize = 10;

/// Facts about the host, looked up by the caller.
pub struct HostFacts {
    /// Interfaces in the kernel's order.
    pub interfaces: Vec<HostInterface>,
    /// From which address another one is reached.
    pub reach: fn(&str) -> Option<IpAddr>,
}

/// Who makes and removes Node objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    /// We do.
    Calico,
    /// The kubelet does; we only add to them.
    Kubernetes,
}

/// Creates what is missing.
///
/// # Errors
/// The datastore cannot be written, or the environment says something that cannot be followed.
pub fn run(settings: &Settings, store: &AnyStore, host: &HostFacts) -> anyhow::Result<()> {
    let addresses = [
        (Family::V4, wanted_address(&settings.env, Family::V4, host)?),
        (Family::V6, wanted_address(&settings.env, Family::V6, host)?),
    ];
    write_files(settings, host)?;
    let owner = match store {
        AnyStore::Kubernetes(_) => Owner::Kubernetes,
        AnyStore::Embedded(_) | AnyStore::Etcd(_) | AnyStore::Memory(_) => Owner::Calico,
    };
    let queries = queries(&settings.node);
    for _ in 0..ATTEMPTS {
        let snapshot =
            block_on_ready(store.read(&queries)).context("failed to read the datastore")?;
        let mut writes = Vec::new();
        node(settings, owner, &addresses, &snapshot, &mut writes)?;
        pools(settings, host, &snapshot, &mut writes)?;
        for object in builtin(settings, owner)? {
            create_missing(object, &snapshot, &mut writes)?;
        }
        writes.extend(say_ready(&snapshot));
        if writes.is_empty() {
            return Ok(());
        }
        match block_on_ready(store.commit(&writes)) {
            Ok(_) => {
                for write in &writes {
                    tracing::info!(key = %write.key, "wrote");
                }
                return Ok(());
            }
            Err(CommitError::AlreadyExists { .. } | CommitError::Conflict { .. }) => {}
            Err(error) => return Err(error).context("failed to write this node's objects"),
        }
    }
    bail!("other processes kept changing this node's objects; {ATTEMPTS} attempts were overtaken")
}

/// Whether a failure is the datastore's, so that the same may succeed later.
pub fn may_pass(error: &anyhow::Error) -> bool {
    error
        .chain()
        .any(|cause| cause.is::<ReadError>() || cause.is::<CommitError>())
}

fn queries(node: &str) -> Vec<Query> {
    vec![
        Query::key(api::store_key(Kind::Node, None, node)),
        Query::prefix(api::store_prefix(Kind::IpPool, None)),
        Query::prefix(api::store_prefix(Kind::Tier, None)),
        Query::key(api::store_key(Kind::ClusterInformation, None, "default")),
        Query::key(api::store_key(Kind::FelixConfiguration, None, "default")),
    ]
}

fn stamped(mut object: Object) -> anyhow::Result<Object> {
    let uid = service::identity::random_uuid().context("failed to make a UID")?;
    object.stamp(&uid, &service::identity::timestamp(SystemTime::now()));
    Ok(object)
}

fn create_missing(
    object: Object,
    snapshot: &Snapshot,
    writes: &mut Vec<Write>,
) -> anyhow::Result<()> {
    let key = object.store_key();
    if snapshot.get(&key).is_none() {
        writes.push(Write::create(key, stamped(object)?.to_store_bytes()));
    }
    Ok(())
}

/// Facts about the cluster that do not say whether the datastore is ready say so from now on, as upstream has it; one that is
/// locked stays so.
fn say_ready(snapshot: &Snapshot) -> Option<Write> {
    let key = api::store_key(Kind::ClusterInformation, None, "default");
    let entry = snapshot.get(&key)?;
    let mut object = Object::from_store(&key, &entry.value, entry.revision.get()).ok()?;
    let said = object.pointer("/spec/datastoreReady");
    if said.is_some_and(|said| !said.is_null()) {
        return None;
    }
    let spec = object.spec_mut();
    spec.insert("datastoreReady".into(), json!(true));
    Some(Write::update(key, object.to_store_bytes(), entry.revision))
}

/// What kind of cluster this is, as upstream tells it: from the environment, and that the store is Kubernetes.
fn cluster_type(settings: &Settings, owner: Owner) -> String {
    let given = settings.env.get("CLUSTER_TYPE").map(|text| text.trim());
    let given = given.filter(|text| !text.is_empty());
    match owner {
        Owner::Calico => given.unwrap_or("bgp").to_owned(),
        Owner::Kubernetes => match given {
            Some(given) if given.split(',').any(|word| word == "kdd") => given.to_owned(),
            Some(given) => format!("{given},kdd"),
            None => "k8s,bgp,kdd".to_owned(),
        },
    }
}

fn builtin(settings: &Settings, owner: Owner) -> anyhow::Result<Vec<Object>> {
    let mut out = Vec::new();
    for (name, order, action) in [
        ("kube-admin", 1_000.0, "Pass"),
        ("default", 1_000_000.0, "Deny"),
        ("kube-baseline", 10_000_000.0, "Pass"),
    ] {
        let mut tier = Object::new(Kind::Tier, None, name);
        tier.spec_mut().insert("order".into(), json!(order));
        tier.spec_mut()
            .insert("defaultAction".into(), json!(action));
        out.push(tier);
    }
    let mut cluster = Object::new(Kind::ClusterInformation, None, "default");
    let guid = service::identity::random_uuid().context("failed to make a cluster GUID")?;
    let spec = cluster.spec_mut();
    spec.insert("clusterGUID".into(), json!(guid.replace('-', "")));
    let cluster_type = cluster_type(settings, owner);
    spec.insert("clusterType".into(), json!(cluster_type));
    spec.insert("calicoVersion".into(), json!(model::COMPATIBLE_VERSION));
    spec.insert("datastoreReady".into(), json!(true));
    out.push(cluster);
    let mut felix = Object::new(Kind::FelixConfiguration, None, "default");
    felix.spec_mut();
    out.push(felix);
    Ok(out)
}

/// What an environment variable wants of a family's address.
enum Wanted {
    /// What the Node object says stays.
    Keep,
    /// This one.
    Set(Detected),
}

fn wanted_address(env: &Env, family: Family, host: &HostFacts) -> anyhow::Result<Wanted> {
    let (name, method_name, default) = match family {
        Family::V4 => ("IP", "IP_AUTODETECTION_METHOD", "autodetect"),
        Family::V6 => ("IP6", "IP6_AUTODETECTION_METHOD", "none"),
    };
    let value = env.get(name).map_or(default, |v| v.trim());
    match value {
        "none" | "" => Ok(Wanted::Keep),
        "autodetect" => {
            let text = env.get(method_name).map_or("", |v| v.as_str());
            let method = Method::parse(text)
                .map_err(anyhow::Error::msg)
                .context(method_name)?;
            Ok(method.choose(family, &host.interfaces, host.reach).map_or_else(
                || {
                    tracing::warn!(%method_name, text, "no address of this family found on this host");
                    Wanted::Keep
                },
                Wanted::Set,
            ))
        }
        literal => {
            let (address, length) = literal.split_once('/').unwrap_or((literal, ""));
            let address: IpAddr = address
                .parse()
                .ok()
                .filter(|a| Family::of(*a) == family)
                .with_context(|| {
                    format!("{name}={literal} is no address; use an address, autodetect or none")
                })?;
            let interface = host.interfaces.iter().find_map(|i| {
                i.addresses
                    .iter()
                    .find(|(a, _)| *a == address)
                    .map(|(_, len)| (i.name.clone(), *len))
            });
            let length = length
                .parse()
                .ok()
                .or(interface.as_ref().map(|(_, len)| *len));
            Ok(Wanted::Set(Detected {
                address,
                length: length.unwrap_or(family.bits()),
                interface: interface.map(|(name, _)| name).unwrap_or_default(),
            }))
        }
    }
}

fn node(
    settings: &Settings,
    owner: Owner,
    addresses: &[(Family, Wanted)],
    snapshot: &Snapshot,
    writes: &mut Vec<Write>,
) -> anyhow::Result<()> {
    let key = api::store_key(Kind::Node, None, &settings.node);
    let stored = snapshot.get(&key);
    let mut object = match stored {
        Some(entry) => Object::from_store(&key, &entry.value, entry.revision.get())
            .map_err(|e| anyhow::anyhow!("this node's object is unreadable: {e}"))?,
        None if owner == Owner::Kubernetes => {
            let absent = anyhow::Error::new(CommitError::NotFound { key: key.into() });
            return Err(absent.context(format!(
                "the cluster has no Node {:?}: the kubelet registers it; if it calls this host otherwise, set NODENAME to that",
                settings.node
            )));
        }
        None => stamped(Object::new(Kind::Node, None, &settings.node))?,
    };
    let before = object.to_store_bytes();
    if owner == Owner::Calico {
        refer(&mut object, settings.env.get("CALICO_K8S_NODE_REF"));
    }
    for (family, wanted) in addresses {
        let Wanted::Set(found) = wanted else { continue };
        let field = match family {
            Family::V4 => "ipv4Address",
            Family::V6 => "ipv6Address",
        };
        let text = format!("{}/{}", found.address, found.length);
        let bgp = object.spec_mut().entry("bgp").or_insert_with(|| json!({}));
        if let Some(bgp) = bgp.as_object_mut() {
            bgp.insert(field.into(), json!(text));
        }
        tracing::info!(address = %text, interface = %found.interface, "address of this node");
    }
    let after = object.to_store_bytes();
    match stored {
        None => writes.push(Write::create(key, after)),
        Some(entry) if before != after => writes.push(Write::update(key, after, entry.revision)),
        Some(_) => {}
    }
    Ok(())
}

/// Ties the node to the Kubernetes node that it is, where another store keeps Calico's objects.
fn refer(object: &mut Object, reference: Option<&String>) {
    let Some(name) = reference
        .map(|name| name.trim())
        .filter(|name| !name.is_empty())
    else {
        return;
    };
    let references = object
        .spec_mut()
        .entry("orchRefs")
        .or_insert_with(|| json!([]));
    let Some(references) = references.as_array_mut() else {
        return;
    };
    references.retain(|one| one["orchestrator"] != "k8s");
    references.push(json!({"nodeName": name, "orchestrator": "k8s"}));
}

fn pools(
    settings: &Settings,
    host: &HostFacts,
    snapshot: &Snapshot,
    writes: &mut Vec<Write>,
) -> anyhow::Result<()> {
    let env = &settings.env;
    let none_wanted = env.get("NO_DEFAULT_POOLS").is_some_and(|v| is_true(v));
    let prefix = api::store_prefix(Kind::IpPool, None);
    if none_wanted || !snapshot.with_prefix(&prefix).is_empty() {
        return Ok(());
    }
    for family in Family::ALL {
        let Some(cidr) = pool_cidr(env, family, host)? else {
            continue;
        };
        create_missing(pool(env, family, cidr), snapshot, writes)?;
    }
    Ok(())
}

fn pool_cidr(env: &Env, family: Family, host: &HostFacts) -> anyhow::Result<Option<Cidr>> {
    let name = match family {
        Family::V4 => "CALICO_IPV4POOL_CIDR",
        Family::V6 => "CALICO_IPV6POOL_CIDR",
    };
    match env.get(name).map(|v| v.trim()).filter(|v| !v.is_empty()) {
        Some("none") => Ok(None),
        Some(text) => {
            let cidr: Cidr = text.parse().with_context(|| format!("{name}={text}"))?;
            if cidr.family() != family {
                bail!("{name}={text} is of the other address family");
            }
            Ok(Some(cidr))
        }
        None => match family {
            Family::V4 => Ok(Some(free_v4(host))),
            // A random unique local network (RFC 4193).
            Family::V6 => {
                let random =
                    service::identity::random_uuid().context("failed to make a network")?;
                let hex: String = random.chars().filter(char::is_ascii_hexdigit).collect();
                let part = |at: usize| {
                    hex.get(at..at + 4)
                        .and_then(|h| u16::from_str_radix(h, 16).ok())
                        .unwrap_or(0)
                };
                let first = 0xfd00 | (part(0) & 0xff);
                let address = [first, part(4), part(8), 0, 0, 0, 0, 0];
                Ok(Some(Cidr::new(address.into(), 48)))
            }
        },
    }
}

/// 192.168.0.0/16, or another private network if the host has addresses in there.
fn free_v4(host: &HostFacts) -> Cidr {
    let candidates = (16..=31)
        .map(|n| Cidr::new([172, n, 0, 0].into(), 16))
        .chain((0..=255).map(|n| Cidr::new([10, n, 0, 0].into(), 16)));
    let first = Cidr::new([192, 168, 0, 0].into(), 16);
    let free = |cidr: &Cidr| {
        !host
            .interfaces
            .iter()
            .flat_map(|i| &i.addresses)
            .any(|(a, _)| cidr.contains(*a))
    };
    std::iter::once(first)
        .chain(candidates)
        .find(free)
        .unwrap_or(first)
}

fn pool(env: &Env, family: Family, cidr: Cidr) -> Object {
    let (name, v, size, nat) = match family {
        Family::V4 => ("default-ipv4-ippool", "IPV4POOL", 26, true),
        Family::V6 => ("default-ipv6-ippool", "IPV6POOL", 122, false),
    };
    let get = |suffix: &str| env.get(&format!("CALICO_{v}_{suffix}")).map(|v| v.trim());
    let mode = |suffix: &str| match get(suffix) {
        Some("Always" | "always") => "Always",
        Some("CrossSubnet" | "cross-subnet" | "crosssubnet") => "CrossSubnet",
        _ => "Never",
    };
    let mut object = Object::new(Kind::IpPool, None, name);
    let spec = object.spec_mut();
    spec.insert("cidr".into(), json!(cidr.to_string()));
    let size = get("BLOCK_SIZE")
        .and_then(|s| s.parse::<u8>().ok())
        .unwrap_or(size);
    spec.insert("blockSize".into(), json!(size));
    spec.insert("ipipMode".into(), json!(mode("IPIP")));
    spec.insert("vxlanMode".into(), json!(mode("VXLAN")));
    spec.insert(
        "natOutgoing".into(),
        json!(get("NAT_OUTGOING").map_or(nat, is_true)),
    );
    spec.insert(
        "nodeSelector".into(),
        json!(get("NODE_SELECTOR").unwrap_or("all()")),
    );
    spec.insert("allowedUses".into(), json!(["Workload", "Tunnel"]));
    spec.insert("assignmentMode".into(), json!("Automatic"));
    if get("DISABLE_BGP_EXPORT").is_some_and(is_true) {
        spec.insert("disableBGPExport".into(), json!(true));
    }
    object
}

fn write_files(settings: &Settings, host: &HostFacts) -> anyhow::Result<()> {
    write_if_changed(&settings.paths.nodename, &settings.node)?;
    let pattern = regex_lite::Regex::new("^((en|wl|ww|sl|ib)[Pcopsvx].*|(eth|wlan|wwan).*)")
        .context("the pattern of host interfaces")?;
    let mtu = smallest_mtu(&host.interfaces, &pattern).unwrap_or(1500);
    write_if_changed(&settings.paths.mtu, &mtu.to_string())
}

fn write_if_changed(path: &Path, content: &str) -> anyhow::Result<()> {
    if fs::read_to_string(path).is_ok_and(|now| now == content) {
        return Ok(());
    }
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)
            .with_context(|| format!("failed to create {}", directory.display()))?;
    }
    fs::write(path, content).with_context(|| format!("failed to write {}", path.display()))
}
