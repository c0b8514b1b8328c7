//! Routes: the kernel's forwarding tables.

use std::net::IpAddr;

use model::{Cidr, Family};

use super::link::{LinkIndex, Mtu};
use super::socket::{Changes, RouteSocket};
use super::{CREATE, REPLACE, family_number, family_of};
use crate::netlink::{Attribute, Errno, Message, MessageWriter, NetlinkError, Request};

/// `struct rtmsg`.
const HEADER_LEN: usize = 12;

// linux/rtnetlink.h
const RTA_DST: u16 = 1;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
const RTA_PRIORITY: u16 = 6;
const RTA_PREFSRC: u16 = 7;
const RTA_METRICS: u16 = 8;
const RTA_MULTIPATH: u16 = 9;
const RTA_TABLE: u16 = 15;
const RTA_VIA: u16 = 18;
const RTAX_MTU: u16 = 2;
const RTM_F_CLONED: u32 = 0x200;
const RTNH_F_ONLINK: u8 = 4;
/// `struct rtnexthop`.
const HOP_LEN: usize = 8;

/// A routing table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TableId(pub u32);

impl TableId {
    /// The table every packet is looked up in by default.
    pub const MAIN: TableId = TableId(254);
    /// The kernel's own addresses.
    pub const LOCAL: TableId = TableId(255);
}

/// Who put a route there (`rtm_protocol`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RouteProtocol(pub u8);

impl RouteProtocol {
    /// The kernel itself, for an address.
    pub const KERNEL: RouteProtocol = RouteProtocol(2);
    /// `ip route` without a word on it.
    pub const BOOT: RouteProtocol = RouteProtocol(3);
    /// An operator.
    pub const STATIC: RouteProtocol = RouteProtocol(4);
    /// Calico's routes to other nodes.
    pub const CALICO: RouteProtocol = RouteProtocol(80);
}

/// How far away a destination is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Anywhere.
    Universe,
    /// On the link.
    Link,
    /// This host.
    Host,
    /// Nowhere: it does not exist.
    Nowhere,
    /// Any other number.
    Other(u8),
}

impl Scope {
    pub(super) fn of(number: u8) -> Self {
        match number {
            0 => Scope::Universe,
            253 => Scope::Link,
            254 => Scope::Host,
            255 => Scope::Nowhere,
            other => Scope::Other(other),
        }
    }

    pub(super) fn number(self) -> u8 {
        match self {
            Scope::Universe => 0,
            Scope::Link => 253,
            Scope::Host => 254,
            Scope::Nowhere => 255,
            Scope::Other(other) => other,
        }
    }
}

/// What happens to a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RouteKind {
    /// It goes on to the next hop.
    Unicast,
    /// It is for this host.
    Local,
    /// It is for everybody on the link.
    Broadcast,
    /// It is dropped without a word.
    Blackhole,
    /// It is refused: unreachable.
    Unreachable,
    /// It is refused: prohibited.
    Prohibit,
    /// The lookup goes on in the next rule.
    Throw,
    /// Any other number.
    Other(u8),
}

impl RouteKind {
    fn of(number: u8) -> Self {
        match number {
            libc::RTN_UNICAST => RouteKind::Unicast,
            libc::RTN_LOCAL => RouteKind::Local,
            libc::RTN_BROADCAST => RouteKind::Broadcast,
            libc::RTN_BLACKHOLE => RouteKind::Blackhole,
            libc::RTN_UNREACHABLE => RouteKind::Unreachable,
            libc::RTN_PROHIBIT => RouteKind::Prohibit,
            libc::RTN_THROW => RouteKind::Throw,
            other => RouteKind::Other(other),
        }
    }

    fn number(self) -> u8 {
        match self {
            RouteKind::Unicast => libc::RTN_UNICAST,
            RouteKind::Local => libc::RTN_LOCAL,
            RouteKind::Broadcast => libc::RTN_BROADCAST,
            RouteKind::Blackhole => libc::RTN_BLACKHOLE,
            RouteKind::Unreachable => libc::RTN_UNREACHABLE,
            RouteKind::Prohibit => libc::RTN_PROHIBIT,
            RouteKind::Throw => libc::RTN_THROW,
            RouteKind::Other(other) => other,
        }
    }
}

/// Whether the gateway is taken to be on the link though no route says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OnLink {
    /// It is.
    Assumed,
    /// A route must say so.
    Checked,
}

