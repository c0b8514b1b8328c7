//! Links, addresses, routes, neighbours and rules as typed values (rtnetlink).
//!
//! [`RouteSocket`] reads them and carries out [`Changes`]; the values say what the kernel holds, in its own words. Deciding what should be
//! there is `dataplane`'s. A socket belongs to the namespace it was opened in:
//!
//! ```no_run
//! use linux::netns::NetNs;
//! use linux::route::{Address, LinkRef, LinkState, Route, RouteSocket};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut pod = RouteSocket::open_in(NetNs::named("pod1")?)?;
//! let eth0 = pod.link(LinkRef::Name("eth0"))?.ok_or("no eth0")?;
//! pod.change(|changes| {
//!     changes.set_state(LinkRef::Index(eth0.index), LinkState::Up);
//!     changes.add_address(&Address::host(eth0.index, [10, 65, 0, 1].into()));
//!     changes.add_route(&Route::over("169.254.1.1/32".parse().expect("a CIDR"), eth0.index));
//! })?;
//! # Ok(()) }
//! ```

mod address;
mod fib;
mod link;
mod neighbour;
mod rule;
mod socket;

pub use address::{Address, DuplicateDetection};
pub use fib::{NextHop, OnLink, Route, RouteFilter, RouteKind, RouteProtocol, Scope, TableId, Via};
pub use link::{
    AddressGeneration, Link, LinkChange, LinkIndex, LinkRef, LinkState, Mtu, Veth, VethEnd,
};
pub use neighbour::{Neighbour, NeighbourKind};
pub use rule::{Mark, PolicyRule, RuleAction, RuleMatch};
pub use socket::{Changes, RouteSocket};

pub(crate) use address::decode_address;
pub(crate) use fib::decode_route;
pub(crate) use link::decode_link;
pub(crate) use neighbour::decode_neighbour;

use model::Family;

/// The kernel's number of a family.
pub(crate) fn family_number(family: Family) -> u8 {
    match family {
        Family::V4 => libc::AF_INET as u8,
        Family::V6 => libc::AF_INET6 as u8,
    }
}

/// The family of the kernel's number, if it is one of ours.
pub(crate) fn family_of(number: u8) -> Option<Family> {
    match i32::from(number) {
        libc::AF_INET => Some(Family::V4),
        libc::AF_INET6 => Some(Family::V6),
        _ => None,
    }
}

const CREATE: u16 = (libc::NLM_F_CREATE | libc::NLM_F_EXCL) as u16;
const REPLACE: u16 = (libc::NLM_F_CREATE | libc::NLM_F_REPLACE) as u16;

#[cfg(test)]
mod tests;
