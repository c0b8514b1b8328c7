//! nf_tables against the kernel: what is written is read back equal, and what another hand spoils is repaired exactly.

mod nft;

use std::net::Ipv4Addr;

use dataplane::nft::{
    Base, Batch, Chain, ChainName, CtState, Delta, Element, Field, Hook, Key, KeyType,
    ObservedTable, Op, Part, Policy, Prefix, Presence, Rule, Ruleset, Set, SetType, TableId,
    Verdict, diff, priority, proto,
};
use linux::nft::{ApplyError, Guard, Monitor, Nftables, Notice, Object, ObserveError};
use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities};

use crate::nft::rulesets::{self, Random};
use crate::nft::{in_namespace, nft};

fn observe(kernel: &mut Nftables) -> ObservedTable {
    kernel
        .observe(&TableId::ours())
        .expect("the table can be read")
        .0
}

/// Applies the difference and checks that what the kernel holds is what was desired.
fn converge(kernel: &mut Nftables, desired: &Ruleset, seed: u64) -> usize {
    let observed = observe(kernel);
    let batch = diff(desired, &observed);
    if let Err(error) = kernel.apply(&batch, Guard::Any) {
        panic!("seed {seed}: {error}\n{desired}");
    }
    let after = observe(kernel);
    let again = diff(desired, &after);
    assert!(
        again.is_empty(),
        "seed {seed}: a second comparison wants {:#?}\n{desired}",
        again.ops
    );
    assert_eq!(
        after.ruleset().to_string(),
        desired.to_string(),
        "seed {seed}"
    );
    assert_eq!(&after.ruleset(), desired, "seed {seed}");
    batch.ops.len()
}

#[test]
fn random_rulesets_read_back_equal() {
    in_namespace(|| {
        let mut kernel = Nftables::open().expect("nf_tables opens");
        for seed in 0..200 {
            let desired = rulesets::ruleset(&mut Random(seed));
            converge(&mut kernel, &desired, seed);
        }
    });
}

#[test]
fn printed_rulesets_are_what_nft_takes() {
    in_namespace(|| {
        for seed in 0..60 {
            let text = rulesets::ruleset(&mut Random(seed)).to_string();
            if let Err(complaint) = nft(&["-c", "-f", "-"], &text) {
                panic!("seed {seed}: {complaint}\n{text}");
            }
        }
    });
}

/// Fewer messages than writing the table anew, and nothing left over.
#[test]
fn another_hands_work_is_undone_exactly() {
    in_namespace(|| {
        let mut kernel = Nftables::open().expect("nf_tables opens");
        let desired = small();
        converge(&mut kernel, &desired, 0);
        let deeds: [(&str, usize); 12] = [
            ("flush chain inet calico filter-forward", 2),
            ("delete element inet calico pods { 10.65.0.2 }", 1),
            ("add element inet calico pods { 10.65.0.99 }", 1),
            ("delete element inet calico nets { 10.0.0.0/8 }", 1),
            ("add element inet calico nets { 192.168.7.0/24 }", 1),
            ("insert rule inet calico filter-forward accept", 1),
            (
                "add rule inet calico filter-forward ip saddr 1.2.3.4 counter accept",
                1,
            ),
            (
                "add chain inet calico theirs; add rule inet calico theirs drop; add rule inet calico cali-pi jump theirs",
                3,
            ),
            ("add chain inet calico filter-forward { policy accept; }", 1),
            (
                "add set inet calico junk { type ipv4_addr; flags timeout; }",
                1,
            ),
            ("add element inet calico from { \"cali9\" : accept }", 1),
            ("flush set inet calico pods", 1),
        ];
        for (deed, messages) in deeds {
            nft(&["-f", "-"], deed).unwrap_or_else(|complaint| panic!("{deed}: {complaint}"));
            assert_eq!(converge(&mut kernel, &desired, 0), messages, "{deed}");
        }
        for deed in [
            "add counter inet calico theirs",
            "delete table inet calico",
            "add chain inet calico other { type nat hook output priority 5; }",
        ] {
            nft(&["-f", "-"], deed).unwrap_or_else(|complaint| panic!("{deed}: {complaint}"));
            converge(&mut kernel, &desired, 0);
        }
        let listing = nft(&["list", "table", "inet", "calico"], "").expect("nft lists the table");
        assert!(listing.starts_with("table inet calico {"), "{listing}");
        for shown in [
            "10.65.0.1 comment \"default/web\"",
            "ip saddr @pods",
            "iifname vmap @from",
            "\"cali1\" : goto cali-pi",
            "comment \"Policy default/web ingress\"",
            "ip daddr . meta l4proto . th dport @ports",
            "10.0.0.0/8 . tcp . 80-90",
        ] {
            assert!(listing.contains(shown), "{shown} is not in:\n{listing}");
        }
    });
}

