//! Which part of the file each kind stands in, and in which order.

use api::Kind;

/// A part of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// The stream of lists, which upstream reads as well.
    Stream,
    /// What upstream's file has no room for: in Kubernetes these come from Kubernetes' own objects.
    Beside,
    /// ClusterInformation, which has a part of its own.
    Information,
    /// The IPAM part.
    Ipam,
}

/// The kinds of the stream: what is referred to comes before what refers to it, so that whoever reads the file in this order
/// and looks for the one finds it when it comes to the other. Upstream's order but for the filters, which its own import
/// misses when it comes to the peers.
pub(super) const STREAM: [Kind; 17] = [
    Kind::IpPool,
    Kind::BgpFilter,
    Kind::BgpPeer,
    Kind::Tier,
    Kind::GlobalNetworkPolicy,
    Kind::StagedGlobalNetworkPolicy,
    Kind::GlobalNetworkSet,
    Kind::HostEndpoint,
    Kind::KubeControllersConfiguration,
    Kind::NetworkPolicy,
    Kind::StagedNetworkPolicy,
    Kind::StagedKubernetesNetworkPolicy,
    Kind::NetworkSet,
    Kind::Node,
    Kind::BgpConfiguration,
    Kind::FelixConfiguration,
    Kind::IpReservation,
];

/// The kinds beside the stream. Endpoints come last: what they are subject to is there before them.
pub(super) const BESIDE: [Kind; 10] = [
    Kind::Profile,
    Kind::Namespace,
    Kind::ServiceAccount,
    Kind::KubernetesNetworkPolicy,
    Kind::KubernetesClusterNetworkPolicy,
    Kind::Service,
    Kind::EndpointSlice,
    Kind::CalicoNodeStatus,
    Kind::LiveMigration,
    Kind::WorkloadEndpoint,
];

/// The IPAM kinds in the order in which they are written: a handle before the blocks it counts in, and a block before the
/// claim on it.
pub(super) const IPAM: [Kind; 4] = [
    Kind::IpamConfiguration,
    Kind::IpamHandle,
    Kind::IpamBlock,
    Kind::BlockAffinity,
];

/// Names of network policies that were made from Kubernetes' own.
pub(super) const FROM_KUBERNETES: &str = "knp.default.";

/// Where objects of a kind stand.
pub(super) fn part(kind: Kind) -> Part {
    match kind {
        Kind::IpPool
        | Kind::BgpPeer
        | Kind::Tier
        | Kind::GlobalNetworkPolicy
        | Kind::StagedGlobalNetworkPolicy
        | Kind::GlobalNetworkSet
        | Kind::HostEndpoint
        | Kind::KubeControllersConfiguration
        | Kind::NetworkPolicy
        | Kind::StagedNetworkPolicy
        | Kind::StagedKubernetesNetworkPolicy
        | Kind::NetworkSet
        | Kind::Node
        | Kind::BgpConfiguration
        | Kind::FelixConfiguration
        | Kind::IpReservation
        | Kind::BgpFilter => Part::Stream,
        Kind::Profile
        | Kind::Namespace
        | Kind::ServiceAccount
        | Kind::KubernetesNetworkPolicy
        | Kind::KubernetesClusterNetworkPolicy
        | Kind::Service
        | Kind::EndpointSlice
        | Kind::CalicoNodeStatus
        | Kind::LiveMigration
        | Kind::WorkloadEndpoint => Part::Beside,
        Kind::ClusterInformation => Part::Information,
        Kind::IpamConfiguration | Kind::BlockAffinity | Kind::IpamBlock | Kind::IpamHandle => {
            Part::Ipam
        }
    }
}

/// True for objects that every cluster has from its beginning.
pub(super) fn is_built_in(kind: Kind, name: &str) -> bool {
    matches!(kind, Kind::Tier | Kind::Profile) && api::refuse_delete(kind, name).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_stands_in_one_part() {
        for kind in Kind::all() {
            let lists = [
                (Part::Stream, STREAM.contains(&kind)),
                (Part::Beside, BESIDE.contains(&kind)),
                (Part::Ipam, IPAM.contains(&kind)),
                (Part::Information, kind == Kind::ClusterInformation),
            ];
            for (list, holds) in lists {
                assert_eq!(holds, part(kind) == list, "{kind} in {list:?}");
            }
        }
    }
}
