//! Etcd that is not there, does not answer, answers nonsense, or lets nobody in: one clear error, in time.

mod etcd;

use std::io::{self, Read, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use datastore::{
    CommitError, Datastore, Entry, EtcdSettings, EtcdStore, Event, FeedEvent, FeedState, Material,
    Query, RemoteError, Secret, StorageError, UpdateEvent, Updates, Write, block_on_ready,
};
use testkit::servers::{Guard, Proxy, RealEtcd};

const TIMEOUT: Duration = Duration::from_millis(700);
const PATIENCE: Duration = Duration::from_secs(30);

fn open(endpoints: &[String], timeout: Duration) -> EtcdStore {
    let settings = EtcdSettings {
        endpoints: endpoints.to_vec(),
        ..EtcdSettings::default()
    };
    EtcdStore::open(&settings, timeout).expect("settings of a store")
}

fn url(listener: &TcpListener) -> String {
    format!("http://{}", listener.local_addr().expect("an address"))
}

fn listener() -> TcpListener {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port")
}

/// Where nobody listens.
fn nobody() -> String {
    url(&listener())
}

/// A listener whose connections are taken by the kernel and by nobody else.
fn silent() -> (TcpListener, String) {
    let listener = listener();
    let url = url(&listener);
    (listener, url)
}

/// The text and the time of a read that fails.
fn failure(store: &EtcdStore) -> (RemoteError, String, Duration) {
    let begun = Instant::now();
    let error = block_on_ready(store.get("/calico/a")).expect_err("it cannot be read");
    let text = error.to_string();
    let datastore::ReadError::Storage(StorageError::Remote(error)) = error else {
        panic!("{error:?}")
    };
    (error, text, begun.elapsed())
}

#[test]
fn nobody_there_is_said_at_once() {
    let url = nobody();
    let store = open(std::slice::from_ref(&url), PATIENCE);
    let (error, text, took) = failure(&store);
    assert!(
        matches!(error, RemoteError::Unreachable { .. }),
        "{error:?}"
    );
    assert!(took < Duration::from_secs(2), "{took:?}");
    assert!(text.contains(&url) && text.contains("refused"), "{text}");
    let refused = block_on_ready(store.commit(&[Write::put("/calico/a", "1")]));
    assert!(
        matches!(refused, Err(CommitError::Storage(_))),
        "nothing was sent: {refused:?}"
    );
}

#[test]
fn silence_ends_with_the_deadline_and_leaves_a_write_unsure() {
    let (_listener, url) = silent();
    let store = open(std::slice::from_ref(&url), TIMEOUT);
    let (error, text, took) = failure(&store);
    assert!(matches!(error, RemoteError::Timeout { .. }), "{error:?}");
    assert!(took >= TIMEOUT && took < 3 * TIMEOUT, "{took:?}");
    assert!(
        text.contains(&url) && text.contains("no answer within 0.7 s"),
        "{text}"
    );
    let unsure = block_on_ready(store.commit(&[Write::put("/calico/a", "1")]));
    assert!(matches!(unsure, Err(CommitError::Unsure(_))), "{unsure:?}");
}

#[test]
fn one_member_of_several_is_enough() {
    let Some(server) = RealEtcd::start(Guard::Open) else {
        return;
    };
    let (_listener, silent) = silent();
    let store = open(&[nobody(), silent, server.url()], Duration::from_secs(3));
    block_on_ready(store.commit(&[Write::check("/calico/a", None)]))
        .expect_err("a silent member leaves it unsure");
    block_on_ready(store.create("/calico/a", b"1".to_vec())).expect("another serves");
    let begun = Instant::now();
    block_on_ready(store.get("/calico/a")).expect("it serves");
    assert!(begun.elapsed() < Duration::from_secs(1), "and is kept");
    let none = open(&[nobody(), nobody()], Duration::from_secs(3));
    let (_, text, _) = failure(&none);
    assert_eq!(
        text.matches("refused").count(),
        2,
        "each with its own trouble: {text}"
    );
}

/// Answers every call with this status (of gRPC), until the test ends.
fn always(status: u8, message: &'static str) -> String {
    let listener = listener();
    let url = url(&listener);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || refuse_all(stream, status, message));
        }
    });
    url
}

