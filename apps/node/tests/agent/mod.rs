//! A real agent on a real host of its own: this test's program again, as a child in the site's network namespace, on an
//! embedded store in a directory of its own.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::os::fd::AsFd as _;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{JoinHandle, park_timeout};
use std::time::{Duration, Instant};

use api::{Kind, Object};
use dataplane::nft::{ObservedTable, TableId};
use datastore::{
    AnyStore, Datastore as _, Query, StoreChoice, StoreRequest, Write, block_on_ready,
};
use linux::netns;
use linux::nft::Nftables;
use serde_json::json;

use crate::wire::{Site, interface};

/// Set in the child: the agent's arguments.
const AGENT: &str = "CALICO_TEST_AGENT";
/// How long anything may take that has no bound of its own.
pub(crate) const LONG: Duration = Duration::from_secs(30);
/// What another hand breaks is back within this.
pub(crate) const REPAIR: Duration = Duration::from_secs(1);
/// The port all traffic goes to.
pub(crate) const PORT: u16 = 7000;

/// Becomes the agent if this process was started to be one.
pub(crate) fn become_agent() {
    let Ok(words) = std::env::var(AGENT) else {
        return;
    };
    let words: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
    let code = node::run(&words);
    std::process::exit(i32::from(code != std::process::ExitCode::SUCCESS));
}

/// True if this cannot be tested here; says why.
pub(crate) fn skipped() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        eprintln!("SKIPPED: network namespaces and nf_tables need root");
    }
    !root
}

/// Waits until something is so; says how long it took.
pub(crate) fn until(what: &str, limit: Duration, mut so: impl FnMut() -> bool) -> Duration {
    let begin = Instant::now();
    while !so() {
        assert!(begin.elapsed() < limit, "not within {limit:?}: {what}");
        park_timeout(Duration::from_millis(2));
    }
    begin.elapsed()
}

/// A host with its agent.
pub(crate) struct Host {
    pub(crate) site: Site,
    pub(crate) directory: tempfile::TempDir,
    pub(crate) agent: Option<Child>,
    pub(crate) environment: Vec<(String, String)>,
    /// What the agent is started by, with its arguments; nothing as a rule.
    pub(crate) wrapper: Vec<String>,
}

impl Host {
    /// A host with pods at these addresses, and an agent that does not run yet.
    pub(crate) fn new(pods: &[&[&str]]) -> Host {
        let site = Site::new(pods, &["10.9.9.9", "fd09::9"]);
        let directory = tempfile::tempdir().expect("a directory");
        let path = |name: &str| directory.path().join(name).display().to_string();
        let environment = [
            ("DATASTORE_TYPE", "embedded".to_owned()),
            ("CALICO_DATASTORE_FILE", path("store/datastore.db")),
            ("CALICO_NODENAME_FILE", path("lib/nodename")),
            ("CALICO_MTU_FILE", path("lib/mtu")),
            ("FELIX_ENDPOINTSTATUSPATHPREFIX", path("run")),
            ("CALICO_FELIX_CONFIG_FILE", path("felix.cfg")),
            ("FELIX_LOGSEVERITYSCREEN", "debug".to_owned()),
            ("NODENAME", "n1".to_owned()),
            ("IP", "none".to_owned()),
            ("CALICO_IPV4POOL_CIDR", "10.0.0.0/16".to_owned()),
        ];
        let environment = environment.map(|(k, v)| (k.to_owned(), v)).to_vec();
        Host {
            site,
            directory,
            agent: None,
            environment,
            wrapper: Vec::new(),
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The store, opened as another program would.
    pub(crate) fn store(&self) -> AnyStore {
        let request = StoreRequest {
            environment: self.environment.iter().cloned().collect(),
            ..StoreRequest::default()
        };
        let choice = StoreChoice::of(&request).expect("a store");
        choice.open().expect("the store opens")
    }

    fn command(&self, words: &str) -> Command {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.path("log"))
            .expect("a log");
        let program = std::env::current_exe().expect("this program");
        let mut command = match self.wrapper.split_first() {
            None => Command::new(program),
            Some((first, rest)) => {
                let mut command = Command::new(first);
                command.args(rest).arg(program);
                command
            }
        };
        command
            .args(["agent_process", "--exact", "--nocapture", "--quiet"])
            .env_clear()
            .envs(self.environment.iter().cloned())
            .env(AGENT, words)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a log"))
            .stderr(log);
        command
    }

    /// Starts the agent and does not wait.
    pub(crate) fn launch(&mut self) {
        let mut command = self.command(" ");
        let child = netns::in_netns(&self.site.host, || command.spawn()).expect("entered");
        self.agent = Some(child.expect("the agent starts"));
    }

    /// Starts the agent and waits until it is ready.
    pub(crate) fn start(&mut self) {
        self.launch();
        self.wait_ready();
    }

    pub(crate) fn wait_ready(&mut self) {
        until("the agent is ready", LONG, || {
            self.expect_running();
            self.is_ready()
        });
    }

    fn expect_running(&mut self) {
        let ended = self
            .agent
            .as_mut()
            .and_then(|a| a.try_wait().ok())
            .flatten();
        assert!(ended.is_none(), "the agent ended: {}", self.log());
    }

    /// Does one thing as `calico-node` and waits for its end.
    pub(crate) fn run(&self, words: &str) -> ExitStatus {
        let mut command = self.command(words);
        netns::in_netns(&self.site.host, || command.status())
            .expect("entered")
            .expect("it runs")
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.readiness().starts_with("HTTP/1.1 200")
    }

    /// What the agent says of its readiness; nothing if it does not answer.
    pub(crate) fn readiness(&self) -> String {
        let address = SocketAddr::from(([127, 0, 0, 1], 9099));
        self.get(address, "/readiness").unwrap_or_default()
    }

    /// A number the agent tells.
    pub(crate) fn metric(&self, name: &str) -> u64 {
        let address = SocketAddr::from(([127, 0, 0, 1], 9091));
        let answer = self.get(address, "/metrics").unwrap_or_default();
        let line = answer.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.split(' ').nth(1)?.parse().ok())
            .unwrap_or(0)
    }

