//! Members found by DNS: SRV records of a domain (RFC 2782), asked of the host's resolvers (RFC 1035).
//!
//! `_etcd-client-ssl._tcp` names members to be spoken to by TLS, `_etcd-client._tcp` others; upstream and etcd's own clients
//! take both together.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};

use crate::remote::{Backoff, Deadline, RemoteError};

const RESOLVERS: &str = "/etc/resolv.conf";
/// How long one resolver may take.
const PATIENCE: Duration = Duration::from_secs(1);
const SRV: u16 = 33;
const INTERNET: u16 = 1;
/// The answer was too long for its packet.
const TRUNCATED: u16 = 1 << 9;
const RECURSION_DESIRED: u16 = 1 << 8;

/// Where a service is, as DNS says.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SrvRecord {
    /// Lower goes first.
    pub priority: u16,
    /// More of it is more load; unused here, for one member is used until it fails.
    pub weight: u16,
    /// Its port.
    pub port: u16,
    /// Its host, without a final dot.
    pub target: String,
}

/// What a resolver answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SrvAnswer {
    /// These records; none if there are none.
    Records(Vec<SrvRecord>),
    /// More than fits: ask by TCP.
    Truncated,
    /// It failed, with this code of RFC 1035 (or 6895).
    Failed(u8),
}

/// The URLs of the members of `domain`.
pub(super) async fn discover(domain: &str, deadline: Deadline) -> Result<Vec<String>, RemoteError> {
    let resolvers = resolvers(&std::fs::read_to_string(RESOLVERS).unwrap_or_default());
    discover_by(&resolvers, domain, deadline).await
}

async fn discover_by(
    resolvers: &[SocketAddr],
    domain: &str,
    deadline: Deadline,
) -> Result<Vec<String>, RemoteError> {
    let (mut urls, mut failures) = (Vec::new(), Vec::new());
    for (service, scheme) in [("_etcd-client-ssl", "https"), ("_etcd-client", "http")] {
        let name = format!("{service}._tcp.{}", domain.trim_end_matches('.'));
        match look_up(resolvers, &name, deadline).await {
            Ok(mut records) => {
                records.sort();
                let all = records.into_iter();
                urls.extend(all.map(|srv| format!("{scheme}://{}:{}", srv.target, srv.port)));
            }
            Err(why) => failures.push(format!("{name}: {why}")),
        }
    }
    if !urls.is_empty() {
        return Ok(urls);
    }
    let detail = if failures.is_empty() {
        "it has no SRV record _etcd-client-ssl._tcp or _etcd-client._tcp".to_owned()
    } else {
        failures.join("; ")
    };
    Err(RemoteError::Unreachable {
        action: "discover",
        store: format!("etcd of {domain}").into(),
        detail: detail.into(),
    })
}

async fn look_up(
    resolvers: &[SocketAddr],
    name: &str,
    deadline: Deadline,
) -> Result<Vec<SrvRecord>, String> {
    let mut failure = "no resolver is known".to_owned();
    // Packets get lost: each resolver has two chances.
    for resolver in resolvers.iter().chain(resolvers) {
        let id = identity();
        let query = query(id, name).ok_or("it is no name that DNS can have")?;
        match deadline.bound(PATIENCE, ask(*resolver, id, &query)).await {
            Some(Ok(SrvAnswer::Records(records))) => return Ok(records),
            // There is no such name: no records, for certain.
            Some(Ok(SrvAnswer::Failed(3))) => return Ok(Vec::new()),
            Some(Ok(SrvAnswer::Failed(code))) => {
                failure = format!("resolver {} failed with code {code}", resolver.ip());
            }
            Some(Ok(SrvAnswer::Truncated)) => {
                failure = format!("resolver {} truncates even by TCP", resolver.ip());
            }
            Some(Err(error)) => failure = format!("resolver {}: {error}", resolver.ip()),
            None => failure = format!("resolver {} does not answer", resolver.ip()),
        }
    }
    Err(failure)
}

/// A number that an answer made up by somebody else does not have by chance.
fn identity() -> u16 {
    let random = Backoff::default().up_to(Duration::from_nanos(u64::from(u16::MAX)));
    u16::try_from(random.as_nanos()).unwrap_or(0)
}

async fn ask(resolver: SocketAddr, id: u16, query: &[u8]) -> io::Result<SrvAnswer> {
    let any = match resolver {
        SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        SocketAddr::V6(_) => IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED),
    };
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(resolver).await?;
    socket.send(query).await?;
    let mut buffer = vec![0; 64 << 10];
    loop {
        let length = socket.recv(&mut buffer).await?;
        match srv_records(&buffer[..length], id) {
            Some(SrvAnswer::Truncated) => return ask_by_tcp(resolver, id, query).await,
            Some(answer) => return Ok(answer),
            // Not an answer to this question: the real one may still come.
            None => {}
        }
    }
}

