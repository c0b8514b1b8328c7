//! Hosts that assign, release, sweep and give up at the same time, and the truth that they must keep.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipam::affinity::{self, GiveUp};
use ipam::assign::{self, AssignError, Reach, Request, Want, assign};
use ipam::audit::{Finding, audit};
use ipam::release::{self, release_addresses, release_handles};
use ipam::sweep::{Alive, dead_handles, sweep};
use ipam::{Machine, Operation, Owner, Reply, Step, Timestamp};
use model::{AffinityOwner, Family, Key, PoolUse, Resource};

use super::store::{Commit, Progress, Store};

/// xorshift64*: seeded, so that a failure is repeated by its seed.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let word = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(word).expect("fits") % limit
    }

    fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }
}

/// How a store makes the writes of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Writes {
    Atomic,
    OneByOne,
}

/// An operation under way on a host.
trait Task {
    /// Takes one step; the outcome once it is over.
    fn advance(&mut self, store: &mut Store, writes: Writes, age: usize) -> Option<Over>;
}

enum Over {
    Assigned(assign::Outcome),
    Other,
}

enum At<T> {
    Begin,
    Reading(Vec<ipam::Query>),
    Writing(Commit),
    Over(T),
}

struct Running<O: Operation> {
    machine: Machine<O>,
    at: At<O::Outcome>,
    /// After a conflict a store is read afresh.
    fresh: bool,
    over: fn(O::Outcome) -> Over,
}

impl<O: Operation> Running<O> {
    fn boxed(machine: Machine<O>, over: fn(O::Outcome) -> Over) -> Box<Self> {
        Box::new(Running {
            machine,
            at: At::Begin,
            fresh: false,
            over,
        })
    }

    fn reply(&mut self, reply: Reply, store: &mut Store, writes: Writes) {
        self.fresh |= reply == Reply::Conflict;
        self.at = match self.machine.step(reply) {
            Step::Read(queries) => At::Reading(queries),
            Step::Done(outcome) => At::Over(outcome),
            Step::Commit(list) => match writes {
                Writes::OneByOne => At::Writing(Commit::new(list)),
                Writes::Atomic => {
                    let reply = if store.commit(list) {
                        Reply::Committed
                    } else {
                        Reply::Conflict
                    };
                    return self.reply(reply, store, writes);
                }
            },
        };
    }
}

impl<O: Operation> Task for Running<O> {
    fn advance(&mut self, store: &mut Store, writes: Writes, age: usize) -> Option<Over> {
        match std::mem::replace(&mut self.at, At::Begin) {
            At::Begin => self.reply(Reply::Start, store, writes),
            At::Reading(queries) => {
                let entries = store.read(&queries, if self.fresh { 0 } else { age });
                self.reply(Reply::Snapshot(entries), store, writes);
            }
            At::Writing(mut commit) => match store.proceed(&mut commit) {
                Progress::More => self.at = At::Writing(commit),
                Progress::Finished => self.reply(Reply::Committed, store, writes),
                Progress::Refused => self.reply(Reply::Conflict, store, writes),
            },
            At::Over(outcome) => return Some((self.over)(outcome)),
        }
        None
    }
}

struct Job {
    host: usize,
    handle: Option<Box<str>>,
    task: Box<dyn Task>,
}

/// Everything that is simulated, and what is known to be true.
pub(crate) struct World {
    random: Random,
    writes: Writes,
    hosts: usize,
    stale: usize,
    store: Store,
    jobs: Vec<Job>,
    /// Handles that were told their addresses and have not begun to give them back.
    live: BTreeMap<Box<str>, (usize, Vec<IpAddr>)>,
    owners: BTreeMap<IpAddr, Box<str>>,
    containers: u64,
    clock: u64,
    pub(crate) crashes: u64,
    pub(crate) refused: u64,
    pub(crate) given: u64,
}

fn host(at: usize) -> AffinityOwner {
    AffinityOwner::Host(format!("node-{at}").into())
}

fn pool(cidr: &str, block_size: u8) -> Resource {
    Resource::IpPool(model::IpPool {
        cidr: cidr.parse().expect("fits"),
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
    })
}

