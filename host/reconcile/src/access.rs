//! The access log: the latest requests, kept in memory, and those that follow.

use doprax_core::name::AppName;
use doprax_ingress::AccessRecord;
use futures_util::stream::{self, BoxStream, StreamExt as _};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio_stream::wrappers::BroadcastStream;

/// Requests of all apps that are kept: some hundred bytes each, and never above three
/// thousand.
const KEPT: usize = 20_000;

/// And of those that are for no app.
const OTHERS_KEPT: usize = 2_000;

/// Requests that a reader may be behind before it misses some.
const BEHIND: usize = 4_096;

/// How long records are left to gather: to wake somebody for each would cost a busy
/// ingress a third of a request's time.
const GATHERING: Duration = Duration::from_millis(20);

/// The latest requests, and whoever wants to hear of more.
#[derive(Debug)]
pub(crate) struct AccessRecords {
    latest: Mutex<Latest>,
    live: broadcast::Sender<Arc<AccessRecord>>,
    /// Those who want to see all there is, and are told when they do.
    readers: mpsc::UnboundedSender<oneshot::Sender<()>>,
}

/// Oldest first.
#[derive(Debug, Default)]
struct Latest {
    of_apps: VecDeque<Arc<AccessRecord>>,
    /// Of names that nobody has, and what was refused as it was. Whoever scans the
    /// internet must not push the others out.
    others: VecDeque<Arc<AccessRecord>>,
}

impl Latest {
    fn add(&mut self, record: Arc<AccessRecord>) {
        let (kept, most) = match record.app {
            Some(_) => (&mut self.of_apps, KEPT),
            None => (&mut self.others, OTHERS_KEPT),
        };
        if kept.len() == most {
            kept.pop_front();
        }
        kept.push_back(record);
    }

    /// Those for this app, or all.
    fn read(&self, app: Option<&AppName>) -> Vec<Arc<AccessRecord>> {
        if app.is_some() {
            let of_app = self.of_apps.iter().filter(|record| is_for(record, app));
            return of_app.cloned().collect();
        }
        let mut all: Vec<_> = self.of_apps.iter().chain(&self.others).cloned().collect();
        all.sort_by_key(|record| record.time + record.duration);
        all
    }
}

fn is_for(record: &AccessRecord, app: Option<&AppName>) -> bool {
    app.is_none() || record.app.as_ref() == app
}

impl AccessRecords {
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

    /// The latest requests for an app, or else all, those for no app among them; `tail` of
    /// them at most, followed by those that come until the stream is dropped.
    pub(crate) async fn records(
        &self,
        app: Option<&AppName>,
        tail: Option<usize>,
        follow: bool,
    ) -> BoxStream<'static, Arc<AccessRecord>> {
        self.caught_up().await;
        let (mut latest, live) = self.read(app);
        if let Some(tail) = tail {
            latest.drain(..latest.len().saturating_sub(tail));
        }
        let latest = stream::iter(latest);
        if !follow {
            return latest.boxed();
        }
        let app = app.cloned();
        let live = BroadcastStream::new(live).filter_map(move |record| {
            // Whoever is too slow misses what there was no room for.
            let found = record.ok().filter(|record| is_for(record, app.as_ref()));
            async move { found }
        });
        latest.chain(live).boxed()
    }

    fn add(&self, record: AccessRecord) {
        let record = Arc::new(record);
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        latest.add(Arc::clone(&record));
        // Nobody may be listening.
        let _ = self.live.send(record);
    }

    /// The latest requests for an app, or for all and none, oldest first, and a receiver
    /// of what follows.
    fn read(
        &self,
        app: Option<&AppName>,
    ) -> (
        Vec<Arc<AccessRecord>>,
        broadcast::Receiver<Arc<AccessRecord>>,
    ) {
        let latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        // Under the lock, so that nothing is missed or seen twice.
        (latest.read(app), self.live.subscribe())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::SystemTime;

    fn record(app: Option<&str>, millis: u64) -> Arc<AccessRecord> {
        Arc::new(AccessRecord {
            time: SystemTime::UNIX_EPOCH + Duration::from_millis(millis),
            app: app.map(|name| AppName::new(name).unwrap()),
            host: String::new(),
            method: "GET".to_owned(),
            path: millis.to_string(),
            protocol: "HTTP/1.1",
            secure: false,
            status: Some(200),
            bytes: 0,
            duration: Duration::ZERO,
            client: [192, 0, 2, 1].into(),
            request_id: None,
            error: None,
        })
    }

    #[test]
    fn what_is_for_no_app_pushes_nothing_out() {
        let mut latest = Latest::default();
        latest.add(record(Some("shop"), 0));
        for millis in 1..=KEPT as u64 {
            latest.add(record(None, millis));
        }
        latest.add(record(Some("blog"), 5_000_000));
        let paths = |app: Option<&str>| {
            let app = app.map(|name| AppName::new(name).unwrap());
            let found = latest.read(app.as_ref());
            found.iter().map(|r| r.path.clone()).collect::<Vec<_>>()
        };
        assert_eq!(paths(Some("shop")), ["0"]);
        let all = paths(None);
        assert_eq!(all.len(), OTHERS_KEPT + 2);
        assert_eq!(
            (all[0].as_str(), all[all.len() - 1].as_str()),
            ("0", "5000000")
        );
    }
}
