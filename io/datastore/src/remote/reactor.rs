//! The thread that does a network store's IO.
//!
//! It runs a single-threaded runtime of its own, so that callers need none: they hand it work and await, with any executor
//! or with [`block_on_ready`](crate::block_on_ready), the answer.

use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tokio::task::AbortHandle;

/// One IO thread; it ends when the last handle to it is dropped, and what it was doing is given up then.
#[derive(Clone)]
pub struct Reactor {
    inner: Arc<Inner>,
}

struct Inner {
    handle: Handle,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// The reactor gave the work up: the store is being closed, or the work failed in a way it must not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stopped;

/// Work that goes on until this is dropped; the thread lives as long.
pub struct Task {
    work: AbortHandle,
    _reactor: Reactor,
}

impl Drop for Task {
    fn drop(&mut self) {
        self.work.abort();
    }
}

impl Reactor {
    /// Starts the thread; `name` (at most 15 bytes of it) is what `top -H` shows.
    ///
    /// # Errors
    /// The kernel gives no thread, or no descriptor.
    pub fn start(name: &str) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = thread::Builder::new().name(name.into()).spawn(move || {
            // An error says that the sender is gone, which means the same.
            let _ = runtime.block_on(stopped);
            // A look-up of a name cannot be interrupted; it is not waited for.
            runtime.shutdown_background();
        })?;
        Ok(Self {
            inner: Arc::new(Inner {
                handle,
                stop: Some(stop),
                thread: Some(thread),
            }),
        })
    }

    /// Has the thread do `work`; the future given back is its answer and needs no runtime. The work begins at once and goes
    /// on if the future is dropped, so it must have a deadline of its own.
    pub fn run<F>(
        &self,
        work: F,
    ) -> impl Future<Output = Result<F::Output, Stopped>> + Send + use<F>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        self.inner.handle.spawn(async move {
            // Nobody waits any more if it cannot be sent.
            let _ = answer.send(work.await);
        });
        async move { answered.await.map_err(|_| Stopped) }
    }

    /// Has the thread do `work` until the task is dropped.
    pub fn spawn<F>(&self, work: F) -> Task
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Task {
            work: self.inner.handle.spawn(work).abort_handle(),
            _reactor: self.clone(),
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        drop(self.stop.take());
        let Some(thread) = self.thread.take() else {
            return;
        };
        // The last handle may go with a piece of work, on that very thread, which cannot wait for itself.
        if thread.thread().id() != thread::current().id() {
            // It only fails if the thread panicked, and then it has ended as well.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::block_on_ready;

    #[test]
    fn work_is_done_for_callers_without_a_runtime() {
        let reactor = Reactor::start("test-io").unwrap();
        let answer = reactor.run(async {
            tokio::time::sleep(Duration::from_millis(1)).await;
            thread::current().name().map(str::to_owned)
        });
        assert_eq!(block_on_ready(answer), Ok(Some("test-io".to_owned())));
    }

    #[test]
    fn what_is_under_way_is_given_up_with_the_last_handle() {
        let reactor = Reactor::start("test-io").unwrap();
        let never = reactor.run(std::future::pending::<()>());
        let clone = reactor.clone();
        drop(reactor);
        let task = clone.spawn(std::future::pending());
        drop(clone);
        drop(task);
        assert_eq!(block_on_ready(never), Err(Stopped));
    }

    #[test]
    fn the_last_handle_may_go_on_the_thread_itself() {
        let reactor = Reactor::start("test-io").unwrap();
        let (go, gone) = oneshot::channel::<()>();
        let held = reactor.clone();
        let answer = reactor.run(async move {
            let _ = gone.await;
            drop(held);
        });
        drop(reactor);
        go.send(()).unwrap();
        // Done, or given up in the middle of it: either way it comes back.
        let _ = block_on_ready(answer);
    }

    #[test]
    fn work_that_panics_is_an_answer() {
        let reactor = Reactor::start("test-io").unwrap();
        let answer = reactor.run(async {
            assert!(thread::current().name().is_none(), "as the test wants it");
        });
        assert_eq!(block_on_ready(answer), Err(Stopped));
        assert_eq!(block_on_ready(reactor.run(async { 1 })), Ok(1));
    }
}
