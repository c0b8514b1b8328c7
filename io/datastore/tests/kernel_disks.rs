//! Disks that are full or read-only, and files of other users: real ones, mounted in a mount namespace of a process of their own, so that nothing
//! is left behind whatever happens.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use datastore::{
    BackupError, CommitError, Datastore, EmbeddedStore, Query, Revision, StorageError, WatchMode,
    Write, block_on_ready,
};

const INSIDE: &str = "DATASTORE_TEST_MOUNTS";

/// Runs `work` in a directory of a process with its own mounts, by starting this very test again in there.
fn with_own_mounts(test: &str, work: fn(&Path)) {
    if let Some(directory) = std::env::var_os(INSIDE) {
        return work(&PathBuf::from(directory));
    }
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: {test} mounts file systems, which takes root");
        return;
    }
    let directory = tempfile::tempdir().expect("a temporary directory");
    let output = Command::new("unshare")
        .arg("--mount")
        .arg(std::env::current_exe().expect("this binary"))
        .args(["--exact", test, "--nocapture"])
        .env(INSIDE, directory.path())
        .output()
        .expect("unshare runs");
    eprintln!("{}", String::from_utf8_lossy(&output.stderr));
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stdout)
    );
}

fn run(command: &mut Command) {
    assert!(command.status().expect("it runs").success(), "{command:?}");
}

fn mount_tmpfs(directory: &Path, size: &str) {
    run(Command::new("mount")
        .args(["-t", "tmpfs", "-o", size, "none"])
        .arg(directory));
}

#[test]
fn a_full_disk_loses_nothing() {
    with_own_mounts("a_full_disk_loses_nothing", |directory| {
        mount_tmpfs(directory, "size=1m");
        let path = directory.join("datastore.db");
        let store = EmbeddedStore::open(&path).expect("a new store");
        let mut stored = 0;
        let error = loop {
            let writes =
                [0, 1].map(|half| Write::create(format!("/{stored}/{half}"), vec![b'x'; 20_000]));
            match store.commit_sync(&writes) {
                Ok(_) => stored += 1,
                Err(error) => break error,
            }
        };
        assert!(
            matches!(error, CommitError::Storage(StorageError::DiskFull { .. })),
            "{error:?}"
        );
        assert!(
            error.to_string().contains("no space left on the disk"),
            "{error}"
        );
        let state =
            |store: &EmbeddedStore| store.read_sync(&[Query::prefix("")]).expect("readable");
        assert_eq!(
            state(&store).entries.len(),
            2 * stored,
            "whole transactions"
        );
        assert_eq!(state(&store).revision, Revision::new(stored as u64));
        let target = directory.join("backup.db");
        assert!(matches!(
            store.backup(&target),
            Err(BackupError::Write { .. })
        ));
        assert_eq!(
            fs::read_dir(directory).expect("readable").count(),
            3,
            "no part of a backup is left"
        );
        let again = EmbeddedStore::open(&path).expect("it opens");
        assert_eq!(state(&again), state(&store));
        run(Command::new("mount")
            .args(["-o", "remount,size=4m"])
            .arg(directory));
        store
            .commit_sync(&[Write::create("/more", vec![b'x'; 20_000])])
            .expect("there is room");
        assert_eq!(
            EmbeddedStore::check(&path).expect("sound").entries,
            2 * stored as u64 + 1
        );
    });
}

#[test]
fn no_room_for_a_new_store() {
    with_own_mounts("no_room_for_a_new_store", |directory| {
        mount_tmpfs(directory, "size=512k");
        let filler = directory.join("filler");
        let mut file = fs::File::create(&filler).expect("a file");
        while file.write_all(&[0; 4096]).is_ok() {}
        let path = directory.join("datastore.db");
        let error = EmbeddedStore::open(&path).err().expect("no room");
        assert!(matches!(error, StorageError::DiskFull { .. }), "{error:?}");
        drop(file);
        fs::remove_file(&filler).expect("removed");
        let store = EmbeddedStore::open(&path).expect("there is room");
        store.commit_sync(&[Write::put("/a", "1")]).expect("put");
    });
}

