//! How far a long command is, on a line of its own that is written over: for a person at a terminal only.

use std::time::{Duration, Instant};

use crate::session::{Output, Session};

/// Work shorter than this is not worth a word.
const QUIET: Duration = Duration::from_secs(1);
/// How often the line is written.
const INTERVAL: Duration = Duration::from_millis(200);

/// A count that people can watch.
pub(crate) struct Progress {
    what: &'static str,
    done: u64,
    begun: Instant,
    written: Option<Instant>,
}

impl Progress {
    pub(crate) fn new(what: &'static str) -> Progress {
        Progress {
            what,
            done: 0,
            begun: Instant::now(),
            written: None,
        }
    }

    pub(crate) fn step(&mut self, count: u64, session: &mut Session<'_>) {
        self.done += count;
        let due = match self.written {
            Some(at) => at.elapsed() >= INTERVAL,
            None => self.begun.elapsed() >= QUIET,
        };
        if session.errors == Output::Terminal && due {
            self.written = Some(Instant::now());
            let _ = write!(session.err, "\r{} {} objects\x1b[K", self.what, self.done);
            let _ = session.err.flush();
        }
    }

    /// Takes the line away.
    pub(crate) fn end(&self, session: &mut Session<'_>) {
        if self.written.is_some() {
            let _ = write!(session.err, "\r\x1b[K");
            let _ = session.err.flush();
        }
    }
}
