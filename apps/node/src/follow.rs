//! The datastore as the loop takes it in: updates, and what to say of a datastore that does not answer.
//!
//! Never blocks: the feed lists, watches and tries again on its own. While it can do neither, the last policy stays in force.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use anyhow::Context as _;
use api::Kind;
use datastore::{AnyStore, Datastore as _, FeedState, UpdateEvent, Updates};
use model::Update;

use crate::probes::Probes;

/// What the agent cares for. Others are written at any time and by every node, and would be read by all for nothing; and in a
/// Kubernetes API server each kind is a request of its own, which our role must allow.
const KINDS: [Kind; 20] = [
    Kind::NetworkPolicy,
    Kind::GlobalNetworkPolicy,
    Kind::StagedNetworkPolicy,
    Kind::StagedGlobalNetworkPolicy,
    Kind::StagedKubernetesNetworkPolicy,
    Kind::KubernetesNetworkPolicy,
    Kind::KubernetesClusterNetworkPolicy,
    Kind::Tier,
    Kind::NetworkSet,
    Kind::GlobalNetworkSet,
    Kind::Namespace,
    Kind::ServiceAccount,
    Kind::Profile,
    Kind::EndpointSlice,
    Kind::WorkloadEndpoint,
    Kind::HostEndpoint,
    Kind::Node,
    Kind::IpPool,
    Kind::FelixConfiguration,
    Kind::ClusterInformation,
];

/// What the loop takes in.
pub enum Taken {
    /// One object as it is now.
    Update(Box<Update>),
    /// Everything that was there was taken in.
    InSync,
}

/// The feed of one store, with what was said of it.
pub struct Follow {
    updates: Updates,
    probes: Arc<Probes>,
    said: Said,
    lists: u64,
    /// The profile that every cluster has, whatever its store keeps: first of all that is taken in, and never again.
    default_profile: Update,
    begun: bool,
}

fn default_profile() -> anyhow::Result<Update> {
    let profile = api::default_profile();
    api::decode(&profile.store_key(), &profile.to_store_bytes())
        .map_err(|invalid| anyhow::anyhow!("the default profile: {:?}", invalid.problems))
}

/// What the log has last said of the datastore.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Said {
    Well,
    Trouble { why: String },
}

impl Follow {
    /// Begins to follow; nothing is asked of the store yet.
    ///
    /// # Errors
    /// No descriptors are left.
    pub fn new(store: &AnyStore, probes: Arc<Probes>) -> anyhow::Result<Follow> {
        let prefixes = KINDS.map(|kind| api::store_prefix(kind, None));
        let prefixes: Vec<&str> = prefixes.iter().map(String::as_str).collect();
        let feed = store
            .follow(&prefixes)
            .context("failed to prepare to follow the datastore")?;
        Ok(Follow {
            updates: Updates::new(feed),
            probes,
            said: Said::Well,
            lists: 0,
            default_profile: default_profile()?,
            begun: false,
        })
    }

    /// Takes in all there is.
    pub fn take(&mut self, mut take: impl FnMut(Taken)) {
        if !std::mem::replace(&mut self.begun, true) {
            take(Taken::Update(Box::new(self.default_profile.clone())));
        }
        loop {
            let events = self.updates.poll();
            if events.is_empty() {
                break;
            }
            for event in events {
                match event {
                    UpdateEvent::Update(update) if update.key == self.default_profile.key => {}
                    UpdateEvent::Update(update) => {
                        self.probes.metrics.updates.inc();
                        take(Taken::Update(update));
                    }
                    UpdateEvent::Invalid(invalid) => {
                        tracing::warn!(key = %invalid.key, problem = %invalid.problem, "object is invalid and treated as absent");
                    }
                    UpdateEvent::InSync => {
                        tracing::info!("datastore read");
                        take(Taken::InSync);
                    }
                }
            }
        }
        self.tell();
    }

    /// Whether what was taken in is how the store is, as far as is known.
    pub fn is_in_sync(&self) -> bool {
        self.updates.state() == FeedState::InSync
    }

    fn tell(&mut self) {
        let stats = self.updates.stats();
        let metrics = &self.probes.metrics;
        metrics.resyncs.inc_by(stats.lists - self.lists);
        self.lists = stats.lists;
        let state = self.updates.state();
        metrics.resync_state.set(match state {
            FeedState::Connecting | FeedState::Retrying { .. } => 0,
            FeedState::Listing => 1,
            FeedState::InSync => 2,
        });
        match state {
            FeedState::Connecting => self
                .probes
                .set_datastore(Some("waiting for its first answer")),
            FeedState::Listing => self.probes.set_datastore(Some("reading it")),
            FeedState::InSync => {
                if self.said != Said::Well {
                    tracing::info!("datastore can be followed again");
                    self.said = Said::Well;
                }
                self.probes.set_datastore(None);
            }
            FeedState::Retrying { why, .. } => {
                self.probes.set_datastore(Some(&why));
                let said = Said::Trouble { why: why.clone() };
                if self.said != said {
                    tracing::error!(
                        %why,
                        "datastore cannot be followed; trying again, the last policy stays in force"
                    );
                    self.said = said;
                }
            }
        }
    }
}

impl AsFd for Follow {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.updates.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use datastore::{MemoryStore, Write, block_on_ready};

    use super::*;

    #[test]
    fn the_default_profile_is_there_whatever_the_store_keeps() {
        let store = MemoryStore::new();
        let key = api::default_profile().store_key();
        let other = br#"{"metadata":{"name":"projectcalico-default-allow"},"spec":{}}"#;
        let writes = [Write::put(key.as_str(), other.to_vec())];
        block_on_ready(store.commit(&writes)).expect("a commit");
        let probes = Probes::new(Instant::now()).expect("probes");
        let mut follow = Follow::new(&AnyStore::Memory(store), probes).expect("a feed");
        let mut taken = Vec::new();
        while !follow.is_in_sync() {
            follow.take(|one| taken.push(one));
        }
        let updates: Vec<_> = taken
            .iter()
            .filter_map(|one| match one {
                Taken::Update(update) => Some(&**update),
                Taken::InSync => None,
            })
            .collect();
        assert_eq!(updates, [&default_profile().expect("it is valid")]);
    }
}
