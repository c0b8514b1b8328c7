use super::*;

fn request(header: &[u8]) -> Request<'_> {
    Request {
        doing: "test",
        kind: 16,
        flags: 0,
        header,
    }
}

#[test]
fn a_batch_pads_every_message_and_attribute() {
    let mut batch = Batch::new();
    let first = batch.message(request(&[1, 2, 3, 4]), |m| {
        m.text(3, "ab");
        m.nest(7, |n| n.u8(1, 9));
    });
    let second = batch.message(request(&[0]), |_| {});
    assert_eq!((first, second), (0, 1));
    let expected: Vec<u8> = [
        &36u32.to_ne_bytes()[..],
        &16u16.to_ne_bytes(),
        &1u16.to_ne_bytes(),
        &[0; 8],
        &[1, 2, 3, 4],
        &7u16.to_ne_bytes(),
        &3u16.to_ne_bytes(),
        b"ab\0\0",
        &12u16.to_ne_bytes(),
        &(7u16 | 0x8000).to_ne_bytes(),
        &5u16.to_ne_bytes(),
        &1u16.to_ne_bytes(),
        &[9, 0, 0, 0],
    ]
    .concat();
    assert_eq!(&batch.bytes()[4..40], &expected[4..]);
    assert_eq!(batch.bytes().len() % 4, 0);
    assert_eq!(Messages::new(batch.bytes()).count(), 2);
}

#[test]
fn what_is_written_is_read_back() {
    let mut batch = Batch::new();
    batch.message(request(&[0; 4]), |m| {
        m.u32(1, 77);
        m.be16(2, 0x0102);
        m.nest(3, |n| {
            n.text(1, "eth0");
            n.ip(2, std::net::Ipv4Addr::LOCALHOST.into());
        });
        m.flag(4);
    });
    let message = Messages::new(batch.bytes()).next().unwrap();
    let (header, attributes) = message.split(4).unwrap();
    assert_eq!(header, [0; 4]);
    assert_eq!(attributes.get(1).unwrap().u32(), Some(77));
    assert_eq!(attributes.get(2).unwrap().be16(), Some(0x0102));
    let nest = attributes.get(3).unwrap().nested();
    assert_eq!(nest.get(1).unwrap().text(), Some("eth0"));
    assert_eq!(
        nest.get(2).unwrap().ip(),
        Some(std::net::Ipv4Addr::LOCALHOST.into())
    );
    assert_eq!(attributes.get(4).unwrap().value, b"");
    assert!(attributes.get(5).is_none());
}

#[test]
fn an_attribute_that_does_not_fit_is_refused_before_sending() {
    let mut batch = Batch::new();
    batch.message(request(&[]), |_| {});
    batch.message(request(&[]), |m| m.nest(1, |n| n.bytes(1, &[0; 70_000])));
    assert_eq!(batch.too_long, Some(1));
}

#[test]
fn foreign_bytes_end_the_reading_and_nothing_worse() {
    // Every prefix of a real message, and every single byte of it turned over.
    let mut batch = Batch::new();
    batch.message(request(&[0; 4]), |m| m.nest(3, |n| n.text(1, "eth0")));
    let good = batch.bytes().to_vec();
    let read = |bytes: &[u8]| {
        for message in Messages::new(bytes) {
            let _ = message.verdict();
            let Some((_, attributes)) = message.split(4) else {
                continue;
            };
            for attribute in attributes {
                let _ = (attribute.u64(), attribute.text(), attribute.ip());
                assert!(attribute.nested().into_iter().count() < 100);
            }
        }
    };
    for len in 0..good.len() {
        read(&good[..len]);
    }
    for at in 0..good.len() {
        for value in [0, 1, 3, 4, 5, 0x7f, 0xff] {
            let mut bad = good.clone();
            bad[at] = value;
            read(&bad);
        }
    }
}

#[test]
fn an_error_carries_the_kernels_words() {
    let mut body = (-libc::EINVAL).to_ne_bytes().to_vec();
    body.extend_from_slice(&[0; 16]);
    let mut attributes = Batch::new();
    attributes.message(request(&[]), |m| {
        m.text(1, "no such thing");
        m.u32(2, 20);
    });
    body.extend_from_slice(&attributes.bytes()[16..]);
    let message = Message {
        kind: libc::NLMSG_ERROR as u16,
        flags: 0x300,
        sequence: 1,
        body: &body,
    };
    let (errno, extended) = message.verdict();
    assert_eq!(errno, Some(Errno::INVAL));
    let failure = Failure {
        index: 0,
        doing: "test",
        errno: Errno::INVAL,
        extended,
    };
    let text = failure.to_string();
    assert!(
        text.contains("no such thing") && text.contains("byte 20"),
        "{text}"
    );
}

#[test]
fn the_kernel_answers_requests_gets_and_dumps() {
    // Reading links needs no privilege.
    let mut socket = NetlinkSocket::open(Protocol::Route).unwrap();
    let list = Request {
        doing: "list links",
        kind: libc::RTM_GETLINK,
        flags: 0,
        header: &[0; 16],
    };
    let names = socket
        .dump(
            list,
            |_| {},
            |m| m.split(16)?.1.get(3)?.text().map(str::to_owned),
        )
        .unwrap();
    assert!(names.iter().any(|name| name == "lo"), "{names:?}");
    let name = socket
        .get(
            list,
            |m| m.text(3, "lo"),
            |m| m.split(16)?.1.get(3)?.text().map(str::to_owned),
        )
        .unwrap();
    assert_eq!(name.as_deref(), Some("lo"));
    let refused = socket
        .get(list, |m| m.text(3, "absent0"), |_| Some(()))
        .unwrap_err();
    assert!(refused.is_absent(), "{refused}");
    assert_eq!(socket.stats().messages, 3);
    assert_eq!(socket.stats().sends, 3);
}
