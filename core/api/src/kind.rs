//! The kinds of objects, and one table of what they are called: read by key layout, admission and every command line.

use std::fmt;

/// `apiVersion` of Calico's own kinds.
pub const CALICO_V3: &str = "projectcalico.org/v3";
/// `apiVersion` of Kubernetes' core kinds.
pub const CORE_V1: &str = "v1";
/// `apiVersion` of Kubernetes' endpoint slices.
pub const DISCOVERY_V1: &str = "discovery.k8s.io/v1";
/// `apiVersion` of Kubernetes' network policy.
pub const NETWORKING_V1: &str = "networking.k8s.io/v1";
/// `apiVersion` of Kubernetes' cluster-wide network policy.
pub const POLICY_V1ALPHA2: &str = "policy.networking.k8s.io/v1alpha2";

/// A kind of object the product reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// v3 `NetworkPolicy`.
    NetworkPolicy,
    /// v3 `GlobalNetworkPolicy`.
    GlobalNetworkPolicy,
    /// v3 `StagedNetworkPolicy`.
    StagedNetworkPolicy,
    /// v3 `StagedGlobalNetworkPolicy`.
    StagedGlobalNetworkPolicy,
    /// v3 `StagedKubernetesNetworkPolicy`.
    StagedKubernetesNetworkPolicy,
    /// v3 `Tier`.
    Tier,
    /// v3 `NetworkSet`.
    NetworkSet,
    /// v3 `GlobalNetworkSet`.
    GlobalNetworkSet,
    /// v3 `Profile`.
    Profile,
    /// v3 `WorkloadEndpoint`.
    WorkloadEndpoint,
    /// v3 `HostEndpoint`.
    HostEndpoint,
    /// v3 `Node`.
    Node,
    /// v3 `IPPool`.
    IpPool,
    /// v3 `IPReservation`.
    IpReservation,
    /// v3 `IPAMConfiguration`.
    IpamConfiguration,
    /// v3 `BlockAffinity`.
    BlockAffinity,
    /// v3 `IPAMBlock`.
    IpamBlock,
    /// v3 `IPAMHandle`.
    IpamHandle,
    /// v3 `FelixConfiguration`.
    FelixConfiguration,
    /// v3 `ClusterInformation`.
    ClusterInformation,
    /// v3 `BGPConfiguration`.
    BgpConfiguration,
    /// v3 `BGPPeer`.
    BgpPeer,
    /// v3 `BGPFilter`.
    BgpFilter,
    /// v3 `KubeControllersConfiguration`.
    KubeControllersConfiguration,
    /// v3 `CalicoNodeStatus`.
    CalicoNodeStatus,
    /// v3 `LiveMigration`: written by orchestrators, not by users.
    LiveMigration,
    /// Kubernetes' `v1` `Namespace`.
    Namespace,
    /// Kubernetes' `v1` `ServiceAccount`.
    ServiceAccount,
    /// Kubernetes' `networking.k8s.io/v1` `NetworkPolicy`.
    KubernetesNetworkPolicy,
    /// Kubernetes' `policy.networking.k8s.io/v1alpha2` `ClusterNetworkPolicy`.
    KubernetesClusterNetworkPolicy,
    /// Kubernetes' `v1` `Service`.
    Service,
    /// Kubernetes' `discovery.k8s.io/v1` `EndpointSlice`: who serves a service.
    EndpointSlice,
}

/// Whether objects of a kind live in namespaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// One in the cluster by name.
    Cluster,
    /// One in its namespace by name.
    Namespaced,
}

struct Row {
    kind: Kind,
    name: &'static str,
    api_version: &'static str,
    scope: Scope,
    singular: &'static str,
    plural: &'static str,
    /// All other words that upstream's calicoctl or CRDs accept.
    aliases: &'static [&'static str],
}

const fn row(
    kind: Kind,
    name: &'static str,
    scope: Scope,
    singular: &'static str,
    plural: &'static str,
    aliases: &'static [&'static str],
) -> Row {
    Row {
        kind,
        name,
        api_version: CALICO_V3,
        scope,
        singular,
        plural,
        aliases,
    }
}

