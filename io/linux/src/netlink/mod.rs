//! Netlink: the kernel's message socket, and nothing about what the messages mean.
//!
//! Everything that programs the kernel goes through here: routes, conntrack, the monitor and nf_tables build
//! a [`Batch`] of messages, a [`NetlinkSocket`] sends it in one system call and says what became of each message, and replies are read as
//! [`Message`]s and [`Attributes`]. Blocking, but never for ever: every receive has a timeout.
//!
//! # Sending
//!
//! ```no_run
//! use linux::netlink::{Batch, NetlinkSocket, Protocol, Request};
//! # fn main() -> Result<(), linux::netlink::NetlinkError> {
//! let mut socket = NetlinkSocket::open(Protocol::Netfilter)?;
//! let mut batch = Batch::new();
//! let begin = Request { doing: "begin the nf_tables transaction", kind: 0x10, flags: 0, header: &[0, 0, 0, 10] };
//! batch.message(begin, |_| {});
//! // ... each message: its fixed header, then attributes; nests and padding are kept by the writer:
//! let table = Request { doing: "add the table", kind: 10 << 8, flags: libc::NLM_F_CREATE as u16, header: &[1, 0, 0, 0] };
//! batch.message(table, |m| {
//!     m.text(1, "calico");
//!     m.nest(3, |n| n.be32(1, 7));
//! });
//! let end = Request { doing: "end the nf_tables transaction", kind: 0x11, flags: 0, header: &[0, 0, 0, 10] };
//! batch.message(end, |_| {});
//! let outcome = socket.transact(&mut batch)?; // one sendmsg
//! if let Some(first) = outcome.failures.first() {
//!     eprintln!("message {} of the batch: {first}", first.index);
//! }
//! # Ok(()) }
//! ```
//!
//! Acknowledgements are optional per message (`NLM_F_ACK` in [`Request::flags`]). The kernel handles a batch before `sendmsg` returns, so a
//! batch without any flagged message is over when its (only) error reports are read; [`NetlinkSocket::transact`] knows both ways. Replies
//! that are neither acknowledgement nor error (`NLM_F_ECHO`, answers to a get) go to the closure of [`NetlinkSocket::transact_with`].
//! [`NetlinkSocket::transact_in_chunks`] is for many independent messages (routes): it cuts the batch so that neither buffer overflows.
//!
//! # Reading a dump
//!
//! ```no_run
//! # use linux::netlink::{Batch, NetlinkError, NetlinkSocket, Protocol, Request};
//! # fn main() -> Result<(), NetlinkError> {
//! # let mut socket = NetlinkSocket::open(Protocol::Netfilter)?;
//! let list = Request { doing: "list the tables", kind: 10 << 8 | 1, flags: 0, header: &[0, 0, 0, 0] };
//! let names: Vec<String> = socket.dump(list, |_| {}, |message| {
//!     let (_header, attributes) = message.split(4)?; // None: not ours, skipped
//!     attributes.get(1)?.text().map(str::to_owned)
//! })?;
//! # Ok(()) }
//! ```
//!
//! A dump the kernel marks as interrupted by a change (`NLM_F_DUMP_INTR`) is thrown away and taken again, five times at most.

mod attribute;
mod batch;
mod error;
mod message;
mod socket;

pub use attribute::{Attribute, Attributes};
pub use batch::{Batch, MessageWriter, Request};
pub use error::{ExtendedAck, Failure, NetlinkError};
pub use message::{Message, Messages};
pub use socket::{NetlinkSocket, Outcome, Protocol, SocketOptions, Stats};

pub use rustix::io::Errno;

/// Rounds a length up to the four bytes netlink aligns to.
const fn aligned(len: usize) -> usize {
    (len + 3) & !3
}

/// Bytes of the fixed header of every netlink message.
const HEADER_LEN: usize = 16;

#[cfg(test)]
mod tests;