#[test]
fn a_read_only_disk_can_be_read_at_most() {
    with_own_mounts("a_read_only_disk_can_be_read_at_most", |directory| {
        mount_tmpfs(directory, "size=4m");
        let path = directory.join("datastore.db");
        let store = EmbeddedStore::open(&path).expect("a new store");
        store.commit_sync(&[Write::put("/a", "1")]).expect("put");
        drop(store);
        run(Command::new("mount")
            .args(["-o", "remount,ro"])
            .arg(directory));
        let missing = EmbeddedStore::open(directory.join("new.db"))
            .err()
            .expect("it cannot be made");
        assert!(
            matches!(missing, StorageError::ReadOnly { .. }),
            "{missing:?}"
        );
        match EmbeddedStore::open(&path) {
            Err(error) => assert!(matches!(error, StorageError::ReadOnly { .. }), "{error:?}"),
            Ok(store) => {
                assert!(block_on_ready(store.get("/a")).expect("readable").is_some());
                let error = store
                    .commit_sync(&[Write::put("/a", "2")])
                    .expect_err("read-only");
                assert!(
                    matches!(error, CommitError::Storage(StorageError::ReadOnly { .. })),
                    "{error:?}"
                );
            }
        }
    });
}

#[test]
fn a_file_that_may_not_be_changed_says_so() {
    with_own_mounts("a_file_that_may_not_be_changed_says_so", |directory| {
        let path = directory.join("datastore.db");
        drop(EmbeddedStore::open(&path).expect("a new store"));
        run(Command::new("mount").arg("--bind").arg(&path).arg(&path));
        run(Command::new("mount")
            .args(["-o", "remount,bind,ro"])
            .arg(&path));
        let store = EmbeddedStore::open(&path).expect("it can be read");
        let error = store
            .commit_sync(&[Write::put("/a", "1")])
            .expect_err("read-only");
        assert!(
            matches!(error, CommitError::Storage(StorageError::ReadOnly { .. })),
            "{error:?}"
        );
    });
}

#[test]
fn changes_are_told_on_tmpfs_and_overlay() {
    with_own_mounts("changes_are_told_on_tmpfs_and_overlay", |directory| {
        mount_tmpfs(directory, "size=16m");
        for name in ["lower", "upper", "work", "merged"] {
            fs::create_dir(directory.join(name)).expect("a directory");
        }
        // The file is there before the overlay is, as in a container's image.
        let lower = directory.join("lower/datastore.db");
        drop(EmbeddedStore::open(&lower).expect("a new store"));
        let at = |name: &str| directory.join(name).display().to_string();
        let options = format!(
            "lowerdir={},upperdir={},workdir={}",
            at("lower"),
            at("upper"),
            at("work")
        );
        let overlay = Command::new("mount")
            .args(["-t", "overlay", "-o", &options, "none", &at("merged")])
            .status()
            .expect("mount runs");
        let mut paths = vec![directory.join("plain.db")];
        if overlay.success() {
            paths.push(directory.join("merged/datastore.db"));
        } else {
            eprintln!("SKIPPED: this kernel mounts no overlay");
        }
        for path in paths {
            let store = EmbeddedStore::open(&path).expect("it opens");
            let mut watch = store.watch_sync(&[], Revision::ZERO).expect("watch");
            assert!(watch.try_next().expect("nothing").is_empty());
            assert_eq!(*watch.mode(), WatchMode::Woken, "{}", path.display());
            store.commit_sync(&[Write::put("/a", "1")]).expect("put");
            assert_eq!(
                watch
                    .next(std::time::Duration::from_secs(10))
                    .expect("events")
                    .len(),
                1
            );
        }
    });
}

/// The error of opening `path` as a user without privileges.
fn refused_to_nobody(path: PathBuf) -> StorageError {
    std::thread::spawn(move || {
        // Of this thread only, and for the rest of its life.
        let nobody = rustix::thread::Uid::from_raw(65534);
        rustix::thread::set_thread_res_uid(nobody, nobody, nobody).expect("root may become anyone");
        EmbeddedStore::open(path).err().expect("it is refused")
    })
    .join()
    .expect("the thread ends")
}

#[test]
fn other_users_are_refused() {
    with_own_mounts("other_users_are_refused", |directory| {
        fs::set_permissions(directory, fs::Permissions::from_mode(0o755)).expect("the owner may");
        let path = directory.join("datastore.db");
        let store = EmbeddedStore::open(&path).expect("a new store");
        let permission = |error: &StorageError| matches!(error, StorageError::Permission { .. });
        let error = refused_to_nobody(path.clone());
        assert!(permission(&error), "{error:?}");
        assert!(
            error.to_string().contains("no permission to use datastore"),
            "{error}"
        );
        let error = refused_to_nobody(directory.join("new.db"));
        assert!(permission(&error), "{error:?}");
        let error = refused_to_nobody(directory.join("new/new.db"));
        assert!(matches!(error, StorageError::Directory { .. }), "{error:?}");
        drop(store);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).expect("the owner may");
        let error = refused_to_nobody(path);
        assert!(matches!(error, StorageError::ReadOnly { .. }), "{error:?}");
        assert!(
            error
                .to_string()
                .contains("its directory and file must be writable"),
            "{error}"
        );
    });
}
