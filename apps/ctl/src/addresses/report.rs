//! The report that `ipam check -o` writes and `ipam release --from-report` reads: upstream's fields.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use api::Object;
use model::COMPATIBLE_VERSION;
use serde::Deserialize;

use crate::lock::is_locked;
use crate::outcome::{Failure, Status};
use crate::session::Session;

/// What of a report is needed to release by it.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Report {
    version: String,
    #[serde(rename = "clusterGUID")]
    cluster_guid: String,
    cluster_information_revision: String,
    allocations: BTreeMap<String, Vec<Allocation>>,
    leaked_handles: Vec<LeakedHandle>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Allocation {
    ip: String,
    handle: String,
    sequence_number: Option<u64>,
    in_use: bool,
    cooling_down: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct LeakedHandle {
    #[serde(rename = "ID")]
    id: String,
    #[serde(rename = "Revision")]
    revision: String,
}

/// How an address was allocated when it was found leaked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Leak {
    pub(super) handle: Option<Box<str>>,
    pub(super) sequence: Option<u64>,
}

/// What all reports agree is leaked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Leaks {
    pub(super) addresses: BTreeMap<IpAddr, Leak>,
    /// Handles by name, with the revision at which they had no address.
    pub(super) handles: BTreeMap<String, String>,
}

/// Whether rules that protect from releasing too much may be passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Caution {
    Kept,
    Forced,
}

/// Reads the reports and refuses those that are not of this cluster, this version and this state.
pub(super) fn read(
    paths: &[PathBuf],
    information: &Object,
    caution: Caution,
    session: &mut Session<'_>,
) -> Result<Leaks, Failure> {
    let mut reports = Vec::new();
    for path in paths {
        let report = load(path)?;
        let name = path.display();
        if report.cluster_guid != information.text_at("/spec/clusterGUID") {
            // Never passed over: addresses of another cluster mean nothing here.
            return Err(Failure::general(format!(
                "cluster does not match the provided report ({name}): mismatched cluster GUID. Refusing to release"
            )));
        }
        if report.version != COMPATIBLE_VERSION {
            let version = &report.version;
            match caution {
                Caution::Kept => {
                    return Err(Failure::general(format!(
                        "the provided report ({name}) was produced using a different version ({version}) of calicoctl. Refusing to release"
                    )));
                }
                Caution::Forced => session.line("WARNING: Report was produced using a different version of calicoctl. Ignoring due to --force option")?,
            }
        }
        reports.push(report);
    }
    let revision = information.revision().unwrap_or_default().to_string();
    if reports
        .iter()
        .all(|report| report.cluster_information_revision != revision)
    {
        return Err(Failure::general(
            "the provided reports are all stale - at least one should be up-to-date. Please generate a new report while the data store is locked and try again",
        ));
    }
    if !is_locked(information) {
        match caution {
            Caution::Kept => {
                return Err(Failure::general(
                    "data store is not locked. Either lock the data store, or re-run with --force",
                ));
            }
            Caution::Forced => {
                session
                    .line("WARNING: Data store is not locked. Ignoring due to --force option")?;
            }
        }
    }
    let leaks = reports.into_iter().map(Report::leaks);
    Ok(leaks.reduce(Leaks::common).unwrap_or_default())
}

fn load(path: &Path) -> Result<Report, Failure> {
    let bytes = std::fs::read(path).map_err(|error| {
        let text = format!("cannot read the report {}: {error}", path.display());
        Failure::new(Status::NotFound, text)
    })?;
    serde_json::from_slice(&bytes).map_err(|error| {
        let text = format!(
            "{} is no report of 'calicoctl ipam check': {error}",
            path.display()
        );
        Failure::new(Status::Validation, text)
    })
}

impl Report {
    fn leaks(self) -> Leaks {
        let mut leaks = Leaks::default();
        let all = self.allocations.into_values().flatten();
        for allocation in all.filter(|one| !one.in_use && !one.cooling_down) {
            if let Ok(addr) = allocation.ip.parse() {
                let handle = Some(allocation.handle).filter(|text| !text.is_empty());
                let handle = handle.map(Into::into);
                let sequence = allocation.sequence_number;
                leaks.addresses.insert(addr, Leak { handle, sequence });
            }
        }
        leaks.handles = self
            .leaked_handles
            .into_iter()
            .map(|handle| (handle.id, handle.revision))
            .collect();
        leaks
    }
}

impl Leaks {
    /// What both say, in the same words: an address that was released and assigned again in between is not leaked.
    fn common(mut self, other: Leaks) -> Leaks {
        self.addresses
            .retain(|addr, leak| other.addresses.get(addr) == Some(leak));
        self.handles
            .retain(|id, revision| other.handles.get(id) == Some(revision));
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaks(text: &str) -> Leaks {
        serde_json::from_str::<Report>(text).unwrap().leaks()
    }

    #[test]
    fn only_what_all_reports_say_is_leaked() {
        let first = leaks(
            r#"{"allocations": {
                "10.0.0.1": [{"ip": "10.0.0.1", "handle": "a", "sequenceNumber": 1, "inUse": false, "owners": null}],
                "10.0.0.2": [{"ip": "10.0.0.2", "handle": "b", "sequenceNumber": 2, "inUse": false}],
                "10.0.0.3": [{"ip": "10.0.0.3", "inUse": true}],
                "10.0.0.4": [{"ip": "10.0.0.4", "inUse": false, "coolingDown": true}]},
              "leakedHandles": [{"ID": "x", "UID": null, "Revision": "7"}, {"ID": "y", "Revision": "8"}]}"#,
        );
        assert_eq!(first.addresses.len(), 2);
        let second = leaks(
            r#"{"allocations": {
                "10.0.0.1": [{"ip": "10.0.0.1", "handle": "a", "sequenceNumber": 1}],
                "10.0.0.2": [{"ip": "10.0.0.2", "handle": "b", "sequenceNumber": 9}]},
              "leakedHandles": [{"ID": "x", "Revision": "7"}, {"ID": "y", "Revision": "9"}]}"#,
        );
        let common = first.common(second);
        let addrs: Vec<String> = common.addresses.keys().map(IpAddr::to_string).collect();
        assert_eq!(addrs, ["10.0.0.1"]);
        assert_eq!(common.handles.keys().collect::<Vec<_>>(), ["x"]);
    }
}
