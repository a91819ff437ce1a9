//! Connections to containers: made, kept, used again, and what to do when a kept one
//! turns out to be dead.
//!
//! A kept connection is used again only in the generation in which it was opened. A
//! request that a container may have begun to work on is sent a second time only if
//! it is idempotent and has no body (RFC 9110 section 9.2.2); others are given a kept
//! connection only if it was in use a moment ago, and one of their own where the
//! container may be about to close those that are idle, or nobody would say so.
//!
//! HTTP/1.1 to containers is spoken here (`exchange`), and not by hyper's client, which
//! has a task, a channel and buffers for each connection. Here whoever waits for a response
//! reads it from the socket, and while nothing arrives nothing is buffered. That spares 16 to
//! 18 KB for each connection, whether it is in use or kept: 10 KB in place of 26 to 29, both
//! with what the test's container needs (`cost` measures it). CPU time is no reason: 19 to 21 µs
//! for each request, with finding a connection and asking the kernel whether it is alive, and
//! 17 to 18 µs by hyper's without that.
//!
//! An exchange is made of what `head`, `decode`, `upload` and `pool` do; none of them knows it.

mod decode;
mod error;
mod exchange;
mod head;
mod patience;
mod pool;
mod room;
mod shared;
mod stream;
mod upload;

#[cfg(test)]
mod cost;
#[cfg(test)]
mod tests;

pub(crate) use error::Failure;
pub(crate) use exchange::Exchange;
pub(crate) use patience::{WANTED, answered};
pub(crate) use shared::{Own, Upstream};
pub(crate) use stream::Stream;

use crate::backend::Flight;
use crate::body::{ContainerBody, RequestBody};
use crate::interim::Interim;
use exchange::Home;
use http::header::CONNECTION;
use http::{HeaderValue, Request, Response};
use pool::{Fit, Link};
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, timeout};

/// How long ago a connection may have been in use for a request that must not be
/// sent twice. Servers close idle connections after two seconds and more.
pub(crate) const RECENT: Duration = Duration::from_secs(1);

/// Bytes that the kernel takes from a container before they are read (it keeps as much
/// again for itself). A container is near, and more would only pile up where a client reads
/// slowly.
const UNREAD_BYTES: u32 = 128 * 1024;

/// Sends `request` to the container at `address` and waits for the head of its
/// response. The exchange goes on with the rest. `interim` is told what the container says
/// before its answer. `now` may be a moment ago. Of a thread that is
/// `leaving`, no kept connection is used for what must not be sent twice.
pub(crate) async fn send(
    own: &Own,
    flight: &Flight,
    address: SocketAddr,
    mut request: Request<RequestBody>,
    interim: Option<Arc<Interim>>,
    now: Instant,
    leaving: bool,
) -> Result<Response<ContainerBody>, Failure> {
    let upstream = own.upstream();
    let generation = flight.backend().generation;
    let tls = flight.backend().target.is_tls();
    let repeatable =
        request.method().is_idempotent() && matches!(request.body(), RequestBody::Empty);
    let age = if repeatable {
        Some(upstream.idle_timeout)
    } else if now >= generation.settled && !leaving {
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

    let home = Home {
        upstream: Arc::clone(upstream),
        owner: own.owner(),
        address,
        generation,
    };
    let mut exchange = Box::new(Exchange::new(home, request, interim));
    let kept = age.and_then(|age| {
        let fit = Fit {
            address,
            generation,
            tls,
            age,
            now,
        };
        upstream.pool.take(own.owner(), fit)
    });
    if let Some(mut link) = kept {
        link.deadline.set(now + upstream.response_timeout);
        exchange.begin(link);
        match poll_fn(|cx| exchange.poll_answer(cx)).await? {
            Ok(head) => return Ok(head.map(|()| ContainerBody::Http1(exchange))),
            Err(broken) if broken.may_repeat(repeatable) => {}
            Err(broken) => return Err(Failure::Broken(broken.into())),
        }
    }
    let stream = if tls {
        Box::pin(dial_tls(upstream, address)).await?
    } else {
        Stream::Plain(Box::pin(dial(address, upstream.connect_timeout)).await?)
    };
    exchange.begin(Link::new(stream));
    match poll_fn(|cx| exchange.poll_answer(cx)).await? {
        Ok(head) => Ok(head.map(|()| ContainerBody::Http1(exchange))),
        Err(broken) => Err(Failure::Broken(broken.into())),
    }
}

/// A new connection to a container.
pub(crate) async fn dial(address: SocketAddr, limit: Duration) -> Result<TcpStream, Failure> {
    let connected = timeout(limit, connect(address)).await;
    connected
        .map_err(|_| Failure::ConnectTimeout)?
        .map_err(Failure::Connect)
}

/// The same to one that speaks only TLS.
async fn dial_tls(upstream: &Upstream, address: SocketAddr) -> Result<Stream, Failure> {
    let dialled = async {
        let stream = connect(address).await.map_err(Failure::Connect)?;
        let agreed = upstream.tls.http1(stream).await;
        agreed.map_err(Failure::Handshake)
    };
    let stream = timeout(upstream.connect_timeout, dialled).await;
    let stream = stream.unwrap_or(Err(Failure::ConnectTimeout))?;
    Ok(Stream::Tls(Box::new(stream)))
}

async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    // Before it is connected: the container learns then how much it may send.
    socket.set_recv_buffer_size(UNREAD_BYTES)?;
    socket.set_nodelay(true)?;
    socket.connect(address).await
}
