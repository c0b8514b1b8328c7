//! Lets the machines of the crate `ipam` work on a store, with this program's errors.

use datastore::{Query, block_on_ready, ipam_entries};
use ipam::{Entry, Machine, Operation};

use crate::objects::Objects;
use crate::outcome::{Failure, Status, chain};

/// Everything that has to do with addresses, from one moment.
pub(super) fn everything(objects: &Objects) -> Result<Vec<Entry>, Failure> {
    let prefixes = ALL.iter().flat_map(|kind| api::store_prefixes(*kind, None));
    let queries: Vec<Query> = prefixes.map(Query::prefix).collect();
    Ok(ipam_entries(&objects.read(&queries)?))
}

/// What IPAM consists of.
const ALL: [api::Kind; 6] = [
    api::Kind::IpPool,
    api::Kind::IpReservation,
    api::Kind::IpamConfiguration,
    api::Kind::IpamBlock,
    api::Kind::BlockAffinity,
    api::Kind::IpamHandle,
];

/// Runs an operation to its end.
pub(crate) fn run<O: Operation>(
    objects: &Objects,
    machine: Machine<O>,
) -> Result<O::Outcome, Failure> {
    block_on_ready(datastore::drive(objects.store(), machine))
        .map_err(|error| Failure::new(Status::Unreachable, chain(&error)))
}
