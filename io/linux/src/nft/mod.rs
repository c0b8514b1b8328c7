//! nf_tables over netlink: reads a table as values and applies changes of it, each batch as one transaction.
//!
//! [`Nftables::observe`] gives an [`ObservedTable`], [`dataplane::nft::diff`] a [`Batch`], [`Nftables::apply`] writes it.
//! What was written reads back as equal values, so that a second comparison finds nothing to do. [`Monitor`] tells when
//! somebody else changes the table.

mod decode;
mod elements;
mod encode;
mod error;
mod expressions;
mod monitor;
mod observe;
mod parts;
mod uapi;

use dataplane::nft::{Batch, Handles, ObservedTable, TableId};

pub use self::error::{ApplyError, ObserveError};
pub use self::monitor::{Author, Monitor, Notice, Object};
use crate::netlink::{NetlinkError, NetlinkSocket, Protocol, SocketOptions, Stats};

/// Readings of a table before giving up on one that never stands still.
const ATTEMPTS: u32 = 5;
/// The longest batch in bytes: a table of some hundred thousand rules.
const SEND_BUFFER: usize = 256 << 20;
/// Room for the reports on a batch that fails in many places.
const RECEIVE_BUFFER: usize = 4 << 20;

/// The kernel's count of changes to nf_tables in a network namespace; it tells whether another hand was there meanwhile.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Generation(u32);

impl Generation {
    /// The kernel's number.
    pub fn number(self) -> u32 {
        self.0
    }
}

/// Whether a batch may be applied on top of changes made by others.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Guard {
    /// Only if nothing in nf_tables, of this table or another, has changed since.
    Unchanged(Generation),
    /// Whatever happened.
    Any,
}

/// What came of a batch that was applied.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Applied {
    /// The kernel's numbers of the rules it added, as far as they were asked for: not of very large batches.
    pub handles: Handles,
    /// The count of changes that it made; the [`Monitor`] tells the same one. `None` on kernels that do not say.
    pub generation: Option<Generation>,
    /// Messages sent.
    pub messages: usize,
}

/// nf_tables of the network namespace of the thread that opened it.
#[derive(Debug)]
pub struct Nftables {
    socket: NetlinkSocket,
}

impl Nftables {
    /// Opens it in the calling thread's network namespace.
    pub fn open() -> Result<Self, ObserveError> {
        let options = SocketOptions {
            receive_buffer: Some(RECEIVE_BUFFER),
            send_buffer: Some(SEND_BUFFER),
            ..SocketOptions::default()
        };
        let open = || -> Result<_, NetlinkError> {
            let mut socket = NetlinkSocket::open_with(Protocol::Netfilter, options)?;
            observe::generation(&mut socket)?;
            Ok(socket)
        };
        match open() {
            Ok(socket) => Ok(Self { socket }),
            Err(source) => Err(ObserveError::new("(any)".to_owned(), source)),
        }
    }

    /// What went over the socket since it was opened.
    pub fn stats(&self) -> Stats {
        self.socket.stats()
    }

    /// The count of changes as it is.
    pub fn generation(&mut self) -> Result<Generation, ObserveError> {
        let generation = observe::generation(&mut self.socket);
        generation
            .map(Generation)
            .map_err(|source| ObserveError::new("(any)".to_owned(), source))
    }

    /// Reads a table as it stood at one moment, which the generation names.
    pub fn observe(
        &mut self,
        table: &TableId,
    ) -> Result<(ObservedTable, Generation), ObserveError> {
        for _ in 0..ATTEMPTS {
            let before = self.generation()?;
            let observed = observe::table(&mut self.socket, table);
            // Whatever went wrong while the table changed under us says nothing.
            if self.generation()? == before {
                let observed =
                    observed.map_err(|source| ObserveError::new(table.to_string(), source))?;
                return Ok((observed, before));
            }
        }
        Err(ObserveError::Busy {
            table: table.to_string(),
            attempts: ATTEMPTS,
        })
    }

    /// Applies a batch, all of it or nothing. An empty batch costs nothing.
    pub fn apply(&mut self, batch: &Batch, guard: Guard) -> Result<Applied, ApplyError> {
        if batch.is_empty() {
            return Ok(Applied::default());
        }
        let generation = match guard {
            Guard::Unchanged(Generation(number)) => Some(number),
            Guard::Any => None,
        };
        let mut transaction = encode::Transaction::encode(batch, generation);
        let ops = &transaction.ops;
        let mut applied = Applied {
            messages: transaction.messages.len(),
            ..Applied::default()
        };
        let outcome = self
            .socket
            .transact_with(&mut transaction.messages, |index, message| {
                let Some((_, attributes)) = message.split(4) else {
                    return;
                };
                if message.kind == encode::kind(uapi::NFT_MSG_NEWGEN) {
                    let number = attributes
                        .get(uapi::NFTA_GEN_ID)
                        .and_then(|number| number.be32());
                    applied.generation = number.map(Generation);
                }
                if message.kind == encode::kind(uapi::NFT_MSG_NEWRULE) {
                    let handle = attributes
                        .get(uapi::NFTA_RULE_HANDLE)
                        .and_then(|handle| handle.be64());
                    applied
                        .handles
                        .extend(ops.get(index).copied().flatten().zip(handle));
                }
            });
        let outcome = outcome.map_err(|source| ApplyError::exchange(&batch.table, source))?;
        match outcome.failures.into_iter().next() {
            None => Ok(applied),
            Some(failure) => {
                let op = ops.get(failure.index).copied().flatten();
                let op = op.and_then(|index| Some((index, batch.ops.get(index)?)));
                Err(ApplyError::refused(failure, op))
            }
        }
    }
}

#[cfg(test)]
mod tests;
