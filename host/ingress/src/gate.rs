//! What stands between a client's socket and hyper.
//!
//! hyper resolves some ambiguities of a request silently (it drops a Content-Length
//! beside Transfer-Encoding, joins equal lengths), and nobody behind it can tell.
//! The gate reads along and lets only requests through whose framing has one
//! reading; then hyper's reading and the gate's are the same. It also measures how
//! slow a client is.
//!
//! Guarantees: a head is handed on whole or not at all; after it comes at most its
//! body; the next head is handed on only when hyper asks for it. So while a request
//! is served, [`Facts`] are about that request. In place of a refused head hyper is
//! given a harmless one, and `Facts` say why; the connection ends with it.
//!
//! A client that begins with HTTP/2 where that is allowed is no request at all: hyper is
//! told that nothing comes, and the gate, with all that has come, is a socket for
//! somebody else. Only what would be refused is looked at for that.

mod chunk;
mod deadline;
mod head;
mod sending;
mod target;
#[cfg(test)]
mod tests;

pub(crate) use deadline::Deadline;

use crate::interim::Interim;
use crate::limits::Limits;
use crate::refusal::Refusal;
use head::{Bounds, Framing, Head};
use sending::{LINGER, Linger};
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, ReadBuf};

/// What hyper is given in place of a refused head.
const STAND_IN: &[u8] = b"GET / HTTP/1.1\r\nhost: refused\r\nconnection: close\r\n\r\n";

/// What a client begins with that knows HTTP/2 to be spoken (RFC 9113 section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What the gate knows about the request that is being served.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    refusal: OnceLock<Refusal>,
    upgrade: AtomicBool,
    forwarded: AtomicBool,
    tunnel: AtomicBool,
    http2: AtomicBool,
    interim: Arc<Interim>,
}

impl Facts {
    /// What the client is told before the answer.
    pub(crate) fn interim(&self) -> &Arc<Interim> {
        &self.interim
    }

    /// Why the request is refused; a later part of its body may be the reason.
    pub(crate) fn refusal(&self) -> Option<Refusal> {
        self.refusal.get().copied()
    }

    /// It asks for another protocol.
    pub(crate) fn upgrade(&self) -> bool {
        self.upgrade.load(Ordering::Relaxed)
    }

    /// It has fields that say on whose behalf it was sent.
    pub(crate) fn forwarded(&self) -> bool {
        self.forwarded.load(Ordering::Relaxed)
    }

    /// Whatever follows the request is not HTTP. To be called before the answer that
    /// says so is given to hyper.
    pub(crate) fn begin_tunnel(&self) {
        self.tunnel.store(true, Ordering::Relaxed);
    }

    /// The client speaks HTTP/2 and was not heard yet; see [`Gate::into_tunnel`].
    pub(crate) fn http2(&self) -> bool {
        self.http2.load(Ordering::Relaxed)
    }
}

/// What the next bytes are.
#[derive(Debug)]
enum Expected {
    Head(head::Scanner),
    Body(u64),
    Chunks(chunk::Scanner),
    /// A head, unless the request before it has become a tunnel.
    HeadOrTunnel,
    /// The rest of the preface of HTTP/2.
    Preface,
    /// HTTP/2, for somebody else than hyper's server for HTTP/1.
    Http2,
    Tunnel,
    /// Nothing: the connection ends with the request that is being served.
    End,
}

/// A client's socket.
#[derive(Debug)]
pub(crate) struct Gate<S> {
    socket: S,
    facts: Arc<Facts>,
    limits: GateLimits,
    /// Whether the client may begin with HTTP/2.
    http2: bool,
    expected: Expected,
    /// Bytes that have arrived and were not handed on; the first `released` of them
    /// may be.
    held: Vec<u8>,
    released: usize,
    upgrade: bool,
    served: bool,
    reading: Deadline,
    writing: Deadline,
    lingering: Linger,
    /// Of an interim answer, as much as the socket has not taken.
    telling: Vec<u8>,
}

#[derive(Debug)]
struct GateLimits {
    bounds: Bounds,
    head: Duration,
    idle: Duration,
    stall: Duration,
    linger: Duration,
}

impl<S> Gate<S> {
    pub(crate) fn new(socket: S, facts: Arc<Facts>, limits: &Limits, http2: bool) -> Self {
        Self {
            socket,
            facts,
            limits: GateLimits {
                bounds: Bounds {
                    bytes: limits.head_bytes,
                    fields: limits.head_fields,
                },
                head: limits.head_timeout,
                idle: limits.idle_timeout,
                stall: limits.stall_timeout,
                linger: LINGER,
            },
            http2,
            expected: Expected::Head(head::Scanner::default()),
            held: Vec::new(),
            released: 0,
            upgrade: false,
            served: false,
            reading: Deadline::default(),
            writing: Deadline::default(),
            lingering: Linger::No,
            telling: Vec::new(),
        }
    }

    /// Hands on everything as it came and comes.
    pub(crate) fn into_tunnel(mut self) -> Self {
        self.expected = Expected::Tunnel;
        self
    }

