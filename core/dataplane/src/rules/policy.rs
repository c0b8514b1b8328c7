//! Compiled rules of a policy or a profile -> tree rules of its two chains. One compiled rule becomes one tree rule per family
//! that it can match in, and one per alternative where numeric and named ports stand side by side.

use calc::{CompiledEntity, CompiledPorts, CompiledRule, SetId};
use model::{Action, Family, IcmpMatch, Protocol};

use super::{Match, Sense, SetName, Side, Target, TreeRule};

/// Says which kernel set stands for a set of the graph in a family.
pub trait SetNames {
    /// The kernel's name.
    fn name(&self, family: Family, id: &SetId) -> SetName;
}

/// What every policy chain needs to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyOptions {
    /// Families that are programmed: IPv6 may be switched off (`ipv6Support`).
    pub families: Vec<Family>,
    /// What a Log rule writes in front of the packet (`logPrefix`).
    pub log_prefix: Box<str>,
}

impl Default for PolicyOptions {
    fn default() -> PolicyOptions {
        PolicyOptions {
            families: Family::ALL.to_vec(),
            log_prefix: "calico-packet: ".into(),
        }
    }
}

/// The rules of one chain, in order. `origin` is what the remarks call the policy.
pub fn chain(
    rules: &[CompiledRule],
    origin: &str,
    options: &PolicyOptions,
    names: &impl SetNames,
) -> Vec<TreeRule> {
    let mut out = Vec::with_capacity(rules.len());
    for (index, rule) in rules.iter().enumerate() {
        let remark: Box<str> = format!("{origin} rule {index}").into();
        for family in families_of(rule, options) {
            for matches in alternatives(rule, family, names) {
                let tree = TreeRule {
                    family,
                    matches,
                    target: target(rule.action, options),
                    comment: Some(remark.clone()),
                };
                out.push(tree);
            }
        }
    }
    out
}

fn target(action: Action, options: &PolicyOptions) -> Target {
    match action {
        Action::Allow => Target::Accept,
        Action::Deny => Target::Drop,
        Action::Pass => Target::Pass,
        Action::Log => Target::Log(options.log_prefix.clone()),
    }
}

/// `[None]` when nothing in the rule belongs to a family; otherwise the families in which every criterion can hold.
fn families_of(rule: &CompiledRule, options: &PolicyOptions) -> Vec<Option<Family>> {
    // This dataplane cannot see HTTP: a rule that asks for it matches nothing.
    if rule.http.is_some() {
        return Vec::new();
    }
    let free = rule.family.is_none()
        && [&rule.source, &rule.destination]
            .iter()
            .all(|e| e.is_free());
    let both = options.families.len() == Family::ALL.len();
    if free && both {
        return vec![None];
    }
    let wanted = |family: &Family| rule.family.is_none_or(|f| f == *family);
    options
        .families
        .iter()
        .copied()
        .filter(wanted)
        .filter(|f| {
            [&rule.source, &rule.destination]
                .iter()
                .all(|e| e.can_match(*f))
        })
        .map(Some)
        .collect()
}

trait FamilyOf {
    fn is_free(&self) -> bool;
    fn can_match(&self, family: Family) -> bool;
}

impl FamilyOf for CompiledEntity {
    /// True if no criterion names addresses: then one rule serves both families.
    fn is_free(&self) -> bool {
        self.nets.is_none()
            && self.not_nets.is_empty()
            && self.sets.is_empty()
            && self.not_sets.is_empty()
            && self.port_sets.is_empty()
            && self.ports.as_ref().is_none_or(|p| p.sets.is_empty())
            && self.not_ports.sets.is_empty()
    }

    /// False if a positive list of networks has none of this family.
    fn can_match(&self, family: Family) -> bool {
        self.nets
            .as_ref()
            .is_none_or(|nets| nets.iter().any(|n| n.family() == family))
    }
}

