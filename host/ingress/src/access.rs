//! The access log: what was asked and what became of it.
//!
//! Records go to a channel of the reader's. A request never waits for it: a record
//! that finds no room is dropped and counted.

use doprax_core::name::AppName;
use http::header::USER_AGENT;
use http::{HeaderMap, HeaderValue};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};
use tokio::sync::mpsc;

/// Bytes of a path and of a method in a record, at most. Both are the client's own, and
/// records are kept.
const PATH_BYTES: usize = 2048;
const METHOD_BYTES: usize = 32;

/// What programs call themselves that look whether a server is well.
const HEALTH_CHECKS: [&[u8]; 5] = [
    b"ELB-HealthChecker/",
    b"GoogleHC/",
    b"kube-probe/",
    b"Consul Health Check",
    b"Blackbox Exporter/",
];

/// Where access records go.
#[derive(Debug, Clone)]
pub struct AccessLog {
    /// Takes each record once its request has ended; its capacity bounds how many wait.
    pub records: mpsc::Sender<AccessRecord>,
    /// Whether requests of health checks are recorded as well.
    pub health_checks: bool,
}

/// A request and what became of it.
#[derive(Debug, Clone, PartialEq)]
pub struct AccessRecord {
    /// When its head had arrived.
    pub time: SystemTime,
    /// The app it was for, if there is one.
    pub app: Option<AppName>,
    /// The host it was for, in lower case without port; empty if it has none.
    pub host: String,
    /// The method, cut off after 32 bytes.
    pub method: String,
    /// The path, without the query, cut off after 2048 bytes.
    pub path: String,
    /// `HTTP/1.0`, `HTTP/1.1` or `HTTP/2.0`.
    pub protocol: &'static str,
    /// Whether it came by HTTPS.
    pub secure: bool,
    /// The status of the response; none if the client was gone before.
    pub status: Option<u16>,
    /// Bytes of the response's body that were sent.
    pub bytes: u64,
    /// From its head to the end of the response.
    pub duration: Duration,
    /// The client's address: as a trusted proxy in front says it, else its own.
    pub client: IpAddr,
    /// The id on the page, if the ingress answered itself with one.
    pub request_id: Option<String>,
    /// What went wrong, if the ingress answered itself or a response broke off.
    pub error: Option<String>,
}

/// Where records go, and how many did not get there.
#[derive(Debug)]
pub(crate) struct Records {
    log: Option<AccessLog>,
    dropped: AtomicU64,
}

impl Records {
    pub(crate) fn new(log: Option<AccessLog>) -> Self {
        Self {
            log,
            dropped: AtomicU64::new(0),
        }
    }

    /// Whether a request with these fields is recorded.
    pub(crate) fn wants(&self, headers: &HeaderMap) -> bool {
        let Some(log) = &self.log else {
            return false;
        };
        let agent = headers.get(USER_AGENT).map(HeaderValue::as_bytes);
        let check = |agent: &[u8]| HEALTH_CHECKS.iter().any(|name| agent.starts_with(name));
        log.health_checks || !agent.is_some_and(check)
    }

    pub(crate) fn give(&self, record: AccessRecord) {
        let Some(log) = &self.log else {
            return;
        };
        if log.records.try_send(record).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Number of records that found no room.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

/// As much of a path as a record has room for.
pub(crate) fn cut_path(path: &str) -> &str {
    &path[..path.floor_char_boundary(PATH_BYTES)]
}

/// As much of a method as a record has room for.
pub(crate) fn cut_method(method: &str) -> &str {
    &method[..method.floor_char_boundary(METHOD_BYTES)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn health_checks_are_recorded_on_request_only() {
        let (records, _kept) = mpsc::channel(1);
        let log = |health_checks| AccessLog {
            records: records.clone(),
            health_checks,
        };
        let fields = |agent| HeaderMap::from_iter([(USER_AGENT, HeaderValue::from_static(agent))]);
        for (log, agent, expected) in [
            (None, "curl/8", false),
            (Some(log(false)), "curl/8", true),
            (Some(log(false)), "kube-probe/1.33", false),
            (Some(log(true)), "kube-probe/1.33", true),
        ] {
            let records = Records::new(log);
            assert_eq!(records.wants(&fields(agent)), expected, "{agent}");
        }
    }

    #[test]
    fn what_a_client_makes_long_is_cut_between_characters() {
        assert_eq!(cut_path("/a"), "/a");
        let path = format!("/{}", "é".repeat(2000));
        assert_eq!(cut_path(&path).len(), 2047);
        assert_eq!(cut_method("PROPFIND"), "PROPFIND");
        assert_eq!(cut_method(&"A".repeat(60_000)).len(), 32);
    }
}
