//! Checks with real objects, for every store there is: one that keeps no other bytes, makes commits one by one, or whose
//! history nobody can shorten, says so and is spared what it cannot do.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use api::{Kind, Object};
use datastore::{
    CommitError, CommitMode, Datastore, Event, Feed, FeedEvent, FeedState, Query, Revision, Watch,
    Write, block_on_ready,
};
use serde_json::json;

/// Long enough for a server to come back; only a failing test waits it out.
const PATIENCE: Duration = Duration::from_secs(60);
const KIND: Kind = Kind::GlobalNetworkSet;

/// A store, empty of objects of our kind, and what can be done to it.
pub(crate) struct Lab<'a, S> {
    pub(crate) store: S,
    /// Opens it once more, as another process would.
    pub(crate) again: &'a dyn Fn() -> S,
    /// Ends the server at once and starts it again on the same data; nothing if there is none.
    pub(crate) restart: Option<&'a dyn Fn()>,
    /// How many objects are many.
    pub(crate) many: usize,
}

type Check<S> = fn(&Lab<'_, S>);
/// Takes a fresh laboratory.
pub(crate) type Visit<'v, S> = dyn Fn(Lab<'_, S>) + 'v;

/// Runs every check, each on an empty store.
pub(crate) fn run<S: Datastore + Clone + 'static>(fresh: &dyn Fn(&Visit<'_, S>)) {
    let checks: [(&str, Check<S>); 9] = [
        ("object: create, get, update, delete", life),
        ("object: list order", list_order),
        ("object: several writes", several_writes),
        ("object: watch goes on from a revision", watch_goes_on),
        ("object: two writers", two_writers),
        ("object: a feed says what is there, then what changes", feed),
        ("object: a feed outlives its server", restart),
        ("object: a large one", large),
        ("object: many", many),
    ];
    for (name, check) in checks {
        eprintln!("check: {name}");
        fresh(&|lab| check(&lab));
    }
}

/// How many are many: ten thousand, or what `CALICO_MANY` says.
pub(crate) fn many_by_default() -> usize {
    let many = std::env::var("CALICO_MANY").ok();
    many.and_then(|text| text.parse().ok()).unwrap_or(10_000)
}

fn name(at: usize) -> String {
    format!("set-{at:06}")
}

fn key(at: usize) -> String {
    api::store_key(KIND, None, &name(at))
}

fn prefix() -> String {
    api::store_prefix(KIND, None)
}

/// An object that carries a number.
fn bytes(at: usize, number: usize) -> Vec<u8> {
    with_text(at, number, "")
}

fn with_text(at: usize, number: usize, text: &str) -> Vec<u8> {
    let mut object = Object::new(KIND, None, &name(at));
    object.stamp(
        &format!("00000000-0000-4000-8000-{at:012}"),
        "2026-01-01T00:00:00Z",
    );
    let labels = json!({ "number": number.to_string() });
    object.metadata_mut().insert("labels".into(), labels);
    if !text.is_empty() {
        let annotations = json!({ "text": text });
        object
            .metadata_mut()
            .insert("annotations".into(), annotations);
    }
    object
        .spec_mut()
        .insert("nets".into(), json!(["10.0.0.0/8"]));
    object.to_store_bytes()
}

/// The number that an object carries, however the store writes it.
fn number(value: &[u8]) -> usize {
    let value: serde_json::Value = serde_json::from_slice(value).expect("JSON");
    let number = value.pointer("/metadata/labels/number");
    let number = number.and_then(serde_json::Value::as_str).expect("a label");
    number.parse().expect("digits")
}

fn create<S: Datastore>(store: &S, at: usize, number: usize) -> Revision {
    block_on_ready(store.create(&key(at), bytes(at, number))).expect("create")
}