/// The criteria of a rule in a family; several lists where the rule has alternatives, none where it can match nothing.
fn alternatives(
    rule: &CompiledRule,
    family: Option<Family>,
    names: &impl SetNames,
) -> Vec<Vec<Match>> {
    let mut common = Vec::new();
    if let Some(protocol) = rule.protocol {
        common.push(Match::Protocol(Sense::Is, protocol));
    }
    if let Some(protocol) = rule.not_protocol {
        common.push(Match::Protocol(Sense::IsNot, protocol));
    }
    let mut lists = vec![common];
    if let Some(icmp) = rule.icmp {
        lists = crossed(&lists, &icmp_alternatives(rule.protocol, icmp));
    }
    if let Some(icmp) = rule.not_icmp {
        lists = crossed(&lists, &not_icmp_alternatives(rule.protocol, icmp));
    }
    for (side, entity) in [
        (Side::Source, &rule.source),
        (Side::Destination, &rule.destination),
    ] {
        if let Some(ports) = &entity.ports {
            let asked = Asked {
                side,
                family,
                protocol: rule.protocol,
                action: rule.action,
            };
            lists = crossed(&lists, &port_alternatives(asked, ports, names));
        }
        lists = crossed(&lists, &[address_matches(side, entity, family, names)]);
        if let (Some(family), [_, ..]) = (family, entity.port_sets.as_slice()) {
            let name = |id| Match::PortSet(Sense::Is, side, names.name(family, id));
            let sets = entity.port_sets.iter().map(name).collect();
            lists = crossed(&lists, &only_ported(rule.protocol, sets));
        }
        let not_ports = negative_ports(side, &entity.not_ports, family, names);
        if !not_ports.is_empty() {
            lists = crossed(&lists, &guarded(rule.protocol, not_ports));
        }
    }
    lists
}

/// Every list with every continuation.
fn crossed(lists: &[Vec<Match>], continuations: &[Vec<Match>]) -> Vec<Vec<Match>> {
    let join = |list: &Vec<Match>, next: &Vec<Match>| list.iter().chain(next).cloned().collect();
    lists
        .iter()
        .flat_map(|list| continuations.iter().map(move |next| join(list, next)))
        .collect()
}

/// Only ICMP has types and codes: a rule that names no protocol asks for both kinds of it, one that names another cannot match.
fn icmp_alternatives(protocol: Option<Protocol>, icmp: IcmpMatch) -> Vec<Vec<Match>> {
    let mut wanted = vec![Match::IcmpType(Sense::Is, icmp.kind)];
    wanted.extend(icmp.code.map(|code| Match::IcmpCode(Sense::Is, code)));
    match protocol {
        Some(protocol) if is_icmp(protocol) => vec![wanted],
        Some(_) => Vec::new(),
        None => crossed(&either_icmp(), &[wanted]),
    }
}

/// "Not this type and code" has alternatives that exclude each other: no ICMP at all, another type, this type with another code.
fn not_icmp_alternatives(protocol: Option<Protocol>, icmp: IcmpMatch) -> Vec<Vec<Match>> {
    let mut others = vec![vec![Match::IcmpType(Sense::IsNot, icmp.kind)]];
    if let Some(code) = icmp.code {
        let other_code = Match::IcmpCode(Sense::IsNot, code);
        others.push(vec![Match::IcmpType(Sense::Is, icmp.kind), other_code]);
    }
    match protocol {
        Some(protocol) if is_icmp(protocol) => others,
        Some(_) => vec![Vec::new()],
        None => {
            let not = |protocol| Match::Protocol(Sense::IsNot, protocol);
            let mut all = vec![vec![not(Protocol::ICMP), not(Protocol::ICMPV6)]];
            all.extend(crossed(&either_icmp(), &others));
            all
        }
    }
}

fn is_icmp(protocol: Protocol) -> bool {
    protocol == Protocol::ICMP || protocol == Protocol::ICMPV6
}

fn either_icmp() -> Vec<Vec<Match>> {
    [Protocol::ICMP, Protocol::ICMPV6]
        .map(|p| vec![Match::Protocol(Sense::Is, p)])
        .to_vec()
}

