//! The difference of two tables, applied to a model as strict as the kernel, gives the desired one in an order that never
//! refers to what is not there.

use std::collections::BTreeMap;

use dataplane::nft::{
    Base, Batch, Chain, ChainName, Delta, Element, Field, Handles, Hook, KeyType, ObservedRule,
    ObservedTable, Op, Part, Policy, Rule, Ruleset, Set, SetName, SetType, TableId, Verdict, diff,
    priority,
};
use proptest::prelude::*;

const CHAINS: u8 = 5;
const SETS: u8 = 4;

fn chain_name(index: u8) -> ChainName {
    format!("c{index}").into()
}

fn set_name(index: u8) -> SetName {
    format!("s{index}").into()
}

fn addr(n: u8) -> Part {
    Part::addr([10, 0, 0, n].into())
}

/// What a rule may do: its number, and the chain or set it uses if there is one.
#[derive(Clone, Debug)]
enum Word {
    Mark(u8),
    Jump(u8),
    Lookup(u8),
}

/// Number, whether it is a map, and elements with the chain each may lead to.
type SetSketch = (u8, bool, Vec<(u8, u8)>);

#[derive(Clone, Debug)]
struct Sketch {
    /// Number, kind of hook, rules.
    chains: Vec<(u8, u8, Vec<Word>)>,
    sets: Vec<SetSketch>,
}

fn sketch() -> impl Strategy<Value = Sketch> {
    let word = prop_oneof![
        (0..4u8).prop_map(Word::Mark),
        (0..CHAINS).prop_map(Word::Jump),
        (0..SETS).prop_map(Word::Lookup)
    ];
    let chain = (0..CHAINS, 0..3u8, prop::collection::vec(word, 0..8));
    let set = (
        0..SETS,
        any::<bool>(),
        prop::collection::vec((0..12u8, 0..CHAINS), 0..8),
    );
    (
        prop::collection::vec(chain, 0..7),
        prop::collection::vec(set, 0..5),
    )
        .prop_map(|(chains, sets)| Sketch { chains, sets })
}

/// A ruleset without loose ends from a sketch.
fn ruleset(sketch: &Sketch) -> Ruleset {
    let mut ruleset = Ruleset::new(TableId::ours());
    // Only chains without a hook can be led to.
    let targets: BTreeMap<u8, u8> = sketch
        .chains
        .iter()
        .map(|(index, hook, _)| (*index, *hook))
        .collect();
    let is_target = |index: &u8| targets.get(index).is_some_and(|hook| *hook == 0);
    for (index, is_map, elements) in &sketch.sets {
        let ty = if *is_map {
            SetType::verdict_map([KeyType::Ipv4Addr])
        } else {
            SetType::set([KeyType::Ipv4Addr])
        };
        let elements = elements
            .iter()
            .map(|(n, chain)| match (is_map, is_target(chain)) {
                (false, _) => Element::new(addr(*n)),
                (true, true) => Element::verdict(addr(*n), Verdict::Goto(chain_name(*chain))),
                (true, false) => Element::verdict(addr(*n), Verdict::Drop),
            });
        ruleset.put_set(Set::new(set_name(*index), ty).with(elements));
    }
    for (index, hook, words) in &sketch.chains {
        let base = match hook {
            0 => Chain::new(chain_name(*index)),
            1 => Chain::base(
                chain_name(*index),
                Base::filter(Hook::Forward, priority::FILTER),
            ),
            _ => Chain::base(
                chain_name(*index),
                Base::filter(Hook::Forward, priority::FILTER).policy(Policy::Drop),
            ),
        };
        let rules = words.iter().filter_map(|word| match word {
            Word::Mark(mark) => Some(Rule::new().mark(u32::from(*mark), 0xff).accept()),
            Word::Jump(chain) => is_target(chain).then(|| Rule::new().jump(chain_name(*chain))),
            Word::Lookup(set) => {
                let set = ruleset.sets.get(&set_name(*set))?;
                Some(match set.ty == SetType::set([KeyType::Ipv4Addr]) {
                    true => Rule::new().in_set([Field::Ip4Saddr], &set.name).accept(),
                    false => Rule::new().vmap([Field::Ip4Saddr], &set.name),
                })
            }
        });
        let chain = Chain {
            rules: rules.collect(),
            ..base
        };
        ruleset.put_chain(chain);
    }
    ruleset
}

