//! Packets made and read by hand: SCTP INIT (RFC 9260 §3.3.2), INIT ACK (§3.3.3), and ICMP echo (RFC 792, RFC 4443 §4).

use std::net::IpAddr;

const INIT: u8 = 1;
const INIT_ACK: u8 = 2;
const ABORT: u8 = 6;

/// The common header: ports, tag, checksum.
const SCTP_HEADER: usize = 12;

/// Tag, window, streams out, streams in, first sequence number, with the chunk's own four bytes.
const INIT_CHUNK: usize = 20;

/// A state cookie an INIT ACK must carry: type 7, eight bytes in all.
const COOKIE: [u8; 8] = [0, 7, 0, 8, 1, 2, 3, 4];

/// Which echo a destination understands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EchoKind {
    V4,
    V6,
}

impl EchoKind {
    pub(crate) fn of(addr: IpAddr) -> Self {
        match addr {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }
}

/// What an IPv4 packet carries. Raw IPv4 sockets give the header too, raw IPv6 ones do not.
pub(crate) fn payload_v4(packet: &[u8]) -> Option<&[u8]> {
    let words = usize::from(packet.first()? & 0x0f);
    packet.get(words * 4..)
}

/// An INIT from one port to another.
pub(crate) fn sctp_init(source: u16, destination: u16, tag: u32) -> Vec<u8> {
    sctp(source, destination, 0, &init_chunk(INIT, tag, &[]))
}

/// The INIT ACK for an INIT; `None` when the packet is none, or is for another port.
pub(crate) fn sctp_answer(packet: &[u8], port: u16) -> Option<Vec<u8>> {
    let source = number16(packet, 0)?;
    let destination = number16(packet, 2)?;
    let chunk = packet.get(SCTP_HEADER..)?;
    if destination != port || *chunk.first()? != INIT || chunk.len() < INIT_CHUNK {
        return None;
    }
    let tag = number32(chunk, 4)?;
    let chunk = init_chunk(INIT_ACK, tag.rotate_left(8) | 1, &COOKIE);
    Some(sctp(destination, source, tag, &chunk))
}

/// Whether the packet answers an INIT that went from `source` to `destination`.
pub(crate) fn acknowledges(packet: &[u8], source: u16, destination: u16) -> bool {
    let ports = number16(packet, 0) == Some(destination) && number16(packet, 2) == Some(source);
    let answer = packet
        .get(SCTP_HEADER)
        .is_some_and(|kind| [INIT_ACK, ABORT].contains(kind));
    ports && answer
}

fn init_chunk(kind: u8, tag: u32, parameters: &[u8]) -> Vec<u8> {
    let length = (INIT_CHUNK + parameters.len()) as u16;
    let mut chunk = vec![kind, 0];
    chunk.extend(length.to_be_bytes());
    chunk.extend(tag.to_be_bytes());
    chunk.extend(65_536_u32.to_be_bytes());
    chunk.extend(1_u16.to_be_bytes());
    chunk.extend(1_u16.to_be_bytes());
    chunk.extend(1_u32.to_be_bytes());
    chunk.extend(parameters);
    chunk
}

fn sctp(source: u16, destination: u16, tag: u32, chunk: &[u8]) -> Vec<u8> {
    let mut packet = Vec::with_capacity(SCTP_HEADER + chunk.len());
    packet.extend(source.to_be_bytes());
    packet.extend(destination.to_be_bytes());
    packet.extend(tag.to_be_bytes());
    packet.extend([0; 4]);
    packet.extend(chunk);
    // RFC 9260 appendix A: the checksum goes least significant byte first.
    let sum = crc32c(&packet).to_le_bytes();
    packet[8..12].copy_from_slice(&sum);
    packet
}

/// CRC32c bit by bit: a probe is forty bytes long.
fn crc32c(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            let carry = if crc & 1 == 1 { 0x82f6_3b78 } else { 0 };
            crc = (crc >> 1) ^ carry;
        }
    }
    !crc
}

/// An echo request. The kernel fills in the checksum of ICMPv6, not that of ICMP.
pub(crate) fn echo_request(kind: EchoKind, identifier: u16) -> Vec<u8> {
    let number = match kind {
        EchoKind::V4 => 8,
        EchoKind::V6 => 128,
    };
    let mut packet = vec![number, 0, 0, 0];
    packet.extend(identifier.to_be_bytes());
    packet.extend(1_u16.to_be_bytes());
    packet.extend(b"calico");
    if kind == EchoKind::V4 {
        let sum = internet_checksum(&packet).to_be_bytes();
        packet[2..4].copy_from_slice(&sum);
    }
    packet
}

/// Whether the packet is the reply to our request.
pub(crate) fn is_echo_reply(kind: EchoKind, packet: &[u8], identifier: u16) -> bool {
    let number = match kind {
        EchoKind::V4 => 0,
        EchoKind::V6 => 129,
    };
    packet.first() == Some(&number) && number16(packet, 4) == Some(identifier)
}

/// RFC 1071.
fn internet_checksum(bytes: &[u8]) -> u16 {
    let mut sum: u32 = bytes
        .chunks(2)
        .map(|pair| u32::from(pair[0]) << 8 | u32::from(pair.get(1).copied().unwrap_or(0)))
        .sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

fn number16(packet: &[u8], at: usize) -> Option<u16> {
    let bytes = packet.get(at..at + 2)?;
    Some(u16::from_be_bytes(bytes.try_into().ok()?))
}

fn number32(packet: &[u8], at: usize) -> Option<u32> {
    let bytes = packet.get(at..at + 4)?;
    Some(u32::from_be_bytes(bytes.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_the_published_ones() {
        // RFC 3720 appendix B.4: 32 bytes of zeroes, and the digits of the usual check.
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        // RFC 1071 §3.
        assert_eq!(
            internet_checksum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]),
            !0xddf2
        );
    }

    #[test]
    fn an_init_is_acknowledged() {
        let init = sctp_init(40_001, 3868, 7);
        let answer = sctp_answer(&init, 3868).expect("an answer");
        assert!(acknowledges(&answer, 40_001, 3868));
        assert!(!acknowledges(&answer, 40_002, 3868));
        assert_eq!(
            number32(&answer, 4),
            Some(7),
            "the answer carries the tag of the INIT"
        );
        assert_eq!(sctp_answer(&init, 3869), None);
        assert_eq!(
            sctp_answer(&answer, 40_001),
            None,
            "an answer is not answered"
        );
    }

    #[test]
    fn short_packets_are_nothing() {
        let init = sctp_init(1, 2, 3);
        for length in 0..init.len() {
            assert_eq!(sctp_answer(&init[..length], 2), None);
        }
        assert!(!acknowledges(&[], 1, 2));
        assert!(!is_echo_reply(EchoKind::V4, &[0, 0, 0], 1));
        assert_eq!(payload_v4(&[]), None);
        assert_eq!(payload_v4(&[0x4f, 0]), None);
    }

    #[test]
    fn an_echo_is_told_from_its_reply() {
        let mut packet = echo_request(EchoKind::V4, 9);
        assert!(!is_echo_reply(EchoKind::V4, &packet, 9));
        packet[0] = 0;
        assert!(is_echo_reply(EchoKind::V4, &packet, 9));
        assert!(!is_echo_reply(EchoKind::V4, &packet, 8));
    }
}
