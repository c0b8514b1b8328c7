//! A cluster as upstream keeps it in etcd, moved from store to store through files.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

#[expect(dead_code, reason = "these tests name their stores themselves")]
mod support;

use datastore::{Datastore, EmbeddedStore, Entry, Write, block_on_ready};
use support::{Ended, Lab};

/// Two stores, one of which holds upstream's cluster.
struct Move {
    lab: Lab,
}

impl Move {
    fn new() -> Move {
        let lab = Lab::new();
        let store = EmbeddedStore::open(lab.path("old.db")).unwrap();
        let writes: Vec<Write> = testkit::upstream::entries()
            .map(|(key, value)| Write::create(key, value))
            .collect();
        block_on_ready(store.commit(&writes)).unwrap();
        Move { lab }
    }

    fn quiet(&self, store: &str, args: &[&str], stdin: &str) -> Ended {
        let path = self.lab.path(store);
        let environment = [("CALICO_DATASTORE_FILE", path.to_str().unwrap())];
        self.lab.in_environment(args, stdin, &environment)
    }

    fn run(&mut self, store: &str, args: &[&str], stdin: &str) -> Ended {
        let ended = self.quiet(store, args, stdin);
        let mut words = vec![store, "|"];
        words.extend(args);
        self.lab.note(&words, &ended);
        ended
    }

    /// A file for a kind of store.
    fn export(&self, store: &str, to: &str) -> String {
        let ended = self.quiet(store, &["datastore", "migrate", "export", "--to", to], "");
        assert_eq!((ended.code, ended.err.as_str()), (0, ""));
        ended.out
    }

    fn all(&self, store: &str) -> Vec<Entry> {
        let store = EmbeddedStore::open(self.lab.path(store)).unwrap();
        block_on_ready(store.list("")).unwrap().entries
    }
}

const LOCK: [&str; 3] = ["datastore", "migrate", "lock"];
const IMPORT: [&str; 5] = ["datastore", "migrate", "import", "-f", "-"];

/// The lines of two files that differ, but for what each store gives of its own.
fn differences(one: &str, other: &str) -> Vec<String> {
    let stable = |file: &str| -> Vec<String> {
        let own = |line: &&str| {
            let line = line.trim_start().trim_start_matches('"');
            let names = ["resourceVersion", "uid", "creationTimestamp"];
            !names.iter().any(|start| line.starts_with(start))
        };
        file.lines().filter(own).map(str::to_owned).collect()
    };
    let (one, other) = (stable(one), stable(other));
    let only = |these: &[String], those: &[String]| -> Vec<String> {
        let missing = these.iter().filter(|line| !those.contains(line));
        missing.cloned().collect()
    };
    let mut lines = only(&one, &other);
    lines.extend(only(&other, &one));
    lines
}

#[test]
fn files_for_kubernetes_are_upstreams() {
    let moving = Move::new();
    moving.quiet("old.db", &LOCK, "");
    insta::assert_snapshot!(moving.export("old.db", "kubernetes"));
}

#[test]
fn from_store_to_store() {
    let mut moving = Move::new();
    moving.run("old.db", &["datastore", "migrate", "export"], "");
    moving.run("old.db", &LOCK, "");
    moving.run("old.db", &LOCK, "");
    let file = moving.export("old.db", "embedded");
    moving.run("new.db", &IMPORT, &file);
    for kind in ["networkpolicies", "workloadendpoints", "profiles"] {
        moving.run("new.db", &["get", kind, "-A"], "");
    }
    moving.run("new.db", &["ipam", "show", "--show-blocks"], "");
    moving.run("new.db", &["ipam", "check"], "");
    moving.run(
        "new.db",
        &["apply", "-f", "-"],
        "{apiVersion: projectcalico.org/v3, kind: Tier, metadata: {name: a}}",
    );
    let again = moving.export("new.db", "embedded");
    // What lacks defaults has them then; from there on nothing changes.
    moving.quiet("third.db", &IMPORT, &again);
    let third = moving.export("third.db", "embedded");
    assert_eq!(differences(&again, &third), Vec::<String>::new());
    moving.run("new.db", &IMPORT, &file);
    moving.run("new.db", &["datastore", "migrate", "unlock"], "");
    moving.run("new.db", &["datastore", "migrate", "unlock"], "");
    moving.run(
        "new.db",
        &["apply", "-f", "-"],
        "{apiVersion: projectcalico.org/v3, kind: Tier, metadata: {name: a}}",
    );
    moving.run("new.db", &IMPORT, &file);
    insta::assert_snapshot!(moving.lab.transcript());
}

