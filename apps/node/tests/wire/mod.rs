//! Real packets for tests: one host with pods and an outside, raw sockets in each, packets told apart by a number.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};

use calc::{Packet, Transport};
use linux::netns::{self, NetNs};
use linux::route::{
    Address, AddressGeneration, LinkChange, LinkIndex, LinkRef, LinkState, NextHop, Route,
    RouteSocket, Veth, VethEnd,
};
use model::{Cidr, Family, Mac, Protocol};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};

const PROTOCOLS: [(Protocol, Protocol); 5] = [
    (Protocol::TCP, Protocol::TCP),
    (Protocol::UDP, Protocol::UDP),
    (Protocol::SCTP, Protocol::SCTP),
    (Protocol::ICMP, Protocol::ICMPV6),
    (GRE, GRE),
];
/// A protocol without ports.
pub(crate) const GRE: Protocol = match Protocol::from_number(47) {
    Some(protocol) => protocol,
    None => Protocol::TCP,
};

/// A place packets come from and go to: a pod, or the outside.
pub(crate) struct Place {
    pub(crate) addresses: Vec<IpAddr>,
    pub(crate) netns: NetNs,
    sockets: Vec<(Family, Protocol, OwnedFd)>,
}

impl Place {
    fn new(addresses: Vec<IpAddr>) -> Place {
        let netns = NetNs::unnamed().expect("a network namespace");
        let sockets = netns::in_netns(&netns, || {
            let mut sockets = Vec::new();
            for (v4, v6) in PROTOCOLS {
                for (family, protocol) in [(Family::V4, v4), (Family::V6, v6)] {
                    sockets.push((family, protocol, raw_socket(family, protocol)));
                }
            }
            sockets
        })
        .expect("entered");
        Place {
            addresses,
            netns,
            sockets,
        }
    }

    fn socket(&self, family: Family, protocol: Protocol) -> &OwnedFd {
        let found = self
            .sockets
            .iter()
            .find(|(f, p, _)| *f == family && *p == protocol);
        &found.expect("a socket for each protocol").2
    }

    /// Sends a packet with a number from here; the source must be one of the place's addresses.
    pub(crate) fn send(&self, packet: &Packet, number: u32) {
        let bytes = transport_bytes(packet, number);
        let socket = self.socket(packet.family(), packet.protocol);
        rustix::net::bind(socket, &SocketAddr::new(packet.source, 0)).expect("an own address");
        let to = SocketAddr::new(packet.destination, 0);
        // A destination without a route is as good as a dropped packet.
        let _ = rustix::net::sendto(socket, &bytes, SendFlags::empty(), &to);
        let any = match packet.family() {
            Family::V4 => IpAddr::from([0, 0, 0, 0]),
            Family::V6 => IpAddr::from([0u16; 8]),
        };
        rustix::net::bind(socket, &SocketAddr::new(any, 0)).expect("unbound");
    }

    /// The numbers of all packets that arrived since this was last asked.
    pub(crate) fn arrived(&self) -> BTreeSet<u32> {
        let mut numbers = BTreeSet::new();
        let mut buffer = [0u8; 2048];
        for (family, protocol, socket) in &self.sockets {
            while let Ok((length, _)) =
                rustix::net::recv(socket, &mut buffer[..], RecvFlags::empty())
            {
                numbers.extend(number_of(*family, *protocol, &buffer[..length]));
            }
        }
        numbers
    }
}

fn raw_socket(family: Family, protocol: Protocol) -> OwnedFd {
    let domain = match family {
        Family::V4 => AddressFamily::INET,
        Family::V6 => AddressFamily::INET6,
    };
    let number = std::num::NonZeroU32::new(u32::from(protocol.number())).expect("not 0");
    let protocol = rustix::net::Protocol::from_raw(number);
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    rustix::net::socket_with(domain, SocketType::RAW, flags, Some(protocol)).expect("a raw socket")
}

/// The host with its pods and the outside.
pub(crate) struct Site {
    pub(crate) host: NetNs,
    pub(crate) pods: Vec<Place>,
    pub(crate) outside: Place,
}

/// The interface of a pod on the host.
pub(crate) fn interface(pod: usize) -> String {
    format!("cali{pod}")
}

