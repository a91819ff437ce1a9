//! The ingress: takes HTTP from the world and hands it to containers.
//!
//! It is given routes and serves them; it knows nothing of engines, stores or
//! plugins, and could run alone. Each of its threads has its own runtime, listening
//! sockets and kept connections to containers, so that serving a request touches
//! nothing that threads share but the routing table, which is read without a lock,
//! and one counter.
//!
//! ```text
//! socket ─tls→ ─gate→ hyper's server ─proxy→ table ─flight→ hyper's client → container
//! ```
//!
//! * `tls` serves the certificate for the name a client asks for, if there is one;
//! * `gate` lets through only requests whose framing has one reading (RFC 9112), and
//!   measures a client's slowness;
//! * `proxy` finds the backend, counts the request there, rewrites its head;
//! * `upstream` connects, keeps and reuses connections to containers;
//! * `page` is what the ingress answers itself.

use doprax_core::name::AppName;
use doprax_core::route::Routes;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

pub mod acme;
mod backend;
mod body;
mod certificates;
mod config;
mod connection;
mod error;
mod fields;
mod gate;
mod host;
mod http2;
mod limiter;
mod listen;
mod local_ca;
mod page;
mod proxy;
mod read_first;
mod redirect;
mod table;
mod tls;
mod tunnel;
mod upstream;
mod wire;
mod worker;

pub use certificates::Certificates;
pub use config::{Config, Limits};
pub use error::Error;
pub use local_ca::LocalCa;

use limiter::Limiter;
use tls::Tls;
use worker::{Listener, Shared, Worker};

/// A running ingress.
#[derive(Debug)]
pub struct Ingress {
    http: Vec<SocketAddr>,
    https: Vec<SocketAddr>,
    certificates: Arc<Certificates>,
    table: Arc<table::Table>,
    workers: Vec<Worker>,
}

impl Ingress {
    /// Listens on every address and serves the routes that are published from then
    /// on. Needs no runtime around it; its threads have their own.
    pub fn start(config: Config) -> Result<Self, Error> {
        if config.http.is_empty() && config.https.is_empty() {
            return Err(Error::NoAddress);
        }
        let certificates = Arc::new(Certificates::default());
        let tls = Tls::new(Arc::clone(&certificates)).map_err(|source| Error::Tls { source })?;
        let tls = Arc::new(tls);
        let mut listeners: Vec<Vec<Listener>> = Vec::new();
        listeners.resize_with(config.threads.get(), Vec::new);
        let mut listen = |addresses: &[SocketAddr], tls: Option<&Arc<Tls>>| {
            let mut bound = Vec::new();
            for address in addresses {
                let (address, sockets) = listen::listen(*address, listeners.len())?;
                bound.push(address);
                for (thread, socket) in listeners.iter_mut().zip(sockets) {
                    let tls = tls.map(Arc::clone);
                    thread.push(Listener { socket, tls });
                }
            }
            Ok(bound)
        };
        let http = listen(&config.http, None)?;
        let https = listen(&config.https, Some(&tls))?;
        let table = Arc::new(table::Table::default());
        let bound = https.first().map(SocketAddr::port);
        let shared = Arc::new(Shared {
            table: Arc::clone(&table),
            certificates: Arc::clone(&certificates),
            https_port: bound.map(|bound| config.public_https_port.unwrap_or(bound)),
            limiter: Arc::new(Limiter::new(&config)),
            config,
        });
        let workers = listeners
            .into_iter()
            .enumerate()
            .map(|(number, listeners)| Worker::start(number, listeners, Arc::clone(&shared)))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            http,
            https,
            certificates,
            table,
            workers,
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

    /// The certificates that are served; whoever obtains some puts them here.
    pub fn certificates(&self) -> &Arc<Certificates> {
        &self.certificates
    }

    /// Replaces every route. Requests that were routed before go on to where they
    /// were sent.
    pub fn publish(&self, routes: Routes) {
        self.table.publish(routes);
    }

    /// Sees to it that no request which begins after this call uses a connection to
    /// the app's container that was opened before it. For as long as `settling`, the
    /// container may close idle connections at any moment: a request that must not be
    /// sent twice has a connection of its own.
    pub fn retire_connections(&self, app: &AppName, settling: Duration) {
        self.table.renew(app, Some(Instant::now() + settling));
    }

    /// Number of the app's requests, tunnels included, that have not ended.
    pub fn in_flight(&self, app: &AppName) -> usize {
        self.table
            .backends(app)
            .iter()
            .map(|backend| backend.in_flight())
            .sum()
    }

    /// Waits until every request of the app that began before this call has ended, at
    /// most for `deadline`. Returns the number of those that have not.
    ///
    /// Requests that begin later are not waited for: to let a container go, publish
    /// the new routes first.
    pub async fn drain(&self, app: &AppName, deadline: Duration) -> usize {
        let replaced = self.table.renew(app, None);
        let ended = async {
            for backend in &replaced {
                backend.ended().await;
            }
        };
        match tokio::time::timeout(deadline, ended).await {
            Ok(()) => 0,
            Err(_) => replaced.iter().map(|backend| backend.in_flight()).sum(),
        }
    }

    /// Accepts no more connections, closes idle ones, lets requests end for at most
    /// `grace`, then closes what is left. Returns the number of connections that
    /// were cut.
    pub async fn stop(&self, grace: Duration) -> usize {
        for worker in &self.workers {
            worker.stop(grace);
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
            worker.stop(Duration::ZERO);
        }
    }
}
