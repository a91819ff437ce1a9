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

    #[test]
    fn the_latest_of_apps_are_kept_and_the_oldest_go_first() {
        let mut latest = Latest::default();
        for millis in 0..=KEPT as u64 {
            latest.add(record(Some("shop"), millis));
        }
        let kept = latest.read(None);
        assert_eq!(kept.len(), KEPT);
        assert_eq!(kept[0].path, "1");
        assert_eq!(kept[KEPT - 1].path, KEPT.to_string());
    }

    #[tokio::test]
    async fn a_reader_of_one_app_gets_the_last_of_its_records_and_then_those_that_come() {
        let (sender, records) = mpsc::channel(64);
        let access = AccessRecords::of(records);
        let send = async |app: Option<&str>, millis| {
            let record = Arc::into_inner(record(app, millis)).unwrap();
            sender.send(record).await.unwrap();
        };
        for (millis, app) in [Some("shop"), Some("blog"), None, Some("shop"), Some("shop")]
            .into_iter()
            .enumerate()
        {
            send(app, millis as u64).await;
        }
        let shop = AppName::new("shop").unwrap();
        let read = async |app, tail| {
            let found = access.records(app, tail, false).await;
            let paths = found.map(|record| record.path.clone());
            paths.collect::<String>().await
        };
        assert_eq!(read(Some(&shop), None).await, "034");
        assert_eq!(read(Some(&shop), Some(2)).await, "34");
        assert_eq!(read(Some(&shop), Some(3)).await, "034");
        assert_eq!(read(Some(&shop), Some(9)).await, "034");
        assert_eq!(read(Some(&shop), Some(0)).await, "");
        assert_eq!(read(None, None).await, "01234");

        let followed = access.records(Some(&shop), Some(1), true).await;
        for (app, millis) in [(Some("blog"), 5), (None, 6), (Some("shop"), 7)] {
            send(app, millis).await;
        }
        let seen = followed.take(2).map(|record| record.path.clone());
        assert_eq!(seen.collect::<String>().await, "47");
    }
}
