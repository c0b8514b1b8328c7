//! Rulesets at random, from a seed: all that the values can say and the kernel takes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use dataplane::nft::{
    Base, Bytes, Chain, ChainName, CmpOp, CtDirection, CtState, CtStatus, Element, Elements, Expr,
    FibKey, FibResult, Field, Hook, Key, KeyType, LogLevel, MarkPlace, Matching, Membership,
    NatFlags, NfProto, Part, Policy, PortRange, Prefix, Rate, RateUnit, RejectWith, Rule, Ruleset,
    Set, SetKind, SetType, TableId, Verdict, priority, proto,
};

/// A small generator of numbers (splitmix64): the same seed gives the same ruleset.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    pub(crate) fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    pub(crate) fn pick<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())].clone()
    }

    fn v4(&mut self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.next() as u32)
    }

    fn v6(&mut self) -> Ipv6Addr {
        Ipv6Addr::from_bits(u128::from(self.next()) << 64 | u128::from(self.next()))
    }

    fn port(&mut self) -> u16 {
        self.next() as u16
    }

    fn ports(&mut self) -> PortRange {
        let (a, b) = (self.port(), self.port());
        if self.one_in(2) {
            a.into()
        } else {
            (a.min(b)..=a.max(b)).into()
        }
    }
}

const CHAINS: usize = 6;
const LEAVES: usize = 3;

/// A ruleset of up to a dozen chains and sets.
pub(crate) fn ruleset(r: &mut Random) -> Ruleset {
    let mut ruleset = Ruleset::new(TableId::ours());
    let count = 1 + r.below(6);
    for index in 0..count {
        let set = set(r, &format!("set-{index}"));
        ruleset.put_set(set);
    }
    let sets: Vec<Set> = ruleset.sets.values().cloned().collect();
    // Leaves lead nowhere, so that nothing leads in a circle.
    let plain: Vec<Set> = sets
        .iter()
        .filter(|set| set.ty.kind == SetKind::Set)
        .cloned()
        .collect();
    for leaf in 0..LEAVES {
        ruleset.put_chain(Chain {
            rules: rules(r, &plain, &[]),
            ..Chain::new(leaf_name(leaf))
        });
    }
    for index in 0..r.below(CHAINS) {
        let below: Vec<ChainName> = (0..index)
            .map(regular)
            .chain((0..LEAVES).map(leaf_name))
            .collect();
        ruleset.put_chain(Chain {
            rules: rules(r, &sets, &below),
            ..Chain::new(regular(index))
        });
    }
    for base in bases(r) {
        ruleset.put_chain(base);
    }
    ruleset
}

fn regular(index: usize) -> ChainName {
    format!("cali-c{index}").into()
}

fn leaf_name(index: usize) -> ChainName {
    format!("cali-leaf{index}").into()
}

fn bases(r: &mut Random) -> Vec<Chain> {
    let leaves: Vec<ChainName> = (0..LEAVES).map(leaf_name).collect();
    let policy = r.pick(&[Policy::Accept, Policy::Drop]);
    let filter = Chain::base(
        "filter-forward",
        Base::filter(Hook::Forward, priority::FILTER).policy(policy),
    )
    .rule(Rule::new().iifname("cali*").jump(r.pick(&leaves)));
    let raw = Chain::base(
        "raw-prerouting",
        Base::filter(Hook::Prerouting, priority::RAW),
    )
    .rule(Rule::new().l4proto(proto::UDP).dport(53).notrack());
    let nat = Chain::base(
        "nat-postrouting",
        Base::nat(Hook::Postrouting, priority::SRCNAT + 10),
    );
    let nat = (0..r.below(4)).fold(nat, |nat, _| nat.rule(snat(r)));
    let dnat = Chain::base(
        "nat-prerouting",
        Base::nat(Hook::Prerouting, priority::DSTNAT),
    );
    let dnat = (0..r.below(4)).fold(dnat, |nat, _| nat.rule(dnat_rule(r)));
    let route = Chain::base("mangle-output", Base::route(Hook::Output, priority::MANGLE))
        .rule(Rule::new().set_mark(r.next() as u32, 0xff00));
    let all = [filter, raw, nat, dnat, route];
    all.into_iter().filter(|_| !r.one_in(4)).collect()
}

fn flags(r: &mut Random) -> NatFlags {
    r.pick(&[
        NatFlags::default(),
        NatFlags::RANDOM,
        NatFlags::FULLY_RANDOM,
        NatFlags::PERSISTENT | NatFlags::FULLY_RANDOM,
    ])
}

