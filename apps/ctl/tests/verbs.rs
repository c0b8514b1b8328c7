//! Every verb on a store of its own: what it prints, in every format, and how it ends.

mod support;

use support::Lab;

const POLICY: &str = "\
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata:
  name: allow-web
  annotations:
    note: 'yes'
spec:
  order: 1000000
  selector: app == 'web'
  ingress:
  - action: Allow
    protocol: TCP
    source:
      selector: role == 'frontend'
    destination:
      ports: [80, \"8080:8090\"]
";

const SEVERAL: &str = "\
# one of each
---
apiVersion: projectcalico.org/v3
kind: IPPool
metadata: {name: main}
spec: {cidr: 10.244.0.0/16, natOutgoing: true}
---
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {team: a}}
---
apiVersion: projectcalico.org/v3
kind: GlobalNetworkSet
metadata: {name: partners}
spec:
  nets: [192.0.2.0/24, 198.51.100.0/24, 203.0.113.0/24, \"2001:db8::/32\", 192.88.99.0/24, 100.64.0.0/10]
---
apiVersion: projectcalico.org/v3
kind: TierList
items:
- metadata: {name: security}
  spec: {order: 10}
";

#[test]
fn create_apply_replace() {
    let mut lab = Lab::new();
    lab.file("policy.yaml", POLICY);
    lab.file("dir/several.yaml", SEVERAL);
    lab.file("dir/below/hep.json", r#"{"apiVersion": "projectcalico.org/v3", "kind": "HostEndpoint", "metadata": {"name": "h"}, "spec": {"node": "n", "interfaceName": "eth0"}}"#);
    lab.file("dir/notes.txt", "not a manifest");
    lab.run(&["get", "np"]);
    lab.run(&["replace", "-f", "DIR/policy.yaml"]);
    lab.run(&["create", "-f", "DIR/policy.yaml"]);
    lab.run(&["create", "-f", "DIR/policy.yaml"]);
    lab.run(&["create", "--skip-exists", "-f", "DIR/policy.yaml"]);
    lab.run(&["replace", "-f", "DIR/policy.yaml"]);
    lab.run(&["apply", "-f", "DIR/dir"]);
    lab.run(&["apply", "-f", "DIR/dir", "-R"]);
    lab.run(&["get", "heps"]);
    lab.pipe(&["apply", "-f", "-", "-n", "shop"], POLICY);
    lab.run(&["get", "np", "-A"]);
    lab.pipe(&["apply", "-f", "-", "-n", "shop"], SEVERAL);
    lab.pipe(
        &["create", "-f", "-"],
        &(POLICY.to_owned() + "---\n" + &POLICY.replace("allow-web", "other")),
    );
    insta::assert_snapshot!(lab.transcript());
}

#[test]
fn get_in_every_format() {
    let mut lab = Lab::new();
    lab.pipe(&["apply", "-f", "-"], POLICY);
    lab.pipe(&["apply", "-f", "-"], SEVERAL);
    for output in [
        &[][..],
        &["-o", "wide"],
        &["-o", "yaml"],
        &["-o", "json"],
        &["-o", "name"],
        &["-A"],
    ] {
        lab.run(&[&["get", "networkpolicy"], output].concat());
    }
    lab.run(&[
        "get",
        "np",
        "allow-web",
        "missing",
        "-o",
        "yaml",
        "--export",
    ]);
    lab.run(&["get", "np", "-n", "empty"]);
    lab.run(&["get", "np", "-n", "empty", "-o", "yaml"]);
    lab.run(&["get", "np", "-n", "empty", "-o", "json"]);
    lab.run(&["get", "ippool", "-o", "wide"]);
    lab.run(&["get", "gnetset", "-o", "wide"]);
    lab.run(&["get", "tiers"]);
    lab.run(&["get", "clusterinfo"]);
    lab.run(&["get", "pools", "-o", "custom-columns=NAME,CIDR,NAT"]);
    lab.run(&[
        "get",
        "ns",
        "-o",
        "custom-columns=NAME:.metadata.name,TEAM:.metadata.labels.team,NO:.spec.nothing",
    ]);
    lab.file("columns", "WHO         WHERE\n.metadata.name  .spec.cidr\n");
    lab.run(&["get", "pools", "-o", "custom-columns-file=DIR/columns"]);
    lab.run(&["get", "pools", "-o", "custom-columns=NAME,NOPE"]);
    lab.run(&[
        "get",
        "pools",
        "-o",
        "go-template={{range .}}{{.Kind}}{{end}}",
    ]);
    lab.run(&["get", "pools", "-o", "xml"]);
    lab.run(&["get", "bogus"]);
    lab.run(&["get", "gnp", "-n", "default"]);
    lab.pipe(&["get", "-f", "-", "-o", "name"], POLICY);
    insta::assert_snapshot!(lab.transcript());
}

#[test]
fn delete_label_patch() {
    let mut lab = Lab::new();
    lab.pipe(&["apply", "-f", "-"], POLICY);
    lab.pipe(&["apply", "-f", "-"], SEVERAL);
    lab.run(&["label", "np", "allow-web", "a=1", "b=2"]);
    lab.run(&["label", "np", "allow-web", "a=3"]);
    lab.run(&["label", "np", "allow-web", "a=3", "--overwrite"]);
    lab.run(&["label", "np", "allow-web", "b", "--remove"]);
    lab.run(&["label", "np", "allow-web", "b", "--remove"]);
    lab.run(&["label", "np", "allow-web", "bad key=x"]);
    lab.run(&["label", "np", "missing", "a=1"]);
    lab.run(&[
        "patch",
        "pool",
        "main",
        "-p",
        r#"{"spec": {"disabled": true}}"#,
    ]);
    lab.run(&[
        "patch",
        "pool",
        "main",
        "-t",
        "json",
        "-p",
        r#"[{"op": "remove", "path": "/spec/disabled"}]"#,
    ]);
    lab.run(&[
        "patch",
        "pool",
        "main",
        "-t",
        "merge",
        "-p",
        "spec: {nodeSelector: has(x)}",
    ]);
    lab.run(&[
        "patch",
        "pool",
        "main",
        "-p",
        r#"{"spec": {"cidr": "10.0.0.0/8"}}"#,
    ]);
    lab.run(&[
        "patch",
        "pool",
        "main",
        "-p",
        r#"{"metadata": {"name": "x"}}"#,
    ]);
    lab.run(&["patch", "pool", "main", "-p", r#"{"spec": {"#]);
    lab.run(&["patch", "pool", "main", "-t", "bogus", "-p", "{}"]);
    lab.run(&["patch", "pool", "missing", "-p", "{}"]);
    lab.run(&["get", "pool", "main", "-o", "yaml"]);
    lab.run(&["get", "np", "allow-web", "-o", "yaml"]);
    lab.run(&["delete", "np", "allow-web", "missing"]);
    lab.run(&["delete", "np", "missing", "--skip-not-exists"]);
    lab.run(&["delete", "np"]);
    lab.run(&["delete", "tier", "default"]);
    lab.pipe(
        &["apply", "-f", "-"],
        &POLICY.replace("spec:", "spec:\n  tier: security"),
    );
    lab.run(&["delete", "tier", "security"]);
    lab.pipe(&["delete", "-f", "-"], SEVERAL);
    insta::assert_snapshot!(lab.transcript());
}

#[test]
fn conflicts() {
    let mut lab = Lab::new();
    lab.pipe(&["apply", "-f", "-"], POLICY);
    let old = lab.quiet(&["get", "np", "allow-web", "-o", "yaml"], "").out;
    lab.pipe(&["apply", "-f", "-"], &old);
    lab.run(&["label", "np", "allow-web", "x=y"]);
    lab.pipe(&["apply", "-f", "-", "--exit-codes=extended"], &old);
    lab.pipe(&["replace", "-f", "-"], &old);
    lab.run(&[
        "get",
        "np",
        "allow-web",
        "-o",
        "custom-columns=X:.metadata.labels.x",
    ]);
    lab.pipe(&["apply", "-f", "-"], SEVERAL);
    lab.pipe(&["apply", "-f", "-"], "{apiVersion: projectcalico.org/v3, kind: IPPool, metadata: {name: two}, spec: {cidr: 10.244.8.0/24}}");
    lab.pipe(&["apply", "-f", "-"], "{apiVersion: projectcalico.org/v3, kind: ClusterInformation, metadata: {name: default}, spec: {clusterType: x}}");
    insta::assert_snapshot!(lab.transcript());
}

#[test]
fn identity_is_kept_and_an_unchanged_object_is_not_written() {
    let lab = Lab::new();
    lab.quiet(&["apply", "-f", "-"], POLICY);
    let first = lab.quiet(&["get", "np", "allow-web", "-o", "yaml"], "").out;
    lab.quiet(&["apply", "-f", "-"], POLICY);
    assert_eq!(
        lab.quiet(&["get", "np", "allow-web", "-o", "yaml"], "").out,
        first
    );
    lab.quiet(
        &["apply", "-f", "-"],
        &POLICY.replace("app ==", "application =="),
    );
    let second = lab.quiet(&["get", "np", "allow-web", "-o", "yaml"], "").out;
    let line = |text: &str, field: &str| {
        text.lines()
            .find(|line| line.contains(field))
            .unwrap()
            .to_owned()
    };
    for field in ["uid:", "creationTimestamp:"] {
        assert_eq!(line(&first, field), line(&second, field));
    }
    assert_ne!(
        line(&first, "resourceVersion:"),
        line(&second, "resourceVersion:")
    );
    // What was got can be applied again.
    assert_eq!(lab.quiet(&["apply", "-f", "-"], &second).code, 0);
}

#[test]
fn a_thousand_objects_are_one_transaction() {
    let lab = Lab::new();
    let mut text = String::new();
    for n in 0..1000 {
        text += &format!("---\n{}", POLICY.replace("allow-web", &format!("p{n}")));
    }
    let ended = lab.quiet(&["apply", "-f", "-"], &text);
    assert_eq!(
        ended.out, "Successfully applied 1000 'NetworkPolicy' resource(s)\n",
        "{}",
        ended.err
    );
    let list = lab.quiet(&["get", "np", "-o", "yaml"], "").out;
    let revisions: std::collections::BTreeSet<&str> = list
        .lines()
        .filter(|line| line.starts_with("    resourceVersion:"))
        .collect();
    assert_eq!(revisions.len(), 1);
}

#[test]
fn versions_stores_and_usage() {
    let mut lab = Lab::new();
    lab.run(&["version", "--client"]);
    lab.run(&["version"]);
    lab.pipe(&["apply", "-f", "-"], POLICY);
    lab.run(&["version"]);
    lab.run(&["get", "np", "--datastore", "etcdv3"]);
    lab.run(&["get", "np", "--datastore", "bogus"]);
    lab.run(&["get", "np", "-c", "DIR/missing.cfg"]);
    lab.run(&["get", "np", "--log-level", "loud"]);
    lab.run(&["bogus"]);
    lab.run(&["bogus", "--exit-codes=extended"]);
    lab.run(&["apply"]);
    lab.run(&["ipam", "bogus"]);
    lab.run(&["get"]);
    lab.run(&["delete"]);
    lab.run(&["datastore", "backup", "DIR/copy.db"]);
    lab.run(&["datastore", "backup", "DIR/copy.db"]);
    lab.file("calicoctl.cfg", "apiVersion: projectcalico.org/v3\nkind: CalicoAPIConfig\nmetadata:\nspec:\n  datastoreType: embedded\n  datastoreFile: STORE\n".replace("STORE", lab.path("copy.db").to_str().unwrap()).as_str());
    let args = ["get", "np", "-c", "DIR/calicoctl.cfg"];
    let ended = lab.in_environment(&args, "", &[]);
    lab.note(&args, &ended);
    for environment in [
        [("DATASTORE_TYPE", "kubernetes")],
        [("ETCD_ENDPOINTS", "http://127.0.0.1:1")],
        [("CALICO_KUBECONFIG", "/x")],
    ] {
        let ended = lab.in_environment(&["get", "np", "--exit-codes=extended"], "", &environment);
        lab.note(&["get", "np", "# with", environment[0].0], &ended);
    }
    insta::assert_snapshot!(lab.transcript());
}

#[test]
fn another_clusters_version_is_refused() {
    let mut lab = Lab::new();
    lab.pipe(&["apply", "-f", "-"], POLICY);
    lab.run(&[
        "patch",
        "clusterinfo",
        "default",
        "-p",
        r#"{"spec": {"calicoVersion": "v3.20.1"}}"#,
    ]);
    lab.run(&["get", "np"]);
    lab.run(&["get", "np", "--allow-version-mismatch"]);
    insta::assert_snapshot!(lab.transcript());
}

#[test]
fn completion_for_every_shell() {
    let lab = Lab::new();
    for shell in ["bash", "zsh", "fish"] {
        let ended = lab.quiet(&["completion", shell], "");
        assert_eq!(ended.code, 0);
        assert!(
            ended.out.contains("calicoctl") && ended.out.contains("allow-version-mismatch"),
            "{shell}"
        );
    }
}
