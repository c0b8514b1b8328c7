//! The store on the Kubernetes API, against a real API server: what every store must do, in the form that this one can; the
//! objects it leaves, as kubectl reads them; and its errors.

#[expect(dead_code, reason = "the tests of feeds need the rest")]
mod k8s;

use std::time::Duration;

use api::kubernetes::Group;
use datastore::{
    CommitError, Datastore, Event, KubernetesSettings, KubernetesStore, Query, Revision, Write,
    block_on_ready,
};
use serde_json::json;
use testkit::servers::{RealKubernetes, User};

use k8s::{PATIENCE, ROOT, commit, json_of, open, pool, read};

fn start(version: &str) -> Option<RealKubernetes> {
    let server = RealKubernetes::start()?;
    server.install_definitions(version);
    Some(server)
}

#[test]
fn v1_conforms() {
    let Some(server) = start("v1") else { return };
    conformance(&server, Group::V1);
    golden_v1(&server);
    native_objects(&server);
    services(&server);
    errors(&server);
}

#[test]
fn v3_conforms() {
    let Some(server) = start("v3") else { return };
    conformance(&server, Group::V3);
}

/// What the suite of the other stores checks, with objects that an API server takes.
fn conformance(server: &RealKubernetes, group: Group) {
    let store = open(server, User::Calicoctl);
    create_get_delete(&store);
    compare_and_swap(&store);
    checks(&store);
    list_order_and_snapshot(&store);
    one_by_one(&store);
    refusals(&store);
    large_values(&store);
    watches(&store);
    two_writers(&store);
    blocks(&store);
    let plural = format!("ippools.{}", group.name());
    server.kubectl(&["delete", &plural, "--all", "--ignore-not-found"]);
}

fn create_get_delete(store: &KubernetesStore) {
    let (key, value) = pool("a", "10.1.0.0/16");
    let created = block_on_ready(store.create(&key, value.clone())).expect("create");
    let entry = read(store, &key).expect("it stands");
    assert_eq!(entry.revision, created);
    let found = json_of(&entry.value);
    assert_eq!(found["spec"]["cidr"], "10.1.0.0/16");
    assert_eq!(found["apiVersion"], "projectcalico.org/v3");
    assert_eq!(found["metadata"]["resourceVersion"], json!(null));
    let again = block_on_ready(store.create(&key, value.clone()));
    assert!(matches!(again, Err(CommitError::AlreadyExists { key: at }) if *at == key));
    block_on_ready(store.delete(&key, Some(created))).expect("delete");
    assert_eq!(read(store, &key), None);
    let gone = block_on_ready(store.delete(&key, None));
    assert!(
        matches!(gone, Err(CommitError::NotFound { .. })),
        "{gone:?}"
    );
    let anew = block_on_ready(store.create(&key, value)).expect("create again");
    assert!(anew > created);
    block_on_ready(store.delete(&key, None)).expect("delete whatever is there");
}

fn compare_and_swap(store: &KubernetesStore) {
    let (key, value) = pool("a", "10.1.0.0/16");
    let first = block_on_ready(store.create(&key, value.clone())).expect("create");
    let mut object = json_of(&read(store, &key).expect("it stands").value);
    object["spec"]["natOutgoing"] = true.into();
    let changed = object.to_string().into_bytes();
    let second = block_on_ready(store.update(&key, changed.clone(), first)).expect("update");
    assert!(second > first);
    let stale = block_on_ready(store.update(&key, changed.clone(), first));
    assert!(
        matches!(stale, Err(CommitError::Conflict { expected, found, .. }) if expected == Some(first) && found == Some(second)),
        "{stale:?}"
    );
    let stale = block_on_ready(store.delete(&key, Some(first)));
    assert!(
        matches!(stale, Err(CommitError::Conflict { found, .. }) if found == Some(second)),
        "{stale:?}"
    );
    let (other, _) = pool("none", "10.2.0.0/16");
    let absent = block_on_ready(store.update(&other, value, first));
    assert!(
        matches!(absent, Err(CommitError::NotFound { .. })),
        "{absent:?}"
    );
    // Without a condition: whatever it was.
    object["spec"]["natOutgoing"] = false.into();
    let third = commit(store, &[Write::put(key.as_str(), object.to_string())]).expect("put");
    assert!(third > second);
    assert_eq!(
        json_of(&read(store, &key).expect("it stands").value)["spec"]["natOutgoing"],
        false
    );
    block_on_ready(store.delete(&key, Some(third))).expect("delete");
}

