//! `ipam release`: gives one address back.

use ipam::release::{ReleaseAddress, release_addresses};

use super::{address, driver};
use crate::cli::{Global, IpamReleaseArgs};
use crate::connect::{Purpose, connect};
use crate::outcome::{Failure, Status, chain};
use crate::session::Session;
use crate::time;

pub(crate) fn run(
    args: &IpamReleaseArgs,
    global: &Global,
    session: &mut Session<'_>,
) -> Result<Status, Failure> {
    let text = args
        .ip
        .as_deref()
        .ok_or_else(|| Failure::usage("nothing to release: give --ip ADDRESS"))?;
    let addr = address(text)?;
    let objects = connect(&args.config.config, Purpose::Maintain, global, session)?;
    let wanted = ReleaseAddress {
        addr,
        handle: None,
        sequence: None,
    };
    let released = driver::run(&objects, release_addresses(vec![wanted], time::now()))?
        .map_err(|error| Failure::general(format!("error: {}", chain(&error))))?;
    if released.released.is_empty() {
        return Err(Failure::new(
            Status::NotFound,
            format!("IP address {addr} is not assigned"),
        ));
    }
    session.line(format!("Successfully released IP address {addr}"))?;
    Ok(Status::Done)
}
