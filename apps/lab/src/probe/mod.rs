//! Probes with real packets: does an answer come back? And the servers that answer.
//!
//! A socket belongs to the namespace it was made in, so only making it happens there.

mod packets;
mod servers;

use std::fmt;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use linux::netns::{NetNs, in_netns};
use rustix::net::{AddressFamily, SocketType, ipproto};

use packets::EchoKind;
pub use servers::Servers;

/// What a probe is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A TCP handshake.
    Tcp,
    /// A datagram that is echoed.
    Udp,
    /// An INIT that is acknowledged; by raw sockets, for kernels without SCTP.
    Sctp,
    /// An echo request, answered by the kernel.
    Icmp,
}

/// All of them, in the order they are shown.
pub const KINDS: [Kind; 4] = [Kind::Tcp, Kind::Udp, Kind::Sctp, Kind::Icmp];

impl Kind {
    /// The port that [`Servers`] listen on; ICMP has none.
    pub fn port(self) -> Option<u16> {
        match self {
            Kind::Tcp => Some(8080),
            Kind::Udp => Some(5353),
            Kind::Sctp => Some(3868),
            Kind::Icmp => None,
        }
    }

    /// One letter, for a cell of the matrix.
    pub fn letter(self) -> char {
        match self {
            Kind::Tcp => 'T',
            Kind::Udp => 'U',
            Kind::Sctp => 'S',
            Kind::Icmp => 'I',
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Tcp => "TCP",
            Kind::Udp => "UDP",
            Kind::Sctp => "SCTP",
            Kind::Icmp => "ICMP",
        })
    }
}

/// What came of a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The other side answered.
    Reached,
    /// Nothing came back in time.
    Silent,
}

/// Sends from `from` and waits for the answer, at most as long as `patience`.
pub fn probe(from: &NetNs, kind: Kind, to: IpAddr, patience: Duration) -> Result<Answer> {
    let port = kind.port().unwrap_or(0);
    in_netns(from, || match kind {
        Kind::Tcp => tcp(SocketAddr::new(to, port), patience),
        Kind::Udp => udp(SocketAddr::new(to, port), patience),
        Kind::Sctp => sctp(SocketAddr::new(to, port), patience),
        Kind::Icmp => icmp(to, patience),
    })
    .context("cannot enter the network namespace to probe from")?
    .with_context(|| format!("cannot probe {to} by {kind}"))
}

/// Another number each time: a probe must be a connection of its own, or the firewall would remember the one before.
fn fresh_number() -> u16 {
    static LAST: AtomicU16 = AtomicU16::new(0);
    LAST.fetch_add(1, Ordering::Relaxed)
        .wrapping_add(std::process::id() as u16)
}

fn tcp(to: SocketAddr, patience: Duration) -> io::Result<Answer> {
    match TcpStream::connect_timeout(&to, patience) {
        Ok(_) => Ok(Answer::Reached),
        Err(error) if means_silence(&error) => Ok(Answer::Silent),
        Err(error) => Err(error),
    }
}

fn udp(to: SocketAddr, patience: Duration) -> io::Result<Answer> {
    let socket = UdpSocket::bind(any(to.ip()))?;
    socket.connect(to)?;
    let question = b"is anybody there?";
    exchange(&socket, to, question, patience, |answer| answer == question)
}

fn sctp(to: SocketAddr, patience: Duration) -> io::Result<Answer> {
    let socket = raw(to.ip(), Kind::Sctp)?;
    socket.connect(SocketAddr::new(to.ip(), 0))?;
    let source = 40_000 + fresh_number() % 20_000;
    let init = packets::sctp_init(source, to.port(), std::process::id() | 1);
    let is_v4 = to.is_ipv4();
    exchange(&socket, to, &init, patience, |packet| {
        let packet = if is_v4 {
            packets::payload_v4(packet)
        } else {
            Some(packet)
        };
        packet.is_some_and(|packet| packets::acknowledges(packet, source, to.port()))
    })
}

fn icmp(to: IpAddr, patience: Duration) -> io::Result<Answer> {
    let socket = raw(to, Kind::Icmp)?;
    let to_any_port = SocketAddr::new(to, 0);
    socket.connect(to_any_port)?;
    let echo = EchoKind::of(to);
    let identifier = fresh_number();
    let request = packets::echo_request(echo, identifier);
    exchange(&socket, to_any_port, &request, patience, |packet| {
        let packet = match echo {
            EchoKind::V4 => packets::payload_v4(packet),
            EchoKind::V6 => Some(packet),
        };
        packet.is_some_and(|packet| packets::is_echo_reply(echo, packet, identifier))
    })
}

/// Sends the question again every 150 ms until an answer is right or patience ends.
fn exchange(
    socket: &UdpSocket,
    to: SocketAddr,
    question: &[u8],
    patience: Duration,
    is_answer: impl Fn(&[u8]) -> bool,
) -> io::Result<Answer> {
    const AGAIN: Duration = Duration::from_millis(150);
    let end = Instant::now() + patience;
    let mut packet = [0; 2048];
    loop {
        match socket.send(question) {
            Ok(_) => {}
            Err(error) if means_silence(&error) => {}
            Err(error) => {
                return Err(io::Error::new(
                    error.kind(),
                    format!("sending to {to}: {error}"),
                ));
            }
        }
        let again = (Instant::now() + AGAIN).min(end);
        while let Some(left) = again
            .checked_duration_since(Instant::now())
            .filter(|left| !left.is_zero())
        {
            socket.set_read_timeout(Some(left))?;
            match socket.recv(&mut packet) {
                Ok(length) if is_answer(&packet[..length]) => return Ok(Answer::Reached),
                Ok(_) => {}
                Err(error) if means_silence(&error) => {}
                Err(error) => return Err(error),
            }
        }
        if Instant::now() >= end {
            return Ok(Answer::Silent);
        }
    }
}

/// Errors by which a kernel says that a packet was dropped or not answered.
fn means_silence(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::TimedOut
            | ErrorKind::WouldBlock
            | ErrorKind::HostUnreachable
            | ErrorKind::NetworkUnreachable
            | ErrorKind::PermissionDenied
            | ErrorKind::Interrupted
    )
}

/// Any local address and port of the family of `like`.
fn any(like: IpAddr) -> SocketAddr {
    match like {
        IpAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
        IpAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
    }
}

/// A raw socket. What reads and writes datagrams serves it as well as it does UDP.
fn raw(like: IpAddr, kind: Kind) -> io::Result<UdpSocket> {
    let (family, icmp) = match like {
        IpAddr::V4(_) => (AddressFamily::INET, ipproto::ICMP),
        IpAddr::V6(_) => (AddressFamily::INET6, ipproto::ICMPV6),
    };
    let protocol = match kind {
        Kind::Icmp => icmp,
        Kind::Sctp => ipproto::SCTP,
        Kind::Tcp => ipproto::TCP,
        Kind::Udp => ipproto::UDP,
    };
    let socket: OwnedFd = rustix::net::socket(family, SocketType::RAW, Some(protocol))?;
    Ok(UdpSocket::from(socket))
}
