//! What an ADD is told before it begins: who the pod is and what it asks for, by a Kubernetes API server where there is one to ask;
//! and the networks of the node, where the configuration has only words for them.

use std::borrow::Cow;

use datastore::{Query, Snapshot};
use model::Key;

use crate::conf::NetConf;
use crate::environment::{Call, Variables};
use crate::error::{CniError, Code};
use crate::identity;
use crate::pod_cidrs::{self, PodCidrs};
use crate::pods::{self, PodFacts};
use crate::store::{self, Store};
use crate::wishes::Wishes;

/// The policy type by which a configuration says that pods are to be looked up (upstream).
const KUBERNETES: &str = "k8s";

/// What was told.
pub(crate) struct Told<'a> {
    /// Of the pod; `None` if there is no API server to ask, or no pod.
    pub(crate) facts: Option<PodFacts>,
    /// What it asks for.
    pub(crate) wishes: Wishes,
    /// The configuration for another IPAM plugin.
    pub(crate) stdin: Cow<'a, [u8]>,
    /// What was read of the store on the way, if the store is the API server.
    pub(crate) seen: Snapshot,
}

impl<'a> Told<'a> {
    /// Asks, by one read, if there is anything to ask.
    ///
    /// # Errors
    /// There is no such pod, what it asks for cannot be given, or the node has no networks and needs some.
    pub(crate) fn ask(
        conf: &NetConf,
        call: &Call,
        node: &str,
        store: &Store,
        variables: &Variables,
        stdin: &'a [u8],
    ) -> Result<Told<'a>, CniError> {
        let here = store.has_pods();
        let pod = identity::pod(call);
        if here && pod.is_none() {
            return Err(CniError::new(
                Code::Environment,
                "CNI_ARGS names no pod, and a Kubernetes datastore has endpoints for pods only",
            )
            .hint("the runtime gives K8S_POD_NAMESPACE and K8S_POD_NAME; for other containers use an embedded or etcd datastore"));
        }
        let pod = pod.filter(|_| here || conf.policy.kind == KUBERNETES);
        let wants_cidrs = pod_cidrs::are_wanted(conf, stdin);
        let beside = match (here, pod.is_some() || wants_cidrs) {
            (false, true) => store::open_cluster(conf, variables)?,
            (true, _) | (false, false) => None,
        };
        let pod = pod.filter(|_| here || beside.is_some());
        let id = pod.as_ref().map(|pod| identity::pod_id(pod, call, node));
        let node = pod_cidrs::node(conf, node);
        let mut queries = Vec::new();
        for (pod, id) in pod.iter().zip(&id) {
            queries.extend(pods::queries(pod, id));
        }
        queries.extend(wants_cidrs.then(|| pod_cidrs::query(node)));
        if here {
            let information = api::key_text(&Key::ClusterInformation);
            queries.extend(information.map(Query::key));
        }
        let seen = match queries.is_empty() {
            true => Snapshot::default(),
            false => beside.as_ref().unwrap_or(store).read(&queries)?,
        };
        if here {
            store::check_ready(&seen)?;
        }
        let facts = pod
            .zip(id)
            .map(|(pod, id)| pods::read(&pod, &id, &seen))
            .transpose()?;
        let wishes = match &facts {
            Some(facts) => Wishes::read(conf, facts)?,
            None => Wishes::default(),
        };
        let stdin = match wants_cidrs {
            true => PodCidrs::read(&seen, node)?.fill(conf, stdin)?.into(),
            false => stdin.into(),
        };
        Ok(Told {
            facts,
            wishes,
            stdin,
            seen: match here {
                true => seen,
                false => Snapshot::default(),
            },
        })
    }
}
