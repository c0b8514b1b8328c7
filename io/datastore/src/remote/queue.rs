//! From the IO thread to one who watches: a bounded queue of events.
//!
//! What happens when it is full: of each key only the last event is kept. If that leaves it more than half full, the
//! watcher is told to list again, which costs no more than the objects there are.

use std::collections::HashSet;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Task, Trouble, Wakeup};
use crate::watch::Source;
use crate::{Event, Revision, WatchError};

/// How much may wait in a queue.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Events.
    pub events: usize,
    /// Bytes of keys and values.
    pub bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            events: 65_536,
            bytes: 64 << 20,
        }
    }
}

/// The queue's end on the IO thread.
pub struct Sink(Arc<Shared>);

/// The queue's end with the watcher. Dropped, it ends the work that fills it.
pub struct RemoteSource {
    shared: Arc<Shared>,
    /// Handed out up to here.
    position: Revision,
    _filler: Option<Task>,
}

/// The watcher lists again, or is gone: there is no more to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lost;

struct Shared {
    state: Mutex<State>,
    wake: Arc<Wakeup>,
    limits: Limits,
}

struct State {
    events: Vec<Event>,
    bytes: usize,
    /// All up to here is in `events`, or was handed out.
    revision: Revision,
    /// The watch is over, for changes up to here were dropped.
    lost: Option<Revision>,
    trouble: Option<Trouble>,
}

/// A queue for changes after `from`.
///
/// # Errors
/// The process has no descriptor left.
pub fn queue(from: Revision, limits: Limits) -> io::Result<(Sink, RemoteSource)> {
    let shared = Arc::new(Shared {
        state: Mutex::new(State {
            events: Vec::new(),
            bytes: 0,
            revision: from,
            lost: None,
            trouble: None,
        }),
        wake: Wakeup::new()?,
        limits,
    });
    let source = RemoteSource {
        shared: shared.clone(),
        position: from,
        _filler: None,
    };
    Ok((Sink(shared), source))
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // No code under this lock leaves the state half changed, so a panic elsewhere does not spoil it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sink {
    /// Adds whole transactions, the last of which is `revision`; no events if there was nothing to tell of them.
    ///
    /// # Errors
    /// The watch is over.
    pub fn push(&self, events: Vec<Event>, revision: Revision) -> Result<(), Lost> {
        let mut state = self.0.lock();
        if state.lost.is_some() || Arc::strong_count(&self.0) == 1 {
            return Err(Lost);
        }
        state.revision = state.revision.max(revision);
        if events.is_empty() {
            return Ok(());
        }
        state.bytes += events.iter().map(size).sum::<usize>();
        state.events.extend(events);
        state.shrink(self.0.limits);
        drop(state);
        self.0.wake.signal();
        Ok(())
    }

    /// Ends the watch: changes up to `compacted` are not known any more.
    pub fn lose(&self, compacted: Revision) {
        self.0.lock().lose(compacted);
        self.0.wake.signal();
    }

    /// Says that nothing comes for now and why, or that the trouble is over.
    pub fn trouble(&self, why: Option<String>) {
        let mut state = self.0.lock();
        let since = state.trouble.as_ref().map(|trouble| trouble.since);
        state.trouble = why.map(|why| Trouble {
            why,
            since: since.unwrap_or_else(std::time::Instant::now),
        });
        drop(state);
        self.0.wake.signal();
    }

    /// Everything up to here was put in.
    #[must_use]
    pub fn revision(&self) -> Revision {
        self.0.lock().revision
    }
}

impl State {
    fn lose(&mut self, compacted: Revision) {
        self.events = Vec::new();
        self.bytes = 0;
        self.lost.get_or_insert(compacted);
    }

    fn shrink(&mut self, limits: Limits) {
        if self.events.len() <= limits.events && self.bytes <= limits.bytes {
            return;
        }
        let mut seen = HashSet::new();
        let mut keep: Vec<bool> = self
            .events
            .iter()
            .rev()
            .map(|event| key(event).is_none_or(|key| seen.insert(key)))
            .collect();
        drop(seen);
        // `retain` goes forwards, the marks were made backwards.
        self.events.retain(|_| keep.pop().unwrap_or(true));
        self.bytes = self.events.iter().map(size).sum();
        // Half is freed each time, so the work for one event stays bounded.
        if self.events.len() > limits.events / 2 || self.bytes > limits.bytes / 2 {
            self.lose(self.revision);
        }
    }
}

impl RemoteSource {
    /// Gives the source the work that fills it, to be ended with it.
    #[must_use]
    pub fn filled_by(mut self, filler: Task) -> Self {
        self._filler = Some(filler);
        self
    }
}

