//! What has to be done in the datastore before the loop begins, as often as it takes. An attempt may wait long for a datastore
//! that says nothing, so each has a thread of its own, and a signal to stop is obeyed at once.

use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use anyhow::Context as _;
use datastore::Backoff;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use service::signals::Signals;

use crate::probes::Probes;
use crate::startup;

/// How the setting up ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetUp {
    /// It is done.
    Done,
    /// A signal asked to stop before it was. An attempt that was under way is given up with the process.
    Stopped,
}

/// Tries until it is done; `first` is how the first attempt ended, if it was made already.
///
/// # Errors
/// It failed in a way that trying again does not mend.
pub fn set_up(
    signals: &mut Signals,
    probes: &Probes,
    first: Option<anyhow::Result<()>>,
    attempt: impl Fn() -> anyhow::Result<()> + Clone + Send + 'static,
) -> anyhow::Result<SetUp> {
    let mut backoff = Backoff::default();
    let mut said = String::new();
    let mut first = first;
    loop {
        let ended = match first.take() {
            Some(ended) => Some(ended),
            None => attended(signals, attempt.clone())?,
        };
        let failed = match ended {
            None => return Ok(SetUp::Stopped),
            Some(Ok(())) => return Ok(SetUp::Done),
            Some(Err(failed)) if startup::may_pass(&failed) => failed,
            Some(Err(failed)) => return Err(failed),
        };
        let why = format!("{failed:#}");
        probes.set_datastore(Some(&why));
        if said != why {
            tracing::warn!(%why, "waiting for the datastore");
            said = why;
        }
        if wait(signals, None, Some(backoff.after_failure()))? {
            return Ok(SetUp::Stopped);
        }
    }
}

/// Makes an attempt and waits for its end; `None` if a signal came before it.
fn attended(
    signals: &mut Signals,
    attempt: impl Fn() -> anyhow::Result<()> + Send + 'static,
) -> anyhow::Result<Option<anyhow::Result<()>>> {
    // The thread's end of it is closed with the thread, however that ends.
    let (over, open) = UnixStream::pair().context("failed to prepare the start-up")?;
    let (tell, told) = mpsc::channel();
    let thread = thread::Builder::new()
        .name("start-up".into())
        .spawn(move || {
            let _open = open;
            // Nobody listens after a signal.
            let _ = tell.send(attempt());
        });
    thread.context("failed to start a thread for the start-up")?;
    if wait(signals, Some(&over), None)? {
        return Ok(None);
    }
    let ended = told.recv().context("the start-up broke off")?;
    Ok(Some(ended))
}

/// Waits for the end of an attempt, or for a time; true if a signal asked to stop.
fn wait(
    signals: &mut Signals,
    over: Option<&UnixStream>,
    time: Option<Duration>,
) -> anyhow::Result<bool> {
    let time = time.and_then(|time| Timespec::try_from(time).ok());
    loop {
        let descriptors = std::iter::once(signals.as_fd()).chain(over.map(AsFd::as_fd));
        let mut fds: Vec<PollFd<'_>> = descriptors
            .map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN))
            .collect();
        let polled = poll(&mut fds, time.as_ref());
        drop(fds);
        match polled {
            Ok(_) => return Ok(signals.take()),
            Err(rustix::io::Errno::INTR) if signals.take() => return Ok(true),
            Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(errno).context("failed to wait for the datastore"),
        }
    }
}
