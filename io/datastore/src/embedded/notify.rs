//! Being woken by other processes' commits: inotify on the file's directory, or a timer where that does not work.
//!
//! A commit becomes visible through shared memory, of which the kernel tells nobody, so the writer touches the main
//! file afterwards. A writer that dies between the two closes its write-ahead log, which is an event as well. The
//! directory is watched rather than the file, to see another file take its place.

use std::ffi::{OsStr, OsString};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::io::Errno;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};

use super::files;
use crate::WatchMode;

/// How often to look where the kernel does not tell.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// File systems that other machines, or other mounts, may change without this kernel knowing (`statfs` type, name).
const SHARED: [(u64, &str); 11] = [
    (0x6969, "NFS"),
    (0x517b, "SMB"),
    (0xff53_4d42, "CIFS"),
    (0xfe53_4d42, "SMB2"),
    (0x0102_1997, "9p"),
    (0x6573_5546, "FUSE"),
    (0x00c3_6400, "Ceph"),
    (0x5346_414f, "AFS"),
    (0x7461_636f, "OCFS2"),
    (0x0116_1970, "GFS2"),
    (0x0bd0_0bd0, "Lustre"),
];

/// A descriptor that becomes readable when there may be something to see.
pub(super) struct Notify {
    fd: OwnedFd,
    mode: WatchMode,
    file: OsString,
    log: OsString,
}

impl Notify {
    /// Watches the file at `path`, which has no symbolic links in it.
    pub(super) fn new(path: &Path) -> io::Result<Self> {
        let file = path.file_name().unwrap_or_default().to_owned();
        let mut log = file.clone();
        log.push("-wal");
        let why = match shared(path) {
            Some(name) => format!("{name} file systems give no notice of changes made elsewhere"),
            None => match inotify_on(path.parent().unwrap_or(Path::new("/"))) {
                Ok(fd) => {
                    let mut notify = Self {
                        fd,
                        mode: WatchMode::Woken,
                        file,
                        log,
                    };
                    if notify.is_heard(path) {
                        return Ok(notify);
                    }
                    return Self::timer(
                        notify.file,
                        notify.log,
                        "the file system gives no notice of changes".into(),
                    );
                }
                Err(error) => format!("failed to watch its directory: {error}"),
            },
        };
        Self::timer(file, log, why)
    }

    /// Whether a change of the file arrives here. The kernel queues the event before the call that causes it returns.
    fn is_heard(&mut self, path: &Path) -> bool {
        match files::touch(path) {
            Ok(()) => self.clear(),
            // A reader that may not touch the file cannot try it out; almost every file system tells.
            Err(_) => true,
        }
    }

    fn timer(file: OsString, log: OsString, why: String) -> io::Result<Self> {
        let fd = timerfd_create(
            TimerfdClockId::Monotonic,
            TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK,
        )?;
        let interval = Timespec {
            tv_sec: POLL_INTERVAL.as_secs().cast_signed(),
            tv_nsec: 0,
        };
        let every = Itimerspec {
            it_interval: interval,
            it_value: interval,
        };
        timerfd_settime(&fd, TimerfdTimerFlags::empty(), &every)?;
        Ok(Self {
            fd,
            mode: WatchMode::Polled {
                every: POLL_INTERVAL,
                why,
            },
            file,
            log,
        })
    }

    pub(super) const fn mode(&self) -> &WatchMode {
        &self.mode
    }

    /// Makes the descriptor unreadable again; true if what it told may matter.
    pub(super) fn clear(&mut self) -> bool {
        match self.mode {
            WatchMode::Woken => self.clear_events(),
            WatchMode::Polled { .. } => rustix::io::read(&self.fd, &mut [0; 8]).is_ok(),
        }
    }

    fn clear_events(&self) -> bool {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut events = inotify::Reader::new(&self.fd, &mut buffer);
        let mut matters = false;
        loop {
            match events.next() {
                Ok(event) => {
                    let name = event
                        .file_name()
                        .map(|name| OsStr::from_bytes(name.to_bytes()));
                    matters |= self.matters(event.events(), name);
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return matters,
                // Looking once too often is harmless.
                Err(_) => return true,
            }
        }
    }

    fn matters(&self, events: ReadFlags, name: Option<&OsStr>) -> bool {
        match name {
            // About the directory itself, or the queue has overflowed.
            None => true,
            Some(name) if name == self.file => true,
            Some(name) if name == self.log => events.contains(ReadFlags::CLOSE_WRITE),
            Some(_) => false,
        }
    }
}

impl AsFd for Notify {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn inotify_on(directory: &Path) -> io::Result<OwnedFd> {
    let fd = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
    let events = WatchFlags::ATTRIB
        | WatchFlags::CLOSE_WRITE
        | WatchFlags::CREATE
        | WatchFlags::DELETE
        | WatchFlags::MOVED_FROM
        | WatchFlags::MOVED_TO
        | WatchFlags::DELETE_SELF
        | WatchFlags::MOVE_SELF;
    inotify::add_watch(&fd, directory, events | WatchFlags::ONLYDIR)?;
    Ok(fd)
}

/// The name of the file system, if it is one that may change behind the kernel's back.
fn shared(path: &Path) -> Option<&'static str> {
    let found = rustix::fs::statfs(path).ok()?.f_type.cast_unsigned();
    // Some kernels extend the sign of a 32-bit type.
    SHARED
        .iter()
        .find(|(kind, _)| *kind == found & 0xffff_ffff)
        .map(|(_, name)| *name)
}

#[cfg(test)]
mod tests {
    use rustix::event::{PollFd, PollFlags, poll};

    use super::*;

    #[test]
    fn where_nothing_tells_a_timer_does() {
        let mut notify =
            Notify::timer("a".into(), "a-wal".into(), "of a test".into()).expect("a timer");
        let polled = WatchMode::Polled {
            every: POLL_INTERVAL,
            why: "of a test".into(),
        };
        assert_eq!(*notify.mode(), polled);
        assert!(!notify.clear(), "not yet");
        let timeout = Timespec {
            tv_sec: 20,
            tv_nsec: 0,
        };
        assert_eq!(
            poll(&mut [PollFd::new(&notify, PollFlags::IN)], Some(&timeout)),
            Ok(1)
        );
        assert!(notify.clear());
        assert!(!notify.clear(), "once a second");
    }

    #[test]
    fn only_what_may_be_a_commit_matters() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("a.db");
        std::fs::write(&path, "").expect("a file");
        let mut notify = Notify::new(&path).expect("a watch");
        assert_eq!(*notify.mode(), WatchMode::Woken);
        std::fs::write(directory.path().join("nodename"), "n1").expect("a file");
        assert!(!notify.clear(), "another file");
        std::fs::write(directory.path().join("a.db-wal"), "").expect("a file");
        assert!(notify.clear(), "a writer has gone");
        std::fs::rename(&path, directory.path().join("b.db")).expect("moved");
        assert!(notify.clear(), "the file has gone");
    }
}
