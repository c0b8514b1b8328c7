//! calicoctl on etcd: found by its settings, told about when it is not there, and given profiles for namespaces.

#[expect(dead_code, reason = "the other tests need the rest")]
mod support;

use std::net::TcpListener;
use std::time::{Duration, Instant};

use support::Lab;
use testkit::servers::{Guard, RealEtcd};

const NAMESPACE: &str =
    "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: prod\n  labels: {team: a}\n";
const ACCOUNT: &str = "apiVersion: v1\nkind: ServiceAccount\nmetadata:\n  name: robot\n  namespace: prod\n  labels: {role: b}\n";

fn profile(server: &RealEtcd, name: &str) -> serde_json::Value {
    let key = format!("/calico/resources/v3/projectcalico.org/profiles/{name}");
    let text = server.etcdctl(&["get", "--print-value-only", &key]);
    serde_json::from_str(&text).expect("a profile")
}

#[test]
fn namespaces_and_accounts_are_kept_as_profiles() {
    let Some(server) = RealEtcd::start(Guard::Open) else {
        return;
    };
    let lab = Lab::new();
    let url = server.url();
    let run = |args: &[&str], stdin: &str| {
        let ended = lab.in_environment(args, stdin, &[("ETCD_ENDPOINTS", &url)]);
        assert_eq!(ended.code, 0, "{args:?}: {}", ended.err);
        ended.out
    };
    let said = run(&["apply", "-f", "-"], &format!("{NAMESPACE}---\n{ACCOUNT}"));
    assert!(
        said.contains("Successfully applied 2 resource(s)"),
        "{said}"
    );
    let namespace = profile(&server, "kns.prod");
    assert_eq!(
        namespace["spec"],
        serde_json::json!({
            "ingress": [{"action": "Allow"}],
            "egress": [{"action": "Allow"}],
            "labelsToApply": {"pcns.team": "a", "pcns.projectcalico.org/name": "prod"},
        })
    );
    let account = profile(&server, "ksa.prod.robot");
    assert_eq!(
        account["spec"]["labelsToApply"],
        serde_json::json!({"pcsa.role": "b", "pcsa.projectcalico.org/name": "robot"})
    );
    run(
        &["apply", "-f", "-"],
        &NAMESPACE.replace("team: a", "team: c"),
    );
    let namespace = profile(&server, "kns.prod");
    assert_eq!(namespace["spec"]["labelsToApply"]["pcns.team"], "c");
    assert!(run(&["get", "profiles"], "").contains("ksa.prod.robot"));
    run(&["delete", "-f", "-"], NAMESPACE);
    assert!(!run(&["get", "profiles"], "").contains("kns.prod"));
}

#[test]
fn the_default_profile_is_there_and_never_kept() {
    let Some(server) = RealEtcd::start(Guard::Open) else {
        return;
    };
    let lab = Lab::new();
    let url = server.url();
    let run =
        |args: &[&str], stdin: &str| lab.in_environment(args, stdin, &[("ETCD_ENDPOINTS", &url)]);
    let kept = || {
        server.etcdctl(&[
            "get",
            "--prefix",
            "--keys-only",
            "/calico/resources/v3/projectcalico.org/profiles/",
        ])
    };
    assert_eq!(run(&["apply", "-f", "-"], NAMESPACE).code, 0);
    let listed = run(&["get", "profiles"], "").out;
    let name = "projectcalico-default-allow";
    assert_eq!(listed.matches(name).count(), 1, "{listed}");
    assert!(!kept().contains(name), "{}", kept());
    // Another client stored it all the same: it is still one, and says what it says.
    let key = format!("/calico/resources/v3/projectcalico.org/profiles/{name}");
    let value = format!(
        "{{\"apiVersion\":\"projectcalico.org/v3\",\"kind\":\"Profile\",\"metadata\":{{\"name\":\"{name}\"}},\"spec\":{{}}}}"
    );
    server.etcdctl(&["put", &key, &value]);
    let shown = run(&["get", "profile", name, "-o", "yaml"], "").out;
    assert!(shown.contains("action: Allow"), "{shown}");
    assert_eq!(run(&["get", "profiles"], "").out.matches(name).count(), 1);
    let labelled = run(&["label", "profile", name, "a=b"], "");
    assert_ne!(labelled.code, 0, "{}", labelled.out);
    assert!(
        labelled.err.contains("cannot be updated"),
        "{}",
        labelled.err
    );
}

#[test]
fn a_configuration_file_names_the_store() {
    let Some(server) = RealEtcd::start(Guard::Tls) else {
        return;
    };
    let lab = Lab::new();
    let [ca, cert, key] = server.certificates();
    let text = format!(
        "apiVersion: projectcalico.org/v3\nkind: CalicoAPIConfig\nmetadata:\nspec:\n  datastoreType: etcdv3\n  etcdEndpoints: {}\n  etcdCACertFile: {}\n  etcdCertFile: {}\n  etcdKeyFile: {}\n",
        server.url(),
        ca.display(),
        cert.display(),
        key.display()
    );
    let config = lab.file("calicoctl.cfg", &text);
    let pool = "apiVersion: projectcalico.org/v3\nkind: IPPool\nmetadata: {name: p}\nspec: {cidr: 10.0.0.0/16}\n";
    let ended = lab.in_environment(&["create", "-f", "-", "--config", &config], pool, &[]);
    assert_eq!(ended.code, 0, "{}", ended.err);
    let ended = lab.in_environment(&["get", "ippools", "--config", &config], "", &[]);
    assert!(ended.out.contains("10.0.0.0/16"), "{}", ended.out);
}

#[test]
fn a_store_that_is_not_there_is_one_clear_error_in_time() {
    let lab = Lab::new();
    let url = |listener: &TcpListener| format!("http://{}", listener.local_addr().expect("bound"));
    let bind = || TcpListener::bind("127.0.0.1:0").expect("a port");
    let nobody = url(&bind());
    let silent = bind();
    for (endpoint, limit, what) in [
        (nobody, Duration::from_secs(2), "refused"),
        (
            url(&silent),
            Duration::from_secs(12),
            "no answer within 10.0 s",
        ),
    ] {
        let begun = Instant::now();
        let ended = lab.in_environment(&["get", "nodes"], "", &[("ETCD_ENDPOINTS", &endpoint)]);
        assert!(begun.elapsed() < limit, "{:?}", begun.elapsed());
        assert_eq!((ended.code, &*ended.out), (1, ""));
        assert_eq!(ended.err.trim().lines().count(), 1, "{}", ended.err);
        for part in [&*endpoint, what, "chosen because ETCD_ENDPOINTS is set"] {
            assert!(ended.err.contains(part), "{part}: {}", ended.err);
        }
    }
}
