//! HTTP/2 connections to containers: by prior knowledge (RFC 9113 section 3.3), or inside TLS
//! where a container speaks nothing else. gRPC needs them; many requests share one.
//!
//! A container that ends a connection names the last request that it has looked at, and
//! one that is busy may refuse a request: what it has not looked at is sent once more
//! (RFC 9113 section 8.7), whatever its method. Nginx ends a connection after each
//! thousand requests, whatever is on its way.

use crate::backend::Flight;
use crate::body::{ContainerBody, RequestBody, Rewound, Tape};
use crate::upstream::{Failure, Stream, answered, dial};
use crate::worker::Local;
use http::{Request, Response};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::collections::HashMap;
use std::error::Error as _;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, OnceCell};
use tokio::time::{Instant, timeout};

type Sender = http2::SendRequest<Rewound>;

/// Requests that share one connection, at most; the container may allow fewer.
const REQUESTS: usize = 100;

/// How often a request is sent that containers refuse.
const SENT: usize = 3;

/// Bytes of a response that arrive before its client takes them, at most. The
/// connection has room for that many of every request, so that none waits for the
/// client of another.
const STREAM_WINDOW: u32 = 64 * 1024;
const CONNECTION_WINDOW: u32 = STREAM_WINDOW * REQUESTS as u32;

/// Bytes of one request that wait to be sent, at most.
const SEND_BUFFER_BYTES: usize = 64 * 1024;

/// The shared connections of one thread.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    shared: Mutex<HashMap<SocketAddr, Vec<Shared>>>,
}

#[derive(Debug)]
struct Shared {
    connection: Arc<Connection>,
    generation: u64,
    tls: bool,
    /// Each request has a clone.
    requests: Arc<()>,
    used: Instant,
}

/// A connection, made by the first request that needs it.
#[derive(Debug)]
struct Connection {
    sender: OnceCell<Sender>,
    allowed: Arc<Allowed>,
}

/// How many requests the container allows. It says so before it answers the first
/// (RFC 9113 section 3.4); until then, as many as it allowed before.
#[derive(Debug)]
struct Allowed {
    requests: AtomicUsize,
    answered: Notify,
}

impl Shared {
    fn new(generation: u64, tls: bool, allowed: usize) -> Self {
        Self {
            connection: Arc::new(Connection {
                sender: OnceCell::new(),
                allowed: Arc::new(Allowed {
                    requests: AtomicUsize::new(allowed),
                    answered: Notify::new(),
                }),
            }),
            generation,
            tls,
            requests: Arc::new(()),
            used: Instant::now(),
        }
    }

    fn requests(&self) -> usize {
        Arc::strong_count(&self.requests) - 1
    }

    fn allowed(&self) -> usize {
        self.connection.allowed.requests.load(Ordering::Relaxed)
    }

    fn is_closed(&self) -> bool {
        let sender = self.connection.sender.get();
        sender.is_some_and(Sender::is_closed)
    }
}

impl Pool {
    /// A connection that has room for one more request, and what counts that request
    /// until it is dropped.
    fn take(&self, address: SocketAddr, generation: u64, tls: bool) -> (Arc<Connection>, Arc<()>) {
        let mut all = self.shared();
        let connections = all.entry(address).or_default();
        connections.retain(|shared| {
            !shared.is_closed() && shared.generation == generation && shared.tls == tls
        });
        let allowed = connections.first().map_or(REQUESTS, Shared::allowed);
        let has_room = |shared: &Shared| shared.requests() < shared.allowed().min(REQUESTS);
        let at = connections.iter().position(has_room).unwrap_or_else(|| {
            connections.push(Shared::new(generation, tls, allowed));
            connections.len() - 1
        });
        let shared = &mut connections[at];
        shared.used = Instant::now();
        (Arc::clone(&shared.connection), Arc::clone(&shared.requests))
    }

    /// Closes connections without requests that have not been used for `age`.
    pub(crate) fn sweep(&self, age: Duration) {
        self.shared().retain(|_, connections| {
            connections.retain(|shared| {
                let busy = shared.requests() > 0 || shared.used.elapsed() <= age;
                busy && !shared.is_closed()
            });
            !connections.is_empty()
        });
    }

