//! Whether the agent's table is in the kernel. Before it is, an interface of ours would be open to all: see the
//! first-boot rule in ARCHITECTURE.md.

use linux::netlink::{NetlinkSocket, Protocol, Request};

use crate::error::{CniError, Code};

/// linux/netfilter/nf_tables.h: subsystem 10, `NFT_MSG_GETTABLE`.
const GET_TABLE: u16 = 10 << 8 | 1;
/// `struct nfgenmsg` of the family `inet`.
const INET: [u8; 4] = [1, 0, 0, 0];
const NFTA_TABLE_NAME: u16 = 1;
const TABLE: &str = "calico";

/// Refuses to go on if the agent has not yet written its table.
pub(crate) fn check_table() -> Result<(), CniError> {
    let request = Request {
        doing: "read table inet calico",
        kind: GET_TABLE,
        flags: 0,
        header: &INET,
    };
    let found = NetlinkSocket::open(Protocol::Netfilter).and_then(|mut socket| {
        socket.get(request, |m| m.text(NFTA_TABLE_NAME, TABLE), |_| Some(()))
    });
    match found {
        Ok(Some(())) => Ok(()),
        Err(error) if error.is_unsupported() => Err(CniError::from_source(
            Code::NotAvailable,
            "this kernel has no nf_tables, without which no policy can be enforced",
            &error,
        )
        .hint("calico-node needs it as well; load the module nf_tables or use a kernel with it")),
        Err(error) if !error.is_absent() => Err(CniError::from_source(
            Code::TryAgain,
            "failed to ask the kernel for table inet calico",
            &error,
        )),
        Ok(None) | Err(_) => Err(CniError::new(
            Code::TryAgain,
            "the agent's rules are not in the kernel yet: no table inet calico",
        )
        .hint("calico-node writes it when it starts; is it running?")),
    }
}
