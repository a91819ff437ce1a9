//! One request by HTTP/2, from its head to the end of its response.

use super::date;
use super::streams::{Asked, Open, Streams};
use super::watch::Fault;
use crate::body::{BoxError, Incoming, ResponseBody};
use crate::gate::Deadline;
use crate::interim::Interim;
use crate::proxy::Client;
use crate::wire::NoScheme;
use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::header::{CONTENT_LENGTH, DATE, EXPECT};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use hyper::body::Body as _;
use std::error::Error;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// The task of one request. Ends early, and with it the request, when the client cancels
/// it, or takes nothing of the response although the network would.
pub(super) struct Stream {
    respond: SendResponse<Bytes>,
    interim: Arc<Interim>,
    state: State,
    /// Counts it as open until it is dropped.
    open: Open,
    /// Whether the answer says that it is malformed.
    refused: bool,
    standing: Deadline,
}

#[expect(
    clippy::large_enum_variant,
    reason = "a task has room of its own, and most come to send"
)]
enum State {
    Answering {
        answer: Pin<Box<dyn Future<Output = Response<ResponseBody>> + Send>>,
        asked: Asked,
    },
    Sending {
        stream: SendStream<Bytes>,
        body: ResponseBody,
        /// A part of the body, and whether it is the last, that waits for the client to
        /// take it.
        part: Option<(Bytes, bool)>,
    },
    Over,
}

/// Why the response does not come to its end.
enum Broken {
    /// The client wants no more of it, or is gone.
    Gone,
    /// It breaks off.
    Body(BoxError),
    /// The request is malformed.
    Malformed,
}

impl From<h2::Error> for Broken {
    fn from(_: h2::Error) -> Self {
        Self::Gone
    }
}

impl Stream {
    /// Begins to answer a request.
    pub(super) fn new(
        client: &Arc<Client>,
        streams: &Streams,
        request: Request<RecvStream>,
        respond: SendResponse<Bytes>,
    ) -> Self {
        let interim = Arc::new(Interim::default());
        let length = length(request.headers());
        let wanted = request.headers().contains_key(EXPECT);
        let wanted = wanted.then(|| Arc::clone(&interim));
        let open = streams.open(respond.stream_id().into());
        let known = open.known().clone();
        let mut request = request.map(|stream| Incoming::http2(stream, length, wanted, known));
        if open.known().has(Fault::Scheme) {
            request.extensions_mut().insert(NoScheme);
        }
        let client = Arc::clone(client);
        let told = Arc::clone(&interim);
        Self {
            respond,
            interim,
            state: State::Answering {
                answer: Box::pin(async move { client.answer(request, Some(told)).await }),
                asked: streams.asked(),
            },
            open,
            refused: false,
            standing: Deadline::default(),
        }
    }

