//! One descriptor for all a feed waits for: an answer, a time, a watch.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use rustix::event::epoll;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};

use crate::remote::Wakeup;

/// A descriptor that is readable when any of its parts is.
pub(crate) struct Poller {
    epoll: OwnedFd,
    wake: Arc<Wakeup>,
    timer: OwnedFd,
}

impl Poller {
    pub(crate) fn new() -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let wake = Wakeup::new()?;
        let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        let poller = Self { epoll, wake, timer };
        poller.add(poller.wake.as_fd())?;
        poller.add(poller.timer.as_fd())?;
        Ok(poller)
    }

    /// Wakes it from an answer that is awaited.
    pub(crate) fn waker(&self) -> Waker {
        Waker::from(self.wake.clone())
    }

    /// Wakes it after `delay`, once.
    pub(crate) fn wake_after(&self, delay: Duration) -> io::Result<()> {
        // A zero would switch the timer off.
        let delay = Timespec::try_from(delay.max(Duration::from_nanos(1)))
            .map_err(|_| io::ErrorKind::InvalidInput)?;
        let once = Itimerspec {
            it_interval: Timespec::default(),
            it_value: delay,
        };
        timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &once)?;
        Ok(())
    }

    /// Also wakes for this descriptor, until it is closed.
    pub(crate) fn add(&self, fd: BorrowedFd<'_>) -> io::Result<()> {
        let data = epoll::EventData::new_u64(0);
        Ok(epoll::add(&self.epoll, fd, data, epoll::EventFlags::IN)?)
    }

    /// Forgets that an answer came or a time passed. Look for both afterwards.
    pub(crate) fn clear(&self) {
        self.wake.clear();
        // There is nothing to read if the time has not come.
        let _ = rustix::io::read(&self.timer, &mut [0; 8]);
    }
}

impl AsFd for Poller {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }
}
