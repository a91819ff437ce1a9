//! What the clients saw: counts, and every failure with its time.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

/// A kind of client at an app.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Client {
    pub(crate) kind: &'static str,
    pub(crate) app: &'static str,
}

/// What clients of one kind saw of one app.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Count {
    /// Connections that were opened.
    pub(crate) connections: usize,
    /// Answers, echoes or events that were as they shall be.
    pub(crate) good: usize,
    /// Streams that main ended in good order.
    pub(crate) ended: usize,
    /// Requests that were known not to have been looked at, and were sent again.
    pub(crate) again: usize,
    pub(crate) failures: usize,
}

/// What a change finds open. Whatever takes long holds a drain up, and so hides what
/// comes too early after it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Streams {
    /// Nothing that takes long.
    Absent,
    /// Streams that their clients end after a while.
    #[default]
    Brief,
    /// Streams that stay until main ends them.
    Patient,
}

/// Something that went wrong.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) client: Client,
    /// Unix time in milliseconds at which the request or the stream began.
    pub(crate) began_ms: i64,
    /// Unix time in milliseconds at which it was seen to fail.
    pub(crate) at_ms: i64,
    pub(crate) what: String,
}

/// What clients report to and are told by.
#[derive(Debug, Default)]
pub(crate) struct Record {
    counts: Mutex<BTreeMap<Client, Count>>,
    failures: Mutex<Vec<Failure>>,
    releases: Mutex<BTreeMap<&'static str, Vec<usize>>>,
    stopping: AtomicBool,
    streams: Mutex<Streams>,
}

impl Record {
    pub(crate) fn opened(&self, client: Client) {
        lock(&self.counts).entry(client).or_default().connections += 1;
    }

    pub(crate) fn good(&self, client: Client) {
        lock(&self.counts).entry(client).or_default().good += 1;
    }

    pub(crate) fn ended(&self, client: Client) {
        lock(&self.counts).entry(client).or_default().ended += 1;
    }

    pub(crate) fn again(&self, client: Client) {
        lock(&self.counts).entry(client).or_default().again += 1;
    }

    /// Keeps what failed now.
    pub(crate) fn failed(&self, client: Client, began_ms: i64, what: String) {
        let at_ms = now_ms();
        let failure = Failure {
            client,
            began_ms,
            at_ms,
            what,
        };
        lock(&self.counts).entry(client).or_default().failures += 1;
        lock(&self.failures).push(failure);
    }

    /// The failures that were not taken yet.
    pub(crate) fn take_failures(&self) -> Vec<Failure> {
        std::mem::take(&mut lock(&self.failures))
    }

    pub(crate) fn counts(&self) -> BTreeMap<Client, Count> {
        lock(&self.counts).clone()
    }

    /// The releases of an app that may answer a request at this moment.
    pub(crate) fn releases(&self, app: &'static str) -> Vec<usize> {
        lock(&self.releases).get(app).cloned().unwrap_or_default()
    }

    pub(crate) fn set_releases(&self, app: &'static str, releases: Vec<usize>) {
        lock(&self.releases).insert(app, releases);
    }

    /// Whether clients are to end.
    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    /// What clients may leave open.
    pub(crate) fn streams(&self) -> Streams {
        *lock(&self.streams)
    }

    pub(crate) fn set_streams(&self, streams: Streams) {
        *lock(&self.streams) = streams;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing here is left half done.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Unix time in milliseconds.
pub(crate) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as i64)
}
