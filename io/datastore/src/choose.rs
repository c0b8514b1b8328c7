//! Which store a program uses, and why: every program asks here, so that all of them agree.
//!
//! The environment comes in as a map; the one thing looked at besides is whether `~/.kube/config` exists.

mod settings;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

pub use settings::{
    EtcdSettings, KubernetesSettings, Material, PodCidrs, Secret, StoreSettings, Verify,
};

use crate::{
    AnyStore, DEFAULT_PATH, EmbeddedStore, EtcdStore, KubernetesStore, Missing, Options,
    StorageError,
};

/// What a user may have said about the store. First match wins, in the order of the fields.
#[derive(Clone, Debug, Default)]
pub struct StoreRequest<'a> {
    /// `--datastore`: `embedded`, `etcdv3` or `kubernetes`.
    pub flag: Option<&'a str>,
    /// What the configuration file says, if there is one.
    pub file: Option<FileSettings>,
    /// The environment.
    pub environment: BTreeMap<String, String>,
}

/// What a configuration file (`calicoctl.cfg`, a CNI network configuration) says about the store.
#[derive(Clone, Debug, Default)]
pub struct FileSettings {
    /// The file's name, for messages.
    pub name: String,
    /// `datastoreType`, or `datastore_type`.
    pub datastore_type: Option<String>,
    /// `datastore_file`: the embedded store's file.
    pub datastore_file: Option<PathBuf>,
    /// How to reach a network store: the settings by their names in `calicoctl.cfg`, such as `etcdEndpoints`.
    pub settings: BTreeMap<String, FileSetting>,
}

/// One setting of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileSetting {
    /// Its name in this file, for messages.
    pub shown: String,
    /// Its value.
    pub value: Secret,
}

impl FileSettings {
    /// Adds a setting: its name in `calicoctl.cfg`, its name in this file, its value. An empty value counts as unset.
    pub fn set(&mut self, field: &str, shown: &str, value: &str) {
        if !value.is_empty() {
            let setting = FileSetting {
                shown: shown.to_owned(),
                value: Secret::new(value.to_owned()),
            };
            self.settings.insert(field.to_owned(), setting);
        }
    }
}

/// The kinds of store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreKind {
    /// One file on this machine.
    Embedded,
    /// An etcd v3 cluster.
    EtcdV3,
    /// The Kubernetes API.
    Kubernetes,
}

/// The store to use, and what made it so.
#[derive(Clone, Debug, PartialEq)]
pub struct StoreChoice {
    /// Which kind.
    pub kind: StoreKind,
    /// What decided it, such as `DATASTORE_TYPE is set to it`.
    pub why: String,
    /// The embedded store's file; of no meaning to the other kinds.
    pub path: PathBuf,
    /// How to reach it if it is behind a network.
    pub settings: Box<StoreSettings>,
}

/// Why no store could be chosen.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChooseError {
    /// The word for the store is none we know.
    #[error("unknown datastore type {word:?} in {origin}: expected embedded, etcdv3 or kubernetes")]
    UnknownKind {
        /// The word.
        word: String,
        /// Where it stands.
        origin: String,
    },
    /// A setting's value is none it can have.
    #[error("{origin} is {value:?}: expected {expected}")]
    BadSetting {
        /// The setting, and where it stands.
        origin: String,
        /// Its value.
        value: String,
        /// What would be right.
        expected: &'static str,
    },
    /// Settings exclude one another.
    #[error("{which} cannot be given both: remove one")]
    Mixed {
        /// Which they are.
        which: &'static str,
    },
}

/// Why the chosen store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// It failed.
    #[error("failed to open {choice}")]
    Open {
        /// The store, and what made it the one.
        choice: Box<StoreChoice>,
        /// How it failed.
        #[source]
        source: StorageError,
    },
}

impl StoreKind {
    /// The kind's word, in flags, files and the environment.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Embedded => "embedded",
            Self::EtcdV3 => "etcdv3",
            Self::Kubernetes => "kubernetes",
        }
    }

    fn parse(word: &str, origin: impl FnOnce() -> String) -> Result<Self, ChooseError> {
        [Self::Embedded, Self::EtcdV3, Self::Kubernetes]
            .into_iter()
            .find(|kind| kind.word() == word)
            .ok_or_else(|| ChooseError::UnknownKind {
                word: word.to_owned(),
                origin: origin(),
            })
    }
}

impl fmt::Display for StoreChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the {} datastore", self.kind.word())?;
        if self.kind == StoreKind::Embedded {
            write!(f, " {}", self.path.display())?;
        }
        write!(f, " (chosen because {})", self.why)
    }
}

impl StoreChoice {
    /// Chooses the store the user means.
    pub fn of(request: &StoreRequest<'_>) -> Result<Self, ChooseError> {
        let (kind, why) = decide(request)?;
        let environment = Environment(&request.environment);
        let path = request
            .file
            .as_ref()
            .and_then(|file| file.datastore_file.clone())
            .or_else(|| {
                environment
                    .get("DATASTORE_FILE")
                    .map(|(_, path)| path.into())
            })
            .unwrap_or_else(|| DEFAULT_PATH.into());
        let settings = Box::new(StoreSettings::of(request.file.as_ref(), &environment)?);
        Ok(Self {
            kind,
            why,
            path,
            settings,
        })
    }

    /// Opens the chosen store, made if it is an embedded one and missing.
    pub fn open(self) -> Result<AnyStore, ConnectError> {
        self.open_with(Options::default())
    }