fn checks(store: &KubernetesStore) {
    let (key, value) = pool("a", "10.1.0.0/16");
    let (other, _) = pool("b", "10.2.0.0/16");
    let first = commit(store, &[Write::put(key.as_str(), value)]).expect("put");
    assert_eq!(
        commit(store, &[Write::check(key.as_str(), Some(first))]).expect("holds"),
        first
    );
    commit(store, &[Write::check(other.as_str(), None)]).expect("holds");
    for wrong in [
        Write::check(key.as_str(), None),
        Write::check(other.as_str(), Some(first)),
    ] {
        let refused = commit(store, &[wrong]);
        assert!(
            refused.as_ref().is_err_and(CommitError::is_conflict),
            "{refused:?}"
        );
    }
    block_on_ready(store.delete(&key, None)).expect("delete");
}

fn list_order_and_snapshot(store: &KubernetesStore) {
    let names = ["z", "a", "a-b", "a.b", "b"];
    let writes: Vec<Write> = names
        .iter()
        .enumerate()
        .map(|(at, name)| {
            let (key, value) = pool(name, &format!("10.{at}.0.0/16"));
            Write::create(key, value)
        })
        .collect();
    let last = commit(store, &writes).expect("create all");
    for prefix in ["", "a", "a-", "none"] {
        let found = block_on_ready(store.list(&format!("{ROOT}ippools/{prefix}"))).expect("list");
        let found: Vec<String> = found
            .entries
            .iter()
            .filter_map(|entry| {
                Some(
                    entry
                        .key
                        .strip_prefix(ROOT)?
                        .strip_prefix("ippools/")?
                        .to_owned(),
                )
            })
            .collect();
        let mut expected: Vec<&str> = names
            .iter()
            .copied()
            .filter(|name| name.starts_with(prefix))
            .collect();
        expected.sort_unstable();
        assert_eq!(found, expected, "under {prefix:?}");
    }
    let queries = [
        Query::key(format!("{ROOT}ippools/b")),
        Query::prefix(format!("{ROOT}ippools/a")),
        Query::key(format!("{ROOT}ippools/none")),
        Query::prefix(format!("{ROOT}tiers/")),
        Query::key("/nothing/of/ours"),
    ];
    let snapshot = block_on_ready(store.read(&queries)).expect("read");
    assert!(snapshot.revision >= last);
    let keys: Vec<&str> = snapshot
        .entries
        .iter()
        .filter_map(|entry| entry.key.rsplit('/').next())
        .collect();
    assert_eq!(keys, ["a", "a-b", "a.b", "b"], "sorted, and each key once");
    let writes: Vec<Write> = names
        .iter()
        .map(|name| Write::delete(pool(name, "").0, None))
        .collect();
    commit(store, &writes).expect("delete all");
}

fn one_by_one(store: &KubernetesStore) {
    let (a, value) = pool("a", "10.1.0.0/16");
    let (b, other) = pool("b", "10.2.0.0/16");
    let (c, third) = pool("c", "10.3.0.0/16");
    let stopped = commit(
        store,
        &[
            Write::create(a.as_str(), value),
            Write::update(b.as_str(), other, Revision::new(1)),
            Write::create(c.as_str(), third),
        ],
    );
    assert!(
        matches!(stopped, Err(CommitError::NotFound { ref key }) if **key == b),
        "{stopped:?}"
    );
    assert!(read(store, &a).is_some(), "what was written before stays");
    assert_eq!(read(store, &c), None, "what comes after is not tried");
    block_on_ready(store.delete(&a, None)).expect("delete");
}