fn snat(r: &mut Random) -> Rule {
    let ports = r.one_in(2).then(|| r.ports());
    let flags = flags(r);
    let rule = Rule::new().nfproto(NfProto::Ipv4).l4proto(proto::TCP);
    match r.below(3) {
        0 => rule.masquerade(ports, flags),
        1 => rule.snat(r.v4().into(), ports, flags),
        _ => Rule::new()
            .l4proto(proto::TCP)
            .snat(r.v6().into(), ports, flags),
    }
}

fn dnat_rule(r: &mut Random) -> Rule {
    let ports = r.one_in(2).then(|| r.ports());
    let to: IpAddr = if r.one_in(2) {
        r.v4().into()
    } else {
        r.v6().into()
    };
    Rule::new().l4proto(proto::TCP).dport(80).dnat(to, ports)
}

const KEYS: [KeyType; 6] = [
    KeyType::Ipv4Addr,
    KeyType::Ipv6Addr,
    KeyType::Ifname,
    KeyType::InetProto,
    KeyType::InetService,
    KeyType::Mark,
];

/// A set of any type with some elements.
pub(crate) fn set(r: &mut Random, name: &str) -> Set {
    let concatenations: [&[KeyType]; 4] = [
        &[KeyType::Ipv4Addr, KeyType::InetProto, KeyType::InetService],
        &[KeyType::Ipv6Addr, KeyType::InetProto, KeyType::InetService],
        &[KeyType::Ifname, KeyType::Ipv4Addr],
        &[KeyType::Ipv4Addr, KeyType::Ipv4Addr],
    ];
    let key = if r.one_in(2) {
        r.pick(&concatenations).to_vec()
    } else {
        vec![r.pick(&KEYS)]
    };
    // Numbers in the machine's order have no ranges.
    let matching = if r.one_in(2) || key == [KeyType::Mark] {
        Matching::Exact
    } else {
        Matching::Interval
    };
    let kind = if r.one_in(3) {
        SetKind::VerdictMap
    } else {
        SetKind::Set
    };
    let ty = SetType {
        key,
        kind,
        matching,
    };
    let count = r.below(12);
    let mut set = Set::new(name, ty.clone());
    for key in keys(r, &ty, count) {
        set.insert(element(r, key, kind));
    }
    set
}

/// An element with this key.
pub(crate) fn element(r: &mut Random, key: Key, kind: SetKind) -> Element {
    let element = match kind {
        SetKind::Set => Element::new(key),
        SetKind::VerdictMap => {
            let leaf = leaf_name(r.below(LEAVES));
            let verdicts = [
                Verdict::Accept,
                Verdict::Drop,
                Verdict::Return,
                Verdict::Jump(leaf.clone()),
                Verdict::Goto(leaf),
            ];
            Element::verdict(key, r.pick(&verdicts))
        }
    };
    if r.one_in(6) {
        element.comment(format!("why {}", r.below(100)))
    } else {
        element
    }
}

/// Keys that do not overlap.
pub(crate) fn keys(r: &mut Random, ty: &SetType, count: usize) -> Vec<Key> {
    match (ty.matching, ty.key.as_slice()) {
        (Matching::Interval, [KeyType::Ifname]) => {
            let patterns = ["cali*", "eth0", "tunl*", "vxlan.calico", "lo"];
            patterns
                .into_iter()
                .filter(|_| r.one_in(2))
                .map(|pattern| Part::ifname(pattern).into())
                .collect()
        }
        (Matching::Interval, [one]) => intervals(r, *one, count),
        (Matching::Interval, parts) => {
            // The first part is a single value, and different in each key: nothing overlaps.
            let mut seen = Elements::new();
            for _ in 0..count {
                let first = part(r, parts[0]);
                let rest: Vec<Part> = parts[1..].iter().map(|ty| range(r, *ty)).collect();
                if !seen.keys().any(|key: &Key| {
                    Key::concat([first.clone()]).from().as_slice()
                        == &key.from().as_slice()[..parts[0].width().next_multiple_of(4)]
                }) {
                    seen.insert(
                        Key::concat(std::iter::once(first).chain(rest)),
                        Default::default(),
                    );
                }
            }
            seen.into_keys().collect()
        }
        (Matching::Exact, [one]) => (0..count).map(|_| part(r, *one).into()).collect(),
        (Matching::Exact, parts) => (0..count)
            .map(|_| Key::concat(parts.iter().map(|ty| part(r, *ty)).collect::<Vec<_>>()))
            .collect(),
    }
}

