//! What a host is started with beside its configuration: what it reaches outside. A test
//! gives it others. What probes is not among them: it dials what the engine says, and an
//! engine in memory can listen.

use crate::{Clock, Config};
use doprax_dns::Answer;
use doprax_engine::{Docker, Engine};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use std::net::SocketAddr;
use std::sync::Arc;

/// Connects to the engine of the host with an identifier.
pub type Connect = Box<dyn FnOnce(&Config, String) -> Arc<dyn Engine> + Send>;

/// Says where a host name leads, by the word of its own servers, which a server may be given
/// to find; see [`doprax_dns::resolve`].
pub type Resolve = Arc<
    dyn Fn(String, Option<SocketAddr>) -> BoxFuture<'static, Result<Answer, doprax_dns::Error>>
        + Send
        + Sync,
>;

/// What a host reaches outside. The default is the real thing.
pub struct Parts {
    /// Connects to its engine.
    pub connect: Connect,
    /// By what it waits.
    pub clock: Clock,
    /// Says where the domains of apps lead.
    pub resolve: Resolve,
}

impl Default for Parts {
    /// Docker at the address of the configuration, the machine's time, and DNS.
    fn default() -> Self {
        Self {
            connect: Box::new(docker),
            clock: Clock::default(),
            resolve: Arc::new(|name, server| {
                async move { doprax_dns::resolve(&name, server).await }.boxed()
            }),
        }
    }
}

fn docker(config: &Config, host: String) -> Arc<dyn Engine> {
    Arc::new(Docker::connect(&config.engine, config.instance.clone()).of_host(host))
}