    fn get(&self, address: SocketAddr, path: &str) -> Option<String> {
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        self.inside(|| {
            let mut stream = TcpStream::connect(address).ok()?;
            stream.write_all(request.as_bytes()).ok()?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).ok()?;
            Some(answer)
        })
    }

    /// Does something in the host's namespace.
    pub(crate) fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        netns::in_netns(&self.site.host, work).expect("entered")
    }

    /// Runs a command of the system in the host's namespace, as another hand would.
    pub(crate) fn hand(&self, words: &str) {
        let mut list = words.split_whitespace();
        let mut command = Command::new(list.next().expect("a command"));
        command.args(list);
        let output = self.inside(|| command.output()).expect("it starts");
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{words}: {error}");
    }

    /// What a command of the system says in the host's namespace.
    pub(crate) fn ask(&self, words: &str) -> String {
        let mut list = words.split_whitespace();
        let mut command = Command::new(list.next().expect("a command"));
        command.args(list);
        let output = self.inside(|| command.output()).expect("it starts");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    pub(crate) fn sysctl(&self, path: &str) -> String {
        let path = format!("/proc/sys/net/{path}");
        let read = || std::fs::read_to_string(&path);
        self.inside(read).unwrap_or_default().trim().to_owned()
    }

    pub(crate) fn set_sysctl(&self, path: &str, value: &str) {
        let path = format!("/proc/sys/net/{path}");
        self.inside(|| std::fs::write(&path, value))
            .expect("a sysctl");
    }

    /// Our table as it is, and the generation of nf_tables.
    pub(crate) fn table(&self) -> (ObservedTable, u32) {
        let look = || {
            let mut nft = Nftables::open().expect("nf_tables");
            nft.observe(&TableId::ours()).expect("the table")
        };
        let (table, generation) = self.inside(look);
        (table, generation.number())
    }

    /// What the agent said.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    fn stop_with(&mut self, signal: rustix::process::Signal) -> ExitStatus {
        let mut child = self.agent.take().expect("a running agent");
        let pid = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(pid, signal).expect("killed");
        child.wait().expect("it ends")
    }

    /// Ends the agent the hard way.
    pub(crate) fn kill(&mut self) {
        self.stop_with(rustix::process::Signal::KILL);
    }

    /// Ends the agent the orderly way.
    pub(crate) fn terminate(&mut self) -> ExitStatus {
        self.stop_with(rustix::process::Signal::TERM)
    }

    /// Writes an object, whether it is there or not.
    pub(crate) fn put(&self, object: &Object) {
        self.put_raw(&object.store_key(), object.to_store_bytes());
    }

    pub(crate) fn put_raw(&self, key: &str, bytes: Vec<u8>) {
        let store = self.store();
        let query = [Query::key(key)];
        let there = block_on_ready(store.read(&query)).expect("a reading store");
        let write = match there.get(key) {
            Some(entry) => Write::update(key, bytes, entry.revision),
            None => Write::create(key, bytes),
        };
        block_on_ready(store.commit(&[write])).expect("a commit");
    }

    pub(crate) fn delete(&self, object: &Object) {
        let (store, key) = (self.store(), object.store_key());
        let there = block_on_ready(store.read(&[Query::key(key.as_str())])).expect("a store");
        let revision = there.get(&key).expect("the object is there").revision;
        block_on_ready(store.commit(&[Write::delete(key.as_str(), Some(revision))]))
            .expect("a commit");
    }

    /// Adds the endpoints of the first pods and their namespace, with everything allowed.
    pub(crate) fn attach(&self, pods: usize) {
        self.put(&profile());
        for pod in 0..pods {
            self.put(&self.endpoint(pod));
        }
    }

    /// The endpoint of a pod as the CNI plugin writes it.
    pub(crate) fn endpoint(&self, pod: usize) -> Object {
        let name = format!("n1-k8s-pod{pod}-eth0");
        let mut object = Object::new(Kind::WorkloadEndpoint, Some("red"), &name);
        object.set_label("projectcalico.org/namespace", "red");
        object.set_label("projectcalico.org/orchestrator", "k8s");
        object.set_label("pod", &format!("p{pod}"));
        let addresses = self.site.pods[pod].addresses.iter();
        let nets: Vec<String> = addresses.map(ToString::to_string).collect();
        let spec = json!({
            "orchestrator": "k8s", "node": "n1", "pod": format!("pod{pod}"), "endpoint": "eth0",
            "interfaceName": interface(pod), "ipNetworks": nets, "profiles": ["kns.red"],
        });
        object.value_mut().insert("spec".into(), spec);
        object
    }

    pub(crate) fn status_file(&self, pod: usize) -> PathBuf {
        self.path(&format!("run/endpoint-status/k8s red%2Fpod{pod} eth0"))
    }

    /// Waits until the policy of so many pods is in the kernel.
    pub(crate) fn wait_status(&self, pods: usize) {
        for pod in 0..pods {
            let file = self.status_file(pod);
            until(
                &format!("pod {pod} has its status\n{}", self.log()),
                LONG,
                || file.exists(),
            );
        }
    }

    /// Sends UDP from one pod to another at a pace, from a port of its own, until it is told to stop.
    pub(crate) fn stream(&self, from: usize, to: usize, port: u16, per_second: u64) -> Stream {
        let (source, sink) = (&self.site.pods[from], &self.site.pods[to]);
        let bind = |place: &crate::wire::Place, port| {
            let address = SocketAddr::new(place.addresses[0], port);
            netns::in_netns(&place.netns, || UdpSocket::bind(address))
                .expect("entered")
                .expect("a socket")
        };
        let sender = bind(source, port);
        let receiver = bind(sink, PORT + port % 1000);
        let target = receiver.local_addr().expect("bound");
        sender.connect(target).expect("connected");
        Stream::begin(sender, receiver, per_second)
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if let Some(mut child) = self.agent.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            eprintln!("the agent said:\n{}", self.log());
        }
    }
}

