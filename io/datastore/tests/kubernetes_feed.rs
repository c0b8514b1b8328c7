//! Following a real API server: what it costs, what it bears.

#[expect(dead_code, reason = "the tests of conformance need the rest")]
mod k8s;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use datastore::{
    Datastore, Feed, FeedEvent, FeedState, KubernetesSettings, KubernetesStore, Write,
    block_on_ready,
};
use serde_json::json;
use testkit::rng::Rng;
use testkit::servers::{KubernetesOptions, Proxy, RealKubernetes, User};

use k8s::{ROOT, World, commit, open, pool, until};

#[test]
fn a_feed_costs_one_request_a_kind_and_heals() {
    let Some(mut server) = RealKubernetes::start() else {
        return;
    };
    server.apply("apiVersion: v1\nkind: Namespace\nmetadata: {name: prod}\n---\napiVersion: v1\nkind: Node\nmetadata: {name: node-1}\n");
    let store = open(&server, User::Node);
    let prefixes: Vec<String> = [
        "namespaces",
        "nodes",
        "workloadendpoints",
        "kubernetesnetworkpolicies",
        "ippools",
        "tiers",
        "globalnetworkpolicies",
        "felixconfigurations",
    ]
    .iter()
    .map(|plural| format!("{ROOT}{plural}/"))
    .collect();
    let prefixes: Vec<&str> = prefixes.iter().map(String::as_str).collect();
    let mut feed = store.follow(&prefixes).expect("a feed");
    let mut world = World::default();
    // Half of the kinds are not there: they are empty, and in sync.
    until("in sync", || world.take(&mut feed).synced);
    assert!(
        world.keys().contains(&format!("{ROOT}namespaces/prod")),
        "{:?}",
        world.keys()
    );
    server.install_definitions("v1");
    let writer = open(&server, User::Calicoctl);
    let (key, value) = pool("a", "10.1.0.0/16");
    block_on_ready(writer.create(&key, value)).expect("create");
    until("the kind is found", || {
        world.take(&mut feed).keys().contains(&key)
    });

    // A pod whose annotations are nonsense stops nothing, neither for others nor for itself.
    let pod = |name: &str, annotation: &str| {
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, namespace: prod, annotations: {{cni.projectcalico.org/podIPs: {annotation}, cni.projectcalico.org/podIP: {annotation}}}}}\nspec: {{nodeName: node-1, containers: [{{name: c, image: i}}]}}\n"
        )
    };
    server.apply(&format!(
        "{}---\n{}",
        pod("bad", "nonsense"),
        pod("good", "10.65.0.3/32")
    ));
    let good = format!("{ROOT}workloadendpoints/prod/node--1-k8s-good-eth0");
    until("the other pod", || {
        world.take(&mut feed).keys().contains(&good)
    });

    // The server is killed, and changed behind our back.
    let lists = feed.stats().lists;
    server.kill();
    until("it is noticed", || {
        world.take(&mut feed);
        matches!(feed.state(), FeedState::Retrying { .. })
    });
    server.restart();
    block_on_ready(writer.delete(&key, None)).expect("delete");
    until("the pool is gone", || {
        !world.take(&mut feed).keys().contains(&key)
    });
    until("all is well", || {
        world.take(&mut feed);
        feed.state() == FeedState::InSync
    });
    // What changed before it began anew, a server does not know; so each kind is listed once, and said as a difference.
    assert!(
        feed.stats().lists <= lists + prefixes.len() as u64,
        "{} lists more",
        feed.stats().lists - lists
    );

    // A new feed, now that all is there: one request for each kind, and one to learn the group.
    let store = open(&server, User::Node);
    let began = store.stats().requests();
    let mut feed = store.follow(&prefixes).expect("a feed");
    let mut world = World::default();
    until("in sync", || world.take(&mut feed).synced);
    assert_eq!(
        store.stats().requests() - began,
        1 + prefixes.len() as u64,
        "{:?}",
        store.stats()
    );
    // A change of configuration costs nothing.
    let felix = format!("{ROOT}felixconfigurations/default");
    let value = json!({"metadata": {"name": "default"}, "spec": {"logSeverityScreen": "Debug"}})
        .to_string();
    block_on_ready(writer.create(&felix, value.into_bytes())).expect("create");
    until("the change", || {
        world.take(&mut feed).keys().contains(&felix)
    });
    assert_eq!(store.stats().requests() - began, 1 + prefixes.len() as u64);
    assert!(matches!(feed.poll()[..], [] | [FeedEvent::Put(_), ..]));
}

