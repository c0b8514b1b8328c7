//! What every store must do, written once over the trait and run on each of them.

mod suite;

use datastore::MemoryStore;

#[test]
fn memory_conforms() {
    suite::run(&|| suite::Subject {
        store: MemoryStore::new(),
        compact: Box::new(|store, keep| store.compact(keep)),
    });
}
