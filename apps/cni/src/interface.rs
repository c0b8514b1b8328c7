//! The pair of interfaces: one end born in the container, the other on the host, with upstream's gateways and sysctls.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::AsFd;
use std::path::Path;

use linux::netlink::NetlinkError;
use linux::netns::{NetNs, in_netns};
use linux::route::{
    Address, Link, LinkIndex, LinkRef, LinkState, Mtu, Neighbour, NeighbourKind, NextHop, Route,
    RouteFilter, RouteSocket, Veth, VethEnd,
};
use linux::sysctl::{self, SysctlPath, SysctlValue};
use model::{Cidr, Family, Mac};

use crate::conf::{Device, NetConf};
use crate::error::{CniError, Code};

/// The address of every endpoint's interface on the host.
pub(crate) const HOST_MAC: Mac = Mac([0xee; 6]);
const GATEWAY_V4: IpAddr = IpAddr::V4(Ipv4Addr::new(169, 254, 1, 1));
/// The link-local address that the host's end makes of its MAC address.
const GATEWAY_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(
    0xfe80, 0, 0, 0, 0xecee, 0xeeff, 0xfeee, 0xeeee,
));
const MTU_FILE: &str = "/var/lib/calico/mtu";

/// Whether the container may forward packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Forwarding {
    Allowed,
    Off,
}

/// A pair to be made.
pub(crate) struct Wanted<'a> {
    pub(crate) host: &'a str,
    pub(crate) container: &'a str,
    pub(crate) addrs: &'a [IpAddr],
    /// The container's; `None` lets the kernel choose.
    pub(crate) mac: Option<Mac>,
    pub(crate) mtu: Option<Mtu>,
    pub(crate) queues: u32,
    pub(crate) device: Device,
    /// Where the container may send to, by the gateway.
    pub(crate) routes: &'a [Cidr],
    pub(crate) forwarding: Forwarding,
}

/// A pair that was made.
pub(crate) struct Made {
    /// What it became: a kernel without netkit gives a veth.
    pub(crate) device: Device,
    pub(crate) mac: Option<Mac>,
    pub(crate) mtu: Option<u32>,
}

/// The configured size of packets, or what the agent found out; `None` leaves the kernel's.
pub(crate) fn mtu(conf: &NetConf) -> Result<Option<Mtu>, CniError> {
    mtu_beside(conf, Path::new(MTU_FILE))
}

fn mtu_beside(conf: &NetConf, file: &Path) -> Result<Option<Mtu>, CniError> {
    let found = match std::fs::read_to_string(file) {
        Ok(text) => Some(text.trim().parse().map_err(|_| {
            let text = format!(
                "the MTU file {} holds no number: {:?}",
                file.display(),
                text.trim()
            );
            CniError::new(Code::Config, text).hint("calico-node writes it when it starts")
        })?),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && !conf.require_mtu_file => {
            None
        }
        Err(error) => {
            let doing = format!("failed to read the MTU file {}", file.display());
            let error = CniError::from_source(Code::TryAgain, &doing, &error);
            return Err(
                error.hint("calico-node writes it when it starts; require_mtu_file asks for it")
            );
        }
    };
    let configured = Some(conf.mtu).filter(|mtu| *mtu != 0);
    Ok(configured.or(found).map(Mtu))
}

fn refused(doing: &str, error: &NetlinkError) -> CniError {
    CniError::from_source(Code::Network, doing, error)
}

/// Opens the container's namespace.
pub(crate) fn open_netns(path: &Path) -> Result<NetNs, CniError> {
    NetNs::open(path).map_err(|error| {
        let code = if error.is_absent() {
            Code::UnknownContainer
        } else {
            Code::Network
        };
        CniError::from_source(
            code,
            "failed to open the container's network namespace",
            &error,
        )
    })
}