    fn shared(&self) -> MutexGuard<'_, HashMap<SocketAddr, Vec<Shared>>> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sends `request` to the container at `address` and waits for the head of its
/// response. What did not leave because the connection was gone is sent once more, and
/// so is what the container has not looked at.
pub(crate) async fn send(
    local: &Arc<Local>,
    flight: &Flight,
    address: SocketAddr,
    request: Request<RequestBody>,
) -> Result<Response<ContainerBody>, Failure> {
    let limits = &local.shared.config.limits;
    let generation = flight.backend().generation.number;
    let tls = flight.backend().target.is_tls();
    let progress = request.body().progress();
    let (head, body) = request.into_parts();
    let (tape, body) = Tape::new(body);
    let mut request = Request::from_parts(head.clone(), body);
    let mut refusals = 0;
    loop {
        let (connection, share) = local.multiplexed.take(address, generation, tls);
        let new = !connection.sender.initialized();
        let sender = connection.sender(local, address, tls).await?;
        let response = sender.clone().try_send_request(request);
        match answered(limits.response_timeout, progress.clone(), response).await? {
            Ok(response) => {
                connection.allowed.answered.notify_one();
                tape.forget();
                return Ok(response.map(|incoming| ContainerBody::shared(incoming, share)));
            }
            Err(mut error) => match error.take_message() {
                Some(unsent) if !new => request = unsent,
                Some(_) => return Err(Failure::Broken(error.into_error().into())),
                None => {
                    let error = error.into_error();
                    refusals += 1;
                    let again = is_refusal(&error) && refusals < SENT;
                    let Some(body) = again.then(|| tape.rewind()).flatten() else {
                        return Err(Failure::Broken(error.into()));
                    };
                    request = Request::from_parts(head.clone(), body);
                }
            },
        }
    }
}

/// Whether the container has not looked at the request for which it gave this error.
fn is_refusal(error: &hyper::Error) -> bool {
    let cause = error.source().and_then(|cause| cause.downcast_ref());
    cause.is_some_and(|error: &h2::Error| {
        // Those that it has looked at get no error from its going away.
        let refused = error.is_reset() && error.reason() == Some(h2::Reason::REFUSED_STREAM);
        error.is_remote() && (error.is_go_away() || refused)
    })
}

impl Connection {
    /// Makes the connection, or waits for the request that does.
    async fn sender(
        &self,
        local: &Local,
        address: SocketAddr,
        tls: bool,
    ) -> Result<&Sender, Failure> {
        let limit = local.shared.config.limits.connect_timeout;
        let open = || self.open(local, address, tls, limit);
        let made = self.sender.get_or_try_init(open);
        let made = timeout(limit, made).await;
        made.unwrap_or(Err(Failure::ConnectTimeout))
    }

    async fn open(
        &self,
        local: &Local,
        address: SocketAddr,
        tls: bool,
        limit: Duration,
    ) -> Result<Sender, Failure> {
        let stream = dial(address, limit).await?;
        let stream = if tls {
            let agreed = local.shared.container_tls.http2(stream).await;
            Stream::Tls(Box::new(agreed.map_err(Failure::Handshake)?))
        } else {
            Stream::Plain(stream)
        };
        let (sender, connection) = http2::Builder::new(TokioExecutor::new())
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_send_buf_size(SEND_BUFFER_BYTES)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| Failure::Broken(error.into()))?;
        let allowed = Arc::clone(&self.allowed);
        tokio::spawn(async move {
            let mut connection = pin!(connection);
            let ended = loop {
                tokio::select! {
                    ended = connection.as_mut() => break ended,
                    () = allowed.answered.notified() => {
                        let requests = connection.current_max_send_streams();
                        allowed.requests.store(requests, Ordering::Relaxed);
                    }
                }
            };
            if let Err(error) = ended {
                tracing::debug!(%address, %error, "a connection to a container broke");
            }
        });
        Ok(sender)
    }
}
