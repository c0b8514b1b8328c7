//! Signals as a descriptor: a loop that waits on many things waits on this one too.

use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

/// SIGTERM and SIGINT, readable when one came.
#[derive(Debug)]
pub struct Signals {
    receiver: UnixStream,
}

impl Signals {
    /// Takes over SIGTERM and SIGINT for this process.
    ///
    /// # Errors
    /// No descriptors are left, or the handlers cannot be set.
    pub fn shutdown() -> io::Result<Signals> {
        let (receiver, sender) = UnixStream::pair()?;
        receiver.set_nonblocking(true)?;
        for signal in [signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT] {
            signal_hook::low_level::pipe::register(signal, sender.try_clone()?)?;
        }
        Ok(Signals { receiver })
    }

    /// True if a signal came since this was last asked.
    pub fn take(&mut self) -> bool {
        let mut bytes = [0u8; 16];
        matches!(self.receiver.read(&mut bytes), Ok(n) if n > 0)
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.receiver.as_fd()
    }
}