/// Makes the pair. What fails leaves no link behind.
pub(crate) fn make(netns: &NetNs, wanted: &Wanted<'_>) -> Result<Made, CniError> {
    let mut host = RouteSocket::open().map_err(|e| refused("failed to reach the kernel", &e))?;
    let (near, device) = make_pair(&mut host, netns, wanted)?;
    let made = configure(&mut host, netns, wanted, &near).map(|made| Made { device, ..made });
    if made.is_err() {
        // The error that matters is the one we have; the end in the container goes with this one.
        let _ = host.change(|c| _ = c.delete_link(LinkRef::Index(near.index)));
    }
    made
}

/// Makes a pair of the kind that is wanted, or the kind that every kernel has.
fn add_pair(
    host: &mut RouteSocket,
    pair: &Veth<'_>,
    device: Device,
) -> Result<Device, NetlinkError> {
    if device == Device::Netkit {
        match host.change(|c| _ = c.add_netkit(pair)) {
            Err(error) if error.is_unsupported() => {}
            made => return made.map(|()| Device::Netkit),
        }
    }
    host.change(|c| _ = c.add_veth(pair)).map(|()| Device::Veth)
}

fn make_pair(
    host: &mut RouteSocket,
    netns: &NetNs,
    wanted: &Wanted<'_>,
) -> Result<(Link, Device), CniError> {
    let end = |name, mac| VethEnd {
        name,
        mac,
        mtu: wanted.mtu,
    };
    let veth = Veth {
        host: end(wanted.host, Some(HOST_MAC)),
        host_state: LinkState::Up,
        peer: end(wanted.container, wanted.mac),
        peer_netns: Some(netns.as_fd()),
        queues: Some(wanted.queues.max(1)),
    };
    let doing = format!(
        "failed to make the interfaces {} and {}",
        wanted.host, wanted.container
    );
    let made = add_pair(host, &veth, wanted.device).or_else(|error| {
        let stale = host.link(LinkRef::Name(wanted.host)).ok().flatten();
        // One that an earlier container of the same pod left; its end in the new container cannot be this one's.
        let Some(stale) = stale.filter(|_| error.is_present()) else {
            return Err(refused(&doing, &error).hint(if error.is_present() {
                format!(
                    "an interface {} is in the container already",
                    wanted.container
                )
            } else {
                String::new()
            }));
        };
        host.change(|c| _ = c.delete_link(LinkRef::Index(stale.index)))
            .and_then(|()| add_pair(host, &veth, wanted.device))
            .map_err(|e| refused(&doing, &e))
    })?;
    let near = host
        .link(LinkRef::Name(wanted.host))
        .map_err(|e| refused(&doing, &e))?;
    let gone = || CniError::new(Code::Network, format!("{doing}: it was gone at once"));
    Ok((near.ok_or_else(gone)?, made))
}

fn has(addrs: &[IpAddr], family: Family) -> bool {
    addrs.iter().any(|addr| Family::of(*addr) == family)
}

fn configure(
    host: &mut RouteSocket,
    netns: &NetNs,
    wanted: &Wanted<'_>,
    near: &Link,
) -> Result<Made, CniError> {
    let vanished = || {
        CniError::new(
            Code::Network,
            format!("interface {} has lost its other end", wanted.host),
        )
    };
    let far = near.peer.ok_or_else(vanished)?;
    // Before the other end is up: then the link-local address is made, and must not wait for duplicate detection.
    host_sysctls(wanted)?;
    let inside = in_netns(netns, || container_sysctls(wanted));
    inside.map_err(|e| {
        CniError::from_source(
            Code::Network,
            "failed to enter the container's network namespace",
            &e,
        )
    })??;
    let mut container = RouteSocket::open_in(netns)
        .map_err(|e| refused("failed to reach the kernel in the container", &e))?;
    container
        .change(|c| {
            c.set_state(LinkRef::Index(far), LinkState::Up);
            for addr in wanted.addrs {
                c.add_address(&Address::host(far, *addr));
            }
            for (family, gateway) in [(Family::V4, GATEWAY_V4), (Family::V6, GATEWAY_V6)] {
                if has(wanted.addrs, family) {
                    // The gateway's address never changes: no packet waits for it to be resolved.
                    c.replace_neighbour(&Neighbour {
                        link: far,
                        addr: gateway,
                        kind: NeighbourKind::Permanent(HOST_MAC),
                    });
                    if family == Family::V4 {
                        c.add_route(&Route::over(Cidr::host(gateway), far));
                    }
                    for dst in wanted.routes.iter().filter(|dst| dst.family() == family) {
                        c.add_route(&by_gateway(*dst, gateway, far));
                    }
                }
            }
        })
        .map_err(|e| refused("failed to set up the container's interface", &e))?;
    host.change(|c| {
        for addr in wanted.addrs {
            c.replace_route(&Route::over(Cidr::host(*addr), near.index));
        }
    })
    .map_err(|e| refused("failed to add the host's routes to the container", &e))?;
    let far = container
        .link(LinkRef::Index(far))
        .map_err(|e| refused("failed to read the container's interface", &e))?;
    let far = far.ok_or_else(vanished)?;
    Ok(Made {
        device: wanted.device,
        mac: far.mac,
        mtu: far.mtu.map(|Mtu(mtu)| mtu),
    })
}

