//! The ingress: takes HTTP from the world and hands it to containers.
//!
//! It is given routes and serves them; it knows nothing of engines, stores or
//! plugins, and could run alone. Each of its threads has its own runtime, listening
//! sockets and kept connections to containers, so that serving a request touches
//! nothing that threads share but the routing table, which is read without a lock,
//! and one counter.
//!
//! ```text
//! socket ─tls→ ─gate→ hyper's server ─proxy→ table ─flight→ upstream → container
//! ```
//!
//! * `tls` serves the certificate for the name a client asks for, if there is one;
//! * `gate` lets through only requests whose framing has one reading (RFC 9112), and
//!   measures a client's slowness;
//! * `certificates` is what it asks for the certificate of a name;
//! * `proxy` finds the backend, counts the request there, rewrites its head;
//! * `upstream` connects, keeps and reuses connections to containers and speaks HTTP/1.1
//!   there, `multiplexed` HTTP/2, which gRPC needs, both inside TLS where a container speaks
//!   nothing else (`container_tls`);
//! * `interim` is what a container says before its answer, on its way to the client;
//! * `account` remembers a request until it has ended, for `metrics` and `access`;
//! * `page` is what the ingress answers itself;
//! * `local` is what connections share: all that there are, and those of one thread. What
//!   they are made of does not know it.

use doprax_core::name::AppName;
use doprax_core::route::Routes;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

mod access;
mod account;
mod backend;
mod body;
mod certificates;
mod config;
mod connection;
mod container_tls;
mod error;
mod fields;
mod gate;
mod host;
mod http2;
mod interim;
mod limiter;
pub mod limits;
mod listen;
mod local;
mod metrics;
mod multiplexed;
mod page;
mod prometheus;
mod proxy;
mod proxy_header;
mod redirect;
mod refusal;
mod stopping;
mod table;
mod tls;
mod token;
mod tunnel;
mod upstream;
mod wire;
mod worker;

pub use access::{AccessLog, AccessRecord};
pub use certificates::Certificates;
pub use config::Config;
pub use container_tls::ContainerTls;
pub use error::Error;
pub use limits::Limits;
pub use metrics::{BUCKETS, Histogram, Metrics, REFUSALS, STATUSES, Traffic};
pub use prometheus::CONTENT_TYPE as PROMETHEUS_CONTENT_TYPE;
pub use rustls::sign::CertifiedKey;

use access::Records;
use certificates::NoCertificates;
use limiter::Limiter;
use local::Shared;
use metrics::Counters;
use table::Table;
use tls::Tls;
use worker::{Ending, Listener, Worker};

/// What an ingress begins with.
#[derive(Debug)]
pub struct Start {
    /// Sockets that another process has passed on: those that listen on an address of
    /// the configuration are used, the others are closed.
    pub sockets: Vec<TcpListener>,
    /// The first routes.
    pub routes: Routes,
    /// What is asked for certificates.
    pub certificates: Arc<dyn Certificates>,
}

impl Default for Start {
    /// No sockets, no routes, no certificates.
    fn default() -> Self {
        Self {
            sockets: Vec::new(),
            routes: Routes::default(),
            certificates: Arc::new(NoCertificates),
        }
    }
}

/// For how long a drain waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DrainLimits {
    /// For requests.
    pub requests: Duration,
    /// For connections that were upgraded, such as WebSockets.
    pub upgraded: Duration,
}

/// What had not ended when a drain did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Undrained {
    /// Requests.
    pub requests: usize,
    /// Connections that were upgraded.
    pub upgraded: usize,
}

/// A running ingress.
#[derive(Debug)]
pub struct Ingress {
    http: Vec<SocketAddr>,
    https: Vec<SocketAddr>,
    shared: Arc<Shared>,
    workers: Vec<Worker>,
    /// Copies of the listening sockets, to be passed on; none once it stops: they would
    /// take connections that nobody serves.
    sockets: Mutex<Vec<TcpListener>>,
}

impl Ingress {
    /// Listens on every address and serves the routes that are published from then
    /// on. Needs no runtime around it; its threads have their own.
    pub fn start(config: Config) -> Result<Self, Error> {
        Self::start_with(config, Start::default())
    }

