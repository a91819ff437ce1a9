//! Visitors that come without pause while something happens to the app.

use crate::Site;
use crate::site::{Connection, block_on};
use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use std::error::Error as _;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;

/// What visitors saw.
#[derive(Debug, Default)]
pub struct Tally {
    /// Requests that were answered well.
    pub good: usize,
    /// How each of the others ended.
    pub failures: Vec<String>,
}

/// Visitors at work.
pub struct Load {
    stop: Arc<AtomicBool>,
    good: Arc<AtomicUsize>,
    visitors: Vec<JoinHandle<Tally>>,
}

impl Load {
    /// Sends two visitors for each method, path and form: one opens a connection for every
    /// request, one keeps its connection as long as it goes.
    pub fn start(site: &Site, requests: &[(&str, &str, &str)]) -> Self {
        let (stop, good) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(AtomicUsize::new(0)),
        );
        let request = |&(method, path, form): &(&str, &str, &str)| {
            let request = site
                .request(method, path)
                .header("content-type", "application/x-www-form-urlencoded");
            request
                .body(Full::new(Bytes::from(form.to_owned())))
                .unwrap()
        };
        let requests = requests
            .iter()
            .map(request)
            .flat_map(|request| [(request.clone(), false), (request, true)]);
        let visitors = requests.map(|(request, keep)| {
            let visitor = Visitor {
                site: site.clone(),
                request,
                keep,
                stop: Arc::clone(&stop),
                good: Arc::clone(&good),
            };
            std::thread::spawn(move || block_on(visitor.work()))
        });
        let visitors = visitors.collect();
        Self {
            stop,
            good,
            visitors,
        }
    }

    /// Waits until this many more requests were answered well.
    #[track_caller]
    pub fn wait_for(&self, more: usize) {
        let wanted = self.good.load(Ordering::Relaxed) + more;
        crate::wait_for(&format!("{more} more good answers"), 60, || {
            (self.good.load(Ordering::Relaxed) >= wanted).then_some(())
        });
    }

    /// Ends the visits and counts.
    pub fn stop(self) -> Tally {
        self.stop.store(true, Ordering::Relaxed);
        let mut total = Tally::default();
        for visitor in self.visitors {
            let tally = visitor.join().unwrap();
            total.good += tally.good;
            total.failures.extend(tally.failures);
        }
        total
    }
}

struct Visitor {
    site: Site,
    request: Request<Full<Bytes>>,
    keep: bool,
    stop: Arc<AtomicBool>,
    good: Arc<AtomicUsize>,
}

impl Visitor {
    async fn work(self) -> Tally {
        let mut tally = Tally::default();
        let mut kept = None;
        while !self.stop.load(Ordering::Relaxed) {
            match self.visit(&mut kept).await {
                Ok(status) if status < 400 => {
                    tally.good += 1;
                    self.good.fetch_add(1, Ordering::Relaxed);
                }
                Ok(status) => tally.failures.push(format!("{self}: status {status}")),
                Err(error) => {
                    let cause = error.source().map(ToString::to_string).unwrap_or_default();
                    tally.failures.push(format!("{self}: {error} {cause}"));
                }
            }
        }
        tally
    }

    async fn visit(&self, kept: &mut Option<Connection>) -> io::Result<u16> {
        let mut connection = match kept.take() {
            Some(connection) => connection,
            None => Connection::open(self.site.address()).await?,
        };
        let response = connection.send(self.request.clone()).await?;
        let closes = response
            .header("connection")
            .is_some_and(|value| value.eq_ignore_ascii_case("close"));
        if self.keep && !closes {
            *kept = Some(connection);
        }
        Ok(response.status.as_u16())
    }
}

impl std::fmt::Display for Visitor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let connection = if self.keep { "kept" } else { "fresh" };
        write!(
            f,
            "{} {} on a {connection} connection",
            self.request.method(),
            self.request.uri()
        )
    }
}
