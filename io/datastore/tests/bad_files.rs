//! Files that are not what they should be: one clear error each, and nothing half-done.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use datastore::{
    BackupError, Close, CommitError, Datastore, EmbeddedStore, Event, Missing, Options, Query,
    ReadError, Revision, StorageError, WatchError, Write, block_on_ready,
};
use tempfile::TempDir;

struct Place {
    directory: TempDir,
}

impl Place {
    fn new() -> Self {
        Self {
            directory: tempfile::tempdir().expect("a temporary directory"),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn store(&self) -> (PathBuf, EmbeddedStore) {
        let path = self.path("datastore.db");
        let store = EmbeddedStore::open(&path).expect("a new store");
        (path, store)
    }
}

fn refused(path: &Path) -> StorageError {
    EmbeddedStore::open(path).err().expect("it is refused")
}

/// Every error names the file, and says what to do after a colon.
fn says(error: &StorageError, path: &Path, words: &str) {
    let text = error.to_string();
    assert!(text.contains(path.to_str().expect("UTF-8")), "{text}");
    assert!(text.contains(words), "{text}");
}

fn put(store: &EmbeddedStore, key: &str) -> Result<Revision, CommitError> {
    store.commit_sync(&[Write::put(key, "1")])
}

#[test]
fn a_new_store_is_for_its_owner_only() {
    let place = Place::new();
    let path = place.path("var/lib/calico/datastore.db");
    let store = EmbeddedStore::open(&path).expect("a new store");
    put(&store, "/a").expect("put");
    for suffix in ["", "-wal", "-shm"] {
        let file = PathBuf::from(format!("{}{suffix}", path.display()));
        assert_eq!(
            fs::metadata(&file).expect("it exists").mode() & 0o777,
            0o600,
            "{}",
            file.display()
        );
    }
    assert_eq!(
        fs::metadata(path.parent().expect("a directory"))
            .expect("it exists")
            .mode()
            & 0o777,
        0o755
    );
}

#[test]
fn a_missing_file_can_be_refused() {
    let place = Place::new();
    let path = place.path("none/datastore.db");
    let options = Options {
        missing: Missing::Refuse,
        ..Options::default()
    };
    let error = EmbeddedStore::open_with(&path, options)
        .err()
        .expect("it is refused");
    assert!(matches!(error, StorageError::Missing { .. }));
    says(&error, &path, "there is no datastore");
    assert!(!place.path("none").exists());
}

#[test]
fn what_is_no_store_is_refused_and_left_alone() {
    let place = Place::new();
    let text = place.path("text");
    let content = "not a database, and long enough to be taken for one: ".repeat(100);
    fs::write(&text, &content).expect("a file");
    says(
        &refused(&text),
        &text,
        "is not a calico datastore (it is not an SQLite database)",
    );
    assert_eq!(fs::read_to_string(&text).expect("readable"), content);

    let other = place.path("other.db");
    rusqlite::Connection::open(&other)
        .and_then(|db| db.execute_batch("CREATE TABLE a (x)"))
        .expect("a database");
    says(
        &refused(&other),
        &other,
        "it is a database of another program",
    );

    let directory = place.path("directory");
    fs::create_dir(&directory).expect("a directory");
    says(&refused(&directory), &directory, "it is not a regular file");

    let below = text.join("datastore.db");
    let error = refused(&below);
    assert!(
        matches!(
            error,
            StorageError::Directory { .. } | StorageError::Io { .. }
        ),
        "{error:?}"
    );
}

#[test]
fn an_empty_file_becomes_a_store() {
    let place = Place::new();
    let path = place.path("datastore.db");
    fs::write(&path, "").expect("a file");
    put(&EmbeddedStore::open(&path).expect("it opens"), "/a").expect("put");
}

#[test]
fn a_newer_format_is_refused_at_open_and_while_open() {
    let place = Place::new();
    let (path, store) = place.store();
    let mut watch = store.watch_sync(&[], Revision::ZERO).expect("watch");
    let newer = rusqlite::Connection::open(&path).expect("it opens");
    newer
        .pragma_update(None, "user_version", 99)
        .expect("upgraded");
    let error = refused(&path);
    assert!(
        matches!(error, StorageError::Newer { found: 99, .. }),
        "{error:?}"
    );
    says(&error, &path, "has format 99, this build knows up to");
    let newer = |error: &StorageError| matches!(error, StorageError::Newer { .. });
    assert!(matches!(put(&store, "/a"), Err(CommitError::Storage(error)) if newer(&error)));
    assert!(
        matches!(block_on_ready(store.get("/a")), Err(ReadError::Storage(error)) if newer(&error))
    );
    assert!(matches!(watch.try_next(), Err(WatchError::Storage(error)) if newer(&error)));
}

#[test]
fn a_damaged_file_is_called_damaged() {
    let place = Place::new();
    let (path, store) = place.store();
    for at in 0..200 {
        store
            .commit_sync(&[Write::put(format!("/{at}"), vec![b'x'; 500])])
            .expect("put");
    }
    store.checkpoint().expect("checkpoint");
    drop(store);
    let mut content = fs::read(&path).expect("readable");
    let half = content.len() / 2;
    content[4096..half].fill(0xa5);
    fs::write(&path, content).expect("writable");
    let _ = fs::remove_file(format!("{}-wal", path.display()));
    let found = EmbeddedStore::open(&path)
        .map_err(ReadError::from)
        .and_then(|store| store.read_sync(&[Query::prefix("/")]));
    let Err(ReadError::Storage(error)) = found else {
        panic!("{found:?}")
    };
    assert!(matches!(error, StorageError::Corrupt { .. }), "{error:?}");
    says(&error, &path, "restore a backup");
    assert!(matches!(
        EmbeddedStore::check(&path),
        Err(BackupError::Storage(StorageError::Corrupt { .. }))
    ));
}

#[test]
fn a_lock_that_is_not_given_up_is_an_error_in_time() {
    let place = Place::new();
    let (path, first) = place.store();
    put(&first, "/a").expect("put");
    let options = Options {
        lock_timeout: Duration::from_millis(200),
        ..Options::default()
    };
    let store = EmbeddedStore::open_with(&path, options).expect("it opens");
    let other = rusqlite::Connection::open(&path).expect("it opens");
    other.execute_batch("BEGIN IMMEDIATE").expect("the lock");
    let begun = Instant::now();
    let error = match put(&store, "/b") {
        Err(CommitError::Storage(error @ StorageError::Locked { .. })) => error,
        other => panic!("{other:?}"),
    };
    assert!(
        (200..5000).contains(&begun.elapsed().as_millis()),
        "{:?}",
        begun.elapsed()
    );
    says(
        &error,
        &path,
        "has been locked by another thread of this process for 0.2 s",
    );
    assert!(
        block_on_ready(store.get("/a"))
            .expect("reads need no lock")
            .is_some()
    );
    other
        .execute_batch("ROLLBACK")
        .expect("the lock is given up");
    put(&store, "/b").expect("put");
}

#[test]
fn a_deleted_file_is_not_made_anew_by_those_who_used_it() {
    let place = Place::new();
    let (path, store) = place.store();
    put(&store, "/a").expect("put");
    let mut watch = store.watch_sync(&[], Revision::new(1)).expect("watch");
    assert!(watch.try_next().expect("nothing").is_empty());
    let away = place.path("away.db");
    fs::rename(&path, &away).expect("moved away");
    let deleted = |error: &StorageError| matches!(error, StorageError::Deleted { .. });
    for _ in 0..2 {
        assert!(matches!(put(&store, "/b"), Err(CommitError::Storage(error)) if deleted(&error)));
        assert!(
            matches!(block_on_ready(store.get("/a")), Err(ReadError::Storage(error)) if deleted(&error))
        );
        assert!(
            matches!(watch.next(Duration::ZERO), Err(WatchError::Storage(error)) if deleted(&error))
        );
        assert!(!path.exists());
    }
    fs::rename(&away, &path).expect("put back");
    assert!(
        block_on_ready(store.get("/a"))
            .expect("it goes on")
            .is_some()
    );
    put(&store, "/b").expect("put");
    assert!(matches!(
        &watch.try_next().expect("events")[..],
        [Event::Put(_)]
    ));
}

#[test]
fn a_replaced_file_is_noticed_and_opened() {
    let place = Place::new();
    let (path, store) = place.store();
    put(&store, "/old").expect("put");
    let mut watch = store.watch_sync(&[], Revision::new(1)).expect("watch");
    assert!(watch.try_next().expect("nothing").is_empty());
    let other = place.path("other.db");
    let new = EmbeddedStore::open(&other).expect("a new store");
    put(&new, "/new").expect("put");
    let backup = place.path("backup.db");
    assert_eq!(new.backup(&backup).expect("a backup").entries, 1);
    drop(new);
    for suffix in ["-wal", "-shm"] {
        fs::remove_file(format!("{}{suffix}", path.display()))
            .expect("removed, as the manual says");
    }
    fs::rename(&backup, &path).expect("restored");
    let events = watch.next(Duration::from_secs(10)).expect("events");
    assert!(matches!(events[..], [Event::Resync { .. }]), "{events:?}");
    let error = put(&store, "/x").expect_err("what it rests on was read from another file");
    assert!(
        matches!(error, CommitError::Storage(StorageError::Replaced { .. })),
        "{error:?}"
    );
    assert!(
        block_on_ready(store.get("/old"))
            .expect("readable")
            .is_none()
    );
    assert!(
        block_on_ready(store.get("/new"))
            .expect("readable")
            .is_some()
    );
    put(&store, "/x").expect("put");
    assert_eq!(
        EmbeddedStore::check(&path).expect("sound").revision,
        Revision::new(2)
    );
}

#[test]
fn a_link_leads_to_the_file() {
    let place = Place::new();
    let (path, store) = place.store();
    let link = place.path("link.db");
    symlink(&path, &link).expect("a link");
    let linked = EmbeddedStore::open(&link).expect("it opens");
    let mut watch = linked.watch_sync(&[], Revision::ZERO).expect("watch");
    assert!(watch.try_next().expect("nothing").is_empty());
    put(&store, "/a").expect("put");
    assert_eq!(
        watch.next(Duration::from_secs(10)).expect("events").len(),
        1
    );
}

#[test]
fn a_backup_is_whole_and_never_overwrites() {
    let place = Place::new();
    let (path, store) = place.store();
    for at in 0..100 {
        store
            .commit_sync(&[Write::put(format!("/{at}"), vec![b'x'; 2000])])
            .expect("put");
    }
    let target = place.path("backup.db");
    let report = store.backup(&target).expect("a backup");
    assert_eq!((report.entries, report.revision), (100, Revision::new(100)));
    assert_eq!(
        fs::metadata(&target)
            .expect("it exists")
            .permissions()
            .mode()
            & 0o777,
        0o600
    );
    assert_eq!(EmbeddedStore::check(&target).expect("sound"), report);
    assert!(matches!(
        store.backup(&target),
        Err(BackupError::Exists { .. })
    ));
    assert!(matches!(
        store.backup(&path),
        Err(BackupError::Exists { .. })
    ));
    assert!(matches!(
        store.backup(&place.path("none/b.db")),
        Err(BackupError::Write { .. })
    ));
    let restored = EmbeddedStore::open(&target).expect("a backup is a store");
    let query = [Query::prefix("/")];
    assert_eq!(
        restored.read_sync(&query).expect("readable"),
        store.read_sync(&query).expect("readable")
    );
    put(&restored, "/more").expect("and can be written");
    let names: Vec<_> = fs::read_dir(place.directory.path())
        .expect("readable")
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.contains("partial"))
        .collect();
    assert!(names.is_empty(), "{names:?}");
}

#[test]
fn the_last_to_close_leaves_one_file() {
    let place = Place::new();
    let (path, store) = place.store();
    put(&store, "/a").expect("put");
    let quick = EmbeddedStore::open_with(
        &path,
        Options {
            close: Close::Leave,
            ..Options::default()
        },
    )
    .expect("it opens");
    put(&quick, "/b").expect("put");
    drop((store, quick));
    let log = PathBuf::from(format!("{}-wal", path.display()));
    assert!(log.exists(), "the quick one was the last");
    drop(EmbeddedStore::open(&path).expect("it opens"));
    assert!(!log.exists());
    assert_eq!(EmbeddedStore::check(&path).expect("sound").entries, 2);
}

#[test]
fn a_restore_is_a_commit_that_everyone_follows() {
    let place = Place::new();
    let (path, store) = place.store();
    let write = |key: &str, value: &str| store.commit_sync(&[Write::put(key, value)]).expect("put");
    for key in ["/same", "/changed", "/gone"] {
        write(key, "1");
    }
    let backup = place.path("backup.db");
    store.backup(&backup).expect("a backup");
    write("/changed", "2");
    write("/added", "2");
    store
        .commit_sync(&[Write::delete("/gone", None)])
        .expect("delete");
    let other = EmbeddedStore::open(&path).expect("it opens");
    let mut watch = other.watch_sync(&[], Revision::new(6)).expect("watch");
    let report = store.restore(&backup).expect("a restore");
    assert_eq!(
        (report.revision, report.written, report.removed),
        (Revision::new(7), 2, 1)
    );
    assert_eq!(
        watch.next(Duration::from_secs(10)).expect("events").len(),
        3
    );
    let all = other.read_sync(&[Query::prefix("")]).expect("readable");
    let keys: Vec<_> = all.entries.iter().map(|entry| &*entry.key).collect();
    assert_eq!(keys, ["/changed", "/gone", "/same"]);
    assert!(all.entries.iter().all(|entry| entry.value == b"1"));
    let text = place.path("text");
    fs::write(&text, "no backup").expect("a file");
    assert!(matches!(
        store.restore(&text),
        Err(BackupError::Storage(StorageError::Foreign { .. }))
    ));
}
