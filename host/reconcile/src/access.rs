//! The access log: the latest requests, kept in memory, and those that follow.

use crate::certificate::Certificates;
use crate::{Error, Host};
use doprax_core::name::AppName;
use doprax_ingress::AccessRecord;
use futures_util::stream::{self, BoxStream, StreamExt as _};
use std::collections::VecDeque;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, UNIX_EPOCH};
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio_stream::wrappers::BroadcastStream;

/// Requests of all apps that are kept: some hundred bytes each, and never above three
/// thousand.
const KEPT: usize = 20_000;

/// Requests that a reader may be behind before it misses some.
const BEHIND: usize = 4_096;

/// How long records are left to gather: to wake somebody for each would cost a busy
/// ingress a third of a request's time.
const GATHERING: Duration = Duration::from_millis(20);

/// The latest requests, and whoever wants to hear of more.
#[derive(Debug)]
pub(crate) struct Access {
    latest: Mutex<VecDeque<Arc<AccessRecord>>>,
    live: broadcast::Sender<Arc<AccessRecord>>,
    /// Those who want to see all there is, and are told when they do.
    readers: mpsc::UnboundedSender<oneshot::Sender<()>>,
}

impl Access {
    /// Keeps what comes by the channel, until its sender is gone.
    pub(crate) fn of(records: mpsc::Receiver<AccessRecord>) -> Arc<Self> {
        let (readers, waiting) = mpsc::unbounded_channel();
        let access = Arc::new(Self {
            latest: Mutex::default(),
            live: broadcast::Sender::new(BEHIND),
            readers,
        });
        tokio::spawn(Arc::clone(&access).keep(records, waiting));
        access
    }

    async fn keep(
        self: Arc<Self>,
        mut records: mpsc::Receiver<AccessRecord>,
        mut readers: mpsc::UnboundedReceiver<oneshot::Sender<()>>,
    ) {
        loop {
            let reader = tokio::select! {
                record = records.recv() => {
                    let Some(record) = record else { return };
                    self.add(record);
                    tokio::select! {
                        () = tokio::time::sleep(GATHERING) => None,
                        reader = readers.recv() => reader,
                    }
                }
                reader = readers.recv() => reader,
            };
            while let Ok(record) = records.try_recv() {
                self.add(record);
            }
            if let Some(reader) = reader {
                // It may not wait any more.
                let _ = reader.send(());
            }
        }
    }

    /// Waits until every request is kept that has ended before this call.
    async fn caught_up(&self) {
        let (reader, told) = oneshot::channel();
        if self.readers.send(reader).is_ok() {
            // An error means that nothing is kept any more.
            let _ = told.await;
        }
    }

    fn add(&self, record: AccessRecord) {
        // What is no app's has no reader, and must not push others out.
        if record.app.is_none() {
            return;
        }
        let record = Arc::new(record);
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        if latest.len() == KEPT {
            latest.pop_front();
        }
        latest.push_back(Arc::clone(&record));
        // Nobody may be listening.
        let _ = self.live.send(record);
    }

    /// The latest requests for an app, oldest first, and a receiver of what follows.
    fn read(
        &self,
        app: &AppName,
    ) -> (
        Vec<Arc<AccessRecord>>,
        broadcast::Receiver<Arc<AccessRecord>>,
    ) {
        let latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        let of_app = latest
            .iter()
            .filter(|record| record.app.as_ref() == Some(app));
        // Under the lock, so that nothing is missed or seen twice.
        (of_app.cloned().collect(), self.live.subscribe())
    }
}

impl Host {
    /// The latest requests for an app, `tail` of them at most; followed by those that
    /// come until the stream is dropped.
    pub async fn access(
        &self,
        app: &AppName,
        tail: Option<usize>,
        follow: bool,
    ) -> Result<BoxStream<'static, Arc<AccessRecord>>, Error> {
        self.record(app).await?;
        self.access_kept().caught_up().await;
        let (mut latest, live) = self.access_kept().read(app);
        if let Some(tail) = tail {
            latest.drain(..latest.len().saturating_sub(tail));
        }
        let latest = stream::iter(latest);
        if !follow {
            return Ok(latest.boxed());
        }
        let app = app.clone();
        let live = BroadcastStream::new(live).filter_map(move |record| {
            // Whoever is too slow misses what there was no room for.
            let found = record
                .ok()
                .filter(|record| record.app.as_ref() == Some(&app));
            async move { found }
        });
        Ok(latest.chain(live).boxed())
    }

    /// What is counted, as Prometheus reads it (text format 0.0.4).
    pub fn metrics(&self) -> String {
        let mut text = self.ingress().metrics().to_prometheus();
        if let Some(certificates) = self.certificates_kept() {
            expiries(&mut text, certificates);
        }
        text
    }
}

fn expiries(text: &mut String, certificates: &Certificates) {
    let name = "doprax_certificate_expiry_timestamp_seconds";
    // Writing to a string does not fail.
    let _ = writeln!(text, "# HELP {name} Until when a certificate is valid.");
    let _ = writeln!(text, "# TYPE {name} gauge");
    for status in certificates.status() {
        let end = status
            .not_after
            .and_then(|end| end.duration_since(UNIX_EPOCH).ok());
        if let Some(end) = end {
            // Host names need no escapes.
            let _ = writeln!(
                text,
                "{name}{{names=\"{}\"}} {}",
                status.names,
                end.as_secs()
            );
        }
    }
}
