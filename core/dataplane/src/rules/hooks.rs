//! Base chains and the fixed chains behind them: what does not depend on policy.
//!
//! ```text
//! prerouting raw     cali* -> source check: the address must be the endpoint's own
//! input, forward     established -> accept; from cali*: encapsulation denied, dispatch by incoming interface (egress policy)
//! forward, later     established -> accept; to cali*: dispatch by outgoing interface (ingress policy)
//! input, later       from cali*: to the host itself: the default action
//! postrouting nat    from a NAT pool to outside of all pools: masquerade
//! ```

use model::{Cidr, Family, PortRange, Protocol};

use super::{ConnState, Interface, Match, Sense, Side, Target, TreeRule, names};

/// What happens to traffic from a workload to its host that egress policy let through (`defaultEndpointToHostAction`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ToHost {
    /// Drop it.
    #[default]
    Drop,
    /// Accept it.
    Accept,
    /// Leave it to whoever else has rules at this hook.
    Return,
}

/// Whether workloads may send encapsulated packets themselves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Encapsulated {
    /// Dropped: they would come out of the tunnel as somebody else's.
    #[default]
    Drop,
    /// Left to policy.
    Allow,
}

/// Settings of the fixed chains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookOptions {
    /// Families that are programmed.
    pub families: Vec<Family>,
    /// Prefixes of workload interfaces (`interfacePrefix`).
    pub prefixes: Vec<Box<str>>,
    /// Workload to host.
    pub to_host: ToHost,
    /// VXLAN from workloads (`allowVXLANPacketsFromWorkloads`).
    pub vxlan_from_workloads: Encapsulated,
    /// IPIP from workloads (`allowIPIPPacketsFromWorkloads`).
    pub ipip_from_workloads: Encapsulated,
    /// The UDP port of VXLAN.
    pub vxlan_port: u16,
    /// Drop what connection tracking does not understand; `disableConntrackInvalidCheck` turns it off.
    pub drop_invalid: InvalidPackets,
}

/// What happens to packets that connection tracking does not understand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum InvalidPackets {
    /// Dropped.
    #[default]
    Drop,
    /// Judged by policy like any other.
    Policy,
}

impl Default for HookOptions {
    fn default() -> HookOptions {
        HookOptions {
            families: Family::ALL.to_vec(),
            prefixes: vec!["cali".into()],
            to_host: ToHost::Drop,
            vxlan_from_workloads: Encapsulated::Drop,
            ipip_from_workloads: Encapsulated::Drop,
            vxlan_port: 4789,
            drop_invalid: InvalidPackets::Drop,
        }
    }
}

/// Where a base chain hooks in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Hook {
    /// Before connection tracking and routing.
    RawPrerouting,
    /// To the host itself: policy of the sender.
    Input,
    /// To the host itself, after [`Hook::Input`]: the host's own say.
    InputToHost,
    /// Through the host: policy of the sender.
    Forward,
    /// Through the host, after [`Hook::Forward`]: policy of the receiver.
    ForwardToWorkload,
    /// Source NAT.
    NatPostrouting,
}

/// Names of sets that the fixed chains look in.
pub mod sets {
    /// Networks of all pools.
    pub const POOLS: &str = "network-ip-pools";
    /// Networks of pools whose outgoing traffic is masqueraded.
    pub const NAT_POOLS: &str = "masq-ipam-pools";
    /// (interface, address) of local endpoints.
    pub const OWN: &str = "own-addresses";
    /// (interface, network) that local endpoints may send from besides.
    pub const OWN_NETS: &str = "own-networks";
}

/// The base chains with their rules.
pub fn base_chains(options: &HookOptions) -> Vec<(Hook, Vec<TreeRule>)> {
    vec![
        (
            Hook::RawPrerouting,
            from_workloads(options, names::SOURCE_CHECK),
        ),
        (Hook::Input, input(options)),
        (Hook::InputToHost, input_to_host(options)),
        (Hook::Forward, forward(options)),
        (Hook::ForwardToWorkload, forward_to_workload(options)),
        (Hook::NatPostrouting, vec![jump(names::NAT_OUTGOING)]),
    ]
}

/// The fixed chains that base chains jump to, by name.
pub fn fixed_chains(options: &HookOptions) -> Vec<(&'static str, Vec<TreeRule>)> {
    vec![
        (names::SOURCE_CHECK, source_check(options)),
        (names::FROM_DISPATCH, from_dispatch(options)),
        (names::TO_DISPATCH, to_dispatch(options)),
        (names::TO_HOST, to_host(options)),
        (names::NAT_OUTGOING, nat_outgoing(options)),
    ]
}

fn jump(chain: &str) -> TreeRule {
    TreeRule::always(Target::Jump(chain.into()))
}

fn established() -> TreeRule {
    TreeRule::when(
        vec![Match::ConnState(ConnState::EstablishedOrRelated)],
        Target::Accept,
    )
}

fn from_workloads(options: &HookOptions, chain: &str) -> Vec<TreeRule> {
    let mut rules = Vec::new();
    for prefix in &options.prefixes {
        let from = Match::InInterface(Interface::Prefix(prefix.clone()));
        rules.push(TreeRule::when(vec![from], Target::Jump(chain.into())));
    }
    rules
}

