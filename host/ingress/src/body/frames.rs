//! A body as HTTP/2 brings it.

use super::BoxError;
use bytes::Bytes;
use h2::RecvStream;
use hyper::body::Frame;
use std::task::{Context, Poll, ready};

/// A body as HTTP/2 brings it. What is handed on makes room for more.
#[derive(Debug)]
pub(crate) struct Frames {
    stream: RecvStream,
    /// No more data; trailers may follow.
    ended: bool,
}

impl Frames {
    /// What comes by this stream.
    pub(crate) fn new(stream: RecvStream) -> Self {
        Self {
            stream,
            ended: false,
        }
    }

    /// Waits for the next part.
    pub(crate) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if !self.ended {
            match ready!(self.stream.poll_data(cx)) {
                Some(Ok(data)) => {
                    // A stream that is gone needs no room.
                    let _ = self.stream.flow_control().release_capacity(data.len());
                    return Poll::Ready(Some(Ok(Frame::data(data))));
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(error.into()))),
                None => self.ended = true,
            }
        }
        let trailers = ready!(self.stream.poll_trailers(cx)).transpose();
        let trailers = trailers.map(|trailers| trailers.map(Frame::trailers));
        Poll::Ready(trailers.map(|trailers| trailers.map_err(BoxError::from)))
    }

    /// Whether there is no more.
    pub(crate) fn is_end_stream(&self) -> bool {
        self.stream.is_end_stream()
    }
}