/// Where a packet goes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct NextHop {
    /// Out of this interface; `None`: the one that leads to the gateway.
    pub link: Option<LinkIndex>,
    /// To this router; `None`: the destination is on the link.
    pub gateway: Option<IpAddr>,
    /// Whether the router is taken to be on the link.
    pub on_link: OnLink,
    /// Share of the traffic among several hops, 1 to 256.
    pub weight: u16,
}

impl NextHop {
    /// Straight out of an interface.
    pub fn link(link: LinkIndex) -> Self {
        NextHop {
            link: Some(link),
            gateway: None,
            on_link: OnLink::Checked,
            weight: 1,
        }
    }

    /// By a router.
    pub fn gateway(gateway: IpAddr) -> Self {
        NextHop {
            link: None,
            gateway: Some(gateway),
            on_link: OnLink::Checked,
            weight: 1,
        }
    }
}

/// The next hops of a route.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Via {
    /// None: a blackhole and its like.
    Nothing,
    /// One, the usual case.
    One(NextHop),
    /// Several that share the traffic.
    Many(Vec<NextHop>),
}

/// A route.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Route {
    /// The destination.
    pub dst: Cidr,
    /// The table it is in.
    pub table: TableId,
    /// Who put it there.
    pub protocol: RouteProtocol,
    /// What happens to packets.
    pub kind: RouteKind,
    /// How far the destination is.
    pub scope: Scope,
    /// Rank among routes to the same destination, the lower the better (`metric`). 0 lets the kernel choose; IPv6 then takes 1024.
    pub priority: u32,
    /// The source address packets of this host get.
    pub source: Option<IpAddr>,
    /// Largest packet, when less than the interface's.
    pub mtu: Option<Mtu>,
    /// Where packets go.
    pub via: Via,
}

impl Route {
    /// To a destination on the link, in the main table.
    pub fn over(dst: Cidr, link: LinkIndex) -> Self {
        Route {
            scope: Scope::Link,
            ..Route::by(dst, NextHop::link(link))
        }
    }

    /// By one next hop, in the main table.
    pub fn by(dst: Cidr, hop: NextHop) -> Self {
        Route {
            dst,
            table: TableId::MAIN,
            protocol: RouteProtocol::BOOT,
            kind: RouteKind::Unicast,
            scope: Scope::Universe,
            priority: 0,
            source: None,
            mtu: None,
            via: Via::One(hop),
        }
    }

    /// To nowhere: packets for it are dropped.
    pub fn blackhole(dst: Cidr) -> Self {
        let kind = RouteKind::Blackhole;
        let hop = NextHop {
            link: None,
            gateway: None,
            on_link: OnLink::Checked,
            weight: 1,
        };
        Route {
            kind,
            via: Via::Nothing,
            ..Route::by(dst, hop)
        }
    }

    fn write(&self, m: &mut MessageWriter<'_>) {
        let Route {
            dst,
            table,
            protocol: _,
            kind: _,
            scope: _,
            priority,
            source,
            mtu,
            via,
        } = self;
        m.ip(RTA_DST, dst.addr());
        m.u32(RTA_TABLE, table.0);
        if *priority != 0 {
            m.u32(RTA_PRIORITY, *priority);
        }
        if let Some(source) = source {
            m.ip(RTA_PREFSRC, *source);
        }
        if let Some(mtu) = mtu {
            m.nest(RTA_METRICS, |metrics| metrics.u32(RTAX_MTU, mtu.0));
        }
        match via {
            Via::Nothing => {}
            Via::One(hop) => hop.write(m, dst.family()),
            Via::Many(hops) => m.nest(RTA_MULTIPATH, |m| {
                for hop in hops {
                    hop.write_among(m, dst.family());
                }
            }),
        }
    }

    fn header(&self) -> [u8; HEADER_LEN] {
        let mut bytes = [0; HEADER_LEN];
        bytes[0] = family_number(self.dst.family());
        bytes[1] = self.dst.len();
        // Small table numbers also fit here; the attribute says it in full.
        bytes[4] = u8::try_from(self.table.0).unwrap_or(0);
        bytes[5] = self.protocol.0;
        bytes[6] = self.scope.number();
        bytes[7] = self.kind.number();
        let flags = match &self.via {
            Via::One(hop) => u32::from(hop.flags()),
            Via::Nothing | Via::Many(_) => 0,
        };
        bytes[8..12].copy_from_slice(&flags.to_ne_bytes());
        bytes
    }
}

