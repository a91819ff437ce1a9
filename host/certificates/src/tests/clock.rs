//! Time that passes when a test says so.

use crate::Clock;
use async_trait::async_trait;
use std::time::{Duration, SystemTime};
use tokio::sync::watch;

#[derive(Debug)]
pub(crate) struct ManualClock {
    now: watch::Sender<SystemTime>,
}

impl ManualClock {
    /// Begins now, so that certificates of a CA that goes by the machine's clock are
    /// valid.
    pub(crate) fn new() -> Self {
        Self {
            now: watch::Sender::new(SystemTime::now()),
        }
    }

    pub(crate) fn advance(&self, by: Duration) {
        self.now.send_modify(|now| *now += by);
    }

    pub(crate) fn advance_to(&self, time: SystemTime) {
        self.now.send_modify(|now| *now = time.max(*now));
    }
}

#[async_trait]
impl Clock for ManualClock {
    fn now(&self) -> SystemTime {
        *self.now.borrow()
    }

    async fn sleep_until(&self, time: SystemTime) {
        let mut now = self.now.subscribe();
        // The sender is in `self`.
        let _ = now.wait_for(|now| *now >= time).await;
    }
}
