//! `ipam split`: makes smaller pools of one, while the datastore is locked.
//!
//! Where a store makes several writes at once, the new pools come and the old one goes in one transaction. Elsewhere the new
//! ones are written first: cut off in between, both stand, and the same command completes what was begun.

use api::{AdmitOptions, Kind, Object};
use datastore::{Revision, Write};
use model::Cidr;
use serde_json::Value;

use crate::cli::{Global, IpamSplitArgs};
use crate::connect::{Purpose, connect};
use crate::lock::is_locked;
use crate::objects::{Objects, invalid};
use crate::outcome::{Failure, Status};
use crate::session::Session;

/// The longest name an object may have.
const LONGEST_NAME: usize = 253;
/// The most pools that are made of one.
const MOST_PARTS: u32 = 4096;
/// How much of a long name is kept.
const KEPT_OF_NAME: usize = 245;

pub(crate) fn run(
    args: &IpamSplitArgs,
    global: &Global,
    session: &mut Session<'_>,
) -> Result<Status, Failure> {
    let parts = parts(&args.number)?;
    if args.cidr.is_none() && args.name.is_none() {
        return Err(Failure::usage(
            "no name or CIDR provided. Provide a name or CIDR to denote the IP pool to split",
        ));
    }
    let objects = connect(&args.config.config, Purpose::Maintain, global, session)?;
    let information = objects.get(Kind::ClusterInformation, None, "default")?;
    if !is_locked(&information) {
        return Err(Failure::general(
            "datastore is not locked. Run the `calicoctl datastore migrate lock` command in order to split the IP pools",
        ));
    }
    let pool = find(&objects, args)?;
    let pools = split(&pool, parts)?;
    let mut writes = Vec::new();
    for new in &pools {
        writes.extend(creation(&objects, new)?);
    }
    // Last, so that whatever interrupts this, every address is in a pool.
    writes.push(Write::delete(
        pool.store_key(),
        pool.revision().map(Revision::new),
    ));
    objects.carry_out(&writes).map_err(|failure| {
        failure.context(format!("failed to split the IP pool {}: ", pool.name()))
    })?;
    session.line(format!(
        "IP Pool {} was successfully split into {parts} smaller pools.",
        pool.name()
    ))?;
    for new in &pools {
        let cidr = new.text_at("/spec/cidr");
        session.line(format!("Created {} with CIDR {cidr}.", new.name()))?;
    }
    session.line("Please refer to the documentation for final steps.")?;
    Ok(Status::Done)
}

fn parts(text: &str) -> Result<u32, Failure> {
    let parts: u32 = text.parse().map_err(|error| {
        Failure::usage(format!(
            "error reading number to split IP pools into. {text} is not a valid number: {error}"
        ))
    })?;
    if parts < 2 || !parts.is_power_of_two() {
        return Err(Failure::usage(format!(
            "number to split CIDR into is not a valid power of 2: {parts}"
        )));
    }
    if parts > MOST_PARTS {
        return Err(Failure::usage(format!(
            "{parts} pools are more than can be worked with: split into at most {MOST_PARTS}"
        )));
    }
    Ok(parts)
}

/// The pool of this name and network.
fn find(objects: &Objects, args: &IpamSplitArgs) -> Result<Object, Failure> {
    let missing = |text: String| Failure::new(Status::NotFound, text);
    let wanted = args
        .cidr
        .as_deref()
        .map(|text| (text, text.parse::<Cidr>().ok()));
    let is_wanted = |pool: &Object| match wanted {
        Some((text, cidr)) => {
            let own = pool.text_at("/spec/cidr");
            own == text || (cidr.is_some() && own.parse().ok() == cidr)
        }
        None => true,
    };
    let Some(name) = &args.name else {
        let pools = objects.list(Kind::IpPool, None)?.objects;
        return pools.into_iter().find(is_wanted).ok_or_else(|| {
            let cidr = args.cidr.as_deref().unwrap_or_default();
            missing(format!(
                "unable to find IP pool covering the specified CIDR {cidr}"
            ))
        });
    };
    let pool = objects
        .get(Kind::IpPool, None, name)
        .map_err(|failure| failure.context(format!("unable to find IP pool with name {name}: ")))?;
    if is_wanted(&pool) {
        return Ok(pool);
    }
    Err(missing(format!(
        "the IP pool {name} has the CIDR {}, not {}",
        pool.text_at("/spec/cidr"),
        args.cidr.as_deref().unwrap_or_default()
    )))
}

