//! The feed of this store: one streaming list for each collection, which goes on as a watch.
//!
//! ```text
//! streaming list (or list, where the server has none) -> watch -> (connection lost) -> watch from where it ended
//!         ^                                                |
//!         +----- position forgotten, server set back <----+         kind not there: empty, looked for again
//! ```
//!
//! Each collection heals by itself; the feed is in sync when each has said everything once.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use api::Kind;
use api::kubernetes::{Group, Listing, collections, listings};

use super::client::Client;
use super::lines::{End, Lines, Notice};
use super::read::{escaped, list};
use super::status::{Failure, pause};
use super::told::{Order, Told};
use crate::feed::{Feed, FeedEvent, FeedState, Pusher, pushed};
use crate::remote::{Backoff, Lost, Reactor};
use crate::{Revision, Trouble};

/// A watch that lived so long was a good one, whatever ended it.
const GOOD: Duration = Duration::from_secs(5);
/// A streaming list of which nothing at all comes for so long is one that the server's store cannot do.
const INITIAL_SILENCE: Duration = Duration::from_secs(15);
/// A wait that a server asks for counts no further than this.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// How long a missing kind waits at most until it is looked for again.
const LOOK_AGAIN: Duration = Duration::from_secs(4);
/// Those who must list again do so within this time.
const SPREAD: Duration = Duration::from_secs(1);

/// Begins to follow.
pub(super) fn follow(
    reactor: &Reactor,
    client: &Arc<Client>,
    prefixes: &[&str],
) -> io::Result<Feed> {
    let (pusher, source) = pushed()?;
    let prefixes: Vec<String> = match prefixes {
        [] => vec![String::new()],
        some => some.iter().map(|&prefix| prefix.to_owned()).collect(),
    };
    let client = client.clone();
    let task = reactor.spawn(async move {
        run(&client, pusher, prefixes).await;
    });
    Ok(Feed::pushed(source.filled_by(task)))
}

/// Finds out what there is to follow, and follows it until the reader is gone.
async fn run(client: &Arc<Client>, pusher: Pusher, prefixes: Vec<String>) {
    let mut backoff = Backoff::default();
    let since = Instant::now();
    let group = loop {
        match client.group().await {
            Ok(group) => break group,
            Err(error) => {
                pusher.count(|stats| stats.failures += 1);
                pusher.doing(FeedState::Retrying {
                    why: error.to_string(),
                    since,
                });
                tokio::time::sleep(backoff.after_failure()).await;
            }
        }
    };
    let wanted = wanted(&prefixes, group);
    let prefixes: Arc<[String]> = prefixes.into();
    let board = Arc::new(Board::new(pusher, wanted.len()));
    let followers = wanted
        .into_iter()
        .enumerate()
        .map(|(number, listing)| Follower {
            told: Told::default(),
            client: client.clone(),
            board: board.clone(),
            number,
            listing,
            prefixes: prefixes.clone(),
            position: None,
            backoff: Backoff::default(),
            since: None,
        });
    futures::future::join_all(followers.map(Follower::run)).await;
}

/// Each collection once. Namespaces and service accounts are not said a second time as the profiles that stand for them.
fn wanted(prefixes: &[String], group: Group) -> Vec<Listing> {
    let mut wanted: Vec<Listing> = Vec::new();
    for listing in prefixes.iter().flat_map(|prefix| listings(prefix, group)) {
        if !wanted.contains(&listing) {
            wanted.push(listing);
        }
    }
    let has = |kind| wanted.iter().any(|one| one.collection.kind() == kind);
    if has(Kind::Namespace) && has(Kind::ServiceAccount) {
        wanted.retain(|one| one.collection.kind() != Kind::Profile);
    }
    wanted
}

/// What the collections of one feed are doing, all together.
struct Board {
    pusher: Pusher,
    state: Mutex<BTreeMap<usize, Doing>>,
}