fn intervals(r: &mut Random, ty: KeyType, count: usize) -> Vec<Key> {
    let mut bounds: Vec<Bytes> = (0..count * 2).map(|_| value(r, ty)).collect();
    if r.one_in(3) {
        bounds.push(Bytes::zeros(ty.width()));
    }
    if r.one_in(3) {
        bounds.push(Bytes::all_ones(ty.width()));
    }
    bounds.sort();
    bounds.dedup();
    let mut keys = Vec::new();
    let mut previous: Option<Bytes> = None;
    for pair in bounds.chunks_exact(2) {
        // Sometimes the interval begins just behind the one before it.
        let adjacent = previous
            .as_ref()
            .and_then(Bytes::successor)
            .filter(|_| r.one_in(3));
        let from = adjacent.unwrap_or_else(|| pair[0].clone());
        let to = if r.one_in(2) {
            pair[1].clone()
        } else {
            from.clone()
        };
        keys.push(Key::bounds(from, to.clone()));
        previous = Some(to);
    }
    keys
}

fn value(r: &mut Random, ty: KeyType) -> Bytes {
    match ty {
        KeyType::Ipv4Addr => Bytes::addr(r.v4().into()),
        KeyType::Ipv6Addr => Bytes::addr(r.v6().into()),
        KeyType::Ifname => Bytes::ifname(&format!("cali{:08x}", r.next() as u32)),
        KeyType::InetProto | KeyType::IcmpType => Bytes::byte(r.next() as u8),
        KeyType::InetService => Bytes::port(r.port()),
        KeyType::Mark => Bytes::native(r.next() as u32),
    }
}

fn part(r: &mut Random, ty: KeyType) -> Part {
    Part::value(value(r, ty))
}

fn range(r: &mut Random, ty: KeyType) -> Part {
    match (ty, r.below(3)) {
        (KeyType::Ipv4Addr, 0) => Part::prefix(Prefix::new(r.v4().into(), 8 + r.below(24) as u8)),
        (KeyType::InetService, 0) => Part::ports(r.ports()),
        (KeyType::Ipv4Addr, 1) => Part::range(value(r, ty), value(r, ty)),
        _ => part(r, ty),
    }
}

/// Some rules; `below` are the chains they may jump to.
pub(crate) fn rules(r: &mut Random, sets: &[Set], below: &[ChainName]) -> Vec<Rule> {
    (0..r.below(8)).map(|_| rule(r, sets, below)).collect()
}

/// A rule for a chain that filters forwarded packets.
pub(crate) fn rule(r: &mut Random, sets: &[Set], below: &[ChainName]) -> Rule {
    let mut rule = Rule::new();
    for _ in 0..r.below(4) {
        let candidate = condition(r, rule.clone(), (sets, below));
        if is_coherent(&candidate) {
            rule = candidate;
        }
    }
    if r.one_in(4) {
        rule = rule.counter();
    }
    for _ in 0..r.below(2) {
        rule = deed(r, rule);
    }
    if r.one_in(3) {
        rule = rule.comment(format!("Policy default/p{} ingress \"é\"", r.below(50)));
    }
    match (r.below(8), below) {
        (0, _) => rule.accept(),
        (1, _) => rule.drop(),
        (2, _) => rule.ret(),
        (3, [_, ..]) => rule.jump(r.pick(below)),
        (4, [_, ..]) => rule.goto(r.pick(below)),
        (5, _) => rule.reject(r.pick(&[
            RejectWith::NoRoute,
            RejectWith::PortUnreachable,
            RejectWith::HostUnreachable,
            RejectWith::AdminProhibited,
        ])),
        (6, _) if is_coherent(&rule.clone().l4proto(proto::TCP)) => {
            rule.l4proto(proto::TCP).reject(RejectWith::TcpReset)
        }
        _ => rule.verdict(Verdict::Continue),
    }
}

