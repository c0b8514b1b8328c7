//! What can go wrong on a netlink socket, with the kernel's own words where it gives any.

use std::fmt;
use std::io;
use std::time::Duration;

use rustix::io::Errno;

use super::attribute::Attributes;

const ATTR_MSG: u16 = 1;
const ATTR_OFFSET: u16 = 2;
const ATTR_MISSING_TYPE: u16 = 5;

/// The kernel's explanation that may come with an error (or a warning, with success).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExtendedAck {
    /// Its text.
    pub text: Option<String>,
    /// Offset of the offending attribute in the message.
    pub offset: Option<u32>,
    /// Type of the attribute that is missing.
    pub missing: Option<u32>,
}

impl ExtendedAck {
    pub(super) fn read(attributes: Attributes<'_>) -> Option<Self> {
        let ack = ExtendedAck {
            text: attributes
                .get(ATTR_MSG)
                .and_then(|a| a.text())
                .map(str::to_owned),
            offset: attributes.get(ATTR_OFFSET).and_then(|a| a.u32()),
            missing: attributes.get(ATTR_MISSING_TYPE).and_then(|a| a.u32()),
        };
        (ack != ExtendedAck::default()).then_some(ack)
    }
}

impl fmt::Display for ExtendedAck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ExtendedAck {
            text,
            offset,
            missing,
        } = self;
        f.write_str(text.as_deref().unwrap_or("no text"))?;
        if let Some(offset) = offset {
            write!(f, ", at byte {offset} of the message")?;
        }
        if let Some(missing) = missing {
            write!(f, ", attribute {missing} is missing")?;
        }
        Ok(())
    }
}

/// One message the kernel refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Which message of the batch.
    pub index: usize,
    /// What it was to do.
    pub doing: &'static str,
    /// The error number.
    pub errno: Errno,
    /// The kernel's explanation.
    pub extended: Option<ExtendedAck>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Failure {
            index: _,
            doing,
            errno,
            extended,
        } = self;
        write!(f, "the kernel refused to {doing}: {errno}")?;
        match extended {
            Some(extended) => write!(f, " (kernel: {extended})"),
            None => Ok(()),
        }
    }
}

/// Why an exchange with the kernel failed.
#[derive(Debug, thiserror::Error)]
pub enum NetlinkError {
    /// A system call on the socket failed.
    #[error("failed to {doing} a netlink socket")]
    Socket {
        /// The call: "open", "send to", ...
        doing: &'static str,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// The kernel refused a request.
    #[error("{0}")]
    Refused(Failure),
    /// The receive buffer overflowed (`ENOBUFS`): replies or notices are lost, and what was known must be read again.
    #[error(
        "the netlink receive buffer overflowed while reading the reply to: {doing}; state must be read again"
    )]
    Overrun {
        /// What was asked.
        doing: &'static str,
    },
    /// No reply in time.
    #[error("no reply from the kernel within {after:?} to: {doing}")]
    Timeout {
        /// What was asked.
        doing: &'static str,
        /// The socket's receive timeout.
        after: Duration,
    },
    /// Each of the attempts to take a dump was disturbed by a change.
    #[error(
        "the kernel's tables changed during each of {attempts} attempts to {doing}; try again when they settle"
    )]
    DumpInterrupted {
        /// What was asked.
        doing: &'static str,
        /// Dumps taken.
        attempts: u32,
    },
    /// A reply was longer than the buffer.
    #[error("a netlink reply of {len} bytes to: {doing}, does not fit the buffer")]
    Truncated {
        /// What was asked.
        doing: &'static str,
        /// Its real length.
        len: usize,
    },
    /// A message holds an attribute longer than netlink can say (65 535 bytes). Nothing was sent.
    #[error(
        "message {index} of the batch ({doing}) has an attribute of more than 65535 bytes; split it"
    )]
    TooLong {
        /// Which message.
        index: usize,
        /// What it was to do.
        doing: &'static str,
    },
}

impl NetlinkError {
    /// The error number, where the kernel gave one.
    pub fn errno(&self) -> Option<Errno> {
        match self {
            NetlinkError::Refused(failure) => Some(failure.errno),
            NetlinkError::Socket { source, .. } => Errno::from_io_error(source),
            NetlinkError::Overrun { .. } => Some(Errno::NOBUFS),
            NetlinkError::Timeout { .. }
            | NetlinkError::DumpInterrupted { .. }
            | NetlinkError::Truncated { .. }
            | NetlinkError::TooLong { .. } => None,
        }
    }

    /// Whether the object to change or delete is not there.
    pub fn is_absent(&self) -> bool {
        matches!(
            self.errno(),
            Some(Errno::NOENT | Errno::SRCH | Errno::NODEV | Errno::ADDRNOTAVAIL)
        )
    }

    /// Whether the kernel does not know what is asked for: a kind of interface, a subsystem.
    pub fn is_unsupported(&self) -> bool {
        matches!(
            self.errno(),
            Some(Errno::OPNOTSUPP | Errno::PROTONOSUPPORT | Errno::AFNOSUPPORT)
        )
    }

    /// Whether the object to create is there already.
    pub fn is_present(&self) -> bool {
        self.errno() == Some(Errno::EXIST)
    }
}
