//! The way out: how long a client may take to read, and how its connection ends.

use super::{Expected, Gate};
use http::{HeaderMap, StatusCode};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What is still read from a client that is being closed, so that it gets to see the
/// answer: closing a socket with unread bytes resets the connection.
const LINGER_BYTES: usize = 512 * 1024;
pub(super) const LINGER: Duration = Duration::from_secs(2);

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

    /// Writes interim answers, those that have begun and, with `more`, those that wait.
    fn poll_tell(&mut self, cx: &mut Context<'_>, more: bool) -> Poll<io::Result<()>> {
        if more && self.telling.is_empty() {
            self.telling = written(self.facts.interim().take());
        }
        while !self.telling.is_empty() {
            let written = Pin::new(&mut self.socket).poll_write(cx, &self.telling);
            match ready!(self.poll_stalled(cx, written))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                bytes => drop(self.telling.drain(..bytes)),
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Whether the client may still be sending what nobody will read.
    fn is_cut_short(&self) -> bool {
        self.facts.refusal().is_some()
            || matches!(self.expected, Expected::Body(_) | Expected::Chunks(_))
    }
}

/// Interim answers as HTTP/1.1 writes them. hyper's server has none.
fn written(answers: Vec<(StatusCode, HeaderMap)>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (status, fields) in answers {
        let reason = status.canonical_reason().unwrap_or_default();
        let line = format!("HTTP/1.1 {} {reason}\r\n", status.as_str());
        bytes.extend_from_slice(line.as_bytes());
        for (name, value) in &fields {
            for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
                bytes.extend_from_slice(part);
            }
        }
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Gate<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_tell(cx, false))?;
        let written = Pin::new(&mut self.socket).poll_write(cx, buf);
        self.poll_stalled(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_tell(cx, false))?;
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
        // hyper flushes once it has written all that it has: nothing is torn apart.
        ready!(self.poll_tell(cx, true))?;
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
                    if bytes > LINGER_BYTES || gate.reading.passed(cx, gate.limits.linger) {
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