/// As much of HTTP/2 (RFC 9113) as it takes to end every stream with the same trailers.
fn refuse_all(mut stream: TcpStream, status: u8, message: &str) -> io::Result<()> {
    const SETTINGS: u8 = 4;
    const HEADERS: u8 = 1;
    const PING: u8 = 6;
    const ACK: u8 = 1;
    stream.read_exact(&mut [0; 24])?;
    stream.write_all(&[0, 0, 0, SETTINGS, 0, 0, 0, 0, 0])?;
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head)?;
        let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        let mut body = vec![0; length];
        stream.read_exact(&mut body)?;
        match (head[3], head[4] & ACK) {
            (SETTINGS, 0) => stream.write_all(&[0, 0, 0, SETTINGS, ACK, 0, 0, 0, 0])?,
            (PING, 0) => {
                stream.write_all(&[0, 0, 8, PING, ACK, 0, 0, 0, 0])?;
                stream.write_all(&body)?;
            }
            (HEADERS, _) => {
                // :status 200, and the rest as literals.
                let mut block = vec![0x88];
                let status = status.to_string();
                for (name, value) in [
                    ("content-type", "application/grpc"),
                    ("grpc-status", &status),
                    ("grpc-message", message),
                ] {
                    for text in [name, value] {
                        if text == name {
                            block.push(0);
                        }
                        block.push(u8::try_from(text.len()).expect("short"));
                        block.extend(text.as_bytes());
                    }
                }
                let length = u8::try_from(block.len()).expect("short");
                let mut frame = vec![0, 0, length, HEADERS, 5];
                frame.extend(&head[5..]);
                frame.extend(block);
                stream.write_all(&frame)?;
            }
            _ => {}
        }
    }
}

#[test]
fn failures_of_the_server_are_told_and_retried() {
    let unavailable = open(
        &[always(14, "etcdserver: no leader")],
        Duration::from_secs(5),
    );
    let (error, text, _) = failure(&unavailable);
    assert!(
        matches!(error, RemoteError::Unavailable { .. }),
        "{error:?}"
    );
    assert!(text.contains("no leader"), "{text}");
    let commit = |store: &EtcdStore| block_on_ready(store.commit(&[Write::put("/calico/a", "1")]));
    let refused = commit(&unavailable);
    assert!(
        matches!(refused, Err(CommitError::Storage(_))),
        "it was not proposed: {refused:?}"
    );
    let internal = open(&[always(13, "boom")], Duration::from_secs(5));
    let unsure = commit(&internal);
    assert!(matches!(unsure, Err(CommitError::Unsure(_))), "{unsure:?}");
    // One who follows goes on trying, says why, and does not spin.
    let mut feed = internal.follow(&["/calico/"]).expect("descriptors");
    let end = Instant::now() + Duration::from_secs(2);
    while Instant::now() < end {
        assert!(
            feed.next(Duration::from_millis(100))
                .expect("it waits")
                .is_empty()
        );
    }
    let FeedState::Retrying { why, .. } = feed.state() else {
        panic!("{:?}", feed.state())
    };
    assert!(why.contains("boom"), "{why}");
    assert!(feed.stats().failures < 30, "{:?}", feed.stats());
}

#[test]
fn what_is_no_etcd_is_no_panic() {
    let listener = listener();
    let url = url(&listener);
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
        }
    });
    let (_, text, _) = failure(&open(std::slice::from_ref(&url), TIMEOUT));
    assert!(text.contains(&url), "{text}");
}

#[test]
fn who_is_not_let_in_is_told_so_without_the_password() {
    let Some(server) = RealEtcd::start(Guard::Password) else {
        return;
    };
    let mut settings = etcd::settings(&server, Guard::Password);
    let store = EtcdStore::open(&settings, PATIENCE).expect("settings");
    block_on_ready(store.create("/calico/a", b"1".to_vec())).expect("it may");
    let denied = block_on_ready(store.create("/other/a", b"1".to_vec())).expect_err("it may not");
    assert!(
        matches!(
            denied,
            CommitError::Storage(StorageError::Remote(RemoteError::Denied { .. }))
        ),
        "{denied:?}"
    );
    settings.password = Some(Secret::new("not-the-one".into()));
    let (error, text, _) = failure(&EtcdStore::open(&settings, PATIENCE).expect("settings"));
    assert!(matches!(error, RemoteError::Denied { .. }), "{error:?}");
    assert!(!text.contains("not-the-one"), "{text}");
    let (error, _, _) = failure(&open(&[server.url()], PATIENCE));
    assert!(
        matches!(error, RemoteError::Denied { .. }),
        "without a user: {error:?}"
    );
}

