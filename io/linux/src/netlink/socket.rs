//! The socket: sends batches, accounts for acknowledgements, takes dumps.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::netlink::{NETFILTER, SocketAddrNetlink};
use rustix::net::sockopt::{
    Timeout, set_socket_recv_buffer_size, set_socket_recv_buffer_size_force,
    set_socket_send_buffer_size, set_socket_send_buffer_size_force, set_socket_timeout,
};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, bind, connect, recv, send,
    socket_with,
};

use super::batch::{Batch, MessageWriter, Request};
use super::error::{Failure, NetlinkError};
use super::message::{Message, Messages};

/// Longest datagram the kernel sends: dumps are cut at 32 KiB, and one nf_tables object stays below this.
const RECEIVE_LEN: usize = 64 * 1024;
/// Dumps taken before giving up on tables that never stand still.
const DUMP_ATTEMPTS: u32 = 6;
/// Messages in one chunk: so many error reports fit the default receive buffer.
const CHUNK_MESSAGES: usize = 128;
/// Bytes in one chunk: below the default send buffer.
const CHUNK_BYTES: usize = 96 * 1024;

/// Which part of the kernel listens at the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// Links, addresses, routes, neighbours, rules (`NETLINK_ROUTE`).
    Route,
    /// nf_tables and conntrack (`NETLINK_NETFILTER`).
    Netfilter,
}

/// How to open a socket. The default suits requests; a subscription wants a larger receive buffer.
#[derive(Clone, Copy, Debug)]
pub struct SocketOptions {
    /// Receive buffer in bytes; `None` leaves the system's (208 KiB).
    pub receive_buffer: Option<usize>,
    /// Send buffer in bytes, the limit of one batch; `None` leaves the system's (208 KiB).
    pub send_buffer: Option<usize>,
    /// Longest wait for a reply.
    pub timeout: Duration,
}

impl Default for SocketOptions {
    fn default() -> Self {
        SocketOptions {
            receive_buffer: None,
            send_buffer: None,
            timeout: Duration::from_secs(10),
        }
    }
}

/// What went over a socket since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Messages sent.
    pub messages: u64,
    /// Bytes sent.
    pub bytes: u64,
    /// System calls that sent.
    pub sends: u64,
    /// System calls that received.
    pub receives: u64,
    /// Dumps taken again because the kernel's tables changed meanwhile.
    pub dumps_repeated: u64,
}

/// What became of a batch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Messages the kernel refused, in its order. Empty: all was done.
    pub failures: Vec<Failure>,
}

impl Outcome {
    /// The first refusal as an error.
    pub fn into_result(self) -> Result<(), NetlinkError> {
        match self.failures.into_iter().next() {
            Some(failure) => Err(NetlinkError::Refused(failure)),
            None => Ok(()),
        }
    }
}

/// What one receive call brought.
enum Received {
    Bytes(usize),
    Nothing,
}

/// A socket bound to one part of the kernel, in one network namespace.
#[derive(Debug)]
pub struct NetlinkSocket {
    fd: OwnedFd,
    sequence: u32,
    timeout: Duration,
    buffer: Vec<u8>,
    stats: Stats,
}

impl NetlinkSocket {
    /// Opens a socket in the calling thread's network namespace.
    pub fn open(protocol: Protocol) -> Result<Self, NetlinkError> {
        Self::open_with(protocol, SocketOptions::default())
    }