const ROWS: [Row; 32] = {
    use Scope::{Cluster, Namespaced};
    [
        row(
            Kind::NetworkPolicy,
            "NetworkPolicy",
            Namespaced,
            "networkpolicy",
            "networkpolicies",
            &[
                "np",
                "policy",
                "policies",
                "pol",
                "pols",
                "cnp",
                "caliconetworkpolicy",
            ],
        ),
        row(
            Kind::GlobalNetworkPolicy,
            "GlobalNetworkPolicy",
            Cluster,
            "globalnetworkpolicy",
            "globalnetworkpolicies",
            &["gnp", "gnps", "cgnp", "calicoglobalnetworkpolicies"],
        ),
        row(
            Kind::StagedNetworkPolicy,
            "StagedNetworkPolicy",
            Namespaced,
            "stagednetworkpolicy",
            "stagednetworkpolicies",
            &[
                "snp",
                "scnp",
                "stagedpolicy",
                "stagedpolicies",
                "spol",
                "spols",
            ],
        ),
        row(
            Kind::StagedGlobalNetworkPolicy,
            "StagedGlobalNetworkPolicy",
            Cluster,
            "stagedglobalnetworkpolicy",
            "stagedglobalnetworkpolicies",
            &["sgnp", "sgnps"],
        ),
        row(
            Kind::StagedKubernetesNetworkPolicy,
            "StagedKubernetesNetworkPolicy",
            Namespaced,
            "stagedkubernetesnetworkpolicy",
            "stagedkubernetesnetworkpolicies",
            &[
                "sknp",
                "stagedkubernetespolicy",
                "stagedkubernetespolicies",
                "skpol",
                "skpols",
            ],
        ),
        row(Kind::Tier, "Tier", Cluster, "tier", "tiers", &[]),
        row(
            Kind::NetworkSet,
            "NetworkSet",
            Namespaced,
            "networkset",
            "networksets",
            &["netset", "netsets"],
        ),
        row(
            Kind::GlobalNetworkSet,
            "GlobalNetworkSet",
            Cluster,
            "globalnetworkset",
            "globalnetworksets",
            &["gns", "gnetset", "gnetsets"],
        ),
        row(
            Kind::Profile,
            "Profile",
            Cluster,
            "profile",
            "profiles",
            &["pro", "pros"],
        ),
        row(
            Kind::WorkloadEndpoint,
            "WorkloadEndpoint",
            Namespaced,
            "workloadendpoint",
            "workloadendpoints",
            &["wep", "weps"],
        ),
        row(
            Kind::HostEndpoint,
            "HostEndpoint",
            Cluster,
            "hostendpoint",
            "hostendpoints",
            &["hep", "heps"],
        ),
        row(Kind::Node, "Node", Cluster, "node", "nodes", &["no", "nos"]),
        row(
            Kind::IpPool,
            "IPPool",
            Cluster,
            "ippool",
            "ippools",
            &["ipp", "ipps", "pool", "pools"],
        ),
        row(
            Kind::IpReservation,
            "IPReservation",
            Cluster,
            "ipreservation",
            "ipreservations",
            &["reservation", "reservations"],
        ),
        row(
            Kind::IpamConfiguration,
            "IPAMConfiguration",
            Cluster,
            "ipamconfiguration",
            "ipamconfigurations",
            &["ipamconfig", "ipamconfigs"],
        ),
        row(
            Kind::BlockAffinity,
            "BlockAffinity",
            Cluster,
            "blockaffinity",
            "blockaffinities",
            &["affinity", "affinities"],
        ),
        row(
            Kind::IpamBlock,
            "IPAMBlock",
            Cluster,
            "ipamblock",
            "ipamblocks",
            &[],
        ),
        row(
            Kind::IpamHandle,
            "IPAMHandle",
            Cluster,
            "ipamhandle",
            "ipamhandles",
            &[],
        ),
        row(
            Kind::FelixConfiguration,
            "FelixConfiguration",
            Cluster,
            "felixconfiguration",
            "felixconfigurations",
            &["felixconfig", "felixconfigs"],
        ),
        row(
            Kind::ClusterInformation,
            "ClusterInformation",
            Cluster,
            "clusterinformation",
            "clusterinformations",
            &["clusterinfo", "clusterinfos"],
        ),
        row(
            Kind::BgpConfiguration,
            "BGPConfiguration",
            Cluster,
            "bgpconfiguration",
            "bgpconfigurations",
            &["bgpconfig", "bgpconfigs"],
        ),
        row(
            Kind::BgpPeer,
            "BGPPeer",
            Cluster,
            "bgppeer",
            "bgppeers",
            &["bgpp", "bgpps", "bp", "bps"],
        ),
        row(
            Kind::BgpFilter,
            "BGPFilter",
            Cluster,
            "bgpfilter",
            "bgpfilters",
            &["bgpf", "bgpfs", "bf", "bfs"],
        ),
        row(
            Kind::KubeControllersConfiguration,
            "KubeControllersConfiguration",
            Cluster,
            "kubecontrollersconfiguration",
            "kubecontrollersconfigurations",
            &[
                "kubecontrollersconfig",
                "kubecontrollersconfigs",
                "kcc",
                "kccs",
            ],
        ),
        row(
            Kind::CalicoNodeStatus,
            "CalicoNodeStatus",
            Cluster,
            "caliconodestatus",
            "caliconodestatuses",
            &["nodestatus", "nodestatuses"],
        ),
        row(
            Kind::LiveMigration,
            "LiveMigration",
            Namespaced,
            "livemigration",
            "livemigrations",
            &[],
        ),
        Row {
            kind: Kind::Namespace,
            name: "Namespace",
            api_version: CORE_V1,
            scope: Cluster,
            singular: "namespace",
            plural: "namespaces",
            aliases: &["ns"],
        },
        Row {
            kind: Kind::ServiceAccount,
            name: "ServiceAccount",
            api_version: CORE_V1,
            scope: Namespaced,
            singular: "serviceaccount",
            plural: "serviceaccounts",
            aliases: &["sa"],
        },
        Row {
            kind: Kind::KubernetesNetworkPolicy,
            name: "NetworkPolicy",
            api_version: NETWORKING_V1,
            scope: Namespaced,
            singular: "kubernetesnetworkpolicy",
            plural: "kubernetesnetworkpolicies",
            aliases: &["knp", "knps"],
        },
        Row {
            kind: Kind::KubernetesClusterNetworkPolicy,
            name: "ClusterNetworkPolicy",
            api_version: POLICY_V1ALPHA2,
            scope: Cluster,
            singular: "kubernetesclusternetworkpolicy",
            plural: "kubernetesclusternetworkpolicies",
            aliases: &[
                "clusternetworkpolicy",
                "clusternetworkpolicies",
                "kcnp",
                "kcnps",
            ],
        },
        Row {
            kind: Kind::Service,
            name: "Service",
            api_version: CORE_V1,
            scope: Namespaced,
            singular: "service",
            // Upstream's keys have no plural here.
            plural: "kubernetesservice",
            aliases: &["services", "svc"],
        },
        Row {
            kind: Kind::EndpointSlice,
            name: "EndpointSlice",
            api_version: DISCOVERY_V1,
            scope: Namespaced,
            singular: "endpointslice",
            plural: "kubernetesendpointslices",
            aliases: &["endpointslices"],
        },
    ]
};

