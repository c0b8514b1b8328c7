//! What the API server has: which group holds our objects, and whether a kind that was missing is there by now.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use api::kubernetes::{Collection, Group};
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
    pub(super) async fn group(&self, client: &Client) -> Result<Group, Failure> {
        let mut known = self.group.lock().await;
        match *known {
            Known::Group(group) => return Ok(group),
            Known::Neither(asked) if asked.elapsed() < NEITHER => return Ok(Group::V1),
            Known::Neither(_) | Known::Nothing => {}
        }
        let body = match client.get("/apis").await {
            Ok(body) => body,
            // It speaks and does not say: as upstream, the older group.
            Err(Failure::Status(_)) => return Ok(Group::V1),
            Err(failure) => return Err(failure),
        };
        let Groups { groups } = serde_json::from_slice(&body).map_err(|error| {
            Failure::Garbled(format!("its list of groups cannot be read: {error}"))
        })?;
        let has = |group: Group| groups.iter().any(|one| one.name == group.name());
        let found = match (has(Group::V3), has(Group::V1)) {
            (true, false) => Group::V3,
            (_, true) => Group::V1,
            // Neither yet: the definitions may come, and then it is asked again.
            (false, false) => {
                *known = Known::Neither(Instant::now());
                return Ok(Group::V1);
            }
        };
        *known = Known::Group(found);
        Ok(found)
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
