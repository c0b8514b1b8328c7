//! The filter printed for nf_tables: one table `inet calico` for both families.
//!
//! [`ruleset`] prints everything, for the first time and for repair; [`delta`] only what changed. Names are upstream's: base
//! chains `<table>-<HOOK>`, other chains with the table's name in front.

use model::{Family, Protocol};

use crate::filter::sets::{KernelSet, SetElement, SetForm};
use crate::filter::{Dirty, Filter};
use crate::nft::{
    Base, Bytes, Chain, ChainName, CmpOp, CtState, Delta, Element, Field, Hook as NftHook, Key,
    KeyType, LogLevel, NatFlags, NfProto, Part, PortRange, RejectWith, Rule, Ruleset, Set, SetType,
    TableId, Verdict, priority,
};
use crate::rules::hooks::Hook;
use crate::rules::{ConnState, Interface, Match, Sense, Side, Target, TreeRule, names};

/// What depends on settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NftOptions {
    /// The bit that says Pass, out of `nftablesMarkMask`.
    pub pass_mark: u32,
    /// Whether denied packets vanish or are answered (`nftablesFilterDenyAction`).
    pub deny: Deny,
}

/// What a denied packet's sender learns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Deny {
    /// Nothing.
    #[default]
    Drop,
    /// An ICMP error.
    Reject,
}

impl Default for NftOptions {
    fn default() -> NftOptions {
        NftOptions {
            pass_mark: 0x0002_0000,
            deny: Deny::Drop,
        }
    }
}

/// The whole filter.
pub fn ruleset(filter: &Filter, options: NftOptions) -> Ruleset {
    let mut out = Ruleset::new(TableId::ours());
    for (name, set) in filter.sets() {
        out.put_set(nft_set(name, set));
    }
    for (name, rules) in filter.chains() {
        out.put_chain(nft_chain(name, rules, options));
    }
    for (hook, rules) in filter.base_chains() {
        let (name, base) = base_chain(hook);
        let mut chain = Chain::base(name, base);
        chain.rules = rules.iter().map(|rule| nft_rule(rule, options)).collect();
        out.put_chain(chain);
    }
    out
}

/// What changed, for the hot path.
pub fn delta(filter: &Filter, dirty: &Dirty, options: NftOptions) -> Delta {
    let mut out = Delta::new();
    for name in &dirty.sets {
        match filter.sets().get(name) {
            Some(set) => out.put_set(nft_set(name, set)),
            None => out.remove_set(&**name),
        }
    }
    for (name, elements) in &dirty.elements {
        for gone in &elements.removed {
            out.remove_element(&**name, element(gone).key);
        }
        for new in &elements.added {
            out.put_element(&**name, element(new));
        }
    }
    for name in &dirty.chains {
        match filter.chains().get(name) {
            Some(rules) => out.put_chain(nft_chain(name, rules, options)),
            None => out.remove_chain(chain_name(name)),
        }
    }
    out
}

fn base_chain(hook: Hook) -> (&'static str, Base) {
    match hook {
        Hook::RawPrerouting => (
            "raw-PREROUTING",
            Base::filter(NftHook::Prerouting, priority::RAW),
        ),
        Hook::Input => (
            "filter-INPUT",
            Base::filter(NftHook::Input, priority::FILTER),
        ),
        Hook::InputToHost => (
            "filter-INPUT-to-host",
            Base::filter(NftHook::Input, priority::FILTER + 1),
        ),
        Hook::Forward => (
            "filter-FORWARD",
            Base::filter(NftHook::Forward, priority::FILTER),
        ),
        Hook::ForwardToWorkload => (
            "filter-FORWARD-to-wl",
            Base::filter(NftHook::Forward, priority::FILTER + 1),
        ),
        Hook::NatPostrouting => (
            "nat-POSTROUTING",
            Base::nat(NftHook::Postrouting, priority::SRCNAT + 10),
        ),
    }
}

fn chain_name(name: &str) -> ChainName {
    let table = match name {
        names::SOURCE_CHECK => "raw",
        names::NAT_OUTGOING => "nat",
        _ => "filter",
    };
    ChainName::new(format!("{table}-{name}"))
}

fn nft_chain(name: &str, rules: &[TreeRule], options: NftOptions) -> Chain {
    let mut chain = Chain::new(chain_name(name));
    // Nobody is told that a forged packet was dropped; the hook could not answer either.
    let forged = name == names::SOURCE_CHECK;
    let options = if forged {
        NftOptions {
            deny: Deny::Drop,
            ..options
        }
    } else {
        options
    };
    chain.rules = rules.iter().map(|rule| nft_rule(rule, options)).collect();
    chain
}

