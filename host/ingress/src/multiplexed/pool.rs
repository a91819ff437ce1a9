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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container_tls::ContainerTls;
    use crate::limits::Limits;
    use crate::upstream::Upstream;
    use tokio::net::{TcpListener, TcpStream};

    const AGE: Duration = Duration::from_secs(60);

    type Taken = (Arc<Connection>, Arc<()>);

    /// A place of which nothing is asked.
    fn address() -> SocketAddr {
        ([127, 0, 0, 1], 1).into()
    }

    fn same(one: &Taken, other: &Taken) -> bool {
        Arc::ptr_eq(&one.0, &other.0)
    }

    /// Lets so much time pass for all that is kept.
    fn rest(pool: &Pool, time: Duration) {
        for shared in pool.shared().values_mut().flatten() {
            shared.used -= time;
        }
    }

    /// Makes a connection to a container; returns its other side.
    async fn made(connection: &Connection, listener: &TcpListener) -> TcpStream {
        let tls = ContainerTls::new().unwrap();
        let upstream = Upstream::new(&Limits::default(), tls);
        let address = listener.local_addr().unwrap();
        connection.sender(&upstream, address, false).await.unwrap();
        listener.accept().await.unwrap().0
    }

    #[test]
    fn as_many_requests_share_a_connection_as_it_may_have_and_not_more() {
        let pool = Pool::default();
        let take = || pool.take(address(), 1, false);
        let mut taken: Vec<Taken> = (0..REQUESTS).map(|_| take()).collect();
        assert!(taken.iter().all(|each| same(each, &taken[0])));
        let surplus = take();
        assert!(!same(&surplus, &taken[0]));
        // One that has ended makes room.
        drop(taken.pop());
        assert!(same(&take(), &taken[0]));
        // Nor are there more of the second than that.
        let second: Vec<Taken> = (0..REQUESTS).map(|_| take()).collect();
        assert!(same(&second[0], &taken[0]));
        assert!(second[1..].iter().all(|each| same(each, &surplus)));
    }

    #[test]
    fn a_connection_is_shared_only_within_its_generation_and_by_its_protocol() {
        let pool = Pool::default();
        let first = pool.take(address(), 1, false);
        for (generation, tls) in [(2, false), (2, true)] {
            let other = pool.take(address(), generation, tls);
            assert!(!same(&other, &first));
            assert!(same(&other, &pool.take(address(), generation, tls)));
        }
        let elsewhere = pool.take(([127, 0, 0, 2], 1).into(), 2, true);
        assert!(same(
            &elsewhere,
            &pool.take(([127, 0, 0, 2], 1).into(), 2, true)
        ));
        assert!(!same(&elsewhere, &pool.take(address(), 2, true)));
        // What was opened before is not come back to.
        assert!(!same(&first, &pool.take(address(), 1, false)));
    }

    /// Until the container says how many requests it allows, as many as it allowed before.
    #[tokio::test]
    async fn a_new_connection_has_the_room_that_the_one_before_it_has() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let pool = Pool::default();
        let take = || pool.take(address(), 1, false);
        let first = take();
        assert_eq!(first.0.allowed(), REQUESTS);
        let container = made(&first.0, &listener).await;
        assert_eq!(first.0.allowed(), REQUESTS, "it has said nothing yet");
        let mut server = h2::server::Builder::new();
        server.max_concurrent_streams(3);
        let mut server = server
            .handshake::<_, bytes::Bytes>(container)
            .await
            .unwrap();
        tokio::spawn(async move { while server.accept().await.is_some() {} });
        while first.0.allowed() != 3 {
            tokio::task::yield_now().await;
        }
        let others = [take(), take()];
        assert!(others.iter().all(|each| same(each, &first)));
        let second = take();
        assert!(!same(&second, &first));
        assert_eq!(second.0.allowed(), 3, "before it is made");
        let _silent = made(&second.0, &listener).await;
        assert_eq!(second.0.allowed(), 3, "and after that");
        assert_eq!(Connection::new(REQUESTS + 1).allowed(), REQUESTS);
    }

    #[test]
    fn what_has_rested_for_too_long_is_closed_unless_it_is_in_use() {
        let pool = Pool::default();
        let first = pool.take(address(), 1, false);
        rest(&pool, 2 * AGE);
        pool.sweep(AGE);
        let again = pool.take(address(), 1, false);
        assert!(same(&again, &first), "a request is on its way");
        let kept = Arc::downgrade(&first.0);
        drop((first, again));
        rest(&pool, AGE / 2);
        pool.sweep(AGE);
        assert!(kept.upgrade().is_some(), "it was used a moment ago");
        rest(&pool, AGE);
        pool.sweep(AGE);
        assert!(kept.upgrade().is_none());
        assert!(pool.shared().is_empty(), "nothing is left of its address");
    }

    #[tokio::test]
    async fn what_a_container_has_closed_is_neither_shared_nor_kept() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        for swept in [false, true] {
            let pool = Pool::default();
            let first = pool.take(address(), 1, false);
            assert!(!first.0.is_closed(), "it is not made yet");
            let container = made(&first.0, &listener).await;
            assert!(!first.0.is_closed());
            drop(container);
            while !first.0.is_closed() {
                tokio::task::yield_now().await;
            }
            if swept {
                pool.sweep(AGE);
                assert!(pool.shared().is_empty());
            }
            assert!(!same(&pool.take(address(), 1, false), &first));
        }
    }
}
