//! The log does not grow without end, and what is kept of it is exact.

use std::collections::BTreeMap;

use datastore::{EmbeddedStore, Event, Options, Query, Revision, Write};

const KEEP: u64 = 50;
const COMMITS: u64 = 640;
/// Writers look at every 64th commit whether there is something to forget.
const SLACK: u64 = 64;

#[test]
fn writers_compact_as_they_go() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("datastore.db");
    let options = Options {
        keep_commits: KEEP,
        ..Options::default()
    };
    let store = EmbeddedStore::open_with(&path, options).expect("a new store");
    let mut model = BTreeMap::new();
    for at in 1..=COMMITS {
        let mut writes = vec![Write::put(format!("/put/{}", at % 7), at.to_string())];
        model.insert(format!("/put/{}", at % 7), at.to_string());
        let comes_and_goes = format!("/now/{}", at % 3);
        if model.remove(&comes_and_goes).is_some() {
            writes.push(Write::delete(comes_and_goes, None));
        } else {
            model.insert(comes_and_goes.clone(), at.to_string());
            writes.push(Write::create(comes_and_goes, at.to_string()));
        }
        store.commit_sync(&writes).expect("a commit");
    }

    let all = store.read_sync(&[Query::prefix("")]).expect("readable");
    let found: BTreeMap<_, _> = all
        .entries
        .iter()
        .map(|entry| {
            (
                entry.key.to_string(),
                String::from_utf8_lossy(&entry.value).into_owned(),
            )
        })
        .collect();
    assert_eq!(found, model);

    let connection = rusqlite::Connection::open(&path).expect("it opens");
    let rows: i64 = connection
        .query_row("SELECT count(*) FROM log", [], |row| row.get(0))
        .expect("a count");
    assert!(
        rows.cast_unsigned() <= 2 * (KEEP + SLACK) + model.len() as u64,
        "{rows} rows are left of {}",
        2 * COMMITS
    );

    let mut late = store
        .watch_sync(&[], Revision::new(COMMITS - KEEP - SLACK - 1))
        .expect("watch");
    let events = late.try_next().expect("events");
    assert!(matches!(events[..], [Event::Resync { .. }]), "too late");
    let mut in_time = store
        .watch_sync(&[], Revision::new(COMMITS - KEEP))
        .expect("watch");
    assert_eq!(
        in_time.try_next().expect("events").len() as u64,
        2 * KEEP,
        "every change of every commit kept"
    );
    EmbeddedStore::check(&path).expect("a sound file");
}

#[test]
fn a_long_log_comes_in_batches_of_whole_commits() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let store = EmbeddedStore::open(directory.path().join("datastore.db")).expect("a new store");
    for commit in 0..7 {
        let writes: Vec<_> = (0..1500)
            .map(|at| Write::put(format!("/{at}"), commit.to_string()))
            .collect();
        store.commit_sync(&writes).expect("a commit");
    }
    let mut watch = store.watch_sync(&[], Revision::ZERO).expect("watch");
    let mut sizes = Vec::new();
    while sizes.iter().sum::<usize>() < 7 * 1500 {
        let events = watch.try_next().expect("events");
        let last = events.last().map(|event| {
            let Event::Put(entry) = event else {
                panic!("unexpected {event:?}")
            };
            entry.revision
        });
        assert_eq!(
            Some(watch.revision()),
            last,
            "it can be continued from the end of a batch"
        );
        sizes.push(events.len());
    }
    assert_eq!(sizes, [4500, 4500, 1500]);
    assert!(watch.try_next().expect("no events").is_empty());
}