/// Whether the rule speaks of one IP version and one transport protocol only, which `nft` insists on and the kernel does not.
fn is_coherent(rule: &Rule) -> bool {
    let mut versions = std::collections::BTreeSet::new();
    let mut protocols = 0;
    for expr in &rule.exprs {
        let mut fields = Vec::new();
        if let Expr::Cmp { field, value, .. } = expr {
            fields.push(*field);
            if *field == Field::Nfproto {
                versions.extend(value.to_be());
            }
            protocols += usize::from(*field == Field::L4proto);
        }
        if let Expr::Lookup {
            fields: looked_up, ..
        }
        | Expr::Vmap {
            fields: looked_up, ..
        } = expr
        {
            fields.extend(looked_up);
        }
        if let Expr::Range { field, .. } = expr {
            fields.push(*field);
        }
        if let Expr::Lookup { .. } | Expr::Vmap { .. } = expr {
            protocols += usize::from(fields.contains(&Field::L4proto));
        }
        versions.extend(
            fields
                .iter()
                .filter_map(|field| field.requires())
                .map(|version| version as u32),
        );
    }
    versions.len() <= 1 && protocols <= 1
}

fn condition(r: &mut Random, rule: Rule, (sets, below): (&[Set], &[ChainName])) -> Rule {
    match r.below(6) {
        0 => address_condition(r, rule),
        1 => interface_condition(r, rule),
        2 => transport_condition(r, rule),
        3 => connection_condition(r, rule),
        4 if !sets.is_empty() => named(r, rule, sets),
        _ => anonymous(r, rule, below),
    }
}

fn address_condition(r: &mut Random, rule: Rule) -> Rule {
    let v4 = Prefix::new(r.v4().into(), 1 + r.below(32) as u8);
    let v6 = Prefix::new(r.v6().into(), 1 + r.below(128) as u8);
    match r.below(7) {
        0 => rule.saddr(v4),
        1 => rule.not_daddr(v4),
        2 => rule.daddr(v6),
        3 => rule.not_saddr(v6),
        4 => rule.nfproto(r.pick(&[NfProto::Ipv4, NfProto::Ipv6])),
        5 => rule.range(
            Field::Ip4Saddr,
            r.pick(&[Membership::In, Membership::NotIn]),
            Bytes::addr(Ipv4Addr::new(10, 0, 0, 5).into()),
            Bytes::addr(Ipv4Addr::new(10, 0, 2, 9).into()),
        ),
        _ => rule.fib_type(FibKey::DADDR, proto::RTN_LOCAL),
    }
}

fn interface_condition(r: &mut Random, rule: Rule) -> Rule {
    match r.below(8) {
        0 => rule.iifname("cali*"),
        1 => rule.not_iifname("eth0"),
        2 => rule.oifname("cali0123456789a"),
        3 => rule.not_oifname("tunl*"),
        4 => rule.iif(1),
        5 => rule.oif(1),
        6 => rule.fib_missing(FibKey::SADDR | FibKey::MARK | FibKey::IIF),
        _ => rule.cmp(
            Field::Fib(FibKey::SADDR | FibKey::IIF, FibResult::Oif),
            CmpOp::Neq,
            Bytes::native(0),
        ),
    }
}

fn transport_condition(r: &mut Random, rule: Rule) -> Rule {
    match r.below(7) {
        0 => rule.l4proto(proto::TCP).dport(r.ports()),
        1 => rule.l4proto(proto::UDP).sport(r.ports()),
        2 => rule.l4proto(proto::SCTP).not_dport(r.ports()),
        3 => rule.not_l4proto(proto::IPIP),
        4 => rule.l4proto(proto::ICMP).icmp_type(8).icmp_code(0),
        5 => rule.l4proto(proto::ICMPV6).icmp_type(128),
        _ => rule.l4proto(proto::UDP).not_sport(r.ports()),
    }
}

fn connection_condition(r: &mut Random, rule: Rule) -> Rule {
    let (value, mask) = (r.next() as u32, r.next() as u32);
    match r.below(10) {
        0 => rule.ct_state(CtState::ESTABLISHED | CtState::RELATED),
        1 => rule.not_ct_state(CtState::INVALID),
        2 => rule.ct_status(CtStatus::DNAT | CtStatus::SNAT),
        3 => rule.not_ct_status(CtStatus::DNAT),
        4 => rule.ct_direction(r.pick(&[CtDirection::Original, CtDirection::Reply])),
        5 => rule.mark(value & mask, mask),
        6 => rule.not_mark(value, u32::MAX),
        7 => rule.ct_mark(value & mask, mask),
        8 => rule.not_ct_mark(value, u32::MAX),
        _ => rule.ct_state(CtState::NEW | CtState::UNTRACKED),
    }
}

