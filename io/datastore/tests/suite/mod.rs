//! The conformance suite: each check gets a fresh, empty store.

pub(crate) mod objects;

use std::time::Duration;

use datastore::{
    CommitError, Datastore, Entry, Event, Query, Revision, Watch, WatchError, WatchMode, Write,
    block_on_ready,
};

/// Long enough for any wake-up; only a failing test waits it out.
const PATIENCE: Duration = Duration::from_secs(10);

/// Makes a store forget all but the last commits.
type Compact<S> = Box<dyn Fn(&S, u64)>;

type Check<S> = fn(&Subject<S>);

/// An empty store, and how to make it forget all but the last commits.
pub(crate) struct Subject<S> {
    pub(crate) store: S,
    pub(crate) compact: Compact<S>,
    pub(crate) place: Place,
    /// The largest value it takes.
    pub(crate) max_value: usize,
    /// Where it begins: not at zero, if it was emptied.
    pub(crate) base: Revision,
}

/// Where a store's changes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// On this machine: a watch looks when it is asked.
    Here,
    /// Behind a network: they are sent to the watch, of the keys it watches.
    Elsewhere,
}

impl<S: Datastore> Subject<S> {
    /// A store on this machine.
    pub(crate) fn here(store: S, compact: Compact<S>) -> Self {
        Self {
            store,
            compact,
            place: Place::Here,
            max_value: datastore::MAX_VALUE_BYTES,
            base: Revision::ZERO,
        }
    }

    /// A store behind a network.
    pub(crate) fn elsewhere(store: S, compact: Compact<S>) -> Self {
        let base = block_on_ready(store.read(&[]))
            .expect("it can be read")
            .revision;
        Self {
            store,
            compact,
            place: Place::Elsewhere,
            // A request holds the key and its condition besides.
            max_value: datastore::MAX_VALUE_BYTES - 1024,
            base,
        }
    }
}

/// Runs every check, each on a store of its own.
pub(crate) fn run<S: Datastore>(fresh: &dyn Fn() -> Subject<S>) {
    let checks: [(&str, Check<S>); 13] = [
        ("empty store", empty_store),
        ("create, get, delete", create_get_delete),
        ("compare and swap", compare_and_swap),
        ("checks", checks),
        ("list order", list_order),
        ("snapshot", snapshot),
        ("atomic transaction", atomic_transaction),
        ("refusals", refusals),
        ("large values", large_values),
        ("watch from a revision", watch_from_a_revision),
        ("watch is woken", watch_is_woken),
        ("compaction", compaction),
        ("two writers", two_writers),
    ];
    for (name, check) in checks {
        eprintln!("check: {name}");
        check(&fresh());
    }
}

fn read<S: Datastore>(store: &S, key: &str) -> Option<Entry> {
    block_on_ready(store.get(key)).expect("a readable store")
}

fn commit<S: Datastore>(store: &S, writes: &[Write]) -> Result<Revision, CommitError> {
    block_on_ready(store.commit(writes))
}

fn watch<S: Datastore>(store: &S, prefixes: &[&str], from: Revision) -> Result<Watch, WatchError> {
    block_on_ready(store.watch(prefixes, from))
}

/// The next `count` events, in however many batches they come.
fn events(watch: &mut Watch, count: usize) -> Vec<Event> {
    let mut events = Vec::new();
    while events.len() < count {
        let more = watch.next(PATIENCE).expect("events");
        assert!(!more.is_empty(), "in time, after {events:?}");
        events.extend(more);
    }
    events
}

fn put(key: &str, value: &[u8], revision: Revision) -> Event {
    Event::Put(Entry {
        key: key.into(),
        value: value.to_vec(),
        revision,
    })
}

fn empty_store<S: Datastore>(subject: &Subject<S>) {
    let all = block_on_ready(subject.store.list("")).expect("an empty store can be listed");
    assert_eq!(all.revision, subject.base);
    assert!(all.entries.is_empty());
    assert_eq!(
        commit(&subject.store, &[]).expect("nothing to do"),
        subject.base
    );
}

