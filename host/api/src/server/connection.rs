//! Accepts connections and serves HTTP/1.1 on them.

use super::paced::{Pace, Paced};
use super::place::{Place, Places};
use axum::Router;
use axum::body::Body;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long the head of a request may take.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// Largest head of a request in bytes.
const MAX_HEAD: usize = 64 << 10;
/// Connections at one time.
const MAX_CONNECTIONS: usize = 1024;
/// How many of them may stream an answer, so that others are left.
pub(super) const MAX_STREAMS: usize = 896;
/// How long streams may go on once the host ends.
const GRACE: Duration = Duration::from_secs(2);
/// Pause after the system refused to accept, as when it is out of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What connections come from.
pub(super) trait Listener {
    /// A connection.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;
    /// The next connection.
    fn next(&self) -> impl Future<Output = io::Result<Self::Stream>>;
}

impl Listener for UnixListener {
    type Stream = tokio::net::UnixStream;
    async fn next(&self) -> io::Result<Self::Stream> {
        self.accept().await.map(|(stream, _)| stream)
    }
}

impl Listener for TcpListener {
    type Stream = tokio::net::TcpStream;
    async fn next(&self) -> io::Result<Self::Stream> {
        let (stream, _) = self.accept().await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

/// Serves until `stop` is cancelled.
pub(super) async fn serve(listener: impl Listener, router: Router, stop: CancellationToken) {
    let tasks = TaskTracker::new();
    let places = Places::new(MAX_CONNECTIONS);
    loop {
        let next = async {
            let stream = listener.next().await?;
            Ok::<_, io::Error>((stream, places.take().await))
        };
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = next => accepted,
        };
        match accepted {
            Ok((stream, place)) => {
                tasks.spawn(connection(stream, place, router.clone(), stop.clone()));
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    tasks.close();
    if tokio::time::timeout(GRACE, tasks.wait()).await.is_err() {
        tracing::debug!("connections were cut");
    }
}

async fn connection(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    place: Place,
    router: Router,
    stop: CancellationToken,
) {
    let service = TowerToHyperService::new(router);
    let client = Arc::clone(place.client());
    let paced = service_fn(move |request: Request<Incoming>| {
        client.owes_nothing();
        service.call(request.map(|body| {
            let paced = Paced::new(Body::new(body), Arc::clone(&client), Pace::USUAL);
            Body::new(paced)
        }))
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(stream), paced)
        .with_upgrades();
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = place.is_cut() => Ok(()),
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            tokio::time::timeout(GRACE, connection).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection broke");
    }
}
