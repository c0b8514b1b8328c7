//! One server process: started with its output in a file, killed without a word, awaited.

use std::collections::hash_map::RandomState;
use std::fs::File;
use std::hash::BuildHasher as _;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// What the words of a command are, so that it can be started again.
#[derive(Clone, Debug)]
pub(super) struct Daemon {
    pub(super) program: PathBuf,
    pub(super) words: Vec<String>,
    pub(super) log: PathBuf,
    /// The network namespace it runs in, if not our own.
    pub(super) namespace: Option<PathBuf>,
}

/// A started daemon. Dropping it kills it and waits until it is gone.
pub(super) struct Running {
    child: Child,
    log: PathBuf,
}

impl Daemon {
    pub(super) fn start(&self) -> io::Result<Running> {
        let log = File::options().create(true).append(true).open(&self.log)?;
        let mut command = match &self.namespace {
            None => Command::new(&self.program),
            Some(namespace) => {
                let mut command = Command::new("nsenter");
                command.arg(format!("--net={}", namespace.display()));
                command.arg(&self.program);
                command
            }
        };
        let child = command
            .args(&self.words)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        Ok(Running {
            child,
            log: self.log.clone(),
        })
    }
}

impl Running {
    /// Waits until `ready` says yes; a daemon that ends meanwhile, or takes too long, fails the test with its last words.
    pub(super) fn wait_until(&mut self, patience: Duration, mut ready: impl FnMut() -> bool) {
        let deadline = Instant::now() + patience;
        while !ready() {
            if let Ok(Some(status)) = self.child.try_wait() {
                panic!(
                    "{} ended with {status}: {}",
                    self.log.display(),
                    tail(&self.log)
                );
            }
            assert!(
                Instant::now() < deadline,
                "{} is not ready after {patience:?}: {}",
                self.log.display(),
                tail(&self.log)
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn tail(log: &Path) -> String {
    let text = std::fs::read(log).unwrap_or_default();
    let start = text.len().saturating_sub(3_000);
    String::from_utf8_lossy(&text[start..]).into_owned()
}

/// Where servers listen: below the ports that Linux gives to outgoing connections (ip_local_port_range, ip-sysctl), since one
/// of those could take the port between two starts of a server.
const PORTS: std::ops::Range<u16> = 15_000..32_000;

/// Ports that nobody listens on at this moment, all different, and drawn so that tests side by side seldom draw the same.
pub(super) fn free_ports<const N: usize>() -> io::Result<[u16; N]> {
    let mut ports = [0; N];
    // All are held until the last is known: none is drawn twice.
    let mut held = Vec::new();
    for port in &mut ports {
        let listener = listen_somewhere()?;
        *port = listener.local_addr()?.port();
        held.push(listener);
    }
    Ok(ports)
}

fn listen_somewhere() -> io::Result<TcpListener> {
    const TRIES: usize = 100;
    let mut failed = io::Error::from(io::ErrorKind::AddrInUse);
    for _ in 0..TRIES {
        let drawn = RandomState::new().hash_one(()) % u64::from(PORTS.end - PORTS.start);
        let port = PORTS.start + u16::try_from(drawn).unwrap_or(0);
        match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            Ok(listener) => return Ok(listener),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

/// A directory whose files are in memory where there is such a place: these servers wait for every write.
pub(super) fn in_memory(what: &str) -> tempfile::TempDir {
    let mut builder = tempfile::Builder::new();
    let prefix = format!("calico-test-{what}-");
    builder.prefix(&prefix);
    builder
        .tempdir_in("/dev/shm")
        .or_else(|_| builder.tempdir())
        .expect("a temporary directory")
}
