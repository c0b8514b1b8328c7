//! Writes messages one after another into one buffer, to be sent by one system call.

use std::net::IpAddr;

use super::{HEADER_LEN, aligned};

/// The flag bit of an attribute that holds attributes.
const NESTED: u16 = 0x8000;

/// What one message asks, before its attributes.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// What it does, for error texts: "add the route".
    pub doing: &'static str,
    /// The message type.
    pub kind: u16,
    /// `NLM_F_*` flags; `NLM_F_REQUEST` is always added.
    pub flags: u16,
    /// The fixed header after the netlink header (`ifinfomsg`, `rtmsg`, `nfgenmsg`, ...).
    pub header: &'a [u8],
}

/// Where a message lies in the batch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) start: usize,
    pub(super) doing: &'static str,
}

/// Messages in the order they are to be handled.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    pub(super) bytes: Vec<u8>,
    pub(super) entries: Vec<Entry>,
    /// The first message with an attribute of more than 65 535 bytes.
    pub(super) too_long: Option<usize>,
}

impl Batch {
    /// An empty batch.
    pub fn new() -> Self {
        Batch::default()
    }

    /// Number of messages: the index of the next one.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Bytes so far, as they go to the socket.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Forgets the messages, keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.entries.clear();
        self.too_long = None;
    }

    /// Appends a message and returns its index, by which failures name it.
    pub fn message(
        &mut self,
        request: Request<'_>,
        write: impl FnOnce(&mut MessageWriter<'_>),
    ) -> usize {
        let Request {
            doing,
            kind,
            flags,
            header,
        } = request;
        let start = self.bytes.len();
        let index = self.entries.len();
        self.entries.push(Entry { start, doing });
        self.bytes.extend_from_slice(&[0; 4]);
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        let flags = flags | libc::NLM_F_REQUEST as u16;
        self.bytes.extend_from_slice(&flags.to_ne_bytes());
        // Sequence and port: the socket numbers the messages when it sends them.
        self.bytes.extend_from_slice(&[0; 8]);
        let mut writer = MessageWriter {
            bytes: &mut self.bytes,
            fits: true,
        };
        writer.raw(header);
        write(&mut writer);
        let fits = writer.fits;
        if !fits && self.too_long.is_none() {
            self.too_long = Some(index);
        }
        let len = u32::try_from(self.bytes.len() - start).unwrap_or(u32::MAX);
        self.patch(start, &len.to_ne_bytes());
        index
    }

    /// Adds flags to one message.
    pub(super) fn add_flags(&mut self, index: usize, flags: u16) {
        if let Some(entry) = self.entries.get(index).copied() {
            let flags = self.flags(entry) | flags;
            self.patch(entry.start + 6, &flags.to_ne_bytes());
        }
    }

    /// The flags of one message.
    pub(super) fn flags(&self, entry: Entry) -> u16 {
        let at = entry.start + 6;
        match self.bytes.get(at..at + 2) {
            Some(&[low, high]) => u16::from_ne_bytes([low, high]),
            Some(_) | None => 0,
        }
    }

    /// Numbers the messages from `first` on.
    pub(super) fn number(&mut self, first: u32) {
        for (index, entry) in self.entries.iter().enumerate() {
            let sequence = first.wrapping_add(index as u32);
            if let Some(field) = self.bytes.get_mut(entry.start + 8..entry.start + 12) {
                field.copy_from_slice(&sequence.to_ne_bytes());
            }
        }
    }

    /// Where message `index` starts; the end of the batch for the index after the last.
    pub(super) fn start_of(&self, index: usize) -> usize {
        self.entries
            .get(index)
            .map_or(self.bytes.len(), |entry| entry.start)
    }

    fn patch(&mut self, at: usize, value: &[u8]) {
        if let Some(field) = self.bytes.get_mut(at..at + value.len()) {
            field.copy_from_slice(value);
        }
    }
}

/// Writes the attributes of one message. Each is padded to four bytes, also the last: without that the kernel drops what follows.
#[derive(Debug)]
pub struct MessageWriter<'a> {
    bytes: &'a mut Vec<u8>,
    fits: bool,
}

