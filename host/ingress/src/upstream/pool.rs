//! Connections that are kept for the next request.
//!
//! A container that answers before it has read a request's body may take the rest for a
//! further request, and answer that one as well. So a connection that has carried a body
//! is used again only for the client who sent it: nobody else can get such an answer.

use super::room::Room;
use super::stream::Stream;
use crate::backend::Generation;
use crate::gate::Deadline;
use socket2::SockRef;
use std::collections::HashMap;
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Kept connections to one address in one thread, at most. They are as many as requests
/// were under way at a time, and have no memory of their own beyond the kernel's.
const KEPT_PER_ADDRESS: usize = 4_096;

/// The kept connections of one thread.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    kept: Mutex<AllKept>,
    owners: AtomicU64,
    /// For heads of requests.
    pub(super) writing: Room,
    /// For small responses.
    pub(super) reading: Room,
}

#[derive(Debug, Default)]
struct AllKept {
    /// For whoever comes.
    shared: ByAddress,
    /// That have carried a body, by whose it was.
    own: HashMap<Owner, ByAddress>,
}

type ByAddress = HashMap<SocketAddr, Vec<Kept>>;

/// A client's connection, as the one whose bodies a connection to a container has carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Owner(u64);

/// A connection to a container.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) stream: Stream,
    /// For answers on it; its timer outlives them.
    pub(super) deadline: Deadline,
    /// More may be said on it than was asked: it has carried a body, or a response
    /// whose body was not to be sent.
    pub(super) owned: bool,
}

impl Link {
    pub(super) fn new(stream: Stream) -> Self {
        Self {
            stream,
            deadline: Deadline::default(),
            owned: false,
        }
    }
}

#[derive(Debug)]
struct Kept {
    link: Link,
    generation: Generation,
    since: Instant,
}

/// Which of the kept connections a request can do with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fit {
    pub(super) address: SocketAddr,
    pub(super) generation: Generation,
    /// Whether the container speaks only TLS.
    pub(super) tls: bool,
    /// How long ago it may have been in use.
    pub(super) age: Duration,
    pub(super) now: Instant,
}

impl Pool {
    /// A new client's connection.
    pub(super) fn owner(&self) -> Owner {
        Owner(self.owners.fetch_add(1, Ordering::Relaxed))
    }

    /// Closes what was kept for a client who is gone.
    pub(super) fn forget(&self, owner: Owner) {
        let own = self.kept().own.remove(&owner);
        for kept in own.iter().flat_map(HashMap::values).flatten() {
            // Nothing is under way on it. Without this its port would be taken for a minute,
            // and clients that come with one request each would use them all up.
            let _ = SockRef::from(kept.link.stream.socket()).set_linger(Some(Duration::ZERO));
        }
    }

    /// The connection used last that fits and that this client may use.
    pub(super) fn take(&self, owner: Owner, fit: Fit) -> Option<Link> {
        let all = &mut *self.kept();
        let own = all.own.get_mut(&owner).and_then(|own| fit.take(own));
        own.or_else(|| fit.take(&mut all.shared))
    }

    pub(super) fn put(
        &self,
        owner: Owner,
        address: SocketAddr,
        generation: Generation,
        link: Link,
    ) {
        let mut all = self.kept();
        let kept = if link.owned {
            all.own.entry(owner).or_default()
        } else {
            &mut all.shared
        };
        let kept = kept.entry(address).or_default();
        if kept.len() >= KEPT_PER_ADDRESS {
            kept.remove(0);
        }
        kept.push(Kept {
            link,
            generation,
            since: Instant::now(),
        });
    }

    /// Closes connections that have not been used for `age`.
    pub(crate) fn sweep(&self, age: Duration) {
        let now = Instant::now();
        let mut all = self.kept();
        sweep(&mut all.shared, age, now);
    }

    /// The same for those that are for one client each: there may be as many as clients, and
    /// servers that have a thread for each.
    pub(crate) fn sweep_own(&self, age: Duration) {
        let now = Instant::now();
        self.kept().own.retain(|_, own| {
            sweep(own, age, now);
            !own.is_empty()
        });
    }

    fn kept(&self) -> MutexGuard<'_, AllKept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Fit {
    fn take(self, kept: &mut ByAddress) -> Option<Link> {
        let kept = kept.get_mut(&self.address)?;
        while let Some(last) = kept.pop() {
            let fits = last.generation == self.generation && last.link.stream.is_tls() == self.tls;
            if !fits || is_over(&last.link.stream) {
                continue;
            }
            if self.now.duration_since(last.since) > self.age {
                // Those before it are older still.
                kept.push(last);
                return None;
            }
            return Some(last.link);
        }
        None
    }
}