/// The pools that take the place of one: everything of it but its identity, and of its network a part each.
fn split(pool: &Object, parts: u32) -> Result<Vec<Object>, Failure> {
    const OF_THE_OLD_ONE: [&str; 9] = [
        "uid",
        "resourceVersion",
        "generation",
        "selfLink",
        "creationTimestamp",
        "deletionTimestamp",
        "generateName",
        "finalizers",
        "managedFields",
    ];
    let text = pool.text_at("/spec/cidr");
    let cidr: Cidr = text.parse().map_err(|error| {
        Failure::general(format!(
            "the IP pool {} has no network to split: {text}: {error}",
            pool.name()
        ))
    })?;
    let bits = parts.trailing_zeros();
    let longest = pool
        .pointer("/spec/blockSize")
        .and_then(Value::as_u64)
        .and_then(|size| u32::try_from(size).ok())
        .unwrap_or_else(|| u32::from(cidr.family().bits()));
    let len = u32::from(cidr.len()) + bits;
    let Some(len) = u8::try_from(len).ok().filter(|_| len <= longest) else {
        return Err(Failure::usage(format!(
            "the CIDR {cidr} is not large enough to be split into {parts} parts: its blocks are /{longest}"
        )));
    };
    let step = 1_u128 << (cidr.family().bits() - len);
    let mut pools = Vec::new();
    for part in 0..parts {
        let mut new = pool.clone();
        for field in OF_THE_OLD_ONE {
            new.metadata_mut().remove(field);
        }
        new.value_mut().remove("status");
        let addr = cidr.nth(u128::from(part) * step).ok_or_else(|| {
            Failure::general(format!("the CIDR {cidr} has no part {part} of {parts}"))
        })?;
        let name = name_of_part(pool.name(), part);
        new.metadata_mut().insert("name".to_owned(), name.into());
        let own = format!("{addr}/{len}");
        new.spec_mut().insert("cidr".to_owned(), own.into());
        let admitted = api::admit(new.clone().into_value(), &AdmitOptions::default());
        pools.push(admitted.map_err(|problems| invalid(&new, &problems))?);
    }
    Ok(pools)
}

fn name_of_part(pool: &str, part: u32) -> String {
    let name = format!("split-{pool}-{part}");
    if name.len() <= LONGEST_NAME {
        return name;
    }
    let kept: String = pool.chars().take(KEPT_OF_NAME).collect();
    format!("split-{kept}-{part}")
}

/// The write that makes a new pool; `None` if an earlier attempt has made it already.
fn creation(objects: &Objects, pool: &Object) -> Result<Option<Write>, Failure> {
    match objects.find(Kind::IpPool, None, pool.name())? {
        None => objects.birth(pool).map(Some),
        Some(there) if there.pointer("/spec") == pool.pointer("/spec") => Ok(None),
        Some(there) => Err(Failure::new(
            Status::Conflict,
            format!(
                "there is an IP pool {} with the CIDR {}: nothing was changed",
                there.name(),
                there.text_at("/spec/cidr")
            ),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pool(cidr: &str, size: u8) -> Object {
        let value = json!({"apiVersion": "projectcalico.org/v3", "kind": "IPPool", "metadata": {"name": "p", "labels": {"a": "b"}},
            "spec": {"cidr": cidr, "blockSize": size, "disabled": true}});
        api::admit(value, &AdmitOptions::default()).unwrap()
    }

    #[test]
    fn parts_are_equal_and_keep_everything_else() {
        let pools = split(&pool("10.0.0.0/24", 26), 4).unwrap();
        let cidrs: Vec<&str> = pools.iter().map(|p| p.text_at("/spec/cidr")).collect();
        assert_eq!(
            cidrs,
            [
                "10.0.0.0/26",
                "10.0.0.64/26",
                "10.0.0.128/26",
                "10.0.0.192/26"
            ]
        );
        assert_eq!(pools[3].name(), "split-p-3");
        assert_eq!(pools[3].pointer("/spec/disabled"), Some(&json!(true)));
        assert_eq!(pools[3].text_at("/metadata/labels/a"), "b");
        let pools = split(&pool("fd00::/48", 122), 2).unwrap();
        assert_eq!(pools[1].text_at("/spec/cidr"), "fd00:0:0:8000::/49");
    }

    #[test]
    fn what_cannot_be_split() {
        assert!(split(&pool("10.0.0.0/24", 26), 8).is_err());
        for text in ["0", "1", "3", "-2", "x"] {
            assert!(parts(text).is_err(), "{text}");
        }
        assert_eq!(name_of_part(&"x".repeat(253), 7).len(), 253);
    }
}
