//! Reading keys and prefixes: one request a key, and one a page of each collection, several at a time.

use std::collections::BTreeMap;

use api::kubernetes::{
    Collection, Group, Listing, Place, Reading, listings, place, read as read_object,
};
use futures::stream::{StreamExt, TryStreamExt};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::client::{Client, revision};
use super::discovery::{Choice, Seen};
use super::status::Failure;
use crate::remote::RemoteError;
use crate::{Entry, Query, Revision, Snapshot};

/// So many requests at a time.
const AT_ONCE: usize = 8;
/// Objects in one answer.
const PAGE: u32 = 500;
/// A list of more answers has no end.
const MOST_PAGES: usize = 20_000;

/// One thing to ask for.
enum Job {
    /// One object, and all keys that are asked of it.
    Object(Vec<(String, Place)>),
    List(Listing),
}

impl Job {
    fn is(&self, wanted: &str) -> bool {
        match self {
            Job::Object(keys) => matches!(&keys[..], [(key, _)] if key == wanted),
            Job::List(_) => false,
        }
    }
}

impl Seen {
    fn found(self) -> Option<Found> {
        let reading = facet(&self.key, &self.place, &self.body?)?;
        Some(Found {
            entries: entry(reading).into_iter().collect(),
            listed: None,
        })
    }
}

/// What came of it.
#[derive(Default)]
struct Found {
    entries: Vec<Entry>,
    /// Of a list, as of when it is.
    listed: Option<Revision>,
}

/// An object and which one it is, before it is an entry.
pub(super) struct Page {
    /// The readable ones.
    pub(super) readings: Vec<Reading>,
    /// As of when the list is.
    pub(super) revision: Revision,
}

#[derive(Deserialize)]
struct ListBody<'a> {
    #[serde(default)]
    metadata: ListMeta,
    #[serde(borrow, default)]
    items: Option<Vec<&'a RawValue>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ListMeta {
    resource_version: String,
    #[serde(rename = "continue")]
    rest: String,
}

/// Reads all queries. Each list is a picture of one moment; between lists others may write, so the revision of the whole is
/// that of the oldest: a watch from there misses nothing.
pub(super) async fn read(client: &Client, queries: &[Query]) -> Result<Snapshot, RemoteError> {
    if queries.is_empty() {
        return Ok(Snapshot::default());
    }
    let Choice { group, seen } = client.choice().await?;
    let mut jobs = jobs(queries, group);
    // What was read a moment ago to find out the group is not read again.
    let known = seen.filter(|seen| {
        let before = jobs.len();
        jobs.retain(|job| !job.is(&seen.key));
        jobs.len() < before
    });
    let work = jobs.into_iter().map(|job| run(client, job));
    let mut found: Vec<Found> = futures::stream::iter(work)
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await
        .map_err(|failure| failure.into_error("read from", client.shown()))?;
    found.extend(known.and_then(Seen::found));
    let listed = found.iter().filter_map(|found| found.listed).min();
    let mut entries = BTreeMap::new();
    for entry in found.into_iter().flat_map(|found| found.entries) {
        if queries.iter().any(|query| is_asked_for(query, &entry.key)) {
            entries.insert(entry.key.clone(), entry);
        }
    }
    let entries: Vec<Entry> = entries.into_values().collect();
    let newest = entries.iter().map(|entry| entry.revision).max();
    Ok(Snapshot {
        revision: listed.or(newest).unwrap_or(Revision::ZERO),
        entries,
    })
}

fn jobs(queries: &[Query], group: Group) -> Vec<Job> {
    let mut lists: Vec<Listing> = Vec::new();
    let mut objects: BTreeMap<String, BTreeMap<String, Place>> = BTreeMap::new();
    for query in queries {
        match query {
            Query::Key(key) => {
                if let Some(place) = place(key, group) {
                    objects
                        .entry(place.path())
                        .or_default()
                        .insert(key.clone(), place);
                }
            }
            Query::Prefix(prefix) => {
                for listing in listings(prefix, group) {
                    if !lists.contains(&listing) {
                        lists.push(listing);
                    }
                }
            }
        }
    }
    let objects = objects
        .into_values()
        .map(|keys| Job::Object(keys.into_iter().collect()));
    objects.chain(lists.into_iter().map(Job::List)).collect()
}

fn is_asked_for(query: &Query, key: &str) -> bool {
    match query {
        Query::Key(wanted) => wanted == key,
        Query::Prefix(prefix) => key.starts_with(prefix),
    }
}

async fn run(client: &Client, job: Job) -> Result<Found, Failure> {
    match job {
        Job::Object(wanted) => {
            let found = facets(client, &wanted).await?;
            Ok(Found {
                entries: found.into_iter().filter_map(entry).collect(),
                listed: None,
            })
        }
        Job::List(listing) => {
            let Some(page) = list(client, &listing).await? else {
                return Ok(Found::default());
            };
            let entries = page.readings.into_iter().filter_map(entry).collect();
            Ok(Found {
                entries,
                listed: Some(page.revision),
            })
        }
    }
}

