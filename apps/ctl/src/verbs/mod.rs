//! What each verb does.

pub(crate) mod backup;
pub(crate) mod clearing;
pub(crate) mod delete;
pub(crate) mod get;
pub(crate) mod label;
pub(crate) mod man;
pub(crate) mod patch;
pub(crate) mod policy_names;
pub(crate) mod version;
pub(crate) mod write;

use api::Kind;

use crate::manifest::Identity;
use crate::outcome::Failure;

/// The kind that a word of the command line means.
pub(crate) fn kind_of(word: &str) -> Result<Kind, Failure> {
    Kind::lookup(word)
        .ok_or_else(|| Failure::usage(format!("resource type '{word}' is not supported")))
}

/// The objects that a kind and names of the command line mean.
pub(crate) fn identities(
    kind: Kind,
    names: &[String],
    namespace: Option<&str>,
) -> Result<Vec<Identity>, Failure> {
    if names.iter().any(String::is_empty) {
        return Err(Failure::usage("resource name may not be empty"));
    }
    if !kind.is_namespaced() && namespace.is_some() {
        return Err(Failure::usage(format!("{kind} is not namespaced")));
    }
    let namespace = kind
        .is_namespaced()
        .then(|| namespace.unwrap_or("default").to_owned());
    Ok(names
        .iter()
        .map(|name| Identity {
            kind,
            namespace: namespace.clone(),
            name: name.clone(),
        })
        .collect())
}
