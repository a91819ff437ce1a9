//! An operation under way: what it tells, and to whom.

use super::MAX_EVENTS;
use crate::clock::now_ms;
use crate::events::Events;
use crate::report::{Event, Operation, OperationEvent};
use doprax_core::change::{Changed, Progress};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// An operation under way.
pub(crate) struct RunningOperation {
    operation: Operation,
    /// Told of it too.
    stream: Arc<Events>,
    /// The steps that it planned last, for people.
    steps: Mutex<Vec<String>>,
    /// Number of the first event that this host adds.
    first: u64,
    events: Mutex<Vec<OperationEvent>>,
    /// Set when the end is being written down: nothing comes after it.
    sealed: AtomicBool,
    /// Cancelled when a person wants it to end early.
    cancelled: CancellationToken,
    /// Number of the latest event.
    latest: watch::Sender<u64>,
}

impl RunningOperation {
    /// One that goes on after these events, the next of which gets the number `first`.
    pub(super) fn new(
        operation: Operation,
        stream: Arc<Events>,
        events: Vec<OperationEvent>,
        first: u64,
    ) -> Self {
        let latest = events.last().map_or(0, |event| event.number);
        Self {
            operation,
            stream,
            steps: Mutex::default(),
            first,
            events: Mutex::new(events),
            sealed: AtomicBool::new(false),
            cancelled: CancellationToken::new(),
            latest: watch::Sender::new(latest),
        }
    }

    /// Told the number of each event that comes.
    pub(super) fn subscribe(&self) -> watch::Receiver<u64> {
        self.latest.subscribe()
    }

    /// Takes events again.
    pub(super) fn unseal(&self) {
        self.sealed.store(false, Ordering::Relaxed);
    }

    /// The operation.
    pub(crate) fn operation(&self) -> &Operation {
        &self.operation
    }

    /// Cancelled when a person wants it to end early.
    pub(crate) fn cancelled(&self) -> &CancellationToken {
        &self.cancelled
    }

    /// Adds an event.
    pub(crate) fn emit(&self, what: Event) {
        self.stream_progress(&what);
        let events = self.lock();
        if events.len() < MAX_EVENTS && !self.sealed.load(Ordering::Relaxed) {
            let event = self.next(&events, what);
            self.add(events, event);
        }
    }

    /// Tells of what the host itself does; not what builds, containers and probes say.
    fn stream_progress(&self, what: &Event) {
        let mut steps = self.steps.lock().unwrap_or_else(PoisonError::into_inner);
        let step = |step: &usize| steps.get(*step).cloned().unwrap_or_default();
        let progress = match what {
            Event::Planned { steps: planned } => {
                steps.clone_from(planned);
                return;
            }
            Event::StepStarted { step: index } => Progress::StepStarted { step: step(index) },
            Event::StepDone { step: index, ms } => Progress::StepDone {
                step: step(index),
                ms: *ms,
            },
            Event::StepFailed { step: index, .. } => Progress::StepFailed { step: step(index) },
            Event::GoingBack => Progress::GoingBack,
            Event::Build { .. }
            | Event::Pull { .. }
            | Event::Waiting { .. }
            | Event::Note { .. }
            | Event::Done { .. }
            | Event::Failed { .. } => return,
        };
        let Operation { id, app, .. } = &self.operation;
        let operation = id.clone();
        let what = Changed::Progress {
            operation,
            progress,
        };
        self.stream.tell(Some(app), what);
    }

    /// Takes no more events. Returns the last one, which nobody has seen yet.
    pub(super) fn seal(&self, what: Event) -> OperationEvent {
        let events = self.lock();
        self.sealed.store(true, Ordering::Relaxed);
        self.next(&events, what)
    }

    /// Adds the last event.
    pub(super) fn tell(&self, end: OperationEvent) {
        self.add(self.lock(), end);
    }

    fn next(&self, events: &[OperationEvent], what: Event) -> OperationEvent {
        let next = events.last().map_or(1, |event| event.number + 1);
        OperationEvent {
            number: next.max(self.first),
            time_ms: now_ms(),
            what,
        }
    }

    fn add(&self, mut events: MutexGuard<'_, Vec<OperationEvent>>, event: OperationEvent) {
        let number = event.number;
        events.push(event);
        drop(events);
        self.latest.send_replace(number);
    }

    pub(super) fn after(&self, number: u64) -> Vec<OperationEvent> {
        let events = self.lock();
        let start = events.partition_point(|event| event.number <= number);
        events[start..].to_vec()
    }

    pub(super) fn has_ended(&self) -> bool {
        matches!(
            self.lock().last().map(|event| &event.what),
            Some(Event::Done { .. } | Event::Failed { .. })
        )
    }

    fn lock(&self) -> MutexGuard<'_, Vec<OperationEvent>> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