fn create_get_delete<S: Datastore>(Subject { store, .. }: &Subject<S>) {
    let before = store.stats();
    let created = block_on_ready(store.create("/a", b"1".to_vec())).expect("create");
    assert!(created > Revision::ZERO);
    assert_eq!(
        read(store, "/a"),
        Some(Entry {
            key: "/a".into(),
            value: b"1".to_vec(),
            revision: created
        })
    );
    assert!(
        matches!(block_on_ready(store.create("/a", b"2".to_vec())), Err(CommitError::AlreadyExists { key }) if &*key == "/a")
    );
    let deleted = block_on_ready(store.delete("/a", Some(created))).expect("delete");
    assert!(deleted > created);
    assert_eq!(read(store, "/a"), None);
    assert!(matches!(
        block_on_ready(store.delete("/a", None)),
        Err(CommitError::NotFound { .. })
    ));
    let again = block_on_ready(store.create("/a", b"3".to_vec())).expect("create again");
    assert!(again > deleted);
    block_on_ready(store.delete("/a", None)).expect("delete whatever is there");
    let stats = store.stats();
    let made = (
        stats.reads - before.reads,
        stats.commits - before.commits,
        stats.watches,
    );
    assert_eq!(made, (2, 6, 0), "one request each");
}

fn compare_and_swap<S: Datastore>(Subject { store, .. }: &Subject<S>) {
    let first = block_on_ready(store.create("/a", b"1".to_vec())).expect("create");
    let second = block_on_ready(store.update("/a", b"2".to_vec(), first)).expect("update");
    let stale = block_on_ready(store.update("/a", b"3".to_vec(), first));
    assert!(
        matches!(stale, Err(CommitError::Conflict { expected, found, .. }) if expected == Some(first) && found == Some(second))
    );
    assert!(matches!(
        block_on_ready(store.delete("/a", Some(first))),
        Err(CommitError::Conflict { .. })
    ));
    assert!(matches!(
        block_on_ready(store.update("/b", b"1".to_vec(), first)),
        Err(CommitError::NotFound { .. })
    ));
    assert_eq!(read(store, "/a").expect("it stands").value, b"2");
    // Revisions name commits, not versions of a key: a commit to another key does not disturb this one.
    commit(store, &[Write::put("/b", "1")]).expect("put");
    block_on_ready(store.update("/a", b"4".to_vec(), second)).expect("update");
}

fn checks<S: Datastore>(Subject { store, .. }: &Subject<S>) {
    let first = commit(store, &[Write::put("/a", "1")]).expect("put");
    assert_eq!(
        commit(store, &[Write::check("/a", Some(first))]).expect("holds"),
        first
    );
    assert_eq!(
        commit(store, &[Write::check("/b", None)]).expect("holds"),
        first
    );
    for wrong in [Write::check("/a", None), Write::check("/b", Some(first))] {
        let refused = commit(store, &[Write::put("/c", "1"), wrong]);
        assert!(
            matches!(refused, Err(CommitError::Conflict { .. })),
            "{refused:?}"
        );
        assert_eq!(read(store, "/c"), None);
    }
    let second = commit(
        store,
        &[Write::check("/a", Some(first)), Write::create("/c", "1")],
    )
    .expect("holds");
    assert_eq!(read(store, "/a").expect("it stands").revision, first);
    assert_eq!(read(store, "/c").expect("it stands").revision, second);
}

fn list_order<S: Datastore>(Subject { store, .. }: &Subject<S>) {
    let keys = [
        "/z",
        "/a",
        "/a/b",
        "/a-b",
        "/ä",
        "/a/\u{10ffff}",
        "/a/\u{10ffff}x",
        "/a\u{d7ff}",
        "/a\u{e000}",
        "/B",
    ];
    let writes: Vec<_> = keys
        .iter()
        .map(|&key| Write::create(key, key.as_bytes()))
        .collect();
    commit(store, &writes).expect("create all");
    let mut sorted = keys;
    sorted.sort_unstable();
    for prefix in [
        "",
        "/",
        "/a",
        "/a/",
        "/a/\u{10ffff}",
        "/a\u{d7ff}",
        "/\u{e4}",
        "/none",
        "\u{10ffff}",
    ] {
        let found = block_on_ready(store.list(prefix)).expect("list");
        let found: Vec<_> = found.entries.iter().map(|entry| &*entry.key).collect();
        let expected: Vec<_> = sorted
            .iter()
            .copied()
            .filter(|key| key.starts_with(prefix))
            .collect();
        assert_eq!(found, expected, "under {prefix:?}");
    }
}

