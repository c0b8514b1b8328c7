//! `ipam show`: how full pools and blocks are, who has an address, what is borrowed, and the settings.

use std::net::IpAddr;

use api::{Kind, Object};
use ipam::usage::{BlockUsage, Usage, usage};
use ipam::{Entry, Ledger};
use model::{AffinityOwner, Cidr, IpamConfig, Resource};

use super::{address, driver};
use crate::boxtable::{Align, draw};
use crate::cli::{Global, IpamShowArgs};
use crate::connect::{Purpose, connect};
use crate::outcome::{Failure, Status};
use crate::session::Session;
use crate::time;

pub(crate) fn run(
    args: &IpamShowArgs,
    global: &Global,
    session: &mut Session<'_>,
) -> Result<Status, Failure> {
    let addr = args.ip.as_deref().map(address).transpose()?;
    let objects = connect(&args.config.config, Purpose::Read, global, session)?;
    let entries = driver::everything(&objects)?;
    for entry in entries.iter().filter(|entry| entry.value.is_none()) {
        session.complain(&format!(
            "warning: {:?} cannot be read and is left out",
            entry.key
        ));
    }
    let text = if let Some(addr) = addr {
        one(addr, &entries)
    } else if args.show_borrowed && !args.show_blocks {
        let unclassified = unclassified(&entries);
        borrowed(&usage(entries, time::now()), unclassified)
    } else if args.show_configuration && !args.show_blocks {
        let stored = objects.find(Kind::IpamConfiguration, None, "default")?;
        configuration(&settings(&entries), stored.as_ref())
    } else {
        let reservations = reservations(&entries);
        let blocks = if args.show_blocks {
            Blocks::Shown
        } else {
            Blocks::Hidden
        };
        utilization(&usage(entries, time::now()), &reservations, blocks)
    };
    session.print(&text)?;
    Ok(Status::Done)
}

fn settings(entries: &[Entry]) -> IpamConfig {
    for entry in entries {
        if let Some(Resource::IpamConfig(config)) = &entry.value {
            return config.clone();
        }
    }
    IpamConfig::default()
}

fn reservations(entries: &[Entry]) -> Vec<Cidr> {
    let mut cidrs = Vec::new();
    for entry in entries {
        if let Some(Resource::IpReservation(reservation)) = &entry.value {
            cidrs.extend(&reservation.cidrs);
        }
    }
    cidrs
}

/// Whether blocks are listed below their pools.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Blocks {
    Shown,
    Hidden,
}

fn utilization(usage: &Usage, reservations: &[Cidr], blocks: Blocks) -> String {
    let headings = [
        ("GROUPING", Align::Left),
        ("CIDR", Align::Left),
        ("IPS TOTAL", Align::Right),
        ("IPS IN USE", Align::Right),
        ("IPS RESERVED", Align::Right),
        ("IPS FREE", Align::Right),
    ];
    let row = |kind: &str, cidr: Cidr, capacity: u128, in_use: u128, free: u128| {
        let reserved = reserved(cidr, reservations);
        let part = |count: u128| {
            let percent = 100.0 * as_float(count) / as_float(capacity);
            format!("{} ({percent:.0}%)", five_digits(count))
        };
        vec![
            kind.to_owned(),
            cidr.to_string(),
            five_digits(capacity),
            part(in_use),
            part(reserved),
            part(free),
        ]
    };
    let block_row = |block: &BlockUsage| {
        row(
            "Block",
            block.cidr,
            block.capacity,
            block.in_use,
            block.free,
        )
    };
    let mut rows = Vec::new();
    for pool in &usage.pools {
        rows.push(row(
            "IP Pool",
            pool.cidr,
            pool.capacity,
            pool.in_use,
            pool.free,
        ));
        if blocks == Blocks::Shown {
            rows.extend(pool.blocks.iter().map(block_row));
        }
    }
    if blocks == Blocks::Shown {
        rows.extend(usage.orphans.iter().map(block_row));
    }
    draw(&headings, &rows)
}

#[expect(clippy::cast_precision_loss, reason = "five digits are printed")]
fn as_float(count: u128) -> f64 {
    count as f64
}

/// How many addresses of a network are reserved; a reservation inside another counts once.
fn reserved(cidr: Cidr, reservations: &[Cidr]) -> u128 {
    let inside = |at: usize, own: Cidr| {
        reservations
            .iter()
            .enumerate()
            .any(|(other, wide)| wide.covers(own) && (*wide != own || other < at))
    };
    let outermost = reservations
        .iter()
        .copied()
        .enumerate()
        .filter(|(at, own)| !inside(*at, *own));
    outermost
        .filter(|(_, own)| own.overlaps(cidr))
        .map(|(_, own)| {
            let common = if own.covers(cidr) { cidr } else { own };
            1_u128
                .checked_shl(u32::from(common.family().bits() - common.len()))
                .unwrap_or(u128::MAX)
        })
        .sum()
}

/// Go's `%.5g`: five significant digits at most, an exponent from 1e+05 on.
fn five_digits(count: u128) -> String {
    if count < 100_000 {
        return count.to_string();
    }
    let scientific = format!("{:.4e}", as_float(count));
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let digits = digits.trim_end_matches('0').trim_end_matches('.');
    format!("{digits}e+{exponent:0>2}")
}

