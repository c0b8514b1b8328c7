//! Deadlines of requests.

use std::time::{Duration, Instant};

/// How long one attempt to connect may take.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// When a request counts as failed, whatever was tried for it until then.
#[derive(Clone, Copy, Debug)]
pub struct Deadline {
    at: Instant,
    whole: Duration,
}

impl Deadline {
    /// One that begins now.
    #[must_use]
    pub fn after(whole: Duration) -> Self {
        Self {
            at: Instant::now() + whole,
            whole,
        }
    }

    /// What is left of it.
    #[must_use]
    pub fn left(self) -> Duration {
        self.at.saturating_duration_since(Instant::now())
    }

    /// How long it was at first.
    #[must_use]
    pub const fn whole(self) -> Duration {
        self.whole
    }

    /// Runs `future` until the deadline, or until `longest` has passed; nothing if it did not end in that time. Needs the
    /// reactor's runtime.
    pub async fn bound<F: Future>(self, longest: Duration, future: F) -> Option<F::Output> {
        tokio::time::timeout(self.left().min(longest), future)
            .await
            .ok()
    }
}
