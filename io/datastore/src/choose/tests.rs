//! The order in which a store is chosen.

use super::*;

fn choose(
    flag: Option<&str>,
    file: Option<FileSettings>,
    environment: &[(&str, &str)],
) -> Result<StoreChoice, ChooseError> {
    let environment = environment
        .iter()
        .map(|&(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    StoreChoice::of(&StoreRequest {
        flag,
        file,
        environment,
    })
}

fn cfg() -> FileSettings {
    FileSettings {
        name: "calicoctl.cfg".into(),
        ..FileSettings::default()
    }
}

#[test]
fn the_first_that_names_a_store_wins() {
    let home = tempfile::tempdir().expect("a temporary directory");
    std::fs::create_dir(home.path().join(".kube")).expect("a directory");
    std::fs::write(home.path().join(".kube/config"), "").expect("a file");
    let home = home.path().to_str().expect("UTF-8").to_owned();

    let mut environment = vec![
        ("HOME", "/nonexistent"),
        ("PATH", "/bin"),
        ("CALICO_K8S_NODE_REF", "n1"),
        ("ETCD_X", ""),
    ];
    let mut expect = |added: &[(&'static str, &str)], kind, why: &str| {
        environment.extend(
            added
                .iter()
                .map(|&(name, value)| (name, &*value.to_owned().leak())),
        );
        let chosen = choose(None, None, &environment).expect("a choice");
        assert_eq!((chosen.kind, &*chosen.why), (kind, why));
    };
    expect(&[], StoreKind::Embedded, "nothing names another");
    expect(
        &[("HOME", &home)],
        StoreKind::Kubernetes,
        &format!("{home}/.kube/config exists"),
    );
    let pod = [
        ("KUBERNETES_SERVICE_HOST", "10.96.0.1"),
        ("KUBERNETES_SERVICE_PORT", "443"),
    ];
    expect(&pod, StoreKind::Kubernetes, "this is a Kubernetes pod");
    expect(
        &[("K8S_API_ENDPOINT", "https://a")],
        StoreKind::Kubernetes,
        "K8S_API_ENDPOINT is set",
    );
    expect(
        &[("CALICO_KUBECONFIG", "/k")],
        StoreKind::Kubernetes,
        "CALICO_KUBECONFIG is set",
    );
    expect(
        &[("ETCD_ENDPOINTS", "http://a")],
        StoreKind::EtcdV3,
        "ETCD_ENDPOINTS is set",
    );
    expect(
        &[("CALICO_ETCD_USERNAME", "a")],
        StoreKind::EtcdV3,
        "CALICO_ETCD_USERNAME is set",
    );
    expect(
        &[("CALICO_DATASTORE_FILE", "/d.db")],
        StoreKind::Embedded,
        "CALICO_DATASTORE_FILE is set",
    );
    expect(
        &[("DATASTORE_TYPE", "kubernetes")],
        StoreKind::Kubernetes,
        "DATASTORE_TYPE says so",
    );
    expect(
        &[("CALICO_DATASTORE_TYPE", "etcdv3")],
        StoreKind::EtcdV3,
        "CALICO_DATASTORE_TYPE says so",
    );

    let mut kubernetes = cfg();
    kubernetes.set("kubeconfig", "kubeconfig", "/k");
    let chosen = choose(None, Some(kubernetes.clone()), &environment).expect("a choice");
    assert_eq!(
        (chosen.kind, &*chosen.why),
        (StoreKind::Kubernetes, "calicoctl.cfg sets kubeconfig")
    );
    let embedded = FileSettings {
        datastore_type: Some("embedded".into()),
        ..kubernetes
    };
    let chosen = choose(None, Some(embedded.clone()), &environment).expect("a choice");
    assert_eq!(
        chosen.to_string(),
        "the embedded datastore /d.db (chosen because calicoctl.cfg says so)"
    );
    let chosen = choose(Some("kubernetes"), Some(embedded), &environment).expect("a choice");
    assert_eq!(
        (chosen.kind, &*chosen.why),
        (StoreKind::Kubernetes, "the flag --datastore says so")
    );
}

#[test]
fn a_file_that_names_no_store_leaves_the_choice_to_the_environment() {
    let chosen = choose(None, Some(cfg()), &[("DATASTORE_TYPE", "etcdv3")]).expect("a choice");
    assert_eq!(chosen.kind, StoreKind::EtcdV3);
}

#[test]
fn the_embedded_file_has_a_default_and_two_names() {
    assert_eq!(
        choose(None, None, &[]).expect("a choice").path,
        Path::new(DEFAULT_PATH)
    );
    let environment = [("CALICO_DATASTORE_FILE", "/e.db")];
    assert_eq!(
        choose(None, None, &environment).expect("a choice").path,
        Path::new("/e.db")
    );
    let file = FileSettings {
        datastore_file: Some("/f.db".into()),
        ..cfg()
    };
    assert_eq!(
        choose(None, Some(file), &environment)
            .expect("a choice")
            .path,
        Path::new("/f.db")
    );
}

#[test]
fn an_unknown_word_is_refused_where_it_stands() {
    let texts = [
        choose(Some("etcd"), None, &[]),
        choose(
            None,
            Some(FileSettings {
                datastore_type: Some("etcd".into()),
                ..cfg()
            }),
            &[],
        ),
        choose(None, None, &[("DATASTORE_TYPE", "etcd")]),
    ]
    .map(|chosen| chosen.expect_err("no such store").to_string());
    for (text, origin) in texts
        .iter()
        .zip(["--datastore", "calicoctl.cfg", "DATASTORE_TYPE"])
    {
        assert_eq!(
            *text,
            format!(
                "unknown datastore type \"etcd\" in {origin}: expected embedded, etcdv3 or kubernetes"
            )
        );
    }
}

#[test]
fn failures_name_the_store_and_the_reason() {
    let choice = choose(None, None, &[("DATASTORE_TYPE", "etcdv3")]).expect("a choice");
    let refused = choice.open().err().expect("no endpoint");
    assert_eq!(
        crate::error::chain(&refused),
        "failed to open the etcdv3 datastore (chosen because DATASTORE_TYPE says so): cannot use etcd: no endpoint is given: \
         set etcdEndpoints (ETCD_ENDPOINTS), such as https://10.0.0.1:2379, or etcdDiscoverySrv"
    );
    let choice = choose(
        None,
        None,
        &[("CALICO_DATASTORE_FILE", "/nonexistent/d.db")],
    )
    .expect("a choice");
    let refused = choice
        .open_existing()
        .err()
        .expect("no such file")
        .to_string();
    assert_eq!(
        refused,
        "failed to open the embedded datastore /nonexistent/d.db (chosen because CALICO_DATASTORE_FILE is set)"
    );
}