#[test]
fn tokens_that_are_forgotten_are_renewed() {
    let Some(mut server) = RealEtcd::start(Guard::Password) else {
        return;
    };
    let settings = etcd::settings(&server, Guard::Password);
    let store = EtcdStore::open(&settings, PATIENCE).expect("settings");
    block_on_ready(store.create("/calico/a", b"1".to_vec())).expect("create");
    let mut feed = store.follow(&["/calico/"]).expect("descriptors");
    assert_eq!(feed.next(PATIENCE).expect("events").len(), 2);
    // A server forgets the tokens that it gave when it ends.
    server.restart();
    block_on_ready(store.get("/calico/a")).expect("it may again");
    block_on_ready(store.create("/calico/b", b"1".to_vec())).expect("create");
    let events = feed.next(PATIENCE).expect("events");
    assert!(matches!(&events[..], [FeedEvent::Put(entry)] if &*entry.key == "/calico/b"));
    assert_eq!(feed.stats().lists, 1);
}

#[test]
fn certificates_that_do_not_fit_are_told() {
    let Some(server) = RealEtcd::start(Guard::Tls) else {
        return;
    };
    let right = etcd::settings(&server, Guard::Tls);
    let inline = |material: &Option<Material>| match material {
        Some(Material::File(path)) => {
            let text = std::fs::read_to_string(path).expect("a file");
            Some(Material::Inline(Secret::new(text)))
        }
        other => other.clone(),
    };
    let all_inline = EtcdSettings {
        ca_cert: inline(&right.ca_cert),
        cert: inline(&right.cert),
        key: inline(&right.key),
        ..right.clone()
    };
    let store = EtcdStore::open(&all_inline, PATIENCE).expect("settings");
    block_on_ready(store.get("/calico/a")).expect("inline certificates serve");

    let stranger = EtcdSettings {
        ca_cert: right.cert.clone(),
        ..right.clone()
    };
    let (_, text, _) = failure(&EtcdStore::open(&stranger, PATIENCE).expect("settings"));
    assert!(text.contains("certificate"), "{text}");
    let anonymous = EtcdSettings {
        cert: None,
        key: None,
        ..right.clone()
    };
    let (_, text, _) = failure(&EtcdStore::open(&anonymous, PATIENCE).expect("settings"));
    assert!(text.contains(&server.url()), "{text}");
    let refused = |settings: EtcdSettings| {
        let error = EtcdStore::open(&settings, PATIENCE)
            .err()
            .expect("it cannot be used");
        error.to_string()
    };
    let half = EtcdSettings {
        key: None,
        ..right.clone()
    };
    assert!(refused(half).contains("no key for it"));
    let absent = EtcdSettings {
        ca_cert: Some(Material::File("/nonexistent/ca".into())),
        ..right.clone()
    };
    assert!(refused(absent).contains("/nonexistent/ca cannot be read"));
    let no_pem = EtcdSettings {
        ca_cert: Some(Material::Inline(Secret::new("hush".into()))),
        ..right
    };
    let text = refused(no_pem);
    assert!(text.contains("not PEM") && !text.contains("hush"), "{text}");
}

#[test]
fn a_key_lives_as_long_as_it_was_given() {
    let Some(server) = RealEtcd::start(Guard::Open) else {
        return;
    };
    let store = open(&[server.url()], PATIENCE);
    let lifetime = Duration::from_millis(900);
    let made =
        block_on_ready(store.commit(&[Write::put_for("/calico/a", "1", lifetime)])).expect("put");
    let mut watch = block_on_ready(store.watch(&["/calico/"], made)).expect("watch");
    let events = watch.next(PATIENCE).expect("events");
    assert!(
        matches!(&events[..], [Event::Delete { key, .. }] if &**key == "/calico/a"),
        "{events:?}"
    );
    // A refused transaction leaves no lease behind.
    let writes = [
        Write::put_for("/calico/b", "1", Duration::from_secs(1000)),
        Write::update("/calico/c", "1", made),
    ];
    let refused = block_on_ready(store.commit(&writes));
    assert!(
        matches!(refused, Err(CommitError::NotFound { .. })),
        "{refused:?}"
    );
    let leases = server.etcdctl(&["lease", "list"]);
    assert!(leases.contains("found 0 leases"), "{leases}");
}

