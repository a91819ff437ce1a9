//! HTTP/2 from clients (RFC 9113).
//!
//! h2 reads and writes the frames; each request is a task of its own (`stream`). hyper's
//! server, which does that too, has no interim answers. Here is how long a connection may
//! be idle or lost, a client may keep a response or its socket waiting, and how often it
//! may ask and cancel. What h2 refuses or drops without a word is seen in what passes by
//! (`watch`).

mod date;
mod frames;
mod hpack;
mod paced;
mod pings;
mod stream;
mod streams;
mod watch;

pub(crate) use stream::reason;
pub(crate) use streams::Known;
#[cfg(test)]
pub(crate) use streams::Streams;
pub(crate) use watch::Fault;

use crate::gate::Deadline;
use crate::limits::Limits;
use crate::proxy::Client;
use crate::refusal::Refusal;
use bytes::Bytes;
use h2::server::Connection;
use http::StatusCode;
use paced::Paced;
use pings::Pings;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use stream::Stream;
#[cfg(not(test))]
use streams::Streams;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};
use tokio::time::timeout;
use watch::Refused;

/// Bytes of a request's body that arrive before a container takes them, at most: of
/// one request, and of all requests of a connection.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;

/// Bytes of one response that wait to be sent, at most.
const SEND_BUFFER_BYTES: usize = 64 * 1024;

/// How much more is read from a client whose connection has ended, and for how long.
const LINGER: Duration = Duration::from_secs(2);
const LINGER_READS: usize = 128;

/// How long a client that was told to go may take.
const FAREWELL: Duration = Duration::from_secs(5);

/// Serves the requests of one connection until either side closes it, or, once the
/// thread is to stop, until the requests that are being served have ended.
pub(crate) async fn serve<S>(stream: S, client: Arc<Client>) -> Result<(), Error>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let local = Arc::clone(&client.local);
    let limits = &local.shared.config.limits;
    // Counted until the socket is closed.
    let _admission = Arc::clone(&client.admission);
    let streams = Streams::new(limits.stall_timeout);
    let socket = Paced::new(stream, streams.clone(), limits.stall_timeout);
    let mut connection = timeout(limits.head_timeout, handshake(limits, &socket))
        .await
        .unwrap_or_else(|_| Err(Error::Socket(io::ErrorKind::TimedOut.into())))?;
    let mut pings = connection
        .ping_pong()
        .map(|pings| Pings::new(pings, limits));
    let mut stop = pin!(local.stopping.wait());
    let mut idle = Deadline::default();
    let mut patience = limits.head_timeout;
    let mut leaving = false;
    let mut asked = false;
    let ended = poll_fn(|cx| {
        // As for HTTP/1: most polls are about frames.
        if !leaving && (!asked || local.stopping.is_set()) {
            asked = true;
            if stop.as_mut().poll(cx).is_ready() {
                leaving = true;
                idle.clear();
                patience = FAREWELL;
                connection.graceful_shutdown();
            }
        }
        loop {
            if pings.as_mut().is_some_and(|pings| pings.is_lost(cx)) {
                return Poll::Ready(Err(Error::Lost));
            }
            while let Poll::Ready(accepted) = connection.poll_accept(cx) {
                match accepted {
                    Some(Ok((request, respond))) => {
                        socket.accept(respond.stream_id().into());
                        tokio::spawn(Stream::new(&client, &streams, request, respond));
                    }
                    ended => {
                        note_refused(&client, &socket);
                        // What was to be said at the end, as far as it leaves at once.
                        let _ = socket.poll_release(cx);
                        let ended = ended.map_or(Ok(()), |ended| ended.map(drop));
                        return Poll::Ready(ended.map_err(Error::Broken));
                    }
                }
            }
            note_refused(&client, &socket);
            if let Poll::Ready(Err(error)) = socket.poll_release(cx) {
                return Poll::Ready(Err(Error::Socket(error)));
            }
            if streams.cancelled() > limits.http2_cancelled_requests {
                return Poll::Ready(Err(Error::Cancels));
            }
            if !idle.passed(cx, patience) {
                return Poll::Pending;
            }
            // Whether it was idle all that time is asked only now, not with every frame.
            idle.clear();
            match streams.idle_since() {
                None => patience = limits.idle_timeout,
                Some(_) if leaving => return Poll::Ready(Ok(())),
                Some(since) => {
                    let limit = if streams.none_yet() {
                        limits.head_timeout
                    } else {
                        limits.idle_timeout
                    };
                    patience = limit.saturating_sub(since.elapsed());
                    if patience.is_zero() {
                        leaving = true;
                        patience = FAREWELL;
                        connection.graceful_shutdown();
                    }
                }
            }
        }
    })
    .await;
    drop(connection);
    if let Err(Error::Broken(error)) = &ended
        && error.is_go_away()
        && error.is_library()
    {
        let why = format!("the connection is malformed, and was ended: {error}");
        client.refused_below(StatusCode::BAD_REQUEST, &why);
    }
    if ended.is_ok() {
        // It may be longer than the time allows; then the client has had its chance.
        let _ = timeout(LINGER, linger(socket)).await;
    }
    ended
}

/// Remembers the requests that h2 has refused, of which nobody else hears.
fn note_refused<S>(client: &Client, socket: &Paced<S>) {
    for refused in socket.refused() {
        match refused {
            Refused::Reset => client.refused_below(
                StatusCode::BAD_REQUEST,
                "the request is malformed, and was reset (RFC 9113 section 8.1.1)",
            ),
            Refused::TooLarge => client.refused_below(
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                Refusal::HeadTooLarge.reason(),
            ),
        }
    }
}

async fn handshake<S>(
    limits: &Limits,
    socket: &Paced<S>,
) -> Result<Connection<Paced<S>, Bytes>, Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let handshake = builder(limits).handshake(socket.clone());
    let mut handshake = pin!(handshake);
    poll_fn(|cx| {
        let shaken = handshake.as_mut().poll(cx).map_err(Error::Broken);
        if let Poll::Ready(Err(error)) = socket.poll_release(cx) {
            return Poll::Ready(Err(Error::Socket(error)));
        }
        shaken
    })
    .await
}

/// Reads what a client has sent before it knew of the end: to close a socket with unread
/// bytes resets the connection, and the client would not get to read that what it asked
/// last was not looked at.
async fn linger<S: AsyncRead + AsyncWrite + Unpin>(mut socket: Paced<S>) {
    let mut part = [0; 4096];
    for _ in 0..LINGER_READS {
        if !matches!(socket.read(&mut part).await, Ok(1..)) {
            return;
        }
    }
}

fn builder(limits: &Limits) -> h2::server::Builder {
    let mut builder = h2::server::Builder::new();
    builder
        .max_concurrent_streams(at_most_u32(limits.http2_streams))
        // What is larger still gets an answer without a word from below.
        .max_header_list_size(at_most_u32(limits.head_bytes.saturating_mul(2)))
        .max_pending_accept_reset_streams(limits.http2_pending_resets)
        .max_local_error_reset_streams(Some(limits.http2_errors))
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buffer_size(SEND_BUFFER_BYTES);
    builder
}

fn at_most_u32(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// Why a connection ended before its time.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("it broke")]
    Broken(#[source] h2::Error),
    #[error("the client answers no pings")]
    Lost,
    #[error("the client takes nothing")]
    Socket(#[source] io::Error),
    #[error("the client cancels too many requests")]
    Cancels,
}
