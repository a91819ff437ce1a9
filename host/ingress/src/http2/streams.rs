//! The requests of one HTTP/2 connection: how many there are, and which of them the
//! client has left standing.
//!
//! hyper runs each as a task of its own, on the executor that it is given, which is
//! here. A task waits either for the container or for the client; the body that is
//! being sent notes which ([`note_given`], [`note_waiting`]).

use crate::gate::Deadline;
use hyper::rt::Executor;
use pin_project_lite::pin_project;
use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::Instant;

thread_local! {
    /// The task that runs has a part of a body that its client has not taken.
    static SENDING: Cell<Sending> = const { Cell::new(Sending::Nothing) };
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sending {
    Nothing,
    /// The same part as when the task ran before.
    Same,
    New,
}

/// A part of a body was given to hyper, to be sent.
pub(crate) fn note_given() {
    SENDING.set(Sending::New);
}

/// hyper has sent what it was given, and waits for more.
pub(crate) fn note_waiting() {
    SENDING.set(Sending::Nothing);
}

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
}

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
        }))
    }

    /// Counts a request, as cancelled unless it is answered.
    pub(crate) fn asked(&self) -> Asked {
        self.0.asked.fetch_add(1, Ordering::Relaxed);
        Asked(Some(self.clone()))
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
    fn is_congested(&self) -> bool {
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
    pub(crate) fn answered(mut self) {
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

impl<F> Executor<F> for Streams
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, future: F) {
        self.0.open.fetch_add(1, Ordering::Relaxed);
        tokio::spawn(Task {
            future,
            open: Open(self.clone()),
            sending: Sending::Nothing,
            standing: Deadline::default(),
        });
    }
}

/// Counts a request as open until it is dropped.
struct Open(Streams);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.moments().idle = Instant::now();
        self.0.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

pin_project! {
    /// What hyper does for one request. Ends early, and with it the request, when the
    /// client takes nothing of the response although the network would.
    struct Task<F> {
        #[pin]
        future: F,
        open: Open,
        sending: Sending,
        standing: Deadline,
    }
}

impl<F: Future<Output = ()>> Future for Task<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let task = self.project();
        SENDING.set(*task.sending);
        if task.future.poll(cx).is_ready() {
            return Poll::Ready(());
        }
        match SENDING.get() {
            Sending::Nothing => {
                *task.sending = Sending::Nothing;
                task.standing.clear();
                return Poll::Pending;
            }
            Sending::New => task.standing.clear(),
            Sending::Same => {}
        }
        *task.sending = Sending::Same;
        let Open(streams) = task.open;
        while task.standing.passed(cx, streams.0.stall) {
            if !streams.is_congested() {
                tracing::debug!("a client leaves a response standing");
                return Poll::Ready(());
            }
            task.standing.clear();
        }
        Poll::Pending
    }
}