#[test]
fn what_is_refused() {
    let mut moving = Move::new();
    moving.quiet("old.db", &LOCK, "");
    let file = moving.export("old.db", "embedded");
    moving.run("new.db", &["datastore", "migrate", "import"], "");
    moving.run(
        "new.db",
        &["datastore", "migrate", "import", "-f", "DIR/none"],
        "",
    );
    moving.run("new.db", &IMPORT, "");
    moving.run("new.db", &IMPORT, "kind: A\n===\n{}\n");
    moving.run("new.db", &IMPORT, "kind: A\n===\n[\n===\n");
    moving.run("new.db", &IMPORT, &file[..file.len() / 2]);
    moving.run("new.db", &IMPORT, &file[..file.len() - 30]);
    moving.run(
        "new.db",
        &IMPORT,
        &file.replace("198.51.100.0/24", "198.51.101.0/24"),
    );
    moving.run("new.db", &IMPORT, &moving.export("old.db", "kubernetes"));
    assert!(!moving.lab.path("new.db").exists());
    let cut = |text: &str, from: &str, to: &str| {
        let at = text.find(from).unwrap();
        format!("{}{to}", &text[..at])
    };
    // As upstream writes it, with a field that nobody knows, a selector that is none, a block that is another, and a pool twice.
    let bare = cut(&file, ",\n  \"calico_rs\"", "\n}\n")
        .replace("192.0.2.1\n", "192.0.2.1\n    surprise: 1\n")
        .replace("app == 'web'", "app ==")
        .replace("kind: IPPoolList", "- apiVersion: projectcalico.org/v3\n  kind: IPPool\n  metadata: {name: default-ipv4-ippool}\n  spec: {cidr: 10.0.0.0/8}\nkind: IPPoolList")
        .replace("\"cidr\": \"192.168.0.0/29\"", "\"cidr\": \"192.168.0.0/28\"");
    moving.run("new.db", &IMPORT, &bare);
    moving.run("new.db", &["get", "bgppeers", "-o", "yaml"], "");
    moving.run("new.db", &["get", "networkpolicies", "-A"], "");
    let none = cut(&file, "===\n", "===\n{}\n===\n{}\n");
    moving.run("other.db", &IMPORT, &none);
    insta::assert_snapshot!(moving.lab.transcript());
}

#[test]
fn damaged_entries_are_named() {
    let moving = Move::new();
    moving.quiet("old.db", &LOCK, "");
    let store = EmbeddedStore::open(moving.lab.path("old.db")).unwrap();
    for key in [
        "resources/v3/projectcalico.org/ippools/x",
        "ipam/v2/handle/x",
    ] {
        block_on_ready(store.commit(&[Write::create(format!("/calico/{key}"), "{")])).unwrap();
    }
    let ended = moving.quiet(
        "old.db",
        &["datastore", "migrate", "export", "--to=etcdv3"],
        "",
    );
    assert_eq!(ended.code, 1);
    insta::assert_snapshot!(ended.err);
    let ended = moving.quiet("new.db", &IMPORT, &ended.out);
    assert_eq!(ended.code, 0, "{}", ended.err);
}

/// A cluster that upstream made is used as it is: what is there is not written again.
#[test]
fn adoption() {
    let mut moving = Move::new();
    let before = moving.all("old.db");
    for (kind, plural) in [
        ("gnp", "globalnetworkpolicies"),
        ("ippools", "ippools"),
        ("nodes", "nodes"),
    ] {
        let got = moving.quiet("old.db", &["get", kind, "-o", "yaml"], "");
        assert_eq!(got.code, 0, "{plural}: {}", got.err);
        let applied = moving.quiet("old.db", &["apply", "-f", "-"], &got.out);
        assert_eq!(applied.code, 0, "{plural}: {}", applied.err);
    }
    for args in [
        &["ipam", "show", "--show-blocks"][..],
        &["ipam", "check"],
        &["version"],
        &["get", "clusterinfo", "-o", "yaml"],
    ] {
        let ended = moving.run("old.db", args, "");
        assert_eq!(ended.code, 0, "{args:?}: {}", ended.err);
    }
    let after = moving.all("old.db");
    let changed: Vec<&str> = after
        .iter()
        .filter(|entry| !before.contains(entry))
        .map(|entry| &*entry.key)
        .collect();
    assert_eq!(changed, Vec::<&str>::new());
    assert_eq!(before.len(), after.len());
}
