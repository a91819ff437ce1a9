//! A connection that has become something else than HTTP, such as a WebSocket.

use crate::backend::Flight;
use crate::limiter::Admission;
use crate::upstream::Stream;
use bytes::Bytes;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use std::io::{self, Cursor};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{
    AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf, copy_bidirectional_with_sizes, join,
};
use tokio::sync::Notify;

/// Bytes buffered in each direction.
const BUFFER_BYTES: usize = 8 * 1024;

/// How long a tunnel may be without traffic.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Quiet {
    /// While both sides are there.
    pub(crate) open: Duration,
    /// Once one of them has closed its direction.
    pub(crate) closing: Duration,
}

/// Carries bytes both ways, from the container those first that have arrived already,
/// until both sides have closed, or nothing has passed for as
/// long as `quiet` allows (at most for twice as long). Counts as an upgraded connection of
/// the app and as an open connection of the client until then.
pub(crate) async fn run(
    client: OnUpgrade,
    container: (Stream, Bytes),
    quiet: Quiet,
    mut flight: Flight,
    admission: Arc<Admission>,
) {
    flight.upgrade();
    let client = match client.await {
        Ok(client) => client,
        Err(error) => return tracing::debug!(%error, "a tunnel could not begin"),
    };
    let traffic = Traffic::default();
    let mut client = Watched {
        io: TokioIo::new(client),
        traffic: &traffic,
    };
    let (stream, early) = container;
    let (reading, writing) = stream.split();
    let mut container = Watched {
        io: join(Cursor::new(early).chain(reading), writing),
        traffic: &traffic,
    };
    let copy =
        copy_bidirectional_with_sizes(&mut client, &mut container, BUFFER_BYTES, BUFFER_BYTES);
    tokio::select! {
        copied = copy => if let Err(error) = copied {
            tracing::debug!(%error, app = %flight.backend().app, "a tunnel broke");
        },
        () = traffic.ceased(quiet) => {
            tracing::debug!(app = %flight.backend().app, "a tunnel was quiet for too long");
        }
    }
    drop((flight, admission));
}

/// What passes through a tunnel.
#[derive(Debug, Default)]
struct Traffic {
    passed: AtomicBool,
    half_closed: AtomicBool,
    closing: Notify,
}

impl Traffic {
    async fn ceased(&self, quiet: Quiet) {
        loop {
            let limit = if self.half_closed.load(Ordering::Relaxed) {
                quiet.closing
            } else {
                quiet.open
            };
            self.passed.store(false, Ordering::Relaxed);
            tokio::select! {
                () = tokio::time::sleep(limit) => {
                    if !self.passed.load(Ordering::Relaxed) {
                        return;
                    }
                }
                () = self.closing.notified() => {}
            }
        }
    }
}

/// A side of a tunnel that notes what passes.
struct Watched<'a, S> {
    io: S,
    traffic: &'a Traffic,
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<'_, S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.io).poll_read(cx, buf);
        if read.is_ready() {
            self.traffic.passed.store(true, Ordering::Relaxed);
            if buf.filled().len() == before {
                self.traffic.half_closed.store(true, Ordering::Relaxed);
                self.traffic.closing.notify_one();
            }
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<'_, S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(cx, buf);
        if written.is_ready() {
            self.traffic.passed.store(true, Ordering::Relaxed);
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