impl World {
    pub(crate) fn new(seed: u64) -> World {
        let mut random = Random::new(seed);
        let mut store = Store::default();
        store.insert(
            Key::IpPool("four".into()),
            pool("10.0.0.0/25", [28, 29, 32][random.below(3)]),
        );
        store.insert(Key::IpPool("six".into()), pool("fd00::/120", 124));
        let reserved = model::IpReservation {
            cidrs: vec![
                "10.0.0.32/28".parse().expect("fits"),
                "10.0.0.3/32".parse().expect("fits"),
            ],
        };
        store.insert(
            Key::IpReservation("r".into()),
            Resource::IpReservation(reserved),
        );
        let config = model::IpamConfig {
            strict_affinity: random.chance(30),
            max_blocks_per_host: [0, 1, 3][random.below(3)],
            cooldown_seconds: [0, 0, 30][random.below(3)],
            ..model::IpamConfig::default()
        };
        store.insert(Key::IpamConfig, Resource::IpamConfig(config));
        World {
            writes: [Writes::Atomic, Writes::OneByOne][random.below(2)],
            hosts: 1 + random.below(6),
            stale: [0, 10, 40][random.below(3)],
            random,
            store,
            jobs: Vec::new(),
            live: BTreeMap::new(),
            owners: BTreeMap::new(),
            containers: 0,
            clock: 1_800_000_000_000_000_000,
            crashes: 0,
            refused: 0,
            given: 0,
        }
    }

    fn now(&mut self) -> Timestamp {
        self.clock += 700_000_000;
        Timestamp(self.clock)
    }

    /// Runs `operations` of them to their end, or to their crash; returns how many have been.
    pub(crate) fn run(&mut self, operations: u64) {
        let mut ended = 0;
        while ended < operations {
            if self.jobs.is_empty() || (self.jobs.len() < 8 && self.random.chance(30)) {
                let job = self.begin();
                self.jobs.extend(job);
                continue;
            }
            let at = self.random.below(self.jobs.len());
            if self.random.chance(2) {
                // A crash: the machine is gone, whatever it had written stays.
                self.jobs.swap_remove(at);
                self.crashes += 1;
                ended += 1;
                continue;
            }
            let age = if self.random.chance(self.stale) {
                1 + self.random.below(3)
            } else {
                0
            };
            let over = self.jobs[at]
                .task
                .advance(&mut self.store, self.writes, age);
            if self.random.chance(20) {
                self.store.remember();
            }
            if let Some(over) = over {
                let job = self.jobs.swap_remove(at);
                self.ended(job, over);
                ended += 1;
            }
        }
    }

    fn ended(&mut self, job: Job, over: Over) {
        match (over, job.handle) {
            (Over::Assigned(Ok(assigned)), Some(handle)) => {
                let addrs: Vec<IpAddr> = assigned.iter().map(|one| one.addr).collect();
                for addr in &addrs {
                    let other = self.owners.insert(*addr, handle.clone());
                    assert_eq!(other, None, "{addr} was given to {handle} as well");
                    assert!(
                        addr.to_string() != "10.0.0.3",
                        "a reserved address was given"
                    );
                }
                self.given += addrs.len() as u64;
                self.live.insert(handle, (job.host, addrs));
            }
            (Over::Assigned(Err(error)), _) => {
                self.refused += 1;
                let expected = matches!(
                    error,
                    AssignError::Exhausted { .. }
                        | AssignError::Taken { .. }
                        | AssignError::Foreign { .. }
                        | AssignError::Contended(_)
                );
                assert!(expected, "{error}");
            }
            (Over::Assigned(Ok(_)) | Over::Other, _) => {}
        }
    }

    fn begin(&mut self) -> Option<Job> {
        let at = self.random.below(self.hosts);
        let dice = self.random.below(100);
        Some(match dice {
            0..50 => self.begin_assign(at),
            50..88 => self.begin_release(at)?,
            88..93 => self.begin_sweep(at),
            93..97 => {
                let which = [GiveUp::EmptyBut(1), GiveUp::EmptyBut(0), GiveUp::All]
                    [self.random.below(3)]
                .clone();
                let machine = affinity::give_up(host(at), which, self.now());
                Job {
                    host: at,
                    handle: None,
                    task: Running::boxed(machine, |_| Over::Other),
                }
            }
            _ => {
                let machine = affinity::repair(host(at), self.now());
                Job {
                    host: at,
                    handle: None,
                    task: Running::boxed(machine, |_| Over::Other),
                }
            }
        })
    }

    fn begin_assign(&mut self, at: usize) -> Job {
        self.containers += 1;
        let handle: Box<str> = format!("net.{}", self.containers).into();
        let mut wanted = Vec::new();
        if self.random.chance(80) {
            wanted.push(Want::Any {
                family: Family::V4,
                count: 1 + self.random.below(3),
                pools: vec![],
            });
        }
        if self.random.chance(40) {
            wanted.push(Want::Any {
                family: Family::V6,
                count: 1,
                pools: vec!["six".into()],
            });
        }
        if self.random.chance(10) {
            let octet = 64 + u8::try_from(self.random.below(60)).expect("fits");
            wanted.push(Want::Address([10, 0, 0, octet].into()));
        }
        let request = Request {
            owner: host(at),
            wanted,
            taker: Owner {
                handle: Some(handle.clone()),
                attributes: BTreeMap::from([("node".into(), format!("node-{at}").into())]),
            },
            intended_use: PoolUse::Workload,
            namespace: None,
            max_blocks: None,
            host_reserved: None,
            reach: [Reach::OwnBlocks, Reach::AllBlocks][self.random.below(2)],
            now: self.now(),
        };
        let task = Running::boxed(assign(request), Over::Assigned);
        Job {
            host: at,
            handle: Some(handle),
            task,
        }
    }

