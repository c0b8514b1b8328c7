//! What every store must do, written once over the trait and run on each of them.

mod suite;

use std::cell::Cell;

use datastore::{EmbeddedStore, MemoryStore};

#[test]
fn memory_conforms() {
    suite::run(&|| suite::Subject {
        store: MemoryStore::new(),
        compact: Box::new(|store, keep| store.compact(keep)),
    });
}

#[test]
fn embedded_conforms() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let number = Cell::new(0);
    suite::run(&|| {
        number.set(number.get() + 1);
        let path = directory.path().join(format!("{}.db", number.get()));
        suite::Subject {
            store: EmbeddedStore::open(path).expect("a new store"),
            compact: Box::new(|store, keep| store.compact(keep).expect("compaction")),
        }
    });
}