/// The object with the given key; `None` if there is none.
pub(super) async fn object(
    client: &Client,
    key: &str,
    place: &Place,
) -> Result<Option<Reading>, Failure> {
    match client.get(&place.path()).await {
        Ok(body) => Ok(facet(key, place, &body)),
        Err(Failure::Status(status)) if status.code == 404 => Ok(None),
        Err(failure) => Err(failure),
    }
}

/// What one object is under several keys, by one request.
async fn facets(client: &Client, wanted: &[(String, Place)]) -> Result<Vec<Reading>, Failure> {
    let Some((_, place)) = wanted.first() else {
        return Ok(Vec::new());
    };
    match client.get(&place.path()).await {
        Ok(body) => Ok(wanted
            .iter()
            .filter_map(|(key, place)| facet(key, place, &body))
            .collect()),
        Err(Failure::Status(status)) if status.code == 404 => Ok(Vec::new()),
        Err(failure) => Err(failure),
    }
}

/// The object in the body of an answer, if it is that key's.
fn facet(key: &str, place: &Place, body: &[u8]) -> Option<Reading> {
    match read_object(place.collection, body) {
        Ok(reading) if reading.key.as_deref() == Some(key) => {
            report(&reading);
            Some(reading)
        }
        // A pod on another node, say: not the object of this key.
        Ok(_) => None,
        Err(unreadable) => {
            tracing::warn!(%unreadable, "object counts as absent");
            None
        }
    }
}

/// What was left out of an object is worth knowing.
fn report(reading: &Reading) {
    for problem in &reading.problems {
        tracing::warn!(object = %reading.object.text(), %problem, "a part of an object has no effect");
    }
}

fn entry(reading: Reading) -> Option<Entry> {
    Some(Entry {
        key: reading.key?.into(),
        value: reading.value?,
        revision: Revision::new(reading.revision),
    })
}

/// All objects of a listing, page by page; `None` if the server does not know the collection.
pub(super) async fn list(client: &Client, listing: &Listing) -> Result<Option<Page>, Failure> {
    let Listing {
        collection,
        namespace,
        selector,
    } = listing;
    let base = collection.path(namespace.as_deref());
    let selector = selector
        .as_ref()
        .map(|text| format!("&labelSelector={}", escaped(text)));
    let selector = selector.unwrap_or_default();
    let mut readings = Vec::new();
    let mut rest = String::new();
    let mut limit = format!("limit={PAGE}");
    let mut pages = 0;
    loop {
        let token = match rest.is_empty() {
            true => String::new(),
            false => format!("&continue={}", escaped(&rest)),
        };
        let body = match client
            .get(&format!("{base}?{limit}{selector}{token}"))
            .await
        {
            Ok(body) => body,
            Err(Failure::Status(status)) if status.code == 404 && collection.may_be_missing() => {
                return Ok(None);
            }
            // The moment the pages are of is forgotten: all at once has no such moment.
            Err(Failure::Status(status)) if status.is_expired() && !rest.is_empty() => {
                readings.clear();
                rest.clear();
                limit = "limit=0".to_owned();
                continue;
            }
            Err(failure) => return Err(failure),
        };
        let garbled = |detail: String| {
            Failure::Garbled(format!(
                "its list of {} cannot be read: {detail}",
                collection.plural()
            ))
        };
        let page: ListBody<'_> =
            serde_json::from_slice(&body).map_err(|error| garbled(error.to_string()))?;
        readings.extend(
            page.items
                .into_iter()
                .flatten()
                .filter_map(|item| readable(*collection, item)),
        );
        pages += 1;
        if pages > MOST_PAGES || (!rest.is_empty() && rest == page.metadata.rest) {
            return Err(garbled("it has no end".to_owned()));
        }
        rest = page.metadata.rest;
        if rest.is_empty() {
            let text = page.metadata.resource_version;
            let revision = revision(&text)
                .ok_or_else(|| garbled(format!("resourceVersion {text:?} is no decimal number")))?;
            return Ok(Some(Page { readings, revision }));
        }
    }
}

fn readable(collection: Collection, item: &RawValue) -> Option<Reading> {
    match read_object(collection, item.get().as_bytes()) {
        Ok(reading) => {
            report(&reading);
            Some(reading)
        }
        Err(unreadable) => {
            tracing::warn!(%unreadable, "object counts as absent");
            None
        }
    }
}

/// A value of a query (RFC 3986).
pub(super) fn escaped(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes()
        .map(|byte| match plain(byte) {
            true => char::from(byte).to_string(),
            false => format!("%{byte:02X}"),
        })
        .collect()
}
