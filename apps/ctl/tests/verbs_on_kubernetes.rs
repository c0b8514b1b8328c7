//! The verbs on a real Kubernetes API server with our custom resources, with no more rights than our role gives.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use ctl::{Output, Session, run_with};
use testkit::servers::{RealKubernetes, User};

const OBJECTS: &str = "\
{apiVersion: projectcalico.org/v3, kind: IPPool, metadata: {name: main}, spec: {cidr: 10.244.0.0/16}}
---
{apiVersion: projectcalico.org/v3, kind: GlobalNetworkPolicy, metadata: {name: a}, spec: {selector: all()}}
---
{apiVersion: projectcalico.org/v3, kind: NetworkPolicy, metadata: {name: b}, spec: {order: 7}}
";

const TIER: &str =
    "{apiVersion: projectcalico.org/v3, kind: Tier, metadata: {name: t}, spec: {order: 5}}";

/// More than are written before a lock can be set.
const MANY: usize = 5_000;

/// Requests that every command begins with.
const ASKED: [&str; 1] = ["get clusterinformations"];

/// Runs calicoctl with the rights of our role.
struct Calicoctl {
    environment: BTreeMap<String, String>,
}

impl Calicoctl {
    fn run(&self, args: &[&str], stdin: &str) -> (u8, String, String) {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let mut session = Session {
            out: &mut out,
            err: &mut err,
            stdin: &mut stdin.as_bytes(),
            environment: self.environment.clone(),
            output: Output::Other,
            errors: Output::Other,
        };
        let words = std::iter::once(&"calicoctl").chain(args);
        let code = run_with(words.map(Into::into).collect(), &mut session);
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        (code, text(out), text(err))
    }

    fn good(&self, args: &[&str], stdin: &str) -> String {
        let (code, out, err) = self.run(args, stdin);
        assert_eq!(code, 0, "{args:?}: {out}{err}");
        out
    }
}

/// `ipam check` on another store asks the services of the cluster that it is given.
fn services_of_a_cluster_beside_the_store(cluster: &RealKubernetes) {
    let service = "apiVersion: v1\nkind: Service\nmetadata: {name: shop, namespace: default}\nspec: {type: LoadBalancer, ports: [{port: 80}]}\n";
    cluster.apply(service);
    let status = r#"{"status": {"loadBalancer": {"ingress": [{"ip": "10.244.0.64"}]}}}"#;
    cluster.kubectl(&[
        "patch",
        "service",
        "shop",
        "--subresource=status",
        "--type=merge",
        "-p",
        status,
    ]);
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("datastore.db").display().to_string();
    let calicoctl = Calicoctl {
        environment: [
            ("DATASTORE_TYPE".to_owned(), "embedded".to_owned()),
            ("CALICO_DATASTORE_FILE".to_owned(), file),
        ]
        .into(),
    };
    let objects = "\
{apiVersion: projectcalico.org/v3, kind: KubeControllersConfiguration, metadata: {name: default}, spec: {controllers: {loadBalancer: {assignIPs: AllServices}}}}
";
    calicoctl.good(&["apply", "-f", "-"], objects);
    let kubeconfig = cluster.kubeconfig(User::Calicoctl).display().to_string();
    let check = [
        "ipam",
        "check",
        "--show-all-ips",
        "--kubeconfig",
        &kubeconfig,
    ];
    let out = calicoctl.good(&check, "");
    assert!(out.contains("Found 1 service load balancer(s)."), "{out}");
    assert!(
        out.contains("10.244.0.64 belongs to Service(default/shop)"),
        "{out}"
    );
    let out = calicoctl.good(&check[..3], "");
    assert!(out.contains("Found 0 service load balancer(s)."), "{out}");
    let (code, _, err) = calicoctl.run(&["ipam", "check", "--kubeconfig", "/nonexistent"], "");
    assert_eq!(code, 1, "{err}");
    assert!(err.contains("/nonexistent"), "{err}");
}

