//! The embedded store does what the memory store does, over random operations.

use datastore::{
    Datastore, EmbeddedStore, MemoryStore, Query, Revision, Watch, Write, block_on_ready,
};
use proptest::collection::vec;
use proptest::prelude::*;

/// One step; revisions are counted back from the last commit, so that some expectations hold.
#[derive(Clone, Debug)]
enum Step {
    Commit(Vec<(u8, Op)>),
    Read(Vec<Query>),
    Watch { prefix: &'static str, back: u64 },
    Drain,
    Compact { keep: u64 },
    Reopen,
}

#[derive(Clone, Debug)]
enum Op {
    Create(Vec<u8>),
    /// Expects what is there, or something else.
    Update(Vec<u8>, Guess),
    Put(Vec<u8>),
    Delete(Option<Guess>),
    Check(Option<Guess>),
}

#[derive(Clone, Copy, Debug)]
enum Guess {
    Right,
    Back(u64),
}

const KEYS: [&str; 8] = [
    "/a",
    "/a/1",
    "/a/2",
    "/a0",
    "/b/\u{10ffff}",
    "/b/x",
    "/b/é",
    "/c",
];
const PREFIXES: [&str; 7] = ["", "/", "/a", "/a/", "/b/", "/b/\u{10ffff}", "/none"];

fn guess() -> impl Strategy<Value = Guess> {
    prop_oneof![4 => Just(Guess::Right), 1 => (0..4_u64).prop_map(Guess::Back)]
}

fn op() -> impl Strategy<Value = Op> {
    let value = || vec(any::<u8>(), 0..6);
    prop_oneof![
        value().prop_map(Op::Create),
        (value(), guess()).prop_map(|(value, guess)| Op::Update(value, guess)),
        value().prop_map(Op::Put),
        prop::option::of(guess()).prop_map(Op::Delete),
        prop::option::of(guess()).prop_map(Op::Check),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let key = 0..KEYS.len();
    let prefix = (0..PREFIXES.len()).prop_map(|at| PREFIXES[at]);
    let query = prop_oneof![
        key.prop_map(|at| Query::key(KEYS[at])),
        prefix.clone().prop_map(Query::prefix)
    ];
    prop_oneof![
        8 => vec((0..8_u8, op()), 0..4).prop_map(Step::Commit),
        2 => vec(query, 0..4).prop_map(Step::Read),
        1 => (prefix, 0..8_u64).prop_map(|(prefix, back)| Step::Watch { prefix, back }),
        2 => Just(Step::Drain),
        1 => (0..6_u64).prop_map(|keep| Step::Compact { keep }),
        1 => Just(Step::Reopen),
    ]
}

/// Both stores, and the watches begun on both at the same places.
struct Pair {
    path: std::path::PathBuf,
    memory: MemoryStore,
    embedded: EmbeddedStore,
    watches: Vec<(Watch, Watch)>,
}

impl Pair {
    fn write(&self, key: &str, op: &Op) -> Write {
        let guess = |guess: &Guess| match guess {
            Guess::Right => self.revision_of(key),
            Guess::Back(back) => Revision::new(self.head().get().saturating_sub(*back)),
        };
        match op {
            Op::Create(value) => Write::create(key, value.clone()),
            Op::Update(value, expected) => Write::update(key, value.clone(), guess(expected)),
            Op::Put(value) => Write::put(key, value.clone()),
            Op::Delete(expected) => Write::delete(key, expected.as_ref().map(guess)),
            Op::Check(expected) => Write::check(key, expected.as_ref().map(guess)),
        }
    }

    fn revision_of(&self, key: &str) -> Revision {
        let entry = block_on_ready(self.memory.get(key)).expect("memory");
        entry.map_or(Revision::ZERO, |entry| entry.revision)
    }

    fn head(&self) -> Revision {
        block_on_ready(self.memory.read(&[]))
            .expect("memory")
            .revision
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::Commit(writes) => {
                let writes: Vec<_> = writes
                    .iter()
                    .map(|(key, op)| self.write(KEYS[usize::from(*key)], op))
                    .collect();
                let memory = block_on_ready(self.memory.commit(&writes));
                let embedded = block_on_ready(self.embedded.commit(&writes));
                assert_eq!(format!("{embedded:?}"), format!("{memory:?}"), "{writes:?}");
            }
            Step::Read(queries) => {
                let memory = block_on_ready(self.memory.read(queries)).expect("memory");
                let embedded = block_on_ready(self.embedded.read(queries)).expect("embedded");
                assert_eq!(embedded, memory, "{queries:?}");
            }
            Step::Watch { prefix, back } => {
                let from = Revision::new(self.head().get().saturating_sub(*back));
                let memory = block_on_ready(self.memory.watch(&[prefix], from)).expect("memory");
                let embedded =
                    block_on_ready(self.embedded.watch(&[prefix], from)).expect("embedded");
                self.watches.push((memory, embedded));
            }
            Step::Drain => self.drain(),
            Step::Compact { keep } => {
                // Both learn of it only when they look.
                self.drain();
                self.memory.compact(*keep);
                self.embedded.compact(*keep).expect("compaction");
            }
            Step::Reopen => {
                self.embedded = EmbeddedStore::open(&self.path).expect("it opens again");
            }
        }
    }

    fn drain(&mut self) {
        for (memory, embedded) in &mut self.watches {
            let expected = memory.try_next().expect("memory");
            assert_eq!(embedded.try_next().expect("embedded"), expected);
            assert_eq!(embedded.revision(), memory.revision());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn embedded_equals_memory(steps in vec(step(), 1..40)) {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("datastore.db");
        let mut pair = Pair {
            memory: MemoryStore::new(),
            embedded: EmbeddedStore::open(&path).expect("a new store"),
            watches: Vec::new(),
            path,
        };
        for step in &steps {
            pair.take(step);
        }
        pair.take(&Step::Drain);
        pair.take(&Step::Read(vec![Query::prefix("")]));
        EmbeddedStore::check(&pair.path).expect("a sound file");
    }
}
