//! The stream of all that changes, for whoever watches.
//!
//! Flow: whoever changes something tells it; it gets the next number and is kept; readers
//! are woken and fetch what they have not seen, each at its own pace.
//! Guarantees: what is kept is bounded in number and in bytes, however many read and however
//! slowly; a reader sees every change once and in order, or is told which it has missed;
//! telling never waits for a reader.
//! Assumes: nobody needs what is told after a crash. A reader that comes back to a later
//! host is told that there is a gap, and asks how things are.

mod known;

use crate::clock::now_ms;
use doprax_core::change::{Change, Changed, Position};
use doprax_core::name::AppName;
use futures_util::stream::{self, BoxStream, StreamExt as _};
use known::Known;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// The most changes that are kept, and the most bytes of JSON that these may have.
const MOST_KEPT: usize = 8_192;
const MOST_BYTES: usize = 4 << 20;

/// Changes that are fetched at once.
const BATCH: usize = 256;

/// After so many changes that are not for it a reader is told where it is, lest it come back
/// to a place that is not kept any more.
const MARK: u64 = 1_024;

/// Where a reader begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum After {
    /// With all that is kept.
    Beginning,
    /// With what comes.
    Now,
    /// With what came after this.
    Position(Position),
}

/// What a reader gets.
#[derive(Debug, Clone)]
pub enum Told {
    /// Something has changed, or a gap.
    Change(Arc<Change>),
    /// Nothing that is for this reader was missed up to here.
    Nothing(Position),
}

/// All that was told lately.
pub(crate) struct Events {
    start: u64,
    kept: Mutex<Kept>,
    /// Number of the latest change.
    latest: watch::Sender<u64>,
    /// How apps were when that was last told.
    known: Mutex<BTreeMap<AppName, Known>>,
}

#[derive(Default)]
struct Kept {
    /// With their bytes of JSON, ascending by one.
    changes: VecDeque<(Arc<Change>, usize)>,
    bytes: usize,
    /// Number of the latest change that was told at all.
    last: u64,
}

/// What a reader fetches at once.
struct Batch {
    told: Vec<Told>,
    /// The number up to which it has seen everything.
    seen: u64,
}

impl Told {
    fn number(&self) -> u64 {
        match self {
            Self::Change(change) => change.id.number,
            Self::Nothing(position) => position.number,
        }
    }
}

impl Default for Events {
    fn default() -> Self {
        Self::new(u64::try_from(now_ms()).unwrap_or(0))
    }
}

impl Events {
    /// A stream that begins. `start` tells it from those of other runs of the host.
    fn new(start: u64) -> Self {
        Self {
            start,
            kept: Mutex::default(),
            latest: watch::Sender::new(0),
            known: Mutex::default(),
        }
    }

    /// Tells of a change.
    pub(crate) fn tell(&self, app: Option<&AppName>, what: Changed) {
        let mut kept = self.kept();
        let number = kept.last + 1;
        let change = Change {
            id: self.position(number),
            time_ms: now_ms(),
            app: app.cloned(),
            what,
        };
        let bytes = serde_json::to_vec(&change).map_or(0, |json| json.len());
        kept.add(change, bytes);
        drop(kept);
        // Another one that was told meanwhile may have come first.
        self.latest
            .send_modify(|latest| *latest = number.max(*latest));
    }

    /// The changes after a place that are about an app, or all; then those that come, if the
    /// reader waits for more.
    pub(crate) fn follow(
        self: &Arc<Self>,
        after: After,
        app: Option<AppName>,
        waits: bool,
    ) -> BoxStream<'static, Told> {
        let (gap, seen) = self.begin(after);
        let latest = self.latest.subscribe();
        let reader = (Arc::clone(self), latest, seen, seen);
        let rest = stream::unfold(reader, move |(events, mut latest, mut seen, mut told)| {
            let app = app.clone();
            async move {
                loop {
                    // Seen before it is looked: what comes in between wakes.
                    latest.borrow_and_update();
                    let mut batch = events.fetch(seen, app.as_ref());
                    let more = batch.seen > seen;
                    seen = batch.seen;
                    if batch.told.is_empty() && seen - told >= MARK {
                        batch.told.push(Told::Nothing(events.position(seen)));
                    }
                    if let Some(last) = batch.told.last() {
                        told = last.number();
                        let next = (events, latest, seen, told);
                        return Some((stream::iter(batch.told), next));
                    }
                    if more {
                        continue;
                    }
                    if !waits {
                        return None;
                    }
                    latest.changed().await.ok()?;
                }
            }
        });
        // It may lose its connection before anything happens.
        let place = gap.unwrap_or_else(|| Told::Nothing(self.position(seen)));
        stream::iter([place]).chain(rest.flatten()).boxed()
    }

    /// The number from which on a reader has seen nothing, and the gap before that.
    fn begin(&self, after: After) -> (Option<Told>, u64) {
        let kept = self.kept();
        match after {
            After::Beginning => (None, kept.before_first()),
            After::Now => (None, kept.last),
            After::Position(place) if place.start == self.start && place.number <= kept.last => {
                (None, place.number)
            }
            // Of another run of the host: all that this one has told came later.
            After::Position(place) => {
                let first = kept.before_first();
                (Some(self.gap(place, first, None)), first)
            }
        }
    }

    fn fetch(&self, seen: u64, app: Option<&AppName>) -> Batch {
        let kept = self.kept();
        let first = kept.before_first();
        let mut told = Vec::new();
        let mut last = seen;
        if seen < first {
            let after = self.position(seen);
            told.push(self.gap(after, first, Some(first - seen)));
            last = first;
        }
        let from = usize::try_from(last - first).unwrap_or(usize::MAX);
        for (change, _) in kept.changes.iter().skip(from).take(BATCH) {
            last = change.id.number;
            if app.is_none() || change.app.as_ref() == app {
                told.push(Told::Change(Arc::clone(change)));
            }
        }
        Batch { told, seen: last }
    }

    fn gap(&self, after: Position, number: u64, missed: Option<u64>) -> Told {
        Told::Change(Arc::new(Change {
            id: self.position(number),
            time_ms: now_ms(),
            app: None,
            what: Changed::Gap { after, missed },
        }))
    }

    fn position(&self, number: u64) -> Position {
        Position {
            start: self.start,
            number,
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn add(&mut self, change: Change, bytes: usize) {
        self.last = change.id.number;
        self.bytes += bytes;
        self.changes.push_back((Arc::new(change), bytes));
        while self.changes.len() > MOST_KEPT || self.bytes > MOST_BYTES {
            let Some((_, bytes)) = self.changes.pop_front() else {
                return;
            };
            self.bytes -= bytes;
        }
    }

    /// The number before that of the first change that is kept.
    fn before_first(&self) -> u64 {
        self.last - self.changes.len() as u64
    }
}

#[cfg(test)]
mod tests;