/// The kernel's opinion of each change.
struct Kernel {
    table: ObservedTable,
    next_handle: u64,
}

impl Kernel {
    fn holding(ruleset: &Ruleset) -> Self {
        let mut kernel = Self {
            table: ObservedTable::absent(ruleset.table.clone()),
            next_handle: 0,
        };
        let batch = diff(ruleset, &kernel.table);
        kernel.apply(&batch);
        kernel
    }

    fn refers_to_chain(&self, name: &ChainName) -> bool {
        let rules = self
            .table
            .chains
            .values()
            .flat_map(|chain| &chain.rules)
            .filter_map(|rule| rule.rule.as_ref());
        let loads = self
            .table
            .sets
            .values()
            .flat_map(|set| set.elements.values());
        rules.flat_map(Rule::targets).any(|target| target == name)
            || loads
                .filter_map(|load| load.verdict()?.target())
                .any(|target| target == name)
    }

    fn refers_to_set(&self, name: &SetName) -> bool {
        let rules = self
            .table
            .chains
            .values()
            .flat_map(|chain| &chain.rules)
            .filter_map(|rule| rule.rule.as_ref());
        rules.flat_map(Rule::sets).any(|set| set == name)
    }

    fn check(&self, op: &Op) {
        let chain_exists =
            |chain: &ChainName| assert!(self.table.chains.contains_key(chain), "{op:?}");
        let set_exists = |set: &SetName| assert!(self.table.sets.contains_key(set), "{op:?}");
        match op {
            Op::AddTable | Op::DeleteTable | Op::DeleteOther(_) => {}
            Op::AddChain { chain, .. } => assert!(!self.table.chains.contains_key(chain), "{op:?}"),
            Op::AddSet { set, .. } => assert!(!self.table.sets.contains_key(set), "{op:?}"),
            Op::SetPolicy { chain, .. } | Op::FlushChain(chain) | Op::DeleteRule { chain, .. } => {
                chain_exists(chain)
            }
            Op::AddRule { chain, rule, .. } | Op::ReplaceRule { chain, rule, .. } => {
                chain_exists(chain);
                rule.targets().for_each(chain_exists);
                rule.sets().for_each(set_exists);
            }
            Op::DeleteChain(chain) => {
                let rules = &self.table.chains[chain].rules;
                assert!(rules.is_empty() && !self.refers_to_chain(chain), "{op:?}");
            }
            Op::DeleteSet(set) => {
                set_exists(set);
                assert!(!self.refers_to_set(set), "{op:?}");
            }
            Op::AddElements { set, elements, .. } => {
                let present = &self.table.sets[set].elements;
                for element in elements {
                    assert!(!present.contains_key(&element.key), "{op:?}");
                    element
                        .load
                        .verdict()
                        .and_then(Verdict::target)
                        .into_iter()
                        .for_each(chain_exists);
                }
            }
            Op::DeleteElements { set, keys, .. } => {
                let present = &self.table.sets[set].elements;
                assert!(keys.iter().all(|key| present.contains_key(key)), "{op:?}");
            }
            Op::FlushSet(set) => set_exists(set),
        }
    }

