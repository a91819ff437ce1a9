//! The two bodies that pass through, and when each ends.

use crate::backend::Flight;
use crate::gate::Deadline;
use crate::http2;
use crate::upstream::Lease;
use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use pin_project_lite::pin_project;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::Instant;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

pin_project! {
    /// The body of a request on its way to a container.
    #[project = RequestProjection]
    pub(crate) enum RequestBody {
        /// None; such a request can be sent a second time.
        Empty,
        /// The client's, as it arrives.
        Streamed {
            #[pin]
            incoming: Incoming,
            quiet: Deadline,
            limit: Option<Duration>,
            progress: Arc<Progress>,
        },
    }
}

/// Whose turn it is while a request's body is on its way.
#[derive(Debug)]
pub(crate) struct Progress(Mutex<Option<Instant>>);

impl Progress {
    /// Since when the container could have read, or answered; nothing if it is the
    /// client who has to send.
    pub(crate) fn containers_turn(&self) -> Option<Instant> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn turn(&self, containers: bool) {
        let since = containers.then(Instant::now);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = since;
    }
}

/// A client's body that stopped arriving.
#[derive(Debug, thiserror::Error)]
#[error("the client stopped sending")]
pub(crate) struct Stalled;

impl RequestBody {
    /// A client's body, which breaks off if nothing comes for `limit`.
    pub(crate) fn new(incoming: Incoming, limit: Option<Duration>) -> Self {
        if incoming.is_end_stream() {
            return Self::Empty;
        }
        Self::Streamed {
            incoming,
            quiet: Deadline::default(),
            limit,
            progress: Arc::new(Progress(Mutex::new(Some(Instant::now())))),
        }
    }

    /// How far it will have come, if there is a body.
    pub(crate) fn progress(&self) -> Option<Arc<Progress>> {
        match self {
            Self::Empty => None,
            Self::Streamed { progress, .. } => Some(Arc::clone(progress)),
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let RequestProjection::Streamed {
            incoming,
            quiet,
            limit,
            progress,
        } = self.project()
        else {
            return Poll::Ready(None);
        };
        let frame = incoming.poll_frame(cx);
        progress.turn(frame.is_ready());
        match (frame, limit) {
            (Poll::Ready(frame), _) => {
                quiet.clear();
                Poll::Ready(frame.map(|frame| frame.map_err(BoxError::from)))
            }
            (Poll::Pending, Some(limit)) if quiet.passed(cx, *limit) => {
                Poll::Ready(Some(Err(Stalled.into())))
            }
            (Poll::Pending, _) => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Streamed { incoming, .. } => incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Streamed { incoming, .. } => incoming.size_hint(),
        }
    }
}

pin_project! {
    /// The body of a response on its way to the client.
    #[project = ResponseProjection]
    pub(crate) enum ResponseBody {
        /// What the ingress says itself, or nothing.
        Page { page: Bytes },
        /// A container's, as it arrives.
        Streamed {
            #[pin]
            incoming: Incoming,
            // Given back to the pool as soon as the body has been read.
            lease: Option<Lease>,
            // Held until the body is dropped, which is when the request has ended.
            flight: Flight,
            quiet: Deadline,
            limit: Duration,
        },
    }
}

impl ResponseBody {
    /// No body.
    pub(crate) fn empty() -> Self {
        Self::Page { page: Bytes::new() }
    }

    /// The body of a container's response. Cut off if nothing comes for `limit`.
    pub(crate) fn streamed(
        incoming: Incoming,
        lease: Lease,
        flight: Flight,
        limit: Duration,
    ) -> Self {
        let mut lease = Some(lease);
        if incoming.is_end_stream() {
            give_back(&mut lease);
        }
        Self::Streamed {
            incoming,
            lease,
            flight,
            quiet: Deadline::default(),
            limit,
        }
    }
}

fn give_back(lease: &mut Option<Lease>) {
    if let Some(lease) = lease.take() {
        lease.give_back();
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.project() {
            ResponseProjection::Page { page } => {
                http2::note_given();
                let page = std::mem::take(page);
                Poll::Ready((!page.is_empty()).then(|| Ok(Frame::data(page))))
            }
            ResponseProjection::Streamed {
                mut incoming,
                lease,
                quiet,
                limit,
                ..
            } => {
                let Poll::Ready(frame) = incoming.as_mut().poll_frame(cx) else {
                    http2::note_waiting();
                    return if quiet.passed(cx, *limit) {
                        Poll::Ready(Some(Err("the container stopped sending".into())))
                    } else {
                        Poll::Pending
                    };
                };
                quiet.clear();
                match frame {
                    Some(Ok(frame)) => {
                        // hyper does not ask again once the announced length is there.
                        if incoming.is_end_stream() {
                            give_back(lease);
                        }
                        http2::note_given();
                        Poll::Ready(Some(Ok(frame)))
                    }
                    Some(Err(error)) => {
                        *lease = None;
                        Poll::Ready(Some(Err(error.into())))
                    }
                    None => {
                        give_back(lease);
                        Poll::Ready(None)
                    }
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Page { page } => page.is_empty(),
            Self::Streamed { incoming, .. } => incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Page { page } => SizeHint::with_exact(page.len() as u64),
            Self::Streamed { incoming, .. } => incoming.size_hint(),
        }
    }
}
