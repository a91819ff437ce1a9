//! The places for connections, and who gives one up when all are taken.
//!
//! A connection whose client owes bytes, of a head or of a body, holds its place for
//! nothing. When somebody else comes and no place is free, the one that has owed them
//! longest is cut. Connections that stream an answer owe nothing; that they leave places
//! free is seen to by [`super::stream`].

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

/// Places for a number of connections.
pub(super) struct Places {
    free: Arc<Semaphore>,
    taken: Mutex<BTreeMap<u64, Arc<Client>>>,
    next: AtomicU64,
    start: Instant,
}

/// A connection's place; given back when it is dropped.
pub(super) struct Place {
    places: Arc<Places>,
    number: u64,
    client: Arc<Client>,
    _permit: OwnedSemaphorePermit,
}

/// Whether a client owes bytes, and since when.
pub(super) struct Client {
    start: Instant,
    /// Milliseconds since `start`, plus one; zero where nothing is owed.
    owes_since: AtomicU64,
    cut: CancellationToken,
}

impl Places {
    pub(super) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self {
            free: Arc::new(Semaphore::new(most)),
            taken: Mutex::default(),
            next: AtomicU64::new(0),
            start: Instant::now(),
        })
    }

    /// A place for a new connection, whose client owes the head of a request.
    pub(super) async fn take(self: &Arc<Self>) -> Place {
        let permit = match Arc::clone(&self.free).try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => {
                self.cut_longest_owing();
                Arc::clone(&self.free)
                    .acquire_owned()
                    .await
                    .expect("the semaphore is never closed")
            }
        };
        let client = Arc::new(Client {
            start: self.start,
            owes_since: AtomicU64::new(0),
            cut: CancellationToken::new(),
        });
        client.owes();
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.taken().insert(number, Arc::clone(&client));
        Place {
            places: Arc::clone(self),
            number,
            client,
            _permit: permit,
        }
    }

    fn cut_longest_owing(&self) {
        let taken = self.taken();
        let owing = taken.values().filter(|client| !client.cut.is_cancelled());
        let owing = owing.filter_map(|client| Some((client.since()?, client)));
        if let Some((_, client)) = owing.min_by_key(|(since, _)| *since) {
            tracing::warn!("all connections are taken: one whose client sends nothing is cut");
            client.cut.cancel();
        }
    }

    fn taken(&self) -> std::sync::MutexGuard<'_, BTreeMap<u64, Arc<Client>>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    pub(super) fn client(&self) -> &Arc<Client> {
        &self.client
    }

    /// Ends when the place must be given up.
    pub(super) async fn is_cut(&self) {
        self.client.cut.cancelled().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.taken().remove(&self.number);
    }
}

impl Client {
    /// It is its turn to send.
    pub(super) fn owes(&self) {
        let now = self.start.elapsed().as_millis() as u64 + 1;
        // That it owes already is not forgotten.
        let _ = self
            .owes_since
            .compare_exchange(0, now, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// It has sent what was waited for.
    pub(super) fn owes_nothing(&self) {
        self.owes_since.store(0, Ordering::Relaxed);
    }

    fn since(&self) -> Option<u64> {
        match self.owes_since.load(Ordering::Relaxed) {
            0 => None,
            since => Some(since),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_has_owed_longest_makes_room_and_who_owes_nothing_stays() {
        let places = Places::new(3);
        let (served, first, second) = (
            places.take().await,
            places.take().await,
            places.take().await,
        );
        served.client().owes_nothing();
        second.client().owes_since.store(2, Ordering::Relaxed);
        first.client().owes_since.store(1, Ordering::Relaxed);
        let given_up = async {
            first.is_cut().await;
            drop(first);
        };
        let (fourth, ()) = tokio::join!(places.take(), given_up);
        assert!(!served.client.cut.is_cancelled() && !second.client.cut.is_cancelled());
        assert_eq!(places.taken().len(), 3);
        drop((served, second, fourth));
        assert!(places.taken().is_empty());
        assert_eq!(places.free.available_permits(), 3);
    }
}
