//! The requests of one HTTP/2 connection: how many there are, and how often the client has
//! cancelled one; and what is wrong with those that h2 takes.

use super::watch::Fault;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// The requests of one connection.
#[derive(Debug, Clone)]
pub(crate) struct Streams(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    stall: Duration,
    open: AtomicUsize,
    asked: AtomicUsize,
    cancelled: AtomicUsize,
    moments: Mutex<Moments>,
    /// Number of `faults`: it is looked at often.
    faulty: AtomicUsize,
    faults: Mutex<Vec<(u32, Fault)>>,
}

/// Requests with faults that are remembered for a connection, at most. Those that nobody
/// asks for are of requests that h2 has refused.
const FAULTS: usize = 1024;

#[derive(Debug)]
struct Moments {
    /// When the last request ended, or the connection began.
    idle: Instant,
    /// When the socket last took less than it was given.
    congested: Option<Instant>,
}

impl Streams {
    /// Responses that a client leaves standing for `stall` are cut off.
    pub(crate) fn new(stall: Duration) -> Self {
        let moments = Moments {
            idle: Instant::now(),
            congested: None,
        };
        Self(Arc::new(Shared {
            stall,
            open: AtomicUsize::new(0),
            asked: AtomicUsize::new(0),
            cancelled: AtomicUsize::new(0),
            moments: Mutex::new(moments),
            faulty: AtomicUsize::new(0),
            faults: Mutex::default(),
        }))
    }

    /// Counts a request, as cancelled unless it is answered.
    pub(crate) fn asked(&self) -> Asked {
        self.0.asked.fetch_add(1, Ordering::Relaxed);
        Asked(Some(self.clone()))
    }

    /// Counts a request as open.
    pub(crate) fn open(&self, stream: u32) -> Open {
        self.0.open.fetch_add(1, Ordering::Relaxed);
        Open(Known {
            streams: self.clone(),
            stream,
        })
    }

    /// There is something wrong with a request.
    pub(super) fn note_fault(&self, stream: u32, fault: Fault) {
        let mut faults = self.faults();
        if faults.len() >= FAULTS {
            faults.remove(0);
        }
        faults.push((stream, fault));
        self.0.faulty.store(faults.len(), Ordering::Relaxed);
    }

    fn faults(&self) -> MutexGuard<'_, Vec<(u32, Fault)>> {
        let faults = self.0.faults.lock();
        faults.unwrap_or_else(PoisonError::into_inner)
    }

    /// How long a client may leave a response standing.
    pub(super) fn stall(&self) -> Duration {
        self.0.stall
    }

    /// Whether there was no request so far.
    pub(crate) fn none_yet(&self) -> bool {
        self.0.asked.load(Ordering::Relaxed) == 0
    }

    /// Number of requests that were cancelled before they were answered, if most were.
    pub(crate) fn cancelled(&self) -> usize {
        let cancelled = self.0.cancelled.load(Ordering::Relaxed);
        if cancelled > self.0.asked.load(Ordering::Relaxed) / 2 {
            cancelled
        } else {
            0
        }
    }

    /// Since when no request is open.
    pub(crate) fn idle_since(&self) -> Option<Instant> {
        let none = self.0.open.load(Ordering::Relaxed) == 0;
        none.then(|| self.moments().idle)
    }

    /// The socket takes nothing at this moment.
    pub(crate) fn note_congestion(&self) {
        self.moments().congested = Some(Instant::now());
    }

    /// Whether the network was what kept responses from going out, lately.
    pub(super) fn is_congested(&self) -> bool {
        let congested = self.moments().congested;
        congested.is_some_and(|moment| moment.elapsed() < self.0.stall)
    }

    fn moments(&self) -> MutexGuard<'_, Moments> {
        self.0
            .moments
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request that is being answered.
#[derive(Debug)]
pub(crate) struct Asked(Option<Streams>);

