//! What changes of nf_tables cost: messages and time from the plan to the kernel's answer.
//!
//! In a network namespace of its own: one element more in a set of 10 000, one rule more in a chain, one chain replaced, a
//! table of 2 000 sets and 2 000 chains loaded at once, and a comparison of it that finds nothing to do.
//! Needs root: `cargo run --release -p linux --example nft_delta`.

use std::error::Error;
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use dataplane::nft::{
    Base, Chain, ChainName, CtState, Delta, Element, Field, Hook, KeyType, ObservedTable, Part,
    Prefix, Rule, Ruleset, Set, SetType, TableId, diff, priority, proto,
};
use linux::netns::{NetNs, in_netns};
use linux::nft::{Guard, Nftables};

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

const REPEATS: u32 = 200;

fn main() -> Result<(), Box<dyn Error>> {
    in_netns(NetNs::unnamed()?, measure)?.map_err(|error| error as Box<dyn Error>)
}

fn measure() -> Outcome<()> {
    let kernel = &mut Nftables::open()?;
    let build = if cfg!(debug_assertions) {
        "debug"
    } else {
        "release"
    };
    println!("{build} build; times are means over {REPEATS} unless said otherwise");
    for interval in [false, true] {
        one_element(kernel, interval)?;
    }
    one_rule(kernel)?;
    full_load(kernel)
}

/// The table as it is written and remembered.
struct Table {
    remembered: ObservedTable,
    messages: usize,
}

impl Table {
    fn load(kernel: &mut Nftables, ruleset: &Ruleset) -> Outcome<Self> {
        let (observed, _) = kernel.observe(&ruleset.table)?;
        let mut table = Self {
            remembered: observed,
            messages: 0,
        };
        let batch = diff(ruleset, &table.remembered);
        let applied = kernel.apply(&batch, Guard::Any)?;
        table
            .remembered
            .apply(&batch, &applied.handles)
            .map_err(|unknown| format!("{unknown:?}"))?;
        table.messages = applied.messages;
        Ok(table)
    }

    /// Plan, write, remember: the hot path.
    fn change(&mut self, kernel: &mut Nftables, delta: &Delta) -> Outcome<Duration> {
        let start = Instant::now();
        let batch = delta.plan(&self.remembered);
        let applied = kernel.apply(&batch, Guard::Any)?;
        self.remembered
            .apply(&batch, &applied.handles)
            .map_err(|unknown| format!("{unknown:?}"))?;
        self.messages = applied.messages;
        Ok(start.elapsed())
    }

    /// The mean over changes made from their number; messages are those of the last, with the two brackets.
    fn report(
        &mut self,
        kernel: &mut Nftables,
        what: &str,
        mut delta: impl FnMut(u32) -> Delta,
    ) -> Outcome<()> {
        let mut total = Duration::ZERO;
        for index in 0..REPEATS {
            total += self.change(kernel, &delta(index))?;
        }
        println!(
            "{what}: {} messages, {} us",
            self.messages,
            (total / REPEATS).as_micros()
        );
        Ok(())
    }
}

fn addr(n: u32) -> IpAddr {
    Ipv4Addr::from_bits(0x0a00_0000 + n).into()
}

fn one_element(kernel: &mut Nftables, interval: bool) -> Outcome<()> {
    let ty = SetType::set([KeyType::Ipv4Addr]);
    let (ty, kind) = if interval {
        (ty.interval(), "interval")
    } else {
        (ty, "hash")
    };
    let element = |n: u32| Element::new(Part::prefix(Prefix::from(addr(n * 4))));
    let mut ruleset = Ruleset::new(TableId::ours());
    ruleset.put_set(Set::new("members", ty).with((0..10_000).map(element)));
    ruleset
        .put_chain(Chain::new("c").rule(Rule::new().in_set([Field::Ip4Saddr], "members").accept()));
    let mut table = Table::load(kernel, &ruleset)?;
    table.report(
        kernel,
        &format!("one element added to a {kind} set of 10 000"),
        |index| {
            let mut delta = Delta::new();
            delta.put_element("members", element(20_000 + index));
            delta
        },
    )?;
    table.report(
        kernel,
        &format!("one element deleted from a {kind} set of 10 000"),
        |index| {
            let mut delta = Delta::new();
            delta.remove_element("members", element(20_000 + index).key);
            delta
        },
    )
}