    /// Opens a socket with chosen buffers and timeout.
    pub fn open_with(protocol: Protocol, options: SocketOptions) -> Result<Self, NetlinkError> {
        let SocketOptions {
            receive_buffer,
            send_buffer,
            timeout,
        } = options;
        let number = match protocol {
            Protocol::Route => None,
            Protocol::Netfilter => Some(NETFILTER),
        };
        let fd = socket_with(
            AddressFamily::NETLINK,
            SocketType::RAW,
            SocketFlags::CLOEXEC,
            number,
        )
        .map_err(socket_error("open"))?;
        let kernel = SocketAddrNetlink::new(0, 0);
        bind(&fd, &kernel).map_err(socket_error("bind"))?;
        // Connected to the kernel: nobody else can put messages into our queue.
        connect(&fd, &kernel).map_err(socket_error("connect"))?;
        set_socket_timeout(&fd, Timeout::Recv, Some(timeout))
            .map_err(socket_error("set the timeout of"))?;
        if let Some(len) = receive_buffer {
            set_socket_recv_buffer_size_force(&fd, len)
                .or_else(|_| set_socket_recv_buffer_size(&fd, len))
                .map_err(socket_error("size the receive buffer of"))?;
        }
        if let Some(len) = send_buffer {
            set_socket_send_buffer_size_force(&fd, len)
                .or_else(|_| set_socket_send_buffer_size(&fd, len))
                .map_err(socket_error("size the send buffer of"))?;
        }
        set_option(fd.as_fd(), libc::NETLINK_EXT_ACK, 1)
            .map_err(socket_error("ask for explanations on"))?;
        set_option(fd.as_fd(), libc::NETLINK_CAP_ACK, 1)
            .map_err(socket_error("ask for short replies on"))?;
        // Strict checks make the kernel filter dumps; kernels before 4.20 lack them and we filter what they send anyway.
        match set_option(fd.as_fd(), libc::NETLINK_GET_STRICT_CHK, 1) {
            Ok(()) | Err(Errno::NOPROTOOPT) => {}
            Err(errno) => return Err(socket_error("ask for strict checks on")(errno)),
        }
        Ok(NetlinkSocket {
            fd,
            sequence: 0,
            timeout,
            buffer: vec![0; RECEIVE_LEN],
            stats: Stats::default(),
        })
    }

    /// Counters since the socket was opened.
    pub fn stats(&self) -> Stats {
        self.stats
    }

    /// Joins a multicast group: its notices arrive beside replies, so subscriptions have a socket of their own.
    pub fn subscribe(&mut self, group: u32) -> Result<(), NetlinkError> {
        set_option(self.fd.as_fd(), libc::NETLINK_ADD_MEMBERSHIP, group)
            .map_err(socket_error("subscribe"))
    }

    /// Sends the batch in one system call and waits for what it asked for: see [`Outcome`]. Replies other than acknowledgements are dropped.
    pub fn transact(&mut self, batch: &mut Batch) -> Result<Outcome, NetlinkError> {
        self.transact_with(batch, |_, _| {})
    }

