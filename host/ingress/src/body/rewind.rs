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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body::tests::Sent;
    use std::future::poll_fn;
    use std::time::Duration;

    /// More than twice what a container gives room for that says nothing of it.
    const REMEMBERED: usize = 131_072;

    /// Takes parts of the body up to its end, or, of one that goes on, so many bytes.
    /// Returns their number, and whether trailers came after them.
    async fn take(tape: &mut Tape, most: usize) -> (usize, bool) {
        let mut taken = 0;
        while taken < most
            && let Some(frame) = poll_fn(|cx| tape.poll_frame(cx)).await
        {
            match frame.unwrap().into_data() {
                Ok(data) => taken += data.len(),
                Err(_) => return (taken, true),
            }
        }
        (taken, false)
    }

    /// A body of which so many bytes have come.
    async fn tape(bytes: usize) -> (Sent, Tape) {
        let mut sent = Sent::new(None, Duration::from_secs(3600)).await;
        sent.send(bytes);
        let body = std::mem::replace(&mut sent.body, RequestBody::Empty);
        (sent, Tape::new(body))
    }

    #[tokio::test]
    async fn a_body_is_sent_again_from_its_beginning_as_often_as_that_is_needed() {
        let (mut sent, mut tape) = tape(1000).await;
        assert_eq!(take(&mut tape, 1000).await, (1000, false));
        for _ in 0..2 {
            assert!(tape.rewind());
            assert!(!tape.is_end_stream());
            assert_eq!(take(&mut tape, 1000).await, (1000, false));
        }
        sent.send(500);
        sent.end(true);
        assert_eq!(take(&mut tape, usize::MAX).await, (500, true));
        assert!(tape.rewind());
        assert!(!tape.is_end_stream(), "all that was sent is to come again");
        assert_eq!(take(&mut tape, usize::MAX).await, (1500, true));
        assert!(tape.is_end_stream());
    }

    #[tokio::test]
    async fn so_much_is_remembered_and_not_more() {
        for (bytes, again) in [(REMEMBERED, true), (REMEMBERED + 1, false)] {
            let (mut sent, mut tape) = tape(bytes).await;
            assert_eq!(take(&mut tape, bytes).await, (bytes, false));
            assert_eq!(tape.rewind(), again);
            assert_eq!(tape.sent.is_empty(), !again, "it takes no room");
            sent.end(false);
            let left = if again { bytes } else { 0 };
            assert_eq!(take(&mut tape, usize::MAX).await, (left, false));
        }
    }

    #[tokio::test]
    async fn what_is_forgotten_is_still_sent_to_its_end() {
        let (mut sent, mut tape) = tape(1000).await;
        take(&mut tape, 1000).await;
        assert!(tape.rewind());
        tape.forget();
        sent.send(500);
        sent.end(false);
        assert_eq!(take(&mut tape, usize::MAX).await, (1500, false));
        assert!(!tape.rewind());
        assert!(tape.is_end_stream());
    }
}
