//! `get`: objects by kind, by name, or those that files name.

use api::Kind;
use serde_json::Value;

use crate::cli::{GetArgs, Global};
use crate::connect::{Purpose, connect};
use crate::manifest::{Identity, load};
use crate::objects::Objects;
use crate::outcome::{Failure, Status, common_status};
use crate::output::{Format, Found, Namespaces};
use crate::session::Session;
use crate::verbs::{identities, kind_of};

pub(crate) fn run(
    args: &GetArgs,
    global: &Global,
    session: &mut Session<'_>,
) -> Result<Status, Failure> {
    let format = Format::parse(&args.output)?;
    let namespace = args.files.namespace.namespace.as_deref();
    if args.all_namespaces && namespace.is_some() {
        let text = "cannot use both --namespace and --all-namespaces flags at the same time";
        return Err(Failure::usage(text));
    }
    let namespaces = if args.all_namespaces || namespace.is_some() {
        Namespaces::Shown
    } else {
        Namespaces::Hidden
    };
    let config = &args.files.config.config;
    let (objects, (found, mut failures)) = match &args.kind {
        Some(_) if !args.files.filename.is_empty() => {
            return Err(Failure::usage(
                "give either a kind and names, or -f, not both",
            ));
        }
        Some(word) if args.names.is_empty() => {
            let kind = kind_of(word)?;
            if !kind.is_namespaced() && (args.all_namespaces || namespace.is_some()) {
                return Err(Failure::usage(format!("{kind} is not namespaced")));
            }
            let namespace = (kind.is_namespaced() && !args.all_namespaces)
                .then(|| namespace.unwrap_or("default"));
            let objects = connect(config, Purpose::Read, global, session)?;
            let mut survey = objects.survey(kind, namespace)?;
            if kind == Kind::Tier {
                survey.entries.sort_by(|a, b| order(a).total_cmp(&order(b)));
            }
            (objects, (vec![Found::List { kind, survey }], Vec::new()))
        }
        Some(word) => {
            if args.all_namespaces {
                return Err(Failure::usage(
                    "cannot use --all-namespace flag for getting a single resource",
                ));
            }
            let targets = identities(kind_of(word)?, &args.names, namespace)?;
            let objects = connect(config, Purpose::Read, global, session)?;
            let fetched = fetch(&objects, &targets, args);
            (objects, fetched)
        }
        None if args.files.filename.is_empty() => {
            return Err(Failure::usage("nothing to get: give a kind, or -f FILE"));
        }
        None => {
            let targets: Result<Vec<Identity>, Failure> = load(&args.files, session)?
                .iter()
                .map(|item| item.identity(namespace))
                .collect();
            let targets = targets?;
            let objects = connect(config, Purpose::Read, global, session)?;
            let fetched = fetch(&objects, &targets, args);
            (objects, fetched)
        }
    };
    let as_number = || default_as_number(&objects);
    let mut damaged = Vec::new();
    format.print(&found, namespaces, &as_number, &mut damaged, session)?;
    failures.extend(damaged.into_iter().map(Failure::general));
    if failures.is_empty() {
        return Ok(Status::Done);
    }
    let lines: Vec<&str> = failures
        .iter()
        .map(|failure| failure.text.as_str())
        .collect();
    Err(Failure::new(common_status(&failures), lines.join("\n")))
}

/// The AS number of nodes that have none of their own.
fn default_as_number(objects: &Objects) -> String {
    match objects.find(Kind::BgpConfiguration, None, "default") {
        Ok(object) => object
            .and_then(|object| object.pointer("/spec/asNumber").map(Value::to_string))
            .unwrap_or_else(|| "64512".to_owned()),
        Err(_) => "unknown".to_owned(),
    }
}

/// A tier's place among those that are asked; one without an order comes last.
fn order(entry: &datastore::Entry) -> f64 {
    let tier: Option<Value> = serde_json::from_slice(&entry.value).ok();
    let order = tier.as_ref().and_then(|tier| tier.pointer("/spec/order"));
    order.and_then(Value::as_f64).unwrap_or(f64::INFINITY)
}

/// What is there is shown, whatever else is missing.
fn fetch(objects: &Objects, targets: &[Identity], args: &GetArgs) -> (Vec<Found>, Vec<Failure>) {
    let (mut found, mut failures) = (Vec::new(), Vec::new());
    for target in targets {
        match objects.get(target.kind, target.namespace.as_deref(), &target.name) {
            Ok(mut object) => {
                if args.export && !args.names.is_empty() {
                    strip(&mut object);
                }
                found.push(Found::One(Box::new(object)));
            }
            Err(failure) => failures.push(failure),
        }
    }
    (found, failures)
}

/// Takes away what has a meaning in this cluster only.
fn strip(object: &mut api::Object) {
    const OF_THIS_CLUSTER: [&str; 6] = [
        "namespace",
        "uid",
        "resourceVersion",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
    ];
    for field in OF_THIS_CLUSTER {
        object.metadata_mut().remove(field);
    }
}
