//! The workload endpoints that a graph has taken in, for those who look for what is left of others.

use model::{Cidr, WorkloadEndpoint, WorkloadEndpointId};

use super::Graph;
use crate::items::ItemKey;

impl Graph {
    /// Those of this node, without their labels.
    pub fn workloads_here(&self) -> impl Iterator<Item = (&WorkloadEndpointId, &WorkloadEndpoint)> {
        self.locals.iter().map(|(id, local)| (id, &local.endpoint))
    }

    /// The addresses of those of other nodes.
    pub fn workload_nets_elsewhere(&self) -> impl Iterator<Item = Cidr> + '_ {
        let elsewhere = self.items.iter().filter(|(index, item)| {
            matches!(item.key, ItemKey::Workload(_)) && !self.local_ids.contains_key(index)
        });
        elsewhere.flat_map(|(_, item)| item.body.nets.iter().copied())
    }
}