#[derive(Clone)]
enum Doing {
    Connecting,
    Listing,
    InSync,
    /// In trouble; whether it has ever been in sync.
    Trouble(Trouble, Synced),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Synced {
    Yes,
    No,
}

impl Board {
    fn new(pusher: Pusher, collections: usize) -> Self {
        let state = (0..collections)
            .map(|number| (number, Doing::Connecting))
            .collect();
        let board = Self {
            pusher,
            state: Mutex::new(state),
        };
        if collections == 0 {
            board.pusher.push(FeedEvent::InSync);
            board.pusher.doing(FeedState::InSync);
        }
        board
    }

    /// One collection does something else; the whole is as far as its least.
    fn set(&self, number: usize, doing: Doing) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let has_been = |doing: &Doing| match doing {
            Doing::InSync | Doing::Trouble(_, Synced::Yes) => true,
            Doing::Connecting | Doing::Listing | Doing::Trouble(_, Synced::No) => false,
        };
        let before = state.values().all(has_been);
        // A listing after the first leaves what was said true until it says otherwise.
        let keeps = state.get(&number).is_some_and(has_been) && !has_been(&doing);
        let doing = match (doing, keeps) {
            (Doing::Trouble(trouble, _), true) => Doing::Trouble(trouble, Synced::Yes),
            (Doing::Connecting | Doing::Listing, true) => return,
            (doing, _) => doing,
        };
        state.insert(number, doing);
        if !before && state.values().all(has_been) {
            self.pusher.push(FeedEvent::InSync);
        }
        let trouble = state.values().filter_map(|doing| match doing {
            Doing::Trouble(trouble, _) => Some(trouble),
            Doing::Connecting | Doing::Listing | Doing::InSync => None,
        });
        let whole = if let Some(trouble) = trouble.min_by_key(|trouble| trouble.since) {
            FeedState::Retrying {
                why: trouble.why.clone(),
                since: trouble.since,
            }
        } else if state.values().all(has_been) {
            FeedState::InSync
        } else if state.values().any(|doing| matches!(doing, Doing::Listing)) {
            FeedState::Listing
        } else {
            FeedState::Connecting
        };
        drop(state);
        self.pusher.doing(whole);
    }
}

/// Follows one collection.
struct Follower {
    client: Arc<Client>,
    board: Arc<Board>,
    number: usize,
    listing: Listing,
    prefixes: Arc<[String]>,
    told: Told,
    /// All up to here was said; `None`: everything is to be listed.
    position: Option<Revision>,
    backoff: Backoff,
    /// Since when it is in trouble.
    since: Option<Instant>,
}

/// How one attempt ended.
enum Attempt {
    /// The watch ended as watches do.
    Over,
    /// Something went wrong; so long it waits before the next one.
    Failed(String, Duration),
    /// The server does not know the collection.
    Missing,
    /// The position cannot be used any more.
    Forgotten,
    /// The server makes no streaming lists.
    NoStreaming,
}

impl Follower {
    /// Goes on until the reader is gone.
    async fn run(mut self) {
        let mut streaming = true;
        loop {
            let began = Instant::now();
            let attempt = match (self.position, streaming) {
                (None, true) => self.stream().await,
                (None, false) => self.list().await,
                (Some(from), _) => self.watch(from).await,
            };
            let attempt = match attempt {
                Ok(attempt) => attempt,
                Err(Lost) => return,
            };
            match attempt {
                Attempt::Over => {
                    if began.elapsed() >= GOOD {
                        self.backoff.reset();
                    } else {
                        tokio::time::sleep(self.backoff.after_failure()).await;
                    }
                }
                Attempt::Failed(why, pause) => {
                    self.failed(why);
                    tokio::time::sleep(pause).await;
                }
                Attempt::Missing => {
                    if self.await_definition().await.is_err() {
                        return;
                    }
                }
                Attempt::Forgotten => {
                    self.position = None;
                    let pause = self.backoff.up_to(SPREAD);
                    tokio::time::sleep(pause).await;
                }
                Attempt::NoStreaming => streaming = false,
            }
        }
    }

