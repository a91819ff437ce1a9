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

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};

    /// A record of TLS.
    const HELD: usize = 16_384;
    const LONG: Duration = Duration::from_secs(3600);

    /// A socket that has room for so many bytes, and its other side.
    fn paced(room: usize, limit: Duration) -> (Paced<DuplexStream>, Streams, DuplexStream) {
        let (client, socket) = duplex(room);
        let streams = Streams::new(LONG);
        (Paced::new(socket, streams.clone(), limit), streams, client)
    }

    /// What has arrived at the other side so far.
    async fn arrived(client: &mut DuplexStream) -> usize {
        let mut part = vec![0; 4 * HELD];
        let read = poll_fn(|cx| {
            let mut buf = ReadBuf::new(&mut part);
            let read = Pin::new(&mut *client).poll_read(cx, &mut buf);
            Poll::Ready(read.is_ready().then(|| buf.filled().len()))
        });
        read.await.unwrap_or(0)
    }

    #[tokio::test]
    async fn what_is_written_leaves_at_once_when_all_is_written() {
        let (mut socket, _, mut client) = paced(4 * HELD, LONG);
        for _ in 0..3 {
            socket.write_all(&[b'x'; 1000]).await.unwrap();
            socket.flush().await.unwrap();
        }
        assert_eq!(arrived(&mut client).await, 0);
        poll_fn(|cx| socket.poll_release(cx)).await.unwrap();
        assert_eq!(arrived(&mut client).await, 3000);
        assert_eq!(socket.socket().held.capacity(), 0, "it keeps no memory");
        // There is nothing to release.
        poll_fn(|cx| socket.poll_release(cx)).await.unwrap();
        assert_eq!(arrived(&mut client).await, 0);
    }

    #[tokio::test]
    async fn so_much_is_held_back_and_not_more() {
        let (mut socket, _, mut client) = paced(4 * HELD, LONG);
        let part = [b'x'; HELD];
        let (most, more) = ([&part[..10], &part[10..]], [&part[..1], &part[1..]]);
        for (parts, taken, left) in [(most, HELD, 0), (more, HELD, HELD)] {
            let parts = parts.map(io::IoSlice::new);
            assert_eq!(socket.write_vectored(&parts).await.unwrap(), taken);
            assert_eq!(arrived(&mut client).await, left);
        }
        poll_fn(|cx| socket.poll_release(cx)).await.unwrap();
        assert_eq!(arrived(&mut client).await, HELD);
        // Half of it is there: of what comes no more is taken than there is room for.
        socket.write_all(&part[..HELD / 2]).await.unwrap();
        assert_eq!(socket.write(&part).await.unwrap(), HELD / 2);
        // What is held leaves before the end.
        socket.shutdown().await.unwrap();
        let mut rest = Vec::new();
        client.read_to_end(&mut rest).await.unwrap();
        assert_eq!(rest, part);
    }

    #[tokio::test]
    async fn a_socket_that_takes_little_at_a_time_gets_all_in_order() {
        let (mut socket, _, mut client) = paced(7, LONG);
        let bytes: Vec<u8> = (0..100).collect();
        socket.write_all(&bytes).await.unwrap();
        let mut read = vec![0; bytes.len()];
        let released = poll_fn(|cx| socket.poll_release(cx));
        let (released, taken) = tokio::join!(released, client.read_exact(&mut read));
        released.unwrap();
        taken.unwrap();
        assert_eq!(read, bytes);
    }

    #[tokio::test]
    async fn a_socket_that_takes_nothing_for_too_long_is_broken() {
        let (mut socket, streams, client) = paced(7, Duration::from_millis(20));
        socket.write_all(&[b'x'; 7]).await.unwrap();
        poll_fn(|cx| socket.poll_release(cx)).await.unwrap();
        assert!(!streams.is_congested());
        socket.write_all(b"x").await.unwrap();
        let released = poll_fn(|cx| socket.poll_release(cx)).await;
        assert_eq!(released.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert!(streams.is_congested());
        drop(client);
    }
}
