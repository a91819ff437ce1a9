//! The body of a response as it comes from a container.

use super::BoxError;
use crate::multiplexed::Answer;
use crate::upstream::Exchange;
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use std::task::{Context, Poll};

/// The body of a response as it comes from a container.
pub(crate) enum ContainerBody {
    /// By a connection of its own, which goes back to the pool as soon as it was read.
    Http1(Box<Exchange>),
    /// By one that others share.
    Http2(Answer),
}

impl ContainerBody {
    /// Waits for the next part.
    pub(crate) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self {
            Self::Http1(exchange) => exchange.poll_frame(cx),
            Self::Http2(answer) => answer.poll_frame(cx),
        }
    }

    /// Whether there is no more.
    pub(crate) fn is_end_stream(&self) -> bool {
        match self {
            Self::Http1(exchange) => exchange.is_done(),
            Self::Http2(answer) => answer.is_end_stream(),
        }
    }

    /// How much is left, as far as it has to be said.
    pub(crate) fn size_hint(&self) -> SizeHint {
        match self {
            Self::Http1(exchange) => exchange.size_hint(),
            // A field of the response says it.
            Self::Http2(_) => SizeHint::new(),
        }
    }
}