fn numbers<S: Datastore>(store: &S) -> Vec<(String, usize)> {
    let all = block_on_ready(store.list(&prefix())).expect("list");
    let pair = |entry: datastore::Entry| (entry.key.into(), number(&entry.value));
    all.entries.into_iter().map(pair).collect()
}

fn life<S: Datastore>(Lab { store, .. }: &Lab<'_, S>) {
    let first = create(store, 1, 1);
    let found = block_on_ready(store.get(&key(1)))
        .expect("get")
        .expect("it is there");
    assert_eq!((found.revision, number(&found.value)), (first, 1));
    let again = block_on_ready(store.create(&key(1), bytes(1, 2)));
    assert!(
        matches!(again, Err(CommitError::AlreadyExists { .. })),
        "{again:?}"
    );
    let second = block_on_ready(store.update(&key(1), bytes(1, 2), first)).expect("update");
    assert!(second > first);
    let stale = block_on_ready(store.update(&key(1), bytes(1, 3), first));
    assert!(
        matches!(stale, Err(CommitError::Conflict { expected, .. }) if expected == Some(first)),
        "{stale:?}"
    );
    let absent = block_on_ready(store.update(&key(2), bytes(2, 1), second));
    assert!(
        matches!(absent, Err(CommitError::NotFound { .. })),
        "{absent:?}"
    );
    let stale = block_on_ready(store.delete(&key(1), Some(first)));
    assert!(
        matches!(stale, Err(CommitError::Conflict { .. })),
        "{stale:?}"
    );
    block_on_ready(store.delete(&key(1), Some(second))).expect("delete");
    assert_eq!(block_on_ready(store.get(&key(1))).expect("get"), None);
    let gone = block_on_ready(store.delete(&key(1), None));
    assert!(
        matches!(gone, Err(CommitError::NotFound { .. })),
        "{gone:?}"
    );
}

fn list_order<S: Datastore>(Lab { store, .. }: &Lab<'_, S>) {
    for at in [7, 3, 9, 1, 5] {
        create(store, at, at);
    }
    let expected: Vec<_> = [1, 3, 5, 7, 9].map(|at| (key(at), at)).into();
    assert_eq!(numbers(store), expected);
    let queries = [Query::key(key(9)), Query::key(key(2)), Query::key(key(1))];
    let some = block_on_ready(store.read(&queries)).expect("read");
    let keys: Vec<_> = some.entries.iter().map(|entry| &*entry.key).collect();
    assert_eq!(
        keys,
        [key(1), key(9)],
        "sorted, whatever the order of questions"
    );
}

fn several_writes<S: Datastore>(Lab { store, .. }: &Lab<'_, S>) {
    create(store, 2, 1);
    let writes = [1, 2, 3].map(|at| Write::create(key(at), bytes(at, 5)));
    let refused = block_on_ready(store.commit(&writes));
    assert!(
        matches!(&refused, Err(CommitError::AlreadyExists { key: which }) if **which == *key(2)),
        "{refused:?}"
    );
    let expected: Vec<_> = match store.capabilities().commit {
        CommitMode::Transaction { .. } => vec![(key(2), 1)],
        // What came before stays, and what came after was not begun.
        CommitMode::OneByOne => vec![(key(1), 5), (key(2), 1)],
    };
    assert_eq!(numbers(store), expected);
    if let CommitMode::Transaction { at_most } = store.capabilities().commit {
        let too_many: Vec<_> = (0..=at_most).map(|at| Write::put(key(at), "")).collect();
        let refused = block_on_ready(store.commit(&too_many));
        assert!(
            matches!(refused, Err(CommitError::TooManyWrites { at_most: said, .. }) if said == at_most),
            "{refused:?}"
        );
    }
}

