//! What an update's value is, asked by kind: a value of another kind than its key counts as absent.

use std::sync::Arc;

use model::{
    Cidr, EndpointPort, EndpointSlice, HostEndpoint, IpPool, Labels, NetworkSet, Policy, Profile,
    Resource, Tier, WorkloadEndpoint,
};

use smallvec::SmallVec;

macro_rules! of_kind {
    ($($name:ident: $variant:ident => $value:ty),* $(,)?) => {$(
        pub(crate) fn $name(resource: Resource) -> Option<$value> {
            if let Resource::$variant(value) = resource { Some(value) } else { None }
        }
    )*};
}

of_kind! {
    tier: Tier => Tier,
    policy: Policy => Arc<Policy>,
    profile: Profile => Arc<Profile>,
    network_set: NetworkSet => NetworkSet,
    workload_endpoint: WorkloadEndpoint => WorkloadEndpoint,
    host_endpoint: HostEndpoint => HostEndpoint,
    endpoint_slice: EndpointSlice => EndpointSlice,
    pool: IpPool => IpPool,
}

/// The networks of a thing: most have one.
pub(crate) type Nets = SmallVec<[Cidr; 1]>;

/// A thing that the selectors of rules can select, as an update brings it.
pub(crate) struct Thing<'a> {
    pub(crate) labels: &'a Labels,
    pub(crate) profiles: &'a [Box<str>],
    pub(crate) nets: Nets,
    pub(crate) ports: &'a [EndpointPort],
}

impl<'a> Thing<'a> {
    pub(crate) fn of_workload_endpoint(endpoint: &'a WorkloadEndpoint) -> Self {
        let WorkloadEndpoint {
            labels,
            profiles,
            nets,
            ports,
            ..
        } = endpoint;
        Self {
            labels,
            profiles,
            nets: Nets::from_slice(nets),
            ports,
        }
    }

    pub(crate) fn of_host_endpoint(endpoint: &'a HostEndpoint) -> Self {
        let HostEndpoint {
            labels,
            profiles,
            expected_ips,
            ports,
            ..
        } = endpoint;
        let nets = expected_ips
            .iter()
            .map(|&address| Cidr::host(address))
            .collect();
        Self {
            labels,
            profiles,
            nets,
            ports,
        }
    }

    pub(crate) fn of_network_set(set: &'a NetworkSet) -> Self {
        let NetworkSet {
            labels,
            profiles,
            nets,
        } = set;
        Self {
            labels,
            profiles,
            nets: Nets::from_slice(nets),
            ports: &[],
        }
    }
}
