//! Connections to containers: made, kept, used again, and what to do when a kept one
//! turns out to be dead.
//!
//! A kept connection is used again only in the generation in which it was opened. A
//! request that a container may have begun to work on is sent a second time only if
//! it is idempotent and has no body (RFC 9110 section 9.2.2); others are given a kept
//! connection only if it was in use a moment ago, and one of their own where the
//! container may be about to close those that are idle, or nobody would say so.

use crate::backend::{Flight, Generation};
use crate::body::{Progress, RequestBody, Stalled};
use crate::read_first::ReadFirst;
use crate::worker::Local;
use http::header::CONNECTION;
use http::{HeaderValue, Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use std::collections::HashMap;
use std::error::Error as _;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};

type Sender = http1::SendRequest<RequestBody>;

/// Kept connections to one address in one thread, at most.
const KEPT_PER_ADDRESS: usize = 512;

/// How long ago a connection may have been in use for a request that must not be
/// sent twice. Servers close idle connections after two seconds and more.
const RECENT: Duration = Duration::from_secs(1);

/// Bytes that one connection buffers, at most.
const BUFFER_BYTES: usize = 128 * 1024;

/// Why a container gave no response.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("cannot connect")]
    Connect(#[source] io::Error),
    #[error("connecting took too long")]
    ConnectTimeout,
    #[error("the response took too long")]
    ResponseTimeout,
    #[error("the connection broke")]
    Broken(#[source] hyper::Error),
}

impl Failure {
    pub(crate) fn is_timeout(&self) -> bool {
        matches!(self, Self::ConnectTimeout | Self::ResponseTimeout)
    }

    /// What happened, with its causes.
    pub(crate) fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut source = self.source();
        while let Some(error) = source {
            text.push_str(": ");
            text.push_str(&error.to_string());
            source = error.source();
        }
        text
    }

    /// Whether it was the client, whose body stopped arriving.
    pub(crate) fn is_stalled_body(&self) -> bool {
        let mut source = match self {
            Self::Broken(error) => error.source(),
            _ => None,
        };
        while let Some(error) = source {
            if error.is::<Stalled>() {
                return true;
            }
            source = error.source();
        }
        false
    }
}

/// The kept connections of one thread.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    kept: Mutex<HashMap<SocketAddr, Vec<Kept>>>,
}

#[derive(Debug)]
struct Kept {
    sender: Sender,
    generation: Generation,
    since: Instant,
}

impl Pool {
    /// The connection used last, if it was in use within `age`.
    fn take(&self, address: SocketAddr, generation: Generation, age: Duration) -> Option<Sender> {
        let mut all = self.kept();
        let kept = all.get_mut(&address)?;
        let now = Instant::now();
        let mut at = kept.len();
        while at > 0 {
            at -= 1;
            let candidate = &kept[at];
            if candidate.sender.is_closed() || candidate.generation != generation {
                kept.remove(at);
            } else if now.duration_since(candidate.since) > age {
                // Those before it are older still.
                return None;
            } else if candidate.sender.is_ready() {
                return Some(kept.remove(at).sender);
            }
            // Else its last request is not quite over; another one may do.
        }
        None
    }

    fn put(&self, address: SocketAddr, generation: Generation, sender: Sender) {
        if sender.is_closed() {
            return;
        }
        let mut all = self.kept();
        let kept = all.entry(address).or_default();
        if kept.len() >= KEPT_PER_ADDRESS {
            kept.remove(0);
        }
        kept.push(Kept {
            sender,
            generation,
            since: Instant::now(),
        });
    }

    /// Closes connections that have not been used for `age`.
    pub(crate) fn sweep(&self, age: Duration) {
        let now = Instant::now();
        self.kept().retain(|_, kept| {
            kept.retain(|kept| !kept.sender.is_closed() && now.duration_since(kept.since) <= age);
            !kept.is_empty()
        });
    }

