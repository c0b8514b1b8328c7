//! One server process: started with its output in a file, killed without a word, awaited.

use std::fs::File;
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

/// Ports that nobody listens on at this moment, all different.
pub(super) fn free_ports<const N: usize>() -> io::Result<[u16; N]> {
    let mut ports = [0; N];
    // All are held until the last is known, else the kernel may give one out twice.
    let mut held = Vec::new();
    for port in &mut ports {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        *port = listener.local_addr()?.port();
        held.push(listener);
    }
    Ok(ports)
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
