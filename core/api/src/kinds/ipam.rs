//! Blocks, affinities, handles and the IPAM settings: the form upstream stores (its v1 model) and the v3 objects users see.
//!
//! Both forms hold the same; field names differ a little. Reading goes through one function per kind, writing through
//! structs whose fields stand in upstream's order, so that the stored bytes are upstream's.

use std::collections::BTreeMap;

use model::{
    Affinity, AffinityOwner, AffinityState, AllocationAttribute, Block, Cidr, Handle, IpamConfig,
    Resource,
};
use serde::Serialize;

use super::{Identity, check_singleton, required_spec, spec};
use crate::fields::{cidr, key_part, time};
use crate::reader::{Fields, Item};

/// Host bits of the largest block that is read: one table entry is kept per address.
const MAX_HOST_BITS: u8 = 16;

/// Which form of a block is read: the names of two fields differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// As stored.
    Stored,
    /// As a v3 object's spec.
    V3,
}

pub(crate) fn block(fields: &mut Fields<'_>, form: Form) -> Option<Block> {
    let claim_time = match form {
        Form::Stored => "affinity_claim_time",
        Form::V3 => "affinityClaimTime",
    };
    // Of older releases, and without effect.
    fields.ignore(&["hostAffinity"]);
    fields.flag("strictAffinity");
    let cidr = fields.required("cidr", cidr);
    let sized = cidr.and_then(|cidr| Some((cidr, addresses_of(cidr, fields)?)));
    let Some((cidr, size)) = sized else {
        fields.accept_all();
        return None;
    };
    let affinity = fields.nonempty("affinity", owner);
    let affinity_claim_time = fields.nonempty(claim_time, time);
    let attributes = fields.list("attributes", |item| item.object(attribute));
    let allocations = fields.required("allocations", |item| allocations(item, attributes.len()));
    let unallocated = fields.list("unallocated", ordinal);
    let block = Block {
        cidr,
        affinity,
        affinity_claim_time,
        allocations: allocations.unwrap_or_default(),
        unallocated,
        attributes,
        sequence: fields.read("sequenceNumber", unsigned).unwrap_or(0),
        sequence_for_allocation: fields
            .read("sequenceNumberForAllocation", sequences)
            .unwrap_or_default(),
        deleted: fields.flag("deleted"),
    };
    check_block(&block, size, fields);
    Some(block)
}

fn addresses_of(cidr: Cidr, fields: &Fields<'_>) -> Option<usize> {
    let host_bits = cidr.family().bits() - cidr.len();
    if host_bits > MAX_HOST_BITS {
        fields.wrong(
            "cidr",
            format!("is larger than any block: at most {MAX_HOST_BITS} bits of host part"),
        );
        return None;
    }
    Some(1 << host_bits)
}

/// The tables of a block must agree, or an address could be given twice.
fn check_block(block: &Block, size: usize, fields: &Fields<'_>) {
    if block.allocations.len() != size {
        let found = block.allocations.len();
        fields.wrong(
            "allocations",
            format!("must have {size} entries, one per address, not {found}"),
        );
        return;
    }
    let mut free = vec![false; size];
    for ordinal in &block.unallocated {
        let known = free.get_mut(*ordinal);
        match known {
            None => fields.wrong(
                "unallocated",
                format!("names ordinal {ordinal}; the block has {size}"),
            ),
            Some(true) => fields.wrong("unallocated", format!("names ordinal {ordinal} twice")),
            Some(free) if block.allocations[*ordinal].is_none() => *free = true,
            Some(_) => fields.wrong(
                "unallocated",
                format!("names ordinal {ordinal}, which is allocated"),
            ),
        }
    }
}

fn owner(item: Item<'_>) -> Option<AffinityOwner> {
    let text = item.text()?;
    let owner = match text.split_once(':') {
        Some(("host", name)) if !name.is_empty() => Some(AffinityOwner::Host(name.into())),
        Some(("virtual", name)) if !name.is_empty() => Some(AffinityOwner::Virtual(name.into())),
        Some(_) | None => None,
    };
    if owner.is_none() {
        item.wrong("must be host:<name> or virtual:<name>");
    }
    owner
}

fn allocations(item: Item<'_>, attributes: usize) -> Option<Vec<Option<usize>>> {
    item.list(|item| {
        if item.value.is_null() {
            return Some(None);
        }
        let index = ordinal(item)?;
        if index >= attributes {
            item.wrong(format!(
                "names attributes that are not there; there are {attributes}"
            ));
        }
        Some(Some(index))
    })
}

fn ordinal(item: Item<'_>) -> Option<usize> {
    usize::try_from(item.integer(0..=i64::from(u32::MAX))?).ok()
}

fn unsigned(item: Item<'_>) -> Option<u64> {
    let number = item.value.as_u64();
    if number.is_none() {
        item.wrong("must be a whole number, not below zero");
    }
    number
}

