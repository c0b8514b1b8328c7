//! The kinds that are CRDs: what they are called, how they are shown, and which schemas they have.

use super::table::{Cel, Need, Schema, parameters};
use super::{bgp, cluster, cluster_policy, felix, ipam, policy};
use crate::kind::Kind;

/// A column of `kubectl get`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Column {
    pub(super) name: &'static str,
    pub(super) kind: &'static str,
    pub(super) path: &'static str,
    pub(super) doc: &'static str,
}

const fn column(
    name: &'static str,
    kind: &'static str,
    path: &'static str,
    doc: &'static str,
) -> Column {
    Column {
        name,
        kind,
        path,
        doc,
    }
}

/// One CRD.
#[derive(Clone, Copy, Debug)]
pub(super) struct Crd {
    pub(super) kind: Kind,
    pub(super) short: &'static [&'static str],
    pub(super) columns: &'static [Column],
    pub(super) selectable: &'static [&'static str],
    pub(super) spec: Schema,
    pub(super) status: Option<Schema>,
    pub(super) rules: &'static [Cel],
    /// Kind, plural and `spec` in `crd.projectcalico.org/v1`, where they differ.
    pub(super) older: Option<(&'static str, &'static str, Schema)>,
    /// Whether `metadata` and `spec` may be left out in `crd.projectcalico.org/v1`.
    pub(super) older_need: Need,
}

impl Crd {
    const fn short(mut self, short: &'static [&'static str]) -> Crd {
        self.short = short;
        self
    }

    const fn columns(mut self, columns: &'static [Column]) -> Crd {
        self.columns = columns;
        self
    }

    const fn selectable(mut self, selectable: &'static [&'static str]) -> Crd {
        self.selectable = selectable;
        self
    }

    const fn status(mut self, status: Schema) -> Crd {
        self.status = Some(status);
        self
    }

    const fn rules(mut self, rules: &'static [Cel]) -> Crd {
        self.rules = rules;
        self
    }

    const fn complete(mut self) -> Crd {
        self.older_need = Need::Required;
        self
    }

    const fn older(mut self, kind: &'static str, plural: &'static str, spec: Schema) -> Crd {
        self.older = Some((kind, plural, spec));
        self
    }
}

const fn crd(kind: Kind, spec: Schema) -> Crd {
    Crd {
        kind,
        short: &[],
        columns: &[],
        selectable: &[],
        spec,
        status: None,
        rules: &[],
        older: None,
        older_need: Need::Optional,
    }
}

const AGE: Column = column("Age", "date", ".metadata.creationTimestamp", "");
const TIER: Column = column("Tier", "string", ".spec.tier", "");
const ORDER: Column = column("Order", "number", ".spec.order", "");
const BY_TIER: &[&str] = &[".spec.tier"];

