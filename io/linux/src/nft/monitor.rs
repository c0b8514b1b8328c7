//! Tells when nf_tables changes, what of it and by whom, so that the agent knows its own changes from another hand's.

use std::os::fd::{AsFd, BorrowedFd};

use dataplane::nft::{ChainName, SetName, TableFamily, TableId};

use super::Generation;
use super::encode::{family, kind};
use super::observe::FAMILIES;
use super::uapi::*;
use crate::netlink::{Message, NetlinkError, NetlinkSocket, Protocol, SocketOptions};

/// Room for the notices of a large transaction; beyond it they are lost and [`Notice::Overrun`] says so.
const RECEIVE_BUFFER: usize = 16 << 20;

/// Who made a change.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Author {
    /// The thread, as numbered outside of any PID namespace. One's own changes are told by their generation, see
    /// [`super::Applied`].
    pub pid: u32,
    /// Its name, as `ps` shows it; at most 15 characters.
    pub name: String,
}

/// What of a table changed.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Object {
    /// The table itself, made or deleted.
    Table,
    /// A chain or rules in it.
    Chain(ChainName),
    /// A set or elements of it.
    Set(SetName),
    /// A flowtable or a named object.
    Other,
}

/// News from the kernel.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Notice {
    /// Something changed. The [`Notice::Committed`] that follows says by whom.
    Changed(TableId, Object),
    /// A transaction is complete; it made the changes told since the last one.
    Committed {
        /// The count of changes after it.
        generation: Generation,
        /// Who made it.
        author: Author,
    },
    /// Notices were lost: anything may have changed.
    Overrun,
}

/// A subscription to the changes of nf_tables in one network namespace.
#[derive(Debug)]
pub struct Monitor {
    socket: NetlinkSocket,
}

impl Monitor {
    /// Subscribes in the calling thread's network namespace.
    pub fn open() -> Result<Self, NetlinkError> {
        Self::with_buffer(RECEIVE_BUFFER)
    }

    /// The same with room for this many bytes of notices.
    pub fn with_buffer(bytes: usize) -> Result<Self, NetlinkError> {
        let options = SocketOptions {
            receive_buffer: Some(bytes),
            ..SocketOptions::default()
        };
        let mut socket = NetlinkSocket::open_with(Protocol::Netfilter, options)?;
        socket.subscribe(NFNLGRP_NFTABLES)?;
        Ok(Self { socket })
    }

    /// The notices that are waiting; none blocks. The descriptor of [`AsFd`] is readable when there are some.
    pub fn drain(&mut self) -> Result<Vec<Notice>, NetlinkError> {
        let mut notices = Vec::new();
        loop {
            match self
                .socket
                .receive_notices(|message| notices.extend(read(message)))
            {
                Ok(true) => {}
                Ok(false) => return Ok(notices),
                Err(NetlinkError::Overrun { .. }) => notices.push(Notice::Overrun),
                Err(error) => return Err(error),
            }
        }
    }
}

impl AsFd for Monitor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

pub(super) fn read(message: &Message<'_>) -> Option<Notice> {
    let (header, attributes) = message.split(4)?;
    let what = message.kind.checked_sub(kind(0))?;
    if what == NFT_MSG_NEWGEN {
        let author = Author {
            pid: attributes.get(NFTA_GEN_PROC_PID)?.be32()?,
            name: attributes.get(NFTA_GEN_PROC_NAME)?.text()?.to_owned(),
        };
        return Some(Notice::Committed {
            generation: Generation(attributes.get(NFTA_GEN_ID)?.be32()?),
            author,
        });
    }
    let family: TableFamily = FAMILIES
        .into_iter()
        .find(|one| header.first() == Some(&family(*one)))?;
    let table = TableId::new(family, attributes.get(NFTA_TABLE_NAME)?.text()?);
    let text = |kind| attributes.get(kind)?.text();
    let object = match what {
        NFT_MSG_NEWTABLE | NFT_MSG_DELTABLE => Object::Table,
        NFT_MSG_NEWCHAIN | NFT_MSG_DELCHAIN => Object::Chain(text(NFTA_CHAIN_NAME)?.into()),
        NFT_MSG_NEWRULE | NFT_MSG_DELRULE => Object::Chain(text(NFTA_RULE_CHAIN)?.into()),
        NFT_MSG_NEWSET | NFT_MSG_DELSET => Object::Set(text(NFTA_SET_NAME)?.into()),
        NFT_MSG_NEWSETELEM | NFT_MSG_DELSETELEM => {
            Object::Set(text(NFTA_SET_ELEM_LIST_SET)?.into())
        }
        NFT_MSG_NEWOBJ | NFT_MSG_DELOBJ | NFT_MSG_NEWFLOWTABLE | NFT_MSG_DELFLOWTABLE => {
            Object::Other
        }
        _ => return None,
    };
    Some(Notice::Changed(table, object))
}