/// Packets under way.
pub(crate) struct Stream {
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
    received: Arc<AtomicU64>,
    threads: Vec<JoinHandle<()>>,
}

impl Stream {
    fn begin(sender: UdpSocket, receiver: UdpSocket, per_second: u64) -> Stream {
        let stop = Arc::new(AtomicBool::new(false));
        let (sent, received) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        receiver
            .set_read_timeout(Some(Duration::from_millis(20)))
            .expect("a timeout");
        rustix::net::sockopt::set_socket_recv_buffer_size(receiver.as_fd(), 8 << 20)
            .expect("a buffer");
        let counts = (stop.clone(), sent.clone());
        let sending = std::thread::spawn(move || {
            let (stop, sent) = counts;
            let begin = Instant::now();
            let mut tried = 0u64;
            while !stop.load(Ordering::Relaxed) {
                let due = begin.elapsed().as_micros() as u64 * per_second / 1_000_000;
                while tried < due {
                    tried += 1;
                    // A refusal, an ICMP error among them, is a packet that did not arrive.
                    if sender.send(&tried.to_be_bytes()).is_ok() {
                        sent.fetch_add(1, Ordering::Relaxed);
                    }
                }
                park_timeout(Duration::from_micros(500));
            }
        });
        let counts = (stop.clone(), received.clone());
        let receiving = std::thread::spawn(move || {
            let (stop, received) = counts;
            let mut buffer = [0u8; 64];
            loop {
                match receiver.recv(&mut buffer) {
                    Ok(_) => {
                        received.fetch_add(1, Ordering::Relaxed);
                    }
                    Err(_) if stop.load(Ordering::Relaxed) => return,
                    Err(_) => {}
                }
            }
        });
        Stream {
            stop,
            sent,
            received,
            threads: vec![sending, receiving],
        }
    }

    pub(crate) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    pub(crate) fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// Stops; says how many were sent and how many arrived.
    pub(crate) fn end(mut self) -> (u64, u64) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            thread.join().expect("the stream");
        }
        (self.sent(), self.received())
    }
}

/// The profile of the namespace: everything is allowed.
pub(crate) fn profile() -> Object {
    let mut object = Object::new(Kind::Profile, None, "kns.red");
    let allow = json!([{"action": "Allow"}]);
    let spec = json!({"ingress": allow, "egress": allow});
    object.value_mut().insert("spec".into(), spec);
    object
}

/// A policy on pod 1: who may come in.
pub(crate) fn policy(name: &str, ingress: serde_json::Value) -> Object {
    let mut object = Object::new(Kind::NetworkPolicy, Some("red"), &format!("default.{name}"));
    let spec = json!({"tier": "default", "selector": "pod == 'p1'", "types": ["Ingress"], "ingress": ingress});
    object.value_mut().insert("spec".into(), spec);
    object
}