fn one(addr: IpAddr, entries: &[Entry]) -> String {
    let mut ledger = None;
    for entry in entries {
        if let Some(Resource::Block(block)) = &entry.value
            && !block.deleted
            && block.cidr.contains(addr)
        {
            ledger = Some(Ledger::read(block, 0, time::now()));
        }
    }
    let Some(owner) = ledger.as_ref().and_then(|ledger| ledger.owner(addr)) else {
        return format!("{addr} is not assigned\n");
    };
    let handle = owner.handle.as_deref().unwrap_or("<none>");
    let mut text = format!("IP {addr} is in use\nHandle ID: {handle}\n");
    let attributes = |title: &str, attributes: &std::collections::BTreeMap<Box<str>, Box<str>>| {
        let lines: String = attributes
            .iter()
            .map(|(key, value)| format!("  {key}: {value}\n"))
            .collect();
        if lines.is_empty() {
            lines
        } else {
            format!("{title}:\n{lines}")
        }
    };
    let active = attributes("Active Owner Attributes", &owner.secondary);
    text.push_str(if active.is_empty() {
        "No Active Owner attributes defined\n"
    } else {
        &active
    });
    text.push_str(&attributes("Alternate Owner Attributes", &owner.alternate));
    text
}

/// How many addresses do not say which node uses them: old allocations had no such attribute.
fn unclassified(entries: &[Entry]) -> usize {
    let mut count = 0;
    for entry in entries {
        if let Some(Resource::Block(block)) = &entry.value {
            let owners = block
                .allocations
                .iter()
                .filter_map(|index| block.attributes.get((*index)?));
            count += owners
                .filter(|owner| !owner.secondary.contains_key("node"))
                .count();
        }
    }
    count
}

fn borrowed(usage: &Usage, unclassified: usize) -> String {
    let headings = [
        "IP",
        "BORROWING-NODE",
        "BLOCK",
        "BLOCK OWNER",
        "TYPE",
        "ALLOCATED-TO",
    ]
    .map(|heading| (heading, Align::Left));
    let rows: Vec<Vec<String>> = usage
        .borrowed
        .iter()
        .map(|borrowed| {
            let attribute = |name: &str| borrowed.attributes.get(name).map(|value| &**value);
            let owner = match &borrowed.affinity {
                Some(AffinityOwner::Host(name) | AffinityOwner::Virtual(name)) => name.to_string(),
                None => String::new(),
            };
            let namespace = attribute("namespace").unwrap_or("");
            let (kind, user) = match (attribute("vmi-name"), attribute("pod")) {
                (Some(machine), _) => ("vmi", format!("{namespace}/{machine}")),
                (None, Some(pod)) => ("pod", format!("{namespace}/{pod}")),
                (None, None) => (attribute("type").unwrap_or(""), String::new()),
            };
            vec![
                borrowed.addr.to_string(),
                borrowed.node.to_string(),
                borrowed.block.to_string(),
                owner,
                kind.to_owned(),
                user,
            ]
        })
        .collect();
    let mut text = draw(&headings, &rows);
    if unclassified > 0 {
        text.push_str(&format!(
            "\nNote: found {unclassified} IP allocations without an explicit node association. Unable to determine if they are borrowed.\n"
        ));
    }
    text
}

fn configuration(config: &IpamConfig, stored: Option<&Object>) -> String {
    // A machine keeps its addresses unless it is said that it must not.
    let persistence = stored
        .map(|object| object.text_at("/spec/kubeVirtVMAddressPersistence"))
        .filter(|word| !word.is_empty())
        .unwrap_or("Enabled");
    let rows = [
        ("StrictAffinity", config.strict_affinity.to_string()),
        (
            "AutoAllocateBlocks",
            config.auto_allocate_blocks.to_string(),
        ),
        ("MaxBlocksPerHost", config.max_blocks_per_host.to_string()),
        ("KubeVirtVMAddressPersistence", persistence.to_owned()),
        ("IPCooldownSeconds", config.cooldown_seconds.to_string()),
    ];
    let rows: Vec<Vec<String>> = rows
        .into_iter()
        .map(|(name, value)| vec![name.to_owned(), value])
        .collect();
    draw(&[("PROPERTY", Align::Left), ("VALUE", Align::Left)], &rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_as_go_prints_them() {
        for (count, expected) in [
            (0, "0"),
            (65_536, "65536"),
            (123_456, "1.2346e+05"),
            (100_000, "1e+05"),
        ] {
            assert_eq!(five_digits(count), expected);
        }
        assert_eq!(five_digits(1 << 64), "1.8447e+19");
    }

    #[test]
    fn reservations_count_once() {
        let cidr = |text: &str| text.parse().unwrap();
        let reservations = [
            cidr("10.0.0.0/28"),
            cidr("10.0.0.4/30"),
            cidr("10.0.0.0/28"),
            cidr("10.9.0.0/16"),
        ];
        assert_eq!(reserved(cidr("10.0.0.0/26"), &reservations), 16);
        assert_eq!(reserved(cidr("10.9.1.0/26"), &reservations), 64);
    }
}
