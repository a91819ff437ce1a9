//! What is remembered about one request until it has ended, for metrics and log.

use crate::access::{AccessRecord, Records};
use crate::metrics::{Counters, Shard};
use doprax_core::name::AppName;
use std::sync::Arc;
use tokio::time::Instant;

/// Where one thread settles its accounts.
#[derive(Debug)]
pub(crate) struct Ledger {
    thread: usize,
    /// Counts requests that are no app's.
    others: Arc<Shard>,
    records: Arc<Records>,
}

impl Ledger {
    /// `others` are the thread's counts of requests that are no app's.
    pub(crate) fn new(thread: usize, others: Arc<Shard>, records: Arc<Records>) -> Self {
        Self {
            thread,
            others,
            records,
        }
    }
}

/// A request, from its head until the end of its response, when it is dropped.
#[derive(Debug)]
pub(crate) struct Account {
    ledger: Arc<Ledger>,
    start: Instant,
    /// Counts for the app, once it is known. The threads share none of these, nor
    /// their reference counts.
    shard: Option<Arc<Shard>>,
    status: Option<u16>,
    sent: u64,
    record: Option<Box<AccessRecord>>,
}

impl Account {
    /// Begins with `record` if the request is to be recorded.
    pub(crate) fn new(ledger: &Arc<Ledger>, record: Option<Box<AccessRecord>>) -> Self {
        Self {
            ledger: Arc::clone(ledger),
            start: Instant::now(),
            shard: None,
            status: None,
            sent: 0,
            record,
        }
    }

    /// When its head had arrived.
    pub(crate) fn start(&self) -> Instant {
        self.start
    }

    /// It is for this app.
    pub(crate) fn is_for(&mut self, app: &AppName, counters: &Counters) {
        self.shard = Some(Arc::clone(counters.of(self.ledger.thread)));
        if let Some(record) = &mut self.record {
            record.app = Some(app.clone());
        }
    }

    /// It is for this host.
    pub(crate) fn is_at(&mut self, host: &str) {
        if let Some(record) = &mut self.record {
            record.host.push_str(host);
        }
    }

    /// It is answered with this status.
    pub(crate) fn answered(&mut self, status: u16) {
        self.status = Some(status);
    }

    /// It is answered by the ingress itself, with a page of this id, and why.
    pub(crate) fn paged(&mut self, id: &str, reason: impl FnOnce() -> String) {
        if let Some(record) = &mut self.record {
            record.request_id = Some(id.to_owned());
            record.error = Some(reason());
        }
    }

    /// Part of its response was sent.
    pub(crate) fn sent(&mut self, bytes: usize) {
        self.sent += bytes as u64;
    }

    /// The container broke its response off.
    pub(crate) fn broke(&mut self, error: &dyn std::error::Error) {
        self.upstream_error();
        if let Some(record) = &mut self.record {
            record.error = Some(error.to_string());
        }
    }

    /// The container did not do its part.
    pub(crate) fn upstream_error(&self) {
        self.shard().upstream_error();
    }

    /// Counts its body.
    pub(crate) fn meter(&self) -> Meter {
        Meter(Arc::clone(self.shard()))
    }

    fn shard(&self) -> &Arc<Shard> {
        self.shard.as_ref().unwrap_or(&self.ledger.others)
    }
}

/// Counts the bytes of a request's body.
#[derive(Debug)]
pub(crate) struct Meter(Arc<Shard>);

impl Meter {
    /// So many have arrived.
    pub(crate) fn received(&self, bytes: usize) {
        self.0.received(bytes as u64);
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        let duration = self.start.elapsed();
        self.shard().ended(self.status, self.sent, duration);
        if let Some(mut record) = self.record.take() {
            record.status = self.status;
            record.bytes = self.sent;
            record.duration = duration;
            self.ledger.records.give(*record);
        }
    }
}
