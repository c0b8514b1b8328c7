//! `calicoctl` on etcd judges objects as the API server does by our CRDs: the same table of objects, the same fields to blame.
//! What the API server says to it is in `io/datastore/tests/kubernetes_crds.rs`.

use std::collections::BTreeSet;

use api::{AdmitOptions, Intent, Kind};
use ctl::{Output, Session, run_with};
use serde_json::{Value, json};
use testkit::objects::{Refused, same_field, valid, wrong};
use testkit::servers::{Guard, RealEtcd};

/// Kinds that nobody writes with calicoctl: the allocator's, the cluster's own, and one of Kubernetes.
const FOREIGN: [&str; 5] = [
    "BlockAffinity",
    "ClusterInformation",
    "ClusterNetworkPolicy",
    "IPAMBlock",
    "IPAMHandle",
];

fn is_foreign(object: &Value) -> bool {
    let name = object["metadata"]["name"].as_str().unwrap_or("");
    // Such a name stands for a policy of Kubernetes.
    let is_kubernetes = name.starts_with("knp.default.");
    is_kubernetes || FOREIGN.iter().any(|kind| object["kind"] == *kind)
}

/// Runs `calicoctl VERB -f -` on an object; its exit code, and all that it said.
fn calicoctl(etcd: &RealEtcd, verb: &str, object: &Value) -> (u8, String) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let input = object.to_string();
    let code = run_with(
        ["calicoctl", verb, "-f", "-"].map(Into::into).to_vec(),
        &mut Session {
            out: &mut out,
            err: &mut err,
            stdin: &mut input.as_bytes(),
            environment: [
                ("DATASTORE_TYPE".to_owned(), "etcdv3".to_owned()),
                ("ETCD_ENDPOINTS".to_owned(), etcd.url()),
            ]
            .into(),
            output: Output::Other,
            errors: Output::Other,
        },
    );
    let said = [out, err].concat();
    (code, String::from_utf8_lossy(&said).into_owned())
}

/// What the examples refer to.
fn needed(examples: &[Value]) -> BTreeSet<(Kind, String)> {
    let needs = examples.iter().flat_map(|object| {
        let object = api::admit(object.clone(), &AdmitOptions::default()).expect("it is valid");
        api::needs(&Intent::Create(&object)).present
    });
    needs.map(|needed| (needed.kind, needed.name)).collect()
}

#[test]
fn calicoctl_on_etcd_accepts_every_example_and_blames_the_field_that_is_wrong() {
    let Some(etcd) = RealEtcd::start(Guard::Open) else {
        return;
    };
    let mut report = String::new();
    let mut refused = 0;
    for case in wrong() {
        if is_foreign(&case.object) || case.refused == Refused::ByServer {
            continue;
        }
        let (code, said) = calicoctl(&etcd, "create", &case.object);
        // Some fields are called by a key with blanks in it.
        let mut words = said.split_whitespace();
        let is_blamed =
            said.contains(&case.field) || words.any(|word| same_field(word, &case.field));
        if code == 1 && is_blamed {
            refused += 1;
        } else {
            report += &format!("{} {}: {code} {said}\n", case.place, case.field);
        }
    }
    let examples: Vec<Value> = valid()
        .into_iter()
        .filter(|object| !is_foreign(object))
        .collect();
    for (kind, name) in needed(&examples) {
        let object = json!({"apiVersion": "projectcalico.org/v3", "kind": kind.name(), "metadata": {"name": name}});
        // Some are built in.
        let (_, said) = calicoctl(&etcd, "create", &object);
        assert!(
            said.starts_with("Success") || said.contains(&*name),
            "{said}"
        );
    }
    for object in &examples {
        let (code, said) = calicoctl(&etcd, "apply", object);
        if code != 0 {
            report += &format!("{object}: {said}\n");
        }
        // The next one may overlap it, or have its name.
        if object["kind"] == "IPPool" {
            calicoctl(&etcd, "delete", object);
        }
    }
    assert!(report.is_empty(), "\n{report}");
    assert!(refused >= 1000, "{refused}");
    eprintln!("refused by calicoctl on etcd, with the field to blame: {refused}");
}