fn one_rule(kernel: &mut Nftables) -> Outcome<()> {
    let rule = |n: u32| {
        Rule::new()
            .saddr(addr(n))
            .l4proto(proto::TCP)
            .dport(80)
            .accept()
    };
    let mut chain = Chain::new("cali-pi");
    chain.rules = (0..10).map(rule).collect();
    let mut ruleset = Ruleset::new(TableId::ours());
    ruleset.put_chain(chain.clone());
    let mut table = Table::load(kernel, &ruleset)?;
    let mut grown = chain.clone();
    table.report(kernel, "one rule appended", |index| {
        grown.rules.push(rule(1000 + index));
        let mut delta = Delta::new();
        delta.put_chain(grown.clone());
        delta
    })?;
    table.report(kernel, "a chain of 10 rules replaced by others", |index| {
        let mut delta = Delta::new();
        delta.put_chain(Chain {
            rules: (0..10).map(|n| rule(5000 + index * 10 + n)).collect(),
            ..chain.clone()
        });
        delta
    })
}

/// 2 000 sets of 100 elements and 2 000 chains of 10 rules, reached from one base chain through a verdict map.
fn large() -> Ruleset {
    let mut ruleset = Ruleset::new(TableId::ours());
    let mut dispatch = Set::new("cali-from-wl", SetType::verdict_map([KeyType::Ifname]));
    for n in 0..2000u32 {
        let elements = (0..100).map(|index| Element::new(Part::addr(addr(n * 100 + index))));
        let set =
            Set::new(format!("cali40s-{n}"), SetType::set([KeyType::Ipv4Addr])).with(elements);
        let chain = ChainName::from(format!("cali-fw-cali{n}"));
        let mut rules = Chain::new(&chain).rule(
            Rule::new()
                .ct_state(CtState::ESTABLISHED | CtState::RELATED)
                .accept(),
        );
        for port in 0..8 {
            let rule = Rule::new()
                .in_set([Field::Ip4Daddr], &set.name)
                .l4proto(proto::TCP)
                .dport(80 + port);
            rules = rules.rule(rule.accept().comment(format!("Policy default/p{n} egress")));
        }
        ruleset.put_chain(rules.rule(Rule::new().counter().drop()));
        dispatch.insert(Element::verdict(
            Part::ifname(format!("cali{n}").as_str()),
            dataplane::nft::Verdict::Goto(chain),
        ));
        ruleset.put_set(set);
    }
    let base = Chain::base(
        "filter-forward",
        Base::filter(Hook::Forward, priority::FILTER),
    );
    ruleset.put_chain(base.rule(Rule::new().vmap([Field::Iifname], &dispatch.name)));
    ruleset.put_set(dispatch);
    ruleset
}

fn full_load(kernel: &mut Nftables) -> Outcome<()> {
    let ruleset = large();
    let absent = ObservedTable::absent(ruleset.table.clone());
    let start = Instant::now();
    let batch = diff(&ruleset, &absent);
    let planned = start.elapsed();
    let mut clear = dataplane::nft::Batch::new(ruleset.table.clone());
    clear.ops.push(dataplane::nft::Op::DeleteTable);
    kernel.apply(&clear, Guard::Any)?;
    let start = Instant::now();
    let applied = kernel.apply(&batch, Guard::Any)?;
    let loaded = start.elapsed();
    println!(
        "full load of 2 000 sets x 100 and 2 000 chains x 10 (once): {} messages, plan {} ms, encode and write {} ms",
        applied.messages,
        planned.as_millis(),
        loaded.as_millis()
    );
    let start = Instant::now();
    let (observed, _) = kernel.observe(&ruleset.table)?;
    let read = start.elapsed();
    let start = Instant::now();
    let batch = diff(&ruleset, &observed);
    let compared = start.elapsed();
    println!(
        "nothing to do (once): {} messages, read {} ms, compare {} ms",
        batch.ops.len(),
        read.as_millis(),
        compared.as_millis()
    );
    Ok(())
}