fn sweep(kept: &mut ByAddress, age: Duration, now: Instant) {
    kept.retain(|_, kept| {
        kept.retain(|kept| now.duration_since(kept.since) <= age && !is_over(&kept.link.stream));
        kept.shrink_to(kept.len() * 2);
        !kept.is_empty()
    });
}

/// Whether the container has closed the connection, or speaks unasked. The kernel is
/// asked: the runtime hears of what has arrived only once its tasks wait.
fn is_over(stream: &Stream) -> bool {
    let seen = SockRef::from(stream.socket()).peek(&mut [MaybeUninit::uninit()]);
    !seen.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;
    use tokio::net::{TcpListener, TcpStream};

    /// A connection to nobody in particular, and its other side.
    async fn connected(listener: &TcpListener) -> (Link, std::net::TcpStream) {
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await;
        let (other, _) = listener.accept().await.unwrap();
        let other = other.into_std().unwrap();
        (Link::new(Stream::Plain(stream.unwrap())), other)
    }

    fn fit(listener: &TcpListener) -> Fit {
        let now = Instant::now();
        Fit {
            address: listener.local_addr().unwrap(),
            generation: Generation {
                number: 1,
                settled: now,
            },
            tls: false,
            age: Duration::from_secs(60),
            now,
        }
    }

    #[tokio::test]
    async fn a_connection_on_which_something_waits_unread_is_not_handed_out() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let pool = Pool::default();
        let (owner, fit) = (pool.owner(), fit(&listener));
        let (link, mut other) = connected(&listener).await;
        pool.put(owner, fit.address, fit.generation, link);
        // The runtime does not get to hear of it in between.
        other.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
        assert!(pool.take(owner, fit).is_none());
    }

    #[tokio::test]
    async fn a_connection_that_carried_a_body_is_used_again_only_for_who_sent_it() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let pool = Pool::default();
        let (one, other, fit) = (pool.owner(), pool.owner(), fit(&listener));
        let (link, _container) = connected(&listener).await;
        let link = Link {
            owned: true,
            ..link
        };
        pool.put(one, fit.address, fit.generation, link);
        assert!(pool.take(other, fit).is_none());
        let link = pool.take(one, fit).unwrap();
        pool.put(one, fit.address, fit.generation, link);
        pool.forget(one);
        assert!(pool.take(one, fit).is_none());
    }

    #[tokio::test]
    async fn a_connection_may_rest_for_so_long_and_not_longer() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let pool = Pool::default();
        let (owner, fit) = (pool.owner(), fit(&listener));
        let (link, _container) = connected(&listener).await;
        pool.put(owner, fit.address, fit.generation, link);
        let since = pool.kept().shared[&fit.address][0].since;
        let at = |now| pool.take(owner, Fit { now, ..fit });
        assert!(at(since + fit.age + Duration::from_nanos(1)).is_none());
        assert!(at(since + fit.age).is_some());
    }

    #[tokio::test]
    async fn a_connection_is_for_its_generation_and_its_protocol() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let fit = fit(&listener);
        let number = fit.generation.number + 1;
        let generation = Generation {
            number,
            ..fit.generation
        };
        let later = Fit { generation, ..fit };
        for (asked, fits) in [
            (fit, true),
            (later, false),
            (Fit { tls: true, ..fit }, false),
        ] {
            let pool = Pool::default();
            let owner = pool.owner();
            let (link, _container) = connected(&listener).await;
            pool.put(owner, fit.address, fit.generation, link);
            assert_eq!(pool.take(owner, asked).is_some(), fits);
        }
    }

    #[tokio::test]
    async fn a_connection_that_has_rested_for_too_long_is_not_handed_out() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let pool = Pool::default();
        let (owner, fit) = (pool.owner(), fit(&listener));
        for owned in [false, true] {
            let (link, _container) = connected(&listener).await;
            let link = Link { owned, ..link };
            pool.put(owner, fit.address, fit.generation, link);
            let now = Instant::now() + fit.age;
            assert!(pool.take(owner, Fit { now, ..fit }).is_none());
            let now = now - Duration::from_secs(30);
            let link = pool.take(owner, Fit { now, ..fit }).unwrap();
            // Nor is it kept.
            pool.put(owner, fit.address, fit.generation, link);
            pool.sweep(fit.age);
            pool.sweep_own(fit.age);
            let link = pool.take(owner, fit).unwrap();
            pool.put(owner, fit.address, fit.generation, link);
            pool.sweep(Duration::ZERO);
            pool.sweep_own(Duration::ZERO);
            assert!(pool.take(owner, fit).is_none());
        }
    }
}