fn fields_for(r: &mut Random, key: &[KeyType]) -> Vec<Field> {
    let source = r.one_in(2);
    key.iter()
        .map(|ty| match (ty, source) {
            (KeyType::Ipv4Addr, true) => Field::Ip4Saddr,
            (KeyType::Ipv4Addr, false) => Field::Ip4Daddr,
            (KeyType::Ipv6Addr, true) => Field::Ip6Saddr,
            (KeyType::Ipv6Addr, false) => Field::Ip6Daddr,
            (KeyType::Ifname, true) => Field::Iifname,
            (KeyType::Ifname, false) => Field::Oifname,
            (KeyType::InetProto, _) => Field::L4proto,
            (KeyType::InetService, true) => Field::Sport,
            (KeyType::InetService, false) => Field::Dport,
            (KeyType::Mark, true) => Field::Mark,
            (KeyType::Mark, false) => Field::CtMark,
            (KeyType::IcmpType, _) => Field::IcmpType,
        })
        .collect()
}

fn named(r: &mut Random, rule: Rule, sets: &[Set]) -> Rule {
    let set = r.pick(sets);
    let fields = fields_for(r, &set.ty.key);
    // `nft` shows port fields only behind a protocol.
    let rule = if fields.contains(&Field::Sport) || fields.contains(&Field::Dport) {
        rule.l4proto(proto::TCP)
    } else {
        rule
    };
    match (set.ty.kind, r.one_in(2)) {
        (SetKind::VerdictMap, _) => rule.vmap(fields, &set.name),
        (SetKind::Set, true) => rule.in_set(fields, &set.name),
        (SetKind::Set, false) => rule.not_in_set(fields, &set.name),
    }
}

fn anonymous(r: &mut Random, rule: Rule, below: &[ChainName]) -> Rule {
    let ports = || {
        [
            Element::new(Part::port(80)),
            Element::new(Part::ports((1000..=2000).into())),
        ]
    };
    let tcp = |rule: Rule| rule.l4proto(proto::TCP);
    match r.below(6) {
        0 => tcp(rule).one_of(Field::Dport, ports()),
        1 => tcp(rule).none_of(Field::Sport, ports()),
        2 => rule.one_of(
            Field::L4proto,
            [6, 17, 132].map(|number| Element::new(Part::proto(number))),
        ),
        3 => rule.one_of(
            Field::Ip4Saddr,
            [Element::new(Part::prefix(Prefix::new(r.v4().into(), 24)))],
        ),
        4 => rule.vmap_of(
            [Field::Iifname],
            [
                Element::verdict(
                    Part::ifname("cali1"),
                    below
                        .last()
                        .map_or(Verdict::Return, |chain| Verdict::Goto(chain.clone())),
                ),
                Element::verdict(Part::ifname("cali2"), Verdict::Drop).comment("closed"),
            ],
        ),
        _ => rule.l4proto(proto::ICMPV6).one_of(
            Field::IcmpType,
            [130, 131, 132, 135, 136].map(|number| Element::new(Part::value(Bytes::byte(number)))),
        ),
    }
}

fn deed(r: &mut Random, rule: Rule) -> Rule {
    let rate = Rate {
        packets: 1 + r.below(1000) as u64,
        per: r.pick(&[
            RateUnit::Second,
            RateUnit::Minute,
            RateUnit::Hour,
            RateUnit::Day,
        ]),
        burst: 1 + r.below(100) as u32,
    };
    let (value, mask) = (r.next() as u32, r.next() as u32);
    match r.below(10) {
        0 => rule.set_mark(value, mask),
        1 => rule.set_mark(value, u32::MAX),
        2 => rule.set_ct_mark(value, mask),
        3 => rule.copy_mark(MarkPlace::Packet, MarkPlace::Connection, mask),
        4 => rule.copy_mark(MarkPlace::Connection, MarkPlace::Packet, u32::MAX),
        5 => rule.log("calico-packet: ", r.pick(&LogLevel::ALL)),
        6 => rule.nflog(
            "A|default.p",
            r.below(100) as u16,
            r.one_in(2).then_some(80),
        ),
        7 => rule.limit(rate),
        8 => rule.limit_over(rate),
        _ => rule.push(Expr::ConnLimit {
            count: 1 + r.below(100) as u32,
            scope: r.pick(&[dataplane::nft::Scope::Within, dataplane::nft::Scope::Over]),
        }),
    }
}
