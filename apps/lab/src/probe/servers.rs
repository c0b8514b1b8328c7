//! What answers probes in a namespace: one thread over a TCP listener, a UDP echo, and raw SCTP of both families.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener, UdpSocket};
use std::os::unix::net::UnixStream;
use std::thread::{self, JoinHandle};

use anyhow::{Context, Result};
use linux::netns::{NetNs, in_netns};
use rustix::event::{PollFd, PollFlags};

use super::{Kind, packets, raw};

/// Answers until dropped.
pub struct Servers {
    /// Dropped first: the thread sees its end of the pair close, and ends.
    stop: Option<UnixStream>,
    thread: Option<JoinHandle<()>>,
}

struct Sockets {
    tcp: TcpListener,
    /// One per address asked for: the wildcard would answer from whichever address the route likes best.
    udp: Vec<UdpSocket>,
    sctp_v4: UdpSocket,
    sctp_v6: UdpSocket,
}

impl Servers {
    /// Starts answering in a namespace that has one address of each family.
    pub fn start(netns: &NetNs) -> Result<Self> {
        Self::start_at(netns, &[])
    }

    /// Starts answering in a namespace; UDP at these addresses only, each answering from itself.
    pub fn start_at(netns: &NetNs, addrs: &[IpAddr]) -> Result<Self> {
        let sockets = in_netns(netns, || Sockets::open(addrs))
            .context("cannot enter the network namespace to serve in")?
            .context("cannot listen")?;
        let (stop, stopped) = UnixStream::pair().context("cannot make a socket pair")?;
        let thread = thread::Builder::new()
            .name("servers".to_owned())
            .spawn(move || sockets.serve(&stopped))
            .context("cannot start a thread")?;
        Ok(Self {
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            // A panic of the server has been printed by the thread itself.
            let _ = thread.join();
        }
    }
}

impl Sockets {
    fn open(addrs: &[IpAddr]) -> io::Result<Self> {
        let port = |kind: Kind| (Ipv6Addr::UNSPECIFIED, kind.port().unwrap_or(0));
        let mut udp = Vec::new();
        for addr in addrs {
            udp.push(UdpSocket::bind((*addr, port(Kind::Udp).1))?);
        }
        if addrs.is_empty() {
            udp.push(UdpSocket::bind(port(Kind::Udp))?);
        }
        let sockets = Self {
            // Bound to the IPv6 wildcard, it takes IPv4 too.
            tcp: TcpListener::bind(port(Kind::Tcp))?,
            udp,
            sctp_v4: raw(IpAddr::V4(Ipv4Addr::UNSPECIFIED), Kind::Sctp)?,
            sctp_v6: raw(IpAddr::V6(Ipv6Addr::UNSPECIFIED), Kind::Sctp)?,
        };
        sockets.tcp.set_nonblocking(true)?;
        for socket in sockets.datagrams() {
            socket.set_nonblocking(true)?;
        }
        Ok(sockets)
    }

    fn datagrams(&self) -> impl Iterator<Item = &UdpSocket> {
        self.udp.iter().chain([&self.sctp_v4, &self.sctp_v6])
    }

    fn serve(&self, stopped: &UnixStream) {
        loop {
            let mut waiting = vec![
                PollFd::new(stopped, PollFlags::IN),
                PollFd::new(&self.tcp, PollFlags::IN),
            ];
            waiting.extend(
                self.datagrams()
                    .map(|socket| PollFd::new(socket, PollFlags::IN)),
            );
            match rustix::event::poll(&mut waiting, None) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(_) => return,
            }
            if !waiting[0].revents().is_empty() {
                return;
            }
            // The handshake was the answer; the connection itself is not wanted.
            while self.tcp.accept().is_ok() {}
            for socket in &self.udp {
                answer(socket, |packet| Some(packet.to_vec()));
            }
            let port = Kind::Sctp.port().unwrap_or(0);
            answer(&self.sctp_v4, |packet| {
                packets::sctp_answer(packets::payload_v4(packet)?, port)
            });
            answer(&self.sctp_v6, |packet| packets::sctp_answer(packet, port));
        }
    }
}

/// Answers all that waits. An answer that cannot be sent is one that the prober does not get.
fn answer(socket: &UdpSocket, reply: impl Fn(&[u8]) -> Option<Vec<u8>>) {
    let mut packet = [0; 2048];
    while let Ok((length, from)) = socket.recv_from(&mut packet) {
        if let Some(reply) = reply(&packet[..length]) {
            let _ = socket.send_to(&reply, from);
        }
    }
}
