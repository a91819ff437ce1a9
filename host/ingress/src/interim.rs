//! Answers before the answer, such as 103 (RFC 9110 section 15.2), on their way to a client.

use crate::fields;
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, Response, StatusCode};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Bytes of what a container says before its answer that are passed on, at most. Nobody has
/// to hear of what comes after them, and a client that does not read would let them pile up.
const PASSED_BYTES: usize = 64 * 1024;

/// As many of them each costs without its fields.
const EACH_BYTES: usize = 64;

/// Interim answers that wait to be sent. Whoever serves the connection sends them once the
/// task that answers the request waits, and none of them once the answer is there.
#[derive(Debug, Default)]
pub(crate) struct Interim {
    /// Whether there are any: it is looked at often.
    some: AtomicBool,
    /// Bytes that were passed on before the answer that comes next.
    passed: AtomicUsize,
    waiting: Mutex<Vec<(StatusCode, HeaderMap)>>,
}

impl Interim {
    /// Tells the client.
    pub(crate) fn tell(&self, status: StatusCode, fields: HeaderMap) {
        self.waiting().push((status, fields));
        self.some.store(true, Ordering::Relaxed);
    }

    /// Tells the client what a container says before its answer.
    pub(crate) fn pass(&self, answer: Response<()>) {
        let (head, ()) = answer.into_parts();
        let mut fields = head.headers;
        fields::strip_hop_by_hop(&mut fields);
        fields.remove(CONTENT_LENGTH);
        let bytes = EACH_BYTES + fields::bytes(&fields);
        if self.passed.fetch_add(bytes, Ordering::Relaxed) + bytes <= PASSED_BYTES {
            self.tell(head.status, fields);
        }
    }

    /// What is to be sent now.
    pub(crate) fn take(&self) -> Vec<(StatusCode, HeaderMap)> {
        if !self.some.swap(false, Ordering::Relaxed) {
            return Vec::new();
        }
        std::mem::take(&mut self.waiting())
    }

    /// The answer is there: what was not sent yet comes too late.
    pub(crate) fn end(&self) {
        self.take();
        self.passed.store(0, Ordering::Relaxed);
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<(StatusCode, HeaderMap)>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
