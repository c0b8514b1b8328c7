//! What the API server has: which group holds our objects, and whether a kind that was missing is there by now.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use api::Kind;
use api::kubernetes::{Collection, Group, Place, place};
use bytes::Bytes;
use serde::Deserialize;
use tokio::sync::Mutex;

use super::client::Client;
use super::status::Failure;

/// What is known of the server.
pub(super) struct Discovery {
    /// The group. Held while it is being asked for, so that it is asked once.
    group: Mutex<Known>,
    /// By path, when its resources were asked for and which they were.
    resources: Mutex<BTreeMap<String, (Instant, BTreeSet<String>)>>,
}

/// What is known of the group of our objects.
#[derive(Clone, Copy)]
enum Known {
    /// Which it is.
    Group(Group),
    /// Neither was there when it was last asked.
    Neither(Instant),
    Nothing,
}

/// How long the answer that there is neither is believed.
const NEITHER: Duration = Duration::from_secs(1);

/// The group to use, and what was read a moment ago to find it out.
pub(super) struct Choice {
    pub(super) group: Group,
    /// ClusterInformation, if it was read for this.
    pub(super) seen: Option<Seen>,
}

/// An object that was read, or looked for.
pub(super) struct Seen {
    pub(super) key: String,
    pub(super) place: Place,
    /// `None` if it is not there.
    pub(super) body: Option<Bytes>,
}

impl From<Group> for Choice {
    fn from(group: Group) -> Self {
        Self { group, seen: None }
    }
}

/// What the answer to a read says of a group.
enum Probe {
    Served(Seen),
    Unserved,
    /// Nothing: this user may not read there, or is not known.
    Untold,
}

#[derive(Deserialize)]
struct Groups {
    groups: Vec<Named>,
}

#[derive(Deserialize)]
struct Resources {
    resources: Vec<Named>,
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

impl Discovery {
    /// One that knows the group if it was set. Upstream takes anything but the name of the v3 API for the older one.
    pub(super) fn new(set: Option<&str>) -> Self {
        let group = match set.filter(|text| !text.is_empty()) {
            None => Known::Nothing,
            Some(text) if text.eq_ignore_ascii_case("projectcalico.org/v3") => {
                Known::Group(Group::V3)
            }
            Some(_) => Known::Group(Group::V1),
        };
        Self {
            group: Mutex::new(group),
            resources: Mutex::new(BTreeMap::new()),
        }
    }

    /// The group of our objects. Both present means that an API server of our own serves v3 out of v1, so v1 is the one.
    ///
    /// Which are there is told by the answer to a read that most callers make anyway: a group that serves ClusterInformation
    /// is there, whether or not the object is. Only who may not read it has to ask for the list of groups.
    pub(super) async fn choice(&self, client: &Client) -> Result<Choice, Failure> {
        let mut known = self.group.lock().await;
        match *known {
            Known::Group(group) => return Ok(group.into()),
            Known::Neither(asked) if asked.elapsed() < NEITHER => return Ok(Group::V1.into()),
            Known::Neither(_) | Known::Nothing => {}
        }
        for group in [Group::V1, Group::V3] {
            match probe(client, group).await? {
                Probe::Served(seen) => {
                    *known = Known::Group(group);
                    return Ok(Choice {
                        group,
                        seen: Some(seen),
                    });
                }
                Probe::Unserved => {}
                Probe::Untold => {
                    let found = listed(client).await?;
                    *known = found.map_or_else(|| Known::Neither(Instant::now()), Known::Group);
                    return Ok(found.unwrap_or(Group::V1).into());
                }
            }
        }
        // Neither yet: the definitions may come, and then it is asked again.
        *known = Known::Neither(Instant::now());
        Ok(Group::V1.into())
    }

    /// Whether the server has a collection; what was asked within `age` is not asked again.
    pub(super) async fn has(
        &self,
        client: &Client,
        collection: Collection,
        age: Duration,
    ) -> Result<bool, Failure> {
        let path = collection.discovery();
        let mut resources = self.resources.lock().await;
        if let Some((asked, names)) = resources.get(&path)
            && asked.elapsed() < age
        {
            return Ok(names.contains(collection.plural()));
        }
        let names = match client.get(&path).await {
            Ok(body) => {
                let Resources { resources } = serde_json::from_slice(&body).map_err(|error| {
                    Failure::Garbled(format!("its list of resources cannot be read: {error}"))
                })?;
                resources.into_iter().map(|one| one.name).collect()
            }
            Err(Failure::Status(status)) if status.code == 404 => BTreeSet::new(),
            Err(failure) => return Err(failure),
        };
        let found = names.contains(collection.plural());
        resources.insert(path, (Instant::now(), names));
        Ok(found)
    }
}

/// Reads ClusterInformation of a group.
async fn probe(client: &Client, group: Group) -> Result<Probe, Failure> {
    let key = api::store_key(Kind::ClusterInformation, None, "default");
    let Some(place) = place(&key, group) else {
        return Ok(Probe::Untold);
    };
    let body = match client.get(&place.path()).await {
        Ok(body) => Some(body),
        Err(Failure::Status(status)) if status.names_an_object() => None,
        Err(Failure::Status(status)) if status.code == 404 => return Ok(Probe::Unserved),
        Err(Failure::Status(status)) if status.code < 429 => return Ok(Probe::Untold),
        Err(failure) => return Err(failure),
    };
    Ok(Probe::Served(Seen { key, place, body }))
}

/// The group by the server's own list of groups.
async fn listed(client: &Client) -> Result<Option<Group>, Failure> {
    let body = match client.get("/apis").await {
        Ok(body) => body,
        // It speaks and does not say: as upstream, the older group.
        Err(Failure::Status(_)) => return Ok(None),
        Err(failure) => return Err(failure),
    };
    let Groups { groups } = serde_json::from_slice(&body)
        .map_err(|error| Failure::Garbled(format!("its list of groups cannot be read: {error}")))?;
    let has = |group: Group| groups.iter().any(|one| one.name == group.name());
    Ok(match (has(Group::V3), has(Group::V1)) {
        (true, false) => Some(Group::V3),
        (_, true) => Some(Group::V1),
        (false, false) => None,
    })
}
