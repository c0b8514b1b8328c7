//! Which store, how it is opened, and whether its cluster is of our version.

use std::collections::BTreeMap;
use std::path::Path;

use api::{Kind, Object};
use datastore::{AnyStore, FileSettings, StoreChoice, StoreRequest};
use serde_json::Value;

use crate::cli::{DEFAULT_CONFIG, Global};
use crate::lock::{Gate, is_locked, locked};
use crate::objects::Objects;
use crate::outcome::{Failure, Status, chain};
use crate::session::Session;
use crate::yaml::{Source, documents};
use model::COMPATIBLE_VERSION;

/// What a verb is going to do with the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Only to read: there must be one.
    Read,
    /// To change what is there: there must be one, and it must not be locked.
    Change,
    /// To write: an embedded store is made if there is none; it must not be locked.
    Write,
    /// To do what a migration needs, locked or not: there must be one.
    Maintain,
}

/// Chooses the store from flag, configuration file and environment.
pub(crate) fn choose(
    config: &Path,
    global: &Global,
    session: &Session<'_>,
) -> Result<StoreChoice, Failure> {
    let request = StoreRequest {
        flag: global.datastore.as_deref(),
        file: settings(config)?,
        environment: session.environment.clone(),
    };
    StoreChoice::of(&request).map_err(|error| Failure::usage(chain(&error)))
}

/// Opens the store and compares versions, unless that is not wanted.
pub(crate) fn connect(
    config: &Path,
    purpose: Purpose,
    global: &Global,
    session: &Session<'_>,
) -> Result<Objects, Failure> {
    let objects = open(choose(config, global, session)?, purpose)?;
    let heeds_lock = match purpose {
        Purpose::Change | Purpose::Write => !global.allow_locked_datastore,
        Purpose::Read | Purpose::Maintain => false,
    };
    if global.allow_version_mismatch && !heeds_lock {
        return Ok(objects);
    }
    let information = objects.find(Kind::ClusterInformation, None, "default")?;
    if !global.allow_version_mismatch {
        information.as_ref().map_or(Ok(()), check_version)?;
    }
    if !heeds_lock {
        return Ok(objects);
    }
    if information.as_ref().is_some_and(is_locked) {
        return Err(locked());
    }
    let gate = Gate::heeding(information.as_ref());
    Ok(objects.behind(gate))
}

/// Opens the cluster of a kubeconfig, for what is in no other store.
pub(crate) fn open_cluster(kubeconfig: &Path, session: &Session<'_>) -> Result<Objects, Failure> {
    let mut settings = FileSettings {
        name: "the command line".to_owned(),
        ..FileSettings::default()
    };
    let path = kubeconfig.display().to_string();
    settings.set("kubeconfig", "--kubeconfig", &path);
    let request = StoreRequest {
        flag: Some("kubernetes"),
        file: Some(settings),
        environment: session.environment.clone(),
    };
    let choice = StoreChoice::of(&request).map_err(|error| Failure::usage(chain(&error)))?;
    open(choice, Purpose::Read)
}

/// Opens a store.
pub(crate) fn open(choice: StoreChoice, purpose: Purpose) -> Result<Objects, Failure> {
    let opened = match purpose {
        Purpose::Read | Purpose::Change | Purpose::Maintain => choice.clone().open_existing(),
        Purpose::Write => choice.clone().open(),
    };
    let store: AnyStore = opened.map_err(|error| {
        let text = format!("Failed to create Calico API client: {}", chain(&error));
        Failure::new(Status::Unreachable, text)
    })?;
    tracing::info!(%choice, "opened the datastore");
    Ok(Objects::new(store, choice))
}

fn check_version(information: &Object) -> Result<(), Failure> {
    let theirs = information.text_at("/spec/calicoVersion");
    if theirs.is_empty() || bare(theirs) == bare(COMPATIBLE_VERSION) {
        return Ok(());
    }
    Err(Failure::general(format!(
        "version mismatch.\nClient Version:   {COMPATIBLE_VERSION}\nCluster Version:  {}\nUse --allow-version-mismatch to override",
        bare(theirs)
    )))
}

/// `v3.33.0-0.dev` and `3.33.0` are both 3.33.0.
fn bare(version: &str) -> &str {
    let version = version.strip_prefix('v').unwrap_or(version);
    version.split('-').next().unwrap_or(version)
}

/// The configuration file's settings as the variables that an agent reads.
pub(crate) fn environment_of(config: &Path) -> Result<BTreeMap<String, String>, Failure> {
    let settings = settings(config)?.unwrap_or_default();
    let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    Ok(settings.as_environment().into_iter().map(owned).collect())
}

/// What the configuration file says about the store. Only a file that was asked for must exist.
fn settings(path: &Path) -> Result<Option<FileSettings>, Failure> {
    let name = path.display().to_string();
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(_) if path == Path::new(DEFAULT_CONFIG) => return Ok(None),
        Err(error) => {
            return Err(Failure::new(
                Status::NotFound,
                format!("Error reading config file: {name}: {error}"),
            ));
        }
    };
    let wrong = |message: String| {
        Failure::new(
            Status::Validation,
            format!("failed to load config file {name}: {message}"),
        )
    };
    let source = Source {
        name: name.clone(),
        text,
    };
    let Some(document) = documents(&source).into_iter().next() else {
        return Ok(None);
    };
    let value = match document.content {
        Ok(content) => content.to_value(),
        Err(unreadable) => return Err(wrong(unreadable.message)),
    };
    let kind = value.get("kind").and_then(Value::as_str);
    if kind != Some("CalicoAPIConfig") {
        return Err(wrong("its kind must be CalicoAPIConfig".to_owned()));
    }
    let spec = value.get("spec");
    let text = |field: &str| {
        let text = spec
            .and_then(|spec| spec.get(field))
            .and_then(Value::as_str);
        text.filter(|text| !text.is_empty()).map(str::to_owned)
    };
    let mut settings = FileSettings {
        name,
        datastore_type: text("datastoreType"),
        datastore_file: text("datastoreFile").map(Into::into),
        ..FileSettings::default()
    };
    for (field, value) in spec.and_then(Value::as_object).into_iter().flatten() {
        match value {
            Value::String(text) => settings.set(field, field, text),
            Value::Bool(_) | Value::Number(_) => settings.set(field, field, &value.to_string()),
            Value::Null | Value::Array(_) | Value::Object(_) => {}
        }
    }
    Ok(Some(settings))
}