impl Kind {
    /// Calico's own policies, which are in a tier each. Older releases had the name of the default tier before theirs.
    pub const TIERED: [Kind; 4] = [
        Kind::NetworkPolicy,
        Kind::GlobalNetworkPolicy,
        Kind::StagedNetworkPolicy,
        Kind::StagedGlobalNetworkPolicy,
    ];

    /// True for policies that are in a tier.
    pub fn has_tier(self) -> bool {
        Kind::TIERED.contains(&self)
    }

    /// Every kind, in the order of the table.
    pub fn all() -> impl Iterator<Item = Kind> {
        ROWS.iter().map(|row| row.kind)
    }

    fn row(self) -> &'static Row {
        // The rows stand in the order of the variants; a test holds them to it.
        &ROWS[self as usize]
    }

    /// The kind as its objects spell it. Two kinds are called `NetworkPolicy`: the `apiVersion` tells them apart.
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// The `apiVersion` of its objects.
    pub fn api_version(self) -> &'static str {
        self.row().api_version
    }

    /// The plural: the word in store keys and URLs.
    pub fn plural(self) -> &'static str {
        self.row().plural
    }

    /// The singular, lower case.
    pub fn singular(self) -> &'static str {
        self.row().singular
    }

    /// Other words that name the kind on a command line.
    pub fn aliases(self) -> &'static [&'static str] {
        self.row().aliases
    }

    /// Whether objects of it live in namespaces.
    pub fn scope(self) -> Scope {
        self.row().scope
    }

    /// True if objects of it live in namespaces.
    pub fn is_namespaced(self) -> bool {
        self.scope() == Scope::Namespaced
    }

    /// The kind that a word of a command line names: kind, singular, plural or alias in any case. `gnp`, `IPPools`, `wep`.
    pub fn lookup(word: &str) -> Option<Kind> {
        let word = word.to_ascii_lowercase();
        let named = |row: &&Row| {
            row.singular == word || row.plural == word || row.aliases.contains(&word.as_str())
        };
        ROWS.iter().find(named).map(|row| row.kind)
    }

    /// The kind of an object with this `apiVersion` and `kind`, spelt exactly.
    pub fn of(api_version: &str, kind: &str) -> Option<Kind> {
        ROWS.iter()
            .find(|row| row.api_version == api_version && row.name == kind)
            .map(|row| row.kind)
    }

    pub(crate) fn by_plural(plural: &str) -> Option<Kind> {
        ROWS.iter()
            .find(|row| row.plural == plural)
            .map(|row| row.kind)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_stand_in_the_order_of_the_variants() {
        for (index, row) in ROWS.iter().enumerate() {
            assert_eq!(row.kind as usize, index, "{}", row.plural);
        }
    }

    #[test]
    fn no_word_names_two_kinds() {
        let mut seen = std::collections::BTreeSet::new();
        for row in &ROWS {
            for word in [row.singular, row.plural].iter().chain(row.aliases) {
                assert!(seen.insert(*word), "{word}");
                assert_eq!(Kind::lookup(word), Some(row.kind), "{word}");
                assert_eq!(Kind::lookup(&word.to_uppercase()), Some(row.kind), "{word}");
            }
        }
        assert_eq!(Kind::lookup("nope"), None);
    }

    #[test]
    fn the_api_version_decides_between_namesakes() {
        assert_eq!(
            Kind::of(CALICO_V3, "NetworkPolicy"),
            Some(Kind::NetworkPolicy)
        );
        assert_eq!(
            Kind::of(NETWORKING_V1, "NetworkPolicy"),
            Some(Kind::KubernetesNetworkPolicy)
        );
        assert_eq!(Kind::of("v1", "NetworkPolicy"), None);
    }
}
