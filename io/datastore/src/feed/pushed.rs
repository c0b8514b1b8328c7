//! The feed of a store that follows itself on its IO thread and pushes what it learns.
//!
//! What happens when the reader is slow: of each key only the last event is kept, at the place of the first, so that what
//! came before `InSync` stays before it; and who pushes is asked to wait while more than a set number of bytes wait here.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::{FeedEvent, FeedState, FeedStats};
use crate::remote::{Lost, Task, Wakeup};

/// So many bytes of keys and values may wait before who pushes is asked to wait.
const ROOM: usize = 64 << 20;

/// The end that pushes, on the IO thread.
#[derive(Clone)]
pub struct Pusher(Arc<Shared>);

/// The end that is read. Dropped, it ends the work that fills it.
pub struct Pushed {
    shared: Arc<Shared>,
    fillers: Vec<Task>,
}

struct Shared {
    state: Mutex<State>,
    wake: Arc<Wakeup>,
    room: Notify,
}

struct State {
    /// In order; each key once.
    events: Vec<FeedEvent>,
    places: HashMap<Box<str>, usize>,
    bytes: usize,
    doing: FeedState,
    stats: FeedStats,
    reader: Reader,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Reader {
    Reads,
    Gone,
}

/// Both ends of a feed that is pushed.
///
/// # Errors
/// The process has no descriptor left.
pub fn pushed() -> io::Result<(Pusher, Pushed)> {
    let shared = Arc::new(Shared {
        state: Mutex::new(State {
            events: Vec::new(),
            places: HashMap::new(),
            bytes: 0,
            doing: FeedState::Connecting,
            stats: FeedStats::default(),
            reader: Reader::Reads,
        }),
        wake: Wakeup::new()?,
        room: Notify::new(),
    });
    let reader = Pushed {
        shared: shared.clone(),
        fillers: Vec::new(),
    };
    Ok((Pusher(shared), reader))
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // No code under this lock leaves the state half changed, so a panic elsewhere does not spoil it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pusher {
    /// Says one thing. Who pushes values awaits [`room`](Self::room) before.
    pub fn push(&self, event: FeedEvent) {
        self.0.lock().push(event);
        self.0.wake.signal();
    }

    /// Says what is being done; the reader is woken to look.
    pub fn doing(&self, state: FeedState) {
        self.0.lock().doing = state;
        self.0.wake.signal();
    }

    /// Counts what had to be done.
    pub fn count(&self, count: impl FnOnce(&mut FeedStats)) {
        count(&mut self.0.lock().stats);
    }

    /// Waits while the reader is too far behind.
    ///
    /// # Errors
    /// The reader is gone.
    pub async fn room(&self) -> Result<(), Lost> {
        loop {
            let changed = self.0.room.notified();
            {
                let state = self.0.lock();
                if state.reader == Reader::Gone {
                    return Err(Lost);
                }
                if state.bytes <= ROOM {
                    return Ok(());
                }
            }
            changed.await;
        }
    }
}

impl State {
    fn push(&mut self, event: FeedEvent) {
        let key = match &event {
            FeedEvent::Put(entry) => Some(entry.key.clone()),
            FeedEvent::Delete { key } => Some(key.clone()),
            FeedEvent::InSync => None,
        };
        self.bytes += size(&event);
        let Some(key) = key else {
            self.events.push(event);
            return;
        };
        match self.places.get(&key) {
            Some(&place) => {
                let old = std::mem::replace(&mut self.events[place], event);
                self.bytes -= size(&old);
            }
            None => {
                self.places.insert(key, self.events.len());
                self.events.push(event);
            }
        }
    }
}

impl Pushed {
    /// Gives the feed a piece of work that fills it, to be ended with it.
    #[must_use]
    pub fn filled_by(mut self, filler: Task) -> Self {
        self.fillers.push(filler);
        self
    }

    pub(crate) fn poll(&mut self) -> Vec<FeedEvent> {
        // Emptied before looking: what comes in after the look makes it readable again.
        self.shared.wake.clear();
        let mut state = self.shared.lock();
        let taken = std::mem::take(&mut state.events);
        state.places.clear();
        state.bytes = 0;
        drop(state);
        self.shared.room.notify_waiters();
        taken
    }

    pub(crate) fn state(&self) -> FeedState {
        self.shared.lock().doing.clone()
    }

    pub(crate) fn stats(&self) -> FeedStats {
        self.shared.lock().stats
    }
}

impl Drop for Pushed {
    fn drop(&mut self) {
        self.shared.lock().reader = Reader::Gone;
        self.shared.room.notify_waiters();
    }
}

impl AsFd for Pushed {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.shared.wake.as_fd()
    }
}

fn size(event: &FeedEvent) -> usize {
    match event {
        FeedEvent::Put(entry) => entry.key.len() + entry.value.len(),
        FeedEvent::Delete { key } => key.len(),
        FeedEvent::InSync => 0,
    }
}
