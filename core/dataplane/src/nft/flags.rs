//! Sets of bits with names: states and status of a connection, and how a translation is chosen.

use std::ops::{BitOr, BitOrAssign};

macro_rules! flags {
    ($(#[$doc:meta])* $name:ident { $($(#[$flag_doc:meta])* $flag:ident = $bit:expr,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
        pub struct $name(u32);

        impl $name {
            $($(#[$flag_doc])* pub const $flag: Self = Self($bit);)*

            /// The kernel's bits.
            pub fn bits(self) -> u32 {
                self.0
            }

            /// From the kernel's bits, known or not.
            pub fn from_bits(bits: u32) -> Self {
                Self(bits)
            }

            /// Whether all of these are in it.
            pub fn contains(self, other: Self) -> bool {
                self.0 & other.0 == other.0
            }

            /// Names of its bits, as `nft` writes them.
            pub(crate) fn names(self) -> Vec<String> {
                let known: &[(&str, u32)] = &[$((stringify!($flag), $bit)),*];
                let mut names: Vec<_> = known
                    .iter()
                    .filter(|(_, bit)| self.0 & bit != 0)
                    .map(|(name, _)| name.to_ascii_lowercase().replace('_', "-"))
                    .collect();
                let rest = known.iter().fold(self.0, |rest, (_, bit)| rest & !bit);
                if rest != 0 {
                    names.push(format!("{rest:#x}"));
                }
                names
            }
        }

        impl BitOr for $name {
            type Output = Self;
            fn bitor(self, other: Self) -> Self {
                Self(self.0 | other.0)
            }
        }

        impl BitOrAssign for $name {
            fn bitor_assign(&mut self, other: Self) {
                self.0 |= other.0;
            }
        }
    };
}

flags! {
    /// States of a connection (NF_CT_STATE_*_BIT); a packet has exactly one.
    CtState {
        /// Not part of any connection and unable to begin one.
        INVALID = 1,
        /// Both sides have been heard.
        ESTABLISHED = 2,
        /// A new connection, but expected by another.
        RELATED = 4,
        /// Begins a connection.
        NEW = 8,
        /// Exempt from connection tracking.
        UNTRACKED = 64,
    }
}

flags! {
    /// Status bits of a connection (linux/netfilter/nf_conntrack_common.h).
    CtStatus {
        /// Was expected by another connection.
        EXPECTED = 1,
        /// Packets were seen both ways.
        SEEN_REPLY = 2,
        /// Will not be evicted early.
        ASSURED = 4,
        /// Its first packet has left the host.
        CONFIRMED = 8,
        /// Its source is translated.
        SNAT = 16,
        /// Its destination is translated.
        DNAT = 32,
        /// Is being destroyed.
        DYING = 512,
    }
}

flags! {
    /// How a translated address and port are chosen (linux/netfilter/nf_nat.h).
    NatFlags {
        /// Random port, hashed.
        RANDOM = 4,
        /// The same address for the same client.
        PERSISTENT = 8,
        /// Random port, truly.
        FULLY_RANDOM = 16,
    }
}