impl Source for RemoteSource {
    fn revision(&self) -> Revision {
        self.position
    }

    fn trouble(&self) -> Option<Trouble> {
        self.shared.lock().trouble.clone()
    }

    fn drain(&mut self) -> Result<Vec<Event>, WatchError> {
        // Emptied before looking: what comes in after the look makes it readable again.
        self.shared.wake.clear();
        let mut state = self.shared.lock();
        if let Some(compacted) = state.lost {
            return Ok(vec![Event::Resync { compacted }]);
        }
        state.bytes = 0;
        self.position = state.revision;
        Ok(std::mem::take(&mut state.events))
    }
}

impl AsFd for RemoteSource {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.shared.wake.as_fd()
    }
}

fn key(event: &Event) -> Option<&str> {
    match event {
        Event::Put(entry) => Some(&entry.key),
        Event::Delete { key, .. } => Some(key),
        Event::Resync { .. } => None,
    }
}

fn size(event: &Event) -> usize {
    match event {
        Event::Put(entry) => entry.key.len() + entry.value.len(),
        Event::Delete { key, .. } => key.len(),
        Event::Resync { .. } => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Entry;

    const LIMITS: Limits = Limits {
        events: 10,
        bytes: 1000,
    };

    fn drained(source: &mut RemoteSource) -> Vec<Event> {
        source.drain().expect("a queue's source never fails")
    }

    fn put(key: &str, value: usize, at: u64) -> Event {
        Event::Put(Entry {
            key: key.into(),
            value: vec![0; value],
            revision: Revision::new(at),
        })
    }

    #[test]
    fn a_slow_reader_gets_the_last_of_each_key() {
        let (sink, mut source) = queue(Revision::ZERO, LIMITS).unwrap();
        for at in 1..=100 {
            let key = format!("/{}", at % 3);
            sink.push(vec![put(&key, 1, at)], Revision::new(at))
                .unwrap();
        }
        assert_eq!(source.revision(), Revision::ZERO);
        let events = drained(&mut source);
        assert!(events.len() <= LIMITS.events);
        for (key, last) in [("/0", 99), ("/1", 100), ("/2", 98)] {
            assert!(events.contains(&put(key, 1, last)), "{key}");
        }
        assert!(events.is_sorted_by_key(|event| match event {
            Event::Put(entry) => entry.revision,
            Event::Delete { revision, .. } => *revision,
            Event::Resync { compacted } => *compacted,
        }));
        assert_eq!(source.revision(), Revision::new(100));
        assert!(drained(&mut source).is_empty());
    }

    #[test]
    fn too_many_keys_or_bytes_are_listed_again() {
        let (sink, mut source) = queue(Revision::ZERO, LIMITS).unwrap();
        let mut pushed = Ok(());
        for at in 1..=100 {
            pushed = sink.push(vec![put(&format!("/{at}"), 1, at)], Revision::new(at));
        }
        assert_eq!(pushed, Err(Lost));
        let lost = [Event::Resync {
            compacted: Revision::new(11),
        }];
        assert_eq!(drained(&mut source), lost);
        assert_eq!(drained(&mut source), lost, "it stays so");

        let (sink, mut source) = queue(Revision::ZERO, LIMITS).unwrap();
        sink.push(vec![put("/a", 600, 1)], Revision::new(1))
            .unwrap();
        sink.push(vec![put("/b", 600, 2)], Revision::new(2))
            .unwrap();
        assert!(matches!(drained(&mut source)[..], [Event::Resync { .. }]));
    }

    #[test]
    fn nobody_fills_a_queue_whose_watcher_is_gone() {
        let (sink, source) = queue(Revision::ZERO, LIMITS).unwrap();
        drop(source);
        assert_eq!(sink.push(Vec::new(), Revision::new(1)), Err(Lost));
    }

    #[test]
    fn trouble_is_told_with_its_beginning() {
        let (sink, mut source) = queue(Revision::ZERO, LIMITS).unwrap();
        sink.trouble(Some("a".into()));
        let first = source.trouble().unwrap();
        sink.trouble(Some("b".into()));
        let then = source.trouble().unwrap();
        assert_eq!((&*then.why, then.since), ("b", first.since));
        sink.push(Vec::new(), Revision::new(7)).unwrap();
        sink.trouble(None);
        assert_eq!(source.trouble(), None);
        assert!(drained(&mut source).is_empty());
        assert_eq!(
            source.revision(),
            Revision::new(7),
            "progress without events"
        );
    }
}
