//! The kinds that are CRDs: what they are called, how they are shown, and which schemas they have.

use super::table::{Cel, Need, Schema, parameters};
use super::{bgp, cluster, cluster_policy, felix, ipam, policy};
use crate::kind::Scope;

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
    pub(super) kind: &'static str,
    pub(super) plural: &'static str,
    pub(super) short: &'static [&'static str],
    pub(super) scope: Scope,
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

const fn cluster(kind: &'static str, plural: &'static str, spec: Schema) -> Crd {
    Crd {
        kind,
        plural,
        short: &[],
        scope: Scope::Cluster,
        columns: &[],
        selectable: &[],
        spec,
        status: None,
        rules: &[],
        older: None,
        older_need: Need::Optional,
    }
}

const fn namespaced(kind: &'static str, plural: &'static str, spec: Schema) -> Crd {
    let mut crd = cluster(kind, plural, spec);
    crd.scope = Scope::Namespaced;
    crd
}

const AGE: Column = column("Age", "date", ".metadata.creationTimestamp", "");
const TIER: Column = column("Tier", "string", ".spec.tier", "");
const ORDER: Column = column("Order", "number", ".spec.order", "");
const BY_TIER: &[&str] = &[".spec.tier"];

/// Calico's own kinds, by plural.
pub(super) const CALICO: &[Crd] = &[
    cluster("BGPConfiguration", "bgpconfigurations", bgp::CONFIGURATION)
        .short(&["bgpconfig", "bgpconfigs"]),
    cluster("BGPFilter", "bgpfilters", bgp::FILTER),
    cluster("BGPPeer", "bgppeers", bgp::PEER).columns(&[
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
    cluster("BlockAffinity", "blockaffinities", ipam::AFFINITY)
        .short(&["affinity", "affinities"])
        .columns(&[
            column("CIDR", "string", ".spec.cidr", "The block"),
            column("Node", "string", ".spec.node", "Who claims it"),
            column("Type", "string", ".spec.type", "What kind of owner that is"),
        ])
        .older("BlockAffinity", "blockaffinities", ipam::AFFINITY_V1),
    cluster(
        "CalicoNodeStatus",
        "caliconodestatuses",
        cluster::NODE_STATUS,
    )
    .columns(&[
        column("Node", "string", ".spec.node", "The node"),
        column("Classes", "string", ".spec.classes", "What it reports"),
    ])
    .status(cluster::NODE_STATUS_STATUS),
    cluster(
        "ClusterInformation",
        "clusterinformations",
        cluster::CLUSTER_INFORMATION,
    )
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
    cluster("FelixConfiguration", "felixconfigurations", FELIX).rules(felix::RULES),
    cluster(
        "GlobalNetworkPolicy",
        "globalnetworkpolicies",
        policy::GLOBAL_NETWORK_POLICY,
    )
    .short(&["gnp", "cgnp"])
    .columns(&[TIER, ORDER, AGE])
    .selectable(BY_TIER),
    cluster(
        "GlobalNetworkSet",
        "globalnetworksets",
        cluster::NETWORK_SET,
    )
    .short(&["gns"])
    .columns(&[AGE]),
    cluster("HostEndpoint", "hostendpoints", cluster::HOST_ENDPOINT)
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
    cluster("IPAMBlock", "ipamblocks", ipam::BLOCK)
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
    cluster(
        "IPAMConfiguration",
        "ipamconfigurations",
        ipam::CONFIGURATION,
    )
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
    cluster("IPAMHandle", "ipamhandles", ipam::HANDLE).columns(&[column(
        "ID",
        "string",
        ".spec.handleID",
        "The handle",
    )]),
    cluster("IPPool", "ippools", ipam::POOL)
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
    cluster("IPReservation", "ipreservations", ipam::RESERVATION),
    cluster(
        "KubeControllersConfiguration",
        "kubecontrollersconfigurations",
        cluster::CONTROLLERS_SPEC,
    )
    .short(&["kcc", "kccs"])
    .status(cluster::CONTROLLERS_STATUS),
    namespaced("NetworkPolicy", "networkpolicies", policy::NETWORK_POLICY)
        .short(&["cnp", "caliconetworkpolicy"])
        .columns(&[TIER, ORDER])
        .selectable(BY_TIER),
    namespaced("NetworkSet", "networksets", cluster::NETWORK_SET),
    cluster(
        "StagedGlobalNetworkPolicy",
        "stagedglobalnetworkpolicies",
        policy::STAGED_GLOBAL_NETWORK_POLICY,
    )
    .short(&["sgnp"])
    .columns(&[TIER, ORDER])
    .selectable(BY_TIER),
    namespaced(
        "StagedKubernetesNetworkPolicy",
        "stagedkubernetesnetworkpolicies",
        policy::STAGED_KUBERNETES_NETWORK_POLICY,
    )
    .short(&["sknp"]),
    namespaced(
        "StagedNetworkPolicy",
        "stagednetworkpolicies",
        policy::STAGED_NETWORK_POLICY,
    )
    .short(&["scnp", "snp"])
    .columns(&[TIER, ORDER])
    .selectable(BY_TIER),
    cluster("Tier", "tiers", policy::TIER_SPEC)
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

/// The kind of Kubernetes' own that comes with us.
pub(super) const CLUSTER_NETWORK_POLICY: Crd = cluster(
    "ClusterNetworkPolicy",
    "clusternetworkpolicies",
    cluster_policy::SPEC,
)
.short(&["cnp"])
.columns(&[
    TIER,
    column("Priority", "string", ".spec.priority", ""),
    AGE,
])
.status(cluster_policy::STATUS);
