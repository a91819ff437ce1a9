//! A request on its way to a container.

use super::head::{Framing, write_field, write_request};
use super::room::Room;
use crate::body::{BoxError, RequestBody};
use crate::fields;
use bytes::{Buf as _, Bytes, BytesMut};
use http::{HeaderMap, Request};
use hyper::body::{Body as _, Frame};
use std::fmt::Write as _;
use std::io::IoSlice;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::AsyncWrite;

/// Parts of a body up to this size are written together with what is around them.
const SMALL_PART: usize = 2 * 1024;
/// Bytes that wait to be written before a further part of the body is asked for.
const ENOUGH: usize = 16 * 1024;

/// Most heads need less room than that.
const HEAD_BYTES: usize = 1024;

const LINE_END: &[u8] = b"\r\n";

/// A request on its way to a container.
#[derive(Debug)]
pub(super) struct Upload {
    /// The head, then what frames the body, with its small parts.
    out: BytesMut,
    /// Bytes of `out` that were written.
    written: usize,
    /// A large part of the body, after `out`.
    part: Bytes,
    /// What ends that part.
    part_end: &'static [u8],
    framing: Framing,
    /// Whether there is more of the body.
    more: bool,
    /// The container has not yet said that it wants the body (RFC 9110 section 10.1.1).
    pub(super) held: bool,
    pub(super) body: RequestBody,
    /// Nothing of it was written.
    pub(super) unsent: bool,
    /// The container takes no more.
    pub(super) deaf: bool,
}

impl Upload {
    /// A request that is to be sent, and its fields, of which there is no more need.
    pub(super) fn new(request: Request<RequestBody>, room: &Room) -> (Self, HeaderMap) {
        let mut out = room.with(HEAD_BYTES, 4 * HEAD_BYTES);
        let framing = write_request(&mut out, &request);
        let more = framing != Framing::Length(0);
        let held = more && fields::expects_continue(request.headers());
        let (head, body) = request.into_parts();
        let upload = Self {
            out: out.split(),
            written: 0,
            part: Bytes::new(),
            part_end: b"",
            framing,
            more,
            held,
            body,
            unsent: true,
            deaf: false,
        };
        (upload, head.headers)
    }

    /// Begins anew. What was written of a body is lost.
    pub(super) fn rewind(&mut self) {
        self.written = 0;
        self.unsent = true;
        self.deaf = false;
    }

    /// Whether all was written that the container has to see before it says that it wants
    /// the body.
    pub(super) fn is_waiting(&self) -> bool {
        self.held && !self.deaf && self.waiting() == 0
    }

    /// Whether there is nothing more to write, or nobody who takes it.
    pub(super) fn is_over(&self) -> bool {
        self.deaf || (!self.more && self.waiting() == 0)
    }

    fn waiting(&self) -> usize {
        self.out.len() - self.written + self.part.len() + self.part_end.len()
    }

    /// Writes what there is to write. Ready once it is over; an error is one of the
    /// client's body.
    pub(super) fn poll<S: AsyncWrite + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        socket: &mut S,
    ) -> Poll<Result<(), BoxError>> {
        let written = self.poll_write(cx, socket)?;
        // What was encrypted may still wait; a socket in the clear has nothing to flush.
        match ready!(Pin::new(socket).poll_flush(cx)) {
            Ok(()) => written.map(Ok),
            Err(_) => {
                self.deaf = true;
                Poll::Ready(Ok(()))
            }
        }
    }

    fn poll_write<S: AsyncWrite + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        socket: &mut S,
    ) -> Poll<Result<(), BoxError>> {
        while !self.is_over() {
            if self.is_waiting() {
                return Poll::Pending;
            }
            let free = self.part.is_empty() && self.part_end.is_empty();
            if self.more && !self.held && free && self.waiting() < ENOUGH {
                match Pin::new(&mut self.body).poll_frame(cx) {
                    Poll::Ready(Some(frame)) => self.add(frame?)?,
                    Poll::Ready(None) => self.end()?,
                    Poll::Pending if self.waiting() == 0 => return Poll::Pending,
                    Poll::Pending => {}
                }
            }
            let out = &self.out[self.written..];
            let socket = Pin::new(&mut *socket);
            let written = if self.part.is_empty() && self.part_end.is_empty() {
                socket.poll_write(cx, out)
            } else {
                let parts = [out, &self.part, self.part_end].map(IoSlice::new);
                socket.poll_write_vectored(cx, &parts)
            };
            match ready!(written) {
                Ok(bytes) => self.advance(bytes),
                // The read side finds what it has answered, or how it ended.
                Err(_) => self.deaf = true,
            }
        }
        Poll::Ready(Ok(()))
    }

    fn advance(&mut self, mut bytes: usize) {
        self.unsent &= bytes == 0;
        let of_out = bytes.min(self.out.len() - self.written);
        self.written += of_out;
        bytes -= of_out;
        let of_part = bytes.min(self.part.len());
        self.part.advance(of_part);
        self.part_end = &self.part_end[bytes - of_part..];
    }

    /// Takes a part of the body, after which all is written that waits.
    fn add(&mut self, frame: Frame<Bytes>) -> Result<(), BoxError> {
        self.forget();
        match frame.into_data() {
            Ok(data) if data.is_empty() => {}
            Ok(data) => match &mut self.framing {
                Framing::Length(left) => {
                    let rest = left.checked_sub(data.len() as u64);
                    *left = rest.ok_or("the body is longer than announced")?;
                    self.more = *left > 0;
                    self.push(data, b"");
                }
                Framing::Chunked => {
                    // It takes everything.
                    let _ = write!(self.out, "{:x}\r\n", data.len());
                    self.push(data, LINE_END);
                }
            },
            Err(frame) => {
                if let (Framing::Chunked, Ok(trailers)) = (self.framing, frame.into_trailers()) {
                    self.more = false;
                    self.out.extend_from_slice(b"0\r\n");
                    for (name, value) in &trailers {
                        if fields::may_trail(name) {
                            write_field(&mut self.out, name, value);
                        }
                    }
                    self.out.extend_from_slice(LINE_END);
                }
            }
        }
        Ok(())
    }

    fn push(&mut self, data: Bytes, end: &'static [u8]) {
        if data.len() <= SMALL_PART {
            self.out.extend_from_slice(&data);
            self.out.extend_from_slice(end);
        } else {
            self.part = data;
            self.part_end = end;
        }
    }

    fn end(&mut self) -> Result<(), BoxError> {
        self.more = false;
        match self.framing {
            Framing::Length(0) => {}
            Framing::Length(_) => return Err("the body is shorter than announced".into()),
            Framing::Chunked => {
                self.forget();
                self.out.extend_from_slice(b"0\r\n\r\n");
            }
        }
        Ok(())
    }

    /// Makes room of what was written.
    fn forget(&mut self) {
        if self.written == self.out.len() {
            self.out.clear();
            self.written = 0;
        }
    }
}

#[cfg(test)]
mod tests;
