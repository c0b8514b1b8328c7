//! `ipam check`: what is allocated against what is in use, and whether blocks, handles and affinities agree.

mod users;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::PathBuf;

use api::{Kind, Object};
use datastore::StoreKind;
use ipam::audit::{Finding, audit};
use ipam::{Entry, Ledger};
use model::{AffinityOwner, Block, Cidr, Resource};
use serde_json::{Map, Value, json};

use super::driver;
use crate::cli::{Global, IpamCheckArgs};
use model::COMPATIBLE_VERSION;

use crate::connect::{Purpose, connect, open_cluster};
use crate::json::pretty;
use crate::lock::is_locked;
use crate::objects::Objects;
use crate::outcome::{ExitCodes, Failure, Status};
use crate::session::Session;
use crate::time;
use users::{Users, services_of};

/// The handle of addresses that Windows keeps for itself in each of its blocks.
const WINDOWS_RESERVED: &str = "windows-reserved-ipam-handle";

/// An address that a block has given away.
struct Allocation {
    handle: Option<String>,
    sequence: Option<u64>,
    attributes: BTreeMap<String, String>,
    /// Attributes of another owner beside.
    alternate: BTreeMap<String, String>,
    node: String,
    /// Used by another node than the block's.
    borrowed: bool,
    /// Released, and not to be given again yet.
    resting: bool,
}

/// Everything that is compared.
struct State {
    blocks: Vec<Block>,
    allocations: BTreeMap<IpAddr, Allocation>,
    users: Users,
    pools: Vec<Cidr>,
    /// Handles, with the revision at which each was read.
    handles: BTreeMap<String, u64>,
    /// What of these cannot be read.
    unreadable: Vec<String>,
    findings: Vec<Finding>,
}

/// What is wrong.
#[derive(Default)]
struct Problems {
    leaked: Vec<IpAddr>,
    foreign: Vec<IpAddr>,
    unallocated: Vec<IpAddr>,
    idle_handles: Vec<String>,
}

pub(crate) fn run(
    args: &IpamCheckArgs,
    global: &Global,
    session: &mut Session<'_>,
) -> Result<Status, Failure> {
    let objects = connect(&args.config.config, Purpose::Read, global, session)?;
    session.line("Checking IPAM for inconsistencies...\n")?;
    let information = objects.get(Kind::ClusterInformation, None, "default")?;
    let cluster = cluster_beside(args, &objects, session)?;
    let services = cluster.as_ref().or_else(|| services_of(&objects));
    let state = State::read(&objects, services)?;
    for text in state.unreadable.iter().chain(&state.users.unreadable) {
        session.complain(text);
    }
    state.show_blocks(args, session)?;
    state.users.show(args, session)?;
    session.line("Loading all handles")?;
    state.show_nodes(session)?;
    let problems = state.compare();
    let count = state.show_problems(&problems, args, session)?;
    session.line(format!("Check complete; found {count} problems."))?;
    if let Some(path) = &args.output {
        let report = pretty(&state.report(&problems, &information));
        std::fs::write(path, report).map_err(|error| {
            Failure::general(format!(
                "failed to write report {}: {error}",
                path.display()
            ))
        })?;
    }
    // Upstream's check succeeds whatever it finds.
    match global.exit_codes {
        ExitCodes::Extended if count > 0 => Ok(Status::CheckFailed),
        ExitCodes::Extended | ExitCodes::Upstream => Ok(Status::Done),
    }
}

/// The cluster that was named beside the store, for its services. A store that is a cluster has its own (upstream's rule).
fn cluster_beside(
    args: &IpamCheckArgs,
    objects: &Objects,
    session: &Session<'_>,
) -> Result<Option<Objects>, Failure> {
    let kubeconfig = match objects.choice().kind {
        StoreKind::Kubernetes => None,
        StoreKind::EtcdV3 => args.kubeconfig.clone().or_else(|| {
            let path = session.environment.get("KUBECONFIG");
            path.filter(|path| !path.is_empty()).map(PathBuf::from)
        }),
        StoreKind::Embedded => args.kubeconfig.clone(),
    };
    let opened = kubeconfig.map(|path| open_cluster(&path, session));
    opened.transpose()
}