#[test]
fn long_answers_come_in_pages_of_one_revision() {
    let Some(server) = RealEtcd::start(Guard::Open) else {
        return;
    };
    let store = open(&[server.url()], PATIENCE);
    // More than one answer may be, in keys and in bytes.
    for chunk in 0..60 {
        let writes: Vec<_> = (0..100)
            .map(|at| Write::put(format!("/calico/{chunk:02}/{at:02}"), vec![b'x'; 14_000]))
            .collect();
        block_on_ready(store.commit(&writes)).expect("put");
    }
    let queries = [Query::prefix("/calico/"), Query::key("/calico/00/00")];
    let snapshot = block_on_ready(store.read(&queries)).expect("read");
    assert_eq!(snapshot.entries.len(), 6000);
    assert!(snapshot.entries.is_sorted_by(|a, b| a.key < b.key));
    // More questions than fit in one transaction.
    let queries: Vec<_> = (0..300)
        .map(|at| Query::key(format!("/calico/{:02}/{:02}", at % 60, at / 60)))
        .collect();
    let snapshot = block_on_ready(store.read(&queries)).expect("read");
    assert_eq!(snapshot.entries.len(), 300);
    let too_large = block_on_ready(store.commit(&[
        Write::put("/calico/a", vec![0; 800 << 10]),
        Write::put("/calico/b", vec![0; 800 << 10]),
    ]));
    assert!(
        matches!(too_large, Err(CommitError::TooLarge { .. })),
        "{too_large:?}"
    );
}

#[test]
fn who_was_away_too_long_lists_again_and_says_the_difference() {
    let Some(server) = RealEtcd::start(Guard::Open) else {
        return;
    };
    let proxy = Proxy::start(server.address()).expect("a proxy");
    let direct = open(&[server.url()], PATIENCE);
    let through = open(
        &[format!("http://{}", proxy.address())],
        Duration::from_secs(2),
    );
    let put = |key: &str, value: &str| {
        block_on_ready(direct.commit(&[Write::put(key, value)])).expect("put");
    };
    for key in ["/calico/1", "/calico/2", "/calico/3"] {
        put(key, "1");
    }
    let mut feed = through.follow(&["/calico/"]).expect("descriptors");
    assert_eq!(feed.next(PATIENCE).expect("events").len(), 4);
    while feed.state() != FeedState::InSync {
        assert!(
            feed.next(Duration::from_millis(20))
                .expect("it waits")
                .is_empty()
        );
    }
    proxy.refuse();
    put("/calico/2", "2");
    block_on_ready(direct.delete("/calico/3", None)).expect("delete");
    put("/calico/4", "1");
    assert!(server.compact(server.revision()));
    let end = Instant::now() + PATIENCE;
    while !matches!(feed.state(), FeedState::Retrying { .. }) {
        assert!(Instant::now() < end);
        assert!(
            feed.next(Duration::from_millis(20))
                .expect("it waits")
                .is_empty()
        );
    }
    proxy.allow();
    let said = feed.next(PATIENCE).expect("events");
    let keys: Vec<_> = said
        .iter()
        .map(|event| match event {
            FeedEvent::Put(Entry { key, .. }) | FeedEvent::Delete { key } => &**key,
            FeedEvent::InSync => "in sync",
        })
        .collect();
    assert_eq!(keys, ["/calico/2", "/calico/4", "/calico/3"]);
    assert_eq!(feed.stats().lists, 2);
}

#[test]
fn what_others_have_written_badly_is_absent_and_said() {
    let Some(server) = RealEtcd::start(Guard::Open) else {
        return;
    };
    let pools = "/calico/resources/v3/projectcalico.org/ippools";
    let good = r#"{"kind":"IPPool","apiVersion":"projectcalico.org/v3","metadata":{"name":"good"},"spec":{"cidr":"10.0.0.0/16","blockSize":26,"nodeSelector":"all()","allowedUses":["Workload"],"fromALaterVersion":{"x":1}}}"#;
    server.etcdctl(&["put", &format!("{pools}/good"), good]);
    server.etcdctl(&["put", &format!("{pools}/bad"), "{\"kind\":"]);
    server.etcdctl(&[
        "put",
        "/calico/resources/v3/projectcalico.org/laterkinds/x",
        "{}",
    ]);
    let store = open(&[server.url()], PATIENCE);
    let mut updates = Updates::new(
        store
            .follow(&["/calico/resources/v3/"])
            .expect("descriptors"),
    );
    let mut events = Vec::new();
    let end = Instant::now() + PATIENCE;
    while !events.contains(&UpdateEvent::InSync) {
        assert!(Instant::now() < end, "{events:?}");
        events.extend(updates.poll());
        thread::park_timeout(Duration::from_millis(5));
    }
    let valid = events
        .iter()
        .filter(|event| matches!(event, UpdateEvent::Update(update) if update.value.is_some()));
    assert_eq!(
        valid.count(),
        1,
        "an unknown field harms nothing: {events:?}"
    );
    let invalid: Vec<_> = updates.invalid().map(|(key, _)| key.to_owned()).collect();
    assert_eq!(invalid.len(), 2, "{invalid:?}");
}