    fn apply(&mut self, batch: &Batch) {
        for op in &batch.ops {
            self.check(op);
            self.next_handle += 1;
            let one = Batch {
                table: batch.table.clone(),
                ops: vec![op.clone()],
            };
            self.table
                .apply(&one, &Handles::from([(0, self.next_handle)]))
                .expect("the change fits the table");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn the_difference_leads_to_the_desired(a in sketch(), b in sketch(), forget in any::<u64>(), foreign in any::<u64>()) {
        let (a, b) = (ruleset(&a), ruleset(&b));
        let mut kernel = Kernel::holding(&a);
        prop_assert_eq!(&kernel.table.ruleset(), &a);
        prop_assert!(diff(&a, &kernel.table).is_empty());
        // Some rules were written without reading their handles back, others are another hand's.
        let rules = kernel.table.chains.values_mut().flat_map(|chain| &mut chain.rules);
        for (index, rule) in rules.enumerate() {
            if forget >> (index % 64) & 3 == 0 {
                rule.handle = None;
            }
            if foreign >> (index % 64) & 7 == 0 {
                *rule = ObservedRule { rule: None, ..rule.clone() };
            }
        }
        if foreign & 0x30 == 0 && let Some(set) = kernel.table.sets.values_mut().next() {
            set.foreign = 1;
        }
        let batch = diff(&b, &kernel.table);
        kernel.apply(&batch);
        prop_assert_eq!(&kernel.table.ruleset(), &b);
        prop_assert!(diff(&b, &kernel.table).is_empty());
    }

    #[test]
    fn a_delta_of_all_that_differs_is_the_difference(a in sketch(), b in sketch()) {
        let (a, b) = (ruleset(&a), ruleset(&b));
        let mut kernel = Kernel::holding(&a);
        let mut delta = Delta::new();
        a.chains.keys().for_each(|chain| delta.remove_chain(chain));
        a.sets.keys().for_each(|set| delta.remove_set(set));
        b.chains.values().for_each(|chain| delta.put_chain(chain.clone()));
        b.sets.values().for_each(|set| delta.put_set(set.clone()));
        let batch = delta.plan(&kernel.table);
        prop_assert_eq!(&batch, &diff(&b, &kernel.table));
        kernel.apply(&batch);
        prop_assert_eq!(&kernel.table.ruleset(), &b);
    }

    #[test]
    fn elements_come_and_go_alone(a in sketch(), changes in prop::collection::vec((0..SETS, 0..12u8, any::<bool>()), 0..12)) {
        let mut desired = ruleset(&a);
        let mut kernel = Kernel::holding(&desired);
        let mut delta = Delta::new();
        for (set, n, put) in changes {
            let name = set_name(set);
            let Some(set) = desired.sets.get_mut(&name) else { continue };
            let element = match set.ty == SetType::set([KeyType::Ipv4Addr]) {
                true => Element::new(addr(n)),
                false => Element::verdict(addr(n), Verdict::Accept),
            };
            if put {
                set.insert(element.clone());
                delta.put_element(&name, element);
            } else {
                set.elements.remove(&element.key);
                delta.remove_element(&name, element.key);
            }
        }
        let batch = delta.plan(&kernel.table);
        prop_assert!(batch.ops.len() <= 2 * desired.sets.len());
        kernel.apply(&batch);
        prop_assert_eq!(kernel.table.ruleset(), desired);
    }
}

/// The batch for a chain whose rules (by their marks) become others, all handles known.
fn edit(from: &[u32], to: &[u32]) -> Vec<Op> {
    let with = |marks: &[u32]| {
        let mut ruleset = Ruleset::new(TableId::ours());
        let rules = marks
            .iter()
            .map(|mark| Rule::new().mark(*mark, u32::MAX).accept())
            .collect();
        ruleset.put_chain(Chain {
            rules,
            ..Chain::new("c")
        });
        ruleset
    };
    diff(&with(to), &Kernel::holding(&with(from)).table).ops
}

#[test]
fn one_change_of_a_rule_is_one_message() {
    let long: Vec<u32> = (0..50).collect();
    let changed = |change: fn(&mut Vec<u32>)| {
        let mut to = long.clone();
        change(&mut to);
        edit(&long, &to)
    };
    assert!(matches!(changed(|_| {}).as_slice(), []));
    assert!(matches!(
        changed(|to| to.push(99)).as_slice(),
        [Op::AddRule { .. }]
    ));
    assert!(matches!(
        changed(|to| to.insert(20, 99)).as_slice(),
        [Op::AddRule { .. }]
    ));
    assert!(matches!(
        changed(|to| to.insert(0, 99)).as_slice(),
        [Op::AddRule { .. }]
    ));
    assert!(matches!(
        changed(|to| to[20] = 99).as_slice(),
        [Op::ReplaceRule { .. }]
    ));
    assert!(matches!(
        changed(|to| to.retain(|mark| *mark != 20)).as_slice(),
        [Op::DeleteRule { .. }]
    ));
    assert!(matches!(changed(|to| to.swap(20, 30)).as_slice(), [_, _]));
    assert!(matches!(
        changed(Vec::clear).as_slice(),
        [Op::FlushChain(_)]
    ));
}
