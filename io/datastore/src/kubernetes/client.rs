//! Requests to the API server: credentials, deadlines, what may be repeated, and a count of them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use api::kubernetes::{Group, Method};
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue, RETRY_AFTER, USER_AGENT};
use http::{Request, Response};
use http_body_util::BodyExt;
use kube::client::Body;

use super::access::{Access, Token};
use super::discovery::{Choice, Discovery};
use super::status::{Failure, Status};
use crate::error::chain;
use crate::remote::{Backoff, Deadline, RemoteError};
use crate::{Revision, Stats};

/// An answer that is longer is none that an API server gives.
const LONGEST_ANSWER: usize = 512 << 20;
/// The same of one that says why something is not done.
const LONGEST_REFUSAL: usize = 1 << 20;
/// A wait that a server asks for counts no further than this, where somebody waits for the answer.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// An API server says with each answer under which name it is found in its audit log; nothing between does.
const SPOKEN_BY_API_SERVER: &str = "audit-id";

/// Speaks to one API server. Only the IO thread uses it.
pub(super) struct Client {
    inner: kube::Client,
    token: Token,
    shown: Box<str>,
    deadline: Duration,
    discovery: Discovery,
    pace: Option<Pace>,
    reads: AtomicU64,
    writes: AtomicU64,
    watches: AtomicU64,
}

/// What a request counts as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    Read,
    Write,
    Watch,
}

/// Whether a request may be sent again when it is not known what became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Repeat {
    /// A second time does no harm.
    Harmless,
    /// Only if the server did not take it.
    IfRefused,
}

impl Client {
    /// Makes the client. Must be called on the IO thread.
    pub(super) fn start(access: Access, deadline: Duration) -> Result<Self, RemoteError> {
        let shown: Box<str> = format!("the Kubernetes API {}", shown(&access.config.cluster_url))
            .trim_end_matches('/')
            .into();
        let inner =
            kube::Client::try_from(access.config).map_err(|error| RemoteError::Settings {
                store: shown.clone(),
                detail: chain(&error).into(),
            })?;
        Ok(Self {
            inner,
            token: access.token,
            shown,
            deadline,
            discovery: Discovery::new(access.group.as_deref()),
            pace: access
                .qps
                .filter(|qps| *qps > 0.0)
                .map(|qps| Pace::new(qps, access.burst)),
            reads: AtomicU64::new(0),
            writes: AtomicU64::new(0),
            watches: AtomicU64::new(0),
        })
    }

    /// The server, as messages name it.
    pub(super) fn shown(&self) -> &str {
        &self.shown
    }

    pub(super) fn discovery(&self) -> &Discovery {
        &self.discovery
    }

    /// The group that holds our objects: set, or found out once.
    pub(super) async fn group(&self) -> Result<Group, RemoteError> {
        self.choice().await.map(|choice| choice.group)
    }

    /// The same, with what was read to find it out.
    pub(super) async fn choice(&self) -> Result<Choice, RemoteError> {
        self.discovery
            .choice(self)
            .await
            .map_err(|failure| failure.into_error("read from", &self.shown))
    }

    pub(super) fn stats(&self) -> Stats {
        Stats {
            reads: self.reads.load(Ordering::Relaxed),
            commits: self.writes.load(Ordering::Relaxed),
            watches: self.watches.load(Ordering::Relaxed),
        }
    }

    /// Reads a path.
    pub(super) async fn get(&self, path: &str) -> Result<Bytes, Failure> {
        let request = || builder("GET", path);
        self.unary(Verb::Read, Repeat::Harmless, request).await
    }

    /// Changes an object.
    pub(super) async fn change(
        &self,
        method: Method,
        path: &str,
        body: &[u8],
        repeat: Repeat,
    ) -> Result<Bytes, Failure> {
        let (word, kind) = match method {
            Method::Post => ("POST", "application/json"),
            Method::Put => ("PUT", "application/json"),
            Method::MergePatch => ("PATCH", "application/merge-patch+json"),
            Method::Delete => ("DELETE", "application/json"),
        };
        let request = || {
            let mut request = builder(word, path);
            let kind = HeaderValue::from_static(kind);
            request.headers_mut().insert(CONTENT_TYPE, kind);
            *request.body_mut() = body.to_vec();
            request
        };
        self.unary(Verb::Write, repeat, request).await
    }

    /// Begins a watch: the answer's body goes on for as long as the server likes.
    pub(super) async fn watch(&self, path: &str) -> Result<Response<Body>, Failure> {
        let deadline = Deadline::after(self.deadline);
        self.send(Verb::Watch, builder("GET", path), deadline).await
    }

    async fn unary(
        &self,
        verb: Verb,
        repeat: Repeat,
        request: impl Fn() -> Request<Vec<u8>>,
    ) -> Result<Bytes, Failure> {
        let deadline = Deadline::after(self.deadline);
        let mut backoff = Backoff::default();
        loop {
            let attempt = async {
                let answer = self.send(verb, request(), deadline).await?;
                let body = whole(answer.into_body(), LONGEST_ANSWER).await;
                body.map_err(Failure::Lost)
            };
            let bounded = deadline.bound(self.deadline, attempt).await;
            let failure = match bounded.unwrap_or(Err(Failure::Late(deadline.whole()))) {
                Ok(body) => return Ok(body),
                Err(failure) => failure,
            };
            let again = match &failure {
                // Put off before it did anything.
                Failure::Status(status) if matches!(status.code, 429 | 503) => true,
                Failure::Status(status) => status.code >= 500 && repeat == Repeat::Harmless,
                Failure::Unsent(_) => true,
                Failure::Lost(_) => repeat == Repeat::Harmless,
                Failure::Late(_) | Failure::Garbled(_) | Failure::Credentials(_) => false,
            };
            let pause = failure.pause(LONGEST_PAUSE, &mut backoff);
            if !again || pause >= deadline.left() {
                return Err(failure);
            }
            tokio::time::sleep(pause).await;
        }
    }

