//! A real Kubernetes API server on a real etcd, both built by `cargo xtask setup`.
//!
//! There is no kubelet, scheduler or controller: Pods, Nodes and Namespaces are only objects here, which is all that a
//! store needs.

use std::fs;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::daemon::{Daemon, Running, free_ports, in_memory};
use super::programs::{Programs, Release};

/// Longer than a start takes on a busy machine of two cores.
const PATIENCE: Duration = Duration::from_secs(90);

/// Our roles and the accounts that hold them.
const ROLES: &str = include_str!("../../../deploy/kubernetes/rbac.yaml");

/// What is logged of each request: who, what, on what, and how it ended.
const AUDIT_POLICY: &str = "apiVersion: audit.k8s.io/v1\nkind: Policy\nomitStages: [RequestReceived]\nrules: [{level: Metadata}]\n";

/// Who speaks to the API server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum User {
    /// May do everything.
    Admin,
    /// The agent's service account.
    Node,
    /// The CNI plugin's service account.
    CniPlugin,
    /// The service account of calicoctl.
    Calicoctl,
    /// Is known, and may do nothing.
    Nobody,
}

impl User {
    const ALL: [Self; 5] = [
        Self::Admin,
        Self::Node,
        Self::CniPlugin,
        Self::Calicoctl,
        Self::Nobody,
    ];

    const fn account(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Node => "calico-node",
            Self::CniPlugin => "calico-cni-plugin",
            Self::Calicoctl => "calicoctl",
            Self::Nobody => "nobody",
        }
    }

    /// A line of the API server's token file: token, name, identity, groups.
    fn line(self, token: &str) -> String {
        let account = self.account();
        match self {
            Self::Admin => format!("{token},{account},{account},system:masters\n"),
            Self::Nobody => format!("{token},{account},{account},nobodies\n"),
            Self::Node | Self::CniPlugin | Self::Calicoctl => format!(
                "{token},system:serviceaccount:kube-system:{account},{account},\
                 \"system:serviceaccounts,system:serviceaccounts:kube-system\"\n"
            ),
        }
    }
}

/// Where the servers listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file of the network namespace they run in, such as `/run/netns/NAME`; `None` is the test's own.
    pub namespace: Option<PathBuf>,
    /// The address of the API server there.
    pub address: IpAddr,
}

impl Default for Place {
    fn default() -> Self {
        Self {
            namespace: None,
            address: IpAddr::V4(Ipv4Addr::LOCALHOST),
        }
    }
}

/// How the API server is started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KubernetesOptions {
    /// Where it listens.
    pub place: Place,
    /// Further flags, such as `--feature-gates=WatchList=false`.
    pub flags: Vec<String>,
}

/// A running API server. Dropping it ends both processes and removes their data.
pub struct RealKubernetes {
    directory: TempDir,
    release: Release,
    kubectl: PathBuf,
    place: Place,
    port: u16,
    api_server: Daemon,
    // Declared in the order in which they are to end.
    running: Option<Running>,
    _etcd: Running,
}

impl RealKubernetes {
    /// Starts one with our roles applied; `None`, and `SKIPPED` said, where it has not been built.
    #[must_use]
    pub fn start() -> Option<Self> {
        Self::start_with(KubernetesOptions::default())
    }

    /// Starts one as told.
    ///
    /// # Panics
    /// If the servers are there and do not come up.
    #[must_use]
    pub fn start_with(options: KubernetesOptions) -> Option<Self> {
        match Programs::find() {
            Ok(programs) => Some(Self::launch(&programs, options)),
            Err(why) => {
                eprintln!("SKIPPED: {why}");
                None
            }
        }
    }

    fn launch(programs: &Programs, options: KubernetesOptions) -> Self {
        let KubernetesOptions { place, flags } = options;
        let directory = in_memory("kubernetes");
        let at = |name: &str| directory.path().join(name);
        let [port, clients, peers] = free_ports().expect("free ports");
        let tokens: String = User::ALL
            .into_iter()
            .map(|user| user.line(&token(user)))
            .collect();
        for (name, text) in [
            ("tokens.csv", tokens.as_str()),
            ("audit.yaml", AUDIT_POLICY),
        ] {
            fs::write(at(name), text).expect("a writable directory");
        }
        signing_keys(&at("accounts.key"), &at("accounts.pub"));
        let mut etcd = etcd(programs, directory.path(), &place, clients, peers)
            .start()
            .expect("etcd can be started");
        let health = format!("http://127.0.0.1:{clients}/health");
        etcd.wait_until(PATIENCE, || answers(&place, &health));
        let api_server = Daemon {
            program: programs.api_server.clone(),
            words: api_server_words(
                directory.path(),
                &place,
                port,
                clients,
                [programs.release.flags(), flags].concat(),
            ),
            log: at("kube-apiserver.log"),
            namespace: place.namespace.clone(),
        };
        let mut server = Self {
            kubectl: programs.kubectl.clone(),
            release: programs.release.clone(),
            directory,
            place,
            port,
            api_server,
            running: None,
            _etcd: etcd,
        };
        server.restart();
        for user in User::ALL {
            let text = server.kubeconfig_text(user);
            fs::write(server.kubeconfig(user), text).expect("a writable directory");
        }
        server.apply(ROLES);
        server
    }

