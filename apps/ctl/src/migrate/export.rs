//! `datastore migrate export`: all of a locked store, on standard output, in upstream's form.
//!
//! One kind is in memory at a time. Lists are cut into documents that upstream's reader takes (10 MB at most).

use api::kubernetes::Group;
use api::{Kind, Object};
use datastore::{Datastore, Entry, Query, Revision};
use serde_json::Value;

use super::ipam_part::{Aim, Writer};
use super::kinds::{BESIDE, FROM_KUBERNETES, STREAM, is_built_in};
use super::names::Names;
use super::prepared::tidied;
use super::seal::{self, OF_THE_STORE, Seals};
use super::{Nature, Store};
use crate::cli::{ExportArgs, Global};
use crate::connect::{Purpose, connect};
use crate::json::pretty;
use crate::lock::is_locked;
use crate::outcome::{Failure, Status, chain};
use crate::progress::Progress;
use crate::session::Session;
use crate::yaml::to_yaml;

/// How long a document gets before another one is begun.
const DOCUMENT_BYTES: usize = 4 << 20;

/// Fields of FelixConfiguration that older releases wrote in capitals.
const ACTIONS: [&str; 4] = [
    "defaultEndpointToHostAction",
    "iptablesFilterAllowAction",
    "iptablesMangleAllowAction",
    "iptablesFilterDenyAction",
];

pub(crate) fn run(
    args: &ExportArgs,
    global: &Global,
    session: &mut Session<'_>,
) -> Result<Status, Failure> {
    let objects = connect(&args.config.config, Purpose::Maintain, global, session)?;
    let nature = Nature::of(objects.choice().kind);
    let store = Store::new(objects.store(), objects.choice());
    export(store, nature, args.to, session)
}

/// Writes the file.
pub(super) fn export<S: Datastore>(
    store: Store<'_, S>,
    nature: Nature,
    aim: Aim,
    session: &mut Session<'_>,
) -> Result<Status, Failure> {
    let (information, locked_at) = locked(&store)?;
    let mut export = Export {
        store,
        nature,
        aim,
        names: Names::default(),
        seals: Seals::default(),
        damaged: Vec::new(),
        progress: Progress::new("Exported"),
    };
    export.learn_names()?;
    for kind in STREAM {
        export.list(kind, session)?;
    }
    session.line("===")?;
    session.line(pretty(&information.into_shown()))?;
    session.line("===")?;
    export.last_part(session)?;
    export.progress.end(session);
    let (_, still_locked_at) = locked(&export.store)?;
    if still_locked_at != locked_at {
        return Err(Failure::new(
            Status::Conflict,
            "the datastore was unlocked, or its ClusterInformation changed, while it was exported: lock it and export again",
        ));
    }
    if export.damaged.is_empty() {
        return Ok(Status::Done);
    }
    let count = export.damaged.len();
    Err(Failure::general(format!(
        "{count} entries are damaged and were left out of the export:\n  {}",
        export.damaged.join("\n  ")
    )))
}

/// ClusterInformation, which must say that the store is locked.
fn locked<S: Datastore>(store: &Store<'_, S>) -> Result<(Object, Revision), Failure> {
    let before =
        "error while checking if datastore was locked: error retrieving ClusterInformation: ";
    let key = api::store_key(Kind::ClusterInformation, None, "default");
    let snapshot = store
        .read(&[Query::key(key.as_str())])
        .map_err(|failure| failure.context(before))?;
    let Some(entry) = snapshot.get(&key) else {
        let text = "resource does not exist: ClusterInformation(default) with error: not found";
        return Err(Failure::new(Status::NotFound, text).context(before));
    };
    let information = object_of(entry).map_err(|text| Failure::general(text).context(before))?;
    if is_locked(&information) {
        return Ok((information, entry.revision));
    }
    Err(Failure::general(
        "datastore is not locked. Run the `calicoctl datastore migrate lock` command in order to begin migration",
    ))
}

fn object_of(entry: &Entry) -> Result<Object, String> {
    Object::from_store(&entry.key, &entry.value, entry.revision.get())
        .map_err(|error| format!("{}: {}", entry.key, chain(&error)))
}

struct Export<'a, S> {
    store: Store<'a, S>,
    nature: Nature,
    aim: Aim,
    names: Names,
    seals: Seals,
    damaged: Vec<String>,
    progress: Progress,
}

