//! The connections of one thread, and which of them has room for a request.

use super::connection::{Connection, REQUESTS};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// The shared connections of one thread.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    shared: Mutex<HashMap<SocketAddr, Vec<Shared>>>,
}

#[derive(Debug)]
struct Shared {
    connection: Arc<Connection>,
    generation: u64,
    tls: bool,
    /// Each request has a clone.
    requests: Arc<()>,
    used: Instant,
}

impl Shared {
    fn new(generation: u64, tls: bool, allowed: usize) -> Self {
        Self {
            connection: Arc::new(Connection::new(allowed)),
            generation,
            tls,
            requests: Arc::new(()),
            used: Instant::now(),
        }
    }

    fn requests(&self) -> usize {
        Arc::strong_count(&self.requests) - 1
    }
}

impl Pool {
    /// A connection that has room for one more request, and what counts that request
    /// until it is dropped.
    pub(super) fn take(
        &self,
        address: SocketAddr,
        generation: u64,
        tls: bool,
    ) -> (Arc<Connection>, Arc<()>) {
        let mut all = self.shared();
        let connections = all.entry(address).or_default();
        connections.retain(|shared| {
            !shared.connection.is_closed() && shared.generation == generation && shared.tls == tls
        });
        let first = connections.first();
        let allowed = first.map_or(REQUESTS, |shared| shared.connection.allowed());
        let has_room = |shared: &Shared| shared.requests() < shared.connection.allowed();
        let at = connections.iter().position(has_room).unwrap_or_else(|| {
            connections.push(Shared::new(generation, tls, allowed));
            connections.len() - 1
        });
        let shared = &mut connections[at];
        shared.used = Instant::now();
        (Arc::clone(&shared.connection), Arc::clone(&shared.requests))
    }

    /// Closes connections without requests that have not been used for `age`.
    pub(crate) fn sweep(&self, age: Duration) {
        self.shared().retain(|_, connections| {
            connections.retain(|shared| {
                let busy = shared.requests() > 0 || shared.used.elapsed() <= age;
                busy && !shared.connection.is_closed()
            });
            !connections.is_empty()
        });
    }

    fn shared(&self) -> MutexGuard<'_, HashMap<SocketAddr, Vec<Shared>>> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
