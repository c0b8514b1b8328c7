//! The datastore as the plugin uses it: IPAM machines driven over it, endpoints read and written, requests counted.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use datastore::{
    AnyStore, Close, CommitError, Datastore, DriveError, FileSettings, Options, Query, Ranges,
    Snapshot, StoreChoice, StoreKind, StoreRequest, Write, block_on_ready,
};
use ipam::assign::{Assign, Reach, Request, assign};
use ipam::{Machine, Operation, Timestamp};
use model::{ClusterInformation, Key, Resource};

use crate::conf::{NetConf, Policy};
use crate::environment::Variables;
use crate::error::{CniError, Code};

/// An open datastore.
pub(crate) struct Store {
    inner: AnyStore,
}

/// What settings of the network configuration are said to be from.
const NAME: &str = "the network configuration";
/// A container runtime waits for the plugin, and tries again on its own.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// Opens the store that configuration and environment name.
pub(crate) fn open(conf: &NetConf, variables: &Variables) -> Result<Store, CniError> {
    open_as(settings(conf), variables)
}

fn open_as(settings: FileSettings, variables: &Variables) -> Result<Store, CniError> {
    let request = StoreRequest {
        flag: None,
        file: Some(settings),
        environment: variables.clone(),
    };
    let choice = StoreChoice::of(&request)
        .map_err(|e| CniError::from_source(Code::Config, "failed to choose the datastore", &e))?;
    let options = Options {
        // The agent makes the store; the plugin must be quick, and leaves the log for others to fold.
        missing: datastore::Missing::Refuse,
        close: Close::Leave,
        request_timeout: REQUEST_TIMEOUT,
        ..Options::default()
    };
    let hint = match choice.kind {
        StoreKind::Embedded => {
            "is calico-node running on this host, and does datastore_file name its store?"
        }
        StoreKind::EtcdV3 | StoreKind::Kubernetes => "",
    };
    let opened = choice.open_with(options);
    let inner = opened.map_err(|e| {
        CniError::from_source(Code::TryAgain, "failed to open the datastore", &e).hint(hint)
    })?;
    Ok(Store { inner })
}

/// Opens the API server that the configuration names for pods and nodes, where the store is none. `None` if it names none.
pub(crate) fn open_cluster(
    conf: &NetConf,
    variables: &Variables,
) -> Result<Option<Store>, CniError> {
    let mut settings = FileSettings {
        name: NAME.into(),
        datastore_type: Some("kubernetes".into()),
        ..FileSettings::default()
    };
    set_kubernetes(&mut settings, conf);
    let Policy {
        k8s_api_root,
        k8s_client_certificate,
        k8s_client_key,
        k8s_certificate_authority,
        ..
    } = &conf.policy;
    let root = conf.kubernetes.k8s_api_root.as_str();
    let root = match root {
        // The older place; before, it had the path of the API with it.
        "" => k8s_api_root.split("/api/").next().unwrap_or_default(),
        root => root,
    };
    if root.is_empty() && conf.kubernetes.kubeconfig.is_empty() {
        return Ok(None);
    }
    for (field, shown, value) in [
        ("k8sAPIEndpoint", "policy.k8s_api_root", root),
        (
            "k8sCertFile",
            "policy.k8s_client_certificate",
            k8s_client_certificate.as_str(),
        ),
        ("k8sKeyFile", "policy.k8s_client_key", k8s_client_key),
        (
            "k8sCAFile",
            "policy.k8s_certificate_authority",
            k8s_certificate_authority,
        ),
    ] {
        settings.set(field, shown, value);
    }
    open_as(settings, variables).map(Some)
}

