//! A real etcd, from the distribution's package.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
};
use tempfile::TempDir;

use super::daemon::{Daemon, Running, free_ports, in_memory};

/// Longer than a start takes on a busy machine of two cores.
const PATIENCE: Duration = Duration::from_secs(60);

/// How an etcd is guarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guard {
    /// Not at all.
    Open,
    /// By certificates of an authority made for it; clients must show one as well.
    Tls,
    /// By users and passwords; there is [`RealEtcd::USER`], who may use `/calico/` and nothing else.
    Password,
}

/// A running etcd. Dropping it ends it and removes its data.
pub struct RealEtcd {
    directory: TempDir,
    guard: Guard,
    port: u16,
    health: u16,
    daemon: Daemon,
    running: Option<Running>,
}

impl RealEtcd {
    /// A user that may use `/calico/` and nothing else.
    pub const USER: &str = "calico";
    /// That user's password.
    pub const PASSWORD: &str = "calico's-own";
    const ROOT: &str = "root:roots-own";

    /// Starts one; `None`, and `SKIPPED` said, where there is no etcd.
    #[must_use]
    pub fn start(guard: Guard) -> Option<Self> {
        Self::start_with(guard, &[])
    }

    /// Starts one with further flags, such as `--max-txn-ops=16`.
    ///
    /// # Panics
    /// If it is there and does not come up.
    #[must_use]
    pub fn start_with(guard: Guard, flags: &[&str]) -> Option<Self> {
        for program in ["etcd", "etcdctl"] {
            if Command::new(program).arg("--help").output().is_err() {
                eprintln!("SKIPPED: there is no {program}: cargo xtask setup installs it");
                return None;
            }
        }
        let directory = in_memory("etcd");
        let [port, peer, health] = free_ports().expect("free ports");
        if guard == Guard::Tls {
            certificates(directory.path());
        }
        let daemon = Daemon {
            program: "etcd".into(),
            words: words(guard, directory.path(), [port, peer, health], flags),
            log: directory.path().join("etcd.log"),
            namespace: None,
        };
        let mut server = Self {
            directory,
            guard,
            port,
            health,
            daemon,
            running: None,
        };
        server.restart();
        if guard == Guard::Password {
            server.enable_auth();
        }
        Some(server)
    }

    /// Where clients find it.
    #[must_use]
    pub fn url(&self) -> String {
        let scheme = match self.guard {
            Guard::Open | Guard::Password => "http",
            Guard::Tls => "https",
        };
        format!("{scheme}://{}", self.address())
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))
    }

    /// The authority's certificate, a client's certificate, and its key; only where it is guarded by certificates.
    #[must_use]
    pub fn certificates(&self) -> [PathBuf; 3] {
        ["ca.crt", "client.crt", "client.key"].map(|name| self.directory.path().join(name))
    }

    /// Ends it at once, as a crash would; its data stay.
    pub fn kill(&mut self) {
        self.running = None;
    }

    /// Starts it again, at the same place and on the same data, and waits until it serves. Ends it first if it runs.
    ///
    /// # Panics
    /// If it does not come up.
    pub fn restart(&mut self) {
        self.running = None;
        let mut running = self.daemon.start().expect("etcd can be started");
        running.wait_until(PATIENCE, || healthy(self.health));
        self.running = Some(running);
    }

    /// Runs etcdctl as an administrator.
    ///
    /// # Panics
    /// If it fails.
    pub fn etcdctl(&self, words: &[&str]) -> String {
        let output = self.try_etcdctl(words);
        assert!(
            output.status.success(),
            "etcdctl {words:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Runs etcdctl as an administrator, whatever comes of it.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn try_etcdctl(&self, words: &[&str]) -> Output {
        self.command(words)
            .output()
            .expect("etcdctl can be started")
    }

    /// The newest revision.
    ///
    /// # Panics
    /// If it does not say one.
    #[must_use]
    pub fn revision(&self) -> u64 {
        let answer = self.etcdctl(&["get", "/", "-w", "json"]);
        let answer: serde_json::Value = serde_json::from_str(&answer).expect("JSON");
        answer["header"]["revision"].as_u64().expect("a revision")
    }

    /// Drops all revisions before `revision`; whether it could.
    pub fn compact(&self, revision: u64) -> bool {
        let words = ["compact", &revision.to_string()];
        self.try_etcdctl(&words).status.success()
    }

    /// Removes every key.
    pub fn clear(&self) {
        self.etcdctl(&["del", "", "--from-key"]);
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new("etcdctl");
        command
            .env("ETCDCTL_API", "3")
            .arg(format!("--endpoints={}", self.url()))
            .args(words);
        match self.guard {
            Guard::Open => {}
            Guard::Tls => {
                let [ca, cert, key] = self.certificates();
                command.arg("--cacert").arg(ca);
                command.arg("--cert").arg(cert).arg("--key").arg(key);
            }
            Guard::Password if self.directory.path().join("guarded").exists() => {
                command.arg(format!("--user={}", Self::ROOT));
            }
            Guard::Password => {}
        }
        command
    }

    fn enable_auth(&self) {
        let user = format!("{}:{}", Self::USER, Self::PASSWORD);
        for words in [
            &["user", "add", Self::ROOT][..],
            &["user", "grant-role", "root", "root"],
            &["user", "add", &user],
            &["role", "add", "calico"],
            &[
                "role",
                "grant-permission",
                "calico",
                "readwrite",
                "--prefix=true",
                "/calico/",
            ],
            &["user", "grant-role", Self::USER, "calico"],
            &["auth", "enable"],
        ] {
            self.etcdctl(words);
        }
        fs::write(self.directory.path().join("guarded"), "").expect("a writable directory");
    }
}

