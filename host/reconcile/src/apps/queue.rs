//! Whose turn it is to work on an app.
//!
//! Flow: an operation enters, is journaled, and is ready: it begins at once, or as soon as
//! those have ended that entered before it.
//! Guarantees: one operation works on an app at a time, in the order in which they entered;
//! as many wait as [`MOST_WAITING`], and each can be withdrawn until it begins; the app is
//! passed on from one to the next without being free in between.

use crate::clock::now_ms;
use crate::journal::{Intent, RunningOperation};
use crate::report::{Operation, OperationState};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Operations that may wait for an app.
pub(crate) const MOST_WAITING: usize = 16;

/// The operation under way on an app, and those that wait.
#[derive(Default)]
pub(crate) struct Queue(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    running: Option<Entry>,
    waiting: VecDeque<Waiting>,
}

struct Entry {
    operation: Operation,
    /// Digest of the source that it deploys.
    source: Option<String>,
}

struct Waiting {
    entry: Entry,
    /// All that it needs to begin, once it is journaled.
    turn: Option<Turn>,
}

/// What an operation needs to begin.
pub(crate) struct Turn {
    pub(crate) live: Arc<RunningOperation>,
    /// What it was asked; absent where it has waited, which it does in the journal alone.
    pub(crate) intent: Option<Intent>,
}

/// Why an operation cannot enter.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NoPlace {
    /// This one is under way, and it was not to wait.
    Busy(Operation),
    /// As many wait as may.
    Full,
}

impl Queue {
    /// The operation under way.
    pub(crate) fn running(&self) -> Option<Operation> {
        let inner = self.lock();
        inner.running.as_ref().map(|entry| entry.operation.clone())
    }

    /// Those that wait, in the order in which they will begin.
    pub(crate) fn waiting(&self) -> Vec<Operation> {
        let inner = self.lock();
        let waiting = inner.waiting.iter();
        waiting
            .map(|waiting| waiting.entry.operation.clone())
            .collect()
    }

    /// Takes in an operation that may wait if it has to. Returns the one that it waits for;
    /// none where the app is its own from now on.
    pub(crate) fn enter(
        &self,
        operation: &Operation,
        source: Option<String>,
        may_wait: bool,
    ) -> Result<Option<Operation>, NoPlace> {
        let mut inner = self.lock();
        let last = inner.waiting.back().map(|waiting| &waiting.entry);
        let ahead = last.or(inner.running.as_ref());
        let ahead = ahead.map(|entry| entry.operation.clone());
        let mut entry = Entry {
            operation: operation.clone(),
            source,
        };
        match &ahead {
            None => {
                entry.operation.state = OperationState::Running;
                inner.running = Some(entry);
            }
            Some(ahead) if !may_wait => {
                let running = inner.running.as_ref();
                let other = running.map_or(ahead, |running| &running.operation);
                return Err(NoPlace::Busy(other.clone()));
            }
            Some(_) if inner.waiting.len() >= MOST_WAITING => return Err(NoPlace::Full),
            Some(_) => {
                entry.operation.state = OperationState::Waiting;
                inner.waiting.push_back(Waiting { entry, turn: None });
            }
        }
        Ok(ahead)
    }

    /// An operation that waits is journaled. Returns it where its turn has come.
    pub(crate) fn ready(&self, turn: Turn) -> Option<Turn> {
        let mut inner = self.lock();
        let id = &turn.live.operation().id;
        let place = inner.waiting.iter_mut();
        let place = place.into_iter().find(|w| w.entry.operation.id == *id)?;
        place.turn = Some(turn);
        inner.next()
    }

    /// Takes out an operation that could not be journaled, or whose end is written down.
    /// Returns the one whose turn has come.
    pub(crate) fn leave(&self, id: &str) -> Option<Turn> {
        let mut inner = self.lock();
        inner.waiting.retain(|w| w.entry.operation.id != id);
        if inner.running.as_ref().is_some_and(|r| r.operation.id == id) {
            inner.running = None;
        }
        inner.next()
    }

    /// Takes out an operation that has not begun. Returns what it has told so far, and the
    /// digest of the source that it would have deployed; none where it is not among those
    /// that wait.
    pub(crate) fn withdraw(&self, id: &str) -> Option<(Arc<RunningOperation>, Option<String>)> {
        let mut inner = self.lock();
        let place = inner.waiting.iter().position(|waiting| {
            let turn = waiting.turn.as_ref();
            turn.is_some_and(|turn| turn.live.operation().id == id)
        })?;
        let Waiting { entry, turn } = inner.waiting.remove(place)?;
        turn.map(|turn| (turn.live, entry.source))
    }

    /// Digest of the source that the operation under way deploys.
    pub(crate) fn source(&self) -> Option<String> {
        self.lock().running.as_ref()?.source.clone()
    }