fn input(options: &HookOptions) -> Vec<TreeRule> {
    let mut rules = vec![established()];
    for prefix in &options.prefixes {
        let from = Match::InInterface(Interface::Prefix(prefix.clone()));
        // A workload without neighbour discovery has no IPv6 at all, whatever its policy says.
        rules.push(TreeRule::when(
            vec![from, Match::NeighbourDiscovery],
            Target::Accept,
        ));
    }
    rules.extend(from_workloads(options, names::FROM_DISPATCH));
    rules
}

fn input_to_host(options: &HookOptions) -> Vec<TreeRule> {
    let mut rules = vec![established()];
    rules.extend(from_workloads(options, names::TO_HOST));
    rules
}

fn forward(options: &HookOptions) -> Vec<TreeRule> {
    let mut rules = vec![established()];
    rules.extend(from_workloads(options, names::FROM_DISPATCH));
    rules
}

fn forward_to_workload(options: &HookOptions) -> Vec<TreeRule> {
    let mut rules = vec![established()];
    for prefix in &options.prefixes {
        let to = Match::OutInterface(Interface::Prefix(prefix.clone()));
        rules.push(TreeRule::when(
            vec![to],
            Target::Jump(names::TO_DISPATCH.into()),
        ));
    }
    rules
}

fn source_check(options: &HookOptions) -> Vec<TreeRule> {
    let mut rules = Vec::new();
    for family in &options.families {
        for set in [sets::OWN, sets::OWN_NETS] {
            let own = Match::OwnSource(names::own_set(*family, set));
            rules.push(TreeRule::when(vec![own], Target::Return).only(*family));
        }
    }
    if options.families.contains(&Family::V6) {
        // Duplicate address detection and router solicitation come from :: and from link-local addresses.
        let unspecified = Cidr::host(std::net::IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED));
        let link_local = Cidr::new([0xfe80, 0, 0, 0, 0, 0, 0, 0].into(), 10);
        let from = Match::Nets(Sense::Is, Side::Source, vec![unspecified, link_local]);
        let rule = TreeRule::when(vec![from, Match::NeighbourDiscovery], Target::Return);
        rules.push(rule.only(Family::V6));
    }
    rules.push(TreeRule::always(Target::Drop).remark("source is not the endpoint's own"));
    rules
}

fn from_dispatch(options: &HookOptions) -> Vec<TreeRule> {
    let mut rules = invalid(options);
    if options.vxlan_from_workloads == Encapsulated::Drop {
        let port = Match::Ports(
            Sense::Is,
            Side::Destination,
            vec![PortRange::one(options.vxlan_port)],
        );
        let udp = Match::Protocol(Sense::Is, Protocol::UDP);
        rules.push(TreeRule::when(vec![udp, port], Target::Drop).remark("VXLAN from a workload"));
    }
    if options.ipip_from_workloads == Encapsulated::Drop
        && let Some(ipip) = Protocol::from_number(4)
    {
        let rule = TreeRule::when(vec![Match::Protocol(Sense::Is, ipip)], Target::Drop);
        rules.push(rule.remark("IP-in-IP from a workload"));
    }
    rules.push(TreeRule::always(Target::ClearPass));
    rules.push(TreeRule::always(Target::DispatchIn(
        names::FROM_DISPATCH.into(),
    )));
    rules.push(TreeRule::always(Target::Drop).remark("unknown interface"));
    rules
}

fn to_dispatch(options: &HookOptions) -> Vec<TreeRule> {
    let mut rules = invalid(options);
    rules.push(TreeRule::always(Target::ClearPass));
    rules.push(TreeRule::always(Target::DispatchOut(
        names::TO_DISPATCH.into(),
    )));
    rules.push(TreeRule::always(Target::Drop).remark("unknown interface"));
    rules
}

fn invalid(options: &HookOptions) -> Vec<TreeRule> {
    match options.drop_invalid {
        InvalidPackets::Drop => {
            let invalid = Match::ConnState(ConnState::Invalid);
            vec![TreeRule::when(vec![invalid], Target::Drop).remark("invalid")]
        }
        InvalidPackets::Policy => Vec::new(),
    }
}

fn to_host(options: &HookOptions) -> Vec<TreeRule> {
    let mut rules = vec![TreeRule::when(
        vec![Match::NeighbourDiscovery],
        Target::Accept,
    )];
    match options.to_host {
        ToHost::Drop => {
            rules.push(TreeRule::always(Target::Drop).remark("workload to its host"));
        }
        ToHost::Accept => rules.push(TreeRule::always(Target::Accept)),
        ToHost::Return => {}
    }
    rules
}

fn nat_outgoing(options: &HookOptions) -> Vec<TreeRule> {
    let rule = |family: &Family| {
        let from = names::own_set(*family, sets::NAT_POOLS);
        let to = names::own_set(*family, sets::POOLS);
        let matches = vec![
            Match::Set(Sense::Is, Side::Source, from),
            Match::Set(Sense::IsNot, Side::Destination, to),
        ];
        TreeRule::when(matches, Target::Masquerade).only(*family)
    };
    options.families.iter().map(rule).collect()
}