fn refusals(store: &KubernetesStore) {
    for key in ["", "/a\0b"] {
        assert!(matches!(
            commit(store, &[Write::put(key, "1")]),
            Err(CommitError::InvalidKey(_))
        ));
        assert!(block_on_ready(store.get(key)).is_err());
    }
    let (key, value) = pool("a", "10.1.0.0/16");
    let twice = commit(
        store,
        &[
            Write::check(key.as_str(), None),
            Write::put(key.as_str(), value),
        ],
    );
    assert!(matches!(twice, Err(CommitError::DuplicateKey { .. })));
    let late = commit(
        store,
        &[Write::put_for(key.as_str(), "{}", Duration::from_secs(1))],
    );
    assert!(matches!(late, Err(CommitError::NoLifetimes { .. })));
    let text = |write: Write| commit(store, &[write]).expect_err("refused").to_string();
    assert!(
        text(Write::create("/nothing/of/ours", "{}"))
            .contains("nothing that the Kubernetes API has")
    );
    assert!(text(Write::create(format!("{ROOT}namespaces/x"), "{}")).contains("use kubectl"));
    assert!(
        text(Write::delete(format!("{ROOT}profiles/kns.default"), None)).contains("use kubectl")
    );
    let (key, value) = pool("a", "not a network");
    let refused = text(Write::create(key, value));
    assert!(refused.contains("spec.cidr"), "{refused}");
    let away = Write::create(
        format!("{ROOT}networksets/nowhere/a"),
        r#"{"metadata":{"name":"a","namespace":"nowhere"},"spec":{}}"#,
    );
    assert!(text(away).contains("there is no namespace nowhere"));
}

fn large_values(store: &KubernetesStore) {
    let (key, _) = ("globalnetworksets/large", ());
    let key = format!("{ROOT}{key}");
    let note = "x".repeat(200 * 1024);
    let nets: Vec<String> = (0..40_000)
        .map(|n| format!("10.{}.{}.{}/32", n >> 16, n >> 8 & 255, n & 255))
        .collect();
    let value = json!({"metadata": {"name": "large", "annotations": {"note": note}}, "spec": {"nets": nets}}).to_string();
    let from = commit(store, &[Write::put(key.as_str(), value)]).expect("put");
    let entry = read(store, &key).expect("it stands");
    assert_eq!(
        json_of(&entry.value)["spec"]["nets"]
            .as_array()
            .map(Vec::len),
        Some(40_000)
    );
    let prefix = format!("{ROOT}globalnetworksets/");
    let mut watch =
        block_on_ready(store.watch(&[&prefix], Revision::new(from.get() - 1))).expect("watch");
    let events = watch.next(PATIENCE).expect("events");
    assert!(
        matches!(&events[..], [Event::Put(put)] if put.value == entry.value),
        "one event, whole"
    );
    block_on_ready(store.delete(&key, None)).expect("delete");
}