    fn failed(&mut self, why: String) {
        self.board.pusher.count(|stats| stats.failures += 1);
        tracing::debug!(collection = self.listing.collection.plural(), %why, "following failed");
        let since = *self.since.get_or_insert_with(Instant::now);
        let trouble = Trouble { why, since };
        self.board
            .set(self.number, Doing::Trouble(trouble, Synced::No));
    }

    fn well(&mut self, doing: Doing) {
        self.since = None;
        self.board.set(self.number, doing);
    }

    /// `&watch..` or `?limit..`: the path with its query.
    fn path(&self, query: &str) -> String {
        let Listing {
            collection,
            namespace,
            selector,
        } = &self.listing;
        let selector = selector
            .as_ref()
            .map(|text| format!("&labelSelector={}", escaped(text)));
        format!(
            "{}?watch=true&allowWatchBookmarks=true{query}{}",
            collection.path(namespace.as_deref()),
            selector.unwrap_or_default()
        )
    }

    /// A list that goes on as a watch, in one request (KEP-3157).
    async fn stream(&mut self) -> Result<Attempt, Lost> {
        let path = self.path("&sendInitialEvents=true&resourceVersionMatch=NotOlderThan");
        let answer = match self.client.watch(&path).await {
            Ok(answer) => answer,
            Err(Failure::Status(status)) if matches!(status.code, 400 | 422) => {
                return Ok(Attempt::NoStreaming);
            }
            Err(failure) => return Ok(self.refused(failure)),
        };
        self.board.pusher.count(|stats| stats.lists += 1);
        self.well(Doing::Listing);
        self.told.begin();
        let mut lines = Lines::new(self.listing.collection, answer);
        loop {
            let next = tokio::time::timeout(INITIAL_SILENCE, lines.next()).await;
            let notice = match next {
                Err(_) => return Ok(Attempt::NoStreaming),
                Ok(Err(end)) => return Ok(self.ended(&end)),
                Ok(Ok(notice)) => notice,
            };
            if let Notice::Initial(at) = notice {
                self.complete(at).await?;
                break;
            }
            self.take(notice, Order::Listed).await?;
        }
        self.drain(lines).await
    }

    /// A list, page by page, after which a watch begins.
    async fn list(&mut self) -> Result<Attempt, Lost> {
        let page = match list(&self.client, &self.listing).await {
            Ok(Some(page)) => page,
            Ok(None) => return Ok(Attempt::Missing),
            Err(failure) => return Ok(self.refused(failure)),
        };
        self.board.pusher.count(|stats| stats.lists += 1);
        self.well(Doing::Listing);
        self.told.begin();
        for reading in page.readings {
            let events = self.told.present(reading, Order::Listed);
            self.say(events).await?;
        }
        self.complete(page.revision).await?;
        Ok(Attempt::Over)
    }

    async fn watch(&mut self, from: Revision) -> Result<Attempt, Lost> {
        let path = self.path(&format!("&resourceVersion={from}"));
        let answer = match self.client.watch(&path).await {
            Ok(answer) => answer,
            Err(failure) => return Ok(self.refused(failure)),
        };
        self.well(Doing::InSync);
        self.drain(Lines::new(self.listing.collection, answer))
            .await
    }

    /// Says what comes until the watch ends.
    async fn drain(&mut self, mut lines: Lines) -> Result<Attempt, Lost> {
        loop {
            match lines.next().await {
                Ok(notice) => self.take(notice, Order::Watched).await?,
                Err(end) => return Ok(self.ended(&end)),
            }
        }
    }