    /// Opens the chosen store, which must be there already.
    pub fn open_existing(self) -> Result<AnyStore, ConnectError> {
        self.open_with(Options {
            missing: Missing::Refuse,
            ..Options::default()
        })
    }

    /// Opens the chosen store. One behind a network is connected to when it is first used.
    pub fn open_with(self, options: Options) -> Result<AnyStore, ConnectError> {
        match self.kind {
            StoreKind::Embedded => match EmbeddedStore::open_with(self.path.clone(), options) {
                Ok(store) => Ok(AnyStore::Embedded(store)),
                Err(source) => Err(ConnectError::Open {
                    choice: Box::new(self),
                    source,
                }),
            },
            StoreKind::EtcdV3 => {
                match EtcdStore::open(&self.settings.etcd, options.request_timeout) {
                    Ok(store) => Ok(AnyStore::Etcd(store)),
                    Err(source) => Err(ConnectError::Open {
                        choice: Box::new(self),
                        source,
                    }),
                }
            }
            StoreKind::Kubernetes => {
                let settings = &self.settings.kubernetes;
                match KubernetesStore::open(settings, options.request_timeout) {
                    Ok(store) => Ok(AnyStore::Kubernetes(store)),
                    Err(source) => Err(ConnectError::Open {
                        choice: Box::new(self),
                        source,
                    }),
                }
            }
        }
    }
}

/// A flag, a configuration file, `DATASTORE_TYPE`, a setting of one kind of store, the cluster we run in, the user's
/// own cluster; only then the embedded store.
fn decide(request: &StoreRequest<'_>) -> Result<(StoreKind, String), ChooseError> {
    if let Some(word) = request.flag.filter(|word| !word.is_empty()) {
        let kind = StoreKind::parse(word, || "--datastore".into())?;
        return Ok((kind, "the flag --datastore says so".into()));
    }
    if let Some(decided) = request.file.as_ref().map(in_file).transpose()?.flatten() {
        return Ok(decided);
    }
    let environment = Environment(&request.environment);
    if let Some((name, word)) = environment.get("DATASTORE_TYPE") {
        let kind = StoreKind::parse(word, || name.clone())?;
        return Ok((kind, format!("{name} says so")));
    }
    let settings = [
        (
            StoreKind::Embedded,
            environment.get("DATASTORE_FILE").map(|(name, _)| name),
        ),
        (StoreKind::EtcdV3, environment.beginning_with("ETCD_")),
        (
            StoreKind::Kubernetes,
            environment.get("KUBECONFIG").map(|(name, _)| name),
        ),
        (StoreKind::Kubernetes, environment.beginning_with("K8S_")),
    ];
    for (kind, name) in settings {
        if let Some(name) = name {
            return Ok((kind, format!("{name} is set")));
        }
    }
    let cluster = ["KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"];
    if cluster
        .into_iter()
        .all(|name| environment.plain(name).is_some())
    {
        return Ok((StoreKind::Kubernetes, "this is a Kubernetes pod".into()));
    }
    if let Some(kubeconfig) = environment.home_kubeconfig() {
        return Ok((
            StoreKind::Kubernetes,
            format!("{} exists", kubeconfig.display()),
        ));
    }
    Ok((StoreKind::Embedded, "nothing names another".into()))
}

fn in_file(file: &FileSettings) -> Result<Option<(StoreKind, String)>, ChooseError> {
    let FileSettings {
        name,
        datastore_type,
        datastore_file,
        settings: given,
    } = file;
    if let Some(word) = datastore_type.as_ref().filter(|word| !word.is_empty()) {
        let kind = StoreKind::parse(word, || name.clone())?;
        return Ok(Some((kind, format!("{name} says so"))));
    }
    let settings = [
        (
            StoreKind::Embedded,
            datastore_file.as_ref().map(|_| "datastore_file"),
        ),
        (StoreKind::EtcdV3, settings::naming_etcd(given)),
        (StoreKind::Kubernetes, settings::naming_kubernetes(given)),
    ];
    let decided = settings
        .into_iter()
        .find_map(|(kind, setting)| Some((kind, setting?)));
    Ok(decided.map(|(kind, setting)| (kind, format!("{name} sets {setting}"))))
}

/// Lookups in the environment; an empty variable counts as unset, and any may begin with `CALICO_`.
struct Environment<'a>(&'a BTreeMap<String, String>);

impl<'a> Environment<'a> {
    fn plain(&self, name: &str) -> Option<&'a str> {
        self.0
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    /// The user's own kubeconfig, if there is one.
    fn home_kubeconfig(&self) -> Option<PathBuf> {
        let path = Path::new(self.plain("HOME")?).join(".kube/config");
        path.is_file().then_some(path)
    }

    fn get(&self, name: &str) -> Option<(String, &'a str)> {
        let prefixed = format!("CALICO_{name}");
        [prefixed, name.to_owned()]
            .into_iter()
            .find_map(|name| self.plain(&name).map(|value| (name, value)))
    }

    fn beginning_with(&self, prefix: &str) -> Option<String> {
        let names = |prefix: String| {
            self.0
                .range(prefix.clone()..)
                .take_while(move |(name, _)| name.starts_with(&prefix))
                // It ties a node to its Kubernetes object; upstream sets it with an etcd store as well.
                .filter(|(name, value)| !value.is_empty() && *name != "CALICO_K8S_NODE_REF")
                .map(|(name, _)| name.clone())
        };
        names(format!("CALICO_{prefix}"))
            .next()
            .or_else(|| names(prefix.to_owned()).next())
    }
}

#[cfg(test)]
mod tests;