impl Asked {
    /// The head of its response is there.
    pub(crate) fn answered(&mut self) {
        self.0 = None;
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        if let Some(streams) = &self.0 {
            streams.0.cancelled.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Counts a request as open until it is dropped.
#[derive(Debug)]
pub(crate) struct Open(Known);

impl Open {
    pub(super) fn streams(&self) -> &Streams {
        &self.0.streams
    }

    /// What is known of it.
    pub(crate) fn known(&self) -> &Known {
        &self.0
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let Known { streams, stream } = &self.0;
        if streams.0.faulty.load(Ordering::Relaxed) > 0 {
            let mut faults = streams.faults();
            faults.retain(|(of, _)| of != stream);
            streams.0.faulty.store(faults.len(), Ordering::Relaxed);
        }
        streams.moments().idle = Instant::now();
        streams.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What is known of a request while it is open.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    streams: Streams,
    stream: u32,
}

impl Known {
    /// Whether this is wrong with it.
    pub(crate) fn has(&self, fault: Fault) -> bool {
        self.streams.0.faulty.load(Ordering::Relaxed) > 0
            && self.streams.faults().contains(&(self.stream, fault))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn streams() -> Streams {
        Streams::new(Duration::from_secs(3600))
    }

    #[test]
    fn cancelled_requests_are_counted_once_they_are_most() {
        for (answered, cancelled, counted) in [
            (0, 0, 0),
            (0, 1, 1),
            (1, 1, 0),
            (1, 2, 2),
            (500, 500, 0),
            (500, 501, 501),
            (501, 500, 0),
        ] {
            let streams = streams();
            for _ in 0..answered {
                streams.asked().answered();
            }
            let asked: Vec<Asked> = (0..cancelled).map(|_| streams.asked()).collect();
            assert_eq!(streams.cancelled(), 0, "nothing was cancelled yet");
            drop(asked);
            assert_eq!(streams.cancelled(), counted, "{answered}, {cancelled}");
        }
    }

    #[test]
    fn a_connection_is_idle_from_the_end_of_its_last_request() {
        let streams = streams();
        assert!(streams.none_yet());
        let begin = streams.idle_since().unwrap();
        let (first, second) = (streams.open(1), streams.open(3));
        let _asked = streams.asked();
        assert!(!streams.none_yet());
        assert_eq!(streams.idle_since(), None);
        drop(first);
        assert_eq!(streams.idle_since(), None, "one is still open");
        let before = Instant::now();
        drop(second);
        let since = streams.idle_since().unwrap();
        assert!(begin <= before && before <= since);
    }

    #[test]
    fn the_network_is_congested_for_as_long_as_a_response_may_stand() {
        let streams = streams();
        assert!(!streams.is_congested());
        streams.note_congestion();
        assert!(streams.is_congested());
        let impatient = Streams::new(Duration::ZERO);
        impatient.note_congestion();
        assert!(!impatient.is_congested(), "that is over");
    }

    #[test]
    fn a_fault_is_known_of_its_request_until_that_has_ended() {
        let streams = streams();
        let (first, second) = (streams.open(1), streams.open(3));
        streams.note_fault(1, Fault::Scheme);
        streams.note_fault(3, Fault::Trailers);
        assert!(first.known().has(Fault::Scheme) && !first.known().has(Fault::Trailers));
        assert!(second.known().has(Fault::Trailers));
        let known = first.known().clone();
        drop(first);
        assert!(!known.has(Fault::Scheme));
        assert!(second.known().has(Fault::Trailers), "of another request");
    }

    #[test]
    fn so_many_faults_are_remembered_and_the_oldest_go_first() {
        let streams = streams();
        let open: Vec<Open> = (0..=FAULTS as u32).map(|each| streams.open(each)).collect();
        for each in 0..FAULTS as u32 {
            streams.note_fault(each, Fault::Scheme);
        }
        assert!(open[0].known().has(Fault::Scheme));
        streams.note_fault(FAULTS as u32, Fault::Scheme);
        assert!(!open[0].known().has(Fault::Scheme));
        assert!(open[1].known().has(Fault::Scheme));
        assert!(open[FAULTS].known().has(Fault::Scheme));
    }
}