#[test]
fn a_server_without_streaming_lists_is_listed_and_watched() {
    let flags = vec!["--feature-gates=WatchList=false".to_owned()];
    let options = KubernetesOptions {
        flags,
        ..Default::default()
    };
    let Some(server) = RealKubernetes::start_with(options) else {
        return;
    };
    server.apply("apiVersion: v1\nkind: Namespace\nmetadata: {name: prod}\n");
    let store = open(&server, User::Node);
    let prefix = format!("{ROOT}namespaces/");
    let mut feed = store.follow(&[&prefix]).expect("a feed");
    let mut world = World::default();
    until("in sync", || world.take(&mut feed).synced);
    assert!(world.keys().contains(&format!("{prefix}prod")));
    // Definitions come later, and of the other group.
    let pools = format!("{ROOT}ippools/");
    let mut later = store.follow(&[&pools]).expect("a feed");
    let mut pooled = World::default();
    until("in sync without a definition", || {
        pooled.take(&mut later).synced
    });
    server.install_definitions("v3");
    let writer = open(&server, User::Calicoctl);
    let (key, value) = pool("a", "10.1.0.0/16");
    block_on_ready(writer.create(&key, value)).expect("create");
    until("the group is found", || {
        pooled.take(&mut later).keys().contains(&key)
    });
    server.kubectl(&["create", "namespace", "more"]);
    until("the change", || {
        world
            .take(&mut feed)
            .keys()
            .contains(&format!("{prefix}more"))
    });
}

/// How long the server is killed again and again; longer where many cases are asked for.
fn chaos_lasts() -> Duration {
    let deep = std::env::var("CALICO_CASES")
        .ok()
        .and_then(|text| text.parse::<u64>().ok());
    Duration::from_secs(if deep.is_some_and(|cases| cases >= 10_000) {
        600
    } else {
        20
    })
}

#[test]
fn nothing_is_lost_while_the_server_is_killed_and_connections_are_cut() {
    let Some(mut server) = RealKubernetes::start() else {
        return;
    };
    server.install_definitions("v1");
    let prefix = format!("{ROOT}globalnetworksets/");
    let writer = open(&server, User::Calicoctl);
    let target = server.url().trim_start_matches("https://").parse();
    let proxy = Proxy::start(target.expect("an address")).expect("a free port");
    let through = KubernetesSettings {
        kubeconfig: Some(server.kubeconfig(User::Node).display().to_string()),
        api_endpoint: Some(format!("https://{}", proxy.address())),
        ..KubernetesSettings::default()
    };
    let cut = KubernetesStore::open(&through, Duration::from_secs(10)).expect("usable settings");
    let stores = [open(&server, User::Node), open(&server, User::Node), cut];
    let mut feeds: Vec<(Feed, World)> = stores
        .iter()
        .map(|store| (store.follow(&[&prefix]).expect("a feed"), World::default()))
        .collect();
    let seed = u64::from(std::process::id());
    eprintln!("seed {seed}");
    let mut rng = Rng::new(seed);
    let ends = Instant::now() + chaos_lasts();
    let stop = AtomicBool::new(false);
    let mut kills = 0;
    let written = std::thread::scope(|scope| {
        let work = scope.spawn(|| write_until(&writer, &prefix, &stop));
        let mut next = Instant::now() + Duration::from_secs(1);
        while Instant::now() < ends {
            for (feed, world) in &mut feeds {
                world.take(feed);
            }
            if Instant::now() >= next {
                server.kill();
                server.restart();
                kills += 1;
                next = Instant::now() + Duration::from_millis(rng.below(4_000) as u64);
            }
            if rng.below(50) == 0 {
                proxy.cut();
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        stop.store(true, Ordering::Relaxed);
        work.join().expect("the writer ends")
    });
    let snapshot = block_on_ready(writer.list(&prefix)).expect("the final state");
    for (number, (feed, world)) in feeds.iter_mut().enumerate() {
        until("each feed ends where the store is", || {
            let world = world.take(feed);
            world.synced && world.entries.values().eq(snapshot.entries.iter())
        });
        let stats = feed.stats();
        eprintln!(
            "feed {number}: {} lists, {} failures",
            stats.lists, stats.failures
        );
        // Whoever does not fall silent lists again when it must, and no more often than the server began anew.
        assert!(
            stats.lists <= 2 * (kills + 1),
            "feed {number}: {stats:?} after {kills} restarts"
        );
    }
    eprintln!(
        "{written} writes, {kills} restarts, {} objects in the end",
        snapshot.entries.len()
    );
    assert!(kills > 1 && written > 0);
}

/// Makes, changes and removes sets; what is refused or unsure is looked at no further: the final state says what became of it.
fn write_until(store: &KubernetesStore, prefix: &str, stop: &AtomicBool) -> u64 {
    let mut rng = Rng::new(7);
    let mut written = 0;
    while !stop.load(Ordering::Relaxed) {
        let name = format!("set-{}", rng.below(40));
        let key = format!("{prefix}{name}");
        let write = if rng.below(4) == 0 {
            Write::delete(key, None)
        } else {
            let n = rng.below(1_000).to_string();
            let value = json!({"metadata": {"name": name, "labels": {"n": n}}, "spec": {}});
            Write::put(key, value.to_string())
        };
        written += u64::from(commit(store, &[write]).is_ok());
    }
    written
}