fn nft_set(name: &str, set: &KernelSet) -> Set {
    Set::new(name, set_type(set.form)).with(set.elements.iter().map(element))
}

fn set_type(form: SetForm) -> SetType {
    let addr = |family| match family {
        Family::V4 => KeyType::Ipv4Addr,
        Family::V6 => KeyType::Ipv6Addr,
    };
    match form {
        SetForm::Hosts(family) => SetType::set([addr(family)]),
        SetForm::Networks(family) => SetType::set([addr(family)]).interval(),
        SetForm::Ports(family) => {
            SetType::set([addr(family), KeyType::InetProto, KeyType::InetService])
        }
        SetForm::InterfaceHosts(family) => SetType::set([KeyType::Ifname, addr(family)]),
        SetForm::InterfaceNetworks(family) => {
            SetType::set([KeyType::Ifname, addr(family)]).interval()
        }
        SetForm::Dispatch => SetType::verdict_map([KeyType::Ifname]),
    }
}

fn element(element: &SetElement) -> Element {
    match element {
        SetElement::Net(net) => Element::new(Part::prefix((net.addr(), net.len()))),
        SetElement::Port(addr, protocol, port) => Element::new(Key::concat([
            Part::addr(*addr),
            Part::proto(protocol.number()),
            Part::port(*port),
        ])),
        SetElement::InterfaceNet(interface, net) => Element::new(Key::concat([
            Part::ifname(&**interface),
            Part::prefix((net.addr(), net.len())),
        ])),
        SetElement::Dispatch(interface, chain) => {
            Element::verdict(Part::ifname(&**interface), Verdict::Jump(chain_name(chain)))
        }
    }
}

fn nft_rule(tree: &TreeRule, options: NftOptions) -> Rule {
    let mut rule = Rule::new();
    if let Some(family) = tree.family {
        rule = rule.nfproto(version(family));
    }
    for wanted in &tree.matches {
        rule = matched(rule, wanted, tree, options);
    }
    if tree.comment.is_some() {
        rule = rule.counter();
    }
    rule = targeted(rule, &tree.target, options);
    match &tree.comment {
        Some(comment) => rule.comment(&**comment),
        None => rule,
    }
}

fn version(family: Family) -> NfProto {
    match family {
        Family::V4 => NfProto::Ipv4,
        Family::V6 => NfProto::Ipv6,
    }
}

fn matched(rule: Rule, wanted: &Match, tree: &TreeRule, options: NftOptions) -> Rule {
    match wanted {
        Match::InInterface(interface) => rule.iifname(&*pattern(interface)),
        Match::OutInterface(interface) => rule.oifname(&*pattern(interface)),
        Match::ConnState(ConnState::EstablishedOrRelated) => {
            rule.ct_state(CtState::ESTABLISHED | CtState::RELATED)
        }
        Match::ConnState(ConnState::Invalid) => rule.ct_state(CtState::INVALID),
        Match::Protocol(Sense::Is, protocol) => rule.l4proto(protocol.number()),
        Match::Protocol(Sense::IsNot, protocol) => rule.not_l4proto(protocol.number()),
        Match::Ported(sense) => {
            let ported = [Protocol::TCP, Protocol::UDP, Protocol::SCTP];
            let protocols = ported.map(|p| Element::new(Part::proto(p.number())));
            one_of(rule, *sense, Field::L4proto, protocols)
        }
        Match::IcmpType(sense, kind) => {
            rule.cmp(Field::IcmpType, compared(*sense), Bytes::byte(*kind))
        }
        Match::IcmpCode(sense, code) => {
            rule.cmp(Field::IcmpCode, compared(*sense), Bytes::byte(*code))
        }
        Match::Nets(sense, side, nets) => in_nets(rule, *sense, *side, nets),
        Match::Set(sense, side, name) => {
            looked_up(rule, *sense, vec![address(*side, family_of(tree))], name)
        }
        Match::Ports(sense, side, ranges) => in_ports(rule, *sense, *side, ranges),
        Match::PortSet(sense, side, name) => {
            let family = family_of(tree);
            let fields = vec![address(*side, family), Field::L4proto, port(*side)];
            looked_up(rule, *sense, fields, name)
        }
        Match::OwnSource(name) => {
            let fields = vec![Field::Iifname, address(Side::Source, family_of(tree))];
            looked_up(rule, Sense::Is, fields, name)
        }
        Match::Passed => rule.mark(options.pass_mark, options.pass_mark),
        Match::NeighbourDiscovery => {
            let kinds = [130u8, 131, 132, 133, 135, 136]
                .map(Bytes::byte)
                .map(Part::value);
            rule.nfproto(NfProto::Ipv6)
                .l4proto(Protocol::ICMPV6.number())
                .one_of(Field::IcmpType, kinds.map(Element::new))
        }
    }
}

