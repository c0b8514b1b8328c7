//! A steady stream of numbered datagrams, counted where they arrive: at the receiving interface, in the socket, by number.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use linux::netns::{NetNs, in_netns};

/// Room for a second of packets: what overflows is the test's own fault and is counted apart.
const RECEIVE_BUFFER: usize = 16 << 20;

/// How often the sender looks at the clock.
const TICK: Duration = Duration::from_millis(1);

/// How long after the last datagram the receiver still waits.
const QUIET: Duration = Duration::from_millis(500);

/// Datagrams per second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate(pub u32);

/// What came of a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Handed to the kernel at the sender.
    pub sent: u64,
    /// Refused by the sender's own kernel.
    pub refused: u64,
    /// Packets that came out of the receiver's interface, of whatever kind.
    pub at_interface: u64,
    /// Different datagrams read from the socket.
    pub received: u64,
    /// Thrown away because the receiving socket was full: that voids the run, it is no loss of the network.
    pub overflowed: u64,
    /// The longest time without a datagram, between the first and the last.
    pub longest_gap: Duration,
}

impl Count {
    /// Sent and neither received nor thrown away by the receiver itself.
    pub fn lost(&self) -> u64 {
        self.sent.saturating_sub(self.received + self.overflowed)
    }
}

/// A stream that runs until [`Stream::finish`].
pub struct Stream {
    stop: Arc<AtomicBool>,
    arrived: Arc<AtomicU64>,
    sender: JoinHandle<(u64, u64)>,
    receiver: JoinHandle<Received>,
    at: NetNs,
    before: Counters,
}

#[derive(Default)]
struct Received {
    datagrams: u64,
    longest_gap: Duration,
}

/// The kernel's own counters of a namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Counters {
    interface_packets: u64,
    overflowed: u64,
}

