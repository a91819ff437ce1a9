//! A host that went away and is asked again, less and less often.

use std::time::Duration;
use tokio::time::Instant;

/// First pause between two tries.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// Longest pause between two tries.
pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// A host that does not answer.
pub(super) struct Away {
    since: Instant,
    pause: Duration,
}

impl Away {
    /// One that went away just now.
    pub(super) fn now() -> Self {
        let (since, pause) = (Instant::now(), FIRST_PAUSE);
        Self { since, pause }
    }

    /// For how long it has been away.
    pub(super) fn elapsed(&self) -> Duration {
        self.since.elapsed()
    }

    /// Waits before the next try, each time twice as long, up to [`LONGEST_PAUSE`].
    pub(super) async fn pause(&mut self) {
        tokio::time::sleep(self.pause).await;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
    }
}