/// A table with something of everything that matters.
fn small() -> Ruleset {
    let mut ruleset = Ruleset::new(TableId::ours());
    let pod = |n: u8| Element::new(Part::addr([10, 65, 0, n].into()));
    let pods = Set::new("pods", SetType::set([KeyType::Ipv4Addr]));
    ruleset.put_set(pods.with([pod(1).comment("default/web"), pod(2), pod(3)]));
    let net = |a: u8| Element::new(Part::prefix(Prefix::new([a, 0, 0, 0].into(), 8)));
    ruleset.put_set(
        Set::new("nets", SetType::set([KeyType::Ipv4Addr]).interval()).with([net(10), net(11)]),
    );
    let ports = SetType::set([KeyType::Ipv4Addr, KeyType::InetProto, KeyType::InetService]);
    let port = Key::concat([
        Part::prefix(Prefix::new([10, 0, 0, 0].into(), 8)),
        Part::proto(proto::TCP),
        Part::ports((80..=90).into()),
    ]);
    ruleset.put_set(Set::new("ports", ports.interval()).with([Element::new(port)]));
    let from = Set::new("from", SetType::verdict_map([KeyType::Ifname]));
    let goto = Element::verdict(Part::ifname("cali1"), Verdict::Goto("cali-pi".into()));
    ruleset.put_set(from.with([goto]));
    let policy = Chain::new("cali-pi")
        .rule(
            Rule::new()
                .in_set([Field::Ip4Saddr], "pods")
                .accept()
                .comment("Policy default/web ingress"),
        )
        .rule(
            Rule::new()
                .in_set([Field::Ip4Daddr, Field::L4proto, Field::Dport], "ports")
                .accept(),
        )
        .rule(Rule::new().in_set([Field::Ip4Saddr], "nets").drop());
    ruleset.put_chain(policy);
    let base = Base::filter(Hook::Forward, priority::FILTER).policy(Policy::Drop);
    let forward = Chain::base("filter-forward", base)
        .rule(
            Rule::new()
                .ct_state(CtState::ESTABLISHED | CtState::RELATED)
                .accept(),
        )
        .rule(Rule::new().vmap([Field::Iifname], "from"));
    ruleset.put_chain(forward);
    ruleset
}

#[test]
fn what_is_remembered_is_what_is_there() {
    in_namespace(|| {
        let mut kernel = Nftables::open().expect("nf_tables opens");
        let mut remembered = ObservedTable::absent(TableId::ours());
        for seed in 1000..1100 {
            let r = &mut Random(seed);
            let mut desired = remembered.ruleset();
            let fresh = rulesets::ruleset(r);
            // Half of the time all is different, else a rule or an element here and there.
            if seed % 2 == 0 {
                desired = fresh;
            } else {
                for chain in desired
                    .chains
                    .values_mut()
                    .filter(|chain| chain.base.is_none())
                {
                    let at = r.below(chain.rules.len() + 1);
                    let rule = Rule::new()
                        .iifname("cali*")
                        .mark(r.below(100) as u32, 0xff)
                        .ret();
                    match r.below(4) {
                        0 => chain.rules.insert(at, rule),
                        1 if at < chain.rules.len() => chain.rules[at] = rule,
                        2 if at < chain.rules.len() => drop(chain.rules.remove(at)),
                        _ => {}
                    }
                }
            }
            let batch = diff(&desired, &remembered);
            let applied = kernel
                .apply(&batch, Guard::Any)
                .unwrap_or_else(|error| panic!("seed {seed}: {error}"));
            remembered
                .apply(&batch, &applied.handles)
                .expect("the batch fits");
            assert_eq!(remembered, observe(&mut kernel), "seed {seed}");
        }
    });
}

