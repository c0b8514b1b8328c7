//! What is done to stores, hosts and clusters: names of policies, the agent of a host, diagnostics.

mod support;

use datastore::{Datastore, EmbeddedStore, Write, block_on_ready};
use support::Lab;

const POLICIES: &str = "/calico/resources/v3/projectcalico.org/networkpolicies/";
const GLOBAL: &str = "/calico/resources/v3/projectcalico.org/globalnetworkpolicies/";

fn policy(kind: &str, metadata: &str, spec: &str) -> String {
    format!(
        r#"{{"kind":"{kind}","apiVersion":"projectcalico.org/v3","metadata":{metadata},"spec":{spec}}}"#
    )
}

#[test]
fn policies_of_older_releases_get_their_names() {
    let mut lab = Lab::new();
    lab.file(
        "tier.yaml",
        "{apiVersion: projectcalico.org/v3, kind: Tier, metadata: {name: other}, spec: {order: 1}}",
    );
    lab.run(&["apply", "-f", "DIR/tier.yaml"]);
    let store = EmbeddedStore::open(lab.store()).unwrap();
    let put = |key: String, value: String| Write::put(key, value);
    let np = |metadata: &str, spec: &str| policy("NetworkPolicy", metadata, spec);
    let gnp = |metadata: &str, spec: &str| policy("GlobalNetworkPolicy", metadata, spec);
    let writes = [
        // As releases before 3.30 left it.
        put(
            format!("{POLICIES}shop/default.web"),
            np(
                r#"{"name":"default.web","namespace":"shop","uid":"u-1"}"#,
                r#"{"tier":"default","selector":"a == 'b'"}"#,
            ),
        ),
        // As 3.30 and 3.31 left it.
        put(
            format!("{GLOBAL}default.all"),
            gnp(
                r#"{"name":"default.all","annotations":{"projectcalico.org/metadata":"{\"name\":\"all\"}","x":"y"}}"#,
                r#"{"selector":"all()"}"#,
            ),
        ),
        // An earlier run was cut off before it removed the old one.
        put(
            format!("{GLOBAL}default.twice"),
            gnp(r#"{"name":"default.twice"}"#, r#"{"order":1}"#),
        ),
        put(
            format!("{GLOBAL}twice"),
            gnp(r#"{"name":"twice"}"#, r#"{"order":1}"#),
        ),
        // Two that are not the same.
        put(
            format!("{GLOBAL}default.clash"),
            gnp(r#"{"name":"default.clash"}"#, r#"{"order":1}"#),
        ),
        put(
            format!("{GLOBAL}clash"),
            gnp(r#"{"name":"clash"}"#, r#"{"order":2}"#),
        ),
        // Names of other tiers always began with the tier's.
        put(
            format!("{GLOBAL}other.kept"),
            gnp(r#"{"name":"other.kept"}"#, r#"{"tier":"other"}"#),
        ),
    ];
    block_on_ready(store.commit(&writes)).unwrap();
    lab.run(&["datastore", "migrate-policy-names"]);
    let left = block_on_ready(store.list("/calico/resources/v3/projectcalico.org/")).unwrap();
    let keys: Vec<&str> = left.entries.iter().map(|entry| &*entry.key).collect();
    let policies = keys.iter().filter(|key| key.contains("policies/")).copied();
    let keys = policies.collect::<Vec<_>>().join("\n");
    lab.run(&["get", "gnp", "all", "-o", "yaml"]);
    lab.run(&["datastore", "migrate-policy-names"]);
    insta::assert_snapshot!(format!("{}{keys}", lab.transcript()));
}

#[test]
fn node_run_says_what_it_would_start() {
    let mut lab = Lab::new();
    lab.file(
        "etcd.cfg",
        "apiVersion: projectcalico.org/v3\nkind: CalicoAPIConfig\nmetadata:\nspec:\n  etcdEndpoints: https://127.0.0.1:2379\n  etcdUsername: me\n  etcdPassword: secret\n",
    );
    let run = |lab: &mut Lab, more: &[&str]| {
        let args = [&["node", "run", "--dryrun", "--name=n1"], more].concat();
        let mut ended = lab.quiet(&args, "");
        // Where the agent is depends on who runs this.
        let words: Vec<&str> = ended.out.split(' ').collect();
        let shown = |word: &str| {
            let program = word.split('\n').next().unwrap_or_default();
            if program.ends_with("calico-node") && !program.contains("start") {
                word.replacen(program, "calico-node", 1)
            } else {
                word.to_owned()
            }
        };
        ended.out = words.into_iter().map(shown).collect::<Vec<_>>().join(" ");
        lab.note(&args, &ended);
    };
    run(&mut lab, &[]);
    run(
        &mut lab,
        &[
            "--ip=autodetect",
            "--ip6=fd00::1",
            "--as=1.10",
            "--ip-autodetection-method=interface=eth.*",
            "--no-default-ippools",
            "--felix-config=/etc/my felix.cfg",
            "--node-image=quay.io/calico/node:v3.33.0",
            "--init-system",
        ],
    );
    run(&mut lab, &["-c", "DIR/etcd.cfg"]);
    run(&mut lab, &["--ip=fd00::1"]);
    run(&mut lab, &["--ip=nonsense"]);
    run(&mut lab, &["--as=x"]);
    run(&mut lab, &["--backend=gobgp"]);
    run(&mut lab, &["--ip-autodetection-method=guess"]);
    insta::assert_snapshot!(lab.transcript());
}

#[test]
fn checksystem_names_what_it_looks_for() {
    let lab = Lab::new();
    let ended = lab.quiet(&["node", "checksystem"], "");
    assert!(
        ended.out.starts_with("Checking kernel version...\n"),
        "{}",
        ended.out
    );
    assert!(
        ended.out.contains("\t\tnf_tables           \t\t\t\t\t"),
        "{}",
        ended.out
    );
    let fit = ended
        .out
        .ends_with("System meets minimum system requirements to run Calico!\n");
    assert_eq!(fit, ended.code == 0, "{}{}", ended.out, ended.err);
}

#[test]
fn cluster_diags_checks_its_flags_first() {
    let mut lab = Lab::new();
    lab.run(&["cluster", "diags", "--since=5x"]);
    lab.run(&["cluster", "diags", "--since=m"]);
    lab.run(&["cluster", "diags", "--max-logs=-1"]);
    lab.run(&["cluster", "bogus"]);
    lab.run(&["node", "bogus"]);
    lab.run(&["datastore", "migrate", "bogus"]);
    insta::assert_snapshot!(lab.transcript());
}