    /// Digests of the sources that operations deploy, that of `but` excepted.
    pub(crate) fn sources(&self, but: Option<&str>) -> Vec<String> {
        let inner = self.lock();
        let waiting = inner.waiting.iter().map(|waiting| &waiting.entry);
        let all = inner.running.iter().chain(waiting);
        all.filter(|entry| Some(entry.operation.id.as_str()) != but)
            .filter_map(|entry| entry.source.clone())
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Gives the app to the first that waits, if it is free and that one is journaled.
    fn next(&mut self) -> Option<Turn> {
        if self.running.is_some() || self.waiting.front()?.turn.is_none() {
            return None;
        }
        let Waiting { mut entry, turn } = self.waiting.pop_front()?;
        entry.operation.state = OperationState::Running;
        entry.operation.started_ms = now_ms();
        self.running = Some(entry);
        turn
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::Journal;
    use crate::report::OperationKind;
    use doprax_core::name::AppName;
    use doprax_store::Store;
    use std::collections::BTreeMap;

    fn operation(id: &str) -> Operation {
        Operation {
            id: id.to_owned(),
            app: AppName::new("shop").unwrap(),
            kind: OperationKind::Remove,
            state: OperationState::Waiting,
            started_ms: 0,
            ended_ms: None,
        }
    }

    async fn turn(store: &Store, id: &str) -> Turn {
        let (operation, none) = (operation(id), BTreeMap::new());
        let added = store.add_operation(&operation, &Intent::Remove, &none);
        added.await.unwrap();
        let journal = Arc::<Journal>::default();
        Turn {
            live: journal.open(store, operation, false).await.unwrap(),
            intent: None,
        }
    }

    fn id(turn: Option<Turn>) -> Option<String> {
        turn.map(|turn| turn.live.operation().id.clone())
    }

    fn ids(operations: &[Operation]) -> Vec<&str> {
        operations.iter().map(|found| found.id.as_str()).collect()
    }

    #[tokio::test]
    async fn operations_have_their_turn_in_the_order_in_which_they_came() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).await.unwrap();
        let queue = Queue::default();
        let source = |digest: &str| Some(digest.to_owned());
        let enter = |id: &str| queue.enter(&operation(id), source(id), true).unwrap();
        assert_eq!(enter("a"), None);
        let refused = queue.enter(&operation("x"), None, false);
        assert_eq!(refused, Err(NoPlace::Busy(queue.running().unwrap())));
        // Each waits for the one right before it.
        assert_eq!(enter("b").unwrap().id, "a");
        assert_eq!(enter("c").unwrap().id, "b");
        assert_eq!(enter("d").unwrap().id, "c");
        assert_eq!(ids(&queue.waiting()), ["b", "c", "d"]);
        assert_eq!(queue.waiting()[0].state, OperationState::Waiting);
        assert_eq!(queue.sources(Some("b")), ["a", "c", "d"]);

        assert_eq!(id(queue.ready(turn(&store, "c").await)), None);
        assert_eq!(id(queue.ready(turn(&store, "d").await)), None);
        // What is not journaled cannot be taken out as if it were, nor begin.
        assert!(queue.withdraw("b").is_none());
        assert_eq!(id(queue.leave("a")), None);
        assert_eq!(queue.running(), None);
        let refused = queue.enter(&operation("x"), None, false);
        assert!(matches!(refused, Err(NoPlace::Busy(_))), "{refused:?}");
        assert_eq!(id(queue.ready(turn(&store, "b").await)).unwrap(), "b");
        let running = queue.running().unwrap();
        assert_eq!(
            (running.id.as_str(), running.state),
            ("b", OperationState::Running)
        );
        assert_eq!(queue.source(), source("b"));
        // The one under way is no longer among those that wait.
        assert!(queue.withdraw("b").is_none());
        let (_, freed) = queue.withdraw("c").unwrap();
        assert_eq!(freed, source("c"));
        assert!(queue.withdraw("c").is_none());
        assert_eq!(id(queue.leave("b")).unwrap(), "d");
        assert_eq!(id(queue.leave("d")), None);
        assert!(queue.sources(None).is_empty());
        assert_eq!(enter("e"), None);
    }

    #[tokio::test]
    async fn one_that_was_not_journaled_holds_nobody_up() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).await.unwrap();
        let queue = Queue::default();
        for id in ["a", "b", "c"] {
            queue.enter(&operation(id), None, true).unwrap();
        }
        assert_eq!(id(queue.ready(turn(&store, "c").await)), None);
        assert_eq!(id(queue.leave("a")), None);
        assert_eq!(id(queue.leave("b")).unwrap(), "c");
    }

    #[test]
    fn as_many_wait_as_may() {
        let queue = Queue::default();
        for number in 0..=MOST_WAITING {
            let entered = queue.enter(&operation(&number.to_string()), None, true);
            assert!(entered.is_ok());
        }
        let full = queue.enter(&operation("x"), None, true);
        assert_eq!(full, Err(NoPlace::Full));
        assert_eq!(queue.waiting().len(), MOST_WAITING);
    }
}