#[test]
fn a_delta_needs_no_reading() {
    in_namespace(|| {
        let mut kernel = Nftables::open().expect("nf_tables opens");
        let mut desired = small();
        let mut remembered = ObservedTable::absent(TableId::ours());
        let mut apply = |delta: &Delta, desired: &mut Ruleset, messages: usize| {
            let batch = delta.plan(&remembered);
            assert_eq!(batch.ops.len(), messages, "{batch:?}");
            let applied = kernel.apply(&batch, Guard::Any).expect("the delta applies");
            remembered
                .apply(&batch, &applied.handles)
                .expect("the batch fits");
            delta.apply_to(desired);
            assert_eq!(remembered, observe(&mut kernel));
            assert!(diff(desired, &remembered).is_empty());
            assert!(delta.plan(&remembered).is_empty());
        };
        let mut all = Delta::new();
        desired
            .sets
            .values()
            .for_each(|set| all.put_set(set.clone()));
        desired
            .chains
            .values()
            .for_each(|chain| all.put_chain(chain.clone()));
        // The table, four sets and their elements, two chains and five rules.
        apply(&all, &mut desired, 1 + 4 + 4 + 2 + 5);

        let mut one = Delta::new();
        one.put_element("pods", Element::new(Part::addr([10, 65, 0, 77].into())));
        apply(&one, &mut desired, 1);
        let mut gone = Delta::new();
        gone.remove_element("pods", Part::addr([10, 65, 0, 77].into()).into());
        gone.remove_element(
            "nets",
            Part::prefix(Prefix::new([11, 0, 0, 0].into(), 8)).into(),
        );
        apply(&gone, &mut desired, 2);

        let mut endpoint = Delta::new();
        endpoint.put_chain(Chain::new("cali-tw-cali2").rule(Rule::new().goto("cali-pi")));
        endpoint.put_element(
            "from",
            Element::verdict(Part::ifname("cali2"), Verdict::Goto("cali-tw-cali2".into())),
        );
        apply(&endpoint, &mut desired, 3);
        let mut rule = Delta::new();
        rule.put_chain(
            desired.chains[&ChainName::from("cali-pi")]
                .clone()
                .rule(Rule::new().counter().drop()),
        );
        apply(&rule, &mut desired, 1);
        let mut without = Delta::new();
        without.remove_element("from", Part::ifname("cali2").into());
        without.remove_chain("cali-tw-cali2");
        apply(&without, &mut desired, 3);

        // The same name for a set of another type: all is made anew at once.
        let mut other = Delta::new();
        other.put_set(Set::new("nets", SetType::set([KeyType::Ipv4Addr])));
        let batch = other.plan(&observe(&mut kernel));
        kernel
            .apply(&batch, Guard::Any)
            .expect("the table is made anew");
        other.apply_to(&mut desired);
        assert!(diff(&desired, &observe(&mut kernel)).is_empty());
    });
}

#[test]
fn upstreams_tables_go_when_ours_comes() {
    in_namespace(|| {
        let mut kernel = Nftables::open().expect("nf_tables opens");
        let theirs = "table ip calico { chain filter-FORWARD { type filter hook forward priority 0;\n}\n}\n\
                      table ip6 calico { }\ntable arp calico { }\ntable ip other { }\n";
        nft(&["-f", "-"], theirs).expect("nft makes upstream's tables");
        let desired = small();
        let observed = observe(&mut kernel);
        assert_eq!(observed.upstream.len(), 3);
        kernel
            .apply(&diff(&desired, &observed), Guard::Any)
            .expect("applies");
        let tables = nft(&["list", "tables"], "").expect("nft lists tables");
        assert_eq!(
            tables.lines().collect::<Vec<_>>(),
            ["table ip other", "table inet calico"]
        );

        let mut nothing = Batch::new(TableId::ours());
        nothing.ops.push(Op::DeleteTable);
        kernel
            .apply(&nothing, Guard::Any)
            .expect("the table can be deleted");
        assert_eq!(observe(&mut kernel), ObservedTable::absent(TableId::ours()));
    });
}

#[test]
fn refusals_name_what_was_refused() {
    in_namespace(|| {
        let mut kernel = Nftables::open().expect("nf_tables opens");
        let mut desired = small();
        desired.put_chain(Chain::new("cali-broken").rule(Rule::new().jump("nowhere")));
        let batch = diff(&desired, &observe(&mut kernel));
        let error = kernel
            .apply(&batch, Guard::Any)
            .expect_err("a jump to nowhere");
        assert!(
            error
                .to_string()
                .contains("add to chain cali-broken the rule: jump nowhere"),
            "{error}"
        );
        assert!(error.is_stale());
        assert_eq!(
            observe(&mut kernel).presence,
            Presence::Absent,
            "all or nothing"
        );

        desired.chains.remove(&ChainName::from("cali-broken"));
        let generation = kernel.generation().expect("the generation can be read");
        nft(&["-f", "-"], "table ip other { }").expect("nft makes a table");
        let batch = diff(&desired, &observe(&mut kernel));
        let error = kernel
            .apply(&batch, Guard::Unchanged(generation))
            .expect_err("another hand was there");
        assert!(matches!(error, ApplyError::Changed), "{error:?}");
        let (observed, generation) = kernel
            .observe(&TableId::ours())
            .expect("the table can be read");
        kernel
            .apply(&diff(&desired, &observed), Guard::Unchanged(generation))
            .expect("nobody was there");
    });
}