fn watches(store: &KubernetesStore) {
    let prefix = format!("{ROOT}ippools/");
    let tiers = format!("{ROOT}tiers/");
    let before = block_on_ready(store.list(&prefix)).expect("list").revision;
    let (key, value) = pool("a", "10.1.0.0/16");
    let first = commit(store, &[Write::create(key.as_str(), value.clone())]).expect("create");
    let mut object = json_of(&read(store, &key).expect("it stands").value);
    object["spec"]["natOutgoing"] = true.into();
    let second = commit(store, &[Write::put(key.as_str(), object.to_string())]).expect("put");
    commit(store, &[Write::delete(key.as_str(), None)]).expect("delete");
    let mut all = block_on_ready(store.watch(&[&prefix, &tiers], before)).expect("watch");
    let mut events = Vec::new();
    while events.len() < 3 {
        let more = all.next(PATIENCE).expect("events");
        assert!(!more.is_empty(), "only {events:?}");
        events.extend(more);
    }
    assert!(matches!(&events[0], Event::Put(put) if put.revision == first && *put.key == *key));
    assert!(matches!(&events[1], Event::Put(put) if put.revision == second));
    assert!(
        matches!(&events[2], Event::Delete { key: gone, revision } if **gone == *key && *revision > second)
    );
    let mut later = block_on_ready(store.watch(&[&prefix], first)).expect("watch");
    let next = later.next(PATIENCE).expect("events");
    assert!(matches!(&next[0], Event::Put(put) if put.revision == second));
    let mut beginning = block_on_ready(store.watch(&[], Revision::ZERO)).expect("watch");
    let lost = beginning.next(PATIENCE).expect("events");
    assert!(
        matches!(lost[..], [Event::Resync { .. }]),
        "an API server has no changes since its beginning"
    );
    let mut forgotten = block_on_ready(store.watch(&[&prefix], Revision::new(1))).expect("watch");
    // An API server that has been up for a short time still has everything; one that has not says so.
    let events = forgotten.next(PATIENCE).expect("events");
    assert!(!events.is_empty());
}

fn two_writers(store: &KubernetesStore) {
    const EACH: u64 = 25;
    let key = format!("{ROOT}globalnetworksets/counter");
    let value = |n: u64| {
        json!({"metadata": {"name": "counter", "labels": {"n": n.to_string()}}, "spec": {}})
            .to_string()
    };
    commit(store, &[Write::create(key.as_str(), value(0))]).expect("create");
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let mut done = 0;
                while done < EACH {
                    let entry = read(store, &key).expect("it stands");
                    let n = json_of(&entry.value)["metadata"]["labels"]["n"]
                        .as_str()
                        .and_then(|n| n.parse::<u64>().ok())
                        .expect("a number");
                    match block_on_ready(store.update(
                        &key,
                        value(n + 1).into_bytes(),
                        entry.revision,
                    )) {
                        Ok(_) => done += 1,
                        Err(error) => assert!(error.is_conflict(), "{error}"),
                    }
                }
            });
        }
    });
    let entry = read(store, &key).expect("it stands");
    assert_eq!(
        json_of(&entry.value)["metadata"]["labels"]["n"],
        (2 * EACH).to_string(),
        "no update was lost"
    );
    block_on_ready(store.delete(&key, None)).expect("delete");
}

/// IPAM entries keep their form, whatever the custom resources look like.
fn blocks(store: &KubernetesStore) {
    let affinity = "/calico/ipam/v2/host/node-1/ipv4/block/10.65.0.64-26";
    let handle = "/calico/ipam/v2/handle/k8s-pod-network.ABC";
    let pending = br#"{"state":"pending","deleted":false}"#;
    let first = block_on_ready(store.create(affinity, pending.to_vec())).expect("create");
    assert_eq!(read(store, affinity).expect("it stands").value, pending);
    let found =
        block_on_ready(store.list("/calico/ipam/v2/host/node-1/ipv4/block/")).expect("list");
    assert_eq!(found.entries.len(), 1);
    let none = block_on_ready(store.list("/calico/ipam/v2/host/node-2/ipv4/block/")).expect("list");
    assert_eq!(none.entries.len(), 0);
    let confirmed = br#"{"state":"confirmed","deleted":false}"#;
    let second = block_on_ready(store.update(affinity, confirmed.to_vec(), first)).expect("update");
    block_on_ready(store.create(
        handle,
        br#"{"block":{"10.65.0.64/26":1},"deleted":false}"#.to_vec(),
    ))
    .expect("create");
    // Another hand, as upstream's, marks it as deleted and is killed before it deletes it.
    block_on_ready(store.update(
        affinity,
        br#"{"state":"confirmed","deleted":true}"#.to_vec(),
        second,
    ))
    .expect("update");
    assert_eq!(read(store, affinity), None, "marked is gone");
    block_on_ready(store.create(affinity, pending.to_vec())).expect("its name is free again");
    assert_eq!(read(store, affinity).expect("it stands").value, pending);
    commit(
        store,
        &[Write::delete(affinity, None), Write::delete(handle, None)],
    )
    .expect("delete");
}

