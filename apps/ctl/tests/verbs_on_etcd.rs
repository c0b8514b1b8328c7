//! The verbs on a real etcd: more objects than one transaction takes, the lock, pools, and a server that goes away.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use ctl::{Output, Session, run_with};
use testkit::servers::{Guard, RealEtcd};

const POOL: &str = "{apiVersion: projectcalico.org/v3, kind: IPPool, metadata: {name: main}, spec: {cidr: 10.244.0.0/16}}";

/// Exit code, standard output, standard error.
type Ended = (u8, String, String);

fn calicoctl(args: &[&str], stdin: &str, environment: &[(&str, &str)]) -> Ended {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    let mut session = Session {
        out: &mut out,
        err: &mut err,
        stdin: &mut stdin.as_bytes(),
        environment: environment.iter().map(owned).collect::<BTreeMap<_, _>>(),
        output: Output::Other,
        errors: Output::Other,
    };
    let words = std::iter::once(&"calicoctl").chain(args);
    let code = run_with(words.map(Into::into).collect(), &mut session);
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    (code, text(out), text(err))
}

fn policies(count: usize, selector: &str) -> String {
    (0..count)
        .map(|n| {
            format!(
                "---\n{{apiVersion: projectcalico.org/v3, kind: GlobalNetworkPolicy, metadata: {{name: p{n}}}, spec: {{selector: {selector}}}}}\n"
            )
        })
        .collect()
}

#[test]
fn verbs_on_etcd_as_on_a_file() {
    let Some(mut etcd) = RealEtcd::start(Guard::Tls) else {
        return;
    };
    let [authority, certificate, key] = etcd.certificates();
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("calicoctl.cfg");
    let text = format!(
        "apiVersion: projectcalico.org/v3\nkind: CalicoAPIConfig\nmetadata:\nspec:\n  datastoreType: etcdv3\n  etcdEndpoints: {}\n  etcdCACertFile: {}\n  etcdCertFile: {}\n  etcdKeyFile: {}\n",
        etcd.url(),
        authority.display(),
        certificate.display(),
        key.display()
    );
    std::fs::write(&config, text).unwrap();
    let config = config.to_str().unwrap();
    let run = |args: &[&str], stdin: &str| calicoctl(&[args, &["-c", config]].concat(), stdin, &[]);
    let good = |args: &[&str], stdin: &str| {
        let (code, out, err) = run(args, stdin);
        assert_eq!(code, 0, "{args:?}: {out}{err}");
        out
    };
    // More than etcd takes in one transaction.
    let applied = "Successfully applied 300 'GlobalNetworkPolicy' resource(s)\n";
    assert_eq!(
        good(&["apply", "-f", "-"], &policies(300, "all()")),
        applied
    );
    assert_eq!(
        good(&["apply", "-f", "-"], &policies(300, "has(x)")),
        applied
    );
    let names = good(&["get", "gnp", "-o", "name"], "");
    assert_eq!(names.lines().count(), 300);
    let before = etcd.revision();
    assert_eq!(
        good(&["apply", "-f", "-"], &policies(300, "has(x)")),
        applied
    );
    assert_eq!(
        etcd.revision(),
        before,
        "what is there already is not written"
    );
    let (code, _, err) = run(&["create", "-f", "-"], &policies(1, "all()"));
    assert!(
        code == 1 && err.contains("resource already exists"),
        "{err}"
    );
    let patch = r#"[{"op": "add", "path": "/spec/order", "value": 5}]"#;
    good(&["patch", "gnp", "p1", "-t", "json", "-p", patch], "");
    assert!(
        good(&["get", "gnp", "p1", "-o", "wide"], "").contains("p1     default   5       has(x)")
    );
    good(&["delete", "gnp", "p0"], "");

    good(&["apply", "-f", "-"], POOL);
    good(&["datastore", "migrate", "lock"], "");
    let (code, _, err) = run(&["apply", "-f", "-"], &policies(2, "all()"));
    assert!(code == 1 && err.contains("is locked"), "{err}");
    // 256 new pools, and the old one: three transactions.
    good(&["ipam", "split", "256", "--name", "main"], "");
    let pools = good(&["get", "ippools", "-o", "name"], "");
    assert_eq!(pools.lines().count(), 256);
    assert!(!pools.contains("/main\n"), "{pools}");
    good(&["datastore", "migrate", "unlock"], "");
    good(&["apply", "-f", "-"], &policies(2, "all()"));

    etcd.kill();
    let start = Instant::now();
    let (code, _, err) = run(&["get", "gnp"], "");
    assert_eq!(code, 1);
    assert!(
        err.contains(&etcd.url()) && err.contains("chosen because"),
        "{err}"
    );
    assert!(
        start.elapsed() < Duration::from_secs(20),
        "{:?}",
        start.elapsed()
    );
}

#[test]
fn several_calicoctls_at_once_on_one_etcd() {
    let Some(etcd) = RealEtcd::start(Guard::Open) else {
        return;
    };
    let url = etcd.url();
    let environment = [("ETCD_ENDPOINTS", url.as_str())];
    let (code, _, err) = calicoctl(&["apply", "-f", "-"], &policies(1, "all()"), &environment);
    assert_eq!(code, 0, "{err}");
    // Each sets a label of its own on one object: none may be lost.
    std::thread::scope(|scope| {
        for n in 0..8 {
            let environment = &environment;
            scope.spawn(move || {
                let label = format!("l{n}=x");
                let (code, _, err) = calicoctl(&["label", "gnp", "p0", &label], "", environment);
                assert_eq!(code, 0, "{err}");
            });
        }
    });
    let columns = "custom-columns=L:.metadata.labels";
    let (_, shown, _) = calicoctl(&["get", "gnp", "p0", "-o", columns], "", &environment);
    for n in 0..8 {
        assert!(shown.contains(&format!("\"l{n}\"")), "l{n} in {shown}");
    }
}