impl State {
    /// `services` is the store that has the services, if there is one.
    fn read(objects: &Objects, services: Option<&Objects>) -> Result<State, Failure> {
        let entries = driver::everything(objects)?;
        let handles = objects.list(Kind::IpamHandle, None)?;
        let pools = objects.list(Kind::IpPool, None)?;
        let unreadable = [&handles, &pools];
        let active = pools
            .objects
            .iter()
            .filter(|pool| pool.pointer("/spec/disabled") != Some(&Value::Bool(true)));
        let mut state = State {
            blocks: blocks(&entries),
            allocations: BTreeMap::new(),
            users: Users::read(objects, services)?,
            pools: active
                .filter_map(|pool| pool.text_at("/spec/cidr").parse().ok())
                .collect(),
            handles: handles
                .objects
                .iter()
                .map(|handle| {
                    (
                        handle.name().to_owned(),
                        handle.revision().unwrap_or_default(),
                    )
                })
                .collect(),
            unreadable: unreadable
                .iter()
                .flat_map(|listing| listing.damaged.clone())
                .collect(),
            findings: audit(entries, time::now()),
        };
        for block in &state.blocks {
            for (addr, mut allocation) in allocations(block) {
                if allocation.handle.as_deref() == Some(WINDOWS_RESERVED) {
                    allocation.handle = None;
                    state.users.reserved(addr);
                }
                if let Some(service) = allocation.attributes.get("service") {
                    let namespace = allocation.attributes.get("namespace");
                    let namespace = namespace.map_or("", String::as_str);
                    state.users.given(addr, namespace, service);
                }
                state.allocations.insert(addr, allocation);
            }
        }
        Ok(state)
    }

    fn handles_in_use(&self) -> BTreeSet<&str> {
        self.allocations
            .values()
            .filter_map(|allocation| allocation.handle.as_deref())
            .collect()
    }

    fn compare(&self) -> Problems {
        let mut problems = Problems::default();
        for (addr, allocation) in &self.allocations {
            if self.users.of(*addr).is_none() && !allocation.resting {
                problems.leaked.push(*addr);
            }
        }
        for addr in self
            .users
            .addresses()
            .filter(|addr| !self.allocations.contains_key(addr))
        {
            if self.pools.iter().any(|pool| pool.contains(addr)) {
                problems.unallocated.push(addr);
            } else {
                problems.foreign.push(addr);
            }
        }
        let used = self.handles_in_use();
        problems.idle_handles = self
            .handles
            .keys()
            .filter(|handle| !used.contains(handle.as_str()))
            .cloned()
            .collect();
        problems
    }

    fn show_blocks(&self, args: &IpamCheckArgs, session: &mut Session<'_>) -> Result<(), Failure> {
        session.line("Loading all IPAM blocks...")?;
        session.line(format!("Found {} IPAM blocks.", self.blocks.len()))?;
        for block in &self.blocks {
            let affinity = block
                .affinity
                .as_ref()
                .map_or_else(|| "<none>".to_owned(), AffinityOwner::to_string);
            session.line(format!(" IPAM block {} affinity={affinity}:", block.cidr))?;
            let within = self
                .allocations
                .iter()
                .filter(|(addr, _)| block.cidr.contains(**addr));
            for (addr, allocation) in within.filter(|_| args.show_all_ips) {
                session.line(format!(
                    "  {addr} allocated; attrs {}",
                    allocation.describe()
                ))?;
            }
        }
        session.line(format!(
            "IPAM blocks record {} allocations.\n",
            self.allocations.len()
        ))?;
        session.line("Loading all IPAM pools...")?;
        for pool in &self.pools {
            session.line(format!("  {pool}"))?;
        }
        session.line(format!("Found {} active IP pools.\n", self.pools.len()))
    }

    fn show_nodes(&self, session: &mut Session<'_>) -> Result<(), Failure> {
        const MOST: usize = 20;
        session.line(format!(
            "Looking for top (up to {MOST}) nodes by allocations..."
        ))?;
        let mut by_node: BTreeMap<&str, usize> = BTreeMap::new();
        for allocation in self.allocations.values() {
            *by_node.entry(&allocation.node).or_default() += 1;
        }
        let mut nodes: Vec<(&str, usize)> = by_node.into_iter().collect();
        nodes.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
        for (node, count) in nodes.iter().take(MOST) {
            session.line(format!("  {node} has {count} allocations"))?;
        }
        if let (Some((_, most)), Some((_, median))) = (nodes.first(), nodes.get(nodes.len() / 2)) {
            session.line(format!(
                "Node with most allocations has {most}; median is {median}"
            ))?;
        }
        session.line("")
    }