/// What another client finds, by hand from upstream's layout.
fn golden_v1(server: &RealKubernetes) {
    let store = open(server, User::Calicoctl);
    let key = format!("{ROOT}globalnetworkpolicies/allow");
    let object = json!({
        "apiVersion": "projectcalico.org/v3", "kind": "GlobalNetworkPolicy",
        "metadata": {"name": "allow", "creationTimestamp": "2026-08-01T10:00:00Z", "labels": {"a": "b"}},
        "spec": {"tier": "default", "selector": "all()", "types": ["Ingress"]},
    });
    block_on_ready(store.create(&key, object.to_string().into_bytes())).expect("create");
    let found = server.object(&["globalnetworkpolicies.crd.projectcalico.org", "allow"]);
    assert_eq!(found["apiVersion"], "crd.projectcalico.org/v1");
    assert_eq!(
        found["metadata"]["annotations"],
        json!({"projectcalico.org/metadata": r#"{"name":"allow","creationTimestamp":"2026-08-01T10:00:00Z","labels":{"a":"b"}}"#})
    );
    assert_eq!(found["metadata"].get("labels"), None);
    assert_eq!(found["spec"], object["spec"]);
    block_on_ready(store.create(
        "/calico/ipam/v2/host/node-1/ipv4/block/10.65.0.64-26",
        br#"{"state":"pending","deleted":false}"#.to_vec(),
    ))
    .expect("create");
    let found = server.object(&["blockaffinities", "node-1-10-65-0-64-26"]);
    assert_eq!(
        found["spec"],
        json!({"cidr": "10.65.0.64/26", "deleted": "false", "node": "node-1", "state": "pending", "type": "host"})
    );
    assert_eq!(
        found["metadata"]["labels"]["projectcalico.org/affinity-type"],
        "host"
    );
    // What another client wrote is ours to read.
    server.apply("apiVersion: crd.projectcalico.org/v1\nkind: GlobalNetworkPolicy\nmetadata:\n  name: default.old\n  annotations:\n    projectcalico.org/metadata: '{}'\nspec: {tier: default, selector: all()}\n");
    let old = format!("{ROOT}globalnetworkpolicies/default.old");
    let entry = read(&store, &old).expect("found where it is");
    let mut object = json_of(&entry.value);
    assert_eq!(
        object["metadata"]["name"], "old",
        "called what users call it"
    );
    object["spec"]["order"] = 5.into();
    block_on_ready(store.update(&old, object.to_string().into_bytes(), entry.revision))
        .expect("update");
    assert_eq!(
        server.object(&["globalnetworkpolicies.crd.projectcalico.org", "default.old"])["spec"]["order"],
        5
    );
    block_on_ready(store.delete(&old, None)).expect("delete");
    assert_eq!(read(&store, &old), None);
}

/// Pods, Nodes and Namespaces as other stores have them.
fn native_objects(server: &RealKubernetes) {
    server.apply(
        "apiVersion: v1\nkind: Namespace\nmetadata: {name: prod, labels: {team: a}}\n---\n\
         apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: robot, namespace: prod}\n---\n\
         apiVersion: v1\nkind: Node\nmetadata: {name: node-1}\n---\n\
         apiVersion: v1\nkind: Pod\nmetadata: {name: web-0, namespace: prod, labels: {app: web}}\nspec: {nodeName: node-1, serviceAccountName: robot, containers: [{name: c, image: i}]}\n---\n\
         apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: deny, namespace: prod}\nspec: {podSelector: {}}\n",
    );
    let plugin = open(server, User::CniPlugin);
    let key = format!("{ROOT}workloadendpoints/prod/node--1-k8s-web--0-eth0");
    let entry = read(&plugin, &key).expect("a pod is an endpoint");
    let mut object = json_of(&entry.value);
    assert_eq!(
        object["spec"]["profiles"],
        json!(["kns.prod", "ksa.prod.robot"])
    );
    object["spec"]["ipNetworks"] = json!(["10.65.0.2/32"]);
    object["spec"]["containerID"] = "c1".into();
    block_on_ready(plugin.update(&key, object.to_string().into_bytes(), entry.revision))
        .expect("its own rights suffice");
    let pod = server.object(&["-n", "prod", "pod", "web-0"]);
    assert_eq!(
        pod["metadata"]["annotations"],
        json!({"cni.projectcalico.org/podIP": "10.65.0.2/32", "cni.projectcalico.org/podIPs": "10.65.0.2/32", "cni.projectcalico.org/containerID": "c1"})
    );
    assert_eq!(
        json_of(&read(&plugin, &key).expect("it stands").value)["spec"]["ipNetworks"],
        json!(["10.65.0.2/32"])
    );
    let mut other = object.clone();
    other["metadata"]["uid"] = "0c8c26a6-c6a6-44c6-adc6-ac2646b46c1c".into();
    let another =
        block_on_ready(plugin.update(&key, other.to_string().into_bytes(), entry.revision));
    assert!(
        another.is_err(),
        "another pod of the same name: {another:?}"
    );
    block_on_ready(plugin.delete(&key, None)).expect("taken back");
    let pod = server.object(&["-n", "prod", "pod", "web-0"]);
    assert_eq!(
        pod["metadata"]["annotations"]["cni.projectcalico.org/podIP"],
        ""
    );

    let agent = open(server, User::Node);
    let node = format!("{ROOT}nodes/node-1");
    let entry = read(&agent, &node).expect("a node");
    let mut object = json_of(&entry.value);
    object["spec"]["bgp"] = json!({"ipv4Address": "10.0.0.1/24"});
    block_on_ready(agent.update(&node, object.to_string().into_bytes(), entry.revision))
        .expect("update");
    let annotations = server.object(&["node", "node-1"])["metadata"]["annotations"].clone();
    assert_eq!(annotations["projectcalico.org/IPv4Address"], "10.0.0.1/24");
    let stale =
        block_on_ready(agent.update(&node, object.to_string().into_bytes(), entry.revision));
    assert!(
        stale.as_ref().is_err_and(CommitError::is_conflict),
        "{stale:?}"
    );

    let profiles = block_on_ready(agent.list(&format!("{ROOT}profiles/"))).expect("list");
    let names: Vec<&str> = profiles
        .entries
        .iter()
        .filter_map(|entry| entry.key.rsplit('/').next())
        .collect();
    assert!(
        names.contains(&"kns.prod") && names.contains(&"ksa.prod.robot"),
        "{names:?}"
    );
    for key in [
        "namespaces/prod",
        "serviceaccounts/prod/robot",
        "kubernetesnetworkpolicies/prod/deny",
    ] {
        let key = format!("{ROOT}{key}");
        let entry = read(&agent, &key).unwrap_or_else(|| panic!("{key} stands"));
        api::decode(&entry.key, &entry.value).expect("the model takes it");
    }
}

/// Services and the slices that say who serves them, with the rights of those who read them.
fn services(server: &RealKubernetes) {
    server.apply(
        "apiVersion: v1\nkind: Service\nmetadata: {name: db, namespace: prod}\nspec: {selector: {app: db}, ports: [{port: 5432}]}\n---\n\
         apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n\
         metadata: {name: db-1, namespace: prod, labels: {kubernetes.io/service-name: db}}\naddressType: IPv4\n\
         endpoints: [{addresses: [10.65.0.3], conditions: {ready: false}}]\nports: [{name: sql, port: 5432}]\n---\n\
         apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n\
         metadata: {name: db-2, namespace: prod, labels: {kubernetes.io/service-name: db}}\naddressType: FQDN\n\
         endpoints: [{addresses: [db.example.com]}]\nports: []\n",
    );
    let agent = open(server, User::Node);
    let slices = format!("{ROOT}kubernetesendpointslices/prod/");
    let listed = block_on_ready(agent.list(&slices)).expect("its own rights suffice");
    let decoded = listed.entries.iter().map(|entry| {
        let update = api::decode(&entry.key, &entry.value).expect("the model takes it");
        let Some(model::Resource::EndpointSlice(slice)) = update.value else {
            panic!("{}: {:?}", entry.key, update.value);
        };
        (slice.service.to_string(), slice.addresses, slice.ports)
    });
    let address = "10.65.0.3".parse().expect("an address");
    let expected = [
        (
            "db".to_owned(),
            vec![address],
            vec![(model::Protocol::TCP, 5432)],
        ),
        ("db".to_owned(), vec![], vec![]),
    ];
    assert_eq!(decoded.collect::<Vec<_>>(), expected);
    let user = open(server, User::Calicoctl);
    let service = format!("{ROOT}kubernetesservice/prod/db");
    let entry = read(&user, &service).expect("the service");
    assert_eq!(json_of(&entry.value)["spec"]["ports"][0]["port"], 5432);
    assert!(read(&user, &format!("{slices}db-1")).is_some());
    for key in [service, format!("{slices}db-1")] {
        let refused = block_on_ready(user.delete(&key, None)).expect_err("refused");
        assert!(refused.to_string().contains("use kubectl"), "{refused}");
    }
    server.kubectl(&["-n", "prod", "delete", "service", "db"]);
    server.kubectl(&["-n", "prod", "delete", "endpointslice", "db-1", "db-2"]);
}

/// Each error names what to do.
fn errors(server: &RealKubernetes) {
    let nobody = open(server, User::Nobody);
    let (key, value) = pool("a", "10.1.0.0/16");
    let text = block_on_ready(nobody.get(&key))
        .expect_err("nobody may")
        .to_string();
    assert!(
        text.contains("cannot get resource \"ippools\" in API group \"crd.projectcalico.org\""),
        "{text}"
    );
    let text = block_on_ready(nobody.create(&key, value))
        .expect_err("nobody may")
        .to_string();
    assert!(
        text.contains("cannot create resource \"ippools\""),
        "{text}"
    );
    // A token that was replaced is used at once.
    let token = server.directory().join("token");
    std::fs::write(&token, server.token(User::Nobody)).expect("a writable directory");
    let kubeconfig = std::fs::read_to_string(server.kubeconfig(User::Node)).expect("a kubeconfig");
    let mut kubeconfig = json_of(kubeconfig.as_bytes());
    kubeconfig["users"][0]["user"] = json!({"tokenFile": token});
    let settings = KubernetesSettings {
        kubeconfig_inline: Some(datastore::Secret::new(kubeconfig.to_string())),
        ..KubernetesSettings::default()
    };
    let store = KubernetesStore::open(&settings, PATIENCE).expect("a usable kubeconfig");
    assert!(block_on_ready(store.get(&key)).is_err());
    std::fs::write(&token, server.token(User::Node)).expect("a writable directory");
    assert_eq!(read(&store, &key), None, "who it is now may look");
    let settings = KubernetesSettings {
        api_endpoint: Some("http://127.0.0.1:1".into()),
        ..KubernetesSettings::default()
    };
    let nowhere =
        KubernetesStore::open(&settings, Duration::from_millis(500)).expect("nothing is asked yet");
    let began = std::time::Instant::now();
    let text = block_on_ready(nowhere.get(&key))
        .expect_err("nobody listens")
        .to_string();
    assert!(began.elapsed() < Duration::from_secs(2));
    assert!(
        text.contains("the Kubernetes API http://127.0.0.1:1"),
        "{text}"
    );
}