impl Site {
    /// Makes the site: each pod as the CNI plugin leaves it, the outside behind a routed link.
    pub(crate) fn new(pods: &[&[&str]], outside: &[&str]) -> Site {
        let parse = |list: &[&str]| {
            list.iter()
                .map(|a| a.parse().expect("an address"))
                .collect()
        };
        let host = NetNs::unnamed().expect("a network namespace");
        let pods: Vec<Place> = pods.iter().map(|list| Place::new(parse(list))).collect();
        let outside = Place::new(parse(outside));
        let site = Site {
            host,
            pods,
            outside,
        };
        netns::in_netns(&site.host, || site.build()).expect("entered");
        site
    }

    fn build(&self) {
        let mut routes = RouteSocket::open().expect("netlink");
        up(&mut routes, "lo");
        for path in ["net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding"] {
            std::fs::write(format!("/proc/sys/{path}"), "1").expect("a sysctl");
        }
        for (pod, place) in self.pods.iter().enumerate() {
            self.link(&mut routes, &interface(pod), place);
        }
        self.link(&mut routes, "up0", &self.outside);
        // Masquerading needs an address to hide behind.
        let link = index_of(&mut routes, "up0");
        let own: [IpAddr; 2] = [[10, 99, 0, 1].into(), [0xfd99, 0, 0, 0, 0, 0, 0, 1].into()];
        routes
            .change(|c| {
                own.iter().for_each(|a| {
                    c.replace_address(&Address::host(link, *a));
                })
            })
            .expect("addresses of the host");
    }

    fn link(&self, routes: &mut RouteSocket, name: &str, place: &Place) {
        let mac = Mac([0xee; 6]);
        let veth = Veth {
            host: VethEnd {
                name,
                mac: Some(mac),
                mtu: None,
            },
            host_state: LinkState::Down,
            peer: VethEnd {
                name: "eth0",
                mac: None,
                mtu: None,
            },
            peer_netns: Some(place.netns.as_fd()),
            queues: None,
        };
        routes
            .change(|c| {
                c.add_veth(&veth);
            })
            .expect("a veth pair");
        let end = |index| LinkRef::Index(index);
        let host_end = index_of(routes, name);
        let off = LinkChange {
            address_generation: Some(AddressGeneration::Off),
            ..LinkChange::default()
        };
        let peer_mac = netns::in_netns(&place.netns, || {
            let mut routes = RouteSocket::open().expect("netlink");
            up(&mut routes, "lo");
            let link = index_of(&mut routes, "eth0");
            routes
                .change(|c| {
                    c.set_link(end(link), &off);
                })
                .expect("no link-local address");
            up(&mut routes, "eth0");
            let gateways: [IpAddr; 2] = [
                [169, 254, 1, 1].into(),
                [0xfe80, 0, 0, 0, 0, 0, 0, 1].into(),
            ];
            routes
                .change(|c| {
                    for address in &place.addresses {
                        c.replace_address(&Address::host(link, *address));
                    }
                    for gateway in gateways {
                        let any = Cidr::any(Family::of(gateway));
                        c.replace_route(&Route::over(Cidr::host(gateway), link));
                        let hop = NextHop {
                            link: Some(link),
                            ..NextHop::gateway(gateway)
                        };
                        c.replace_route(&Route::by(any, hop));
                        c.replace_neighbour(&neighbour(link, gateway, mac));
                    }
                })
                .expect("addresses and routes");
            routes
                .link(LinkRef::Name("eth0"))
                .expect("netlink")
                .expect("there")
                .mac
                .expect("a MAC")
        })
        .expect("entered");
        routes
            .change(|c| {
                c.set_link(end(host_end), &off);
            })
            .expect("no link-local address");
        up(routes, name);
        routes
            .change(|c| {
                for address in &place.addresses {
                    c.replace_route(&Route::over(Cidr::host(*address), host_end));
                    c.replace_neighbour(&neighbour(host_end, *address, peer_mac));
                }
            })
            .expect("routes to the place");
    }

    /// The place that has an address.
    pub(crate) fn place(&self, address: IpAddr) -> &Place {
        let pod = self
            .pods
            .iter()
            .find(|pod| pod.addresses.contains(&address));
        pod.unwrap_or(&self.outside)
    }
}

fn neighbour(link: LinkIndex, addr: IpAddr, mac: Mac) -> linux::route::Neighbour {
    linux::route::Neighbour {
        link,
        addr,
        kind: linux::route::NeighbourKind::Permanent(mac),
    }
}