    /// One request; an answer that is no success is a failure. A token that is refused and has been replaced meanwhile is
    /// shown anew, once.
    async fn send(
        &self,
        verb: Verb,
        request: Request<Vec<u8>>,
        deadline: Deadline,
    ) -> Result<Response<Body>, Failure> {
        let shown = self.token.get().map_err(Failure::Credentials)?;
        let first = self
            .send_as(verb, request.clone(), shown.as_ref(), deadline)
            .await;
        match first {
            Err(Failure::Status(status))
                if status.code == 401 && self.token.was_refused(shown.as_ref()) =>
            {
                let again = self.token.get().map_err(Failure::Credentials)?;
                self.send_as(verb, request, again.as_ref(), deadline).await
            }
            other => other,
        }
    }

    async fn send_as(
        &self,
        verb: Verb,
        mut request: Request<Vec<u8>>,
        token: Option<&crate::choose::Secret>,
        deadline: Deadline,
    ) -> Result<Response<Body>, Failure> {
        if let Some(token) = token {
            let mut value =
                HeaderValue::from_str(&format!("Bearer {}", token.reveal())).map_err(|_| {
                    Failure::Credentials("the token has characters that none has".to_owned())
                })?;
            value.set_sensitive(true);
            request.headers_mut().insert(AUTHORIZATION, value);
        }
        if let Some(pace) = &self.pace {
            pace.wait().await;
        }
        let counter = match verb {
            Verb::Read => &self.reads,
            Verb::Write => &self.writes,
            Verb::Watch => &self.watches,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        let sent = self.inner.send(request.map(Body::from));
        let answer = match deadline.bound(deadline.whole(), sent).await {
            None => return Err(Failure::Late(deadline.whole())),
            Some(Err(error)) => {
                let detail = chain(&error);
                return Err(match was_refused(&error) {
                    true => Failure::Unsent(detail),
                    false => Failure::Lost(detail),
                });
            }
            Some(Ok(answer)) => answer,
        };
        let code = answer.status();
        if code.is_success() {
            return Ok(answer);
        }
        let after = answer
            .headers()
            .get(RETRY_AFTER)
            .and_then(|value| value.to_str().ok()?.parse().ok());
        let spoken = answer.headers().contains_key(SPOKEN_BY_API_SERVER);
        let body = whole(answer.into_body(), LONGEST_REFUSAL);
        let Some(body) = deadline.bound(deadline.whole(), body).await else {
            return Err(Failure::Late(deadline.whole()));
        };
        let mut status = Status::of(code.as_u16(), &body.unwrap_or_default());
        if let Some(seconds) = after {
            status.details.get_or_insert_default().retry_after_seconds = seconds;
        }
        // A load balancer without an API server behind it says so too, and would have everything be gone.
        if status.code == 404 && !spoken && !status.is_said() {
            return Err(Failure::Lost(format!(
                "something other than an API server says: {} (404)",
                status.message
            )));
        }
        Err(Failure::Status(status))
    }
}

fn builder(method: &'static str, path: &str) -> Request<Vec<u8>> {
    let mut request = Request::new(Vec::new());
    // Paths are made of escaped segments; one that is none all the same is answered with 404.
    *request.uri_mut() = path.parse().unwrap_or_default();
    *request.method_mut() = http::Method::from_bytes(method.as_bytes()).unwrap_or_default();
    let headers = request.headers_mut();
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    headers.insert(
        USER_AGENT,
        HeaderValue::from_static(concat!("calico-rs/", env!("CARGO_PKG_VERSION"))),
    );
    request
}

/// A URL without the name and password that it may have in it.
fn shown(url: &http::Uri) -> String {
    let text = url.to_string();
    let Some(authority) = url.authority().map(http::uri::Authority::as_str) else {
        return text;
    };
    match authority.rsplit_once('@') {
        Some((_, host)) => text.replacen(authority, host, 1),
        None => text,
    }
}

/// All of a body, which must not be longer than so many bytes.
async fn whole(body: Body, longest: usize) -> Result<Bytes, String> {
    let limited = http_body_util::Limited::new(body, longest);
    match limited.collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) => Err(format!("its answer broke off: {error}")),
    }
}

/// True if nobody listened, so that nothing was sent.
fn was_refused(error: &kube::Error) -> bool {
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = cause {
        if let Some(io) = error.downcast_ref::<std::io::Error>()
            && io.kind() == std::io::ErrorKind::ConnectionRefused
        {
            return true;
        }
        cause = error.source();
    }
    false
}

/// A revision as the number it is.
pub(super) fn revision(text: &str) -> Option<Revision> {
    text.parse().ok().map(Revision::new)
}

/// No more requests than so many a second on average, and so many at once.
struct Pace {
    interval: Duration,
    burst: Duration,
    /// When the next request would be due if none waited for another.
    next: tokio::sync::Mutex<Instant>,
}

impl Pace {
    fn new(qps: f32, burst: Option<u32>) -> Self {
        let interval = Duration::from_secs_f32(1.0 / qps.max(0.001));
        Self {
            interval,
            burst: interval * burst.unwrap_or(1).max(1),
            next: tokio::sync::Mutex::new(Instant::now()),
        }
    }

    async fn wait(&self) {
        let mut next = self.next.lock().await;
        let now = Instant::now();
        // What was not used is kept, up to a burst.
        *next = (*next).max(now.checked_sub(self.burst).unwrap_or(now)) + self.interval;
        let due = *next;
        drop(next);
        tokio::time::sleep_until(due.into()).await;
    }
}