/// What must not be asked of a packet without ports, whose bytes would be taken for some: such a packet passes.
fn guarded(protocol: Option<Protocol>, not_ports: Vec<Match>) -> Vec<Vec<Match>> {
    match protocol {
        Some(protocol) if protocol.has_ports() => vec![not_ports],
        Some(_) => vec![Vec::new()],
        None => {
            let mut ported = vec![Match::Ported(Sense::Is)];
            ported.extend(not_ports);
            vec![vec![Match::Ported(Sense::IsNot)], ported]
        }
    }
}

/// What can hold only of packets that have ports: no alternative where the rule asks for others.
fn only_ported(protocol: Option<Protocol>, of_ports: Vec<Match>) -> Vec<Vec<Match>> {
    match protocol {
        Some(protocol) if protocol.has_ports() => vec![of_ports],
        Some(_) => Vec::new(),
        None => crossed(&[vec![Match::Ported(Sense::Is)]], &[of_ports]),
    }
}

fn address_matches(
    side: Side,
    entity: &CompiledEntity,
    family: Option<Family>,
    names: &impl SetNames,
) -> Vec<Match> {
    let mut out = Vec::new();
    let Some(family) = family else { return out };
    let of_family = |nets: &[model::Cidr]| -> Vec<model::Cidr> {
        nets.iter()
            .copied()
            .filter(|n| n.family() == family)
            .collect()
    };
    if let Some(nets) = &entity.nets {
        out.push(Match::Nets(Sense::Is, side, of_family(nets)));
    }
    out.extend(
        entity
            .sets
            .iter()
            .map(|id| Match::Set(Sense::Is, side, names.name(family, id))),
    );
    let not_nets = of_family(&entity.not_nets);
    if !not_nets.is_empty() {
        out.push(Match::Nets(Sense::IsNot, side, not_nets));
    }
    let not_set = |id| Match::Set(Sense::IsNot, side, names.name(family, id));
    out.extend(entity.not_sets.iter().map(not_set));
    out
}

/// About which packets a list of ports is asked.
#[derive(Clone, Copy)]
struct Asked {
    side: Side,
    family: Option<Family>,
    protocol: Option<Protocol>,
    action: Action,
}

/// The alternatives of a list of ports; none when no packet can match. Named ports need a family; a rule that has them has one.
fn port_alternatives(
    asked: Asked,
    ports: &CompiledPorts,
    names: &impl SetNames,
) -> Vec<Vec<Match>> {
    let Asked {
        side,
        family,
        protocol,
        action,
    } = asked;
    let mut out: Vec<Vec<Match>> = Vec::new();
    let guard = match protocol {
        Some(protocol) if protocol.has_ports() => None,
        Some(_) => return out,
        None => Some(Match::Ported(Sense::Is)),
    };
    let guarded = |matches: Vec<Match>| guard.clone().into_iter().chain(matches).collect();
    if !ports.ranges.is_empty() {
        out.push(guarded(vec![Match::Ports(
            Sense::Is,
            side,
            ports.ranges.clone(),
        )]));
    }
    let Some(family) = family else { return out };
    for (index, id) in ports.sets.iter().enumerate() {
        let mut list = vec![Match::PortSet(Sense::Is, side, names.name(family, id))];
        // A Log rule goes on after it matched: the alternatives exclude each other so that a packet is logged once.
        if action == Action::Log {
            if !ports.ranges.is_empty() {
                list.push(Match::Ports(Sense::IsNot, side, ports.ranges.clone()));
            }
            let earlier = ports.sets.iter().take(index);
            list.extend(earlier.map(|e| Match::PortSet(Sense::IsNot, side, names.name(family, e))));
        }
        out.push(guarded(list));
    }
    out
}

fn negative_ports(
    side: Side,
    ports: &CompiledPorts,
    family: Option<Family>,
    names: &impl SetNames,
) -> Vec<Match> {
    let mut out = Vec::new();
    if !ports.ranges.is_empty() {
        out.push(Match::Ports(Sense::IsNot, side, ports.ranges.clone()));
    }
    if let Some(family) = family {
        let not = |id| Match::PortSet(Sense::IsNot, side, names.name(family, id));
        out.extend(ports.sets.iter().map(not));
    }
    out
}
