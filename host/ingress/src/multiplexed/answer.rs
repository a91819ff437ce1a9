//! The body of a response, beside which the rest of its request may still be on its way.

use super::upload::Upload;
use crate::body::{BoxError, Frames};
use crate::fields;
use bytes::Bytes;
use h2::RecvStream;
use hyper::body::Frame;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio_util::task::AbortOnDropHandle;

/// The body of a response. To drop it before its end resets the stream.
#[derive(Debug)]
pub(crate) struct Answer {
    frames: Frames,
    /// Until the response has ended.
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    /// Counted by the connection until it is dropped.
    #[expect(dead_code, reason = "it is there to be counted")]
    share: Arc<()>,
    /// What sends the rest of the request.
    upload: Option<AbortOnDropHandle<Result<(), BoxError>>>,
}

impl Answer {
    pub(super) fn new(stream: RecvStream, share: Arc<()>, rest: Option<Upload>) -> Self {
        let upload = rest.map(|rest| AbortOnDropHandle::new(tokio::spawn(rest)));
        let mut answer = Self {
            frames: Frames::new(stream),
            open: Some(Open { share, upload }),
        };
        answer.close_if_ended();
        answer
    }

    /// Waits for the next part.
    pub(crate) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = ready!(self.frames.poll_frame(cx));
        // Nobody asks again once the end is known.
        self.close_if_ended();
        Poll::Ready(frame.map(|frame| frame.map(barred)))
    }

    /// Whether there is no more.
    pub(crate) fn is_end_stream(&self) -> bool {
        self.frames.is_end_stream()
    }

    /// A request may go on after its response.
    fn close_if_ended(&mut self) {
        if self.is_end_stream()
            && let Some(open) = self.open.take()
            && let Some(upload) = open.upload
        {
            upload.detach();
        }
    }
}

/// Without what may not come after a body.
fn barred(frame: Frame<Bytes>) -> Frame<Bytes> {
    match frame.into_trailers() {
        Ok(mut trailers) => {
            fields::retain_trailers(&mut trailers);
            Frame::trailers(trailers)
        }
        Err(data) => data,
    }
}
