//! The graph against the oracle and against itself, on random worlds with churn.
//!
//! `CALICO_CASES` says how many worlds (default 300), `CALICO_SEED` which one to begin with; a failure names its seed.

use calc::oracle::endpoint_verdict;
use calc::{Change, Compiled, Decision, Direction, Footprint, Graph, World};
use model::{Key, Resource, Staged, Update, WorkloadEndpointId};
use testkit::rng::Rng;
use testkit::worlds::{self, LOCAL_NODE};

#[expect(
    clippy::disallowed_methods,
    reason = "the length of a test run is the caller's to say"
)]
fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(default)
}

fn take(compiled: &mut Compiled, changes: Vec<Change>, seed: u64) {
    for change in changes {
        if let Err(error) = compiled.apply(change.clone()) {
            panic!("seed {seed}: {error}\n{change:#?}");
        }
    }
}

fn updates_of(world: &World) -> Vec<Update> {
    world
        .iter()
        .map(|(key, value)| Update {
            key: key.clone(),
            value: Some(value.clone()),
        })
        .collect()
}

fn absent(key: &Key) -> Update {
    Update {
        key: key.clone(),
        value: None,
    }
}

/// A graph with a history, what it told, and the world it was told of.
struct Run {
    seed: u64,
    rng: Rng,
    graph: Graph,
    compiled: Compiled,
    world: World,
}

impl Run {
    fn new(seed: u64) -> Run {
        Run {
            seed,
            rng: Rng::new(seed),
            graph: Graph::new(LOCAL_NODE),
            compiled: Compiled::default(),
            world: World::default(),
        }
    }

    fn apply(&mut self, update: Update) {
        self.graph.apply(update.clone());
        self.world.apply(update);
    }

    fn drain(&mut self) -> usize {
        let changes = self.graph.drain();
        let count = changes.len();
        take(&mut self.compiled, changes, self.seed);
        count
    }

    /// Random updates, some of them twice, with drains at random moments.
    fn churn(&mut self, updates: usize) {
        for _ in 0..updates {
            let update = worlds::update(&mut self.rng);
            if self.rng.chance(10) {
                self.apply(update.clone());
            }
            self.apply(update);
            if self.rng.chance(15) {
                self.drain();
            }
        }
    }

    fn locals(&self) -> Vec<WorkloadEndpointId> {
        self.world
            .endpoints()
            .map(|(id, _)| id.clone())
            .filter(|id| &*id.node == LOCAL_NODE)
            .collect()
    }

    /// Every local endpoint judges packets as the oracle does. Returns how many were allowed, and how many denied.
    fn check_verdicts(&mut self, packets: usize, counts: &mut [usize; 2]) {
        for id in self.locals() {
            for _ in 0..packets {
                let packet = worlds::packet(&mut self.rng);
                for direction in Direction::ALL {
                    let expected = endpoint_verdict(&self.world, &id, direction, &packet);
                    let actual = self.compiled.verdict(&id, direction, &packet);
                    assert_eq!(
                        actual, expected,
                        "seed {}: {id} {direction} {packet:?}\n{:#?}\n{:#?}",
                        self.seed, self.world, self.compiled
                    );
                    counts[usize::from(expected.action == Decision::Deny)] += 1;
                }
            }
        }
        assert_eq!(
            self.compiled.endpoints().len(),
            self.locals().len(),
            "seed {}",
            self.seed
        );
    }

    /// A graph without history, told the same world in another order, says the same.
    fn check_against_scratch(&mut self) {
        let mut graph = Graph::new(LOCAL_NODE);
        for update in self.rng.shuffled(updates_of(&self.world)) {
            graph.apply(update);
        }
        assert!(
            graph.drain().is_empty(),
            "seed {}: output before in-sync",
            self.seed
        );
        graph.in_sync();
        let mut compiled = Compiled::default();
        take(&mut compiled, graph.drain(), self.seed);
        assert_eq!(self.compiled, compiled, "seed {}", self.seed);
        assert_eq!(
            self.graph.footprint(),
            graph.footprint(),
            "seed {}",
            self.seed
        );
    }

