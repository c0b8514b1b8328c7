//! A host of its own for each test: a namespace with the agent's table, a store, and containers in it.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::{IpAddr, UdpSocket};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use dataplane::nft::{Batch, Op, TableFamily, TableId};
use datastore::{EmbeddedStore, Query, Snapshot, Write};
use linux::netns::{self, NetNs, in_netns};
use linux::nft::{Guard, Nftables};
use linux::route::{Link, LinkRef, LinkState, RouteSocket};
use model::{ClusterInformation, Key, Resource};
use serde_json::{Value, json};

static NUMBER: AtomicU32 = AtomicU32::new(0);

/// Whether kernel tests can run; says why if not.
pub(crate) fn can_run() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        eprintln!("SKIPPED: network namespaces need root");
    }
    root
}

/// What the plugin answered.
pub(crate) struct Answer {
    pub(crate) ok: bool,
    pub(crate) stdout: Value,
    pub(crate) stderr: String,
}

impl Answer {
    /// The result of a success.
    pub(crate) fn result(self) -> Value {
        assert!(self.ok, "{} {}", self.stdout, self.stderr);
        self.stdout
    }

    /// Code and message of a failure.
    pub(crate) fn error(self) -> (u64, String) {
        assert!(!self.ok, "{}", self.stdout);
        let text = |field: &str| self.stdout[field].as_str().expect("a text").to_owned();
        (
            self.stdout["code"].as_u64().expect("a code"),
            format!("{} | {}", text("msg"), text("details")),
        )
    }
}

/// A host.
pub(crate) struct Lab {
    prefix: String,
    pub(crate) host: NetNs,
    pub(crate) dir: tempfile::TempDir,
    pub(crate) store: EmbeddedStore,
    containers: Mutex<Vec<String>>,
}

/// Changes of the network configuration.
pub(crate) type Conf = BTreeMap<&'static str, Value>;

impl Lab {
    pub(crate) fn new() -> Lab {
        let prefix = format!(
            "cnit{}-{}",
            std::process::id(),
            NUMBER.fetch_add(1, Ordering::Relaxed)
        );
        let host = NetNs::unnamed().expect("a namespace");
        in_netns(&host, || {
            let mut links = RouteSocket::open().expect("a socket");
            links
                .change(|c| _ = c.set_state(LinkRef::Name("lo"), LinkState::Up))
                .expect("lo is up");
        })
        .expect("the host's namespace");
        let dir = tempfile::tempdir().expect("a directory");
        let store = EmbeddedStore::open(dir.path().join("store.db")).expect("a store");
        let lab = Lab {
            prefix,
            host,
            dir,
            store,
            containers: Vec::new().into(),
        };
        lab.write_table();
        let info = ClusterInformation {
            datastore_ready: Some(true),
            ..ClusterInformation::default()
        };
        lab.put(
            &Key::ClusterInformation,
            &Resource::ClusterInformation(info),
        );
        lab.apply(json!({"apiVersion": "projectcalico.org/v3", "kind": "IPPool", "metadata": {"name": "four"}, "spec": {"cidr": "10.65.0.0/24", "blockSize": 26}}));
        lab.apply(json!({"apiVersion": "projectcalico.org/v3", "kind": "IPPool", "metadata": {"name": "six"}, "spec": {"cidr": "fd65::/112", "blockSize": 122}}));
        lab
    }

    fn table_batch(op: Op) -> Batch {
        let mut batch = Batch::new(TableId::new(TableFamily::Inet, "calico"));
        batch.ops.push(op);
        batch
    }

    fn nft(&self, batch: &Batch) {
        in_netns(&self.host, || {
            let mut tables = Nftables::open().expect("nf_tables");
            tables
                .apply(batch, Guard::Any)
                .expect("the batch is applied");
        })
        .expect("the host's namespace");
    }

    pub(crate) fn write_table(&self) {
        self.nft(&Self::table_batch(Op::AddTable));
    }

    pub(crate) fn delete_table(&self) {
        self.nft(&Self::table_batch(Op::DeleteTable));
    }

    pub(crate) fn put(&self, key: &Key, resource: &Resource) {
        let (key, bytes) = api::encode(key, resource).expect("encodable");
        self.store
            .commit_sync(&[Write::put(key, bytes)])
            .expect("written");
    }

    pub(crate) fn apply(&self, object: Value) {
        let object = api::admit(object, &api::AdmitOptions::default()).expect("valid");
        self.store
            .commit_sync(&[Write::put(object.store_key(), object.to_store_bytes())])
            .expect("written");
    }

    pub(crate) fn all(&self) -> Snapshot {
        self.store
            .read_sync(&[Query::prefix("")])
            .expect("readable")
    }

    /// The objects whose key holds `part`.
    pub(crate) fn objects(&self, part: &str) -> Vec<Value> {
        let all = self.all();
        let found = all.entries.iter().filter(|entry| entry.key.contains(part));
        found
            .map(|entry| serde_json::from_slice(&entry.value).expect("JSON"))
            .collect()
    }

    /// A fresh container's namespace: its name and path.
    pub(crate) fn container(&self, name: &str) -> PathBuf {
        let name = format!("{}-{name}", self.prefix);
        netns::create(&name).expect("a namespace");
        let path = PathBuf::from(format!("/run/netns/{name}"));
        self.containers.lock().expect("not poisoned").push(name);
        path
    }

