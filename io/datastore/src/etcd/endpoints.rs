//! The members of the cluster, and how a request finds one that serves it.
//!
//! One member is used until it fails, then the next. Each attempt is bounded, and so is the whole; a request that may have
//! been carried out is not sent again unless it only reads.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use etcd_client::{Client, ConnectOptions, Error};

use super::failure::{Class, Failure};
use super::{identity, srv};
use crate::EtcdSettings;
use crate::remote::{Backoff, CONNECT_TIMEOUT, Deadline, RemoteError};

/// How often all members are tried before a request counts as failed.
const ROUNDS: usize = 3;
/// A peer that is gone is noticed within these two together, while a request or a watch is under way.
const PING_EVERY: Duration = Duration::from_secs(10);
const PING_TIMEOUT: Duration = Duration::from_secs(5);

/// Whether a request that may have been carried out may be sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Again {
    /// It only reads.
    Harmless,
    /// It writes.
    Harmful,
}

/// The members, and the connections to them.
pub(super) struct Endpoints {
    settings: EtcdSettings,
    request_timeout: Duration,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    urls: Vec<String>,
    /// Which of them is used.
    current: usize,
    clients: BTreeMap<String, Client>,
}

/// A member, and a connection to it.
#[derive(Clone)]
pub(super) struct Member {
    pub(super) url: String,
    pub(super) client: Client,
}

/// Why no member served a request.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) class: Class,
    pub(super) error: RemoteError,
}

impl Endpoints {
    pub(super) fn new(
        settings: &EtcdSettings,
        request_timeout: Duration,
    ) -> Result<Self, RemoteError> {
        let mut urls = Vec::new();
        for endpoint in &settings.endpoints {
            urls.push(url(settings, endpoint)?);
        }
        if urls.is_empty() && settings.discovery_srv.is_none() {
            return Err(RemoteError::Settings {
                store: "etcd".into(),
                detail: "no endpoint is given: set etcdEndpoints (ETCD_ENDPOINTS), such as https://10.0.0.1:2379, or etcdDiscoverySrv".into(),
            });
        }
        if urls.iter().any(|url| url.starts_with("https://")) {
            identity::check(settings)?;
        }
        Ok(Self {
            settings: settings.clone(),
            request_timeout,
            state: Mutex::new(State {
                urls,
                ..State::default()
            }),
        })
    }

    /// The cluster, for messages.
    pub(super) fn name(&self) -> Box<str> {
        let urls = self.lock().urls.join(", ");
        match (&self.settings.discovery_srv, urls.is_empty()) {
            (Some(domain), true) => format!("etcd of {domain}").into(),
            (Some(_) | None, _) => format!("etcd {urls}").into(),
        }
    }

    pub(super) fn deadline(&self) -> Deadline {
        Deadline::after(self.request_timeout)
    }

