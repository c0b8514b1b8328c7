use std::net::IpAddr;

use model::{Cidr, Family, Mac};

use super::*;
use crate::netlink::{Attributes, Batch, Messages};

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// One message of each kind that we write and read.
fn samples() -> Vec<Vec<u8>> {
    let hop = |gateway: &str| NextHop {
        link: Some(LinkIndex(7)),
        weight: 2,
        ..NextHop::gateway(ip(gateway))
    };
    let route = Route {
        source: Some(ip("10.0.0.1")),
        mtu: Some(Mtu(1400)),
        priority: 5,
        via: Via::Many(vec![hop("10.0.0.2"), hop("fd00::2")]),
        ..Route::over("10.1.0.0/16".parse().unwrap(), LinkIndex(7))
    };
    let end = VethEnd {
        name: "cali0",
        mac: Some(Mac([2; 6])),
        mtu: Some(Mtu(1400)),
    };
    let veth = Veth {
        host: end,
        host_state: LinkState::Up,
        peer: end,
        peer_netns: None,
        queues: Some(1),
    };
    let rule = PolicyRule {
        from: Some(Cidr::any(Family::V6)),
        mark: Some(Mark { value: 1, mask: 3 }),
        input: Some("eth0".to_owned()),
        ..PolicyRule::lookup(Family::V6, 99, TableId(1000))
    };
    let neighbour = Neighbour {
        link: LinkIndex(7),
        addr: ip("fd00::1"),
        kind: NeighbourKind::Permanent(Mac([2; 6])),
    };
    let writers: [&dyn Fn(&mut Changes) -> usize; 6] = [
        &|c| c.add_veth(&veth),
        &|c| c.add_netkit(&veth),
        &|c| c.add_route(&route),
        &|c| c.add_address(&Address::host(LinkIndex(7), ip("fd00::1"))),
        &|c| c.replace_neighbour(&neighbour),
        &|c| c.add_rule(&rule),
    ];
    writers
        .iter()
        .map(|write| {
            let mut changes = Changes::new();
            write(&mut changes);
            changes.batch.bytes().to_vec()
        })
        .collect()
}

fn decode_all(bytes: &[u8]) -> usize {
    Messages::new(bytes)
        .filter(|message| {
            decode_link(message).is_some()
                || decode_route(message).is_some()
                || decode_address(message).is_some()
                || decode_neighbour(message).is_some()
                || rule::decode_rule(message).is_some()
        })
        .count()
}

#[test]
fn damaged_messages_are_read_as_far_as_they_go() {
    for sample in samples() {
        assert_eq!(decode_all(&sample), 1, "{sample:?}");
        for len in 0..sample.len() {
            let mut cut = sample[..len].to_vec();
            if let Some(field) = cut.get_mut(..4) {
                field.copy_from_slice(&(len as u32).to_ne_bytes());
            }
            decode_all(&cut);
        }
        for at in 0..sample.len() {
            for value in [0, 1, 2, 3, 5, 10, 0x40, 0x7f, 0x80, 0xff] {
                let mut bad = sample.clone();
                bad[at] = value;
                decode_all(&bad);
            }
        }
    }
}

#[test]
fn a_route_is_written_as_the_kernel_reads_it() {
    let mut changes = Changes::new();
    let route = Route {
        protocol: RouteProtocol(80),
        ..Route::over("10.65.0.1/32".parse().unwrap(), LinkIndex(9))
    };
    changes.add_route(&route);
    let expected: Vec<u8> = [
        &52u32.to_ne_bytes()[..],
        &24u16.to_ne_bytes(),
        // NLM_F_REQUEST, NLM_F_EXCL, NLM_F_CREATE
        &0x601u16.to_ne_bytes(),
        &[0; 8],
        // AF_INET, /32, TOS 0, table 254, protocol 80, scope link, unicast
        &[2, 32, 0, 0, 254, 80, 253, 1, 0, 0, 0, 0],
        &[8, 0, 1, 0, 10, 65, 0, 1],
        &[8, 0, 15, 0, 254, 0, 0, 0],
        &[8, 0, 4, 0, 9, 0, 0, 0],
    ]
    .concat();
    assert_eq!(changes.batch.bytes(), expected);
    let read = Messages::new(changes.batch.bytes())
        .next()
        .and_then(|m| decode_route(&m));
    assert_eq!(read, Some(route));
}

#[test]
fn what_the_kernel_repeats_in_the_bridge_family_is_no_link() {
    let mut batch = Batch::new();
    let mut header = [0; 16];
    header[0] = libc::AF_BRIDGE as u8;
    let request = crate::netlink::Request {
        doing: "test",
        kind: libc::RTM_NEWLINK,
        flags: 0,
        header: &header,
    };
    batch.message(request, |m| m.text(3, "eth0"));
    let message = Messages::new(batch.bytes()).next().unwrap();
    assert_eq!(decode_link(&message), None);
}

/// The attributes as linux/if_link.h numbers them, written out by hand: this kernel may have no netkit to ask.
#[test]
fn a_netkit_pair_is_asked_for_as_the_kernel_wants_it() {
    let end = |name| VethEnd {
        name,
        mac: None,
        mtu: Some(Mtu(1400)),
    };
    let mut changes = Changes::new();
    changes.add_netkit(&Veth {
        host: end("cali0"),
        host_state: LinkState::Up,
        peer: end("eth0"),
        peer_netns: None,
        queues: Some(4),
    });
    let bytes = changes.batch.bytes();
    let message = Messages::new(bytes).next().unwrap();
    assert_eq!(message.kind, 16, "RTM_NEWLINK");
    let (_, attributes) = message.split(16).unwrap();
    assert_eq!(attributes.get(3).unwrap().text(), Some("cali0"));
    assert!(attributes.get(31).is_none(), "netkit has one queue");
    let info = attributes.get(18).unwrap().nested();
    assert_eq!(info.get(1).unwrap().text(), Some("netkit"));
    let data = info.get(2).unwrap().nested();
    let number = |kind| data.get(kind).unwrap().value.to_vec();
    assert_eq!(
        (number(5), number(3), number(4)),
        (vec![0; 4], vec![0; 4], vec![0; 4])
    );
    let peer = Attributes::new(&data.get(1).unwrap().value[16..]);
    assert_eq!(peer.get(3).unwrap().text(), Some("eth0"));
    assert_eq!(peer.get(4).unwrap().value, 1400_u32.to_ne_bytes());
}