    /// Prints what is wrong; returns how much.
    fn show_problems(
        &self,
        problems: &Problems,
        args: &IpamCheckArgs,
        session: &mut Session<'_>,
    ) -> Result<usize, Failure> {
        let detailed = args.show_all_ips || args.show_problem_ips;
        session.line("Scanning for IPs that are allocated but not actually in use...")?;
        for addr in problems.leaked.iter().filter(|_| detailed) {
            let attributes = self
                .allocations
                .get(addr)
                .map(Allocation::describe)
                .unwrap_or_default();
            session.line(format!("  {addr} leaked; attrs {attributes}"))?;
        }
        let leaked = problems.leaked.len();
        session.line(format!(
            "Found {leaked} IPs that are allocated in IPAM but not actually in use."
        ))?;
        session.line(
            "Scanning for IPs that are in use by a workload or node but not allocated in IPAM...",
        )?;
        for addr in self.users.addresses().filter(|_| detailed) {
            if self.users.of(addr).is_some_and(|users| users.len() > 1) {
                session.line(format!("  {addr} has multiple owners."))?;
            }
        }
        for (addrs, why) in [
            (&problems.foreign, "is not in any active IP pool."),
            (
                &problems.unallocated,
                "and in active IPAM pool but has no IPAM allocation.",
            ),
        ] {
            for addr in addrs.iter().filter(|_| detailed) {
                for user in self.users.of(*addr).into_iter().flatten() {
                    session.line(format!("  {addr} in use by {user} {why}"))?;
                }
            }
        }
        let (foreign, unallocated) = (problems.foreign.len(), problems.unallocated.len());
        session.line(format!(
            "Found {foreign} in-use IPs that are not in active IP pools."
        ))?;
        session.line(format!(
            "Found {unallocated} in-use IPs that are in active IP pools but have no corresponding IPAM allocation.\n"
        ))?;
        session.line("Scanning for IPAM handles with no matching IPs...")?;
        for handle in problems.idle_handles.iter().filter(|_| args.show_all_ips) {
            session.line(format!("  {handle} doesn't have any active IPs."))?;
        }
        let (idle, good) = (
            problems.idle_handles.len(),
            self.handles.len() - problems.idle_handles.len(),
        );
        session.line(format!(
            "Found {idle} handles with no matching IPs (and {good} handles with matches)."
        ))?;
        session.line("Scanning for IPs with missing handle...")?;
        let used = self.handles_in_use();
        let missing: Vec<&&str> = used
            .iter()
            .filter(|handle| !self.handles.contains_key(**handle))
            .collect();
        for handle in missing.iter().filter(|_| detailed) {
            session.line(format!(
                "  {handle} is in use in a block but doesn't exist."
            ))?;
        }
        session.line(format!(
            "Found {} handles mentioned in blocks with no matching handle resource.",
            missing.len()
        ))?;
        self.show_findings(session)?;
        Ok(leaked + foreign + unallocated + idle + self.findings.len())
    }

    /// Prints blocks that are invalid by themselves, then what does not agree with one another.
    fn show_findings(&self, session: &mut Session<'_>) -> Result<(), Failure> {
        let is_block = |finding: &&Finding| matches!(finding, Finding::Unreadable { key } if matches!(**key, model::Key::Block(_)));
        let (invalid, others): (Vec<&Finding>, Vec<&Finding>) =
            self.findings.iter().partition(is_block);
        session.line("Validating IPAMBlock structures...")?;
        for finding in &invalid {
            session.line(format!("  {finding}"))?;
        }
        session.line(format!("Found {} invalid IPAMBlocks.", invalid.len()))?;
        session.line("Comparing blocks, affinities and handles with one another...")?;
        for finding in &others {
            session.line(format!("  {finding}"))?;
        }
        session.line(format!(
            "Found {} disagreements of blocks, affinities and handles.",
            others.len()
        ))
    }

