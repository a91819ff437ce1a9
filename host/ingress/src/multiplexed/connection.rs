//! One connection, from the request that makes it.

use crate::upstream::{Failure, Stream, Upstream, dial};
use bytes::Bytes;
use h2::client::{self, SendRequest};
use std::net::SocketAddr;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::sync::OnceCell;
use tokio::time::timeout;

/// Requests that share one connection, at most; the container may allow fewer.
pub(super) const REQUESTS: usize = 100;

/// Bytes of a response that arrive before its client takes them, at most. The
/// connection has room for that many of every request, so that none waits for the
/// client of another.
const STREAM_WINDOW: u32 = 64 * 1024;
const CONNECTION_WINDOW: u32 = STREAM_WINDOW * REQUESTS as u32;

/// Bytes of one request that wait to be sent, at most.
const SEND_BUFFER_BYTES: usize = 64 * 1024;

/// Bytes of the fields of a response, at most.
const HEAD_BYTES: u32 = 16 * 1024;

/// A connection, made by the first request that needs it.
#[derive(Debug)]
pub(super) struct Connection {
    sender: OnceCell<SendRequest<Bytes>>,
    /// How many requests the container allowed before.
    assumed: usize,
}

impl Connection {
    /// One that is not made yet.
    pub(super) fn new(assumed: usize) -> Self {
        Self {
            sender: OnceCell::new(),
            assumed,
        }
    }

    /// How many requests may share it. The container says so before it answers the first
    /// (RFC 9113 section 3.4); until then, as many as it allowed before.
    pub(super) fn allowed(&self) -> usize {
        let sender = self.sender.get();
        let allowed = sender.map_or(self.assumed, SendRequest::current_max_send_streams);
        allowed.min(REQUESTS)
    }

    /// Whether it takes no more requests.
    pub(super) fn is_closed(&self) -> bool {
        let mut nobody = Context::from_waker(Waker::noop());
        let sender = self.sender.get();
        let ready = sender.map(|sender| sender.clone().poll_ready(&mut nobody));
        matches!(ready, Some(Poll::Ready(Err(_))))
    }

    /// Makes the connection, or waits for the request that does.
    pub(super) async fn sender(
        &self,
        upstream: &Upstream,
        address: SocketAddr,
        tls: bool,
    ) -> Result<&SendRequest<Bytes>, Failure> {
        let limit = upstream.connect_timeout;
        let open = || self.open(upstream, address, tls, limit);
        let made = self.sender.get_or_try_init(open);
        let made = timeout(limit, made).await;
        made.unwrap_or(Err(Failure::ConnectTimeout))
    }

    async fn open(
        &self,
        upstream: &Upstream,
        address: SocketAddr,
        tls: bool,
        limit: Duration,
    ) -> Result<SendRequest<Bytes>, Failure> {
        let stream = dial(address, limit).await?;
        let stream = if tls {
            let agreed = upstream.tls.http2(stream).await;
            Stream::Tls(Box::new(agreed.map_err(Failure::Handshake)?))
        } else {
            Stream::Plain(stream)
        };
        let (sender, connection) = client::Builder::new()
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .initial_max_send_streams(self.assumed)
            .max_send_buffer_size(SEND_BUFFER_BYTES)
            .max_header_list_size(HEAD_BYTES)
            .enable_push(false)
            .handshake(stream)
            .await
            .map_err(|error| Failure::Broken(error.into()))?;
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%address, %error, "a connection to a container broke");
            }
        });
        Ok(sender)
    }
}