    /// The same with what there is to begin with: the first visitor finds it.
    pub fn start_with(config: Config, start: Start) -> Result<Self, Error> {
        if config.http.is_empty() && config.https.is_empty() {
            return Err(Error::NoAddress);
        }
        let Start {
            sockets: mut inherited,
            routes,
            certificates,
        } = start;
        let tls = Tls::new(Arc::clone(&certificates)).map_err(|source| Error::Tls { source })?;
        let tls = Arc::new(tls);
        let mut listeners: Vec<Vec<Listener>> = Vec::new();
        listeners.resize_with(config.threads.get(), Vec::new);
        let mut copies = Vec::new();
        let mut listen = |addresses: &[SocketAddr], tls: Option<&Arc<Tls>>| {
            let mut bound = Vec::new();
            for address in addresses {
                let threads = listeners.len();
                let (address, sockets) = listen::take_or_listen(&mut inherited, *address, threads)?;
                bound.push(address);
                for (number, socket) in sockets.into_iter().enumerate() {
                    let copy = socket.try_clone();
                    copies.push(copy.map_err(|source| Error::Listen { address, source })?);
                    let tls = tls.map(Arc::clone);
                    listeners[number % threads].push(Listener { socket, tls });
                }
            }
            Ok(bound)
        };
        let http = listen(&config.http, None)?;
        let https = listen(&config.https, Some(&tls))?;
        let bound = https.first().map(SocketAddr::port);
        let shared = Arc::new(Shared {
            table: Table::new(config.threads.get()),
            certificates,
            https_port: bound.map(|bound| config.public_https_port.unwrap_or(bound)),
            limiter: Arc::new(Limiter::new(&config)),
            records: Arc::new(Records::new(config.access_log.clone())),
            others: Arc::new(Counters::new(config.threads.get())),
            container_tls: ContainerTls::new().map_err(|source| Error::Tls { source })?,
            config,
        });
        shared.table.publish(routes);
        let workers = listeners
            .into_iter()
            .enumerate()
            .map(|(number, listeners)| Worker::start(number, listeners, Arc::clone(&shared)))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            http,
            https,
            shared,
            workers,
            sockets: Mutex::new(copies),
        })
    }

    /// The addresses it listens on for HTTP, in the order of the configuration, with
    /// the ports they got.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.http
    }

    /// The same for HTTPS.
    pub fn https_addresses(&self) -> &[SocketAddr] {
        &self.https
    }

    /// How TLS is spoken with containers that speak nothing else.
    pub fn container_tls(&self) -> &ContainerTls {
        &self.shared.container_tls
    }

    /// Replaces every route. Requests that were routed before go on to where they
    /// were sent.
    pub fn publish(&self, routes: Routes) {
        self.shared.table.publish(routes);
    }

    /// Replaces the routes of one app; those of others stay as they are, but for host names
    /// that are this app's from now on.
    pub fn publish_app(&self, app: &AppName, routes: Routes) {
        self.shared.table.publish_app(app, routes);
    }

    /// Sees to it that no request which begins after this call uses a connection to
    /// the app's container that was opened before it. For as long as `settling`, the
    /// container may close idle connections at any moment: a request that must not be
    /// sent twice has a connection of its own.
    pub fn retire_connections(&self, app: &AppName, settling: Duration) {
        self.shared
            .table
            .renew(app, Some(Instant::now() + settling));
    }

    /// Number of the app's requests that have not ended, upgraded connections included.
    pub fn in_flight(&self, app: &AppName) -> usize {
        self.shared
            .table
            .backends(app)
            .iter()
            .map(|backend| backend.in_flight())
            .sum()
    }

    /// What was counted since the start.
    pub fn metrics(&self) -> Metrics {
        Metrics {
            apps: self.shared.table.traffic(),
            others: self.shared.others.read(),
            connections: self.shared.limiter.open(),
            refused_connections: self.shared.limiter.refused(),
            dropped_records: self.shared.records.dropped(),
        }
    }

    /// Waits until every request of the app that began before this call has ended, and
    /// every connection that was upgraded before it (a WebSocket is one), each for at most
    /// as long as `limits` say from now. Returns the numbers of those that have not ended.
    ///
    /// Requests that begin later are not waited for: to let a container go, publish
    /// the new routes first.
    pub async fn drain(&self, app: &AppName, limits: DrainLimits) -> Undrained {
        let replaced = self.shared.table.renew(app, None);
        let requests = async {
            for backend in &replaced {
                backend.ended().await;
            }
        };
        let upgraded = async {
            for backend in &replaced {
                backend.upgraded_ended().await;
            }
        };
        let begin = Instant::now();
        // Those that were upgraded meanwhile are waited for as well.
        let _ = timeout_at(begin + limits.requests, requests).await;
        let _ = timeout_at(begin + limits.upgraded, upgraded).await;
        Undrained {
            requests: replaced.iter().map(|backend| backend.requests()).sum(),
            upgraded: replaced.iter().map(|backend| backend.upgraded()).sum(),
        }
    }

    /// Accepts no more connections, closes idle ones, lets requests end for at most
    /// `grace`, then closes what is left. Returns the number of connections that
    /// were cut.
    pub async fn stop(&self, grace: Duration) -> usize {
        self.end(Ending {
            grace,
            patient: false,
        })
        .await
    }

    /// Copies of the listening sockets, for another process that goes on with them; see
    /// [`Self::leave`].
    pub fn sockets(&self) -> io::Result<Vec<TcpListener>> {
        self.copies().iter().map(TcpListener::try_clone).collect()
    }

    /// Leaves the listening sockets to another process that has them: accepts no more
    /// connections, and lets those that there are go on to the end of their next
    /// request, for at most `grace`. Returns the number of connections that were cut.
    pub async fn leave(&self, grace: Duration) -> usize {
        self.end(Ending {
            grace,
            patient: true,
        })
        .await
    }

    fn copies(&self) -> MutexGuard<'_, Vec<TcpListener>> {
        self.sockets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn end(&self, ending: Ending) -> usize {
        self.copies().clear();
        for worker in &self.workers {
            worker.stop(ending);
        }
        let mut cut = 0;
        for worker in &self.workers {
            cut += worker.stopped().await;
        }
        cut
    }
}

impl Drop for Ingress {
    /// Stops without grace.
    fn drop(&mut self) {
        for worker in &self.workers {
            worker.stop(Ending {
                grace: Duration::ZERO,
                patient: false,
            });
        }
    }
}
