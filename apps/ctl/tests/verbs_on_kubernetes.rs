//! The verbs on a real Kubernetes API server with our custom resources, with no more rights than our role gives.

use std::collections::BTreeMap;

use ctl::{Output, Session, run_with};
use testkit::servers::{RealKubernetes, User};

const OBJECTS: &str = "\
{apiVersion: projectcalico.org/v3, kind: IPPool, metadata: {name: main}, spec: {cidr: 10.244.0.0/16}}
---
{apiVersion: projectcalico.org/v3, kind: GlobalNetworkPolicy, metadata: {name: a}, spec: {selector: all()}}
---
{apiVersion: projectcalico.org/v3, kind: NetworkPolicy, metadata: {name: b}, spec: {order: 7}}
";

#[test]
fn verbs_on_kubernetes_as_on_a_file() {
    // It says why there is none.
    let Some(cluster) = RealKubernetes::start() else {
        return;
    };
    cluster.install_definitions("v1");
    let kubeconfig = cluster.kubeconfig(User::Calicoctl);
    let environment: BTreeMap<String, String> =
        [("KUBECONFIG".to_owned(), kubeconfig.display().to_string())].into();
    let run = |args: &[&str], stdin: &str| {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let mut session = Session {
            out: &mut out,
            err: &mut err,
            stdin: &mut stdin.as_bytes(),
            environment: environment.clone(),
            output: Output::Other,
            errors: Output::Other,
        };
        let words = std::iter::once(&"calicoctl").chain(args);
        let code = run_with(words.map(Into::into).collect(), &mut session);
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        (code, text(out), text(err))
    };
    let good = |args: &[&str], stdin: &str| {
        let (code, out, err) = run(args, stdin);
        assert_eq!(code, 0, "{args:?}: {out}{err}");
        out
    };
    let applied = "Successfully applied 3 resource(s)\n";
    assert_eq!(good(&["apply", "-f", "-"], OBJECTS), applied);
    assert_eq!(good(&["apply", "-f", "-"], OBJECTS), applied);
    assert!(good(&["get", "np", "-o", "wide"], "").contains("b      default   7"));
    let before = cluster.requests(User::Calicoctl).len();
    let tier =
        "{apiVersion: projectcalico.org/v3, kind: Tier, metadata: {name: t}, spec: {order: 5}}";
    good(&["create", "-f", "-"], tier);
    let create = cluster.requests(User::Calicoctl).split_off(before);
    let before = before + create.len();
    good(&["get", "tier", "t"], "");
    let get = cluster.requests(User::Calicoctl).split_off(before);
    let asked = ["get /apis", "get clusterinformations"];
    assert_eq!(create, [&asked[..], &["create tiers"]].concat());
    assert_eq!(get, [&asked[..], &["get tiers"]].concat());
    let (code, _, err) = run(&["create", "-f", "-"], tier);
    assert!(
        code == 1 && err.contains("resource already exists"),
        "{err}"
    );
    good(
        &[
            "patch",
            "gnp",
            "a",
            "-t",
            "merge",
            "-p",
            r#"{"spec": {"order": 5}}"#,
        ],
        "",
    );
    good(&["label", "gnp", "a", "x=y"], "");
    assert!(good(&["get", "gnp", "a", "-o", "yaml"], "").contains("    x: \"y\""));
    good(&["delete", "tier", "t"], "");
    let (code, _, err) = run(&["get", "tier", "t"], "");
    assert!(
        code == 1 && err.contains("resource does not exist: Tier(t)"),
        "{err}"
    );

    good(&["datastore", "migrate", "lock"], "");
    let (code, _, err) = run(&["apply", "-f", "-"], tier);
    assert!(code == 1 && err.contains("is locked"), "{err}");
    good(&["ipam", "split", "4", "--name", "main"], "");
    let pools = good(&["get", "ippools", "-o", "name"], "");
    assert_eq!(pools.lines().count(), 4, "{pools}");
    good(&["datastore", "migrate", "unlock"], "");
    good(&["ipam", "configure", "--strictaffinity=true"], "");
    good(&["ipam", "check"], "");
    assert!(good(&["ipam", "show"], "").contains("10.244.192.0/18"));
}
