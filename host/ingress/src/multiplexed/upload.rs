//! The body of a request on its way to a container.

use crate::body::{BoxError, RequestBody, Tape};
use crate::fields::expects_continue;
use crate::gate::Deadline;
use crate::http2::reason;
use crate::upstream::WANTED;
use bytes::Bytes;
use h2::SendStream;
use http::HeaderMap;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// The body of a request on its way to a container.
#[derive(Debug)]
pub(super) struct Upload {
    body: Tape,
    /// None as long as nothing, or nothing more, is to be sent.
    stream: Option<SendStream<Bytes>>,
    /// A part of the body, and whether it is the last, that waits for the container to
    /// take it.
    part: Option<(Bytes, bool)>,
    /// The container has not yet said that it wants the body (RFC 9110 section 10.1.1).
    held: bool,
    wanted: Deadline,
}

/// Why no more is sent.
enum Stop {
    /// The container takes no more; what it says comes with the response.
    Deaf,
    Body(BoxError),
}

impl From<h2::Error> for Stop {
    fn from(_: h2::Error) -> Self {
        Self::Deaf
    }
}

impl Upload {
    pub(super) fn new(body: RequestBody) -> Self {
        Self {
            body: Tape::new(body),
            stream: None,
            part: None,
            held: false,
            wanted: Deadline::default(),
        }
    }

    /// Whether there is nothing to send.
    pub(super) fn is_empty(&self) -> bool {
        self.body.is_end_stream()
    }

    /// Sends it by this stream, once the container says that it wants it if the `fields` of
    /// the request ask for that.
    pub(super) fn begin(&mut self, stream: SendStream<Bytes>, fields: &HeaderMap) {
        self.stream = Some(stream);
        self.part = None;
        self.held = expects_continue(fields);
        self.wanted.clear();
    }

    /// The container wants it. Returns whether it was held back until now.
    pub(super) fn release(&mut self) -> bool {
        std::mem::take(&mut self.held)
    }

    /// Whether it has been held back for so long that it is sent anyway: old servers say
    /// nothing.
    pub(super) fn has_waited(&mut self, cx: &mut Context<'_>) -> bool {
        self.held && self.stream.is_some() && self.wanted.passed(cx, WANTED) && self.release()
    }

    /// Begins anew, if all that was sent is remembered.
    pub(super) fn rewind(&mut self) -> bool {
        self.stream = None;
        self.body.rewind()
    }

    /// What goes on once there is a response; nothing where the container has answered
    /// without wanting it.
    pub(super) fn into_rest(mut self) -> Option<Self> {
        self.body.forget();
        (self.stream.is_some() && !self.held).then_some(self)
    }

    /// Sends what there is to send. Ready once it is over; an error is one of the client's
    /// body.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        let Some(mut stream) = self.stream.take() else {
            return Poll::Ready(Ok(()));
        };
        match self.poll_send(cx, &mut stream) {
            Poll::Pending => {
                self.stream = Some(stream);
                Poll::Pending
            }
            Poll::Ready(Ok(()) | Err(Stop::Deaf)) => Poll::Ready(Ok(())),
            Poll::Ready(Err(Stop::Body(error))) => {
                stream.send_reset(reason(&*error));
                Poll::Ready(Err(error))
            }
        }
    }

    fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut SendStream<Bytes>,
    ) -> Poll<Result<(), Stop>> {
        loop {
            // So that the task hears of it.
            if stream.poll_reset(cx)?.is_ready() {
                return Poll::Ready(Err(Stop::Deaf));
            }
            if self.held {
                return Poll::Pending;
            }
            if let Some((data, last)) = self.part.take() {
                // An empty part needs no room.
                while !data.is_empty() && stream.capacity() == 0 {
                    match stream.poll_capacity(cx) {
                        Poll::Ready(Some(Ok(_))) => {}
                        Poll::Ready(_) => return Poll::Ready(Err(Stop::Deaf)),
                        Poll::Pending => {
                            self.part = Some((data, last));
                            return Poll::Pending;
                        }
                    }
                }
                stream.send_data(data, last)?;
                if last {
                    return Poll::Ready(Ok(()));
                }
            }
            let frame = ready!(self.body.poll_frame(cx)).transpose();
            let Some(frame) = frame.map_err(Stop::Body)? else {
                stream.send_data(Bytes::new(), true)?;
                return Poll::Ready(Ok(()));
            };
            match frame.into_data() {
                Ok(data) => {
                    // Room is asked for only once there is something to send: the room that
                    // one request has asked for is none for the others of a connection.
                    stream.reserve_capacity(usize::from(!data.is_empty()));
                    let last = self.body.is_end_stream();
                    self.part = Some((data, last));
                }
                Err(frame) => {
                    stream.reserve_capacity(0);
                    if let Ok(trailers) = frame.into_trailers() {
                        stream.send_trailers(trailers)?;
                        return Poll::Ready(Ok(()));
                    }
                }
            }
        }
    }
}

impl Future for Upload {
    type Output = Result<(), BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Self::poll(self.get_mut(), cx)
    }
}