/// One network is compared; several are a set within the rule. Sets within rules are not free: the kernel finds a name for each
/// by looking at all others.
fn in_nets(rule: Rule, sense: Sense, side: Side, nets: &[model::Cidr]) -> Rule {
    let nets = disjoint(nets);
    let [net] = nets.as_slice() else {
        let family = nets.first().map_or(Family::V4, |net| net.family());
        let elements = nets.into_iter().map(|net| element(&SetElement::Net(net)));
        return one_of(rule, sense, address(side, family), elements);
    };
    let prefix = (net.addr(), net.len());
    match (sense, side) {
        (Sense::Is, Side::Source) => rule.saddr(prefix),
        (Sense::IsNot, Side::Source) => rule.not_saddr(prefix),
        (Sense::Is, Side::Destination) => rule.daddr(prefix),
        (Sense::IsNot, Side::Destination) => rule.not_daddr(prefix),
    }
}

fn in_ports(rule: Rule, sense: Sense, side: Side, ranges: &[model::PortRange]) -> Rule {
    let nft = |range: &model::PortRange| PortRange::from(range.first()..=range.last());
    let [range] = ranges else {
        let part = |range| Element::new(Part::ports(nft(range)));
        return one_of(rule, sense, port(side), ranges.iter().map(part));
    };
    match (sense, side) {
        (Sense::Is, Side::Source) => rule.sport(nft(range)),
        (Sense::IsNot, Side::Source) => rule.not_sport(nft(range)),
        (Sense::Is, Side::Destination) => rule.dport(nft(range)),
        (Sense::IsNot, Side::Destination) => rule.not_dport(nft(range)),
    }
}

fn compared(sense: Sense) -> CmpOp {
    match sense {
        Sense::Is => CmpOp::Eq,
        Sense::IsNot => CmpOp::Neq,
    }
}

fn pattern(interface: &Interface) -> String {
    match interface {
        Interface::Exact(name) => name.to_string(),
        Interface::Prefix(prefix) => format!("{prefix}*"),
    }
}

fn one_of(
    rule: Rule,
    sense: Sense,
    field: Field,
    elements: impl IntoIterator<Item = Element>,
) -> Rule {
    match sense {
        Sense::Is => rule.one_of(field, elements),
        Sense::IsNot => rule.none_of(field, elements),
    }
}

fn looked_up(rule: Rule, sense: Sense, fields: Vec<Field>, name: &str) -> Rule {
    match sense {
        Sense::Is => rule.in_set(fields, name),
        Sense::IsNot => rule.not_in_set(fields, name),
    }
}

/// A rule that looks in a family's set is for that family; sets of both families never meet in one rule.
fn family_of(tree: &TreeRule) -> Family {
    tree.family.unwrap_or(Family::V4)
}

fn address(side: Side, family: Family) -> Field {
    match (side, family) {
        (Side::Source, Family::V4) => Field::Ip4Saddr,
        (Side::Source, Family::V6) => Field::Ip6Saddr,
        (Side::Destination, Family::V4) => Field::Ip4Daddr,
        (Side::Destination, Family::V6) => Field::Ip6Daddr,
    }
}

fn port(side: Side) -> Field {
    match side {
        Side::Source => Field::Sport,
        Side::Destination => Field::Dport,
    }
}

/// Networks of a rule without those that others cover, for the kernel's sets hold no overlaps.
fn disjoint(nets: &[model::Cidr]) -> Vec<model::Cidr> {
    let covered = |net: &model::Cidr| nets.iter().any(|big| big != net && big.covers(*net));
    let mut out: Vec<model::Cidr> = nets.iter().copied().filter(|net| !covered(net)).collect();
    out.sort_unstable();
    out.dedup();
    out
}

fn targeted(rule: Rule, target: &Target, options: NftOptions) -> Rule {
    match target {
        Target::Accept => rule.accept(),
        Target::Drop => match options.deny {
            Deny::Drop => rule.drop(),
            Deny::Reject => rule.reject(RejectWith::PortUnreachable),
        },
        Target::Return => rule.ret(),
        Target::Jump(chain) => rule.jump(chain_name(chain)),
        Target::DispatchIn(map) => rule.vmap([Field::Iifname], &**map),
        Target::DispatchOut(map) => rule.vmap([Field::Oifname], &**map),
        Target::ClearPass => rule.set_mark(0, options.pass_mark),
        Target::Pass => rule.set_mark(options.pass_mark, options.pass_mark).ret(),
        Target::EndPass => rule.set_mark(0, options.pass_mark).ret(),
        Target::Log(prefix) => rule.log(prefix, LogLevel::Notice),
        Target::Masquerade => rule.masquerade(None, NatFlags::FULLY_RANDOM),
    }
}
