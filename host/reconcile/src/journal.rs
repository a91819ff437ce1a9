//! Operations under way: their events, who follows them, and what is written down.
//!
//! Flow: the operation emits, followers are woken at once, the store gets what is
//! new a few times a second and all of it at the end.
//! Guarantees: numbers ascend, also over restarts of the host, after which they leave a
//! gap for what followers saw and the store did not get; such an event may be missing
//! later, the outcome of an operation is not. Followers hear of the end once it is written
//! down: what they know to have ended is not done again by the next host.

use crate::report::{Operation, OperationEvent, OperationState, What};
use doprax_store::{EventRecord, Store};
use futures_util::stream::{self, BoxStream, StreamExt as _};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// How many events of one operation are kept; a build may print without end.
const MAX_EVENTS: usize = 20_000;

/// How often new events are written.
const WRITE_INTERVAL: Duration = Duration::from_millis(250);

/// Milliseconds since 1970.
pub(crate) fn now_ms() -> i64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |elapsed| elapsed.as_millis() as i64)
}

/// The operations under way.
#[derive(Default)]
pub(crate) struct Journal {
    live: Mutex<HashMap<String, Arc<Live>>>,
}

/// An operation under way.
pub(crate) struct Live {
    operation: Operation,
    /// Number of the first event that this host adds.
    first: u64,
    events: Mutex<Vec<OperationEvent>>,
    /// Set when the end is being written down: nothing comes after it.
    sealed: AtomicBool,
    /// Number of the latest event.
    latest: watch::Sender<u64>,
}

impl Journal {
    /// Begins to keep the events of an operation that is in the store. Events of one
    /// that is `resumed`, from before the host was restarted, stay before the new ones.
    pub(crate) async fn open(
        self: &Arc<Self>,
        store: &Store,
        operation: Operation,
        resumed: bool,
    ) -> Result<Arc<Live>, doprax_store::Error> {
        let events: Vec<OperationEvent> = read_events(store, &operation.id, 0).await?;
        let written = events.last().map_or(0, |event| event.number);
        let gap = if resumed { MAX_EVENTS as u64 } else { 0 };
        let live = Arc::new(Live {
            operation,
            first: written + gap + 1,
            events: Mutex::new(events),
            sealed: AtomicBool::new(false),
            latest: watch::Sender::new(written),
        });
        self.lock()
            .insert(live.operation.id.clone(), Arc::clone(&live));
        tokio::spawn(write_events(store.clone(), Arc::clone(&live), written));
        Ok(live)
    }

    /// Ends an operation: everything is written, followers end.
    pub(crate) async fn close(
        &self,
        store: &Store,
        live: &Live,
        outcome: What,
    ) -> Result<(), doprax_store::Error> {
        let state = match outcome {
            What::Done { .. } => OperationState::Done,
            _ => OperationState::Failed,
        };
        let end = live.seal(outcome);
        let mut events = live.after(0);
        events.push(end.clone());
        let written = async {
            let id = &live.operation.id;
            store.add_events(id, &records(&events)).await?;
            store.end_operation(id, state, now_ms()).await
        };
        let written = written.await;
        live.tell(end);
        written?;
        self.lock().remove(&live.operation.id);
        Ok(())
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
        let latest = live.latest.subscribe();
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

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<Live>>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Live {
    /// The operation.
    pub(crate) fn operation(&self) -> &Operation {
        &self.operation
    }

    /// Adds an event.
    pub(crate) fn emit(&self, what: What) {
        let events = self.lock();
        if events.len() < MAX_EVENTS && !self.sealed.load(Ordering::Relaxed) {
            let event = self.next(&events, what);
            self.add(events, event);
        }
    }

    /// Takes no more events. Returns the last one, which nobody has seen yet.
    fn seal(&self, what: What) -> OperationEvent {
        let events = self.lock();
        self.sealed.store(true, Ordering::Relaxed);
        self.next(&events, what)
    }

    /// Adds the last event.
    fn tell(&self, end: OperationEvent) {
        self.add(self.lock(), end);
    }

    fn next(&self, events: &[OperationEvent], what: What) -> OperationEvent {
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

    fn after(&self, number: u64) -> Vec<OperationEvent> {
        let events = self.lock();
        let start = events.partition_point(|event| event.number <= number);
        events[start..].to_vec()
    }

    fn has_ended(&self) -> bool {
        matches!(
            self.lock().last().map(|event| &event.what),
            Some(What::Done { .. } | What::Failed { .. })
        )
    }

    fn lock(&self) -> MutexGuard<'_, Vec<OperationEvent>> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
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
        .filter_map(|record| serde_json::from_str(&record.event).ok())
        .collect())
}

/// Writes new events until the operation has ended.
async fn write_events(store: Store, live: Arc<Live>, mut written: u64) {
    let mut latest = live.latest.subscribe();
    while !live.has_ended() {
        let events = live.after(written);
        if let Some(last) = events.last() {
            if let Err(error) = store
                .add_events(&live.operation.id, &records(&events))
                .await
            {
                tracing::warn!(%error, "events were not written; they will be at the end");
                return;
            }
            written = last.number;
        }
        tokio::time::sleep(WRITE_INTERVAL).await;
        if latest.changed().await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::OperationKind;
    use doprax_core::name::AppName;

    #[tokio::test]
    async fn what_is_known_to_have_ended_is_not_done_again() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).await.unwrap();
        let operation = Operation {
            id: "one".to_owned(),
            app: AppName::new("shop").unwrap(),
            kind: OperationKind::Deploy,
            state: OperationState::Running,
            started_ms: now_ms(),
            ended_ms: None,
        };
        store.add_operation(&operation, &()).await.unwrap();
        let journal = Arc::new(Journal::default());
        let live = journal.open(&store, operation, false).await.unwrap();
        let mut events = journal.follow(&store, "one", 0).await.unwrap();
        let follower = async {
            let end = events.next().await.unwrap();
            assert!(matches!(end.what, What::Done { .. }));
            // What the next host would begin with, if this one were killed now.
            store.unfinished::<()>().await.unwrap()
        };
        let end = What::Done { url: None };
        let (closed, unfinished) = tokio::join!(journal.close(&store, &live, end), follower);
        closed.unwrap();
        assert!(unfinished.is_empty());
        assert_eq!(read_events(&store, "one", 0).await.unwrap().len(), 1);
    }
}
