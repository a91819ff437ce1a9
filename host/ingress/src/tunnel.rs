//! A connection that has become something else than HTTP, such as a WebSocket.

use crate::backend::Flight;
use crate::limiter::Admission;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf, copy_bidirectional_with_sizes};

/// Bytes buffered in each direction.
const BUFFER_BYTES: usize = 8 * 1024;

/// Carries bytes both ways until both sides have closed, or neither has sent anything
/// for `idle` (at most for twice as long). Counts as one request of the app and as an
/// open connection of the client until then.
pub(crate) async fn run(
    client: OnUpgrade,
    container: OnUpgrade,
    idle: Duration,
    flight: Flight,
    admission: Arc<Admission>,
) {
    let (client, container) = match tokio::try_join!(client, container) {
        Ok(both) => both,
        Err(error) => return tracing::debug!(%error, "a tunnel could not begin"),
    };
    let busy = AtomicBool::new(true);
    let mut client = Watched {
        io: TokioIo::new(client),
        busy: &busy,
    };
    let mut container = TokioIo::new(container);
    let copy =
        copy_bidirectional_with_sizes(&mut client, &mut container, BUFFER_BYTES, BUFFER_BYTES);
    let quiet = async {
        while busy.swap(false, Ordering::Relaxed) {
            tokio::time::sleep(idle).await;
        }
    };
    tokio::select! {
        copied = copy => if let Err(error) = copied {
            tracing::debug!(%error, app = %flight.backend().app, "a tunnel broke");
        },
        () = quiet => tracing::debug!(app = %flight.backend().app, "a tunnel was idle for too long"),
    }
    drop((flight, admission));
}

/// Notes that bytes passed.
struct Watched<'a, S> {
    io: S,
    busy: &'a AtomicBool,
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<'_, S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.io).poll_read(cx, buf);
        if read.is_ready() {
            self.busy.store(true, Ordering::Relaxed);
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
            self.busy.store(true, Ordering::Relaxed);
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
