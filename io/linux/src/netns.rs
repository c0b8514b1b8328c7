//! Network namespaces: open, create under a name, enter on a thread of their own.
//!
//! A namespace belongs to a thread, so no thread that does other work ever changes it: [`in_netns`] starts one, enters, runs and ends it.
//! A socket stays in the namespace it was opened in, so entering once is enough for any number of requests.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread;

use rustix::fs::FlockOperation;
use rustix::io::Errno;
use rustix::mount::{MountPropagationFlags, UnmountFlags};
use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space};

use crate::netlink::{NetlinkError, NetlinkSocket, Protocol, SocketOptions};

/// Where named namespaces are mounted, as iproute2 has it.
const DIRECTORY: &str = "/run/netns";
/// The calling thread's namespace. `/proc/self` would be the main thread's.
const OF_THREAD: &str = "/proc/thread-self/ns/net";

/// What went wrong with a namespace.
#[derive(Debug, thiserror::Error)]
pub enum NetNsError {
    /// It cannot be opened.
    #[error("failed to open the network namespace {path}")]
    Open {
        /// Its file.
        path: PathBuf,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// The file is something else.
    #[error(
        "{path} is not a network namespace; give a file such as /run/netns/NAME or /proc/PID/ns/net"
    )]
    NotANamespace {
        /// The file.
        path: PathBuf,
    },
    /// It cannot be created.
    #[error("failed to create the network namespace {name}")]
    Create {
        /// Its name.
        name: String,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// It cannot be deleted.
    #[error("failed to delete the network namespace {name}")]
    Delete {
        /// Its name.
        name: String,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// The name cannot be a file's.
    #[error("{name:?} cannot name a network namespace: use a file name without slashes")]
    Name {
        /// The name.
        name: String,
    },
}

impl NetNsError {
    /// Whether the namespace is not there.
    pub fn is_absent(&self) -> bool {
        match self {
            NetNsError::Open { source, .. } | NetNsError::Delete { source, .. } => {
                source.kind() == io::ErrorKind::NotFound
            }
            NetNsError::NotANamespace { .. }
            | NetNsError::Create { .. }
            | NetNsError::Name { .. } => false,
        }
    }

    /// Whether a namespace of that name is there already.
    pub fn is_present(&self) -> bool {
        match self {
            NetNsError::Create { source, .. } => source.kind() == io::ErrorKind::AlreadyExists,
            NetNsError::Open { .. }
            | NetNsError::NotANamespace { .. }
            | NetNsError::Delete { .. }
            | NetNsError::Name { .. } => false,
        }
    }
}

/// Which namespace it is, however it was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NetNsId {
    /// Device of the namespace file system.
    pub dev: u64,
    /// Inode of the namespace.
    pub ino: u64,
}

/// An open network namespace. It lives as long as this is open, even when its name is deleted.
#[derive(Debug)]
pub struct NetNs {
    file: File,
}

impl NetNs {
    /// The calling thread's.
    pub fn current() -> Result<Self, NetNsError> {
        Self::open(Path::new(OF_THREAD))
    }

    /// The one of a file: `/run/netns/NAME`, `/proc/PID/ns/net`, or any bind mount of one.
    pub fn open(path: &Path) -> Result<Self, NetNsError> {
        let source = |source| NetNsError::Open {
            path: path.to_owned(),
            source,
        };
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
            .open(path)
            .map_err(source)?;
        let system = rustix::fs::fstatfs(&file).map_err(|errno| source(errno.into()))?;
        // The file left behind when its mount is gone is an ordinary empty file: entering it would fail far from here.
        if system.f_type != libc::NSFS_MAGIC {
            return Err(NetNsError::NotANamespace {
                path: path.to_owned(),
            });
        }
        Ok(NetNs { file })
    }

    /// The one created under a name.
    pub fn named(name: &str) -> Result<Self, NetNsError> {
        Self::open(&path_of(name)?)
    }

    /// The one of a process.
    pub fn of_process(pid: u32) -> Result<Self, NetNsError> {
        Self::open(Path::new(&format!("/proc/{pid}/ns/net")))
    }

    /// A fresh one without a name: it ends with the last descriptor, process or link that holds it.
    pub fn unnamed() -> Result<Self, NetNsError> {
        on_own_thread(|| {
            leave_for_a_fresh_one().map_err(|source| NetNsError::Open {
                path: OF_THREAD.into(),
                source,
            })?;
            Self::current()
        })
        .map_err(|source| NetNsError::Open {
            path: OF_THREAD.into(),
            source,
        })?
    }

    /// Which one it is.
    pub fn id(&self) -> io::Result<NetNsId> {
        let metadata = self.file.metadata()?;
        Ok(NetNsId {
            dev: metadata.dev(),
            ino: metadata.ino(),
        })
    }
}