    /// Upstream's report, which `ipam release --from-report` reads.
    fn report(&self, problems: &Problems, information: &Object) -> Value {
        let mut allocations = Map::new();
        for (addr, allocation) in &self.allocations {
            let owners = self.users.of(*addr);
            let mut value =
                json!({"ip": addr.to_string(), "inUse": owners.is_some(), "owners": owners});
            let attribute = |name: &str| {
                allocation
                    .attributes
                    .get(name)
                    .filter(|text| !text.is_empty())
            };
            let texts = [
                ("handle", allocation.handle.as_ref()),
                ("pod", attribute("pod")),
                ("namespace", attribute("namespace")),
                (
                    "node",
                    Some(&allocation.node).filter(|node| !node.is_empty()),
                ),
                ("type", attribute("type")),
                ("creationTimestamp", attribute("timestamp")),
            ];
            for (field, text) in texts
                .into_iter()
                .filter_map(|(field, text)| Some((field, text?)))
            {
                value[field] = json!(text);
            }
            value["sequenceNumber"] = json!(allocation.sequence.unwrap_or_default());
            for (field, flag) in [
                ("borrowed", allocation.borrowed),
                ("coolingDown", allocation.resting),
            ] {
                if flag {
                    value[field] = true.into();
                }
            }
            allocations.insert(addr.to_string(), json!([value]));
        }
        let leaked: Vec<Value> = problems
            .idle_handles
            .iter()
            .map(|id| {
                let revision = self.handles.get(id).copied().unwrap_or_default();
                json!({"ID": id, "UID": null, "Revision": revision.to_string()})
            })
            .collect();
        let mut report = json!({
            "version": COMPATIBLE_VERSION,
            "clusterGUID": information.text_at("/spec/clusterGUID"),
            "clusterType": information.text_at("/spec/clusterType"),
            "clusterInformationRevision": information.revision().unwrap_or_default().to_string(),
            "datastoreLocked": is_locked(information),
            "allocations": allocations,
        });
        if !leaked.is_empty() {
            report["leakedHandles"] = leaked.into();
        }
        report
    }
}

impl Allocation {
    fn describe(&self) -> String {
        let list = |attributes: &BTreeMap<String, String>| {
            let pairs: Vec<String> = attributes
                .iter()
                .map(|(key, value)| format!("{key}={value}"))
                .collect();
            pairs.join(",")
        };
        let handle = self.handle.as_deref().unwrap_or("<none>");
        let mut text = format!("Main:{handle} Extra:{}", list(&self.attributes));
        if !self.alternate.is_empty() {
            text.push_str(&format!(" Alternate:{}", list(&self.alternate)));
        }
        text
    }
}

fn blocks(entries: &[Entry]) -> Vec<Block> {
    let mut blocks = Vec::new();
    for entry in entries {
        if let Some(Resource::Block(block)) = &entry.value
            && !block.deleted
        {
            blocks.push(block.clone());
        }
    }
    blocks
}

fn allocations(block: &Block) -> Vec<(IpAddr, Allocation)> {
    let ledger = Ledger::read(block, u32::MAX, time::now());
    let host = match &block.affinity {
        Some(AffinityOwner::Host(name)) => name.to_string(),
        Some(AffinityOwner::Virtual(_)) | None => String::new(),
    };
    let owned = |ordinal: usize, index: usize| {
        let addr = block.cidr.nth(ordinal as u128)?;
        let owner = block.attributes.get(index)?;
        let owned = |map: &BTreeMap<Box<str>, Box<str>>| -> BTreeMap<String, String> {
            map.iter()
                .map(|(key, value)| (key.to_string(), value.to_string()))
                .collect()
        };
        let (attributes, alternate) = (owned(&owner.secondary), owned(&owner.alternate));
        let node = attributes
            .get("node")
            .filter(|node| !node.is_empty())
            .unwrap_or(&host)
            .clone();
        let allocation = Allocation {
            handle: owner.handle.as_ref().map(|handle| handle.to_string()),
            sequence: ledger.sequence(addr),
            borrowed: node != host,
            node,
            attributes,
            alternate,
            resting: owner.released_at.is_some(),
        };
        Some((addr, allocation))
    };
    let ordinals = block.allocations.iter().enumerate();
    ordinals
        .filter_map(|(ordinal, index)| owned(ordinal, (*index)?))
        .collect()
}
