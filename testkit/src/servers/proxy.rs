//! A TCP proxy that cuts connections, as firewalls and failing links do.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// A proxy in front of one server; it ends, and all its connections, when it is dropped.
pub struct Proxy {
    shared: Arc<Shared>,
    address: SocketAddr,
}

struct Shared {
    target: SocketAddr,
    open: Mutex<Vec<TcpStream>>,
    ended: AtomicBool,
    refusing: AtomicBool,
    accepted: AtomicU64,
}

impl Proxy {
    /// Starts one in front of `target`.
    ///
    /// # Errors
    /// There is no free port.
    pub fn start(target: SocketAddr) -> io::Result<Self> {
        Self::serve(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?, target)
    }

    /// Serves a listener, which may be of another network namespace, from `target` as it is seen from here.
    ///
    /// # Errors
    /// The listener has no address.
    pub fn serve(listener: TcpListener, target: SocketAddr) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            target,
            open: Mutex::default(),
            ended: AtomicBool::new(false),
            refusing: AtomicBool::new(false),
            accepted: AtomicU64::new(0),
        });
        let accepting = shared.clone();
        thread::spawn(move || accepting.accept(&listener));
        Ok(Self { shared, address })
    }

    /// Where clients find it.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many connections were made through it.
    #[must_use]
    pub fn accepted(&self) -> u64 {
        self.shared.accepted.load(Ordering::Relaxed)
    }

    /// Cuts all connections, and lets no new ones through until [`allow`](Self::allow).
    pub fn refuse(&self) {
        self.shared.refusing.store(true, Ordering::SeqCst);
        self.cut();
    }

    /// Lets connections through again.
    pub fn allow(&self) {
        self.shared.refusing.store(false, Ordering::SeqCst);
    }

    /// Cuts all connections that are open now, in the middle of whatever they carry.
    pub fn cut(&self) {
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

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Relaxed);
        self.cut();
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(self.address);
    }
}

impl Shared {
    fn accept(&self, listener: &TcpListener) {
        for client in listener.incoming() {
            if self.ended.load(Ordering::Relaxed) {
                return;
            }
            let Ok(client) = client else { continue };
            if self.refusing.load(Ordering::SeqCst) {
                continue;
            }
            self.accepted.fetch_add(1, Ordering::Relaxed);
            let Ok(server) = TcpStream::connect(self.target) else {
                continue;
            };
            // What one side sends at once reaches the other at once.
            let _ = (client.set_nodelay(true), server.set_nodelay(true));
            let clones = || Ok::<_, io::Error>([client.try_clone()?, server.try_clone()?]);
            let (Ok(kept), Ok([from_client, from_server])) = (clones(), clones()) else {
                continue;
            };
            let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
            open.extend(kept);
            drop(open);
            thread::spawn(move || carry(from_client, server));
            thread::spawn(move || carry(from_server, client));
        }
    }
}

/// Carries bytes one way until either end is gone, and then ends both.
fn carry(mut from: TcpStream, mut to: TcpStream) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        if to.write_all(&buffer[..length]).is_err() {
            break;
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}
