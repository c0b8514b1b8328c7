//! The last step of an import: everything is read back and compared with the file.

use api::Kind;
use datastore::Datastore;

use super::Nature;
use super::kinds::{IPAM, Part, STREAM, part};
use super::prepared::of_stored;
use super::target::{Suspects, Target, Wanted};
use crate::outcome::Failure;

/// What was read back.
#[derive(Debug, Default)]
pub(super) struct Verified {
    pub(super) objects: usize,
    pub(super) entries: usize,
    /// The keys that are not there.
    pub(super) missing: Vec<String>,
    /// What is there and not as the file has it.
    pub(super) suspects: Suspects,
}

/// Compares the store with what is wanted, but for what is known to have failed.
pub(super) fn verify<S: Datastore>(
    target: &Target<'_, S>,
    wanted: &Wanted,
) -> Result<Verified, Failure> {
    let mut verified = Verified::default();
    let mut missing: std::collections::BTreeSet<&str> = wanted
        .keys()
        .map(AsRef::as_ref)
        .filter(|key| !target.tally.failed.contains(*key))
        .collect();
    let kinds = STREAM.iter().chain(target.kinds_beside()).chain(&IPAM);
    for kind in kinds.copied() {
        for entry in target.list(kind)? {
            let Some(digest) = wanted.get(&entry.key) else {
                continue;
            };
            if !missing.remove(&*entry.key) {
                continue;
            }
            let merged = target.nature == Nature::Kubernetes && kind == Kind::Node;
            if merged || of_stored(kind, &entry).is_ok_and(|found| found == *digest) {
                let count = match part(kind) {
                    Part::Ipam => &mut verified.entries,
                    Part::Stream | Part::Beside | Part::Information => &mut verified.objects,
                };
                *count += 1;
            } else {
                let named = entry.key.to_string();
                verified.suspects.insert(entry.key.clone(), (named, entry));
            }
        }
    }
    verified.missing = missing.into_iter().map(str::to_owned).collect();
    Ok(verified)
}