impl<S: Datastore> Export<'_, S> {
    /// The names that nodes get.
    fn learn_names(&mut self) -> Result<(), Failure> {
        if self.aim != Aim::Kubernetes {
            return Ok(());
        }
        let (entries, _) = self.entries(Kind::Node)?;
        let nodes: Vec<Object> = entries.iter().flat_map(object_of).collect();
        self.names = Names::of_kubernetes(&nodes).map_err(|node| {
            Failure::general(format!(
                "unable to process metadata for export for Node resource: node {node} missing a 'k8s' orchestrator reference. \
                 Unable to export data unless every node has a 'k8s' orchestrator reference. \
                 For a datastore that is not Kubernetes, use --to=etcdv3 or --to=embedded"
            ))
        })?;
        Ok(())
    }

    fn entries(&self, kind: Kind) -> Result<(Vec<Entry>, Revision), Failure> {
        let queries: Vec<Query> = api::store_prefixes(kind, None)
            .into_iter()
            .map(Query::prefix)
            .collect();
        let snapshot = self.store.read(&queries)?;
        Ok((snapshot.entries, snapshot.revision))
    }

    /// An entry as the file has it.
    fn object(&mut self, entry: &Entry) -> Option<Object> {
        let mut object = match object_of(entry) {
            Ok(object) => object,
            Err(text) => {
                self.damaged.push(text);
                return None;
            }
        };
        for field in OF_THE_STORE {
            object.metadata_mut().remove(field);
        }
        if self.aim == Aim::Kubernetes {
            self.names.rename(&mut object);
            if object.kind() == Kind::FelixConfiguration {
                capitalize(&mut object);
            }
        }
        Some(object)
    }

    /// A kind as one list, or as several if it is long.
    fn list(&mut self, kind: Kind, session: &mut Session<'_>) -> Result<(), Failure> {
        let (entries, revision) = self.entries(kind)?;
        let mut written = 0;
        for entry in entries {
            let Some(object) = self.object(&entry) else {
                continue;
            };
            if is_from_kubernetes(&object) {
                continue;
            }
            if written == 0 {
                session.print(&format!("apiVersion: {}\nitems:\n", kind.api_version()))?;
            }
            self.progress.step(1, session);
            let value = object.into_shown();
            self.seals.add(kind, &seal::of_object(&value));
            let text = item(value);
            session.print(&text)?;
            written += text.len();
            if written > DOCUMENT_BYTES {
                session.print(&end_of_list(kind, revision))?;
                written = 0;
            }
        }
        if written == 0 {
            session.print(&format!("apiVersion: {}\nitems: []\n", kind.api_version()))?;
        }
        session.print(&end_of_list(kind, revision))
    }

    fn last_part(&mut self, session: &mut Session<'_>) -> Result<(), Failure> {
        let mut writer = Writer::default();
        for kind in Writer::order() {
            for entry in self.entries(kind)?.0 {
                if let Some((key, bytes)) = self.ipam_entry(kind, entry) {
                    self.progress.step(1, session);
                    session.print(&writer.entry(kind, &key, &bytes))?;
                }
            }
            session.print(writer.end_list())?;
        }
        session.print(&writer.begin_ours(self.aim))?;
        if self.aim != Aim::Kubernetes {
            for kind in std::iter::once(Kind::NetworkPolicy).chain(BESIDE) {
                self.beside(kind, &mut writer, session)?;
            }
        }
        session.print(&writer.end(&self.seals.written()))
    }

    /// The objects of a kind that upstream's file has no room for.
    fn beside(
        &mut self,
        kind: Kind,
        writer: &mut Writer,
        session: &mut Session<'_>,
    ) -> Result<(), Failure> {
        for entry in self.entries(kind)?.0 {
            let Some(object) = self.object(&entry) else {
                continue;
            };
            let of_kubernetes = self.nature == Nature::Kubernetes;
            let stands_for_another = if kind == Kind::NetworkPolicy {
                !is_from_kubernetes(&object)
            } else if kind == Kind::Profile {
                // Kubernetes has them by its namespaces and accounts, which an embedded store keeps as they are.
                of_kubernetes && self.aim == Aim::Embedded && !is_built_in(kind, object.name())
            } else {
                of_kubernetes && self.aim == Aim::Etcdv3 && is_native(kind)
            };
            if stands_for_another {
                continue;
            }
            let object = if is_native(kind) && self.aim == Aim::Etcdv3 {
                profile_of(&object)
            } else {
                Some(object)
            };
            if let Some(object) = object {
                self.progress.step(1, session);
                let kind = object.kind();
                let value = object.into_shown();
                self.seals.add(kind, &seal::of_object(&value));
                session.print(&writer.beside(&value))?;
            }
        }
        Ok(())
    }

    /// An IPAM entry as the file has it.
    fn ipam_entry(&mut self, kind: Kind, entry: Entry) -> Option<(String, Vec<u8>)> {
        let bytes = tidied(&entry.key, entry.value);
        let mut value: Value = match serde_json::from_slice(&bytes) {
            Ok(value) => value,
            Err(error) => {
                let text = format!("{}: the stored value is no JSON: {error}", entry.key);
                self.damaged.push(text);
                return None;
            }
        };
        // Some keys of this tree are marks, not entries: a host has one of its own.
        let place = api::parse_store_key(&entry.key).filter(|place| place.kind() == kind)?;
        let place = match place {
            api::StoreKey::Affinity(id) => api::StoreKey::Affinity(self.names.affinity(id)),
            api::StoreKey::Handle(handle) => {
                let renamed = self.names.handle(&handle);
                api::StoreKey::Handle(renamed.map_or(handle, Into::into))
            }
            place @ (api::StoreKey::Block(_)
            | api::StoreKey::IpamConfig
            | api::StoreKey::Resource { .. }) => place,
        };
        if kind == Kind::IpamBlock {
            self.names.block(&mut value);
        }
        let key = place.to_string();
        self.seals.add(kind, &seal::of_entry(&key, &value));
        let bytes = tidied(&key, value.to_string().into_bytes());
        Some((key, bytes))
    }
}

