use super::*;
use crate::release::release_handles;
use crate::seam::{Change, Entry, Expect, Reply, Revision, Step};
use model::{AffinityState, IpReservation, IpamConfig, Resource};

pub(crate) fn test_pool(cidr: &str, block_size: u8) -> model::IpPool {
    model::IpPool {
        cidr: cidr.parse().unwrap(),
        vxlan: model::EncapMode::Never,
        ipip: model::EncapMode::Never,
        nat_outgoing: false,
        disabled: false,
        disable_bgp_export: false,
        block_size,
        node_selector: model::selector::Selector::all(),
        namespace_selector: None,
        allowed_uses: vec![PoolUse::Workload],
        assignment_mode: model::AssignmentMode::Automatic,
        terminating: false,
    }
}

/// A store that answers everything with everything.
#[derive(Default)]
struct Store {
    objects: BTreeMap<Key, Resource>,
    reads: usize,
    asked: Vec<Query>,
    commits: Vec<Vec<Key>>,
}

impl Store {
    fn with(pools: &[(&str, model::IpPool)]) -> Store {
        let pools = pools.iter().cloned();
        Store {
            objects: pools
                .map(|(name, pool)| (Key::IpPool(name.into()), Resource::IpPool(pool)))
                .collect(),
            ..Store::default()
        }
    }

    fn run<O: Operation>(&mut self, mut machine: Machine<O>) -> O::Outcome {
        let mut reply = Reply::Start;
        loop {
            reply = match machine.step(reply) {
                Step::Done(outcome) => return outcome,
                Step::Read(asked) => {
                    self.reads += 1;
                    self.asked = asked;
                    let objects = self.objects.iter();
                    Reply::Snapshot(
                        objects
                            .map(|(key, value)| Entry {
                                key: key.clone(),
                                value: Some(value.clone()),
                                revision: Revision(1),
                            })
                            .collect(),
                    )
                }
                Step::Commit(writes) => {
                    self.commits
                        .push(writes.iter().map(|write| write.key.clone()).collect());
                    for write in writes {
                        assert_eq!(
                            write.expect == Expect::Absent,
                            !self.objects.contains_key(&write.key)
                        );
                        match write.change {
                            Change::Put(value) => self.objects.insert(write.key, value),
                            Change::Delete => self.objects.remove(&write.key),
                        };
                    }
                    Reply::Committed
                }
            };
        }
    }

    fn assign(&mut self, host: &str, handle: &str, want: Want) -> Result<Vec<String>, AssignError> {
        let assigned = self.run(assign(request(host, handle, want)))?;
        Ok(assigned.iter().map(|one| one.addr.to_string()).collect())
    }
}

fn request(host: &str, handle: &str, want: Want) -> Request {
    Request {
        owner: AffinityOwner::Host(host.into()),
        wanted: vec![want],
        taker: Owner {
            handle: Some(handle.into()),
            attributes: BTreeMap::from([
                ("node".into(), host.into()),
                ("namespace".into(), "shop".into()),
                ("pod".into(), handle.into()),
            ]),
        },
        intended_use: PoolUse::Workload,
        namespace: Some("shop".into()),
        max_blocks: None,
        host_reserved: None,
        reach: Reach::AllBlocks,
        now: Timestamp(1_800_000_000_000_000_000),
    }
}

fn some(count: usize) -> Want {
    Want::Any {
        family: Family::V4,
        count,
        pools: vec![],
    }
}

fn exactly(addr: &str) -> Want {
    Want::Address(addr.parse().unwrap())
}

#[test]
fn one_read_and_one_commit_in_a_safe_order() {
    let mut store = Store::with(&[("p", test_pool("10.0.0.0/24", 26))]);
    assert_eq!(store.assign("a", "h1", some(1)).unwrap().len(), 1);
    assert_eq!(store.assign("a", "h2", some(1)).unwrap().len(), 1);
    assert_eq!((store.reads, store.commits.len()), (2, 2));
    let kinds = |keys: &[Key]| -> String {
        let kind = |key: &Key| {
            let kinds = [
                ('a', matches!(key, Key::Affinity(_))),
                ('h', matches!(key, Key::Handle(_))),
                ('b', matches!(key, Key::Block(_))),
            ];
            kinds
                .into_iter()
                .find(|(_, is)| *is)
                .map_or('?', |(name, _)| name)
        };
        keys.iter().map(kind).collect()
    };
    assert_eq!(kinds(&store.commits[0]), "ahba");
    assert_eq!(kinds(&store.commits[1]), "hb");
    let released = store
        .run(release_handles(vec!["h1".into()], Timestamp(1)))
        .unwrap();
    assert_eq!(released.released.len(), 1);
    assert_eq!(kinds(&store.commits[2]), "bh");
    let again = store
        .run(release_handles(vec!["h1".into()], Timestamp(1)))
        .unwrap();
    assert_eq!(again, release::Released::default());
}