    fn refuse(&mut self, refusal: Refusal) {
        // There is one refusal in the life of a connection, for it is its last word.
        let _ = self.facts.refusal.set(refusal);
        self.expected = Expected::End;
    }

    fn refuse_head(&mut self, refusal: Refusal) {
        self.refuse(refusal);
        self.held.clear();
        self.held.extend_from_slice(STAND_IN);
        self.released = STAND_IN.len();
    }

    /// Refuses the head that begins with `held`, unless it is the preface of HTTP/2 or
    /// may become it.
    fn turn_away(&mut self, refusal: Refusal, held: Vec<u8>) {
        if !self.http2 || self.served || refusal != Refusal::Version {
            self.refuse_head(refusal);
        } else if held.starts_with(PREFACE) {
            self.facts.http2.store(true, Ordering::Relaxed);
            self.expected = Expected::Http2;
            self.held = held;
        } else if PREFACE.starts_with(&held) {
            self.expected = Expected::Preface;
            self.held = held;
        } else {
            self.refuse_head(refusal);
        }
    }

    /// Looks at the target of a whole head. Returns the head that is handed on in its place
    /// if hyper would not read it.
    fn readable(&self, bytes: &[u8], head: &Head) -> Result<Option<Vec<u8>>, Refusal> {
        let Some(at) = head.odd_target.clone() else {
            return Ok(None);
        };
        let Some(target) = target::readable(&bytes[at.clone()])? else {
            return Ok(None);
        };
        let readable = [&bytes[..at.start], &target, &bytes[at.end..head.bytes]].concat();
        if readable.len() > self.limits.bounds.bytes {
            return Err(Refusal::TargetTooLong);
        }
        Ok(Some(readable))
    }

    /// A whole head is about to be handed on.
    fn accept(&mut self, head: &Head) {
        self.facts.upgrade.store(head.upgrade, Ordering::Relaxed);
        self.facts
            .forwarded
            .store(head.forwarded, Ordering::Relaxed);
        self.upgrade = head.upgrade;
        self.served = true;
        self.reading.clear();
        self.expected = match head.framing {
            Framing::Length(0) => self.after_body(),
            Framing::Length(length) => Expected::Body(length),
            Framing::Chunked => Expected::Chunks(chunk::Scanner::new()),
        };
    }

    fn after_body(&self) -> Expected {
        if self.upgrade {
            Expected::HeadOrTunnel
        } else {
            Expected::Head(head::Scanner::default())
        }
    }

    fn head_has_begun(&self) -> bool {
        match &self.expected {
            Expected::Head(scanner) => scanner.has_begun(),
            Expected::Preface => true,
            _ => false,
        }
    }

    fn is_before_head(&self) -> bool {
        matches!(self.expected, Expected::Head(_)) && !self.head_has_begun()
    }

    /// How many of `bytes` belong to the body that is expected.
    fn follow_body(&mut self, bytes: &[u8]) -> Result<usize, Refusal> {
        let (taken, ended) = match &mut self.expected {
            Expected::Body(left) => {
                let taken = (*left).min(bytes.len() as u64);
                *left -= taken;
                (taken as usize, *left == 0)
            }
            Expected::Chunks(scanner) => (scanner.follow(bytes)?, scanner.done()),
            Expected::Tunnel => (bytes.len(), false),
            Expected::Head(_)
            | Expected::HeadOrTunnel
            | Expected::Preface
            | Expected::Http2
            | Expected::End => (0, false),
        };
        if ended {
            self.expected = self.after_body();
        }
        Ok(taken)
    }

    /// Hands on what was released; false if there is nothing.
    fn hand_on(&mut self, buf: &mut ReadBuf<'_>) -> bool {
        let length = self.released.min(buf.remaining());
        if length == 0 {
            return false;
        }
        buf.put_slice(&self.held[..length]);
        self.held.drain(..length);
        self.released -= length;
        if self.held.is_empty() {
            // Seldom used; it need not be kept for the life of the connection.
            self.held = Vec::new();
        }
        true
    }

    /// Looks at held bytes that were not released yet.
    fn release(&mut self) {
        let mut held = std::mem::take(&mut self.held);
        if let Expected::Preface = self.expected {
            return self.turn_away(Refusal::Version, held);
        }
        if let Expected::Head(scanner) = &mut self.expected {
            match scanner.read(&held, self.limits.bounds) {
                Ok(None) => {}
                Ok(Some(head)) => match self.readable(&held, &head) {
                    Ok(readable) => {
                        self.accept(&head);
                        self.released = head.bytes;
                        if let Some(readable) = readable {
                            self.released = readable.len();
                            held.splice(..head.bytes, readable);
                        }
                    }
                    Err(refusal) => return self.refuse_head(refusal),
                },
                Err(refusal) => return self.turn_away(refusal, held),
            }
        } else {
            match self.follow_body(&held) {
                Ok(taken) => self.released = taken,
                Err(refusal) => {
                    held.clear();
                    self.refuse(refusal);
                }
            }
        }
        self.held = held;
    }