/// What the network configuration says of the store; its names are upstream's.
fn settings(conf: &NetConf) -> FileSettings {
    let mut settings = FileSettings {
        name: NAME.into(),
        datastore_type: conf.datastore_type.clone(),
        datastore_file: conf.datastore_file.clone(),
        ..FileSettings::default()
    };
    for (field, shown, value) in [
        ("etcdEndpoints", "etcd_endpoints", &conf.etcd_endpoints),
        (
            "etcdDiscoverySrv",
            "etcd_discovery_srv",
            &conf.etcd_discovery_srv,
        ),
        ("etcdKeyFile", "etcd_key_file", &conf.etcd_key_file),
        ("etcdCertFile", "etcd_cert_file", &conf.etcd_cert_file),
        (
            "etcdCACertFile",
            "etcd_ca_cert_file",
            &conf.etcd_ca_cert_file,
        ),
    ] {
        settings.set(field, shown, value);
    }
    set_kubernetes(&mut settings, conf);
    settings
}

/// How to reach an API server.
fn set_kubernetes(settings: &mut FileSettings, conf: &NetConf) {
    let kubernetes = &conf.kubernetes;
    for (field, shown, value) in [
        (
            "kubeconfig",
            "kubernetes.kubeconfig",
            &kubernetes.kubeconfig,
        ),
        (
            "k8sAPIEndpoint",
            "kubernetes.k8s_api_root",
            &kubernetes.k8s_api_root,
        ),
        ("calicoAPIGroup", "calico_api_group", &conf.calico_api_group),
    ] {
        settings.set(field, shown, value);
    }
    if let Some(token) = &conf.policy.k8s_auth_token {
        settings.set("k8sAPIToken", "policy.k8s_auth_token", token.reveal());
    }
    let numbers = [
        ("k8sClientQPS", "qps", conf.qps),
        ("k8sClientBurst", "burst", conf.burst),
    ];
    for (field, shown, number) in numbers.into_iter().filter(|(_, _, number)| *number > 0) {
        settings.set(field, shown, &number.to_string());
    }
}

/// The time of the machine.
pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}

/// Decides, from the snapshot on which a commit rests, what else is to be written with it.
pub(crate) type Beside<'a> = &'a mut dyn FnMut(&Snapshot) -> Result<Vec<Write>, CniError>;

fn read_error(error: &datastore::ReadError) -> CniError {
    CniError::from_source(Code::TryAgain, "failed to read the datastore", error)
}

fn commit_error(error: &CommitError) -> CniError {
    CniError::from_source(Code::TryAgain, "failed to write the datastore", error)
}

impl Store {
    pub(crate) fn read(&self, queries: &[Query]) -> Result<Snapshot, CniError> {
        block_on_ready(self.inner.read(queries)).map_err(|e| read_error(&e))
    }

    /// Makes writes; false if somebody else was faster.
    pub(crate) fn commit(&self, writes: &[Write]) -> Result<bool, CniError> {
        match block_on_ready(self.inner.commit(writes)) {
            Ok(_) => Ok(true),
            Err(error) if error.is_conflict() => Ok(false),
            Err(error) => Err(commit_error(&error)),
        }
    }

    /// Whether it is an API server, whose endpoints are pods.
    pub(crate) fn has_pods(&self) -> bool {
        match &self.inner {
            AnyStore::Kubernetes(_) => true,
            AnyStore::Embedded(_) | AnyStore::Etcd(_) | AnyStore::Memory(_) => false,
        }
    }

    /// How many requests were made.
    pub(crate) fn requests(&self) -> u64 {
        self.inner.stats().requests()
    }

    /// An assignment that reads first what is quickest to read of this store.
    pub(crate) fn assignment(&self, request: Request) -> Machine<Assign> {
        let reach = match self.inner.capabilities().ranges {
            Ranges::Cheap => Reach::AllBlocks,
            Ranges::Dear => Reach::OwnBlocks,
        };
        assign(Request { reach, ..request })
    }

    /// What an operation reads first.
    pub(crate) fn queries_of<O: Operation>(&self, machine: &mut Machine<O>) -> Vec<Query> {
        datastore::queries_of(&self.inner, machine)
    }

