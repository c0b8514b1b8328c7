//! `ipam`: who has which address. Deciding is the crate `ipam`'s; this reads the store for it, writes what it says, and
//! prints.

pub(crate) mod check;
pub(crate) mod configure;
pub(crate) mod driver;
pub(crate) mod release;
mod report;
pub(crate) mod show;
pub(crate) mod split;

use std::net::IpAddr;

use crate::outcome::Failure;

fn address(text: &str) -> Result<IpAddr, Failure> {
    let wrong = || {
        Failure::usage(format!(
            "Error executing command: invalid IP address specified: {text}"
        ))
    };
    text.parse().map_err(|_| wrong())
}
