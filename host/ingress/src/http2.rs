//! HTTP/2 from clients (RFC 9113).
//!
//! hyper reads the frames. Here is what it leaves to its user: how long a connection
//! may be idle, a client may keep a response or its socket waiting, and how often it
//! may ask and cancel.

mod paced;
mod streams;

use crate::body::ResponseBody;
use crate::gate::Deadline;
use crate::limits::Limits;
use crate::proxy::Client;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use paced::Paced;
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use streams::Streams;
pub(crate) use streams::{note_given, note_waiting};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};

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
    let service = {
        let streams = streams.clone();
        service_fn(move |request: Request<Incoming>| {
            let client = Arc::clone(&client);
            let asked = streams.asked();
            async move {
                let response = client.answer(request).await;
                asked.answered();
                Ok::<_, Infallible>(response)
            }
        })
    };
    let connection = builder(limits, streams.clone());
    let connection =
        connection.serve_connection::<_, _, ResponseBody>(TokioIo::new(socket.clone()), service);
    let mut connection = Box::pin(connection);
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
                connection.as_mut().graceful_shutdown();
            }
        }
        loop {
            if let Poll::Ready(ended) = connection.as_mut().poll(cx) {
                // What was to be said at the end, as far as it leaves at once.
                let _ = socket.poll_release(cx);
                return Poll::Ready(ended.map_err(Error::Broken));
            }
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
                        connection.as_mut().graceful_shutdown();
                    }
                }
            }
        }
    })
    .await;
    drop(connection);
    if ended.is_ok() {
        // It may be longer than the time allows; then the client has had its chance.
        let _ = tokio::time::timeout(LINGER, linger(socket)).await;
    }
    ended
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

fn builder(limits: &Limits, streams: Streams) -> http2::Builder<Streams> {
    let mut builder = http2::Builder::new(streams);
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(at_most_u32(limits.http2_streams))
        .max_header_list_size(at_most_u32(limits.head_bytes))
        .max_pending_accept_reset_streams(limits.http2_pending_resets)
        .max_local_error_reset_streams(limits.http2_errors)
        .keep_alive_interval(limits.http2_ping_interval)
        .keep_alive_timeout(limits.http2_ping_timeout)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER_BYTES);
    builder
}

fn at_most_u32(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// Why a connection ended before its time.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("it broke")]
    Broken(#[source] hyper::Error),
    #[error("the client takes nothing")]
    Socket(#[source] io::Error),
    #[error("the client cancels too many requests")]
    Cancels,
}
