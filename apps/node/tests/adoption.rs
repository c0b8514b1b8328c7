//! A cluster that upstream laid down is used as it is: an agent that finds nothing missing writes nothing.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use datastore::{
    AnyStore, Datastore, EmbeddedStore, Entry, StoreChoice, StoreRequest, Write, block_on_ready,
};
use node::settings::Settings;
use node::startup::{HostFacts, run};
use tempfile::TempDir;
use testkit::servers::{Guard, RealEtcd};

fn settings(dir: &TempDir, address: &str) -> Settings {
    let at = |name: &str| dir.path().join(name).display().to_string();
    let env = [
        ("NODENAME", "node2".to_owned()),
        ("IP", address.to_owned()),
        ("CALICO_NODENAME_FILE", at("nodename")),
        ("CALICO_MTU_FILE", at("mtu")),
        ("CALICO_FELIX_CONFIG_FILE", at("felix.cfg")),
        ("FELIX_ENDPOINTSTATUSPATHPREFIX", at("run")),
    ];
    let env = env.map(|(name, value)| (name.to_owned(), value));
    Settings::new(env.into(), "host")
}

fn start(store: &AnyStore, address: &str) {
    let dir = TempDir::new().unwrap();
    let host = HostFacts {
        interfaces: Vec::new(),
        reach: |_| None,
    };
    run(&settings(&dir, address), store, &host).unwrap();
}

fn all(store: &AnyStore) -> Vec<Entry> {
    block_on_ready(store.list("/calico/")).unwrap().entries
}

fn adopted(store: &AnyStore) {
    let before = all(store);
    // What the Node says, and what it says of itself if it is not asked.
    for address in ["192.0.2.12/24", "none"] {
        start(store, address);
        assert_eq!(all(store), before, "IP={address}");
    }
    // What does differ is written, and nothing else.
    start(store, "192.0.2.13/24");
    let changed: Vec<Entry> = all(store)
        .into_iter()
        .filter(|entry| !before.contains(entry))
        .collect();
    let keys: Vec<&str> = changed.iter().map(|entry| &*entry.key).collect();
    assert_eq!(keys, ["/calico/resources/v3/projectcalico.org/nodes/node2"]);
}

#[test]
fn in_the_embedded_store() {
    let dir = TempDir::new().unwrap();
    let store = EmbeddedStore::open(dir.path().join("store.db")).unwrap();
    let writes: Vec<Write> = testkit::upstream::entries()
        .map(|(key, value)| Write::create(key, value))
        .collect();
    block_on_ready(store.commit(&writes)).unwrap();
    adopted(&AnyStore::Embedded(store));
}

#[test]
fn in_etcd() {
    let Some(server) = RealEtcd::start(Guard::Open) else {
        return;
    };
    for (key, value) in testkit::upstream::entries() {
        server.etcdctl(&["put", "--", key, value]);
    }
    let environment = [
        ("DATASTORE_TYPE".to_owned(), "etcdv3".to_owned()),
        ("ETCD_ENDPOINTS".to_owned(), server.url()),
    ];
    let request = StoreRequest {
        environment: environment.into(),
        ..StoreRequest::default()
    };
    adopted(&StoreChoice::of(&request).unwrap().open_existing().unwrap());
}
