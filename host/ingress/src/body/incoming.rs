//! The body of a request as the two protocols bring it.

use super::{BoxError, Frames};
use crate::http2::{Fault, Known};
use crate::interim::Interim;
use bytes::Bytes;
use h2::RecvStream;
use http::{HeaderMap, StatusCode};
use hyper::body::{Body as _, Frame, SizeHint};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// The body of a request as it comes from a client.
#[derive(Debug)]
pub(crate) enum Incoming {
    Http1(hyper::body::Incoming),
    Http2(Stream),
}

/// A body by HTTP/2.
#[derive(Debug)]
pub(crate) struct Stream {
    frames: Frames,
    /// Bytes that are still to come, if the client says how many.
    left: Option<u64>,
    /// Whom to tell that the body is wanted, if the client waits for that.
    wanted: Option<Arc<Interim>>,
    known: Known,
}

impl Incoming {
    /// A body by HTTP/2 of `length` bytes, if that is known. Its client is told by `wanted`
    /// to send it once it is asked for.
    pub(crate) fn http2(
        stream: RecvStream,
        length: Option<u64>,
        wanted: Option<Arc<Interim>>,
        known: Known,
    ) -> Self {
        Self::Http2(Stream {
            frames: Frames::new(stream),
            left: length,
            wanted,
            known,
        })
    }

    /// Waits for the next part.
    pub(crate) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self {
            Self::Http1(incoming) => {
                let frame = ready!(Pin::new(incoming).poll_frame(cx));
                Poll::Ready(frame.map(|frame| frame.map_err(BoxError::from)))
            }
            Self::Http2(stream) => stream.poll_frame(cx),
        }
    }

    /// Whether a pseudo-field stands in the trailers that have come.
    pub(crate) fn has_pseudo_trailers(&self) -> bool {
        match self {
            Self::Http1(_) => false,
            Self::Http2(stream) => stream.known.has(Fault::Trailers),
        }
    }

    pub(crate) fn is_end_stream(&self) -> bool {
        match self {
            Self::Http1(incoming) => incoming.is_end_stream(),
            Self::Http2(stream) => stream.frames.is_end_stream(),
        }
    }

    pub(crate) fn size_hint(&self) -> SizeHint {
        match self {
            Self::Http1(incoming) => incoming.size_hint(),
            Self::Http2(stream) if stream.frames.is_end_stream() => SizeHint::with_exact(0),
            Self::Http2(stream) => stream.left.map(SizeHint::with_exact).unwrap_or_default(),
        }
    }
}

impl Stream {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = self.frames.poll_frame(cx);
        if let Some(interim) = self.wanted.take()
            && frame.is_pending()
        {
            interim.tell(StatusCode::CONTINUE, HeaderMap::new());
            // Whoever answers the request sends it.
            cx.waker().wake_by_ref();
        }
        if let Poll::Ready(Some(Ok(frame))) = &frame
            && let (Some(data), Some(left)) = (frame.data_ref(), &mut self.left)
        {
            *left = left.saturating_sub(data.len() as u64);
        }
        frame
    }
}