fn index_of(routes: &mut RouteSocket, name: &str) -> LinkIndex {
    routes
        .link(LinkRef::Name(name))
        .expect("netlink")
        .expect("the link is there")
        .index
}

fn up(routes: &mut RouteSocket, name: &str) {
    routes
        .change(|c| {
            c.set_state(LinkRef::Name(name), LinkState::Up);
        })
        .expect("up");
}

/// The packet above IP, with checksums right, for connection tracking looks at them.
fn transport_bytes(packet: &Packet, number: u32) -> Vec<u8> {
    let id = number.to_be_bytes();
    let ports =
        |source: u16, destination: u16| [source.to_be_bytes(), destination.to_be_bytes()].concat();
    match (packet.protocol, packet.transport) {
        (
            Protocol::TCP,
            Transport::Ports {
                source,
                destination,
            },
        ) => {
            let mut bytes = ports(source, destination);
            bytes.extend(id);
            bytes.extend([0, 0, 0, 0, 0x50, 0x02, 0xff, 0xff, 0, 0, 0, 0]);
            with_checksum(packet, bytes, 16)
        }
        (
            Protocol::UDP,
            Transport::Ports {
                source,
                destination,
            },
        ) => {
            let mut bytes = ports(source, destination);
            bytes.extend([0, 12, 0, 0]);
            bytes.extend(id);
            with_checksum(packet, bytes, 6)
        }
        (
            Protocol::SCTP,
            Transport::Ports {
                source,
                destination,
            },
        ) => {
            let mut bytes = ports(source, destination);
            bytes.extend([0; 8]);
            // An INIT chunk: initiate tag, window, streams, first TSN.
            bytes.extend([1, 0, 0, 20]);
            bytes.extend(id);
            bytes.extend([0, 0, 0xff, 0xff, 0, 1, 0, 1, 0, 0, 0, 1]);
            let sum = crc32c(&bytes).to_le_bytes();
            bytes[8..12].copy_from_slice(&sum);
            bytes
        }
        (_, Transport::Icmp { kind, code }) => {
            let mut bytes = vec![kind, code, 0, 0];
            bytes.extend(id);
            bytes.extend(id);
            with_checksum(packet, bytes, 2)
        }
        _ => [&[0, 0, 0x08, 0x00][..], &id].concat(),
    }
}

fn number_of(family: Family, protocol: Protocol, bytes: &[u8]) -> Option<u32> {
    let skip = match family {
        Family::V4 => usize::from(bytes.first()? & 15) * 4,
        Family::V6 => 0,
    };
    let bytes = bytes.get(skip..)?;
    let request = |kinds: [u8; 2]| bytes.first().is_some_and(|kind| kinds.contains(kind));
    let at = match protocol {
        Protocol::TCP if bytes.get(13)? & 0x3f == 2 => 4,
        Protocol::UDP => 8,
        Protocol::SCTP if bytes.get(12) == Some(&1) => 16,
        Protocol::ICMP | Protocol::ICMPV6 if request([8, 128]) => 8,
        GRE => 4,
        _ => return None,
    };
    Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn with_checksum(packet: &Packet, mut bytes: Vec<u8>, at: usize) -> Vec<u8> {
    let mut all = Vec::new();
    if packet.protocol != Protocol::ICMP {
        for address in [packet.source, packet.destination] {
            match address {
                IpAddr::V4(a) => all.extend(a.octets()),
                IpAddr::V6(a) => all.extend(a.octets()),
            }
        }
        all.extend([0, packet.protocol.number()]);
        all.extend(u16::try_from(bytes.len()).expect("short").to_be_bytes());
    }
    all.extend(&bytes);
    let sum: u32 = all
        .chunks(2)
        .map(|c| u32::from(c[0]) << 8 | u32::from(*c.get(1).unwrap_or(&0)))
        .sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    let folded = !((folded & 0xffff) + (folded >> 16)) & 0xffff;
    bytes[at..at + 2].copy_from_slice(&u16::try_from(folded).expect("16 bits").to_be_bytes());
    bytes
}

/// CRC-32C (RFC 9260 appendix A), bit by bit.
fn crc32c(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 {
                crc >> 1 ^ 0x82f6_3b78
            } else {
                crc >> 1
            };
        }
    }
    !crc
}