    fn kept(&self) -> MutexGuard<'_, HashMap<SocketAddr, Vec<Kept>>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection that is in use.
#[derive(Debug)]
pub(crate) enum Lease {
    /// By one request alone.
    Whole {
        local: Arc<Local>,
        address: SocketAddr,
        generation: Generation,
        sender: Sender,
    },
    /// By this request and others; it counts until it is dropped.
    Shared(#[expect(dead_code, reason = "it is there to be counted")] Arc<()>),
}

impl Lease {
    /// The response has been read; another request may use the connection.
    pub(crate) fn give_back(self) {
        if let Self::Whole {
            local,
            address,
            generation,
            sender,
        } = self
        {
            local.pool.put(address, generation, sender);
        }
    }
}

/// Sends `request` to the container at `address` and waits for the head of its
/// response.
pub(crate) async fn send(
    local: &Arc<Local>,
    flight: &Flight,
    address: SocketAddr,
    mut request: Request<RequestBody>,
) -> Result<(Response<Incoming>, Lease), Failure> {
    let limits = &local.shared.config.limits;
    let generation = flight.backend().generation;
    let lease = |sender| Lease::Whole {
        local: Arc::clone(local),
        address,
        generation,
        sender,
    };
    let repeatable =
        request.method().is_idempotent() && matches!(request.body(), RequestBody::Empty);
    let age = if repeatable {
        Some(limits.upstream_idle_timeout)
    } else if Instant::now() >= generation.settled && !local.stopping.is_patient() {
        Some(RECENT)
    } else {
        // Nobody else is to use its connection either: it ends with the request, and
        // the container is the one to close it.
        request
            .headers_mut()
            .entry(CONNECTION)
            .or_insert(HeaderValue::from_static("close"));
        None
    };

    let progress = request.body().progress();
    if let Some(mut sender) = age.and_then(|age| local.pool.take(address, generation, age)) {
        let spare = repeatable.then(|| copy_without_body(&request));
        let response = sender.try_send_request(request);
        match answered(limits.response_timeout, progress.as_deref(), response).await? {
            Ok(response) => return Ok((response, lease(sender))),
            Err(mut error) => match error.take_message().or(spare) {
                Some(unsent) => request = unsent,
                None => return Err(Failure::Broken(error.into_error())),
            },
        }
    }
    let mut sender = connect(address, limits.connect_timeout).await?;
    let response = sender.send_request(request);
    let response = answered(limits.response_timeout, progress.as_deref(), response).await?;
    Ok((response.map_err(Failure::Broken)?, lease(sender)))
}

/// Waits for a response. The time that the client takes to send the body does not
/// count: `limit` runs while it is the container's turn.
pub(crate) async fn answered<T>(
    limit: Duration,
    progress: Option<&Progress>,
    response: impl Future<Output = T>,
) -> Result<T, Failure> {
    let Some(progress) = progress else {
        let response = timeout(limit, response).await;
        return response.map_err(|_| Failure::ResponseTimeout);
    };
    let mut response = pin!(response);
    let mut since = Instant::now();
    loop {
        if let Ok(response) = timeout_at(since + limit, response.as_mut()).await {
            return Ok(response);
        }
        match progress.containers_turn() {
            Some(moved) if moved <= since => return Err(Failure::ResponseTimeout),
            Some(moved) => since = moved,
            None => since = Instant::now(),
        }
    }
}

/// A new connection to a container.
pub(crate) async fn dial(address: SocketAddr, limit: Duration) -> Result<TcpStream, Failure> {
    let stream = timeout(limit, TcpStream::connect(address))
        .await
        .map_err(|_| Failure::ConnectTimeout)?
        .map_err(Failure::Connect)?;
    stream.set_nodelay(true).map_err(Failure::Connect)?;
    Ok(stream)
}

async fn connect(address: SocketAddr, limit: Duration) -> Result<Sender, Failure> {
    let stream = dial(address, limit).await?;
    let (sender, connection) = http1::Builder::new()
        .max_buf_size(BUFFER_BYTES)
        .handshake(TokioIo::new(ReadFirst::new(stream)))
        .await
        .map_err(Failure::Broken)?;
    tokio::spawn(async move {
        if let Err(error) = connection.with_upgrades().await {
            tracing::debug!(%address, %error, "a connection to a container broke");
        }
    });
    Ok(sender)
}

fn copy_without_body(request: &Request<RequestBody>) -> Request<RequestBody> {
    let mut copy = Request::new(RequestBody::Empty);
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = request.headers().clone();
    copy
}
