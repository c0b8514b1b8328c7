//! The host-wide lock around work on addresses: one plugin at a time asks the datastore for them, so that a burst of pods does
//! not fight for one block. Best effort, as upstream's: correctness does not rest on it.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};

use crate::conf::NetConf;
use crate::log::Log;

const FILE: &str = "/var/run/calico/ipam.lock";

/// The lock, until it is dropped; nothing where it could not be had.
pub(crate) struct Held {
    _file: Option<File>,
}

/// Waits for the lock.
pub(crate) fn addresses(conf: &NetConf, log: &Log) -> Held {
    let named = conf.ipam_lock_file.as_deref();
    let path = named
        .filter(|path| !path.as_os_str().is_empty())
        .unwrap_or(Path::new(FILE));
    match take(path) {
        Ok(file) => Held { _file: Some(file) },
        Err(error) => {
            log.warning(format_args!(
                "cannot take the lock {}: {error}; going on without it",
                path.display()
            ));
            Held { _file: None }
        }
    }
}

fn take(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.read(true).write(true).create(true).truncate(false);
    let file = match options.open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            fs::create_dir_all(path.parent().unwrap_or(Path::new("/")))?;
            options.open(path)?
        }
        opened => opened?,
    };
    loop {
        match flock(&file, FlockOperation::LockExclusive) {
            Err(rustix::io::Errno::INTR) => {}
            done => return done.map(|()| file).map_err(io::Error::from),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conf(path: &Path) -> NetConf {
        NetConf {
            ipam_lock_file: Some(path.to_owned()),
            log_level: "error".into(),
            ..NetConf::default()
        }
    }

    #[test]
    fn one_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let conf = conf(&dir.path().join("deep/ipam.lock"));
        let log = Log::of(&conf);
        let held = addresses(&conf, &log);
        let (tell, told) = std::sync::mpsc::channel();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let _second = addresses(&conf, &log);
                tell.send(()).unwrap();
            });
            assert!(
                told.recv_timeout(std::time::Duration::from_millis(50))
                    .is_err()
            );
            drop(held);
            told.recv_timeout(std::time::Duration::from_secs(20))
                .unwrap();
        });
    }

    #[test]
    fn without_a_lock_work_goes_on() {
        let conf = conf(Path::new("/proc/no/such/lock"));
        assert!(addresses(&conf, &Log::of(&conf))._file.is_none());
    }
}