async fn ask_by_tcp(resolver: SocketAddr, id: u16, query: &[u8]) -> io::Result<SrvAnswer> {
    let mut stream = TcpStream::connect(resolver).await?;
    let length = u16::try_from(query.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    stream.write_all(&length.to_be_bytes()).await?;
    stream.write_all(query).await?;
    let length = stream.read_u16().await?;
    let mut buffer = vec![0; usize::from(length)];
    stream.read_exact(&mut buffer).await?;
    srv_records(&buffer, id).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// A question for the SRV records of `name`; none if it cannot be asked for.
fn query(id: u16, name: &str) -> Option<Vec<u8>> {
    let mut message = Vec::new();
    for part in [id, RECURSION_DESIRED, 1, 0, 0, 0] {
        message.extend(part.to_be_bytes());
    }
    for label in name.split('.') {
        let length = u8::try_from(label.len()).ok()?;
        if !(1..64).contains(&length) {
            return None;
        }
        message.push(length);
        message.extend(label.as_bytes());
    }
    message.push(0);
    message.extend(SRV.to_be_bytes());
    message.extend(INTERNET.to_be_bytes());
    (message.len() <= 12 + 255 + 4).then_some(message)
}

/// Reads an answer to the question `id`; nothing if the message is none.
#[must_use]
pub fn srv_records(message: &[u8], id: u16) -> Option<SrvAnswer> {
    let mut reader = Reader { message, at: 0 };
    let (found, flags) = (reader.u16()?, reader.u16()?);
    let [questions, answers] = [reader.u16()?, reader.u16()?];
    reader.skip(4)?;
    if found != id || flags >> 15 == 0 {
        return None;
    }
    if flags & TRUNCATED != 0 {
        return Some(SrvAnswer::Truncated);
    }
    if flags & 0xf != 0 {
        return Some(SrvAnswer::Failed((flags & 0xf) as u8));
    }
    for _ in 0..questions {
        reader.name()?;
        reader.skip(4)?;
    }
    let mut records = Vec::new();
    for _ in 0..answers {
        reader.name()?;
        let (kind, class) = (reader.u16()?, reader.u16()?);
        reader.skip(4)?;
        let length = usize::from(reader.u16()?);
        let end = reader.at.checked_add(length)?;
        if kind == SRV && class == INTERNET {
            records.push(SrvRecord {
                priority: reader.u16()?,
                weight: reader.u16()?,
                port: reader.u16()?,
                target: reader.name()?,
            });
        }
        reader.at = end;
    }
    // A target of "." says that there is no such service.
    records.retain(|record| !record.target.is_empty());
    Some(SrvAnswer::Records(records))
}

struct Reader<'a> {
    message: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn u8(&mut self) -> Option<u8> {
        let byte = *self.message.get(self.at)?;
        self.at += 1;
        Some(byte)
    }

    fn u16(&mut self) -> Option<u16> {
        Some(u16::from_be_bytes([self.u8()?, self.u8()?]))
    }

    fn skip(&mut self, bytes: usize) -> Option<()> {
        self.at = self.at.checked_add(bytes)?;
        (self.at <= self.message.len()).then_some(())
    }

    /// A name, whose end may be elsewhere in the message; each jump goes backwards, so it ends.
    fn name(&mut self) -> Option<String> {
        let mut labels: Vec<String> = Vec::new();
        let (mut back, mut lowest) = (None, self.at);
        loop {
            let length = self.u8()?;
            match length >> 6 {
                0 if length == 0 => break,
                0 => {
                    let end = self.at.checked_add(usize::from(length))?;
                    let label = self.message.get(self.at..end)?;
                    labels.push(std::str::from_utf8(label).ok()?.to_owned());
                    self.at = end;
                }
                3 => {
                    let target = usize::from(length & 0x3f) << 8 | usize::from(self.u8()?);
                    if target >= lowest {
                        return None;
                    }
                    back.get_or_insert(self.at);
                    (self.at, lowest) = (target, target);
                }
                _ => return None,
            }
        }
        self.at = back.unwrap_or(self.at);
        Some(labels.join("."))
    }
}

/// The resolvers that a resolv.conf names; this host, if it names none.
fn resolvers(text: &str) -> Vec<SocketAddr> {
    let named: Vec<SocketAddr> = text
        .lines()
        .filter_map(|line| line.trim_start().strip_prefix("nameserver"))
        .filter_map(|rest| rest.split_whitespace().next()?.parse::<IpAddr>().ok())
        .map(|address| SocketAddr::new(address, 53))
        .collect();
    if named.is_empty() {
        return vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 53))];
    }
    named
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// An answer to `query`, its records with a name that points at the question.
    fn answer(query: &[u8], flags: u16, records: &[(u16, u16, &str)]) -> Vec<u8> {
        let mut message = query.to_vec();
        message[2..4].copy_from_slice(&(0x8000 | flags).to_be_bytes());
        let count = u16::try_from(records.len()).unwrap();
        message[6..8].copy_from_slice(&count.to_be_bytes());
        for (priority, port, target) in records {
            message.extend([0xc0, 12]);
            message.extend([0, 33, 0, 1, 0, 0, 0, 9]);
            let mut data = Vec::new();
            for part in [*priority, 5, *port] {
                data.extend(part.to_be_bytes());
            }
            for label in target.split('.') {
                data.push(u8::try_from(label.len()).unwrap());
                data.extend(label.as_bytes());
            }
            data.push(0);
            message.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
            message.extend(data);
        }
        message
    }

    /// Answers by UDP and TCP; a question whose name contains `-ssl` by TCP only.
    fn respond() -> (SocketAddr, impl Future<Output = ()>) {
        let udp = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = udp.local_addr().unwrap();
        let tcp = std::net::TcpListener::bind(address).unwrap();
        udp.set_nonblocking(true).unwrap();
        tcp.set_nonblocking(true).unwrap();
        let is_ssl = |query: &[u8]| query.windows(4).any(|part| part == b"-ssl");
        let work = async move {
            let udp = UdpSocket::from_std(udp).unwrap();
            let tcp = tokio::net::TcpListener::from_std(tcp).unwrap();
            let by_udp = async {
                let mut buffer = [0; 512];
                loop {
                    let (length, from) = udp.recv_from(&mut buffer).await.unwrap();
                    let query = &buffer[..length];
                    // What is no answer to the question is passed over.
                    udp.send_to(&[0; 20], from).await.unwrap();
                    let told = match is_ssl(query) {
                        true => answer(query, TRUNCATED, &[]),
                        false => answer(query, 0, &[(1, 2379, "c.example.org")]),
                    };
                    udp.send_to(&told, from).await.unwrap();
                }
            };
            let by_tcp = async {
                loop {
                    let (mut stream, _) = tcp.accept().await.unwrap();
                    let length = stream.read_u16().await.unwrap();
                    let mut query = vec![0; usize::from(length)];
                    stream.read_exact(&mut query).await.unwrap();
                    let records = [(2, 2379, "b.example.org"), (1, 2380, "a.example.org")];
                    let told = answer(&query, 0, &records);
                    stream
                        .write_u16(u16::try_from(told.len()).unwrap())
                        .await
                        .unwrap();
                    stream.write_all(&told).await.unwrap();
                }
            };
            tokio::join!(by_udp, by_tcp);
        };
        (address, work)
    }

    #[test]
    fn members_are_discovered_in_order_of_priority_those_by_tls_first() {
        let reactor = crate::remote::Reactor::start("test-dns").unwrap();
        let (resolver, work) = respond();
        let _responder = reactor.spawn(work);
        let found = reactor.run(async move {
            let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
            let resolvers = [silent.local_addr().unwrap(), resolver];
            discover_by(
                &resolvers,
                "example.org.",
                Deadline::after(Duration::from_secs(20)),
            )
            .await
        });
        assert_eq!(
            crate::block_on_ready(found).unwrap().unwrap(),
            [
                "https://a.example.org:2380",
                "https://b.example.org:2379",
                "http://c.example.org:2379"
            ]
        );
    }

    #[test]
    fn a_domain_without_records_is_said_with_what_was_looked_for() {
        let text = RemoteError::Unreachable {
            action: "discover",
            store: "etcd of example.org".into(),
            detail: "it has no SRV record".into(),
        };
        assert!(
            text.to_string()
                .starts_with("failed to discover etcd of example.org: it has no")
        );
        let query = query(7, "a.b").unwrap();
        assert_eq!(
            srv_records(&answer(&query, 3, &[]), 7),
            Some(SrvAnswer::Failed(3))
        );
        assert_eq!(srv_records(&answer(&query, 0, &[]), 8), None);
        assert_eq!(super::query(7, "a..b"), None);
    }

    #[test]
    fn resolvers_are_read_from_their_file() {
        let text = "# x\nnameserver 10.0.0.1\n nameserver\t fd00::1 # y\nnameserver fe80::1%eth0\n";
        let expected = ["10.0.0.1:53", "[fd00::1]:53"].map(|text| text.parse().unwrap());
        assert_eq!(resolvers(text), expected);
        assert_eq!(resolvers(""), ["127.0.0.1:53".parse().unwrap()]);
    }

    proptest! {
        #[test]
        fn no_message_is_too_much(mut message in proptest::collection::vec(any::<u8>(), 0..200)) {
            if message.len() > 3 {
                message[0] = 0;
                message[1] = 7;
                message[2] |= 0x80;
                message[3] &= 0xf0;
            }
            let _ = srv_records(&message, 7);
        }
    }
}