    fn poll_steps(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        loop {
            if matches!(self.state, State::Sending { .. }) && self.is_malformed() {
                return Poll::Ready(Err(Broken::Malformed));
            }
            match &mut self.state {
                State::Answering { answer, asked } => {
                    let answered = answer.as_mut().poll(cx);
                    for (status, fields) in self.interim.take() {
                        let mut told = Response::new(());
                        *told.status_mut() = status;
                        *told.headers_mut() = fields;
                        self.respond.send_informational(told)?;
                    }
                    let Poll::Ready(response) = answered else {
                        // So that the task hears of it.
                        if self.respond.poll_reset(cx)?.is_ready() {
                            return Poll::Ready(Err(Broken::Gone));
                        }
                        return Poll::Pending;
                    };
                    asked.answered();
                    self.refused = response.status() == StatusCode::BAD_REQUEST;
                    if self.is_malformed() {
                        return Poll::Ready(Err(Broken::Malformed));
                    }
                    self.state = self.begin(response)?;
                }
                State::Sending { stream, body, part } => {
                    if stream.poll_reset(cx)?.is_ready() {
                        return Poll::Ready(Err(Broken::Gone));
                    }
                    if let Some((data, last)) = part.take() {
                        if stream.capacity() == 0 {
                            match stream.poll_capacity(cx) {
                                Poll::Ready(Some(Ok(_))) => {}
                                Poll::Ready(_) => return Poll::Ready(Err(Broken::Gone)),
                                Poll::Pending => {
                                    *part = Some((data, last));
                                    ready!(self.poll_standing(cx));
                                    return Poll::Ready(Err(Broken::Gone));
                                }
                            }
                            if stream.capacity() == 0 {
                                *part = Some((data, last));
                                continue;
                            }
                        }
                        self.standing.clear();
                        stream.send_data(data, last)?;
                        if last {
                            return Poll::Ready(Ok(()));
                        }
                    }
                    // Room is asked for only once there is something to send: the room that
                    // one response has asked for is none for the others of a connection.
                    let frame = ready!(Pin::new(&mut *body).poll_frame(cx));
                    let Some(frame) = frame.transpose().map_err(Broken::Body)? else {
                        stream.send_data(Bytes::new(), true)?;
                        return Poll::Ready(Ok(()));
                    };
                    match frame.into_data() {
                        Ok(data) => {
                            if !data.is_empty() {
                                stream.reserve_capacity(1);
                            }
                            let last = body.is_end_stream();
                            if data.is_empty() {
                                if last {
                                    stream.send_data(data, true)?;
                                    return Poll::Ready(Ok(()));
                                }
                            } else {
                                *part = Some((data, last));
                            }
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
                State::Over => return Poll::Ready(Ok(())),
            }
        }
    }

    /// Whether its trailers are malformed, and no answer says so: whoever answers has read
    /// a body of so many bytes as was said, and has not waited for what comes after it.
    fn is_malformed(&self) -> bool {
        !self.refused && self.open.known().has(Fault::Trailers)
    }

    /// Sends the head of the response.
    fn begin(&mut self, response: Response<ResponseBody>) -> Result<State, h2::Error> {
        let (mut head, body) = response.into_parts();
        if let Some(now) = date::now() {
            head.headers.entry(DATE).or_insert(now);
        }
        let empty = body.is_end_stream();
        if let (false, Some(length)) = (empty, body.size_hint().exact()) {
            let length = HeaderValue::from(length);
            head.headers.entry(CONTENT_LENGTH).or_insert(length);
        }
        let head = Response::from_parts(head, ());
        let stream = self.respond.send_response(head, empty)?;
        Ok(if empty {
            State::Over
        } else {
            State::Sending {
                stream,
                body,
                part: None,
            }
        })
    }

    /// The client takes nothing: how long may that go on?
    fn poll_standing(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let streams = self.open.streams();
        while self.standing.passed(cx, streams.stall()) {
            if !streams.is_congested() {
                tracing::debug!("a client leaves a response standing");
                return Poll::Ready(());
            }
            self.standing.clear();
        }
        Poll::Pending
    }
}

impl Future for Stream {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match ready!(self.poll_steps(cx)) {
            Err(Broken::Body(error)) => self.respond.send_reset(reason(&*error)),
            Err(Broken::Malformed) => {
                tracing::debug!("a pseudo-field stands in trailers");
                self.respond.send_reset(Reason::PROTOCOL_ERROR);
            }
            Ok(()) | Err(Broken::Gone) => {}
        }
        // What it holds ends now, not with the task.
        self.state = State::Over;
        Poll::Ready(())
    }
}

/// As what a body that breaks off is reset: as whoever sends it has done it, if that says so.
pub(crate) fn reason(error: &(dyn Error + 'static)) -> Reason {
    let causes = std::iter::successors(Some(error), |error| (*error).source());
    let mut resets = causes.filter_map(|error| error.downcast_ref::<h2::Error>());
    let reason = resets.find_map(h2::Error::reason);
    // There are those that take a reset without an error for the end.
    let reason = reason.filter(|reason| *reason != Reason::NO_ERROR);
    reason.unwrap_or(Reason::INTERNAL_ERROR)
}

/// The length that a request says it has; h2 holds it to that.
fn length(headers: &HeaderMap) -> Option<u64> {
    let length = headers.get(CONTENT_LENGTH)?;
    length.to_str().ok()?.parse().ok()
}