    async fn take(&mut self, notice: Notice, order: Order) -> Result<(), Lost> {
        let (events, at) = match notice {
            Notice::Present(reading) => {
                for problem in &reading.problems {
                    tracing::warn!(object = %reading.object.text(), %problem, "a part of an object has no effect");
                }
                let at = Revision::new(reading.revision);
                (self.told.present(reading, order), at)
            }
            Notice::Gone(reading) => {
                let at = Revision::new(reading.revision);
                (self.told.gone(&reading.object).into_iter().collect(), at)
            }
            Notice::Unreadable(unreadable) => {
                tracing::warn!(%unreadable, "object counts as absent");
                let object = unreadable.object.as_ref();
                let event = object.and_then(|object| self.told.gone(object));
                (event.into_iter().collect(), Revision::ZERO)
            }
            Notice::Position(at) | Notice::Initial(at) => (Vec::new(), at),
        };
        self.say(events).await?;
        // Within a list the objects come in any order: only its end is a position.
        if order == Order::Watched {
            self.position = self.position.max(Some(at));
        }
        Ok(())
    }

    /// Everything was listed, as of `at`.
    async fn complete(&mut self, at: Revision) -> Result<(), Lost> {
        let events = self.told.end();
        self.say(events).await?;
        self.position = Some(at);
        self.backoff.reset();
        self.well(Doing::InSync);
        Ok(())
    }

    async fn say(&self, events: Vec<FeedEvent>) -> Result<(), Lost> {
        self.board.pusher.room().await?;
        for event in events {
            let key = match &event {
                FeedEvent::Put(entry) => &entry.key,
                FeedEvent::Delete { key } => key,
                FeedEvent::InSync => continue,
            };
            if self.prefixes.iter().any(|prefix| key.starts_with(prefix)) {
                self.board.pusher.push(event);
            }
        }
        Ok(())
    }

    fn refused(&mut self, failure: Failure) -> Attempt {
        if let Some(status) = failure.status() {
            if status.code == 404 && self.listing.collection.may_be_missing() {
                return Attempt::Missing;
            }
            if status.is_expired() || (status.is_ahead() && self.position.is_some()) {
                return Attempt::Forgotten;
            }
        }
        let pause = failure.pause(LONGEST_PAUSE, &mut self.backoff);
        let error = failure.into_error("follow", self.client.shown());
        let what = self.listing.collection.plural();
        Attempt::Failed(format!("{what}: {error}"), pause)
    }

    fn ended(&mut self, end: &End) -> Attempt {
        match end {
            End::Closed(_) => Attempt::Over,
            End::Refused(status) if status.is_expired() || status.is_ahead() => Attempt::Forgotten,
            // It may be that the server is not as far as we think: then it never says anything.
            End::Silent => Attempt::Forgotten,
            End::Refused(_) | End::Garbled(_) => {
                let pause = pause(end.status(), LONGEST_PAUSE, &mut self.backoff);
                let what = self.listing.collection.plural();
                Attempt::Failed(format!("failed to follow {what}: {}", end.text()), pause)
            }
        }
    }

    /// Neither group may have been there when this began: it goes by the one that comes.
    async fn follow_group(&mut self) {
        let kind = self.listing.collection.kind();
        let Ok(group) = self.client.group().await else {
            return;
        };
        if let [collection] = collections(kind, group)[..] {
            self.listing.collection = collection;
        }
    }

    /// A kind that is not there is empty, until it is there.
    async fn await_definition(&mut self) -> Result<(), Lost> {
        self.told.begin();
        let events = self.told.end();
        self.say(events).await?;
        self.position = None;
        self.well(Doing::InSync);
        let mut pause = Duration::from_millis(500);
        loop {
            // All that are missing look at one answer.
            tokio::time::sleep(pause + self.backoff.up_to(pause / 4)).await;
            self.board.pusher.room().await?;
            self.follow_group().await;
            let discovery = self.client.discovery();
            let has = discovery
                .has(&self.client, self.listing.collection, pause / 2)
                .await;
            match has {
                Ok(true) => {
                    self.backoff.reset();
                    return Ok(());
                }
                Ok(false) => self.well(Doing::InSync),
                Err(failure) => {
                    pause = pause.max(failure.pause(LONGEST_PAUSE, &mut self.backoff));
                    let error = failure.into_error("follow", self.client.shown());
                    self.failed(error.to_string());
                    continue;
                }
            }
            pause = (pause * 2).min(LOOK_AGAIN);
        }
    }
}