#[test]
fn verbs_on_kubernetes_as_on_a_file() {
    // It says why there is none.
    let Some(cluster) = RealKubernetes::start() else {
        return;
    };
    cluster.install_definitions("v1");
    let kubeconfig = cluster.kubeconfig(User::Calicoctl);
    let calicoctl = Calicoctl {
        environment: [("KUBECONFIG".to_owned(), kubeconfig.display().to_string())].into(),
    };
    let applied = "Successfully applied 3 resource(s)\n";
    assert_eq!(calicoctl.good(&["apply", "-f", "-"], OBJECTS), applied);
    assert_eq!(calicoctl.good(&["apply", "-f", "-"], OBJECTS), applied);
    assert!(
        calicoctl
            .good(&["get", "np", "-o", "wide"], "")
            .contains("b      default   7")
    );
    let before = cluster.requests(User::Calicoctl).len();
    calicoctl.good(&["create", "-f", "-"], TIER);
    let create = cluster.requests(User::Calicoctl).split_off(before);
    let before = before + create.len();
    calicoctl.good(&["get", "tier", "t"], "");
    let get = cluster.requests(User::Calicoctl).split_off(before);
    assert_eq!(create, [&ASKED[..], &["create tiers"]].concat());
    assert_eq!(get, [&ASKED[..], &["get tiers"]].concat());
    of_other_objects(&calicoctl, &cluster);
    services_of_a_cluster_beside_the_store(&cluster);
    let (code, _, err) = calicoctl.run(&["create", "-f", "-"], TIER);
    assert!(
        code == 1 && err.contains("resource already exists"),
        "{err}"
    );
    calicoctl.good(
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
    calicoctl.good(&["label", "gnp", "a", "x=y"], "");
    assert!(
        calicoctl
            .good(&["get", "gnp", "a", "-o", "yaml"], "")
            .contains("    x: \"y\"")
    );
    calicoctl.good(&["delete", "tier", "t"], "");
    let (code, _, err) = calicoctl.run(&["get", "tier", "t"], "");
    assert!(
        code == 1 && err.contains("resource does not exist: Tier(t)"),
        "{err}"
    );

    calicoctl.good(&["datastore", "migrate", "lock"], "");
    let (code, _, err) = calicoctl.run(&["apply", "-f", "-"], TIER);
    assert!(code == 1 && err.contains("is locked"), "{err}");
    calicoctl.good(&["ipam", "split", "4", "--name", "main"], "");
    let pools = calicoctl.good(&["get", "ippools", "-o", "name"], "");
    assert_eq!(pools.lines().count(), 4, "{pools}");
    calicoctl.good(&["datastore", "migrate", "unlock"], "");
    a_lock_stops_writes_under_way(&calicoctl, &cluster);
    calicoctl.good(&["ipam", "configure", "--strictaffinity=true"], "");
    calicoctl.good(&["ipam", "check"], "");
    assert!(
        calicoctl
            .good(&["ipam", "show"], "")
            .contains("10.244.192.0/18")
    );
}

/// What is looked up of other objects, and refused because of them.
fn of_other_objects(calicoctl: &Calicoctl, cluster: &RealKubernetes) {
    // A policy's tier is looked for once, whatever number of policies there is.
    let policies = "{apiVersion: projectcalico.org/v3, kind: GlobalNetworkPolicy, metadata: {name: t.a}, spec: {tier: t}}\n---\n\
                    {apiVersion: projectcalico.org/v3, kind: GlobalNetworkPolicy, metadata: {name: t.b}, spec: {tier: t}}";
    let before = cluster.requests(User::Calicoctl).len();
    calicoctl.good(&["create", "-f", "-"], policies);
    let create = cluster.requests(User::Calicoctl).split_off(before);
    let made = [
        "get tiers",
        "create globalnetworkpolicies",
        "create globalnetworkpolicies",
    ];
    assert_eq!(create, [&ASKED[..], &made].concat());
    let (code, _, err) = calicoctl.run(&["delete", "tier", "t"], "");
    assert!(
        code == 1 && err.contains("Cannot delete a non-empty tier"),
        "{err}"
    );
    calicoctl.good(&["delete", "gnp", "t.a", "t.b"], "");
    let (code, _, err) = calicoctl.run(
        &["create", "-f", "-"],
        &policies.replace("tier: t}", "tier: none}"),
    );
    assert!(
        code == 1 && err.contains("resource does not exist: Tier(none)"),
        "{err}"
    );
    let (code, _, err) = calicoctl.run(&["delete", "node", "none"], "");
    assert!(
        code == 1 && err.contains("operation Delete is not supported on Node(none)"),
        "{err}"
    );
}

/// Nothing binds a write to the lock here, so it is looked at again and again.
fn a_lock_stops_writes_under_way(calicoctl: &Calicoctl, cluster: &RealKubernetes) {
    let sets: Vec<String> = (0..MANY)
        .map(|n| format!("{{apiVersion: projectcalico.org/v3, kind: GlobalNetworkSet, metadata: {{name: s{n:05}}}}}"))
        .collect();
    let many = sets.join("\n---\n");
    let first = ["get", "globalnetworksets.crd.projectcalico.org", "s00000"];
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| calicoctl.run(&["apply", "-f", "-"], &many));
        let deadline = Instant::now() + Duration::from_secs(60);
        while !cluster.try_kubectl(&first, "").status.success() {
            assert!(Instant::now() < deadline, "nothing is written");
        }
        calicoctl.good(&["datastore", "migrate", "lock"], "");
        let (code, _, err) = writer.join().expect("it ends");
        assert!(code == 1 && err.contains("is locked"), "{err}");
    });
    let written = calicoctl.good(&["get", "globalnetworksets", "-o", "name"], "");
    let written = written.lines().count();
    assert!((1..MANY).contains(&written), "{written} sets");
    calicoctl.good(&["datastore", "migrate", "unlock"], "");
}
