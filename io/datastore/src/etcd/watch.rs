//! Following: one stream for one watch, begun again where it ended when it is lost, with the next member.

use std::sync::Arc;
use std::time::Duration;

use etcd_client::proto::{PbEvent, PbWatchResponse};
use etcd_client::{Client, GetOptions, WatchOptions, WatchRequestSender, WatchResponseStream};

use super::endpoints::{Again, Member};
use super::failure::Failure;
use super::read::{MAX_ANSWER_BYTES, entry, range_of};
use super::{Counts, Shared};
use crate::remote::{Backoff, Lost, Sink};
use crate::{Event, Revision};

/// How often a quiet stream is asked how far it is, so that what it would begin again from is not long compacted.
const PROGRESS_EVERY: Duration = Duration::from_secs(60);
/// How long the beginning of a stream may take.
const BEGIN_TIMEOUT: Duration = Duration::from_secs(5);

/// The work that fills one watch's queue.
pub(super) struct Follower {
    shared: Arc<Shared>,
    prefixes: Vec<Box<str>>,
    position: Revision,
    sink: Sink,
    backoff: Backoff,
    /// Events of a revision that has not been sent whole yet.
    pieces: Vec<Event>,
    /// Who answered first: a cluster made anew has another history.
    cluster: Option<u64>,
}

/// Why a stream ended.
enum End {
    /// The watcher lists again, or is gone.
    Over,
    /// It goes on with another stream.
    Failed(String),
}

impl From<Lost> for End {
    fn from(Lost: Lost) -> Self {
        Self::Over
    }
}

/// Whether what a stream says of its progress can be relied on.
///
/// Etcd before 3.4.25 and 3.5.8 may answer a request for it before events that it has not sent yet (etcd issue 15220).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    Asked,
    NotAsked,
}

struct Stream {
    url: String,
    requests: WatchRequestSender,
    answers: WatchResponseStream,
    progress: Progress,
}

impl Follower {
    pub(super) fn new(shared: Arc<Shared>, prefixes: &[&str], from: Revision, sink: Sink) -> Self {
        Self {
            shared,
            prefixes: prefixes.iter().map(|&prefix| prefix.into()).collect(),
            position: from,
            sink,
            backoff: Backoff::default(),
            pieces: Vec::new(),
            cluster: None,
        }
    }

    pub(super) async fn run(mut self) {
        loop {
            let end = match self.begin().await {
                Ok(stream) => self.follow(stream).await,
                Err(end) => end,
            };
            let End::Failed(why) = end else { return };
            self.pieces.clear();
            self.sink.trouble(Some(why));
            tokio::time::sleep(self.backoff.after_failure()).await;
            Counts::add(&self.shared.counts.watches);
        }
    }

    /// Opens a stream at the member in use.
    async fn begin(&mut self) -> Result<Stream, End> {
        let endpoints = &self.shared.endpoints;
        let deadline = endpoints.deadline();
        endpoints
            .members(deadline)
            .await
            .map_err(|error| End::Failed(error.to_string()))?;
        let member = deadline.bound(BEGIN_TIMEOUT, endpoints.member()).await;
        let Member { url, client } = match member {
            Some(Ok(member)) => member,
            Some(Err((url, failure))) => return Err(self.failed(&url, failure)),
            None => return Err(End::Failed(self.no_answer())),
        };
        // Nothing more than a hint, so a failure to say it is none.
        let progress = match deadline.bound(BEGIN_TIMEOUT, version(client.clone())).await {
            Some(Some(version)) if tells_progress(&version) => Progress::Asked,
            Some(_) | None => Progress::NotAsked,
        };
        let (from, end) = range_of(common(&self.prefixes).as_bytes());
        let options = WatchOptions::new()
            .with_range(end)
            .with_start_revision(super::number(self.position) + 1)
            .with_fragment()
            .with_progress_notify();
        let mut watches = client
            .watch_client()
            .max_decoding_message_size(MAX_ANSWER_BYTES);
        match deadline
            .bound(BEGIN_TIMEOUT, watches.watch(from, Some(options)))
            .await
        {
            Some(Ok(stream)) => {
                let (requests, answers) = stream.split();
                Ok(Stream {
                    url,
                    requests,
                    answers,
                    progress,
                })
            }
            Some(Err(error)) => Err(self.failed(&url, Failure::of(&error))),
            None => Err(self.failed(&url, Failure::no_answer(BEGIN_TIMEOUT))),
        }
    }

