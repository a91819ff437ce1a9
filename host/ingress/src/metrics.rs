//! What the ingress counts, for each app.
//!
//! Each thread counts on its own, in memory that no other thread writes, so that
//! counting costs a request some nanoseconds; reading adds up.

use doprax_core::name::AppName;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// Upper bounds of the buckets of [`Histogram`], in seconds.
pub const BUCKETS: [f64; 15] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
];

/// What [`Traffic::requests`] is counted by: the first digit of the status, and before
/// these the requests whose client was gone before there was one.
pub const STATUSES: [&str; 6] = ["none", "1xx", "2xx", "3xx", "4xx", "5xx"];

/// Why connections come to nothing before a request: the machine could not accept them,
/// a limit on connections, no header of the PROXY protocol, no TLS handshake.
pub const REFUSALS: [&str; 4] = ["accept", "limit", "proxy-header", "tls"];

/// What an ingress has counted since it started.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Metrics {
    /// The apps that have routes.
    pub apps: BTreeMap<AppName, Traffic>,
    /// Requests that are no app's: for unknown hosts, or refused as malformed.
    pub others: Traffic,
    /// Open connections of clients.
    pub connections: usize,
    /// Number of connections that came to nothing before a request, as [`REFUSALS`] says.
    pub refused_connections: [u64; REFUSALS.len()],
    /// Access records that were dropped because nobody took them in time.
    pub dropped_records: u64,
}

/// Requests and what became of them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Traffic {
    /// Number of requests that have ended, as [`STATUSES`] says.
    pub requests: [u64; STATUSES.len()],
    /// Number of requests that containers are answering, tunnels included.
    pub in_flight: usize,
    /// Bytes of requests' bodies.
    pub received_bytes: u64,
    /// Bytes of responses' bodies.
    pub sent_bytes: u64,
    /// How often a container could not be reached, gave no response or broke one off.
    pub upstream_errors: u64,
    /// From the head of a request to the end of its response.
    pub durations: Histogram,
}

/// How often something took how long.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Histogram {
    /// Number of those above the bucket before and up to [`BUCKETS`]; the last is for
    /// all above.
    pub counts: [u64; BUCKETS.len() + 1],
    /// All of them together.
    pub sum: Duration,
}

/// The counters of one app.
#[derive(Debug)]
pub(crate) struct Counters {
    /// Of each thread, once it has counted something.
    shards: Box<[OnceLock<Arc<Shard>>]>,
}

/// The counters of one app in one thread.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Shard {
    requests: [AtomicU64; STATUSES.len()],
    received_bytes: AtomicU64,
    sent_bytes: AtomicU64,
    upstream_errors: AtomicU64,
    durations: [AtomicU64; BUCKETS.len() + 1],
    micros: AtomicU64,
}

impl Counters {
    /// Counters for so many threads.
    pub(crate) fn new(threads: usize) -> Self {
        Self {
            shards: std::iter::repeat_with(OnceLock::new)
                .take(threads)
                .collect(),
        }
    }

    /// Those of one thread.
    pub(crate) fn of(&self, thread: usize) -> &Arc<Shard> {
        self.shards[thread].get_or_init(Arc::default)
    }

    /// What was counted so far.
    pub(crate) fn read(&self) -> Traffic {
        let mut all = Traffic::default();
        for shard in self.shards.iter().filter_map(OnceLock::get) {
            add(&mut all.requests, &shard.requests);
            add(&mut all.durations.counts, &shard.durations);
            all.received_bytes += shard.received_bytes.load(Ordering::Relaxed);
            all.sent_bytes += shard.sent_bytes.load(Ordering::Relaxed);
            all.upstream_errors += shard.upstream_errors.load(Ordering::Relaxed);
            all.durations.sum += Duration::from_micros(shard.micros.load(Ordering::Relaxed));
        }
        all
    }
}

impl Shard {
    /// A request has ended, without a status if its client was gone before.
    pub(crate) fn ended(&self, status: Option<u16>, sent_bytes: u64, duration: Duration) {
        let class = status.map_or(0, |status| usize::from(status / 100));
        let class = class.min(STATUSES.len() - 1);
        self.requests[class].fetch_add(1, Ordering::Relaxed);
        self.sent_bytes.fetch_add(sent_bytes, Ordering::Relaxed);
        let seconds = duration.as_secs_f64();
        let bucket = BUCKETS.partition_point(|bound| *bound < seconds);
        self.durations[bucket].fetch_add(1, Ordering::Relaxed);
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        self.micros.fetch_add(micros, Ordering::Relaxed);
    }

    /// Part of a request's body has arrived.
    pub(crate) fn received(&self, bytes: u64) {
        self.received_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// A container did not do its part.
    pub(crate) fn upstream_error(&self) {
        self.upstream_errors.fetch_add(1, Ordering::Relaxed);
    }
}

fn add(sums: &mut [u64], counted: &[AtomicU64]) {
    for (sum, counted) in sums.iter_mut().zip(counted) {
        *sum += counted.load(Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_count_apart_and_are_added_up() {
        let counters = Counters::new(3);
        for (thread, status, micros) in [
            (0, Some(200), 900),
            (0, Some(101), 1_000),
            (2, Some(599), 1_001),
            (2, Some(999), 60_000_001),
            (2, None, 0),
        ] {
            let duration = Duration::from_micros(micros);
            counters.of(thread).ended(status, 10, duration);
        }
        counters.of(1).received(7);
        counters.of(2).upstream_error();
        let all = counters.read();
        assert_eq!(all.requests, [1, 1, 1, 0, 0, 2]);
        assert_eq!((all.received_bytes, all.sent_bytes), (7, 50));
        assert_eq!(all.upstream_errors, 1);
        assert_eq!(all.durations.counts[..3], [3, 1, 0]);
        assert_eq!(all.durations.counts[BUCKETS.len()], 1);
        assert_eq!(all.durations.sum, Duration::from_micros(60_002_902));
    }
}
