//! Cuts received bytes into messages.

use rustix::io::Errno;

use super::attribute::Attributes;
use super::error::ExtendedAck;
use super::{HEADER_LEN, aligned};

/// `NLM_F_CAPPED`: the refused message is echoed without its body.
const CAPPED: u16 = 0x100;
/// `NLM_F_ACK_TLVS`: attributes with an explanation follow.
const ACK_TLVS: u16 = 0x200;

/// One received message.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// Its type.
    pub kind: u16,
    /// Its `NLM_F_*` flags.
    pub flags: u16,
    /// The sequence number of the request it answers; 0 for notices.
    pub sequence: u32,
    /// What follows the netlink header.
    pub body: &'a [u8],
}

impl<'a> Message<'a> {
    /// The fixed header of `len` bytes, and the attributes after it. `None` when the message is shorter.
    pub fn split(&self, len: usize) -> Option<(&'a [u8], Attributes<'a>)> {
        let header = self.body.get(..len)?;
        let rest = self.body.get(aligned(len)..).unwrap_or_default();
        Some((header, Attributes::new(rest)))
    }

    /// What an error or end-of-dump message says: `None` inside is success.
    pub(super) fn verdict(&self) -> (Option<Errno>, Option<ExtendedAck>) {
        let code = self
            .body
            .first_chunk::<4>()
            .map_or(0, |bytes| i32::from_ne_bytes(*bytes));
        // Errors are negative numbers; anything else is success. `Errno` panics on numbers no kernel gives.
        let errno = match code {
            -4095..=-1 => Some(Errno::from_raw_os_error(-code)),
            i32::MIN..=-4096 => Some(Errno::PROTO),
            0..=i32::MAX => None,
        };
        if self.flags & ACK_TLVS == 0 {
            return (errno, None);
        }
        let skip = if i32::from(self.kind) == libc::NLMSG_DONE {
            4
        } else {
            4 + self.echoed_len()
        };
        let attributes = Attributes::new(self.body.get(skip..).unwrap_or_default());
        (errno, ExtendedAck::read(attributes))
    }

    /// Length of the refused message as repeated in an error message.
    fn echoed_len(&self) -> usize {
        let echoed = self
            .body
            .get(4..8)
            .and_then(|bytes| bytes.first_chunk::<4>());
        match echoed {
            Some(len) if self.flags & CAPPED == 0 => aligned(u32::from_ne_bytes(*len) as usize),
            Some(_) | None => HEADER_LEN,
        }
    }
}

/// Iterates over the messages of one datagram. Bytes that are no message end it.
#[derive(Clone, Debug)]
pub struct Messages<'a> {
    rest: &'a [u8],
}

impl<'a> Messages<'a> {
    /// Reads `bytes` as messages.
    pub fn new(bytes: &'a [u8]) -> Self {
        Messages { rest: bytes }
    }
}

impl<'a> Iterator for Messages<'a> {
    type Item = Message<'a>;

    fn next(&mut self) -> Option<Message<'a>> {
        let header = self.rest.first_chunk::<HEADER_LEN>()?;
        let [l0, l1, l2, l3, k0, k1, f0, f1, s0, s1, s2, s3, ..] = *header;
        let len = u32::from_ne_bytes([l0, l1, l2, l3]) as usize;
        let Some(body) = self.rest.get(HEADER_LEN..len) else {
            self.rest = &[];
            return None;
        };
        self.rest = self.rest.get(aligned(len)..).unwrap_or_default();
        Some(Message {
            kind: u16::from_ne_bytes([k0, k1]),
            flags: u16::from_ne_bytes([f0, f1]),
            sequence: u32::from_ne_bytes([s0, s1, s2, s3]),
            body,
        })
    }
}
