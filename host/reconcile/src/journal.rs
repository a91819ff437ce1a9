//! Operations under way: their events, who follows them, and what is written down.
//!
//! Flow: the operation emits, followers are woken at once, the store gets what is
//! new a few times a second and all of it at the end.
//! Guarantees: numbers ascend, also over restarts of the host, after which they leave a
//! gap for what followers saw and the store did not get; such an event may be missing
//! later, the outcome of an operation is not. Its app is held until the end is written
//! down, however long that takes, and only then do followers hear of it: what anybody
//! knows to have ended, or could follow with something newer, is not done again by the
//! next host.

mod intent;
mod running;

use crate::clock::now_ms;
use crate::events::Events;
use crate::report::{Event, Operation, OperationEvent, OperationState};
use doprax_core::change::Changed;
use doprax_store::{Ending, EventRecord, Store};
use futures_util::stream::{self, BoxStream, StreamExt as _};
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub(crate) use intent::Intent;
pub(crate) use running::RunningOperation;

/// How many events of one operation are kept; a build may print without end.
const MAX_EVENTS: usize = 20_000;

/// How often new events are written.
const WRITE_INTERVAL: Duration = Duration::from_millis(250);

/// Pause before it is tried again to write down an end; doubled with each failure.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// The operations under way.
#[derive(Default)]
pub(crate) struct Journal {
    /// Told of them too.
    events: Arc<Events>,
    live: Mutex<HashMap<String, Arc<RunningOperation>>>,
}

impl Journal {
    /// A journal without operations, which tells `events` of those that come.
    pub(crate) fn new(events: Arc<Events>) -> Self {
        Self {
            events,
            ..Self::default()
        }
    }

    /// Begins to keep the events of an operation that is in the store. Events of one
    /// that is `resumed`, from before the host was restarted, stay before the new ones.
    pub(crate) async fn open(
        self: &Arc<Self>,
        store: &Store,
        operation: Operation,
        resumed: bool,
    ) -> Result<Arc<RunningOperation>, doprax_store::Error> {
        let events = match resumed {
            true => read_events(store, &operation.id, 0).await?,
            false => Vec::new(),
        };
        let written = events.last().map_or(0, |event| event.number);
        let gap = if resumed { MAX_EVENTS as u64 } else { 0 };
        self.tell(&operation, |_| {});
        let first = written + gap + 1;
        let live = RunningOperation::new(operation, Arc::clone(&self.events), events, first);
        let live = Arc::new(live);
        self.lock()
            .insert(live.operation().id.clone(), Arc::clone(&live));
        tokio::spawn(write_events(store.clone(), Arc::clone(&live), written));
        Ok(live)
    }

