//! What can go wrong with a store behind a network, and what its user should look at.

use std::time::{Duration, Instant};

/// A store behind a network did not do what it was asked. Each text says what, which store, and what to check; none has a
/// secret in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RemoteError {
    /// No connection came about, or it was lost.
    #[error(
        "failed to {action} {store}: {detail}; check that it runs there, and that this host may reach it"
    )]
    Unreachable {
        /// What was being done, such as `read from`.
        action: &'static str,
        /// The store and where it was looked for, such as `etcd https://10.0.0.1:2379`.
        store: Box<str>,
        /// What happened.
        detail: Box<str>,
    },
    /// It did not answer in time.
    #[error(
        "failed to {action} {store}: no answer within {:.1} s{detail}; check that it is healthy, and the network between",
        .waited.as_secs_f64()
    )]
    Timeout {
        /// What was being done.
        action: &'static str,
        /// The store and where it is.
        store: Box<str>,
        /// How long was waited.
        waited: Duration,
        /// What is known besides, with its own punctuation; may be empty.
        detail: Box<str>,
    },
    /// It does not let this user in, or not do this.
    #[error(
        "failed to {action} {store}: {detail}; check the user, password, token or certificate, and what it may do"
    )]
    Denied {
        /// What was being done.
        action: &'static str,
        /// The store and where it is.
        store: Box<str>,
        /// What it said.
        detail: Box<str>,
    },
    /// It is there and cannot serve now: no leader, too many requests, a failure of its own.
    #[error("failed to {action} {store}: {detail}; it may recover on its own, its log says more")]
    Unavailable {
        /// What was being done.
        action: &'static str,
        /// The store and where it is.
        store: Box<str>,
        /// What it said.
        detail: Box<str>,
    },
    /// It answered, with something that makes no sense for this request.
    #[error("failed to {action} {store}: {detail}")]
    Failed {
        /// What was being done.
        action: &'static str,
        /// The store and where it is.
        store: Box<str>,
        /// What is wrong, and what would be right.
        detail: Box<str>,
    },
    /// What the user said of the store cannot be used.
    #[error("cannot use {store}: {detail}")]
    Settings {
        /// The store.
        store: Box<str>,
        /// Which setting, and what would be right.
        detail: Box<str>,
    },
    /// This process is giving the store up.
    #[error("{store} is being closed")]
    Closed {
        /// The store.
        store: Box<str>,
    },
}

/// Why one who follows a store hears nothing for now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// What went wrong, for people.
    pub why: String,
    /// Since when.
    pub since: Instant,
}
