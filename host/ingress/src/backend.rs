//! What answers for an app, and the requests it is answering.
//!
//! A backend is immutable and is replaced, never changed: a published route that
//! points elsewhere is a new backend. Picking one and being counted by it is one
//! atomic step ([`Backend::enter`]), so whoever closes a backend and then waits for
//! its count to reach zero has waited for every request that will ever reach it.

use crate::metrics::Counters;
use doprax_core::name::AppName;
use doprax_core::route::Target;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::Notify;
use tokio::time::Instant;

/// Set in a backend's count once it takes no more requests.
const CLOSED: usize = 1 << (usize::BITS - 1);

/// Connections to an app's container within which a kept one is used again. No two
/// apps ever have the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Generation {
    pub(crate) number: u64,
    /// Until then the container may close a kept connection at any moment.
    pub(crate) settled: Instant,
}

/// What answers for an app.
#[derive(Debug)]
pub(crate) struct Backend {
    /// The app.
    pub(crate) app: AppName,
    /// What answers.
    pub(crate) target: Target,
    /// Which kept connections its requests may use.
    pub(crate) generation: Generation,
    /// Of the app.
    pub(crate) counters: Arc<Counters>,
    flights: AtomicUsize,
    /// Those that have become something else than a request.
    upgraded: AtomicUsize,
    ended: Notify,
}

impl Backend {
    pub(crate) fn new(
        app: AppName,
        target: Target,
        generation: Generation,
        counters: Arc<Counters>,
    ) -> Arc<Self> {
        Arc::new(Self {
            app,
            target,
            generation,
            counters,
            flights: AtomicUsize::new(0),
            upgraded: AtomicUsize::new(0),
            ended: Notify::new(),
        })
    }

    /// Counts a request, unless the backend has been replaced.
    pub(crate) fn enter(self: &Arc<Self>) -> Option<Flight> {
        let before = self.flights.fetch_add(1, Ordering::SeqCst);
        // Dropping the flight takes the count back.
        let flight = Flight {
            backend: Arc::clone(self),
            upgraded: false,
        };
        (before & CLOSED == 0).then_some(flight)
    }

    /// Takes no more requests from now on.
    pub(crate) fn close(&self) {
        self.flights.fetch_or(CLOSED, Ordering::SeqCst);
    }

    /// Number of requests that have not ended, without those that were upgraded.
    pub(crate) fn requests(&self) -> usize {
        self.flights.load(Ordering::SeqCst) & !CLOSED
    }

    /// Number of connections that are something else than HTTP now, such as WebSockets.
    pub(crate) fn upgraded(&self) -> usize {
        self.upgraded.load(Ordering::SeqCst)
    }

    /// Number of both.
    pub(crate) fn in_flight(&self) -> usize {
        self.requests() + self.upgraded()
    }

    /// Waits until every request of the closed backend has ended or was upgraded.
    pub(crate) async fn ended(&self) {
        self.until(|| self.requests() == 0).await;
    }

    /// The same for those that were upgraded.
    pub(crate) async fn upgraded_ended(&self) {
        self.until(|| self.upgraded() == 0).await;
    }

    async fn until(&self, over: impl Fn() -> bool) {
        loop {
            let ended = self.ended.notified();
            tokio::pin!(ended);
            // Enabled before the count is read, so that no end is missed in between.
            ended.as_mut().enable();
            if over() {
                return;
            }
            ended.await;
        }
    }

    /// A request is one no more.
    fn leave(&self) {
        if self.flights.fetch_sub(1, Ordering::SeqCst) == CLOSED | 1 {
            self.ended.notify_waiters();
        }
    }
}

/// A request that a backend is answering, until it is dropped.
#[derive(Debug)]
pub(crate) struct Flight {
    backend: Arc<Backend>,
    upgraded: bool,
}

impl Flight {
    /// What answers it.
    pub(crate) fn backend(&self) -> &Backend {
        &self.backend
    }

    /// It is something else than a request from now on, such as a WebSocket.
    pub(crate) fn upgrade(&mut self) {
        if !self.upgraded {
            self.upgraded = true;
            // Counted twice for a moment rather than not at all.
            self.backend.upgraded.fetch_add(1, Ordering::SeqCst);
            self.backend.leave();
        }
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        if !self.upgraded {
            self.backend.leave();
        } else if self.backend.upgraded.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.backend.ended.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backend() -> Arc<Backend> {
        let generation = Generation {
            number: 1,
            settled: Instant::now(),
        };
        let app = AppName::new("shop").unwrap();
        Backend::new(app, Target::Stopped, generation, Arc::new(Counters::new(1)))
    }

    #[test]
    fn a_closed_backend_takes_no_more_requests_and_counts_none() {
        let backend = backend();
        let flight = backend.enter().unwrap();
        backend.close();
        assert!(backend.enter().is_none());
        assert_eq!(backend.in_flight(), 1);
        drop(flight);
        assert_eq!(backend.in_flight(), 0);
    }

    #[tokio::test]
    async fn what_was_upgraded_is_counted_apart() {
        let backend = backend();
        let mut flight = backend.enter().unwrap();
        backend.close();
        flight.upgrade();
        assert_eq!((backend.requests(), backend.upgraded()), (0, 1));
        backend.ended().await;
        drop(flight);
        backend.upgraded_ended().await;
        assert_eq!(backend.in_flight(), 0);
    }

    #[tokio::test]
    async fn the_end_of_the_last_request_wakes_whoever_waits() {
        let backend = backend();
        let flight = backend.enter().unwrap();
        backend.close();
        let waiting = tokio::spawn({
            let backend = Arc::clone(&backend);
            async move { backend.ended().await }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        drop(flight);
        waiting.await.unwrap();
    }
}