    /// Looks at bytes that arrived in hyper's own buffer, from `before` on, and takes
    /// back what may not be handed on yet.
    fn inspect(&mut self, buf: &mut ReadBuf<'_>, before: usize) -> io::Result<()> {
        let mut kept = before;
        if let Expected::Head(scanner) = &mut self.expected {
            match scanner.read(&buf.filled()[before..], self.limits.bounds) {
                Ok(None) => {}
                Ok(Some(head)) => match self.readable(&buf.filled()[before..], &head) {
                    Ok(None) => {
                        self.accept(&head);
                        kept += head.bytes;
                    }
                    Ok(Some(readable)) => {
                        self.accept(&head);
                        self.released = readable.len();
                        self.held = readable;
                        let rest = &buf.filled()[before + head.bytes..];
                        self.held.extend_from_slice(rest);
                        buf.set_filled(before);
                        return Ok(());
                    }
                    Err(refusal) => {
                        buf.set_filled(before);
                        self.refuse_head(refusal);
                        return Ok(());
                    }
                },
                Err(refusal) => {
                    let head = buf.filled()[before..].to_vec();
                    buf.set_filled(before);
                    self.turn_away(refusal, head);
                    return Ok(());
                }
            }
        }
        match self.follow_body(&buf.filled()[kept..]) {
            Ok(taken) => kept += taken,
            Err(refusal) => {
                self.refuse(refusal);
                if kept == before {
                    return Err(io::Error::new(io::ErrorKind::InvalidData, refusal.reason()));
                }
                buf.set_filled(kept);
                return Ok(());
            }
        }
        if kept < buf.filled().len() {
            self.held.extend_from_slice(&buf.filled()[kept..]);
            buf.set_filled(kept);
        }
        Ok(())
    }
}

impl<S: AsyncRead + Unpin> Gate<S> {
    /// Reads from the socket into hyper's buffer. False: the client has closed.
    fn poll_direct(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<bool>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.socket).poll_read(cx, buf))?;
        if buf.filled().len() == before {
            return Poll::Ready(Ok(false));
        }
        self.inspect(buf, before)?;
        Poll::Ready(Ok(true))
    }

    /// Reads from the socket into `held`. False: the client has closed.
    fn poll_hold(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let mut part = [0; 4096];
        let mut buf = ReadBuf::new(&mut part);
        ready!(Pin::new(&mut self.socket).poll_read(cx, &mut buf))?;
        if buf.filled().is_empty() {
            // In the middle of a head: there is nothing to answer.
            self.held = Vec::new();
            return Poll::Ready(Ok(false));
        }
        self.held.extend_from_slice(buf.filled());
        self.release();
        Poll::Ready(Ok(true))
    }

    /// Nothing arrives: how long may that go on?
    fn poll_slowness(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &self.expected {
            Expected::Head(_) | Expected::Preface if self.head_has_begun() => {
                if self.reading.passed(cx, self.limits.head) {
                    self.refuse_head(Refusal::HeadTimeout);
                    return Poll::Ready(Ok(()));
                }
            }
            Expected::Head(_) | Expected::HeadOrTunnel => {
                let limit = if self.served {
                    self.limits.idle
                } else {
                    self.limits.head
                };
                if self.reading.passed(cx, limit) {
                    self.expected = Expected::End;
                    return Poll::Ready(Ok(()));
                }
            }
            Expected::Body(_) | Expected::Chunks(_) => {
                if self.reading.passed(cx, self.limits.stall) {
                    self.refuse(Refusal::BodyTimeout);
                    return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
                }
            }
            Expected::Preface | Expected::Http2 | Expected::Tunnel | Expected::End => {}
        }
        Poll::Pending
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Gate<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let gate = &mut *self;
        let start = buf.filled().len();
        loop {
            if gate.hand_on(buf) || buf.filled().len() > start || buf.remaining() == 0 {
                return Poll::Ready(Ok(()));
            }
            if matches!(gate.expected, Expected::HeadOrTunnel) {
                gate.expected = if gate.facts.tunnel.load(Ordering::Relaxed) {
                    Expected::Tunnel
                } else {
                    Expected::Head(head::Scanner::default())
                };
            }
            if matches!(gate.expected, Expected::Http2 | Expected::End) {
                return Poll::Ready(Ok(()));
            }
            let begun = gate.head_has_begun();
            let before_head = gate.is_before_head();
            if !gate.held.is_empty() && !begun {
                gate.release();
                if gate.released > 0 || gate.held.is_empty() {
                    continue;
                }
            }
            // A head that has arrived in part is completed in `held`; all else is read
            // into hyper's buffer at once.
            let arrived = if gate.held.is_empty() {
                gate.poll_direct(cx, buf)?
            } else {
                gate.poll_hold(cx)?
            };
            match arrived {
                Poll::Ready(true) => {}
                Poll::Ready(false) => return Poll::Ready(Ok(())),
                Poll::Pending => ready!(gate.poll_slowness(cx))?,
            }
            // Each part of a body earns more time, and so does the beginning of a head; a
            // further part of one does not, nor do empty lines before it.
            let begins = gate.head_has_begun() && !begun;
            if begins || !(begun || before_head && gate.is_before_head()) {
                gate.reading.clear();
            }
        }
    }
}