/// The kinds, by plural.
pub(super) const CRDS: &[Crd] = &[
    crd(Kind::BgpConfiguration, bgp::CONFIGURATION).short(&["bgpconfig", "bgpconfigs"]),
    crd(Kind::BgpFilter, bgp::FILTER),
    crd(Kind::BgpPeer, bgp::PEER).columns(&[
        column(
            "Node Selector",
            "string",
            ".spec.nodeSelector",
            "Nodes that peer",
        ),
        column("Node", "string", ".spec.node", "The node that peers"),
        column(
            "Local ASN",
            "string",
            ".spec.localASNumber",
            "Our AS number towards the peer",
        ),
        column(
            "Peer Selector",
            "string",
            ".spec.peerSelector",
            "Nodes that are the peers",
        ),
        column(
            "Peer IP",
            "string",
            ".spec.peerIP",
            "The peer's address, with its port",
        ),
        column(
            "Peer ASN",
            "string",
            ".spec.asNumber",
            "The peer's AS number",
        ),
    ]),
    crd(Kind::BlockAffinity, ipam::AFFINITY)
        .short(&["affinity", "affinities"])
        .columns(&[
            column("CIDR", "string", ".spec.cidr", "The block"),
            column("Node", "string", ".spec.node", "Who claims it"),
            column("Type", "string", ".spec.type", "What kind of owner that is"),
        ])
        .older("BlockAffinity", "blockaffinities", ipam::AFFINITY_V1),
    crd(Kind::CalicoNodeStatus, cluster::NODE_STATUS)
        .columns(&[
            column("Node", "string", ".spec.node", "The node"),
            column("Classes", "string", ".spec.classes", "What it reports"),
        ])
        .status(cluster::NODE_STATUS_STATUS),
    crd(Kind::ClusterInformation, cluster::CLUSTER_INFORMATION)
        .short(&["clusterinfo", "clusterinfos"])
        .columns(&[
            column(
                "Version",
                "string",
                ".spec.calicoVersion",
                "The release that the cluster runs",
            ),
            column(
                "Ready",
                "boolean",
                ".spec.datastoreReady",
                "Whether the datastore may be used",
            ),
            column(
                "Types",
                "string",
                ".spec.clusterType",
                "What the cluster is made of",
            ),
        ]),
    crd(Kind::KubernetesClusterNetworkPolicy, cluster_policy::SPEC)
        .short(&["cnp"])
        .columns(&[
            TIER,
            column("Priority", "string", ".spec.priority", ""),
            AGE,
        ])
        .status(cluster_policy::STATUS),
    crd(Kind::FelixConfiguration, FELIX).rules(felix::RULES),
    crd(Kind::GlobalNetworkPolicy, policy::GLOBAL_NETWORK_POLICY)
        .short(&["gnp", "cgnp"])
        .columns(&[TIER, ORDER, AGE])
        .selectable(BY_TIER),
    crd(Kind::GlobalNetworkSet, cluster::NETWORK_SET)
        .short(&["gns"])
        .columns(&[AGE]),
    crd(Kind::HostEndpoint, cluster::HOST_ENDPOINT)
        .short(&["hep", "heps"])
        .columns(&[
            column("Node", "string", ".spec.node", "The host"),
            column(
                "Interface",
                "string",
                ".spec.interfaceName",
                "The interface",
            ),
        ]),
    crd(Kind::IpamBlock, ipam::BLOCK)
        .columns(&[
            column("CIDR", "string", ".spec.cidr", "The block"),
            column(
                "Affinity",
                "string",
                ".spec.affinity",
                "Who it is affine to",
            ),
            column("ClaimTime", "date", ".spec.affinityClaimTime", "Since when"),
        ])
        .older("IPAMBlock", "ipamblocks", ipam::BLOCK_V1),
    crd(Kind::IpamConfiguration, ipam::CONFIGURATION)
        .short(&["ipamconfig", "ipamconfigs"])
        .columns(&[
            column(
                "StrictAffinity",
                "boolean",
                ".spec.strictAffinity",
                "Whether nodes keep to their own blocks",
            ),
            column(
                "MaxBlocksPerHost",
                "integer",
                ".spec.maxBlocksPerHost",
                "How many blocks a node may have",
            ),
            column(
                "AutoAllocateBlocks",
                "boolean",
                ".spec.autoAllocateBlocks",
                "Whether nodes claim blocks as they need them",
            ),
        ])
        .older("IPAMConfig", "ipamconfigs", ipam::CONFIGURATION_V1),
    crd(Kind::IpamHandle, ipam::HANDLE).columns(&[column(
        "ID",
        "string",
        ".spec.handleID",
        "The handle",
    )]),
    crd(Kind::IpPool, ipam::POOL)
        .columns(&[
            column("CIDR", "string", ".spec.cidr", "The network"),
            column(
                "VXLAN",
                "string",
                ".spec.vxlanMode",
                "When traffic goes through VXLAN",
            ),
            column(
                "IPIP",
                "string",
                ".spec.ipipMode",
                "When traffic goes through IP-in-IP",
            ),
            column(
                "NAT",
                "boolean",
                ".spec.natOutgoing",
                "Whether the source of what leaves is rewritten",
            ),
            column(
                "Allocatable",
                "string",
                ".status.conditions[?(@.type=='Allocatable')].status",
                "Whether addresses are given",
            ),
            column(
                "Age",
                "date",
                ".metadata.creationTimestamp",
                "How old the pool is",
            ),
        ])
        .status(ipam::POOL_STATUS),
    crd(Kind::IpReservation, ipam::RESERVATION),
    crd(
        Kind::KubeControllersConfiguration,
        cluster::CONTROLLERS_SPEC,
    )
    .short(&["kcc", "kccs"])
    .status(cluster::CONTROLLERS_STATUS),
    crd(Kind::NetworkPolicy, policy::NETWORK_POLICY)
        .short(&["cnp", "caliconetworkpolicy"])
        .columns(&[TIER, ORDER])
        .selectable(BY_TIER),
    crd(Kind::NetworkSet, cluster::NETWORK_SET),
    crd(
        Kind::StagedGlobalNetworkPolicy,
        policy::STAGED_GLOBAL_NETWORK_POLICY,
    )
    .short(&["sgnp"])
    .columns(&[TIER, ORDER])
    .selectable(BY_TIER),
    crd(
        Kind::StagedKubernetesNetworkPolicy,
        policy::STAGED_KUBERNETES_NETWORK_POLICY,
    )
    .short(&["sknp"]),
    crd(Kind::StagedNetworkPolicy, policy::STAGED_NETWORK_POLICY)
        .short(&["scnp", "snp"])
        .columns(&[TIER, ORDER])
        .selectable(BY_TIER),
    crd(Kind::Tier, policy::TIER_SPEC)
        .columns(&[
            column("Order", "integer", ".spec.order", "Where the tier stands"),
            column(
                "DefaultAction",
                "string",
                ".spec.defaultAction",
                "What happens at its end",
            ),
            column(
                "Status",
                "string",
                ".status.conditions[?(@.type=='Ready')].reason",
                "How it is",
            ),
        ])
        .status(policy::TIER_STATUS)
        .rules(policy::TIER_RULES)
        .complete(),
];

const FELIX: Schema = parameters(
    "How agents run: all of them (the object `default`), one (`node.` and its name), or those that nodeSelector names.",
)
.rules(felix::SPEC_RULES);