/// What the next `count` events say: which object, and its number if it is there.
fn heard(watch: &mut Watch, count: usize) -> Vec<(String, Option<usize>)> {
    let mut heard = Vec::new();
    while heard.len() < count {
        let events = watch.next(PATIENCE).expect("events");
        assert!(!events.is_empty(), "in time, after {heard:?}");
        heard.extend(events.into_iter().map(|event| match event {
            Event::Put(entry) => (entry.key.into(), Some(number(&entry.value))),
            Event::Delete { key, .. } => (key.into(), None),
            Event::Resync { .. } => ("resync".into(), None),
        }));
    }
    heard
}

fn watch_goes_on<S: Datastore>(Lab { store, .. }: &Lab<'_, S>) {
    create(store, 1, 1);
    let from = block_on_ready(store.list(&prefix()))
        .expect("list")
        .revision;
    let mut watch = block_on_ready(store.watch(&[&prefix()], from)).expect("watch");
    let made = create(store, 2, 1);
    block_on_ready(store.update(&key(2), bytes(2, 2), made)).expect("update");
    let expected = [(key(2), Some(1)), (key(2), Some(2))];
    assert_eq!(heard(&mut watch, 2), expected);
    let reached = watch.revision();
    drop(watch);
    block_on_ready(store.delete(&key(1), None)).expect("delete");
    create(store, 3, 1);
    let mut later = block_on_ready(store.watch(&[&prefix()], reached)).expect("watch");
    assert_eq!(heard(&mut later, 2), [(key(1), None), (key(3), Some(1))]);
    let mut earlier = block_on_ready(store.watch(&[&prefix()], from)).expect("watch");
    let all = [&expected[..], &[(key(1), None), (key(3), Some(1))]].concat();
    assert_eq!(heard(&mut earlier, 4), all);
}

fn two_writers<S: Datastore>(Lab { store, again, .. }: &Lab<'_, S>) {
    const EACH: usize = 50;
    create(store, 1, 0);
    let stores = [again(), again()];
    std::thread::scope(|scope| {
        for store in &stores {
            scope.spawn(move || {
                for _ in 0..EACH {
                    increment(store);
                }
            });
        }
    });
    assert_eq!(numbers(store), [(key(1), 2 * EACH)]);
}