#[test]
fn hosts_start_in_different_places_and_borrow_when_all_is_claimed() {
    let mut store = Store::with(&[("p", test_pool("10.0.0.0/28", 30))]);
    for host in ["a", "b", "c", "d"] {
        store.assign(host, host, some(2)).unwrap();
    }
    let blocks = store
        .objects
        .keys()
        .filter(|key| matches!(key, Key::Block(_)))
        .count();
    assert_eq!(blocks, 4);
    assert_eq!(store.assign("a", "a2", some(8)).unwrap().len(), 8);
    let error = store.assign("b", "b2", some(1)).unwrap_err().to_string();
    assert_eq!(
        error,
        "no free IPv4 address: wanted 1, found 0; pools: p (10.0.0.0/28): 16 of 16 in use, 0 blocks unclaimed"
    );
}

#[test]
fn strict_hosts_keep_to_their_own() {
    let mut store = Store::with(&[("p", test_pool("10.0.0.0/29", 30))]);
    let config = IpamConfig {
        strict_affinity: true,
        max_blocks_per_host: 1,
        ..IpamConfig::default()
    };
    store
        .objects
        .insert(Key::IpamConfig, Resource::IpamConfig(config));
    store.assign("a", "h", some(4)).unwrap();
    let error = store.assign("a", "h2", some(1)).unwrap_err().to_string();
    assert!(
        error.contains("maxBlocksPerHost") && error.contains("strictAffinity"),
        "{error}"
    );
    let taken = store.objects.keys().find_map(|key| {
        let Key::Block(block) = key else { return None };
        Some(block.addr().to_string())
    });
    let error = store
        .assign("b", "h3", exactly(&taken.unwrap()))
        .unwrap_err();
    assert!(matches!(error, AssignError::Foreign { .. }), "{error}");
}

#[test]
fn wanted_addresses() {
    let mut store = Store::with(&[("p", test_pool("10.0.0.0/24", 26))]);
    let reservation = IpReservation {
        cidrs: vec!["10.0.0.9".parse().unwrap()],
    };
    store.objects.insert(
        Key::IpReservation("r".into()),
        Resource::IpReservation(reservation),
    );
    assert_eq!(
        store.assign("a", "h", exactly("10.0.0.5")).unwrap(),
        ["10.0.0.5"]
    );
    for (addr, text) in [
        (
            "10.0.0.5",
            "address 10.0.0.5 is in use by shop/h on a (handle h)",
        ),
        (
            "10.0.0.9",
            "address 10.0.0.9 is reserved by an IPReservation",
        ),
        (
            "10.9.0.1",
            "address 10.9.0.1 is in no IP pool; pools: 10.0.0.0/24",
        ),
    ] {
        assert_eq!(
            store
                .assign("a", "x", exactly(addr))
                .unwrap_err()
                .to_string(),
            text
        );
    }
    let commits = store.commits.len();
    assert_eq!(commits, 1, "what fails writes nothing");
}

