//! A cluster that upstream laid down in a real etcd: used as it is, moved to an embedded store and to a real Kubernetes API
//! server, and back.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

#[expect(dead_code, reason = "these tests name their stores themselves")]
mod support;

use std::time::{Duration, Instant};

use serde_json::Value;
use support::{Ended, Lab};
use testkit::servers::{Guard, KubernetesOptions, RealEtcd, RealKubernetes, User};
use testkit::upstream;

/// Where a store is, as the environment says it.
type Place = Vec<(&'static str, String)>;

fn etcd(server: &RealEtcd) -> Place {
    vec![
        ("DATASTORE_TYPE", "etcdv3".to_owned()),
        ("ETCD_ENDPOINTS", server.url()),
    ]
}

fn kubernetes(server: &RealKubernetes) -> Place {
    let config = server.kubeconfig(User::Admin).display().to_string();
    vec![
        ("DATASTORE_TYPE", "kubernetes".to_owned()),
        ("KUBECONFIG", config),
    ]
}

fn embedded(lab: &Lab, name: &str) -> Place {
    let path = lab.path(name).display().to_string();
    vec![
        ("DATASTORE_TYPE", "embedded".to_owned()),
        ("DATASTORE_FILE", path),
    ]
}

fn run(lab: &Lab, place: &Place, args: &[&str], stdin: &str) -> Ended {
    let environment: Vec<(&str, &str)> = place.iter().map(|(k, v)| (*k, v.as_str())).collect();
    lab.in_environment(args, stdin, &environment)
}

/// What a command says that must succeed.
fn told(lab: &Lab, place: &Place, args: &[&str], stdin: &str) -> String {
    let ended = run(lab, place, args, stdin);
    assert_eq!(ended.code, 0, "{args:?}: {}{}", ended.out, ended.err);
    ended.out
}

fn export(lab: &Lab, place: &Place, to: &str) -> String {
    told(
        lab,
        place,
        &["datastore", "migrate", "export", "--to", to],
        "",
    )
}

const LOCK: [&str; 3] = ["datastore", "migrate", "lock"];
const IMPORT: [&str; 5] = ["datastore", "migrate", "import", "-f", "-"];

/// An etcd into which a foreign client has written upstream's entries.
fn laid_down() -> Option<RealEtcd> {
    let server = RealEtcd::start(Guard::Open)?;
    for (key, value) in upstream::entries() {
        server.etcdctl(&["put", "--", key, value]);
    }
    Some(server)
}

/// All keys with values and revisions, as a foreign client sees them.
fn all(server: &RealEtcd) -> Vec<Value> {
    let answer = server.etcdctl(&["get", "/", "--prefix", "-w", "json"]);
    let answer: Value = serde_json::from_str(&answer).unwrap();
    answer["kvs"].as_array().unwrap().clone()
}

/// The seals of a file: how many objects of each kind, and their digests.
fn seals(file: &str) -> &str {
    &file[file.find("\"seals\"").unwrap()..]
}

/// What upstream's clients wrote is used as it is: no key's bytes or revisions change.
#[test]
fn an_etcd_of_upstreams_is_adopted() {
    let Some(server) = laid_down() else { return };
    let (lab, place) = (Lab::new(), etcd(&server));
    let before = all(&server);
    for kind in ["gnp", "np", "networksets", "ippools", "nodes", "tiers"] {
        let namespaced = matches!(kind, "np" | "networksets");
        let all: &[&str] = if namespaced { &["-A"] } else { &[] };
        let got = told(
            &lab,
            &place,
            &[&["get", kind, "-o", "yaml"], all].concat(),
            "",
        );
        // Those that stand for policies of Kubernetes are not calicoctl's to write.
        if kind != "np" {
            told(&lab, &place, &["apply", "-f", "-"], &got);
        }
    }
    told(&lab, &place, &["ipam", "show", "--show-blocks"], "");
    told(&lab, &place, &["ipam", "check"], "");
    told(&lab, &place, &["version"], "");
    assert_eq!(all(&server), before);
}

#[test]
fn between_etcd_and_the_embedded_store() {
    let Some(server) = laid_down() else { return };
    let (lab, there) = (Lab::new(), etcd(&server));
    let here = embedded(&lab, "store.db");
    told(&lab, &there, &LOCK, "");
    let out = export(&lab, &there, "embedded");
    told(&lab, &here, &IMPORT, &out);
    let back = export(&lab, &here, "etcdv3");
    server.clear();
    told(&lab, &there, &IMPORT, &back);
    let again = told(&lab, &there, &IMPORT, &back);
    assert!(again.contains("23 were there already"), "{again}");
    assert_eq!(seals(&back), seals(&export(&lab, &there, "embedded")));
    // A foreign client finds IPAM byte for byte as upstream had it.
    for (key, value) in upstream::entries() {
        let is_entry = key.starts_with("/calico/ipam/") && !value.is_empty();
        if is_entry {
            let found = server.etcdctl(&["get", "--print-value-only", key]);
            assert_eq!(found.trim_end_matches('\n'), value, "{key}");
        }
    }
    let refused = run(&lab, &there, &["delete", "tier", "security"], "");
    assert_eq!(refused.code, 1, "{}", refused.out);
    told(&lab, &there, &["datastore", "migrate", "unlock"], "");
    told(
        &lab,
        &there,
        &["delete", "globalnetworkset", "partners"],
        "",
    );
}

#[test]
fn from_etcd_to_kubernetes_and_on() {
    let Some(server) = RealKubernetes::start_with(KubernetesOptions::default()) else {
        return;
    };
    let Some(old) = laid_down() else { return };
    for version in ["v1", "v3"] {
        let (lab, there, new) = (Lab::new(), etcd(&old), kubernetes(&server));
        server.install_definitions(version);
        for node in ["node1", "node2"] {
            server.apply(&format!(
                r#"{{"apiVersion": "v1", "kind": "Node", "metadata": {{"name": "{node}"}}}}"#
            ));
        }
        server.apply(r#"{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}"#);
        told(&lab, &there, &LOCK, "");
        let out = export(&lab, &there, "kubernetes");
        let said = told(&lab, &new, &IMPORT, &out);
        insta::assert_snapshot!("into_kubernetes", said);
        let said = told(&lab, &new, &IMPORT, &out);
        insta::assert_snapshot!("into_kubernetes_again", said);
        let file = export(&lab, &new, "kubernetes");
        for kind in [
            "ipamblocks",
            "blockaffinities",
            "ipamhandles",
            "ipamconfigurations",
            "ippools",
            "tiers",
            "globalnetworkpolicies",
            "networkpolicies",
            "hostendpoints",
        ] {
            let line = |file: &str| {
                let found = seals(file).lines().find(|line| line.contains(kind));
                found.map(|line| line.trim_end_matches(',').to_owned())
            };
            assert_eq!(line(&out), line(&file), "{version}: {kind}");
        }
        // On to a host of its own.
        let here = embedded(&lab, "store.db");
        told(&lab, &here, &IMPORT, &export(&lab, &new, "embedded"));
        told(&lab, &here, &["ipam", "check"], "");
        told(&lab, &new, &["datastore", "migrate", "unlock"], "");
        server.kubectl(&["delete", "crd", "--all"]);
        server.kubectl(&["delete", "nodes", "--all"]);
    }
}

/// A server that is killed in the middle of an import: the same command goes on where it was stopped.
#[test]
fn an_import_outlives_its_server() {
    let Some(mut server) = RealEtcd::start(Guard::Open) else {
        return;
    };
    let lab = Lab::new();
    let source = embedded(&lab, "source.db");
    let policies: String = (0..12_000)
        .map(|n| {
            format!(
                "---\n{{apiVersion: projectcalico.org/v3, kind: GlobalNetworkPolicy, metadata: {{name: p{n}}}, spec: {{order: {n}}}}}\n"
            )
        })
        .collect();
    told(&lab, &source, &["apply", "-f", "-"], &policies);
    told(&lab, &source, &LOCK, "");
    let file = export(&lab, &source, "etcdv3");
    let place = etcd(&server);
    let before = server.revision();
    let cut = std::thread::scope(|scope| {
        let import = scope.spawn(|| run(&lab, &place, &IMPORT, &file));
        let deadline = Instant::now() + Duration::from_secs(120);
        while server.revision() < before + 8 {
            assert!(Instant::now() < deadline, "nothing is imported");
        }
        server.kill();
        import.join().unwrap()
    });
    assert_eq!(cut.code, 1, "{}", cut.out);
    assert!(cut.err.contains(&server.url()), "{}", cut.err);
    server.restart();
    let rest = told(&lab, &place, &IMPORT, &file);
    let there = rest
        .split(", of which ")
        .nth(1)
        .and_then(|text| text.split(' ').next())
        .and_then(|count| count.parse::<u32>().ok())
        .unwrap();
    assert!((100..12_000).contains(&there), "{there}: {rest}");
    assert_eq!(seals(&export(&lab, &place, "etcdv3")), seals(&file));
}