fn snapshot<S: Datastore>(Subject { store, .. }: &Subject<S>) {
    let revision = commit(
        store,
        &[
            Write::put("/a/1", "1"),
            Write::put("/a/2", "2"),
            Write::put("/b", "3"),
        ],
    )
    .expect("put");
    let queries = [
        Query::key("/b"),
        Query::prefix("/a/"),
        Query::key("/a/2"),
        Query::key("/none"),
        Query::prefix("/a"),
    ];
    let snapshot = block_on_ready(store.read(&queries)).expect("read");
    assert_eq!(snapshot.revision, revision);
    let keys: Vec<_> = snapshot.entries.iter().map(|entry| &*entry.key).collect();
    assert_eq!(keys, ["/a/1", "/a/2", "/b"], "sorted, and each key once");
    assert_eq!(snapshot.get("/b").expect("asked for").value, b"3");
    assert!(snapshot.get("/none").is_none());
    assert_eq!(snapshot.with_prefix("/a/").len(), 2);
    assert!(
        block_on_ready(store.read(&[]))
            .expect("read")
            .entries
            .is_empty()
    );
}

fn atomic_transaction<S: Datastore>(Subject { store, .. }: &Subject<S>) {
    let first = commit(store, &[Write::put("/a", "1"), Write::put("/b", "1")]).expect("put");
    let second = commit(
        store,
        &[
            Write::delete("/b", Some(first)),
            Write::update("/a", "2", first),
            Write::create("/c", "2"),
        ],
    )
    .expect("all conditions hold");
    let all = block_on_ready(store.list("")).expect("list");
    assert_eq!(all.revision, second);
    assert!(
        all.entries
            .iter()
            .all(|entry| entry.revision == second && entry.value == b"2")
    );
    assert_eq!(all.entries.len(), 2);
    let refused = commit(
        store,
        &[
            Write::delete("/a", None),
            Write::create("/d", "3"),
            Write::update("/c", "3", first),
        ],
    );
    assert!(
        matches!(refused, Err(CommitError::Conflict { ref key, .. }) if &**key == "/c"),
        "{refused:?}"
    );
    assert_eq!(
        block_on_ready(store.list("")).expect("list"),
        all,
        "nothing of it was done"
    );
}

fn refusals<S: Datastore>(Subject { store, .. }: &Subject<S>) {
    for key in ["", "/a\0b"] {
        assert!(matches!(
            commit(store, &[Write::put(key, "1")]),
            Err(CommitError::InvalidKey(_))
        ));
        assert!(block_on_ready(store.get(key)).is_err());
    }
    let twice = commit(store, &[Write::check("/a", None), Write::put("/a", "1")]);
    assert!(matches!(twice, Err(CommitError::DuplicateKey { .. })));
    let large = commit(
        store,
        &[
            Write::put("/a", "1"),
            Write::put("/b", vec![0; datastore::MAX_VALUE_BYTES + 1]),
        ],
    );
    assert!(matches!(large, Err(CommitError::ValueTooLarge { .. })));
    assert_eq!(read(store, "/a"), None);
}

fn large_values<S: Datastore>(subject: &Subject<S>) {
    let Subject { store, base, .. } = subject;
    let value: Vec<u8> = (0..subject.max_value).map(|at| (at % 251) as u8).collect();
    commit(
        store,
        &[
            Write::put("/large", value.clone()),
            Write::put("/empty", ""),
        ],
    )
    .expect("put");
    assert!(read(store, "/large").expect("it stands").value == value);
    assert_eq!(
        read(store, "/empty")
            .expect("an empty value is a value")
            .value,
        b""
    );
    let events = events(&mut watch(store, &[], *base).expect("watch"), 2);
    assert!(matches!(&events[..], [Event::Put(_), Event::Put(empty)] if empty.value.is_empty()));
}

fn watch_from_a_revision<S: Datastore>(subject: &Subject<S>) {
    let Subject { store, base, .. } = subject;
    let r1 = commit(store, &[Write::put("/a/1", "1"), Write::put("/b/1", "1")]).expect("put");
    let r2 = commit(store, &[Write::put("/a/1", "2"), Write::put("/c", "2")]).expect("put");
    let r3 = commit(
        store,
        &[Write::delete("/a/1", None), Write::put("/b/1", "3")],
    )
    .expect("delete");
    let gone = Event::Delete {
        key: "/a/1".into(),
        revision: r3,
    };

    let mut all = watch(store, &["/a/", "/b/"], *base).expect("watch");
    let expected = [
        put("/a/1", b"1", r1),
        put("/b/1", b"1", r1),
        put("/a/1", b"2", r2),
        gone.clone(),
        put("/b/1", b"3", r3),
    ];
    assert_eq!(events(&mut all, 5), expected);
    assert_eq!(all.revision(), r3);
    assert!(all.try_next().expect("no events").is_empty());

    let mut later = watch(store, &["/a/"], r2).expect("watch");
    assert_eq!(events(&mut later, 1), [gone]);
    let mut elsewhere = watch(store, &["/none/"], *base).expect("watch");
    assert!(elsewhere.try_next().expect("no events").is_empty());
    if subject.place == Place::Here {
        assert_eq!(
            elsewhere.revision(),
            r3,
            "it moves on even if nothing is for it"
        );
    }
    let mut ahead = watch(store, &[], Revision::new(r3.get() + 1)).expect("watch");
    assert!(
        matches!(events(&mut ahead, 1)[..], [Event::Resync { .. }]),
        "another store's revision"
    );
    assert_eq!(store.stats().watches, 4);
}

