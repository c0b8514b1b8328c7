//! `cluster diags` against a real Kubernetes API server, by a real `kubectl`.

use std::process::Command;

use ctl::{Output, Session, run_with};
use testkit::servers::{RealKubernetes, User};

const OBJECTS: &str = r#"
apiVersion: v1
kind: Namespace
metadata: {name: calico-system}
---
apiVersion: v1
kind: Secret
metadata: {name: typha-certs, namespace: calico-system}
type: kubernetes.io/tls
stringData: {tls.crt: a certificate, tls.key: a key}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: odd, namespace: calico-system, annotations: {unsupported.operator.tigera.io/x: "true"}}
"#;

#[test]
fn one_archive_with_what_explains_a_cluster() {
    // It says why there is none.
    let Some(cluster) = RealKubernetes::start() else {
        return;
    };
    cluster.apply(OBJECTS);
    let place = tempfile::tempdir().unwrap();
    let config = place.path().join("calicoctl.cfg");
    let kubeconfig = cluster.kubeconfig(User::Admin);
    let text = format!(
        "apiVersion: projectcalico.org/v3\nkind: CalicoAPIConfig\nmetadata:\nspec:\n  datastoreType: kubernetes\n  kubeconfig: {}\n",
        kubeconfig.display()
    );
    std::fs::write(&config, text).unwrap();
    // The archive is written where one is. This is the only test of its process.
    std::env::set_current_dir(place.path()).unwrap();
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let mut session = Session {
        out: &mut out,
        err: &mut err,
        stdin: &mut std::io::empty(),
        environment: Default::default(),
        output: Output::Other,
        errors: Output::Other,
    };
    let words = ["calicoctl", "cluster", "diags", "-c"].map(Into::into);
    let args = words.into_iter().chain([config.into_os_string()]).collect();
    let code = run_with(args, &mut session);
    let said = String::from_utf8(out).unwrap();
    assert_eq!(code, 0, "{said}{}", String::from_utf8_lossy(&err));
    assert!(
        said.contains("WARNING: Unsupported annotation usage detected"),
        "{said}"
    );
    let mut lines = said.lines();
    let archive = lines.find_map(|line| line.strip_prefix("Diagnostic bundle created at ./"));
    let archive = archive.unwrap();
    let unpacked = Command::new("tar")
        .args(["-xzf", archive])
        .status()
        .unwrap();
    assert!(unpacked.success());
    let root = place.path().join(archive.strip_suffix(".tar.gz").unwrap());
    let read = |name: &str| std::fs::read_to_string(root.join(name)).unwrap();
    assert!(read("cluster/version.yaml").contains("serverVersion"));
    assert!(read("cluster/kubernetes/namespaces.yaml").contains("calico-system"));
    assert!(read("files_with_unsupported_annotation.txt").contains("configmaps.yaml"));
    let secret = read("tls/calico-system_typha-certs.yaml");
    assert!(
        secret.contains("<censored>") && secret.contains("tls.crt: YSBjZXJ0aWZpY2F0ZQ=="),
        "{secret}"
    );
}