fn by_gateway(dst: Cidr, gateway: IpAddr, link: LinkIndex) -> Route {
    let hop = NextHop {
        link: Some(link),
        ..NextHop::gateway(gateway)
    };
    Route::by(dst, hop)
}

fn set(path: Result<SysctlPath, sysctl::SysctlError>, value: i64) -> Result<(), CniError> {
    path.and_then(|path| sysctl::write(&path, &SysctlValue::from(value)))
        .map_err(|e| CniError::from_source(Code::Network, "failed to set up the interface", &e))
}

/// Upstream's settings of the host's end.
fn host_sysctls(wanted: &Wanted<'_>) -> Result<(), CniError> {
    let link = |family, key| SysctlPath::of_link(family, wanted.host, key);
    if has(wanted.addrs, Family::V4) {
        set(link(Family::V4, "route_localnet"), 1)?;
        set(
            SysctlPath::of_neighbours(Family::V4, wanted.host, "proxy_delay"),
            0,
        )?;
        set(link(Family::V4, "proxy_arp"), 1)?;
        set(link(Family::V4, "forwarding"), 1)?;
    }
    let v6 = link(Family::V6, "accept_ra");
    if !v6.as_ref().is_ok_and(|path| path.as_ref().exists()) {
        // A kernel without IPv6 has nothing to be set.
        return Ok(());
    }
    if has(wanted.addrs, Family::V6) {
        set(link(Family::V6, "accept_dad"), 0)?;
        set(link(Family::V6, "disable_ipv6"), 0)?;
        set(link(Family::V6, "proxy_ndp"), 1)?;
        set(link(Family::V6, "forwarding"), 1)?;
    }
    set(v6, 0)
}

/// Settings inside the container, from a thread in it.
fn container_sysctls(wanted: &Wanted<'_>) -> Result<(), CniError> {
    let forwarding = i64::from(wanted.forwarding == Forwarding::Allowed);
    if has(wanted.addrs, Family::V4) {
        set(SysctlPath::dotted("net.ipv4.ip_forward"), forwarding)?;
    }
    if has(wanted.addrs, Family::V6) {
        for scope in ["all", "default", "lo"] {
            set(SysctlPath::of_link(Family::V6, scope, "disable_ipv6"), 0)?;
        }
        set(
            SysctlPath::of_link(Family::V6, wanted.container, "accept_dad"),
            0,
        )?;
        set(
            SysctlPath::of_link(Family::V6, "all", "forwarding"),
            forwarding,
        )?;
    }
    Ok(())
}

/// Deletes an interface of this host, if it is there and one of a pair.
pub(crate) fn delete_host(name: &str) -> Result<(), CniError> {
    let doing = format!("failed to delete interface {name}");
    let mut host = RouteSocket::open().map_err(|e| refused(&doing, &e))?;
    delete(&mut host, name, &doing)
}

