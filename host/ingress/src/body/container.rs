//! The body of a response as it comes from a container.

use super::BoxError;
use crate::fields;
use crate::upstream::Exchange;
use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// The body of a response as it comes from a container.
pub(crate) enum ContainerBody {
    /// By a connection of its own, which goes back to the pool as soon as it was read.
    Http1(Box<Exchange>),
    /// By one that others share.
    Http2 {
        incoming: Incoming,
        /// Counted by the connection until it is dropped.
        share: Option<Arc<()>>,
    },
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

impl ContainerBody {
    /// What comes by a connection that is shared.
    pub(crate) fn shared(incoming: Incoming, share: Arc<()>) -> Self {
        let share = (!incoming.is_end_stream()).then_some(share);
        Self::Http2 { incoming, share }
    }

    /// Waits for the next part.
    pub(crate) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self {
            Self::Http1(exchange) => exchange.poll_frame(cx),
            Self::Http2 { incoming, share } => {
                let frame = Pin::new(&mut *incoming).poll_frame(cx);
                // Nobody asks again once the end is known.
                if frame.is_ready() && incoming.is_end_stream() {
                    *share = None;
                }
                frame.map(|frame| Some(frame?.map(barred).map_err(BoxError::from)))
            }
        }
    }

    /// Whether there is no more.
    pub(crate) fn is_end_stream(&self) -> bool {
        match self {
            Self::Http1(exchange) => exchange.is_done(),
            Self::Http2 { incoming, .. } => incoming.is_end_stream(),
        }
    }

    /// How much is left.
    pub(crate) fn size_hint(&self) -> SizeHint {
        match self {
            Self::Http1(exchange) => exchange.size_hint(),
            Self::Http2 { incoming, .. } => incoming.size_hint(),
        }
    }
}
