//! The one loop of all operations: read, decide, commit; after a conflict from the start with a fresh read.

use crate::seam::{Entry, Query, Reply, Step, Write};
use crate::view::View;

/// How often an operation begins again before it gives up (upstream's number).
pub const MAX_ATTEMPTS: u32 = 100;

/// Others were faster every time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("others changed the same IPAM objects {MAX_ATTEMPTS} times in a row; try again")]
pub struct Contended;

/// What an operation decides from what it sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attempt<T> {
    /// It must see more.
    Read(Vec<Query>),
    /// It wants these writes, and then has this outcome.
    Commit(Vec<Write>, T),
    /// It is over without a write.
    Done(T),
}

/// One IPAM operation: from what is there to what to do.
pub trait Operation {
    /// What it comes to.
    type Outcome;

    /// What it reads first.
    fn queries(&self) -> Vec<Query>;

    /// What it does about what it sees.
    fn attempt(&mut self, view: &View) -> Attempt<Self::Outcome>;

    /// What it says when it gives up.
    fn contended(&self, why: Contended) -> Self::Outcome;
}

/// An operation under way.
#[derive(Clone, Debug)]
pub struct Machine<O: Operation> {
    operation: O,
    attempts: u32,
    queries: Vec<Query>,
    outcome: Option<O::Outcome>,
}

impl<O: Operation> Machine<O> {
    /// An operation that has not begun: give it [`Reply::Start`].
    pub fn new(operation: O) -> Self {
        Machine {
            queries: operation.queries(),
            operation,
            attempts: 0,
            outcome: None,
        }
    }

    /// Takes the driver's answer, and says what it is to do next. An answer that does not fit makes it begin again.
    pub fn step(&mut self, reply: Reply) -> Step<O::Outcome> {
        match reply {
            Reply::Snapshot(entries) => self.decide(entries),
            Reply::Committed => match self.outcome.take() {
                Some(outcome) => Step::Done(outcome),
                None => Step::Read(self.queries.clone()),
            },
            Reply::Start => Step::Read(self.queries.clone()),
            Reply::Conflict => self.again(),
        }
    }

    fn decide(&mut self, entries: Vec<Entry>) -> Step<O::Outcome> {
        match self.operation.attempt(&View::new(&self.queries, entries)) {
            Attempt::Read(more) => {
                let before = self.queries.len();
                for query in more {
                    if !self.queries.contains(&query) {
                        self.queries.push(query);
                    }
                }
                if self.queries.len() == before {
                    // It asks for what it has: the driver's answer was not what was asked.
                    return self.again();
                }
                Step::Read(self.queries.clone())
            }
            Attempt::Commit(writes, outcome) if writes.is_empty() => Step::Done(outcome),
            Attempt::Commit(writes, outcome) => {
                self.outcome = Some(outcome);
                Step::Commit(writes)
            }
            Attempt::Done(outcome) => Step::Done(outcome),
        }
    }

    fn again(&mut self) -> Step<O::Outcome> {
        self.outcome = None;
        self.attempts += 1;
        if self.attempts >= MAX_ATTEMPTS {
            return Step::Done(self.operation.contended(Contended));
        }
        Step::Read(self.queries.clone())
    }
}
