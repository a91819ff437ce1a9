//! The way out: how long a client may take to read, and how its connection ends.

use super::{Expected, Gate};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What is still read from a client that is being closed, so that it gets to see the
/// answer: closing a socket with unread bytes resets the connection.
const LINGER_BYTES: usize = 512 * 1024;
const LINGER: Duration = Duration::from_secs(2);

/// Bytes that are written at once, at most, rather than gathered.
const SMALL_WRITE: usize = 2 * 1024;

/// How far a connection has come that ends before its client has sent all.
#[derive(Debug, Default)]
pub(super) enum Linger {
    #[default]
    No,
    Flushing,
    Reading(usize),
}

impl<S: AsyncRead + AsyncWrite + Unpin> Gate<S> {
    fn poll_stalled<T>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        match written {
            Poll::Ready(result) => {
                self.writing.clear();
                Poll::Ready(result)
            }
            Poll::Pending if self.writing.passed(cx, self.limits.stall) => {
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
            Poll::Pending => Poll::Pending,
        }
    }

    /// Whether the client may still be sending what nobody will read.
    fn is_cut_short(&self) -> bool {
        self.facts.refusal().is_some()
            || matches!(self.expected, Expected::Body(_) | Expected::Chunks(_))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Gate<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write(cx, buf);
        self.poll_stalled(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        // A head and a small body are copied together sooner than the kernel gathers them.
        let mut small = [0; SMALL_WRITE];
        let bytes: usize = bufs.iter().map(|part| part.len()).sum();
        let written = if bufs.len() > 1 && bytes <= SMALL_WRITE {
            let mut end = 0;
            for part in bufs {
                small[end..end + part.len()].copy_from_slice(part);
                end += part.len();
            }
            Pin::new(&mut self.socket).poll_write(cx, &small[..end])
        } else {
            Pin::new(&mut self.socket).poll_write_vectored(cx, bufs)
        };
        self.poll_stalled(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Only TLS holds bytes back: what it has encrypted and the socket does not take.
        let flushed = Pin::new(&mut self.socket).poll_flush(cx);
        self.poll_stalled(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let gate = &mut *self;
        loop {
            match gate.lingering {
                Linger::No if matches!(gate.expected, Expected::Http2) => {
                    return Poll::Ready(Ok(()));
                }
                Linger::No => {
                    if !gate.is_cut_short() {
                        let shut = Pin::new(&mut gate.socket).poll_shutdown(cx);
                        return gate.poll_stalled(cx, shut);
                    }
                    gate.lingering = Linger::Flushing;
                }
                Linger::Flushing => {
                    let shut = Pin::new(&mut gate.socket).poll_shutdown(cx);
                    ready!(gate.poll_stalled(cx, shut))?;
                    gate.reading.clear();
                    gate.lingering = Linger::Reading(0);
                }
                Linger::Reading(bytes) => {
                    if bytes > LINGER_BYTES || gate.reading.passed(cx, LINGER) {
                        return Poll::Ready(Ok(()));
                    }
                    let mut part = [0; 4096];
                    let mut buf = ReadBuf::new(&mut part);
                    ready!(Pin::new(&mut gate.socket).poll_read(cx, &mut buf))?;
                    if buf.filled().is_empty() {
                        return Poll::Ready(Ok(()));
                    }
                    gate.lingering = Linger::Reading(bytes + buf.filled().len());
                }
            }
        }
    }
}