    /// As [`transact`](Self::transact); `reply` gets each other reply with the index of the message it answers.
    pub fn transact_with(
        &mut self,
        batch: &mut Batch,
        reply: impl FnMut(usize, &Message<'_>),
    ) -> Result<Outcome, NetlinkError> {
        self.transact_range(batch, 0, batch.len(), reply)
    }

    /// Sends many messages that do not depend on one another, in pieces that overflow no buffer, acknowledging only the last of each.
    ///
    /// Not for nf_tables transactions, which must go in one piece.
    pub fn transact_in_chunks(&mut self, batch: &mut Batch) -> Result<Outcome, NetlinkError> {
        let mut outcome = Outcome::default();
        let mut first = 0;
        while first < batch.len() {
            let mut last = first;
            while last + 1 < batch.len()
                && last + 1 - first < CHUNK_MESSAGES
                && batch.start_of(last + 2) - batch.start_of(first) <= CHUNK_BYTES
            {
                last += 1;
            }
            batch.add_flags(last, libc::NLM_F_ACK as u16);
            let part = self.transact_range(batch, first, last + 1, |_, _| {})?;
            outcome.failures.extend(part.failures);
            first = last + 1;
        }
        Ok(outcome)
    }

    /// Sends one request and waits for its acknowledgement.
    pub fn request(
        &mut self,
        request: Request<'_>,
        write: impl FnOnce(&mut MessageWriter<'_>),
    ) -> Result<(), NetlinkError> {
        let mut batch = Batch::new();
        batch.message(acknowledged(request), write);
        self.transact(&mut batch)?.into_result()
    }

    /// Sends one request that is answered by one message (a get), and decodes it.
    pub fn get<T>(
        &mut self,
        request: Request<'_>,
        write: impl FnOnce(&mut MessageWriter<'_>),
        mut decode: impl FnMut(&Message<'_>) -> Option<T>,
    ) -> Result<Option<T>, NetlinkError> {
        let mut batch = Batch::new();
        batch.message(acknowledged(request), write);
        let mut found = None;
        self.transact_with(&mut batch, |_, message| {
            found = found.take().or_else(|| decode(message))
        })?
        .into_result()?;
        Ok(found)
    }

    /// Takes a consistent dump: what `decode` returns for each message. `NLM_F_DUMP` is added to the flags.
    pub fn dump<T>(
        &mut self,
        request: Request<'_>,
        write: impl FnOnce(&mut MessageWriter<'_>),
        mut decode: impl FnMut(&Message<'_>) -> Option<T>,
    ) -> Result<Vec<T>, NetlinkError> {
        let mut batch = Batch::new();
        let flags = request.flags | libc::NLM_F_DUMP as u16;
        batch.message(Request { flags, ..request }, write);
        for attempt in 0..DUMP_ATTEMPTS {
            if attempt > 0 {
                self.stats.dumps_repeated += 1;
            }
            if let Some(found) = self.dump_once(&mut batch, request.doing, &mut decode)? {
                return Ok(found);
            }
        }
        Err(NetlinkError::DumpInterrupted {
            doing: request.doing,
            attempts: DUMP_ATTEMPTS,
        })
    }

    /// Reads one datagram of a subscription and gives its messages to `notice`. `false`: none is waiting.
    pub(crate) fn receive_notices(
        &mut self,
        mut notice: impl FnMut(&Message<'_>),
    ) -> Result<bool, NetlinkError> {
        match self.receive("read notices", RecvFlags::DONTWAIT)? {
            Received::Nothing => Ok(false),
            Received::Bytes(len) => {
                for message in Messages::new(self.buffer.get(..len).unwrap_or_default()) {
                    notice(&message);
                }
                Ok(true)
            }
        }
    }

    /// One attempt at a dump. `None`: the tables changed meanwhile.
    fn dump_once<T>(
        &mut self,
        batch: &mut Batch,
        doing: &'static str,
        decode: &mut impl FnMut(&Message<'_>) -> Option<T>,
    ) -> Result<Option<Vec<T>>, NetlinkError> {
        let first = self.send(batch, 0, 1)?;
        let mut found = Vec::new();
        let mut interrupted = false;
        loop {
            let len = match self.receive(doing, RecvFlags::empty())? {
                Received::Bytes(len) => len,
                Received::Nothing => {
                    return Err(NetlinkError::Timeout {
                        doing,
                        after: self.timeout,
                    });
                }
            };
            for message in Messages::new(self.buffer.get(..len).unwrap_or_default()) {
                if message.sequence != first {
                    continue;
                }
                interrupted |= message.flags & libc::NLM_F_DUMP_INTR as u16 != 0;
                let kind = i32::from(message.kind);
                if kind == libc::NLMSG_DONE || kind == libc::NLMSG_ERROR {
                    return match message.verdict() {
                        // The same as the flag, from dumps that notice only at their end.
                        (Some(Errno::INTR), _) => Ok(None),
                        (Some(errno), extended) => Err(NetlinkError::Refused(Failure {
                            index: 0,
                            doing,
                            errno,
                            extended,
                        })),
                        (None, _) => Ok((!interrupted).then_some(found)),
                    };
                }
                if kind != libc::NLMSG_NOOP {
                    found.extend(decode(&message));
                }
            }
        }
    }

    /// Sends messages `from..to` of the batch and collects what comes back.
    fn transact_range(
        &mut self,
        batch: &mut Batch,
        from: usize,
        to: usize,
        mut reply: impl FnMut(usize, &Message<'_>),
    ) -> Result<Outcome, NetlinkError> {
        let mut outcome = Outcome::default();
        if from >= to {
            return Ok(outcome);
        }
        let first = self.send(batch, from, to)?;
        let ack = libc::NLM_F_ACK as u16;
        let entries = batch.entries.get(from..to).unwrap_or_default();
        let mut awaited = entries
            .iter()
            .filter(|&&entry| batch.flags(entry) & ack != 0)
            .count();
        let doing = entries.last().map_or("", |entry| entry.doing);
        // The kernel has handled the batch when the send returns, so all replies are queued: only an acknowledgement that is awaited is
        // worth blocking for, and after a failure none may come (an aborted transaction answers once).
        loop {
            let complete = outcome.failures.is_empty() && awaited == 0;
            if complete && ends_acknowledged(batch, entries) {
                return Ok(outcome);
            }
            let wait = awaited > 0 && outcome.failures.is_empty();
            let flags = if wait {
                RecvFlags::empty()
            } else {
                RecvFlags::DONTWAIT
            };
            let len = match self.receive(doing, flags)? {
                Received::Bytes(len) => len,
                Received::Nothing if wait => {
                    return Err(NetlinkError::Timeout {
                        doing,
                        after: self.timeout,
                    });
                }
                Received::Nothing => return Ok(outcome),
            };
            for message in Messages::new(self.buffer.get(..len).unwrap_or_default()) {
                let index = from + message.sequence.wrapping_sub(first) as usize;
                let Some(entry) = batch.entries.get(index).filter(|_| index < to) else {
                    continue;
                };
                if i32::from(message.kind) != libc::NLMSG_ERROR {
                    reply(index, &message);
                    continue;
                }
                match message.verdict() {
                    (Some(errno), extended) => {
                        outcome.failures.push(Failure {
                            index,
                            doing: entry.doing,
                            errno,
                            extended,
                        });
                    }
                    (None, warning) => {
                        if let Some(warning) = warning {
                            tracing::debug!(doing = entry.doing, %warning, "the kernel warned");
                        }
                    }
                }
                if batch.flags(*entry) & ack != 0 {
                    awaited = awaited.saturating_sub(1);
                }
            }
        }
    }

    /// Numbers and sends messages `from..to`; returns the sequence number of the first.
    fn send(&mut self, batch: &mut Batch, from: usize, to: usize) -> Result<u32, NetlinkError> {
        if let Some(index) = batch.too_long {
            let doing = batch.entries.get(index).map_or("", |entry| entry.doing);
            return Err(NetlinkError::TooLong { index, doing });
        }
        // Zero marks notices, so numbering starts at one.
        let base = self.sequence.wrapping_add(1).max(1);
        batch.number(base);
        self.sequence = base.wrapping_add(batch.len() as u32);
        let bytes = batch
            .bytes
            .get(batch.start_of(from)..batch.start_of(to))
            .unwrap_or_default();
        loop {
            match send(&self.fd, bytes, SendFlags::empty()) {
                Ok(_) => break,
                Err(Errno::INTR) => {}
                Err(errno) => return Err(socket_error("send to")(errno)),
            }
        }
        self.stats.messages += (to - from) as u64;
        self.stats.bytes += bytes.len() as u64;
        self.stats.sends += 1;
        Ok(base.wrapping_add(from as u32))
    }

    /// Reads one datagram into the buffer.
    fn receive(&mut self, doing: &'static str, flags: RecvFlags) -> Result<Received, NetlinkError> {
        loop {
            self.stats.receives += 1;
            match recv(
                &self.fd,
                self.buffer.as_mut_slice(),
                flags | RecvFlags::TRUNC,
            ) {
                Ok((_, len)) if len > self.buffer.len() => {
                    return Err(NetlinkError::Truncated { doing, len });
                }
                Ok((len, _)) => return Ok(Received::Bytes(len)),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(Received::Nothing),
                Err(Errno::NOBUFS) => return Err(NetlinkError::Overrun { doing }),
                Err(errno) => return Err(socket_error("read from")(errno)),
            }
        }
    }
}

impl AsFd for NetlinkSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// The request with `NLM_F_ACK`.
fn acknowledged(request: Request<'_>) -> Request<'_> {
    Request {
        flags: request.flags | libc::NLM_F_ACK as u16,
        ..request
    }
}

/// Whether the last message asks for an acknowledgement: then nothing can follow it.
fn ends_acknowledged(batch: &Batch, entries: &[super::batch::Entry]) -> bool {
    entries
        .last()
        .is_some_and(|&entry| batch.flags(entry) & libc::NLM_F_ACK as u16 != 0)
}

fn socket_error(doing: &'static str) -> impl FnOnce(Errno) -> NetlinkError {
    move |errno| NetlinkError::Socket {
        doing,
        source: io::Error::from(errno),
    }
}

#[expect(unsafe_code, reason = "rustix has no setsockopt for SOL_NETLINK")]
fn set_option(fd: BorrowedFd<'_>, option: libc::c_int, value: u32) -> Result<(), Errno> {
    let len = size_of::<u32>() as libc::socklen_t;
    // SAFETY: `fd` is open for the duration of the call, and the pointer and length describe `value`, which outlives it.
    let result = unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            libc::SOL_NETLINK,
            option,
            (&raw const value).cast(),
            len,
        )
    };
    if result == 0 {
        return Ok(());
    }
    Err(Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::INVAL))
}