#[test]
fn the_monitor_tells_who_changed_what() {
    in_namespace(|| {
        let mut kernel = Nftables::open().expect("nf_tables opens");
        let mut monitor = Monitor::open().expect("the monitor subscribes");
        let batch = diff(&small(), &observe(&mut kernel));
        let applied = kernel.apply(&batch, Guard::Any).expect("applies");
        assert_eq!(
            applied.generation,
            Some(kernel.generation().expect("the generation can be read"))
        );
        let notices = monitor.drain().expect("notices can be read");
        let Some(Notice::Committed { generation, .. }) = notices.last() else {
            panic!("no commit in {notices:?}")
        };
        assert_eq!(Some(*generation), applied.generation);
        assert!(notices.contains(&Notice::Changed(TableId::ours(), Object::Table)));

        nft(
            &["-f", "-"],
            "delete element inet calico pods { 10.65.0.2 }; flush chain inet calico cali-pi",
        )
        .expect("nft");
        let notices = monitor.drain().expect("notices can be read");
        let (commit, changes) = notices.split_last().expect("there are notices");
        assert!(
            matches!(commit, Notice::Committed { author, .. } if author.name == "nft"),
            "{commit:?}"
        );
        assert!(changes.contains(&Notice::Changed(
            TableId::ours(),
            Object::Set("pods".into())
        )));
        assert!(changes.contains(&Notice::Changed(
            TableId::ours(),
            Object::Chain("cali-pi".into())
        )));
        assert!(monitor.drain().expect("notices can be read").is_empty());
    });
}

#[test]
fn without_privilege_it_says_so() {
    in_namespace(|| {
        let mut kernel = Nftables::open().expect("nf_tables opens");
        let batch = diff(&small(), &observe(&mut kernel));
        // The kernel asks what the sending thread may do, not who opened the socket.
        let none = CapabilitySets {
            effective: CapabilitySet::empty(),
            permitted: CapabilitySet::empty(),
            inheritable: CapabilitySet::empty(),
        };
        set_capabilities(None, none).expect("privileges can be given up");
        let error = kernel
            .apply(&batch, Guard::Any)
            .expect_err("without privilege");
        assert!(matches!(error, ApplyError::Denied), "{error:?}");
        let error = Nftables::open().expect_err("without privilege");
        assert!(matches!(error, ObserveError::Denied), "{error:?}");
    });
}

#[test]
fn lost_notices_are_told() {
    in_namespace(|| {
        let mut kernel = Nftables::open().expect("nf_tables opens");
        let mut monitor = Monitor::with_buffer(4096).expect("the monitor subscribes");
        let batch = diff(&rulesets::ruleset(&mut Random(7)), &observe(&mut kernel));
        kernel.apply(&batch, Guard::Any).expect("applies");
        let notices = monitor.drain().expect("notices can be read");
        assert!(notices.contains(&Notice::Overrun), "{notices:?}");
    });
}

#[test]
fn a_batch_of_many_megabytes_is_one_transaction() {
    in_namespace(|| {
        let mut kernel = Nftables::open().expect("nf_tables opens");
        let mut desired = Ruleset::new(TableId::ours());
        let ty = SetType::set([KeyType::Ipv4Addr]);
        let member =
            |n: u32| Element::new(Part::addr(Ipv4Addr::from_bits(0x0a00_0000 + 2 * n).into()));
        desired.put_set(Set::new("hash", ty.clone()).with((0..60_000).map(member)));
        desired.put_set(Set::new("tree", ty.interval()).with((0..30_000).map(member)));
        let rules = (0..2000).map(|n| {
            Rule::new()
                .in_set([Field::Ip4Saddr], "hash")
                .mark(n, 0xffff)
                .accept()
        });
        desired.put_chain(Chain {
            rules: rules.collect(),
            ..Chain::new("long")
        });
        converge(&mut kernel, &desired, 0);
    });
}
