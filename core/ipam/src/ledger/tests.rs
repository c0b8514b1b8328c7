use super::*;

fn cidr(text: &str) -> Cidr {
    text.parse().unwrap()
}

fn host() -> AffinityOwner {
    AffinityOwner::Host("n1".into())
}

fn owner(handle: &str) -> Owner {
    Owner {
        handle: Some(handle.into()),
        attributes: BTreeMap::from([("pod".into(), handle.into())]),
    }
}

const NOW: Timestamp = Timestamp(1_800_000_000_000_000_000);

fn nobody(_: IpAddr) -> bool {
    false
}

#[test]
fn first_in_first_out() {
    let mut ledger = Ledger::create(cidr("10.0.0.0/30"), host(), NOW);
    let got = ledger.assign_any(3, &owner("a"), nobody);
    assert_eq!(got.len(), 3);
    ledger.release(&got[..1], 0, NOW);
    let next: Vec<String> = ledger
        .assign_any(9, &owner("b"), nobody)
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(next, ["10.0.0.3", "10.0.0.0"]);
    assert_eq!(ledger.block().attributes.len(), 2);
    assert_eq!((ledger.count("a"), ledger.count("b")), (2, 2));
}

#[test]
fn attributes_are_shared_and_pruned() {
    let mut ledger = Ledger::create(cidr("10.0.0.0/29"), host(), NOW);
    let a = ledger.assign_any(2, &owner("a"), nobody);
    ledger.assign_any(2, &owner("b"), nobody);
    ledger.assign_any(1, &owner("a"), nobody);
    assert_eq!(ledger.block().attributes.len(), 2);
    ledger.release(&a, 0, NOW);
    assert_eq!(ledger.block().attributes.len(), 2);
    let rest = ledger.addresses_of("a");
    ledger.release(&rest, 0, NOW);
    assert_eq!(ledger.block().attributes.len(), 1);
    assert_eq!(ledger.count("b"), 2);
}

#[test]
fn released_addresses_rest() {
    let mut ledger = Ledger::create(cidr("10.0.0.0/31"), host(), NOW);
    let got = ledger.assign_any(2, &owner("a"), nobody);
    ledger.release(&got, 60, NOW);
    assert_eq!(ledger.free(nobody), 0);
    assert!(ledger.owner(got[0]).is_none());
    assert!(ledger.assign(got[0], &owner("b")).is_err());
    let stored = ledger.finish();
    let soon = Timestamp(NOW.0 + 59_000_000_000);
    assert_eq!(Ledger::read(&stored, 60, soon).free(nobody), 0);
    let later = Timestamp(NOW.0 + 60_000_000_000);
    assert_eq!(Ledger::read(&stored, 60, later).free(nobody), 2);
}

#[test]
fn broken_blocks_are_mended_closed() {
    let mut block = Ledger::create(cidr("10.0.0.0/29"), host(), NOW).finish();
    block.allocations = vec![Some(7), None, None, None];
    block.unallocated = vec![0, 99, 3, 3, 2];
    block.sequence_for_allocation.insert(77, 1);
    let ledger = Ledger::read(&block, 0, NOW);
    // 0 refers to nothing, 4 to 7 are not in the book: all stay taken. 1 was in no list.
    assert_eq!(ledger.block().unallocated, [3, 2, 1]);
    assert_eq!(ledger.assigned().count(), 5);
    assert!(ledger.block().sequence_for_allocation.is_empty());
    block.allocations = vec![None; 5000];
    assert_eq!(Ledger::read(&block, 0, NOW).block().allocations.len(), 8);
}

#[test]
fn hosts_keep_the_edges() {
    let mut ledger = Ledger::create(cidr("10.0.0.0/28"), host(), NOW);
    ledger.reserve(3, 1, &owner(WINDOWS_RESERVED));
    assert_eq!(ledger.free(nobody), 12);
    assert!(ledger.is_empty());
    ledger.assign_any(1, &owner("a"), nobody);
    assert!(!ledger.is_empty());
}