    /// Its version, such as `v1.36.3`.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.release.version
    }

    /// Its URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!(
            "https://{}",
            std::net::SocketAddr::new(self.place.address, self.port)
        )
    }

    /// The file of the authority that signed its certificate.
    #[must_use]
    pub fn authority(&self) -> PathBuf {
        self.directory.path().join("certificates/apiserver.crt")
    }

    /// The secret that a user shows.
    #[must_use]
    pub fn token(&self, user: User) -> String {
        token(user)
    }

    /// A user's kubeconfig. It is there from the start.
    #[must_use]
    pub fn kubeconfig(&self, user: User) -> PathBuf {
        self.directory
            .path()
            .join(format!("{}.kubeconfig", user.account()))
    }

    /// A directory of this server's own, for a test's files; removed with it.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Runs kubectl as the administrator.
    ///
    /// # Panics
    /// If it fails.
    pub fn kubectl(&self, words: &[&str]) -> String {
        let output = self.try_kubectl(words, "");
        assert!(
            output.status.success(),
            "kubectl {words:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Runs kubectl as the administrator, with an input, whatever comes of it.
    ///
    /// # Panics
    /// If there is no kubectl.
    pub fn try_kubectl(&self, words: &[&str], input: &str) -> Output {
        let mut child = self
            .command(&self.kubectl)
            .arg("--kubeconfig")
            .arg(self.kubeconfig(User::Admin))
            .args(words)
            // Its cache of discovery would be shared with the user's own clusters.
            .env("KUBECACHEDIR", self.directory.path().join("kubectl-cache"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("kubectl can be started");
        let mut stdin = child.stdin.take().expect("its input was asked for");
        // A kubectl that reads nothing closes its input early.
        let _ = stdin.write_all(input.as_bytes());
        drop(stdin);
        child.wait_with_output().expect("kubectl ends")
    }

    /// Applies objects as the administrator; those of APIs that this release has in an older version only, in that.
    ///
    /// # Panics
    /// If one is refused.
    pub fn apply(&self, objects: &str) {
        let output = self.try_kubectl(
            &["apply", "--server-side", "--force-conflicts", "-f", "-"],
            &self.release.admission(objects),
        );
        assert!(
            output.status.success(),
            "kubectl apply: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }

    /// One object as JSON.
    ///
    /// # Panics
    /// If it is not there.
    pub fn object(&self, words: &[&str]) -> Value {
        let mut all = vec!["get", "-o", "json"];
        all.extend(words);
        serde_json::from_str(&self.kubectl(&all)).expect("kubectl prints JSON")
    }

    /// Installs definitions of custom resources and waits until they are served.
    ///
    /// # Panics
    /// If one is refused.
    pub fn install_crds(&self, definitions: &str) {
        self.apply(definitions);
        self.await_crds();
    }

    /// Installs our definitions of custom resources, `v1` or `v3`, and waits until they are served.
    ///
    /// # Panics
    /// If one is refused.
    pub fn install_definitions(&self, version: &str) {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../deploy/crds")
            .join(version);
        let files = fs::read_dir(&directory).expect("our definitions");
        let texts: Vec<String> = files
            .map(|file| fs::read_to_string(file.expect("a file").path()).expect("its text"))
            .collect();
        self.install_crds(&texts.join("---\n"));
    }

    fn await_crds(&self) {
        self.kubectl(&[
            "wait",
            "--for=condition=Established",
            "--timeout=60s",
            "crd",
            "--all",
        ]);
    }

    /// The requests that a user has made, as the API server's audit log has them: `list pods`, `watch networkpolicies`.
    ///
    /// # Panics
    /// If there is no audit log.
    #[must_use]
    pub fn requests(&self, user: User) -> Vec<String> {
        let text =
            fs::read_to_string(self.directory.path().join("audit.log")).expect("an audit log");
        let name = match user {
            User::Admin | User::Nobody => user.account().to_owned(),
            User::Node | User::CniPlugin | User::Calicoctl => {
                format!("system:serviceaccount:kube-system:{}", user.account())
            }
        };
        let mut seen = std::collections::BTreeSet::new();
        text.lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
            .filter(|event| event["user"]["username"] == name.as_str())
            // A watch is logged when it begins and when it ends.
            .filter(|event| seen.insert(event["auditID"].to_string()))
            .map(|event| {
                let text = |value: &Value| value.as_str().unwrap_or("?").to_owned();
                match event.pointer("/objectRef/resource") {
                    Some(resource) => format!("{} {}", text(&event["verb"]), text(resource)),
                    None => format!("get {}", text(&event["requestURI"])),
                }
            })
            .collect()
    }

    /// Ends the API server at once, as a crash would; its data stay.
    pub fn kill(&mut self) {
        self.running = None;
    }

    /// Starts the API server again and waits until it is ready. Ends it first if it runs.
    ///
    /// # Panics
    /// If it does not come up.
    pub fn restart(&mut self) {
        self.running = None;
        let mut running = self
            .api_server
            .start()
            .expect("the API server can be started");
        let readyz = format!("{}/readyz", self.url());
        let place = self.place.clone();
        running.wait_until(PATIENCE, || answers(&place, &readyz));
        self.running = Some(running);
    }

    fn command(&self, program: &Path) -> Command {
        within(&self.place, program)
    }

    fn kubeconfig_text(&self, user: User) -> String {
        // JSON is YAML.
        let text = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "clusters": [{"name": "test", "cluster": {"server": self.url(), "certificate-authority": self.authority()}}],
            "users": [{"name": user.account(), "user": {"token": token(user)}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": user.account()}}],
        });
        format!("{text:#}\n")
    }
}

fn token(user: User) -> String {
    format!("token-of-{}", user.account())
}

/// The pair of keys that the API server signs and checks its service accounts' tokens with.
fn signing_keys(private: &Path, public: &Path) {
    let openssl = |words: &[&str], output: &Path| {
        let made = Command::new("openssl")
            .args(words)
            .arg("-out")
            .arg(output)
            .stderr(Stdio::null())
            .status();
        assert!(
            made.is_ok_and(|status| status.success()),
            "openssl {words:?}"
        );
    };
    let curve = ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"];
    openssl(&[&["genpkey"], &curve[..]].concat(), private);
    let private = private.display().to_string();
    openssl(&["pkey", "-pubout", "-in", &private], public);
}

fn etcd(programs: &Programs, directory: &Path, place: &Place, clients: u16, peers: u16) -> Daemon {
    let clients = format!("http://127.0.0.1:{clients}");
    let peers = format!("http://127.0.0.1:{peers}");
    Daemon {
        program: programs.etcd.clone(),
        words: vec![
            format!("--data-dir={}", directory.join("etcd").display()),
            format!("--listen-client-urls={clients}"),
            format!("--advertise-client-urls={clients}"),
            format!("--listen-peer-urls={peers}"),
            format!("--initial-advertise-peer-urls={peers}"),
            format!("--initial-cluster=default={peers}"),
            // Killed only with its data, never to be read again.
            "--unsafe-no-fsync".to_owned(),
        ],
        log: directory.join("etcd.log"),
        namespace: place.namespace.clone(),
    }
}

fn api_server_words(
    directory: &Path,
    place: &Place,
    port: u16,
    clients: u16,
    flags: Vec<String>,
) -> Vec<String> {
    let at = |name: &str| directory.join(name).display().to_string();
    let mut words = vec![
        format!("--etcd-servers=http://127.0.0.1:{clients}"),
        format!("--bind-address={}", place.address),
        format!("--secure-port={port}"),
        format!("--cert-dir={}", at("certificates")),
        // Only written into an object; a loopback address would be refused there.
        "--advertise-address=192.0.2.1".to_owned(),
        "--endpoint-reconciler-type=none".to_owned(),
        "--service-cluster-ip-range=10.96.0.0/16".to_owned(),
        "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
        format!("--service-account-signing-key-file={}", at("accounts.key")),
        format!("--service-account-key-file={}", at("accounts.pub")),
        "--authorization-mode=RBAC".to_owned(),
        format!("--token-auth-file={}", at("tokens.csv")),
        // There is no controller that would make each namespace's default account.
        "--disable-admission-plugins=ServiceAccount".to_owned(),
        "--allow-privileged=true".to_owned(),
        format!("--audit-policy-file={}", at("audit.yaml")),
        format!("--audit-log-path={}", at("audit.log")),
    ];
    words.extend(flags);
    words
}

/// Whether a URL answers with success. Whose certificate it is does not matter here.
fn answers(place: &Place, url: &str) -> bool {
    within(place, Path::new("curl"))
        .args([
            "--silent",
            "--insecure",
            "--fail",
            "--max-time",
            "2",
            "--output",
            "/dev/null",
            "--noproxy",
            "*",
            url,
        ])
        .status()
        .is_ok_and(|status| status.success())
}

fn within(place: &Place, program: &Path) -> Command {
    match &place.namespace {
        None => Command::new(program),
        Some(namespace) => {
            let mut command = Command::new("nsenter");
            command
                .arg(format!("--net={}", namespace.display()))
                .arg(program);
            command
        }
    }
}
