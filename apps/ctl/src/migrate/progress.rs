//! How far a long command is, on a line of its own that is written over: for a person at a terminal only.

use std::time::{Duration, Instant};

use crate::session::{Output, Session};

/// How often the line is written.
const INTERVAL: Duration = Duration::from_millis(200);

/// A count that people can watch.
pub(super) struct Progress {
    what: &'static str,
    done: u64,
    written: Option<Instant>,
}

impl Progress {
    pub(super) fn new(what: &'static str) -> Progress {
        Progress {
            what,
            done: 0,
            written: None,
        }
    }

    pub(super) fn step(&mut self, count: u64, session: &mut Session<'_>) {
        self.done += count;
        let due = self.written.is_none_or(|at| at.elapsed() >= INTERVAL);
        if session.errors == Output::Terminal && due {
            self.written = Some(Instant::now());
            let _ = write!(session.err, "\r{} {} objects\x1b[K", self.what, self.done);
            let _ = session.err.flush();
        }
    }

    /// Takes the line away.
    pub(super) fn end(&self, session: &mut Session<'_>) {
        if self.written.is_some() {
            let _ = write!(session.err, "\r\x1b[K");
            let _ = session.err.flush();
        }
    }
}
