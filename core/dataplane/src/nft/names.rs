//! The small words that rules, sets and chains share: names, comments, verdicts, ports.

use std::fmt;
use std::sync::Arc;

/// Makes the type of a name: cheap to clone, shown as it is.
macro_rules! name {
    ($(#[$about:meta])* $Name:ident) => {
        $(#[$about])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub struct $Name(Arc<str>);

        impl $Name {
            /// A name with this text.
            pub fn new(name: impl Into<Arc<str>>) -> Self {
                Self(name.into())
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<&str> for $Name {
            fn from(name: &str) -> Self {
                Self::new(name)
            }
        }

        impl From<String> for $Name {
            fn from(name: String) -> Self {
                Self::new(name)
            }
        }

        impl From<&$Name> for $Name {
            fn from(name: &$Name) -> Self {
                name.clone()
            }
        }

        impl fmt::Display for $Name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name!(
    /// A chain's name. The kernel takes up to 255 bytes; `nft` reads back letters, digits and `/ \ _ . -` after a letter.
    ChainName
);
name!(
    /// A set's name, under the same rules as [`ChainName`]; sets and maps share one space of names.
    SetName
);

/// A comment on a rule or an element: one line of at most 127 bytes, as `nft` reads it back.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Comment(Box<str>);

/// Bytes of a comment or a log prefix that the kernel and its tools take.
const MAX_TEXT: usize = 127;

/// One line without quotes, cut to what the kernel and its tools take.
pub(super) fn one_line(text: &str) -> String {
    let mut clean = String::with_capacity(text.len().min(MAX_TEXT));
    for c in text.chars() {
        let c = if c == '"' || c == '\\' || c.is_control() {
            '\''
        } else {
            c
        };
        if clean.len() + c.len_utf8() > MAX_TEXT {
            break;
        }
        clean.push(c);
    }
    clean
}

impl Comment {
    /// The text with quotes and control characters replaced, cut to what the kernel's tools can show.
    pub fn new(text: &str) -> Self {
        Self(one_line(text).into())
    }

    /// The text as the kernel holds it, which may be another hand's.
    pub fn verbatim(text: &str) -> Self {
        Self(text.into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<T: AsRef<str>> From<T> for Comment {
    fn from(text: T) -> Self {
        Self::new(text.as_ref())
    }
}

/// What becomes of the packet.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Verdict {
    /// On to the following base chain.
    Accept,
    /// Gone.
    Drop,
    /// On with the following rule.
    Continue,
    /// Back to the rule after the one that jumped here.
    Return,
    /// To another chain, and back at its end.
    Jump(ChainName),
    /// To another chain, and from there to where this one was jumped from.
    Goto(ChainName),
}

impl Verdict {
    /// The chain it leads to.
    pub fn target(&self) -> Option<&ChainName> {
        match self {
            Self::Jump(chain) | Self::Goto(chain) => Some(chain),
            Self::Accept | Self::Drop | Self::Continue | Self::Return => None,
        }
    }
}

/// Ports, first to last.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct PortRange {
    /// The lowest.
    pub first: u16,
    /// The highest; the same as the first for a single port.
    pub last: u16,
}

impl From<u16> for PortRange {
    fn from(port: u16) -> Self {
        Self {
            first: port,
            last: port,
        }
    }
}

impl From<std::ops::RangeInclusive<u16>> for PortRange {
    fn from(ports: std::ops::RangeInclusive<u16>) -> Self {
        Self {
            first: *ports.start(),
            last: *ports.end(),
        }
    }
}