#[test]
fn pools_say_why_they_are_out() {
    let mut manual = test_pool("10.1.0.0/24", 26);
    manual.assignment_mode = model::AssignmentMode::Manual;
    let mut elsewhere = test_pool("10.2.0.0/24", 26);
    elsewhere.node_selector = "rack == 'r1'".parse().unwrap();
    let mut other = test_pool("10.3.0.0/24", 26);
    other.namespace_selector = Some("team == 'x'".parse().unwrap());
    let mut off = test_pool("10.4.0.0/24", 26);
    off.disabled = true;
    let mut store = Store::with(&[
        ("elsewhere", elsewhere),
        ("manual", manual),
        ("off", off),
        ("other", other),
    ]);
    let error = store.assign("a", "h", some(1)).unwrap_err().to_string();
    for part in [
        "elsewhere: nodeSelector",
        "manual: assignmentMode is Manual",
        "off: it is disabled",
        "other: namespaceSelector",
    ] {
        assert!(error.contains(part), "{error}");
    }
    let named = |pool: &str| Want::Any {
        family: Family::V4,
        count: 1,
        pools: vec![pool.into()],
    };
    assert!(store.assign("a", "h", named("manual")).unwrap()[0].starts_with("10.1.0."));
    assert!(store.assign("a", "h", named("10.2.0.0/24")).unwrap()[0].starts_with("10.2.0."));
    assert!(matches!(
        store.assign("a", "h", named("off")),
        Err(AssignError::UnusablePool { .. })
    ));
    assert!(matches!(
        store.assign("a", "h", named("none")),
        Err(AssignError::UnknownPool { .. })
    ));
    let profile = model::Profile {
        labels: [("pcns.team".into(), "x".into())].into(),
        ..model::Profile::default()
    };
    store.objects.insert(
        Key::Profile("kns.shop".into()),
        Resource::Profile(profile.into()),
    );
    assert!(store.assign("a", "h", some(1)).unwrap()[0].starts_with("10.3.0."));
}

#[test]
fn labels_are_read_only_if_a_pool_selects_by_them() {
    let reads = |pool: model::IpPool, want: Want| {
        let mut store = Store::with(&[("p", pool)]);
        let reach = Reach::OwnBlocks;
        let request = Request {
            reach,
            ..request("a", "h", want)
        };
        let _ = store.run(assign(request));
        store.asked
    };
    let node = Query::Key(Key::Node("a".into()));
    let namespace = Query::Key(Key::Profile("kns.shop".into()));
    let asked = reads(test_pool("10.0.0.0/24", 26), some(1));
    assert!(!asked.contains(&node) && !asked.contains(&namespace));
    let mut by_node = test_pool("10.0.0.0/24", 26);
    by_node.node_selector = "rack == 'r1'".parse().unwrap();
    let asked = reads(by_node.clone(), some(1));
    assert!(asked.contains(&node) && !asked.contains(&namespace));
    let asked = reads(by_node, exactly("10.0.0.7"));
    assert!(!asked.contains(&node));
    let mut by_namespace = test_pool("10.0.0.0/24", 26);
    by_namespace.namespace_selector = Some("team == 'x'".parse().unwrap());
    let asked = reads(by_namespace, some(1));
    assert!(!asked.contains(&node) && asked.contains(&namespace));
}

#[test]
fn a_huge_pool_costs_no_more_than_a_small_one() {
    let mut store = Store::with(&[("p", test_pool("fd00::/16", 122))]);
    let reservation = IpReservation {
        cidrs: vec!["fd00::/17".parse().unwrap()],
    };
    store.objects.insert(
        Key::IpReservation("r".into()),
        Resource::IpReservation(reservation),
    );
    let want = Want::Any {
        family: Family::V6,
        count: 300,
        pools: vec![],
    };
    let got = store.assign("a", "h", want).unwrap();
    assert_eq!(got.len(), 300);
    assert!(
        got.iter()
            .all(|addr| addr.starts_with("fd00:8") || !addr.starts_with("fd00:0"))
    );
}

#[test]
fn an_empty_block_of_another_is_taken_over_after_a_minute() {
    let mut store = Store::with(&[("p", test_pool("10.0.0.0/30", 30))]);
    let config = IpamConfig {
        strict_affinity: true,
        ..IpamConfig::default()
    };
    store
        .objects
        .insert(Key::IpamConfig, Resource::IpamConfig(config));
    store.assign("a", "h", some(1)).unwrap();
    store
        .run(release_handles(vec!["h".into()], Timestamp(1)))
        .unwrap();
    assert!(store.assign("b", "h", some(1)).is_err());
    let mut later = request("b", "h", some(1));
    later.now = Timestamp(later.now.0 + 60_000_000_000);
    store.run(assign(later)).unwrap();
    let owners: Vec<String> = store
        .objects
        .iter()
        .filter_map(|(key, value)| match (key, value) {
            (Key::Affinity(id), Resource::Affinity(affinity)) => {
                assert_eq!(affinity.state, AffinityState::Confirmed);
                Some(id.owner.to_string())
            }
            _ => None,
        })
        .collect();
    assert_eq!(owners, ["host:b"]);
}
