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

#[cfg(test)]
mod tests {
    use super::*;

    const PASSED: usize = 65_536;

    /// A hint that costs so many bytes.
    fn hint(bytes: usize) -> Response<()> {
        let value = "a".repeat(bytes - EACH_BYTES - "link: \r\n".len());
        let hint = Response::builder().status(103).header("link", value);
        hint.body(()).unwrap()
    }

    #[test]
    fn a_client_is_told_so_much_before_each_answer_and_not_more() {
        let interim = Interim::default();
        for _ in 0..2 {
            interim.pass(hint(PASSED - 100));
            assert_eq!(interim.take().len(), 1);
            interim.pass(hint(100));
            assert_eq!(interim.take().len(), 1);
            interim.pass(hint(100));
            assert_eq!(interim.take(), []);
            // What the ingress says itself does not count.
            interim.tell(StatusCode::CONTINUE, HeaderMap::new());
            assert_eq!(interim.take().len(), 1);
            interim.end();
        }
        interim.pass(hint(PASSED + 1));
        assert_eq!(interim.take(), []);
    }

    #[test]
    fn what_was_not_told_before_an_answer_is_not_told_after_it() {
        let interim = Interim::default();
        interim.pass(hint(100));
        interim.end();
        assert_eq!(interim.take(), []);
        interim.pass(hint(100));
        interim.pass(hint(200));
        let told: Vec<_> = interim.take().into_iter().map(|(s, _)| s).collect();
        assert_eq!(told, [103, 103]);
        assert_eq!(interim.take(), [], "once");
    }
}