fn increment<S: Datastore>(store: &S) {
    loop {
        let found = block_on_ready(store.get(&key(1)))
            .expect("get")
            .expect("it is there");
        let next = bytes(1, number(&found.value) + 1);
        match block_on_ready(store.update(&key(1), next, found.revision)) {
            Ok(_) => return,
            Err(CommitError::Conflict { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

type World = BTreeMap<Box<str>, usize>;

/// Reads a feed until `done`; how often it said that it is in sync.
fn read_until(feed: &mut Feed, world: &mut World, done: impl Fn(&World) -> bool) -> usize {
    let end = Instant::now() + PATIENCE;
    let mut in_syncs = 0;
    while !done(world) || feed.state() != FeedState::InSync {
        assert!(
            Instant::now() < end,
            "{} objects, {:?}",
            world.len(),
            feed.state()
        );
        for event in feed.next(Duration::from_millis(100)).expect("events") {
            match event {
                FeedEvent::Put(entry) => {
                    world.insert(entry.key, number(&entry.value));
                }
                FeedEvent::Delete { key } => {
                    assert!(world.remove(&key).is_some(), "only what was said is unsaid");
                }
                FeedEvent::InSync => in_syncs += 1,
            }
        }
    }
    in_syncs
}

fn feed<S: Datastore + Clone + 'static>(Lab { store, .. }: &Lab<'_, S>) {
    for at in 0..3 {
        create(store, at, 1);
    }
    let mut feed = store.follow(&[&prefix()]).expect("descriptors");
    let mut world = World::new();
    let in_syncs = read_until(&mut feed, &mut world, |world| world.len() == 3);
    assert_eq!(in_syncs, 1);
    // A slow reader: it gets the last of each object, whatever it missed.
    let mut revision = create(store, 3, 0);
    for number in 1..=300 {
        revision =
            block_on_ready(store.update(&key(3), bytes(3, number), revision)).expect("update");
    }
    block_on_ready(store.delete(&key(0), None)).expect("delete");
    let expected: World = [(key(1).into(), 1), (key(2).into(), 1), (key(3).into(), 300)].into();
    let more = read_until(&mut feed, &mut world, |world| *world == expected);
    assert_eq!((more, feed.stats().failures), (0, 0), "in sync once");
}

fn restart<S: Datastore + Clone + 'static>(lab: &Lab<'_, S>) {
    let Some(restart) = lab.restart else { return };
    create(&lab.store, 1, 1);
    let from = block_on_ready(lab.store.list(&prefix()))
        .expect("list")
        .revision;
    let mut watch = block_on_ready(lab.store.watch(&[&prefix()], from)).expect("watch");
    let mut feed = lab.store.follow(&[&prefix()]).expect("descriptors");
    let mut world = World::new();
    read_until(&mut feed, &mut world, |world| world.len() == 1);
    let lists = feed.stats().lists;
    for at in 2..4 {
        restart();
        create(&(lab.again)(), at, 1);
        read_until(&mut feed, &mut world, |world| world.len() == at);
    }
    assert_eq!(heard(&mut watch, 2), [(key(2), Some(1)), (key(3), Some(1))]);
    assert_eq!(feed.stats().lists, lists, "it goes on where it was");
    // The handle that was open all the time serves again.
    assert_eq!(numbers(&lab.store).len(), 3);
}

fn large<S: Datastore + Clone + 'static>(Lab { store, .. }: &Lab<'_, S>) {
    // Annotations may have 256 KiB in all on Kubernetes; the rest of the megabyte is in the specification.
    let mut object: serde_json::Value =
        serde_json::from_slice(&with_text(1, 1, &"x".repeat(200 << 10))).expect("JSON");
    let nets: Vec<_> = (0..40_000_u32)
        .map(|at| format!("10.{}.{}.{}/32", at >> 16, at >> 8 & 255, at & 255))
        .collect();
    object["spec"]["nets"] = json!(nets);
    let value = serde_json::to_vec(&object).expect("JSON");
    assert!(value.len() > 800 << 10, "{}", value.len());
    let mut feed = store.follow(&[&prefix()]).expect("descriptors");
    block_on_ready(store.create(&key(1), value)).expect("create");
    let found = block_on_ready(store.get(&key(1)))
        .expect("get")
        .expect("it is there");
    let found: serde_json::Value = serde_json::from_slice(&found.value).expect("JSON");
    assert_eq!(found["spec"]["nets"], object["spec"]["nets"]);
    read_until(&mut feed, &mut World::new(), |world| world.len() == 1);
}

fn many<S: Datastore + Clone + 'static>(lab: &Lab<'_, S>) {
    let begun = Instant::now();
    let chunk = match lab.store.capabilities().commit {
        CommitMode::Transaction { at_most } => at_most.min(1000),
        CommitMode::OneByOne => 1,
    };
    let all: Vec<usize> = (0..lab.many).collect();
    for some in all.chunks(chunk) {
        let writes: Vec<_> = some
            .iter()
            .map(|&at| Write::create(key(at), bytes(at, at)))
            .collect();
        block_on_ready(lab.store.commit(&writes)).expect("create");
    }
    let made = begun.elapsed();
    let listed = numbers(&lab.store);
    assert!(
        listed
            .iter()
            .enumerate()
            .all(|(at, (key, number))| *key == self::key(at) && *number == at)
    );
    assert_eq!(listed.len(), lab.many);
    let listing = begun.elapsed() - made;
    let mut feed = lab.store.follow(&[&prefix()]).expect("descriptors");
    read_until(&mut feed, &mut World::new(), |world| {
        world.len() == lab.many
    });
    let fed = begun.elapsed() - made - listing;
    eprintln!(
        "  {} objects: made in {made:?}, listed in {listing:?}, fed in {fed:?}",
        lab.many
    );
}
