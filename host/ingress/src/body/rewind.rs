//! The body of a request that can be sent again from its beginning, as long as little of
//! it has been sent.

use super::{BoxError, RequestBody};
use bytes::Bytes;
use http::HeaderMap;
use hyper::body::{Body, Frame};
use std::pin::Pin;
use std::task::{Context, Poll};

/// Bytes that are remembered, at most. A container that has not looked at a request gives
/// no room for more than it does at the beginning, which is 64 KiB where it does not say
/// otherwise (RFC 9113 section 6.9.2).
const REMEMBERED_BYTES: usize = 128 * 1024;

/// A body, and what was sent of it.
#[derive(Debug)]
pub(crate) struct Tape {
    body: RequestBody,
    /// What was sent, from the beginning.
    sent: Vec<Piece>,
    /// Pieces of that which have been sent this time.
    at: usize,
    /// Bytes that were sent.
    bytes: usize,
    /// Whether `sent` is all that was sent.
    complete: bool,
}

#[derive(Debug, Clone)]
enum Piece {
    Data(Bytes),
    Trailers(HeaderMap),
}

impl Tape {
    /// A body of which nothing was sent.
    pub(crate) fn new(body: RequestBody) -> Self {
        Self {
            body,
            sent: Vec::new(),
            at: 0,
            bytes: 0,
            complete: true,
        }
    }

    /// Begins anew, if all that was sent is remembered.
    pub(crate) fn rewind(&mut self) -> bool {
        if self.complete {
            self.at = 0;
        }
        self.complete
    }

    /// It need not be sent again.
    pub(crate) fn forget(&mut self) {
        self.complete = false;
        // Of what was sent before, some may still have to be sent once more.
        if self.at >= self.sent.len() {
            self.sent = Vec::new();
        }
    }

    /// Waits for the next part.
    pub(crate) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Some(piece) = self.sent.get(self.at).cloned() {
            self.at += 1;
            return Poll::Ready(Some(Ok(piece.into())));
        }
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &frame {
            self.remember(frame);
        }
        frame
    }

    /// Whether there is no more.
    pub(crate) fn is_end_stream(&self) -> bool {
        self.at >= self.sent.len() && self.body.is_end_stream()
    }

    fn remember(&mut self, frame: &Frame<Bytes>) {
        if !self.complete {
            return;
        }
        self.bytes += frame.data_ref().map_or(0, Bytes::len);
        if self.bytes > REMEMBERED_BYTES {
            self.forget();
            return;
        }
        if let Some(data) = frame.data_ref() {
            self.sent.push(Piece::Data(data.clone()));
        } else if let Some(trailers) = frame.trailers_ref() {
            self.sent.push(Piece::Trailers(trailers.clone()));
        }
        self.at = self.sent.len();
    }
}

impl From<Piece> for Frame<Bytes> {
    fn from(piece: Piece) -> Self {
        match piece {
            Piece::Data(data) => Self::data(data),
            Piece::Trailers(trailers) => Self::trailers(trailers),
        }
    }
}
