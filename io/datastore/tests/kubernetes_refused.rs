//! The store on the Kubernetes API before a server that puts off, refuses, or is none: what it waits for, and what it believes.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use datastore::{
    Datastore, Feed, FeedEvent, FeedState, KubernetesSettings, KubernetesStore, block_on_ready,
};

const PATIENCE: Duration = Duration::from_secs(60);
const NAMESPACES: &str = "/calico/resources/v3/projectcalico.org/namespaces/";
const AUDIT: &str = "Audit-Id: 1\r\n";

/// What the server answers: to the path, and how often it was asked for before.
type Script = dyn Fn(&str, usize) -> Answer + Send + Sync;

/// One answer.
struct Answer {
    code: u16,
    headers: &'static str,
    body: String,
    end: End,
}

/// How it ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// The body is over.
    Closed,
    /// More may come, and never does.
    Open,
}

impl Answer {
    fn of(code: u16, headers: &'static str, body: impl Into<String>) -> Self {
        let (body, end) = (body.into(), End::Closed);
        Self {
            code,
            headers,
            body,
            end,
        }
    }

    fn open(self) -> Self {
        Self {
            end: End::Open,
            ..self
        }
    }
}

/// A server that answers by a script.
struct Fake {
    shared: Arc<Shared>,
    address: SocketAddr,
}

struct Shared {
    script: Box<Script>,
    asked: Mutex<Vec<(Instant, String)>>,
    open: Mutex<Vec<TcpStream>>,
    ended: AtomicBool,
}

impl Fake {
    fn start(script: impl Fn(&str, usize) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = listener.local_addr().expect("an address");
        let shared = Arc::new(Shared {
            script: Box::new(script),
            asked: Mutex::default(),
            open: Mutex::default(),
            ended: AtomicBool::new(false),
        });
        let accepting = shared.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if accepting.ended.load(Ordering::SeqCst) {
                    return;
                }
                let serving = accepting.clone();
                thread::spawn(move || serving.serve(stream));
            }
        });
        Self { shared, address }
    }

    fn store(&self, deadline: Duration) -> KubernetesStore {
        let settings = KubernetesSettings {
            api_endpoint: Some(format!("http://user:hush@{}", self.address)),
            ..KubernetesSettings::default()
        };
        KubernetesStore::open(&settings, deadline).expect("usable settings")
    }

    /// When paths that hold `part` were asked for.
    fn times(&self, part: &str) -> Vec<Instant> {
        let asked = self
            .shared
            .asked
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let of = |(_, path): &&(Instant, String)| path.contains(part);
        asked.iter().filter(of).map(|(at, _)| *at).collect()
    }

    /// Ends the answers that are open.
    fn cut(&self) {
        let mut open = self
            .shared
            .open
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        for stream in open.drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        self.cut();
        let _ = TcpStream::connect(self.address);
    }
}

impl Shared {
    fn serve(&self, mut stream: TcpStream) {
        let mut lines = BufReader::new(stream.try_clone().expect("a clone")).lines();
        let Some(Ok(first)) = lines.next() else {
            return;
        };
        // What follows are headers; the requests of these tests have no bodies.
        for line in lines.by_ref() {
            if line.is_ok_and(|line| line.is_empty()) {
                break;
            }
        }
        let path = first.split(' ').nth(1).unwrap_or("").to_owned();
        let answer = {
            let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
            let before = asked.iter().filter(|(_, one)| *one == path).count();
            asked.push((Instant::now(), path.clone()));
            (self.script)(&path, before)
        };
        let Answer {
            code,
            headers,
            body,
            end,
        } = answer;
        let text =
            format!("HTTP/1.1 {code} As Scripted\r\n{headers}Connection: close\r\n\r\n{body}");
        let _ = stream.write_all(text.as_bytes());
        if end == End::Open {
            let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
            open.push(stream);
        }
    }
}

/// What every API server with our definitions says: that they are there.
fn information(path: &str) -> Option<Answer> {
    let text =
        r#"{"metadata":{"name":"default","resourceVersion":"1"},"spec":{"datastoreReady":true}}"#;
    path.ends_with("/crd.projectcalico.org/v1/clusterinformations/default")
        .then(|| Answer::of(200, AUDIT, text))
}

fn line(kind: &str, name: &str, revision: u64) -> String {
    format!(
        r#"{{"type":"{kind}","object":{{"metadata":{{"name":"{name}","resourceVersion":"{revision}"}}}}}}"#
    ) + "\n"
}

/// A streaming list of one namespace, which goes on as a watch.
fn listed() -> Answer {
    let end = r#"{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"7","annotations":{"k8s.io/initial-events-end":"true"}}}}"#;
    Answer::of(200, AUDIT, format!("{}{end}\n", line("ADDED", "a", 5))).open()
}

