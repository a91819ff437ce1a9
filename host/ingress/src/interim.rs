//! Answers before the answer, such as 103 (RFC 9110 section 15.2), on their way to a client.

use http::{HeaderMap, StatusCode};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// So many wait for a client, at most. Nobody has to hear of what comes after them.
const WAITING: usize = 32;

/// Interim answers that wait to be sent. Whoever serves the connection sends them once the
/// task that answers the request waits, and none of them once the answer is there.
#[derive(Debug, Default)]
pub(crate) struct Interim {
    /// Whether there are any: it is looked at often.
    some: AtomicBool,
    waiting: Mutex<Vec<(StatusCode, HeaderMap)>>,
}

impl Interim {
    /// Tells the client.
    pub(crate) fn tell(&self, status: StatusCode, fields: HeaderMap) {
        let mut waiting = self.waiting();
        if waiting.len() < WAITING {
            waiting.push((status, fields));
            self.some.store(true, Ordering::Relaxed);
        }
    }

    /// What is to be sent now.
    pub(crate) fn take(&self) -> Vec<(StatusCode, HeaderMap)> {
        if !self.some.swap(false, Ordering::Relaxed) {
            return Vec::new();
        }
        std::mem::take(&mut self.waiting())
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<(StatusCode, HeaderMap)>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
