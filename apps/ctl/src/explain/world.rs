//! All objects that decide about packets: those of the store at one moment, or those of files.

use calc::World;
use datastore::Query;

use crate::cli::{ExplainArgs, Global};
use crate::connect::{Purpose, connect};
use crate::manifest::load_world;
use crate::outcome::{Failure, Status};
use crate::session::Session;

/// What all keys of the store begin with.
const ALL: &str = "/calico/";

/// Reads the world. What cannot be understood is absent, as it is for the agent, and is said so on standard error.
pub(super) fn load(
    args: &ExplainArgs,
    global: &Global,
    session: &mut Session<'_>,
) -> Result<World, Failure> {
    let mut world = World::default();
    let Some(path) = &args.world else {
        let objects = connect(&args.config.config, Purpose::Read, global, session)?;
        for entry in objects.read(&[Query::prefix(ALL)])?.entries {
            // Other keys are not ours to judge.
            if api::parse_store_key(&entry.key).is_some() {
                take(&mut world, &entry.key, &entry.value, session);
            }
        }
        return Ok(world);
    };
    // Every cluster has these; files may say otherwise.
    for object in api::built_in_objects() {
        take(
            &mut world,
            &object.store_key(),
            &object.to_store_bytes(),
            session,
        );
    }
    for item in load_world(path, session)? {
        let object = item.admit(None)?;
        take(
            &mut world,
            &object.store_key(),
            &object.to_store_bytes(),
            session,
        );
    }
    if world.endpoints().next().is_none() {
        let text = format!(
            "{path} has no WorkloadEndpoint: policy decides about traffic of workloads only"
        );
        return Err(Failure::new(Status::NotFound, text));
    }
    Ok(world)
}

fn take(world: &mut World, key: &str, bytes: &[u8], session: &mut Session<'_>) {
    match api::decode(key, bytes) {
        Ok(update) => world.apply(update),
        Err(invalid) => session.complain(&format!(
            "warning: {key} is not valid and counts as absent: {invalid}"
        )),
    }
}