fn refusal(code: u16, reason: &str) -> String {
    format!(
        r#"{{"kind":"Status","status":"Failure","reason":"{reason}","message":"try again later","code":{code}}}"#
    )
}

/// Takes in what a feed says until a condition holds.
fn until(
    what: &str,
    feed: &mut Feed,
    world: &mut BTreeMap<String, u64>,
    mut holds: impl FnMut(&Feed, &BTreeMap<String, u64>) -> bool,
) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        for event in feed.poll() {
            match event {
                FeedEvent::Put(entry) => {
                    world.insert(entry.key.to_string(), entry.revision.get());
                }
                FeedEvent::Delete { key } => {
                    world.remove(&*key);
                }
                FeedEvent::InSync => {}
            }
        }
        if holds(feed, world) {
            return;
        }
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

fn is_retrying(feed: &Feed, part: &str) -> bool {
    matches!(feed.state(), FeedState::Retrying { why, .. } if why.contains(part))
}

#[test]
fn a_watch_that_is_put_off_waits_as_long_as_it_is_told() {
    let fake = Fake::start(|path, before| {
        information(path).unwrap_or_else(|| match before {
            0 => Answer::of(
                429,
                "Audit-Id: 1\r\nRetry-After: 1\r\n",
                refusal(429, "TooManyRequests"),
            ),
            // Put off again, in the way that a watch under way is.
            1 => {
                let status = r#"{"type":"ERROR","object":{"kind":"Status","reason":"TooManyRequests","message":"later","code":429,"details":{"retryAfterSeconds":1}}}"#;
                Answer::of(200, AUDIT, format!("{status}\n"))
            }
            _ => listed(),
        })
    });
    let mut feed = fake.store(PATIENCE).follow(&[NAMESPACES]).expect("a feed");
    let mut world = BTreeMap::new();
    until("in sync", &mut feed, &mut world, |feed, _| {
        feed.state() == FeedState::InSync
    });
    assert_eq!(world.len(), 1);
    let times = fake.times("watch=true");
    assert_eq!(times.len(), 3);
    for pair in times.windows(2) {
        let waited = pair[1] - pair[0];
        assert!(waited >= Duration::from_secs(1), "{waited:?}");
        assert!(waited < Duration::from_secs(30), "{waited:?}");
    }
}

#[test]
fn a_list_that_is_put_off_waits_within_its_deadline() {
    let fake = Fake::start(|path, before| {
        let list = r#"{"metadata":{"resourceVersion":"9"},"items":[]}"#;
        information(path).unwrap_or_else(|| match (path.contains("serviceaccounts"), before) {
            (true, _) => Answer::of(
                503,
                "Audit-Id: 1\r\nRetry-After: 3600\r\n",
                refusal(503, "ServiceUnavailable"),
            ),
            (false, 0) => Answer::of(
                429,
                "Audit-Id: 1\r\nRetry-After: 1\r\n",
                refusal(429, "TooManyRequests"),
            ),
            (false, _) => Answer::of(200, AUDIT, list),
        })
    });
    let store = fake.store(PATIENCE);
    block_on_ready(store.list(NAMESPACES)).expect("in the end it is answered");
    let times = fake.times("/api/v1/namespaces");
    assert_eq!(times.len(), 2);
    assert!(times[1] - times[0] >= Duration::from_secs(1));
    // An hour is more than anybody waits for: that is said at once.
    let store = fake.store(Duration::from_secs(4));
    let began = Instant::now();
    let accounts = "/calico/resources/v3/projectcalico.org/serviceaccounts/";
    let error = block_on_ready(store.list(accounts)).expect_err("it is put off");
    assert!(began.elapsed() < Duration::from_secs(4), "{error}");
    assert!(
        error.to_string().contains("try again later (503)"),
        "{error}"
    );
    assert!(!error.to_string().contains("hush"), "{error}");
}

