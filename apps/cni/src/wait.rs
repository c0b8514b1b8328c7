//! Waits for the agent's word that an endpoint's policy is in force: a file, of which inotify tells. Nothing is polled.

use std::io;
use std::mem::MaybeUninit;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};

/// What became of waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waited {
    /// The file is there.
    Ready,
    /// It did not come in time.
    TimedOut,
}

/// Waits until `directory/name` exists.
pub(crate) fn for_file(directory: &Path, name: &str, timeout: Duration) -> io::Result<Waited> {
    let file = directory.join(name);
    if file.exists() {
        return Ok(Waited::Ready);
    }
    let deadline = Instant::now() + timeout;
    std::fs::create_dir_all(directory)?;
    let notifier = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
    inotify::add_watch(
        &notifier,
        directory,
        WatchFlags::CREATE | WatchFlags::MOVED_TO,
    )?;
    let mut buffer = [MaybeUninit::uninit(); 4096];
    // What came between the first look and the watch is seen by this one.
    while !file.exists() {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(Waited::TimedOut);
        }
        let mut fds = [PollFd::new(&notifier, PollFlags::IN)];
        let left = Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: left.subsec_nanos().into(),
        };
        match poll(&mut fds, Some(&left)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        let mut reader = inotify::Reader::new(&notifier, &mut buffer);
        // Which files they were does not matter: the file is looked for again.
        while reader.next().is_ok() {}
    }
    Ok(Waited::Ready)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sees_a_file_that_comes_by_rename() {
        let dir = tempfile::tempdir().unwrap();
        let status = dir.path().join("status");
        let wait = |timeout| for_file(&status, "a b", timeout).unwrap();
        assert_eq!(wait(Duration::from_millis(1)), Waited::TimedOut);
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| wait(Duration::from_secs(20)));
            std::fs::write(status.join(".a"), "").unwrap();
            std::fs::rename(status.join(".a"), status.join("a b")).unwrap();
            assert_eq!(waiter.join().unwrap(), Waited::Ready);
        });
        assert_eq!(wait(Duration::ZERO), Waited::Ready);
    }
}