fn watch_is_woken<S: Datastore>(Subject { store, base, .. }: &Subject<S>) {
    let mut watch = watch(store, &["/a"], *base).expect("watch");
    assert_eq!(*watch.mode(), WatchMode::Woken);
    assert!(watch.next(Duration::ZERO).expect("no events").is_empty());
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            let mut revisions = Vec::new();
            while revisions.len() < 50 {
                for event in watch.next(PATIENCE).expect("events") {
                    let Event::Put(entry) = event else {
                        panic!("unexpected {event:?}")
                    };
                    revisions.push(entry.revision);
                }
            }
            revisions
        });
        let written: Vec<_> = (0..50)
            .map(|_| commit(store, &[Write::put("/a", "1")]).expect("put"))
            .collect();
        assert_eq!(
            waiting.join().expect("the watch ends"),
            written,
            "each commit once, in order"
        );
    });
}

fn compaction<S: Datastore>(subject: &Subject<S>) {
    let Subject {
        store,
        compact,
        base,
        ..
    } = subject;
    let revisions: Vec<_> = (0..20)
        .map(|at| {
            commit(
                store,
                &[Write::put("/a", "1"), Write::put(format!("/b/{at}"), "1")],
            )
            .expect("put")
        })
        .collect();
    let gone = commit(store, &[Write::delete("/b/3", None)]).expect("delete");
    let before = block_on_ready(store.list("")).expect("list");
    let mut sleeper = watch(store, &[], revisions[2]).expect("watch");
    compact(store, 5);
    assert_eq!(
        block_on_ready(store.list("")).expect("list"),
        before,
        "compaction changes no state"
    );
    let limit = Revision::new(gone.get() - 5);
    for from in [*base, Revision::new(limit.get() - 1)] {
        let events = events(&mut watch(store, &[], from).expect("watch"), 1);
        assert_eq!(events, [Event::Resync { compacted: limit }]);
    }
    if subject.place == Place::Here {
        for _ in ["once", "and it stays so"] {
            assert_eq!(
                sleeper.next(PATIENCE).expect("events"),
                [Event::Resync { compacted: limit }]
            );
        }
    }
    let mut within = watch(store, &["/a"], limit).expect("watch");
    let expected: Vec<_> = revisions
        .iter()
        .filter(|&&at| at > limit)
        .map(|&at| put("/a", b"1", at))
        .collect();
    assert_eq!(events(&mut within, expected.len()), expected);
    compact(store, 0);
    assert_eq!(block_on_ready(store.list("")).expect("list"), before);
    let next = commit(store, &[Write::put("/a", "2")]).expect("put");
    assert_eq!(next.get(), gone.get() + 1, "a revision is never used again");
    let mut from_snapshot = watch(store, &[], before.revision).expect("watch");
    assert_eq!(
        from_snapshot.next(PATIENCE).expect("events"),
        [put("/a", b"2", next)]
    );
}

fn two_writers<S: Datastore>(Subject { store, .. }: &Subject<S>) {
    const EACH: u64 = 200;
    commit(store, &[Write::create("/counter", "0")]).expect("create");
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                for _ in 0..EACH {
                    increment(store, "/counter");
                }
            });
        }
    });
    assert_eq!(
        read(store, "/counter").expect("it stands").value,
        (2 * EACH).to_string().into_bytes()
    );
}

/// Adds one to a decimal number, by compare-and-swap until it holds.
fn increment<S: Datastore>(store: &S, key: &str) {
    loop {
        let entry = read(store, key).expect("the counter exists");
        let number: u64 = std::str::from_utf8(&entry.value)
            .expect("digits")
            .parse()
            .expect("digits");
        match block_on_ready(store.update(
            key,
            (number + 1).to_string().into_bytes(),
            entry.revision,
        )) {
            Ok(_) => return,
            Err(CommitError::Conflict { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
}