/// A load balancer whose servers are away answers in their place. Believed, it would have every policy be gone.
#[test]
fn not_found_counts_only_from_an_api_server() {
    let fake = Fake::start(|path, before| {
        let foreign = || Answer::of(404, "", "default backend - 404");
        information(path).unwrap_or_else(|| match (path.contains("globalnetworksets"), before) {
            (false, _) => foreign(),
            (true, _) if path.contains("sendInitialEvents") => listed(),
            // The watch goes on from there twice in vain, and then as it should.
            (true, 0 | 1) => foreign(),
            (true, _) => Answer::of(200, AUDIT, "").open(),
        })
    });
    let store = fake.store(Duration::from_secs(1));
    let sets = "/calico/resources/v3/projectcalico.org/globalnetworksets/";
    let mut feed = store.follow(&[sets]).expect("a feed");
    let mut world = BTreeMap::new();
    until("in sync", &mut feed, &mut world, |feed, world| {
        feed.state() == FeedState::InSync && world.len() == 1
    });
    fake.cut();
    let mut was_in_trouble = false;
    until("well again", &mut feed, &mut world, |feed, world| {
        assert_eq!(world.len(), 1, "nothing is said to be gone");
        was_in_trouble |= is_retrying(feed, "default backend");
        was_in_trouble && feed.state() == FeedState::InSync
    });
    let pools = "/calico/resources/v3/projectcalico.org/ippools/";
    for error in [
        block_on_ready(store.list(pools)).expect_err("nobody has answered"),
        block_on_ready(store.get(&format!("{pools}a"))).expect_err("nobody has answered"),
    ] {
        assert!(error.to_string().contains("default backend"), "{error}");
    }
}

#[test]
fn a_refusal_that_never_ends_is_not_waited_for() {
    let fake = Fake::start(|path, _| {
        information(path).unwrap_or_else(|| Answer::of(500, AUDIT, "and so on").open())
    });
    let store = fake.store(Duration::from_millis(500));
    let mut feed = store.follow(&[NAMESPACES]).expect("a feed");
    let mut world = BTreeMap::new();
    until("trouble", &mut feed, &mut world, |feed, _| {
        is_retrying(feed, "no answer within")
    });
}

#[test]
fn a_list_without_end_is_refused() {
    let fake = Fake::start(|path, _| {
        let page = r#"{"metadata":{"resourceVersion":"9","continue":"more"},"items":[]}"#;
        information(path).unwrap_or_else(|| Answer::of(200, AUDIT, page))
    });
    let error = block_on_ready(fake.store(PATIENCE).list(NAMESPACES)).expect_err("no end");
    assert!(error.to_string().contains("it has no end"), "{error}");
}

/// Which group is there is told by a read that is made anyway.
#[test]
fn the_group_is_found_by_what_serves_the_facts_about_the_cluster() {
    let there = |group: &'static str| {
        move |path: &str| {
            let at = format!("/apis/{group}/clusterinformations/default");
            let text = r#"{"metadata":{"name":"default","resourceVersion":"1"},"spec":{}}"#;
            (path == at).then(|| Answer::of(200, AUDIT, text))
        }
    };
    let pools = "/calico/resources/v3/projectcalico.org/ippools/a";
    let key = "/calico/resources/v3/projectcalico.org/clusterinformations/default";
    let asked = |script: Box<Script>| {
        let fake = Fake::start(script);
        let store = fake.store(PATIENCE);
        let found = block_on_ready(store.get(key)).expect("an answer");
        assert_eq!(block_on_ready(store.get(pools)).expect("an answer"), None);
        let asked = fake
            .shared
            .asked
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let paths: Vec<String> = asked.iter().map(|(_, path)| path.clone()).collect();
        (found.is_some(), paths)
    };
    let unknown = || Answer::of(404, AUDIT, "404 page not found\n");
    let absent = |path: &str| {
        let kind = path.rsplit('/').nth(1).unwrap_or("");
        let text = format!(
            r#"{{"kind":"Status","reason":"NotFound","code":404,"details":{{"kind":"{kind}"}}}}"#
        );
        Answer::of(404, AUDIT, text)
    };
    let facts = |group: &str| format!("/apis/{group}/clusterinformations/default");
    let pool = |group: &str| format!("/apis/{group}/ippools/a");
    let (v1, v3) = ("crd.projectcalico.org/v1", "projectcalico.org/v3");
    // Whether or not they are there, who answers for them is.
    let older = asked(Box::new(move |path, _| {
        there(v1)(path).unwrap_or_else(|| absent(path))
    }));
    assert_eq!(older, (true, vec![facts(v1), pool(v1)]));
    let empty = asked(Box::new(move |path, _| absent(path)));
    assert_eq!(empty, (false, vec![facts(v1), pool(v1)]));
    let newer = asked(Box::new(move |path, _| {
        there(v3)(path).unwrap_or_else(unknown)
    }));
    assert_eq!(newer, (true, vec![facts(v1), facts(v3), pool(v3)]));
    // Who may not read it is told by the list of groups.
    let shut = asked(Box::new(move |path, _| match path {
        "/apis" => Answer::of(200, AUDIT, r#"{"groups":[{"name":"projectcalico.org"}]}"#),
        _ if path.contains("crd.") => Answer::of(403, AUDIT, refusal(403, "Forbidden")),
        _ => there(v3)(path).unwrap_or_else(|| absent(path)),
    }));
    assert_eq!(
        shut,
        (
            true,
            vec![facts(v1), "/apis".to_owned(), facts(v3), pool(v3)]
        )
    );
}
