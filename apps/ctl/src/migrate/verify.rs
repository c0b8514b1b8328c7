//! The last step of an import: everything is read back and compared with the file.

use api::Kind;
use datastore::Datastore;

use super::kinds::{IPAM, Part, STREAM, part};
use super::prepared::of_stored;
use super::target::{Nature, Target, Wanted};
use crate::outcome::Failure;

/// What was read back.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Verified {
    pub(super) objects: usize,
    pub(super) entries: usize,
    /// One line for each that is not as the file has it.
    pub(super) wrong: Vec<String>,
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
                let line = format!("{} reads back otherwise than the file has it", entry.key);
                verified.wrong.push(line);
            }
        }
    }
    let gone = missing
        .into_iter()
        .map(|key| format!("{key} is not in the datastore"));
    verified.wrong.extend(gone);
    Ok(verified)
}