fn attribute(fields: &mut Fields<'_>) -> AllocationAttribute {
    let map = |item: Item<'_>| item.string_map(|_, _, _| ());
    AllocationAttribute {
        handle: fields.read("handle_id", |item| item.text().map(Into::into)),
        secondary: fields.read("secondary", map).unwrap_or_default(),
        alternate: fields.read("alternateOwnerAttrs", map).unwrap_or_default(),
        released_at: fields.nonempty("releasedAt", time),
    }
}

fn sequences(item: Item<'_>) -> Option<BTreeMap<usize, u64>> {
    item.object(|fields| {
        let mut all = BTreeMap::new();
        for (key, value) in fields.entries() {
            match (key.parse::<usize>(), value.as_u64()) {
                (Ok(ordinal), Some(sequence)) => {
                    all.insert(ordinal, sequence);
                }
                (_, _) => {
                    fields.wrong_entry(
                        key,
                        "must be an ordinal with a whole number, not below zero",
                    );
                }
            }
        }
        fields.accept_all();
        all
    })
}

pub(crate) fn affinity(fields: &mut Fields<'_>) -> Affinity {
    let states = [
        ("confirmed", AffinityState::Confirmed),
        ("pending", AffinityState::Pending),
        ("pendingDeletion", AffinityState::PendingDeletion),
        // Written before there were states.
        ("", AffinityState::Confirmed),
    ];
    Affinity {
        state: fields
            .read("state", |item| item.word(&states))
            .unwrap_or(AffinityState::Confirmed),
        deleted: fields.read("deleted", lenient_flag).unwrap_or(false),
    }
}

/// `true`, or the text `"true"` that older releases wrote.
fn lenient_flag(item: Item<'_>) -> Option<bool> {
    match item.value.as_str() {
        Some("true") => Some(true),
        Some("false" | "") => Some(false),
        _ => item.flag(),
    }
}

pub(crate) fn handle(fields: &mut Fields<'_>) -> Handle {
    let blocks = fields.read("block", |item| {
        item.object(|fields| {
            let mut blocks = BTreeMap::new();
            for (key, value) in fields.entries() {
                let count = value.as_u64().and_then(|n| u32::try_from(n).ok());
                match (key.parse::<Cidr>(), count) {
                    (Ok(_), Some(0)) => {}
                    (Ok(cidr), Some(count)) => {
                        blocks.insert(cidr, count);
                    }
                    (_, _) => fields.wrong_entry(key, "is no block with a count"),
                }
            }
            fields.accept_all();
            blocks
        })
    });
    Handle {
        blocks: blocks.unwrap_or_default(),
        deleted: fields.read("deleted", lenient_flag).unwrap_or(false),
    }
}

/// The stored settings: what is not there is false.
pub(crate) fn config(fields: &mut Fields<'_>) -> IpamConfig {
    fields.ignore(&["kubeVirtVMAddressPersistence"]);
    let number = |item: Item<'_>| {
        item.integer(0..=i64::from(i32::MAX))
            .and_then(|n| u32::try_from(n).ok())
    };
    IpamConfig {
        strict_affinity: fields.flag("strict_affinity"),
        auto_allocate_blocks: fields.flag("auto_allocate_blocks"),
        max_blocks_per_host: fields.read("maxBlocksPerHost", number).unwrap_or(0),
        cooldown_seconds: fields.read("ipCooldownSeconds", number).unwrap_or(0),
    }
}

/// The v3 object: what is not there has its default.
pub(crate) fn configuration(id: &Identity<'_>, fields: &mut Fields<'_>) -> Option<Resource> {
    check_singleton(id, fields);
    let config = spec(fields, |fields| {
        let words = [("Enabled", ()), ("Disabled", ())];
        fields.read("kubeVirtVMAddressPersistence", |item| item.word(&words));
        let within =
            |item: Item<'_>, most| item.integer(0..=most).and_then(|n| u32::try_from(n).ok());
        IpamConfig {
            strict_affinity: fields.flag("strictAffinity"),
            auto_allocate_blocks: fields
                .read("autoAllocateBlocks", |item| item.flag())
                .unwrap_or(true),
            max_blocks_per_host: fields
                .read("maxBlocksPerHost", |item| within(item, 1_000_000))
                .unwrap_or(0),
            cooldown_seconds: fields
                .read("ipCooldownSeconds", |item| within(item, 1_200))
                .unwrap_or(0),
        }
    });
    Some(Resource::IpamConfig(config))
}

pub(crate) fn block_object(fields: &mut Fields<'_>) -> Option<Resource> {
    required_spec(fields, |fields| block(fields, Form::V3)).map(Resource::Block)
}

pub(crate) fn affinity_object(fields: &mut Fields<'_>) -> Option<Resource> {
    let affinity = required_spec(fields, |fields| {
        fields.required("node", key_part);
        fields.nonempty("type", |item| item.word(&[("host", ()), ("virtual", ())]));
        fields.required("cidr", cidr);
        let affinity = affinity(fields);
        if affinity.deleted && fields.reader().is_admission() {
            fields.wrong("deleted", "cannot be set by hand");
        }
        Some(affinity)
    });
    affinity.map(Resource::Affinity)
}