fn words(guard: Guard, directory: &Path, ports: [u16; 3], flags: &[&str]) -> Vec<String> {
    let [port, peer, health] = ports;
    let scheme = match guard {
        Guard::Open | Guard::Password => "http",
        Guard::Tls => "https",
    };
    let at = |name: &str| directory.join(name).display().to_string();
    let mut words = vec![
        "--name=test".to_owned(),
        format!("--data-dir={}", at("data")),
        format!("--listen-client-urls={scheme}://127.0.0.1:{port}"),
        format!("--advertise-client-urls={scheme}://127.0.0.1:{port}"),
        format!("--listen-peer-urls=http://127.0.0.1:{peer}"),
        format!("--initial-advertise-peer-urls=http://127.0.0.1:{peer}"),
        format!("--initial-cluster=test=http://127.0.0.1:{peer}"),
        format!("--listen-metrics-urls=http://127.0.0.1:{health}"),
        "--logger=zap".to_owned(),
        "--log-level=warn".to_owned(),
        // A member alone elects itself; it need not be patient.
        "--heartbeat-interval=20".to_owned(),
        "--election-timeout=200".to_owned(),
    ];
    if guard == Guard::Tls {
        words.push(format!("--cert-file={}", at("server.crt")));
        words.push(format!("--key-file={}", at("server.key")));
        words.push(format!("--trusted-ca-file={}", at("ca.crt")));
        words.push("--client-cert-auth".to_owned());
    }
    words.extend(flags.iter().map(|&flag| flag.to_owned()));
    words
}

/// Whether it says of itself that it serves.
fn healthy(port: u16) -> bool {
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        stream.write_all(b"GET /health HTTP/1.0\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    ask().is_ok_and(|answer| answer.contains("\"true\""))
}

/// An authority, and a server and a client whom it vouches for.
fn certificates(directory: &Path) {
    let save = |name: &str, text: String| {
        fs::write(directory.join(name), text).expect("a writable directory");
    };
    let named = |name: &str, hosts: &[&str]| {
        let hosts: Vec<String> = hosts.iter().map(|&host| host.to_owned()).collect();
        let mut params = CertificateParams::new(hosts).expect("names");
        params.distinguished_name.push(DnType::CommonName, name);
        params
    };
    let authority_key = KeyPair::generate().expect("a key");
    let mut authority = named("test authority", &[]);
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let certificate = authority
        .self_signed(&authority_key)
        .expect("a certificate");
    save("ca.crt", certificate.pem());
    let issuer = Issuer::new(authority, authority_key);
    for (name, hosts) in [("server", &["localhost", "127.0.0.1"][..]), ("client", &[])] {
        let key = KeyPair::generate().expect("a key");
        let mut params = named(name, hosts);
        // Etcd's gateway connects to itself with the server's certificate.
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        let certificate = params.signed_by(&key, &issuer).expect("a certificate");
        save(&format!("{name}.crt"), certificate.pem());
        save(&format!("{name}.key"), key.serialize_pem());
    }
}