    /// Writes down how an operation ended, as often as it takes, and as the app's latest
    /// failure this one, if there is one. Returns the event that tells of it.
    pub(crate) async fn write_end(
        &self,
        store: &Store,
        live: &RunningOperation,
        state: OperationState,
        outcome: Event,
        failure: Option<&str>,
    ) -> OperationEvent {
        let mut pause = FIRST_PAUSE;
        let mut told = false;
        loop {
            let end = live.seal(outcome.clone());
            let mut events = live.after(0);
            events.push(end.clone());
            let ending = Ending {
                operation: live.operation(),
                state,
                ended_ms: now_ms(),
                events: &records(&events),
                error: failure,
            };
            let Err(error) = store.end_operation(&ending).await else {
                return end;
            };
            let reason = crate::error::chain(&error);
            let (app, id) = (&live.operation().app, &live.operation().id);
            tracing::error!(%app, operation = id, error = reason, "its end was not written down; trying again");
            live.unseal();
            if !told {
                told = true;
                live.emit(Event::Note {
                    text: format!(
                        "this is done, and the host {reason}; {app} is held until that has \
                         succeeded, and serves meanwhile"
                    ),
                });
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Writes down that an operation was not done because something newer has followed it.
    pub(crate) async fn end_overtaken(
        &self,
        store: &Store,
        operation: &Operation,
    ) -> Result<(), doprax_store::Error> {
        let events = store.events(&operation.id, 0).await?;
        let event = OperationEvent {
            number: events.last().map_or(0, |event| event.number) + 1,
            time_ms: now_ms(),
            what: Event::Failed {
                error: "its end was not written down, and a newer operation on the app has \
                        followed it"
                    .to_owned(),
                help: None,
                log: Vec::new(),
            },
        };
        let ending = Ending {
            operation,
            state: OperationState::Failed,
            ended_ms: now_ms(),
            events: &records(&[event]),
            error: None,
        };
        store.end_operation(&ending).await
    }

    /// Tells of an operation that has waited and begins.
    pub(crate) fn begin(&self, live: &RunningOperation, started_ms: i64) {
        self.tell(live.operation(), |operation| {
            operation.state = OperationState::Running;
            operation.started_ms = started_ms;
        });
    }

    /// Tells followers of the end that was written down.
    pub(crate) fn close(
        &self,
        live: &RunningOperation,
        end: OperationEvent,
        state: OperationState,
    ) {
        // First in the stream: whoever has followed it to its end finds it there.
        self.tell(live.operation(), |operation| {
            operation.state = state;
            operation.ended_ms = Some(end.time_ms);
        });
        live.tell(end);
        self.lock().remove(&live.operation().id);
    }

    fn tell(&self, operation: &Operation, change: impl FnOnce(&mut Operation)) {
        let mut operation = operation.clone();
        change(&mut operation);
        let app = operation.app.clone();
        self.events
            .tell(Some(&app), Changed::Operation { operation });
    }

    /// Asks an operation under way to end early. Returns whether there is such a one.
    pub(crate) fn cancel(&self, id: &str) -> bool {
        let live = self.lock().get(id).cloned();
        live.inspect(|live| live.cancelled().cancel()).is_some()
    }

    /// The events of an operation after the given number: those that were, then those
    /// that come, until it has ended.
    pub(crate) async fn follow(
        &self,
        store: &Store,
        id: &str,
        after: u64,
    ) -> Result<BoxStream<'static, OperationEvent>, doprax_store::Error> {
        let live = self.lock().get(id).cloned();
        let Some(live) = live else {
            return Ok(stream::iter(read_events(store, id, after).await?).boxed());
        };
        let latest = live.subscribe();
        Ok(stream::unfold(
            (live, latest, after),
            |(live, mut latest, after)| async move {
                loop {
                    let events = live.after(after);
                    if let Some(last) = events.last() {
                        let number = last.number;
                        return Some((stream::iter(events), (live, latest, number)));
                    }
                    if live.has_ended() {
                        return None;
                    }
                    latest.changed().await.ok()?;
                }
            },
        )
        .flatten()
        .boxed())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<RunningOperation>>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn records(events: &[OperationEvent]) -> Vec<EventRecord> {
    events
        .iter()
        .map(|event| EventRecord {
            number: event.number,
            event: serde_json::to_string(event).expect("events have only string keys"),
        })
        .collect()
}

async fn read_events(
    store: &Store,
    id: &str,
    after: u64,
) -> Result<Vec<OperationEvent>, doprax_store::Error> {
    let records = store.events(id, after).await?;
    // An event of a newer version is passed over rather than hiding the others.
    Ok(records
        .iter()
        .filter_map(|record| parse(&record.event))
        .collect())
}

fn parse(record: &str) -> Option<OperationEvent> {
    let mut fields: Map<String, Value> = serde_json::from_str(record).ok()?;
    // Older hosts wrote what happened as an object of its own.
    if let Some(Value::Object(what)) = fields.remove("what") {
        fields.extend(what);
    }
    serde_json::from_value(Value::Object(fields)).ok()
}

/// Writes new events until the operation has ended.
async fn write_events(store: Store, live: Arc<RunningOperation>, mut written: u64) {
    let mut latest = live.subscribe();
    while !live.has_ended() {
        let events = live.after(written);
        if let Some(last) = events.last() {
            match store
                .add_events(&live.operation().id, &records(&events))
                .await
            {
                Ok(()) => written = last.number,
                // With those that come, or with the end.
                Err(error) => tracing::warn!(%error, "events were not written yet"),
            }
        }
        tokio::time::sleep(WRITE_INTERVAL).await;
        if latest.changed().await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests;