/// True for Kubernetes' objects that etcd has as profiles.
fn is_native(kind: Kind) -> bool {
    matches!(kind, Kind::Namespace | Kind::ServiceAccount)
}

/// The profile that stands for a namespace or a service account, as upstream makes it.
fn profile_of(object: &Object) -> Option<Object> {
    let mut object = object.clone();
    let place = api::kubernetes::collections(Kind::Profile, Group::V3);
    let place = place
        .into_iter()
        .find(|of| of.plural() == object.kind().plural())?;
    // It is read as an API server would give it.
    object.set_revision(1);
    let bytes = Value::Object(object.value().clone()).to_string();
    let reading = api::kubernetes::read(place, bytes.as_bytes()).ok()?;
    let mut profile = Object::from_store(&reading.key?, &reading.value?, 1).ok()?;
    for field in OF_THE_STORE {
        profile.metadata_mut().remove(field);
    }
    Some(profile)
}

/// True for policies that Kubernetes' own were turned into.
fn is_from_kubernetes(object: &Object) -> bool {
    object.kind() == Kind::NetworkPolicy && object.name().starts_with(FROM_KUBERNETES)
}

/// Characters that are line breaks to some readers of YAML and none to others.
const BREAKS: [char; 3] = ['\u{85}', '\u{2028}', '\u{2029}'];

/// A member of a list. Text that a reader would take for the end of the stream is written as JSON, which YAML is too.
fn item(value: Value) -> String {
    let list = Value::Array(vec![value]);
    let text = to_yaml(&list);
    if !text.contains("===\n") {
        return text;
    }
    let json = list.get(0).unwrap_or(&Value::Null).to_string();
    let escaped = BREAKS.iter().fold(json, |json, c| {
        json.replace(*c, &format!("\\u{:04x}", u32::from(*c)))
    });
    format!("- {escaped}\n")
}

fn end_of_list(kind: Kind, revision: Revision) -> String {
    format!("kind: {kind}List\nmetadata:\n  resourceVersion: \"{revision}\"\n---\n")
}

/// `ACCEPT` becomes `Accept`.
fn capitalize(felix: &mut Object) {
    let spec = felix.spec_mut();
    for field in ACTIONS {
        if let Some(Value::String(text)) = spec.get_mut(field) {
            let lower = text.to_lowercase();
            let mut letters = lower.chars();
            *text = letters.next().map_or_else(String::new, |first| {
                first.to_uppercase().chain(letters).collect()
            });
        }
    }
}
