//! Tiers, policies, profiles and network sets.

use std::cmp::Ordering;
use std::fmt;

use crate::addr::Cidr;
use crate::labels::Labels;
use crate::rule::Rule;
use crate::selector::Selector;

/// Where a tier or a policy stands among its like. Absent order is last.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Order(Option<f64>);

impl Order {
    /// The order of an object that names none: after all that name one.
    pub const LAST: Order = Order(None);

    /// A given order; a NaN is as good as none.
    pub fn new(order: f64) -> Order {
        Order((!order.is_nan()).then_some(order))
    }

    /// The number, if one was given.
    pub fn value(self) -> Option<f64> {
        self.0
    }
}

impl Eq for Order {}

impl PartialOrd for Order {
    fn partial_cmp(&self, other: &Order) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Order {
    fn cmp(&self, other: &Order) -> Ordering {
        match (self.0, other.0) {
            (Some(a), Some(b)) => a.partial_cmp(&b).unwrap_or(Ordering::Equal),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => Ordering::Equal,
        }
    }
}

/// What happens at the end of a tier in which a policy applied and no rule decided.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DefaultAction {
    /// Drop.
    #[default]
    Deny,
    /// Go on with the next tier.
    Pass,
}

/// A tier (upstream resource: v3 `Tier`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tier {
    /// The tier's place; ties go by name.
    pub order: Order,
    /// What the end of the tier does.
    pub default_action: DefaultAction,
}

/// What kind of object a policy came from. It is part of the policy's identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PolicyKind {
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
    /// `networking.k8s.io/v1` `NetworkPolicy`.
    KubernetesNetworkPolicy,
    /// `policy.networking.k8s.io` `ClusterNetworkPolicy`.
    KubernetesClusterNetworkPolicy,
}

impl PolicyKind {
    /// The kind as upstream's policy identity spells it.
    pub fn name(self) -> &'static str {
        match self {
            PolicyKind::NetworkPolicy => "NetworkPolicy",
            PolicyKind::GlobalNetworkPolicy => "GlobalNetworkPolicy",
            PolicyKind::StagedNetworkPolicy => "StagedNetworkPolicy",
            PolicyKind::StagedGlobalNetworkPolicy => "StagedGlobalNetworkPolicy",
            PolicyKind::StagedKubernetesNetworkPolicy => "StagedKubernetesNetworkPolicy",
            PolicyKind::KubernetesNetworkPolicy => "KubernetesNetworkPolicy",
            PolicyKind::KubernetesClusterNetworkPolicy => "KubernetesClusterNetworkPolicy",
        }
    }

    /// The short form in chain names: `np`, `gnp`, `snp`, `sgnp`, `sknp`, `knp`, `kcnp`.
    pub fn short_name(self) -> &'static str {
        match self {
            PolicyKind::NetworkPolicy => "np",
            PolicyKind::GlobalNetworkPolicy => "gnp",
            PolicyKind::StagedNetworkPolicy => "snp",
            PolicyKind::StagedGlobalNetworkPolicy => "sgnp",
            PolicyKind::StagedKubernetesNetworkPolicy => "sknp",
            PolicyKind::KubernetesNetworkPolicy => "knp",
            PolicyKind::KubernetesClusterNetworkPolicy => "kcnp",
        }
    }
}

/// A policy's identity: kind, namespace, name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PolicyId {
    /// The kind of object.
    pub kind: PolicyKind,
    /// The namespace; `None` for global kinds.
    pub namespace: Option<Box<str>>,
    /// The object's name.
    pub name: Box<str>,
}

impl PolicyId {
    /// The text that decides between policies of equal order: `name/namespace/kind`, name first.
    pub fn tie_break(&self) -> (&str, &str, &'static str) {
        (
            &self.name,
            self.namespace.as_deref().unwrap_or(""),
            self.kind.name(),
        )
    }
}

/// `<short kind>/[<namespace>/]<name>`, the form in chain names.
impl fmt::Display for PolicyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Some(ns) => write!(f, "{}/{ns}/{}", self.kind.short_name(), self.name),
            None => write!(f, "{}/{}", self.kind.short_name(), self.name),
        }
    }
}

/// Which directions a policy speaks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PolicyTypes {
    /// Traffic to the endpoint.
    pub ingress: bool,
    /// Traffic from the endpoint.
    pub egress: bool,
}

/// Whether a policy is enforced or only reported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Staged {
    /// Enforced.
    #[default]
    No,
    /// `stagedAction: Set`: evaluated for reports, never enforced.
    Set,
    /// `stagedAction: Delete`: stands for the deletion of the enforced policy of that name.
    Delete,
    /// `stagedAction: Learn`.
    Learn,
    /// `stagedAction: Ignore`.
    Ignore,
}

/// A policy of any kind, defaulted and validated.
///
/// `selector` is the whole selector: upstream's `selector`, `namespaceSelector`, `serviceAccountSelector` and, for a
/// namespaced policy, the test of its own namespace, joined with `&&`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The tier's name.
    pub tier: Box<str>,
    /// The place in the tier; ties go by [`PolicyId::tie_break`].
    pub order: Order,
    /// Which endpoints it applies to.
    pub selector: Selector,
    /// Which directions it speaks for.
    pub types: PolicyTypes,
    /// Rules for traffic to the endpoint, in order.
    pub ingress: Vec<Rule>,
    /// Rules for traffic from the endpoint, in order.
    pub egress: Vec<Rule>,
    /// Whether it is enforced.
    pub staged: Staged,
    /// Host endpoints only: skip connection tracking.
    pub do_not_track: bool,
    /// Host endpoints only: before destination NAT.
    pub pre_dnat: bool,
    /// Host endpoints only: also for forwarded traffic.
    pub apply_on_forward: bool,
    /// Keep it programmed on every node, used or not (`performanceHints: [AssumeNeededOnEveryNode]`).
    pub always_active: bool,
}

/// A profile: rules asked after all tiers, and labels that its endpoints inherit (upstream resource: v3 `Profile`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Profile {
    /// Rules for traffic to the endpoint.
    pub ingress: Vec<Rule>,
    /// Rules for traffic from the endpoint.
    pub egress: Vec<Rule>,
    /// Labels that endpoints with this profile inherit; an endpoint's own label wins.
    pub labels: Labels,
}

/// A network set's identity.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NetworkSetId {
    /// The namespace; `None` for a GlobalNetworkSet.
    pub namespace: Option<Box<str>>,
    /// The object's name.
    pub name: Box<str>,
}

/// Networks under labels (upstream resources: v3 `NetworkSet`, `GlobalNetworkSet`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NetworkSet {
    /// The set's own labels, with the namespace label for a NetworkSet.
    pub labels: Labels,
    /// Profiles whose labels the set inherits: `kns.<namespace>` for a NetworkSet.
    pub profiles: Vec<Box<str>>,
    /// The networks.
    pub nets: Vec<Cidr>,
}