    async fn follow(&mut self, mut stream: Stream) -> End {
        loop {
            let answer = tokio::time::timeout(PROGRESS_EVERY, stream.answers.message()).await;
            let answer = match answer {
                Ok(Ok(Some(answer))) => answer.0,
                Ok(Ok(None)) => return self.lost_stream(&stream.url, "it ended the stream"),
                Ok(Err(error)) => return self.failed(&stream.url, Failure::of(&error)),
                Err(_) => {
                    let asked = match stream.progress {
                        Progress::NotAsked => Ok(()),
                        Progress::Asked => stream.requests.request_progress().await,
                    };
                    match asked {
                        Ok(()) => continue,
                        Err(error) => return self.failed(&stream.url, Failure::of(&error)),
                    }
                }
            };
            if let Err(end) = self.take(&stream, answer).await {
                return end;
            }
        }
    }

    async fn take(&mut self, stream: &Stream, answer: PbWatchResponse) -> Result<(), End> {
        if answer.compact_revision > 0 {
            // Etcd says the first revision that is left.
            self.lose(answer.compact_revision - 1);
            return Err(End::Over);
        }
        if answer.canceled {
            let why = format!("it refused the watch: {}", answer.cancel_reason);
            return Err(self.lost_stream(&stream.url, &why));
        }
        let header = answer.header.as_ref();
        let cluster = header.map(|header| header.cluster_id);
        let head = header.and_then(|header| super::revision(header.revision));
        if self.cluster.is_some() && cluster.is_some() && self.cluster != cluster {
            self.lose(super::number(self.position));
            return Err(End::Over);
        }
        self.cluster = cluster.or(self.cluster);
        if answer.created {
            if head.is_some_and(|head| head < self.position) {
                self.look_for_lost_history().await?;
            }
            self.backoff.reset();
            self.sink.trouble(None);
            return Ok(());
        }
        let events = answer.events;
        if events.is_empty() {
            // An answer to no watch in particular is one that was asked for.
            let told = answer.watch_id >= 0 || stream.progress == Progress::Asked;
            return match head.filter(|_| told) {
                Some(head) => self.hand_over(Vec::new(), head),
                None => Ok(()),
            };
        }
        for event in events {
            self.pieces.extend(self.event(event));
        }
        if answer.fragment {
            return Ok(());
        }
        let pieces = std::mem::take(&mut self.pieces);
        let last = pieces.iter().map(revision_of).max();
        match last {
            Some(last) => self.hand_over(pieces, last),
            None => Ok(()),
        }
    }

    fn hand_over(&mut self, mut events: Vec<Event>, revision: Revision) -> Result<(), End> {
        events.retain(|event| self.wants(event));
        self.position = self.position.max(revision);
        Ok(self.sink.push(events, self.position)?)
    }

    /// A store whose newest revision is older than what was seen has lost its history, unless this one member only lags.
    async fn look_for_lost_history(&mut self) -> Result<(), End> {
        let endpoints = &self.shared.endpoints;
        let request = |client: Client| async move {
            let options = GetOptions::new().with_count_only();
            client.kv_client().get([0], Some(options)).await
        };
        let answer = endpoints
            .ask("read from", Again::Harmless, endpoints.deadline(), request)
            .await
            .map_err(|failed| End::Failed(failed.error.to_string()))?;
        let head = answer.header().map_or(0, |header| header.revision());
        if head < super::number(self.position) {
            self.lose(head);
            return Err(End::Over);
        }
        Ok(())
    }

