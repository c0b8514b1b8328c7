//! Watches from a revision: one for each collection, all into one queue.

use std::collections::HashSet;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use api::kubernetes::{Group, Listing, Reading, listings};

use super::client::Client;
use super::lines::{End, Lines, Notice};
use super::read::escaped;
use super::status::{Status, pause};
use crate::remote::{Backoff, Limits, Lost, Reactor, Sink, queue};
use crate::{Entry, Event, Revision, Watch};

/// A wait that a server asks for counts no further than this.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// A watch that lived so long was a good one, whatever ended it.
const GOOD: Duration = Duration::from_secs(5);

/// Begins watches of all collections that have keys with any of `prefixes`. Those of one collection come in order; of two
/// collections each has its own.
pub(super) fn watch(
    reactor: &Reactor,
    client: &Arc<Client>,
    group: Group,
    prefixes: &[&str],
    from: Revision,
) -> io::Result<Watch> {
    let (sink, source) = queue(from, Limits::default())?;
    let sink = Arc::new(sink);
    let prefixes: Arc<[String]> = match prefixes {
        [] => [String::new()].into(),
        some => some.iter().map(|&prefix| prefix.to_owned()).collect(),
    };
    // An API server has no changes since its beginning.
    if from == Revision::ZERO {
        sink.lose(from);
        return Ok(Watch::remote(source));
    }
    let mut wanted: Vec<Listing> = Vec::new();
    for listing in prefixes.iter().flat_map(|prefix| listings(prefix, group)) {
        if !wanted.contains(&listing) {
            wanted.push(listing);
        }
    }
    let watchers: Vec<Watcher> = wanted
        .into_iter()
        .map(|listing| Watcher {
            client: client.clone(),
            sink: sink.clone(),
            listing,
            prefixes: prefixes.clone(),
            position: from,
            gone: HashSet::new(),
        })
        .collect();
    let task = reactor.spawn(async move {
        futures::future::join_all(watchers.into_iter().map(Watcher::run)).await;
    });
    Ok(Watch::remote(source.filled_by(task)))
}

struct Watcher {
    client: Arc<Client>,
    sink: Arc<Sink>,
    listing: Listing,
    prefixes: Arc<[String]>,
    position: Revision,
    /// Keys said to be gone, which are not said to be gone twice.
    gone: HashSet<Box<str>>,
}

impl Watcher {
    async fn run(mut self) {
        let mut backoff = Backoff::default();
        loop {
            let began = Instant::now();
            let Err(ended) = self.watch().await;
            if began.elapsed() >= GOOD {
                backoff.reset();
            }
            let pause = match ended {
                Ended::Unwanted => return,
                Ended::Forgotten => {
                    self.sink.lose(self.position);
                    return;
                }
                Ended::Over => backoff.after_failure(),
                Ended::Failed(why, status) => {
                    self.sink.trouble(Some(why));
                    pause(status.as_ref(), LONGEST_PAUSE, &mut backoff)
                }
            };
            tokio::time::sleep(pause).await;
        }
    }

    async fn watch(&mut self) -> Result<std::convert::Infallible, Ended> {
        let Listing {
            collection,
            namespace,
            selector,
        } = &self.listing;
        let selector = selector
            .as_ref()
            .map(|text| format!("&labelSelector={}", escaped(text)));
        let path = format!(
            "{}?watch=true&allowWatchBookmarks=true&resourceVersion={}{}",
            collection.path(namespace.as_deref()),
            self.position,
            selector.unwrap_or_default()
        );
        let collection = *collection;
        let answer = match self.client.watch(&path).await {
            Ok(answer) => answer,
            Err(failure) => {
                if let Some(status) = failure.status()
                    && (status.is_expired() || status.is_ahead())
                {
                    return Err(Ended::Forgotten);
                }
                // A kind that is not there has no changes.
                if failure.code() == Some(404) && collection.may_be_missing() {
                    return Err(Ended::Over);
                }
                let status = failure.status().cloned();
                let error = failure.into_error("watch", self.client.shown());
                return Err(Ended::Failed(error.to_string(), status));
            }
        };
        self.sink.trouble(None);
        let mut lines = Lines::new(collection, answer);
        loop {
            let mut events = Vec::new();
            let mut next = lines.next().await;
            // What is here already goes in one batch.
            let end = loop {
                match next {
                    Ok(notice) => events.extend(self.event(notice)),
                    Err(end) => break Some(end),
                }
                match lines.ready() {
                    Some(more) => next = more,
                    None => break None,
                }
            };
            self.sink
                .push(events, self.position)
                .map_err(|Lost| Ended::Unwanted)?;
            if let Some(end) = end {
                return Err(Ended::of(&end));
            }
        }
    }

    fn event(&mut self, notice: Notice) -> Option<Event> {
        let (reading, is_gone) = match notice {
            Notice::Present(reading) => {
                let gone = reading.value.is_none();
                (reading, gone)
            }
            Notice::Gone(reading) => (reading, true),
            Notice::Position(at) | Notice::Initial(at) => {
                self.position = self.position.max(at);
                return None;
            }
            Notice::Unreadable(unreadable) => {
                tracing::warn!(%unreadable, "object counts as absent");
                return None;
            }
        };
        let Reading {
            revision,
            key,
            value,
            ..
        } = reading;
        let revision = Revision::new(revision);
        self.position = self.position.max(revision);
        let key: Box<str> = key?.into();
        if !self.prefixes.iter().any(|prefix| key.starts_with(prefix)) {
            return None;
        }
        if is_gone {
            let is_new = self.gone.insert(key.clone());
            return is_new.then_some(Event::Delete { key, revision });
        }
        self.gone.remove(&key);
        Some(Event::Put(Entry {
            key,
            value: value?,
            revision,
        }))
    }
}

enum Ended {
    /// Nobody reads any more.
    Unwanted,
    /// The position cannot be used any more.
    Forgotten,
    /// As watches end.
    Over,
    /// Something went wrong; what the server said, if it did.
    Failed(String, Option<Status>),
}

impl Ended {
    fn of(end: &End) -> Self {
        match end {
            End::Closed(_) => Self::Over,
            End::Silent => Self::Forgotten,
            End::Refused(status) if status.is_expired() || status.is_ahead() => Self::Forgotten,
            End::Refused(_) | End::Garbled(_) => Self::Failed(end.text(), end.status().cloned()),
        }
    }
}