impl AsFd for NetNs {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl From<NetNs> for OwnedFd {
    fn from(netns: NetNs) -> OwnedFd {
        netns.file.into()
    }
}

/// Runs `work` on a thread of its own inside the namespace and returns its value. A panic in it goes on in the caller.
pub fn in_netns<T: Send>(netns: impl AsFd, work: impl FnOnce() -> T + Send) -> io::Result<T> {
    let netns = netns.as_fd();
    on_own_thread(move || {
        move_into_link_name_space(netns, Some(LinkNameSpaceType::Network))?;
        Ok(work())
    })?
}

/// Creates a namespace under a name, as `ip netns add` does: a bind mount in `/run/netns`.
pub fn create(name: &str) -> Result<NetNs, NetNsError> {
    let path = path_of(name)?;
    let error = |source| NetNsError::Create {
        name: name.to_owned(),
        source,
    };
    let lock = prepare_directory().map_err(error)?;
    OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(0o000)
        .open(&path)
        .map_err(error)?;
    let mounted = on_own_thread(|| {
        leave_for_a_fresh_one()?;
        rustix::mount::mount_bind(OF_THREAD, &path).map_err(io::Error::from)
    });
    drop(lock);
    match mounted.and_then(|result| result) {
        Ok(()) => NetNs::open(&path),
        Err(source) => {
            // Nothing is mounted on it; the create error is what the caller needs to hear.
            let _ = std::fs::remove_file(&path);
            Err(error(source))
        }
    }
}

/// Deletes a name. The namespace itself ends when nothing else holds it.
pub fn delete(name: &str) -> Result<(), NetNsError> {
    let path = path_of(name)?;
    let error = |source| NetNsError::Delete {
        name: name.to_owned(),
        source,
    };
    match rustix::mount::unmount(&path, UnmountFlags::DETACH) {
        // INVAL: nothing is mounted, the file was left by somebody interrupted half way.
        Ok(()) | Err(Errno::INVAL | Errno::NOENT) => {}
        Err(errno) => return Err(error(errno.into())),
    }
    std::fs::remove_file(&path).map_err(error)
}

impl NetlinkSocket {
    /// Opens a socket in another namespace, where it stays.
    ///
    /// The calling thread visits that namespace for the four system calls this takes: a thread of its own would cost more than all that a
    /// pod needs there. No other code runs meanwhile, and a thread that cannot come back does not go on: see [`visit`].
    pub fn open_in(
        netns: impl AsFd,
        protocol: Protocol,
        options: SocketOptions,
    ) -> Result<Self, NetlinkError> {
        visit(netns.as_fd(), || {
            NetlinkSocket::open_with(protocol, options)
        })
        .map_err(|source| NetlinkError::Socket {
            doing: "enter the network namespace of",
            source,
        })?
    }
}

/// Runs `work` on the calling thread inside the namespace, and comes back.
///
/// # Aborts
///
/// When the thread cannot come back, which a kernel with memory left does not do: going on would program the wrong namespace.
fn visit<T>(netns: BorrowedFd<'_>, work: impl FnOnce() -> T) -> io::Result<T> {
    /// Comes back when dropped, also when `work` panics.
    struct Home(File);

    impl Drop for Home {
        fn drop(&mut self) {
            if let Err(errno) =
                move_into_link_name_space(self.0.as_fd(), Some(LinkNameSpaceType::Network))
            {
                tracing::error!(%errno, "cannot return from a pod's network namespace: stopping");
                std::process::abort();
            }
        }
    }

    let home = File::open(OF_THREAD)?;
    move_into_link_name_space(netns, Some(LinkNameSpaceType::Network))?;
    let _home = Home(home);
    Ok(work())
}

/// The file of a name, if it can be one.
fn path_of(name: &str) -> Result<PathBuf, NetNsError> {
    let plain = !name.is_empty()
        && name != "."
        && name != ".."
        && !name.contains(['/', '\0'])
        && name.len() < 256;
    if !plain {
        return Err(NetNsError::Name {
            name: name.to_owned(),
        });
    }
    Ok(Path::new(DIRECTORY).join(name))
}

/// Makes the directory, shared so that a name deleted here goes away in every mount namespace. Returns it locked, as iproute2 does, against
/// two of us mounting it at once.
fn prepare_directory() -> io::Result<File> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(DIRECTORY)?;
    let directory = File::open(DIRECTORY)?;
    rustix::fs::flock(&directory, FlockOperation::LockExclusive)?;
    let shared = MountPropagationFlags::SHARED | MountPropagationFlags::REC;
    match rustix::mount::mount_change(DIRECTORY, shared) {
        Ok(()) => {}
        // Not a mount point yet.
        Err(Errno::INVAL) => {
            rustix::mount::mount_bind_recursive(DIRECTORY, DIRECTORY)?;
            rustix::mount::mount_change(DIRECTORY, shared)?;
        }
        Err(errno) => return Err(errno.into()),
    }
    Ok(directory)
}

/// Runs `work` on a thread made for it.
fn on_own_thread<T: Send>(work: impl FnOnce() -> T + Send) -> io::Result<T> {
    thread::scope(|scope| {
        let handle = thread::Builder::new()
            .name("netns".to_owned())
            .spawn_scoped(scope, work)?;
        match handle.join() {
            Ok(value) => Ok(value),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

/// Puts the calling thread into a new namespace.
#[expect(
    unsafe_code,
    reason = "rustix marks unshare unsafe for the sake of descriptor tables"
)]
fn leave_for_a_fresh_one() -> io::Result<()> {
    // SAFETY: only the network namespace of this thread is left; the descriptor table stays shared, so descriptors stay valid.
    unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNET) }.map_err(io::Error::from)
}
