//! Pools and reservations of addresses.

use model::selector::Selector;
use model::{AssignmentMode, Cidr, EncapMode, Family, IpPool, IpReservation, PoolUse, Resource};

use super::spec;
use crate::fields::{distinct, exact_cidr, limit, local_selector, prefixed_cidr};
use crate::reader::{Fields, Item};

/// The prefix lengths that blocks may have, and the one they have by default.
pub(crate) const fn block_sizes(family: Family) -> (u8, u8, u8) {
    match family {
        Family::V4 => (20, 32, 26),
        Family::V6 => (116, 128, 122),
    }
}

const ENCAP: [(&str, EncapMode); 4] = [
    ("Never", EncapMode::Never),
    ("Always", EncapMode::Always),
    ("CrossSubnet", EncapMode::CrossSubnet),
    ("", EncapMode::Never),
];

pub(crate) fn pool(fields: &mut Fields<'_>) -> Option<Resource> {
    let terminating = fields.read("status", |item| item.object(is_terminating));
    let pool = spec(fields, |fields| {
        let Some(cidr) = fields.required("cidr", exact_cidr) else {
            fields.accept_all();
            return None;
        };
        let pool = pool_spec(cidr, fields);
        if fields.reader().is_admission() {
            check_encapsulation(&pool, fields);
            check_uses(&pool, fields);
            check_network(&pool, fields);
        }
        Some(pool)
    });
    if !fields.has("spec") {
        fields.wrong("spec", "is required");
        return None;
    }
    let mut pool = pool?;
    pool.terminating = terminating.unwrap_or(false);
    Some(Resource::IpPool(pool))
}

fn pool_spec(cidr: Cidr, fields: &mut Fields<'_>) -> IpPool {
    let (_, _, default_size) = block_sizes(cidr.family());
    let size = fields.read("blockSize", |item| item.integer(0..=128));
    let size = size.and_then(|n| u8::try_from(n).ok()).filter(|n| *n > 0);
    let uses = fields.read("allowedUses", |item| {
        limit(&item, 10);
        distinct(&item);
        item.list(|item| item.word(&USES))
    });
    let modes = [
        ("Automatic", AssignmentMode::Automatic),
        ("Manual", AssignmentMode::Manual),
    ];
    // Forms of the first version of the API; tolerated and without effect.
    if !fields.reader().is_admission() {
        fields.ignore(&["ipip", "nat-outgoing"]);
    }
    IpPool {
        cidr,
        vxlan: fields
            .read("vxlanMode", |item| item.word(&ENCAP))
            .unwrap_or_default(),
        ipip: fields
            .read("ipipMode", |item| item.word(&ENCAP))
            .unwrap_or_default(),
        nat_outgoing: fields.flag("natOutgoing"),
        disabled: fields.flag("disabled"),
        disable_bgp_export: fields.flag("disableBGPExport"),
        block_size: size.unwrap_or(default_size),
        node_selector: fields
            .read("nodeSelector", local_selector)
            .unwrap_or_else(Selector::all),
        namespace_selector: fields.read("namespaceSelector", local_selector),
        allowed_uses: uses
            .filter(|uses| !uses.is_empty())
            .unwrap_or_else(|| vec![PoolUse::Workload, PoolUse::Tunnel]),
        assignment_mode: fields
            .read("assignmentMode", |item| item.word(&modes))
            .unwrap_or_default(),
        terminating: false,
    }
}

const USES: [(&str, PoolUse); 3] = [
    ("Workload", PoolUse::Workload),
    ("Tunnel", PoolUse::Tunnel),
    ("LoadBalancer", PoolUse::LoadBalancer),
];

/// True if the condition `Allocatable` says that the pool is going away.
fn is_terminating(fields: &mut Fields<'_>) -> bool {
    let conditions = fields.list("conditions", |item: Item<'_>| {
        let text = |field: &str| item.value.get(field).and_then(serde_json::Value::as_str);
        Some(text("type") == Some("Allocatable") && text("reason") == Some("Terminating"))
    });
    conditions.contains(&true)
}

fn check_encapsulation(pool: &IpPool, fields: &Fields<'_>) {
    if pool.ipip != EncapMode::Never && pool.vxlan != EncapMode::Never {
        fields.wrong(
            "ipipMode",
            "cannot be used together with vxlanMode: one of them must be Never",
        );
    }
    if pool.ipip != EncapMode::Never && pool.cidr.family() == Family::V6 {
        fields.wrong("ipipMode", "must be Never for an IPv6 pool");
    }
}

fn check_uses(pool: &IpPool, fields: &Fields<'_>) {
    let has = |one| pool.allowed_uses.contains(&one);
    if has(PoolUse::Tunnel)
        && pool.namespace_selector.is_some()
        && fields.has_content("allowedUses")
    {
        fields.wrong(
            "namespaceSelector",
            "cannot be given for a pool that tunnels may use",
        );
    }
    if !has(PoolUse::LoadBalancer) {
        return;
    }
    if has(PoolUse::Workload) || has(PoolUse::Tunnel) {
        fields.wrong(
            "allowedUses",
            "cannot have LoadBalancer together with Workload or Tunnel",
        );
    }
    if pool.ipip != EncapMode::Never || pool.vxlan != EncapMode::Never {
        fields.wrong(
            "allowedUses",
            "cannot have LoadBalancer in a pool with IPIP or VXLAN",
        );
    }
    if pool.disable_bgp_export {
        fields.wrong("disableBGPExport", "must be false for a LoadBalancer pool");
    }
    if !pool.node_selector.is_all() {
        fields.wrong("nodeSelector", "must be all() for a LoadBalancer pool");
    }
}

fn check_network(pool: &IpPool, fields: &Fields<'_>) {
    let family = pool.cidr.family();
    let (least, most, _) = block_sizes(family);
    if !(least..=most).contains(&pool.block_size) {
        fields.wrong(
            "blockSize",
            format!(
                "must be from {least} to {most} for an IPv{} pool",
                family.version()
            ),
        );
    } else if !pool.disabled && pool.cidr.len() > pool.block_size {
        fields.wrong(
            "cidr",
            format!(
                "is smaller than a block of /{}: it has no room for one",
                pool.block_size
            ),
        );
    }
    let link_local = match family {
        Family::V4 => Cidr::new([169, 254, 0, 0].into(), 16),
        Family::V6 => Cidr::new([0xfe80, 0, 0, 0, 0, 0, 0, 0].into(), 10),
    };
    if pool.cidr.overlaps(link_local) {
        fields.wrong(
            "cidr",
            format!("overlaps with the link-local range {link_local}"),
        );
    }
}

pub(crate) fn reservation(fields: &mut Fields<'_>) -> Option<Resource> {
    let cidrs = spec(fields, |fields| {
        fields
            .read("reservedCIDRs", |item| {
                distinct(&item);
                item.list(prefixed_cidr)
            })
            .unwrap_or_default()
    });
    Some(Resource::IpReservation(IpReservation { cidrs }))
}
