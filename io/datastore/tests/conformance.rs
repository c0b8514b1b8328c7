//! What every store must do, written once over the trait and run on each of them.

mod etcd;
mod suite;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use datastore::{EmbeddedStore, EtcdStore, MemoryStore};
use suite::objects::{self, Lab};
use testkit::servers::{Guard, RealEtcd};

const PATIENCE: Duration = Duration::from_secs(10);

#[test]
fn memory_conforms() {
    suite::run(&|| {
        let compact = |store: &MemoryStore, keep| store.compact(keep);
        suite::Subject::here(MemoryStore::new(), Box::new(compact))
    });
}

#[test]
fn embedded_conforms() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let number = Cell::new(0);
    suite::run(&|| {
        number.set(number.get() + 1);
        let path = directory.path().join(format!("{}.db", number.get()));
        let compact = |store: &EmbeddedStore, keep| store.compact(keep).expect("compaction");
        let store = EmbeddedStore::open(path).expect("a new store");
        suite::Subject::here(store, Box::new(compact))
    });
}

#[test]
fn memory_keeps_objects() {
    objects::run::<MemoryStore>(&|check| {
        let store = MemoryStore::new();
        check(Lab {
            store: store.clone(),
            again: &|| store.clone(),
            restart: None,
            many: objects::many_by_default(),
        });
    });
}

#[test]
fn embedded_keeps_objects() {
    objects::run::<EmbeddedStore>(&|check| {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let open = || EmbeddedStore::open(directory.path().join("d.db")).expect("a store");
        check(Lab {
            store: open(),
            again: &open,
            restart: None,
            many: objects::many_by_default(),
        });
    });
}

fn etcd_keeps_objects(guard: Guard) {
    let Some(server) = RealEtcd::start(guard) else {
        return;
    };
    let settings = etcd::settings(&server, guard);
    let server = RefCell::new(server);
    let open = || EtcdStore::open(&settings, PATIENCE).expect("settings of a store");
    objects::run::<EtcdStore>(&|check| {
        server.borrow().clear();
        check(Lab {
            store: open(),
            again: &open,
            restart: Some(&|| server.borrow_mut().restart()),
            many: objects::many_by_default(),
        });
    });
}

#[test]
fn etcd_keeps_objects_in_the_open() {
    etcd_keeps_objects(Guard::Open);
}

#[test]
fn etcd_keeps_objects_by_tls() {
    etcd_keeps_objects(Guard::Tls);
}

#[test]
fn etcd_keeps_objects_by_password() {
    etcd_keeps_objects(Guard::Password);
}

/// One server for all checks: it is emptied before each.
fn etcd_conforms(guard: Guard) {
    let Some(server) = RealEtcd::start(guard) else {
        return;
    };
    let server = Rc::new(server);
    let settings = etcd::settings(&server, guard);
    suite::run(&|| {
        server.clear();
        let store = EtcdStore::open(&settings, PATIENCE).expect("settings of a store");
        let server = server.clone();
        let compact = move |_: &EtcdStore, keep: u64| {
            // Etcd names the first revision that stays, and keeps the last one always.
            let head = server.revision();
            assert!(server.compact((head - keep + 1).min(head)));
        };
        suite::Subject::elsewhere(store, Box::new(compact))
    });
}

#[test]
fn etcd_conforms_in_the_open() {
    etcd_conforms(Guard::Open);
}

#[test]
fn etcd_conforms_by_tls() {
    etcd_conforms(Guard::Tls);
}
