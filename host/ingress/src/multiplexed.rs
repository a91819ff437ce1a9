//! HTTP/2 connections to containers: by prior knowledge (RFC 9113 section 3.3), or inside TLS
//! where a container speaks nothing else. gRPC needs them; many requests share one.
//!
//! h2 reads and writes the frames: hyper's client, which does that too, has no interim
//! answers. Until a response begins (`call`), whoever waits for it moves the request on as
//! well; then a task of its own does, beside the response (`answer`).
//!
//! A container that ends a connection names the last request that it has looked at, and
//! one that is busy may refuse a request: what it has not looked at is sent once more
//! (RFC 9113 section 8.7), whatever its method. Nginx ends a connection after each
//! thousand requests, whatever is on its way.

mod answer;
mod call;
mod connection;
mod pool;
mod upload;

pub(crate) use answer::Answer;
pub(crate) use pool::Pool;

use crate::backend::Flight;
use crate::body::{ContainerBody, RequestBody};
use crate::interim::Interim;
use crate::upstream::{Failure, Upstream, answered};
use call::Call;
use http::{Request, Response};
use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;

/// How often a request is sent that containers refuse.
const SENT: usize = 3;

/// Sends `request` to the container at `address` and waits for the head of its
/// response. What the container has not looked at is sent once more. `interim` is told
/// what it says before its answer.
pub(crate) async fn send(
    pool: &Pool,
    upstream: &Upstream,
    flight: &Flight,
    address: SocketAddr,
    request: Request<RequestBody>,
    interim: Option<Arc<Interim>>,
) -> Result<Response<ContainerBody>, Failure> {
    let limit = upstream.response_timeout;
    let generation = flight.backend().generation.number;
    let tls = flight.backend().target.is_tls();
    let progress = request.body().progress();
    let mut call = Call::new(request, interim);
    let mut sent = 0;
    loop {
        let (connection, share) = pool.take(address, generation, tls);
        let sender = connection.sender(upstream, address, tls).await?;
        sent += 1;
        let head = match call.begin(sender.clone()) {
            Ok(mut response) => {
                let head = poll_fn(|cx| call.poll_head(cx, &mut response));
                answered(limit, progress.clone(), head).await?
            }
            Err(unsent) => Err(unsent),
        };
        match head {
            Ok(head) => {
                let rest = call.into_rest();
                let answer = |stream| ContainerBody::Http2(Answer::new(stream, share, rest));
                return Ok(head.map(answer));
            }
            Err(broken) if sent < SENT && call.rewind(&broken) => {}
            Err(broken) => return Err(Failure::Broken(broken.into())),
        }
    }
}
