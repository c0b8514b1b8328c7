//! What the plugins do by a flag instead of a command: `-t` tries the datastore, `-upgrade` looks for what `host-local` left.

use std::io::{self, IsTerminal as _, Read as _};
use std::net::IpAddr;
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use datastore::Query;

use crate::conf::{MAX_BYTES, NetConf};
use crate::environment::Variables;
use crate::error::{CniError, Code};
use crate::store;

/// How long `-t` may take, whatever the datastore does (upstream).
const LIMIT: Duration = Duration::from_secs(2);
/// Where `host-local` has the addresses of upstream's network.
const HOST_LOCAL: &str = "/var/lib/cni/networks/k8s-pod-network";

/// Whether the datastore of the configuration on stdin can be reached and is ready: before that, an installer leaves the
/// network's configuration away. Without a configuration, that of the environment.
pub(crate) fn connection(variables: Variables) -> Result<(), CniError> {
    let mut stdin = Vec::new();
    if !io::stdin().is_terminal() {
        io::stdin()
            .lock()
            .take(MAX_BYTES)
            .read_to_end(&mut stdin)
            .map_err(|e| CniError::from_source(Code::Io, "failed to read stdin", &e))?;
    }
    let conf = match stdin.trim_ascii().is_empty() {
        true => NetConf::default(),
        false => NetConf::parse(&stdin)?,
    };
    within(LIMIT, move || {
        let store = store::open(&conf, &variables)?;
        let queries: Vec<Query> = store::readiness_query().into_iter().collect();
        store::check_ready(&store.read(&queries)?)
    })
    .map_err(|error| {
        CniError::new(Code::Ipam, "data store connection failed").hint(error.to_string())
    })
}

/// Runs `work`, but no longer than this; what is still under way ends with the process.
fn within(
    limit: Duration,
    work: impl FnOnce() -> Result<(), CniError> + Send + 'static,
) -> Result<(), CniError> {
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        // Nobody listens any more: then the limit was the answer.
        let _ = tell.send(work());
    });
    told.recv_timeout(limit).unwrap_or_else(|_| {
        let text = format!("the datastore did not answer within {} s", limit.as_secs());
        Err(CniError::new(Code::TryAgain, text))
    })
}

/// What upstream's installer asks for before the plugin takes over from `host-local`: addresses that stand there would be given twice.
pub(crate) fn upgrade() -> Result<(), CniError> {
    match leftovers(Path::new(HOST_LOCAL)) {
        0 => Ok(()),
        count => {
            let text = format!(
                "{HOST_LOCAL} holds {count} addresses of host-local, which are not taken over"
            );
            Err(CniError::new(Code::UnsupportedField, text)
                .hint("drain this node, so that its pods are made anew with calico-ipam, and remove the directory"))
        }
    }
}

/// How many addresses a directory of `host-local` has: one file each.
fn leftovers(directory: &Path) -> usize {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    names.filter(|name| name.parse::<IpAddr>().is_ok()).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_kept() {
        let (_keep, never) = mpsc::channel::<()>();
        let error = within(Duration::from_millis(20), move || {
            let _ = never.recv();
            Ok(())
        })
        .unwrap_err();
        assert!(error.message.contains("did not answer"), "{error}");
        within(Duration::from_secs(20), || Ok(())).unwrap();
    }

    #[test]
    fn addresses_of_host_local_are_counted() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["10.0.0.1", "fd00::1", "last_reserved_ip.0", "lock"] {
            std::fs::write(dir.path().join(name), "x").unwrap();
        }
        assert_eq!(leftovers(dir.path()), 2);
        assert_eq!(leftovers(&dir.path().join("no")), 0);
    }
}
