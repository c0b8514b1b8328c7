//! Facts about this host that start-up needs.

use std::net::{IpAddr, UdpSocket};

use anyhow::Context as _;
use linux::route::{LinkState, RouteSocket};

use crate::detect::HostInterface;
use crate::startup::HostFacts;

/// What the host calls itself.
pub fn name() -> String {
    rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned()
}

/// Interfaces with their addresses.
///
/// # Errors
/// The kernel cannot be asked.
pub fn facts() -> anyhow::Result<HostFacts> {
    let mut socket = RouteSocket::open().context("failed to open the kernel's routing")?;
    let links = socket.links().context("failed to list links")?;
    let addresses = socket.addresses(None).context("failed to list addresses")?;
    let interface = |link: linux::route::Link| HostInterface {
        addresses: addresses
            .iter()
            .filter(|a| a.link == link.index)
            .map(|a| (a.addr, a.prefix_len))
            .collect(),
        up: link.state == LinkState::Up,
        mtu: link.mtu.map_or(0, |mtu| mtu.0),
        name: link.name,
    };
    Ok(HostFacts {
        interfaces: links.into_iter().map(interface).collect(),
        reach,
    })
}

/// The address from which this host would send to another: the kernel chooses it for a UDP socket, no packet is sent.
fn reach(host: &str) -> Option<IpAddr> {
    let any = if host.contains(':') {
        "[::]:0"
    } else {
        "0.0.0.0:0"
    };
    let socket = UdpSocket::bind(any).ok()?;
    socket.connect((host, 53)).ok()?;
    Some(socket.local_addr().ok()?.ip())
}