    fn begin_release(&mut self, at: usize) -> Option<Job> {
        let own: Vec<Box<str>> = self
            .live
            .iter()
            .filter(|(_, (host, _))| *host == at)
            .map(|(handle, _)| handle.clone())
            .collect();
        if own.is_empty() {
            return None;
        }
        let handle = own[self.random.below(own.len())].clone();
        let (_, addrs) = self.live.remove(&handle)?;
        for addr in &addrs {
            self.owners.remove(addr);
        }
        let now = self.now();
        let task: Box<dyn Task> = if self.random.chance(70) {
            Running::boxed(
                release_handles(vec![handle.clone()], now),
                |_: release::Outcome| Over::Other,
            )
        } else {
            let addrs = addrs.into_iter().map(|addr| release::ReleaseAddress {
                addr,
                block: None,
                handle: Some(handle.clone()),
                sequence: None,
            });
            Running::boxed(
                release_addresses(addrs.collect(), now),
                |_: release::Outcome| Over::Other,
            )
        };
        // The handle is kept with the job, so that a sweep beside it leaves it alone as long as it runs.
        Some(Job {
            host: at,
            handle: Some(handle),
            task,
        })
    }

    fn alive(&self, at: usize) -> Alive {
        let working = self.jobs.iter().filter_map(|job| job.handle.clone());
        Alive {
            node: format!("node-{at}").into(),
            handles: self.live.keys().cloned().chain(working).collect(),
            ..Alive::default()
        }
    }

    fn begin_sweep(&mut self, at: usize) -> Job {
        let now = self.now();
        let found = sweep(self.store.all(), &self.alive(at), now);
        let addrs = found.into_iter().map(|(release, _)| release).collect();
        let task = Running::boxed(release_addresses(addrs, now), |_: release::Outcome| {
            Over::Other
        });
        Job {
            host: at,
            handle: None,
            task,
        }
    }

    fn finish(&mut self, mut task: Box<dyn Task>) {
        while task.advance(&mut self.store, self.writes, 0).is_none() {}
    }

    /// All crash; each host recovers; then the books must agree with the truth.
    pub(crate) fn settle(mut self) {
        self.jobs.clear();
        for at in 0..self.hosts {
            let job = self.begin_sweep(at);
            self.finish(job.task);
            let machine = affinity::repair(host(at), self.now());
            self.finish(Running::boxed(machine, |_| Over::Other));
        }
        let now = self.now();
        let dead = dead_handles(self.store.all(), now);
        self.finish(Running::boxed(
            release_handles(dead, now),
            |_: release::Outcome| Over::Other,
        ));
        self.check();
    }

    fn check(&mut self) {
        let now = self.now();
        let findings: Vec<Finding> = audit(self.store.all(), now);
        assert!(
            findings.is_empty(),
            "{:?}: {}",
            self.writes,
            findings
                .iter()
                .map(Finding::to_string)
                .collect::<Vec<_>>()
                .join("\n")
        );
        let mut in_use: BTreeMap<IpAddr, Box<str>> = BTreeMap::new();
        let mut handles: BTreeSet<Box<str>> = BTreeSet::new();
        for entry in self.store.all() {
            match (entry.key, entry.value) {
                (Key::Block(_), Some(Resource::Block(block))) => {
                    let ledger = ipam::Ledger::read(&block, 0, now);
                    for (addr, owner) in ledger.assigned() {
                        in_use.insert(addr, owner.handle.clone().unwrap_or_default());
                    }
                }
                (Key::Handle(id), _) => {
                    handles.insert(id);
                }
                _ => {}
            }
        }
        let lost: Vec<_> = in_use
            .iter()
            .filter(|(addr, _)| !self.owners.contains_key(*addr))
            .collect();
        assert!(lost.is_empty(), "lost: {lost:?}");
        assert_eq!(in_use, self.owners, "the blocks and the owners differ");
        let live: BTreeSet<Box<str>> = self
            .live
            .iter()
            .filter(|(_, (_, addrs))| !addrs.is_empty())
            .map(|(handle, _)| handle.clone())
            .collect();
        assert_eq!(handles, live, "the handles and the owners differ");
    }
}