    /// Asks one member after the other until one answers.
    pub(super) async fn ask<T, F>(
        &self,
        action: &'static str,
        again: Again,
        deadline: Deadline,
        request: impl Fn(Client) -> F,
    ) -> Result<T, Failed>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let mut backoff = Backoff::default();
        let mut failures = BTreeMap::new();
        for round in 0..ROUNDS {
            if round > 0 {
                let _ = deadline
                    .bound(backoff.after_failure(), std::future::pending::<()>())
                    .await;
            }
            let members = self.members(deadline).await.map_err(|error| Failed {
                class: Class::Unreachable,
                error,
            })?;
            let share = deadline.whole() / u32::try_from(members).unwrap_or(u32::MAX).max(1);
            for _ in 0..members {
                if deadline.left().is_zero() && !failures.is_empty() {
                    return Err(told(action, failures));
                }
                let failure = match self.attempt(deadline, share, &request).await {
                    Ok(answer) => return Ok(answer),
                    Err((url, failure)) => {
                        let class = failure.class;
                        // A member that answers is kept, unless it has forgotten who we are.
                        if class.may_pass() || class == Class::Denied {
                            self.leave(&url);
                        }
                        failures.insert(url, failure);
                        class
                    }
                };
                let repeatable = failure.is_certain() || again == Again::Harmless;
                if !failure.may_pass() || !repeatable {
                    return Err(told(action, failures));
                }
            }
        }
        Err(told(action, failures))
    }

    async fn attempt<T, F>(
        &self,
        deadline: Deadline,
        share: Duration,
        request: impl Fn(Client) -> F,
    ) -> Result<T, (String, Failure)>
    where
        F: Future<Output = Result<T, Error>>,
    {
        // To authenticate is part of connecting, and nothing was sent yet if it fails.
        let waited = deadline.left().min(share);
        let member = match deadline.bound(share, self.member()).await {
            Some(member) => member?,
            None => {
                let url = self.url();
                let failure = Failure {
                    class: Class::Unreachable,
                    detail: format!("no answer within {:.1} s", waited.as_secs_f64()),
                };
                return Err((url, failure));
            }
        };
        match deadline.bound(share, request(member.client)).await {
            Some(Ok(answer)) => Ok(answer),
            Some(Err(error)) => Err((member.url, Failure::of(&error))),
            None => Err((member.url, Failure::no_answer(waited))),
        }
    }

    /// The member in use.
    pub(super) async fn member(&self) -> Result<Member, (String, Failure)> {
        let url = self.url();
        let known = self.lock().clients.get(&url).cloned();
        let client = match known {
            Some(client) => client,
            None => {
                let client = self
                    .connect(&url)
                    .await
                    .map_err(|failure| (url.clone(), failure))?;
                self.lock().clients.insert(url.clone(), client.clone());
                client
            }
        };
        Ok(Member { url, client })
    }

    /// Goes on to the next member, and forgets the connection: the next one is made of the certificates there are then, and
    /// authenticates anew.
    pub(super) fn leave(&self, url: &str) {
        let mut state = self.lock();
        state.clients.remove(url);
        let State { urls, current, .. } = &mut *state;
        if urls.get(*current).is_some_and(|now| now == url) {
            *current = (*current + 1) % urls.len().max(1);
            // All were tried: the cluster may have moved.
            if *current == 0 && self.settings.discovery_srv.is_some() {
                urls.clear();
            }
        }
    }

    /// How many members there are; they are discovered if that is wanted and not done.
    pub(super) async fn members(&self, deadline: Deadline) -> Result<usize, RemoteError> {
        let known = self.lock().urls.len();
        let Some(domain) = self.settings.discovery_srv.as_ref().filter(|_| known == 0) else {
            return Ok(known);
        };
        let found = srv::discover(domain, deadline).await?;
        let mut urls = Vec::new();
        for endpoint in &found {
            urls.push(url(&self.settings, endpoint)?);
        }
        let mut state = self.lock();
        state.urls = urls;
        state.current = 0;
        Ok(state.urls.len())
    }

    fn url(&self) -> String {
        let state = self.lock();
        state.urls.get(state.current).cloned().unwrap_or_default()
    }

    async fn connect(&self, url: &str) -> Result<Client, Failure> {
        let mut options = ConnectOptions::new()
            .with_connect_timeout(CONNECT_TIMEOUT)
            .with_keep_alive(PING_EVERY, PING_TIMEOUT)
            .with_require_leader(true)
            .with_auto_token_refresh(true);
        if let (Some(user), Some(password)) = (&self.settings.username, &self.settings.password) {
            options = options.with_user(user, password.reveal());
        }
        if let Some(host) = url.strip_prefix("https://") {
            let host = host.rsplit_once(':').map_or(host, |(host, _)| host);
            let tls = identity::tls(&self.settings, host).map_err(|error| Failure {
                class: Class::Refused,
                detail: error.to_string(),
            })?;
            options = options.with_tls(tls);
        }
        Client::connect([url], Some(options))
            .await
            .map_err(|error| Failure::of(&error))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No code under this lock leaves the state half changed, so a panic elsewhere does not spoil it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What all attempts together say; the last one's kind decides, and each member is named with its own trouble.
fn told(action: &'static str, failures: BTreeMap<String, Failure>) -> Failed {
    let urls: Vec<&str> = failures.keys().map(String::as_str).collect();
    let store = format!("etcd {}", urls.join(", ")).into_boxed_str();
    let worst = failures.values().map(|failure| failure.class);
    // Whether it may have been carried out matters most.
    let class = worst
        .max_by_key(|class| (!class.is_certain(), !class.may_pass()))
        .unwrap_or(Class::Unreachable);
    let several = failures.len() > 1;
    let texts: Vec<String> = failures
        .iter()
        .map(|(url, failure)| match (&*failure.detail, several) {
            ("", true) => format!("{url}: no answer"),
            (detail, true) => format!("{url}: {detail}"),
            (detail, false) => detail.to_owned(),
        })
        .collect();
    let mut detail = texts.join("; ");
    if let (Class::NoAnswer(_), true) = (class, several) {
        detail = format!(" ({detail})");
    }
    Failed {
        class,
        error: Failure { class, detail }.told(action, store),
    }
}

/// A member's URL, made whole and checked.
fn url(settings: &EtcdSettings, endpoint: &str) -> Result<String, RemoteError> {
    let unusable = |what: &str| RemoteError::Settings {
        store: "etcd".into(),
        detail: format!("the endpoint {endpoint:?} {what}, such as https://10.0.0.1:2379").into(),
    };
    let secured = settings.ca_cert.is_some() || settings.cert.is_some();
    let whole = match endpoint.split_once("://") {
        Some(("http" | "https", _)) => endpoint.to_owned(),
        Some(_) => return Err(unusable("must be an http or https URL")),
        None if secured => format!("https://{endpoint}"),
        None => format!("http://{endpoint}"),
    };
    let whole = whole.strip_suffix('/').unwrap_or(&whole).to_owned();
    let uri: http::Uri = whole
        .parse()
        .map_err(|_| unusable("is no URL; it must be one"))?;
    if uri.host().is_none_or(str::is_empty) || uri.path().len() > 1 {
        return Err(unusable("must be a scheme, a host and a port and no more"));
    }
    // What is missing is etcd's own port for clients.
    match uri.port_u16() {
        Some(_) => Ok(whole),
        None => Ok(format!("{whole}:2379")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Material;

    #[test]
    fn endpoints_are_made_whole_or_refused() {
        let plain = EtcdSettings::default();
        let secured = EtcdSettings {
            ca_cert: Some(Material::File("/ca".into())),
            ..EtcdSettings::default()
        };
        let of = |settings, text| url(settings, text).map_err(|error| error.to_string());
        assert_eq!(of(&plain, "http://a:1/"), Ok("http://a:1".into()));
        assert_eq!(of(&plain, "a:1"), Ok("http://a:1".into()));
        assert_eq!(of(&secured, "10.0.0.1"), Ok("https://10.0.0.1:2379".into()));
        assert_eq!(
            of(&secured, "https://[fd00::1]:9"),
            Ok("https://[fd00::1]:9".into())
        );
        for wrong in [
            "unix:///x",
            "http://",
            "http://a b",
            "http://a:1/path",
            "://",
        ] {
            let text = of(&plain, wrong).expect_err(wrong);
            assert!(
                text.contains(wrong) && text.ends_with("https://10.0.0.1:2379"),
                "{text}"
            );
        }
    }

    #[test]
    fn no_endpoint_is_said_at_once() {
        let text = Endpoints::new(&EtcdSettings::default(), Duration::from_secs(1))
            .err()
            .map(|error| error.to_string());
        assert!(text.is_some_and(|text| text.contains("etcdEndpoints (ETCD_ENDPOINTS)")));
    }
}
