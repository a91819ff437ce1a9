//! A client's socket that has to move.
//!
//! h2 asks for a flush after every frame. What it writes is held back until it has
//! nothing more to write, and then leaves in as few records and system calls as it
//! fits in.

use super::streams::Streams;
use super::watch::{Refused, Watch};
use crate::gate::Deadline;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes held back, at most: what one record of TLS has room for.
const HELD_BYTES: usize = 16 * 1024;

/// A socket that breaks when it takes nothing for some time. Its clones are the same
/// socket.
#[derive(Debug)]
pub(crate) struct Paced<S>(Arc<Mutex<Socket<S>>>);

#[derive(Debug)]
struct Socket<S> {
    socket: S,
    held: Vec<u8>,
    /// So many of these have left.
    left: usize,
    streams: Streams,
    watch: Watch,
    limit: Duration,
    writing: Deadline,
}

impl<S> Clone for Paced<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S> Paced<S> {
    pub(crate) fn new(socket: S, streams: Streams, limit: Duration) -> Self {
        Self(Arc::new(Mutex::new(Socket {
            socket,
            held: Vec::new(),
            left: 0,
            streams,
            watch: Watch::new(),
            limit,
            writing: Deadline::default(),
        })))
    }

    fn socket(&self) -> MutexGuard<'_, Socket<S>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// h2 has handed this request on.
    pub(super) fn accept(&self, stream: u32) {
        self.socket().watch.accept(stream);
    }

    /// See [`Watch::refused`].
    pub(super) fn refused(&self) -> Vec<Refused> {
        self.socket().watch.refused()
    }
}

impl<S: AsyncWrite + Unpin> Paced<S> {
    /// Lets go what is held back.
    pub(crate) fn poll_release(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket().poll_release(cx)
    }
}

impl<S: AsyncWrite + Unpin> Socket<S> {
    fn poll_release(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_drain(cx))?;
        let flushed = Pin::new(&mut self.socket).poll_flush(cx);
        self.paced(cx, flushed)
    }

    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.left < self.held.len() {
            let written = Pin::new(&mut self.socket).poll_write(cx, &self.held[self.left..]);
            match ready!(self.paced(cx, written))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                bytes => self.left += bytes,
            }
        }
        self.left = 0;
        // An idle connection keeps no memory.
        self.held = Vec::new();
        Poll::Ready(Ok(()))
    }

    /// Makes room for more.
    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.held.len() >= HELD_BYTES {
            ready!(self.poll_drain(cx))?;
        }
        Poll::Ready(Ok(HELD_BYTES - self.held.len()))
    }

    fn paced<T>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.writing.clear();
            return written;
        }
        self.streams.note_congestion();
        if self.writing.passed(cx, self.limit) {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Poll::Pending
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Paced<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let Socket {
            socket,
            streams,
            watch,
            ..
        } = &mut *self.socket();
        ready!(Pin::new(socket).poll_read(cx, buf))?;
        watch.read(&buf.filled()[before..], |stream, fault| {
            streams.note_fault(stream, fault);
        });
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Paced<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[io::IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let socket = &mut *self.socket();
        let mut room = ready!(socket.poll_room(cx))?;
        let before = room;
        for buf in bufs {
            let taken = buf.len().min(room);
            socket.held.extend_from_slice(&buf[..taken]);
            socket.watch.write(&buf[..taken]);
            room -= taken;
        }
        Poll::Ready(Ok(before - room))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// Does nothing: see [`Self::poll_release`].
    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut socket = self.socket();
        ready!(socket.poll_release(cx))?;
        let shut = Pin::new(&mut socket.socket).poll_shutdown(cx);
        socket.paced(cx, shut)
    }
}