pub(crate) fn handle_object(fields: &mut Fields<'_>) -> Option<Resource> {
    let handle = required_spec(fields, |fields| {
        fields.required("handleID", key_part);
        Some(handle(fields))
    });
    handle.map(Resource::Handle)
}

/// A block as stored; fields in upstream's order.
#[derive(Serialize)]
pub(crate) struct StoredBlock {
    cidr: String,
    affinity: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    affinity_claim_time: Option<Box<str>>,
    allocations: Vec<Option<usize>>,
    unallocated: Vec<usize>,
    // Upstream has null until the first assignment.
    attributes: Option<Vec<StoredAttribute>>,
    #[serde(rename = "sequenceNumber")]
    sequence: u64,
    #[serde(rename = "sequenceNumberForAllocation")]
    sequence_for_allocation: BTreeMap<String, u64>,
    deleted: bool,
}

#[derive(Serialize)]
struct StoredAttribute {
    #[serde(skip_serializing_if = "Option::is_none")]
    handle_id: Option<Box<str>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    secondary: BTreeMap<Box<str>, Box<str>>,
    #[serde(
        rename = "alternateOwnerAttrs",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    alternate: BTreeMap<Box<str>, Box<str>>,
    #[serde(rename = "releasedAt", skip_serializing_if = "Option::is_none")]
    released_at: Option<Box<str>>,
}

impl StoredBlock {
    pub(crate) fn of(block: &Block) -> StoredBlock {
        let attributes: Vec<StoredAttribute> = block
            .attributes
            .iter()
            .map(|attribute| StoredAttribute {
                handle_id: attribute.handle.clone(),
                secondary: attribute.secondary.clone(),
                alternate: attribute.alternate.clone(),
                released_at: attribute.released_at.clone(),
            })
            .collect();
        StoredBlock {
            cidr: block.cidr.to_string(),
            affinity: block.affinity.as_ref().map(ToString::to_string),
            affinity_claim_time: block.affinity_claim_time.clone(),
            allocations: block.allocations.clone(),
            unallocated: block.unallocated.clone(),
            attributes: Some(attributes)
                .filter(|attributes| !attributes.is_empty() || !is_fresh(block)),
            sequence: block.sequence,
            sequence_for_allocation: block
                .sequence_for_allocation
                .iter()
                .map(|(ordinal, sequence)| (ordinal.to_string(), *sequence))
                .collect(),
            deleted: block.deleted,
        }
    }
}

/// True if nothing was ever assigned from the block, as far as its free list tells.
fn is_fresh(block: &Block) -> bool {
    block
        .unallocated
        .iter()
        .copied()
        .eq(0..block.allocations.len())
}

/// An affinity as stored.
#[derive(Serialize)]
pub(crate) struct StoredAffinity {
    state: &'static str,
    deleted: bool,
}

impl StoredAffinity {
    pub(crate) fn of(affinity: &Affinity) -> StoredAffinity {
        StoredAffinity {
            state: state_name(affinity.state),
            deleted: affinity.deleted,
        }
    }
}

pub(crate) fn state_name(state: AffinityState) -> &'static str {
    match state {
        AffinityState::Pending => "pending",
        AffinityState::Confirmed => "confirmed",
        AffinityState::PendingDeletion => "pendingDeletion",
    }
}

/// A handle as stored.
#[derive(Serialize)]
pub(crate) struct StoredHandle {
    block: BTreeMap<String, u32>,
    deleted: bool,
}

impl StoredHandle {
    pub(crate) fn of(handle: &Handle) -> StoredHandle {
        StoredHandle {
            block: handle
                .blocks
                .iter()
                .map(|(cidr, count)| (cidr.to_string(), *count))
                .collect(),
            deleted: handle.deleted,
        }
    }
}

/// The IPAM settings as stored: what is false or zero is left out.
#[derive(Serialize)]
pub(crate) struct StoredConfig<'a> {
    #[serde(skip_serializing_if = "is_false")]
    strict_affinity: bool,
    #[serde(skip_serializing_if = "is_false")]
    auto_allocate_blocks: bool,
    #[serde(rename = "maxBlocksPerHost", skip_serializing_if = "is_zero")]
    max_blocks_per_host: u32,
    #[serde(
        rename = "kubeVirtVMAddressPersistence",
        skip_serializing_if = "Option::is_none"
    )]
    persistence: Option<&'a str>,
    #[serde(rename = "ipCooldownSeconds", skip_serializing_if = "is_zero")]
    cooldown_seconds: u32,
}

impl<'a> StoredConfig<'a> {
    pub(crate) fn of(config: &IpamConfig, persistence: Option<&'a str>) -> StoredConfig<'a> {
        StoredConfig {
            strict_affinity: config.strict_affinity,
            auto_allocate_blocks: config.auto_allocate_blocks,
            max_blocks_per_host: config.max_blocks_per_host,
            persistence,
            cooldown_seconds: config.cooldown_seconds,
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_false(flag: &bool) -> bool {
    !flag
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}