    /// Runs an IPAM operation. `more` is read with each of its reads, and `beside` may add writes to its commit, so that
    /// both together are one request each. `first` is the answer to its first read, if that was made already.
    pub(crate) fn run<O: Operation>(
        &self,
        machine: Machine<O>,
        more: &[Query],
        first: Option<Snapshot>,
        beside: Beside<'_>,
    ) -> Result<O::Outcome, CniError> {
        let beside = datastore::Beside {
            queries: more,
            first,
            writes: beside,
        };
        block_on_ready(datastore::drive_beside(&self.inner, machine, beside)).map_err(|error| {
            match error {
                DriveError::Read(error) => read_error(&error),
                DriveError::Commit(error) => commit_error(&error),
                DriveError::Beside(error) => error,
                DriveError::Encode { .. } => {
                    CniError::from_source(Code::Io, "failed to run an IPAM operation", &error)
                }
            }
        })
    }

    /// Runs an IPAM operation on its own.
    pub(crate) fn run_alone<O: Operation>(
        &self,
        machine: Machine<O>,
    ) -> Result<O::Outcome, CniError> {
        self.run(machine, &[], None, &mut |_| Ok(Vec::new()))
    }
}

/// Both snapshots as one, of reads of one store that have no key in common.
pub(crate) fn together(one: Snapshot, other: Snapshot) -> Snapshot {
    let mut entries = one.entries;
    entries.extend(other.entries);
    entries.sort_by(|a, b| a.key.cmp(&b.key));
    Snapshot {
        revision: one.revision.max(other.revision),
        entries,
    }
}

/// The value of a key in a snapshot, if it is there and can be read.
pub(crate) fn resource(snapshot: &Snapshot, key: &Key) -> Option<Resource> {
    let entry = snapshot.get(&api::key_text(key)?)?;
    api::decode(&entry.key, &entry.value).ok()?.value
}

/// Reads what [`check_ready`] and [`check_unlocked`] look at.
pub(crate) fn readiness_query() -> Option<Query> {
    api::key_text(&Key::ClusterInformation).map(Query::key)
}

fn information(snapshot: &Snapshot) -> Option<ClusterInformation> {
    match resource(snapshot, &Key::ClusterInformation) {
        Some(Resource::ClusterInformation(information)) => Some(information),
        Some(_) | None => None,
    }
}

/// Refuses to work on a datastore that does not say that it is ready, or that no agent has set up.
pub(crate) fn check_ready(snapshot: &Snapshot) -> Result<(), CniError> {
    match information(snapshot).map(|information| information.datastore_ready) {
        Some(Some(true)) => Ok(()),
        Some(Some(false) | None) => Err(not_ready()),
        None => Err(CniError::new(
            Code::TryAgain,
            "the datastore has no ClusterInformation yet",
        )
        .hint("calico-node makes it when it first runs; is it running?")),
    }
}

/// Refuses to take anything out of a datastore that is being moved: what was exported already would come back. One that says
/// nothing is cleaned up all the same.
pub(crate) fn check_unlocked(snapshot: &Snapshot) -> Result<(), CniError> {
    match information(snapshot).and_then(|information| information.datastore_ready) {
        Some(false) => Err(not_ready()),
        Some(true) | None => Ok(()),
    }
}

fn not_ready() -> CniError {
    CniError::new(
        Code::TryAgain,
        "Calico is currently not ready to process requests: \
         datastoreReady of ClusterInformation default is not true",
    )
    .hint("a migration or upgrade may be under way; calicoctl datastore migrate unlock ends one")
}

/// Identity and time of birth for an object about to be created.
pub(crate) fn stamp(object: &mut api::Object) {
    let uid = std::fs::read_to_string("/proc/sys/kernel/random/uuid").unwrap_or_default();
    object.stamp(uid.trim(), &now().to_string());
}

/// The environment of this process.
pub(crate) fn variables() -> Variables {
    let pairs = std::env::vars_os();
    let text: BTreeMap<String, String> = pairs
        .filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    text
}