impl MessageWriter<'_> {
    /// Bytes without an attribute header: a fixed header inside a nest (the peer of a veth).
    pub fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        self.pad();
    }

    /// An attribute of any bytes.
    pub fn bytes(&mut self, kind: u16, value: &[u8]) {
        let len = u16::try_from(value.len() + 4).unwrap_or_else(|_| {
            self.fits = false;
            u16::MAX
        });
        self.bytes.extend_from_slice(&len.to_ne_bytes());
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.raw(value);
    }

    /// An attribute that is true by being there.
    pub fn flag(&mut self, kind: u16) {
        self.bytes(kind, &[]);
    }

    /// An 8-bit number.
    pub fn u8(&mut self, kind: u16, value: u8) {
        self.bytes(kind, &[value]);
    }

    /// A 16-bit number in host order.
    pub fn u16(&mut self, kind: u16, value: u16) {
        self.bytes(kind, &value.to_ne_bytes());
    }

    /// A 32-bit number in host order.
    pub fn u32(&mut self, kind: u16, value: u32) {
        self.bytes(kind, &value.to_ne_bytes());
    }

    /// A 64-bit number in host order.
    pub fn u64(&mut self, kind: u16, value: u64) {
        self.bytes(kind, &value.to_ne_bytes());
    }

    /// A 16-bit number in network order.
    pub fn be16(&mut self, kind: u16, value: u16) {
        self.bytes(kind, &value.to_be_bytes());
    }

    /// A 32-bit number in network order.
    pub fn be32(&mut self, kind: u16, value: u32) {
        self.bytes(kind, &value.to_be_bytes());
    }

    /// A 64-bit number in network order.
    pub fn be64(&mut self, kind: u16, value: u64) {
        self.bytes(kind, &value.to_be_bytes());
    }

    /// Text with a closing zero byte.
    pub fn text(&mut self, kind: u16, value: &str) {
        let mut bytes = Vec::with_capacity(value.len() + 1);
        bytes.extend_from_slice(value.as_bytes());
        bytes.push(0);
        self.bytes(kind, &bytes);
    }

    /// An address in 4 or 16 bytes.
    pub fn ip(&mut self, kind: u16, value: IpAddr) {
        match value {
            IpAddr::V4(v4) => self.bytes(kind, &v4.octets()),
            IpAddr::V6(v6) => self.bytes(kind, &v6.octets()),
        }
    }

    /// An attribute that holds attributes.
    pub fn nest(&mut self, kind: u16, write: impl FnOnce(&mut MessageWriter<'_>)) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&[0; 2]);
        self.bytes.extend_from_slice(&(kind | NESTED).to_ne_bytes());
        let mut inner = MessageWriter {
            bytes: self.bytes,
            fits: true,
        };
        write(&mut inner);
        self.fits &= inner.fits;
        self.patch_len(start);
    }

    /// A structure that starts with its own 16-bit length and holds attributes (`struct rtnexthop`). What `write` adds first
    /// completes the structure's fixed part.
    pub(crate) fn sized(&mut self, write: impl FnOnce(&mut MessageWriter<'_>)) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&[0; 2]);
        let mut inner = MessageWriter {
            bytes: self.bytes,
            fits: true,
        };
        write(&mut inner);
        self.fits &= inner.fits;
        self.patch_len(start);
    }

    /// Bytes written into the whole batch so far: a guard for long lists in one attribute (65 535 bytes at most).
    pub fn position(&self) -> usize {
        self.bytes.len()
    }

    /// Writes the length of what starts at `start` and ends here.
    fn patch_len(&mut self, start: usize) {
        let len = u16::try_from(self.bytes.len() - start).unwrap_or_else(|_| {
            self.fits = false;
            u16::MAX
        });
        if let Some(field) = self.bytes.get_mut(start..start + 2) {
            field.copy_from_slice(&len.to_ne_bytes());
        }
    }

    fn pad(&mut self) {
        self.bytes.resize(aligned(self.bytes.len()), 0);
    }
}

/// The fixed header is in every message: the smallest one is never shorter than this.
const _: () = assert!(HEADER_LEN == size_of::<libc::nlmsghdr>());