impl NextHop {
    fn flags(&self) -> u8 {
        match self.on_link {
            OnLink::Assumed => RTNH_F_ONLINK,
            OnLink::Checked => 0,
        }
    }

    fn write_gateway(&self, m: &mut MessageWriter<'_>, family: Family) {
        let Some(gateway) = self.gateway else { return };
        if Family::of(gateway) == family {
            m.ip(RTA_GATEWAY, gateway);
            return;
        }
        // An IPv6 router for an IPv4 destination (RFC 5549): the family goes along.
        let number = u16::from(family_number(Family::of(gateway))).to_ne_bytes();
        let via = match gateway {
            IpAddr::V4(v4) => [&number[..], &v4.octets()].concat(),
            IpAddr::V6(v6) => [&number[..], &v6.octets()].concat(),
        };
        m.bytes(RTA_VIA, &via);
    }

    fn write(&self, m: &mut MessageWriter<'_>, family: Family) {
        if let Some(link) = self.link {
            m.u32(RTA_OIF, link.0);
        }
        self.write_gateway(m, family);
    }

    /// Writes a `struct rtnexthop` and its attributes.
    fn write_among(&self, m: &mut MessageWriter<'_>, family: Family) {
        let link = self.link.map_or(0, |link| link.0).to_ne_bytes();
        let weight = u8::try_from(self.weight.saturating_sub(1)).unwrap_or(u8::MAX);
        m.sized(|m| {
            m.raw(&[self.flags(), weight, link[0], link[1], link[2], link[3]]);
            self.write_gateway(m, family);
        });
    }
}

impl Changes {
    /// Adds a route; one to the same destination with the same priority is a failure.
    pub fn add_route(&mut self, route: &Route) -> usize {
        self.route("add the route", libc::RTM_NEWROUTE, CREATE, route)
    }

    /// Adds a route in place of one to the same destination with the same table and priority.
    pub fn replace_route(&mut self, route: &Route) -> usize {
        self.route("replace the route", libc::RTM_NEWROUTE, REPLACE, route)
    }

    /// Deletes the route that matches in all that is given here.
    pub fn delete_route(&mut self, route: &Route) -> usize {
        self.route("delete the route", libc::RTM_DELROUTE, 0, route)
    }

    fn route(&mut self, doing: &'static str, kind: u16, flags: u16, route: &Route) -> usize {
        let header = route.header();
        self.batch.message(
            Request {
                doing,
                kind,
                flags,
                header: &header,
            },
            |m| route.write(m),
        )
    }
}

/// Which routes to list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouteFilter {
    /// Of this family.
    pub family: Family,
    /// In this table; `None`: in all.
    pub table: Option<TableId>,
    /// Of this origin; `None`: of any.
    pub protocol: Option<RouteProtocol>,
    /// Over this interface; `None`: over any.
    pub link: Option<LinkIndex>,
}

impl RouteFilter {
    /// All routes of a family.
    pub fn all(family: Family) -> Self {
        RouteFilter {
            family,
            table: None,
            protocol: None,
            link: None,
        }
    }

    /// Kernels without strict checks send everything, so it is checked here too.
    fn admits(&self, route: &Route) -> bool {
        let over = |wanted: LinkIndex| match &route.via {
            Via::Nothing => false,
            Via::One(hop) => hop.link == Some(wanted),
            Via::Many(hops) => hops.iter().any(|hop| hop.link == Some(wanted)),
        };
        self.table.is_none_or(|table| table == route.table)
            && self
                .protocol
                .is_none_or(|protocol| protocol == route.protocol)
            && self.link.is_none_or(over)
    }
}

impl RouteSocket {
    /// Routes of the namespace, without the kernel's cached copies.
    pub fn routes(&mut self, filter: &RouteFilter) -> Result<Vec<Route>, NetlinkError> {
        let mut header = [0; HEADER_LEN];
        header[0] = family_number(filter.family);
        header[5] = filter.protocol.map_or(0, |protocol| protocol.0);
        let request = Request {
            doing: "list the routes",
            kind: libc::RTM_GETROUTE,
            flags: 0,
            header: &header,
        };
        let ask = |m: &mut MessageWriter<'_>| {
            if let Some(table) = filter.table {
                m.u32(RTA_TABLE, table.0);
            }
            if let Some(link) = filter.link {
                m.u32(RTA_OIF, link.0);
            }
        };
        match self.netlink.dump(request, ask, |m| {
            decode_route(m).filter(|route| filter.admits(route))
        }) {
            // A table comes to be with its first route; an interface may be gone.
            Err(error) if matches!(error.errno(), Some(Errno::NOENT | Errno::NODEV)) => {
                Ok(Vec::new())
            }
            result => result,
        }
    }
}

