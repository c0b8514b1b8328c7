//! The parameters of this node, as they are now: environment and file from the start, FelixConfigurations as they change.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context as _;
use config::{Config, Layers, Param, Source, Warning, parse_file};
use model::{ConfigScope, FelixConfig, Key, Labels, Resource, Update};

use crate::settings::{self, Settings};

/// Whether the datastore may be acted on (`ClusterInformation.datastoreReady`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// It may.
    Ready,
    /// It is being moved or mended, or says nothing of itself yet: the last policy stays in force.
    Waiting,
}

/// Whether there is something to resolve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum News {
    None,
    Some,
}

/// All that says how the agent is to work.
#[derive(Debug)]
pub struct Parameters {
    node: Box<str>,
    labels: Labels,
    layers: Layers,
    objects: BTreeMap<ConfigScope, FelixConfig>,
    readiness: Readiness,
    told: Vec<Warning>,
    /// Whether anything was said since the parameters were last resolved.
    news: News,
    level: String,
}

impl Parameters {
    /// What the environment and the file say.
    ///
    /// # Errors
    /// The file is there and cannot be read.
    pub fn new(settings: &Settings) -> anyhow::Result<Parameters> {
        let mut layers = Layers::new();
        layers.set_environment(settings.env.iter().map(|(k, v)| (k.as_str(), v.as_str())));
        if let Some(text) = read(&settings.paths.config)? {
            let values = parse_file(&text)
                .with_context(|| format!("failed to read {}", settings.paths.config.display()))?;
            layers.set(Source::File, values);
        }
        Ok(Parameters {
            node: settings.node.as_str().into(),
            labels: Labels::default(),
            layers,
            objects: BTreeMap::new(),
            readiness: Readiness::Waiting,
            told: Vec::new(),
            news: News::Some,
            level: settings.log_level.clone(),
        })
    }

    /// Whether the datastore may be acted on.
    pub fn readiness(&self) -> Readiness {
        self.readiness
    }

    /// Takes in what an update says of the parameters; others say nothing.
    pub fn take(&mut self, update: &Update) {
        if let Key::FelixConfig(_) | Key::Node(_) = update.key {
            self.news = News::Some;
        }
        match (&update.key, &update.value) {
            (Key::FelixConfig(scope), Some(Resource::FelixConfig(object))) => {
                self.objects.insert(scope.clone(), object.clone());
            }
            (Key::FelixConfig(scope), _) => {
                self.objects.remove(scope);
            }
            (Key::Node(name), value) if *name == self.node => {
                self.labels = match value {
                    Some(Resource::Node(node)) => node.labels.clone(),
                    _ => Labels::default(),
                };
            }
            (Key::ClusterInformation, Some(Resource::ClusterInformation(cluster))) => {
                self.readiness = match cluster.datastore_ready {
                    Some(true) => Readiness::Ready,
                    // As upstream: what does not say that it is ready is not.
                    Some(false) | None => Readiness::Waiting,
                };
            }
            (Key::ClusterInformation, _) => self.readiness = Readiness::Waiting,
            _ => {}
        }
    }

    /// The parameters in force, if anything was said of them since they were last asked for.
    pub fn news(&mut self) -> Option<Config> {
        (self.news == News::Some).then(|| self.resolve())
    }

    /// The parameters in force. What cannot be used is said once in the log, which follows its own level.
    pub fn resolve(&mut self) -> Config {
        self.news = News::None;
        for source in [Source::Global, Source::Selector, Source::Node] {
            let values = self.chosen(source).map(|object| object.parameters.clone());
            self.layers.set(source, values.unwrap_or_default());
        }
        let (config, warnings) = self.layers.resolve();
        for warning in warnings
            .iter()
            .filter(|warning| !self.told.contains(warning))
        {
            tracing::warn!(%warning, "a parameter cannot be used");
        }
        self.told = warnings;
        self.follow_level(&config);
        config
    }

    fn chosen(&self, source: Source) -> Option<&FelixConfig> {
        match source {
            Source::Global => self.objects.get(&ConfigScope::Global),
            Source::Node => self.objects.get(&ConfigScope::Node(self.node.clone())),
            Source::Selector => self.selected(),
            Source::Default | Source::File | Source::Environment => None,
        }
    }

    /// Of those that select this node the oldest one, then the one of the lowest name.
    fn selected(&self) -> Option<&FelixConfig> {
        let selects = |object: &FelixConfig| {
            let selector = object.node_selector.as_ref();
            selector.is_some_and(|selector| selector.matches(&self.labels))
        };
        self.objects
            .iter()
            .filter(|(scope, object)| matches!(scope, ConfigScope::Selector(_)) && selects(object))
            .min_by(|(a, x), (b, y)| (&x.created, a).cmp(&(&y.created, b)))
            .map(|(_, object)| object)
    }

    fn follow_level(&mut self, config: &Config) {
        if config.explain(Param::LogSeverityScreen).winner() == Source::Default {
            return;
        }
        let text = config.text(Param::LogSeverityScreen);
        let level = settings::level(&text);
        if level != self.level {
            tracing::info!(level, "log level changes");
            service::logs::set_level(level);
            level.clone_into(&mut self.level);
        }
    }
}

fn read(path: &Path) -> anyhow::Result<Option<String>> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("failed to read {}", path.display())),
    }
}
