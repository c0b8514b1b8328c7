//! What stores behind a network are made of: a thread that does their IO, deadlines, waiting between attempts, and queues
//! from that thread to those who follow.

mod backoff;
mod deadline;
mod failure;
mod queue;
mod reactor;
mod wake;

pub use backoff::Backoff;
pub use deadline::{CONNECT_TIMEOUT, Deadline};
pub use failure::{RemoteError, Trouble};
pub use queue::{Limits, Lost, RemoteSource, Sink, queue};
pub use reactor::{Reactor, Stopped, Task};
pub use wake::Wakeup;
