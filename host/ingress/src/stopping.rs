//! Telling the connections of a thread that it is to stop.

use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::Notify;

/// Whether a thread is to stop.
#[derive(Debug, Default)]
pub(crate) struct Stopping {
    set: AtomicBool,
    patient: AtomicBool,
    changed: Notify,
}

impl Stopping {
    /// Whether the thread is to stop.
    pub(crate) fn is_set(&self) -> bool {
        self.set.load(Ordering::Acquire)
    }

    /// Waits until the thread is to stop.
    pub(crate) async fn wait(&self) {
        let changed = self.changed.notified();
        if !self.is_set() {
            changed.await;
        }
    }

    /// Whether it is to stop, and each connection after one more answer.
    pub(crate) fn is_patient(&self) -> bool {
        self.patient.load(Ordering::Acquire)
    }

    /// Tells all that wait.
    pub(crate) fn set(&self, patient: bool) {
        self.patient.store(patient, Ordering::Release);
        self.set.store(true, Ordering::Release);
        self.changed.notify_waiters();
    }
}
