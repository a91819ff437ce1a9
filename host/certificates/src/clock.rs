//! What time it is, where days and months are waited for.
//!
//! Pauses of seconds within an order are the network's affair and go by the
//! runtime's timer.

use async_trait::async_trait;
use std::fmt;
use std::time::{Duration, SystemTime};

/// Tells the time and waits for it. Tests have one of their own.
#[async_trait]
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// The time.
    fn now(&self) -> SystemTime;

    /// Returns when `now` is not before this time.
    async fn sleep_until(&self, time: SystemTime);
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

#[async_trait]
impl Clock for SystemClock {
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }

    /// Looks again every minute: the clock may be set, and a runtime's timer stands
    /// still while the machine is suspended.
    async fn sleep_until(&self, time: SystemTime) {
        while let Ok(left) = time.duration_since(self.now()) {
            if left.is_zero() {
                return;
            }
            tokio::time::sleep(left.min(Duration::from_secs(60))).await;
        }
    }
}