    /// Where a container's namespace is.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("/run/netns/{}-{name}", self.prefix))
    }

    pub(crate) fn delete_container(&self, name: &str) {
        let name = format!("{}-{name}", self.prefix);
        netns::delete(&name).expect("deleted");
        self.containers
            .lock()
            .expect("not poisoned")
            .retain(|one| *one != name);
    }

    pub(crate) fn conf(&self, changes: &Conf) -> Value {
        let mut conf = json!({
            "cniVersion": "1.1.0",
            "name": "net1",
            "type": "calico",
            "datastore_type": "embedded",
            "datastore_file": self.dir.path().join("store.db"),
            "nodename": "node1",
            "nodename_file_optional": true,
            "nodename_file": "/nonexistent/nodename",
            "log_level": "debug",
            "ipam_lock_file": self.dir.path().join("ipam.lock"),
            "policy_setup_timeout_seconds": 0,
            "ipam": {"type": "calico-ipam", "assign_ipv4": "true", "assign_ipv6": "true"},
        });
        for (field, value) in changes {
            conf[*field] = value.clone();
        }
        conf
    }

    fn spawn(&self, command: &str, environment: &[(&str, &str)], conf: &Value) -> Child {
        let program = [env!("CARGO_BIN_EXE_calico-cni")];
        self.spawn_as(&program, command, environment, conf)
    }

    fn spawn_as(
        &self,
        program: &[&str],
        command: &str,
        environment: &[(&str, &str)],
        conf: &Value,
    ) -> Child {
        let mut child = self.begin(program, command, environment);
        let mut stdin = child.stdin.take().expect("a pipe");
        // What does not live long enough to read it says why itself.
        let _ = stdin.write_all(conf.to_string().as_bytes());
        child
    }

    /// Starts a program on this host; what it reads is the caller's to write.
    pub(crate) fn begin(
        &self,
        program: &[&str],
        command: &str,
        environment: &[(&str, &str)],
    ) -> Child {
        in_netns(&self.host, || {
            Command::new(program[0])
                .args(&program[1..])
                .env_clear()
                .env("CNI_COMMAND", command)
                .env("CNI_PATH", "/opt/cni/bin:/usr/lib/cni")
                .env("PATH", "/usr/bin:/bin")
                .envs(environment.iter().copied())
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .expect("the plugin starts")
        })
        .expect("the host's namespace")
    }

    /// Runs the real executable on this host.
    pub(crate) fn run(&self, command: &str, environment: &[(&str, &str)], conf: &Value) -> Answer {
        Self::answer(self.spawn(command, environment, conf))
    }

    /// Runs the real executable, or a program that becomes it, with arguments.
    pub(crate) fn run_as(
        &self,
        program: &[&str],
        command: &str,
        environment: &[(&str, &str)],
        conf: &Value,
    ) -> Answer {
        Self::answer(self.spawn_as(program, command, environment, conf))
    }

    fn answer(child: Child) -> Answer {
        let output = child.wait_with_output().expect("the plugin ends");
        let stdout = match output.stdout.is_empty() {
            true => Value::Null,
            false => serde_json::from_slice(&output.stdout)
                .unwrap_or_else(|_| String::from_utf8_lossy(&output.stdout).trim().into()),
        };
        Answer {
            ok: output.status.success(),
            stdout,
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    pub(crate) fn attach(
        &self,
        command: &str,
        container: &str,
        netns: &str,
        args: &str,
        conf: &Value,
    ) -> Answer {
        let environment = [
            ("CNI_CONTAINERID", container),
            ("CNI_NETNS", netns),
            ("CNI_IFNAME", "eth0"),
            ("CNI_ARGS", args),
        ];
        self.run(command, &environment, conf)
    }

    /// The host's interfaces that are ours.
    pub(crate) fn links(&self) -> Vec<Link> {
        let links = in_netns(&self.host, || {
            RouteSocket::open()
                .and_then(|mut s| s.links())
                .expect("links")
        });
        let links = links.expect("the host's namespace");
        links
            .into_iter()
            .filter(|link| link.name.starts_with("cali"))
            .collect()
    }

    /// That nothing of any attachment is left.
    pub(crate) fn assert_clean(&self) {
        assert_eq!(self.links(), []);
        assert_eq!(self.objects("/workloadendpoints/"), [] as [Value; 0]);
        assert_eq!(self.objects("/ipam/v2/handle/"), [] as [Value; 0]);
        for block in self
            .objects("/block/")
            .iter()
            .filter(|block| block.get("allocations").is_some())
        {
            let used = block["allocations"]
                .as_array()
                .expect("a list")
                .iter()
                .filter(|one| !one.is_null());
            assert_eq!(used.count(), 0, "{block}");
        }
    }

    /// A datagram from the container to an address of the host and back.
    pub(crate) fn exchange(&self, container: &std::path::Path, addr: IpAddr) {
        let server =
            in_netns(&self.host, || UdpSocket::bind((addr, 0)).expect("bound")).expect("the host");
        let patience = Some(Duration::from_secs(10));
        server.set_read_timeout(patience).expect("set");
        let to = server.local_addr().expect("an address");
        let netns = NetNs::open(container).expect("the container");
        let client = in_netns(&netns, || {
            let any: IpAddr = if addr.is_ipv4() {
                [0; 4].into()
            } else {
                [0u16; 8].into()
            };
            UdpSocket::bind((any, 0)).expect("bound")
        })
        .expect("the container");
        client.set_read_timeout(patience).expect("set");
        client.send_to(b"there", to).expect("sent");
        let mut buffer = [0; 16];
        let (len, from) = server
            .recv_from(&mut buffer)
            .expect("the host hears the container");
        server.send_to(&buffer[..len], from).expect("sent");
        let (len, _) = client
            .recv_from(&mut buffer)
            .expect("the container hears the host");
        assert_eq!(&buffer[..len], b"there");
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        for name in self.containers.lock().expect("not poisoned").iter() {
            if let Err(error) = netns::delete(name) {
                eprintln!("{error}");
            }
        }
    }
}