/// Reads a route from a reply or notice.
pub(crate) fn decode_route(message: &Message<'_>) -> Option<Route> {
    if message.kind != libc::RTM_NEWROUTE && message.kind != libc::RTM_DELROUTE {
        return None;
    }
    let (header, attributes) = message.split(HEADER_LEN)?;
    let &[
        family,
        dst_len,
        _,
        _,
        table,
        protocol,
        scope,
        kind,
        f0,
        f1,
        f2,
        f3,
    ] = header.first_chunk::<HEADER_LEN>()?;
    let family = family_of(family)?;
    let flags = u32::from_ne_bytes([f0, f1, f2, f3]);
    if flags & RTM_F_CLONED != 0 {
        return None;
    }
    let mut route = Route {
        dst: Cidr::any(family),
        table: TableId(table.into()),
        protocol: RouteProtocol(protocol),
        kind: RouteKind::of(kind),
        scope: Scope::of(scope),
        priority: 0,
        source: None,
        mtu: None,
        via: Via::Nothing,
    };
    let mut hop = NextHop {
        link: None,
        gateway: None,
        on_link: on_link(flags as u8),
        weight: 1,
    };
    for attribute in attributes {
        match attribute.kind {
            RTA_DST => {
                route.dst = Cidr::new(
                    attribute.ip().filter(|ip| Family::of(*ip) == family)?,
                    dst_len,
                )
            }
            RTA_OIF => hop.link = attribute.u32().map(LinkIndex),
            RTA_GATEWAY => hop.gateway = attribute.ip(),
            RTA_VIA => hop.gateway = via_address(attribute),
            RTA_PRIORITY => route.priority = attribute.u32()?,
            RTA_PREFSRC => route.source = attribute.ip(),
            RTA_METRICS => {
                route.mtu = attribute
                    .nested()
                    .get(RTAX_MTU)
                    .and_then(|a| a.u32())
                    .map(Mtu)
            }
            RTA_TABLE => route.table = TableId(attribute.u32()?),
            RTA_MULTIPATH => route.via = Via::Many(decode_hops(attribute.value)),
            _ => {}
        }
    }
    if route.via == Via::Nothing && (hop.link.is_some() || hop.gateway.is_some()) {
        route.via = Via::One(hop);
    }
    Some(route)
}

fn on_link(flags: u8) -> OnLink {
    if flags & RTNH_F_ONLINK != 0 {
        OnLink::Assumed
    } else {
        OnLink::Checked
    }
}

fn via_address(attribute: Attribute<'_>) -> Option<IpAddr> {
    let address = attribute.value.get(2..)?;
    Attribute {
        kind: RTA_VIA,
        value: address,
    }
    .ip()
}

/// Reads a sequence of `struct rtnexthop`, each with attributes.
fn decode_hops(mut bytes: &[u8]) -> Vec<NextHop> {
    let mut hops = Vec::new();
    while let Some(&[l0, l1, flags, weight, i0, i1, i2, i3]) = bytes.first_chunk::<HOP_LEN>() {
        let len = usize::from(u16::from_ne_bytes([l0, l1]));
        let Some(attributes) = bytes.get(HOP_LEN..len) else {
            break;
        };
        let mut hop = NextHop {
            link: Some(LinkIndex(u32::from_ne_bytes([i0, i1, i2, i3]))),
            gateway: None,
            on_link: on_link(flags),
            weight: u16::from(weight) + 1,
        };
        for attribute in crate::netlink::Attributes::new(attributes) {
            match attribute.kind {
                RTA_GATEWAY => hop.gateway = attribute.ip(),
                RTA_VIA => hop.gateway = via_address(attribute),
                _ => {}
            }
        }
        hops.push(hop);
        bytes = bytes.get((len + 3) & !3..).unwrap_or_default();
    }
    hops
}
