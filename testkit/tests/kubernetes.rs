//! The real API server starts, holds our roles, outlives a kill, and is gone when it is dropped.

use testkit::servers::{RealKubernetes, User};

#[test]
fn an_api_server_starts_and_starts_again() {
    let Some(mut server) = RealKubernetes::start() else {
        return;
    };
    let version = format!("Server Version: {}\n", server.version());
    assert!(server.kubectl(&["version"]).contains(&version));
    let can = |user: User, verb: &str, what: &str| {
        let account = match user {
            User::Admin => "admin".to_owned(),
            User::Node => "system:serviceaccount:kube-system:calico-node".to_owned(),
            User::CniPlugin => "system:serviceaccount:kube-system:calico-cni-plugin".to_owned(),
            User::Calicoctl => "system:serviceaccount:kube-system:calicoctl".to_owned(),
            User::Nobody => "nobody".to_owned(),
        };
        let output = server.try_kubectl(&["auth", "can-i", verb, what, "--as", &account], "");
        String::from_utf8_lossy(&output.stdout).trim() == "yes"
    };
    assert!(can(User::Node, "watch", "pods"));
    assert!(!can(User::Node, "create", "pods"));
    assert!(can(User::CniPlugin, "get", "pods"));
    assert!(!can(User::CniPlugin, "list", "pods"));
    assert!(!can(User::Nobody, "list", "pods"));
    server.kubectl(&["create", "namespace", "kept"]);
    server.kill();
    assert!(
        !server
            .try_kubectl(&["get", "namespaces"], "")
            .status
            .success()
    );
    server.restart();
    assert_eq!(server.object(&["namespace", "kept"])["kind"], "Namespace");
    assert!(
        server
            .requests(User::Admin)
            .contains(&"create namespaces".to_owned())
    );
    let directory = server.directory().to_path_buf();
    drop(server);
    assert!(!directory.exists());
}