impl Stream {
    /// Starts sending from one namespace to an address of another, where `port` must be free.
    pub fn start(from: &NetNs, to: &NetNs, addr: IpAddr, port: u16, rate: Rate) -> Result<Self> {
        let at = duplicate(to)?;
        let listening = in_netns(to, || UdpSocket::bind((Ipv6Addr::UNSPECIFIED, port)))
            .and_then(|bound| bound)
            .context("cannot listen for the stream")?;
        rustix::net::sockopt::set_socket_recv_buffer_size_force(&listening, RECEIVE_BUFFER)
            .context("cannot enlarge the receive buffer")?;
        let any: SocketAddr = match addr {
            IpAddr::V4(_) => ([0, 0, 0, 0], 0).into(),
            IpAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        let sending = in_netns(from, || UdpSocket::bind(any))
            .and_then(|bound| bound)
            .context("cannot make the sender's socket")?;
        sending
            .connect((addr, port))
            .with_context(|| format!("cannot connect the stream to {addr}"))?;
        let before = Counters::read(to)?;
        let stop = Arc::new(AtomicBool::new(false));
        let arrived = Arc::new(AtomicU64::new(0));
        let sender = {
            let stop = Arc::clone(&stop);
            thread::spawn(move || send(&sending, rate, &stop))
        };
        let receiver = {
            let (stop, arrived) = (Arc::clone(&stop), Arc::clone(&arrived));
            thread::spawn(move || receive(&listening, &stop, &arrived))
        };
        Ok(Self {
            stop,
            arrived,
            sender,
            receiver,
            at,
            before,
        })
    }

    /// How many datagrams have been received so far.
    pub fn arrived(&self) -> u64 {
        self.arrived.load(Ordering::Relaxed)
    }

    /// Stops sending, waits for what is under way, and counts.
    pub fn finish(self) -> Result<Count> {
        self.stop.store(true, Ordering::Relaxed);
        let failed = |_| anyhow!("a thread of the stream panicked");
        let (sent, refused) = self.sender.join().map_err(failed)?;
        let received = self.receiver.join().map_err(failed)?;
        let after = Counters::read(&self.at)?;
        Ok(Count {
            sent,
            refused,
            at_interface: after.interface_packets - self.before.interface_packets,
            received: received.datagrams,
            overflowed: after.overflowed - self.before.overflowed,
            longest_gap: received.longest_gap,
        })
    }
}

fn duplicate(netns: &NetNs) -> Result<NetNs> {
    in_netns(netns, NetNs::current)
        .context("cannot enter the receiver's network namespace")?
        .context("cannot open the receiver's network namespace")
}

fn send(socket: &UdpSocket, rate: Rate, stop: &AtomicBool) -> (u64, u64) {
    let start = Instant::now();
    let (mut sent, mut refused) = (0_u64, 0_u64);
    while !stop.load(Ordering::Relaxed) {
        let due = (start.elapsed().as_secs_f64() * f64::from(rate.0)) as u64;
        while sent + refused < due {
            match socket.send(&sent.to_be_bytes()) {
                Ok(_) => sent += 1,
                // A connected socket also reports an earlier datagram's ICMP error; that datagram was sent.
                Err(_) => refused += 1,
            }
        }
        thread::sleep(TICK);
    }
    (sent, refused)
}

fn receive(socket: &UdpSocket, stop: &AtomicBool, arrived: &AtomicU64) -> Received {
    let mut seen: Vec<u64> = Vec::new();
    let mut result = Received::default();
    let mut last: Option<Instant> = None;
    let mut quiet_since = Instant::now();
    let mut packet = [0; 64];
    // A socket that cannot wait for a limited time would wait for ever; there is nothing to count then.
    if socket
        .set_read_timeout(Some(Duration::from_millis(50)))
        .is_err()
    {
        return result;
    }
    loop {
        match socket.recv(&mut packet) {
            Ok(8) => {
                let moment = Instant::now();
                quiet_since = moment;
                if let Some(last) = last.replace(moment) {
                    result.longest_gap = result.longest_gap.max(moment - last);
                }
                let number = packet[..8].try_into().map_or(0, u64::from_be_bytes);
                if mark(&mut seen, number) {
                    result.datagrams += 1;
                    arrived.store(result.datagrams, Ordering::Relaxed);
                }
            }
            Ok(_) => {}
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(_) => return result,
        }
        if stop.load(Ordering::Relaxed) && quiet_since.elapsed() > QUIET {
            return result;
        }
    }
}

/// Notes a number; whether it is the first time. One bit a number, so a minute at any rate fits.
fn mark(seen: &mut Vec<u64>, number: u64) -> bool {
    const MOST: u64 = 1 << 32;
    if number >= MOST {
        return false;
    }
    let (word, bit) = ((number / 64) as usize, 1_u64 << (number % 64));
    if seen.len() <= word {
        seen.resize(word + 1, 0);
    }
    let first = seen[word] & bit == 0;
    seen[word] |= bit;
    first
}

impl Counters {
    /// The files of the calling thread's namespace, read by a thread that is in it.
    fn read(netns: &NetNs) -> Result<Self> {
        let read = |path: &str| {
            std::fs::read_to_string(path).with_context(|| format!("cannot read {path}"))
        };
        in_netns(netns, || {
            Ok(Self {
                interface_packets: interface_packets(&read("/proc/thread-self/net/dev")?),
                overflowed: overflowed(
                    &read("/proc/thread-self/net/snmp")?,
                    &read("/proc/thread-self/net/snmp6")?,
                ),
            })
        })
        .context("cannot enter the receiver's network namespace")?
    }
}

/// Packets received by all interfaces but loopback: `name: bytes packets ...`.
fn interface_packets(text: &str) -> u64 {
    text.lines()
        .filter_map(|line| line.split_once(':'))
        .filter(|(name, _)| name.trim() != "lo")
        .filter_map(|(_, numbers)| numbers.split_whitespace().nth(1)?.parse::<u64>().ok())
        .sum()
}

/// `RcvbufErrors` of UDP, both families.
fn overflowed(snmp: &str, snmp6: &str) -> u64 {
    let mut udp = snmp.lines().filter_map(|line| line.strip_prefix("Udp: "));
    let (names, values) = (
        udp.next().unwrap_or_default(),
        udp.next().unwrap_or_default(),
    );
    let v4 = names
        .split(' ')
        .zip(values.split(' '))
        .find(|(name, _)| *name == "RcvbufErrors")
        .and_then(|(_, value)| value.parse::<u64>().ok());
    let v6 = snmp6
        .lines()
        .find_map(|line| line.strip_prefix("Udp6RcvbufErrors"))
        .and_then(|value| value.trim().parse::<u64>().ok());
    v4.unwrap_or(0) + v6.unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernel_counters_are_read() {
        let dev =
            "Inter-|   Receive\n face |bytes packets\n    lo: 10 3 0 0\n  eth0: 999 42 0 0 0\n";
        assert_eq!(interface_packets(dev), 42);
        let snmp = "Tcp: A B\nTcp: 1 2\nUdp: InDatagrams NoPorts InErrors OutDatagrams RcvbufErrors\nUdp: 9 0 0 9 4\n";
        assert_eq!(overflowed(snmp, "Udp6RcvbufErrors   \t3\n"), 7);
        assert_eq!(overflowed("", ""), 0);
    }

    #[test]
    fn numbers_count_once() {
        let mut seen = Vec::new();
        assert!(mark(&mut seen, 70));
        assert!(!mark(&mut seen, 70));
        assert!(mark(&mut seen, 0));
        assert!(
            !mark(&mut seen, u64::MAX),
            "a number nobody sent allocates nothing"
        );
    }

    #[test]
    fn overflow_is_no_loss() {
        let count = Count {
            sent: 10,
            received: 7,
            overflowed: 2,
            ..Count::default()
        };
        assert_eq!(count.lost(), 1);
    }
}
