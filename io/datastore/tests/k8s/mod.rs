//! What the tests of the Kubernetes store share.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use datastore::{
    CommitError, Datastore, Entry, Feed, FeedEvent, KubernetesSettings, KubernetesStore, Revision,
    Write, block_on_ready,
};
use serde_json::{Value, json};
use testkit::servers::{RealKubernetes, User};

/// Long enough for any wake-up; only a failing test waits it out.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) const ROOT: &str = "/calico/resources/v3/projectcalico.org/";

pub(crate) fn open(server: &RealKubernetes, user: User) -> KubernetesStore {
    let settings = KubernetesSettings {
        kubeconfig: Some(server.kubeconfig(user).display().to_string()),
        ..KubernetesSettings::default()
    };
    KubernetesStore::open(&settings, PATIENCE).expect("a usable kubeconfig")
}

pub(crate) fn read(store: &KubernetesStore, key: &str) -> Option<Entry> {
    block_on_ready(store.get(key)).expect("a readable store")
}

pub(crate) fn commit(store: &KubernetesStore, writes: &[Write]) -> Result<Revision, CommitError> {
    block_on_ready(store.commit(writes))
}

pub(crate) fn json_of(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).expect("JSON")
}

/// A pool's key and value.
pub(crate) fn pool(name: &str, cidr: &str) -> (String, Vec<u8>) {
    let value = json!({
        "apiVersion": "projectcalico.org/v3",
        "kind": "IPPool",
        "metadata": {"name": name},
        "spec": {"cidr": cidr, "blockSize": 26, "ipipMode": "Never", "vxlanMode": "Never", "nodeSelector": "all()", "allowedUses": ["Workload"]},
    });
    (
        format!("{ROOT}ippools/{name}"),
        value.to_string().into_bytes(),
    )
}

/// Waits for a condition.
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// What a feed has said.
#[derive(Default)]
pub(crate) struct World {
    pub(crate) entries: BTreeMap<String, Entry>,
    pub(crate) synced: bool,
}

impl World {
    /// Takes in what the feed has to say now.
    pub(crate) fn take(&mut self, feed: &mut Feed) -> &Self {
        loop {
            let events = feed.poll();
            if events.is_empty() {
                return self;
            }
            for event in events {
                match event {
                    FeedEvent::Put(entry) => {
                        self.entries.insert(entry.key.to_string(), entry);
                    }
                    FeedEvent::Delete { key } => {
                        self.entries.remove(&*key);
                    }
                    FeedEvent::InSync => {
                        assert!(!self.synced, "it comes once");
                        self.synced = true;
                    }
                }
            }
        }
    }

    pub(crate) fn keys(&self) -> BTreeSet<String> {
        self.entries.keys().cloned().collect()
    }
}