fn delete(socket: &mut RouteSocket, name: &str, doing: &str) -> Result<(), CniError> {
    let link = socket
        .link(LinkRef::Name(name))
        .map_err(|e| refused(doing, &e))?;
    let Some(link) = link.filter(|link| matches!(link.kind.as_deref(), Some("veth" | "netkit")))
    else {
        return Ok(());
    };
    match socket.change(|c| _ = c.delete_link(LinkRef::Index(link.index))) {
        Err(error) if !error.is_absent() => Err(refused(doing, &error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Whether the host has an interface of this name.
pub(crate) fn exists(name: &str) -> bool {
    RouteSocket::open()
        .and_then(|mut host| host.link(LinkRef::Name(name)))
        .is_ok_and(|link| link.is_some())
}

/// Compares the pair with what it should be; says the first difference.
pub(crate) fn verify(
    netns: &NetNs,
    host: &str,
    container: &str,
    addrs: &[IpAddr],
    routes: &[Cidr],
) -> Result<(), CniError> {
    let differs = |text: String| CniError::new(Code::Differs, text);
    let failed = |e: NetlinkError| refused("failed to read the interfaces", &e);
    let mut outside = RouteSocket::open().map_err(failed)?;
    let mut inside = RouteSocket::open_in(netns).map_err(failed)?;
    let near = outside.link(LinkRef::Name(host)).map_err(failed)?;
    let near = near.ok_or_else(|| differs(format!("interface {host} is not on the host")))?;
    let far = inside.link(LinkRef::Name(container)).map_err(failed)?;
    let far =
        far.ok_or_else(|| differs(format!("interface {container} is not in the container")))?;
    if near.peer != Some(far.index) {
        return Err(differs(format!(
            "interfaces {host} and {container} are not the two ends of one pair"
        )));
    }
    for (name, link) in [(host, &near), (container, &far)] {
        if link.state != LinkState::Up {
            return Err(differs(format!("interface {name} is down")));
        }
    }
    let have = inside.addresses(Some(far.index)).map_err(failed)?;
    for addr in addrs {
        if !have.iter().any(|one| one.addr == *addr) {
            return Err(differs(format!(
                "address {addr} is not on interface {container}"
            )));
        }
        let family = Family::of(*addr);
        let over = |link| RouteFilter {
            link: Some(link),
            ..RouteFilter::all(family)
        };
        let there = outside.routes(&over(near.index)).map_err(failed)?;
        if !there.iter().any(|route| route.dst == Cidr::host(*addr)) {
            return Err(differs(format!(
                "the host has no route to {addr} over {host}"
            )));
        }
        let there = inside.routes(&over(far.index)).map_err(failed)?;
        for dst in routes.iter().filter(|dst| dst.family() == family) {
            if !there.iter().any(|route| route.dst == *dst) {
                return Err(differs(format!(
                    "the container has no route to {dst} from {addr}"
                )));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mtu_is_the_configured_one_or_the_agents() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("mtu");
        let conf = |mtu, require_mtu_file| NetConf {
            mtu,
            require_mtu_file,
            ..NetConf::default()
        };
        assert_eq!(mtu_beside(&conf(0, false), &file).unwrap(), None);
        assert_eq!(
            mtu_beside(&conf(1400, false), &file).unwrap(),
            Some(Mtu(1400))
        );
        // Required, it must be there even if another is configured (upstream).
        let error = mtu_beside(&conf(1400, true), &file).unwrap_err();
        assert!(
            error.code == Code::TryAgain && error.message.contains("/mtu"),
            "{error}"
        );
        std::fs::write(&file, "1430\n").unwrap();
        assert_eq!(mtu_beside(&conf(0, true), &file).unwrap(), Some(Mtu(1430)));
        assert_eq!(
            mtu_beside(&conf(1400, true), &file).unwrap(),
            Some(Mtu(1400))
        );
        std::fs::write(&file, "much").unwrap();
        assert!(
            mtu_beside(&conf(0, false), &file)
                .unwrap_err()
                .message
                .contains("much")
        );
    }
}
