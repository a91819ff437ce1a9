//! The ingress: takes HTTP from the world and hands it to containers.
//!
//! It is given routes and serves them; it knows nothing of engines, stores or
//! plugins, and could run alone. Each of its threads has its own runtime, listening
//! sockets and kept connections to containers, so that serving a request touches
//! nothing that threads share but the routing table, which is read without a lock,
//! and one counter.
//!
//! ```text
//! socket ─gate→ hyper's server ─proxy→ table ─flight→ hyper's client → container
//! ```
//!
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
mod limiter;
mod listen;
mod local_ca;
mod page;
mod proxy;
mod read_first;
mod table;
mod tunnel;
mod upstream;
mod worker;

pub use certificates::Certificates;
pub use config::{Config, Limits};
pub use error::Error;
pub use local_ca::LocalCa;

use worker::Worker;

/// A running ingress.
#[derive(Debug)]
pub struct Ingress {
    addresses: Vec<SocketAddr>,
    table: Arc<table::Table>,
    workers: Vec<Worker>,
}

impl Ingress {
    /// Listens on every address and serves the routes that are published from then
    /// on. Needs no runtime around it; its threads have their own.
    pub fn start(config: Config) -> Result<Self, Error> {
        if config.listen.is_empty() {
            return Err(Error::NoAddress);
        }
        let threads = config.threads.get();
        let mut addresses = Vec::new();
        let mut listeners: Vec<Vec<std::net::TcpListener>> =
            std::iter::repeat_with(Vec::new).take(threads).collect();
        for address in &config.listen {
            let (bound, sockets) = listen::listen(*address, threads)?;
            addresses.push(bound);
            for (thread, socket) in listeners.iter_mut().zip(sockets) {
                thread.push(socket);
            }
        }
        let table = Arc::new(table::Table::default());
        let shared = Arc::new(worker::Shared::new(Arc::clone(&table), config));
        let workers = listeners
            .into_iter()
            .enumerate()
            .map(|(number, listeners)| Worker::start(number, listeners, Arc::clone(&shared)))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            addresses,
            table,
            workers,
        })
    }

    /// The addresses it listens on, in the order of the configuration, with the
    /// ports they got.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Replaces every route. Requests that were routed before go on to where they
    /// were sent.
    pub fn publish(&self, routes: Routes) {
        self.table.publish(routes);
    }

    /// Sees to it that no request which begins after this call uses a connection to
    /// the app's container that was opened before it.
    pub fn retire_connections(&self, app: &AppName) {
        self.table.renew(app, true);
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
        let replaced = self.table.renew(app, false);
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
