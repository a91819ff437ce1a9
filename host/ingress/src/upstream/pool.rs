//! Connections that are kept for the next request.

use super::room::Room;
use crate::backend::Generation;
use crate::gate::Deadline;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::Instant;

/// Kept connections to one address in one thread, at most. They are as many as requests
/// were under way at a time, and have no memory of their own beyond the kernel's.
const KEPT_PER_ADDRESS: usize = 4_096;

/// The kept connections of one thread.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    kept: Mutex<HashMap<SocketAddr, Vec<Kept>>>,
    /// For heads of requests.
    pub(super) writing: Room,
    /// For small responses.
    pub(super) reading: Room,
}

/// A connection to a container.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) stream: TcpStream,
    /// For answers on it; its timer outlives them.
    pub(super) deadline: Deadline,
}

impl Link {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            deadline: Deadline::default(),
        }
    }
}

#[derive(Debug)]
struct Kept {
    link: Link,
    generation: Generation,
    since: Instant,
}

impl Pool {
    /// The connection used last, if it was in use within `age`.
    pub(super) fn take(
        &self,
        address: SocketAddr,
        generation: Generation,
        age: Duration,
        now: Instant,
    ) -> Option<Link> {
        let mut all = self.kept();
        let kept = all.get_mut(&address)?;
        while let Some(last) = kept.pop() {
            if last.generation != generation || is_over(&last.link.stream) {
                continue;
            }
            if now.duration_since(last.since) > age {
                // Those before it are older still.
                kept.push(last);
                return None;
            }
            return Some(last.link);
        }
        None
    }

    pub(super) fn put(&self, address: SocketAddr, generation: Generation, link: Link) {
        let mut all = self.kept();
        let kept = all.entry(address).or_default();
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
        self.kept().retain(|_, kept| {
            kept.retain(|kept| {
                now.duration_since(kept.since) <= age && !is_over(&kept.link.stream)
            });
            kept.shrink_to(kept.len() * 2);
            !kept.is_empty()
        });
    }

    fn kept(&self) -> MutexGuard<'_, HashMap<SocketAddr, Vec<Kept>>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the container has closed the connection, or speaks unasked. Costs no call
/// into the kernel unless something has arrived.
fn is_over(stream: &TcpStream) -> bool {
    let read = stream.try_read(&mut [0; 1]);
    !read.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock)
}