    /// What changes nothing says nothing: the same values again, absence of the absent, and changes taken back.
    fn check_quiet(&mut self) {
        for update in self.rng.shuffled(updates_of(&self.world)) {
            self.graph.apply(update);
        }
        let before = self.world.clone();
        for _ in 0..20 {
            let update = worlds::update(&mut self.rng);
            self.graph.apply(update.clone());
            let back = before.get(&update.key).cloned();
            self.graph.apply(Update {
                key: update.key,
                value: back,
            });
        }
        let changes = self.graph.drain();
        assert!(changes.is_empty(), "seed {}: {changes:#?}", self.seed);
    }

    /// A world without its staged policies is enforced the very same, and judged the same. Returns how many there were.
    fn check_staged(&mut self) -> usize {
        let is_staged = |update: &Update| match &update.value {
            Some(Resource::Policy(policy)) => policy.staged != Staged::No,
            _ => false,
        };
        let (staged, others): (Vec<Update>, Vec<Update>) =
            updates_of(&self.world).into_iter().partition(is_staged);
        let (mut graph, mut world) = (Graph::new(LOCAL_NODE), World::default());
        graph.in_sync();
        for update in others {
            graph.apply(update.clone());
            world.apply(update);
        }
        let mut compiled = Compiled::default();
        take(&mut compiled, graph.drain(), self.seed);
        assert_eq!(self.compiled, compiled, "seed {}", self.seed);
        for id in self.locals() {
            let packet = worlds::packet(&mut self.rng);
            for direction in Direction::ALL {
                let with = endpoint_verdict(&self.world, &id, direction, &packet);
                let without = endpoint_verdict(&world, &id, direction, &packet);
                assert_eq!(with, without, "seed {}: {id} {packet:?}", self.seed);
            }
        }
        staged.len()
    }

    fn check_tear_down(&mut self) {
        let keys: Vec<Key> = self.world.iter().map(|(key, _)| key.clone()).collect();
        for key in self.rng.shuffled(keys) {
            self.apply(absent(&key));
            if self.rng.chance(20) {
                self.drain();
            }
        }
        self.drain();
        assert!(
            self.compiled.is_empty(),
            "seed {}: {:#?}",
            self.seed,
            self.compiled
        );
        assert_eq!(
            self.graph.footprint(),
            Footprint::default(),
            "seed {}",
            self.seed
        );
    }
}

#[test]
fn the_graph_means_what_the_oracle_means() {
    let (first, cases) = (number("CALICO_SEED", 0), number("CALICO_CASES", 300));
    let (mut judged, mut sets, mut services, mut staged) = ([0, 0], 0, 0, 0);
    for seed in first..first + cases {
        let mut run = Run::new(seed);
        run.churn(40);
        assert!(
            run.compiled.is_empty(),
            "seed {seed}: output before in-sync"
        );
        run.graph.in_sync();
        run.drain();
        run.check_verdicts(6, &mut judged);
        run.churn(40);
        run.drain();
        run.check_verdicts(12, &mut judged);
        sets += run.compiled.set_count();
        services += run.graph.footprint().services;
        staged += run.check_staged();
        run.check_against_scratch();
        run.check_quiet();
        run.check_tear_down();
    }
    // The generator is worth something only if its worlds allow and deny, and use sets.
    let [allowed, denied] = judged;
    eprintln!(
        "{cases} worlds from seed {first}: {allowed} packets allowed, {denied} denied, {sets} sets, {services} services, {staged} staged policies"
    );
    let drawn = sets > 0 && services > 0 && staged > 0;
    let worthy = allowed * 10 > denied && denied * 10 > allowed && drawn;
    assert!(cases < 50 || worthy);
}
