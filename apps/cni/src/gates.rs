//! Readiness gates: URLs that have to answer before a container gets its network.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::time::{Duration, Instant};

use http::Uri;

use crate::error::{CniError, Code};
use crate::log::Log;

/// How long each gate is waited for.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
/// How long one question may take.
const ATTEMPT: Duration = Duration::from_secs(5);
/// Between questions. Nobody tells when another process becomes ready.
const PAUSE: Duration = Duration::from_millis(250);
/// What the first line of an answer may be long.
const LINE: u64 = 1024;

/// Waits until each URL answers with a status of 200 to 399.
pub(crate) fn wait(urls: &[String], patience: Duration, log: &Log) -> Result<(), CniError> {
    // All of them are checked before any is waited for.
    let gates: Vec<Gate> = urls
        .iter()
        .map(|url| Gate::parse(url))
        .collect::<Result<_, _>>()?;
    for gate in gates {
        let deadline = Instant::now() + patience;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let problem = match gate.ask(left.min(ATTEMPT)) {
                Ok(200..400) => break,
                Ok(status) => format!("it answers {status}"),
                Err(error) => error.to_string(),
            };
            log.debug(format_args!("readiness gate {}: {problem}", gate.url));
            if deadline.saturating_duration_since(Instant::now()) <= PAUSE {
                let text = format!(
                    "readiness gate {} did not open within {} s: {problem}",
                    gate.url,
                    patience.as_secs()
                );
                return Err(CniError::new(Code::TryAgain, text)
                    .hint("readiness_gates in the network configuration names it"));
            }
            std::thread::sleep(PAUSE);
        }
    }
    Ok(())
}

/// One URL.
struct Gate<'a> {
    url: &'a str,
    /// Host and port.
    place: String,
    authority: String,
    path: String,
}

impl Gate<'_> {
    fn parse(url: &str) -> Result<Gate<'_>, CniError> {
        let refused =
            |why: &str| CniError::new(Code::Config, format!("readiness_gates: {url:?} {why}"));
        let uri: Uri = url.parse().map_err(|_| refused("is not a URL"))?;
        match uri.scheme_str() {
            Some("http") => {}
            Some("https") => {
                return Err(refused("is https, which this plugin does not speak")
                    .hint("give a http URL; what it asks is on this host as a rule"));
            }
            Some(_) | None => return Err(refused("does not begin with http://")),
        }
        let authority = uri.authority().ok_or_else(|| refused("names no host"))?;
        let port = authority.port_u16().unwrap_or(80);
        Ok(Gate {
            url,
            place: format!("{}:{port}", authority.host()),
            authority: authority.to_string(),
            path: uri
                .path_and_query()
                .map_or("/", |path| path.as_str())
                .to_owned(),
        })
    }

    /// The status of the answer.
    fn ask(&self, patience: Duration) -> std::io::Result<u16> {
        let other = |text: &str| std::io::Error::other(text.to_owned());
        // A time of zero would be no limit.
        let patience = patience.max(Duration::from_millis(1));
        let addr = self
            .place
            .to_socket_addrs()?
            .next()
            .ok_or_else(|| other("the host has no address"))?;
        let mut stream = TcpStream::connect_timeout(&addr, patience)?;
        stream.set_read_timeout(Some(patience))?;
        stream.set_write_timeout(Some(patience))?;
        let request = format!(
            "GET {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: calico-cni\r\nConnection: close\r\n\r\n",
            self.path, self.authority
        );
        stream.write_all(request.as_bytes())?;
        let mut line = Vec::new();
        BufReader::new(stream.take(LINE)).read_until(b'\n', &mut line)?;
        status(&line).ok_or_else(|| other("it does not answer in HTTP"))
    }
}

/// Of a status line, `HTTP/1.1 200 OK`.
fn status(line: &[u8]) -> Option<u16> {
    let mut words = std::str::from_utf8(line).ok()?.split_ascii_whitespace();
    words.next()?.strip_prefix("HTTP/")?;
    words.next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conf::NetConf;
    use std::net::TcpListener;

    fn quiet() -> Log {
        Log::of(&NetConf {
            log_level: "error".into(),
            ..NetConf::default()
        })
    }

    #[test]
    fn a_gate_opens_when_it_answers() {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/ready?x=1", server.local_addr().unwrap());
        let server = std::thread::spawn(move || {
            let mut seen = String::new();
            for answer in [
                "HTTP/1.1 503 Not yet\r\n\r\n",
                "nonsense\r\n",
                "HTTP/1.1 302 There\r\n\r\n",
            ] {
                let (mut stream, _) = server.accept().unwrap();
                let mut buffer = [0; 512];
                let len = stream.read(&mut buffer).unwrap();
                seen = String::from_utf8_lossy(&buffer[..len]).into_owned();
                stream.write_all(answer.as_bytes()).unwrap();
            }
            seen
        });
        wait(&[url], PATIENCE, &quiet()).unwrap();
        let seen = server.join().unwrap();
        assert!(
            seen.starts_with("GET /ready?x=1 HTTP/1.1\r\nHost: 127.0.0.1:"),
            "{seen}"
        );
    }

    #[test]
    fn one_that_stays_shut_is_named() {
        let free = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        let url = format!("http://{free}/");
        let error = wait(std::slice::from_ref(&url), PAUSE, &quiet()).unwrap_err();
        assert_eq!(error.code, Code::TryAgain);
        assert!(
            error.message.contains(&url) && error.message.contains("refused"),
            "{error}"
        );
    }

    #[test]
    fn what_cannot_be_asked_is_refused_before_anything_is_waited_for() {
        for bad in [
            "https://localhost/",
            "localhost:80",
            "/x",
            "",
            "ftp://x/",
            "http://",
        ] {
            let error = wait(
                &["http://127.0.0.1:1/".into(), bad.into()],
                PATIENCE,
                &quiet(),
            )
            .unwrap_err();
            assert_eq!(error.code, Code::Config, "{bad}");
        }
    }
}