    fn lose(&self, compacted: i64) {
        let compacted = u64::try_from(compacted).unwrap_or(0);
        self.sink.lose(Revision::new(compacted));
    }

    fn failed(&self, url: &str, failure: Failure) -> End {
        self.shared.endpoints.leave(url);
        End::Failed(
            failure
                .told("watch", format!("etcd {url}").into())
                .to_string(),
        )
    }

    fn lost_stream(&self, url: &str, why: &str) -> End {
        self.shared.endpoints.leave(url);
        End::Failed(format!("failed to watch etcd {url}: {why}"))
    }

    fn no_answer(&self) -> String {
        let name = self.shared.endpoints.name();
        Failure::no_answer(BEGIN_TIMEOUT)
            .told("watch", name)
            .to_string()
    }

    fn event(&self, event: PbEvent) -> Option<Event> {
        let kv = event.kv?;
        // A key that is there has a version; its removal has none. The event's own type says the same, if it is known.
        if kv.version > 0 {
            return entry(kv).map(Event::Put);
        }
        let gone = entry(kv)?;
        Some(Event::Delete {
            key: gone.key,
            revision: gone.revision,
        })
    }

    fn wants(&self, event: &Event) -> bool {
        let key = match event {
            Event::Put(entry) => &entry.key,
            Event::Delete { key, .. } => key,
            Event::Resync { .. } => return true,
        };
        let mut prefixes = self.prefixes.iter();
        self.prefixes.is_empty() || prefixes.any(|prefix| key.starts_with(&**prefix))
    }
}

fn revision_of(event: &Event) -> Revision {
    match event {
        Event::Put(entry) => entry.revision,
        Event::Delete { revision, .. } => *revision,
        Event::Resync { compacted } => *compacted,
    }
}

/// What all prefixes begin with: one watch for all of them keeps transactions whole.
fn common(prefixes: &[Box<str>]) -> &str {
    let Some((first, others)) = prefixes.split_first() else {
        return "";
    };
    let mut length = first.len();
    for other in others {
        let same = first.bytes().zip(other.bytes()).take_while(|(a, b)| a == b);
        length = length.min(same.count());
    }
    while !first.is_char_boundary(length) {
        length -= 1;
    }
    &first[..length]
}

async fn version(client: Client) -> Option<String> {
    let status = client.maintenance_client().status().await.ok()?;
    Some(status.version().to_owned())
}

fn tells_progress(version: &str) -> bool {
    let mut parts = version.split(['.', '-']).map(|part| part.parse().ok());
    let mut part = || parts.next().flatten().unwrap_or(0_u32);
    match (part(), part(), part()) {
        (3, 4, patch) => patch >= 25,
        (3, 5, patch) => patch >= 8,
        (major, minor, _) => (major, minor) > (3, 5),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_common_beginning_of_prefixes() {
        let of = |prefixes: &[&str]| {
            let prefixes: Vec<Box<str>> = prefixes.iter().map(|&prefix| prefix.into()).collect();
            common(&prefixes).to_owned()
        };
        assert_eq!(of(&[]), "");
        assert_eq!(of(&["/calico/a/"]), "/calico/a/");
        assert_eq!(of(&["/calico/a/", "/calico/b/", "/calico/"]), "/calico/");
        assert_eq!(of(&["/\u{e4}", "/\u{e5}"]), "/", "not within a character");
    }

    #[test]
    fn progress_is_asked_of_versions_that_tell_it_in_order() {
        for (version, tells) in [
            ("3.4.23", false),
            ("3.4.25", true),
            ("3.5.7", false),
            ("3.5.8", true),
            ("3.6.0-rc.1", true),
            ("3.3.27", false),
            ("4.0", true),
            ("", false),
        ] {
            assert_eq!(tells_progress(version), tells, "{version}");
        }
    }
}
