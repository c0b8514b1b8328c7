//! Foreign bytes: whatever the kernel or a bug sends, decoding answers and does not panic.

use dataplane::nft::{
    Chain, CtState, Element, Field, KeyType, NatFlags, Part, Prefix, Rule, Ruleset, Set, SetType,
    TableId, Verdict, diff, proto,
};

use super::{decode, elements, encode, monitor, observe};
use crate::netlink::{Attributes, Messages};

fn all_messages() -> Vec<u8> {
    let mut ruleset = Ruleset::new(TableId::ours());
    let prefix = Prefix::new([10, 0, 0, 0].into(), 8);
    let set = Set::new("nets", SetType::set([KeyType::Ipv4Addr]).interval());
    ruleset.put_set(set.with([Element::new(Part::prefix(prefix)).comment("a net")]));
    let map = Set::new(
        "from",
        SetType::verdict_map([KeyType::Ifname, KeyType::Ipv4Addr]).interval(),
    );
    let key = dataplane::nft::Key::concat([Part::ifname("cali1"), Part::prefix(prefix)]);
    ruleset.put_set(map.with([Element::verdict(key, Verdict::Goto("c".into()))]));
    let chain = Chain::new("c")
        .rule(
            Rule::new()
                .ct_state(CtState::NEW)
                .in_set([Field::Ip4Saddr], "nets")
                .accept(),
        )
        .rule(
            Rule::new()
                .l4proto(proto::TCP)
                .dport(80..=90)
                .set_mark(1, 3)
                .nflog("x", 3, Some(80)),
        )
        .rule(
            Rule::new()
                .masquerade(Some((1..=9).into()), NatFlags::RANDOM)
                .comment("why"),
        )
        .rule(
            Rule::new()
                .one_of(Field::Dport, [Element::new(Part::ports((1..=5).into()))])
                .drop(),
        );
    ruleset.put_chain(chain);
    let observed = dataplane::nft::ObservedTable::absent(TableId::ours());
    encode::Transaction::encode(&diff(&ruleset, &observed), Some(7))
        .messages
        .bytes()
        .to_vec()
}

/// Decodes as everything it could be.
fn decode_all(bytes: &[u8]) -> usize {
    let mut understood = 0;
    for message in Messages::new(bytes) {
        understood += usize::from(monitor::read(&message).is_some());
        let attributes = message
            .split(4)
            .map_or(Attributes::new(&[]), |(_, attributes)| attributes);
        understood +=
            usize::from(decode::rule(attributes, &decode::AnonymousSets::new()).is_some());
        understood += usize::from(observe::read_chain(attributes).is_some());
        for ty in [
            elements::read_type(attributes),
            Some(SetType::set([KeyType::Ipv4Addr]).interval()),
        ] {
            let mut found = elements::Found::default();
            found.read(attributes);
            understood += ty.map_or(0, |ty| found.finish(&ty).0.len());
        }
    }
    understood
}

#[test]
fn spoilt_messages_do_no_harm() {
    let whole = all_messages();
    assert!(decode_all(&whole) > 10);
    let mut state = 1u64;
    let mut random = |limit: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % limit
    };
    for _ in 0..20_000 {
        let mut spoilt = whole.clone();
        for _ in 0..=random(8) {
            let at = random(spoilt.len());
            spoilt[at] = random(256) as u8;
        }
        spoilt.truncate(random(spoilt.len() * 2).max(16));
        decode_all(&spoilt);
    }
}
