//! The process that served before this one, which may go on serving those who were there.

use std::net::TcpListener;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Longest time for what visitors have begun when another host has taken over:
/// connections that are kept idle end sooner, streams and WebSockets may need it.
pub(crate) const LEAVE: Duration = Duration::from_secs(120);

/// The process that served before this one.
#[derive(Debug, Default)]
pub struct Predecessor {
    /// The sockets that it has passed on.
    pub sockets: Vec<TcpListener>,
    /// Cancelled once it has ended, if it goes on serving those who were there before. It
    /// knows the containers that it knew then, and no others.
    pub ended: Option<CancellationToken>,
}

/// Whether a process from before still serves somebody.
pub(crate) struct Takeover(pub(crate) Option<CancellationToken>);

impl Takeover {
    /// Waits until no process from before serves anybody any more. Returns whether that
    /// came to pass in the time that such a process has.
    pub(crate) async fn ended(&self) -> bool {
        let Some(ended) = &self.0 else {
            return true;
        };
        tokio::time::timeout(LEAVE, ended.cancelled()).await.is_ok()
    }
}
